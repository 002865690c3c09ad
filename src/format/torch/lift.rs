//! From rebuild calls and persistent ids to tensors and storages.

use std::collections::{HashMap, HashSet};

use crate::value::{Dtype, Graph, Kind, NodeId, StorageId, StorageRef, StorageView, Tail, Tensor};

use super::super::{FormatError, Limits, merge};
use super::TorchError;
use super::storage::dtype_of_class;

/// How a file names its storages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// As zips do: every persistent id is a storage.
    Zip,
    /// As files before PyTorch 1.6 do: a persistent id can also be a class with its source, and a storage
    /// can be a view of another.
    Legacy,
}

/// Turns persistent ids of storages into [`Kind::Storage`] and calls that rebuild a tensor from one into
/// [`Kind::Tensor`], each at its own node; then drops the nodes that nothing refers to any more.
///
/// Calls in any other form stay calls, with the storage inside, and so do those whose result is dropped.
pub(super) fn lift(graph: &mut Graph, dialect: Dialect, limits: &Limits) -> Result<(), FormatError> {
    let keys: HashMap<String, StorageId> = graph
        .storages
        .iter()
        .enumerate()
        .map(|(index, storage)| (storage.key.clone(), StorageId(index as u32)))
        .collect();
    // A storage that is named with two classes loads as the first: its tensors are not what they say.
    let mut classes: HashMap<StorageId, String> = HashMap::new();
    let mut disputed = vec![false; graph.storages.len()];
    let ids = || (0..graph.nodes.len() as u32).map(NodeId);
    let mut storages = Vec::new();
    for id in ids() {
        match graph.kind(id) {
            Kind::PersistentId(inner) if dialect == Dialect::Legacy && is_class_reference(graph, *inner) => {}
            Kind::PersistentId(inner) => {
                let reference = storage_reference(graph, *inner, dialect, &keys)?;
                let first = classes.entry(reference.storage).or_insert_with(|| reference.class.clone());
                disputed[reference.storage.index()] |= *first != reference.class;
                storages.push((id, reference));
            }
            Kind::PersistentLine(_) => {
                return Err(TorchError::BadReference("it is a line of text, as protocol 0 has it").into());
            }
            _ => {}
        }
    }
    for (id, reference) in storages {
        graph.node_mut(id).kind = Kind::Storage(Box::new(reference));
    }
    let uses = uses(graph);
    let dropped: HashSet<NodeId> = graph
        .nodes
        .iter()
        .flat_map(|node| &node.tail)
        .filter_map(|step| if let Tail::Effect(call) = step { Some(*call) } else { None })
        .collect();
    for id in (0..graph.nodes.len() as u32).map(NodeId).filter(|id| !dropped.contains(id)) {
        if let Some(tensor) = tensor(graph, id, &uses, &disputed, limits)? {
            graph.node_mut(id).kind = Kind::Tensor(Box::new(tensor));
        }
    }
    compact(graph);
    Ok(())
}

/// Whether a persistent id is `('module', class, file, source)`, which stands for the class.
pub(super) fn is_class_reference(graph: &Graph, id: NodeId) -> bool {
    let Kind::Tuple(items) = graph.kind(id) else { return false };
    items.len() == 4 && graph.as_str(items[0]) == Some("module")
}

/// The key and the class of the storage that a persistent id names, if it names one.
pub(super) fn storage_key(graph: &Graph, id: NodeId) -> Option<(&str, String, u64)> {
    let Kind::Tuple(items) = graph.kind(id) else { return None };
    let [tag, class, key, _, elements, ..] = items.as_slice() else { return None };
    let (module, name) = graph.as_global(*class)?;
    let elements = u64::try_from(graph.as_int(*elements)?).ok()?;
    (graph.as_str(*tag)? == "storage").then_some((graph.as_str(*key)?, format!("{module}.{name}"), elements))
}

