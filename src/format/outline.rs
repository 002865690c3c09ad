//! What a file is made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::value::{Storage, StorageId};

use super::Format;

/// What a file is made of, without the bytes of its tensors.
///
/// The file is the concatenation of its [`parts`](Outline::parts).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// The file's format.
    pub format: Format,
    /// The format's own description of the value.
    ///
    /// Torch: `data.pkl`, or the object's pickle. Pickle: all pickles of the file. Safetensors: the header,
    /// without its length and with its padding. NumPy, GGUF: the header. JSON: the document. Folder: the
    /// list of its files. Bytes and other zips: nothing.
    pub skeleton: Vec<u8>,
    /// What the writer must know besides. Torch: `prefix`, `alignment`. JSON: `indent` and other habits
    /// of its writer.
    pub attributes: BTreeMap<String, String>,
    /// The other entries of the container, in file order, by their names below its top directory.
    pub extras: Vec<Extra>,
    /// Where tensors have their bytes; the place is the [`StorageId`] in the decoded graph.
    pub storages: Vec<Storage>,
    /// The file from its first byte to its last.
    pub parts: Vec<Part>,
}

impl Outline {
    /// Bytes that it holds in memory.
    pub(super) fn held_bytes(&self) -> u64 {
        let literal = |part: &Part| match part {
            Part::Literal(bytes) => bytes.len(),
            _ => 0,
        };
        let extras: usize = self.extras.iter().map(|extra| extra.bytes.len()).sum();
        (self.skeleton.len() + extras + self.parts.iter().map(literal).sum::<usize>()) as u64
    }
}

/// A small entry of a container that is neither skeleton nor storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extra {
    /// Its name, below the container's top directory.
    pub name: String,
    /// What it holds, uncompressed.
    pub bytes: Vec<u8>,
}

/// A run of bytes of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// These bytes: headers, padding, what is compressed.
    Literal(Vec<u8>),
    /// The skeleton.
    Skeleton,
    /// An extra, by its place.
    Extra(u32),
    /// A storage.
    Storage(StorageId),
}

/// An outline that was read from a file, and where its storages lie there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// What the file is made of.
    pub outline: Outline,
    /// Where each storage lies, in their order.
    pub spans: Vec<Span>,
    /// What a person should know about the file.
    pub notes: Vec<Note>,
}

/// Where a storage lies in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte, from the start of the file.
    pub offset: u64,
    /// Length in bytes, as it lies there.
    pub bytes: u64,
    /// What the container says is the CRC-32 of the storage. Whoever reads the bytes checks it.
    pub crc32: Option<u32>,
    /// Where it lies there deflated: how many bytes of what it inflates to lie before the storage. The CRC-32
    /// is then that of all of it.
    pub inflated: Option<u64>,
}

/// Something that a person should know about a file that was read all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// A stable code such as `W_TRAILING_BYTES`.
    pub code: &'static str,
    /// The same for people.
    pub message: String,
}

/// Facts of a storage that a writer needs without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageFacts {
    /// Length in bytes.
    pub bytes: u64,
    /// CRC-32 (ISO-HDLC, as in zip) of the bytes.
    pub crc32: u32,
}

/// The layout of a file that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// What the file is made of; its storages are those that the graph still uses, in writing order.
    pub outline: Outline,
    /// For each storage of the outline, its id in the graph.
    pub order: Vec<StorageId>,
}

/// Gathers parts, joining literal runs.
#[derive(Debug, Default)]
pub(super) struct Parts {
    parts: Vec<Part>,
    literal: Vec<u8>,
    literal_bytes: u64,
}

impl Parts {
    /// Adds literal bytes.
    pub fn literal(&mut self, bytes: &[u8]) {
        self.literal.extend_from_slice(bytes);
        self.literal_bytes += bytes.len() as u64;
    }

    /// Adds any other part.
    pub fn push(&mut self, part: Part) {
        self.flush();
        self.parts.push(part);
    }

    /// Literal bytes so far.
    pub fn literal_bytes(&self) -> u64 {
        self.literal_bytes
    }

    /// The parts.
    pub fn finish(mut self) -> Vec<Part> {
        self.flush();
        self.parts
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.parts.push(Part::Literal(std::mem::take(&mut self.literal)));
        }
    }
}
