//! The three-way walk: the present checkpoint is edited in place, part by part, from the root down.

use std::collections::{HashMap, HashSet, VecDeque};

use indexmap::IndexMap;

use super::super::ChangeRecord;
use super::super::{list, optimizer};
use super::pair::{Index, Pairs, through_migration, through_training};
use super::parts::{Parts, Slot, own};
use super::tensor::{Fate, Fates, Made, is_tensor, make};
use super::value::Values;
use super::{Conflict, Merged, Side, Source};
use crate::value::{Graph, Kind, NodeId, Path, Storage, StorageId, StorageRef, is_atom};

/// What a part is, comparable between the three.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Label<'a> {
    /// Text, a number or the like.
    Atom(&'a Kind),
    /// One that the migration moved, by the number of the move.
    Moved(usize),
    /// An object that is there at present.
    Present(NodeId),
    /// An object that the migration took away.
    Recorded(NodeId),
    /// An object that the migration left or made, which is not there at present.
    Produced(NodeId),
}

/// Which of the three tells what a part shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Present,
    Recorded,
}

enum Work {
    /// A node of the present checkpoint.
    Present(NodeId),
    /// A node from before, and where it goes.
    Recorded(NodeId, NodeId),
}

struct Undo<'a> {
    before: Side<'a>,
    after: Side<'a>,
    present: Side<'a>,
    old: &'a Index,
    new: &'a Index,
    migration: &'a Pairs,
    training: &'a Pairs,
    values: &'a Values,
    fates: &'a Fates,
    apart: &'a KeptApart,
    graph: Graph,
    sources: Vec<Source>,
    /// Nodes from before that were taken over.
    brought: HashMap<NodeId, NodeId>,
    /// Storages from before that were taken over, or are there at present.
    storages: HashMap<StorageId, StorageId>,
    /// Storages that are put together, by the bytes of the old one that they span.
    rebuilt: HashMap<(u32, u64, u64), StorageRef>,
    seen: HashSet<NodeId>,
    todo: VecDeque<Work>,
}

pub(super) fn undo(
    before: &Side<'_>,
    after: &Side<'_>,
    present: &Side<'_>,
    record: &ChangeRecord,
    list_key: &str,
) -> Result<Merged, Conflict> {
    let (old, new) = (Index::of(before.graph), Index::of(after.graph));
    let apart = KeptApart::of(list_key);
    let kept_apart = |path: &Path| apart.holds(path);
    let migration = through_migration(before, &old, after, &new, record, kept_apart)?;
    let since = through_training(after.graph, present.graph)?;
    let training = &since.pairs;
    let graphs = [before.graph, after.graph, present.graph];
    let values = Values::of(graphs, [&old, &new], &migration, training, record, kept_apart);
    let fates = Fates::of([before, after, present], [&old, &new], &migration, training, record)?;
    let mut undo = Undo {
        before: *before,
        after: *after,
        present: *present,
        old: &old,
        new: &new,
        migration: &migration,
        training,
        values: &values,
        fates: &fates,
        apart: &apart,
        graph: present.graph.clone(),
        sources: (0..present.graph.storages.len()).map(|i| Source::Present(StorageId(i as u32))).collect(),
        brought: HashMap::new(),
        storages: HashMap::new(),
        rebuilt: HashMap::new(),
        seen: HashSet::new(),
        todo: VecDeque::new(),
    };
    for id in &since.replaced {
        undo.refuse_if_touched(*id)?;
    }
    undo.share_storages();
    undo.walk()?;
    optimizer::renumber(&mut undo.graph, present.graph, before.graph);
    Ok(Merged { graph: undo.graph, sources: undo.sources })
}

impl<'a> Undo<'a> {
    /// Storages from before whose bytes a surviving tensor still has are those that are there.
    fn share_storages(&mut self) {
        for (was, is) in self.migration.all() {
            let Some(now) = self.training.forth(is) else { continue };
            let tensors = (self.before.graph.as_tensor(was), self.present.graph.as_tensor(now));
            let (Some(then), Some(tensor)) = tensors else { continue };
            let (old, storage) = (then.storage.storage, tensor.storage.storage);
            let content = self.before.content(old);
            if content.is_some() && content == self.present.content(storage) {
                self.storages
                    .entry(old)
                    .and_modify(|known| *known = (*known).min(storage))
                    .or_insert(storage);
            }
        }
    }

