//! NumPy arrays: one in an `.npy` file.
//!
//! Layout: NEP 1 and `numpy/lib/_format_impl.py`: magic, version, length, a Python literal that says type,
//! order and shape, then the elements. An array of Python objects is a pickle after the header and is kept
//! unread.

mod descr;
mod header;

use std::collections::BTreeMap;

use crate::value::{Dtype, Graph, Kind, NodeId, Storage, StorageId, StorageRef, Tensor};

use super::error::{check_limit, named};
use super::source::read;
use super::{
    Bound, Encoded, Format, FormatError, Limits, Note, Outline, Part, Scanned, Source, Span, StorageFacts,
};

pub(super) use header::{Header, MOST_HEADER_BYTES, head_bytes};

/// First bytes of an array.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Why an array is not sound, or a value cannot become one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// The header is not what NumPy writes.
    #[error("the header is damaged: {0}")]
    Header(&'static str),
    /// The elements are fewer than the header says.
    #[error("the elements have {found} bytes, the header says {expected}")]
    Length {
        /// According to the header.
        expected: u64,
        /// In the file.
        found: u64,
    },
    /// A value that the format cannot hold.
    #[error("{} cannot be written: {what}", named(path))]
    Unwritable {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Whether NumPy has elements of a type.
pub(super) fn holds(dtype: Dtype) -> bool {
    descr::of_dtype(dtype).is_some()
}

pub(super) fn scan(source: &dyn Source, limits: &Limits) -> Result<Scanned, FormatError> {
    let head = read(source, 0, source.bytes().min(12))?;
    let header_bytes = head_bytes(&head)?;
    check_limit("the header", header_bytes, MOST_HEADER_BYTES)?;
    let skeleton = read(source, 0, header_bytes)?;
    let header = Header::parse(&skeleton, limits)?;
    let rest = source.bytes() - header_bytes;
    let bytes = header.data_bytes().unwrap_or(rest);
    if bytes > rest {
        return Err(NpyError::Length { expected: bytes, found: rest }.into());
    }
    let mut parts = vec![Part::Skeleton, Part::Storage(StorageId(0))];
    let mut notes: Vec<Note> = object_note(&header, "the array").into_iter().collect();
    if bytes < rest {
        limits.check(Bound::LiteralBytes, "what follows the array", rest - bytes)?;
        parts.push(Part::Literal(read(source, header_bytes + bytes, rest - bytes)?));
        let message = format!("{} bytes follow the array", rest - bytes);
        notes.push(Note { code: "W_TRAILING_BYTES", message });
    }
    let outline = Outline {
        format: Format::Npy,
        skeleton,
        attributes: BTreeMap::new(),
        extras: Vec::new(),
        storages: vec![Storage { key: "data".to_owned(), bytes }],
        parts,
    };
    let spans = vec![Span { offset: header_bytes, bytes, crc32: None, inflated: None }];
    Ok(Scanned { outline, spans, notes })
}

pub(super) fn object_note(header: &Header, name: &str) -> Option<Note> {
    header.data_bytes().is_none().then(|| Note {
        code: "W_OBJECT_ARRAY",
        message: format!("{name} holds Python objects, a pickle, and is kept unread"),
    })
}

pub(super) fn decode(outline: &Outline, limits: &Limits) -> Result<Graph, FormatError> {
    let header = Header::parse(&outline.skeleton, limits)?;
    let storage = outline.storages.first().ok_or(NpyError::Header("its elements are missing"))?;
    let kind = value(&header, StorageId(0), storage.bytes)?;
    Ok(Graph { nodes: vec![kind.into()], root: NodeId(0), storages: outline.storages.clone() })
}

pub(super) fn encode(
    graph: &Graph,
    like: &Outline,
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Encoded, FormatError> {
    let (skeleton, id) = header_of(graph, graph.root, "", facts)?;
    let bytes = facts(id).bytes;
    let outline = Outline {
        format: Format::Npy,
        skeleton,
        attributes: like.attributes.clone(),
        extras: Vec::new(),
        storages: vec![Storage { key: "data".to_owned(), bytes }],
        parts: vec![Part::Skeleton, Part::Storage(StorageId(0))],
    };
    Ok(Encoded { outline, order: vec![id] })
}

/// An array as a value: a tensor, or the bare storage of a pickle.
///
/// Elements that no tensor can have (text, records, foreign byte order) are listed as bytes, in one more
/// dimension; the storage's class then says what they are.
pub(super) fn value(header: &Header, storage: StorageId, bytes: u64) -> Result<Kind, NpyError> {
    let reference = |class: String, elements| StorageRef {
        storage,
        class,
        location: String::new(),
        elements,
        view: None,
    };
    let Some(expected) = header.data_bytes() else {
        return Ok(Kind::Storage(Box::new(reference(header.text.clone(), bytes))));
    };
    if expected != bytes {
        return Err(NpyError::Length { expected, found: bytes });
    }
    let overflow = || NpyError::Header("its shape overflows");
    let mut shape = header.shape.clone();
    let mut strides = if header.fortran {
        shape.reverse();
        let mut strides = Tensor::contiguous_strides(&shape).ok_or_else(overflow)?;
        shape.reverse();
        strides.reverse();
        strides
    } else {
        Tensor::contiguous_strides(&shape).ok_or_else(overflow)?
    };
    let (dtype, class) = match header.descr.dtype {
        Some(dtype) => (dtype, String::new()),
        None => {
            let item_bytes = header.descr.item_bytes.unwrap_or_default();
            for stride in &mut strides {
                *stride = stride.checked_mul(item_bytes.max(1)).ok_or_else(overflow)?;
            }
            shape.push(item_bytes);
            strides.push(1);
            (Dtype::Bits8, header.descr.text.clone())
        }
    };
    Ok(Kind::Tensor(Box::new(Tensor {
        dtype,
        shape,
        strides,
        offset: 0,
        storage: reference(class, bytes / dtype.item_bytes()),
        requires_grad: false,
        hooks: None,
        metadata: None,
    })))
}

/// The header for a value, and the storage that follows it.
pub(super) fn header_of(
    graph: &Graph,
    id: NodeId,
    path: &str,
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<(Vec<u8>, StorageId), NpyError> {
    let cannot = |what| NpyError::Unwritable { path: path.to_owned(), what };
    let tensor = match graph.kind(id) {
        Kind::Tensor(tensor) => tensor,
        Kind::Storage(storage) if storage.class.starts_with('{') => {
            return Ok((header::frame(&storage.class), storage.storage));
        }
        _ => return Err(cannot("it is no tensor")),
    };
    let bytes = facts(tensor.storage.storage).bytes;
    let (mut shape, mut strides) = (tensor.shape.clone(), tensor.strides.clone());
    let class = &tensor.storage.class;
    let descr = if tensor.dtype == Dtype::Bits8 {
        let descr = descr::Descr::of_text(class).ok_or_else(|| cannot("NumPy has no such element type"))?;
        let item_bytes = descr.item_bytes.unwrap_or_default();
        if shape.pop() != Some(item_bytes) {
            return Err(cannot("its last dimension is not one element's bytes"));
        }
        strides.pop();
        for stride in &mut strides {
            *stride /= item_bytes.max(1);
        }
        class.clone()
    } else {
        descr::of_dtype(tensor.dtype).ok_or_else(|| cannot("NumPy has no such element type"))?
    };
    let dense = Tensor { strides: strides.clone(), shape: shape.clone(), ..(**tensor).clone() };
    let transposed = Tensor {
        strides: strides.into_iter().rev().collect(),
        shape: shape.iter().rev().copied().collect(),
        ..(**tensor).clone()
    };
    let fortran = !dense.is_contiguous() && transposed.is_contiguous();
    if tensor.offset != 0 || !(dense.is_contiguous() || fortran) || tensor.bytes() != Some(bytes) {
        return Err(cannot("it is a view of a larger or differently ordered memory"));
    }
    Ok((header::frame(&header::text(&descr, fortran, &shape)), tensor.storage.storage))
}
