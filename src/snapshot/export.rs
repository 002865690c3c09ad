//! A tree as the file it stands for.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;

use crate::format::Format;
use crate::object::ObjectId;
use crate::progress::{Progress, Silent};
use crate::store::{Reader, StoreError, WholeHash};

use super::{SnapshotError, Stored, Tree, TreePart};

/// Bytes of an object that are read at once where only a part of it is wanted.
const PIECE_BYTES: u64 = 1 << 20;

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
        let Some(id) = object(tree, part) else {
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

/// Writes the file of a tree, which is no folder, to `file` on all cores, and returns the BLAKE3 of all of it.
///
/// Where the hash is `expected` to be known, it is what proves the bytes; only if it comes out otherwise is
/// everything read again, and proved object by object, to tell which is damaged. Without it that is done at once.
///
/// # Errors
///
/// If an object is missing or damaged, or the file cannot be written.
pub fn export_to(
    reader: &Reader<'_>,
    tree: &Tree,
    file: &mut File,
    expected: Option<ObjectId>,
    progress: &dyn Progress,
) -> Result<ObjectId, SnapshotError> {
    let content = write_to(reader, tree, file, expected.is_some(), progress)?;
    match expected {
        Some(expected) if expected != content => write_to(reader, tree, file, false, &Silent),
        _ => Ok(content),
    }
}

/// Writes the file, and proves it object by object unless it will be `proved_as_whole`.
fn write_to(
    reader: &Reader<'_>,
    tree: &Tree,
    file: &mut File,
    proved_as_whole: bool,
    progress: &dyn Progress,
) -> Result<ObjectId, SnapshotError> {
    let literals = reader.read(&tree.literals.object, tree.literals.bytes)?;
    let mut rest = literals.as_slice();
    let mut whole = WholeHash::default();
    // Literal bytes wait here for the object behind them, with their place.
    let mut objects = Vec::new();
    let mut starts = Vec::new();
    let mut before: Vec<&[u8]> = vec![&[]];
    let mut at = 0_u64;
    let failed = |source| StoreError::Sink { id: tree.literals.object, source };
    for part in &tree.parts {
        match (part, stored(tree, part)) {
            (TreePart::Literal(length), _) => {
                let bytes = take(&mut rest, *length);
                file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(bytes)).map_err(failed)?;
                progress.advance(bytes.len() as u64);
                at += bytes.len() as u64;
                // Literals follow each other in memory as in the file, or an object is between them.
                let last = before.last_mut().expect("there is one for each object and one more");
                *last = &literals
                    [literals.len() - rest.len() - last.len() - bytes.len()..literals.len() - rest.len()];
            }
            (_, Some(stored)) => {
                objects.push(stored.object);
                starts.push(at);
                before.push(&[]);
                at = at.saturating_add(stored.bytes);
            }
            _ => unreachable!("what is no literal is an object"),
        }
    }
    // The first object that was not begun.
    let mut next = 0;
    let target = file.try_clone().map_err(failed)?;
    let mut ids = objects.iter().copied();
    reader.copy_each_to(&mut ids, target, starts, proved_as_whole, &mut |place, at, piece, bytes| {
        if place == next {
            whole.update(before[place]);
            next += 1;
        }
        if whole.bytes() != at {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "an object has another length than its tree says",
            ));
        }
        whole.add(piece, bytes);
        progress.advance(bytes);
        Ok(())
    })?;
    whole.update(before[next]);
    Ok(whole.finish())
}

/// The object that a part is; `None` for literal bytes.
fn object(tree: &Tree, part: &TreePart) -> Option<ObjectId> {
    stored(tree, part).map(|stored| stored.object)
}

fn stored(tree: &Tree, part: &TreePart) -> Option<Stored> {
    match *part {
        TreePart::Literal(_) => None,
        TreePart::Skeleton => Some(tree.skeleton),
        TreePart::Extra(place) => Some(tree.extras[place as usize].1),
        TreePart::Storage(place) => Some(tree.storages[place as usize].content),
    }
}

/// The next literal bytes. Trees are checked to have as many as their parts take.
fn take<'a>(rest: &mut &'a [u8], bytes: u64) -> &'a [u8] {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(rest.len());
    let (head, tail) = rest.split_at(bytes);
    *rest = tail;
    head
}
