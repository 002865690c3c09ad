//! Catalogues that stay loaded while their files stay as they are, for those who ask for one a thousand times a second.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::migration::{Catalogue, CatalogueError, catalogue};

/// Catalogues that are kept.
const MAX_KEPT: usize = 64;

/// How old a change of a file must be for its time to tell it from the next: file systems count in steps, the
/// coarsest of two seconds.
const STEP: Duration = Duration::from_secs(3);

/// Loaded catalogues, by folder.
#[derive(Debug)]
pub struct Catalogues {
    known: Mutex<HashMap<PathBuf, Known>>,
    now: fn() -> SystemTime,
}

/// A catalogue, and its files as they were before it was loaded.
#[derive(Debug)]
struct Known {
    files: Vec<FileStamp>,
    catalogue: Arc<Catalogue>,
}

/// What tells that a file was changed or exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FileStamp {
    name: String,
    bytes: u64,
    modified: Option<SystemTime>,
    /// Where the system has them: the number of the file, and when anything about it was last changed.
    inode: (u64, i64, i64),
}

impl Catalogues {
    /// None yet; `now` tells the time.
    pub fn new(now: fn() -> SystemTime) -> Catalogues {
        Catalogues { known: Mutex::default(), now }
    }

    /// The catalogue in a folder: the one that is known, or else loaded now.
    ///
    /// # Errors
    ///
    /// As [`Catalogue::load`].
    pub fn get(&self, directory: &Path) -> Result<Arc<Catalogue>, CatalogueError> {
        let files = stamps(directory);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(found), Some(files)) = (known.get(directory), &files)
            && found.files == *files
        {
            return Ok(Arc::clone(&found.catalogue));
        }
        drop(known);
        let now = (self.now)();
        let loaded = Arc::new(Catalogue::load(directory)?);
        // What was changed just now may be changed again without showing it.
        if let Some(files) = files.filter(|files| files.iter().all(|file| file.is_settled(now))) {
            known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MAX_KEPT {
                known.clear();
            }
            known.insert(directory.to_owned(), Known { files, catalogue: Arc::clone(&loaded) });
        }
        Ok(loaded)
    }
}

/// The files of a catalogue as they are; `None` where they cannot be looked at.
fn stamps(directory: &Path) -> Option<Vec<FileStamp>> {
    let files = catalogue::files(directory).ok()?;
    files
        .into_iter()
        .map(|(name, path)| Some(FileStamp::of(name, &fs::symlink_metadata(path).ok()?)))
        .collect()
}

impl FileStamp {
    fn of(name: String, metadata: &Metadata) -> FileStamp {
        #[cfg(unix)]
        let inode = {
            use std::os::unix::fs::MetadataExt;
            (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
        };
        #[cfg(not(unix))]
        let inode = (0, 0, 0);
        FileStamp { name, bytes: metadata.len(), modified: metadata.modified().ok(), inode }
    }

    /// Whether the next change is sure to show.
    fn is_settled(&self, now: SystemTime) -> bool {
        let is_old = |time: SystemTime| now.duration_since(time).is_ok_and(|age| age > STEP);
        let changed =
            u64::try_from(self.inode.1).map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        self.modified.is_some_and(is_old) && changed.is_ok_and(is_old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "metadata = MigrationMetadata(versions={'p': '1'})\ndef migrate(ckpt): pass\n";
    const TWO: &str = "metadata = MigrationMetadata(versions={'p': '2'})\ndef migrate(ckpt): pass\n";

    /// Long after all that a test writes.
    fn later() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(10_000_000_000)
    }

    /// Writes a file of a time that is always the same.
    fn write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    }

    #[test]
    fn a_catalogue_is_loaded_once_and_again_after_any_change() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path();
        let first = directory.join("1_a.py");
        write(&first, ONE);
        let catalogues = Catalogues::new(later);
        let before = catalogues.get(directory).unwrap();
        assert!(Arc::ptr_eq(&before, &catalogues.get(directory).unwrap()));
        // As long as before; on Unix the time, too, need not tell.
        std::thread::sleep(Duration::from_millis(20));
        if cfg!(unix) {
            write(&first, TWO)
        } else {
            fs::write(&first, TWO).unwrap()
        }
        assert_eq!(catalogues.get(directory).unwrap().migrations[0].version.as_str(), "2");
        write(&directory.join("2_b.py"), ONE);
        assert_eq!(catalogues.get(directory).unwrap().migrations.len(), 2);
        fs::remove_file(&first).unwrap();
        assert_eq!(catalogues.get(directory).unwrap().migrations.len(), 1);
        write(&directory.join("3_c.py"), "no migration");
        assert!(catalogues.get(directory).is_err());
    }

    #[test]
    fn what_was_written_just_now_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("1_a.py"), ONE);
        let catalogues = Catalogues::new(|| SystemTime::UNIX_EPOCH + STEP);
        let first = catalogues.get(folder.path()).unwrap();
        assert!(!Arc::ptr_eq(&first, &catalogues.get(folder.path()).unwrap()));
    }
}
