//! Files that are pickles and nothing else: one, or several in a row.

use std::collections::BTreeMap;

use crate::value::{Graph, Kind, NodeId, Tail};

use super::super::detect::kept_as_bytes;
use super::super::merge;
use super::super::source::read as read_bytes;
use super::super::{
    Bound, Encoded, Format, FormatError, Limits, Note, Outline, Part, Scanned, Source, StorageFacts, bytes,
};
use super::{Pickle, PickleError, extent, read, write};

/// The attribute that says how many pickles there are, where there are several.
const COUNT: &str = "pickles";

/// First window in which the end of a pickle is looked for, in bytes.
const WINDOW_BYTES: u64 = 1 << 20;

/// Largest file of protocol 0 or 1 that is tried: those have no first bytes of their own.
const MOST_UNMARKED_BYTES: u64 = 64 << 20;

/// Reads one pickle that begins at `offset`, and its bytes.
///
/// Its end is not known before it is read, so ever more of the file is read until it is found.
pub(in crate::format) fn read_at(
    source: &dyn Source,
    offset: u64,
    limits: &Limits,
) -> Result<(Pickle, Vec<u8>), FormatError> {
    let rest = source.bytes().saturating_sub(offset);
    let mut window = WINDOW_BYTES.min(rest);
    loop {
        limits.check(Bound::SkeletonBytes, "the pickle", window)?;
        let mut bytes = read_bytes(source, offset, window)?;
        match read(&bytes, limits) {
            Ok(pickle) => {
                bytes.truncate(pickle.bytes);
                return Ok((pickle, bytes));
            }
            Err(PickleError::Truncated { .. }) if window < rest => {
                window = window.saturating_mul(4).min(rest).min(limits.skeleton_bytes.max(window + 1));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a file may be a pickle: it says so, or it is a whole pickle of the protocols that say nothing.
pub(in crate::format) fn looks_like(source: &dyn Source, head: &[u8], limits: &Limits) -> bool {
    if let [0x80, 2..=5, ..] = head {
        return true;
    }
    // A protocol 0 or 1 pickle ends with STOP, and begins with an opcode that makes a value.
    const FIRST: &[u8] = b"(]})NFIJKLMGVXSTUcd";
    let bytes = source.bytes();
    let is_candidate = head.first().is_some_and(|byte| FIRST.contains(byte)) && bytes <= MOST_UNMARKED_BYTES;
    if !is_candidate || read_bytes(source, bytes - 1, 1).map_or(true, |last| last != b".") {
        return false;
    }
    let whole = read_bytes(source, 0, bytes);
    whole.is_ok_and(|whole| read(&whole, limits).is_ok_and(|pickle| pickle.bytes as u64 == bytes))
}

/// Finds the pickles of a file; what is none is kept as plain bytes, with a note.
pub(in crate::format) fn scan(source: &dyn Source, limits: &Limits) -> Result<Scanned, FormatError> {
    let as_bytes = |why: String| {
        let mut scanned = bytes::scan(source)?;
        let mut note = kept_as_bytes("a file that begins as a pickle and is no sound one");
        note.message = format!("{} ({why})", note.message);
        scanned.notes.push(note);
        Ok(scanned)
    };
    let total = source.bytes();
    if let Err(error) = limits.check(Bound::SkeletonBytes, "the pickle", total) {
        return as_bytes(told(error));
    }
    let mut skeleton = read_bytes(source, 0, total)?;
    let (mut end, mut count, mut buffers, mut references) = (0, 0u64, 0usize, 0usize);
    while end < skeleton.len() {
        match read(&skeleton[end..], limits) {
            Ok(pickle) => {
                end += pickle.bytes;
                count += 1;
                for node in &pickle.graph.nodes {
                    match node.kind {
                        Kind::Buffer(_) => buffers += 1,
                        Kind::PersistentId(_) | Kind::PersistentLine(_) => references += 1,
                        _ => {}
                    }
                }
            }
            Err(error) if count == 0 => return as_bytes(told(error.into())),
            Err(_) => break,
        }
        limits.check(Bound::Entries, "the number of pickles", count)?;
    }
    let trailing = skeleton.split_off(end);
    let mut notes = Vec::new();
    let mut parts = vec![Part::Skeleton];
    if !trailing.is_empty() {
        let message = format!("{} bytes follow the last pickle", trailing.len());
        notes.push(Note { code: "W_TRAILING_BYTES", message });
        parts.push(Part::Literal(trailing));
    }
    if buffers > 0 {
        let message =
            format!("{buffers} buffers of this pickle lie in other files, which are not stored here");
        notes.push(Note { code: "W_OUT_OF_BAND", message });
    }
    if references > 0 {
        let message =
            format!("{references} values of this pickle lie in other files, which are not stored here");
        notes.push(Note { code: "W_OUT_OF_BAND", message });
    }
    let mut attributes = BTreeMap::new();
    if count > 1 {
        attributes.insert(COUNT.to_owned(), count.to_string());
    }
    let outline = Outline {
        format: Format::Pickle,
        skeleton,
        attributes,
        extras: Vec::new(),
        storages: Vec::new(),
        parts,
    };
    Ok(Scanned { outline, spans: Vec::new(), notes })
}

/// Why a pickle is kept as bytes, and what would change that.
fn told(error: FormatError) -> String {
    let bound = error.bound();
    let text = match error {
        FormatError::Pickle(error) => error.to_string(),
        error => error.to_string(),
    };
    match bound {
        Some(bound) => format!("{text}: {} raises the limit", bound.option()),
        None => text,
    }
}

/// Several pickles are one list, an item each; no item shares anything with another.
pub(in crate::format) fn decode(outline: &Outline, limits: &Limits) -> Result<Graph, FormatError> {
    let first = read(&outline.skeleton, limits)?;
    if !outline.attributes.contains_key(COUNT) {
        return Ok(first.graph);
    }
    let mut graph = Graph { nodes: vec![Kind::List.into()], root: NodeId(0), storages: Vec::new() };
    let mut end = 0;
    while end < outline.skeleton.len() {
        let pickle = read(&outline.skeleton[end..], limits)?;
        end += pickle.bytes;
        limits.check(
            Bound::Values,
            "the number of values",
            (graph.nodes.len() + pickle.graph.nodes.len()) as u64,
        )?;
        let item = merge::append(&mut graph, pickle.graph);
        graph.node_mut(NodeId(0)).tail.push(Tail::Append(item));
    }
    Ok(graph)
}

pub(in crate::format) fn encode(
    graph: &Graph,
    like: &Outline,
    _facts: &dyn Fn(crate::value::StorageId) -> StorageFacts,
) -> Result<Encoded, FormatError> {
    let mut skeleton = Vec::new();
    let mut attributes = like.attributes.clone();
    if attributes.contains_key(COUNT) && matches!(graph.kind(graph.root), Kind::List) {
        let (mut end, mut count) = (0, 0u64);
        for item in graph.elements(graph.root) {
            let protocol = match like.skeleton.get(end..).map(extent) {
                Some(Ok(old)) => {
                    end += old.bytes;
                    old.protocol
                }
                _ => 2,
            };
            skeleton.extend(write(&merge::part(graph, item), protocol)?);
            count += 1;
        }
        attributes.insert(COUNT.to_owned(), count.to_string());
    } else {
        attributes.remove(COUNT);
        skeleton = write(graph, extent(&like.skeleton)?.protocol)?;
    }
    let outline = Outline {
        format: Format::Pickle,
        skeleton,
        attributes,
        extras: Vec::new(),
        storages: Vec::new(),
        parts: vec![Part::Skeleton],
    };
    Ok(Encoded { outline, order: Vec::new() })
}
