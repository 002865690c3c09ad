//! Storing objects in a new pack.
//!
//! The caller's thread reads, asks the index and counts; workers hash and compress; one thread appends.
//! Every buffer comes from one bounded pool, which bounds the memory whatever the objects' sizes.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use crate::object::{Locate, Location, ObjectId, PackId};

use super::Store;
use super::append::{self, Stored, UnnamedPack};
use super::codec::{Codec, Compression, Hint};
use super::encode::Encoder;
use super::error::StoreError;
use super::frame::Frame;
use super::list::{FrameList, MAX_FRAMES};
use super::reader::Reader;
use super::record::{Part, Record};
use super::tree::{self, FRAME_BYTES};
use super::workers::{self, Workers};

/// Stores objects in a new pack. Nothing is there before [`finish`](Writer::finish); dropped before, it
/// leaves nothing behind.
pub struct Writer<'a> {
    store: &'a Store,
    index: &'a dyn Locate,
    compression: Compression,
    sync: bool,
    /// Records of this pack.
    known: HashSet<ObjectId>,
    counts: Counts,
    pipeline: Option<Pipeline>,
    free: Vec<Frame>,
    /// Frames of the object at hand that have been named, and wait for earlier ones.
    named: BTreeMap<u64, (ObjectId, Frame)>,
    /// Names of the first frames of the object at hand.
    names: Vec<ObjectId>,
    /// Tells frames of the object at hand from those of one that failed before.
    object: u64,
    hint: Hint,
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

/// The threads of a writer.
struct Pipeline {
    workers: Workers<Job>,
    appender: JoinHandle<Result<Option<UnnamedPack>, StoreError>>,
    abandoned: Arc<AtomicBool>,
    events: Receiver<Event>,
    /// The number that the next record gets.
    sequence: u64,
    /// Buffers that exist, here or on their way.
    frames: usize,
    max_frames: usize,
}

enum Job {
    Name { object: u64, number: u64, position: u64, frame: Frame },
    Encode { sequence: u64, id: ObjectId, part: Part, hint: Hint, frame: Frame },
    Pass(Stored),
}

enum Event {
    Named { object: u64, number: u64, id: ObjectId, frame: Frame },
    Free(Frame),
    Failed,
    Panicked,
}

impl<'a> Writer<'a> {
    pub(super) fn new(store: &'a Store, index: &'a dyn Locate) -> Writer<'a> {
        Writer {
            store,
            index,
            compression: Compression::default(),
            sync: true,
            known: HashSet::new(),
            counts: Counts::default(),
            pipeline: None,
            free: Vec::new(),
            named: BTreeMap::new(),
            names: Vec::new(),
            object: 0,
            hint: Hint::default(),
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
        self.put_stream(&mut source, bytes.len() as u64, hint, &mut |_| ())
    }

    /// Stores an object of `bytes` bytes, read from `source`.
    ///
    /// `tap` sees all bytes in order, in pieces of at most [`FRAME_BYTES`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Source`] if the source fails or ends early, [`StoreError::TooLong`] above 4 TiB,
    /// [`StoreError::Write`] if the pack cannot be
    /// written (seen at this object or a later one), [`StoreError::Locate`]. After the first the writer can go
    /// on with other objects; frames that came in before it stay in the pack as garbage.
    pub fn put_stream(
        &mut self,
        source: &mut dyn Read,
        bytes: u64,
        hint: Hint,
        tap: &mut dyn FnMut(&[u8]),
    ) -> Result<ObjectId, StoreError> {
        self.refuse_if_failed()?;
        self.object += 1;
        self.hint = hint;
        self.names.clear();
        self.free.extend(std::mem::take(&mut self.named).into_values().map(|(_, frame)| frame));
        if bytes <= FRAME_BYTES {
            let frame = self.read_frame(source, bytes, tap)?;
            let id = ObjectId::of(frame.payload());
            self.keep(id, Part::Object, frame)?;
            return Ok(id);
        }
        let frames = bytes.div_ceil(FRAME_BYTES);
        if frames > MAX_FRAMES {
            return Err(StoreError::TooLong { bytes, limit: MAX_FRAMES * FRAME_BYTES });
        }
        for number in 0..frames {
            let position = number * FRAME_BYTES;
            let frame = self.read_frame(source, FRAME_BYTES.min(bytes - position), tap)?;
            let object = self.object;
            self.pipeline().workers.submit(Job::Name { object, number, position, frame });
        }
        while (self.names.len() as u64) < frames {
            self.wait()?;
        }
        let frames = std::mem::take(&mut self.names);
        let id = tree::root(&frames).expect("a longer object has at least two frames");
        let list = FrameList { frame_bytes: FRAME_BYTES, object_bytes: bytes, frames };
        self.keep_list(id, &list)?;
        Ok(id)
    }

