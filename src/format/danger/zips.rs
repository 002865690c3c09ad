//! Zip archives as every reader sees them: by the directory at their end, by another one, and by what lies
//! between.
//!
//! Format: PKWARE's APPNOTE.TXT 6.3. Python's `zipfile` finds the directory by its length, PyTorch's miniz by its
//! offset; readers of streams go by the local headers alone.

use std::collections::{BTreeMap, HashMap};

use super::super::source::{Window, read};
use super::super::{FormatError, Source, zip};
use super::{Checksums, Hunt, Role, inner};

const LOCAL: &[u8; 4] = b"PK\x03\x04";
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const END: &[u8; 4] = b"PK\x05\x06";
const END_BYTES: u64 = 22;
const CENTRAL_BYTES: u64 = 46;
const LOCAL_BYTES: u64 = 30;
/// A comment of at most 65,535 bytes follows the end record.
const TAIL_BYTES: u64 = END_BYTES + 65_535;
/// Bytes of a bomb that are looked at.
const MOST_BOMB_BYTES: u64 = 8 << 20;
/// Bytes that are read at a time where only their checksum or a signature matters.
const BUFFER_BYTES: u64 = 1 << 20;
/// Bytes between the entries that are searched for more of them.
const MOST_GAP_BYTES: u64 = 256 << 20;

/// Whether bytes begin as a zip.
pub(super) fn begins(head: &[u8]) -> bool {
    head.starts_with(LOCAL) || head.starts_with(END)
}

/// Whether a directory is found from the end of a file.
pub(super) fn ends(source: &dyn Source) -> Result<bool, FormatError> {
    Ok(!ends_of(source)?.is_empty())
}

/// An entry as a directory or a local header tells of it.
#[derive(Debug, Clone)]
struct Item {
    name: String,
    flags: u16,
    method: u16,
    crc32: u32,
    stored_bytes: u64,
    bytes: u64,
    header: u64,
    /// Where its bytes begin, once its local header was read.
    data: u64,
}

/// A directory that a file ends with.
struct End {
    /// First byte after it.
    end: u64,
    entries: u64,
    directory_bytes: u64,
    directory_offset: u64,
    /// Where the records after the directory begin.
    records: u64,
    /// Whether its two records say different things.
    contradicts: bool,
}

