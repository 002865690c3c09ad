//! Folders of the Hugging Face libraries: shards of one dict of tensors, an index, and documents.

use std::collections::{HashMap, HashSet};

use crate::value::{Graph, Kind, NodeId, StorageId, Tail};

use super::super::group::{Laid, Unit};
use super::super::{Format, FormatError, Limits, StorageFacts, merge};
use super::{document, known_keys};

/// How the name of an index ends; that of a model of many experts has megabytes.
pub(super) const INDEX: &str = ".index.json";

/// Whether a file is a shard, by its name and what it holds.
fn is_shard(member: &Unit) -> bool {
    let name = &member.name;
    let is_named = |stem: &str, end: &str| name.starts_with(stem) && name.ends_with(end);
    match member.outline.format {
        Format::Safetensors => !name.contains('/') && name.ends_with(".safetensors"),
        Format::TorchZip | Format::TorchLegacy => !name.contains('/') && is_named("pytorch_model", ".bin"),
        _ => false,
    }
}

fn is_index(member: &Unit) -> bool {
    member.outline.format == Format::Json && !member.name.contains('/') && member.name.ends_with(INDEX)
}

/// Whether a folder is one of shards that make one dict together.
///
/// # Errors
///
/// What keeps its shards from being one dict.
pub(super) fn check(members: &[Unit], limits: &Limits) -> Result<bool, String> {
    let shards: Vec<&Unit> = members.iter().filter(|member| is_shard(member)).collect();
    let index = members.iter().find(|member| is_index(member));
    if let Some(index) = index {
        check_index(index, &shards, limits)?;
    }
    if shards.is_empty() || (shards.len() > 1 && index.is_none()) {
        return Ok(false);
    }
    let files: HashSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let mut names = HashSet::new();
    for shard in shards {
        let graph = super::super::decode(&shard.outline, limits).map_err(|error| error.to_string())?;
        for name in tensor_names(&graph) {
            if files.contains(name.as_str()) || !names.insert(name.clone()) {
                return Err(format!("the name `{name}` is there twice"));
            }
        }
    }
    Ok(true)
}

fn check_index(index: &Unit, shards: &[&Unit], limits: &Limits) -> Result<(), String> {
    let graph = super::super::decode(&index.outline, limits).map_err(|error| error.to_string())?;
    let map = graph.get(graph.root, "weight_map").ok_or("the index has no weight_map")?;
    let files: HashSet<&str> = shards.iter().map(|shard| shard.name.as_str()).collect();
    for (name, file) in graph.items(map) {
        let (name, file) = (graph.as_str(name).unwrap_or("?"), graph.as_str(file).unwrap_or("?"));
        if !files.contains(file) {
            return Err(format!("the index looks for `{name}` in `{file}`, which is not there"));
        }
    }
    Ok(())
}

fn tensor_names(graph: &Graph) -> Vec<String> {
    let items = graph.items(graph.root).into_iter();
    items
        .filter(|(_, value)| is_tensor(graph, *value))
        .filter_map(|(key, _)| graph.as_str(key).map(str::to_owned))
        .collect()
}

/// A tensor, or a call that wraps one.
fn is_tensor(graph: &Graph, id: NodeId) -> bool {
    storage_of(graph, id).is_some()
}

fn storage_of(graph: &Graph, id: NodeId) -> Option<StorageId> {
    if let Some(tensor) = graph.as_tensor(id) {
        return Some(tensor.storage.storage);
    }
    let Kind::Reduce { callee, args } = graph.kind(id) else { return None };
    let Some(("torch._utils", _)) = graph.as_global(*callee) else { return None };
    let Kind::Tuple(args) = graph.kind(*args) else { return None };
    args.iter().find_map(|arg| match graph.kind(*arg) {
        Kind::Tensor(tensor) => Some(tensor.storage.storage),
        Kind::Storage(storage) => Some(storage.storage),
        _ => None,
    })
}

/// Tensors by their names, then documents by their paths.
pub(super) fn decode(members: &[Unit], roots: &[NodeId], graph: &mut Graph) {
    let top = graph.root;
    for (member, root) in members.iter().zip(roots) {
        if is_shard(member) {
            for (key, value) in graph.items(*root) {
                if is_tensor(graph, value) {
                    graph.node_mut(top).tail.push(Tail::Set(key, value));
                }
            }
        }
    }
    for (member, root) in members.iter().zip(roots) {
        if !is_shard(member) && !is_index(member) && !matches!(graph.kind(*root), Kind::None) {
            let key = graph.add_str(member.name.clone());
            graph.node_mut(top).tail.push(Tail::Set(key, *root));
        }
    }
}

