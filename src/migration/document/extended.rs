//! Documents as MongoDB Extended JSON, version 2, in the nodes of a graph
//! (<https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md>).
//!
//! What version 1 wrote for dates, binaries and patterns is read too. A dict that only looks like one of these forms
//! is a document like any other.

use jiff::Timestamp;

use super::{Document, DocumentError, MAX_DEPTH, Value};
use crate::value::{Graph, Kind, NodeId, Tail};

/// How numbers and dates are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// Each with its type.
    Canonical,
    /// As plain JSON where reading it again gives the same type.
    Relaxed,
}

/// Reads a document.
///
/// # Errors
///
/// [`DocumentError::NotADocument`] if the node is no dict, nests deeper than [`MAX_DEPTH`], or holds what a document
/// cannot.
pub fn read(graph: &Graph, node: NodeId) -> Result<Document, DocumentError> {
    match read_value(graph, node)? {
        Value::Object(document) => Ok(document),
        other => {
            Err(not_a_document(format!("a document is an object, and this is of type {}", other.type_name())))
        }
    }
}

/// Reads a value.
pub(super) fn read_value(graph: &Graph, node: NodeId) -> Result<Value, DocumentError> {
    read_at(graph, node, MAX_DEPTH + 1)
}

fn not_a_document(what: impl Into<String>) -> DocumentError {
    DocumentError::NotADocument { what: what.into() }
}

fn read_at(graph: &Graph, node: NodeId, left: usize) -> Result<Value, DocumentError> {
    let Some(left) = left.checked_sub(1) else {
        return Err(not_a_document(format!("a document nests deeper than {MAX_DEPTH} levels")));
    };
    Ok(match graph.kind(node) {
        Kind::None => Value::Null,
        Kind::Bool(value) => Value::Bool(*value),
        Kind::Int(value) => i32::try_from(*value).map_or(Value::Int64(*value), Value::Int32),
        Kind::Float(bits) => Value::Double(bits.get()),
        Kind::Str(text) => Value::Text(text.clone()),
        Kind::List => {
            let items = graph.elements(node).map(|item| read_at(graph, item, left));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Kind::Dict => {
            if let Some(value) = typed(graph, node) {
                return Ok(value);
            }
            let mut document = Document::new();
            for step in &graph.node(node).tail {
                if let Tail::Set(key, value) = step {
                    let key = graph.as_str(*key).ok_or_else(|| not_a_document("a key is no text"))?;
                    document.insert(key.to_owned(), read_at(graph, *value, left)?);
                }
            }
            Value::Object(document)
        }
        Kind::BigInt(_) => return Err(not_a_document("an integer does not fit in 64 bits")),
        _ => return Err(not_a_document("a value has a type that no document can hold")),
    })
}

/// The value that a dict stands for, if it is one of the forms.
fn typed(graph: &Graph, node: NodeId) -> Option<Value> {
    let items = graph.items(node);
    let key = graph.as_str(items.first()?.0)?;
    if !key.starts_with('$') || items.len() > 2 {
        return None;
    }
    let first = items[0].1;
    let text = || graph.as_str(first);
    if let [_, (second_key, second)] = items.as_slice() {
        let (second_key, second) = (graph.as_str(*second_key)?, graph.as_str(*second)?);
        return match (key, second_key) {
            ("$binary", "$type") => binary(text()?, second),
            ("$regex", "$options") => Some(regex(text()?, second)),
            _ => None,
        };
    }
    match key {
        "$oid" => Some(Value::ObjectId(object_id(text()?)?)),
        "$numberInt" => text()?.parse().ok().map(Value::Int32),
        "$numberLong" => text()?.parse().ok().map(Value::Int64),
        "$numberDouble" => match text()? {
            "NaN" => Some(Value::Double(f64::NAN)),
            "Infinity" => Some(Value::Double(f64::INFINITY)),
            "-Infinity" => Some(Value::Double(f64::NEG_INFINITY)),
            text if text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) => {
                text.parse().ok().map(Value::Double)
            }
            _ => None,
        },
        "$numberDecimal" => text()?.parse().ok().map(Value::Decimal),
        "$date" => match graph.kind(first) {
            Kind::Int(millis) => Some(Value::DateTime(*millis)),
            Kind::Str(text) => date(text).map(Value::DateTime),
            Kind::Dict => match typed(graph, first)? {
                Value::Int64(millis) => Some(Value::DateTime(millis)),
                _ => None,
            },
            _ => None,
        },
        "$binary" => {
            let items = graph.items(first);
            let field = |name| graph.get(first, name).and_then(|node| graph.as_str(node));
            if items.len() == 2 { binary(field("base64")?, field("subType")?) } else { None }
        }
        "$regularExpression" => {
            let items = graph.items(first);
            let field = |name| graph.get(first, name).and_then(|node| graph.as_str(node));
            if items.len() == 2 { Some(regex(field("pattern")?, field("options")?)) } else { None }
        }
        "$timestamp" => {
            let field = |name| graph.get(first, name).and_then(|node| graph.as_int(node));
            let number = |name| u32::try_from(field(name)?).ok();
            let two = graph.items(first).len() == 2;
            two.then(|| Some(Value::Timestamp { time: number("t")?, increment: number("i")? })).flatten()
        }
        "$minKey" => (graph.as_int(first) == Some(1)).then_some(Value::MinKey),
        "$maxKey" => (graph.as_int(first) == Some(1)).then_some(Value::MaxKey),
        _ => None,
    }
}

