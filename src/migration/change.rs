//! The change record: what a migration did to a checkpoint, found by the identity of its parts.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::derive::{Derived, Origin};
use super::engine::Computed;
use crate::value::{Graph, Kind, NodeId, Path, Place, StorageId, is_atom, places};

/// The only encoding of a change record that this version writes and reads.
pub const CHANGE_ENCODING: u32 = 1;

/// What a migration did to a checkpoint.
///
/// Only the topmost of each change is listed: when a dict moved, what it holds moved with it. Containers,
/// objects and tensors are followed by identity. Text and numbers are followed by their place, and by
/// identity where one left its place and came up at another; truth values and `None` have none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRecord {
    /// [`CHANGE_ENCODING`].
    pub encoding: u32,
    /// What is the same object at another place.
    pub moved: Vec<Move>,
    /// Places whose object is gone, as they were before.
    pub dropped: Vec<Path>,
    /// Places whose object is new, as they are after.
    pub added: Vec<Path>,
    /// Places that hold another value than before: text, numbers, or a tensor that was recomputed.
    pub changed: Vec<Path>,
    /// New tensors, and where their bytes came from.
    pub derived: Vec<Derived>,
}

/// From one place to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Move {
    /// The place before.
    pub from: Path,
    /// The place after.
    pub to: Path,
}

impl ChangeRecord {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.moved.is_empty() && self.dropped.is_empty() && self.added.is_empty() && self.changed.is_empty()
    }

    /// Compares a graph with what became of it. Nodes that are still the same object must have kept their
    /// ids, and storages their numbers. `computed` tells of new storages how they come about.
    pub fn between(before: &Graph, after: &Graph, computed: &[Computed]) -> ChangeRecord {
        let (old, new) = (Index::of(before), Index::of(after));
        let mut record = ChangeRecord { encoding: CHANGE_ENCODING, ..ChangeRecord::default() };
        for place in old.first_places() {
            let id = place.node;
            if is_atom(before.kind(id)) {
                compare_atom(before, after, &old, &new, place, &mut record);
            } else if let Some(now) = new.path(id) {
                if old.carried_path(&new, place).as_ref() != Some(now) {
                    record.moved.push(Move { from: place.path.clone(), to: now.clone() });
                }
                if before.as_tensor(id) != after.as_tensor(id) {
                    record.changed.push(now.clone());
                }
            } else if place.parent.is_none_or(|parent| new.path(parent).is_some()) {
                record.dropped.push(place.path.clone());
            }
        }
        for place in new.first_places() {
            let id = place.node;
            let is_new = if is_atom(after.kind(id)) {
                // An atom under a new parent is part of what was added with the parent.
                new.carried_path(&old, place).is_some_and(|then| !old.has_atom_at(before, &then))
            } else {
                !old.has(id) && place.parent.is_none_or(|parent| old.has(parent))
            };
            if is_new {
                record.added.push(place.path.clone());
            }
        }
        record.follow_atoms(before, after, &old, &new);
        record.derived = derived(before, after, &new, computed);
        record
    }

    /// Text and numbers that left one place and came up at one other are moved.
    fn follow_atoms(&mut self, before: &Graph, after: &Graph, old: &Index, new: &Index) {
        let stands_at = |index: &Index, path: Option<Path>, id: NodeId| {
            path.is_some_and(|path| index.by_path.get(&path) == Some(&id))
        };
        let mut left: HashMap<NodeId, Vec<&Place>> = HashMap::new();
        for place in old.first_places().filter(|place| has_own_object(before.kind(place.node))) {
            if !stands_at(new, old.carried_path(new, place), place.node) {
                left.entry(place.node).or_default().push(place);
            }
        }
        let mut came: HashMap<NodeId, Vec<&Place>> = HashMap::new();
        for place in new.first_places().filter(|place| left.contains_key(&place.node)) {
            if !stands_at(old, new.carried_path(old, place), place.node) {
                came.entry(place.node).or_default().push(place);
            }
        }
        let mut moved: Vec<Move> = Vec::new();
        for (id, to) in &came {
            let ([from], [to]) = (left[id].as_slice(), to.as_slice()) else { continue };
            // An item of a list has another number when one before it went: that is the list's affair.
            let in_row = from.parent.is_some_and(|parent| {
                Some(parent) == to.parent
                    && matches!(after.kind(parent), Kind::List | Kind::Set | Kind::Tuple(_))
            });
            if !in_row {
                moved.push(Move { from: from.path.clone(), to: to.path.clone() });
            }
        }
        moved.sort();
        let (from, to): (HashSet<_>, HashSet<_>) = moved.iter().map(|moved| (&moved.from, &moved.to)).unzip();
        self.dropped.retain(|path| !from.contains(path));
        self.added.retain(|path| !to.contains(path));
        self.changed.retain(|path| !to.contains(path));
        self.moved.extend(moved);
    }
}

