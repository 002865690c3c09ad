//! The files of a folder, and what of a checkpoint only its bytes tell.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::format::{self, Entry, EntryKind, Format, Outline};
use crate::object::ObjectId;
use crate::snapshot::{SnapshotError, Tree, TreeStorage, read_outline};
use crate::store::Reader;

use super::RepoError;

/// What a folder has in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedFile {
    /// Where and what it is.
    #[serde(flatten)]
    pub entry: Entry,
    /// The format of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// A file of a folder, or another entry, that differs in what neither tensors nor values show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its path in the folder; empty where the checkpoint is one file.
    pub path: String,
    /// What was there.
    pub before: Option<String>,
    /// What is there.
    pub after: Option<String>,
}

/// What a folder has in it; `None` where the checkpoint is one file.
pub(super) fn files(reader: &Reader<'_>, tree: &Tree) -> Result<Option<Vec<ListedFile>>, RepoError> {
    if !tree.is_folder() {
        return Ok(None);
    }
    let outline = read_outline(reader, tree)?;
    let files = format::folder_files(&outline).map_err(SnapshotError::from)?;
    let mut formats: HashMap<String, Format> =
        files.into_iter().map(|file| (file.name, file.outline.format)).collect();
    let listed = |entry: Entry| {
        let format = formats.remove(&entry.path).map(|format| format.name().to_owned());
        ListedFile { entry, format }
    };
    Ok(Some(entries(&outline)?.into_iter().map(listed).collect()))
}

/// The list of a folder's entries.
fn entries(outline: &Outline) -> Result<Vec<Entry>, RepoError> {
    let list = outline.extras.last().map_or(&[][..], |list| &list.bytes);
    Ok(format::folder_entries(list).map_err(SnapshotError::from)?)
}

/// What differs in bytes that nothing else shows, and in what a folder has besides files.
pub(super) fn changed_files(
    reader: &Reader<'_>,
    old: &Tree,
    new: &Tree,
) -> Result<Vec<FileChange>, RepoError> {
    if old == new || old.is_folder() != new.is_folder() {
        return Ok(Vec::new());
    }
    let (before, mut after) = (listed(reader, old)?, listed(reader, new)?);
    let mut out = Vec::new();
    for (path, was) in before {
        let is = after.remove(&path);
        if is.as_ref().is_none_or(|is| is.content != was.content || is.kind != was.kind) {
            out.push(FileChange { path, before: Some(was.text()), after: is.map(|is| is.text()) });
        }
    }
    let added = |(path, is): (String, Listed)| FileChange { path, before: None, after: Some(is.text()) };
    out.extend(after.into_iter().map(added));
    out.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(out)
}

/// An entry of a folder, or a file by itself.
struct Listed {
    /// What it is, with permission bits or where it leads.
    kind: String,
    bytes: Option<u64>,
    /// What it is made of, where neither tensors nor values show that.
    content: Option<(Outline, Vec<ObjectId>)>,
}

impl Listed {
    fn text(&self) -> String {
        match self.bytes {
            Some(bytes) if self.kind.is_empty() => format!("{bytes} bytes"),
            Some(bytes) => format!("{bytes} bytes, {}", self.kind),
            None => self.kind.clone(),
        }
    }
}

fn listed(reader: &Reader<'_>, tree: &Tree) -> Result<BTreeMap<String, Listed>, RepoError> {
    let objects =
        |storages: &[TreeStorage]| storages.iter().map(|storage| storage.content.object).collect::<Vec<_>>();
    let outline = match Format::from_name(&tree.format) {
        Some(format) if format == Format::Folder || is_opaque(format) => read_outline(reader, tree)?,
        _ => return Ok(BTreeMap::new()),
    };
    if outline.format != Format::Folder {
        let content = Some((outline, objects(&tree.storages)));
        let file = Listed { kind: String::new(), bytes: Some(tree.file_bytes()), content };
        return Ok(BTreeMap::from([(String::new(), file)]));
    }
    let mut out = BTreeMap::new();
    for entry in entries(&outline)? {
        let (kind, bytes) = match entry.kind {
            EntryKind::File { bytes, mode } => (format!("mode {mode:o}"), Some(bytes)),
            EntryKind::Directory { mode } => (format!("a directory, mode {mode:o}"), None),
            EntryKind::Link { target } => (format!("a link to {target}"), None),
        };
        out.insert(entry.path, Listed { kind, bytes, content: None });
    }
    for file in format::folder_files(&outline).map_err(SnapshotError::from)? {
        let first = file.first_storage as usize;
        let own = tree.storages.get(first..first + file.outline.storages.len()).unwrap_or_default();
        if is_opaque(file.outline.format)
            && let Some(entry) = out.get_mut(&file.name)
        {
            entry.content = Some((file.outline, objects(own)));
        }
    }
    Ok(out)
}

/// Whether neither tensors nor values show what such a file holds, or not all of it.
fn is_opaque(format: Format) -> bool {
    matches!(format, Format::Bytes | Format::Zip)
}
