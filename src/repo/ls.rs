//! The tensors of a revision.

use serde::Serialize;

use crate::format::folder_piece;
use crate::object::ObjectId;
use crate::snapshot::{self, Tree};

use super::diff::TensorEntry;
use super::{Repo, RepoError};

/// The tensors of a revision.
#[derive(Debug, Clone, Serialize)]
pub struct LsReport {
    /// The revision.
    pub revision: ObjectId,
    /// Its format.
    pub format: String,
    /// Its tensors, in the checkpoint's order.
    pub tensors: Vec<TensorEntry>,
    /// Length in bytes of all tensors when their elements lie densely.
    pub bytes: u64,
}

impl Repo {
    /// Lists the tensors of a revision, HEAD when none is named. Reads no tensor bytes.
    ///
    /// # Errors
    ///
    /// If there is no such revision, or its tree is damaged.
    pub fn ls(&self, name: Option<&str>) -> Result<LsReport, RepoError> {
        let id = self.revision_named(name.unwrap_or("HEAD"))?;
        let tree = self.tree_of(&id)?;
        let tensors = whole_tensors(&tree);
        let bytes = tensors.iter().map(|tensor| tensor.bytes).fold(0, u64::saturating_add);
        Ok(LsReport { revision: id, format: tree.format, tensors, bytes })
    }

    /// The tree of a revision.
    pub(super) fn tree_of(&self, id: &ObjectId) -> Result<Tree, RepoError> {
        let revision = self.revision(id)?;
        Ok(snapshot::read_tree(&self.reader(), &revision.tree)?)
    }
}

/// The tensors of a tree; one that lies in pieces is one tensor, as large as its pieces reach.
fn whole_tensors(tree: &Tree) -> Vec<TensorEntry> {
    let view = tree.attributes.get("view").map(String::as_str);
    let mut tensors: Vec<TensorEntry> = Vec::with_capacity(tree.tensors.len());
    for tensor in &tree.tensors {
        let entry = TensorEntry::from(tensor);
        let piece = folder_piece(view, &tensor.path).filter(|(_, begin)| begin.len() == entry.shape.len());
        let Some((path, begin)) = piece else {
            tensors.push(entry);
            continue;
        };
        let ends = begin.iter().zip(&entry.shape).map(|(begin, extent)| begin.saturating_add(*extent));
        match tensors.last_mut() {
            Some(last) if last.path == path && last.shape.len() == begin.len() => {
                last.shape.iter_mut().zip(ends).for_each(|(extent, end)| *extent = end.max(*extent));
                last.bytes = last.bytes.saturating_add(entry.bytes);
                last.pieces += 1;
            }
            _ => tensors.push(TensorEntry { path, shape: ends.collect(), pieces: 1, ..entry }),
        }
    }
    tensors
}
