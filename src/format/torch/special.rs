//! Tensors that are more than a view of a storage: sparse, quantized, nested, without elements, of a class of their
//! own. They stay calls in the graph; here is what they are as a whole.
//!
//! The calls are those of `torch/_utils.py`, `torch/_tensor.py` and `torch/nested/_internal/nested_tensor.py`, PyTorch
//! 1.6 to 2.15.

use crate::value::{Dtype, Graph, Kind, NodeId};

use super::storage::dtype_of_class;

/// A parameter of a buffer of a parameter; real ones are two deep.
const MOST_DEPTH: usize = 8;

/// What a call that rebuilds a tensor makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Element type.
    pub dtype: Dtype,
    /// Extents; of a nested tensor, the number of its tensors.
    pub shape: Vec<u64>,
    /// What it is, for instance `sparse_coo` or `quantized`.
    pub kind: String,
}

/// The tensor that a node rebuilds, if it is one that has no memory of its own kind; `None` for plain tensors.
pub fn whole(graph: &Graph, id: NodeId) -> Option<Whole> {
    let Kind::Reduce { callee, args } = graph.kind(id) else { return None };
    called(graph, *callee, *args, 0)
}

fn called(graph: &Graph, callee: NodeId, args: NodeId, depth: usize) -> Option<Whole> {
    let (module, name) = graph.as_global(callee)?;
    let Kind::Tuple(args) = graph.kind(args) else { return None };
    let args = args.as_slice();
    let is_torch =
        matches!(module, "torch._utils" | "torch._tensor" | "torch.nested._internal.nested_tensor");
    if !is_torch || depth > MOST_DEPTH {
        return None;
    }
    match (name, args) {
        ("_rebuild_qtensor", [storage, _, size, ..]) => Some(Whole {
            dtype: class_dtype(graph, *storage)?,
            shape: size_of(graph, *size)?,
            kind: "quantized".into(),
        }),
        ("_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor", [layout, data, ..]) => {
            let Kind::Tuple(data) = graph.kind(*data) else { return None };
            // Coordinates come in one tensor, the rows and columns of the other layouts in two.
            let (values, size) = match data.as_slice() {
                [_, _, values, size, ..] if graph.as_tensor(*values).is_some() => (values, size),
                [_, values, size, ..] => (values, size),
                _ => return None,
            };
            let (dtype, _) = plain(graph, *values, depth)?;
            Some(Whole { dtype, shape: size_of(graph, *size)?, kind: layout_of(graph, *layout) })
        }
        ("_rebuild_nested_tensor", [buffer, sizes, ..]) => {
            let count = graph.as_tensor(*sizes)?.shape.first().copied()?;
            Some(Whole { dtype: graph.as_tensor(*buffer)?.dtype, shape: vec![count], kind: "nested".into() })
        }
        ("_rebuild_njt", [parts]) => {
            let (values, _) = plain(graph, graph.get(*parts, "values")?, depth)?;
            let (_, offsets) = plain(graph, graph.get(*parts, "offsets")?, depth)?;
            let count = offsets.first()?.saturating_sub(1);
            Some(Whole { dtype: values, shape: vec![count], kind: "nested".into() })
        }
        ("_rebuild_meta_tensor_no_storage", [dtype, size, ..]) => Some(Whole {
            dtype: dtype_of(graph, *dtype)?,
            shape: size_of(graph, *size)?,
            kind: "meta".into(),
        }),
        ("_rebuild_wrapper_subclass", [class, dtype, size, ..]) => {
            let kind = graph.as_global(*class)?.1.to_owned();
            Some(Whole { dtype: dtype_of(graph, *dtype)?, shape: size_of(graph, *size)?, kind })
        }
        ("_rebuild_tensor_v2" | "_rebuild_tensor_v3", [storage, _, size, _, _, _, rest @ ..]) => {
            let dtype = match rest.first().and_then(|dtype| dtype_of(graph, *dtype)) {
                Some(dtype) => dtype,
                None => class_dtype(graph, *storage)?,
            };
            Some(Whole { dtype, shape: size_of(graph, *size)?, kind: String::new() })
        }
        ("_rebuild_from_type_v2", [inner, class, args, ..]) => {
            let mut whole = called(graph, *inner, *args, depth + 1)?;
            if whole.kind.is_empty() {
                let (_, name) = graph.as_global(*class)?;
                whole.kind = if name == "Tensor" { "with attributes".to_owned() } else { name.to_owned() };
            }
            Some(whole)
        }
        ("_rebuild_parameter" | "_rebuild_parameter_with_state", [data, ..]) => {
            if let Some(tensor) = graph.as_tensor(*data) {
                // A plain parameter is listed as the tensor that it wraps.
                let kind = "parameter".to_owned();
                return (name != "_rebuild_parameter").then(|| Whole {
                    dtype: tensor.dtype,
                    shape: tensor.shape.clone(),
                    kind,
                });
            }
            let Kind::Reduce { callee, args } = graph.kind(*data) else { return None };
            called(graph, *callee, *args, depth + 1)
        }
        _ => None,
    }
}

/// Type and extents of a tensor, or of what rebuilds one.
fn plain(graph: &Graph, id: NodeId, depth: usize) -> Option<(Dtype, Vec<u64>)> {
    if let Some(tensor) = graph.as_tensor(id) {
        return Some((tensor.dtype, tensor.shape.clone()));
    }
    let Kind::Reduce { callee, args } = graph.kind(id) else { return None };
    called(graph, *callee, *args, depth + 1).map(|whole| (whole.dtype, whole.shape))
}

fn class_dtype(graph: &Graph, id: NodeId) -> Option<Dtype> {
    match graph.kind(id) {
        Kind::Storage(storage) => dtype_of_class(&storage.class),
        _ => None,
    }
}

fn dtype_of(graph: &Graph, id: NodeId) -> Option<Dtype> {
    match graph.as_global(id)? {
        ("torch", name) => Dtype::from_name(name),
        _ => None,
    }
}

/// The name of a layout, as `torch.sparse_coo` is written: a call with its text.
fn layout_of(graph: &Graph, id: NodeId) -> String {
    let text = match graph.kind(id) {
        Kind::Reduce { args, .. } => match graph.kind(*args) {
            Kind::Tuple(args) => args.first().and_then(|text| graph.as_str(*text)),
            _ => None,
        },
        _ => graph.as_global(id).map(|(_, name)| name),
    };
    let text = text.unwrap_or("sparse");
    text.strip_prefix("torch.").unwrap_or(text).to_owned()
}

/// The numbers of a tuple, also of one in a `torch.Size`.
fn size_of(graph: &Graph, id: NodeId) -> Option<Vec<u64>> {
    let items = match graph.kind(id) {
        Kind::Tuple(items) => items,
        Kind::Reduce { args, .. } => match graph.kind(*args) {
            Kind::Tuple(args) => match graph.kind(*args.first()?) {
                Kind::Tuple(items) => items,
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    };
    items.iter().map(|item| u64::try_from(graph.as_int(*item)?).ok()).collect()
}
