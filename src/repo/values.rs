//! Values of a checkpoint as people and JSON show them.

use serde_json::{Map, Value, json};

use crate::format::convert::tensor_of;
use crate::format::{WholeTensor, whole_tensor};
use crate::value::{Dtype, Graph, Kind, NodeId, Tail};

/// Containers inside each other beyond this many are cut off.
const MAX_DEPTH: usize = 32;

/// Items of one container beyond this many are cut off.
const MAX_ITEMS: usize = 10_000;

/// A value as JSON. Tensors and objects are described; what is too deep or too long is `"..."`.
pub(super) fn to_json(graph: &Graph, id: NodeId) -> Value {
    json_at(graph, id, 0)
}

fn json_at(graph: &Graph, id: NodeId, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return json!("...");
    }
    match graph.kind(id) {
        Kind::None => Value::Null,
        Kind::Bool(value) => json!(value),
        Kind::Int(value) => json!(value),
        Kind::Float(bits) => serde_json::Number::from_f64(bits.get())
            .map_or_else(|| json!(bits.get().to_string()), Value::Number),
        Kind::Str(text) => json!(text),
        Kind::Tuple(items) | Kind::FrozenSet(items) => {
            Value::Array(items.iter().take(MAX_ITEMS).map(|item| json_at(graph, *item, depth + 1)).collect())
        }
        Kind::List => {
            let items = graph.elements(id).take(MAX_ITEMS);
            Value::Array(items.map(|item| json_at(graph, item, depth + 1)).collect())
        }
        Kind::Dict => json_items(graph, id, depth),
        _ if whole_of(graph, id).is_some() => json!(describe(graph, id)),
        _ if !graph.node(id).tail.is_empty() && graph.class_of(id).is_some() => {
            let mut out = Map::new();
            out.insert("class".into(), json!(describe(graph, id)));
            if graph.node(id).tail.iter().any(|step| matches!(step, Tail::Set(..))) {
                out.insert("items".into(), json_items(graph, id, depth));
            }
            for step in &graph.node(id).tail {
                if let Tail::Build(state) = step {
                    out.insert("state".into(), json_at(graph, *state, depth + 1));
                }
            }
            Value::Object(out)
        }
        _ => json!(describe(graph, id)),
    }
}

fn json_items(graph: &Graph, id: NodeId, depth: usize) -> Value {
    let items = graph.items(id).into_iter().take(MAX_ITEMS);
    let pair = |(key, value)| (text_of(graph, key), json_at(graph, value, depth + 1));
    Value::Object(items.map(pair).collect())
}

/// The tensor that a call rebuilds, if it is such a call.
fn whole_of(graph: &Graph, id: NodeId) -> Option<WholeTensor> {
    whole_tensor(graph, id).or_else(|| {
        let tensor = graph.as_tensor(tensor_of(graph, id).filter(|tensor| *tensor != id)?)?;
        Some(WholeTensor { dtype: tensor.dtype, shape: tensor.shape.clone(), kind: "parameter".to_owned() })
    })
}

/// A value on one line.
pub(super) fn text_of(graph: &Graph, id: NodeId) -> String {
    match graph.kind(id) {
        Kind::Str(text) => text.clone(),
        _ => describe(graph, id),
    }
}

/// A value for people: indented JSON for containers, one line for anything else.
pub(super) fn render(graph: &Graph, id: NodeId) -> String {
    match to_json(graph, id) {
        Value::String(text) => text,
        value => serde_json::to_string_pretty(&value).unwrap_or_default(),
    }
}

/// What a node is, on one line.
pub(super) fn describe(graph: &Graph, id: NodeId) -> String {
    match graph.kind(id) {
        Kind::None => "None".into(),
        Kind::Bool(value) => if *value { "True" } else { "False" }.into(),
        Kind::Int(value) => value.to_string(),
        Kind::BigInt(value) => value.to_string(),
        Kind::Float(bits) => format!("{:?}", bits.get()),
        Kind::Str(text) => format!("{text:?}"),
        Kind::SurrogateStr(bytes) | Kind::Str8(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Kind::Bytes(bytes) | Kind::ByteArray(bytes) => format!("{} bytes", bytes.len()),
        Kind::Tensor(tensor) => describe_tensor(tensor.dtype, &tensor.shape),
        Kind::Global { module, name } => format!("{module}.{name}"),
        Kind::Storage(storage) => format!("storage of {} elements", storage.elements),
        Kind::Tuple(items) => format!("tuple of {}", items.len()),
        Kind::List => format!("list of {}", graph.elements(id).count()),
        Kind::Dict => format!("dict of {}", graph.items(id).len()),
        Kind::Set | Kind::FrozenSet(_) => "set".into(),
        _ => match (whole_of(graph, id), graph.class_of(id)) {
            (Some(WholeTensor { dtype, shape, kind }), _) => format!("tensor {dtype} {shape:?} {kind}"),
            (None, Some((module, name))) => format!("{module}.{name}"),
            (None, None) => "object".into(),
        },
    }
}

/// What a tensor is, on one line.
pub(super) fn describe_tensor(dtype: Dtype, shape: &[u64]) -> String {
    format!("tensor {dtype} {shape:?}")
}
