//! Safetensors: a JSON header, then the tensors' bytes.
//!
//! Format: <https://github.com/huggingface/safetensors>, checked against its version 0.8.

use std::collections::{BTreeMap, HashSet};

use crate::value::{Dtype, Graph, Kind, NodeId, Storage, StorageId, StorageRef, Tail, Tensor};

use super::error::{check_limit, named};
use super::json::{self, JsonError};
use super::source::read;
use super::{
    Bound, Encoded, Format, FormatError, Limits, Outline, Part, Scanned, Source, Span, StorageFacts,
};

/// Most bytes of a header, as the library has it.
const MOST_HEADER_BYTES: u64 = 100_000_000;
/// The key of what is no tensor.
const METADATA: &str = "__metadata__";

/// Element types by their names, in the order in which the library lays tensors out, the last first.
const DTYPES: &[(&str, Dtype)] = &[
    ("BOOL", Dtype::Bool),
    ("F4", Dtype::F4E2M1X2),
    ("U8", Dtype::U8),
    ("I8", Dtype::I8),
    ("F8_E5M2", Dtype::F8E5M2),
    ("F8_E4M3", Dtype::F8E4M3),
    ("F8_E8M0", Dtype::F8E8M0),
    ("F8_E4M3FNUZ", Dtype::F8E4M3Fnuz),
    ("F8_E5M2FNUZ", Dtype::F8E5M2Fnuz),
    ("I16", Dtype::I16),
    ("U16", Dtype::U16),
    ("F16", Dtype::F16),
    ("BF16", Dtype::Bf16),
    ("I32", Dtype::I32),
    ("U32", Dtype::U32),
    ("F32", Dtype::F32),
    ("C64", Dtype::C64),
    ("F64", Dtype::F64),
    ("I64", Dtype::I64),
    ("U64", Dtype::U64),
];

