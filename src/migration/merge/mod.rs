//! Undoing a migration on a checkpoint that was changed since, by training above all.
//!
//! Three checkpoints take part: the one *before* the migration, the one *after* it, both as stored when it
//! ran, and the *present* one. What the migration did is undone, what was done since is kept:
//!
//! - what stayed as it was through the migration is taken as it is at present;
//! - what the migration moved, replaced, added or dropped goes back, with the present value where it is the
//!   same object, with the stored one where it was dropped;
//! - elements of a tensor that were only taken over into others (slices, transposes, joins) are put together
//!   again from the present ones;
//! - everything else that was changed both by the migration and since is a [`Conflict`].
//!
//! Nodes before and after are matched by the [change record](super::ChangeRecord), which followed identity
//! while the script ran. Identity does not survive training, so after and present are matched by place.
//! No tensor bytes are read: tensors are compared by the names of their contents.

mod cover;
mod pair;
mod parts;
mod tensor;
#[cfg(test)]
mod tests;
mod undo;
mod value;

use super::ChangeRecord;
use super::engine::Expr;
use crate::object::ObjectId;
use crate::value::{Graph, NodeId, Path, StorageId, Tensor};

/// One of the checkpoints that take part.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Its graph.
    pub graph: &'a Graph,
    /// The name of each storage's bytes, in the order of the graph's storages; `None` is equal to nothing.
    pub contents: &'a [Option<ObjectId>],
}

/// What comes out.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The checkpoint. Nodes and storages of the present one that are still used have kept their ids.
    pub graph: Graph,
    /// For each of its storages, where the bytes are.
    pub sources: Vec<Source>,
}

/// Where the bytes of a storage are.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// In this storage of the present checkpoint.
    Present(StorageId),
    /// In this storage of the checkpoint before the migration.
    Recorded(StorageId),
    /// Still to be computed, from storages of the present checkpoint by their ids.
    Computed(Expr),
}

/// Why a migration cannot be undone on a changed checkpoint. Places are those of the present checkpoint,
/// unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// A tensor was computed, and trained since.
    #[error("`{path}` was computed by the migration and has changed since")]
    Computed {
        /// The tensor.
        path: Path,
    },
    /// A value was set, and changed since.
    #[error("`{path}` was set by the migration and has changed since")]
    Set {
        /// The value.
        path: Path,
    },
    /// A value was added, and changed since; it may have come from one that was dropped.
    #[error("`{path}` was added by the migration and has changed since, and may stand for `{dropped}`")]
    Unclear {
        /// The value.
        path: Path,
        /// A value that was dropped, by its place before.
        dropped: Path,
    },
    /// Something was added since, into what the migration added.
    #[error("`{path}` was put into what the migration added")]
    Inside {
        /// What was added.
        path: Path,
    },
    /// Something that the migration moved or changed is no longer there.
    #[error("`{path}`, which the migration changed, is no longer there or of another kind")]
    Missing {
        /// Where it was.
        path: Path,
    },
    /// A tensor's shape or element type is no longer that which the migration gave it.
    #[error("`{path}` has another shape or type than the migration gave it")]
    Shape {
        /// The tensor.
        path: Path,
    },
    /// Copies of one tensor were trained apart.
    #[error("`{path}` and `{other}` were one tensor and are different now")]
    Apart {
        /// One copy.
        path: Path,
        /// Another.
        other: Path,
    },
    /// The record is not about these checkpoints.
    #[error("the change record does not fit what was stored, at `{path}`")]
    Record {
        /// Where.
        path: Path,
    },
}

/// Undoes a migration on the present checkpoint.
///
/// The checkpoint's own list of migrations, under `list_key`, and its history are left as they are at present:
/// they are for the caller to write.
///
/// # Errors
///
/// If something was changed both by the migration and since, so that nothing tells what it should be.
pub fn undo(
    before: &Side<'_>,
    after: &Side<'_>,
    present: &Side<'_>,
    record: &ChangeRecord,
    list_key: &str,
) -> Result<Merged, Conflict> {
    undo::undo(before, after, present, record, list_key)
}

impl Side<'_> {
    fn content(&self, storage: StorageId) -> Option<ObjectId> {
        self.contents.get(storage.index()).copied().flatten()
    }

    /// Whether two tensors have the same elements in the same form, as far as that is known unread.
    fn same_tensor(&self, id: NodeId, other: &Side<'_>, other_id: NodeId) -> bool {
        let (Some(a), Some(b)) = (self.graph.as_tensor(id), other.graph.as_tensor(other_id)) else {
            return false;
        };
        let (x, y) = (self.content(a.storage.storage), other.content(b.storage.storage));
        same_form(a, b) && a.strides == b.strides && a.offset == b.offset && x.is_some() && x == y
    }
}

fn same_form(a: &Tensor, b: &Tensor) -> bool {
    a.dtype == b.dtype && a.shape == b.shape
}
