//! Other zip archives, exported programs among them, stored entry by entry so that what two of them share is stored
//! once.

use std::collections::BTreeMap;

use crate::value::{Graph, Kind, NodeId, Storage, StorageId};

use super::outline::Parts;
use super::source::read;
use super::{
    Bound, Extra, Format, FormatError, Limits, Note, Outline, Part, Scanned, Source, Span, exported, zip,
};

/// Finds the entries; each is a storage in the form in which it lies in the file.
pub(super) fn scan(source: &dyn Source, limits: &Limits) -> Result<Scanned, FormatError> {
    let directory = zip::directory(source, limits)?;
    let mut parts = Parts::default();
    let (mut storages, mut spans, mut extras) = (Vec::new(), Vec::new(), Vec::new());
    let (mut offset, mut held_bytes) = (0, 0u64);
    for entry in &directory.entries {
        literal(source, &mut parts, &mut offset, entry.data_offset, limits)?;
        if entry.stored_bytes == 0 {
            continue;
        }
        if entry.method == 0
            && exported::is_config(&entry.name)
            && entry.bytes <= exported::MOST_DOCUMENT_BYTES
        {
            held_bytes += entry.bytes;
            limits.check(Bound::ExtraBytes, "the documents of the archive", held_bytes)?;
            parts.push(Part::Extra(extras.len() as u32));
            extras.push(Extra { name: entry.name.clone(), bytes: zip::content(source, entry, limits)? });
            offset += entry.stored_bytes;
            continue;
        }
        parts.push(Part::Storage(StorageId(storages.len() as u32)));
        storages.push(Storage { key: entry.name.clone(), bytes: entry.stored_bytes });
        let crc32 = (entry.method == 0).then_some(entry.crc32);
        spans.push(Span { offset, bytes: entry.stored_bytes, crc32, inflated: None });
        offset += entry.stored_bytes;
    }
    literal(source, &mut parts, &mut offset, source.bytes(), limits)?;
    let outline = Outline {
        format: Format::Zip,
        skeleton: Vec::new(),
        attributes: BTreeMap::new(),
        extras,
        storages,
        parts: parts.finish(),
    };
    let mut notes = Vec::new();
    if outline.extras.is_empty() {
        let message = "a zip file is kept entry by entry: its tensors are not listed and it cannot migrate";
        notes.push(Note { code: "W_KEPT_AS_BYTES", message: message.to_owned() });
    }
    Ok(Scanned { outline, spans, notes })
}

/// Nothing, or the weights of an exported program.
pub(super) fn decode(outline: &Outline, limits: &Limits) -> Graph {
    let root = if outline.extras.is_empty() { Kind::None } else { Kind::Dict };
    let mut graph = Graph { nodes: vec![root.into()], root: NodeId(0), storages: outline.storages.clone() };
    for extra in &outline.extras {
        exported::add_tensors(&mut graph, &extra.name, &extra.bytes, limits);
    }
    graph
}

/// Adds the file from `offset` to `end` as literal bytes.
pub(super) fn literal(
    source: &dyn Source,
    parts: &mut Parts,
    offset: &mut u64,
    end: u64,
    limits: &Limits,
) -> Result<(), FormatError> {
    let bytes = end.saturating_sub(*offset);
    let total = parts.literal_bytes().saturating_add(bytes);
    limits.check(Bound::LiteralBytes, "what lies between the entries", total)?;
    parts.literal(&read(source, *offset, bytes)?);
    *offset = end;
    Ok(())
}
