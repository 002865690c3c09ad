//! One safe way to write a folder: beside its place, synced, exchanged with what is there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{RANDOM_LETTERS, directory_of, sync_directory, temporary_prefix};

/// A folder that appears at its place whole, or not at all.
///
/// Dropped without [`finish`](DurableFolder::finish), it leaves nothing behind.
#[derive(Debug)]
pub struct DurableFolder {
    temporary: TempDir,
    path: PathBuf,
    /// Held locked, so that [`remove_leftovers`](super::remove_leftovers) leaves the folder alone.
    _lock: Option<File>,
}

impl DurableFolder {
    /// Creates the folder beside `path`, as `.ckstore-` with the name of `path`, `-` and ten letters or digits.
    ///
    /// # Errors
    ///
    /// If the directory is missing or cannot be written.
    pub fn create(path: &Path) -> io::Result<DurableFolder> {
        let temporary = tempfile::Builder::new()
            .prefix(&temporary_prefix(path))
            .rand_bytes(RANDOM_LETTERS)
            .tempdir_in(directory_of(path))?;
        // Where folders cannot be opened or locked, leftovers cannot be told apart and stay.
        let lock = File::open(temporary.path()).ok();
        if let Some(lock) = &lock {
            let _ = lock.try_lock();
        }
        Ok(DurableFolder { temporary, path: path.to_owned(), _lock: lock })
    }

    /// Where the folder is while it is being filled.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Moves the folder to its place; what it holds was synced by the caller. A folder that is there is kept
    /// until the new one stands in its place, and removed then.
    ///
    /// # Errors
    ///
    /// If syncing or moving fails; what was at the place before is then still there.
    pub fn finish(self) -> io::Result<()> {
        self.finish_synced(true)
    }

    /// As [`finish`](DurableFolder::finish); without `sync` it is left to the system when the folder reaches the
    /// disk.
    ///
    /// # Errors
    ///
    /// As [`finish`](DurableFolder::finish).
    pub fn finish_synced(mut self, sync: bool) -> io::Result<()> {
        let sync_directory = |path: &Path| if sync { sync_directory(path) } else { Ok(()) };
        self.give_mode()?;
        sync_directory(self.temporary.path())?;
        if fs::symlink_metadata(&self.path).is_err() {
            fs::rename(self.temporary.path(), &self.path)?;
            self.temporary.disable_cleanup(true);
            return sync_directory(directory_of(&self.path));
        }
        let old = self.temporary.path().to_owned();
        if exchange(&old, &self.path).is_ok() {
            sync_directory(directory_of(&self.path))?;
            self.temporary.disable_cleanup(true);
            // The new folder is in its place: what is left of the old one does no harm.
            let _ = remove_folder(&old);
            return Ok(());
        }
        // Without an exchange there is a moment in which only the names aside exist. Nothing removes them
        // after a crash, so that nothing is lost.
        let aside = tempfile::Builder::new()
            .prefix(".ckstore-aside-")
            .rand_bytes(RANDOM_LETTERS)
            .tempdir_in(directory_of(&self.path))?;
        let old = aside.path().join("old");
        fs::rename(&self.path, &old)?;
        if let Err(error) = fs::rename(self.temporary.path(), &self.path) {
            if fs::rename(&old, &self.path).is_err() {
                let _ = aside.keep();
            }
            return Err(error);
        }
        self.temporary.disable_cleanup(true);
        sync_directory(directory_of(&self.path))?;
        let _ = remove_folder(&old);
        Ok(())
    }

    /// The bits of the folder it replaces, or those that the process gives new folders.
    #[cfg(unix)]
    fn give_mode(&self) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let mode = match fs::metadata(&self.path) {
            Ok(old) => old.permissions().mode() & 0o777,
            Err(_) => 0o777 & !super::umask(),
        };
        fs::set_permissions(self.temporary.path(), fs::Permissions::from_mode(mode))
    }

    #[cfg(not(unix))]
    fn give_mode(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for DurableFolder {
    fn drop(&mut self) {
        make_removable(self.temporary.path());
    }
}

#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Removes a folder with all that is in it, also where its directories are read-only.
pub(super) fn remove_folder(path: &Path) -> io::Result<()> {
    make_removable(path);
    fs::remove_dir_all(path)
}

/// Lets the owner remove what is in the directories; links are not followed.
#[cfg(unix)]
fn make_removable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mut todo = vec![path.to_owned()];
    while let Some(directory) = todo.pop() {
        let Ok(metadata) = fs::symlink_metadata(&directory) else { continue };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o700 != 0o700 {
            let _ = fs::set_permissions(&directory, fs::Permissions::from_mode(mode | 0o700));
        }
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        todo.extend(folders.map(|entry| entry.path()));
    }
}

#[cfg(not(unix))]
fn make_removable(_path: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_folder_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DurableFolder::create(&dir.path().join("a")).unwrap();
        fs::write(folder.path().join("x"), b"1").unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_finished_folder_takes_the_place_of_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        for text in ["old", "new"] {
            let folder = DurableFolder::create(&path).unwrap();
            fs::write(folder.path().join(text), text).unwrap();
            folder.finish().unwrap();
        }
        assert_eq!(fs::read(path.join("new")).unwrap(), b"new");
        assert!(!path.join("old").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_left_behind_is_removed_once_nobody_writes_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let folder = DurableFolder::create(&path).unwrap();
        fs::write(folder.path().join("x"), b"1").unwrap();
        assert_eq!(super::super::remove_leftovers(&path).unwrap(), 0, "it is being written");
        let left = folder.path().to_owned();
        drop(folder);
        fs::create_dir(&left).unwrap();
        fs::write(left.join("x"), b"1").unwrap();
        assert_eq!(super::super::remove_leftovers(&path).unwrap(), 1);
    }
}
