//! Writing records to a pack, one after the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::durable::{self, SequentialWriter};
use crate::object::{Location, ObjectId, PackId};

use super::error::StoreError;
use super::frame::Frame;
use super::layout::{self, Footer, HEADER_BYTES, PACK_VERSION, RECORD_BYTES};
use super::record::{Part, Record};
use super::writer::FinishedPack;
use super::{Codec, Store, TEMPORARY_PREFIX, pack};

/// A record in its stored form.
pub(super) struct Stored {
    /// Records are written in the order of these numbers, which begin at 0 and leave none out.
    pub sequence: u64,
    pub id: ObjectId,
    pub part: Part,
    pub raw_bytes: u64,
    pub codec: Codec,
    pub frame: Frame,
}

/// Stands for the name of a pack that is not known before its end.
const UNNAMED: PackId = PackId(ObjectId::from_bytes([0; 32]));

/// Writes records in the order of their numbers, in whichever they come.
pub(super) struct Appender {
    directory: PathBuf,
    /// Whether what is written goes to the disk meanwhile, and the pack is there before it gets its name.
    sync: bool,
    pack: Option<UnnamedPack>,
    /// Records that wait for earlier ones.
    early: BTreeMap<u64, Stored>,
    /// The number of the record that is written next.
    next: u64,
}

impl Appender {
    /// One that begins a pack in this folder with its first record.
    pub fn new(directory: &Path, sync: bool) -> Appender {
        Appender { directory: directory.to_owned(), sync, pack: None, early: BTreeMap::new(), next: 0 }
    }

    /// Writes a record, or keeps it for its turn, and those that waited for it. `recycle` gets the frames back.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`].
    pub fn take(&mut self, stored: Stored, recycle: &mut dyn FnMut(Frame)) -> Result<(), StoreError> {
        self.early.insert(stored.sequence, stored);
        while let Some(mut stored) = self.early.remove(&self.next) {
            self.next += 1;
            let pack = match self.pack.take() {
                Some(pack) => pack,
                None => UnnamedPack::begin(&self.directory, self.sync)?,
            };
            self.pack = Some(pack.append(&mut stored)?);
            recycle(stored.frame);
        }
        Ok(())
    }

    /// Ends the pack, when all records were taken. `None` if there were none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`].
    pub fn finish(self, store: &Store) -> Result<Option<FinishedPack>, StoreError> {
        self.pack.map(|pack| pack.finish(store)).transpose()
    }
}

/// A pack that is being written.
struct UnnamedPack {
    file: NamedTempFile,
    out: SequentialWriter,
    /// Whether it is to be on the disk before it gets its name.
    sync: bool,
    records: Vec<Record>,
    bytes: u64,
}

impl UnnamedPack {
    /// Appends a record.
    fn append(mut self, stored: &mut Stored) -> Result<UnnamedPack, StoreError> {
        let stored_bytes = stored.frame.payload().len() as u64;
        let location = Location {
            pack: UNNAMED,
            offset: self.bytes + RECORD_BYTES as u64,
            stored_bytes,
            raw_bytes: stored.raw_bytes,
            codec: stored.codec.number(),
        };
        let record = Record { id: stored.id, part: stored.part, location };
        *stored.frame.header_mut() = layout::record_header(&record);
        self.write(stored.frame.record())?;
        self.records.push(record);
        Ok(self)
    }

    fn begin(directory: &Path, sync: bool) -> Result<UnnamedPack, StoreError> {
        let begin = || {
            let file = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(directory)?;
            let out = SequentialWriter::of(file.as_file(), sync)?;
            Ok(UnnamedPack { file, out, sync, records: Vec::new(), bytes: 0 })
        };
        let mut pack = begin().map_err(|source| StoreError::Write { path: directory.to_owned(), source })?;
        pack.write(&layout::header(PACK_VERSION))?;
        debug_assert_eq!(pack.bytes, HEADER_BYTES as u64);
        Ok(pack)
    }

    /// Writes index and footer, and gives the pack its name.
    fn finish(mut self, store: &Store) -> Result<FinishedPack, StoreError> {
        self.records.sort_unstable_by_key(|record| record.id);
        let index: Vec<u8> = self.records.iter().flat_map(layout::entry).collect();
        let id = pack::id_of(PACK_VERSION, &index);
        let index_offset = self.bytes;
        let pack_bytes = index_offset + (index.len() + layout::FOOTER_BYTES) as u64;
        let footer = Footer { index_offset, entries: self.records.len() as u64, pack_bytes, id };
        self.write(&index)?;
        self.write(&footer.to_bytes())?;

        let path = store.pack_path(id);
        let failed = |source| StoreError::Write { path: path.clone(), source };
        self.out.finish().map_err(failed)?;
        durable::place(self.file, &path, None, self.sync).map_err(failed)?;
        let records = self.records.into_iter().map(|mut record| {
            record.location.pack = id;
            (record.id, record.location)
        });
        Ok(FinishedPack { id, bytes: pack_bytes, records: records.collect() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.out.write(bytes).map_err(|source| StoreError::Write { path: self.path(), source })?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.file.path().to_owned()
    }
}
