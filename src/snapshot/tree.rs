//! Trees: one checkpoint as stored objects.

use std::collections::BTreeMap;

use super::wire::{Decoder, Encoder, Malformed};
use crate::format::Format;
use crate::object::ObjectId;
use crate::value::{Dtype, Path};

/// First bytes of every stored tree; the last one is the version of the encoding.
const MAGIC: &[u8; 8] = b"CKTREE\0\x01";

/// A stored run of bytes: an object and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The object.
    pub object: ObjectId,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A storage of the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeStorage {
    /// The name the format gives it.
    pub key: String,
    /// Its bytes.
    pub content: Stored,
    /// CRC-32 of its bytes (the zip polynomial), so that containers that want it can be laid out unread.
    pub crc32: u32,
}

/// A piece of the file that the tree gives back. The pieces in their order are the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreePart {
    /// So many bytes of the literals, after those of earlier literal parts.
    Literal(u64),
    /// The skeleton.
    Skeleton,
    /// An extra, by its place.
    Extra(u32),
    /// A storage, by its place.
    Storage(u32),
}

/// A tensor, as `ls` and `diff` show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeTensor {
    /// Where it is in the checkpoint.
    pub path: Path,
    /// Element type.
    pub dtype: Dtype,
    /// Extent of each dimension, in elements.
    pub shape: Vec<u64>,
    /// Step of each dimension, in elements.
    pub strides: Vec<u64>,
    /// First element, in elements from the start of the storage.
    pub offset: u64,
    /// The storage, by its place.
    pub storage: u32,
}

impl TreeTensor {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().fold(1, |n, extent| n.saturating_mul(*extent))
    }

    /// Length in bytes when its elements lie densely.
    pub fn bytes(&self) -> u64 {
        self.elements().saturating_mul(self.dtype.item_bytes())
    }
}

/// One checkpoint as stored objects.
///
/// It has one encoding and so one name: no clock, no whole-file hash and nothing of the machine is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Name of the format.
    pub format: String,
    /// What the format's writer must know besides.
    pub attributes: BTreeMap<String, String>,
    /// The format's own description of the checkpoint (torch: `data.pkl`).
    pub skeleton: Stored,
    /// Other entries of the container, by name, in file order.
    pub extras: Vec<(String, Stored)>,
    /// The storages, in the order of their numbers.
    pub storages: Vec<TreeStorage>,
    /// All literal pieces of the file, one after the other.
    pub literals: Stored,
    /// What the file is made of.
    pub parts: Vec<TreePart>,
    /// The tensors, in the checkpoint's order.
    pub tensors: Vec<TreeTensor>,
}

/// Stored bytes are no tree that this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// Another kind of object, or an encoding of a newer version.
    #[error("object is no tree of a known encoding")]
    Unknown,
    /// It starts like a tree but does not hold together.
    #[error("tree does not hold together")]
    Malformed,
}

impl Tree {
    /// Whether it is a folder, whose files lie one behind the other.
    pub fn is_folder(&self) -> bool {
        self.format == Format::Folder.name()
    }

    /// The bytes that are stored and hashed; the layout is in the book under `format/tree`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        let stored = |out: &mut Encoder, stored: &Stored| {
            out.raw(stored.object.as_bytes());
            out.u64(stored.bytes);
        };
        out.raw(MAGIC);
        out.text(&self.format);
        out.count(self.attributes.len());
        for (key, value) in &self.attributes {
            out.text(key);
            out.text(value);
        }
        stored(&mut out, &self.skeleton);
        out.count(self.extras.len());
        for (name, extra) in &self.extras {
            out.text(name);
            stored(&mut out, extra);
        }
        out.count(self.storages.len());
        for storage in &self.storages {
            out.text(&storage.key);
            stored(&mut out, &storage.content);
            out.u32(storage.crc32);
        }
        stored(&mut out, &self.literals);
        out.count(self.parts.len());
        for part in &self.parts {
            let (kind, argument) = match *part {
                TreePart::Literal(bytes) => (0, bytes),
                TreePart::Skeleton => (1, 0),
                TreePart::Extra(place) => (2, u64::from(place)),
                TreePart::Storage(place) => (3, u64::from(place)),
            };
            out.u8(kind);
            out.u64(argument);
        }
        out.count(self.tensors.len());
        for tensor in &self.tensors {
            out.text(tensor.path.as_str());
            out.u8(tensor.dtype.code());
            out.u32(tensor.storage);
            out.u64(tensor.offset);
            out.count(tensor.shape.len());
            for (extent, stride) in tensor.shape.iter().zip(&tensor.strides) {
                out.u64(*extent);
                out.u64(*stride);
            }
        }
        out.finish()
    }

    /// Reads a stored tree.
    ///
    /// # Errors
    ///
    /// If the bytes are no tree of a known encoding, or one that points outside itself.
    pub fn decode(bytes: &[u8]) -> Result<Tree, TreeError> {
        let body = bytes.strip_prefix(MAGIC).ok_or(TreeError::Unknown)?;
        let tree = decode_body(body).map_err(|Malformed| TreeError::Malformed)?;
        if tree.holds_together() { Ok(tree) } else { Err(TreeError::Malformed) }
    }

    /// Length of the file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.parts.iter().map(|part| self.part_bytes(*part)).fold(0, u64::saturating_add)
    }

    pub(super) fn part_bytes(&self, part: TreePart) -> u64 {
        match part {
            TreePart::Literal(bytes) => bytes,
            TreePart::Skeleton => self.skeleton.bytes,
            TreePart::Extra(place) => self.extras[place as usize].1.bytes,
            TreePart::Storage(place) => self.storages[place as usize].content.bytes,
        }
    }

    /// The objects that the tree is made of, each once for each time it is used.
    pub fn objects(&self) -> impl Iterator<Item = Stored> + '_ {
        [self.skeleton, self.literals]
            .into_iter()
            .chain(self.extras.iter().map(|(_, extra)| *extra))
            .chain(self.storages.iter().map(|storage| storage.content))
    }

    fn holds_together(&self) -> bool {
        let mut literal_bytes = 0u64;
        let parts_exist = self.parts.iter().all(|part| match *part {
            TreePart::Literal(bytes) => {
                literal_bytes = literal_bytes.saturating_add(bytes);
                true
            }
            TreePart::Skeleton => true,
            TreePart::Extra(place) => (place as usize) < self.extras.len(),
            TreePart::Storage(place) => (place as usize) < self.storages.len(),
        });
        parts_exist
            && literal_bytes == self.literals.bytes
            && self.tensors.iter().all(|tensor| (tensor.storage as usize) < self.storages.len())
    }
}

