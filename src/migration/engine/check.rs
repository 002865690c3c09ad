//! Takes a worker's edits into a graph. The worker ran a stranger's script: nothing it says is believed.

use std::collections::HashSet;

use super::pipe::Answer;
use super::{EngineError, Expr, Limits, Outcome};
use crate::value::{Graph, Kind, NodeId};

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

    let limit_bytes = limits.computed_bytes(graph);
    let mut graph = graph.clone();
    let mut edited = Vec::new();
    for (id, node) in answer.changed {
        edited.push(id.index());
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
    // Tensors that came as they were are as sound as they were.
    edited.extend(kept_nodes..total_nodes);
    let unsound = edited.into_iter().any(|place| match &graph.nodes[place].kind {
        Kind::Tensor(tensor) => {
            let storage = graph.storages.get(tensor.storage.storage.index());
            storage.is_none_or(|storage| tensor.end_byte().is_none_or(|end| end > storage.bytes))
        }
        Kind::Storage(storage) => storage.storage.index() >= graph.storages.len(),
        _ => false,
    });
    if unsound {
        return Err(refuse("a tensor does not fit its storage"));
    }

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

#[cfg(test)]
mod tests {
    use super::super::{Computed, Scalar, Step};
    use super::*;
    use crate::value::{Dtype, Node, Storage, StorageId, StorageRef, Tensor};

    fn answer() -> Answer {
        Answer {
            changed: vec![],
            added: vec![],
            root: NodeId(0),
            storages: vec![],
            computed: vec![],
            skipped: None,
            printed: String::new(),
        }
    }

    fn tensor(storage: u32, elements: u64) -> Node {
        let storage = StorageId(storage);
        let (class, location) = (String::new(), String::new());
        Kind::Tensor(Box::new(Tensor {
            dtype: Dtype::F32,
            shape: vec![elements],
            strides: vec![1],
            offset: 0,
            storage: StorageRef { storage, class, location, elements, view: None },
            requires_grad: false,
            hooks: None,
            metadata: None,
        }))
        .into()
    }

    fn refused(answer: Answer) -> String {
        let mut graph = Graph::new();
        graph.add_storage(Storage { key: "0".into(), bytes: 8 });
        match apply("m.py", &graph, answer, &Limits::default()) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn answers_that_are_not_sound_are_refused() {
        let full = |elements| Step::Full { dtype: Dtype::F32, shape: vec![elements], value: Scalar::Int(0) };
        let computed =
            |elements| Computed { storage: StorageId(1), expr: Expr { steps: vec![full(elements)] } };
        let new = Storage { key: "1".into(), bytes: 8 };
        assert_eq!(refused(answer()), "");
        assert_eq!(refused(Answer { added: vec![tensor(0, 2)], ..answer() }), "");
        let cases = [
            Answer { root: NodeId(1), ..answer() },
            Answer { changed: vec![(NodeId(9), Kind::None.into())], ..answer() },
            Answer { added: vec![Kind::Tuple(vec![NodeId(5)]).into()], ..answer() },
            Answer { added: vec![tensor(0, 3)], ..answer() },
            Answer { added: vec![tensor(7, 1)], ..answer() },
            Answer { storages: vec![new.clone()], ..answer() },
            Answer { computed: vec![computed(2)], ..answer() },
            Answer { storages: vec![new.clone()], computed: vec![computed(3)], ..answer() },
            Answer { storages: vec![new], computed: vec![computed(2), computed(2)], ..answer() },
        ];
        for (place, case) in cases.into_iter().enumerate() {
            assert!(refused(case).starts_with("m.py: the worker's answer was refused"), "case {place}");
        }
        let huge = Storage { key: "1".into(), bytes: 4 << 40 };
        let case = Answer { storages: vec![huge], computed: vec![computed(1 << 40)], ..answer() };
        assert!(refused(case).starts_with("computed tensors would take"));
    }
}
