//! Text that makes a loader run something: YAML tags, templates, names of remote code.

use super::super::source::read;
use super::super::{FormatError, Source};
use super::Hunt;

/// Bytes of a file that are searched.
const MOST_BYTES: u64 = 8 << 20;

/// Whether a file is text as a whole, as far as its first bytes tell.
pub(super) fn is_text(source: &dyn Source) -> Result<bool, FormatError> {
    let bytes = read(source, 0, source.bytes().min(64 << 10))?;
    let sound = match std::str::from_utf8(&bytes) {
        Ok(_) => true,
        // The last character may be cut.
        Err(error) => error.error_len().is_none() && error.valid_up_to() + 4 > bytes.len(),
    };
    Ok(sound && !bytes.contains(&0))
}

/// Looks for words by which documents make loaders run something.
pub(super) fn look(
    hunt: &mut Hunt<'_>,
    source: &dyn Source,
    head: &[u8],
    entry: &str,
) -> Result<(), FormatError> {
    let is_gguf = head.starts_with(b"GGUF") || head.starts_with(b"FUGG");
    if !is_gguf && !is_text(source)? {
        return Ok(());
    }
    let bytes = read(source, 0, source.bytes().min(MOST_BYTES))?;
    let has = |word: &str| contains(&bytes, word.as_bytes());
    if has("{%") || has("{{") || has("chat_template") {
        let words = ["__globals__", "__subclasses__", "__builtins__", "__import__", "__mro__", "__init__"];
        if let Some(word) = words.iter().find(|word| has(word)) {
            hunt.problem(entry, "S_TEMPLATE", &format!("a template says `{word}`"));
        }
    }
    if !is_gguf && (has("!!python/") || has("tag:yaml.org,2002:python/")) {
        hunt.problem(entry, "S_YAML", "it has tags of Python objects (`!!python/`)");
    }
    if !is_gguf && has("\"auto_map\"") {
        hunt.problem(entry, "S_REMOTE_CODE", "`auto_map` names code that `trust_remote_code` runs");
    }
    Ok(())
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(place) = rest.iter().position(|byte| *byte == word[0]) {
        if rest[place..].starts_with(word) {
            return true;
        }
        rest = &rest[place + 1..];
    }
    false
}
