//! Working files: telling whether one may be overwritten.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::format::{self, Limits};
use crate::ledger::WorkingFile;
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::refname::RefName;
use crate::snapshot;

use super::input::Input;
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
    /// Compares a file or folder with what is stored.
    ///
    /// What has the size and time it had when ckstore last read or wrote it is taken to be unchanged; anything
    /// else is read.
    pub(super) fn file_state(&self, path: &Path, progress: &dyn Progress) -> Result<FileState, RepoError> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() && is_empty_folder(path) => return Ok(FileState::Missing),
            Ok(found) if !found.is_file() && !found.is_dir() => return Ok(FileState::Unknown),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(FileState::Missing),
            Err(error) => return Err(RepoError::io("read", path)(error)),
        }
        let (input, stamp) = match Input::open(path, &Limits::NONE) {
            Ok(opened) => opened,
            // What could never be imported is not stored.
            Err(RepoError::Folder(_) | RepoError::EmptyFile { .. }) => return Ok(FileState::Unknown),
            Err(error) => return Err(error),
        };
        let known = self.ledger.working_files_at(&path_text(path))?;
        let unchanged =
            |file: &WorkingFile| file.bytes == stamp.bytes && file.modified_ns == stamp.modified_ns;
        if let Some((_, file)) = known.iter().find(|(_, file)| unchanged(file)) {
            return Ok(FileState::Holds(file.revision));
        }
        progress.begin("reading the working file", input.source().bytes());
        let state = self.state_by_content(&input, path, &known, progress);
        progress.end();
        state
    }

    /// Looks for what a file holds by reading it: what is known at its path first.
    fn state_by_content(
        &self,
        input: &Input,
        path: &Path,
        known: &[(RefName, WorkingFile)],
        progress: &dyn Progress,
    ) -> Result<FileState, RepoError> {
        let mut trees = HashSet::new();
        for (_, file) in known {
            let tree = self.revision(&file.revision)?.tree;
            if trees.insert(tree) && self.holds(input, &tree, progress)? {
                return Ok(FileState::Holds(file.revision));
            }
        }
        self.stored_tree_of(input, path, progress)
    }

    /// Whether a file is the one that a tree stands for.
    fn holds(&self, input: &Input, id: &ObjectId, progress: &dyn Progress) -> Result<bool, RepoError> {
        let reader = self.reader();
        // What is damaged is found by who wants it back.
        let Ok(tree) = snapshot::read_tree(&reader, id) else { return Ok(false) };
        if tree.is_folder() != matches!(input, Input::Folder(_)) {
            return Ok(false);
        }
        if let Input::Folder(folder) = input
            && tree.extras.last().map(|(_, list)| list.object) != Some(ObjectId::of(&folder.listing()))
        {
            return Ok(false);
        }
        let mut namer = self.store.writer(&self.ledger).without_storing();
        Ok(snapshot::is_file_of(input.source(), &tree, &reader, &mut namer, progress)?)
    }

    /// Looks a file's tree up without storing anything: it may be an older revision, or after an interruption one
    /// that ckstore wrote but had no time to remember.
    fn stored_tree_of(
        &self,
        input: &Input,
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<FileState, RepoError> {
        let limits = Limits::default();
        let Ok(scanned) = input.scan(path, None, &limits) else { return Ok(FileState::Unknown) };
        let Ok(graph) = format::decode(&scanned.outline, &limits) else { return Ok(FileState::Unknown) };
        let mut writer = self.store.writer(&self.ledger).without_storing();
        let snapshot = snapshot::write_file(input.source(), &scanned, &graph, None, &mut writer, progress);
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

fn is_empty_folder(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}
