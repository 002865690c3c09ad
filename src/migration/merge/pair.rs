//! Which nodes of three checkpoints are versions of one object.

use std::collections::{HashMap, HashSet, VecDeque};

use super::super::ChangeRecord;
use super::parts::{Parts, Slot, alike, same_sort};
use super::{Conflict, Side};
use crate::value::{Graph, NodeId, Path, Place, is_atom, places};

/// Where the nodes of one checkpoint are.
pub(super) struct Index {
    pub places: Vec<Place>,
    paths: HashMap<NodeId, Path>,
    by_path: HashMap<Path, Vec<NodeId>>,
}

impl Index {
    pub fn of(graph: &Graph) -> Index {
        let places = places(graph);
        let mut paths = HashMap::new();
        let mut by_path: HashMap<Path, Vec<NodeId>> = HashMap::new();
        for place in &places {
            if !is_atom(graph.kind(place.node)) {
                paths.entry(place.node).or_insert_with(|| place.path.clone());
                by_path.entry(place.path.clone()).or_default().push(place.node);
            }
        }
        // Arguments and states are no places; they are spoken of by the place of their object.
        let mut seen = HashSet::from([graph.root]);
        let mut todo = VecDeque::from([graph.root]);
        while let Some(id) = todo.pop_front() {
            let base = paths.get(&id).cloned().unwrap_or_default();
            let parts = Parts::of(graph, id);
            for (slot, child) in parts.named(graph.kind(id)) {
                if !is_atom(graph.kind(child)) && seen.insert(child) {
                    paths.entry(child).or_insert_with(|| below(&base, &slot));
                    todo.push_back(child);
                }
            }
        }
        Index { places, paths, by_path }
    }

    /// The place of a node that is no atom.
    pub fn path(&self, id: NodeId) -> Path {
        self.paths.get(&id).cloned().unwrap_or_default()
    }

    /// At how many places a node is.
    pub fn count(&self, id: NodeId) -> usize {
        self.places.iter().filter(|place| place.node == id).count()
    }

    /// The place of a part.
    pub fn part(&self, parent: NodeId, slot: &Slot<'_>) -> Path {
        below(&self.path(parent), slot)
    }

    /// The nodes that have a path, atoms left out.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.paths.keys().copied()
    }

    /// Nodes at a path that are no atoms: one, or a wrapper and what it wraps.
    pub fn at(&self, path: &Path) -> &[NodeId] {
        self.by_path.get(path).map_or(&[], Vec::as_slice)
    }
}

fn below(path: &Path, slot: &Slot<'_>) -> Path {
    match slot.step() {
        Some(step) => path.join(&step),
        None => path.clone(),
    }
}

/// A one-to-one relation of the nodes of two checkpoints.
#[derive(Default)]
pub(super) struct Pairs {
    forth: HashMap<NodeId, NodeId>,
    back: HashMap<NodeId, NodeId>,
}

impl Pairs {
    /// What became of a node.
    pub fn forth(&self, id: NodeId) -> Option<NodeId> {
        self.forth.get(&id).copied()
    }

    /// What a node was before.
    pub fn back(&self, id: NodeId) -> Option<NodeId> {
        self.back.get(&id).copied()
    }

    pub fn all(&self) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
        self.forth.iter().map(|(a, b)| (*a, *b))
    }

    fn free(&self, from: NodeId, to: NodeId) -> bool {
        !self.forth.contains_key(&from) && !self.back.contains_key(&to)
    }

    fn add(&mut self, from: NodeId, to: NodeId) {
        self.forth.insert(from, to);
        self.back.insert(to, from);
    }
}

