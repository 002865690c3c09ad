//! Working files: telling whether one may be overwritten.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::format::{self, FileSource, Format, Limits};
use crate::ledger::WorkingFile;
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::refname::RefName;

use super::{Repo, RepoError};

/// How a file on disk relates to what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileState {
    /// There is none.
    Missing,
    /// It holds this revision, byte for byte.
    Holds(ObjectId),
    /// It holds what no revision holds.
    Unknown,
}

/// Size and modification time of a file, to tell a change without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Length in bytes.
    pub bytes: u64,
    /// Nanoseconds since 1970.
    pub modified_ns: i64,
}

impl Stamp {
    /// The stamp that the file system gives.
    pub fn of(metadata: &Metadata) -> Stamp {
        let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
        let modified_ns = match modified.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
        };
        Stamp { bytes: metadata.len(), modified_ns }
    }
}

/// The text under which a path is kept in the ledger.
pub(super) fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Repo {
    /// Compares a file with what is stored.
    ///
    /// A file that has the size and time it had when ckstore last read or wrote it is taken to be unchanged;
    /// any other is read.
    pub(super) fn file_state(&self, path: &Path, progress: &dyn Progress) -> Result<FileState, RepoError> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(FileState::Missing),
            Err(error) => return Err(RepoError::io("read", path)(error)),
        };
        if !metadata.is_file() {
            return Ok(FileState::Unknown);
        }
        let stamp = Stamp::of(&metadata);
        let known = self.ledger.working_files_at(&path_text(path))?;
        let unchanged =
            |file: &WorkingFile| file.bytes == stamp.bytes && file.modified_ns == stamp.modified_ns;
        if let Some((_, file)) = known.iter().find(|(_, file)| unchanged(file)) {
            return Ok(FileState::Holds(file.revision));
        }
        let content = hash_file(path, stamp.bytes, progress)?;
        if let Some((_, file)) = known.iter().find(|(_, file)| file.content == content) {
            return Ok(FileState::Holds(file.revision));
        }
        if let Some(revision) = self.ledger.revision_of_file(&content)? {
            return Ok(FileState::Holds(revision));
        }
        self.stored_tree_of(path, progress)
    }

    /// Looks a file's tree up without storing anything: after an interruption the file may be one that
    /// ckstore wrote but had no time to remember.
    fn stored_tree_of(&self, path: &Path, progress: &dyn Progress) -> Result<FileState, RepoError> {
        let file = File::open(path).map_err(RepoError::io("open", path))?;
        let source = FileSource::new(file).map_err(RepoError::io("read", path))?;
        let limits = Limits::default();
        let Ok(scanned) = format::scan(&source, None, &limits) else { return Ok(FileState::Unknown) };
        if scanned.outline.format == Format::Bytes {
            return Ok(FileState::Unknown);
        }
        let Ok(graph) = format::decode(&scanned.outline, &limits) else { return Ok(FileState::Unknown) };
        let mut writer = self.store.writer(&self.ledger).without_storing();
        let snapshot = crate::snapshot::write_file(&source, &scanned, &graph, None, &mut writer, progress);
        let Ok(snapshot) = snapshot else { return Ok(FileState::Unknown) };
        drop(writer);
        Ok(match self.ledger.revision_of_tree(&snapshot.id)? {
            Some(revision) => FileState::Holds(revision),
            None => FileState::Unknown,
        })
    }

    /// The working file of a ref, as the ledger remembers it.
    pub(super) fn remembered_file(&self, name: &RefName) -> Result<Option<WorkingFile>, RepoError> {
        Ok(self.ledger.working_file(name)?)
    }
}

/// BLAKE3 of a file.
fn hash_file(path: &Path, bytes: u64, progress: &dyn Progress) -> Result<ObjectId, RepoError> {
    let failed = || RepoError::io("read", path);
    let mut file = File::open(path).map_err(failed())?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    progress.begin("reading the working file", bytes);
    loop {
        let length = file.read(&mut buffer).map_err(failed())?;
        if length == 0 {
            break;
        }
        hasher.update_rayon(&buffer[..length]);
        progress.advance(length as u64);
    }
    progress.end();
    Ok(hasher.finalize().into())
}
