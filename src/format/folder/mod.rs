//! Folders as one checkpoint: files with what each of them holds, directories and links.
//!
//! The files lie behind each other in the order of their paths; the list of all entries is the skeleton. What
//! a folder shows depends on what it is: the shards of a Hugging Face model are one dict of tensors, those of
//! `torch.distributed.checkpoint` too, and any other folder is a dict by path.

mod archive;
mod dcp;
mod hf;
mod list;
mod walk;
mod way;

use std::collections::HashSet;

use crate::value::{Graph, Kind, Path, StorageId, Tail};

use super::group::{self, Laid, Unit};
use super::source::Window;
use super::{
    Encoded, Format, FormatError, Limits, Note, Outline, Scanned, Source, StorageFacts, bytes, merge,
};

pub use archive::Archive;
pub use list::{Entry, EntryKind, parse as entries_of};
pub use walk::{FolderError, FolderSource};

/// The attribute that says how a folder is shown.
pub(super) const VIEW: &str = "view";
/// The name of the extra that lists all entries.
const ENTRIES: &str = "entries";
/// From this length on, a JSON document in a folder is kept as bytes: a tokenizer's, as a rule.
const MOST_DOCUMENT_BYTES: u64 = 1 << 20;

/// Finds out what a folder is made of.
pub(super) fn scan(source: &FolderSource, limits: &Limits) -> Result<Scanned, FormatError> {
    let mut members = Vec::new();
    let mut offset = 0;
    let (mut held, mut nodes) = (0u64, 0u64);
    for (path, file_bytes) in source.files() {
        let window = Window::new(source, offset, file_bytes);
        let (mut scanned, values) = scan_file(&window, limits)?;
        held = held.saturating_add(scanned.outline.held_bytes());
        nodes = nodes.saturating_add(values);
        // The limits are those of a checkpoint, however many files it has.
        if held > limits.skeleton_bytes || nodes > limits.nodes {
            held -= scanned.outline.held_bytes();
            nodes -= values;
            scanned = kept(&window, "the folder holds more than the limits allow")?;
        }
        members.push((path.to_owned(), offset, scanned));
        offset += file_bytes;
    }
    let mut scanned = group::compose_scanned(Format::Folder, members);
    let view = view_of(&scanned.outline, limits, &mut scanned.notes)?;
    scanned.outline.attributes.insert(VIEW.to_owned(), view.to_owned());
    // Behind the members' own, where `members` takes it off again.
    scanned.outline.extras.push(list::extra(ENTRIES, source.entries()));
    Ok(scanned)
}

/// A file in a folder, and how many values it holds; one that is not sound is kept as bytes, so that the folder
/// can be.
fn scan_file(source: &dyn Source, limits: &Limits) -> Result<(Scanned, u64), FormatError> {
    if source.bytes() == 0 {
        return Ok((bytes::scan_empty(), 0));
    }
    let format = super::detect::detect_with_note(source, limits).map(|(format, _)| format);
    let found = match format {
        Ok(Format::Bytes) => bytes::scan(source).map(|scanned| (scanned, 0)),
        Ok(Format::Json) if source.bytes() > MOST_DOCUMENT_BYTES => {
            bytes::scan(source).map(|scanned| (scanned, 0))
        }
        Ok(format) => super::scan(source, Some(format), limits).and_then(|scanned| {
            let nodes = super::decode(&scanned.outline, limits)?.nodes.len() as u64;
            Ok((scanned, nodes))
        }),
        Err(error) => Err(error),
    };
    match found {
        Err(FormatError::Read { offset, source }) => Err(FormatError::Read { offset, source }),
        Err(error) => {
            let mut why = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(next) = cause {
                why = format!("{why}: {next}");
                cause = next.source();
            }
            kept(source, &why).map(|scanned| (scanned, 0))
        }
        Ok(found) => Ok(found),
    }
}

/// A file that is kept without a look inside.
fn kept(source: &dyn Source, why: &str) -> Result<Scanned, FormatError> {
    let mut scanned = bytes::scan(source)?;
    let message = format!("it is kept as plain bytes: {why}");
    scanned.notes.push(Note { code: "W_KEPT_AS_BYTES", message });
    Ok(scanned)
}

fn view_of(outline: &Outline, limits: &Limits, notes: &mut Vec<Note>) -> Result<&'static str, FormatError> {
    let members = group::split(outline)?;
    if dcp::is_one(&members, limits) {
        return Ok("dcp");
    }
    match hf::check(&members, limits) {
        Ok(true) => Ok("hf"),
        Ok(false) => Ok("files"),
        Err(problem) => {
            let message = format!("the shards are shown file by file: {problem}");
            notes.push(Note { code: "W_INDEX", message });
            Ok("files")
        }
    }
}

