//! What `torch.save` wrote before PyTorch 1.6: pickles in a row, then the storages.
//!
//! The pickles are a magic number, a protocol number, facts of the machine, the object, and the sorted keys of
//! the storages; each storage follows as its length in elements and its bytes (`_legacy_save` in
//! `torch/serialization.py`).

use std::collections::{BTreeMap, HashMap};

use num_bigint::BigInt;

use crate::value::{Graph, Kind, NodeId, Storage, StorageId, Tail};

use super::super::outline::Parts;
use super::super::pickle::file::read_at;
use super::super::source::read;
use super::super::{
    Bound, Encoded, Format, FormatError, Limits, Note, Outline, Part, Scanned, Source, Span, StorageFacts,
    pickle,
};
use super::lift::{self, Dialect};
use super::storage::dtype_of_class;
use super::{TorchError, lower};

/// The first pickle's number.
const MAGIC: u128 = 0x1950_a86a_20f9_469c_fc6c;
/// The second pickle's number.
const PROTOCOL: i64 = 1001;

/// Whether a file begins with the magic number, in any protocol.
pub(in crate::format) fn is_one(head: &[u8]) -> bool {
    pickle::read(head, &Limits::default()).is_ok_and(|first| is_magic(&first.graph))
}

fn is_magic(graph: &Graph) -> bool {
    matches!(graph.kind(graph.root), Kind::BigInt(value) if *value == BigInt::from(MAGIC))
}

pub(in crate::format) fn scan(source: &dyn Source, limits: &Limits) -> Result<Scanned, FormatError> {
    let mut offset = 0;
    let mut next = || -> Result<_, FormatError> {
        let found = read_at(source, offset, limits)?;
        offset += found.1.len() as u64;
        Ok(found)
    };
    let (magic, mut heads) = next()?;
    if !is_magic(&magic.graph) {
        return Err(TorchError::Head("it does not begin with torch's number").into());
    }
    let (protocol, bytes) = next()?;
    heads.extend(bytes);
    if protocol.graph.as_int(protocol.graph.root) != Some(PROTOCOL) {
        return Err(TorchError::Head("its protocol is not 1001").into());
    }
    let (machine, bytes) = next()?;
    heads.extend(bytes);
    let little = machine.graph.get(machine.graph.root, "little_endian");
    if !matches!(little.map(|value| machine.graph.kind(value)), Some(Kind::Bool(true))) {
        return Err(TorchError::Head("it was not written by a little-endian machine").into());
    }
    let (object, skeleton) = next()?;
    let (keys, key_bytes) = next()?;

    let classes = classes(&object.graph);
    let keys = keys_of(&keys.graph)?;
    limits.check(Bound::Entries, "the number of storages", keys.len() as u64)?;
    let mut parts = Parts::default();
    parts.literal(&heads);
    parts.push(Part::Skeleton);
    parts.literal(&key_bytes);
    let (mut storages, mut spans) = (Vec::with_capacity(keys.len()), Vec::with_capacity(keys.len()));
    for key in keys {
        let (class, expected) =
            classes.get(key.as_str()).ok_or_else(|| TorchError::MissingStorage { key: key.clone() })?;
        let item_bytes =
            dtype_of_class(class).ok_or(TorchError::BadReference("its class is no storage's"))?;
        let item_bytes = item_bytes.item_bytes();
        let length = read(source, offset, 8)?;
        parts.literal(&length);
        offset += 8;
        let elements = u64::from_le_bytes(length.try_into().expect("eight bytes were read"));
        let bytes = elements.checked_mul(item_bytes).filter(|bytes| *bytes <= source.bytes() - offset);
        let bytes = bytes.filter(|_| elements == *expected).ok_or_else(|| TorchError::StorageLength {
            key: key.clone(),
            expected: expected.saturating_mul(item_bytes),
            found: elements.saturating_mul(item_bytes),
        })?;
        parts.push(Part::Storage(StorageId(storages.len() as u32)));
        storages.push(Storage { key, bytes });
        spans.push(Span { offset, bytes, crc32: None, inflated: None });
        offset += bytes;
    }
    let trailing_bytes = source.bytes() - offset;
    let mut notes = Vec::new();
    if trailing_bytes > 0 {
        limits.check(Bound::LiteralBytes, "what follows the storages", trailing_bytes)?;
        parts.literal(&read(source, offset, trailing_bytes)?);
        let message = format!("{trailing_bytes} bytes follow the last storage");
        notes.push(Note { code: "W_TRAILING_BYTES", message });
    }
    let outline = Outline {
        format: Format::TorchLegacy,
        skeleton,
        attributes: BTreeMap::new(),
        extras: Vec::new(),
        storages,
        parts: parts.finish(),
    };
    Ok(Scanned { outline, spans, notes })
}

pub(in crate::format) fn decode(outline: &Outline, limits: &Limits) -> Result<Graph, FormatError> {
    let mut graph = pickle::read(&outline.skeleton, limits)?.graph;
    graph.storages.clone_from(&outline.storages);
    lift::lift(&mut graph, Dialect::Legacy, limits)?;
    Ok(graph)
}

/// Lays out a file with storages numbered in the order of first use, in the place of the addresses that torch
/// wrote, and without what followed them.
pub(in crate::format) fn encode(
    graph: &Graph,
    like: &Outline,
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Encoded, FormatError> {
    let protocol = pickle::extent(&like.skeleton)?.protocol;
    let lowered = lower::lower(graph, protocol, Dialect::Legacy, facts)?;
    let mut numbered: Vec<(String, &lower::Used)> =
        lowered.used.iter().enumerate().map(|(number, used)| (number.to_string(), used)).collect();
    numbered.sort_by(|one, other| one.0.cmp(&other.0));

    let mut keys = Graph { nodes: vec![Kind::List.into()], root: NodeId(0), storages: Vec::new() };
    for (key, _) in &numbered {
        let key = keys.add_str(key);
        keys.node_mut(NodeId(0)).tail.push(Tail::Append(key));
    }
    let mut parts = Parts::default();
    if let Some(Part::Literal(heads)) = like.parts.first() {
        parts.literal(heads);
    }
    parts.push(Part::Skeleton);
    parts.literal(&pickle::write(&keys, protocol)?);
    let (mut storages, mut order) = (Vec::new(), Vec::new());
    for (key, used) in numbered {
        parts.literal(&used.elements.to_le_bytes());
        parts.push(Part::Storage(StorageId(storages.len() as u32)));
        storages.push(Storage { key, bytes: used.facts.bytes });
        order.push(used.id);
    }
    let outline = Outline {
        format: like.format,
        skeleton: lowered.pickle,
        attributes: like.attributes.clone(),
        extras: Vec::new(),
        storages,
        parts: parts.finish(),
    };
    Ok(Encoded { outline, order })
}

/// The class and the length in elements of each storage that the object names.
fn classes(graph: &Graph) -> HashMap<&str, (String, u64)> {
    let mut classes = HashMap::new();
    for node in &graph.nodes {
        if let Kind::PersistentId(id) = &node.kind
            && let Some((key, class, elements)) = lift::storage_key(graph, *id)
        {
            classes.entry(key).or_insert((class, elements));
        }
    }
    classes
}

fn keys_of(graph: &Graph) -> Result<Vec<String>, TorchError> {
    let bad = || TorchError::Head("the keys of its storages are no list of texts");
    if !matches!(graph.kind(graph.root), Kind::List) {
        return Err(bad());
    }
    graph.elements(graph.root).map(|key| graph.as_str(key).map(str::to_owned).ok_or_else(bad)).collect()
}
