//! The habits of a document's writer, so that it is written again in the same way.

use std::collections::{BTreeMap, HashMap};

/// How a writer lays out a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Style {
    /// What each level is indented by; `None` for a document of one line.
    pub indent: Option<String>,
    /// What stands after a value that another follows, without the line break.
    pub comma: String,
    /// What stands between a key and its value.
    pub colon: String,
    /// Whether characters beyond ASCII are escaped.
    pub ascii: bool,
    /// What follows the last bracket.
    pub end: String,
}

impl Style {
    /// The habits seen in a sound document: each is taken where it first shows.
    pub fn of(document: &[u8]) -> Style {
        let mut style =
            Style { indent: None, comma: ", ".into(), colon: ": ".into(), ascii: true, end: String::new() };
        style.ascii = document.is_ascii();
        let trimmed = document.trim_ascii_end();
        style.end = spaces(&document[trimmed.len()..]);
        let (mut has_open, mut has_comma, mut has_colon) = (false, false, false);
        let mut offset = 0;
        while offset < trimmed.len() && !(has_open && has_comma && has_colon) {
            let after = &trimmed[offset + 1..];
            // Looked for at a bracket, comma or colon alone: elsewhere it would take quadratic time.
            let space = || spaces(&after[..after.len() - after.trim_ascii_start().len()]);
            match trimmed[offset] {
                b'"' => offset += string_bytes(after),
                b'{' | b'[' if !has_open => {
                    has_open = !matches!(after.trim_ascii_start().first(), Some(b'}' | b']'));
                    if has_open {
                        style.indent = space().rsplit_once('\n').map(|(_, indent)| indent.to_owned());
                    }
                }
                b',' if !has_comma => {
                    has_comma = true;
                    style.comma = format!(",{}", space());
                }
                b':' if !has_colon => {
                    has_colon = true;
                    let before = trimmed[..offset].trim_ascii_end().len();
                    style.colon = format!("{}:{}", spaces(&trimmed[before..offset]), space());
                }
                _ => {}
            }
            offset += 1;
        }
        if style.indent.is_some() {
            style.comma.truncate(1);
        } else if !has_comma && style.colon == ":" {
            style.comma = ",".to_owned();
        }
        style
    }

    pub fn to_attributes(&self) -> BTreeMap<String, String> {
        let mut attributes = BTreeMap::from([
            ("comma".to_owned(), self.comma.clone()),
            ("colon".to_owned(), self.colon.clone()),
            ("ascii".to_owned(), self.ascii.to_string()),
            ("end".to_owned(), self.end.clone()),
        ]);
        if let Some(indent) = &self.indent {
            attributes.insert("indent".to_owned(), indent.clone());
        }
        attributes
    }

    pub fn from_attributes(attributes: &BTreeMap<String, String>) -> Style {
        let get = |name: &str, default: &str| {
            let found = attributes.get(name).map_or(default, String::as_str);
            found.to_owned()
        };
        Style {
            indent: attributes.get("indent").cloned(),
            comma: get("comma", ", "),
            colon: get("colon", ": "),
            ascii: get("ascii", "true") == "true",
            end: get("end", ""),
        }
    }
}

/// How a sound document spells its floats, by their bits.
pub(super) fn float_texts(document: &[u8]) -> HashMap<u64, &str> {
    let mut texts = HashMap::new();
    let mut offset = 0;
    while let Some(&byte) = document.get(offset) {
        let rest = &document[offset..];
        let length = match byte {
            b'"' => 1 + string_bytes(&rest[1..]),
            b'-' | b'0'..=b'9' => {
                let is_number = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let length = rest.iter().take_while(is_number).count();
                let token = std::str::from_utf8(&rest[..length]).unwrap_or_default();
                if token.contains(['.', 'e', 'E'])
                    && let Ok(value) = token.parse::<f64>()
                {
                    texts.entry(value.to_bits()).or_insert(token);
                }
                length
            }
            _ => 1,
        };
        offset += length;
    }
    texts
}

/// Bytes up to and with the quote that ends a string.
fn string_bytes(rest: &[u8]) -> usize {
    let mut length = 0;
    while let Some(&byte) = rest.get(length) {
        length += if byte == b'\\' { 2 } else { 1 };
        if byte == b'"' {
            break;
        }
    }
    length.min(rest.len())
}

fn spaces(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
