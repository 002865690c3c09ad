//! Folders of `torch.distributed.checkpoint`: a pickle that says where the pieces of each tensor lie, and
//! shards that hold them.
//!
//! Layout: `torch/distributed/checkpoint/metadata.py` and `filesystem.py`. Names are in the pickle alone, so what
//! changes only names, or drops some, leaves the shards as they are.

use std::collections::{HashMap, HashSet};

use crate::value::{Graph, Kind, NodeId, StorageId, Tail};

use super::super::group::{self, Laid, Unit};
use super::super::{Format, FormatError, Limits, StorageFacts, merge};
use super::way::{self, Step};

const METADATA: &str = ".metadata";

/// Whether a folder has the pickle and a shard.
pub(super) fn is_one(members: &[Unit], limits: &Limits) -> bool {
    let metadata = members.iter().find(|member| member.name == METADATA);
    let has_shard = members.iter().any(|member| member.name.ends_with(".distcp"));
    metadata.is_some_and(|member| {
        member.outline.format == Format::Pickle
            && super::super::decode(&member.outline, limits)
                .is_ok_and(|graph| field(&graph, graph.root, "storage_data").is_some())
    }) && has_shard
}

/// An attribute of an object whose state is a dict.
fn field(graph: &Graph, id: NodeId, name: &str) -> Option<NodeId> {
    graph.node(id).tail.iter().rev().find_map(|step| match step {
        Tail::Build(state) => graph.get(*state, name),
        _ => None,
    })
}

/// The numbers of a `torch.Size`.
fn size(graph: &Graph, id: NodeId) -> Option<Vec<u64>> {
    let Kind::Reduce { args, .. } = graph.kind(id) else { return None };
    let Kind::Tuple(args) = graph.kind(*args) else { return None };
    let Kind::Tuple(numbers) = graph.kind(*args.first()?) else { return None };
    numbers.iter().map(|number| u64::try_from(graph.as_int(*number)?).ok()).collect()
}

/// A part of a tensor: where it begins in each dimension, and its node.
type Piece = (Vec<u64>, NodeId);

/// Each name with its value: whole where one piece is all of it, else the pieces by where they begin.
pub(super) fn decode(members: &[Unit], roots: &[NodeId], graph: &mut Graph) -> Result<(), FormatError> {
    let wrong = |what| FormatError::Group(what);
    let metadata = members.iter().position(|member| member.name == METADATA);
    let metadata = roots[metadata.ok_or(wrong("its metadata are missing"))?];
    let places = places(members, roots, graph)?;
    let storage_data = field(graph, metadata, "storage_data").ok_or(wrong("its metadata say no places"))?;
    let state = field(graph, metadata, "state_dict_metadata");
    let mut pieces: Vec<(String, Vec<Piece>)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (index, info) in graph.items(storage_data) {
        let name = field(graph, index, "fqn").and_then(|name| graph.as_str(name));
        let file = field(graph, info, "relative_path").and_then(|path| graph.as_str(path));
        let offset = field(graph, info, "offset").and_then(|offset| graph.as_int(offset));
        let (Some(name), Some(file), Some(offset)) = (name, file, offset) else { continue };
        let Some(value) = places.get(&(file.to_owned(), offset as u64)) else { continue };
        let begin = field(graph, index, "offset").and_then(|offset| size(graph, offset)).unwrap_or_default();
        let place = *known.entry(name.to_owned()).or_insert_with(|| {
            pieces.push((name.to_owned(), Vec::new()));
            pieces.len() - 1
        });
        pieces[place].1.push((begin, *value));
    }
    let top = graph.root;
    for (name, pieces) in pieces {
        let whole = state
            .and_then(|state| graph.get(state, &name))
            .and_then(|entry| field(graph, entry, "size"))
            .and_then(|extents| size(graph, extents));
        let is_whole = match (&whole, graph.as_tensor(pieces[0].1)) {
            (Some(whole), Some(tensor)) => tensor.shape == *whole,
            _ => true,
        };
        let value = if pieces.len() == 1 && is_whole { pieces[0].1 } else { shards(graph, whole, pieces) };
        let key = graph.add_str(name);
        graph.node_mut(top).tail.push(Tail::Set(key, value));
    }
    Ok(())
}

