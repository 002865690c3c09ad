//! Reading zip containers that may lie.
//!
//! The central directory is compared with every local header, so that all readers see the same entries.
//! Format: PKWARE's APPNOTE.TXT 6.3.

use std::collections::HashSet;

use super::outline::Parts;
use super::source::{Window, read};
use super::{Bound, FormatError, Limits, Part, Source};

/// Why a zip container cannot be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZipError {
    /// No end-of-directory record: the file is cut off, or no zip.
    #[error("the directory at the end of the file is missing")]
    NoDirectory,
    /// The directory contradicts itself or the file's length.
    #[error("the directory is damaged: {0}")]
    Directory(&'static str),
    /// The file does not begin with its first entry.
    #[error("{0} bytes lie before the first entry")]
    Prepended(u64),
    /// A name that leaves the container's directory, or is no text.
    #[error("entry {index} has the unsafe name `{name}`")]
    Name {
        /// Its place in the directory.
        index: usize,
        /// The name.
        name: String,
    },
    /// Two entries of one name: readers differ in which they see.
    #[error("entry `{name}` is there twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The local header does not agree with the directory, or lies outside the file.
    #[error("entry `{name}` is damaged: {problem}")]
    Entry {
        /// The entry.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The bytes are not those that were written.
    #[error("entry `{name}` is damaged: its CRC-32 is {found:08x}, the directory says {expected:08x}")]
    Crc {
        /// The entry.
        name: String,
        /// According to the directory.
        expected: u32,
        /// Of the bytes.
        found: u32,
    },
    /// Stored in a way that is not read.
    #[error("entry `{name}` is {how}, which is not supported")]
    Unsupported {
        /// The entry.
        name: String,
        /// How it is stored.
        how: &'static str,
    },
}

/// One entry of a container.
#[derive(Debug)]
pub(super) struct Entry {
    pub name: String,
    /// 0 stored, 8 deflated.
    pub method: u16,
    pub crc32: u32,
    /// Length as stored.
    pub stored_bytes: u64,
    /// Length of the content.
    pub bytes: u64,
    pub header_offset: u64,
    pub data_offset: u64,
}

/// A container's entries in the order in which they lie in the file.
#[derive(Debug)]
pub(super) struct Directory {
    pub entries: Vec<Entry>,
    /// First byte after the end-of-directory record.
    pub end: u64,
}

/// From this value on, lengths and offsets are in the zip64 field.
const SATURATED: u64 = 0xffff_ffff;
const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const LOCATOR64: u32 = 0x0706_4b50;
const END_BYTES: u64 = 22;
const CENTRAL_BYTES: usize = 46;
const LOCAL_BYTES: u64 = 30;

/// Reads the directory and compares it with the local headers.
pub(super) fn directory(source: &dyn Source, limits: &Limits) -> Result<Directory, FormatError> {
    let end = find_end(source)?;
    limits.check(Bound::Entries, "the number of entries", end.entries)?;
    limits.check(Bound::LiteralBytes, "the directory", end.directory_bytes)?;
    let central = read(source, end.directory_offset, end.directory_bytes)?;
    let mut entries = central_entries(&central, end.entries)?;
    drop(central);

    let mut names = HashSet::with_capacity(entries.len());
    for entry in &entries {
        if !names.insert(entry.name.as_str()) {
            return Err(ZipError::Duplicate { name: entry.name.clone() }.into());
        }
    }
    entries.sort_by_key(|entry| entry.header_offset);
    if let Some(first) = entries.first()
        && first.header_offset != 0
    {
        return Err(ZipError::Prepended(first.header_offset).into());
    }
    let mut ends: Vec<u64> = entries.iter().skip(1).map(|entry| entry.header_offset).collect();
    ends.push(end.directory_offset);
    for (entry, end) in entries.iter_mut().zip(ends) {
        read_local(source, entry, end)?;
    }
    Ok(Directory { entries, end: end.end })
}

/// The zips of a file that is nothing but zips in a row, from first to last; `None` if it is one or none.
pub(super) fn row(
    source: &dyn Source,
    limits: &Limits,
) -> Result<Option<Vec<std::ops::Range<u64>>>, FormatError> {
    let mut ranges = Vec::new();
    let mut end = source.bytes();
    while end > 0 {
        let window = Window::new(source, 0, end);
        let Some(start) = start_of_last(&window)? else { return Ok(None) };
        ranges.push(start..end);
        limits.check(Bound::Entries, "the number of zips in a row", ranges.len() as u64)?;
        end = start;
    }
    ranges.reverse();
    Ok((ranges.len() > 1).then_some(ranges))
}

/// Where the zip begins that ends where the source does, by the lengths in its end record.
fn start_of_last(source: &dyn Source) -> Result<Option<u64>, FormatError> {
    let Some(offset) = source.bytes().checked_sub(END_BYTES) else { return Ok(None) };
    let record = read(source, offset, END_BYTES)?;
    let mut record = Fields(&record);
    if record.u32() != END {
        return Ok(None);
    }
    record.skip(8);
    let (mut bytes, mut directory) = (u64::from(record.u32()), u64::from(record.u32()));
    let mut directory_end = offset;
    if let Some(locator_offset) = offset.checked_sub(20)
        && Fields(&read(source, locator_offset, 20)?).u32() == LOCATOR64
        && let Some(record_offset) = locator_offset.checked_sub(56)
    {
        let record = read(source, record_offset, 56)?;
        let mut record = Fields(&record);
        if record.u32() == END64 {
            record.skip(36);
            (bytes, directory) = (record.u64(), record.u64());
            directory_end = record_offset;
        }
    }
    let start = directory_end.checked_sub(bytes).and_then(|start| start.checked_sub(directory));
    let Some(start) = start else { return Ok(None) };
    let is_local = Fields(&read(source, start, 4)?).u32() == LOCAL;
    Ok(is_local.then_some(start))
}

/// Reads the content of a small entry and checks its CRC-32.
pub(super) fn content(source: &dyn Source, entry: &Entry, limits: &Limits) -> Result<Vec<u8>, FormatError> {
    let stored = read(source, entry.data_offset, entry.stored_bytes)?;
    let bytes = match entry.method {
        0 => stored,
        8 => inflate(entry, &stored, limits)?,
        _ => return Err(unsupported(entry, "compressed in another way than deflate")),
    };
    let found = crc32fast::hash(&bytes);
    if found != entry.crc32 {
        return Err(ZipError::Crc { name: entry.name.clone(), expected: entry.crc32, found }.into());
    }
    Ok(bytes)
}

/// Refuses an entry whose length is beyond reason, or stored in a way that is not read, before it is read.
pub(super) fn check_inflated(entry: &Entry, limits: &Limits) -> Result<(), FormatError> {
    match entry.method {
        0 => Ok(()),
        8 => {
            let most = entry.stored_bytes.saturating_mul(limits.inflate_ratio).max(limits.inflated_bytes);
            check_inflated_bytes(entry, most, Bound::InflatedBytes)
        }
        _ => Err(unsupported(entry, "compressed in another way than deflate")),
    }
}

fn check_inflated_bytes(entry: &Entry, limit: u64, bound: Bound) -> Result<(), FormatError> {
    let error = FormatError::Limit { what: "what a compressed entry becomes", limit, bound: Some(bound) };
    if entry.bytes > limit { Err(error) } else { Ok(()) }
}

/// The first bytes of what an entry holds, as many as there are up to `bytes`.
pub(super) fn beginning(
    source: &dyn Source,
    entry: &Entry,
    bytes: u64,
    limits: &Limits,
) -> Result<Vec<u8>, FormatError> {
    limits.check(Bound::ExtraBytes, "what is read of an entry", bytes)?;
    if entry.method == 0 {
        return read(source, entry.data_offset, entry.stored_bytes.min(bytes));
    }
    // Deflate makes five bytes of a block's head at most, and then a byte of a byte.
    let most = bytes.saturating_add(bytes / 1000).saturating_add(1024);
    let stored = read(source, entry.data_offset, entry.stored_bytes.min(most))?;
    let room = bytes as usize;
    match miniz_oxide::inflate::decompress_to_vec_with_limit(&stored, room) {
        Ok(bytes) => Ok(bytes),
        Err(stopped) => {
            let mut output = stopped.output;
            output.truncate(room);
            Ok(output)
        }
    }
}

/// The CRC-32 of what follows `head` in content that has this CRC-32 as a whole.
pub(super) fn crc_of_rest(whole: u32, head: &[u8], rest_bytes: u64) -> u32 {
    // Combining is linear: with a rest of CRC-32 zero, what remains is the head's share.
    whole ^ crc_of_both(head, 0, rest_bytes)
}

/// The CRC-32 of `head` and what follows it.
pub(super) fn crc_of_both(head: &[u8], rest: u32, rest_bytes: u64) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.combine(&crc32fast::Hasher::new_with_initial_len(rest, rest_bytes));
    crc.finalize()
}

