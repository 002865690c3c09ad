//! The objects of a tree, stored once more in another form.

use crate::store::{Hint, Reader, StoreError, Writer};

use super::graph::number_bytes;
use super::likeness::likes;
use super::{SnapshotError, Tree};

/// Stores the objects of a tree again, as the writer is set up to. Tensors may become differences to those of
/// `base`, whose objects must have been stored again before.
///
/// Objects that the writer has already are passed over.
///
/// # Errors
///
/// If an object is missing or damaged, or cannot be stored.
pub fn rewrite(
    reader: &Reader<'_>,
    tree: &Tree,
    base: Option<&Tree>,
    writer: &mut Writer<'_>,
) -> Result<(), SnapshotError> {
    let mut hints = vec![Hint::default(); tree.storages.len()];
    for tensor in &tree.tensors {
        hints[tensor.storage as usize] = Hint::items(number_bytes(tensor.dtype));
    }
    if let Some(base) = base {
        let bytes: Vec<u64> = tree.storages.iter().map(|storage| storage.content.bytes).collect();
        for (hint, like) in hints.iter_mut().zip(likes(&tree.tensors, &bytes, base)) {
            *hint = hint.like(like);
        }
    }
    let storages = tree.storages.iter().zip(hints).map(|(storage, hint)| (storage.content, hint));
    let others = tree.extras.iter().map(|(_, stored)| *stored).chain([tree.skeleton, tree.literals]);
    for (stored, hint) in storages.chain(others.map(|stored| (stored, Hint::default()))) {
        if writer.contains_anew(&stored.object) {
            continue;
        }
        let mut source = reader.open(&stored.object)?;
        let bytes = source.bytes();
        writer.enqueue(&mut source, bytes, hint).map_err(|error| match error {
            // What the source failed with is an error of the store itself.
            StoreError::Source(error) => match error.downcast::<StoreError>() {
                Ok(error) => error,
                Err(error) => StoreError::Source(error),
            },
            error => error,
        })?;
    }
    // Bases are known to later trees only once they are through.
    writer.settle()?;
    Ok(())
}
