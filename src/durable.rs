//! One safe way to write a file: beside its place, synced, renamed, the directory synced.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that appears at its place whole, or not at all.
///
/// Dropped without [`finish`](DurableFile::finish), it leaves nothing behind.
#[derive(Debug)]
pub struct DurableFile {
    temporary: NamedTempFile,
    path: PathBuf,
    mode: Option<u32>,
}

impl DurableFile {
    /// Creates the file beside `path`, under a temporary name that starts with `.ckstore-`.
    ///
    /// # Errors
    ///
    /// If the directory is missing or cannot be written.
    pub fn create(path: &Path) -> io::Result<DurableFile> {
        let directory = directory_of(path);
        let temporary = tempfile::Builder::new().prefix(".ckstore-").tempfile_in(directory)?;
        Ok(DurableFile { temporary, path: path.to_owned(), mode: None })
    }

    /// Gives the file these permission bits when it appears, instead of those of the file it replaces
    /// or, for a new file, those that the process gives new files.
    pub fn set_mode(&mut self, mode: u32) {
        self.mode = Some(mode);
    }

    /// The open file, for reading and writing.
    pub fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// The open file, for reading and writing through a cursor.
    pub fn file_mut(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// Syncs the file and moves it to its place, replacing what is there.
    ///
    /// # Errors
    ///
    /// If syncing or renaming fails; what was at the place before is then still there.
    pub fn finish(self) -> io::Result<()> {
        place(self.temporary, &self.path, self.mode, true)
    }
}

/// Moves a finished temporary file, made in the directory of `path`, to `path`.
///
/// For files whose name is known only when they are whole. The permission bits are `mode`, or as
/// [`DurableFile::set_mode`] says without it. With `sync` the file is synced before the move and the
/// directory after it.
///
/// # Errors
///
/// If syncing or renaming fails; what was at the place before is then still there.
pub fn place(temporary: NamedTempFile, path: &Path, mode: Option<u32>, sync: bool) -> io::Result<()> {
    set_permissions(temporary.as_file(), path, mode)?;
    if sync {
        temporary.as_file().sync_all()?;
    }
    temporary.persist(path).map_err(|error| error.error)?;
    if sync { sync_directory(directory_of(path)) } else { Ok(()) }
}

/// Writes `bytes` to `path`, whole or not at all.
///
/// # Errors
///
/// As [`DurableFile::create`] and [`DurableFile::finish`], and if writing fails.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = DurableFile::create(path)?;
    io::Write::write_all(file.file_mut(), bytes)?;
    file.finish()
}

/// Makes renames and new files in a directory survive a power loss.
///
/// # Errors
///
/// If the directory cannot be opened or synced.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// The directory that holds `path`; `.` for a bare name.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn set_permissions(file: &File, path: &Path, mode: Option<u32>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // Temporary files are made for their owner alone; an ordinary file follows the umask.
    let mode = match (mode, fs::metadata(path)) {
        (Some(mode), _) => mode,
        (None, Ok(old)) => old.permissions().mode() & 0o777,
        (None, Err(_)) => 0o666 & !umask(),
    };
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(unix)]
fn umask() -> u32 {
    // The umask can only be read by setting it; no other thread makes files at this moment that a
    // stricter mask for an instant would harm.
    let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    rustix::process::umask(mask);
    mask.as_raw_mode()
}

#[cfg(not(unix))]
fn set_permissions(_file: &File, _path: &Path, _mode: Option<u32>) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(DurableFile::create(&dir.path().join("a")).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_finished_file_replaces_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
