//! The `_id` of a document as one part of a ref's name, and back.
//!
//! A text stands for itself and an `ObjectId` for its 24 digits. What a ref's name must not hold, and what would be
//! read as something else, is written as `%` and two hexadecimal digits for each byte of its UTF-8. An `_id` of
//! another type is `=` and its Extended JSON.

use super::Value;
use super::compare::number;
use super::decimal::Number;
use super::extended::{hex, object_id};

/// The part of a ref's name that stands for an `_id`. Those that count as one have one part.
pub fn part_of(id: &Value) -> String {
    match id {
        Value::ObjectId(bytes) => hex(bytes),
        Value::Text(text) if text.is_empty() => "%".to_owned(),
        Value::Text(text) => {
            let escaped = escape(text);
            if object_id(text).is_some() { escape_first(&escaped) } else { escaped }
        }
        other => format!("={}", escape_all(&json(other).to_string())),
    }
}

/// As [`part_of`], of at most 100 bytes: its begin and a hash of the `_id`, which no full part looks like.
pub fn short_part_of(id: &Value) -> String {
    let full = part_of(id);
    let mut end = full.len().min(60);
    while !full.is_char_boundary(end) {
        end -= 1;
    }
    // Nothing that stands for one sign is cut.
    let begin = full[..end].rfind('%').filter(|at| at + 3 > end).map_or(&full[..end], |at| &full[..at]);
    let hash = blake3::hash(full.as_bytes()).to_hex();
    format!("{begin}%-{}", &hash[..32])
}

/// The `_id` that a part of a ref's name stands for, if [`part_of`] gives such a part. A number comes back as the
/// smallest type that holds it.
pub fn id_of(part: &str) -> Option<Value> {
    let id = if part == "%" {
        Value::Text(String::new())
    } else if let Some(rest) = part.strip_prefix('=') {
        let json: serde_json::Value = serde_json::from_str(&unescape(rest)?).ok()?;
        from_json(&json)?
    } else if let Some(bytes) = object_id(part) {
        Value::ObjectId(bytes)
    } else {
        Value::Text(unescape(part)?)
    };
    (part_of(&id) == part).then_some(id)
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        let first = at == 0 && matches!(letter, '.' | '-' | '=');
        let last = at + letter.len_utf8() == text.len();
        let lock = last && text.ends_with(".lock");
        let fits = match letter {
            '.' => before != '.' && !last,
            '{' => before != '@',
            '~' | '^' | ':' | '?' | '*' | '[' | '\\' | '/' | '%' => false,
            _ => !letter.is_control() && !letter.is_whitespace(),
        };
        if fits && !first && !lock {
            out.push(letter);
        } else {
            let mut bytes = [0; 4];
            letter.encode_utf8(&mut bytes).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}")));
        }
        before = letter;
    }
    out
}

fn escape_first(text: &str) -> String {
    let first = text.as_bytes().first().copied().unwrap_or_default();
    format!("%{first:02X}{}", &text[1..])
}

fn escape_all(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"+-_$,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let [high, low, after @ ..] = after else { return None };
            let digits = [*high, *low];
            out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    String::from_utf8(out).ok()
}

/// Extended JSON in which values that count as one are written in one way.
fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Int32(_) | Value::Int64(_) | Value::Double(_) | Value::Decimal(_) => number_json(value),
        Value::Object(document) => serde_json::Value::Object(
            document.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
        ),
        Value::Array(items) => items.iter().map(json).collect(),
        other => {
            let mut graph = crate::value::Graph::new();
            let document = super::Document::from([("v".to_owned(), other.clone())]);
            let node = super::write(&mut graph, &document, super::Spelling::Canonical);
            graph.get(node, "v").map_or(serde_json::Value::Null, |node| plain(&graph, node))
        }
    }
}

/// A number as an integer if it is one, else as a float if it is one, else as a decimal.
fn number_json(value: &Value) -> serde_json::Value {
    use serde_json::json;
    match number(value) {
        Number::Nan => json!({ "$numberDouble": "NaN" }),
        Number::Infinite { negative: true } => json!({ "$numberDouble": "-Infinity" }),
        Number::Infinite { negative: false } => json!({ "$numberDouble": "Infinity" }),
        Number::Finite { .. } => {
            let (coefficient, exponent) = super::collection::normal(value);
            let power = u32::try_from(exponent).ok().filter(|power| *power < 19);
            let integer = power
                .and_then(|power| i64::try_from(&coefficient * num_bigint::BigInt::from(10).pow(power)).ok());
            let text = format!("{coefficient}E{exponent}");
            match (integer, text.parse::<f64>()) {
                (Some(integer), _) => json!(integer),
                (None, Ok(float)) if super::same(&Value::Double(float), value) => json!(float),
                _ => json!({ "$numberDecimal": text }),
            }
        }
    }
}

