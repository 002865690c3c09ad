//! Storing objects in a new pack.
//!
//! The caller's thread asks the index, counts and appends; others read, hash and compress, and it helps them while it waits.
//! Every buffer comes from one bounded pool, which bounds the memory whatever the objects' sizes. Objects
//! follow each other through the pipeline without waiting: what an object is called is known when it has
//! come through.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::object::{Locate, Location, ObjectId, PackId};

use super::Store;
use super::append::{Appender, Stored};
use super::codec::{Codec, Compression, Hint};
use super::delta::{Head, MAX_DEPTH};
use super::error::StoreError;
use super::frame::{Frame, Pool};
use super::list::{FrameList, MAX_FRAMES};
use super::pipeline::{Event, Job, Named, Pipeline, PossibleBase, Source};
use super::reader::{Like, Reader};
use super::record::{Chain, Part, Record};
use super::tree::{self, FRAME_BYTES};

/// Stores objects in a new pack. Nothing is there before [`finish`](Writer::finish); dropped before, it
/// leaves nothing behind.
pub struct Writer<'a> {
    store: &'a Store,
    index: &'a dyn Locate,
    /// Finds what new objects may be differences to.
    bases: Reader<'a>,
    compression: Compression,
    sync: bool,
    /// Whether all that is wanted are names.
    names_only: bool,
    /// What the records of packs that take the place of others became; `None` where nothing takes a place.
    links: Option<Links>,
    /// Frames that are being encoded.
    encoding: usize,
    /// Records of this pack.
    known: HashSet<ObjectId>,
    counts: Counts,
    pipeline: Option<Pipeline>,
    appender: Option<Appender>,
    pool: Arc<Pool>,
    /// Frames that have been named, and wait for earlier ones.
    named: BTreeMap<u64, Named>,
    /// The number of the next frame to be named, and of the next to be handled.
    submitted: u64,
    handled: u64,
    /// Objects that are on their way, oldest first.
    under_way: VecDeque<Object>,
    /// Objects that have come through since somebody asked.
    done: Vec<Put>,
    /// Whether the pack could not be written.
    failed: bool,
}

/// What a [`Writer`] has taken so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Bytes of objects that were not stored before.
    pub new_bytes: u64,
    /// Bytes of objects that were stored before, or came twice.
    pub reused_bytes: u64,
}

/// A pack that is on disk under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedPack {
    /// Its name.
    pub id: PackId,
    /// Length of its file.
    pub bytes: u64,
    /// Its records, sorted by name.
    pub records: Vec<(ObjectId, Location)>,
}

/// An object that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// Its name.
    pub id: ObjectId,
    /// Its length in bytes.
    pub bytes: u64,
    /// CRC-32 of its bytes (the zip polynomial).
    pub crc32: u32,
}

/// An object that is on its way.
struct Object {
    bytes: u64,
    /// How many frames it has; one for an object that is not split.
    frames: u64,
    names: Vec<ObjectId>,
    crc: crc32fast::Hasher,
    hint: Hint,
    like: Option<Arc<Like>>,
    /// Set once a frame was not worth storing as a difference.
    hopeless: Arc<AtomicBool>,
    /// Its source failed: what came in is garbage.
    given_up: bool,
}

/// Where the bytes of an object come from.
enum Origin<'o> {
    Stream(&'o mut dyn Read),
    File { file: &'o Arc<File>, offset: u64, taken: &'o mut dyn FnMut(u64) },
}

/// What the records of new packs became, which no index finds yet: which are differences, and to what.
#[derive(Debug, Default)]
pub struct Links(HashMap<ObjectId, Option<Head>>);

impl Links {
    /// What a record may say of this base, if the chain stays short enough; else of the one at the chain's end.
    fn head(&self, mut base: ObjectId) -> Option<Head> {
        let depth = self.0.get(&base)?.map_or(0, |head| head.depth) + 1;
        if depth <= MAX_DEPTH {
            return Some(Head { depth, base });
        }
        // Depths fall: this ends.
        while let Some(head) = self.0.get(&base)? {
            base = head.base;
        }
        Some(Head { depth: 1, base })
    }
}

/// Frames of at most so many bytes are named by the caller's thread.
const SMALL_BYTES: u64 = 8 << 10;

/// Names that are looked up at once.
const LOOKUPS: usize = 256;

