//! Reading objects: every byte that comes out has been proved by its name.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::object::{Locate, Location, ObjectId, PackId};

use super::Store;
use super::ahead::{Ahead, Piece, PieceSink};
use super::codec::Codec;
use super::decode::Decoder;
use super::delta::{Head, MAX_DEPTH};
use super::error::{Damage, StoreError};
use super::frame::Frame;
use super::list::FrameList;
use super::pieces::Pieces;
use super::record::{Chain, OpenPack, Part, Record};

/// Reads objects wherever an index finds them.
pub struct Reader<'a> {
    store: &'a Store,
    index: &'a dyn Locate,
    packs: RefCell<HashMap<PackId, Arc<OpenPack>>>,
    /// Where records lie that are wanted soon.
    found: RefCell<HashMap<ObjectId, Location>>,
    /// Taken while it is in use, so that a receiver may itself read.
    ahead: Cell<Option<Ahead>>,
    own: Cell<Option<(Frame, Decoder)>>,
}

/// Names that are looked up at once.
pub(super) const LOOKUPS: usize = 256;

/// Records whose places a reader remembers, as long as they are not more.
const MAX_FOUND: usize = 16 * LOOKUPS;

/// Names that are looked up at once where a whole store is gone through.
const SWEEP: usize = 1 << 14;

/// So much is read before threads are started for the rest.
const LITTLE_BYTES: u64 = 1 << 20;

/// Packs that a reader keeps open.
const OPEN_PACKS: usize = 64;

/// An object's record, or the list of its records.
pub(super) enum Found {
    One(Record),
    Many(FrameList),
}

impl Found {
    fn bytes(&self) -> u64 {
        match self {
            Found::One(record) => record.location.raw_bytes,
            Found::Many(list) => list.object_bytes,
        }
    }
}

/// The bytes of an object from its start. Errors are [`StoreError`]s in their `io` clothes.
pub struct ObjectReader<'b, 'a> {
    reader: &'b Reader<'a>,
    id: ObjectId,
    found: Found,
    at: u64,
}

impl ObjectReader<'_, '_> {
    /// Length of the object in bytes.
    pub fn bytes(&self) -> u64 {
        self.found.bytes()
    }

    /// Fills `buffer` with the object's bytes from `offset` on. Only the frames there are read.
    ///
    /// # Errors
    ///
    /// As [`Reader::read_range`].
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.reader.fill(&self.id, &self.found, offset, buffer)
    }
}

impl io::Read for ObjectReader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.found.bytes() - self.at).unwrap_or(usize::MAX);
        let length = buffer.len().min(rest);
        self.reader.fill(&self.id, &self.found, self.at, &mut buffer[..length]).map_err(io::Error::other)?;
        self.at += length as u64;
        Ok(length)
    }
}

/// An object that others may be stored as differences to.
pub(super) type Like = Found;