/// Whether a name can be an entry's.
pub(super) fn is_safe_name(name: &str) -> bool {
    safe_name(name.as_bytes()).is_some() && u16::try_from(name.len()).is_ok()
}

/// Lays out a container of stored entries.
#[derive(Debug, Default)]
pub(super) struct ZipWriter {
    parts: Parts,
    offset: u64,
    central: Vec<u8>,
    entries: u64,
}

impl ZipWriter {
    /// Adds an entry that is made of these parts.
    pub fn add(&mut self, name: &str, crc32: u32, bytes: u64, content: impl IntoIterator<Item = Part>) {
        let is_large = bytes >= SATURATED;
        let is_far = self.offset >= SATURATED;
        let saturated = |value: u64| (value.min(SATURATED) as u32).to_le_bytes();
        let mut zip64 = Vec::new();
        if is_large {
            zip64.extend(bytes.to_le_bytes());
            zip64.extend(bytes.to_le_bytes());
        }
        let local_zip64 = field64(&zip64);
        if is_far {
            zip64.extend(self.offset.to_le_bytes());
        }
        let zip64 = field64(&zip64);
        let version: u16 = if zip64.is_empty() { 20 } else { 45 };
        // The flag says that the name is UTF-8; the date is the first there is.
        let flags: u16 = if name.is_ascii() { 0 } else { 0x800 };
        let mut common = Vec::new();
        common.extend(version.to_le_bytes());
        common.extend(flags.to_le_bytes());
        common.extend([0, 0, 0, 0, 0x21, 0]);
        common.extend(crc32.to_le_bytes());
        common.extend(saturated(bytes));
        common.extend(saturated(bytes));
        common.extend((name.len() as u16).to_le_bytes());

        let mut local = b"PK\x03\x04".to_vec();
        local.extend(&common);
        local.extend((local_zip64.len() as u16).to_le_bytes());
        local.extend(name.bytes());
        local.extend(&local_zip64);
        self.parts.literal(&local);

        self.central.extend(b"PK\x01\x02");
        self.central.extend(version.to_le_bytes());
        self.central.extend(&common);
        self.central.extend((zip64.len() as u16).to_le_bytes());
        self.central.extend([0; 10]);
        self.central.extend(saturated(self.offset));
        self.central.extend(name.bytes());
        self.central.extend(&zip64);

        for part in content {
            self.parts.push(part);
        }
        self.offset += local.len() as u64 + bytes;
        self.entries += 1;
    }