/// Why a safetensors file is not sound, or a value cannot become one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SafetensorsError {
    /// The file is shorter than its header says.
    #[error("the header has {header_bytes} bytes, the file only {file_bytes}")]
    Truncated {
        /// According to the first eight bytes.
        header_bytes: u64,
        /// Of the file.
        file_bytes: u64,
    },
    /// The header is no JSON.
    #[error("the header is no JSON")]
    Header(#[from] JsonError),
    /// The header is JSON of another shape.
    #[error("the header's entry `{name}` is damaged: {problem}")]
    Entry {
        /// The tensor.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Bytes that belong to no tensor, or to two.
    #[error("tensor `{name}` begins at byte {found} of the data, the one before it ends at {expected}")]
    Gap {
        /// The tensor.
        name: String,
        /// Where the one before ends.
        expected: u64,
        /// Where it begins.
        found: u64,
    },
    /// The data are longer or shorter than the header says.
    #[error("the tensors end at byte {expected} of the data, the file at {found}")]
    Length {
        /// According to the header.
        expected: u64,
        /// In the file.
        found: u64,
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

/// Whether a file begins like a safetensors file: a sensible length, then an object.
pub(super) fn looks_like(head: &[u8]) -> bool {
    match head.split_first_chunk::<8>() {
        Some((length, rest)) => {
            (2..=MOST_HEADER_BYTES).contains(&u64::from_le_bytes(*length)) && rest.first() == Some(&b'{')
        }
        None => false,
    }
}

/// Whether the format has elements of a type.
pub(super) fn holds(dtype: Dtype) -> bool {
    DTYPES.iter().any(|(_, known)| *known == dtype)
}

pub(super) fn scan(source: &dyn Source, limits: &Limits) -> Result<Scanned, FormatError> {
    let file_bytes = source.bytes();
    let length: [u8; 8] = read(source, 0, 8)?.try_into().expect("eight bytes were read");
    let header_bytes = u64::from_le_bytes(length);
    check_limit("the header", header_bytes, MOST_HEADER_BYTES)?;
    limits.check(Bound::SkeletonBytes, "the header", header_bytes)?;
    let data_offset = 8 + header_bytes;
    if data_offset > file_bytes {
        return Err(SafetensorsError::Truncated { header_bytes, file_bytes }.into());
    }
    let skeleton = read(source, 8, header_bytes)?;
    let (_, entries) = entries(&skeleton, limits)?;

    let mut parts = vec![Part::Literal(length.to_vec()), Part::Skeleton];
    let (mut storages, mut spans) = (Vec::new(), Vec::new());
    let mut end = 0;
    for entry in in_data_order(&entries) {
        if entry.start != end {
            let (name, expected, found) = (entry.name.clone(), end, entry.start);
            return Err(SafetensorsError::Gap { name, expected, found }.into());
        }
        end = entry.end;
        let bytes = entry.end - entry.start;
        parts.push(Part::Storage(StorageId(storages.len() as u32)));
        storages.push(Storage { key: entry.name.clone(), bytes });
        spans.push(Span {
            offset: data_offset.saturating_add(entry.start),
            bytes,
            crc32: None,
            inflated: None,
        });
    }
    if end != file_bytes - data_offset {
        let (expected, found) = (end, file_bytes - data_offset);
        return Err(SafetensorsError::Length { expected, found }.into());
    }
    let outline = Outline {
        format: Format::Safetensors,
        skeleton,
        attributes: BTreeMap::new(),
        extras: Vec::new(),
        storages,
        parts,
    };
    Ok(Scanned { outline, spans, notes: Vec::new() })
}

pub(super) fn decode(outline: &Outline, limits: &Limits) -> Result<Graph, FormatError> {
    let (mut graph, entries) = entries(&outline.skeleton, limits)?;
    graph.storages.clone_from(&outline.storages);
    let mut values = Vec::with_capacity(entries.len());
    for (index, entry) in in_data_order(&entries).into_iter().enumerate() {
        let damaged = |problem| SafetensorsError::Entry { name: entry.name.clone(), problem };
        let Some(storage) = outline.storages.get(index).filter(|storage| storage.key == entry.name) else {
            return Err(damaged("its storage is missing").into());
        };
        let storage = StorageRef {
            storage: StorageId(index as u32),
            class: String::new(),
            location: String::new(),
            elements: storage.bytes / entry.dtype.item_bytes(),
            view: None,
        };
        let strides = Tensor::contiguous_strides(&entry.shape).ok_or(damaged("its strides overflow"))?;
        values.push((
            entry.place,
            Tensor {
                dtype: entry.dtype,
                shape: entry.shape.clone(),
                strides,
                offset: 0,
                storage,
                requires_grad: false,
                hooks: None,
                metadata: None,
            },
        ));
    }
    // What is left of the header's own values are the names, and the metadata.
    let mut kept = Graph::new();
    let mut tensors: Vec<Option<Tensor>> = vec![None; graph.node(graph.root).tail.len()];
    for (place, tensor) in values {
        tensors[place] = Some(tensor);
    }
    kept.storages = std::mem::take(&mut graph.storages);
    for (step, tensor) in graph.node(graph.root).tail.iter().zip(tensors) {
        let Tail::Set(key, value) = step else { continue };
        let key = kept.add(graph.kind(*key).clone());
        let value = match tensor {
            Some(tensor) => kept.add(Kind::Tensor(Box::new(tensor))),
            None => copy_metadata(&graph, *value, &mut kept),
        };
        let root = kept.root;
        kept.node_mut(root).tail.push(Tail::Set(key, value));
    }
    Ok(kept)
}

/// Lays out a file as the library does: tensors by element type, the widest first, then by name.
pub(super) fn encode(
    graph: &Graph,
    like: &Outline,
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Encoded, FormatError> {
    let cannot = |path: &str, what| SafetensorsError::Unwritable { path: path.to_owned(), what };
    if !matches!(graph.kind(graph.root), Kind::Dict) {
        return Err(cannot("", "the root is no dict").into());
    }
    let mut header = String::from("{");
    let mut tensors = Vec::new();
    let mut seen = HashSet::new();
    for (key, value) in graph.items(graph.root) {
        let name = graph.as_str(key).ok_or_else(|| cannot("", "a key is no text"))?;
        if name == METADATA {
            write_metadata(graph, value, &mut header)?;
            continue;
        }
        let tensor = graph.as_tensor(value).ok_or_else(|| cannot(name, "it is no tensor"))?;
        let rank = DTYPES.iter().position(|(_, dtype)| *dtype == tensor.dtype);
        let rank = rank.ok_or_else(|| cannot(name, "safetensors has no such element type"))?;
        let bytes = facts(tensor.storage.storage).bytes;
        if !seen.insert(tensor.storage.storage) {
            return Err(cannot(name, "it shares its memory with another tensor").into());
        }
        if tensor.offset != 0 || !tensor.is_contiguous() || tensor.bytes() != Some(bytes) {
            return Err(cannot(name, "it is a view of a larger or differently ordered memory").into());
        }
        tensors.push((rank, name, tensor, bytes));
    }
    tensors.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));

    let mut outline = Outline {
        format: Format::Safetensors,
        skeleton: Vec::new(),
        attributes: like.attributes.clone(),
        extras: Vec::new(),
        storages: Vec::new(),
        parts: Vec::new(),
    };
    let mut order = Vec::new();
    let mut end: u64 = 0;
    for (rank, name, tensor, bytes) in tensors {
        if header.len() > 1 {
            header.push(',');
        }
        json::write_str(name, false, &mut header);
        let start = end;
        end = end.checked_add(bytes).ok_or_else(|| cannot(name, "the file is too long"))?;
        let mut shape = tensor.shape.clone();
        if tensor.dtype == Dtype::F4E2M1X2 {
            // The format counts single elements, PyTorch pairs of them.
            match shape.last_mut() {
                Some(last) => *last *= 2,
                None => return Err(cannot(name, "a pair of elements without a dimension").into()),
            }
        }
        let shape: Vec<String> = shape.iter().map(u64::to_string).collect();
        header.push_str(&format!(
            ":{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{start},{end}]}}",
            DTYPES[rank].0,
            shape.join(","),
        ));
        order.push(tensor.storage.storage);
        outline.parts.push(Part::Storage(StorageId(outline.storages.len() as u32)));
        outline.storages.push(Storage { key: name.to_owned(), bytes });
    }
    header.push('}');
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    check_limit("the header", header.len() as u64, MOST_HEADER_BYTES)?;
    let length = (header.len() as u64).to_le_bytes().to_vec();
    outline.parts.splice(0..0, [Part::Literal(length), Part::Skeleton]);
    outline.skeleton = header.into_bytes();
    Ok(Encoded { outline, order })
}

/// One tensor of a header.
struct Entry {
    name: String,
    /// Its place among the header's entries.
    place: usize,
    dtype: Dtype,
    shape: Vec<u64>,
    start: u64,
    end: u64,
}

/// Reads the header: as a graph, and its tensors in the header's order.
fn entries(header: &[u8], limits: &Limits) -> Result<(Graph, Vec<Entry>), FormatError> {
    let graph = json::read(header, limits).map_err(SafetensorsError::Header)?;
    let root = graph.node(graph.root);
    if header.first() != Some(&b'{') {
        return Err(
            SafetensorsError::Entry { name: String::new(), problem: "the header is no object" }.into()
        );
    }
    limits.check(Bound::Entries, "the number of tensors", root.tail.len() as u64)?;
    let mut entries = Vec::new();
    for (place, step) in root.tail.iter().enumerate() {
        let Tail::Set(key, value) = step else { continue };
        let name = graph.as_str(*key).unwrap_or_default().to_owned();
        let damaged = |problem| SafetensorsError::Entry { name: name.clone(), problem };
        if graph.as_str(*key).is_none() {
            return Err(damaged("its name is no text").into());
        }
        if name == METADATA {
            let is_text = |(key, value)| graph.as_str(key).is_some() && graph.as_str(value).is_some();
            if !matches!(graph.kind(*value), Kind::Dict) || !graph.items(*value).into_iter().all(is_text) {
                return Err(damaged("it is no object of texts").into());
            }
            continue;
        }
        entries.push(entry(&graph, name.clone(), place, *value, limits).map_err(damaged)?);
    }
    Ok((graph, entries))
}

fn entry(
    graph: &Graph,
    name: String,
    place: usize,
    id: NodeId,
    limits: &Limits,
) -> Result<Entry, &'static str> {
    if !matches!(graph.kind(id), Kind::Dict) || graph.node(id).tail.len() != 3 {
        return Err("it has not the fields dtype, shape and data_offsets");
    }
    let numbers = |field: &str, problem| -> Result<Vec<u64>, &'static str> {
        let list =
            graph.get(id, field).filter(|list| matches!(graph.kind(*list), Kind::List)).ok_or(problem)?;
        let number = |item| graph.as_int(item).and_then(|value| u64::try_from(value).ok());
        graph.elements(list).map(|item| number(item).ok_or(problem)).collect()
    };
    let dtype = graph.get(id, "dtype").and_then(|dtype| graph.as_str(dtype)).ok_or("its dtype is no text")?;
    let known = DTYPES.iter().find(|(name, _)| *name == dtype);
    let dtype = known.ok_or("its dtype is not known")?.1;
    let mut shape = numbers("shape", "its shape is no list of natural numbers")?;
    let offsets = numbers("data_offsets", "its offsets are no two natural numbers")?;
    let &[start, end] = offsets.as_slice() else { return Err("its offsets are no two natural numbers") };
    if shape.len() > limits.dimensions {
        return Err("it has too many dimensions");
    }
    if dtype == Dtype::F4E2M1X2 {
        // The format counts single elements, PyTorch pairs of them.
        match shape.last_mut() {
            Some(last) if *last % 2 == 0 => *last /= 2,
            _ => return Err("it ends inside a byte"),
        }
    }
    let elements = shape.iter().try_fold(1u64, |elements, &extent| elements.checked_mul(extent));
    let bytes = elements.and_then(|elements| elements.checked_mul(dtype.item_bytes()));
    if bytes.is_none() || end.checked_sub(start) != bytes {
        return Err("its shape does not fill its offsets");
    }
    Ok(Entry { name, place, dtype, shape, start, end })
}