/// Whether Python makes an object of its own for each such value, so that it can be followed.
fn has_own_object(kind: &Kind) -> bool {
    is_atom(kind) && !matches!(kind, Kind::None | Kind::Bool(_) | Kind::Global { .. })
}

/// Where the bytes of new tensors came from.
fn derived(before: &Graph, after: &Graph, new: &Index, computed: &[Computed]) -> Vec<Derived> {
    let origins: HashMap<StorageId, Origin> = computed
        .iter()
        .map(|computed| (computed.storage, Origin::of_expr(&computed.expr, &before.storages)))
        .collect();
    let mut out = Vec::new();
    for place in new.first_places() {
        let Some(tensor) = after.as_tensor(place.node) else { continue };
        let survived = place.node.index() < before.nodes.len()
            && before.as_tensor(place.node).is_some_and(|old| old.storage.storage == tensor.storage.storage);
        let origin = match origins.get(&tensor.storage.storage) {
            _ if survived => continue,
            Some(origin) => origin.seen_by(tensor),
            None => Origin::of_view(tensor),
        };
        out.push(origin.at(place.path.clone()));
    }
    out
}

/// Text and numbers have no identity: what counts is whether the place still holds the same value.
fn compare_atom(
    before: &Graph,
    after: &Graph,
    old: &Index,
    new: &Index,
    place: &Place,
    record: &mut ChangeRecord,
) {
    let Some(now) = old.carried_path(new, place) else { return };
    match new.by_path.get(&now) {
        Some(id) if is_atom(after.kind(*id)) => {
            if after.kind(*id) != before.kind(place.node) {
                record.changed.push(now);
            }
        }
        _ => record.dropped.push(place.path.clone()),
    }
}

/// Where the nodes of a graph are.
struct Index {
    places: Vec<Place>,
    by_node: HashMap<NodeId, Path>,
    by_path: HashMap<Path, NodeId>,
    nodes: HashSet<NodeId>,
}

impl Index {
    fn of(graph: &Graph) -> Index {
        let places = places(graph);
        let mut by_node = HashMap::new();
        let mut by_path = HashMap::new();
        let mut nodes = HashSet::new();
        for place in &places {
            nodes.insert(place.node);
            if !is_atom(graph.kind(place.node)) {
                by_node.entry(place.node).or_insert_with(|| place.path.clone());
            }
            by_path.entry(place.path.clone()).or_insert(place.node);
        }
        Index { places, by_node, by_path, nodes }
    }

