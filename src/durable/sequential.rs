//! Writing a file from its start to its end.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use super::early::EarlySync;

/// Small pieces are gathered to writes of this length.
const GATHER_BYTES: usize = 256 << 10;

/// Writes begin and end at multiples of this: a multiple of the pages in which systems keep files, which are written
/// faster as a whole than in parts.
const PAGES_BYTES: usize = 64 << 10;

/// A file that has come to this length is worth reserving room for what follows.
const RESERVE_FROM_BYTES: u64 = 16 << 20;

/// So much room is reserved at once where nobody knows how long the file becomes.
const RESERVE_BYTES: u64 = 64 << 20;

/// Writes a new file in order: in whole pages, with room reserved ahead, and syncing while it is written.
#[derive(Debug)]
pub struct SequentialWriter {
    file: Arc<File>,
    early: EarlySync,
    /// What waits for its page to be full. What is written ends at a page.
    gathered: Vec<u8>,
    written_bytes: u64,
    reserved: Reserved,
}

/// What the file system keeps free for the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reserved {
    /// So many bytes from its start, more where it grows.
    UpTo(u64),
    /// All that it shall have, or the file system does not do that.
    Enough,
}

impl SequentialWriter {
    /// Begins a file of which nothing is written. With `sync` what is written goes to the disk meanwhile; the last
    /// sync stays the caller's.
    ///
    /// # Errors
    ///
    /// If the process has no more file handles.
    pub fn of(file: &File, sync: bool) -> io::Result<SequentialWriter> {
        let file = Arc::new(file.try_clone()?);
        let early = EarlySync::of(&file, sync);
        Ok(SequentialWriter {
            file,
            early,
            gathered: Vec::new(),
            written_bytes: 0,
            reserved: Reserved::UpTo(0),
        })
    }

    /// As [`of`](SequentialWriter::of), of a file that becomes `bytes` long: a full disk is found before the first
    /// byte is written.
    ///
    /// # Errors
    ///
    /// [`StorageFull`](io::ErrorKind::StorageFull), and as [`of`](SequentialWriter::of).
    pub fn with_length(file: &File, bytes: u64, sync: bool) -> io::Result<SequentialWriter> {
        let mut writer = SequentialWriter::of(file, sync)?;
        writer.reserved = Reserved::Enough;
        // Reserving a few pages takes longer than it saves.
        if bytes > GATHER_BYTES as u64 {
            match reserve(file, 0, bytes) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(error),
                // Not every file system can; then writing finds out.
                _ => {}
            }
        }
        Ok(writer)
    }

    /// Writes the next bytes, or keeps them to be written with more.
    ///
    /// # Errors
    ///
    /// If writing fails; what is in the file is then unspecified.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let waiting = self.gathered.len() + bytes.len();
        if waiting < GATHER_BYTES {
            self.gathered.extend_from_slice(bytes);
            return Ok(());
        }
        // More than was gathered, which is less than a write that is worth it.
        let whole = waiting - waiting % PAGES_BYTES;
        let (now, later) = bytes.split_at(whole - self.gathered.len());
        self.put(now)?;
        self.gathered.extend_from_slice(later);
        Ok(())
    }

    /// Writes what is left, and waits for what goes to the disk.
    ///
    /// # Errors
    ///
    /// If writing or syncing fails.
    pub fn finish(mut self) -> io::Result<()> {
        self.put(&[])?;
        if let Reserved::UpTo(1..) = self.reserved {
            // What was reserved and not needed is given back.
            self.file.set_len(self.written_bytes)?;
        }
        self.early.finish()
    }

    /// Writes what was gathered, and these bytes after it.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let all_bytes = (self.gathered.len() + bytes.len()) as u64;
        self.reserve_ahead(self.written_bytes + all_bytes);
        let slices = &mut [IoSlice::new(&self.gathered), IoSlice::new(bytes)];
        write_all(&self.file, slices)?;
        self.gathered.clear();
        self.written_bytes += all_bytes;
        self.early.wrote(all_bytes);
        Ok(())
    }

    /// Reserves room before the file comes to `end`.
    fn reserve_ahead(&mut self, end: u64) {
        if let Reserved::UpTo(reserved) = self.reserved
            && end > reserved.max(RESERVE_FROM_BYTES)
        {
            let from = reserved.max(self.written_bytes);
            let bytes = RESERVE_BYTES.max(end - from);
            self.reserved = match reserve(&self.file, from, bytes) {
                Ok(()) => Reserved::UpTo(from + bytes),
                Err(_) => {
                    // Where the disk is nearly full a part was reserved, which others may need. If that cannot be given
                    // back either, writing tells.
                    let _ = self.file.set_len(self.written_bytes);
                    Reserved::Enough
                }
            };
        }
    }
}