/// Lays out the shards that changed; a tensor stays in the shard that holds its bytes, a new one comes into
/// the last.
pub(super) fn encode(
    graph: &Graph,
    members: &[Unit],
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Vec<Laid>, FormatError> {
    known_keys(graph, |key, value| {
        is_tensor(graph, value) || members.iter().any(|member| member.name == key && !is_shard(member))
    })?;
    let last = members.iter().rposition(is_shard).ok_or(FormatError::Group("it has no shard"))?;
    let mut items: HashMap<usize, Vec<(NodeId, NodeId)>> = HashMap::new();
    let mut names: Vec<(String, usize)> = Vec::new();
    let mut total = 0u64;
    for (key, value) in graph.items(graph.root) {
        let Some(storage) = storage_of(graph, value) else { continue };
        let holds = |member: &Unit| {
            let own = storage.0.checked_sub(member.first_storage);
            is_shard(member) && own.is_some_and(|own| (own as usize) < member.outline.storages.len())
        };
        let shard = members.iter().position(holds).unwrap_or(last);
        items.entry(shard).or_default().push((key, value));
        names.push((graph.as_str(key).unwrap_or_default().to_owned(), shard));
        total = total.saturating_add(graph.as_tensor(value).and_then(|t| t.bytes()).unwrap_or_default());
    }
    let mut laid = Vec::with_capacity(members.len());
    let mut changed = false;
    let mut indexes = Vec::new();
    for (place, member) in members.iter().enumerate() {
        if is_shard(member) {
            let items = items.remove(&place).unwrap_or_default();
            let new = shard(graph, member, &items, facts)?;
            changed |= new.outline != member.outline;
            laid.push(new);
        } else if is_index(member) {
            indexes.push((laid.len(), member));
            laid.push(Laid::unchanged(member));
        } else {
            laid.extend(document(graph, member, facts)?);
        }
    }
    for (place, member) in indexes.into_iter().filter(|_| changed) {
        laid[place] = index(member, &names, members, total, facts)?;
    }
    Ok(laid)
}

/// A shard with these tensors and whatever else it held.
fn shard(
    graph: &Graph,
    member: &Unit,
    items: &[(NodeId, NodeId)],
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Laid, FormatError> {
    let mut old = super::super::decode(&member.outline, &Limits::NONE)?;
    for node in &mut old.nodes {
        merge::each_storage(&mut node.kind, |id| id.0 += member.first_storage);
    }
    let old_items: Vec<_> =
        old.items(old.root).into_iter().filter(|(_, value)| is_tensor(&old, *value)).collect();
    let same = |(one, other): (&(NodeId, NodeId), &(NodeId, NodeId))| {
        old.as_str(one.0) == graph.as_str(other.0)
            && merge::nodes(&old, one.1) == merge::nodes(graph, other.1)
    };
    if old_items.len() == items.len() && old_items.iter().zip(items).all(same) {
        return Ok(Laid::unchanged(member));
    }
    let kept = std::mem::take(&mut old.node_mut(old.root).tail);
    let (sets, rest): (Vec<_>, Vec<_>) = kept.into_iter().partition(|step| matches!(step, Tail::Set(..)));
    let sets = sets.into_iter().filter(|step| match step {
        Tail::Set(_, value) => !is_tensor(&old, *value),
        _ => false,
    });
    let mut tail: Vec<Tail> = sets.collect();
    old.storages.clone_from(&graph.storages);
    let mut places = HashMap::new();
    for (key, value) in items {
        let key = merge::copy(graph, *key, &mut old, &mut places);
        let value = merge::copy(graph, *value, &mut old, &mut places);
        tail.push(Tail::Set(key, value));
    }
    tail.extend(rest);
    let root = old.root;
    old.node_mut(root).tail = tail;
    Laid::anew(member, merge::part(&old, root), facts)
}

/// The index with the new names, in the manner of the old.
fn index(
    member: &Unit,
    names: &[(String, usize)],
    members: &[Unit],
    total: u64,
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Laid, FormatError> {
    let mut graph = super::super::decode(&member.outline, &Limits::NONE)?;
    let root = graph.root;
    let was_sorted = graph.get(root, "weight_map").is_some_and(|map| {
        let keys: Vec<_> = graph.items(map).into_iter().map(|(key, _)| graph.as_str(key)).collect();
        keys.is_sorted()
    });
    let mut names = names.to_vec();
    if was_sorted {
        names.sort();
    }
    let map = graph.add(Kind::Dict);
    for (name, shard) in names {
        let (key, file) = (graph.add_str(name), graph.add_str(members[shard].name.clone()));
        graph.node_mut(map).tail.push(Tail::Set(key, file));
    }
    graph.set(root, "weight_map", map);
    if let Some(metadata) = graph.get(root, "metadata")
        && graph.get(metadata, "total_size").is_some()
    {
        let size = graph.add(Kind::Int(i64::try_from(total).unwrap_or(i64::MAX)));
        graph.set(metadata, "total_size", size);
    }
    Laid::anew(member, graph, facts)
}
