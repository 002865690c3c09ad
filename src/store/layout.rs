//! The fixed fields of a pack, see the module above.

use crate::object::{ObjectId, PackId};

use super::record::{Part, Record};

/// The version that new packs get, and the newest that is read. All before it are read too: each new one only added a
/// form in which planes are stored.
pub const PACK_VERSION: u32 = 2;

/// The longest raw form of a record that is no list of frames.
pub const MAX_FRAME_BYTES: u64 = 16 << 20;

pub(super) const HEADER_BYTES: usize = 16;
pub(super) const RECORD_BYTES: usize = 64;
pub(super) const ENTRY_BYTES: usize = 72;
pub(super) const FOOTER_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"\x8bckpack\n";
const END_MAGIC: [u8; 8] = *b"\x8bckend\n\0";
const NO_FRAME: u64 = u64::MAX;

/// Takes fixed-width fields from the front of a slice that is known to be long enough.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("the caller gives a whole structure");
        self.0 = rest;
        *field
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    fn id(&mut self) -> ObjectId {
        ObjectId::from_bytes(self.array())
    }
}

/// The first bytes of every pack of a version.
pub(super) fn header(version: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&version.to_le_bytes());
    header
}

/// The version that a header names; `None` if it is no pack's header.
pub(super) fn version(header: &[u8; HEADER_BYTES]) -> Option<u32> {
    let mut fields = Fields(header);
    (fields.array() == MAGIC).then(|| u32::from_le_bytes(fields.array()))
}

/// The header that stands before a record.
pub(super) fn record_header(record: &Record) -> [u8; RECORD_BYTES] {
    let mut header = [0; RECORD_BYTES];
    header[..32].copy_from_slice(record.id.as_bytes());
    header[32..40].copy_from_slice(&position(record.part).to_le_bytes());
    header[40..48].copy_from_slice(&record.location.raw_bytes.to_le_bytes());
    header[48..56].copy_from_slice(&record.location.stored_bytes.to_le_bytes());
    header[56] = record.location.codec;
    header
}

/// The part that a record's header says it is.
pub(super) fn part_in_header(header: &[u8; RECORD_BYTES]) -> Part {
    part(Fields(&header[32..40]).u64())
}

/// The entry of a record in its pack's index.
pub(super) fn entry(record: &Record) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    entry[..32].copy_from_slice(record.id.as_bytes());
    entry[32..40].copy_from_slice(&record.location.offset.to_le_bytes());
    entry[40..48].copy_from_slice(&record.location.stored_bytes.to_le_bytes());
    entry[48..56].copy_from_slice(&record.location.raw_bytes.to_le_bytes());
    entry[56..64].copy_from_slice(&position(record.part).to_le_bytes());
    entry[64] = record.location.codec;
    entry
}

/// The record of an entry of the index of `pack`.
pub(super) fn parse_entry(pack: PackId, entry: &[u8; ENTRY_BYTES]) -> Record {
    let mut fields = Fields(entry);
    let id = fields.id();
    let [offset, stored_bytes, raw_bytes, position] = [(); 4].map(|()| fields.u64());
    let [codec] = fields.array();
    let location = crate::object::Location { pack, offset, stored_bytes, raw_bytes, codec };
    Record { id, part: part(position), location }
}

/// The last bytes of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    pub index_offset: u64,
    pub entries: u64,
    pub pack_bytes: u64,
    pub id: PackId,
}

impl Footer {
    pub fn to_bytes(self) -> [u8; FOOTER_BYTES] {
        let mut footer = [0; FOOTER_BYTES];
        footer[..8].copy_from_slice(&self.index_offset.to_le_bytes());
        footer[8..16].copy_from_slice(&self.entries.to_le_bytes());
        footer[16..24].copy_from_slice(&self.pack_bytes.to_le_bytes());
        footer[24..56].copy_from_slice(self.id.0.as_bytes());
        footer[56..].copy_from_slice(&END_MAGIC);
        footer
    }

    /// `None` if these are no pack's last bytes, or its lengths do not add up to `file_bytes`.
    pub fn parse(footer: &[u8; FOOTER_BYTES], file_bytes: u64) -> Option<Footer> {
        let mut fields = Fields(footer);
        let [index_offset, entries, pack_bytes] = [(); 3].map(|()| fields.u64());
        let footer = Footer { index_offset, entries, pack_bytes, id: PackId(fields.id()) };
        let index_bytes = entries.checked_mul(ENTRY_BYTES as u64)?;
        let end = index_offset.checked_add(index_bytes)?.checked_add(FOOTER_BYTES as u64)?;
        let whole = index_offset >= HEADER_BYTES as u64 && end == file_bytes && pack_bytes == file_bytes;
        (whole && fields.array() == END_MAGIC).then_some(footer)
    }
}

fn position(part: Part) -> u64 {
    match part {
        Part::Object => NO_FRAME,
        Part::Frame { position } => position,
    }
}

fn part(position: u64) -> Part {
    if position == NO_FRAME { Part::Object } else { Part::Frame { position } }
}