fn in_data_order(entries: &[Entry]) -> Vec<&Entry> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by_key(|entry| (entry.start, entry.end));
    sorted
}

fn copy_metadata(from: &Graph, id: NodeId, to: &mut Graph) -> NodeId {
    let dict = to.add(Kind::Dict);
    for (key, value) in from.items(id) {
        let (key, value) = (to.add(from.kind(key).clone()), to.add(from.kind(value).clone()));
        to.node_mut(dict).tail.push(Tail::Set(key, value));
    }
    dict
}

fn write_metadata(graph: &Graph, id: NodeId, header: &mut String) -> Result<(), SafetensorsError> {
    let cannot = |path: String, what| SafetensorsError::Unwritable { path, what };
    if !matches!(graph.kind(id), Kind::Dict) {
        return Err(cannot(METADATA.to_owned(), "it is no dict"));
    }
    // The library writes it first, wherever it stands.
    let mut text = format!("\"{METADATA}\":{{");
    for (place, (key, value)) in graph.items(id).into_iter().enumerate() {
        let below = |key: &str| format!("{METADATA}/{key}");
        let key = graph.as_str(key).ok_or_else(|| cannot(METADATA.to_owned(), "a key is no text"))?;
        let value = graph.as_str(value).ok_or_else(|| cannot(below(key), "it is no text"))?;
        if place > 0 {
            text.push(',');
        }
        json::write_str(key, false, &mut text);
        text.push(':');
        json::write_str(value, false, &mut text);
    }
    text.push('}');
    header.insert_str(1, &text);
    Ok(())
}