/// The twelve bytes that 24 hexadecimal digits name.
pub(super) fn object_id(text: &str) -> Option<[u8; 12]> {
    if text.len() != 24 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 12];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    // A sign would parse, too.
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(bytes)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn regex(pattern: &str, options: &str) -> Value {
    let mut letters: Vec<char> = options.chars().collect();
    letters.sort_unstable();
    Value::Regex { pattern: pattern.to_owned(), options: letters.into_iter().collect() }
}

fn binary(text: &str, subtype: &str) -> Option<Value> {
    let subtype = (1..=2).contains(&subtype.len()).then(|| u8::from_str_radix(subtype, 16).ok()).flatten()?;
    Some(Value::Binary { subtype, bytes: from_base64(text)? })
}

fn date(text: &str) -> Option<i64> {
    let moment = text.parse::<Timestamp>().ok()?;
    let millis = moment.as_millisecond();
    // What is finer than a millisecond has no place in a document: then it is no date, but kept as it is.
    (Timestamp::from_millisecond(millis).ok()? == moment).then_some(millis)
}

/// A date as relaxed text; `None` outside of the years 1970 to 9999.
fn date_text(millis: i64) -> Option<String> {
    let moment = Timestamp::from_millisecond(millis).ok()?;
    if millis < 0 {
        return None;
    }
    let form = if millis % 1000 == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S.%3fZ" };
    Some(moment.strftime(form).to_string())
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn to_base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = BASE64[(word >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

/// Reads base64 with padding; another spelling of the same bytes is refused, since it would not come back.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    let mut out = Vec::with_capacity(body.len() / 4 * 3 + 2);
    for chunk in body.as_bytes().chunks(4) {
        let mut word = 0u32;
        for letter in chunk {
            word = word << 6 | u32::try_from(BASE64.iter().position(|known| known == letter)?).ok()?;
        }
        word <<= 6 * (4 - chunk.len());
        out.extend_from_slice(&word.to_be_bytes()[1..chunk.len().max(1)]);
    }
    (to_base64(&out) == text).then_some(out)
}

/// Writes a document, and returns its node.
pub fn write(graph: &mut Graph, document: &Document, spelling: Spelling) -> NodeId {
    let dict = graph.add(Kind::Dict);
    for (key, value) in document {
        let value = write_value(graph, value, spelling);
        let key = graph.add_str(key.clone());
        graph.node_mut(dict).tail.push(Tail::Set(key, value));
    }
    dict
}

fn write_value(graph: &mut Graph, value: &Value, spelling: Spelling) -> NodeId {
    let canonical = spelling == Spelling::Canonical;
    match value {
        Value::Null => graph.add(Kind::None),
        Value::Bool(value) => graph.add(Kind::Bool(*value)),
        Value::Int32(value) if canonical => one(graph, "$numberInt", &value.to_string()),
        Value::Int32(value) => graph.add(Kind::Int(i64::from(*value))),
        Value::Int64(value) if canonical || i32::try_from(*value).is_ok() => {
            one(graph, "$numberLong", &value.to_string())
        }
        Value::Int64(value) => graph.add(Kind::Int(*value)),
        Value::Double(value) if !value.is_finite() => {
            let word = if value.is_nan() {
                "NaN"
            } else if *value > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            one(graph, "$numberDouble", word)
        }
        Value::Double(value) if canonical => one(graph, "$numberDouble", &format!("{value:?}")),
        Value::Double(value) => graph.add(Kind::Float((*value).into())),
        Value::Decimal(value) => one(graph, "$numberDecimal", value.as_str()),
        Value::Text(text) => graph.add_str(text.clone()),
        Value::Object(document) => write(graph, document, spelling),
        Value::Array(items) => {
            let list = graph.add(Kind::List);
            for item in items {
                let item = write_value(graph, item, spelling);
                graph.node_mut(list).tail.push(Tail::Append(item));
            }
            list
        }
        Value::Binary { subtype, bytes } => {
            let inner = pairs(graph, [("base64", to_base64(bytes)), ("subType", format!("{subtype:02x}"))]);
            wrap(graph, "$binary", inner)
        }
        Value::ObjectId(bytes) => one(graph, "$oid", &hex(bytes)),
        Value::DateTime(millis) => match date_text(*millis).filter(|_| !canonical) {
            Some(text) => one(graph, "$date", &text),
            None => {
                let inner = one(graph, "$numberLong", &millis.to_string());
                wrap(graph, "$date", inner)
            }
        },
        Value::Regex { pattern, options } => {
            let inner = pairs(graph, [("pattern", pattern.clone()), ("options", options.clone())]);
            wrap(graph, "$regularExpression", inner)
        }
        Value::Timestamp { time, increment } => {
            let inner = graph.add(Kind::Dict);
            for (key, number) in [("t", time), ("i", increment)] {
                let number = graph.add(Kind::Int(i64::from(*number)));
                graph.set(inner, key, number);
            }
            wrap(graph, "$timestamp", inner)
        }
        Value::MinKey | Value::MaxKey => {
            let one = graph.add(Kind::Int(1));
            wrap(graph, if *value == Value::MinKey { "$minKey" } else { "$maxKey" }, one)
        }
    }
}

fn wrap(graph: &mut Graph, key: &str, inner: NodeId) -> NodeId {
    let dict = graph.add(Kind::Dict);
    graph.set(dict, key, inner);
    dict
}

fn one(graph: &mut Graph, key: &str, text: &str) -> NodeId {
    let text = graph.add_str(text);
    wrap(graph, key, text)
}

fn pairs(graph: &mut Graph, pairs: [(&str, String); 2]) -> NodeId {
    let dict = graph.add(Kind::Dict);
    for (key, text) in pairs {
        let text = graph.add_str(text);
        graph.set(dict, key, text);
    }
    dict
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::value;
    use super::*;

    fn there_and_back(value: &Value, spelling: Spelling) -> Value {
        let mut graph = Graph::new();
        let node = write_value(&mut graph, value, spelling);
        read_value(&graph, node).unwrap()
    }

    #[test]
    fn every_value_comes_back_as_it_was_in_both_spellings() {
        let values = [
            r#"[null, true, 1, -2147483649, 1.0, 0.1, -0.0, "text", {"a": {}}, []]"#,
            r#"[{"$numberLong": "1"}, {"$numberLong": "9223372036854775807"}, {"$numberInt": "-5"}]"#,
            r#"[{"$numberDouble": "NaN"}, {"$numberDouble": "-Infinity"}, {"$numberDouble": "-0.0"}]"#,
            r#"[{"$numberDecimal": "1.10"}, {"$oid": "507f1f77bcf86cd799439011"}]"#,
            r#"[{"$date": "2021-02-03T04:05:06.078Z"}, {"$date": {"$numberLong": "-1"}}, {"$date": 5}]"#,
            r#"[{"$date": "9999-12-31T23:59:59Z"}, {"$date": {"$numberLong": "253402300800000"}}]"#,
            r#"[{"$binary": {"base64": "AQIDBA==", "subType": "04"}}, {"$binary": "AQID", "$type": "00"}]"#,
            r#"[{"$regularExpression": {"pattern": "^a", "options": "mi"}}, {"$regex": "b", "$options": ""}]"#,
            r#"[{"$timestamp": {"t": 4294967295, "i": 0}}, {"$minKey": 1}, {"$maxKey": 1}]"#,
        ];
        for text in values {
            let before = value(text);
            for spelling in [Spelling::Canonical, Spelling::Relaxed] {
                assert!(there_and_back(&before, spelling).is_identical(&before), "{text} {spelling:?}");
            }
        }
    }

    #[test]
    fn forms_are_read_as_their_types() {
        assert_eq!(value(r#"{"$date": "1970-01-01T00:00:01Z"}"#), Value::DateTime(1000));
        assert_eq!(value(r#"{"$date": "1970-01-01T02:00:01+02:00"}"#), Value::DateTime(1000));
        assert_eq!(value(r#"{"$numberLong": "5"}"#), Value::Int64(5));
        let bytes = vec![0xff, 0xfe];
        assert_eq!(
            value(r#"{"$binary": {"base64": "//4=", "subType": "80"}}"#),
            Value::Binary { subtype: 0x80, bytes }
        );
    }

    #[test]
    fn what_only_looks_like_a_form_stays_a_document() {
        for text in [
            r#"{"$oid": "no"}"#,
            r#"{"$oid": "+07f1f77bcf86cd799439011"}"#,
            r#"{"$numberInt": "99999999999"}"#,
            r#"{"$date": "yesterday"}"#,
            r#"{"$date": "2020-01-01T00:00:00.0001Z"}"#,
            r#"{"$binary": {"base64": "AQI", "subType": "00"}}"#,
            r#"{"$ref": "other", "$id": 5}"#,
            r#"{"$schema": "x"}"#,
        ] {
            assert!(matches!(value(text), Value::Object(_)), "{text}");
        }
    }

    #[test]
    fn a_document_that_nests_too_deeply_or_is_none_is_refused() {
        let deep = |n: usize| format!("{}1{}", r#"{"a":"#.repeat(n), "}".repeat(n));
        let mut graph = Graph::new();
        let mut node = graph.add(Kind::Int(1));
        for _ in 0..=MAX_DEPTH {
            node = wrap(&mut graph, "a", node);
        }
        assert!(read(&graph, node).is_err());
        assert!(matches!(value(&deep(MAX_DEPTH)), Value::Object(_)));
        let list = graph.add(Kind::List);
        assert!(read(&graph, list).unwrap_err().to_string().contains("type array"));
    }
}
