//! Whether a file is the one that a tree stands for.

use crate::format::{Source, Span};
use crate::progress::Progress;
use crate::store::{Hint, Reader, StoreError, Writer};

use super::export::{stored, take};
use super::file::SpanReader;
use super::{SnapshotError, Tree};

/// Compares a file with the one that a tree stands for, up to the first difference. Of a folder that is its files
/// one behind the other.
///
/// `namer` is a writer that stores nothing: objects are told apart by their names, and not read.
///
/// # Errors
///
/// If the file cannot be read, or the tree's literals are missing or damaged.
pub fn is_file_of(
    source: &dyn Source,
    tree: &Tree,
    reader: &Reader<'_>,
    namer: &mut Writer<'_>,
    progress: &dyn Progress,
) -> Result<bool, SnapshotError> {
    if source.bytes() != tree.file_bytes() {
        return Ok(false);
    }
    let literals = reader.read(&tree.literals.object, tree.literals.bytes)?;
    let mut rest = literals.as_slice();
    let mut offset = 0;
    for part in &tree.parts {
        let bytes = tree.part_bytes(*part);
        let is_same = match stored(tree, part) {
            None => {
                let expected = take(&mut rest, bytes);
                let mut found = vec![0; expected.len()];
                source.read_at(offset, &mut found).map_err(StoreError::Source)?;
                found == expected
            }
            Some(stored) => {
                let span = Span { offset, bytes, crc32: None, inflated: None };
                let mut found = SpanReader { source, span, read: 0, progress };
                namer.put_stream(&mut found, bytes, Hint::default())?.id == stored.object
            }
        };
        if !is_same {
            return Ok(false);
        }
        offset += bytes;
    }
    Ok(true)
}