    fn walk(&mut self) -> Result<(), Conflict> {
        let root = self.graph.root;
        self.enter(root);
        while let Some(work) = self.todo.pop_front() {
            match work {
                Work::Recorded(id, to) => self.bring(id, to)?,
                Work::Present(id) => {
                    let after = self.training.back(id);
                    let before = after.and_then(|after| self.migration.back(after));
                    match (after, before) {
                        (Some(after), Some(before)) => self.merge(before, after, id)?,
                        _ => self.pass(id),
                    }
                }
            }
        }
        Ok(())
    }

    fn enter(&mut self, id: NodeId) {
        if self.seen.insert(id) {
            self.todo.push_back(Work::Present(id));
        }
    }

    fn pass(&mut self, id: NodeId) {
        for child in self.present.graph.children(id) {
            if !is_atom(self.present.graph.kind(child)) {
                self.enter(child);
            }
        }
    }

    fn label_before(&self, parent: NodeId, slot: &Slot<'_>, id: NodeId) -> Label<'a> {
        let kind = self.before.graph.kind(id);
        if is_atom(kind) {
            let path = self.old.part(parent, slot);
            return match (slot, self.values.taken_from(&path)) {
                (Slot::Key(_), Some(number)) => Label::Moved(number),
                _ => Label::Atom(kind),
            };
        }
        match self.migration.forth(id) {
            None => Label::Recorded(id),
            Some(after) => self.label_of_after(after),
        }
    }

    fn label_after(&self, parent: NodeId, slot: &Slot<'_>, id: NodeId) -> Label<'a> {
        let kind = self.after.graph.kind(id);
        if is_atom(kind) {
            let path = self.new.part(parent, slot);
            return match (slot, self.values.brought_to(&path)) {
                (Slot::Key(_), Some(number)) => Label::Moved(number),
                _ => Label::Atom(kind),
            };
        }
        self.label_of_after(id)
    }

    fn label_of_after(&self, after: NodeId) -> Label<'a> {
        match self.training.forth(after) {
            Some(present) => Label::Present(present),
            None => Label::Produced(after),
        }
    }

    /// The label of a part of a present node; `after` is that node as the migration left it.
    fn label_present(&self, after: NodeId, slot: &Slot<'_>, id: NodeId) -> Label<'a> {
        let kind = self.present.graph.kind(id);
        if is_atom(kind) {
            let path = self.new.part(after, slot);
            return match (slot, self.values.brought_to(&path)) {
                (Slot::Key(_), Some(number)) => Label::Moved(number),
                _ => Label::Atom(kind),
            };
        }
        Label::Present(id)
    }

    /// Merges a node of which all three versions are known, in place.
    fn merge(&mut self, before: NodeId, after: NodeId, id: NodeId) -> Result<(), Conflict> {
        let kinds =
            (self.before.graph.kind(before), self.after.graph.kind(after), self.present.graph.kind(id));
        if let (Kind::Tensor(was), Kind::Tensor(is), Kind::Tensor(now)) = kinds {
            if was.requires_grad != is.requires_grad && now.requires_grad == is.requires_grad {
                let mut tensor = now.clone();
                tensor.requires_grad = was.requires_grad;
                self.graph.node_mut(id).kind = Kind::Tensor(tensor);
            }
            return Ok(());
        }
        let mut kind = kinds.2.clone();
        let mut edited = false;
        if let (Some(was), Some(is), Some(now)) = (own(kinds.0), own(kinds.1), own(kinds.2)) {
            // Storages by themselves have other numbers in each of the three.
            let comparable = !matches!(was, Kind::Storage(_));
            if comparable && was != is {
                if is != now && was != now {
                    return Err(Conflict::Set { path: self.new.path(after) });
                }
                kind = was.clone();
                edited = true;
            }
        }
        let was = Parts::of(self.before.graph, before);
        let is = Parts::of(self.after.graph, after);
        let now = Parts::of(self.present.graph, id);
        let mut out = Parts::default();

        for (place, child) in now.made.iter().enumerate() {
            let slot = Slot::Made(place, kinds.2);
            let chosen = self.part(&slot, (before, &was), (after, &is), Some(*child))?;
            let chosen = chosen.ok_or_else(|| Conflict::Missing { path: self.new.part(after, &slot) })?;
            edited |= chosen != *child;
            out.made.push(chosen);
        }
        let keys = self.keys((before, &was), (after, &is), &now)?;
        edited |= !keys.iter().eq(now.keyed.iter());
        out.keyed = keys;
        type Rows = for<'p> fn(&'p Parts) -> &'p Vec<NodeId>;
        type RowOf = (Rows, fn(usize) -> Slot<'static>);
        let rows: [RowOf; 2] = [(|parts| &parts.row, Slot::Row), (|parts| &parts.members, Slot::Member)];
        for (row, slot) in rows {
            let chosen = self.row(slot, (before, row(&was)), (after, row(&is)), row(&now))?;
            edited |= chosen != *row(&now);
            match slot(0) {
                Slot::Row(_) => out.row = chosen,
                _ => out.members = chosen,
            }
        }
        let states: [RowOf; 2] =
            [(|parts| &parts.states, Slot::State), (|parts| &parts.effects, Slot::Effect)];
        for (row, slot) in states {
            let mut chosen = Vec::new();
            for place in 0..row(&was).len().max(row(&is).len()).max(row(&now).len()) {
                let child = row(&now).get(place).copied();
                chosen.extend(self.part(&slot(place), (before, &was), (after, &is), child)?);
            }
            edited |= chosen != *row(&now);
            match slot(0) {
                Slot::State(_) => out.states = chosen,
                _ => out.effects = chosen,
            }
        }
        if edited {
            *self.graph.node_mut(id) = out.into_node(&kind);
        }
        Ok(())
    }

    /// What a part with a name becomes; `None` where it is to be left out.
    fn part(
        &mut self,
        slot: &Slot<'_>,
        (before, was): (NodeId, &Parts),
        (after, is): (NodeId, &Parts),
        now: Option<NodeId>,
    ) -> Result<Option<NodeId>, Conflict> {
        let old = was.at(slot).map(|id| self.label_before(before, slot, id));
        let new = is.at(slot).map(|id| self.label_after(after, slot, id));
        let present = now.map(|id| self.label_present(after, slot, id));
        let path = || self.new.part(after, slot);
        let choice = if old == new || old == present || self.apart.holds(&path()) {
            Choice::Present
        } else if new == present {
            self.check_lost(old, new, path())?;
            Choice::Recorded
        } else if let (None, Some(Label::Atom(_)), Some(Label::Atom(_))) = (old, new, present) {
            self.check_added(path())?;
            Choice::Recorded
        } else {
            return Err(Conflict::Set { path: path() });
        };
        match choice {
            Choice::Present => {
                if let Some(id) = now.filter(|id| !is_atom(self.present.graph.kind(*id))) {
                    self.enter(id);
                }
                Ok(now)
            }
            Choice::Recorded => old.map(|label| self.resolve(label)).transpose(),
        }
    }

    /// The items by key: those of before in their order where the migration changed the order or the keys.
    fn keys(
        &mut self,
        (before, was): (NodeId, &Parts),
        (after, is): (NodeId, &Parts),
        now: &Parts,
    ) -> Result<IndexMap<String, (NodeId, NodeId)>, Conflict> {
        let mut chosen: HashMap<String, (NodeId, NodeId)> = HashMap::new();
        for name in now.keyed.keys().chain(was.keyed.keys()).chain(is.keyed.keys()) {
            if chosen.contains_key(name) {
                continue;
            }
            let child = now.keyed.get(name).map(|item| item.1);
            let slot = Slot::Key(name);
            let Some(value) = self.part(&slot, (before, was), (after, is), child)? else { continue };
            let key = match (now.keyed.get(name), was.keyed.get(name)) {
                (Some((key, _)), _) => *key,
                (None, Some((key, _))) => self.bring_key(*key)?,
                (None, None) => continue,
            };
            chosen.insert(name.clone(), (key, value));
        }
        let mut order: Vec<&String> = Vec::with_capacity(chosen.len());
        if was.keyed.keys().eq(is.keyed.keys()) {
            order.extend(now.keyed.keys().filter(|name| chosen.contains_key(*name)));
            order.extend(was.keyed.keys().filter(|name| !now.keyed.contains_key(*name)));
        } else {
            // What came since stands behind what it stood behind, be that under another key.
            let old_name: HashMap<NodeId, &String> =
                was.keyed.keys().filter_map(|name| Some((chosen.get(name)?.1, name))).collect();
            let mut behind: HashMap<Option<&String>, Vec<&String>> = HashMap::new();
            let mut last = None;
            for (name, (_, value)) in &now.keyed {
                if was.keyed.contains_key(name) && chosen.contains_key(name) {
                    last = Some(name);
                } else if chosen.contains_key(name) {
                    behind.entry(last).or_default().push(name);
                } else if let Some(name) = old_name.get(value) {
                    last = Some(*name);
                }
            }
            order.extend(behind.remove(&None).into_iter().flatten());
            for name in was.keyed.keys() {
                order.push(name);
                order.extend(behind.remove(&Some(name)).into_iter().flatten());
            }
        }
        let mut out = IndexMap::with_capacity(order.len());
        for name in order {
            if let Some(item) = chosen.get(name) {
                out.insert(name.clone(), *item);
            }
        }
        Ok(out)
    }

    /// Items without names, as a whole.
    fn row(
        &mut self,
        slot: fn(usize) -> Slot<'static>,
        (before, was): (NodeId, &[NodeId]),
        (after, is): (NodeId, &[NodeId]),
        now: &[NodeId],
    ) -> Result<Vec<NodeId>, Conflict> {
        let numbered = |row: &[NodeId], label: &dyn Fn(&Slot<'_>, NodeId) -> Label<'a>| -> Vec<Label<'a>> {
            row.iter().enumerate().map(|(place, id)| label(&slot(place), *id)).collect()
        };
        let old = numbered(was, &|slot, id| self.label_before(before, slot, id));
        let new = numbered(is, &|slot, id| self.label_after(after, slot, id));
        let present = numbered(now, &|slot, id| self.label_present(after, slot, id));
        let path = self.new.path(after);
        if old == new || old == present || self.apart.holds(&path) {
            for id in now.iter().filter(|id| !is_atom(self.present.graph.kind(**id))) {
                self.enter(*id);
            }
            return Ok(now.to_vec());
        }
        if new != present {
            return Err(Conflict::Set { path });
        }
        for (place, label) in new.iter().enumerate() {
            let replaced = old.get(place).copied().filter(|_| !old.contains(label));
            if !old.contains(label) {
                self.check_lost(replaced, Some(*label), path.join(&place.to_string()))?;
            }
        }
        old.into_iter().map(|label| self.resolve(label)).collect()
    }

    /// The node of a part that is taken from before.
    fn resolve(&mut self, label: Label<'_>) -> Result<NodeId, Conflict> {
        match label {
            Label::Atom(kind) => Ok(self.graph.add(kind.clone())),
            Label::Moved(number) => self.values.present(number),
            Label::Present(id) => {
                self.enter(id);
                Ok(id)
            }
            Label::Produced(id) => Err(Conflict::Missing { path: self.new.path(id) }),
            Label::Recorded(id) => {
                if let Some(known) = self.brought.get(&id) {
                    return Ok(*known);
                }
                let to = self.graph.add(Kind::None);
                self.brought.insert(id, to);
                self.todo.push_back(Work::Recorded(id, to));
                Ok(to)
            }
        }
    }

    fn bring_key(&mut self, key: NodeId) -> Result<NodeId, Conflict> {
        let kind = self.before.graph.kind(key);
        let label = match self.migration.forth(key) {
            _ if is_atom(kind) => Label::Atom(kind),
            None => Label::Recorded(key),
            Some(after) => self.label_of_after(after),
        };
        self.resolve(label)
    }

    /// Takes a node over that the migration took away.
    fn bring(&mut self, id: NodeId, to: NodeId) -> Result<(), Conflict> {
        let kind = self.before.graph.kind(id);
        if is_tensor(self.before.graph, id) {
            let kind = self.tensor(id)?;
            self.graph.node_mut(to).kind = kind;
            return Ok(());
        }
        if let Kind::Storage(storage) = kind {
            let storage = Box::new(self.stored(storage));
            self.graph.node_mut(to).kind = Kind::Storage(storage);
            return Ok(());
        }
        let was = Parts::of(self.before.graph, id);
        let mut out = Parts::default();
        for (slot, child) in was.named(kind) {
            let label = self.label_before(id, &slot, child);
            let child = self.resolve(label)?;
            match slot {
                Slot::Made(..) => out.made.push(child),
                Slot::Row(_) => out.row.push(child),
                Slot::Member(_) => out.members.push(child),
                Slot::State(_) => out.states.push(child),
                Slot::Effect(_) => out.effects.push(child),
                Slot::Key(name) => {
                    let key = self.bring_key(was.keyed[name].0)?;
                    out.keyed.insert(name.to_owned(), (key, child));
                }
            }
        }
        *self.graph.node_mut(to) = out.into_node(kind);
        Ok(())
    }

    /// A tensor that the migration took away.
    fn tensor(&mut self, id: NodeId) -> Result<Kind, Conflict> {
        let tensor = self.before.graph.as_tensor(id).expect("the caller asked");
        let mut out = tensor.clone();
        for part in [&mut out.hooks, &mut out.metadata] {
            if let Some(node) = *part {
                let label = match self.migration.forth(node) {
                    Some(after) => self.label_of_after(after),
                    None => Label::Recorded(node),
                };
                // Hooks are what a load makes anew; where they are gone, the stored ones serve.
                let label = if matches!(label, Label::Produced(_)) { Label::Recorded(node) } else { label };
                *part = Some(self.resolve(label)?);
            }
        }
        match self.fates.get(id) {
            Some(Fate::Lost(conflict)) => return Err(conflict.clone()),
            None | Some(Fate::Stored) => out.storage = self.stored(&tensor.storage),
            Some(Fate::Rebuilt { span, parts }) => {
                let begin = span.start / tensor.dtype.item_bytes();
                let key = (span.storage, span.start, span.end);
                let record = || Conflict::Record { path: self.old.path(id) };
                match make(tensor, *span, parts, self.present.graph).ok_or_else(record)? {
                    Made::There(storage, offset) => {
                        out.offset = offset.checked_add(tensor.offset - begin).ok_or_else(record)?;
                        out.storage = storage;
                    }
                    Made::New(expr, mut storage) => {
                        out.offset = tensor.offset - begin;
                        out.storage = match self.rebuilt.get(&key) {
                            Some(known) => known.clone(),
                            None => {
                                let bytes = span.end - span.start;
                                storage.storage = self.add_storage(bytes, Source::Computed(expr));
                                self.rebuilt.insert(key, storage.clone());
                                storage
                            }
                        };
                    }
                }
            }
        }
        Ok(Kind::Tensor(Box::new(out)))
    }

    /// A stored storage, in the numbers of the result.
    fn stored(&mut self, storage: &StorageRef) -> StorageRef {
        let old = storage.storage;
        let id = match self.storages.get(&old) {
            Some(known) => *known,
            None => {
                let id = self.add_storage(self.before.graph.storage(old).bytes, Source::Recorded(old));
                self.storages.insert(old, id);
                id
            }
        };
        StorageRef { storage: id, ..storage.clone() }
    }

    fn add_storage(&mut self, bytes: u64, source: Source) -> StorageId {
        let key = self.graph.storages.len().to_string();
        self.sources.push(source);
        self.graph.add_storage(Storage { key, bytes })
    }

    /// Refuses to let go of what the migration put in the place of `old`, if it holds what came since.
    fn check_lost(&self, old: Option<Label<'_>>, new: Option<Label<'_>>, path: Path) -> Result<(), Conflict> {
        let Some(Label::Present(id)) = new else { return Ok(()) };
        let Some(top) = self.training.back(id).filter(|after| self.migration.back(*after).is_none()) else {
            return Ok(());
        };
        let mut seen = HashSet::from([top]);
        let mut todo = vec![(top, id, path)];
        while let Some((after, id, path)) = todo.pop() {
            if is_tensor(self.after.graph, after) {
                let same = self.after.same_tensor(after, &self.present, id);
                if old.is_some() && !same && !self.fates.is_used(after) {
                    let computed = self.fates.is_lost(after);
                    return Err(if computed { Conflict::Computed { path } } else { Conflict::Set { path } });
                }
                continue;
            }
            let (is, now) = (Parts::of(self.after.graph, after), Parts::of(self.present.graph, id));
            if let (Some(a), Some(b)) = (own(self.after.graph.kind(after)), own(self.present.graph.kind(id)))
                && !matches!(a, Kind::Storage(_))
                && a != b
            {
                self.check_changed(old.is_some(), path.clone())?;
            }
            for (slot, child) in now.named(self.present.graph.kind(id)) {
                let below = match slot.step() {
                    Some(step) => path.join(&step),
                    None => path.clone(),
                };
                let label = self.label_present(after, &slot, child);
                let was = is.at(&slot).map(|child| (child, self.label_after(after, &slot, child)));
                match (was, label) {
                    (None, _) => return Err(Conflict::Inside { path: below }),
                    (Some(_), Label::Moved(_)) => {}
                    (Some((child, was)), Label::Present(now)) => {
                        if was != label {
                            return Err(Conflict::Inside { path: below });
                        }
                        if self.migration.back(child).is_none() && seen.insert(child) {
                            todo.push((child, now, below));
                        }
                    }
                    (Some((_, was)), _) if was != label => self.check_changed(old.is_some(), below)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn check_changed(&self, replaces: bool, path: Path) -> Result<(), Conflict> {
        if replaces { Err(Conflict::Set { path }) } else { self.check_added(path) }
    }

    /// A value that was added goes away, unless it may be what became of one that was dropped.
    fn check_added(&self, path: Path) -> Result<(), Conflict> {
        match &self.values.dropped {
            Some(dropped) => Err(Conflict::Unclear { path, dropped: dropped.clone() }),
            None => Ok(()),
        }
    }

    /// Refuses if the migration did something below a node that is another one now.
    fn refuse_if_touched(&self, top: NodeId) -> Result<(), Conflict> {
        let mut seen = HashSet::from([top]);
        let mut todo = vec![top];
        while let Some(after) = todo.pop() {
            let path = self.new.path(after);
            if self.apart.holds(&path) {
                continue;
            }
            let Some(before) = self.migration.back(after) else { return Err(Conflict::Missing { path }) };
            if is_tensor(self.after.graph, after) {
                continue;
            }
            let was = Parts::of(self.before.graph, before);
            let is = Parts::of(self.after.graph, after);
            let old: Vec<_> = was
                .named(self.before.graph.kind(before))
                .map(|(slot, id)| (slot.step(), self.label_before(before, &slot, id)))
                .collect();
            let new: Vec<_> = is
                .named(self.after.graph.kind(after))
                .map(|(slot, id)| (slot.step(), self.label_after(after, &slot, id)))
                .collect();
            let kinds = (self.before.graph.kind(before), self.after.graph.kind(after));
            let same = matches!(kinds.0, Kind::Storage(_)) || own(kinds.0) == own(kinds.1);
            if old != new || !same {
                return Err(Conflict::Missing { path });
            }
            for (_, child) in is.named(self.after.graph.kind(after)) {
                let other = !is_atom(self.after.graph.kind(child)) && self.training.forth(child).is_none();
                if other && seen.insert(child) {
                    todo.push(child);
                }
            }
        }
        Ok(())
    }
}

/// The checkpoint's own list of migrations and its history: bookkeeping, which the caller does.
struct KeptApart {
    list: Path,
    history: Path,
}

impl KeptApart {
    fn of(list_key: &str) -> KeptApart {
        let history = list::HISTORY[..3].iter().fold(Path::root(), |path, step| path.join(step));
        KeptApart { list: Path::root().join(list_key), history }
    }

    fn holds(&self, path: &Path) -> bool {
        self.list.contains(path) || self.history.contains(path)
    }
}