impl<'a> Reader<'a> {
    pub(super) fn new(store: &'a Store, index: &'a dyn Locate) -> Reader<'a> {
        Reader {
            store,
            index,
            packs: RefCell::default(),
            found: RefCell::default(),
            ahead: Cell::new(None),
            own: Cell::new(None),
        }
    }

    /// Whether the index finds the object.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locate`].
    pub fn contains(&self, id: &ObjectId) -> Result<bool, StoreError> {
        Ok(self.index.locate(id)?.is_some())
    }

    /// Length of the object in bytes, as the index says.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`], [`StoreError::Locate`].
    pub fn bytes(&self, id: &ObjectId) -> Result<u64, StoreError> {
        Ok(self.index.locate(id)?.ok_or(StoreError::Missing { id: *id })?.raw_bytes)
    }

    /// The other records that are needed to read this one: the frames of a large object, in order, and what
    /// any of them is a difference to.
    ///
    /// What is kept must keep these too.
    ///
    /// # Errors
    ///
    /// As [`read`](Reader::read).
    pub fn references(&self, id: &ObjectId) -> Result<Vec<ObjectId>, StoreError> {
        let record = self.locate(*id, Part::Object)?;
        self.references_at(record)
    }

    /// As [`references`](Reader::references) of many objects, each of which may come several times. Those that are
    /// sorted are found quickest.
    ///
    /// # Errors
    ///
    /// As [`read`](Reader::read).
    pub fn references_of(&self, ids: &[ObjectId], see: &mut dyn FnMut(ObjectId)) -> Result<(), StoreError> {
        for ids in ids.chunks(SWEEP) {
            let found = ids.iter().zip(self.index.locate_many(ids)?);
            let records = found.map(|(id, location)| match location {
                Some(location) => Ok(Record { id: *id, part: Part::Object, location }),
                None => Err(StoreError::Missing { id: *id }),
            });
            let mut records = records.collect::<Result<Vec<_>, _>>()?;
            // In the order in which they lie on the disk.
            records.sort_unstable_by_key(|record| (record.location.pack, record.location.offset));
            for record in records {
                self.references_at(record)?.into_iter().for_each(&mut *see);
            }
        }
        Ok(())
    }

    fn references_at(&self, record: Record) -> Result<Vec<ObjectId>, StoreError> {
        let id = record.id;
        let pack = self.pack(record.location.pack)?;
        // The header is asked too: an index that is wrong here would let live frames be deleted.
        let record = pack.part(id, record.location)?;
        if record.location.codec != Codec::Frames.number() {
            return self.bases(record);
        }
        let list = pack.read_list(&record)?;
        let mut needed = Vec::with_capacity(list.frames.len());
        for (number, id) in list.frames.iter().enumerate() {
            needed.push(*id);
            // A frame that is missing hides its bases, but nothing else does.
            if let Some(location) = self.index.locate(id)? {
                needed.extend(self.bases(Record { id: *id, part: list.part(number).0, location })?);
            }
        }
        Ok(needed)
    }

    /// What a record is a difference to, directly or not.
    fn bases(&self, record: Record) -> Result<Vec<ObjectId>, StoreError> {
        if record.location.codec != Codec::Delta.number() {
            return Ok(Vec::new());
        }
        let chain = self.chain(record)?;
        Ok(chain.0[1..].iter().map(|(_, base)| base.id).collect())
    }

    /// As [`references`](Reader::references), and makes sure that index and lists fit each other, so that
    /// all that is left to prove are the records by themselves. No bytes of the object are read.
    ///
    /// # Errors
    ///
    /// As [`read`](Reader::read).
    pub fn check(&self, id: &ObjectId) -> Result<Vec<ObjectId>, StoreError> {
        match self.find(*id)? {
            Found::One(record) => self.bases(record),
            Found::Many(list) => {
                let mut needed = list.frames.clone();
                for frame in 0..list.frames.len() {
                    let (_, _, chain) = self.piece(0, *id, &list, frame)?;
                    needed.extend(chain.0[1..].iter().map(|(_, base)| base.id));
                }
                Ok(needed)
            }
        }
    }

    /// Reads and proves one record, whatever it is part of.
    ///
    /// # Errors
    ///
    /// As [`read`](Reader::read).
    pub fn verify(&self, id: &ObjectId) -> Result<(), StoreError> {
        self.read_stored(id, &mut Frame::default()).map(drop)
    }

    /// The object's bytes, if they are at most `limit_bytes`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`], [`StoreError::TooLarge`], [`StoreError::PackMissing`],
    /// [`StoreError::Damaged`], [`StoreError::PackDamaged`], [`StoreError::PackVersion`],
    /// [`StoreError::Io`], [`StoreError::Locate`].
    pub fn read(&self, id: &ObjectId, limit_bytes: u64) -> Result<Vec<u8>, StoreError> {
        let bytes = self.bytes(id)?;
        if bytes > limit_bytes {
            return Err(StoreError::TooLarge { id: *id, bytes, limit: limit_bytes });
        }
        let mut all = Vec::new();
        self.copy_to(id, &mut |piece| {
            // Grows with what has been proved, not with what a list says.
            all.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(all)
    }

    /// Passes the object's bytes to `sink` in order, in pieces of one frame; none for an empty object.
    ///
    /// What `sink` gets has been proved, but a later piece may fail.
    ///
    /// # Errors
    ///
    /// As [`read`](Reader::read), and [`StoreError::Sink`] with what `sink` returns.
    pub fn copy_to(
        &self,
        id: &ObjectId,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        match self.find(*id)? {
            Found::One(record) => {
                self.with_record(&record, |bytes| if bytes.is_empty() { Ok(()) } else { sink(bytes) })?
            }
            Found::Many(list) => {
                let pieces = (0..list.frames.len()).map(|frame| self.piece(0, *id, &list, frame));
                return self.run_ahead(&mut pieces.into_iter(), &mut |_, piece| sink(piece));
            }
        }
        .map_err(|source| StoreError::Sink { id: *id, source })
    }

    /// As [`copy_to`](Reader::copy_to) for one object after another, which is faster than one by one.
    ///
    /// `sink` also gets the object's place in `ids`. An empty object gives one empty piece.
    ///
    /// # Errors
    ///
    /// As [`copy_to`](Reader::copy_to).
    pub fn copy_each(
        &self,
        ids: &mut dyn Iterator<Item = ObjectId>,
        sink: &mut dyn FnMut(usize, &[u8]) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        self.run_ahead(&mut Pieces::of(self, ids), sink)
    }

    /// Fills `buffer` with the object's bytes from `offset` on. Only the frames there are read.
    ///
    /// # Errors
    ///
    /// As [`read`](Reader::read), and [`StoreError::OutOfRange`].
    pub fn read_range(&self, id: &ObjectId, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.fill(id, &self.find(*id)?, offset, buffer)
    }

    /// Opens an object to be read from its start: its list of frames is read once.
    ///
    /// # Errors
    ///
    /// As [`read`](Reader::read).
    pub fn open<'b>(&'b self, id: &ObjectId) -> Result<ObjectReader<'b, 'a>, StoreError> {
        Ok(ObjectReader { reader: self, id: *id, found: self.find(*id)?, at: 0 })
    }

    fn fill(&self, id: &ObjectId, found: &Found, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let bytes = found.bytes();
        let end = offset.saturating_add(buffer.len() as u64);
        if end > bytes {
            return Err(StoreError::OutOfRange { id: *id, bytes, offset, end });
        }
        let list = match found {
            Found::One(record) => {
                let range = offset as usize..end as usize;
                return self.with_record(record, |bytes| buffer.copy_from_slice(&bytes[range]));
            }
            Found::Many(list) => list,
        };
        let mut rest = buffer;
        let mut at = offset;
        while !rest.is_empty() {
            let (_, _, chain) = self.piece(0, *id, list, (at / list.frame_bytes) as usize)?;
            let skip = (at % list.frame_bytes) as usize;
            let take = rest.len().min(chain.record().location.raw_bytes as usize - skip);
            let (part, after) = rest.split_at_mut(take);
            self.with_chain(&chain, |bytes| part.copy_from_slice(&bytes[skip..skip + take]))?;
            rest = after;
            at += take as u64;
        }
        Ok(())
    }

    /// Reads any record as it is stored into `frame`, after proving it.
    pub(super) fn read_stored(
        &self,
        id: &ObjectId,
        frame: &mut Frame,
    ) -> Result<(Record, Codec), StoreError> {
        let location = self.index.locate(id)?.ok_or(StoreError::Missing { id: *id })?;
        let pack = self.pack(location.pack)?;
        let record = pack.part(*id, location)?;
        if location.codec == Codec::Frames.number() {
            pack.read_list(&record)?;
        } else {
            self.with_record(&record, |_| ())?;
        }
        pack.read_stored(&record, frame)?;
        Ok((record, Codec::from_number(location.codec).expect("its bytes were just decoded")))
    }

    /// Where a record lies that is to be this part of an object.
    fn locate(&self, id: ObjectId, part: Part) -> Result<Record, StoreError> {
        let location = self.look_up(&id)?.ok_or(StoreError::Missing { id })?;
        Ok(Record { id, part, location })
    }

    /// Asks the index, unless it was asked before.
    fn look_up(&self, id: &ObjectId) -> Result<Option<Location>, StoreError> {
        match self.found.borrow().get(id) {
            Some(location) => Ok(Some(*location)),
            None => Ok(self.index.locate(id)?),
        }
    }

    /// Asks the index at once for records that are wanted soon, and for what they are differences to.
    pub(super) fn look_ahead(&self, ids: &[ObjectId]) -> Result<(), StoreError> {
        let mut known = self.found.borrow_mut();
        if known.len() > MAX_FOUND {
            known.clear();
        }
        let mut wanted: Vec<ObjectId> = ids.iter().filter(|id| !known.contains_key(id)).copied().collect();
        while !wanted.is_empty() {
            let mut bases = Vec::new();
            for (id, location) in wanted.iter().zip(self.index.locate_many(&wanted)?) {
                let Some(location) = location else { continue };
                known.insert(*id, location);
                // What is damaged is told of when it is read.
                let record = Record { id: *id, part: Part::Object, location };
                let pack = self.pack(location.pack).ok();
                bases.extend(pack.and_then(|pack| pack.read_delta_head(&record).ok()?).map(|head| head.base));
            }
            bases.retain(|base| !known.contains_key(base));
            wanted = bases;
        }
        Ok(())
    }

    pub(super) fn find(&self, id: ObjectId) -> Result<Found, StoreError> {
        let record = self.locate(id, Part::Object)?;
        if record.location.codec == Codec::Frames.number() {
            self.pack(record.location.pack)?.read_list(&record).map(Found::Many)
        } else {
            Ok(Found::One(record))
        }
    }

    /// A frame of an object, found and of the length that its list wants.
    pub(super) fn piece(
        &self,
        place: usize,
        id: ObjectId,
        list: &FrameList,
        frame: usize,
    ) -> Result<Piece, StoreError> {
        let (part, bytes) = list.part(frame);
        let record = self.locate(list.frames[frame], part)?;
        let pack = self.pack(record.location.pack)?;
        if record.location.raw_bytes == bytes {
            Ok((place, id, self.chain(record)?))
        } else {
            Err(pack.damage(&record, Damage::Lengths))
        }
    }

    /// A record with all that it depends on.
    pub(super) fn chain(&self, record: Record) -> Result<Chain, StoreError> {
        self.chain_from(self.pack(record.location.pack)?, record)
    }

    /// As [`chain`](Reader::chain), of a record of an open pack.
    pub(super) fn chain_from(&self, pack: Arc<OpenPack>, record: Record) -> Result<Chain, StoreError> {
        let mut chain = Chain(vec![(pack, record)]);
        let mut below = u8::MAX;
        loop {
            let (pack, last) = chain.0.last().expect("it begins with one");
            let Some(Head { depth, base }) = pack.read_delta_head(last)? else { return Ok(chain) };
            let found = self.look_up(&base)?;
            // Depths that fall end, whatever the packs say.
            let sound = depth < below;
            match found.filter(|found| sound && found.raw_bytes == last.location.raw_bytes) {
                Some(location) => {
                    let base = Record { id: base, part: record.part, location };
                    chain.0.push((self.pack(location.pack)?, base));
                    below = depth;
                }
                None => {
                    let (pack, record) = &chain.0[0];
                    return Err(pack.damage(record, Damage::Base { base }));
                }
            }
        }
    }

    /// The record of a like object that the same part of another may be a difference to; `None` if there is
    /// none of its length.
    pub(super) fn base(&self, base: &Like, part: Part, bytes: u64) -> Result<Option<Record>, StoreError> {
        let found = match (base, part) {
            (Like::One(record), Part::Object) => Some(*record),
            (Like::Many(list), Part::Frame { position }) if position.is_multiple_of(list.frame_bytes) => {
                let frames = list.frames.get((position / list.frame_bytes) as usize..).unwrap_or_default();
                let Some(id) = frames.first() else { return Ok(None) };
                if !self.found.borrow().contains_key(id) {
                    self.look_ahead(&frames[..frames.len().min(LOOKUPS)])?;
                }
                self.look_up(id)?.map(|location| Record { id: *id, part, location })
            }
            _ => None,
        };
        Ok(found.filter(|record| record.location.raw_bytes == bytes))
    }

    /// The chain of a record that another shall be a difference to: short enough for one more.
    pub(super) fn short_chain(&self, record: Record) -> Result<Chain, StoreError> {
        let mut chain = self.chain(record)?;
        if chain.depth() >= usize::from(MAX_DEPTH) {
            // The chain begins anew, from the record at its end.
            chain.0.drain(..chain.depth());
        }
        Ok(chain)
    }

    /// The chain of a record wherever the index finds it, read as this part of an object.
    pub(super) fn chain_of(&self, id: ObjectId, part: Part) -> Result<Chain, StoreError> {
        self.chain(self.locate(id, part)?)
    }

    /// Finds an object that others may be like.
    pub(super) fn like(&self, id: ObjectId) -> Result<Like, StoreError> {
        self.find(id)
    }

    fn pack(&self, id: PackId) -> Result<Arc<OpenPack>, StoreError> {
        if let Some(pack) = self.packs.borrow().get(&id) {
            return Ok(Arc::clone(pack));
        }
        let pack = Arc::new(OpenPack::open(id, &self.store.pack_path(id))?);
        let mut packs = self.packs.borrow_mut();
        if packs.len() >= OPEN_PACKS {
            packs.clear();
        }
        packs.insert(id, Arc::clone(&pack));
        Ok(pack)
    }

    /// Reads one record on this thread.
    fn with_record<T>(&self, record: &Record, use_bytes: impl FnOnce(&[u8]) -> T) -> Result<T, StoreError> {
        self.with_chain(&self.chain(*record)?, use_bytes)
    }

    fn with_chain<T>(&self, chain: &Chain, use_bytes: impl FnOnce(&[u8]) -> T) -> Result<T, StoreError> {
        let (mut frame, mut decoder) = self.own.take().unwrap_or_else(|| (Frame::default(), Decoder::new()));
        let result = chain.read(&mut frame, &mut decoder).map(|()| use_bytes(frame.payload()));
        self.own.set(Some((frame, decoder)));
        result
    }

    /// Reads pieces on all cores, and passes them to `sink` on this thread, in order.
    fn run_ahead(
        &self,
        pieces: &mut dyn Iterator<Item = Result<Piece, StoreError>>,
        sink: &mut PieceSink<'_>,
    ) -> Result<(), StoreError> {
        let ahead = self.ahead.take();
        if ahead.is_none() && !self.run_here(pieces, sink)? {
            return Ok(());
        }
        let mut ahead = ahead.unwrap_or_else(Ahead::start);
        let result = ahead.run(pieces, sink);
        self.ahead.set(Some(ahead));
        result
    }

    /// As [`run_ahead`](Reader::run_ahead), the first pieces on this thread: to start others for little takes longer.
    /// Says whether there may be more.
    fn run_here(
        &self,
        pieces: &mut dyn Iterator<Item = Result<Piece, StoreError>>,
        sink: &mut PieceSink<'_>,
    ) -> Result<bool, StoreError> {
        let (mut frame, mut decoder) = self.own.take().unwrap_or_else(|| (Frame::default(), Decoder::new()));
        let mut read_bytes = 0;
        let mut run = || {
            while read_bytes < LITTLE_BYTES {
                let Some(piece) = pieces.next() else { return Ok(false) };
                let (place, id, chain) = piece?;
                read_bytes += chain.record().location.raw_bytes;
                chain.read(&mut frame, &mut decoder)?;
                sink(place, frame.payload()).map_err(|source| StoreError::Sink { id, source })?;
            }
            Ok(true)
        };
        let result = run();
        self.own.set(Some((frame, decoder)));
        result
    }
}
