//! One safe way to write a file or a folder: beside its place, synced, renamed, the directory synced.

mod early;
mod folder;
mod sequential;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

pub use folder::DurableFolder;
pub use sequential::SequentialWriter;

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
    /// Creates the file beside `path`, as `.ckstore-` with the name of `path`, `-` and ten letters or digits.
    ///
    /// The file is locked as long as it is being written, so that [`remove_leftovers`] can tell it from one
    /// that a process left behind when it was stopped.
    ///
    /// # Errors
    ///
    /// If the directory is missing or cannot be written.
    pub fn create(path: &Path) -> io::Result<DurableFile> {
        let temporary = tempfile::Builder::new()
            .prefix(&temporary_prefix(path))
            .rand_bytes(RANDOM_LETTERS)
            .tempfile_in(directory_of(path))?;
        // Where files cannot be locked, leftovers cannot be told apart and stay.
        let _ = temporary.as_file().try_lock();
        Ok(DurableFile { temporary, path: path.to_owned(), mode: None })
    }

    /// Gives the file these permission bits when it appears, instead of those of the file it replaces
    /// or, for a new file, those that the process gives new files.
    pub fn set_mode(&mut self, mode: u32) {
        self.mode = Some(mode);
    }

    /// Where the file is as long as it is not finished.
    pub fn path(&self) -> &Path {
        self.temporary.path()
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
        self.finish_synced(true)
    }

    /// As [`finish`](DurableFile::finish); without `sync` it is left to the system when the file reaches the disk.
    ///
    /// # Errors
    ///
    /// As [`finish`](DurableFile::finish).
    pub fn finish_synced(self, sync: bool) -> io::Result<()> {
        place(self.temporary, &self.path, self.mode, sync)
    }
}

/// Letters at the end of a temporary name.
const RANDOM_LETTERS: usize = 10;

/// Longest part of a file's name in the name of its temporary: file systems end names at 255 bytes.
const MAX_NAME_BYTES: usize = 200;

/// What the names of temporary files for `path` begin with.
fn temporary_prefix(path: &Path) -> OsString {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let end = (0..=name.len().min(MAX_NAME_BYTES)).rev().find(|end| name.is_char_boundary(*end));
    OsString::from(format!(".ckstore-{}-", &name[..end.unwrap_or_default()]))
}

/// Removes what stopped processes left behind while they wrote `path`, and returns how many files and folders
/// that were.
///
/// What another process is writing is locked, and left alone.
///
/// # Errors
///
/// If the directory cannot be listed. A leftover that cannot be removed is passed over.
pub fn remove_leftovers(path: &Path) -> io::Result<usize> {
    let prefix = temporary_prefix(path);
    let mut removed = 0;
    for entry in fs::read_dir(directory_of(path))? {
        let entry = entry?;
        let Ok(kind) = entry.file_type() else { continue };
        let is_left = is_temporary(&entry.file_name(), &prefix)
            && (kind.is_file() || kind.is_dir())
            && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if !is_left {
            continue;
        }
        let gone =
            if kind.is_dir() { folder::remove_folder(&entry.path()) } else { fs::remove_file(entry.path()) };
        removed += usize::from(gone.is_ok());
    }
    Ok(removed)
}

fn is_temporary(name: &OsStr, prefix: &OsStr) -> bool {
    let letters = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
    letters.is_some_and(|letters| {
        letters.len() == RANDOM_LETTERS && letters.iter().all(u8::is_ascii_alphanumeric)
    })
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
    fn leftovers_of_the_same_file_are_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last.ckpt");
        let stays = [
            "last.ckpt",
            ".ckstore-last.ckpt-",
            ".ckstore-last.ckpt-aaaaaaaaa",
            ".ckstore-last.ckpt-aaaaaaaaaaa",
            ".ckstore-last.ckpt-aaaa-aaaaa",
            ".ckstore-other.ckpt-aaaaaaaaaa",
            "ckstore-last.ckpt-aaaaaaaaaa",
        ];
        for name in stays.iter().chain(&[".ckstore-last.ckpt-aAzZ09bbbb"]) {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        let folder = dir.path().join(".ckstore-last.ckpt-bbbbbbbbbb");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("shard"), b"1").unwrap();
        let being_written = DurableFile::create(&path).unwrap();
        assert_eq!(remove_leftovers(&path).unwrap(), 2);
        assert!(stays.iter().all(|name| dir.path().join(name).exists()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), stays.len() + 1);
        being_written.finish().unwrap();
        assert_eq!(remove_leftovers(&path).unwrap(), 0);
    }

    #[test]
    fn a_file_that_is_left_behind_is_recognised() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a".to_owned(), "é".repeat(127), "x".repeat(255)] {
            let path = dir.path().join(name);
            let left = DurableFile::create(&path).unwrap();
            let (file, _) = left.temporary.keep().unwrap();
            assert_eq!(remove_leftovers(&path).unwrap(), 0, "it is still locked");
            drop(file);
            assert_eq!(remove_leftovers(&path).unwrap(), 1);
        }
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
