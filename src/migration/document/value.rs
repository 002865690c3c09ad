//! What a document can hold.

use indexmap::IndexMap;

use super::Decimal;

/// Deepest nesting of a document, as MongoDB's limit has it. Everything that walks one recurses so deep at most.
pub const MAX_DEPTH: usize = 100;

/// A document: values by key, in order.
pub type Document = IndexMap<String, Value>;

/// A value of a document. The kinds are those of BSON (<https://bsonspec.org/spec.html>) that are still in use.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer of 32 bits.
    Int32(i32),
    /// An integer of 64 bits.
    Int64(i64),
    /// A float of 64 bits.
    Double(f64),
    /// A decimal float of 128 bits.
    Decimal(Decimal),
    /// Text.
    Text(String),
    /// A document inside of another.
    Object(Document),
    /// A list.
    Array(Vec<Value>),
    /// Bytes, and what is said of them.
    Binary {
        /// 0 for plain bytes.
        subtype: u8,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A name of twelve bytes.
    ObjectId([u8; 12]),
    /// Milliseconds since 1970, in UTC.
    DateTime(i64),
    /// A pattern, as a value or in a filter.
    Regex {
        /// The pattern.
        pattern: String,
        /// Its options, letters in alphabetical order.
        options: String,
    },
    /// The database's own kind of time.
    Timestamp {
        /// Seconds since 1970.
        time: u32,
        /// Number within the second.
        increment: u32,
    },
    /// What sorts before everything else.
    MinKey,
    /// What sorts after everything else.
    MaxKey,
}

impl Value {
    /// What `$type` calls it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int32(_) => "int",
            Value::Int64(_) => "long",
            Value::Double(_) => "double",
            Value::Decimal(_) => "decimal",
            Value::Text(_) => "string",
            Value::Object(_) => "object",
            Value::Array(_) => "array",
            Value::Binary { .. } => "binData",
            Value::ObjectId(_) => "objectId",
            Value::DateTime(_) => "date",
            Value::Regex { .. } => "regex",
            Value::Timestamp { .. } => "timestamp",
            Value::MinKey => "minKey",
            Value::MaxKey => "maxKey",
        }
    }

    /// Whether it is a number.
    pub fn is_number(&self) -> bool {
        matches!(self, Value::Int32(_) | Value::Int64(_) | Value::Double(_) | Value::Decimal(_))
    }

    /// The integer that it is, also where it is written as a float without a fraction.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Value::Int32(value) => Some(i64::from(*value)),
            Value::Int64(value) => Some(*value),
            // Above 2^53 a float no longer tells one integer from the next.
            Value::Double(value) if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 => {
                Some(*value as i64)
            }
            _ => None,
        }
    }

    /// Whether a flag that has this value is set.
    pub fn is_truthy(&self) -> bool {
        match self {
            Value::Null | Value::Bool(false) | Value::Int32(0) | Value::Int64(0) => false,
            Value::Double(value) => *value != 0.0,
            Value::Decimal(value) => !value.is_zero(),
            _ => true,
        }
    }

    /// Whether this is the same value of the same type, so that taking one for the other changes nothing.
    pub fn is_identical(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
            (Value::Object(a), Value::Object(b)) => is_identical(a, b),
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_identical(b))
            }
            (a, b) => a == b,
        }
    }
}

/// As [`Value::is_identical`], with the order of the keys.
pub(super) fn is_identical(a: &Document, b: &Document) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|((ka, a), (kb, b))| ka == kb && a.is_identical(b))
}

/// How deeply a value nests; a scalar 0. At most one more than [`MAX_DEPTH`] is found out.
pub(super) fn depth(value: &Value) -> usize {
    fn go(value: &Value, left: usize) -> usize {
        if left == 0 {
            return 1;
        }
        match value {
            Value::Object(inner) => 1 + inner.values().map(|v| go(v, left - 1)).max().unwrap_or(0),
            Value::Array(items) => 1 + items.iter().map(|v| go(v, left - 1)).max().unwrap_or(0),
            _ => 0,
        }
    }
    go(value, MAX_DEPTH + 1)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::value::Graph;

    /// A value from Python-like JSON text; enough for tests.
    pub fn value(text: &str) -> Value {
        let json: serde_json::Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let mut graph = Graph::new();
        let root = node(&mut graph, &json);
        super::super::extended::read_value(&graph, root).unwrap()
    }

    pub fn document(text: &str) -> Document {
        match value(text) {
            Value::Object(document) => document,
            other => panic!("{other:?}"),
        }
    }

    fn node(graph: &mut Graph, json: &serde_json::Value) -> crate::value::NodeId {
        use crate::value::{Kind, Tail};
        match json {
            serde_json::Value::Null => graph.add(Kind::None),
            serde_json::Value::Bool(value) => graph.add(Kind::Bool(*value)),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(value) => graph.add(Kind::Int(value)),
                None => graph.add(Kind::Float(number.as_f64().unwrap().into())),
            },
            serde_json::Value::String(text) => graph.add_str(text.clone()),
            serde_json::Value::Array(items) => {
                let list = graph.add(Kind::List);
                for item in items {
                    let item = node(graph, item);
                    graph.node_mut(list).tail.push(Tail::Append(item));
                }
                list
            }
            serde_json::Value::Object(items) => {
                let dict = graph.add(Kind::Dict);
                for (key, item) in items {
                    let item = node(graph, item);
                    graph.set(dict, key, item);
                }
                dict
            }
        }
    }

    #[test]
    fn integers_are_integers_also_as_floats_but_not_beyond_what_floats_tell_apart() {
        assert_eq!(Value::Double(3.0).as_integer(), Some(3));
        assert_eq!(Value::Double(3.5).as_integer(), None);
        assert_eq!(Value::Double(1e300).as_integer(), None);
    }

    #[test]
    fn identity_tells_types_and_zeros_apart() {
        assert!(!Value::Int32(1).is_identical(&Value::Double(1.0)));
        assert!(!Value::Double(0.0).is_identical(&Value::Double(-0.0)));
        assert!(Value::Double(f64::NAN).is_identical(&Value::Double(f64::NAN)));
        assert!(!value(r#"{"a": 1, "b": 2}"#).is_identical(&value(r#"{"b": 2, "a": 1}"#)));
    }
}
