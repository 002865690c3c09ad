//! Sending a file to the disk while it is still being written.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, JoinHandle};

/// So much is written before what there is goes to the disk: small files are not worth a thread.
const INTERVAL_BYTES: u64 = 64 << 20;

/// Syncs a file time and again on a thread of its own, so that the last sync finds little left to do.
#[derive(Debug)]
pub(super) struct EarlySync {
    /// Taken when the thread starts; nothing where the file shall not be synced.
    file: Option<Arc<File>>,
    thread: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
    /// Bytes since the thread was last asked.
    waiting_bytes: u64,
}

impl EarlySync {
    /// Begins with a file of which nothing is written. Without `sync` nothing is done.
    pub fn of(file: &Arc<File>, sync: bool) -> EarlySync {
        EarlySync { file: sync.then(|| Arc::clone(file)), thread: None, waiting_bytes: 0 }
    }

    /// Says that so many bytes more were written.
    pub fn wrote(&mut self, bytes: u64) {
        self.waiting_bytes += bytes;
        if self.waiting_bytes < INTERVAL_BYTES {
            return;
        }
        if let Some(file) = self.file.take() {
            let (sender, asked) = mpsc::sync_channel::<()>(1);
            let run = move || asked.iter().try_for_each(|()| file.sync_data());
            self.thread = Some((sender, thread::spawn(run)));
        }
        // Where the thread has not yet come to the last one, that will do for this too.
        if let Some((sender, _)) = &self.thread
            && sender.try_send(()).is_ok()
        {
            self.waiting_bytes = 0;
        }
    }

    /// Waits for the thread. A system may tell of bytes that did not reach the disk only once, so this comes before
    /// the last sync, and both must succeed.
    ///
    /// # Errors
    ///
    /// If syncing failed.
    pub fn finish(self) -> io::Result<()> {
        let Some((sender, thread)) = self.thread else { return Ok(()) };
        drop(sender);
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_started_for_little_or_where_nothing_is_to_be_synced() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        for (sync, bytes) in [(true, INTERVAL_BYTES - 1), (false, 3 * INTERVAL_BYTES)] {
            let mut early = EarlySync::of(&file, sync);
            early.wrote(bytes);
            assert!(early.thread.is_none());
            early.finish().unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_failure_of_an_early_sync_is_told_at_the_end() {
        let (_reader, writer) = io::pipe().unwrap();
        // A pipe cannot be synced.
        let pipe = Arc::new(File::from(std::os::fd::OwnedFd::from(writer)));
        let mut early = EarlySync::of(&pipe, true);
        for _ in 0..3 {
            early.wrote(INTERVAL_BYTES);
        }
        early.finish().unwrap_err();
        let file = Arc::new(tempfile::tempfile().unwrap());
        let mut early = EarlySync::of(&file, true);
        for _ in 0..3 {
            early.wrote(INTERVAL_BYTES);
        }
        assert!(early.thread.is_some());
        early.finish().unwrap();
    }
}
