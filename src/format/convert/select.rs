//! Choosing what of a checkpoint is converted.

use std::collections::HashMap;

use crate::value::{Dtype, Graph, Kind, NodeId, Path, Tail, walk};

use super::super::folder::{VIEW, files, piece};
use super::super::group::Unit;
use super::super::{Format, Outline, merge};
use super::{ConvertError, LeftOut, METADATA, Pieces, Request};

/// The tensors of a dict, and what else is in it.
pub(super) struct Found {
    pub tensors: Vec<(Path, Pieces)>,
    /// What the format itself keeps beside tensors, where the other one does so too.
    pub metadata: Option<NodeId>,
    /// Other values that the format has a place for, by their names.
    pub values: Vec<(String, NodeId)>,
    pub left_out: Vec<LeftOut>,
}

/// The node at a place; the root without one.
pub(super) fn part(graph: &Graph, path: Option<&Path>) -> Result<NodeId, ConvertError> {
    let Some(path) = path.filter(|path| !path.is_root()) else { return Ok(graph.root) };
    let found = walk(graph).find(|place| place.path == *path);
    found.map(|place| place.node).ok_or_else(|| ConvertError::NoPlace { path: path.clone() })
}

/// The files of a folder that are kept as bytes, where all of it is converted.
///
/// # Errors
///
/// If the checkpoint itself is such a file.
pub(super) fn opaque(outline: &Outline, request: &Request<'_>) -> Result<Vec<LeftOut>, ConvertError> {
    let is_opaque = |outline: &Outline| match outline.format {
        Format::Bytes => true,
        // An exported program has documents, which name its tensors.
        Format::Zip => outline.extras.is_empty(),
        _ => false,
    };
    if is_opaque(outline) {
        return Err(ConvertError::Opaque { format: outline.format });
    }
    let is_part = request.state_dict.is_some_and(|path| !path.is_root());
    if outline.format != Format::Folder || is_part {
        return Ok(Vec::new());
    }
    let files = files(outline).map_err(|error| ConvertError::unwritable(request.format, error))?;
    let files = files.into_iter().filter(|file| file.bytes > 0 && is_opaque(&file.outline));
    let left_out = |file: Unit| LeftOut {
        path: Path::root().join(&file.name),
        what: "a file of plain bytes".to_owned(),
    };
    Ok(files.map(left_out).collect())
}

/// The tensors of the dict at a node.
pub(super) fn tensors(
    graph: &Graph,
    outline: &Outline,
    root: NodeId,
    request: &Request<'_>,
) -> Result<Found, ConvertError> {
    let above = request.state_dict.cloned().unwrap_or_else(Path::root);
    let mut found = Found { tensors: Vec::new(), metadata: None, values: Vec::new(), left_out: Vec::new() };
    // An array by itself is one of no name.
    if outline.format == Format::Npy
        && let Some(pieces) = whole_tensor(graph, root)
    {
        found.tensors.push((above.join("arr_0"), pieces));
        return Ok(found);
    }
    if !is_mapping(graph, root) {
        let (what, suggestion) = (described(graph, root), suggestion(graph));
        return Err(ConvertError::NoStateDict { path: above, what, suggestion });
    }
    let view = view(outline);
    // What ranks stored beside tensors are values of Python.
    let keeps_values = request.format == Format::TorchZip && view == Some("dcp");
    for (key, value) in graph.items(root) {
        let Some(name) = graph.as_str(key) else {
            let what = "an entry whose name is no text".to_owned();
            found.left_out.push(LeftOut { path: above.clone(), what });
            continue;
        };
        let path = above.join(name);
        if name == METADATA && matches!(outline.format, Format::Safetensors | Format::Gguf) {
            if outline.format == request.format {
                found.metadata = Some(value);
            } else if !says_only_format(graph, value) {
                found.left_out.push(LeftOut { path, what: described(graph, value) });
            }
            continue;
        }
        let pieces = match tensor_of(graph, value) {
            Some(tensor) if is_plain(graph, tensor) => whole_tensor(graph, tensor),
            Some(_) => {
                found.left_out.push(LeftOut { path, what: "a conjugated or negated view".to_owned() });
                continue;
            }
            None => sharded_tensor(graph, view, &path, value)?,
        };
        match pieces {
            Some(pieces) => found.tensors.push((path, pieces)),
            None if keeps_values && !has_tensors(graph, value) => {
                found.values.push((name.to_owned(), value));
            }
            None => found.left_out.push(LeftOut { path, what: described(graph, value) }),
        }
    }
    Ok(found)
}

/// Whether a tensor or a storage is in a value.
fn has_tensors(graph: &Graph, value: NodeId) -> bool {
    let parts = merge::nodes(graph, value);
    parts.iter().any(|node| matches!(node.kind, Kind::Tensor(_) | Kind::Storage(_)))
}

/// The tensor at a node, or in the parameter there.
pub fn tensor_of(graph: &Graph, id: NodeId) -> Option<NodeId> {
    if graph.as_tensor(id).is_some() {
        return Some(id);
    }
    let Kind::Reduce { callee, args } = graph.kind(id) else { return None };
    let ("torch._utils", "_rebuild_parameter") = graph.as_global(*callee)? else { return None };
    let Kind::Tuple(args) = graph.kind(*args) else { return None };
    args.first().copied().filter(|first| graph.as_tensor(*first).is_some())
}

/// Whether a tensor's elements are those that its memory holds.
pub fn is_plain(graph: &Graph, id: NodeId) -> bool {
    let metadata = graph.as_tensor(id).and_then(|tensor| tensor.metadata);
    metadata.is_none_or(|metadata| graph.items(metadata).is_empty())
}

