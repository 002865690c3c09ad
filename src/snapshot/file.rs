//! A file as stored objects.

use std::io::{self, Read};

use crate::format::{Outline, Part, Scanned, Source, Span};
use crate::object::ObjectId;
use crate::progress::{Progress, Silent};
use crate::store::{Hint, Writer};
use crate::value::{Graph, StorageId};

use super::graph::{hints, tensors};
use super::inflate::Inflated;
use super::likeness::likes;
use super::{SnapshotError, Stored, Tree, TreePart, TreeStorage};

/// A file that was stored.
#[derive(Debug)]
pub struct FileSnapshot {
    /// Name of its tree.
    pub id: ObjectId,
    /// Its tree.
    pub tree: Tree,
}

/// Stores a file that was scanned, in one pass over its bytes.
///
/// Checks the CRC-32 of every storage that the container gives one for. Tensors may be stored as differences
/// to those of `base`, a checkpoint that this one came from.
///
/// # Errors
///
/// If the file cannot be read, a storage is damaged, or the store cannot be written.
pub fn write_file(
    source: &dyn Source,
    scanned: &Scanned,
    graph: &Graph,
    base: Option<&Tree>,
    writer: &mut Writer<'_>,
    progress: &dyn Progress,
) -> Result<FileSnapshot, SnapshotError> {
    let outline = &scanned.outline;
    let tensors = tensors(graph, &|id: StorageId| Some(id.0));
    let mut hints = hints(graph);
    if let Some(base) = base {
        let bytes: Vec<u64> = outline.storages.iter().map(|storage| storage.bytes).collect();
        for (hint, like) in hints.iter_mut().zip(likes(&tensors, &bytes, base)) {
            *hint = hint.like(like);
        }
    }
    let mut literals = Vec::new();
    let mut parts = Vec::with_capacity(outline.parts.len());
    // In the order in which they are queued.
    let mut queued = Vec::with_capacity(outline.storages.len());
    let mut is_queued = vec![false; outline.storages.len()];
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
                let place = id.index();
                let (span, bytes) = (scanned.spans[place], outline.storages[place].bytes);
                let covered = queue_span(source, span, bytes, hints[place], writer, progress)?;
                queued.push((place, covered));
                is_queued[place] = true;
                continue;
            }
        };
        progress.advance(bytes.len() as u64);
    }
    // Storages that lie in the file in another form than their bytes are stored all the same.
    for place in (0..outline.storages.len()).filter(|place| !is_queued[*place]) {
        let (span, bytes) = (scanned.spans[place], outline.storages[place].bytes);
        let covered = queue_span(source, span, bytes, hints[place], writer, &Silent)?;
        queued.push((place, covered));
    }
    let mut storages: Vec<Option<TreeStorage>> = vec![None; outline.storages.len()];
    for ((place, covered), put) in queued.into_iter().zip(writer.settle()?) {
        let key = outline.storages[place].key.clone();
        let found = covered.unwrap_or(put.crc32);
        match scanned.spans[place].crc32 {
            Some(expected) if expected != found => {
                return Err(SnapshotError::Crc { key, expected, found });
            }
            _ => {}
        }
        let content = Stored { object: put.id, bytes: put.bytes };
        storages[place] = Some(TreeStorage { key, content, crc32: put.crc32 });
    }
    let plain = Hint::default();
    let skeleton = write_bytes(writer, &outline.skeleton)?;
    let literals = write_bytes(writer, &literals)?;
    let extras = write_extras(writer, outline)?;
    let tree = Tree {
        format: outline.format.name().to_owned(),
        attributes: outline.attributes.clone(),
        skeleton,
        extras,
        storages: storages.into_iter().flatten().collect(),
        literals,
        parts,
        tensors,
    };
    let id = writer.put(&tree.encode(), plain)?;
    Ok(FileSnapshot { id, tree })
}

/// Stores bytes from memory.
pub(super) fn write_bytes(writer: &mut Writer<'_>, bytes: &[u8]) -> Result<Stored, SnapshotError> {
    Ok(Stored { object: writer.put(bytes, Hint::default())?, bytes: bytes.len() as u64 })
}

/// Stores what a file has beside its storages, by name.
pub(super) fn write_extras(
    writer: &mut Writer<'_>,
    outline: &Outline,
) -> Result<Vec<(String, Stored)>, SnapshotError> {
    let extras = outline.extras.iter();
    extras.map(|extra| Ok((extra.name.clone(), write_bytes(writer, &extra.bytes)?))).collect()
}

/// Queues a storage of so many bytes. Where it lies deflated, returns the CRC-32 of all that it inflates to,
/// which is what the container's covers then.
fn queue_span(
    source: &dyn Source,
    span: Span,
    bytes: u64,
    hint: Hint,
    writer: &mut Writer<'_>,
    progress: &dyn Progress,
) -> Result<Option<u32>, SnapshotError> {
    let mut reader = SpanReader { source, span, read: 0, progress };
    let Some(skipped) = span.inflated else {
        match source.file() {
            Some(file) => {
                writer
                    .enqueue_from((file, span.offset), bytes, hint, &mut |bytes| progress.advance(bytes))?;
            }
            None => writer.enqueue(&mut reader, bytes, hint)?,
        }
        return Ok(None);
    };
    let mut inflated = Inflated::new(reader);
    inflated.skip(skipped).map_err(SnapshotError::Inflate)?;
    writer.enqueue(&mut inflated, bytes, hint)?;
    inflated.finish().map(Some).map_err(SnapshotError::Inflate)
}

/// A run of a source's bytes as a stream.
pub(super) struct SpanReader<'a> {
    pub source: &'a dyn Source,
    pub span: Span,
    /// How much of it was read.
    pub read: u64,
    pub progress: &'a dyn Progress,
}

impl Read for SpanReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.span.bytes - self.read;
        let length = buffer.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        self.source.read_at(self.span.offset + self.read, &mut buffer[..length])?;
        self.read += length as u64;
        self.progress.advance(length as u64);
        Ok(length)
    }
}
