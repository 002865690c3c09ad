//! What keeps a checkpoint from becoming one of another format.

use std::error::Error;

use serde::Serialize;

use crate::value::Path;

use super::super::error::named;
use super::super::{Format, FormatError};

/// Something that another format has no place for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Where it is.
    pub path: Path,
    /// What it is.
    pub what: String,
}

/// Losses that a message names; it counts the rest.
const NAMED_LOSSES: usize = 5;

/// Why a checkpoint cannot be written in another format.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// There is no such place.
    #[error("there is no value at `{path}`")]
    NoPlace {
        /// The place.
        path: Path,
    },
    /// What is there is no dict of tensors.
    #[error("{} is {what}, not a dict of tensors", named(path.as_str()))]
    NoStateDict {
        /// The place.
        path: Path,
        /// What is there.
        what: String,
        /// A place that is one.
        suggestion: Option<Path>,
    },
    /// The other format has no such elements.
    #[error("{} has elements of type {dtype}, which {format} does not have", named(path.as_str()))]
    Dtype {
        /// The tensor.
        path: Path,
        /// Its type.
        dtype: String,
        /// The other format.
        format: Format,
    },
    /// A name that is too long.
    #[error("the name `{path}` is too long for {format}, which has room for {limit} bytes")]
    Name {
        /// The tensor.
        path: Path,
        /// The other format.
        format: Format,
        /// Longest name in bytes.
        limit: usize,
    },
    /// Something would be lost.
    #[error("{format} cannot hold all of it: {}", listed(losses))]
    Loss {
        /// The other format.
        format: Format,
        /// What would be lost.
        losses: Vec<LeftOut>,
        /// A place that would lose nothing.
        suggestion: Option<Path>,
    },
    /// A tensor whose pieces leave gaps or overlap.
    #[error("the pieces of `{path}` do not make it up")]
    Pieces {
        /// The tensor.
        path: Path,
    },
    /// More than a text document should hold.
    #[error("`{path}` is too large for a document: {elements} elements, {limit} are the most")]
    TooLarge {
        /// The tensor.
        path: Path,
        /// Elements of all tensors up to it.
        elements: u64,
        /// The limit.
        limit: u64,
    },
    /// A number that the other format has no word for.
    #[error("`{path}` holds a number that JSON cannot: infinite, or none")]
    NotFinite {
        /// The tensor.
        path: Path,
    },
    /// No checkpoint can be written in this format.
    #[error("nothing can be converted to `{format}`")]
    Target {
        /// The format.
        format: Format,
    },
    /// A checkpoint that is kept as bytes.
    #[error("it is kept as `{format}`, of which nothing is known that could be converted")]
    Opaque {
        /// Its format.
        format: Format,
    },
    /// The other format has no place for a value.
    #[error("{format} cannot hold it")]
    Unwritable {
        /// The other format.
        format: Format,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl ConvertError {
    /// The other format failed.
    pub fn unwritable(format: Format, error: FormatError) -> ConvertError {
        ConvertError::Unwritable { format, source: error.into_cause() }
    }
}

fn listed(losses: &[LeftOut]) -> String {
    let named = losses
        .iter()
        .take(NAMED_LOSSES)
        .map(|loss| format!("{} is {}", named(loss.path.as_str()), loss.what));
    let mut text = named.collect::<Vec<_>>().join("; ");
    if losses.len() > NAMED_LOSSES {
        text.push_str(&format!("; and {} more", losses.len() - NAMED_LOSSES));
    }
    text
}