    /// The parts of the whole file.
    pub fn finish(mut self) -> Vec<Part> {
        let (offset, bytes) = (self.offset, self.central.len() as u64);
        let mut end = std::mem::take(&mut self.central);
        if offset >= SATURATED || bytes >= SATURATED || self.entries >= 0xffff {
            end.extend(END64.to_le_bytes());
            end.extend(44u64.to_le_bytes());
            end.extend([45, 0, 45, 0]);
            end.extend([0; 8]);
            for value in [self.entries, self.entries, bytes, offset] {
                end.extend(value.to_le_bytes());
            }
            end.extend(LOCATOR64.to_le_bytes());
            end.extend([0; 4]);
            end.extend((offset + bytes).to_le_bytes());
            end.extend(1u32.to_le_bytes());
        }
        end.extend(END.to_le_bytes());
        end.extend([0; 4]);
        let entries = (self.entries.min(0xffff) as u16).to_le_bytes();
        end.extend(entries);
        end.extend(entries);
        end.extend((bytes.min(SATURATED) as u32).to_le_bytes());
        end.extend((offset.min(SATURATED) as u32).to_le_bytes());
        end.extend([0; 2]);
        self.parts.literal(&end);
        self.parts.finish()
    }
}

/// The zip64 field around these values, if there are any.
fn field64(values: &[u8]) -> Vec<u8> {
    if values.is_empty() {
        return Vec::new();
    }
    let mut field = vec![1, 0];
    field.extend((values.len() as u16).to_le_bytes());
    field.extend(values);
    field
}

