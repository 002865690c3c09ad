//! Tar archives: the oldest form of torch, and others.

use super::super::source::{Window, read};
use super::super::{FormatError, Source};
use super::{Hunt, Role, inner};

/// Length of a header and of the padding's unit, in bytes (POSIX.1-1988 ustar).
const BLOCK_BYTES: u64 = 512;

/// Whether bytes begin as a tar.
pub(super) fn begins(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

impl Hunt<'_> {
    /// Looks into every file of a tar.
    pub(super) fn tar(&mut self, source: &dyn Source, entry: &str, depth: usize) -> Result<(), FormatError> {
        let mut offset = 0u64;
        for _ in 0..self.limits.entries {
            if offset.checked_add(BLOCK_BYTES).is_none_or(|end| end > source.bytes()) {
                return Ok(());
            }
            let head = read(source, offset, BLOCK_BYTES)?;
            if head.iter().all(|byte| *byte == 0) {
                return Ok(());
            }
            let name = text(&head[..100]);
            let place = inner(entry, &name);
            let Ok(bytes) = u64::from_str_radix(text(&head[124..136]).trim(), 8) else {
                self.problem(&place, "S_DAMAGED", "the entry of the tar says no length");
                return Ok(());
            };
            let start = offset + BLOCK_BYTES;
            let Some(end) = start.checked_add(bytes).filter(|end| *end <= source.bytes()) else {
                self.problem(&place, "S_DAMAGED", "the entry of the tar reaches beyond the file");
                return Ok(());
            };
            let is_link = matches!(head[156], b'1' | b'2');
            let slips = |name: &str| name.starts_with('/') || name.split('/').any(|step| step == "..");
            if slips(&name) || is_link && slips(&text(&head[157..257])) {
                self.problem(&place, "S_SLIP", "the entry's name or link leads out of the folder");
            }
            self.file(&Window::new(source, start, bytes), &place, depth + 1, Role::Member)?;
            offset = end.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES);
        }
        self.problem(entry, "S_LIMIT", "the tar has more entries than the limit");
        Ok(())
    }
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}
