//! Types of keys and of tensors.

use crate::value::{Dtype, FloatBits, Graph, Kind, NodeId, Tail};

/// Types of tensors: number and element type, as in `ggml.h`.
const TENSORS: &[(u32, Dtype)] = &[
    (0, Dtype::F32),
    (1, Dtype::F16),
    (2, Dtype::Q40),
    (3, Dtype::Q41),
    (6, Dtype::Q50),
    (7, Dtype::Q51),
    (8, Dtype::Q80),
    (9, Dtype::Q81),
    (10, Dtype::Q2K),
    (11, Dtype::Q3K),
    (12, Dtype::Q4K),
    (13, Dtype::Q5K),
    (14, Dtype::Q6K),
    (15, Dtype::Q8K),
    (16, Dtype::Iq2Xxs),
    (17, Dtype::Iq2Xs),
    (18, Dtype::Iq3Xxs),
    (19, Dtype::Iq1S),
    (20, Dtype::Iq4Nl),
    (21, Dtype::Iq3S),
    (22, Dtype::Iq2S),
    (23, Dtype::Iq4Xs),
    (24, Dtype::I8),
    (25, Dtype::I16),
    (26, Dtype::I32),
    (27, Dtype::I64),
    (28, Dtype::F64),
    (29, Dtype::Iq1M),
    (30, Dtype::Bf16),
    (34, Dtype::Tq10),
    (35, Dtype::Tq20),
    (39, Dtype::Mxfp4),
    (40, Dtype::Nvfp4),
    (41, Dtype::Q10),
];

pub(super) fn dtype_of(kind: u32) -> Option<Dtype> {
    TENSORS.iter().find(|row| row.0 == kind).map(|row| row.1)
}

pub(super) fn type_of(dtype: Dtype) -> Option<u32> {
    TENSORS.iter().find(|row| row.1 == dtype).map(|row| row.0)
}

/// A value of a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Of an integer type, by its number.
    Int(u32, i128),
    F32(f32),
    F64(f64),
    Bool(bool),
    Text(Vec<u8>),
    /// Items of one type; what the type is matters where there are none.
    Array(u32, Vec<Value>),
}

pub(super) const TEXT: u32 = 8;
pub(super) const ARRAY: u32 = 9;
const F32: u32 = 6;
const F64: u32 = 12;
const BOOL: u32 = 7;

/// Length of a number of a type in bytes, and whether it has a sign.
pub(super) fn int_type(kind: u32) -> Option<(usize, bool)> {
    Some(match kind {
        0 => (1, false),
        1 => (1, true),
        2 => (2, false),
        3 => (2, true),
        4 => (4, false),
        5 => (4, true),
        10 => (8, false),
        11 => (8, true),
        _ => return None,
    })
}

/// Least length of a value of a type in bytes.
pub(super) fn least_bytes(kind: u32) -> Option<u64> {
    Some(match kind {
        0 | 1 | BOOL => 1,
        2 | 3 => 2,
        4..=F32 => 4,
        // Version 1 has lengths of four bytes.
        TEXT => 4,
        ARRAY => 8,
        10..=F64 => 8,
        _ => return None,
    })
}

impl Value {
    pub fn kind(&self) -> u32 {
        match self {
            Value::Int(kind, _) => *kind,
            Value::F32(_) => F32,
            Value::F64(_) => F64,
            Value::Bool(_) => BOOL,
            Value::Text(_) => TEXT,
            Value::Array(..) => ARRAY,
        }
    }

    /// Adds the value to a graph. Nesting was bounded when it was read.
    pub fn to_node(&self, graph: &mut Graph) -> NodeId {
        let kind = match self {
            Value::Int(_, value) => match i64::try_from(*value) {
                Ok(value) => Kind::Int(value),
                Err(_) => Kind::BigInt((*value).into()),
            },
            Value::F32(value) => Kind::Float(f64::from(*value).into()),
            Value::F64(value) => Kind::Float((*value).into()),
            Value::Bool(value) => Kind::Bool(*value),
            Value::Text(bytes) => text_kind(bytes),
            Value::Array(_, items) => {
                let list = graph.add(Kind::List);
                for item in items {
                    let item = item.to_node(graph);
                    graph.node_mut(list).tail.push(Tail::Append(item));
                }
                return list;
            }
        };
        graph.add(kind)
    }

    /// Makes a value of a node, of the same type as another where there is one.
    pub fn of_node(graph: &Graph, id: NodeId, like: Option<&Value>) -> Option<Value> {
        let of_kind = like.map(Value::kind);
        Some(match (graph.kind(id), of_kind) {
            (Kind::Bool(value), None | Some(BOOL)) => Value::Bool(*value),
            (Kind::Float(bits), Some(F64)) => Value::F64(bits.get()),
            (Kind::Float(bits), None | Some(F32)) => Value::F32(narrow(*bits)),
            (Kind::Int(_) | Kind::BigInt(_), _) => {
                let value = match graph.kind(id) {
                    Kind::Int(value) => i128::from(*value),
                    Kind::BigInt(value) => i128::try_from(value.clone()).ok()?,
                    _ => return None,
                };
                let fits = |kind: u32| {
                    let (bytes, signed) = int_type(kind)?;
                    let bits = bytes as u32 * 8;
                    let (least, most) = match signed {
                        true => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
                        false => (0, (1i128 << bits) - 1),
                    };
                    (least..=most).contains(&value).then_some(kind)
                };
                let kind = match of_kind {
                    Some(kind) => fits(kind)?,
                    None => [4, 5, 10, 11].into_iter().find_map(fits)?,
                };
                Value::Int(kind, value)
            }
            (Kind::Str(_) | Kind::Str8(_), None | Some(TEXT)) => Value::Text(text_bytes(graph, id)?),
            (Kind::List, None | Some(ARRAY)) => {
                let like_items = match like {
                    Some(Value::Array(kind, items)) => Some((*kind, items)),
                    _ => None,
                };
                let mut items = Vec::new();
                for (place, item) in graph.elements(id).enumerate() {
                    // Nesting is that of the value before, or none.
                    if matches!(graph.kind(item), Kind::List) && like_items.is_none() {
                        return None;
                    }
                    let like = like_items.and_then(|(_, old)| old.get(place).or(old.first()));
                    items.push(Value::of_node(graph, item, like)?);
                }
                let kind =
                    like_items.map(|(kind, _)| kind).or(items.first().map(Value::kind)).unwrap_or(TEXT);
                if items.iter().any(|item| item.kind() != kind) {
                    return None;
                }
                Value::Array(kind, items)
            }
            _ => return None,
        })
    }
}

/// Text that may not be UTF-8.
pub(super) fn text_kind(bytes: &[u8]) -> Kind {
    match std::str::from_utf8(bytes) {
        Ok(text) => Kind::Str(text.to_owned()),
        Err(_) => Kind::Str8(bytes.to_vec()),
    }
}

pub(super) fn text_bytes(graph: &Graph, id: NodeId) -> Option<Vec<u8>> {
    match graph.kind(id) {
        Kind::Str(text) => Some(text.as_bytes().to_vec()),
        Kind::Str8(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

fn narrow(bits: FloatBits) -> f32 {
    bits.get() as f32
}
