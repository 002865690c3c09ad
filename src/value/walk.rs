//! Visiting every place of a checkpoint.

use std::collections::HashSet;

use super::{Graph, Kind, NodeId, Path, Tail};

/// One place of a checkpoint and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub path: Path,
    /// What.
    pub node: NodeId,
    /// The node it was reached from; `None` for the root.
    pub parent: Option<NodeId>,
    /// Whether the same node was already visited at an earlier place; what is below it is then not
    /// visited again.
    pub repeated: bool,
}

/// Places deeper than this many steps are not visited: a path is as long as its place is deep, so hostile
/// nesting would take memory in the square of its depth. No framework comes near.
pub const MAX_DEPTH: usize = 1000;

/// Every place that is reachable from the root and at most [`MAX_DEPTH`] steps away, parents before
/// children, in the checkpoint's order.
///
/// Containers and objects are visited once, so cycles end. Where an object's state is a dict, its
/// entries are steps below the object, as attributes are in Python. Arguments of a call are steps
/// `(0)`, `(1)` and so on; a call that only wraps a tensor (`_rebuild_parameter`) is no step of its own.
/// Keys that are not text or numbers are steps like `<tuple 3>`, by their place among the items.
pub fn places(graph: &Graph) -> Vec<Place> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    let mut todo = vec![(Path::root(), graph.root, None, 0)];
    let mut below = Vec::new();
    while let Some((path, node, parent, depth)) = todo.pop() {
        let repeated = !is_atom(graph.kind(node)) && !seen.insert(node);
        if !repeated && depth < MAX_DEPTH {
            steps_below(graph, &path, node, &mut below);
            todo.extend(below.drain(..).rev().map(|(path, child)| (path, child, Some(node), depth + 1)));
        }
        out.push(Place { path, node, parent, repeated });
    }
    out
}

/// Whether a node of this kind has no identity that matters: Python compares it by value.
pub fn is_atom(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::None
            | Kind::Bool(_)
            | Kind::Int(_)
            | Kind::BigInt(_)
            | Kind::Float(_)
            | Kind::Str(_)
            | Kind::SurrogateStr(_)
            | Kind::Str8(_)
            | Kind::Bytes(_)
            | Kind::Global { .. }
    )
}

fn steps_below(graph: &Graph, path: &Path, id: NodeId, out: &mut Vec<(Path, NodeId)>) {
    let node = graph.node(id);
    match &node.kind {
        Kind::Tuple(items) | Kind::FrozenSet(items) => {
            for (i, item) in items.iter().enumerate() {
                out.push((path.join(&i.to_string()), *item));
            }
        }
        Kind::Reduce { callee, args }
        | Kind::NewObj { class: callee, args }
        | Kind::NewObjEx { class: callee, args, .. } => {
            if let Some(tensor) = wrapped_tensor(graph, *callee, *args) {
                out.push((path.clone(), tensor));
            } else if let Kind::Tuple(items) = graph.kind(*args) {
                for (i, item) in items.iter().enumerate() {
                    out.push((path.join(&format!("({i})")), *item));
                }
            }
            if let Kind::NewObjEx { kwargs, .. } = &node.kind {
                out.push((path.join("(kwargs)"), *kwargs));
            }
        }
        Kind::Instance(parts) => {
            for (i, item) in parts.iter().skip(1).enumerate() {
                out.push((path.join(&format!("({i})")), *item));
            }
        }
        Kind::ReadonlyBuffer(inner) | Kind::PersistentId(inner) => {
            out.push((path.join("(0)"), *inner));
        }
        Kind::Tensor(tensor) => {
            if let Some(hooks) = tensor.hooks {
                out.push((path.join("(hooks)"), hooks));
            }
        }
        _ => {}
    }
    if node.tail.is_empty() {
        return;
    }
    for (i, (key, value)) in graph.items(id).into_iter().enumerate() {
        out.push((path.join(&key_step(graph, key, i)), value));
    }
    let mut place = 0;
    for step in &node.tail {
        match step {
            Tail::Set(..) => {}
            Tail::Append(item) => {
                out.push((path.join(&place.to_string()), *item));
                place += 1;
            }
            Tail::Add(items) => {
                for item in items {
                    out.push((path.join(&place.to_string()), *item));
                    place += 1;
                }
            }
            Tail::Build(state) => attributes(graph, path, *state, out),
            Tail::Effect(call) => out.push((path.join("(effect)"), *call)),
        }
    }
}

