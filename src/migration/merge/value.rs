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
        let left = keyed(before, old, after, |id| migration.forth(id), &is_kept_apart);
        let came = keyed(after, new, before, |id| migration.back(id), &is_kept_apart);
        let mut moves: Vec<(&Path, &Path)> = Vec::new();
        let mut dropped = None;
        for moved in &record.moved {
            if let (Some(from), Some(to)) = (follow(&left, &moved.from), follow(&came, &moved.to)) {
                moves.push((from, to));
            } else if old.at(&moved.from).is_empty() {
                // An item of a list: its number says nothing of what it is at present.
                dropped = Some(&moved.from);
            }
        }
        moves.extend(by_name(&left, &came, &moves));
        let known: HashSet<&Path> = moves.iter().map(|(from, _)| *from).collect();
        let mut gone: Vec<&Path> = left
            .iter()
            .filter(|(path, value)| !value.has_partner && !known.contains(path))
            .map(|(path, _)| path)
            .collect();
        gone.sort();
        let mut values = Values {
            from: HashMap::new(),
            to: HashMap::new(),
            present: Vec::new(),
            dropped: gone.first().copied().or(dropped).cloned(),
        };
        for (number, (from, to)) in moves.into_iter().enumerate() {
            let value = &came[to];
            let parts = training.forth(value.parent).map(|parent| Parts::of(now, parent));
            let present = parts.and_then(|parts| parts.keyed.get(&value.key).map(|item| item.1));
            values.from.insert(from.clone(), number);
            values.to.insert(to.clone(), number);
            values.present.push((to.clone(), present.filter(|id| is_atom(now.kind(*id)))));
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
    parent: NodeId,
    key: String,
    kind: &'a Kind,
    /// Whether the other version of its dict has a value under the key as well.
    has_partner: bool,
    /// Whether its path means another value too, as the number 0 and the text "0" do: it is not followed.
    ambiguous: bool,
}

/// A path at which there is one value that can be followed.
fn follow<'a>(values: &'a HashMap<Path, Keyed<'_>>, path: &Path) -> Option<&'a Path> {
    let (path, value) = values.get_key_value(path)?;
    (!value.ambiguous).then_some(path)
}

/// The values under keys.
fn keyed<'a>(
    graph: &'a Graph,
    index: &Index,
    other: &Graph,
    partner: impl Fn(NodeId) -> Option<NodeId>,
    is_kept_apart: &impl Fn(&Path) -> bool,
) -> HashMap<Path, Keyed<'a>> {
    let mut out: HashMap<Path, Keyed<'a>> = HashMap::new();
    for parent in index.nodes().filter(|id| !graph.node(*id).tail.is_empty()) {
        let others = partner(parent).map(|id| Parts::of(other, id));
        for (key, (_, value)) in Parts::of(graph, parent).keyed {
            let kind = graph.kind(value);
            let path = index.part(parent, &Slot::Key(&key));
            if is_atom(kind) && !is_kept_apart(&path) {
                let theirs = others.as_ref().and_then(|others| others.keyed.get(&key));
                let has_partner = theirs.is_some_and(|(_, value)| is_atom(other.kind(*value)));
                let ambiguous = out.contains_key(&path);
                out.insert(path, Keyed { parent, key, kind, has_partner, ambiguous });
            }
        }
    }
    out
}

/// Values without an identity of their own are the same where one of this key and value was dropped and one
/// was added, as when a setting goes to another section.
fn by_name<'a>(
    left: &'a HashMap<Path, Keyed<'_>>,
    came: &'a HashMap<Path, Keyed<'_>>,
    known: &[(&Path, &Path)],
) -> Vec<(&'a Path, &'a Path)> {
    let (from, to): (HashSet<&Path>, HashSet<&Path>) = known.iter().copied().unzip();
    type Group<'a> = (Vec<&'a Path>, Vec<&'a Path>);
    let mut by_key: HashMap<&str, Group<'a>> = HashMap::new();
    for (path, value) in
        left.iter().filter(|(path, value)| !value.has_partner && !value.ambiguous && !from.contains(path))
    {
        by_key.entry(&value.key).or_default().0.push(path);
    }
    for (path, value) in
        came.iter().filter(|(path, value)| !value.has_partner && !value.ambiguous && !to.contains(path))
    {
        by_key.entry(&value.key).or_default().1.push(path);
    }
    let mut out = Vec::new();
    for (from, to) in by_key.into_values() {
        if let ([from], [to]) = (from.as_slice(), to.as_slice())
            && left[*from].kind == came[*to].kind
        {
            out.push((*from, *to));
        }
    }
    out
}
