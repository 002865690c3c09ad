//! One writer at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use super::RepoError;

/// How long a second writer waits for the first.
const WAIT: Duration = Duration::from_secs(3);

/// Held by the one process that writes to a store; given up when dropped, or when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the store in `directory`.
    ///
    /// # Errors
    ///
    /// [`RepoError::Locked`] if another process still holds it after three seconds.
    pub fn take(directory: &Path) -> Result<Lock, RepoError> {
        let path = directory.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(RepoError::io("open", &path))?;
        let deadline = Instant::now() + WAIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => return Err(RepoError::Locked { path }),
                Err(TryLockError::Error(error)) => return Err(RepoError::io("lock", &path)(error)),
            }
        }
    }
}
