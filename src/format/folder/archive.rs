//! A folder as one file: a tar archive, the same bytes for the same folder.
//!
//! The layout is that of POSIX.1-2001 (pax), <https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html>:
//! `ustar` heads, and extended ones before them where a path or a length does not fit. Owners and times are 0.

use std::io;
use std::ops::Range;

use super::{Entry, EntryKind};

const BLOCK_BYTES: u64 = 512;

/// Two blocks of zeros end an archive.
const END_BYTES: u64 = 2 * BLOCK_BYTES;

/// Longest path and target in a plain head.
const MOST_NAME_BYTES: usize = 100;

/// Lengths from here on do not fit into eleven octal digits.
const LARGE_BYTES: u64 = 1 << 33;

/// A folder that is to be one file.
#[derive(Debug, Clone)]
pub struct Archive {
    top: String,
    entries: Vec<Entry>,
    bytes: u64,
}

impl Archive {
    /// The archive of a folder's entries, all below a folder of the name `top`.
    pub fn new(top: &str, entries: Vec<Entry>) -> Archive {
        let mut archive = Archive { top: top.to_owned(), entries, bytes: 0 };
        let lengths = archive.entries.iter().map(|entry| archive.entry_bytes(entry));
        archive.bytes = lengths.fold(END_BYTES, u64::saturating_add);
        archive
    }

    /// Length in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn entry_bytes(&self, entry: &Entry) -> u64 {
        let bytes = content_bytes(entry);
        (self.head(entry).len() as u64).saturating_add(bytes).saturating_add(padding(bytes))
    }

    /// Begins to write a part of the archive to `sink`. Also returns which part of the files' bytes, one behind the
    /// other, has to be passed to `write` of what is returned.
    pub fn writer<'a>(
        &'a self,
        wanted: Range<u64>,
        sink: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> (ArchiveWriter<'a>, Range<u64>) {
        let (mut at, mut content, mut place) = (0, 0, 0);
        while let Some(entry) = self.entries.get(place)
            && let end = self.entry_bytes(entry).saturating_add(at)
            && end <= wanted.start
        {
            (at, content, place) = (end, content + content_bytes(entry), place + 1);
        }
        let mut writer = ArchiveWriter { archive: self, place, at, wanted, rest: 0, padding: 0, sink };
        let mut needed = content..content;
        let mut begin = at;
        for entry in &self.entries[place..] {
            let (head, bytes) = (self.head(entry).len() as u64, content_bytes(entry));
            let taken = writer.wanted.end.saturating_sub(begin.saturating_add(head)).min(bytes);
            needed.end = needed.end.saturating_add(taken);
            begin = begin.saturating_add(self.entry_bytes(entry));
            if begin >= writer.wanted.end {
                break;
            }
        }
        // Of the first file nothing has to be read that lies before what is wanted.
        if let Some(entry) = self.entries.get(place) {
            let head = self.head(entry).len() as u64;
            let passed =
                writer.wanted.start.saturating_sub(at.saturating_add(head)).min(content_bytes(entry));
            needed.start += passed;
            writer.skip(passed);
        }
        needed.end = needed.end.max(needed.start);
        (writer, needed)
    }

    /// What stands before the bytes of an entry.
    fn head(&self, entry: &Entry) -> Vec<u8> {
        let mut path = format!("{}/{}", self.top, entry.path);
        let (kind, mode, target) = match &entry.kind {
            EntryKind::File { mode, .. } => (b'0', *mode, ""),
            EntryKind::Directory { mode } => {
                path.push('/');
                (b'5', *mode, "")
            }
            EntryKind::Link { target } => (b'2', 0o777, target.as_str()),
        };
        let bytes = content_bytes(entry);
        let mut records = Vec::new();
        for (key, value) in [("path", path.as_str()), ("linkpath", target)] {
            if value.len() > MOST_NAME_BYTES || !value.is_ascii() {
                records.extend(record(key, value));
            }
        }
        if bytes >= LARGE_BYTES {
            records.extend(record("size", &bytes.to_string()));
        }
        let mut head = Vec::new();
        if !records.is_empty() {
            head.extend(block("pax", b'x', 0o644, records.len() as u64, ""));
            let padding = padding(records.len() as u64) as usize;
            head.append(&mut records);
            head.resize(head.len() + padding, 0);
        }
        head.extend(block(&path, kind, mode, bytes, target));
        head
    }
}

fn content_bytes(entry: &Entry) -> u64 {
    match entry.kind {
        EntryKind::File { bytes, .. } => bytes,
        _ => 0,
    }
}

/// Zeros that fill up the last block of so many bytes.
fn padding(bytes: u64) -> u64 {
    bytes.wrapping_neg() % BLOCK_BYTES
}

/// A record of an extended head: its own length, a key, and a value.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    // The digits of the length count too, and may make it one longer.
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n").into_bytes()
}

