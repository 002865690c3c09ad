//! From a value graph to text.

use std::collections::{HashMap, HashSet};

use crate::value::{Graph, Kind, NodeId, walk};

use super::super::pickle::text;
use super::JsonError;
use super::style::Style;

/// Most bytes of a written document: shared values are written at each place.
const MOST_BYTES: usize = 1 << 30;

enum Step {
    Value(NodeId),
    Key(NodeId),
    /// The text between two values, or between a bracket and a value.
    Between {
        comma: bool,
        depth: usize,
    },
    Close {
        node: NodeId,
        bracket: char,
        depth: usize,
    },
}

/// Writes a document, without recursion.
pub(super) fn write(graph: &Graph, style: &Style, floats: &HashMap<u64, &str>) -> Result<Vec<u8>, JsonError> {
    let mut out = String::new();
    let mut open = HashSet::new();
    let mut todo = vec![Step::Value(graph.root)];
    let cannot = |node, what| JsonError::Unwritable { path: path_of(graph, node), what };
    while let Some(step) = todo.pop() {
        if out.len() > MOST_BYTES {
            return Err(JsonError::Limit { what: "bytes", limit: MOST_BYTES as u64 });
        }
        let id = match step {
            Step::Value(id) => id,
            Step::Key(id) => {
                string(graph, id, style.ascii, &mut out)
                    .ok_or_else(|| cannot(id, "a key that is no text"))?;
                out.push_str(&style.colon);
                continue;
            }
            Step::Between { comma, depth } => {
                out.push_str(if comma { &style.comma } else { "" });
                line(style, depth, &mut out);
                continue;
            }
            Step::Close { node, bracket, depth } => {
                open.remove(&node);
                line(style, depth, &mut out);
                out.push(bracket);
                continue;
            }
        };
        let items: Vec<(Option<NodeId>, NodeId)> = match graph.kind(id) {
            Kind::None => {
                out.push_str("null");
                continue;
            }
            Kind::Bool(value) => {
                out.push_str(if *value { "true" } else { "false" });
                continue;
            }
            Kind::Int(value) => {
                out.push_str(&value.to_string());
                continue;
            }
            Kind::BigInt(value) => {
                out.push_str(&value.to_string());
                continue;
            }
            Kind::Float(bits) => {
                match floats.get(&bits.0) {
                    Some(text) => out.push_str(text),
                    None => out.push_str(&float(bits.get())),
                }
                continue;
            }
            Kind::Str(_) | Kind::SurrogateStr(_) | Kind::Str8(_) => {
                string(graph, id, style.ascii, &mut out)
                    .ok_or_else(|| cannot(id, "bytes that are no text"))?;
                continue;
            }
            Kind::Dict => graph.items(id).into_iter().map(|(key, value)| (Some(key), value)).collect(),
            Kind::List => graph.elements(id).map(|item| (None, item)).collect(),
            Kind::Tuple(items) => items.iter().map(|item| (None, *item)).collect(),
            Kind::Tensor(_) | Kind::Storage(_) => return Err(cannot(id, "a tensor")),
            _ => return Err(cannot(id, "a value that JSON has no word for")),
        };
        let (start, end) = if matches!(graph.kind(id), Kind::Dict) { ('{', '}') } else { ('[', ']') };
        out.push(start);
        if items.is_empty() {
            out.push(end);
            continue;
        }
        if !open.insert(id) {
            return Err(cannot(id, "a value that holds itself"));
        }
        let depth = open.len();
        todo.push(Step::Close { node: id, bracket: end, depth: depth - 1 });
        for (place, (key, value)) in items.into_iter().enumerate().rev() {
            todo.push(Step::Value(value));
            todo.extend(key.map(Step::Key));
            todo.push(Step::Between { comma: place > 0, depth });
        }
    }
    out.push_str(&style.end);
    Ok(out.into_bytes())
}

/// Where a node is, for a message.
fn path_of(graph: &Graph, node: NodeId) -> String {
    walk(graph).find(|place| place.node == node).map_or_else(String::new, |p| p.path.to_string())
}

fn line(style: &Style, depth: usize, out: &mut String) {
    if let Some(indent) = &style.indent {
        out.push('\n');
        for _ in 0..depth {
            out.push_str(indent);
        }
    }
}

/// A float in Python's spelling.
fn float(value: f64) -> String {
    match value {
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        _ if value.is_nan() => "NaN".to_owned(),
        _ => text::float_repr(value),
    }
}

fn string(graph: &Graph, id: NodeId, ascii: bool, out: &mut String) -> Option<()> {
    match graph.kind(id) {
        Kind::SurrogateStr(bytes) => quoted(text::code_points(bytes), ascii, out),
        _ => write_str(graph.as_str(id)?, ascii, out),
    }
    Some(())
}

/// Writes text in quotes.
pub(in crate::format) fn write_str(value: &str, ascii: bool, out: &mut String) {
    quoted(value.chars().map(u32::from), ascii, out);
}

fn quoted(code_points: impl Iterator<Item = u32>, ascii: bool, out: &mut String) {
    out.push('"');
    for code in code_points {
        match (code, char::from_u32(code)) {
            (0x22, _) => out.push_str("\\\""),
            (0x5c, _) => out.push_str("\\\\"),
            (0x08, _) => out.push_str("\\b"),
            (0x0c, _) => out.push_str("\\f"),
            (0x0a, _) => out.push_str("\\n"),
            (0x0d, _) => out.push_str("\\r"),
            (0x09, _) => out.push_str("\\t"),
            (0x20..0x7f, Some(c)) => out.push(c),
            (0x7f.., Some(c)) if !ascii || code == 0x7f => out.push(c),
            (0x1_0000.., _) => {
                let pair = code - 0x1_0000;
                out.push_str(&format!("\\u{:04x}\\u{:04x}", 0xd800 + (pair >> 10), 0xdc00 + (pair & 0x3ff)));
            }
            _ => out.push_str(&format!("\\u{code:04x}")),
        }
    }
    out.push('"');
}
