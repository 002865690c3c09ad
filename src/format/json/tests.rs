use super::super::tests::chain;
use super::super::{Limits, decode, encode, scan};
use super::*;
use crate::value::{Kind, Tail};

fn rewrite(document: &str) -> Result<String, FormatError> {
    let limits = Limits::default();
    let outline = scan(&document.as_bytes(), None, &limits)?.outline;
    assert_eq!(outline.format, Format::Json);
    let graph = decode(&outline, &limits)?;
    let encoded = encode(&graph, &outline, &|_| unreachable!("a document has no storages"))?;
    Ok(String::from_utf8(encoded.outline.skeleton).unwrap())
}

#[test]
fn a_document_is_written_as_it_was() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let table = [
        r#"{"a": 1, "b": [true, false, null], "c": {}}"#,
        r#"{"a":1,"b":[1,2],"c":[]}"#,
        "{\n  \"a\": 1,\n  \"b\": [\n    1,\n    {\n      \"c\": []\n    }\n  ]\n}\n",
        "[\n\t1,\n\t2\n]",
        "[1e-5, 1E+5, 0.10, -0.0, 1e400, 3.0, NaN, -Infinity]",
        "[123456789012345678901234567890, -9223372036854775808, 0]",
        r#"["\u00e9\ud83d\ude00", "\ud800", "\"\\\b\f\n\r\t\u0001"]"#,
        "[\"é😀\", \"\u{7f}\"]",
        r#"{"\ud800": 1, "\ud801": 2}"#,
        "[]\r\n",
        &deep,
    ];
    for document in table {
        assert_eq!(rewrite(document).unwrap(), document);
    }
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    let table = [
        ("{", "a key is expected at byte 1"),
        ("[1,]", "a value is expected at byte 3"),
        ("[1 2]", "`,` or `]` is expected at byte 3"),
        ("{\"a\" 1}", "`:` is expected at byte 5"),
        ("{\"a\": 1} x", "the end of the document is expected at byte 9"),
        ("[01]", "`,` or `]` is expected at byte 2"),
        ("[1.]", "a digit is expected at byte 3"),
        ("[\"\\x\"]", "an escape is expected at byte 4"),
        ("[\"\\u12\"]", "four hexadecimal digits is expected at byte 4"),
        ("[\"a", "the rest of the text is expected at byte 3"),
        ("[\"a\nb\"]", "the rest of the text is expected at byte 3"),
        ("{\"a\": 1, \"\\u0061\": 2}", "the key `a` at byte 9 is there twice"),
    ];
    for (document, reason) in table {
        let error = chain(&rewrite(document).unwrap_err());
        assert!(error.ends_with(reason), "{document}: {error}");
    }
    let long = format!("[{}]", "1".repeat(5000));
    assert!(chain(&rewrite(&long).unwrap_err()).contains("4300 digits"));
}

#[test]
fn a_long_run_of_spaces_takes_no_long_time() {
    let document = format!("[{}1]", " ".repeat(1 << 20));
    assert_eq!(rewrite(&document).unwrap(), "[1]");
}

#[test]
fn what_json_cannot_hold_is_refused_by_path() {
    let limits = Limits::default();
    let outline = scan(&&b"{\"a\": [1]}"[..], None, &limits).unwrap().outline;
    let facts = |_| unreachable!("a document has no storages");
    let sound = decode(&outline, &limits).unwrap();
    let list = sound.get(sound.root, "a").unwrap();

    let mut graph = sound.clone();
    graph.node_mut(list).tail.push(Tail::Append(list));
    let error = chain(&encode(&graph, &outline, &facts).unwrap_err());
    assert!(error.ends_with("`a` cannot be written: a value that holds itself"), "{error}");

    let mut graph = sound.clone();
    let bytes = graph.add(Kind::Bytes(vec![1]));
    graph.node_mut(list).tail.push(Tail::Append(bytes));
    let error = chain(&encode(&graph, &outline, &facts).unwrap_err());
    assert!(error.ends_with("`a/1` cannot be written: a value that JSON has no word for"), "{error}");
}
