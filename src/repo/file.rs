//! The file of a checkpoint for others than its working file: read in parts, without a place on disk. A folder is
//! one archive, or one of its files.

use std::io;
use std::ops::Range;

use crate::format::{self, Archive, Entry, EntryKind, Format};
use crate::migration::suggest::suggest;
use crate::object::ObjectId;
use crate::progress::Silent;
use crate::snapshot::{self, SnapshotError, Tree};
use crate::store::StoreError;

use super::plan::PlanOptions;
use super::run::Sources;
use super::{Context, Repo, RepoError};

/// A checkpoint as the file it stands for.
#[derive(Debug, Clone)]
pub struct StoredFile {
    id: ObjectId,
    tree: Tree,
    name: String,
    shape: Shape,
}

/// What of a checkpoint the file is.
#[derive(Debug, Clone)]
enum Shape {
    /// All of it.
    Whole,
    /// All files of a folder.
    Archive(Archive),
    /// One file of a folder: where its bytes lie.
    Member(Range<u64>),
}

impl StoredFile {
    /// A word that tells files of one name apart: the same word, the same bytes.
    pub fn tag(&self) -> String {
        match self.shape {
            Shape::Whole | Shape::Member(_) => self.id.to_string(),
            // The name is in the archive too.
            Shape::Archive(_) => format!("{}-{}", self.id, self.name),
        }
    }

    /// Length in bytes.
    pub fn bytes(&self) -> u64 {
        match &self.shape {
            Shape::Whole => self.tree.file_bytes(),
            Shape::Archive(archive) => archive.bytes(),
            Shape::Member(range) => range.end - range.start,
        }
    }

    /// Whether it is a folder as a tar archive.
    pub fn is_archive(&self) -> bool {
        matches!(self.shape, Shape::Archive(_))
    }

    /// A name for the file: letters, digits and `._-` only.
    pub fn file_name(&self) -> &str {
        &self.name
    }
}

impl Repo {
    /// The file of a revision, byte for byte as it was imported or is checked out. A folder is an archive or, with a
    /// `path` below it, that one file.
    ///
    /// # Errors
    ///
    /// If there is no such revision or file in it, or its tree is damaged.
    pub fn file_of(&self, name: &str, path: Option<&str>) -> Result<StoredFile, RepoError> {
        let id = self.revision_named(name)?;
        let revision = self.revision(&id)?;
        self.stored_file(&revision.tree, name, path)
    }

    /// The file that a checkout to a version would write. The ref, its history and its working file stay as they
    /// are; what scripts give is stored, so that the next who asks does not wait for them.
    ///
    /// # Errors
    ///
    /// As [`checkout`](Repo::checkout).
    pub fn file_at(
        &mut self,
        options: &PlanOptions<'_>,
        path: Option<&str>,
        context: &Context<'_>,
    ) -> Result<StoredFile, RepoError> {
        let planned = self.planned(options)?;
        let name = planned.row.name.as_str().to_owned();
        if planned.plan.in_sync() {
            return self.file_of(&name, path);
        }
        let _lock = self.lock()?;
        let sources = Sources::of(&planned, false);
        let carried = self.carry_operations(&planned, &sources, context).map_err(|failed| failed.error)?;
        self.stored_file(&carried.position.tree, &name, path)
    }

    /// Writes a part of a file to `sink`, in order.
    ///
    /// # Errors
    ///
    /// If an object is missing or damaged, or `sink` fails.
    pub fn write_file(
        &self,
        file: &StoredFile,
        range: Range<u64>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), RepoError> {
        let reader = self.reader();
        let is_whole = range == (0..file.bytes());
        match &file.shape {
            Shape::Whole if is_whole => snapshot::export(&reader, &file.tree, sink, &Silent)?,
            Shape::Whole => snapshot::export_range(&reader, &file.tree, range, sink)?,
            Shape::Member(place) => {
                let range = place.start + range.start..place.start + range.end;
                snapshot::export_range(&reader, &file.tree, range, sink)?;
            }
            Shape::Archive(archive) => {
                let (mut writer, needed) = archive.writer(range, sink);
                let mut pass = |bytes: &[u8]| writer.write(bytes);
                if is_whole {
                    snapshot::export(&reader, &file.tree, &mut pass, &Silent)?;
                } else {
                    snapshot::export_range(&reader, &file.tree, needed, &mut pass)?;
                }
                let failed = |source| StoreError::Sink { id: file.id, source };
                writer.finish().map_err(failed).map_err(SnapshotError::from)?;
            }
        }
        Ok(())
    }

    fn stored_file(&self, id: &ObjectId, name: &str, path: Option<&str>) -> Result<StoredFile, RepoError> {
        let tree = snapshot::read_tree(&self.reader(), id)?;
        let (name, shape) = match (self.folder_entries(&tree)?, path) {
            (None, None) => (file_name(name, &tree.format), Shape::Whole),
            (None, Some(_)) => return Err(RepoError::OneFile { name: name.to_owned() }),
            (Some(entries), None) => {
                let stem = plain_name(name);
                (format!("{stem}.tar"), Shape::Archive(Archive::new(&stem, entries)))
            }
            (Some(entries), Some(path)) => (plain_name(path), Shape::Member(place_of(path, &entries)?)),
        };
        Ok(StoredFile { id: *id, tree, name, shape })
    }

    /// What a folder has in it; `None` of a tree that is no folder.
    pub(super) fn folder_entries(&self, tree: &Tree) -> Result<Option<Vec<Entry>>, RepoError> {
        if !tree.is_folder() {
            return Ok(None);
        }
        let list = match tree.extras.last() {
            Some((_, list)) => self.reader().read(&list.object, list.bytes)?,
            None => Vec::new(),
        };
        Ok(Some(format::folder_entries(&list).map_err(SnapshotError::from)?))
    }
}

/// Where the bytes of a file lie among those of all files of a folder.
fn place_of(path: &str, entries: &[Entry]) -> Result<Range<u64>, RepoError> {
    let mut begin = 0_u64;
    for entry in entries {
        let EntryKind::File { bytes, .. } = entry.kind else { continue };
        let end = begin.saturating_add(bytes);
        if entry.path == path {
            return Ok(begin..end);
        }
        begin = end;
    }
    let suggestion = suggest(path, entries.iter().map(|entry| entry.path.as_str())).map(str::to_owned);
    Err(RepoError::NotFound { what: "file", name: path.to_owned(), suggestion })
}

/// A name that no file system and no header minds, from the last part of another.
fn plain_name(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let stem: String = last.chars().map(plain).collect();
    let stem = stem.trim_start_matches('.');
    if stem.is_empty() { "checkpoint".to_owned() } else { stem.to_owned() }
}

/// A name for the file of a ref or revision.
fn file_name(name: &str, format: &str) -> String {
    let ending = match Format::from_name(format) {
        Some(Format::Safetensors) => "safetensors",
        Some(Format::Gguf) => "gguf",
        Some(Format::Npy) => "npy",
        Some(Format::Npz) => "npz",
        Some(Format::Json) => "json",
        Some(Format::Pickle) => "pkl",
        Some(Format::Bytes | Format::Zip | Format::Folder) | None => "bin",
        Some(_) => "ckpt",
    };
    format!("{}.{ending}", plain_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(file_name("weather/era5/last", "torch-zip"), "last.ckpt");
        assert_eq!(file_name("../\"x\"\r\n", "json"), "-x---.json");
        assert_eq!(file_name("HEAD~1", "bytes"), "HEAD-1.bin");
    }
}