fn decode_body(body: &[u8]) -> Result<Tree, Malformed> {
    let mut input = Decoder::new(body);
    let format = input.text()?;
    let mut attributes = BTreeMap::new();
    for _ in 0..input.count(8)? {
        let key = input.text()?;
        attributes.insert(key, input.text()?);
    }
    let skeleton = decode_stored(&mut input)?;
    let mut extras = Vec::new();
    for _ in 0..input.count(44)? {
        let name = input.text()?;
        extras.push((name, decode_stored(&mut input)?));
    }
    let mut storages = Vec::new();
    for _ in 0..input.count(48)? {
        let key = input.text()?;
        let content = decode_stored(&mut input)?;
        storages.push(TreeStorage { key, content, crc32: input.u32()? });
    }
    let literals = decode_stored(&mut input)?;
    let mut parts = Vec::new();
    for _ in 0..input.count(9)? {
        let kind = input.u8()?;
        let argument = input.u64()?;
        let place = u32::try_from(argument).map_err(|_| Malformed);
        parts.push(match kind {
            0 => TreePart::Literal(argument),
            1 if argument == 0 => TreePart::Skeleton,
            2 => TreePart::Extra(place?),
            3 => TreePart::Storage(place?),
            _ => return Err(Malformed),
        });
    }
    let mut tensors = Vec::new();
    for _ in 0..input.count(21)? {
        tensors.push(decode_tensor(&mut input)?);
    }
    input.end()?;
    Ok(Tree { format, attributes, skeleton, extras, storages, literals, parts, tensors })
}

fn decode_stored(input: &mut Decoder<'_>) -> Result<Stored, Malformed> {
    Ok(Stored { object: ObjectId::from_bytes(input.array()?), bytes: input.u64()? })
}

fn decode_tensor(input: &mut Decoder<'_>) -> Result<TreeTensor, Malformed> {
    let path = Path::parse(&input.text()?);
    let dtype = Dtype::from_code(input.u8()?).ok_or(Malformed)?;
    let storage = input.u32()?;
    let offset = input.u64()?;
    let (mut shape, mut strides) = (Vec::new(), Vec::new());
    for _ in 0..input.count(16)? {
        shape.push(input.u64()?);
        strides.push(input.u64()?);
    }
    Ok(TreeTensor { path, dtype, shape, strides, offset, storage })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let stored = |text: &str| Stored { object: ObjectId::of(text.as_bytes()), bytes: text.len() as u64 };
        Tree {
            format: "torch-zip".into(),
            attributes: [("prefix".to_owned(), "archive".to_owned())].into(),
            skeleton: stored("skeleton"),
            extras: vec![("version".into(), stored("3\n"))],
            storages: vec![TreeStorage { key: "0".into(), content: stored("weights!"), crc32: 7 }],
            literals: stored("headers"),
            parts: vec![
                TreePart::Literal(3),
                TreePart::Skeleton,
                TreePart::Extra(0),
                TreePart::Storage(0),
                TreePart::Literal(4),
            ],
            tensors: vec![TreeTensor {
                path: Path::parse("state_dict/w"),
                dtype: Dtype::F32,
                shape: vec![2],
                strides: vec![1],
                offset: 0,
                storage: 0,
            }],
        }
    }

    #[test]
    fn a_tree_reads_back_as_written() {
        let tree = tree();
        assert_eq!(Tree::decode(&tree.encode()), Ok(tree.clone()));
        assert_eq!(tree.file_bytes(), 7 + 8 + 2 + 8);
    }

    #[test]
    fn every_cut_is_refused() {
        let bytes = tree().encode();
        for length in 0..bytes.len() {
            assert!(Tree::decode(&bytes[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_part_that_does_not_exist_is_refused() {
        let mut tree = tree();
        tree.parts.push(TreePart::Storage(1));
        assert_eq!(Tree::decode(&tree.encode()), Err(TreeError::Malformed));
    }
}