impl Hunt<'_> {
    pub(super) fn zips(&mut self, source: &dyn Source, entry: &str, depth: usize) -> Result<(), FormatError> {
        // Shards of a distributed checkpoint are whole zips behind each other.
        if let Ok(Some(row)) = zip::row(source, self.limits) {
            for range in row {
                let window = Window::new(source, range.start, range.end - range.start);
                self.one_zip(&window, &inner(entry, &format!("zip at {}", range.start)), depth)?;
            }
            return Ok(());
        }
        self.one_zip(source, entry, depth)
    }

    fn one_zip(&mut self, source: &dyn Source, entry: &str, depth: usize) -> Result<(), FormatError> {
        let mut ends: Vec<End> = Vec::new();
        let mut items: BTreeMap<u64, Item> = BTreeMap::new();
        let mut covered: Vec<(u64, u64)> = Vec::new();
        for end in ends_of(source)? {
            // The end of a zip that is an entry of this one is not this one's.
            if let Some((_, before)) = items.range(..end.records).next_back()
                && let Some(local) = local_item(source, before.header, source.bytes())?
                && local.data <= end.records
                && end.end <= local.data.saturating_add(before.stored_bytes)
            {
                continue;
            }
            if ends.len() == 1 {
                self.problem(entry, "S_DIRECTORIES", "the zip ends with more than one directory");
            }
            for (start, shift) in self.starts(source, &end, entry)? {
                let found = self.directory(source, start, shift, &end, entry)?;
                covered.push((start, end.end));
                self.add(found, &mut items, entry);
            }
            ends.push(end);
        }
        if ends.is_empty() {
            self.problem(entry, "S_DAMAGED", "the directory at the end of the zip is missing");
        }
        let last = ends.iter().map(|end| end.end).max().unwrap_or(source.bytes());
        if last < source.bytes() {
            let message = format!("{} bytes follow the end of the zip", source.bytes() - last);
            self.problem(entry, "S_AFTER", &message);
        }
        let mut items: Vec<Item> = items.into_values().collect();
        self.names(&items, entry);
        let mut reached = 0;
        let mut nexts: Vec<u64> = items.iter().skip(1).map(|item| item.header).collect();
        nexts.push(covered.iter().map(|(start, _)| *start).min().unwrap_or(source.bytes()));
        for (item, next) in items.iter_mut().zip(nexts) {
            let place = inner(entry, &item.name);
            let sound = self.local(source, item, next, &place)?;
            if !sound {
                continue;
            }
            if item.header < reached {
                self.problem(&place, "S_OVERLAP", "it begins before the entry in front of it ends");
            }
            reached = reached.max(item.data.saturating_add(item.stored_bytes));
            // A descriptor of up to 24 bytes may follow (flag bit 3).
            covered.push((item.header, item.data.saturating_add(item.stored_bytes).saturating_add(24)));
            self.look(source, item, &place, depth)?;
        }
        if items.iter().any(|item| item.name.ends_with(".py") && item.name.contains("/code/")) {
            self.problem(entry, "S_CODE", "it has TorchScript code, which `torch.jit.load` compiles");
        }
        self.gaps(source, covered, entry, depth, !ends.is_empty())
    }

    /// Puts the entries of a directory in the order in which they lie, and tells of those at one place.
    fn add(&mut self, found: Vec<Item>, items: &mut BTreeMap<u64, Item>, entry: &str) {
        for item in found {
            if let Some(other) = items.get(&item.header)
                && (other.name != item.name || other.bytes != item.bytes)
            {
                let message = format!("`{}` lies at the same place", clean(&other.name));
                self.problem(&inner(entry, &item.name), "S_OVERLAP", &message);
            }
            // Those of one place are all looked into, each by its own name.
            let mut place = item.header;
            while items.get(&place).is_some_and(|other| other.name != item.name) {
                place += 1;
            }
            items.insert(place, item);
        }
    }

    /// Where readers find the directory of an end record, and how much must be added to its offsets.
    fn starts(
        &mut self,
        source: &dyn Source,
        end: &End,
        entry: &str,
    ) -> Result<Vec<(u64, u64)>, FormatError> {
        if end.contradicts {
            self.problem(entry, "S_LIE", "the two end records of the zip contradict each other");
        }
        let mut starts = Vec::new();
        let by_length = end.records.checked_sub(end.directory_bytes);
        let is_directory = |start: u64| -> Result<bool, FormatError> {
            Ok(end.entries == 0 || (start + 4 <= source.bytes() && read(source, start, 4)? == CENTRAL))
        };
        if let Some(start) = by_length
            && is_directory(start)?
        {
            starts.push((start, start.saturating_sub(end.directory_offset)));
        }
        if by_length != Some(end.directory_offset) {
            let away = by_length.map_or(0, |start| start.abs_diff(end.directory_offset));
            let message = format!("the directory lies {away} bytes from where its end record says");
            self.problem(entry, "S_LIE", &message);
            if end.directory_offset.checked_add(4).is_some_and(|end| end <= source.bytes())
                && is_directory(end.directory_offset)?
            {
                starts.push((end.directory_offset, 0));
            }
        }
        if starts.is_empty() {
            self.problem(entry, "S_DAMAGED", "no directory lies where the end record says");
        }
        Ok(starts)
    }

    /// Reads as many entries of a directory as are sound.
    fn directory(
        &mut self,
        source: &dyn Source,
        start: u64,
        shift: u64,
        end: &End,
        entry: &str,
    ) -> Result<Vec<Item>, FormatError> {
        let bytes = end.records.saturating_sub(start).min(self.limits.literal_bytes);
        let central = read(source, start, bytes)?;
        let mut rest = central.as_slice();
        let mut items = Vec::new();
        while rest.starts_with(CENTRAL) && rest.len() >= CENTRAL_BYTES as usize {
            if items.len() as u64 >= self.limits.entries {
                self.problem(entry, "S_LIMIT", "the zip has more entries than the limit");
                break;
            }
            let head = Fields(rest);
            let (name_bytes, extra_bytes) = (usize::from(head.u16(28)), usize::from(head.u16(30)));
            let after = CENTRAL_BYTES as usize + name_bytes + extra_bytes + usize::from(head.u16(32));
            let name = rest.get(46..46 + name_bytes);
            let extra = rest.get(46 + name_bytes..46 + name_bytes + extra_bytes);
            let (Some(name), Some(extra)) = (name, extra) else { break };
            let mut item = Item {
                name: String::from_utf8_lossy(name).into_owned(),
                flags: head.u16(8),
                method: head.u16(10),
                crc32: head.u32(16),
                stored_bytes: u64::from(head.u32(20)),
                bytes: u64::from(head.u32(24)),
                header: u64::from(head.u32(42)),
                data: 0,
            };
            zip64(extra, [&mut item.bytes, &mut item.stored_bytes, &mut item.header]);
            item.header = item.header.saturating_add(shift);
            items.push(item);
            match rest.get(after..) {
                Some(next) => rest = next,
                None => break,
            }
        }
        if items.len() as u64 != end.entries {
            let message =
                format!("the directory has {} entries, its end record says {}", items.len(), end.entries);
            self.problem(entry, "S_LIE", &message);
        }
        Ok(items)
    }

    /// Tells of names that are there twice or leave the folder.
    fn names(&mut self, items: &[Item], entry: &str) {
        let mut seen: HashMap<&str, u64> = HashMap::with_capacity(items.len());
        for item in items {
            let count = seen.entry(item.name.as_str()).or_default();
            *count += 1;
            if *count == 2 {
                self.problem(&inner(entry, &item.name), "S_DUPLICATE", "another entry has the same name");
            }
            let slips = item.name.starts_with('/')
                || item.name.contains('\\')
                || item.name.as_bytes().get(1) == Some(&b':')
                || item.name.split('/').any(|step| step == "..");
            if slips {
                self.problem(&inner(entry, &item.name), "S_SLIP", "its name leads out of the folder");
            }
        }
    }

    /// Compares an entry with its local header, and finds its bytes; false if they cannot be found.
    ///
    /// What reaches beyond the end of the file is taken to end where the next begins.
    fn local(
        &mut self,
        source: &dyn Source,
        item: &mut Item,
        next: u64,
        place: &str,
    ) -> Result<bool, FormatError> {
        let Some(local) = local_item(source, item.header, source.bytes())? else {
            self.problem(place, "S_LIE", "no entry lies where the directory says");
            return Ok(false);
        };
        let by_descriptor = local.flags & 8 != 0;
        let differs = |local: u64, central: u64| local != central && !(by_descriptor && local == 0);
        if local.name != item.name {
            let message = format!("its local header calls it `{}`", clean(&local.name));
            self.problem(place, "S_LIE", &message);
        }
        if local.method != item.method {
            self.problem(place, "S_LIE", "its local header says another way of storing");
        }
        if differs(local.bytes, item.bytes)
            || differs(local.stored_bytes, item.stored_bytes)
            || differs(local.crc32.into(), item.crc32.into())
            || item.method == 0 && item.bytes != item.stored_bytes
        {
            self.problem(place, "S_LIE", "its lengths or checksums contradict each other");
        }
        if (local.flags ^ item.flags) & 1 != 0 {
            self.problem(place, "S_LIE", "only one of its headers says that it is encrypted");
        }
        item.data = local.data;
        let rest = source.bytes() - item.data;
        if item.stored_bytes > rest {
            self.problem(place, "S_LIE", "it reaches beyond the end of the file");
            item.stored_bytes = next.clamp(item.data, source.bytes()) - item.data;
        }
        Ok(true)
    }

    /// Looks into the bytes of an entry.
    fn look(
        &mut self,
        source: &dyn Source,
        item: &Item,
        place: &str,
        depth: usize,
    ) -> Result<(), FormatError> {
        let is_storage = is_storage(&item.name);
        let role = if is_storage { Role::Storage } else { Role::Member };
        match item.method {
            0 => {
                let window = Window::new(source, item.data, item.stored_bytes);
                if !is_storage || self.checksums == Checksums::Compare {
                    self.checksum(&window, item, place)?;
                }
                self.file(&window, place, depth + 1, role)?;
            }
            8 => {
                let most = item.stored_bytes.saturating_mul(self.limits.inflate_ratio);
                let is_bomb = item.bytes > most.max(1 << 20);
                let room = if is_bomb { MOST_BOMB_BYTES } else { item.bytes.min(self.limits.extra_bytes) };
                let stored = item.stored_bytes.min(self.limits.extra_bytes);
                if !self.spend(room) {
                    return Ok(());
                }
                let (content, is_more) = inflate(&read(source, item.data, stored)?, room as usize);
                if is_bomb {
                    let message = format!("{} bytes become {} when unpacked", item.stored_bytes, item.bytes);
                    self.problem(place, "S_BOMB", &message);
                } else if is_more || content.len() as u64 != item.bytes {
                    self.problem(place, "S_LIE", "what it unpacks to has another length than it says");
                } else if crc32fast::hash(&content) != item.crc32 {
                    self.crc(place, crc32fast::hash(&content), item.crc32);
                }
                self.file(&content, place, depth + 1, role)?;
            }
            _ => self.problem(place, "S_UNREADABLE", "it is compressed in a way that is not read"),
        }
        if item.flags & 1 != 0 {
            self.problem(place, "S_UNREADABLE", "it says that it is encrypted");
        }
        Ok(())
    }

    fn checksum(&mut self, content: &dyn Source, item: &Item, place: &str) -> Result<(), FormatError> {
        let mut crc = crc32fast::Hasher::new();
        let mut done = 0;
        while done < content.bytes() {
            let length = (content.bytes() - done).min(BUFFER_BYTES);
            crc.update(&read(content, done, length)?);
            done += length;
        }
        let found = crc.finalize();
        if found != item.crc32 {
            self.crc(place, found, item.crc32);
        }
        Ok(())
    }

    fn crc(&mut self, place: &str, found: u32, expected: u32) {
        let message = format!("its CRC-32 is {found:08x}, the directory says {expected:08x}");
        self.problem(place, "S_CRC", &message);
    }

    /// Looks for entries in what no directory speaks of.
    fn gaps(
        &mut self,
        source: &dyn Source,
        mut covered: Vec<(u64, u64)>,
        entry: &str,
        depth: usize,
        has_directory: bool,
    ) -> Result<(), FormatError> {
        covered.sort_unstable();
        covered.push((source.bytes(), source.bytes()));
        let (mut offset, mut searched) = (0, 0u64);
        for (start, end) in covered {
            if start > offset {
                searched = searched.saturating_add(start - offset);
                if searched > MOST_GAP_BYTES {
                    self.problem(entry, "S_LIMIT", "too much lies between the entries to be searched");
                    return Ok(());
                }
                self.gap(source, (offset, start), entry, depth, has_directory)?;
            }
            offset = offset.max(end);
        }
        Ok(())
    }

    fn gap(
        &mut self,
        source: &dyn Source,
        (start, end): (u64, u64),
        entry: &str,
        depth: usize,
        has_directory: bool,
    ) -> Result<(), FormatError> {
        if has_directory && start == 0 && end < source.bytes() {
            self.problem(entry, "S_BEFORE", &format!("{end} bytes lie before the first entry"));
        }
        let mut offset = start;
        let mut found = 0;
        while offset + LOCAL_BYTES <= end {
            let length = (end - offset).min(BUFFER_BYTES);
            let bytes = read(source, offset, length)?;
            let Some(place) = bytes.windows(4).position(|four| four == LOCAL) else {
                // A signature may lie across the end of what was read.
                offset += length.saturating_sub(3).max(1);
                continue;
            };
            let header = offset + place as u64;
            offset = header + 4;
            let Some(mut item) = local_item(source, header, end)? else { continue };
            found += 1;
            if found > self.limits.entries.min(100_000) {
                self.problem(entry, "S_LIMIT", "too many entries lie between the others");
                return Ok(());
            }
            let place = inner(entry, &item.name);
            if has_directory {
                self.problem(&place, "S_HIDDEN", &format!("no directory names the entry at byte {header}"));
            }
            item.stored_bytes = item.stored_bytes.min(end - item.data);
            if item.flags & 8 != 0 && item.stored_bytes == 0 {
                // Its length is told after it: what comes first in the rest is looked at.
                item.stored_bytes = end - item.data;
                item.bytes = item.stored_bytes;
            }
            let window = Window::new(source, item.data, item.stored_bytes);
            if item.method == 0 {
                self.file(&window, &place, depth + 1, Role::Member)?;
            } else if item.method == 8 && self.spend(MOST_BOMB_BYTES) {
                let stored = read(source, item.data, item.stored_bytes.min(MOST_BOMB_BYTES))?;
                let (content, _) = inflate(&stored, MOST_BOMB_BYTES as usize);
                self.file(&content, &place, depth + 1, Role::Member)?;
            }
            offset = item.data + item.stored_bytes;
        }
        Ok(())
    }
}