/// State set on an object: a dict of attributes, a pair of such dicts (slots in the second), or a value.
fn attributes(graph: &Graph, path: &Path, state: NodeId, out: &mut Vec<(Path, NodeId)>) {
    let mut dicts = Vec::new();
    match graph.kind(state) {
        Kind::Dict => dicts.push(state),
        Kind::Tuple(pair) if pair.len() == 2 => {
            let is_state = |id: &NodeId| matches!(graph.kind(*id), Kind::Dict | Kind::None);
            if pair.iter().all(is_state) {
                dicts.extend(pair.iter().filter(|id| matches!(graph.kind(**id), Kind::Dict)));
            }
        }
        _ => {}
    }
    if dicts.is_empty() {
        out.push((path.join("(state)"), state));
        return;
    }
    for dict in dicts {
        for (i, (key, value)) in graph.items(dict).into_iter().enumerate() {
            out.push((path.join(&key_step(graph, key, i)), value));
        }
    }
}

fn key_step(graph: &Graph, key: NodeId, place: usize) -> String {
    match graph.kind(key) {
        Kind::Str(text) => text.clone(),
        Kind::Str8(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Kind::Int(value) => value.to_string(),
        Kind::BigInt(value) => value.to_string(),
        Kind::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
        Kind::None => "None".to_owned(),
        Kind::Float(bits) => format!("{:?}", bits.get()),
        Kind::Tuple(_) => format!("<tuple {place}>"),
        _ => format!("<key {place}>"),
    }
}

fn wrapped_tensor(graph: &Graph, callee: NodeId, args: NodeId) -> Option<NodeId> {
    let (module, name) = graph.as_global(callee)?;
    if module != "torch._utils" || !name.starts_with("_rebuild_parameter") {
        return None;
    }
    let Kind::Tuple(items) = graph.kind(args) else { return None };
    let first = *items.first()?;
    graph.as_tensor(first).map(|_| first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_visited_once() {
        let mut graph = Graph::new();
        let root = graph.root;
        graph.set(root, "me", root);
        let found: Vec<_> =
            places(&graph).into_iter().map(|p| (p.path.as_str().to_owned(), p.repeated)).collect();
        assert_eq!(found, [(String::new(), false), ("me".to_owned(), true)]);
    }

    #[test]
    fn nesting_without_end_is_cut_off() {
        let mut graph = Graph::new();
        let mut inner = graph.root;
        for _ in 0..100_000 {
            let list = graph.add(Kind::List);
            graph.node_mut(inner).tail.push(Tail::Append(list));
            inner = list;
        }
        assert_eq!(places(&graph).len(), MAX_DEPTH + 1);
    }

    #[test]
    fn state_entries_are_steps_below_the_object() {
        let mut graph = Graph::new();
        let class = graph.add(Kind::Global { module: "a".into(), name: "B".into() });
        let args = graph.add(Kind::Tuple(vec![]));
        let object = graph.add(Kind::NewObj { class, args });
        let state = graph.add(Kind::Dict);
        let value = graph.add(Kind::Int(7));
        graph.set(state, "lr", value);
        graph.node_mut(object).tail.push(Tail::Build(state));
        let root = graph.root;
        graph.set(root, "config", object);
        let paths: Vec<_> = places(&graph).into_iter().map(|p| p.path.to_string()).collect();
        assert_eq!(paths, ["", "config", "config/lr"]);
    }
}
