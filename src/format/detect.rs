//! Telling a file's format from its first bytes and its directory, never from its name.

use super::source::read;
use super::{Format, FormatError, Limits, Note, Source, safetensors, torch};

/// First bytes of kinds of files that are known but kept as plain bytes.
const KEPT_AS_BYTES: &[(&[u8], &str)] = &[
    (b"GGUF", "a GGUF file"),
    (b"\x93NUMPY", "a NumPy array"),
    // PROTO 2, then LONG1 of ten bytes: the magic number 0x1950a86a20f9469cfc6c of torch.save before 1.6.
    (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "a torch file of the form before PyTorch 1.6"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
];

/// Finds the format of a file by its content.
///
/// # Errors
///
/// If the file cannot be read, or begins as a zip and is no sound one.
pub fn detect(source: &dyn Source) -> Result<Format, FormatError> {
    detect_with_note(source, &Limits::default()).map(|(format, _)| format)
}

pub(super) fn detect_with_note(
    source: &dyn Source,
    limits: &Limits,
) -> Result<(Format, Option<Note>), FormatError> {
    let head = read(source, 0, source.bytes().min(64))?;
    if head.starts_with(b"PK\x03\x04") {
        return torch::detect(source, limits);
    }
    if safetensors::looks_like(&head) {
        return Ok((Format::Safetensors, None));
    }
    if matches!(head.iter().find(|byte| !b" \t\r\n".contains(byte)), Some(b'{' | b'[')) {
        return Ok((Format::Json, None));
    }
    let known = KEPT_AS_BYTES.iter().find(|(magic, _)| head.starts_with(magic));
    let kind = known.map_or("a file of unknown format", |(_, kind)| kind);
    Ok((Format::Bytes, Some(kept_as_bytes(kind))))
}

/// Says that a file of a known kind is kept whole.
pub(super) fn kept_as_bytes(kind: &str) -> Note {
    Note {
        code: "W_KEPT_AS_BYTES",
        message: format!("{kind} is kept as plain bytes: its tensors are not listed and it cannot migrate"),
    }
}
