//! Plain bytes: whatever no other format claims.

use std::collections::BTreeMap;

use crate::value::{Graph, Kind, NodeId, Storage, StorageId};

use super::{Format, Outline, Part, Scanned, Source, Span};

/// The key of the one storage that covers the file.
const CONTENT: &str = "content";

pub(super) fn scan(source: &dyn Source) -> Scanned {
    let bytes = source.bytes();
    let outline = Outline {
        format: Format::Bytes,
        skeleton: Vec::new(),
        attributes: BTreeMap::new(),
        extras: Vec::new(),
        storages: vec![Storage { key: CONTENT.to_owned(), bytes }],
        parts: vec![Part::Storage(StorageId(0))],
    };
    Scanned {
        outline,
        spans: vec![Span { offset: 0, bytes, crc32: None, inflated: None }],
        notes: Vec::new(),
    }
}

/// A file without bytes has nothing to store.
pub(super) fn scan_empty() -> Scanned {
    let mut scanned = scan(&Vec::<u8>::new());
    scanned.outline.storages.clear();
    scanned.outline.parts.clear();
    scanned.spans.clear();
    scanned
}

pub(super) fn decode(outline: &Outline) -> Graph {
    Graph { nodes: vec![Kind::None.into()], root: NodeId(0), storages: outline.storages.clone() }
}