    /// Takes a record over from another pack as it is stored, after proving it. Says whether it was new.
    ///
    /// Nobody asks whether it is stored elsewhere: the purpose is that the other pack can be removed.
    ///
    /// # Errors
    ///
    /// As [`Reader::read`] and [`put_stream`](Writer::put_stream).
    pub fn copy_record(&mut self, from: &Reader<'_>, id: &ObjectId) -> Result<bool, StoreError> {
        if self.known.contains(id) {
            return Ok(false);
        }
        self.refuse_if_failed()?;
        let mut frame = self.take_frame()?;
        let (Record { part, location, .. }, codec) = match from.read_stored(id, &mut frame) {
            Ok(found) => found,
            Err(error) => {
                self.free.push(frame);
                return Err(error);
            }
        };
        self.known.insert(*id);
        let pipeline = self.pipeline();
        let sequence = pipeline.next_sequence();
        let stored = Stored { sequence, id: *id, part, raw_bytes: location.raw_bytes, codec, frame };
        pipeline.workers.submit(Job::Pass(stored));
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
        match self.pipeline.take().map_or(Ok(None), Pipeline::close)? {
            Some(pack) => pack.finish(self.store, self.sync).map(Some),
            None => Ok(None),
        }
    }

    /// A frame with the next bytes of the source.
    fn read_frame(
        &mut self,
        source: &mut dyn Read,
        bytes: u64,
        tap: &mut dyn FnMut(&[u8]),
    ) -> Result<Frame, StoreError> {
        let mut frame = self.take_frame()?;
        frame.set_len(bytes as usize);
        if let Err(error) = source.read_exact(frame.payload_mut()) {
            self.free.push(frame);
            return Err(StoreError::Source(error));
        }
        tap(frame.payload());
        Ok(frame)
    }

    /// Puts a named frame on its way, unless its bytes are stored already.
    fn keep(&mut self, id: ObjectId, part: Part, frame: Frame) -> Result<(), StoreError> {
        let bytes = frame.payload().len() as u64;
        match self.is_stored(&id) {
            Ok(false) => {}
            found => {
                self.free.push(frame);
                self.counts.reused_bytes += if found? { bytes } else { 0 };
                return Ok(());
            }
        }
        self.counts.new_bytes += bytes;
        self.known.insert(id);
        let hint = self.hint;
        let pipeline = self.pipeline();
        let sequence = pipeline.next_sequence();
        pipeline.workers.submit(Job::Encode { sequence, id, part, hint, frame });
        Ok(())
    }

    fn keep_list(&mut self, id: ObjectId, list: &FrameList) -> Result<(), StoreError> {
        if self.is_stored(&id)? {
            return Ok(());
        }
        // Lists are rare and may be longer than a frame: they do not come from the pool.
        let mut frame = Frame::default();
        let bytes = list.to_bytes();
        frame.set_len(bytes.len());
        frame.payload_mut().copy_from_slice(&bytes);
        self.known.insert(id);
        let pipeline = self.pipeline();
        let sequence = pipeline.next_sequence();
        pipeline.frames += 1;
        let codec = Codec::Frames;
        let stored = Stored { sequence, id, part: Part::Object, raw_bytes: list.object_bytes, codec, frame };
        pipeline.workers.submit(Job::Pass(stored));
        Ok(())
    }

    fn refuse_if_failed(&self) -> Result<(), StoreError> {
        if self.failed { Err(StoreError::GivenUp) } else { Ok(()) }
    }

    fn is_stored(&self, id: &ObjectId) -> Result<bool, StoreError> {
        Ok(self.known.contains(id) || self.index.locate(id)?.is_some())
    }

    /// A buffer from the pool, when need be after waiting for one.
    fn take_frame(&mut self) -> Result<Frame, StoreError> {
        while let Some(event) = self.pipeline.as_ref().and_then(|pipeline| pipeline.events.try_recv().ok()) {
            self.handle(event)?;
        }
        loop {
            if let Some(frame) = self.free.pop() {
                return Ok(frame);
            }
            let pipeline = self.pipeline();
            if pipeline.frames < pipeline.max_frames {
                pipeline.frames += 1;
                return Ok(Frame::default());
            }
            self.wait()?;
        }
    }