    fn first_places(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| !place.repeated)
    }

    fn has(&self, id: NodeId) -> bool {
        self.nodes.contains(&id)
    }

    /// The first place of a container, object or tensor.
    fn path(&self, id: NodeId) -> Option<&Path> {
        self.by_node.get(&id)
    }

    fn has_atom_at(&self, graph: &Graph, path: &Path) -> bool {
        self.by_path.get(path).is_some_and(|id| is_atom(graph.kind(*id)))
    }

    /// Where a place would be in `other` if it had stayed with its parent.
    fn carried_path(&self, other: &Index, place: &Place) -> Option<Path> {
        match place.parent {
            None => Some(Path::root()),
            Some(parent) => {
                let was = self.path(parent)?;
                Some(place.path.rebase(was, other.path(parent)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Dtype, Kind, Storage, StorageRef, Tail, Tensor};

    fn tensor(graph: &mut Graph) -> NodeId {
        let storage = graph.add_storage(Storage { key: graph.storages.len().to_string(), bytes: 4 });
        graph.add(Kind::Tensor(Box::new(Tensor {
            dtype: Dtype::F32,
            shape: vec![1],
            strides: vec![1],
            offset: 0,
            storage: StorageRef {
                storage,
                class: String::new(),
                location: String::new(),
                elements: 1,
                view: None,
            },
            requires_grad: false,
            hooks: None,
            metadata: None,
        })))
    }

    fn remove(graph: &mut Graph, dict: NodeId, key: &str) {
        let keep: Vec<Tail> = graph
            .node(dict)
            .tail
            .iter()
            .filter(|step| !matches!(step, Tail::Set(k, _) if graph.as_str(*k) == Some(key)))
            .cloned()
            .collect();
        graph.node_mut(dict).tail = keep;
    }

    fn checkpoint() -> (Graph, NodeId) {
        let mut graph = Graph::new();
        let state = graph.add(Kind::Dict);
        let root = graph.root;
        graph.set(root, "state", state);
        for key in ["a", "b"] {
            let value = tensor(&mut graph);
            graph.set(state, key, value);
        }
        let lr = graph.add(Kind::Float(0.1.into()));
        graph.set(root, "lr", lr);
        (graph, state)
    }

    fn moves(moves: &[Move]) -> Vec<(&str, &str)> {
        moves.iter().map(|m| (m.from.as_str(), m.to.as_str())).collect()
    }

    #[test]
    fn equal_weights_are_told_apart_by_identity() {
        let (before, state) = checkpoint();
        let mut after = before.clone();
        let (a, b) = (after.get(state, "a").unwrap(), after.get(state, "b").unwrap());
        after.set(state, "a", b);
        after.set(state, "b", a);
        let record = ChangeRecord::between(&before, &after, &[]);
        assert_eq!(moves(&record.moved), [("state/a", "state/b"), ("state/b", "state/a")]);
        assert!(record.dropped.is_empty() && record.added.is_empty());
    }

    #[test]
    fn what_is_inside_a_moved_dict_is_not_listed_again() {
        let (before, state) = checkpoint();
        let mut after = before.clone();
        let root = after.root;
        remove(&mut after, root, "state");
        after.set(root, "state_dict", state);
        let record = ChangeRecord::between(&before, &after, &[]);
        assert_eq!(moves(&record.moved), [("state", "state_dict")]);
        assert!(record.added.is_empty() && record.dropped.is_empty() && record.changed.is_empty());
    }

    #[test]
    fn dropped_added_and_changed_are_listed() {
        let (before, state) = checkpoint();
        let mut after = before.clone();
        remove(&mut after, state, "a");
        let root = after.root;
        let lr = after.add(Kind::Float(0.2.into()));
        after.set(root, "lr", lr);
        let epoch = after.add(Kind::Int(3));
        after.set(root, "epoch", epoch);
        let new = tensor(&mut after);
        after.set(state, "c", new);
        let record = ChangeRecord::between(&before, &after, &[]);
        assert_eq!(record.dropped, [Path::parse("state/a")]);
        assert_eq!(record.changed, [Path::parse("lr")]);
        assert_eq!(record.added, [Path::parse("state/c"), Path::parse("epoch")]);
        assert!(record.moved.is_empty());
    }

    #[test]
    fn nothing_changed_gives_an_empty_record() {
        let (graph, _) = checkpoint();
        assert!(ChangeRecord::between(&graph, &graph, &[]).is_empty());
    }
}