/// Whether an entry should be the bytes of a tensor.
fn is_storage(name: &str) -> bool {
    let directory = name.rsplit('/').nth(1);
    directory.is_some_and(|directory| matches!(directory, "data" | "tensors" | "constants"))
}

/// The end records that may be meant, from the last one on.
fn ends_of(source: &dyn Source) -> Result<Vec<End>, FormatError> {
    let tail_bytes = source.bytes().min(TAIL_BYTES);
    let tail_offset = source.bytes() - tail_bytes;
    let tail = read(source, tail_offset, tail_bytes)?;
    let mut ends: Vec<End> = Vec::new();
    let mut rest = tail.as_slice();
    while let Some(place) = rest.windows(4).rposition(|four| four == END) {
        rest = &rest[..place];
        let Some(record) = tail.get(place..place + END_BYTES as usize) else { continue };
        let offset = tail_offset + place as u64;
        // A record inside the comment of a later one is no end that a reader takes.
        if let Some(end) = end_at(source, record, offset)?
            && ends.iter().all(|other| end.end <= other.records || end.end > other.end)
        {
            ends.push(end);
        }
        if ends.len() >= 4 {
            break;
        }
    }
    Ok(ends)
}

fn end_at(source: &dyn Source, record: &[u8], offset: u64) -> Result<Option<End>, FormatError> {
    let record = Fields(record);
    let mut end = End {
        end: offset + END_BYTES + u64::from(record.u16(20)),
        entries: record.u16(10).into(),
        directory_bytes: record.u32(12).into(),
        directory_offset: record.u32(16).into(),
        records: offset,
        contradicts: false,
    };
    if let Some(locator_offset) = offset.checked_sub(20)
        && let locator = read(source, locator_offset, 20)?
        && locator.starts_with(b"PK\x06\x07")
    {
        // Where the locator says, or where it always lies, whatever comes before the zip.
        let said = Fields(&locator).u64(8);
        for record_offset in [Some(said), locator_offset.checked_sub(56)].into_iter().flatten() {
            if record_offset.checked_add(56).is_none_or(|end| end > locator_offset) {
                continue;
            }
            let record = read(source, record_offset, 56)?;
            if record.starts_with(b"PK\x06\x06") {
                let record = Fields(&record);
                let large = (record.u64(32), record.u64(40), record.u64(48));
                let agrees = |small: u64, saturated: u64, large: u64| small == saturated || small == large;
                end.contradicts = !agrees(end.entries, 0xffff, large.0)
                    || !agrees(end.directory_bytes, 0xffff_ffff, large.1)
                    || !agrees(end.directory_offset, 0xffff_ffff, large.2);
                (end.entries, end.directory_bytes, end.directory_offset) = large;
                end.records = record_offset;
                break;
            }
        }
    }
    end.end = end.end.min(source.bytes());
    let start = end.records.checked_sub(end.directory_bytes);
    let mut is_directory = end.entries == 0 && end.directory_bytes == 0;
    for start in [start, Some(end.directory_offset)].into_iter().flatten() {
        let is_within = start.checked_add(4).is_some_and(|end| end <= source.bytes());
        is_directory |= is_within && read(source, start, 4)? == CENTRAL;
    }
    // The end record of nothing is too short a sign to be looked for behind other bytes.
    Ok((is_directory && (end.entries > 0 || offset == 0)).then_some(end))
}

