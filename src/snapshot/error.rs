//! What can go wrong between files, graphs and stored objects.

use std::error::Error;
use std::io;

use crate::format::{Format, FormatError};
use crate::object::ObjectId;
use crate::store::StoreError;

use super::TreeError;

/// Why a checkpoint could not be stored or brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The format failed.
    #[error("the checkpoint's format cannot be handled")]
    Format(#[from] FormatError),
    /// A value was given what its format has no place for.
    #[error("the checkpoint cannot be written as `{format}`")]
    Unwritable {
        /// The format.
        format: Format,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A stored tree cannot be used.
    #[error("tree {} cannot be read", id.short())]
    Tree {
        /// The tree.
        id: ObjectId,
        /// Why.
        #[source]
        source: TreeError,
    },
    /// A tree names a format that this version does not know.
    #[error("format `{name}` is not known to this version of ckstore")]
    UnknownFormat {
        /// The name.
        name: String,
    },
    /// The bytes of a storage are not those that its container promised.
    #[error("storage `{key}` is damaged: its CRC-32 is {found:08x}, the file says {expected:08x}")]
    Crc {
        /// The storage's key.
        key: String,
        /// What the file says.
        expected: u32,
        /// What its bytes give.
        found: u32,
    },
    /// A compressed entry of the file is damaged.
    #[error("a compressed entry of the file cannot be inflated")]
    Inflate(#[source] io::Error),
    /// An object has another length than its tree says.
    #[error("object {} has {found} bytes, its tree says {expected}", object.short())]
    Length {
        /// The object.
        object: ObjectId,
        /// What the tree says, in bytes.
        expected: u64,
        /// What it has, in bytes.
        found: u64,
    },
    /// A tensor's storage was never written.
    #[error("storage `{key}` of the new checkpoint has no bytes")]
    NoContent {
        /// The storage's key.
        key: String,
    },
}
