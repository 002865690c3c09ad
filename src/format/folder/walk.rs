//! Reading a folder of the file system.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::super::Source;
use super::list::{self, Entry, EntryKind};

/// Directories inside each other.
const MOST_DEPTH: usize = 64;
/// The store's own directory, which is no part of a checkpoint beside it.
const STORE: &str = ".ckstore";

/// Why a folder cannot be taken as a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The system refused to read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something that is neither file nor directory nor link.
    #[error("`{}` is a device, pipe or socket", path.display())]
    Special {
        /// Where.
        path: PathBuf,
    },
    /// A link out of the folder.
    #[error("the link `{}` leads out of the folder, to `{}`", path.display(), target.display())]
    LeavingLink {
        /// Where.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A name that is no text, or holds a backslash.
    #[error("the name `{}` cannot be kept on every system", path.display())]
    Name {
        /// Where.
        path: PathBuf,
    },
    /// More entries, or deeper ones, than are taken.
    #[error("`{}` has too many entries, or too deep ones", path.display())]
    TooLarge {
        /// The folder.
        path: PathBuf,
    },
}

/// A folder as the bytes of its files, one behind the other in the order of their paths.
#[derive(Debug)]
pub struct FolderSource {
    root: PathBuf,
    entries: Vec<Entry>,
    /// Offset and path of each file.
    files: Vec<(u64, PathBuf)>,
    bytes: u64,
    stamp: u64,
    open: Mutex<Option<(usize, File)>>,
}

impl FolderSource {
    /// Lists a folder; a store's own directory in it is left out.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or holds what no checkpoint can.
    pub fn open(root: &Path, most_entries: u64) -> Result<FolderSource, FolderError> {
        let mut found = Vec::new();
        let mut stamp = blake3::Hasher::new();
        let mut todo = vec![(root.to_owned(), String::new(), 0)];
        while let Some((directory, prefix, depth)) = todo.pop() {
            let failed = |path: &Path| {
                let path = path.to_owned();
                move |source| FolderError::Read { path, source }
            };
            for item in fs::read_dir(&directory).map_err(failed(&directory))? {
                let path = item.map_err(failed(&directory))?.path();
                let name =
                    path.file_name().and_then(|name| name.to_str()).filter(|name| !name.contains('\\'));
                let name = name.ok_or_else(|| FolderError::Name { path: path.clone() })?;
                if prefix.is_empty() && name == STORE {
                    continue;
                }
                let relative = format!("{prefix}{name}");
                let metadata = fs::symlink_metadata(&path).map_err(failed(&path))?;
                let kind = if metadata.is_symlink() {
                    let target = fs::read_link(&path).map_err(failed(&path))?;
                    let text = target.to_str().map(str::to_owned);
                    EntryKind::Link { target: text.ok_or(FolderError::Name { path: target })? }
                } else if metadata.is_dir() {
                    if depth >= MOST_DEPTH {
                        return Err(FolderError::TooLarge { path: root.to_owned() });
                    }
                    todo.push((path, format!("{relative}/"), depth + 1));
                    EntryKind::Directory { mode: mode(&metadata) }
                } else if metadata.is_file() {
                    EntryKind::File { bytes: metadata.len(), mode: mode(&metadata) }
                } else {
                    return Err(FolderError::Special { path });
                };
                found.push((Entry { path: relative, kind }, metadata.modified().ok()));
                if found.len() as u64 > most_entries {
                    return Err(FolderError::TooLarge { path: root.to_owned() });
                }
            }
        }
        found.sort_by(|one, other| one.0.path.cmp(&other.0.path));
        let (mut files, mut bytes) = (Vec::new(), 0u64);
        let mut entries = Vec::with_capacity(found.len());
        for (entry, modified) in found {
            stamp.update(format!("{entry:?} {modified:?}\n").as_bytes());
            if let EntryKind::File { bytes: length, .. } = entry.kind {
                files.push((bytes, root.join(&entry.path)));
                bytes = bytes
                    .checked_add(length)
                    .ok_or_else(|| FolderError::TooLarge { path: root.to_owned() })?;
            }
            entries.push(entry);
        }
        if let Some(Entry { path, kind: EntryKind::Link { target } }) = list::leaving_link(&entries) {
            return Err(FolderError::LeavingLink { path: root.join(path), target: target.into() });
        }
        let stamp = u64::from_le_bytes(stamp.finalize().as_bytes()[..8].try_into().expect("eight bytes"));
        Ok(FolderSource { root: root.to_owned(), entries, files, bytes, stamp, open: Mutex::new(None) })
    }

    /// All entries, in the order of their paths.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The list of all entries as it is stored: what the folder is besides the bytes of its files.
    pub fn listing(&self) -> Vec<u8> {
        list::extra("", &self.entries).bytes
    }

    /// A number that changes when an entry, a length or a modification time does.
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Path and length of each file.
    pub(in crate::format) fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.entries.iter().filter_map(|entry| match entry.kind {
            EntryKind::File { bytes, .. } => Some((entry.path.as_str(), bytes)),
            _ => None,
        })
    }

    fn read_file(&self, place: usize, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if open.as_ref().is_none_or(|(current, _)| *current != place) {
            *open = Some((place, File::open(&self.files[place].1)?));
        }
        let (_, file) = open.as_mut().expect("it was opened above");
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buffer)
    }
}

impl Source for FolderSource {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            // The last file that begins here or before; empty ones begin where the next does.
            let place = self.files.partition_point(|(start, _)| *start <= at);
            let place = place.checked_sub(1).ok_or(io::ErrorKind::UnexpectedEof)?;
            let start = self.files[place].0;
            let end = self.files.get(place + 1).map_or(self.bytes, |(start, _)| *start);
            let length = usize::try_from(end - at.min(end)).unwrap_or(usize::MAX).min(buffer.len() - done);
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.read_file(place, at - start, &mut buffer[done..done + length])?;
            done += length;
        }
        Ok(())
    }
}

#[cfg(unix)]
fn mode(metadata: &fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o777
}

#[cfg(not(unix))]
fn mode(metadata: &fs::Metadata) -> u32 {
    if metadata.is_dir() { 0o755 } else { 0o644 }
}
