use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;
use crate::migration::list::DEFAULT_LIST_KEY;
use crate::value::{Dtype, Kind, Storage, StorageRef, Tail, places};

/// A checkpoint of which the bytes of each storage are one number.
#[derive(Debug, Clone, Default)]
struct Checkpoint {
    graph: Graph,
    values: Vec<u32>,
}

impl Checkpoint {
    fn tensor(&mut self, value: u32) -> NodeId {
        let storage = self.graph.add_storage(Storage { key: self.values.len().to_string(), bytes: 16 });
        self.values.push(value);
        self.graph.add(tensor(storage))
    }

    fn contents(&self) -> Vec<Option<ObjectId>> {
        self.values.iter().map(|value| Some(ObjectId::of(&value.to_le_bytes()))).collect()
    }

    /// The same content with other ids, as after writing and reading.
    fn read_back(&self) -> Checkpoint {
        let mut out = Checkpoint::default();
        out.graph.nodes.clear();
        // Ids from the back, so that none stays by accident.
        let reachable = reachable(&self.graph);
        let ids: HashMap<NodeId, NodeId> =
            reachable.iter().rev().enumerate().map(|(i, id)| (*id, NodeId(i as u32))).collect();
        for id in reachable.iter().rev() {
            let mut node = self.graph.node(*id).clone();
            for step in &mut node.tail {
                match step {
                    Tail::Set(key, value) => (*key, *value) = (ids[key], ids[value]),
                    Tail::Append(item) => *item = ids[item],
                    _ => unreachable!("only dicts and lists are made here"),
                }
            }
            out.graph.nodes.push(node);
        }
        out.graph.root = ids[&self.graph.root];
        out.graph.storages = self.graph.storages.clone();
        out.values = self.values.clone();
        out
    }
}

fn tensor(storage: StorageId) -> Kind {
    Kind::Tensor(Box::new(Tensor {
        dtype: Dtype::F32,
        shape: vec![4],
        strides: vec![1],
        offset: 0,
        storage: StorageRef {
            storage,
            class: String::new(),
            location: String::new(),
            elements: 4,
            view: None,
        },
        requires_grad: false,
        hooks: None,
        metadata: None,
    }))
}

fn reachable(graph: &Graph) -> Vec<NodeId> {
    let mut out = vec![graph.root];
    let mut next = 0;
    while let Some(id) = out.get(next).copied() {
        next += 1;
        for child in graph.children(id) {
            if !out.contains(&child) {
                out.push(child);
            }
        }
    }
    out
}

/// Removes a key and returns what was there.
fn pop(graph: &mut Graph, dict: NodeId, key: &str) -> Option<NodeId> {
    let place = graph
        .node(dict)
        .tail
        .iter()
        .position(|step| matches!(step, Tail::Set(k, _) if graph.as_str(*k) == Some(key)))?;
    match graph.node_mut(dict).tail.remove(place) {
        Tail::Set(_, value) => Some(value),
        _ => None,
    }
}

/// What each place of a merged checkpoint holds: the content of a tensor, or a number.
fn flat(merged: &Merged, before: &Checkpoint, present: &Checkpoint) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for place in places(&merged.graph) {
        let text = match merged.graph.kind(place.node) {
            Kind::Tensor(tensor) => match &merged.sources[tensor.storage.storage.index()] {
                Source::Present(id) => format!("t{}", present.values[id.index()]),
                Source::Recorded(id) => format!("t{}", before.values[id.index()]),
                Source::Computed(_) => "computed".to_owned(),
            },
            Kind::Int(value) => format!("i{value}"),
            _ => continue,
        };
        out.insert(place.path.to_string(), text);
    }
    out
}

/// What a migration does, to keys of one dict or between two.
#[derive(Debug, Clone)]
enum Edit {
    Rename(usize, usize),
    Drop(usize),
    AddTensor(usize),
    /// Writes the whole dict anew, with the same items.
    Anew,
    Setting(usize, usize),
}