/// A graph of plain values as JSON.
fn plain(graph: &crate::value::Graph, node: crate::value::NodeId) -> serde_json::Value {
    use crate::value::Kind;
    match graph.kind(node) {
        Kind::Bool(value) => (*value).into(),
        Kind::Int(value) => (*value).into(),
        Kind::Str(text) => text.clone().into(),
        Kind::Dict => {
            let items = graph.items(node).into_iter();
            let pair = |(key, value)| (graph.as_str(key).unwrap_or_default().to_owned(), plain(graph, value));
            serde_json::Value::Object(items.map(pair).collect())
        }
        _ => serde_json::Value::Null,
    }
}

fn from_json(json: &serde_json::Value) -> Option<Value> {
    let mut graph = crate::value::Graph::new();
    let node = graph_of(&mut graph, json)?;
    super::extended::read_value(&graph, node).ok()
}

fn graph_of(graph: &mut crate::value::Graph, json: &serde_json::Value) -> Option<crate::value::NodeId> {
    use crate::value::{Kind, Tail};
    Some(match json {
        serde_json::Value::Null => graph.add(Kind::None),
        serde_json::Value::Bool(value) => graph.add(Kind::Bool(*value)),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => graph.add(Kind::Int(integer)),
            None => graph.add(Kind::Float(number.as_f64()?.into())),
        },
        serde_json::Value::String(text) => graph.add_str(text.clone()),
        serde_json::Value::Array(items) => {
            let list = graph.add(Kind::List);
            for item in items {
                let item = graph_of(graph, item)?;
                graph.node_mut(list).tail.push(Tail::Append(item));
            }
            list
        }
        serde_json::Value::Object(items) => {
            let dict = graph.add(Kind::Dict);
            for (key, item) in items {
                let item = graph_of(graph, item)?;
                graph.set(dict, key, item);
            }
            dict
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::value;
    use super::*;
    use crate::refname::RefName;

    fn there_and_back(id: &Value) -> String {
        let part = part_of(id);
        let name = format!("models/{part}");
        assert!(name.parse::<RefName>().is_ok(), "{name}");
        assert_eq!(part.split('/').count(), 1, "{part}");
        let back = id_of(&part).unwrap_or_else(|| panic!("{part} does not come back"));
        assert!(super::super::same(&back, id), "{id:?} became {back:?}");
        part
    }

    #[test]
    fn every_id_is_a_part_of_a_name_and_comes_back() {
        let mut parts = std::collections::HashSet::new();
        for text in [
            "last",
            "épo-3",
            "a/b",
            "..",
            ".",
            "-",
            "=5",
            "",
            "%",
            "%41",
            "a..b",
            "a.lock",
            "a.",
            "HEAD",
            "@{",
            "a b",
            "\n",
            "507f1f77bcf86cd799439011",
            "507F1F77BCF86CD799439011",
            "../../etc/passwd",
            "x~1",
            "C:\\x",
            "\u{0}",
            "5",
        ] {
            assert!(parts.insert(there_and_back(&Value::Text(text.to_owned()))), "{text}");
        }
        for text in [
            r#"{"$oid": "507f1f77bcf86cd799439011"}"#,
            "5",
            "-5",
            "0.1",
            "1e300",
            r#"{"$numberDecimal": "0.1"}"#,
            r#"{"$numberDecimal": "0.1234567890123456789"}"#,
            r#"{"$numberDecimal": "9223372036854775807"}"#,
            "9223372036854775806",
            r#"{"$numberDouble": "NaN"}"#,
            "true",
            "null",
            r#"{"a": 1, "b": {"$date": "2020-01-01T00:00:00Z"}}"#,
            r#"{"$binary": {"base64": "AQID", "subType": "04"}}"#,
            r#"{"$timestamp": {"t": 1, "i": 2}}"#,
            r#"{"$minKey": 1}"#,
        ] {
            assert!(parts.insert(there_and_back(&value(text))), "{text}");
        }
    }

    #[test]
    fn a_short_part_is_a_part_of_a_name_that_no_other_id_has() {
        let long = |last: &str| Value::Text(format!("{}/é{last}", "a".repeat(500)));
        let odd = Value::Text("é/".repeat(200));
        let parts = [short_part_of(&long("x")), short_part_of(&long("y")), short_part_of(&odd)];
        for part in &parts {
            assert!(part.len() <= 100, "{part}");
            assert!(format!("c/{part}").parse::<crate::refname::RefName>().is_ok(), "{part}");
            assert_eq!(id_of(part), None);
        }
        assert!(parts[0] != parts[1]);
    }

    #[test]
    fn ids_that_count_as_one_have_one_name() {
        for text in ["5", "5.0", r#"{"$numberLong": "5"}"#, r#"{"$numberDecimal": "5.00"}"#] {
            assert_eq!(part_of(&value(text)), "=5", "{text}");
        }
    }

    #[test]
    fn a_part_that_no_id_has_is_none() {
        for part in ["%4", "%zz", "=", "={", "a%41", "%FF"] {
            assert_eq!(id_of(part), None, "{part}");
        }
    }
}
