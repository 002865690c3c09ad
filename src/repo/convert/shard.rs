//! Cutting a dict of tensors into files of bounded size, in the manner of the Hugging Face libraries.

use crate::format::convert::Converted;
use crate::value::{Graph, Kind, Tail};

/// The name of the index.
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// The key of what is no tensor, which every shard gets.
const METADATA: &str = "__metadata__";

/// The shards by their names, and the index. A tensor that is larger than a shard is one by itself.
pub(super) fn split(converted: &Converted, most_bytes: u64) -> (Vec<(String, Converted)>, Graph) {
    let graph = &converted.graph;
    let mut shards: Vec<Converted> = Vec::new();
    let mut filled = 0u64;
    let mut names: Vec<(String, usize)> = Vec::new();
    let mut total = 0u64;
    for (key, value) in graph.items(graph.root) {
        let Some(tensor) = graph.as_tensor(value) else { continue };
        let storage = tensor.storage.storage;
        let bytes = graph.storage(storage).bytes;
        if shards.is_empty() || filled.saturating_add(bytes) > most_bytes && filled > 0 {
            shards.push(Converted { graph: Graph::new(), bytes: Vec::new(), left_out: Vec::new() });
            filled = 0;
        }
        filled = filled.saturating_add(bytes);
        total = total.saturating_add(bytes);
        let place = shards.len() - 1;
        let shard = &mut shards[place];
        let mut tensor = tensor.clone();
        tensor.storage.storage = shard.graph.add_storage(graph.storage(storage).clone());
        shard.bytes.push(converted.bytes[storage.index()].clone());
        let name = graph.as_str(key).unwrap_or_default().to_owned();
        let (key, value) =
            (shard.graph.add_str(name.clone()), shard.graph.add(Kind::Tensor(Box::new(tensor))));
        let root = shard.graph.root;
        shard.graph.node_mut(root).tail.push(Tail::Set(key, value));
        names.push((name, place));
    }
    let count = shards.len();
    let file = |place: usize| format!("model-{:05}-of-{count:05}.safetensors", place + 1);
    for shard in &mut shards {
        let metadata = shard.graph.add(Kind::Dict);
        match graph.get(graph.root, METADATA) {
            Some(kept) => {
                for (key, value) in graph.items(kept) {
                    let key = graph.as_str(key).unwrap_or_default().to_owned();
                    let value = shard.graph.add_str(graph.as_str(value).unwrap_or_default());
                    shard.graph.set(metadata, &key, value);
                }
            }
            None => {
                let value = shard.graph.add_str("pt");
                shard.graph.set(metadata, "format", value);
            }
        }
        let root = shard.graph.root;
        shard.graph.set(root, METADATA, metadata);
    }
    let index = index(&names, total, &file);
    (shards.into_iter().enumerate().map(|(place, shard)| (file(place), shard)).collect(), index)
}

fn index(names: &[(String, usize)], total: u64, file: &dyn Fn(usize) -> String) -> Graph {
    let mut graph = Graph::new();
    let root = graph.root;
    let metadata = graph.add(Kind::Dict);
    let size = graph.add(Kind::Int(i64::try_from(total).unwrap_or(i64::MAX)));
    graph.set(metadata, "total_size", size);
    graph.set(root, "metadata", metadata);
    let map = graph.add(Kind::Dict);
    let mut names = names.to_vec();
    names.sort();
    for (name, place) in names {
        let (key, value) = (graph.add_str(name), graph.add_str(file(place)));
        graph.node_mut(map).tail.push(Tail::Set(key, value));
    }
    graph.set(root, "weight_map", map);
    graph
}