fn unsupported(entry: &Entry, how: &'static str) -> FormatError {
    ZipError::Unsupported { name: entry.name.clone(), how }.into()
}

fn inflate(entry: &Entry, stored: &[u8], limits: &Limits) -> Result<Vec<u8>, FormatError> {
    // Small contents of any ratio are harmless: a long run of one byte deflates a thousandfold.
    let most = (stored.len() as u64).saturating_mul(limits.inflate_ratio).max(1 << 20);
    check_inflated_bytes(entry, most, Bound::InflateRatio)?;
    let damaged = |problem| ZipError::Entry { name: entry.name.clone(), problem };
    let room = usize::try_from(entry.bytes).map_err(|_| damaged("it does not fit into memory"))?;
    let bytes = miniz_oxide::inflate::decompress_to_vec_with_limit(stored, room)
        .map_err(|_| damaged("its deflated bytes are not sound"))?;
    if bytes.len() != room {
        return Err(damaged("it inflates to another length than it says").into());
    }
    Ok(bytes)
}

struct End {
    directory_offset: u64,
    directory_bytes: u64,
    entries: u64,
    end: u64,
}

fn find_end(source: &dyn Source) -> Result<End, FormatError> {
    // A comment, or bytes that were appended, of at most 65,535 bytes may follow the record.
    let tail_bytes = source.bytes().min(END_BYTES + 65_535);
    let tail_offset = source.bytes() - tail_bytes;
    let tail = read(source, tail_offset, tail_bytes)?;
    let place = (0..=tail.len().saturating_sub(END_BYTES as usize))
        .rev()
        .find(|&i| tail[i..].starts_with(&END.to_le_bytes()) && tail.len() - i >= END_BYTES as usize)
        .ok_or(ZipError::NoDirectory)?;
    let offset = tail_offset + place as u64;
    let mut record = Fields(&tail[place + 4..place + END_BYTES as usize]);
    let (disk, start_disk) = (record.u16(), record.u16());
    let (disk_entries, mut entries) = (u64::from(record.u16()), u64::from(record.u16()));
    let (mut directory_bytes, mut directory_offset) = (u64::from(record.u32()), u64::from(record.u32()));
    let wrong = |what| FormatError::from(ZipError::Directory(what));
    if !matches!((disk, start_disk), (0, 0) | (0xffff, 0xffff)) || disk_entries != entries {
        return Err(wrong("it is split over several disks"));
    }

    let mut directory_end = offset;
    if let Some(found) = find_end64(source, offset)? {
        let same = |small: u64, saturated: u64, large: u64| small == saturated || small == large;
        if !same(entries, 0xffff, found.entries)
            || !same(directory_bytes, 0xffff_ffff, found.directory_bytes)
            || !same(directory_offset, 0xffff_ffff, found.directory_offset)
        {
            return Err(wrong("its two end records contradict each other"));
        }
        (entries, directory_bytes, directory_offset) =
            (found.entries, found.directory_bytes, found.directory_offset);
        directory_end = found.end;
    }
    if directory_offset.checked_add(directory_bytes) != Some(directory_end) {
        return Err(wrong("it does not lie where its end record says"));
    }
    if entries.checked_mul(CENTRAL_BYTES as u64).is_none_or(|least| least > directory_bytes) {
        return Err(wrong("it is too short for the number of its entries"));
    }
    Ok(End { directory_offset, directory_bytes, entries, end: offset + END_BYTES })
}

