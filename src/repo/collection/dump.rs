//! Files of many documents, taken apart: a JSON array, JSON lines, or objects one after the other.

use std::ops::Range;

/// Longest text of one document in bytes: what MongoDB takes, and as much again for the spelling.
pub(super) const MAX_DOCUMENT_BYTES: usize = 32 << 20;

/// Most documents in one file.
const MAX_DOCUMENTS: usize = 4_000_000;

/// Why a file cannot be taken apart, with the line where that is seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct DumpError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

/// Whether the first bytes of a file are those of a text of documents.
pub(super) fn looks_like(head: &[u8]) -> bool {
    let mut text =
        head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).iter().filter(|b| !b.is_ascii_whitespace());
    let first = text.next();
    // No text holds a zero byte; the lengths at the begin of binary formats do.
    matches!(first, Some(b'{' | b'[')) && !head.contains(&0)
}

/// Finds the documents in a text. Whether each is sound JSON is for whoever reads it.
///
/// # Errors
///
/// If there is anything that is not an object, or an object does not end.
pub(super) fn split(text: &[u8]) -> Result<Vec<Range<usize>>, DumpError> {
    let mut at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let fail = |at: usize, what| Err(DumpError { line: line_at(text, at), what });
    let mut found = Vec::new();
    skip_space(text, &mut at);
    let is_list = text.get(at) == Some(&b'[');
    if is_list {
        at += 1;
        skip_space(text, &mut at);
        if text.get(at) == Some(&b']') {
            at += 1;
            skip_space(text, &mut at);
            return if at == text.len() { Ok(found) } else { fail(at, "something follows the list") };
        }
    }
    loop {
        match text.get(at) {
            Some(b'{') => {}
            None if is_list => return fail(at, "the list does not end"),
            _ => return fail(at, "a document is an object, and this is none"),
        }
        let end = match end_of(text, at) {
            Some(end) => end,
            None => return fail(at, "the document does not end"),
        };
        if end - at > MAX_DOCUMENT_BYTES {
            return fail(at, "the document is longer than 32 MiB");
        }
        if found.len() >= MAX_DOCUMENTS {
            return fail(at, "there are more than 4000000 documents");
        }
        found.push(at..end);
        at = end;
        skip_space(text, &mut at);
        if is_list {
            match text.get(at) {
                Some(b',') => {
                    at += 1;
                    skip_space(text, &mut at);
                }
                Some(b']') => {
                    at += 1;
                    skip_space(text, &mut at);
                    return if at == text.len() { Ok(found) } else { fail(at, "something follows the list") };
                }
                _ => return fail(at, "`,` or `]` is expected after a document"),
            }
        } else if at == text.len() {
            return Ok(found);
        }
    }
}

/// Where the object that begins here ends.
fn end_of(text: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = start;
    while let Some(byte) = text.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b'"' => {
                at += 1;
                while *text.get(at)? != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn skip_space(text: &[u8], at: &mut usize) {
    while text.get(*at).is_some_and(|byte| b" \t\r\n".contains(byte)) {
        *at += 1;
    }
}

pub(super) fn line_at(text: &[u8], at: usize) -> usize {
    text[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Result<Vec<&str>, String> {
        let found = split(text.as_bytes()).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|range| &text[range]).collect())
    }

    #[test]
    fn lists_lines_and_objects_in_a_row_are_taken_apart() {
        assert_eq!(parts("[]"), Ok(vec![]));
        assert_eq!(parts("[ {\"a\": \"}]\\\"\"} ,\n{}\n]\n"), Ok(vec!["{\"a\": \"}]\\\"\"}", "{}"]));
        assert_eq!(parts("{\"a\":1}\n{\"b\":[{}]}\n"), Ok(vec!["{\"a\":1}", "{\"b\":[{}]}"]));
        assert_eq!(parts("\u{feff}{\n\"a\": 1\n}\n\n{}"), Ok(vec!["{\n\"a\": 1\n}", "{}"]));
    }

    #[test]
    fn what_is_no_object_or_has_no_end_is_refused_with_its_line() {
        for (text, message) in [
            ("[{},\n5]", "line 2: a document is an object, and this is none"),
            ("{}\n[]", "line 2: a document is an object, and this is none"),
            ("[{},]", "line 1: a document is an object, and this is none"),
            ("[{}\n{}]", "line 2: `,` or `]` is expected after a document"),
            ("[{}", "line 1: `,` or `]` is expected after a document"),
            ("{\"a\": \"", "line 1: the document does not end"),
            ("{}\n\n{\"a\": [", "line 3: the document does not end"),
            ("[{}] {}", "line 1: something follows the list"),
            ("", "line 1: a document is an object, and this is none"),
        ] {
            assert_eq!(parts(text), Err(message.to_owned()), "{text}");
        }
    }
}
