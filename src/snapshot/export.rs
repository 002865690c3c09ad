//! A tree as the file it stands for.

use std::io;
use std::ops::Range;

use crate::progress::Progress;
use crate::store::{Reader, StoreError};

use super::{SnapshotError, Stored, Tree, TreePart};

/// Bytes of an object that are read at once where only a part of it is wanted.
const PIECE_BYTES: u64 = 1 << 20;

/// Writes the file of a tree to `sink`, in order. Of a folder, `sink` gets the files one behind the other.
///
/// Every byte that comes from an object was proved by the object's name before `sink` gets it, and the tree was by
/// its own: together they prove the file.
///
/// # Errors
///
/// If an object is missing or damaged, or `sink` fails; [`SnapshotError::Length`], when `sink` has had all.
pub fn export(
    reader: &Reader<'_>,
    tree: &Tree,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    progress: &dyn Progress,
) -> Result<(), SnapshotError> {
    let literals = reader.read(&tree.literals.object, tree.literals.bytes)?;
    let mut rest = literals.as_slice();
    let mut pass = |bytes: &[u8]| {
        progress.advance(bytes.len() as u64);
        sink(bytes)
    };
    let objects: Vec<(usize, Stored)> =
        tree.parts.iter().enumerate().filter_map(|(at, part)| Some((at, stored(tree, part)?))).collect();
    let mut lengths = vec![0; objects.len()];
    // The first part that was not begun. Objects are read ahead, and what lies between them is put in.
    let mut next = 0;
    reader.copy_each(&mut objects.iter().map(|(_, stored)| stored.object), &mut |place, bytes| {
        while next <= objects[place].0 {
            if let TreePart::Literal(length) = tree.parts[next] {
                pass(take(&mut rest, length))?;
            }
            next += 1;
        }
        lengths[place] += bytes.len() as u64;
        pass(bytes)
    })?;
    for part in &tree.parts[next..] {
        if let TreePart::Literal(length) = *part {
            let id = tree.literals.object;
            pass(take(&mut rest, length)).map_err(|source| StoreError::Sink { id, source })?;
        }
    }
    for ((_, stored), found) in objects.iter().zip(lengths) {
        if stored.bytes != found {
            return Err(SnapshotError::Length { object: stored.object, expected: stored.bytes, found });
        }
    }
    Ok(())
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
    let mut start = 0;
    for part in &tree.parts {
        let end = start + tree.part_bytes(*part);
        // What of this part is wanted, counted from its own begin.
        let wanted = range.start.clamp(start, end) - start..range.end.clamp(start, end) - start;
        let bytes = end - start;
        start = end;
        let Some(Stored { object: id, .. }) = stored(tree, part) else {
            let piece = &take(&mut rest, bytes)[wanted.start as usize..wanted.end as usize];
            if !piece.is_empty() {
                let id = tree.literals.object;
                sink(piece).map_err(|source| StoreError::Sink { id, source })?;
            }
            continue;
        };
        if wanted == (0..bytes) {
            reader.copy_to(&id, sink)?;
            continue;
        }
        let mut at = wanted.start;
        while at < wanted.end {
            // Pieces end where frames may end, so that none is read twice.
            let next = (at / PIECE_BYTES + 1) * PIECE_BYTES;
            let mut piece = vec![0; (next.min(wanted.end) - at) as usize];
            reader.read_range(&id, at, &mut piece)?;
            sink(&piece).map_err(|source| StoreError::Sink { id, source })?;
            at = next;
        }
    }
    Ok(())
}

/// The object that a part is, with its length; `None` for literal bytes.
pub(super) fn stored(tree: &Tree, part: &TreePart) -> Option<Stored> {
    match *part {
        TreePart::Literal(_) => None,
        TreePart::Skeleton => Some(tree.skeleton),
        TreePart::Extra(place) => Some(tree.extras[place as usize].1),
        TreePart::Storage(place) => Some(tree.storages[place as usize].content),
    }
}

/// The next literal bytes. Trees are checked to have as many as their parts take.
pub(super) fn take<'a>(rest: &mut &'a [u8], bytes: u64) -> &'a [u8] {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(rest.len());
    let (head, tail) = rest.split_at(bytes);
    *rest = tail;
    head
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::object::{Locate, LocateError, Location, ObjectId};
    use crate::progress::Silent;
    use crate::snapshot::TreeStorage;
    use crate::store::{Hint, Store};

    struct Index(HashMap<ObjectId, Location>);

    impl Locate for Index {
        fn locate(&self, id: &ObjectId) -> Result<Option<Location>, LocateError> {
            Ok(self.0.get(id).copied())
        }
    }

    #[test]
    fn an_object_of_another_length_than_the_tree_says_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let nothing = Index(HashMap::new());
        let mut writer = store.writer(&nothing);
        let objects = [b"".as_slice(), b"head", b"weights"].map(|bytes| Stored {
            object: writer.put(bytes, Hint::default()).unwrap(),
            bytes: bytes.len() as u64,
        });
        let pack = writer.finish().unwrap().unwrap();
        let index = Index(pack.records.into_iter().collect());
        let [empty, literals, content] = objects;
        let mut tree = Tree {
            format: "bytes".to_owned(),
            attributes: Default::default(),
            skeleton: empty,
            extras: Vec::new(),
            storages: vec![TreeStorage { key: "0".to_owned(), content, crc32: 0 }],
            literals,
            parts: vec![TreePart::Literal(4), TreePart::Storage(0)],
            tensors: Vec::new(),
        };
        let write = |tree: &Tree| {
            let mut file = Vec::new();
            let sink = &mut |bytes: &[u8]| {
                file.extend_from_slice(bytes);
                Ok(())
            };
            export(&store.reader(&index), tree, sink, &Silent).map(|()| file)
        };
        assert_eq!(write(&tree).unwrap(), b"headweights");
        tree.storages[0].content.bytes = 8;
        let error = write(&tree).unwrap_err();
        assert!(matches!(error, SnapshotError::Length { expected: 8, found: 7, .. }), "{error:?}");
    }
}
