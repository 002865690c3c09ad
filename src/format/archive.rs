//! Zip archives of no known kind, stored entry by entry so that what two of them share is stored once.

use std::collections::BTreeMap;

use crate::value::{Graph, Kind, NodeId, Storage, StorageId};

use super::error::check_limit;
use super::outline::Parts;
use super::source::read;
use super::{Format, FormatError, Limits, Note, Outline, Part, Scanned, Source, Span, zip};

/// Finds the entries; each is a storage in the form in which it lies in the file.
pub(super) fn scan(source: &dyn Source, limits: &Limits) -> Result<Scanned, FormatError> {
    let directory = zip::directory(source, limits)?;
    let mut parts = Parts::default();
    let (mut storages, mut spans) = (Vec::new(), Vec::new());
    let mut offset = 0;
    for entry in &directory.entries {
        literal(source, &mut parts, &mut offset, entry.data_offset, limits)?;
        if entry.stored_bytes == 0 {
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
        extras: Vec::new(),
        storages,
        parts: parts.finish(),
    };
    let message =
        "a zip file is kept entry by entry: its tensors are not listed and it cannot migrate".to_owned();
    Ok(Scanned { outline, spans, notes: vec![Note { code: "W_KEPT_AS_BYTES", message }] })
}

pub(super) fn decode(outline: &Outline) -> Graph {
    Graph { nodes: vec![Kind::None.into()], root: NodeId(0), storages: outline.storages.clone() }
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
    check_limit("what lies between the entries", total, limits.literal_bytes)?;
    parts.literal(&read(source, *offset, bytes)?);
    *offset = end;
    Ok(())
}
