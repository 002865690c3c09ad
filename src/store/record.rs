//! One record: read from its pack, decoded, and proved by its name.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::object::{Location, ObjectId, PackId};

use super::codec::Codec;
use super::decode::Decoder;
use super::delta;
use super::error::{Damage, PackDamage, StoreError};
use super::frame::Frame;
use super::layout::{self, HEADER_BYTES, PACK_VERSION, RECORD_BYTES};
use super::list::FrameList;
use super::tree;

/// Which part of an object a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The whole object, or the list of its frames.
    Object,
    /// A frame of a larger object.
    Frame {
        /// Where in the object it begins, in bytes.
        position: u64,
    },
}

/// A record of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub id: ObjectId,
    /// Which part of an object it holds.
    pub part: Part,
    /// Where it lies.
    pub location: Location,
}

/// An open pack, read at any place without a cursor.
#[derive(Debug)]
pub(super) struct OpenPack {
    pub id: PackId,
    pub path: PathBuf,
    /// Length of the file when it was opened.
    pub bytes: u64,
    /// Version of its layout.
    pub version: u32,
    file: File,
}

impl OpenPack {
    /// Opens a pack and checks that it begins as one that this release reads.
    pub fn open(id: PackId, path: &Path) -> Result<OpenPack, StoreError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => StoreError::PackMissing { pack: id },
            _ => StoreError::Io { path: path.to_owned(), source },
        };
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let mut pack = OpenPack { id, path: path.to_owned(), bytes, version: 0, file };
        if bytes < HEADER_BYTES as u64 {
            return Err(pack.damaged(PackDamage::Header));
        }
        let mut header = [0; HEADER_BYTES];
        pack.read_at(&mut header, 0)?;
        match layout::version(&header) {
            Some(version) if version > PACK_VERSION => {
                Err(StoreError::PackVersion { path: pack.path, version })
            }
            Some(version @ 1..) if header == layout::header(version) => {
                pack.version = version;
                Ok(pack)
            }
            _ => Err(pack.damaged(PackDamage::Header)),
        }
    }

    /// Fills `buffer` from the file.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), StoreError> {
        read_exact_at(&self.file, buffer, offset)
            .map_err(|source| StoreError::Io { path: self.path.clone(), source })
    }

    pub fn damaged(&self, damage: PackDamage) -> StoreError {
        StoreError::PackDamaged { path: self.path.clone(), damage }
    }

    /// Reads a record that is no list into `frame`, whole and proved. `base` is what it may be a
    /// difference to.
    fn read(
        &self,
        record: &Record,
        base: &[u8],
        frame: &mut Frame,
        decoder: &mut Decoder,
    ) -> Result<(), StoreError> {
        self.read_unproved(record, base, frame, decoder)?;
        self.prove(record, frame)
    }

    /// That the bytes are those of the record's name.
    fn prove(&self, record: &Record, frame: &Frame) -> Result<(), StoreError> {
        match tree::name(record.part, frame.payload()) {
            Some(found) if found == record.id => Ok(()),
            Some(found) => Err(self.damage(record, Damage::Hash { found })),
            None => Err(self.damage(record, Damage::Lengths)),
        }
    }

    /// As [`read`](OpenPack::read), but nothing says that the bytes are those of the record's name.
    fn read_unproved(
        &self,
        record: &Record,
        base: &[u8],
        frame: &mut Frame,
        decoder: &mut Decoder,
    ) -> Result<(), StoreError> {
        let codec = self.check(record)?;
        let raw_bytes = record.location.raw_bytes as usize;
        match codec {
            Codec::Frames => return Err(self.damage(record, Damage::Kind)),
            Codec::Raw => self.read_stored(record, frame)?,
            Codec::Zstd | Codec::Planes | Codec::Delta => {
                self.read_stored(record, &mut decoder.stored)?;
                frame.set_len(raw_bytes);
                decoder
                    .decode(codec, frame.payload_mut(), base)
                    .map_err(|damage| self.damage(record, damage))?;
            }
        }
        Ok(())
    }

    /// What a record of differences is a difference to; `None` for other records.
    pub fn read_delta_head(&self, record: &Record) -> Result<Option<delta::Head>, StoreError> {
        if record.location.codec != Codec::Delta.number() {
            return Ok(None);
        }
        self.check(record)?;
        let mut head = [0; delta::HEAD_BYTES];
        if record.location.stored_bytes < head.len() as u64 {
            return Err(self.damage(record, Damage::Lengths));
        }
        self.read_at(&mut head, record.location.offset)?;
        let (head, _) = delta::Head::parse(&head).map_err(|damage| self.damage(record, damage))?;
        Ok(Some(head))
    }

    /// Reads a list of frames, proved.
    pub fn read_list(&self, record: &Record) -> Result<FrameList, StoreError> {
        if self.check(record)? != Codec::Frames || record.part != Part::Object {
            return Err(self.damage(record, Damage::Kind));
        }
        let mut frame = Frame::default();
        self.read_stored(record, &mut frame)?;
        FrameList::parse(&record.id, record.location.raw_bytes, frame.payload())
            .map_err(|damage| self.damage(record, damage))
    }

    /// Reads a record with its header as they are stored, and proves that its header is right.
    pub fn read_stored(&self, record: &Record, frame: &mut Frame) -> Result<(), StoreError> {
        self.check(record)?;
        frame.set_len(record.location.stored_bytes as usize);
        self.read_at(frame.record_mut(), record.location.offset - RECORD_BYTES as u64)?;
        if *frame.header() != layout::record_header(record) {
            return Err(self.damage(record, Damage::Header));
        }
        Ok(())
    }

    /// Reads which part of an object a record says it is.
    pub fn part(&self, id: ObjectId, location: Location) -> Result<Record, StoreError> {
        let record = Record { id, part: Part::Object, location };
        self.check(&record)?;
        let mut header = [0; RECORD_BYTES];
        self.read_at(&mut header, location.offset - RECORD_BYTES as u64)?;
        let record = Record { part: layout::part_in_header(&header), ..record };
        if header != layout::record_header(&record) {
            return Err(self.damage(&record, Damage::Header));
        }
        Ok(record)
    }

    /// That nothing about a record's place is impossible, so that buffers of its lengths may be made.
    fn check(&self, record: &Record) -> Result<Codec, StoreError> {
        let Location { offset, stored_bytes, raw_bytes, codec, .. } = record.location;
        let codec =
            Codec::from_number(codec).ok_or_else(|| self.damage(record, Damage::UnknownCodec { codec }))?;
        if offset < (HEADER_BYTES + RECORD_BYTES) as u64 || !codec.allows(stored_bytes, raw_bytes) {
            return Err(self.damage(record, Damage::Lengths));
        }
        match offset.checked_add(stored_bytes) {
            Some(end) if end <= self.bytes => Ok(codec),
            _ => Err(self.damage(record, Damage::Truncated)),
        }
    }

    pub fn damage(&self, record: &Record, damage: Damage) -> StoreError {
        StoreError::Damaged { id: record.id, pack: self.id, damage }
    }
}

