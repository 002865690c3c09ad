//! What `torch.save` wrote before PyTorch 0.2: a tar of the pickle, the storages and the tensors.
//!
//! Meaning: `legacy_load` in `torch/serialization.py`. `storages` is their number, then for each its key, location and
//! class as a pickle, its length in elements and its bytes; then the views of them. `tensors` is their number, then
//! for each its key, storage and class as a pickle, and its shape. `pickle` names tensors by their keys.

use std::collections::{BTreeMap, HashMap};

use crate::value::{Graph, Kind, NodeId, Storage, StorageId, StorageRef, StorageView, Tensor};

use super::super::outline::Parts;
use super::super::pickle::file::read_at;
use super::super::source::{Window, read};
use super::super::{
    Bound, Extra, Format, FormatError, Limits, Outline, Part, Scanned, Source, Span, archive, merge, pickle,
};
use super::TorchError;
use super::storage::dtype_of_class;

/// Length of a header and of the padding's unit, in bytes (POSIX.1-1988 ustar).
const BLOCK_BYTES: u64 = 512;
/// Entries of such a tar, with room for the headers that other writers of tars add.
const MOST_ENTRIES: usize = 16;
/// The attribute of a storage is this, then its key; it holds the class and the location.
const STORAGE: &str = "storage:";
/// The attribute of a view is this, then its key; it holds the storage's key, the offset and the length.
const VIEW: &str = "view:";

/// Whether a file is such a tar.
pub(in crate::format) fn is_one(source: &dyn Source, head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar") && Entries::find(source).is_ok_and(|entries| entries.is_some())
}

/// Where the three entries lie: their first bytes and lengths.
struct Entries {
    pickle: (u64, u64),
    tensors: (u64, u64),
    storages: (u64, u64),
}

impl Entries {
    fn find(source: &dyn Source) -> Result<Option<Entries>, FormatError> {
        let mut found: HashMap<Vec<u8>, (u64, u64)> = HashMap::new();
        let mut offset = 0u64;
        for _ in 0..MOST_ENTRIES {
            if offset.saturating_add(BLOCK_BYTES) > source.bytes() {
                break;
            }
            let head = read(source, offset, BLOCK_BYTES)?;
            let field = |range: std::ops::Range<usize>| {
                let field = &head[range];
                field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
            };
            let length = String::from_utf8(field(124..136)).ok();
            let Some(bytes) = length.and_then(|length| u64::from_str_radix(length.trim(), 8).ok()) else {
                break;
            };
            let start = offset + BLOCK_BYTES;
            let Some(end) = start.checked_add(bytes).filter(|end| *end <= source.bytes()) else { break };
            if matches!(head[156], b'0' | 0) && found.insert(field(0..100), (start, bytes)).is_some() {
                return Ok(None);
            }
            offset = end.next_multiple_of(BLOCK_BYTES);
        }
        let entry = |name: &str| found.get(name.as_bytes()).copied();
        let entries = (entry("pickle"), entry("tensors"), entry("storages"));
        let (Some(pickle), Some(tensors), Some(storages)) = entries else { return Ok(None) };
        Ok(Some(Entries { pickle, tensors, storages }))
    }
}

