//! Visiting every place of a checkpoint.

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
/// children, in the checkpoint's order; see [`walk`].
pub fn places(graph: &Graph) -> Vec<Place> {
    walk(graph).collect()
}

/// Goes through every place that is reachable from the root and at most [`MAX_DEPTH`] steps away, parents before
/// children, in the checkpoint's order.
///
/// Containers and objects are visited once, so cycles end. Where an object's state is a dict, its
/// entries are steps below the object, as attributes are in Python. Arguments of a call are steps
/// `(0)`, `(1)` and so on; a call that only wraps a tensor (`_rebuild_parameter`) is no step of its own.
/// Keys that are not text or numbers are steps like `<tuple 3>`, by their place among the items.
pub fn walk(graph: &Graph) -> Walk<'_> {
    Walk { graph, seen: vec![false; graph.nodes.len()], below: Vec::new(), began: false }
}

/// A walk through a checkpoint, see [`walk`]. It holds no path but those above the place it is at.
#[derive(Debug)]
pub struct Walk<'a> {
    graph: &'a Graph,
    seen: Vec<bool>,
    /// What is entered, from the root down.
    below: Vec<Entered>,
    began: bool,
}

/// A node that is entered, and what of it is still to be visited.
#[derive(Debug)]
struct Entered {
    path: Path,
    node: NodeId,
    steps: std::vec::IntoIter<(Step, NodeId)>,
}

impl Iterator for Walk<'_> {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        if !std::mem::replace(&mut self.began, true) {
            return Some(self.visit(Path::root(), self.graph.root, None));
        }
        loop {
            let last = self.below.last_mut()?;
            if let Some((step, node)) = last.steps.next() {
                let (path, parent) = (step.below(self.graph, &last.path), last.node);
                return Some(self.visit(path, node, Some(parent)));
            }
            self.below.pop();
        }
    }
}

impl Walk<'_> {
    fn visit(&mut self, path: Path, node: NodeId, parent: Option<NodeId>) -> Place {
        let is_atom = is_atom(self.graph.kind(node));
        let repeated = !is_atom && std::mem::replace(&mut self.seen[node.index()], true);
        if !repeated && self.below.len() < MAX_DEPTH {
            let mut steps = Vec::new();
            steps_below(self.graph, node, &mut steps);
            if !steps.is_empty() {
                self.below.push(Entered { path: path.clone(), node, steps: steps.into_iter() });
            }
        }
        Place { path, node, parent, repeated }
    }
}

/// A step from a node to one below it.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The same place: a call that only wraps what is below.
    Same,
    /// An item, by its number.
    Item(u32),
    /// An argument, by its number.
    Argument(u32),
    /// A value, by its key and the number of the key.
    Key(NodeId, u32),
    /// The arguments of a call that have names.
    NamedArguments,
    /// The hooks of a tensor.
    Hooks,
    /// What was called on a value.
    Effect,
    /// The state of an object.
    State,
}

impl Step {
    fn below(self, graph: &Graph, path: &Path) -> Path {
        match self {
            Step::Same => path.clone(),
            Step::Item(place) => path.join(&place.to_string()),
            Step::Argument(place) => path.join(&format!("({place})")),
            Step::Key(key, place) => path.join(&key_step(graph, key, place)),
            Step::NamedArguments => path.join("(kwargs)"),
            Step::Hooks => path.join("(hooks)"),
            Step::Effect => path.join("(effect)"),
            Step::State => path.join("(state)"),
        }
    }
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

fn steps_below(graph: &Graph, id: NodeId, out: &mut Vec<(Step, NodeId)>) {
    let node = graph.node(id);
    match &node.kind {
        Kind::Tuple(items) | Kind::FrozenSet(items) => {
            out.extend((0..).map(Step::Item).zip(items.iter().copied()))
        }
        Kind::Reduce { callee, args }
        | Kind::NewObj { class: callee, args }
        | Kind::NewObjEx { class: callee, args, .. } => {
            if let Some(tensor) = wrapped_tensor(graph, *callee, *args) {
                out.push((Step::Same, tensor));
            } else if let Kind::Tuple(items) = graph.kind(*args) {
                out.extend((0..).map(Step::Argument).zip(items.iter().copied()));
            }
            if let Kind::NewObjEx { kwargs, .. } = &node.kind {
                out.push((Step::NamedArguments, *kwargs));
            }
        }
        Kind::Instance(parts) => out.extend((0..).map(Step::Argument).zip(parts.iter().skip(1).copied())),
        Kind::ReadonlyBuffer(inner) | Kind::PersistentId(inner) => out.push((Step::Argument(0), *inner)),
        Kind::Tensor(tensor) => out.extend(tensor.hooks.map(|hooks| (Step::Hooks, hooks))),
        _ => {}
    }
    if node.tail.is_empty() {
        return;
    }
    entries(graph, id, out);
    let mut place = 0;
    for step in &node.tail {
        match step {
            Tail::Set(..) => {}
            Tail::Append(item) => {
                out.push((Step::Item(place), *item));
                place += 1;
            }
            Tail::Add(items) => {
                for item in items {
                    out.push((Step::Item(place), *item));
                    place += 1;
                }
            }
            Tail::Build(state) => attributes(graph, *state, out),
            Tail::Effect(call) => out.push((Step::Effect, *call)),
        }
    }
}

/// What was set on a node, by its keys.
fn entries(graph: &Graph, id: NodeId, out: &mut Vec<(Step, NodeId)>) {
    let items = graph.items(id).into_iter();
    out.extend((0..).zip(items).map(|(place, (key, value))| (Step::Key(key, place), value)));
}

/// State set on an object: a dict of attributes, a pair of such dicts (slots in the second), or a value.
fn attributes(graph: &Graph, state: NodeId, out: &mut Vec<(Step, NodeId)>) {
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
        out.push((Step::State, state));
    }
    for dict in dicts {
        entries(graph, dict, out);
    }
}

fn key_step(graph: &Graph, key: NodeId, place: u32) -> String {
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