/// What the local header at an offset says; nothing if none is there, or its bytes lie beyond the end.
fn local_item(source: &dyn Source, header: u64, end: u64) -> Result<Option<Item>, FormatError> {
    let header_end = header.checked_add(LOCAL_BYTES).filter(|header_end| *header_end <= end);
    let Some(header_end) = header_end else { return Ok(None) };
    let head = read(source, header, LOCAL_BYTES)?;
    if !head.starts_with(LOCAL) {
        return Ok(None);
    }
    let head = Fields(&head);
    let (name_bytes, extra_bytes) = (u64::from(head.u16(26)), u64::from(head.u16(28)));
    let data = header_end + name_bytes + extra_bytes;
    if data > end {
        return Ok(None);
    }
    let rest = read(source, header_end, name_bytes + extra_bytes)?;
    let (name, extra) = rest.split_at(name_bytes as usize);
    let mut item = Item {
        name: String::from_utf8_lossy(name).into_owned(),
        flags: head.u16(6),
        method: head.u16(8),
        crc32: head.u32(14),
        stored_bytes: head.u32(18).into(),
        bytes: head.u32(22).into(),
        header,
        data,
    };
    let mut ignored = 0;
    zip64(extra, [&mut item.bytes, &mut item.stored_bytes, &mut ignored]);
    Ok(Some(item))
}