/// Reads `('storage', class, key, location, elements)`, in the old form with a sixth part: `None`, or the
/// key, offset and length of a view of that storage.
fn storage_reference(
    graph: &Graph,
    id: NodeId,
    dialect: Dialect,
    keys: &HashMap<String, StorageId>,
) -> Result<StorageRef, TorchError> {
    let bad = TorchError::BadReference;
    let Kind::Tuple(items) = graph.kind(id) else { return Err(bad("it is no tuple")) };
    let (items, view) = match (items.as_slice(), dialect) {
        (items @ [_, _, _, _, _], Dialect::Zip) => (items, None),
        ([items @ .., view], Dialect::Legacy) if items.len() == 5 => (items, Some(*view)),
        (_, Dialect::Zip) => return Err(bad("it has not five parts")),
        (_, Dialect::Legacy) => return Err(bad("it has not six parts")),
    };
    let &[tag, class, key, location, elements] = items else {
        return Err(bad("it has not five parts"));
    };
    if graph.as_str(tag) != Some("storage") {
        return Err(bad("it does not begin with `storage`"));
    }
    let (module, name) = graph.as_global(class).ok_or(bad("its class is none"))?;
    let class = format!("{module}.{name}");
    let dtype = dtype_of_class(&class).ok_or(bad("its class is none of torch's storages"))?;
    let key = graph.as_str(key).ok_or(bad("its key is no text"))?;
    let location = graph.as_str(location).ok_or(bad("its location is no text"))?.to_owned();
    let elements = graph.as_int(elements).and_then(|elements| u64::try_from(elements).ok());
    let elements = elements.ok_or(bad("its length is no natural number"))?;
    let storage = *keys.get(key).ok_or_else(|| TorchError::MissingStorage { key: key.to_owned() })?;
    let found = graph.storage(storage).bytes;
    let expected = elements.checked_mul(dtype.item_bytes()).ok_or(bad("its length overflows"))?;
    if found != expected {
        return Err(TorchError::StorageLength { key: key.to_owned(), expected, found });
    }
    let view = match view.map(|view| graph.kind(view)) {
        None | Some(Kind::None) => None,
        Some(Kind::Tuple(parts)) if parts.len() == 3 => {
            let part = |place: usize| natural(graph, parts[place]).ok_or(bad("its view is damaged"));
            let view = StorageView { offset: part(1)?, elements: part(2)? };
            if view.offset.checked_add(view.elements).is_none_or(|end| end > elements) {
                return Err(bad("its view reaches beyond it"));
            }
            Some(view)
        }
        Some(_) => return Err(bad("its view is damaged")),
    };
    Ok(StorageRef { storage, class, location, elements, view })
}

/// The tensor that a call rebuilds, if it is such a call in a known form.
fn tensor(
    graph: &Graph,
    id: NodeId,
    uses: &[u8],
    disputed: &[bool],
    limits: &Limits,
) -> Result<Option<Tensor>, TorchError> {
    let Kind::Reduce { callee, args } = graph.kind(id) else { return Ok(None) };
    let Some(("torch._utils", name)) = graph.as_global(*callee) else { return Ok(None) };
    let Kind::Tuple(args) = graph.kind(*args) else { return Ok(None) };
    let (storage, parts, dtype) = match (name, args.as_slice()) {
        ("_rebuild_tensor", [storage, parts @ ..]) if parts.len() == 3 => (storage, parts, None),
        ("_rebuild_tensor_v2", [storage, parts @ ..]) if matches!(parts.len(), 5 | 6) => {
            (storage, parts, None)
        }
        ("_rebuild_tensor_v3", [storage, parts @ ..]) if matches!(parts.len(), 6 | 7) => {
            (storage, parts, Some(parts[5]))
        }
        _ => return Ok(None),
    };
    let Kind::Storage(storage) = graph.kind(*storage) else { return Ok(None) };
    if disputed[storage.storage.index()] {
        return Ok(None);
    }
    let Some(dtype) = element_type(graph, storage, dtype) else { return Ok(None) };
    let requires_grad = match parts.get(3).map(|part| graph.kind(*part)) {
        None => false,
        Some(Kind::Bool(value)) => *value,
        _ => return Ok(None),
    };
    let bad = |problem| TorchError::Tensor { key: graph.storage(storage.storage).key.clone(), problem };
    let mut tensor = Tensor {
        dtype,
        offset: natural(graph, parts[0]).ok_or_else(|| bad("its offset is no natural number"))?,
        shape: naturals(graph, parts[1]).ok_or_else(|| bad("its shape is no tuple of natural numbers"))?,
        strides: naturals(graph, parts[2])
            .ok_or_else(|| bad("its strides are no tuple of natural numbers"))?,
        storage: StorageRef::clone(storage),
        requires_grad,
        hooks: parts.get(4).copied().filter(|hooks| !is_fresh_empty(graph, *hooks, uses)),
        metadata: parts.get(if name == "_rebuild_tensor_v3" { 6 } else { 5 }).copied(),
    };
    if tensor.shape.len() != tensor.strides.len() || tensor.shape.len() > limits.dimensions {
        return Err(bad("its strides are not as many as its dimensions"));
    }
    tensor.bytes().ok_or_else(|| bad("it has more bytes than can be counted"))?;
    let end = tensor.end_byte().ok_or_else(|| bad("it reaches further than can be counted"))?;
    if end > graph.storage(storage.storage).bytes {
        return Err(bad("it reaches beyond its storage"));
    }
    if let Some(view) = storage.view {
        let reached = end / tensor.dtype.item_bytes();
        if reached > view.elements {
            return Err(bad("it reaches beyond its view"));
        }
        tensor.offset = tensor
            .offset
            .checked_add(view.offset)
            .filter(|_| tensor.end_byte().is_some())
            .ok_or_else(|| bad("it reaches further than can be counted"))?;
        if tensor.end_byte().is_none_or(|end| end > graph.storage(storage.storage).bytes) {
            return Err(bad("it reaches beyond its storage"));
        }
    }
    Ok(Some(tensor))
}

