//! A tree as the file it stands for.

use std::io;

use crate::format::Format;
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::store::Reader;

use super::{SnapshotError, Tree, TreePart};

/// Writes the file of a tree to `sink`, in order, and returns the BLAKE3 of all of it. Of a folder, `sink` gets
/// the files one behind the other, and its list is hashed behind them.
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
    if tree.format == Format::Folder.name()
        && let Some((_, list)) = tree.extras.last()
    {
        hasher.update(&reader.read(&list.object, list.bytes)?);
    }
    Ok(hasher.finalize().into())
}