/// Finds out what the tar is made of.
pub(in crate::format) fn scan(source: &dyn Source, limits: &Limits) -> Result<Scanned, FormatError> {
    let entries = Entries::find(source)?.ok_or(TorchError::MissingEntry("storages"))?;
    limits.check(Bound::SkeletonBytes, "the pickle", entries.pickle.1)?;
    limits.check(Bound::ExtraBytes, "the list of tensors", entries.tensors.1)?;
    let mut attributes = BTreeMap::new();
    let (mut storages, mut spans) = (Vec::new(), Vec::new());
    let (first, length) = entries.storages;
    let window = Window::new(source, first, length);
    let mut offset = 0;
    let count = number(&window, &mut offset, limits)?;
    limits.check(Bound::Entries, "the number of storages", count)?;
    for _ in 0..count {
        let (head, bytes) = read_at(&window, offset, limits)?;
        offset += bytes.len() as u64;
        let [key, location, class] = parts(&head.graph)?;
        let (key, location) = (key_of(&head.graph, key)?, head.graph.as_str(location));
        let (module, name) = head.graph.as_global(class).ok_or(bad("its class is none"))?;
        let class = format!("{module}.{name}");
        let dtype = dtype_of_class(&class).ok_or(bad("its class is none of torch's storages"))?;
        let elements = u64::from_le_bytes(take(&window, &mut offset)?);
        let bytes = elements.checked_mul(dtype.item_bytes()).filter(|bytes| *bytes <= length - offset);
        let bytes = bytes.ok_or_else(|| TorchError::StorageLength {
            key: key.clone(),
            expected: elements.saturating_mul(dtype.item_bytes()),
            found: length - offset,
        })?;
        let about = format!("{class} {}", location.unwrap_or("cpu"));
        if attributes.insert(format!("{STORAGE}{key}"), about).is_some() {
            return Err(bad("its key is there twice").into());
        }
        storages.push(Storage { key, bytes });
        spans.push(Span { offset: first + offset, bytes, crc32: None, inflated: None });
        offset += bytes;
    }
    if offset < length {
        let (views, _) = read_at(&window, offset, limits)?;
        for view in views.graph.elements(views.graph.root) {
            let [target, root, offset, elements] = items(&views.graph, view)?;
            let place = |node| views.graph.as_int(node).and_then(|value| u64::try_from(value).ok());
            let (Some(offset), Some(elements)) = (place(offset), place(elements)) else {
                return Err(bad("its view is damaged").into());
            };
            let (target, root) = (key_of(&views.graph, target)?, key_of(&views.graph, root)?);
            attributes.insert(format!("{VIEW}{target}"), format!("{root} {offset} {elements}"));
        }
    }

    let (pickle, tensors) = (entries.pickle, entries.tensors);
    let mut places: Vec<(u64, u64, Part)> =
        vec![(pickle.0, pickle.1, Part::Skeleton), (tensors.0, tensors.1, Part::Extra(0))];
    places
        .extend((0..).zip(&spans).map(|(id, span)| (span.offset, span.bytes, Part::Storage(StorageId(id)))));
    places.sort_by_key(|(offset, ..)| *offset);
    let (mut out, mut reached) = (Parts::default(), 0);
    for (offset, bytes, part) in places {
        archive::literal(source, &mut out, &mut reached, offset, limits)?;
        out.push(part);
        reached = offset + bytes;
    }
    archive::literal(source, &mut out, &mut reached, source.bytes(), limits)?;
    let outline = Outline {
        format: Format::TorchTar,
        skeleton: read(source, pickle.0, pickle.1)?,
        attributes,
        extras: vec![Extra { name: "tensors".to_owned(), bytes: read(source, tensors.0, tensors.1)? }],
        storages,
        parts: out.finish(),
    };
    Ok(Scanned { outline, spans, notes: Vec::new() })
}

/// Decodes the pickle and puts the tensors in the place of their keys, one node each.
pub(in crate::format) fn decode(outline: &Outline, limits: &Limits) -> Result<Graph, FormatError> {
    let mut graph = pickle::read(&outline.skeleton, limits)?.graph;
    graph.storages.clone_from(&outline.storages);
    let list = outline.extras.first().ok_or(TorchError::MissingEntry("tensors"))?;
    let tensors = tensors(outline, &list.bytes, limits)?;
    let mut places: Vec<NodeId> = (0..graph.nodes.len() as u32).map(NodeId).collect();
    let mut first: HashMap<String, NodeId> = HashMap::new();
    for id in places.clone() {
        let key = match graph.kind(id) {
            Kind::PersistentId(key) => key_of(&graph, *key).ok(),
            Kind::PersistentLine(line) => String::from_utf8(line.clone()).ok(),
            _ => None,
        };
        let Some(key) = key else { continue };
        let Some(tensor) = tensors.get(&key) else {
            return Err(TorchError::MissingStorage { key }.into());
        };
        graph.node_mut(id).kind = Kind::Tensor(Box::new(tensor.clone()));
        places[id.index()] = *first.entry(key).or_insert(id);
    }
    for node in &mut graph.nodes {
        merge::each_child(node, |id| *id = places[id.index()]);
    }
    graph.root = places[graph.root.index()];
    Ok(graph)
}