/// The tensor that a place belongs to, where the place is that of a piece in a folder of this view; and where in
/// the tensor the piece begins.
pub fn piece(view: Option<&str>, place: &Path) -> Option<(Path, Vec<u64>)> {
    if view != Some("dcp") {
        return None;
    }
    let (tensor, begin) = place.as_str().rsplit_once('/')?;
    let begin = begin.strip_prefix("at ")?;
    let begin = begin.split(',').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    Some((Path::parse(tensor), begin))
}

/// The list of a folder's entries.
fn entries(outline: &Outline) -> Result<Vec<Entry>, FormatError> {
    let extra =
        outline.extras.last().filter(|extra| extra.name == ENTRIES && outline.format == Format::Folder);
    list::parse(&extra.ok_or(FormatError::Group("it is no folder"))?.bytes)
}

/// The files of a folder, each with its own outline, in the order of their paths.
///
/// # Errors
///
/// If the outline is no folder's.
pub fn files(outline: &Outline) -> Result<Vec<Unit>, FormatError> {
    entries(outline)?;
    members(outline)
}

fn members(outline: &Outline) -> Result<Vec<Unit>, FormatError> {
    let mut group = outline.clone();
    group.extras.pop();
    group::split(&group)
}

pub(super) fn decode(outline: &Outline, limits: &Limits) -> Result<Graph, FormatError> {
    let members = members(outline)?;
    let (mut graph, roots) = group::decode(&members, limits)?;
    match outline.attributes.get(VIEW).map(String::as_str) {
        Some("dcp") => dcp::decode(&members, &roots, &mut graph)?,
        Some("hf") => hf::decode(&members, &roots, &mut graph),
        _ => {
            for (member, root) in members.iter().zip(roots) {
                if !matches!(graph.kind(root), Kind::None) {
                    let (key, top) = (graph.add_str(member.name.clone()), graph.root);
                    graph.node_mut(top).tail.push(Tail::Set(key, root));
                }
            }
        }
    }
    Ok(graph)
}

pub(super) fn encode(
    graph: &Graph,
    like: &Outline,
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Encoded, FormatError> {
    if !matches!(graph.kind(graph.root), Kind::Dict) {
        return Err(FormatError::Group("its root is no longer a dict"));
    }
    let members = members(like)?;
    let laid = match like.attributes.get(VIEW).map(String::as_str) {
        Some("dcp") => dcp::encode(graph, &members, facts)?,
        Some("hf") => hf::encode(graph, &members, facts)?,
        _ => each_file(graph, &members, facts)?,
    };
    let listed = entries(like)?;
    let mut encoded = group::encode(Format::Folder, laid);
    encoded.outline.attributes.clone_from(&like.attributes);
    let kept = group::split(&encoded.outline)?;
    let left: HashSet<&str> = kept.iter().map(|member| member.name.as_str()).collect();
    let is_left =
        |entry: &Entry| !matches!(entry.kind, EntryKind::File { .. }) || left.contains(&*entry.path);
    let listed = listed.into_iter().filter(is_left).collect();
    let listed = list::resized(listed, kept.iter().map(|member| (member.name.as_str(), member.bytes)));
    encoded.outline.extras.push(list::extra(ENTRIES, &listed));
    Ok(encoded)
}

/// Every file for itself.
fn each_file(
    graph: &Graph,
    members: &[Unit],
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Vec<Laid>, FormatError> {
    known_keys(graph, |key, _| members.iter().any(|member| member.name == key))?;
    members.iter().filter_map(|member| document(graph, member, facts).transpose()).collect()
}

/// A file that stands under its path, laid out anew if it changed; `None` if it was taken away.
fn document(
    graph: &Graph,
    member: &Unit,
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Option<Laid>, FormatError> {
    let Some(value) = graph.get(graph.root, &member.name) else {
        // What is shown nowhere cannot have been taken away.
        let old = super::decode(&member.outline, &Limits::NONE)?;
        let is_shown = !matches!(old.kind(old.root), Kind::None);
        return Ok((!is_shown).then(|| Laid::unchanged(member)));
    };
    let part = merge::part(graph, value);
    let mut old = super::decode(&member.outline, &Limits::NONE)?;
    for node in &mut old.nodes {
        merge::each_storage(&mut node.kind, |id| id.0 += member.first_storage);
    }
    if merge::nodes(&old, old.root) == part.nodes {
        return Ok(Some(Laid::unchanged(member)));
    }
    Laid::anew(member, part, facts).map(Some)
}

/// Refuses keys of the root that no file has a place for.
fn known_keys(
    graph: &Graph,
    is_known: impl Fn(&str, crate::value::NodeId) -> bool,
) -> Result<(), FormatError> {
    for (key, value) in graph.items(graph.root) {
        let name = graph.as_str(key).unwrap_or_default();
        if !is_known(name, value) {
            return Err(FormatError::NoPlace { key: name.to_owned() });
        }
    }
    Ok(())
}
