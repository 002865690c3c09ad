//! What is packed once more: gzip and zlib streams (RFC 1952 and 1950), and text of base64.

use super::super::source::read;
use super::super::{FormatError, Source};
use super::zips::inflate;
use super::{Hunt, Role, inner, is_container};

/// First bytes of a gzip stream: two that say so, and its only method.
const GZIP: &[u8] = b"\x1f\x8b\x08";
/// Bytes that are unpacked of one stream.
const MOST_ONE_BYTES: u64 = 64 << 20;
/// Bytes that are unpacked of all streams together.
const MOST_UNPACKED_BYTES: u64 = 256 << 20;
/// From this growth on, what becomes more than a mebibyte is no honest stream; miniz gives up at five times as much.
const BOMB_RATIO: u64 = 200;
/// Bytes in which a gzip header must end; it may hold a name and a comment.
const MOST_HEADER_BYTES: u64 = 64 << 10;
/// Text of base64 that is shorter holds no pickle that does anything.
const LEAST_TEXT_BYTES: usize = 16;

impl Hunt<'_> {
    /// Looks into what bytes unpack to, and tells whether it knew what that is.
    pub(super) fn packed(
        &mut self,
        source: &dyn Source,
        head: &[u8],
        entry: &str,
        depth: usize,
        role: Role,
    ) -> Result<bool, FormatError> {
        if let Some((name, start)) = stream(source, head)? {
            return self.stream(source, start, &inner(entry, name), depth, role);
        }
        let is_text = head.iter().take(LEAST_TEXT_BYTES).all(|byte| digit(*byte).is_some());
        if role != Role::Constant || !is_text || source.bytes() > MOST_ONE_BYTES {
            return Ok(false);
        }
        let content = base64(&read(source, 0, source.bytes())?);
        // Words are base64 by chance, and then anything; the oldest pickles are text.
        match content.filter(|content| is_container(content) || content.is_ascii()) {
            Some(content) => self.file(&content, &inner(entry, "base64"), depth + 1, role),
            None => Ok(false),
        }
    }

    fn stream(
        &mut self,
        source: &dyn Source,
        start: u64,
        entry: &str,
        depth: usize,
        role: Role,
    ) -> Result<bool, FormatError> {
        let stored = read(source, start, (source.bytes() - start).min(MOST_ONE_BYTES))?;
        let room = MOST_ONE_BYTES.min(MOST_UNPACKED_BYTES.saturating_sub(self.unpacked));
        let (content, is_more) = inflate(&stored, room as usize);
        let bytes = content.len() as u64;
        self.unpacked += bytes;
        if !self.spend(bytes) {
            return Ok(false);
        }
        // What was cut breaks off by our doing.
        let inner_role = if is_more || role == Role::Constant { Role::Constant } else { Role::Member };
        let known = self.file(&content, entry, depth + 1, inner_role)?;
        if is_more && (known || role != Role::Constant || room == 0 || is_container(&content)) {
            if bytes > (stored.len() as u64).saturating_mul(BOMB_RATIO).max(1 << 20) {
                let message = format!("{} bytes become more than {room} when unpacked", stored.len());
                self.problem(entry, "S_BOMB", &message);
            } else {
                let message = format!("only the first {room} bytes that it unpacks to were looked at");
                self.problem(entry, "S_LIMIT", &message);
            }
        }
        Ok(known)
    }
}

/// Whether bytes begin as a stream.
pub(super) fn begins(head: &[u8]) -> bool {
    head.starts_with(GZIP) || is_zlib(head)
}

/// A method, a window of up to 32 KiB, no dictionary, and a check of both bytes.
fn is_zlib(head: &[u8]) -> bool {
    matches!(*head, [method, flags, _, _, _, _, _, ..] if method & 15 == 8
        && method >> 4 <= 7
        && flags & 32 == 0
        && (u16::from(method) << 8 | u16::from(flags)).is_multiple_of(31))
}

/// What kind of stream bytes begin, and where its deflated part starts.
fn stream(source: &dyn Source, head: &[u8]) -> Result<Option<(&'static str, u64)>, FormatError> {
    if head.starts_with(GZIP) {
        let header = read(source, 0, source.bytes().min(MOST_HEADER_BYTES))?;
        return Ok(gzip_header(&header).map(|bytes| ("gzip", bytes)));
    }
    Ok(is_zlib(head).then_some(("zlib", 2)))
}

/// Length of a gzip header with its extra field, name, comment and checksum.
fn gzip_header(bytes: &[u8]) -> Option<u64> {
    let flags = *bytes.get(3)?;
    let mut at = 10;
    if flags & 4 != 0 {
        let length = bytes.get(at..at + 2)?;
        at += 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            at += bytes.get(at..)?.iter().position(|byte| *byte == 0)? + 1;
        }
    }
    at += if flags & 2 != 0 { 2 } else { 0 };
    (at < bytes.len()).then_some(at as u64)
}

/// Reads base64 of either alphabet, with or without padding and line ends.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii_end();
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text {
        if matches!(byte, b'\r' | b'\n') {
            continue;
        }
        bits = bits << 6 | digit(*byte)?;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    (out.len() >= LEAST_TEXT_BYTES / 4 * 3).then_some(out)
}

fn digit(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}