/// The tensors of the list, by their keys.
fn tensors(outline: &Outline, list: &[u8], limits: &Limits) -> Result<HashMap<String, Tensor>, FormatError> {
    let ids: HashMap<&str, StorageId> =
        (0..).zip(&outline.storages).map(|(id, storage)| (storage.key.as_str(), StorageId(id))).collect();
    let mut offset = 0;
    let count = number(&list, &mut offset, limits)?;
    limits.check(Bound::Values, "the number of tensors", count)?;
    let mut out = HashMap::new();
    for _ in 0..count {
        let (head, bytes) = read_at(&list, offset, limits)?;
        offset += bytes.len() as u64;
        let [key, storage, _] = parts(&head.graph)?;
        let (key, storage) = (key_of(&head.graph, key)?, key_of(&head.graph, storage)?);
        let storage = reference(outline, &ids, &storage)?;
        let wrong = |problem| TorchError::Tensor { key: key.clone(), problem };
        let dtype = dtype_of_class(&storage.class).ok_or(wrong("its type is not known"))?;
        let dimensions = u32::from_le_bytes(take(&list, &mut offset)?) as usize;
        let _unused: [u8; 4] = take(&list, &mut offset)?;
        if dimensions > limits.dimensions {
            return Err(wrong("it has too many dimensions").into());
        }
        let mut extents = || -> Result<Vec<u64>, FormatError> {
            (0..dimensions).map(|_| Ok(u64::from_le_bytes(take(&list, &mut offset)?))).collect()
        };
        let (shape, strides) = (extents()?, extents()?);
        let begin = u64::from_le_bytes(take(&list, &mut offset)?);
        let begin = begin.checked_add(storage.view.map_or(0, |view| view.offset));
        let offset = begin.ok_or(wrong("it reaches further than can be counted"))?;
        let most = outline.storages[storage.storage.index()].bytes;
        let (requires_grad, hooks, metadata) = (false, None, None);
        let tensor = Tensor { dtype, shape, strides, offset, storage, requires_grad, hooks, metadata };
        if tensor.bytes().is_none() || tensor.end_byte().is_none_or(|end| end > most) {
            return Err(wrong("it reaches beyond its storage").into());
        }
        out.insert(key, tensor);
    }
    Ok(out)
}

/// The storage of a key, or the view of one.
fn reference(outline: &Outline, ids: &HashMap<&str, StorageId>, key: &str) -> Result<StorageRef, TorchError> {
    let missing = || TorchError::MissingStorage { key: key.to_owned() };
    let (root, view) = match outline.attributes.get(&format!("{VIEW}{key}")) {
        Some(view) => {
            let mut words = view.rsplitn(3, ' ');
            let mut number = || words.next().and_then(|word| word.parse().ok());
            let (elements, offset) = (number().ok_or_else(missing)?, number().ok_or_else(missing)?);
            (words.next().ok_or_else(missing)?, Some(StorageView { offset, elements }))
        }
        None => (key, None),
    };
    let storage = *ids.get(root).ok_or_else(missing)?;
    let about = outline.attributes.get(&format!("{STORAGE}{root}")).ok_or_else(missing)?;
    let (class, location) = about.split_once(' ').ok_or_else(missing)?;
    let item_bytes = dtype_of_class(class).ok_or_else(missing)?.item_bytes();
    let elements = outline.storages[storage.index()].bytes / item_bytes;
    Ok(StorageRef { storage, class: class.to_owned(), location: location.to_owned(), elements, view })
}

fn bad(what: &'static str) -> TorchError {
    TorchError::BadReference(what)
}

/// The next pickle, which is a number.
fn number(source: &dyn Source, offset: &mut u64, limits: &Limits) -> Result<u64, FormatError> {
    let (pickle, bytes) = read_at(source, *offset, limits)?;
    *offset += bytes.len() as u64;
    let number = pickle.graph.as_int(pickle.graph.root).and_then(|number| u64::try_from(number).ok());
    Ok(number.ok_or(bad("their number is none"))?)
}

fn take<const N: usize>(source: &dyn Source, offset: &mut u64) -> Result<[u8; N], FormatError> {
    let bytes = read(source, *offset, N as u64)?;
    *offset += N as u64;
    Ok(bytes.try_into().expect("as many bytes as were asked for"))
}

fn parts<const N: usize>(graph: &Graph) -> Result<[NodeId; N], TorchError> {
    items(graph, graph.root)
}

/// The items of a tuple of so many.
fn items<const N: usize>(graph: &Graph, id: NodeId) -> Result<[NodeId; N], TorchError> {
    let Kind::Tuple(items) = graph.kind(id) else { return Err(bad("it is no tuple")) };
    items.as_slice().try_into().map_err(|_| bad("it has not as many parts as it must"))
}

/// A key as text; torch used the addresses of objects.
fn key_of(graph: &Graph, id: NodeId) -> Result<String, TorchError> {
    match graph.kind(id) {
        Kind::Int(key) => Ok(key.to_string()),
        Kind::BigInt(key) => Ok(key.to_string()),
        _ => graph.as_str(id).map(str::to_owned).ok_or(bad("its key is none")),
    }
}
