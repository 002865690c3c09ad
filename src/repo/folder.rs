//! Writing a folder, whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::durable::{DurableFolder, SequentialWriter, sync_directory};
use crate::format::{Entry, EntryKind};

/// A folder that is made beside its place, from the bytes of its files in their order.
pub(super) struct FolderWriter {
    folder: DurableFolder,
    entries: std::vec::IntoIter<Entry>,
    current: Option<Current>,
    /// Directories with the bits they get when all is in them.
    directories: Vec<(PathBuf, u32)>,
    /// Whether all is to be on the disk before the folder is at its place.
    sync: bool,
}

/// The file being written.
struct Current {
    file: File,
    out: SequentialWriter,
    /// How many bytes it still takes.
    rest: u64,
    /// Its permission bits.
    mode: u32,
}

impl FolderWriter {
    /// Begins a folder; `entries` were found to stay within it. Without `sync` it is left to the system when they
    /// reach the disk.
    pub fn create(path: &Path, entries: Vec<Entry>, sync: bool) -> io::Result<FolderWriter> {
        let folder = DurableFolder::create(path)?;
        let entries = entries.into_iter();
        let mut writer = FolderWriter { folder, entries, current: None, directories: Vec::new(), sync };
        writer.advance()?;
        Ok(writer)
    }

    /// Writes the next bytes, whichever files they belong to.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let Current { out, rest, .. } = self.current.as_mut().ok_or(io::ErrorKind::WriteZero)?;
            let length = usize::try_from(*rest).unwrap_or(usize::MAX).min(bytes.len());
            out.write(&bytes[..length])?;
            *rest -= length as u64;
            bytes = &bytes[length..];
            self.advance()?;
        }
        Ok(())
    }

    /// Makes entries until a file waits for bytes.
    fn advance(&mut self) -> io::Result<()> {
        loop {
            if self.current.as_ref().is_some_and(|current| current.rest > 0) {
                return Ok(());
            }
            if let Some(Current { file, out, mode, .. }) = self.current.take() {
                out.finish()?;
                set_mode(&file, mode)?;
                if self.sync {
                    file.sync_all()?;
                }
            }
            let Some(entry) = self.entries.next() else { return Ok(()) };
            let path = self.folder.path().join(&entry.path);
            match entry.kind {
                EntryKind::File { bytes, mode } => {
                    let file = File::options().write(true).create_new(true).open(&path)?;
                    let out = SequentialWriter::with_length(&file, bytes, self.sync)?;
                    self.current = Some(Current { file, out, rest: bytes, mode });
                }
                EntryKind::Directory { mode } => {
                    fs::create_dir(&path)?;
                    self.directories.push((path, mode));
                }
                EntryKind::Link { target } => link(&target, &path)?,
            }
        }
    }

    /// Makes what is left, syncs the directories, and returns the folder, which is not at its place yet.
    pub fn close(mut self) -> io::Result<DurableFolder> {
        self.advance()?;
        if self.current.is_some() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (path, mode) in self.directories.iter().rev() {
            if self.sync {
                sync_directory(path)?;
            }
            if cfg!(unix) {
                set_mode(&File::open(path)?, *mode)?;
            }
        }
        Ok(self.folder)
    }
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(mode & 0o777))
}

#[cfg(not(unix))]
fn set_mode(_file: &File, _mode: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn link(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn link(_target: &str, _path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
