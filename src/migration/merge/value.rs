//! Text, numbers and truth values that a migration moved: which present one is which old one.

use std::collections::{HashMap, HashSet};

use super::super::ChangeRecord;
use super::Conflict;
use super::pair::{Index, Pairs};
use super::parts::{Parts, Slot};
use crate::value::{Graph, Kind, NodeId, Path, is_atom};

/// Values that left one place and came up at another.
pub(super) struct Values {
    from: HashMap<Path, usize>,
    to: HashMap<Path, usize>,
    present: Vec<(Path, Option<NodeId>)>,
    /// A value that was dropped, and of which nothing says that it went nowhere.
    pub dropped: Option<Path>,
}

impl Values {
    pub fn of(
        graphs: [&Graph; 3],
        [old, new]: [&Index; 2],
        migration: &Pairs,
        training: &Pairs,
        record: &ChangeRecord,
        is_kept_apart: impl Fn(&Path) -> bool,
    ) -> Values {
        let [before, after, now] = graphs;
        let left = without_partner(before, old, after, |id| migration.forth(id), &is_kept_apart);
        let came = without_partner(after, new, before, |id| migration.back(id), &is_kept_apart);
        let (left_at, came_at): (HashSet<&Path>, HashSet<&Path>) =
            (left.iter().map(|value| &value.path).collect(), came.iter().map(|value| &value.path).collect());
        let mut moves: Vec<(Path, Path)> = Vec::new();
        let mut dropped = None;
        for moved in &record.moved {
            if left_at.contains(&moved.from) && came_at.contains(&moved.to) {
                moves.push((moved.from.clone(), moved.to.clone()));
            } else if old.at(&moved.from).is_empty() {
                // An item of a list: its number says nothing of what it is at present.
                dropped = Some(moved.from.clone());
            }
        }
        moves.extend(by_name(&left, &came, &moves));

        let known: HashSet<&Path> = moves.iter().map(|(from, _)| from).collect();
        let gone = left.iter().map(|value| &value.path).find(|path| !known.contains(path));
        dropped = gone.cloned().or(dropped);
        let mut values =
            Values { from: HashMap::new(), to: HashMap::new(), present: Vec::new(), dropped };
        for (number, (from, to)) in moves.into_iter().enumerate() {
            values.from.insert(from, number);
            values.to.insert(to.clone(), number);
            values.present.push((to, None));
        }
        for value in &came {
            let Some(number) = values.to.get(&value.path) else { continue };
            let Some(parent) = training.forth(value.parent) else { continue };
            let present = Parts::of(now, parent).keyed.get(&value.key).map(|item| item.1);
            values.present[*number].1 = present.filter(|id| is_atom(now.kind(*id)));
        }
        values
    }

    /// The number of the move that took a value away from here.
    pub fn taken_from(&self, path: &Path) -> Option<usize> {
        self.from.get(path).copied()
    }

    /// The number of the move that brought a value here.
    pub fn brought_to(&self, path: &Path) -> Option<usize> {
        self.to.get(path).copied()
    }

    /// What stands at present where a move brought a value.
    pub fn present(&self, number: usize) -> Result<NodeId, Conflict> {
        let (path, present) = &self.present[number];
        present.ok_or_else(|| Conflict::Missing { path: path.clone() })
    }
}

/// A value under a key.
struct Keyed<'a> {
    path: Path,
    parent: NodeId,
    key: String,
    kind: &'a Kind,
}

/// Values under keys that the other version of their dict has none at.
fn without_partner<'a>(
    graph: &'a Graph,
    index: &Index,
    other: &Graph,
    partner: impl Fn(NodeId) -> Option<NodeId>,
    is_kept_apart: &impl Fn(&Path) -> bool,
) -> Vec<Keyed<'a>> {
    let mut out = Vec::new();
    for id in index.nodes().filter(|id| !graph.node(*id).tail.is_empty()) {
        let others = partner(id).map(|id| Parts::of(other, id));
        for (key, (_, value)) in Parts::of(graph, id).keyed {
            let kind = graph.kind(value);
            let has_partner = others
                .as_ref()
                .and_then(|others| others.keyed.get(&key))
                .is_some_and(|(_, value)| is_atom(other.kind(*value)));
            let path = index.part(id, &Slot::Key(&key));
            if is_atom(kind) && !has_partner && !is_kept_apart(&path) {
                out.push(Keyed { path, parent: id, key, kind });
            }
        }
    }
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out
}

/// Values without an identity of their own are the same where one of this key and value was dropped and one
/// was added, as when a setting goes to another section.
fn by_name(left: &[Keyed<'_>], came: &[Keyed<'_>], known: &[(Path, Path)]) -> Vec<(Path, Path)> {
    let (from, to): (HashSet<_>, HashSet<_>) = known.iter().map(|(from, to)| (from, to)).unzip();
    let mut by_key: HashMap<&str, (Vec<&Keyed<'_>>, Vec<&Keyed<'_>>)> = HashMap::new();
    for value in left.iter().filter(|value| !from.contains(&value.path)) {
        by_key.entry(&value.key).or_default().0.push(value);
    }
    for value in came.iter().filter(|value| !to.contains(&value.path)) {
        by_key.entry(&value.key).or_default().1.push(value);
    }
    let mut out = Vec::new();
    for (left, came) in by_key.into_values() {
        if let ([left], [came]) = (left.as_slice(), came.as_slice())
            && left.kind == came.kind
        {
            out.push((left.path.clone(), came.path.clone()));
        }
    }
    out.sort();
    out
}
