//! Takes a worker's edits into a graph. The worker ran a stranger's script: nothing it says is believed.

use std::collections::HashSet;

use super::pipe::Answer;
use super::{EngineError, Expr, Limits, Outcome};
use crate::value::{Graph, NodeId};

/// Applies the edits to a copy of the graph.
pub(super) fn apply(
    script: &str,
    graph: &Graph,
    answer: Answer,
    limits: &Limits,
) -> Result<Outcome, EngineError> {
    let refuse = |reason: &str| EngineError::Refused { script: script.to_owned(), reason: reason.to_owned() };
    let kept_nodes = graph.nodes.len();
    let kept_storages = graph.storages.len();
    let total_nodes = kept_nodes + answer.added.len();
    if u32::try_from(total_nodes).is_err() {
        return Err(refuse("it has too many nodes"));
    }

    let mut graph = graph.clone();
    for (id, node) in answer.changed {
        *graph.nodes.get_mut(id.index()).ok_or_else(|| refuse("it changes a node that does not exist"))? =
            node;
    }
    graph.nodes.extend(answer.added);
    graph.root = answer.root;
    graph.storages.extend(answer.storages);

    let exists = |id: NodeId| id.index() < total_nodes;
    if !exists(graph.root)
        || (0..total_nodes).any(|i| !graph.children(NodeId(i as u32)).into_iter().all(exists))
    {
        return Err(refuse("it refers to a node that does not exist"));
    }
    let mut tensors = graph.nodes.iter().filter_map(|node| match &node.kind {
        crate::value::Kind::Tensor(tensor) => Some(tensor),
        _ => None,
    });
    let unsound = tensors.any(|tensor| {
        let id = tensor.storage.storage.index();
        // Tensors of the input are as sound as they were; only those over new storages are ours to check.
        match graph.storages.get(id) {
            None => true,
            Some(storage) if id >= kept_storages => tensor.end_byte().is_none_or(|end| end > storage.bytes),
            Some(_) => tensor.shape.len() != tensor.strides.len(),
        }
    });
    if unsound {
        return Err(refuse("a tensor does not fit its storage"));
    }

    let limit_bytes = limits.computed_bytes(&graph);
    let mut seen = HashSet::new();
    let mut total_bytes = 0u64;
    for computed in &answer.computed {
        let place = computed.storage.index();
        if place < kept_storages || place >= graph.storages.len() || !seen.insert(place) {
            return Err(refuse("it computes a storage that is not new"));
        }
        let shapes = computed.expr.check(&graph.storages[..kept_storages])?;
        let result = shapes.last().map_or(0, |shape| shape.bytes());
        if result != graph.storages[place].bytes {
            return Err(refuse("a computed tensor does not fit its storage"));
        }
        total_bytes = total_bytes.saturating_add(Expr::work_bytes(&shapes));
        if total_bytes > limit_bytes {
            return Err(EngineError::TooLarge { bytes: total_bytes, limit_bytes });
        }
    }
    if seen.len() != graph.storages.len() - kept_storages {
        return Err(refuse("a new storage has no bytes"));
    }
    Ok(Outcome { graph, computed: answer.computed, skipped: answer.skipped, printed: answer.printed })
}