/// Follows nodes through the migration: by the record, then what stands for a container or object in its
/// place. Tensors are the same only if their bytes are.
pub(super) fn through_migration(
    before: &Side<'_>,
    old: &Index,
    after: &Side<'_>,
    new: &Index,
    record: &ChangeRecord,
    is_kept_apart: impl Fn(&Path) -> bool,
) -> Result<Pairs, Conflict> {
    let moved: HashMap<&Path, &Path> = record.moved.iter().map(|moved| (&moved.from, &moved.to)).collect();
    let dropped: HashSet<&Path> = record.dropped.iter().collect();
    let mut pairs = Pairs::default();
    // A tensor that was changed in place is at its place all the same.
    let mut stands: HashMap<NodeId, NodeId> = HashMap::new();
    for place in old.places.iter().filter(|place| !place.repeated) {
        if is_atom(before.graph.kind(place.node)) {
            continue;
        }
        let now = match (moved.get(&place.path), place.parent) {
            (Some(to), _) => (*to).clone(),
            (None, _) if dropped.contains(&place.path) => continue,
            (None, None) => Path::root(),
            (None, Some(parent)) => match stands.get(&parent) {
                Some(is) => place.path.rebase(&old.path(parent), &new.path(*is)),
                None => continue,
            },
        };
        let found = new.at(&now).iter().copied().find(|id| {
            same_sort(before.graph.kind(place.node), after.graph.kind(*id)) && !pairs.back.contains_key(id)
        });
        match found {
            Some(found) => {
                stands.insert(place.node, found);
                if before.graph.as_tensor(place.node).is_none()
                    || before.same_tensor(place.node, after, found)
                {
                    pairs.add(place.node, found);
                }
            }
            None if is_kept_apart(&place.path) => {}
            None => return Err(Conflict::Record { path: now }),
        }
    }
    let (root, now) = (before.graph.root, after.graph.root);
    if pairs.free(root, now) && alike(before.graph, root, after.graph, now) {
        pairs.add(root, now);
    }
    let mut todo: VecDeque<(NodeId, NodeId)> = pairs.all().collect();
    while let Some((was, is)) = todo.pop_front() {
        let (a, b) = (Parts::of(before.graph, was), Parts::of(after.graph, is));
        for (slot, x) in a.named(before.graph.kind(was)) {
            let Some(y) = b.at(&slot) else { continue };
            let could_be = !is_atom(before.graph.kind(x))
                && before.graph.as_tensor(x).is_none()
                && pairs.free(x, y)
                && alike(before.graph, x, after.graph, y);
            if could_be {
                pairs.add(x, y);
                todo.push_back((x, y));
            }
        }
    }
    Ok(pairs)
}

/// Nodes of what the migration made, in what became of it since; and what is there no more in that form.
pub(super) struct Since {
    pub pairs: Pairs,
    /// Nodes in whose place there is something else now.
    pub replaced: Vec<NodeId>,
}

/// Follows nodes through training: by their place.
pub(super) fn through_training(after: &Graph, now: &Graph) -> Result<Since, Conflict> {
    let mut pairs = Pairs::default();
    let mut replaced = Vec::new();
    if !alike(after, after.root, now, now.root) {
        return Err(Conflict::Missing { path: Path::root() });
    }
    pairs.add(after.root, now.root);
    let mut todo = VecDeque::from([(after.root, now.root)]);
    while let Some((was, is)) = todo.pop_front() {
        let (a, b) = (Parts::of(after, was), Parts::of(now, is));
        for (slot, x) in a.named(after.kind(was)) {
            if is_atom(after.kind(x)) {
                continue;
            }
            // Items of a list that grew or shrank are not told apart by their number.
            let shifted = match slot {
                Slot::Row(_) => a.row.len() != b.row.len(),
                Slot::Member(_) => a.members.len() != b.members.len(),
                _ => false,
            };
            match b.at(&slot) {
                None => {}
                Some(y) if !shifted && pairs.free(x, y) && alike(after, x, now, y) => {
                    pairs.add(x, y);
                    todo.push_back((x, y));
                }
                Some(y) if pairs.forth(x) == Some(y) => {}
                Some(_) => replaced.push(x),
            }
        }
    }
    replaced.retain(|id| pairs.forth(*id).is_none());
    Ok(Since { pairs, replaced })
}