/// The zip64 end record before the end record at `offset`; its `end` is the record's own offset.
fn find_end64(source: &dyn Source, offset: u64) -> Result<Option<End>, FormatError> {
    let Some(locator_offset) = offset.checked_sub(20) else { return Ok(None) };
    let locator = read(source, locator_offset, 20)?;
    let mut locator = Fields(&locator);
    if locator.u32() != LOCATOR64 {
        return Ok(None);
    }
    let wrong = |what| FormatError::from(ZipError::Directory(what));
    let (disk, record_offset, disks) = (locator.u32(), locator.u64(), locator.u32());
    if disk != 0 || disks > 1 {
        return Err(wrong("it is split over several disks"));
    }
    if record_offset.checked_add(56) != Some(locator_offset) {
        return Err(wrong("its zip64 end record does not lie where the locator says"));
    }
    let record = read(source, record_offset, 56)?;
    let mut record = Fields(&record);
    if record.u32() != END64 || record.u64() != 44 {
        return Err(wrong("its zip64 end record is damaged"));
    }
    record.skip(12);
    let (disk_entries, entries, directory_bytes, directory_offset) =
        (record.u64(), record.u64(), record.u64(), record.u64());
    if disk_entries != entries {
        return Err(wrong("it is split over several disks"));
    }
    Ok(Some(End { directory_offset, directory_bytes, entries, end: record_offset }))
}

fn central_entries(central: &[u8], count: u64) -> Result<Vec<Entry>, ZipError> {
    let mut entries = Vec::new();
    let mut rest = central;
    for index in 0..usize::try_from(count).map_err(|_| ZipError::Directory("it has too many entries"))? {
        let short = || ZipError::Directory("it ends inside an entry");
        let (head, after) = rest.split_at_checked(CENTRAL_BYTES).ok_or_else(short)?;
        let mut head = Fields(head);
        if head.u32() != CENTRAL {
            return Err(ZipError::Directory("an entry does not begin as one"));
        }
        head.skip(4);
        let (flags, method) = (head.u16(), head.u16());
        head.skip(4);
        let crc32 = head.u32();
        let (mut stored_bytes, mut bytes) = (u64::from(head.u32()), u64::from(head.u32()));
        let (name_bytes, extra_bytes, comment_bytes) = (head.u16(), head.u16(), head.u16());
        let disk = head.u16();
        head.skip(6);
        let mut header_offset = u64::from(head.u32());
        let (name, after) = after.split_at_checked(usize::from(name_bytes)).ok_or_else(short)?;
        let (extra, after) = after.split_at_checked(usize::from(extra_bytes)).ok_or_else(short)?;
        rest = after.get(usize::from(comment_bytes)..).ok_or_else(short)?;

        let name = safe_name(name)
            .ok_or_else(|| ZipError::Name { index, name: String::from_utf8_lossy(name).into_owned() })?;
        let damaged = |problem| ZipError::Entry { name: name.clone(), problem };
        // Order of the zip64 field: content, stored form, header offset, each only where saturated.
        zip64(extra, [&mut bytes, &mut stored_bytes, &mut header_offset])
            .ok_or_else(|| damaged("its zip64 field is damaged"))?;
        if disk != 0 {
            return Err(damaged("it lies on another disk"));
        }
        if flags & 0x2041 != 0 {
            return Err(ZipError::Unsupported { name, how: "encrypted" });
        }
        if method == 0 && bytes != stored_bytes {
            return Err(damaged("it is stored as it is, yet says two lengths"));
        }
        entries.push(Entry { name, method, crc32, stored_bytes, bytes, header_offset, data_offset: 0 });
    }
    if !rest.is_empty() {
        return Err(ZipError::Directory("bytes follow its last entry"));
    }
    Ok(entries)
}

