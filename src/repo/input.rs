//! What an import reads: a file, or a folder as one checkpoint.

use std::fs::{self, File};
use std::path::Path;

use crate::format::{self, FileSource, FolderSource, Format, Limits, Scanned, Source};

use super::RepoError;
use super::working::Stamp;

/// A file or a folder, open for reading.
pub(super) enum Input {
    File(FileSource),
    Folder(FolderSource),
}

impl Input {
    /// Opens what is at a path, and says how it was at that moment.
    pub fn open(path: &Path, limits: &Limits) -> Result<(Input, Stamp), RepoError> {
        let metadata = fs::metadata(path).map_err(RepoError::io("open", path))?;
        if metadata.is_dir() {
            let folder = FolderSource::open(path, limits.entries)?;
            if folder.entries().is_empty() {
                return Err(RepoError::EmptyFile { path: path.to_owned() });
            }
            let stamp = stamp_of_folder(&folder);
            return Ok((Input::Folder(folder), stamp));
        }
        if !metadata.is_file() {
            return Err(RepoError::NotAFile { path: path.to_owned(), what: "a device, pipe or socket" });
        }
        if metadata.len() == 0 {
            return Err(RepoError::EmptyFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(RepoError::io("open", path))?;
        let stamp = Stamp::of(&file.metadata().map_err(RepoError::io("read", path))?);
        Ok((Input::File(FileSource::new(file).map_err(RepoError::io("read", path))?), stamp))
    }

    /// Its bytes: a folder's files one behind the other.
    pub fn source(&self) -> &dyn Source {
        match self {
            Input::File(source) => source,
            Input::Folder(source) => source,
        }
    }

    /// Finds out what it is made of.
    pub fn scan(&self, path: &Path, format: Option<Format>, limits: &Limits) -> Result<Scanned, RepoError> {
        let path = || path.to_owned();
        let scanned = match self {
            Input::File(_) if format == Some(Format::Folder) => {
                return Err(RepoError::NotAFolder { path: path() });
            }
            Input::File(source) => format::scan(source, format, limits),
            Input::Folder(_) if format.is_some_and(|format| format != Format::Folder) => {
                return Err(RepoError::NotAFile { path: path(), what: "a directory" });
            }
            Input::Folder(source) => format::scan_folder(source, limits),
        };
        scanned.map_err(|source| RepoError::Format { path: path(), source })
    }
}

/// The stamp of the file or folder that is at a path now.
pub(super) fn stamp_of(path: &Path) -> Result<Stamp, RepoError> {
    let metadata = fs::metadata(path).map_err(RepoError::io("read", path))?;
    if metadata.is_dir() {
        return Ok(stamp_of_folder(&FolderSource::open(path, Limits::NONE.entries)?));
    }
    Ok(Stamp::of(&metadata))
}

/// A folder has no time of its own that tells of its files: a digest of theirs stands for it.
fn stamp_of_folder(folder: &FolderSource) -> Stamp {
    Stamp { bytes: folder.bytes(), modified_ns: folder.stamp().cast_signed() }
}
