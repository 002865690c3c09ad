//! The file of a checkpoint for others than its working file: read in parts, without a place on disk.

use std::io;
use std::ops::Range;

use crate::format::Format;
use crate::object::ObjectId;
use crate::progress::Silent;
use crate::snapshot::{self, Tree};

use super::plan::PlanOptions;
use super::run::Sources;
use super::{Context, Repo, RepoError};

/// A checkpoint as the file it stands for.
#[derive(Debug, Clone)]
pub struct StoredFile {
    id: ObjectId,
    tree: Tree,
    name: String,
}

impl StoredFile {
    /// The tree that gives the file: the same tree gives the same bytes.
    pub fn tree_id(&self) -> ObjectId {
        self.id
    }

    /// Length in bytes.
    pub fn bytes(&self) -> u64 {
        self.tree.file_bytes()
    }

    /// A name for the file: letters, digits and `._-` only.
    pub fn file_name(&self) -> &str {
        &self.name
    }
}

impl Repo {
    /// The file of a revision, byte for byte as it was imported or is checked out.
    ///
    /// # Errors
    ///
    /// If there is no such revision, or its tree is damaged.
    pub fn file_of(&self, name: &str) -> Result<StoredFile, RepoError> {
        let id = self.revision_named(name)?;
        let revision = self.revision(&id)?;
        self.stored_file(&revision.tree, name)
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
        context: &Context<'_>,
    ) -> Result<StoredFile, RepoError> {
        let planned = self.planned(options)?;
        let name = planned.row.name.as_str().to_owned();
        if planned.plan.in_sync() {
            return self.file_of(&name);
        }
        let _lock = self.lock()?;
        let sources = Sources::of(&planned, false);
        let carried = self.carry_operations(&planned, &sources, context).map_err(|failed| failed.error)?;
        self.stored_file(&carried.position.tree, &name)
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
        if range != (0..file.bytes()) {
            return Ok(snapshot::export_range(&reader, &file.tree, range, sink)?);
        }
        Ok(snapshot::export(&reader, &file.tree, sink, &Silent)?)
    }

    fn stored_file(&self, tree: &ObjectId, name: &str) -> Result<StoredFile, RepoError> {
        let id = *tree;
        let tree = snapshot::read_tree(&self.reader(), &id)?;
        if tree.format == Format::Folder.name() {
            return Err(RepoError::ManyFiles { name: name.to_owned() });
        }
        let name = file_name(name, &tree.format);
        Ok(StoredFile { id, tree, name })
    }
}

/// A name that no file system and no header minds, from that of a ref or revision.
fn file_name(name: &str, format: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let stem: String = last.chars().map(plain).collect();
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
    format!("{}.{ending}", stem.trim_start_matches('.'))
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
