//! JSON documents (RFC 8259, and the `NaN` and `Infinity` that Python writes).

mod read;
mod style;
mod write;

use crate::value::Graph;

use super::error::named;
use super::source::read as read_bytes;
use super::{Bound, Encoded, Format, FormatError, Limits, Outline, Part, Scanned, Source};

pub(super) use read::read;
pub(super) use write::write_str;

/// Why a document is no JSON, or a value cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Something else stands where it may not.
    #[error("{expected} is expected at byte {offset}")]
    Syntax {
        /// Where.
        offset: usize,
        /// What may stand there.
        expected: &'static str,
    },
    /// A key that an object has twice: readers differ in which they take.
    #[error("the key `{key}` at byte {offset} is there twice")]
    DuplicateKey {
        /// Where the second begins.
        offset: usize,
        /// The key.
        key: String,
    },
    /// More of something than its limit allows.
    #[error("the document has more than {limit} {what}")]
    Limit {
        /// What.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// A value that JSON cannot hold.
    #[error("{} cannot be written: {what}", named(path))]
    Unwritable {
        /// Where it is.
        path: String,
        /// What it is.
        what: &'static str,
    },
}

pub(super) fn scan(source: &dyn Source, limits: &Limits) -> Result<Scanned, FormatError> {
    limits.check(Bound::SkeletonBytes, "the document", source.bytes())?;
    let skeleton = read_bytes(source, 0, source.bytes())?;
    read(&skeleton, limits)?;
    let outline = Outline {
        format: Format::Json,
        attributes: style::Style::of(&skeleton).to_attributes(),
        skeleton,
        extras: Vec::new(),
        storages: Vec::new(),
        parts: vec![Part::Skeleton],
    };
    Ok(Scanned { outline, spans: Vec::new(), notes: Vec::new() })
}

pub(super) fn decode(outline: &Outline, limits: &Limits) -> Result<Graph, FormatError> {
    Ok(read(&outline.skeleton, limits)?)
}

/// Writes the document with the habits of the other's writer; floats that occur in the other are spelt as
/// there.
pub(super) fn encode(graph: &Graph, like: &Outline) -> Result<Encoded, FormatError> {
    let style = style::Style::from_attributes(&like.attributes);
    let skeleton = write::write(graph, &style, &style::float_texts(&like.skeleton))?;
    let outline = Outline {
        format: Format::Json,
        skeleton,
        attributes: like.attributes.clone(),
        extras: Vec::new(),
        storages: Vec::new(),
        parts: vec![Part::Skeleton],
    };
    Ok(Encoded { outline, order: Vec::new() })
}

#[cfg(test)]
mod tests;
