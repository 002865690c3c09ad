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
#[derive(Debug, Default)]
pub struct Catalogues(Mutex<HashMap<PathBuf, Known>>);

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
    /// The catalogue in a folder: the one that is known, or else loaded now.
    ///
    /// # Errors
    ///
    /// As [`Catalogue::load`].
    pub fn get(&self, directory: &Path) -> Result<Arc<Catalogue>, CatalogueError> {
        let files = stamps(directory);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(found), Some(files)) = (known.get(directory), &files)
            && found.files == *files
        {
            return Ok(Arc::clone(&found.catalogue));
        }
        drop(known);
        let now = SystemTime::now();
        let loaded = Arc::new(Catalogue::load(directory)?);
        // What was changed just now may be changed again without showing it.
        if let Some(files) = files.filter(|files| files.iter().all(|file| file.is_settled(now))) {
            known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn age(path: &Path) {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    }

    /// Makes what is known look as if the files had been written long before.
    fn settle(catalogues: &Catalogues, directory: &Path) {
        let catalogue = Arc::new(Catalogue::load(directory).unwrap());
        let known = Known { files: stamps(directory).unwrap(), catalogue };
        catalogues.0.lock().unwrap().insert(directory.to_owned(), known);
    }

    #[test]
    fn a_catalogue_is_loaded_once_and_again_after_any_change() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path();
        let (first, second) = (directory.join("1_a.py"), directory.join("2_b.py"));
        fs::write(&first, ONE).unwrap();
        age(&first);
        let catalogues = Catalogues::default();
        settle(&catalogues, directory);
        let before = catalogues.get(directory).unwrap();
        assert!(Arc::ptr_eq(&before, &catalogues.get(directory).unwrap()));

        // As long, and of the same time: the rest tells.
        fs::write(&first, TWO).unwrap();
        age(&first);
        assert_eq!(catalogues.get(directory).unwrap().migrations[0].version.as_str(), "2");
        settle(&catalogues, directory);
        fs::write(&second, ONE).unwrap();
        assert_eq!(catalogues.get(directory).unwrap().migrations.len(), 2);
        settle(&catalogues, directory);
        fs::remove_file(&first).unwrap();
        assert_eq!(catalogues.get(directory).unwrap().migrations.len(), 1);
        fs::write(directory.join("3_c.py"), "no migration").unwrap();
        assert!(catalogues.get(directory).is_err());
    }

    #[test]
    fn what_was_written_just_now_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("1_a.py"), ONE).unwrap();
        let catalogues = Catalogues::default();
        catalogues.get(folder.path()).unwrap();
        assert!(catalogues.0.lock().unwrap().is_empty());
    }
}