/// The stated type, or that of the storage's class; quantized types are rebuilt by other calls.
fn element_type(graph: &Graph, storage: &StorageRef, stated: Option<NodeId>) -> Option<Dtype> {
    match stated {
        None => dtype_of_class(&storage.class),
        Some(stated) => match graph.as_global(stated)? {
            ("torch", name) => Dtype::from_name(name),
            _ => None,
        },
    }
}

fn natural(graph: &Graph, id: NodeId) -> Option<u64> {
    graph.as_int(id).and_then(|value| u64::try_from(value).ok())
}

fn naturals(graph: &Graph, id: NodeId) -> Option<Vec<u64>> {
    match graph.kind(id) {
        Kind::Tuple(items) => items.iter().map(|item| natural(graph, *item)).collect(),
        _ => None,
    }
}

/// Whether these are the hooks that every tensor has: an empty `OrderedDict` of its own.
fn is_fresh_empty(graph: &Graph, id: NodeId, uses: &[u8]) -> bool {
    let node = graph.node(id);
    let Kind::Reduce { callee, args } = node.kind else { return false };
    uses[id.index()] == 1
        && node.tail.is_empty()
        && graph.as_global(callee) == Some(("collections", "OrderedDict"))
        && matches!(graph.kind(args), Kind::Tuple(items) if items.is_empty())
}

/// How often each node is referred to, up to 255.
fn uses(graph: &Graph) -> Vec<u8> {
    let mut uses = vec![0u8; graph.nodes.len()];
    for id in 0..graph.nodes.len() as u32 {
        for child in graph.children(NodeId(id)) {
            uses[child.index()] = uses[child.index()].saturating_add(1);
        }
    }
    uses
}

/// Drops what the root does not reach; the rest keeps its order.
fn compact(graph: &mut Graph) {
    let mut reached = vec![false; graph.nodes.len()];
    let mut todo = vec![graph.root];
    reached[graph.root.index()] = true;
    while let Some(id) = todo.pop() {
        for child in graph.children(id) {
            if !std::mem::replace(&mut reached[child.index()], true) {
                todo.push(child);
            }
        }
    }
    let mut next = 0;
    let places: Vec<NodeId> = reached
        .iter()
        .map(|&reached| {
            let place = NodeId(next);
            next += u32::from(reached);
            place
        })
        .collect();
    let mut index = 0;
    graph.nodes.retain(|_| {
        index += 1;
        reached[index - 1]
    });
    graph.nodes.shrink_to_fit();
    graph.root = places[graph.root.index()];
    for node in &mut graph.nodes {
        merge::each_child(node, |id| *id = places[id.index()]);
    }
}
