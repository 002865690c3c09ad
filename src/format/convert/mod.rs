//! A checkpoint as one of another format: what of it the other can hold, and the value to write.
//!
//! Nothing is converted silently wrong: what the other format has no place for is named, and so are element types
//! that it lacks. Values in, values out; the bytes of tensors are joined and made dense by whoever writes.

mod blank;
mod error;
mod folder;
mod select;
mod tied;

use crate::value::{Dtype, Graph, Kind, NodeId, Path, Storage, StorageId, StorageRef, Tail, Tensor};

use super::{Format, Outline, gguf, merge, npy, safetensors};

pub use blank::{blank, blank_gguf_metadata};
pub use error::{ConvertError, LeftOut};
pub use folder::{ArrayFile, Arrays, arrays};

pub use select::{is_plain, make_dicts_plain, sharded, tensor_of, whole_tensor};

use select::Found;

/// The key under which formats keep what is no tensor.
const METADATA: &str = "__metadata__";

/// What to convert, and how.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The format to write.
    pub format: Format,
    /// The part to take; the whole checkpoint without it.
    pub state_dict: Option<&'a Path>,
    /// Leaves out what the format cannot hold, instead of refusing.
    pub lossy: bool,
}

/// Where the bytes of a tensor come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bytes {
    /// A whole storage of the checkpoint.
    Stored(StorageId),
    /// Views of storages, put together.
    Joined(Pieces),
}

/// A tensor in pieces: views of storages, and where in the tensor each begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    /// Element type.
    pub dtype: Dtype,
    /// Extents of the whole.
    pub shape: Vec<u64>,
    /// First element in each dimension, and the view.
    pub pieces: Vec<(Vec<u64>, Tensor)>,
}

impl Pieces {
    /// The element type, and what its bytes stand for where it has no name of its own.
    pub fn type_text(&self) -> String {
        let kind = self.pieces.first().map(|(_, tensor)| tensor.kind()).unwrap_or_default();
        if self.dtype == Dtype::Bits8 && !kind.is_empty() { kind } else { self.dtype.to_string() }
    }

    /// NumPy's own name of the type of elements that are listed as bytes; empty where there is none.
    fn numpy_type(&self) -> &str {
        match self.pieces.as_slice() {
            [(_, tensor)] if self.dtype == Dtype::Bits8 => tensor.storage.numpy_type().unwrap_or_default(),
            _ => "",
        }
    }
}

/// A value in another format.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    /// The value to be laid out.
    pub graph: Graph,
    /// For each of its storages, where the bytes come from.
    pub bytes: Vec<Bytes>,
    /// What was left out.
    pub left_out: Vec<LeftOut>,
}

/// Makes of a checkpoint what another format can hold.
///
/// # Errors
///
/// If the part is not there, an element type is missing in the other format, or something would be lost and that
/// was not allowed.
pub fn convert(graph: &Graph, outline: &Outline, request: &Request<'_>) -> Result<Converted, ConvertError> {
    let root = select::part(graph, request.state_dict)?;
    if request.format == Format::TorchZip && outline.format.keeps_objects() {
        return whole(graph, root, request);
    }
    let opaque = select::opaque(outline, request)?;
    let found = select::tensors(graph, outline, root, request)?;
    let Found { tensors, metadata, values, mut left_out } = found;
    for (path, tensor) in &tensors {
        check_dtype(request.format, path, tensor)?;
        check_name(request.format, path)?;
    }
    if request.format != Format::TorchZip {
        left_out.extend(tied::shared(&tensors));
    }
    left_out.extend(opaque);
    refuse_losses(graph, request, &left_out)?;
    let mut converted = Converted { graph: Graph::new(), bytes: Vec::new(), left_out };
    if let Some(metadata) = metadata {
        let mut places = std::collections::HashMap::new();
        let metadata = merge::copy(graph, metadata, &mut converted.graph, &mut places);
        let root = converted.graph.root;
        converted.graph.set(root, METADATA, metadata);
    } else if request.format == Format::Gguf {
        blank_gguf_metadata(&mut converted.graph);
    }
    for (path, pieces) in tensors {
        let name = path.steps().last().unwrap_or_default();
        add(&mut converted, &name, graph, pieces);
    }
    let mut places = std::collections::HashMap::new();
    for (name, value) in values {
        let value = merge::copy(graph, value, &mut converted.graph, &mut places);
        let root = converted.graph.root;
        converted.graph.set(root, &name, value);
    }
    Ok(converted)
}

/// What a document of a checkpoint leaves out.
///
/// # Errors
///
/// If something would be lost and that was not allowed.
pub fn left_out_of_document(
    graph: &Graph,
    outline: &Outline,
    request: &Request<'_>,
) -> Result<Vec<LeftOut>, ConvertError> {
    let left_out = select::opaque(outline, request)?;
    refuse_losses(graph, request, &left_out)?;
    Ok(left_out)
}

