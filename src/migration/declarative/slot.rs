//! The places of a graph that an operation can edit.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::value::{Graph, Kind, NodeId, Tail};

use super::pattern::{Pattern, Progress};

/// One place: an entry of a dict, of an object's state, or of a list or tuple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    /// Where it is, below the container that was searched.
    pub path: String,
    /// The node that holds it.
    pub holder: NodeId,
    /// Its place in the holder's tail; `None` for an item of a tuple, which cannot be edited.
    pub at: Option<usize>,
    /// What is there.
    pub node: NodeId,
}

/// A slot that a pattern matched.
#[derive(Debug, Clone)]
pub(super) struct Match {
    pub slot: Slot,
    /// What the wildcards stand for.
    pub captures: Vec<String>,
    /// The last step as the key is, without the path's escapes.
    pub key: String,
}

/// A step as a path writes it.
pub(super) fn escaped(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

/// A step of a path as the key is.
pub(super) fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// A place split into what it is in and its last step.
pub(super) fn split_last(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The text of a key: of text and of whole numbers, as optimizers have them. Other keys have no place.
fn key_text(graph: &Graph, key: NodeId) -> Option<String> {
    match graph.kind(key) {
        Kind::Int(value) => Some(value.to_string()),
        _ => graph.as_str(key).map(str::to_owned),
    }
}

/// The slots right below a node, with their keys.
pub(super) fn slots_below(graph: &Graph, node: NodeId) -> Vec<(String, Slot)> {
    let mut out = Vec::new();
    let slot = |holder, at, node| Slot { path: String::new(), holder, at, node };
    if let Kind::Tuple(items) = graph.kind(node) {
        out.extend(items.iter().enumerate().map(|(i, item)| (i.to_string(), slot(node, None, *item))));
    }
    let mut element = 0;
    for (at, step) in graph.node(node).tail.iter().enumerate() {
        match step {
            Tail::Set(key, value) => {
                out.extend(key_text(graph, *key).map(|key| (key, slot(node, Some(at), *value))));
            }
            Tail::Append(item) => {
                out.push((element.to_string(), slot(node, Some(at), *item)));
                element += 1;
            }
            Tail::Build(state) => {
                for dict in state_dicts(graph, *state) {
                    for (at, step) in graph.node(dict).tail.iter().enumerate() {
                        let Tail::Set(key, value) = step else { continue };
                        out.extend(key_text(graph, *key).map(|key| (key, slot(dict, Some(at), *value))));
                    }
                }
            }
            Tail::Add(_) | Tail::Effect(_) => {}
        }
    }
    out
}

/// The dicts of attributes that an object's state is.
fn state_dicts(graph: &Graph, state: NodeId) -> Vec<NodeId> {
    match graph.kind(state) {
        Kind::Dict => vec![state],
        Kind::Tuple(pair) if pair.len() == 2 => {
            pair.iter().copied().filter(|id| matches!(graph.kind(*id), Kind::Dict)).collect()
        }
        _ => Vec::new(),
    }
}

/// The node to which a key can be added for something below `node`: a dict, or an object's attributes.
pub(super) fn key_holder(graph: &Graph, node: NodeId) -> Option<NodeId> {
    let is_dict = match graph.kind(node) {
        Kind::Dict => true,
        Kind::Reduce { .. } | Kind::NewObj { .. } => {
            let class = graph.class_of(node);
            class.is_some_and(|class| matches!(class, ("collections", "OrderedDict" | "defaultdict")))
                || graph.node(node).tail.iter().any(|step| matches!(step, Tail::Set(..)))
        }
        _ => false,
    };
    if is_dict {
        return Some(node);
    }
    graph.node(node).tail.iter().rev().find_map(|step| match step {
        Tail::Build(state) => state_dicts(graph, *state).first().copied(),
        _ => None,
    })
}

/// The slots below a container that a pattern matches, in the checkpoint's order. Nothing below a match is
/// looked at, and what is shared or cyclic is looked into once.
pub(super) fn find(graph: &Graph, container: NodeId, pattern: &Pattern) -> Vec<Match> {
    let mut out = Vec::new();
    let mut seen = HashSet::new();
    let mut todo = vec![(container, String::new(), 0usize, Vec::new())];
    while let Some((node, path, depth, captured)) = todo.pop() {
        if !seen.insert(node) {
            continue;
        }
        let mut below = Vec::new();
        for (key, mut slot) in slots_below(graph, node) {
            let step = escaped(&key);
            slot.path = if depth == 0 { step.clone() } else { format!("{path}/{step}") };
            match pattern.advance(depth, &slot.path, &step, &captured) {
                Progress::No => {}
                Progress::Here(captures) => out.push(Match { slot, captures, key }),
                Progress::Below => {
                    let mut captured: Vec<String> = captured.clone();
                    captured.extend(pattern.captures_of_step(depth, &step));
                    below.push((slot.node, slot.path, depth + 1, captured));
                }
            }
        }
        todo.extend(below.into_iter().rev());
    }
    out
}

/// The containers that a place, which may have wildcards, names. The empty place is the root.
pub(super) fn containers(graph: &Graph, place: Option<&Pattern>) -> Vec<(String, NodeId)> {
    match place {
        None => vec![(String::new(), graph.root)],
        Some(place) => find(graph, graph.root, place)
            .into_iter()
            .map(|found| (found.slot.path, found.slot.node))
            .collect(),
    }
}

/// Edits of tails, made together so that places stay what they were while they are gathered.
#[derive(Debug, Default)]
pub(super) struct Edits {
    replaced: HashMap<NodeId, BTreeMap<usize, Vec<Tail>>>,
    added: HashMap<NodeId, Vec<Tail>>,
}

impl Edits {
    /// Puts these steps in the place of a slot's own. `false` if the slot cannot be edited.
    #[must_use]
    pub fn replace(&mut self, slot: &Slot, with: Vec<Tail>) -> bool {
        let Some(at) = slot.at else { return false };
        self.replaced.entry(slot.holder).or_default().insert(at, with);
        true
    }

    /// Adds a key behind the last one of a holder.
    pub fn add(&mut self, holder: NodeId, key: NodeId, value: NodeId) {
        self.added.entry(holder).or_default().push(Tail::Set(key, value));
    }

    /// Makes the edits.
    pub fn commit(mut self, graph: &mut Graph) {
        let holders: HashSet<NodeId> = self.replaced.keys().chain(self.added.keys()).copied().collect();
        for holder in holders {
            let mut replaced = self.replaced.remove(&holder).unwrap_or_default();
            let mut added = self.added.remove(&holder).unwrap_or_default();
            let old = std::mem::take(&mut graph.node_mut(holder).tail);
            // Attributes are set on a dict after its items.
            let last = old.iter().rposition(|step| matches!(step, Tail::Set(..)));
            let mut tail = Vec::with_capacity(old.len() + added.len());
            if last.is_none() {
                tail.append(&mut added);
            }
            for (at, step) in old.into_iter().enumerate() {
                match replaced.remove(&at) {
                    Some(with) => tail.extend(with),
                    None => tail.push(step),
                }
                if Some(at) == last {
                    tail.append(&mut added);
                }
            }
            graph.node_mut(holder).tail = tail;
        }
    }
}

/// The step that puts another node in a slot's place.
pub(super) fn with_node(graph: &Graph, slot: &Slot, node: NodeId) -> Option<Tail> {
    match graph.node(slot.holder).tail.get(slot.at?)? {
        Tail::Set(key, _) => Some(Tail::Set(*key, node)),
        Tail::Append(_) => Some(Tail::Append(node)),
        _ => None,
    }
}

/// A key node like the slot's own, with another text: a number stays one where the text is one.
pub(super) fn key_like(graph: &mut Graph, slot: &Slot, text: &str) -> Option<NodeId> {
    let key = match graph.node(slot.holder).tail.get(slot.at?)? {
        Tail::Set(key, _) => *key,
        _ => return None,
    };
    let number = match graph.kind(key) {
        Kind::Int(_) => text.parse::<i64>().ok().filter(|value| value.to_string() == text),
        _ => None,
    };
    Some(match number {
        Some(value) => graph.add(Kind::Int(value)),
        None => graph.add_str(text),
    })
}

/// Brings every dict to one step a key, the last value at the first place, as Python's dict has it.
pub(super) fn settle_keys(graph: &mut Graph) {
    for place in 0..graph.nodes.len() {
        let sets = graph.nodes[place].tail.iter().filter(|step| matches!(step, Tail::Set(..))).count();
        if sets < 2 {
            continue;
        }
        let id = NodeId(u32::try_from(place).expect("node ids have 32 bits"));
        let mut items = graph.items(id);
        if items.len() == sets {
            continue;
        }
        let mut tail = Vec::new();
        for step in std::mem::take(&mut graph.node_mut(id).tail) {
            match step {
                Tail::Set(..) => tail.extend(items.drain(..).map(|(key, value)| Tail::Set(key, value))),
                other => tail.push(other),
            }
        }
        graph.node_mut(id).tail = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> Graph {
        let mut graph = Graph::new();
        let (root, state) = (graph.root, graph.add(Kind::Dict));
        graph.set(root, "state", state);
        for key in ["a.w", "b.w", "a.b"] {
            let value = graph.add(Kind::Int(1));
            graph.set(state, key, value);
        }
        let list = graph.add(Kind::List);
        graph.set(root, "groups", list);
        let inner = graph.add(Kind::Dict);
        graph.node_mut(list).tail.push(Tail::Append(inner));
        let lr = graph.add(Kind::Float(0.1.into()));
        graph.set(inner, "lr", lr);
        graph.set(inner, "all", root);
        graph
    }

    fn found(pattern: &str) -> Vec<String> {
        let graph = graph();
        let pattern = Pattern::glob(pattern).unwrap();
        find(&graph, graph.root, &pattern).into_iter().map(|found| found.slot.path).collect()
    }

    #[test]
    fn places_are_found_by_their_steps() {
        assert_eq!(found("state/*.w"), ["state/a.w", "state/b.w"]);
        assert_eq!(found("groups/*/lr"), ["groups/0/lr"]);
        assert_eq!(found("**.w"), ["state/a.w", "state/b.w"]);
        assert_eq!(found("groups/1/lr"), [""; 0]);
        // The root is met again below itself, and not looked into twice.
        assert_eq!(found("**/lr"), ["groups/0/lr"]);
    }

    #[test]
    fn a_key_set_twice_is_one_place() {
        let mut graph = graph();
        let state = graph.get(graph.root, "state").unwrap();
        let (key, value) = (graph.add_str("a.w"), graph.add(Kind::Int(7)));
        graph.node_mut(state).tail.push(Tail::Set(key, value));
        settle_keys(&mut graph);
        let keys: Vec<_> =
            slots_below(&graph, state).into_iter().map(|(key, slot)| (key, slot.node)).collect();
        assert_eq!(keys.len(), 3);
        assert_eq!(keys[0], ("a.w".to_owned(), value));
    }
}