/// Takes from the zip64 field those lengths and offsets that are saturated.
fn zip64(extra: &[u8], fields: [&mut u64; 3]) {
    let mut rest = extra;
    while let Some((head, after)) = rest.split_at_checked(4) {
        let head = Fields(head);
        let Some((mut body, after)) = after.split_at_checked(head.u16(2).into()) else { return };
        rest = after;
        if head.u16(0) == 1 {
            for field in fields {
                if *field == 0xffff_ffff {
                    let Some((value, after)) = body.split_first_chunk::<8>() else { return };
                    *field = u64::from_le_bytes(*value);
                    body = after;
                }
            }
            return;
        }
    }
}

/// The first bytes of what is deflated, and whether there are more.
pub(super) fn inflate(stored: &[u8], room: usize) -> (Vec<u8>, bool) {
    match miniz_oxide::inflate::decompress_to_vec_with_limit(stored, room) {
        Ok(content) => (content, false),
        Err(stopped) => {
            let is_more = stopped.status == miniz_oxide::inflate::TINFLStatus::HasMoreOutput;
            let mut content = stopped.output;
            content.truncate(room);
            (content, is_more)
        }
    }
}

fn clean(name: &str) -> String {
    inner("", name)
}

/// Little-endian fields by their place in a record whose length was checked.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at)) | u64::from(self.u32(at + 4)) << 32
    }
}
