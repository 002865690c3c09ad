//! Why a file could not be read or written.

use std::error::Error;
use std::io;

use super::Bound;
use super::gguf::GgufError;
use super::json::JsonError;
use super::npy::NpyError;
use super::pickle::PickleError;
use super::safetensors::SafetensorsError;
use super::torch::TorchError;
use super::zip::ZipError;

/// Why a file could not be read, decoded or laid out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file's bytes could not be read.
    #[error("cannot read the file at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something is larger than its limit.
    #[error("{what} is larger than the limit of {limit}")]
    Limit {
        /// What.
        what: &'static str,
        /// The limit, in the unit of its field in [`Limits`](super::Limits).
        limit: u64,
        /// Which of the limits it is; none where the format itself sets it.
        bound: Option<Bound>,
    },
    /// The container is damaged or lies about itself.
    #[error("the zip container cannot be trusted")]
    Zip(#[from] ZipError),
    /// The pickle is damaged or cannot be written.
    #[error("the pickle is not sound")]
    Pickle(#[from] PickleError),
    /// The contents are not those of a torch file.
    #[error("the torch file is not sound")]
    Torch(#[from] TorchError),
    /// The contents are not those of a safetensors file.
    #[error("the safetensors file is not sound")]
    Safetensors(#[from] SafetensorsError),
    /// The document is no JSON, or the value is none that JSON can hold.
    #[error("the JSON document is not sound")]
    Json(#[from] JsonError),
    /// The contents are not those of a NumPy array.
    #[error("the NumPy array is not sound")]
    Npy(#[from] NpyError),
    /// The contents are not those of a GGUF file.
    #[error("the GGUF file is not sound")]
    Gguf(#[from] GgufError),
    /// A group of files does not hold together.
    #[error("a group of files does not hold together: {0}")]
    Group(&'static str),
    /// A path that leads out of its folder.
    #[error("the path `{path}` leads out of its folder")]
    UnsafePath {
        /// The path.
        path: String,
    },
    /// A key of a folder's value that belongs to none of its files.
    #[error("no file of the folder has a place for `{key}`")]
    NoPlace {
        /// The key.
        key: String,
    },
    /// A change of values where only names can change.
    #[error("`{key}` holds what was not there before; of such a folder only names can be changed")]
    OnlyNames {
        /// The key.
        key: String,
    },
    /// A name of nested containers that cannot be beside the others.
    #[error(
        "`{key}` cannot be beside the other names: its place lies in another value, or in both a list and a dict"
    )]
    Misplaced {
        /// The name.
        key: String,
    },
    /// The format is read, but nothing can be written in it anew.
    #[error("a file of format `{0}` comes back as it was, but cannot be written with changes")]
    ReadOnly(super::Format),
    /// The format holds plain bytes, which have no parts to change.
    #[error("plain bytes cannot be written from a value")]
    Opaque,
}

impl FormatError {
    /// What is wrong, without the kind of file in which it is: of a value that was never a file.
    pub fn into_cause(self) -> Box<dyn Error + Send + Sync> {
        match self {
            FormatError::Zip(error) => error.into(),
            FormatError::Pickle(error) => error.into(),
            FormatError::Torch(error) => error.into(),
            FormatError::Safetensors(error) => error.into(),
            FormatError::Json(error) => error.into(),
            FormatError::Npy(error) => error.into(),
            FormatError::Gguf(error) => error.into(),
            other => other.into(),
        }
    }

    /// The limit that the file exceeds, if it is one that can be moved.
    pub fn bound(&self) -> Option<Bound> {
        match self {
            FormatError::Limit { bound, .. } => *bound,
            FormatError::Gguf(GgufError::Limit { bound, .. }) => Some(*bound),
            FormatError::Pickle(PickleError::Limit { what, .. })
            | FormatError::Json(JsonError::Limit { what, .. }) => Bound::of_values(what),
            _ => None,
        }
    }
}

/// A place in words: the root has no name.
pub(super) fn named(path: &str) -> String {
    if path.is_empty() { "the checkpoint".to_owned() } else { format!("`{path}`") }
}

/// Refuses a size above a limit that the format itself sets.
pub(super) fn check_limit(what: &'static str, found: u64, limit: u64) -> Result<(), FormatError> {
    if found > limit { Err(FormatError::Limit { what, limit, bound: None }) } else { Ok(()) }
}
