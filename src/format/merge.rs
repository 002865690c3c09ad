//! Graphs put together and taken apart.

use std::collections::HashMap;

use crate::value::{Graph, Kind, NodeId, StorageId, Tail};

/// Calls `each` on every node id that a node holds.
pub(super) fn each_child(node: &mut crate::value::Node, mut each: impl FnMut(&mut NodeId)) {
    match &mut node.kind {
        Kind::Tuple(items) | Kind::FrozenSet(items) | Kind::Instance(items) => {
            items.iter_mut().for_each(&mut each)
        }
        Kind::ReadonlyBuffer(inner) | Kind::PersistentId(inner) => each(inner),
        Kind::ComputedGlobal { module: one, name: two }
        | Kind::Reduce { callee: one, args: two }
        | Kind::NewObj { class: one, args: two } => [one, two].into_iter().for_each(&mut each),
        Kind::NewObjEx { class, args, kwargs } => [class, args, kwargs].into_iter().for_each(&mut each),
        Kind::Tensor(tensor) => tensor.hooks.iter_mut().chain(&mut tensor.metadata).for_each(&mut each),
        _ => {}
    }
    for step in &mut node.tail {
        match step {
            Tail::Append(item) | Tail::Build(item) | Tail::Effect(item) => each(item),
            Tail::Set(key, value) => [key, value].into_iter().for_each(&mut each),
            Tail::Add(items) => items.iter_mut().for_each(&mut each),
        }
    }
}

/// Calls `each` on the storage that a node names.
pub(super) fn each_storage(kind: &mut Kind, each: impl FnOnce(&mut StorageId)) {
    match kind {
        Kind::Tensor(tensor) => each(&mut tensor.storage.storage),
        Kind::Storage(storage) => each(&mut storage.storage),
        _ => {}
    }
}

/// Adds all nodes and storages of another graph and returns where its root is now.
pub(super) fn append(graph: &mut Graph, other: Graph) -> NodeId {
    let nodes = graph.nodes.len() as u32;
    let storages = graph.storages.len() as u32;
    graph.storages.extend(other.storages);
    for mut node in other.nodes {
        each_child(&mut node, |id| id.0 += nodes);
        each_storage(&mut node.kind, |id| id.0 += storages);
        graph.nodes.push(node);
    }
    NodeId(other.root.0 + nodes)
}

/// What is reachable from one node, as a graph of its own with the same storages.
pub(super) fn part(graph: &Graph, root: NodeId) -> Graph {
    let mut part = Graph { nodes: Vec::new(), root: NodeId(0), storages: graph.storages.clone() };
    part.root = copy(graph, root, &mut part, &mut HashMap::new());
    part
}

/// What is reachable from one node, in an order that depends on nothing else.
pub(super) fn nodes(graph: &Graph, root: NodeId) -> Vec<crate::value::Node> {
    let mut part = Graph { nodes: Vec::new(), root: NodeId(0), storages: Vec::new() };
    copy(graph, root, &mut part, &mut HashMap::new());
    part.nodes
}

/// Copies what is reachable from a node, unless it was before, and returns where it is now.
pub(super) fn copy(
    from: &Graph,
    root: NodeId,
    to: &mut Graph,
    places: &mut HashMap<NodeId, NodeId>,
) -> NodeId {
    let mut todo = vec![root];
    let mut copied = Vec::new();
    while let Some(id) = todo.pop() {
        if places.contains_key(&id) {
            continue;
        }
        let place = to.add(from.node(id).clone());
        places.insert(id, place);
        copied.push(place);
        todo.extend(from.children(id).into_iter().rev());
    }
    for place in copied {
        each_child(to.node_mut(place), |id| *id = places[id]);
    }
    places[&root]
}
