//! A file as stored objects.

use std::io::{self, Read};

use crate::format::{Format, Part, Scanned, Source, Span};
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::store::{Hint, Writer};
use crate::value::{Graph, Storage, StorageId};

use super::graph::{item_bytes, tensors};
use super::inflate::Inflated;
use super::{SnapshotError, Stored, Tree, TreePart, TreeStorage};

/// A file that was stored.
#[derive(Debug)]
pub struct FileSnapshot {
    /// Name of its tree.
    pub id: ObjectId,
    /// Its tree.
    pub tree: Tree,
    /// BLAKE3 of the whole file; of a folder, of its files one behind the other and of its list.
    pub file: ObjectId,
}

/// Stores a file that was scanned, in one pass over its bytes.
///
/// Checks the CRC-32 of every storage that the container gives one for.
///
/// # Errors
///
/// If the file cannot be read, a storage is damaged, or the store cannot be written.
pub fn write_file(
    source: &dyn Source,
    scanned: &Scanned,
    graph: &Graph,
    writer: &mut Writer<'_>,
    progress: &dyn Progress,
) -> Result<FileSnapshot, SnapshotError> {
    let outline = &scanned.outline;
    let hints = item_bytes(graph);
    let mut hasher = blake3::Hasher::new();
    let mut literals = Vec::new();
    let mut parts = Vec::with_capacity(outline.parts.len());
    let mut storages: Vec<Option<TreeStorage>> = vec![None; outline.storages.len()];
    for part in &outline.parts {
        let bytes = match part {
            Part::Literal(bytes) => {
                literals.extend_from_slice(bytes);
                parts.push(TreePart::Literal(bytes.len() as u64));
                bytes
            }
            Part::Skeleton => {
                parts.push(TreePart::Skeleton);
                &outline.skeleton
            }
            Part::Extra(place) => {
                parts.push(TreePart::Extra(*place));
                &outline.extras[*place as usize].bytes
            }
            Part::Storage(id) => {
                parts.push(TreePart::Storage(id.0));
                let span = scanned.spans[id.index()];
                let storage = &outline.storages[id.index()];
                let hint = Hint { item_bytes: hints[id.index()] };
                let stored = write_span(source, span, storage, hint, writer, &mut |bytes| {
                    hasher.update(bytes);
                    progress.advance(bytes.len() as u64);
                })?;
                storages[id.index()] = Some(stored);
                continue;
            }
        };
        hasher.update(bytes);
        progress.advance(bytes.len() as u64);
    }
    if outline.format == Format::Folder
        && let Some(list) = outline.extras.last()
    {
        hasher.update(&list.bytes);
    }
    // Storages that lie in the file in another form than their bytes are stored all the same.
    for (place, stored) in storages.iter_mut().enumerate() {
        if stored.is_none() {
            let (span, storage) = (scanned.spans[place], &outline.storages[place]);
            let hint = Hint { item_bytes: hints[place] };
            *stored = Some(write_span(source, span, storage, hint, writer, &mut |_| ())?);
        }
    }
    let plain = Hint::default();
    let skeleton = write_bytes(writer, &outline.skeleton, plain)?;
    let literals = write_bytes(writer, &literals, plain)?;
    let extras = outline
        .extras
        .iter()
        .map(|extra| Ok((extra.name.clone(), write_bytes(writer, &extra.bytes, plain)?)));
    let extras = extras.collect::<Result<_, SnapshotError>>()?;
    let tree = Tree {
        format: outline.format.name().to_owned(),
        attributes: outline.attributes.clone(),
        skeleton,
        extras,
        storages: storages.into_iter().flatten().collect(),
        literals,
        parts,
        tensors: tensors(graph, &|id: StorageId| Some(id.0)),
    };
    let id = writer.put(&tree.encode(), plain)?;
    Ok(FileSnapshot { id, tree, file: hasher.finalize().into() })
}

/// Stores bytes from memory.
pub(super) fn write_bytes(
    writer: &mut Writer<'_>,
    bytes: &[u8],
    hint: Hint,
) -> Result<Stored, SnapshotError> {
    Ok(Stored { object: writer.put(bytes, hint)?, bytes: bytes.len() as u64 })
}

fn write_span(
    source: &dyn Source,
    span: Span,
    storage: &Storage,
    hint: Hint,
    writer: &mut Writer<'_>,
    tap: &mut dyn FnMut(&[u8]),
) -> Result<TreeStorage, SnapshotError> {
    let mut crc = crc32fast::Hasher::new();
    let mut reader = SpanReader { source, offset: span.offset, rest: span.bytes };
    let mut tap = |bytes: &[u8]| {
        crc.update(bytes);
        tap(bytes);
    };
    // What the container's CRC-32 covers: the storage, or all that it inflates to.
    let (object, covered) = match span.inflated {
        None => (writer.put_stream(&mut reader, storage.bytes, hint, &mut tap)?, None),
        Some(skipped) => {
            let mut inflated = Inflated::new(reader);
            inflated.skip(skipped).map_err(SnapshotError::Inflate)?;
            let object = writer.put_stream(&mut inflated, storage.bytes, hint, &mut tap)?;
            (object, Some(inflated.finish().map_err(SnapshotError::Inflate)?))
        }
    };
    let crc32 = crc.finalize();
    let found = covered.unwrap_or(crc32);
    match span.crc32 {
        Some(expected) if expected != found => {
            Err(SnapshotError::Crc { key: storage.key.clone(), expected, found })
        }
        _ => {
            let content = Stored { object, bytes: storage.bytes };
            Ok(TreeStorage { key: storage.key.clone(), content, crc32 })
        }
    }
}

/// A run of a source's bytes as a stream.
struct SpanReader<'a> {
    source: &'a dyn Source,
    offset: u64,
    rest: u64,
}

impl Read for SpanReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.rest).unwrap_or(usize::MAX));
        self.source.read_at(self.offset, &mut buffer[..length])?;
        self.offset += length as u64;
        self.rest -= length as u64;
        Ok(length)
    }
}