/// Reads the local header of an entry whose bytes must end before `end`.
fn read_local(source: &dyn Source, entry: &mut Entry, end: u64) -> Result<(), FormatError> {
    let name = entry.name.clone();
    let damaged = |problem| FormatError::from(ZipError::Entry { name: name.clone(), problem });
    let header_end = entry.header_offset.checked_add(LOCAL_BYTES);
    let Some(header_end) = header_end.filter(|&header_end| header_end <= end) else {
        return Err(damaged("it overlaps what follows"));
    };
    let head = read(source, entry.header_offset, LOCAL_BYTES)?;
    let mut head = Fields(&head);
    if head.u32() != LOCAL {
        return Err(damaged("no local header lies where the directory says"));
    }
    head.skip(2);
    let (flags, method) = (head.u16(), head.u16());
    head.skip(4);
    let crc32 = head.u32();
    let (mut stored_bytes, mut bytes) = (u64::from(head.u32()), u64::from(head.u32()));
    let (name_bytes, extra_bytes) = (u64::from(head.u16()), u64::from(head.u16()));
    let data_offset = header_end + name_bytes + extra_bytes;
    if data_offset.checked_add(entry.stored_bytes).is_none_or(|data_end| data_end > end) {
        return Err(damaged("it overlaps what follows"));
    }
    let rest = read(source, header_end, name_bytes + extra_bytes)?;
    let (local_name, extra) = rest.split_at(name_bytes as usize);
    if local_name != entry.name.as_bytes() {
        return Err(damaged("its local header has another name"));
    }
    if method != entry.method || flags & 1 != 0 {
        return Err(damaged("its local header says another way of storing"));
    }
    zip64(extra, [&mut bytes, &mut stored_bytes]).ok_or_else(|| damaged("its zip64 field is damaged"))?;
    // With a descriptor after the data (flag 3), crc and lengths may be left zero here.
    let agrees = |local: u64, central: u64| local == central || (flags & 8 != 0 && local == 0);
    if !agrees(bytes, entry.bytes)
        || !agrees(stored_bytes, entry.stored_bytes)
        || !agrees(u64::from(crc32), u64::from(entry.crc32))
    {
        return Err(damaged("its local header says another length or CRC-32"));
    }
    entry.data_offset = data_offset;
    Ok(())
}

/// Takes from the zip64 field those lengths and offsets that are saturated.
fn zip64<const N: usize>(extra: &[u8], fields: [&mut u64; N]) -> Option<()> {
    let mut rest = extra;
    let mut found = None;
    while let Some((head, after)) = rest.split_at_checked(4) {
        let mut head = Fields(head);
        let (id, bytes) = (head.u16(), usize::from(head.u16()));
        let (body, after) = after.split_at_checked(bytes)?;
        if id == 1 && found.replace(body).is_some() {
            return None;
        }
        rest = after;
    }
    let mut body = found.unwrap_or_default();
    for field in fields {
        if *field == 0xffff_ffff {
            // Without the field, the length is what it says.
            let Some((value, after)) = body.split_first_chunk::<8>() else {
                if found.is_some() {
                    return None;
                }
                continue;
            };
            *field = u64::from_le_bytes(*value);
            body = after;
        }
    }
    Some(())
}

