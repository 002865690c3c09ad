//! A tree as the file it stands for.

use std::io;

use crate::format::Format;
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::store::{Reader, StoreError};

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
    let objects: Vec<(usize, ObjectId)> =
        tree.parts.iter().enumerate().filter_map(|(at, part)| Some((at, object(tree, part)?))).collect();
    // The first part that was not begun. Objects are read ahead, and what lies between them is put in.
    let mut next = 0;
    reader.copy_each(&mut objects.iter().map(|(_, id)| *id), &mut |place, bytes| {
        while next <= objects[place].0 {
            if let TreePart::Literal(length) = tree.parts[next] {
                pass(take(&mut rest, length))?;
            }
            next += 1;
        }
        pass(bytes)
    })?;
    for part in &tree.parts[next..] {
        if let TreePart::Literal(length) = *part {
            let id = tree.literals.object;
            pass(take(&mut rest, length)).map_err(|source| StoreError::Sink { id, source })?;
        }
    }
    if tree.format == Format::Folder.name()
        && let Some((_, list)) = tree.extras.last()
    {
        hasher.update(&reader.read(&list.object, list.bytes)?);
    }
    Ok(hasher.finalize().into())
}

/// The object that a part is; `None` for literal bytes.
fn object(tree: &Tree, part: &TreePart) -> Option<ObjectId> {
    let stored = match *part {
        TreePart::Literal(_) => return None,
        TreePart::Skeleton => tree.skeleton,
        TreePart::Extra(place) => tree.extras[place as usize].1,
        TreePart::Storage(place) => tree.storages[place as usize].content,
    };
    Some(stored.object)
}

/// The next literal bytes. Trees are checked to have as many as their parts take.
fn take<'a>(rest: &mut &'a [u8], bytes: u64) -> &'a [u8] {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(rest.len());
    let (head, tail) = rest.split_at(bytes);
    *rest = tail;
    head
}
