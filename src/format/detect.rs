//! Telling a file's format from its first bytes and its directory, never from its name.

use super::source::read;
use super::{Format, FormatError, Limits, Note, Source, gguf, npy, pickle, safetensors, torch};

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
    let head = read(source, 0, source.bytes().min(512))?;
    if head.starts_with(b"PK\x03\x04") {
        return torch::detect(source, limits);
    }
    // The end of a directory that lists nothing: what `numpy.savez` writes of no arrays.
    if head.starts_with(b"PK\x05\x06") {
        return Ok((Format::Bytes, Some(kept_as_bytes("a zip file without entries"))));
    }
    if safetensors::looks_like(&head) {
        return Ok((Format::Safetensors, None));
    }
    if matches!(head.iter().find(|byte| !b" \t\r\n".contains(byte)), Some(b'{' | b'[')) {
        return Ok((Format::Json, None));
    }
    if gguf::looks_like(&head) {
        return Ok((Format::Gguf, None));
    }
    if head.starts_with(npy::MAGIC) {
        return Ok((Format::Npy, None));
    }
    if torch::is_tar(source, &head) {
        return Ok((Format::TorchTar, None));
    }
    if torch::is_legacy(&head[..head.len().min(64)]) {
        return Ok((Format::TorchLegacy, None));
    }
    if pickle::file::looks_like(source, &head, limits) {
        return Ok((Format::Pickle, None));
    }
    Ok((Format::Bytes, Some(kept_as_bytes("a file of unknown format"))))
}

/// Says that a file of a known kind is kept whole.
pub(super) fn kept_as_bytes(kind: &str) -> Note {
    Note {
        code: "W_KEPT_AS_BYTES",
        message: format!("{kind} is kept as plain bytes: its tensors are not listed and it cannot migrate"),
    }
}