/// Writes several slices, one after the other.
fn write_all(mut file: &File, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    // Empty ones at the front are passed over.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reserves a part of the disk for a file, whose length stays.
#[cfg(target_os = "linux")]
fn reserve(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, offset, bytes)?)
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _offset: u64, _bytes: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn noise(bytes: usize) -> Vec<u8> {
        let mut noise = vec![0; bytes];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        noise
    }

    #[test]
    fn what_is_written_is_in_the_file_whatever_the_pieces() {
        let all = noise((RESERVE_FROM_BYTES as usize) + (5 << 20) + 77);
        for piece in [1000, PAGES_BYTES, GATHER_BYTES - 1, GATHER_BYTES, (1 << 20) + 1, all.len()] {
            for length in [0, 1, 5, GATHER_BYTES, all.len()] {
                for known in [false, true] {
                    let file = tempfile::NamedTempFile::new().unwrap();
                    let all = &all[..length];
                    let mut writer = if known {
                        SequentialWriter::with_length(file.as_file(), all.len() as u64, true).unwrap()
                    } else {
                        SequentialWriter::of(file.as_file(), false).unwrap()
                    };
                    for piece in all.chunks(piece) {
                        writer.write(piece).unwrap();
                    }
                    writer.finish().unwrap();
                    assert!(fs::read(file.path()).unwrap() == all, "{length} in pieces of {piece}");
                }
            }
        }
    }

    #[test]
    fn what_is_written_before_the_end_are_whole_pages() {
        let file = tempfile::tempfile().unwrap();
        let mut writer = SequentialWriter::of(&file, false).unwrap();
        for bytes in [77, GATHER_BYTES, 3 * PAGES_BYTES + 5, 1 << 20] {
            writer.write(&noise(bytes)).unwrap();
            assert_eq!(file.metadata().unwrap().len() % PAGES_BYTES as u64, 0);
        }
        assert!(file.metadata().unwrap().len() > 1 << 20);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_reserved_and_not_needed_is_given_back() {
        use std::os::unix::fs::MetadataExt;
        let file = tempfile::tempfile().unwrap();
        let mut writer = SequentialWriter::of(&file, false).unwrap();
        writer.write(&noise(RESERVE_FROM_BYTES as usize + 1)).unwrap();
        writer.write(&noise(GATHER_BYTES)).unwrap();
        let Reserved::UpTo(reserved) = writer.reserved else {
            return; // This file system does not reserve.
        };
        assert!(reserved > RESERVE_FROM_BYTES);
        assert!(file.metadata().unwrap().blocks() * 512 > RESERVE_BYTES);
        writer.finish().unwrap();
        file.sync_all().unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 < RESERVE_BYTES);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_disk_that_is_too_small_is_found_first() {
        let file = tempfile::tempfile().unwrap();
        // No file system has so much room; some say that no file is so long.
        let result = SequentialWriter::with_length(&file, 1 << 60, false);
        if let Err(error) = result {
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
        assert_eq!(file.metadata().unwrap().len(), 0);
    }
}
