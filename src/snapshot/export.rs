//! A tree as the file it stands for.

use std::io;
use std::ops::Range;

use crate::object::ObjectId;
use crate::progress::Progress;
use crate::store::Reader;

use super::{SnapshotError, Tree, TreePart};

/// Bytes of an object that are read at once where only a part of it is wanted.
const PIECE_BYTES: u64 = 1 << 20;

/// Writes the file of a tree to `sink`, in order, and returns the BLAKE3 of all of it.
///
/// Every byte that comes from an object was proved by the object's name before `sink` gets it.
///
/// # Errors
///
/// If an object is missing or damaged, or `sink` fails.
pub fn export(
    reader: &Reader<'_>,
    tree: &Tree,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    progress: &dyn Progress,
) -> Result<ObjectId, SnapshotError> {
    let literals = reader.read(&tree.literals.object, tree.literals.bytes)?;
    let mut rest = literals.as_slice();
    let mut hasher = blake3::Hasher::new();
    let mut pass = |bytes: &[u8]| {
        hasher.update(bytes);
        progress.advance(bytes.len() as u64);
        sink(bytes)
    };
    let failed = |id: ObjectId| move |source| crate::store::StoreError::Sink { id, source };
    for part in &tree.parts {
        let stored = match *part {
            TreePart::Literal(bytes) => {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(rest.len());
                let (head, tail) = rest.split_at(bytes);
                rest = tail;
                pass(head).map_err(failed(tree.literals.object))?;
                continue;
            }
            TreePart::Skeleton => tree.skeleton,
            TreePart::Extra(place) => tree.extras[place as usize].1,
            TreePart::Storage(place) => tree.storages[place as usize].content,
        };
        reader.copy_to(&stored.object, &mut pass)?;
    }
    Ok(hasher.finalize().into())
}

/// Writes a part of the file of a tree to `sink`, in order. What lies before and behind it is not read.
///
/// # Errors
///
/// As [`export`].
pub fn export_range(
    reader: &Reader<'_>,
    tree: &Tree,
    range: Range<u64>,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), SnapshotError> {
    let literals = reader.read(&tree.literals.object, tree.literals.bytes)?;
    let mut rest = literals.as_slice();
    let failed = |id: ObjectId| move |source| crate::store::StoreError::Sink { id, source };
    let mut start = 0;
    for part in &tree.parts {
        let end = start + tree.part_bytes(*part);
        // What of this part is wanted, counted from its own begin.
        let wanted = range.start.clamp(start, end) - start..range.end.clamp(start, end) - start;
        let bytes = end - start;
        start = end;
        let stored = match *part {
            TreePart::Literal(bytes) => {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(rest.len());
                let (head, tail) = rest.split_at(bytes);
                rest = tail;
                let piece = &head[wanted.start as usize..wanted.end as usize];
                if !piece.is_empty() {
                    sink(piece).map_err(failed(tree.literals.object))?;
                }
                continue;
            }
            TreePart::Skeleton => tree.skeleton,
            TreePart::Extra(place) => tree.extras[place as usize].1,
            TreePart::Storage(place) => tree.storages[place as usize].content,
        };
        if wanted == (0..bytes) {
            reader.copy_to(&stored.object, sink)?;
            continue;
        }
        let mut at = wanted.start;
        while at < wanted.end {
            // Pieces end where frames may end, so that none is read twice.
            let next = (at / PIECE_BYTES + 1) * PIECE_BYTES;
            let mut piece = vec![0; (next.min(wanted.end) - at) as usize];
            reader.read_range(&stored.object, at, &mut piece)?;
            sink(&piece).map_err(failed(stored.object))?;
            at = next;
        }
    }
    Ok(())
}
