//! A graph as stored objects.

use std::io::Read;

use crate::format::{self, FormatError, Outline, Part, StorageFacts};
use crate::object::ObjectId;
use crate::store::{Hint, Writer};
use crate::value::{Dtype, Graph, Kind, StorageId, walk};

use super::file::{write_bytes, write_extras};
use super::{SnapshotError, Stored, Tree, TreePart, TreeStorage, TreeTensor};

/// The stored bytes of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// The object.
    pub stored: Stored,
    /// CRC-32 of its bytes.
    pub crc32: u32,
}

/// Stores the bytes of one new storage.
///
/// # Errors
///
/// If `source` ends before `bytes` bytes, or the store cannot be written.
pub fn write_content(
    writer: &mut Writer<'_>,
    source: &mut dyn Read,
    bytes: u64,
    hint: Hint,
) -> Result<Content, SnapshotError> {
    let put = writer.put_stream(source, bytes, hint)?;
    Ok(Content { stored: Stored { object: put.id, bytes }, crc32: put.crc32 })
}

/// Stores a graph as a checkpoint like another: same format, attributes and extras.
///
/// `contents` tells, for each storage of the graph in order, where its bytes are stored. No tensor byte is
/// read.
///
/// # Errors
///
/// If the format cannot hold the graph, a storage that it uses has no content, or the store cannot be
/// written.
pub fn write_graph(
    graph: &Graph,
    like: &Outline,
    contents: &[Option<Content>],
    writer: &mut Writer<'_>,
) -> Result<(ObjectId, Tree), SnapshotError> {
    let content = |id: StorageId| contents.get(id.index()).copied().flatten();
    let facts = |id: StorageId| match content(id) {
        Some(content) => StorageFacts { bytes: content.stored.bytes, crc32: content.crc32 },
        None => StorageFacts { bytes: graph.storage(id).bytes, crc32: 0 },
    };
    let unwritable =
        |error: FormatError| SnapshotError::Unwritable { format: like.format, source: error.into_cause() };
    let encoded = format::encode(graph, like, &facts).map_err(unwritable)?;
    let outline = &encoded.outline;
    let mut storages = Vec::with_capacity(encoded.order.len());
    let mut places = vec![None; graph.storages.len()];
    for (place, (id, storage)) in (0u32..).zip(encoded.order.iter().zip(&outline.storages)) {
        let content = content(*id).ok_or_else(|| SnapshotError::NoContent { key: storage.key.clone() })?;
        places[id.index()] = Some(place);
        storages.push(TreeStorage {
            key: storage.key.clone(),
            content: content.stored,
            crc32: content.crc32,
        });
    }
    let mut literals = Vec::new();
    let parts = outline.parts.iter().map(|part| match part {
        Part::Literal(bytes) => {
            literals.extend_from_slice(bytes);
            TreePart::Literal(bytes.len() as u64)
        }
        Part::Skeleton => TreePart::Skeleton,
        Part::Extra(place) => TreePart::Extra(*place),
        Part::Storage(id) => TreePart::Storage(id.0),
    });
    let parts = parts.collect();
    let extras = write_extras(writer, outline)?;
    let tree = Tree {
        format: outline.format.name().to_owned(),
        attributes: outline.attributes.clone(),
        skeleton: write_bytes(writer, &outline.skeleton)?,
        extras,
        storages,
        literals: write_bytes(writer, &literals)?,
        parts,
        tensors: tensors(graph, &|id| places[id.index()]),
    };
    let id = writer.put(&tree.encode(), Hint::default())?;
    Ok((id, tree))
}

/// The tensors of a graph, in its order, each object once. `place` tells the number that a storage has in the
/// tree.
pub(super) fn tensors(graph: &Graph, place: &dyn Fn(StorageId) -> Option<u32>) -> Vec<TreeTensor> {
    let found = walk(graph).filter_map(|at| {
        let tensor = graph.as_tensor(at.node)?;
        if at.repeated {
            return None;
        }
        Some(TreeTensor {
            path: at.path,
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            strides: tensor.strides.clone(),
            offset: tensor.offset,
            storage: place(tensor.storage.storage)?,
        })
    });
    found.collect()
}

/// What is known of the numbers in each storage, by the tensors that look into it.
pub(super) fn hints(graph: &Graph) -> Vec<Hint> {
    let mut out = vec![Hint::default(); graph.storages.len()];
    for node in &graph.nodes {
        if let Kind::Tensor(tensor) = &node.kind {
            out[tensor.storage.storage.index()] = Hint::items(number_bytes(tensor.dtype));
        }
    }
    out
}

/// Length in bytes of the numbers of an element.
pub(super) fn number_bytes(dtype: Dtype) -> u64 {
    match dtype {
        Dtype::C128 | Dtype::C64 | Dtype::C32 => dtype.item_bytes() / 2,
        _ => dtype.item_bytes(),
    }
}