pub fn whole_tensor(graph: &Graph, id: NodeId) -> Option<Pieces> {
    let tensor = graph.as_tensor(id)?;
    let begin = vec![0; tensor.shape.len()];
    Some(Pieces { dtype: tensor.dtype, shape: tensor.shape.clone(), pieces: vec![(begin, tensor.clone())] })
}

/// The tensors of a folder of shards whose pieces lie apart, by the nodes that hold the pieces.
///
/// # Errors
///
/// If the pieces of one do not make it up.
pub fn sharded(graph: &Graph, outline: &Outline) -> Result<Vec<(Path, NodeId, Pieces)>, ConvertError> {
    let Some(view) = view(outline) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (key, value) in graph.items(graph.root) {
        let path = Path::root().join(graph.as_str(key).unwrap_or_default());
        if let Some(pieces) = sharded_tensor(graph, Some(view), &path, value)? {
            found.push((path, value, pieces));
        }
    }
    Ok(found)
}

fn view(outline: &Outline) -> Option<&str> {
    outline.attributes.get(VIEW).map(String::as_str).filter(|_| outline.format == Format::Folder)
}

/// A tensor whose pieces lie in shards.
fn sharded_tensor(
    graph: &Graph,
    view: Option<&str>,
    path: &Path,
    id: NodeId,
) -> Result<Option<Pieces>, ConvertError> {
    let mut pieces = Vec::new();
    let mut dtype: Option<Dtype> = None;
    for (key, value) in graph.items(id) {
        let step = graph.as_str(key).unwrap_or_default();
        let Some((_, begin)) = piece(view, &path.join(step)) else { continue };
        let Some(tensor) = graph.as_tensor(value) else { return Ok(None) };
        if begin.len() != tensor.shape.len() || dtype.is_some_and(|dtype| dtype != tensor.dtype) {
            return Err(ConvertError::Pieces { path: path.clone() });
        }
        dtype = Some(tensor.dtype);
        pieces.push((begin, tensor.clone()));
    }
    let Some(dtype) = dtype else { return Ok(None) };
    let mut shape = vec![0u64; pieces[0].0.len()];
    let mut elements = 0u64;
    for (begin, tensor) in &pieces {
        if begin.len() != shape.len() {
            return Err(ConvertError::Pieces { path: path.clone() });
        }
        for ((whole, begin), extent) in shape.iter_mut().zip(begin).zip(&tensor.shape) {
            *whole = (*whole).max(begin.saturating_add(*extent));
        }
        elements = elements.saturating_add(tensor.elements().unwrap_or(u64::MAX));
    }
    let all = shape.iter().try_fold(1u64, |n, extent| n.checked_mul(*extent));
    if all != Some(elements) {
        return Err(ConvertError::Pieces { path: path.clone() });
    }
    Ok(Some(Pieces { dtype, shape, pieces }))
}

/// Whether a node has keys and values: a dict, or an object of a class that is one.
fn is_mapping(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.kind(id), Kind::Dict)
        || (graph.class_of(id).is_some()
            && graph.node(id).tail.iter().any(|step| matches!(step, Tail::Set(..))))
}

/// The library's own note of who wrote the file: it is about the file, not about the model.
fn says_only_format(graph: &Graph, metadata: NodeId) -> bool {
    graph.items(metadata).into_iter().all(|(key, _)| graph.as_str(key) == Some("format"))
}

/// The place of the largest dict of nothing but tensors.
pub(super) fn suggestion(graph: &Graph) -> Option<Path> {
    let mut counts: HashMap<NodeId, (usize, Path)> = HashMap::new();
    for place in walk(graph) {
        if place.repeated || !is_mapping(graph, place.node) {
            continue;
        }
        let items = graph.items(place.node);
        let is_tensors = items
            .iter()
            .all(|(key, value)| graph.as_str(*key).is_some() && tensor_of(graph, *value).is_some());
        if is_tensors && !items.is_empty() && !place.path.is_root() {
            counts.insert(place.node, (items.len(), place.path));
        }
    }
    let best = counts.into_values().max_by(|one, other| one.0.cmp(&other.0).then(other.1.cmp(&one.1)));
    best.map(|(_, path)| path)
}

/// Makes plain dicts of the ordered ones of Python's library, which documents have no other word for.
pub fn make_dicts_plain(graph: &mut Graph) {
    let ids = (0..graph.nodes.len() as u32).map(NodeId);
    let is_ordered = |id: &NodeId| graph.class_of(*id) == Some(("collections", "OrderedDict"));
    let ordered: Vec<NodeId> = ids.filter(is_ordered).collect();
    for id in ordered {
        let node = graph.node_mut(id);
        node.kind = Kind::Dict;
        node.tail.retain(|step| matches!(step, Tail::Set(..)));
    }
}

/// A value in few words.
pub(super) fn described(graph: &Graph, id: NodeId) -> String {
    let many = |count: usize, what: &str| format!("a {what} of {count} values");
    match graph.kind(id) {
        Kind::None => "None".to_owned(),
        Kind::Bool(value) => format!("the truth value {value}"),
        Kind::Int(value) => format!("the number {value}"),
        Kind::Float(bits) => format!("the number {}", bits.get()),
        Kind::Str(_) | Kind::Str8(_) | Kind::SurrogateStr(_) => "text".to_owned(),
        Kind::Tuple(items) => many(items.len(), "tuple"),
        Kind::List => many(graph.elements(id).count(), "list"),
        Kind::Dict => many(graph.items(id).len(), "dict"),
        Kind::Tensor(tensor) => format!("a tensor of {}", tensor.dtype),
        Kind::Storage(_) => "a storage without a shape".to_owned(),
        _ => match graph.class_of(id) {
            Some((module, name)) => format!("an object of `{module}.{name}`"),
            None => "a value of Python".to_owned(),
        },
    }
}
