//! NumPy archives: a zip of arrays, stored or deflated.
//!
//! A deflated member is stored twice: deflated, as the file has it, and inflated, as its tensor needs it. What
//! is written anew is not compressed.

use std::collections::{BTreeMap, HashMap};

use crate::value::{Graph, Kind, Storage, StorageId, Tail};

use super::archive::literal;
use super::error::check_limit;
use super::npy::{self, Header, NpyError};
use super::outline::Parts;
use super::zip::{self, Directory, Entry, ZipWriter};
use super::{
    Bound, Encoded, Extra, Format, FormatError, Limits, Outline, Part, Scanned, Source, Span, StorageFacts,
};

/// What the names of members end with.
const SUFFIX: &str = ".npy";
/// What stands before the name of a member in its deflated form.
const DEFLATED: &str = "../";

/// Whether an archive holds arrays and nothing else.
pub(super) fn is_one(directory: &Directory) -> bool {
    !directory.entries.is_empty() && directory.entries.iter().all(|entry| entry.name.ends_with(SUFFIX))
}

pub(super) fn scan(source: &dyn Source, limits: &Limits) -> Result<Scanned, FormatError> {
    let directory = zip::directory(source, limits)?;
    let mut parts = Parts::default();
    let (mut storages, mut spans, mut extras, mut notes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut offset, mut header_total) = (0, 0u64);
    for entry in &directory.entries {
        zip::check_inflated(entry, limits)?;
        let bytes = head(source, entry, limits)?;
        header_total += bytes.len() as u64;
        limits.check(Bound::ExtraBytes, "the headers of the arrays", header_total)?;
        let header = Header::parse(&bytes, limits)?;
        let header_bytes = bytes.len() as u64;
        let data_bytes = entry.bytes.saturating_sub(header_bytes);
        if header.data_bytes().is_some_and(|expected| expected != data_bytes) {
            let expected = header.data_bytes().unwrap_or_default();
            return Err(NpyError::Length { expected, found: data_bytes }.into());
        }
        let name = entry.name.strip_suffix(SUFFIX).unwrap_or(&entry.name);
        notes.extend(npy::object_note(&header, &format!("the array `{name}`")));
        literal(source, &mut parts, &mut offset, entry.data_offset, limits)?;
        let id = StorageId(storages.len() as u32);
        storages.push(Storage { key: name.to_owned(), bytes: data_bytes });
        if entry.method == 0 {
            parts.push(Part::Extra(extras.len() as u32));
            parts.push(Part::Storage(id));
            // The checksum covers header and elements; that of the elements alone follows from it.
            let crc32 = Some(zip::crc_of_rest(entry.crc32, &bytes, data_bytes));
            spans.push(Span { offset: offset + header_bytes, bytes: data_bytes, crc32, inflated: None });
        } else {
            spans.push(Span {
                offset,
                bytes: entry.stored_bytes,
                crc32: Some(entry.crc32),
                inflated: Some(header_bytes),
            });
            parts.push(Part::Storage(StorageId(storages.len() as u32)));
            storages.push(Storage { key: format!("{DEFLATED}{}", entry.name), bytes: entry.stored_bytes });
            spans.push(Span { offset, bytes: entry.stored_bytes, crc32: None, inflated: None });
        }
        extras.push(Extra { name: name.to_owned(), bytes });
        offset += entry.stored_bytes;
    }
    literal(source, &mut parts, &mut offset, source.bytes(), limits)?;
    let outline = Outline {
        format: Format::Npz,
        skeleton: Vec::new(),
        attributes: BTreeMap::new(),
        extras,
        storages,
        parts: parts.finish(),
    };
    Ok(Scanned { outline, spans, notes })
}

/// The header of a member.
fn head(source: &dyn Source, entry: &Entry, limits: &Limits) -> Result<Vec<u8>, FormatError> {
    let first = zip::beginning(source, entry, 12, limits)?;
    let header_bytes = npy::head_bytes(&first)?;
    check_limit("the header", header_bytes, npy::MOST_HEADER_BYTES)?;
    let bytes = zip::beginning(source, entry, header_bytes, limits)?;
    if bytes.len() as u64 != header_bytes {
        return Err(NpyError::Header("the member ends inside it").into());
    }
    Ok(bytes)
}

/// The arrays by their names.
pub(super) fn decode(outline: &Outline, limits: &Limits) -> Result<Graph, FormatError> {
    let places: HashMap<&str, u32> =
        outline.storages.iter().zip(0..).map(|(storage, place)| (storage.key.as_str(), place)).collect();
    let mut graph = Graph::new();
    graph.storages.clone_from(&outline.storages);
    for extra in &outline.extras {
        let header = Header::parse(&extra.bytes, limits)?;
        let missing = NpyError::Header("its elements are missing");
        let place = *places.get(extra.name.as_str()).ok_or(missing)?;
        let value = npy::value(&header, StorageId(place), outline.storages[place as usize].bytes)?;
        let (key, value) = (graph.add_str(extra.name.clone()), graph.add(value));
        let root = graph.root;
        graph.node_mut(root).tail.push(Tail::Set(key, value));
    }
    Ok(graph)
}

pub(super) fn encode(
    graph: &Graph,
    like: &Outline,
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Encoded, FormatError> {
    let cannot = |path: &str, what| NpyError::Unwritable { path: path.to_owned(), what };
    if !matches!(graph.kind(graph.root), Kind::Dict) {
        return Err(cannot("", "the root is no dict").into());
    }
    let (mut storages, mut extras, mut order) = (Vec::new(), Vec::new(), Vec::new());
    let mut places: HashMap<StorageId, u32> = HashMap::new();
    let mut file = ZipWriter::default();
    for (key, value) in graph.items(graph.root) {
        let name = graph.as_str(key).ok_or_else(|| cannot("", "a key is no text"))?;
        let member = format!("{name}{SUFFIX}");
        if !zip::is_safe_name(&member) {
            return Err(cannot(name, "it is no name for a member of an archive").into());
        }
        let (header, id) = npy::header_of(graph, value, name, facts)?;
        let facts = facts(id);
        let place = *places.entry(id).or_insert_with(|| {
            storages.push(Storage { key: name.to_owned(), bytes: facts.bytes });
            order.push(id);
            storages.len() as u32 - 1
        });
        let crc32 = zip::crc_of_both(&header, facts.crc32, facts.bytes);
        let bytes = (header.len() as u64).checked_add(facts.bytes);
        let bytes = bytes.ok_or_else(|| cannot(name, "it is too long"))?;
        let content = [Part::Extra(extras.len() as u32), Part::Storage(StorageId(place))];
        file.add(&member, crc32, bytes, content);
        extras.push(Extra { name: name.to_owned(), bytes: header });
    }
    let outline = Outline {
        format: Format::Npz,
        skeleton: Vec::new(),
        attributes: like.attributes.clone(),
        extras,
        storages,
        parts: file.finish(),
    };
    Ok(Encoded { outline, order })
}