/// A plain head. What does not fit is cut off, an extended head before it having it in full.
fn block(path: &str, kind: u8, mode: u32, bytes: u64, target: &str) -> [u8; BLOCK_BYTES as usize] {
    let mut block = [0; BLOCK_BYTES as usize];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    let cut = |text: &str| text.as_bytes()[..text.len().min(MOST_NAME_BYTES)].to_vec();
    put(0, &cut(path));
    put(100, format!("{:07o}", mode & 0o777).as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{:011o}", bytes % LARGE_BYTES).as_bytes());
    put(136, b"00000000000");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, &cut(target));
    put(257, b"ustar\x0000");
    put(329, b"0000000");
    put(337, b"0000000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// An archive that is being written, from the bytes of its files in their order.
pub struct ArchiveWriter<'a> {
    archive: &'a Archive,
    /// The next entry.
    place: usize,
    /// Where in the archive it stands.
    at: u64,
    wanted: Range<u64>,
    /// Bytes that the file under way still takes.
    rest: u64,
    /// Zeros behind it.
    padding: u64,
    sink: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
}

impl ArchiveWriter<'_> {
    /// Writes the next bytes, whichever files they belong to.
    ///
    /// # Errors
    ///
    /// If `sink` fails, or there are more bytes than files take.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.advance()?;
            let length = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len());
            if length == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.pass(&bytes[..length])?;
            self.rest -= length as u64;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    /// Writes what stands behind the last bytes of the files.
    ///
    /// # Errors
    ///
    /// If `sink` fails, or bytes are missing.
    pub fn finish(mut self) -> io::Result<()> {
        self.advance()?;
        if self.rest > 0 && self.at < self.wanted.end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Begins in the middle of the next entry's file, so many of its bytes being passed over.
    fn skip(&mut self, bytes: u64) {
        if bytes > 0 {
            let entry = &self.archive.entries[self.place];
            let head = self.archive.head(entry).len() as u64;
            (self.rest, self.padding) = (content_bytes(entry) - bytes, padding(content_bytes(entry)));
            (self.at, self.place) = (self.at + head + bytes, self.place + 1);
        }
    }

    /// Begins entries until a file waits for bytes, or all that is wanted is written.
    fn advance(&mut self) -> io::Result<()> {
        while self.rest == 0 && self.at < self.wanted.end {
            let padding = std::mem::take(&mut self.padding) as usize;
            self.pass(&[0; BLOCK_BYTES as usize][..padding])?;
            let Some(entry) = self.archive.entries.get(self.place) else {
                return self.pass(&[0; END_BYTES as usize]);
            };
            self.pass(&self.archive.head(entry))?;
            self.place += 1;
            (self.rest, self.padding) = (content_bytes(entry), self::padding(content_bytes(entry)));
        }
        Ok(())
    }

    /// Passes on what of these bytes is wanted.
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.at.saturating_add(bytes.len() as u64);
        let first = self.wanted.start.clamp(self.at, end) - self.at;
        let last = self.wanted.end.clamp(self.at, end) - self.at;
        self.at = end;
        if first < last { (self.sink)(&bytes[first as usize..last as usize]) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, bytes: u64) -> Entry {
        Entry { path: path.to_owned(), kind: EntryKind::File { bytes, mode: 0o640 } }
    }

    /// A part of an archive whose files hold `content`, one behind the other.
    fn part(archive: &Archive, content: &[u8], wanted: Range<u64>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut sink = |bytes: &[u8]| {
            out.extend_from_slice(bytes);
            Ok(())
        };
        let (mut writer, needed) = archive.writer(wanted, &mut sink);
        for piece in content[needed.start as usize..needed.end as usize].chunks(100) {
            writer.write(piece).unwrap();
        }
        writer.finish().unwrap();
        out
    }

    fn archive() -> (Archive, Vec<u8>) {
        let long = "d/".repeat(60) + "x";
        let entries = vec![
            file("a", 700),
            Entry { path: "d".to_owned(), kind: EntryKind::Directory { mode: 0o755 } },
            file("d/empty", 0),
            file(&long, 512),
            Entry { path: "l\u{e4}".to_owned(), kind: EntryKind::Link { target: "a".to_owned() } },
            file("z", 3),
        ];
        let content = (0..700 + 512 + 3).map(|place| (place % 251) as u8 + 1).collect();
        (Archive::new("top", entries), content)
    }

    #[test]
    fn parts_of_an_archive_fit_together() {
        let (archive, content) = archive();
        let whole = part(&archive, &content, 0..archive.bytes());
        assert_eq!(whole.len() as u64, archive.bytes());
        assert_eq!(whole.len() % 512, 0);
        for length in [1, 100, 511, 512, 513, 2000] {
            for start in (0..archive.bytes()).step_by(61) {
                let end = (start + length).min(archive.bytes());
                let found = part(&archive, &content, start..end);
                assert!(found == whole[start as usize..end as usize], "{start}..{end}");
            }
        }
    }

    #[test]
    fn only_what_a_part_needs_is_asked_for() {
        let (archive, _) = archive();
        let needed = |wanted| archive.writer(wanted, &mut |_| Ok(())).1;
        assert_eq!(needed(0..512), 0..0);
        assert_eq!(needed(512 + 10..512 + 20), 10..20);
        assert_eq!(needed(512 + 710..512 + 720), 700..700);
        assert_eq!(needed(0..archive.bytes()), 0..1215);
    }

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(record("path", "x"), b"9 path=x\n");
        for (length, expected) in [(2, 11), (90, 99), (91, 101), (989, 999), (990, 1001)] {
            let record = record("path", &"x".repeat(length));
            assert_eq!(record.len(), expected);
            assert!(record.starts_with(format!("{expected} ").as_bytes()));
        }
    }
}