    fn wait(&mut self) -> Result<(), StoreError> {
        let event = self.pipeline().events.recv();
        self.handle(event.expect("the appender says that it ends before it does"))
    }

    fn handle(&mut self, event: Event) -> Result<(), StoreError> {
        match event {
            Event::Free(frame) => self.recycle(frame),
            Event::Named { object, frame, .. } if object != self.object => self.recycle(frame),
            Event::Named { number, id, frame, .. } => {
                self.named.insert(number, (id, frame));
                // In the order of the object, so that the same input makes the same pack.
                while let Some((id, frame)) = self.named.remove(&(self.names.len() as u64)) {
                    let position = self.names.len() as u64 * FRAME_BYTES;
                    self.names.push(id);
                    self.keep(id, Part::Frame { position }, frame)?;
                }
            }
            Event::Failed => {
                self.failed = true;
                let pipeline = self.pipeline.take().expect("events come from a pipeline");
                pipeline.close()?;
            }
            Event::Panicked => panic!("a thread of the store panicked"),
        }
        Ok(())
    }

    fn recycle(&mut self, frame: Frame) {
        let pipeline = self.pipeline();
        if pipeline.frames > pipeline.max_frames {
            pipeline.frames -= 1;
        } else {
            self.free.push(frame);
        }
    }

    fn pipeline(&mut self) -> &mut Pipeline {
        self.pipeline.get_or_insert_with(|| Pipeline::start(self.store, self.compression))
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if let Some(pipeline) = self.pipeline.take() {
            pipeline.abandoned.store(true, Ordering::Relaxed);
            // The pack is dropped, and its file with it.
            let _ = pipeline.close();
        }
    }
}

impl Pipeline {
    fn start(store: &Store, compression: Compression) -> Pipeline {
        let (sender, events) = mpsc::channel();
        let (append, queue) = mpsc::channel();
        let abandoned = Arc::new(AtomicBool::new(false));
        let appender = spawn_appender(store, queue, Arc::clone(&abandoned), sender.clone());
        let count = workers::count();
        let workers = Workers::start(
            count,
            &sender,
            move || Encoder::new(compression),
            move |encoder, job| run_job(encoder, job, &append),
            || Event::Panicked,
        );
        // For each worker one frame at hand and one waiting, before and after the index is asked.
        Pipeline { workers, appender, abandoned, events, sequence: 0, frames: 0, max_frames: 4 + 4 * count }
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence - 1
    }

    /// Lets the threads do what is queued, and ends them.
    fn close(self) -> Result<Option<UnnamedPack>, StoreError> {
        // The workers hold the appender's queue open.
        drop(self.workers);
        self.appender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn run_job(encoder: &mut Encoder, job: Job, append: &Sender<Stored>) -> Option<Event> {
    let stored = match job {
        Job::Name { object, number, position, frame } => {
            let id = tree::name(Part::Frame { position }, frame.payload())
                .expect("frames lie at multiples of their length");
            return Some(Event::Named { object, number, id, frame });
        }
        Job::Encode { sequence, id, part, hint, mut frame } => {
            let raw_bytes = frame.payload().len() as u64;
            let codec = encoder.encode(&mut frame, hint);
            Stored { sequence, id, part, raw_bytes, codec, frame }
        }
        Job::Pass(stored) => stored,
    };
    let _ = append.send(stored);
    None
}

fn spawn_appender(
    store: &Store,
    queue: Receiver<Stored>,
    abandoned: Arc<AtomicBool>,
    events: Sender<Event>,
) -> JoinHandle<Result<Option<UnnamedPack>, StoreError>> {
    /// Wakes the writer, which else might wait for ever, when the thread ends.
    struct Farewell(Sender<Event>);
    impl Drop for Farewell {
        fn drop(&mut self) {
            let _ = self.0.send(Event::Failed);
        }
    }

    let directory = store.packs.clone();
    thread::spawn(move || {
        let farewell = Farewell(events);
        // A writer that has gone needs no frames.
        let send = |event| drop(farewell.0.send(event));
        append::run(&directory, &queue, &abandoned, &|frame| send(Event::Free(frame)), &|| {
            send(Event::Failed)
        })
    })
}
