//! Folders of `torch.distributed.checkpoint`: a pickle that says where the pieces of each tensor lie, and
//! shards that hold them.
//!
//! Layout: `torch/distributed/checkpoint/metadata.py` and `filesystem.py`. Such a folder comes back as it was.

use std::collections::HashMap;

use crate::value::{Graph, Kind, NodeId, Tail};

use super::super::group::{self, Unit};
use super::super::{Format, FormatError, Limits};

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