/// A record, and those that have to be read before it: each but the last is a difference to the next.
#[derive(Debug, Clone)]
pub(super) struct Chain(pub Vec<(Arc<OpenPack>, Record)>);

impl Chain {
    /// The record that is wanted.
    pub fn record(&self) -> &Record {
        &self.0[0].1
    }

    /// How many records have to be read before it.
    pub fn depth(&self) -> usize {
        self.0.len() - 1
    }

    /// Reads the record into `frame`, whole and proved. That proves all that it depends on: from other bytes it
    /// would not have come out. Where it does not, they are read again one by one, to tell which is damaged.
    pub fn read(&self, frame: &mut Frame, decoder: &mut Decoder) -> Result<(), StoreError> {
        let (pack, record) = &self.0[0];
        let read = self.read_links(OpenPack::read_unproved, frame, decoder);
        match read.and_then(|()| pack.prove(record, frame)) {
            Err(_) if self.depth() > 0 => self.read_links(OpenPack::read, frame, decoder),
            result => result,
        }
    }

    /// Reads the records from the last on, each by `read`.
    fn read_links(
        &self,
        read: impl Fn(&OpenPack, &Record, &[u8], &mut Frame, &mut Decoder) -> Result<(), StoreError>,
        frame: &mut Frame,
        decoder: &mut Decoder,
    ) -> Result<(), StoreError> {
        let mut base = std::mem::take(&mut decoder.base);
        let mut result = Ok(());
        for (place, (pack, record)) in self.0.iter().enumerate().rev() {
            let is_first = place + 1 == self.0.len();
            if !is_first {
                std::mem::swap(frame, &mut base);
            }
            let before = if is_first { &[] } else { base.payload() };
            result = read(pack, record, before, frame, decoder);
            if result.is_err() {
                if place > 0 {
                    let (pack, record) = &self.0[0];
                    result = Err(pack.damage(record, Damage::Base { base: self.0[1].1.id }));
                }
                break;
            }
        }
        decoder.base = base;
        result
    }
}

#[cfg(unix)]
pub(super) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
pub(super) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => {
                buffer = &mut buffer[bytes..];
                offset += bytes as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