/// Lays the pickle out anew with other names for the same values.
pub(super) fn encode(
    graph: &Graph,
    members: &[Unit],
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Vec<Laid>, FormatError> {
    let renamed = renamed(graph, members)?;
    let is_metadata = |member: &&Unit| member.name == METADATA;
    let member = members.iter().find(is_metadata).ok_or(FormatError::Group("its metadata are missing"))?;
    let mut metadata = super::super::decode(&member.outline, &Limits::NONE)?;
    let root = metadata.root;
    for name in ["state_dict_metadata", "planner_data"] {
        if let Some(dict) = field(&metadata, root, name)
            && matches!(metadata.kind(dict), Kind::Dict)
        {
            rename_keys(&mut metadata, dict, &renamed)?;
        }
    }
    if let Some(places) = field(&metadata, root, "storage_data") {
        rename_indexes(&mut metadata, places, &renamed);
    }
    let laid = members.iter().map(|member| match is_metadata(&member) {
        true => Laid::anew(member, metadata.clone(), facts),
        false => Ok(Laid::unchanged(member)),
    });
    laid.collect()
}

/// The new name of each old one; `None` for what is gone.
fn renamed(graph: &Graph, members: &[Unit]) -> Result<HashMap<String, Option<String>>, FormatError> {
    let (mut old, roots) = group::decode(members, &Limits::NONE)?;
    decode(members, &roots, &mut old)?;
    let old = names_and_values(&old);
    let before: HashMap<&str, &str> =
        old.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let new = names_and_values(graph);
    let (kept, moved): (Vec<_>, Vec<_>) =
        new.iter().partition(|(name, value)| before.get(name.as_str()) == Some(&value.as_str()));
    let kept: HashSet<&str> = kept.into_iter().map(|(name, _)| name.as_str()).collect();
    // Equal values keep their order.
    let mut left: HashMap<&str, Vec<&str>> = HashMap::new();
    for (name, value) in old.iter().rev().filter(|(name, _)| !kept.contains(name.as_str())) {
        left.entry(value).or_default().push(name);
    }
    let names =
        old.iter().map(|(name, _)| (name.clone(), kept.contains(name.as_str()).then(|| name.clone())));
    let mut names: HashMap<String, Option<String>> = names.collect();
    for (name, value) in moved {
        let was = left.get_mut(value.as_str()).and_then(Vec::pop);
        let was = was.ok_or_else(|| FormatError::OnlyNames { key: name.clone() })?;
        names.insert(was.to_owned(), Some(name.clone()));
    }
    Ok(names)
}

/// Each name, with text that is the same for the same value.
fn names_and_values(graph: &Graph) -> Vec<(String, String)> {
    let items = graph.items(graph.root).into_iter();
    let text = |(key, value)| {
        let name = graph.as_str(key).unwrap_or_default().to_owned();
        (name, format!("{:?}", merge::nodes(graph, value)))
    };
    items.map(text).collect()
}

/// Renames the keys of a dict by name, and the way of steps that stands for a name where its value is one.
fn rename_keys(
    graph: &mut Graph,
    dict: NodeId,
    renamed: &HashMap<String, Option<String>>,
) -> Result<(), FormatError> {
    let mut tail = Vec::new();
    let (mut old_ways, mut kept_ways) = (Vec::new(), Vec::new());
    let (mut new_ways, mut new_names) = (Vec::new(), Vec::new());
    for step in std::mem::take(&mut graph.node_mut(dict).tail) {
        let named = match &step {
            Tail::Set(key, value) => graph.as_str(*key).map(|name| (name.to_owned(), *value)),
            _ => None,
        };
        let Some((old, value)) = named else {
            tail.push(step);
            continue;
        };
        let new = match renamed.get(&old) {
            Some(None) => continue,
            Some(Some(new)) => new.clone(),
            None => old.clone(),
        };
        let mut new_value = value;
        if let Some(old_way) = way_at(graph, value) {
            if old == new {
                kept_ways.push(old_way.clone());
            } else {
                let new_way = way::renamed(&old_way, &new);
                new_value = add_way(graph, &new_way);
                new_ways.push(new_way);
                new_names.push(new.clone());
            }
            old_ways.push(old_way);
        }
        tail.push(if old == new { step } else { Tail::Set(graph.add_str(new), new_value) });
    }
    graph.node_mut(dict).tail = tail;
    // Those that stay come first, so that a new name is what does not fit.
    let kept = kept_ways.len();
    kept_ways.append(&mut new_ways);
    match way::clash(&kept_ways).and_then(|place| place.checked_sub(kept)) {
        Some(place) if way::clash(&old_ways).is_none() => {
            Err(FormatError::Misplaced { key: new_names.swap_remove(place) })
        }
        _ => Ok(()),
    }
}

/// The way that a tuple of keys and places is.
fn way_at(graph: &Graph, id: NodeId) -> Option<Vec<Step>> {
    let Kind::Tuple(steps) = graph.kind(id) else { return None };
    let step = |id: &NodeId| match graph.as_int(*id) {
        Some(place) => Some(Step::Place(place)),
        None => graph.as_str(*id).map(|key| Step::Key(key.to_owned())),
    };
    steps.iter().map(step).collect()
}

fn add_way(graph: &mut Graph, way: &[Step]) -> NodeId {
    let mut steps = Vec::with_capacity(way.len());
    for step in way {
        steps.push(match step {
            Step::Key(key) => graph.add_str(key.clone()),
            Step::Place(place) => graph.add(Kind::Int(*place)),
        });
    }
    graph.add(Kind::Tuple(steps))
}

/// Renames the keys of the table of places, which are objects.
fn rename_indexes(graph: &mut Graph, places: NodeId, renamed: &HashMap<String, Option<String>>) {
    let mut tail = std::mem::take(&mut graph.node_mut(places).tail);
    tail.retain(|step| {
        let Tail::Set(index, _) = step else { return true };
        let Some(name) = field(graph, *index, "fqn").and_then(|name| graph.as_str(name)) else { return true };
        let name = name.to_owned();
        match renamed.get(&name) {
            Some(None) => return false,
            Some(Some(new)) if *new != name => {
                let state = graph.node(*index).tail.iter().rev().find_map(|step| match step {
                    Tail::Build(state) => Some(*state),
                    _ => None,
                });
                let new = graph.add_str(new.clone());
                graph.set(state.expect("the name was found in it"), "fqn", new);
            }
            _ => {}
        }
        true
    });
    graph.node_mut(places).tail = tail;
}

/// The pieces of a tensor, and how large it is as a whole.
fn shards(graph: &mut Graph, whole: Option<Vec<u64>>, mut pieces: Vec<(Vec<u64>, NodeId)>) -> NodeId {
    pieces.sort_by(|one, other| one.0.cmp(&other.0));
    let dict = graph.add(Kind::Dict);
    if let Some(whole) = whole {
        let extents: Vec<NodeId> = whole
            .into_iter()
            .map(|extent| graph.add(Kind::Int(i64::try_from(extent).unwrap_or(i64::MAX))))
            .collect();
        let extents = graph.add(Kind::Tuple(extents));
        graph.set(dict, "size", extents);
    }
    for (begin, value) in pieces {
        let begin: Vec<String> = begin.iter().map(u64::to_string).collect();
        graph.set(dict, &format!("at {}", begin.join(",")), value);
    }
    dict
}

/// Where the value is that begins at an offset of a file.
fn places(
    members: &[Unit],
    roots: &[NodeId],
    graph: &Graph,
) -> Result<HashMap<(String, u64), NodeId>, FormatError> {
    let mut places = HashMap::new();
    for (member, root) in members.iter().zip(roots) {
        match member.outline.format {
            Format::TorchRow => {
                let mut offset = 0;
                let zips = group::split(&member.outline)?;
                for (zip, value) in zips.iter().zip(graph.elements(*root)) {
                    places.insert((member.name.clone(), offset), value);
                    offset += zip.bytes;
                }
            }
            Format::TorchZip => drop(places.insert((member.name.clone(), 0), *root)),
            _ => {}
        }
    }
    Ok(places)
}
