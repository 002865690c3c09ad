//! GGUF files, versions 1 to 3, of either byte order.
//!
//! Layout: `docs/gguf.md` of the ggml project: a head of counts, keys with typed values, the tensors' names,
//! shapes and types, then the tensors, each aligned. Shapes are written innermost first there and outermost
//! first here; quantized types count whole blocks.

mod header;
mod types;

use std::collections::BTreeMap;

use crate::value::{Dtype, Graph, Kind, NodeId, Storage, StorageId, StorageRef, Tail, Tensor};

use super::archive::literal;
use super::error::named;
use super::outline::Parts;
use super::source::read;
use super::{
    Bound, Encoded, Format, FormatError, Limits, Note, Outline, Part, Scanned, Source, Span, StorageFacts,
};

use header::{Header, Info};
use types::{Value, dtype_of, type_of};

/// First bytes of a file.
pub(super) const MAGIC: &[u8] = b"GGUF";
/// The key of the graph under which the file's own keys are.
const METADATA: &str = "__metadata__";
/// The key that says to which multiple of bytes tensors are aligned.
const ALIGNMENT: &str = "general.alignment";

/// Why a GGUF file is not sound, or a value cannot become one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The header cannot be read.
    #[error("the header is damaged at byte {offset}: {problem}")]
    Header {
        /// Where.
        offset: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// There is more than a limit allows.
    #[error("the header has more than {limit} {what}")]
    Limit {
        /// What.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
        /// Which of the limits it is.
        bound: Bound,
    },
    /// A tensor's description makes no sense.
    #[error("tensor `{name}` is damaged: {problem}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A value that the format cannot hold.
    #[error("{} cannot be written: {what}", named(path))]
    Unwritable {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Whether the format has elements of a type.
pub(super) fn holds(dtype: Dtype) -> bool {
    types::type_of(dtype).is_some()
}

pub(super) fn scan(source: &dyn Source, limits: &Limits) -> Result<Scanned, FormatError> {
    let (header, skeleton) = Header::read_from(source, limits)?;
    let header_bytes = skeleton.len() as u64;
    let data_offset = header_bytes.next_multiple_of(header.alignment);
    let mut placed = Vec::with_capacity(header.infos.len());
    for info in &header.infos {
        let damaged = |problem| GgufError::Tensor { name: info.name.clone(), problem };
        let bytes = info.bytes().ok_or_else(|| damaged("its type or shape is not known"))?;
        let start = data_offset.checked_add(info.offset).ok_or_else(|| damaged("it lies too far away"))?;
        if info.offset % header.alignment != 0 {
            return Err(damaged("it is not aligned").into());
        }
        if start.checked_add(bytes).is_none_or(|end| end > source.bytes()) {
            return Err(damaged("the file ends inside it").into());
        }
        placed.push((start, bytes, info));
    }
    placed.sort_by_key(|(start, bytes, _)| (*start, *bytes));
    let mut parts = Parts::default();
    parts.push(Part::Skeleton);
    let (mut storages, mut spans, mut offset) = (Vec::new(), Vec::new(), header_bytes);
    for (start, bytes, info) in placed {
        if start < offset {
            let problem = "it overlaps another tensor";
            return Err(GgufError::Tensor { name: info.name.clone(), problem }.into());
        }
        literal(source, &mut parts, &mut offset, start, limits)?;
        parts.push(Part::Storage(StorageId(storages.len() as u32)));
        storages.push(Storage { key: info.name.clone(), bytes });
        spans.push(Span { offset, bytes, crc32: None, inflated: None });
        offset += bytes;
    }
    let trailing_bytes = source.bytes() - offset;
    literal(source, &mut parts, &mut offset, source.bytes(), limits)?;
    let mut notes = Vec::new();
    if trailing_bytes >= header.alignment.max(2) {
        let message = format!("{trailing_bytes} bytes follow the last tensor");
        notes.push(Note { code: "W_TRAILING_BYTES", message });
    }
    let outline = Outline {
        format: Format::Gguf,
        skeleton,
        attributes: BTreeMap::new(),
        extras: Vec::new(),
        storages,
        parts: parts.finish(),
    };
    Ok(Scanned { outline, spans, notes })
}

/// The tensors by their names, and the file's own keys under `__metadata__`.
pub(super) fn decode(outline: &Outline, limits: &Limits) -> Result<Graph, FormatError> {
    let header = Header::parse(&outline.skeleton, limits)?;
    let places: std::collections::HashMap<&str, u32> =
        outline.storages.iter().zip(0..).map(|(storage, place)| (storage.key.as_str(), place)).collect();
    let mut graph = Graph::new();
    graph.storages.clone_from(&outline.storages);
    let root = graph.root;
    let metadata = graph.add(Kind::Dict);
    for (key, value) in &header.keys {
        let value = value.to_node(&mut graph);
        let key = graph.add(types::text_kind(key));
        graph.node_mut(metadata).tail.push(Tail::Set(key, value));
    }
    graph.set(root, METADATA, metadata);
    for info in &header.infos {
        let damaged = |problem| GgufError::Tensor { name: info.name.clone(), problem };
        let place = *places.get(info.name.as_str()).ok_or_else(|| damaged("its bytes are missing"))?;
        let tensor =
            tensor(info, StorageId(place), outline.storages[place as usize].bytes, header.big_endian)
                .ok_or_else(|| damaged("its shape does not fill its bytes"))?;
        let node = graph.add(Kind::Tensor(Box::new(tensor)));
        let key = graph.add_str(info.name.clone());
        graph.node_mut(root).tail.push(Tail::Set(key, node));
    }
    Ok(graph)
}

/// What a file says of a tensor, as a tensor; numbers of foreign byte order are listed as bytes.
fn tensor(info: &Info, storage: StorageId, bytes: u64, big_endian: bool) -> Option<Tensor> {
    let dtype = dtype_of(info.kind)?;
    let mut shape: Vec<u64> = info.shape.iter().rev().copied().collect();
    if let Some(last) = shape.last_mut() {
        *last /= dtype.block_values();
    }
    let item_bytes = dtype.item_bytes();
    let is_foreign = big_endian && item_bytes > 1;
    if is_foreign {
        shape.push(item_bytes);
    }
    let tensor = Tensor {
        dtype: if is_foreign { Dtype::Bits8 } else { dtype },
        strides: Tensor::contiguous_strides(&shape)?,
        shape,
        offset: 0,
        storage: StorageRef {
            storage,
            class: if is_foreign { dtype.name().to_owned() } else { String::new() },
            location: String::new(),
            elements: bytes / if is_foreign { 1 } else { item_bytes },
            view: None,
        },
        requires_grad: false,
        hooks: None,
        metadata: None,
    };
    (tensor.bytes() == Some(bytes)).then_some(tensor)
}

/// Lays out a file of the same version, byte order and types of keys as another.
pub(super) fn encode(
    graph: &Graph,
    like: &Outline,
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Encoded, FormatError> {
    let cannot = |path: &str, what| GgufError::Unwritable { path: path.to_owned(), what };
    if !matches!(graph.kind(graph.root), Kind::Dict) {
        return Err(cannot("", "the root is no dict").into());
    }
    let old = Header::parse(&like.skeleton, &Limits::NONE)?;
    let mut header = Header {
        version: old.version,
        big_endian: old.big_endian,
        alignment: old.alignment,
        keys: Vec::new(),
        infos: Vec::new(),
    };
    let (mut storages, mut order) = (Vec::new(), Vec::new());
    let mut offset = 0u64;
    let mut seen = std::collections::HashSet::new();
    for (key, value) in graph.items(graph.root) {
        let name = graph.as_str(key).ok_or_else(|| cannot("", "a key is no text"))?;
        if name == METADATA {
            header.keys = keys(graph, value, &old)?;
            continue;
        }
        let tensor = graph.as_tensor(value).ok_or_else(|| cannot(name, "it is no tensor"))?;
        let id = tensor.storage.storage;
        let bytes = facts(id).bytes;
        if !seen.insert(id) {
            return Err(cannot(name, "it shares its memory with another tensor").into());
        }
        if tensor.offset != 0 || !tensor.is_contiguous() || tensor.bytes() != Some(bytes) {
            return Err(cannot(name, "it is a view of a larger or differently ordered memory").into());
        }
        let info = info(name, tensor, offset, header.big_endian)
            .ok_or_else(|| cannot(name, "GGUF has no such element type or so many dimensions"))?;
        header.infos.push(info);
        let end = offset.checked_add(bytes).and_then(|end| end.checked_next_multiple_of(header.alignment));
        offset = end.ok_or_else(|| cannot(name, "the file is too long"))?;
        storages.push(Storage { key: name.to_owned(), bytes });
        order.push(id);
    }
    if let Some(alignment) = header::alignment(&header.keys) {
        // The offsets were counted with the old one.
        if alignment != header.alignment {
            return Err(cannot(METADATA, "the alignment cannot be changed").into());
        }
    }
    let skeleton = header.write().ok_or_else(|| cannot(METADATA, "version 1 cannot hold so much"))?;
    let mut parts = Parts::default();
    parts.push(Part::Skeleton);
    let padding = |bytes: u64| vec![0; (bytes.next_multiple_of(header.alignment) - bytes) as usize];
    parts.literal(&padding(skeleton.len() as u64));
    for (place, storage) in storages.iter().enumerate() {
        parts.push(Part::Storage(StorageId(place as u32)));
        parts.literal(&padding(storage.bytes));
    }
    let outline = Outline {
        format: Format::Gguf,
        skeleton,
        attributes: like.attributes.clone(),
        extras: Vec::new(),
        storages,
        parts: parts.finish(),
    };
    Ok(Encoded { outline, order })
}

fn info(name: &str, tensor: &Tensor, offset: u64, big_endian: bool) -> Option<Info> {
    let mut shape = tensor.shape.clone();
    let dtype = match tensor.dtype {
        Dtype::Bits8 => {
            let dtype = Dtype::from_name(&tensor.storage.class)?;
            if shape.pop() != Some(dtype.item_bytes()) || !big_endian {
                return None;
            }
            dtype
        }
        // Bytes of this machine's order would be read as the other.
        dtype if big_endian && dtype.item_bytes() > 1 => return None,
        dtype => dtype,
    };
    let kind = type_of(dtype)?;
    if let Some(last) = shape.last_mut() {
        *last = last.checked_mul(dtype.block_values())?;
    } else if dtype.block_values() > 1 {
        return None;
    }
    shape.reverse();
    (shape.len() <= header::MOST_DIMENSIONS).then(|| Info { name: name.to_owned(), shape, kind, offset })
}

/// The file's keys, each of the type that it had before, or of the type that fits it.
fn keys(graph: &Graph, metadata: NodeId, old: &Header) -> Result<Vec<(Vec<u8>, Value)>, GgufError> {
    let cannot = |key: &[u8], what| GgufError::Unwritable {
        path: format!("{METADATA}/{}", String::from_utf8_lossy(key)),
        what,
    };
    if !matches!(graph.kind(metadata), Kind::Dict) {
        return Err(cannot(b"", "it is no dict"));
    }
    let known: std::collections::HashMap<&[u8], &Value> =
        old.keys.iter().map(|(key, value)| (key.as_slice(), value)).collect();
    let mut keys = Vec::new();
    for (key, value) in graph.items(metadata) {
        let key = types::text_bytes(graph, key).ok_or_else(|| cannot(b"", "a key is no text"))?;
        let like = known.get(key.as_slice()).copied();
        let value = Value::of_node(graph, value, like)
            .ok_or_else(|| cannot(&key, "GGUF has no such value, or not of the type it had"))?;
        keys.push((key, value));
    }
    Ok(keys)
}

/// Whether a file begins as one.
pub(super) fn looks_like(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

fn read_window(source: &dyn Source, bytes: u64) -> Result<Vec<u8>, FormatError> {
    read(source, 0, bytes.min(source.bytes()))
}