/// What training does.
#[derive(Debug, Clone)]
enum Training {
    Train(usize),
    Setting(usize, i64),
    Add(usize),
}

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let name = 0..NAMES.len();
    let edit = prop_oneof![
        4 => (name.clone(), name.clone()).prop_map(|(a, b)| Edit::Rename(a, b)),
        2 => name.clone().prop_map(Edit::Drop),
        1 => name.clone().prop_map(Edit::AddTensor),
        1 => Just(Edit::Anew),
        2 => (name.clone(), name).prop_map(|(a, b)| Edit::Setting(a, b)),
    ];
    prop::collection::vec(edit, 0..8)
}

fn training() -> impl Strategy<Value = Vec<Training>> {
    let some = prop_oneof![
        4 => any::<usize>().prop_map(Training::Train),
        2 => (any::<usize>(), 100i64..200).prop_map(|(at, value)| Training::Setting(at, value)),
        1 => any::<usize>().prop_map(Training::Add),
    ];
    prop::collection::vec(some, 0..8)
}

proptest! {
    #[test]
    fn undoing_gives_what_a_plain_map_says(edits in edits(), training in training()) {
        let mut before = Checkpoint::default();
        let root = before.graph.root;
        let dicts: Vec<NodeId> = ["state", "config"]
            .iter()
            .map(|key| {
                let dict = before.graph.add(Kind::Dict);
                before.graph.set(root, key, dict);
                dict
            })
            .collect();
        for (place, name) in NAMES[..5].iter().enumerate() {
            let value = before.tensor(place as u32);
            before.graph.set(dicts[0], name, value);
            let number = before.graph.add(Kind::Int(place as i64));
            before.graph.set(dicts[1], name, number);
        }
        let old_order: Vec<String> = NAMES[..5].iter().map(|name| (*name).to_owned()).collect();
        // The model: where each old item is now.
        let mut state: BTreeMap<&str, Option<&str>> = NAMES[..5].iter().map(|n| (*n, Some(*n))).collect();
        let mut config: BTreeMap<&str, Option<&str>> = state.clone();

        let mut after = before.clone();
        let mut fresh = 1000;
        for edit in &edits {
            let dict = after.graph.get(root, "state").unwrap();
            let owner = |map: &BTreeMap<&'static str, Option<&'static str>>, at: &str| {
                map.iter().find(|(_, now)| **now == Some(at)).map(|(old, _)| *old)
            };
            match *edit {
                Edit::Rename(from, to) => {
                    if from == to || after.graph.get(dict, NAMES[to]).is_some() { continue; }
                    let Some(value) = pop(&mut after.graph, dict, NAMES[from]) else { continue };
                    after.graph.set(dict, NAMES[to], value);
                    if let Some(old) = owner(&state, NAMES[from]) { state.insert(old, Some(NAMES[to])); }
                }
                Edit::Drop(at) => {
                    pop(&mut after.graph, dict, NAMES[at]);
                    if let Some(old) = owner(&state, NAMES[at]) { state.insert(old, None); }
                }
                Edit::AddTensor(at) => {
                    if after.graph.get(dict, NAMES[at]).is_some() { continue; }
                    fresh += 1;
                    let value = after.tensor(fresh);
                    after.graph.set(dict, NAMES[at], value);
                }
                Edit::Anew => {
                    let tail = after.graph.node(dict).tail.clone();
                    let new = after.graph.add(Kind::Dict);
                    after.graph.node_mut(new).tail = tail;
                    after.graph.set(root, "state", new);
                }
                Edit::Setting(from, to) => {
                    let dict = after.graph.get(root, "config").unwrap();
                    if from == to || after.graph.get(dict, NAMES[to]).is_some() { continue; }
                    let Some(value) = pop(&mut after.graph, dict, NAMES[from]) else { continue };
                    after.graph.set(dict, NAMES[to], value);
                    if let Some(old) = owner(&config, NAMES[from]) { config.insert(old, Some(NAMES[to])); }
                }
            }
        }
        let record = ChangeRecord::between(&before.graph, &after.graph, &[]);
        let record: ChangeRecord = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        let before = before.read_back();
        let after = after.read_back();

        let mut now = after.read_back();
        let root = now.graph.root;
        let mut added = Vec::new();
        for step in &training {
            let dict = now.graph.get(root, "state").unwrap();
            let items = now.graph.items(dict);
            match *step {
                Training::Train(at) if !items.is_empty() => {
                    fresh += 1;
                    let value = now.tensor(fresh);
                    let node = items[at % items.len()].1;
                    now.graph.node_mut(node).kind = now.graph.kind(value).clone();
                }
                Training::Train(_) => {}
                Training::Setting(at, value) => {
                    let config = now.graph.get(root, "config").unwrap();
                    let items = now.graph.items(config);
                    let key = now.graph.as_str(items[at % items.len()].0).unwrap().to_owned();
                    let value = now.graph.add(Kind::Int(value));
                    now.graph.set(config, &key, value);
                }
                Training::Add(at) => {
                    fresh += 1;
                    let value = now.tensor(fresh);
                    let key = format!("new{}", at % 3);
                    now.graph.set(dict, &key, value);
                    added.push(format!("state/{key}"));
                }
            }
        }

        let (x, y, z) = (before.contents(), after.contents(), now.contents());
        let merged = undo(
            &Side { graph: &before.graph, contents: &x },
            &Side { graph: &after.graph, contents: &y },
            &Side { graph: &now.graph, contents: &z },
            &record,
            DEFAULT_LIST_KEY,
        );
        // A tensor put in the place of a dropped one and trained since cannot be told from the old one.
        let value_at = |ckpt: &Checkpoint, path: &str| -> Option<String> {
            let place = places(&ckpt.graph).into_iter().find(|place| place.path.as_str() == path)?;
            Some(match ckpt.graph.kind(place.node) {
                Kind::Tensor(tensor) => format!("t{}", ckpt.values[tensor.storage.storage.index()]),
                Kind::Int(value) => format!("i{value}"),
                other => panic!("{other:?}"),
            })
        };
        let taken = |at: &str| state.values().any(|now| *now == Some(at));
        let reset = NAMES[..5].iter().find(|name| {
            let path = format!("state/{name}");
            let is_new = value_at(&after, &path).is_some() && !taken(name);
            is_new && value_at(&after, &path) != value_at(&now, &path)
        });
        match (merged, reset) {
            (Err(Conflict::Set { path }), Some(_)) => prop_assert!(path.as_str().starts_with("state/")),
            (Err(conflict), _) => prop_assert!(false, "{conflict}"),
            (Ok(_), Some(name)) => prop_assert!(false, "`{name}` was reset and trained"),
            (Ok(merged), None) => {
                let mut expected: BTreeMap<String, String> =
                    added.into_iter().map(|key| (key.clone(), value_at(&now, &key).unwrap())).collect();
                for (map, dict) in [(&state, "state"), (&config, "config")] {
                    for (old, at) in map {
                        let value = match at {
                            Some(at) => value_at(&now, &format!("{dict}/{at}")),
                            None => value_at(&before, &format!("{dict}/{old}")),
                        };
                        expected.insert(format!("{dict}/{old}"), value.unwrap());
                    }
                }
                prop_assert_eq!(flat(&merged, &before, &now), expected);
                let dict = merged.graph.get(merged.graph.root, "state").unwrap();
                let items = merged.graph.items(dict).into_iter();
                let order: Vec<String> = items
                    .map(|(key, _)| merged.graph.as_str(key).unwrap().to_owned())
                    .filter(|key| !key.starts_with("new"))
                    .collect();
                prop_assert_eq!(order, old_order);
            }
        }
    }
}