impl<'a> Writer<'a> {
    pub(super) fn new(store: &'a Store, index: &'a dyn Locate) -> Writer<'a> {
        Writer {
            store,
            index,
            bases: store.reader(index),
            compression: Compression::default(),
            sync: store.sync,
            names_only: false,
            links: None,
            encoding: 0,
            known: HashSet::new(),
            counts: Counts::default(),
            pipeline: None,
            appender: None,
            pool: Arc::default(),
            named: BTreeMap::new(),
            submitted: 0,
            handled: 0,
            under_way: VecDeque::new(),
            done: Vec::new(),
            failed: false,
        }
    }

    /// Compresses so much; to be said before the first object.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Leaves it to the system when the pack reaches the disk. A power loss may then damage it although
    /// it was finished.
    #[must_use]
    pub fn without_sync(mut self) -> Self {
        self.sync = false;
        self
    }

    /// Finds out what objects are called and stores none. [`finish`](Writer::finish) then returns `None`.
    #[must_use]
    pub fn without_storing(mut self) -> Self {
        self.names_only = true;
        self
    }

    /// Stores what comes even where the index finds it: the new packs are to take the place of all others.
    ///
    /// `links` is what an earlier writer for the same place became, see [`into_links`](Writer::into_links).
    /// Objects that are bases of others come first, and are [settled](Writer::settle) before.
    #[must_use]
    pub fn anew(mut self, links: Links) -> Self {
        self.links = Some(links);
        self
    }

    /// Ends the pack as [`finish`](Writer::finish) does, and tells what its records became.
    ///
    /// # Errors
    ///
    /// As [`finish`](Writer::finish).
    pub fn into_links(mut self) -> Result<(Option<FinishedPack>, Links), StoreError> {
        self.wait_for_all()?;
        let links = self.links.take().unwrap_or_default();
        Ok((self.finish()?, links))
    }

    /// Whether a record of this name is in the new packs.
    pub fn contains_anew(&self, id: &ObjectId) -> bool {
        self.known.contains(id) || self.links.as_ref().is_some_and(|links| links.0.contains_key(id))
    }

    /// What has been taken so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether this writer has taken a record of this name itself.
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.known.contains(id)
    }

    /// Stores an object from memory.
    ///
    /// # Errors
    ///
    /// As [`put_stream`](Writer::put_stream).
    pub fn put(&mut self, bytes: &[u8], hint: Hint) -> Result<ObjectId, StoreError> {
        let mut source = bytes;
        Ok(self.put_stream(&mut source, bytes.len() as u64, hint)?.id)
    }

    /// Stores an object of `bytes` bytes, read from `source`, and waits for its name.
    ///
    /// # Errors
    ///
    /// As [`enqueue`](Writer::enqueue) and [`settle`](Writer::settle).
    pub fn put_stream(&mut self, source: &mut dyn Read, bytes: u64, hint: Hint) -> Result<Put, StoreError> {
        self.enqueue(source, bytes, hint)?;
        self.wait_for_all()?;
        // Objects that were queued before stay for whoever asks for them.
        Ok(self.done.pop().expect("the object that was queued last came through last"))
    }

    /// Queues an object of `bytes` bytes, read from `source`. What it is called comes from
    /// [`settle`](Writer::settle).
    ///
    /// # Errors
    ///
    /// [`StoreError::Source`] if the source fails or ends early, [`StoreError::TooLong`] above 4 TiB,
    /// [`StoreError::Write`] if the pack cannot be
    /// written (seen at this object or a later one), [`StoreError::Locate`]. After the first the writer can go
    /// on with other objects; frames that came in before it stay in the pack as garbage.
    pub fn enqueue(&mut self, source: &mut dyn Read, bytes: u64, hint: Hint) -> Result<(), StoreError> {
        self.take_in(Origin::Stream(source), bytes, hint)
    }

    /// As [`enqueue`](Writer::enqueue), of an object that lies in a file from `offset` on: it is read on all cores.
    /// `taken` gets the length of each piece that is on its way.
    ///
    /// # Errors
    ///
    /// As [`enqueue`](Writer::enqueue), but if the file cannot be read the writer cannot go on, and a later call may
    /// be the one that says so.
    pub fn enqueue_from(
        &mut self,
        (file, offset): (&Arc<File>, u64),
        bytes: u64,
        hint: Hint,
        taken: &mut dyn FnMut(u64),
    ) -> Result<(), StoreError> {
        self.take_in(Origin::File { file, offset, taken }, bytes, hint)
    }

    fn take_in(&mut self, mut origin: Origin<'_>, bytes: u64, hint: Hint) -> Result<(), StoreError> {
        self.refuse_if_failed()?;
        let frames = bytes.div_ceil(FRAME_BYTES).max(1);
        if frames > MAX_FRAMES {
            return Err(StoreError::TooLong { bytes, limit: MAX_FRAMES * FRAME_BYTES });
        }
        self.under_way.push_back(Object {
            bytes,
            frames,
            names: Vec::new(),
            crc: crc32fast::Hasher::new(),
            hint,
            like: self.like(hint),
            hopeless: Arc::default(),
            given_up: false,
        });
        for number in 0..frames {
            let position = number * FRAME_BYTES;
            let length = FRAME_BYTES.min(bytes - position);
            let part = if frames == 1 { Part::Object } else { Part::Frame { position } };
            self.wait_for_room()?;
            let source = match &mut origin {
                Origin::Stream(source) => {
                    let mut frame = self.pool.take();
                    frame.set_len(length as usize);
                    if let Err(error) = source.read_exact(frame.payload_mut()) {
                        self.recycle(frame);
                        self.give_up_last(number)?;
                        return Err(StoreError::Source(error));
                    }
                    Source::Here(frame)
                }
                Origin::File { file, offset, taken } => {
                    taken(length);
                    Source::File { file: Arc::clone(file), offset: *offset + position, bytes: length }
                }
            };
            let sequence = self.submitted;
            self.submitted += 1;
            if length <= SMALL_BYTES {
                // To hash it takes less time than to hand it to a thread and wait.
                let named = Named::of(part, source, &self.pool).map_err(|error| self.unread(error))?;
                self.named.insert(sequence, named);
                self.handle_named()?;
            } else {
                self.pipeline().submit(Job::Name { sequence, part, source });
            }
        }
        Ok(())
    }

    /// Waits for the objects that were queued, and returns what they are, in order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`], [`StoreError::Locate`].
    pub fn settle(&mut self) -> Result<Vec<Put>, StoreError> {
        self.wait_for_all()?;
        Ok(std::mem::take(&mut self.done))
    }

    /// Takes a record over from another pack as it is stored, after proving it. Says whether it was new.
    ///
    /// Nobody asks whether it is stored elsewhere: the purpose is that the other pack can be removed.
    ///
    /// # Errors
    ///
    /// As [`Reader::read`] and [`put_stream`](Writer::put_stream).
    pub fn copy_record(&mut self, from: &Reader<'_>, id: &ObjectId) -> Result<bool, StoreError> {
        if self.contains_anew(id) {
            return Ok(false);
        }
        self.refuse_if_failed()?;
        self.wait_for_room()?;
        let mut frame = self.pool.take();
        let (Record { part, location, .. }, codec) = match from.read_stored(id, &mut frame) {
            Ok(found) => found,
            Err(error) => {
                self.recycle(frame);
                return Err(error);
            }
        };
        self.known.insert(*id);
        let pipeline = self.pipeline();
        let sequence = pipeline.next_sequence();
        let stored = Stored { sequence, id: *id, part, raw_bytes: location.raw_bytes, codec, frame };
        self.append(stored)?;
        Ok(true)
    }

    /// Ends the pack, syncs it and gives it its name. `None` if nothing was new.
    ///
    /// The pack is then on disk, and nothing refers to it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`]; nothing is then left behind.
    pub fn finish(mut self) -> Result<Option<FinishedPack>, StoreError> {
        self.refuse_if_failed()?;
        self.wait_for_all()?;
        while self.encoding > 0 {
            self.handle_events(true)?;
        }
        // The threads end before the pack is synced.
        self.pipeline = None;
        self.appender.take().map_or(Ok(None), |appender| appender.finish(self.store))
    }

    /// Ends the object whose source failed after so many frames.
    fn give_up_last(&mut self, frames: u64) -> Result<(), StoreError> {
        if frames == 0 {
            self.under_way.pop_back();
        } else if let Some(object) = self.under_way.back_mut() {
            object.frames = frames;
            object.given_up = true;
        }
        self.close_finished()
    }

    /// What an object may be stored as a difference to, if that is there and sound.
    fn like(&self, hint: Hint) -> Option<Arc<Like>> {
        if self.compression == Compression::None || self.names_only {
            return None;
        }
        // Without it the object is stored by itself: no reason to fail.
        self.bases.like(hint.base?).ok().map(Arc::new)
    }

    /// Goes on with the frames whose turn it is, so many at once as have been named.
    ///
    /// They are taken in the order in which they came in, so that the same input makes the same pack.
    fn handle_named(&mut self) -> Result<(), StoreError> {
        let result = self.handle_ready();
        if result.is_err() {
            // What was at hand is lost, and with it the order.
            self.give_up();
        }
        result
    }

    fn handle_ready(&mut self) -> Result<(), StoreError> {
        loop {
            let mut ready = Vec::new();
            while ready.len() < LOOKUPS
                && let Some(named) = self.named.remove(&self.handled)
            {
                self.handled += 1;
                ready.push(named);
            }
            if ready.is_empty() {
                return Ok(());
            }
            let asks = !self.names_only && self.links.is_none();
            let is_asked = |id: &ObjectId| asks && !self.known.contains(id);
            let asked: Vec<ObjectId> = ready.iter().map(|named| named.id).filter(is_asked).collect();
            let found = self.index.locate_many(&asked)?;
            let stored: HashSet<ObjectId> =
                asked.into_iter().zip(found).filter_map(|(id, found)| found.map(|_| id)).collect();
            for named in ready {
                self.handle_one(named, &stored)?;
            }
        }
    }

    fn handle_one(&mut self, named: Named, stored: &HashSet<ObjectId>) -> Result<(), StoreError> {
        let Named { id, part, crc, frame } = named;
        let bytes = frame.payload().len() as u64;
        let is_stored = self.names_only || self.contains_anew(&id) || stored.contains(&id);
        let Some(object) = self.under_way.front_mut() else {
            unreachable!("a frame that was named belongs to the oldest object under way")
        };
        object.names.push(id);
        object.crc.combine(&crc);
        let hint = object.hint;
        let mut base = None;
        if is_stored {
            self.counts.reused_bytes += bytes;
            self.recycle(frame);
        } else {
            if let Some(like) = object.like.as_ref().filter(|_| !object.hopeless.load(Ordering::Relaxed)) {
                let found = possible_base(&self.bases, self.links.as_ref(), like, part, bytes);
                let hopeless = Arc::clone(&object.hopeless);
                base = found.map(|(chain, head)| PossibleBase { chain, head, hopeless });
            }
            self.encoding += 1;
            self.counts.new_bytes += bytes;
            self.known.insert(id);
            let pipeline = self.pipeline();
            let sequence = pipeline.next_sequence();
            pipeline.submit(Job::Encode { sequence, id, part, hint, base, frame });
        }
        self.close_finished()
    }

    /// Takes what has come through whole from the front of the queue.
    fn close_finished(&mut self) -> Result<(), StoreError> {
        while let Some(object) = self.under_way.pop_front_if(|first| first.names.len() as u64 == first.frames)
        {
            if !object.given_up {
                self.close_object(object)?;
            }
        }
        Ok(())
    }

    fn close_object(&mut self, object: Object) -> Result<(), StoreError> {
        let Object { bytes, names, crc, .. } = object;
        let id = match names.as_slice() {
            [id] => *id,
            names => tree::root(names).expect("an object that is split has at least two frames"),
        };
        if names.len() > 1 {
            let list = FrameList { frame_bytes: FRAME_BYTES, object_bytes: bytes, frames: names };
            self.keep_list(id, &list)?;
        }
        self.done.push(Put { id, bytes, crc32: crc.finalize() });
        Ok(())
    }

    fn keep_list(&mut self, id: ObjectId, list: &FrameList) -> Result<(), StoreError> {
        let stored = self.links.is_none() && self.index.locate(&id)?.is_some();
        if self.names_only || self.contains_anew(&id) || stored {
            return Ok(());
        }
        // Nothing is waited for here: two frames at least, which were waited for, come before a list.
        let mut frame = self.pool.take();
        let bytes = list.to_bytes();
        frame.set_len(bytes.len());
        frame.payload_mut().copy_from_slice(&bytes);
        self.known.insert(id);
        let pipeline = self.pipeline();
        let sequence = pipeline.next_sequence();
        pipeline.frames += 1;
        let codec = Codec::Frames;
        let stored = Stored { sequence, id, part: Part::Object, raw_bytes: list.object_bytes, codec, frame };
        self.append(stored)
    }

    fn refuse_if_failed(&self) -> Result<(), StoreError> {
        if self.failed { Err(StoreError::GivenUp) } else { Ok(()) }
    }

    /// Counts one more frame on its way, when need be after waiting for one to come through.
    fn wait_for_room(&mut self) -> Result<(), StoreError> {
        self.handle_events(false)?;
        loop {
            let pipeline = self.pipeline();
            if pipeline.frames < pipeline.max_frames {
                pipeline.frames += 1;
                return Ok(());
            }
            self.handle_events(true)?;
        }
    }

    fn wait_for_all(&mut self) -> Result<(), StoreError> {
        let tells = self.links.is_some();
        while !self.under_way.is_empty() || (tells && self.encoding > 0) {
            self.refuse_if_failed()?;
            self.handle_events(true)?;
        }
        Ok(())
    }

    /// Handles what the threads have said; when `wait`, at least one thing.
    fn handle_events(&mut self, wait: bool) -> Result<(), StoreError> {
        let Some(pipeline) = &mut self.pipeline else { return Ok(()) };
        let mut next = wait.then(|| pipeline.next_event());
        loop {
            match next.take() {
                None => {}
                Some(Event::Encoded(stored, head)) => {
                    self.encoding -= 1;
                    if let Some(Links(links)) = &mut self.links {
                        links.insert(stored.id, head);
                    }
                    self.append(stored)?;
                }
                Some(Event::Named(sequence, named)) => drop(self.named.insert(sequence, named)),
                Some(Event::Unread(error)) => return Err(self.unread(error)),
                Some(Event::Panicked) => panic!("a thread of the store panicked"),
            }
            let Some(pipeline) = &self.pipeline else { return Ok(()) };
            match pipeline.events.try_recv() {
                Ok(event) => next = Some(event),
                Err(_) => break,
            }
        }
        self.handle_named()
    }

    /// Gives up, since a file that was promised cannot be read.
    fn unread(&mut self, error: io::Error) -> StoreError {
        self.give_up();
        StoreError::Source(error)
    }

    /// Appends a record to the pack when its turn has come.
    fn append(&mut self, stored: Stored) -> Result<(), StoreError> {
        let (pool, pipeline) = (&self.pool, self.pipeline.as_mut().expect("a record comes from a pipeline"));
        let mut recycle = |frame| {
            pool.give(frame);
            pipeline.frames -= 1;
        };
        let appender = self.appender.get_or_insert_with(|| Appender::new(&self.store.packs, self.sync));
        let result = appender.take(stored, &mut recycle);
        if result.is_err() {
            self.give_up();
        }
        result
    }

    /// Ends the threads. The pack is dropped, and its file with it.
    fn give_up(&mut self) {
        self.failed = true;
        self.pipeline = None;
        self.appender = None;
    }

    /// Takes a frame that goes no further.
    fn recycle(&mut self, frame: Frame) {
        self.pool.give(frame);
        self.pipeline().frames -= 1;
    }

    fn pipeline(&mut self) -> &mut Pipeline {
        self.pipeline.get_or_insert_with(|| Pipeline::start(self.compression, &self.pool))
    }
}

/// What a frame may be a difference to: the record to read, and what to say of it.
fn possible_base(
    bases: &Reader<'_>,
    links: Option<&Links>,
    like: &Like,
    part: Part,
    bytes: u64,
) -> Option<(Chain, Head)> {
    let record = bases.base(like, part, bytes).ok()??;
    let Some(links) = links else {
        let chain = bases.short_chain(record).ok()?;
        let head = Head { depth: chain.depth() as u8 + 1, base: chain.record().id };
        return Some((chain, head));
    };
    // The bytes come from where they are; how deep they will lie is known from the new packs alone.
    let head = links.head(record.id)?;
    let chain = bases.chain_of(head.base, part).ok()?;
    Some((chain, head))
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}