/// Adds a tensor with a storage of its own.
fn add(converted: &mut Converted, name: &str, from: &Graph, pieces: Pieces) {
    let graph = &mut converted.graph;
    let node = tensor(graph, &mut converted.bytes, name, from, pieces);
    let (key, root) = (graph.add_str(name), graph.root);
    graph.node_mut(root).tail.push(Tail::Set(key, node));
}

/// A dense tensor over a new storage.
fn tensor(graph: &mut Graph, bytes: &mut Vec<Bytes>, name: &str, from: &Graph, pieces: Pieces) -> NodeId {
    let shape = pieces.shape.clone();
    let dtype = pieces.dtype;
    let class = pieces.numpy_type().to_owned();
    let elements = shape.iter().fold(1u64, |n, extent| n.saturating_mul(*extent));
    let storage = graph
        .add_storage(Storage { key: name.to_owned(), bytes: elements.saturating_mul(dtype.item_bytes()) });
    bytes.push(match whole_storage(from, &pieces) {
        Some(id) => Bytes::Stored(id),
        None => Bytes::Joined(pieces),
    });
    graph.add(Kind::Tensor(Box::new(Tensor {
        dtype,
        // It was counted when the tensor was read.
        strides: Tensor::contiguous_strides(&shape).unwrap_or_default(),
        shape,
        offset: 0,
        storage: StorageRef { storage, class, location: String::new(), elements, view: None },
        requires_grad: false,
        hooks: None,
        metadata: None,
    })))
}

/// The storage that one piece covers from its first byte to its last, in order.
fn whole_storage(graph: &Graph, pieces: &Pieces) -> Option<StorageId> {
    let [(_, tensor)] = pieces.pieces.as_slice() else { return None };
    let id = tensor.storage.storage;
    let is_whole = tensor.shape == pieces.shape
        && tensor.offset == 0
        && tensor.is_contiguous()
        && tensor.bytes() == Some(graph.storage(id).bytes);
    is_whole.then_some(id)
}

/// A Python object stays what it is: views, shared memory, classes.
fn whole(graph: &Graph, root: NodeId, request: &Request<'_>) -> Result<Converted, ConvertError> {
    let part = merge::part(graph, root);
    let mut left_out = Vec::new();
    for node in &part.nodes {
        if matches!(node.kind, Kind::PersistentId(_) | Kind::PersistentLine(_)) {
            left_out.push(LeftOut {
                path: Path::root(),
                what: "a class that is kept with its source".to_owned(),
            });
        }
        if let Kind::Tensor(tensor) = &node.kind {
            let pieces = Pieces { dtype: tensor.dtype, shape: Vec::new(), pieces: Vec::new() };
            check_dtype(request.format, &Path::root(), &pieces)?;
        }
    }
    refuse_losses(graph, &Request { lossy: false, ..*request }, &left_out)?;
    let bytes = (0..graph.storages.len() as u32).map(|id| Bytes::Stored(StorageId(id))).collect();
    Ok(Converted { graph: part, bytes, left_out })
}

fn check_dtype(format: Format, path: &Path, pieces: &Pieces) -> Result<(), ConvertError> {
    let dtype = pieces.dtype;
    let is_held = match format {
        Format::Safetensors => safetensors::holds(dtype),
        Format::Npz | Format::Npy => npy::holds(dtype) || !pieces.numpy_type().is_empty(),
        Format::Gguf => gguf::holds(dtype),
        Format::Json => is_plain_number(dtype),
        // Blocks of GGML have codes from 64 on.
        Format::TorchZip => dtype.code() < 64 && dtype != Dtype::Bits8,
        _ => true,
    };
    if is_held {
        return Ok(());
    }
    Err(ConvertError::Dtype { path: path.clone(), dtype: pieces.type_text(), format })
}

/// Readers of GGUF have room for so many bytes of a name.
const MOST_GGUF_NAME_BYTES: usize = 63;

fn check_name(format: Format, path: &Path) -> Result<(), ConvertError> {
    let name = path.steps().last().unwrap_or_default();
    if format == Format::Gguf && name.len() > MOST_GGUF_NAME_BYTES {
        return Err(ConvertError::Name { path: path.clone(), format, limit: MOST_GGUF_NAME_BYTES });
    }
    Ok(())
}

/// Whether elements of a type can be written as numbers in text.
fn is_plain_number(dtype: Dtype) -> bool {
    use Dtype::*;
    matches!(dtype, F64 | F32 | F16 | Bf16 | I64 | I32 | I16 | I8 | U64 | U32 | U16 | U8 | Bool)
}

fn refuse_losses(graph: &Graph, request: &Request<'_>, left_out: &[LeftOut]) -> Result<(), ConvertError> {
    if left_out.is_empty() || request.lossy {
        return Ok(());
    }
    let suggestion = if request.state_dict.is_none() { select::suggestion(graph) } else { None };
    Err(ConvertError::Loss { format: request.format, losses: left_out.to_vec(), suggestion })
}
