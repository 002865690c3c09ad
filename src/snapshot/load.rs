//! Stored objects as trees, outlines and graphs.

use crate::format::{self, Extra, Format, Limits, Outline, Part};
use crate::object::ObjectId;
use crate::store::Reader;
use crate::value::{Graph, Storage, StorageId};

use super::{SnapshotError, Stored, Tree, TreePart};

/// Largest encoded tree that is read, in bytes.
const MAX_TREE_BYTES: u64 = 1 << 30;

/// Reads a tree.
///
/// # Errors
///
/// If it is missing, damaged, or no tree.
pub fn read_tree(reader: &Reader<'_>, id: &ObjectId) -> Result<Tree, SnapshotError> {
    let bytes = reader.read(id, MAX_TREE_BYTES)?;
    Tree::decode(&bytes).map_err(|source| SnapshotError::Tree { id: *id, source })
}

/// Reads what a tree's file is made of, without the bytes of its tensors.
///
/// # Errors
///
/// If an object is missing or damaged, or the format is not known.
pub fn read_outline(reader: &Reader<'_>, tree: &Tree) -> Result<Outline, SnapshotError> {
    let format = Format::from_name(&tree.format)
        .ok_or_else(|| SnapshotError::UnknownFormat { name: tree.format.clone() })?;
    let skeleton = read_stored(reader, &tree.skeleton)?;
    let literals = read_stored(reader, &tree.literals)?;
    let extras = tree
        .extras
        .iter()
        .map(|(name, extra)| Ok(Extra { name: name.clone(), bytes: read_stored(reader, extra)? }));
    let mut rest = literals.as_slice();
    let parts = tree.parts.iter().map(|part| match *part {
        TreePart::Literal(bytes) => {
            // Trees are checked to have as many literal bytes as their parts take.
            let (head, tail) = rest.split_at(usize::try_from(bytes).unwrap_or(usize::MAX).min(rest.len()));
            rest = tail;
            Part::Literal(head.to_vec())
        }
        TreePart::Skeleton => Part::Skeleton,
        TreePart::Extra(place) => Part::Extra(place),
        TreePart::Storage(place) => Part::Storage(StorageId(place)),
    });
    let parts = parts.collect();
    let storages = tree.storages.iter();
    Ok(Outline {
        format,
        skeleton,
        attributes: tree.attributes.clone(),
        extras: extras.collect::<Result<_, SnapshotError>>()?,
        storages: storages.map(|s| Storage { key: s.key.clone(), bytes: s.content.bytes }).collect(),
        parts,
    })
}

/// Reads a tree's graph and what its file is made of.
///
/// # Errors
///
/// As [`read_outline`], and if the skeleton does not decode.
pub fn read_graph(reader: &Reader<'_>, tree: &Tree) -> Result<(Graph, Outline), SnapshotError> {
    let outline = read_outline(reader, tree)?;
    let graph = format::decode(&outline, &Limits::NONE)?;
    Ok((graph, outline))
}

fn read_stored(reader: &Reader<'_>, stored: &Stored) -> Result<Vec<u8>, SnapshotError> {
    Ok(reader.read(&stored.object, stored.bytes)?)
}
