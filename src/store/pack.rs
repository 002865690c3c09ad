//! A pack by itself: what its own index says, and whether its records are whole.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::object::{Locate, LocateError, Location, ObjectId, PackId};

use super::Store;
use super::codec::Codec;
use super::decode::Decoder;
use super::error::{PackDamage, StoreError};
use super::frame::Frame;
use super::layout::{self, ENTRY_BYTES, FOOTER_BYTES, Footer, HEADER_BYTES, RECORD_BYTES};
use super::reader::Reader;
use super::record::{Chain, OpenPack, Record};
use super::workers;

/// A pack whose header, index and footer have been found whole.
#[derive(Debug)]
pub struct PackFile {
    pack: Arc<OpenPack>,
    index: Vec<u8>,
    index_offset: u64,
}

impl PackFile {
    pub(super) fn open(id: PackId, path: &Path) -> Result<PackFile, StoreError> {
        let pack = Arc::new(OpenPack::open(id, path)?);
        if pack.bytes < (HEADER_BYTES + FOOTER_BYTES) as u64 {
            return Err(pack.damaged(PackDamage::Footer));
        }
        let mut footer = [0; FOOTER_BYTES];
        pack.read_at(&mut footer, pack.bytes - FOOTER_BYTES as u64)?;
        let footer = Footer::parse(&footer, pack.bytes).ok_or_else(|| pack.damaged(PackDamage::Footer))?;
        // No longer than the file: the footer's lengths have been found to add up to it.
        let mut index = vec![0; footer.entries as usize * ENTRY_BYTES];
        pack.read_at(&mut index, footer.index_offset)?;
        let found = id_of(pack.version, &index);
        if found != id || footer.id != id {
            let found = if found == id { footer.id } else { found };
            return Err(pack.damaged(PackDamage::Hash { found }));
        }
        let names = || index.as_chunks::<ENTRY_BYTES>().0.iter().map(|entry| &entry[..32]);
        if !names().is_sorted_by(|a, b| a < b) {
            return Err(pack.damaged(PackDamage::Index));
        }
        Ok(PackFile { pack, index, index_offset: footer.index_offset })
    }

    /// The pack's name.
    pub fn id(&self) -> PackId {
        self.pack.id
    }

    /// Length of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.pack.bytes
    }

    /// The records that the index lists, sorted by name.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Record> {
        self.index.as_chunks().0.iter().map(|entry| layout::parse_entry(self.pack.id, entry))
    }

    /// The record with this name.
    pub fn record(&self, id: &ObjectId) -> Option<Record> {
        let (entries, _) = self.index.as_chunks::<ENTRY_BYTES>();
        let found = entries.binary_search_by(|entry| entry[..32].cmp(id.as_bytes())).ok()?;
        Some(layout::parse_entry(self.pack.id, &entries[found]))
    }

    /// Reads and proves one of the pack's records. `reader` finds what it is a difference to.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] or [`StoreError::Io`].
    pub fn prove(&self, record: &Record, reader: &Reader<'_>) -> Result<(), StoreError> {
        if record.location.codec == Codec::Frames.number() {
            return self.pack.read_list(record).map(drop);
        }
        let chain = reader.chain_from(Arc::clone(&self.pack), *record)?;
        chain.read(&mut Frame::default(), &mut Decoder::new())
    }

    /// Reads and proves every record, on all cores, and returns what is wrong, in the order of the file.
    ///
    /// `reader` finds what records are differences to, here or in other packs. `progress` gets the raw length
    /// of each record that has been looked at. That the frames of a list are stored somewhere is not looked
    /// at here.
    pub fn verify(&self, reader: &Reader<'_>, progress: &mut dyn FnMut(u64)) -> Vec<StoreError> {
        let mut records: Vec<Record> = self.records().collect();
        records.sort_unstable_by_key(|record| record.location.offset);
        let mut findings = Vec::new();
        if !self.lie_side_by_side(&records) {
            findings.push((0, self.pack.damaged(PackDamage::Index)));
        }
        // The reader stays on this thread: what takes more than the record itself is found before.
        let mut chains = HashMap::new();
        for record in records.iter().filter(|record| record.location.codec == Codec::Delta.number()) {
            match reader.chain_from(Arc::clone(&self.pack), *record) {
                Ok(chain) => drop(chains.insert(record.id, chain)),
                Err(error) => findings.push((record.location.offset, error)),
            }
        }
        let chains = &chains;
        let next = AtomicUsize::new(0);
        let (done, outcomes) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..workers::count().min(records.len()) {
                let done = done.clone();
                scope.spawn(|| {
                    let done = done;
                    let (mut frame, mut decoder) = (Frame::default(), Decoder::new());
                    while let Some(record) = records.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let outcome = self.verify_record(record, chains, &mut frame, &mut decoder);
                        // The receiver lives until all senders are gone.
                        let _ = done.send((record, outcome));
                    }
                });
            }
            drop(done);
            for (record, outcome) in outcomes {
                // A list says the length of its whole object, which is not in it.
                let list = record.location.codec == Codec::Frames.number();
                progress(if list { 0 } else { record.location.raw_bytes });
                findings.extend(outcome.err().map(|error| (record.location.offset, error)));
            }
        });
        findings.sort_by_key(|(offset, _)| *offset);
        findings.into_iter().map(|(_, error)| error).collect()
    }

    fn verify_record(
        &self,
        record: &Record,
        chains: &HashMap<ObjectId, Chain>,
        frame: &mut Frame,
        decoder: &mut Decoder,
    ) -> Result<(), StoreError> {
        match Codec::from_number(record.location.codec) {
            Some(Codec::Frames) => self.pack.read_list(record).map(drop),
            // Without a chain it is among the findings already.
            Some(Codec::Delta) => chains.get(&record.id).map_or(Ok(()), |chain| chain.read(frame, decoder)),
            _ => Chain(vec![(Arc::clone(&self.pack), *record)]).read(frame, decoder),
        }
    }

    /// Whether records, sorted by offset, cover everything between header and index.
    fn lie_side_by_side(&self, records: &[Record]) -> bool {
        let mut end = Some(HEADER_BYTES as u64);
        for Record { location, .. } in records {
            let start = end.and_then(|end| end.checked_add(RECORD_BYTES as u64));
            end = start
                .filter(|start| *start == location.offset)
                .and(location.offset.checked_add(location.stored_bytes));
        }
        end == Some(self.index_offset)
    }
}

/// An index made of packs' own, where there is no other.
#[derive(Debug, Default)]
pub struct PackIndex {
    records: HashMap<ObjectId, Location>,
}

impl PackIndex {
    /// The records of those packs that can be opened.
    pub fn of(store: &Store, packs: &[PackId]) -> PackIndex {
        let mut records = HashMap::new();
        for pack in packs.iter().filter_map(|pack| store.open_pack(*pack).ok()) {
            records.extend(pack.records().map(|record| (record.id, record.location)));
        }
        PackIndex { records }
    }
}

impl Locate for PackIndex {
    fn locate(&self, id: &ObjectId) -> Result<Option<Location>, LocateError> {
        Ok(self.records.get(id).copied())
    }
}

/// The name of the pack of this version with this index.
pub(super) fn id_of(version: u32, index: &[u8]) -> PackId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&layout::header(version));
    hasher.update_rayon(index);
    PackId(hasher.finalize().into())
}
