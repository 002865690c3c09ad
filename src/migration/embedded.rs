//! The metadata file that anemoi keeps inside an inference checkpoint.
//!
//! `anemoi-utils` writes JSON into the archive, as `anemoi-metadata/anemoi.json` (`ai-models.json` in older
//! files). Where it has a history of migrations (`migrations`, `history`), what was done is entered there; all
//! other bytes stay as they are.

use super::list::Done;

/// Deepest nesting of JSON that is looked through.
const MAX_DEPTH: usize = 512;

/// Whether an entry of an archive is the metadata file.
pub fn is_metadata(name: &str) -> bool {
    matches!(name.rsplit('/').next(), Some("anemoi.json" | "ai-models.json"))
}

/// The file with one more entry in its history; nothing where it has none, or is no JSON object.
pub fn with_entry(json: &[u8], done: Done, name: &str, signature: &str) -> Option<Vec<u8>> {
    let root = skip_space(json, 0);
    let migrations = value_of(json, root, "migrations")?;
    let history = value_of(json, migrations, "history")?;
    if json.get(history) != Some(&b'[') {
        return None;
    }
    let end = skip_value(json, history)?.checked_sub(1)?;
    let is_empty = skip_space(json, history + 1) == end;
    let kind = match done {
        Done::Migrate => "migrate",
        Done::Rollback => "rollback",
    };
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let entry =
        format!("{{\"type\": {}, \"name\": {}, \"signature\": {}}}", text(kind), text(name), text(signature));
    let mut out = Vec::with_capacity(json.len() + entry.len() + 2);
    // Directly behind the last entry, before whatever space there is.
    let last = json[..end].iter().rposition(|byte| !byte.is_ascii_whitespace())? + 1;
    out.extend_from_slice(&json[..last]);
    if !is_empty {
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(entry.as_bytes());
    out.extend_from_slice(&json[last..]);
    Some(out)
}

/// Where the value under a key of the object at `at` begins.
fn value_of(json: &[u8], at: usize, key: &str) -> Option<usize> {
    if json.get(at) != Some(&b'{') {
        return None;
    }
    let mut at = skip_space(json, at + 1);
    while json.get(at) == Some(&b'"') {
        let end = skip_string(json, at)?;
        let name = json.get(at + 1..end - 1)?;
        at = skip_space(json, end);
        if json.get(at) != Some(&b':') {
            return None;
        }
        at = skip_space(json, at + 1);
        if name == key.as_bytes() {
            return Some(at);
        }
        at = skip_space(json, skip_value(json, at)?);
        if json.get(at) != Some(&b',') {
            return None;
        }
        at = skip_space(json, at + 1);
    }
    None
}

fn skip_space(json: &[u8], at: usize) -> usize {
    let rest = json.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// The place behind the string that begins at `at`.
fn skip_string(json: &[u8], at: usize) -> Option<usize> {
    let mut place = at + 1;
    loop {
        match json.get(place)? {
            b'"' => return Some(place + 1),
            b'\\' => place += 2,
            _ => place += 1,
        }
    }
}

/// The place behind the value that begins at `at`.
fn skip_value(json: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut place = at;
    loop {
        match json.get(place)? {
            b'"' => place = skip_string(json, place)?,
            b'{' | b'[' => {
                depth += 1;
                place += 1;
                if depth > MAX_DEPTH {
                    return None;
                }
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                place += 1;
            }
            b',' | b':' if depth > 0 => {
                place += 1;
                continue;
            }
            byte if byte.is_ascii_whitespace() => {
                place += 1;
                continue;
            }
            _ => {
                let rest = json.get(place..)?;
                let end = |byte: &u8| matches!(byte, b',' | b':' | b'}' | b']') || byte.is_ascii_whitespace();
                let length = rest.iter().position(end).unwrap_or(rest.len());
                if length == 0 {
                    return None;
                }
                place += length;
            }
        }
        if depth == 0 {
            return Some(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(json: &str) -> Option<String> {
        with_entry(json.as_bytes(), Done::Migrate, "a \"b\"", "s").map(|out| String::from_utf8(out).unwrap())
    }

    #[test]
    fn an_entry_goes_behind_the_last_one_and_nothing_else_changes() {
        let entry = r#"{"type": "migrate", "name": "a \"b\"", "signature": "s"}"#;
        for (before, after) in [
            (
                r#"{"x": NaN, "migrations": {"y": [1, {"history": 2}], "history": []}, "z": 1e-05}"#,
                format!(
                    r#"{{"x": NaN, "migrations": {{"y": [1, {{"history": 2}}], "history": [{entry}]}}, "z": 1e-05}}"#
                ),
            ),
            (
                r#"{"q": "\"migrations\": {", "migrations": {"history": [{"type": "migrate"} ]}}"#,
                format!(
                    r#"{{"q": "\"migrations\": {{", "migrations": {{"history": [{{"type": "migrate"}}, {entry} ]}}}}"#
                ),
            ),
        ] {
            assert_eq!(entered(before), Some(after));
        }
    }

    #[test]
    fn a_file_without_a_history_stays_as_it_is() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"migrations": []}"#,
            r#"{"migrations": {"history": {}}}"#,
            r#"{"migrations": {"history": ["#,
            r#"{"migrations""#,
            r#"{"a\"#,
            r#"{"deep": {"migrations": {"history": []}}}"#,
        ] {
            assert_eq!(entered(json), None, "{json}");
        }
        assert_eq!(entered(&format!("{{\"a\": {}", "[".repeat(100_000))), None);
    }
}