fn safe_name(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let slips = name.split('/').any(|step| step == ".." || step == ".");
    let unsafe_bytes = name.contains(['\\', '\0']) || name.starts_with('/') || name.is_empty();
    (!slips && !unsafe_bytes).then(|| name.to_owned())
}

/// Little-endian fields of a record whose length was checked.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk::<N>().expect("the record's length was checked");
        self.0 = rest;
        *head
    }

    fn skip(&mut self, bytes: usize) {
        self.0 = &self.0[bytes..];
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::chain;
    use super::*;

    /// A zip of these entries, each stored by its method, after some bytes that its offsets count.
    pub(in crate::format) fn zip(before: &[u8], entries: &[(&str, u16, &[u8])]) -> Vec<u8> {
        let mut file = before.to_vec();
        let mut central = Vec::new();
        for (name, method, bytes) in entries {
            let stored = match method {
                8 => miniz_oxide::deflate::compress_to_vec(bytes, 6),
                _ => bytes.to_vec(),
            };
            let mut common = [0; 22];
            common[4..6].copy_from_slice(&method.to_le_bytes());
            common[10..14].copy_from_slice(&crc32fast::hash(bytes).to_le_bytes());
            common[14..18].copy_from_slice(&(stored.len() as u32).to_le_bytes());
            common[18..22].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
            central.extend(b"PK\x01\x02\0\0");
            central.extend(common);
            central.extend((name.len() as u32).to_le_bytes());
            central.extend([0; 10]);
            central.extend((file.len() as u32).to_le_bytes());
            central.extend(name.bytes());
            file.extend(b"PK\x03\x04");
            file.extend(common);
            file.extend((name.len() as u32).to_le_bytes());
            file.extend(name.bytes());
            file.extend(stored);
        }
        let offset = file.len() as u32;
        file.extend(&central);
        file.extend(b"PK\x05\x06\0\0\0\0");
        file.extend((entries.len() as u16).to_le_bytes());
        file.extend((entries.len() as u16).to_le_bytes());
        file.extend((central.len() as u32).to_le_bytes());
        file.extend(offset.to_le_bytes());
        file.extend([0; 2]);
        file
    }

    #[test]
    fn entries_are_found_with_their_content() {
        let file = zip(b"", &[("a/x", 0, b"plain"), ("a/y", 8, b"packed packed packed"), ("a/z", 0, b"")]);
        let limits = Limits::default();
        let found = directory(&file, &limits).unwrap();
        assert_eq!(found.end, file.len() as u64);
        let contents: Vec<_> =
            found.entries.iter().map(|entry| content(&file, entry, &limits).unwrap()).collect();
        assert_eq!(contents, [&b"plain"[..], b"packed packed packed", b""]);
    }

    #[test]
    fn bytes_before_the_first_entry_are_refused() {
        let error = directory(&zip(b"#!/bin/sh\n", &[("a/x", 0, b"")]), &Limits::default()).unwrap_err();
        assert!(chain(&error).ends_with("10 bytes lie before the first entry"));
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        for name in ["../x", "a/../x", "a/./x", "/x", "a\\x", "a\0x", ""] {
            assert_eq!(safe_name(name.as_bytes()), None, "{name}");
        }
        assert_eq!(safe_name(b"\xff"), None);
        assert_eq!(safe_name("é/..x".as_bytes()).as_deref(), Some("é/..x"));
    }

    #[test]
    fn what_inflates_beyond_reason_is_refused_before_it_is_inflated() {
        let file = zip(b"", &[("a/x", 8, &vec![0; 4 << 20])]);
        let found = directory(&file, &Limits::default()).unwrap();
        let error = content(&file, &found.entries[0], &Limits::default()).unwrap_err();
        assert!(matches!(error, FormatError::Limit { .. }), "{error:?}");
    }
}
