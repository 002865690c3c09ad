//! The tensors of a revision.

use serde::Serialize;

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
        let tensors: Vec<TensorEntry> = tree.tensors.iter().map(TensorEntry::from).collect();
        let bytes = tensors.iter().map(|tensor| tensor.bytes).fold(0, u64::saturating_add);
        Ok(LsReport { revision: id, format: tree.format, tensors, bytes })
    }

    /// The tree of a revision.
    pub(super) fn tree_of(&self, id: &ObjectId) -> Result<Tree, RepoError> {
        let revision = self.revision(id)?;
        Ok(snapshot::read_tree(&self.reader(), &revision.tree)?)
    }
}
