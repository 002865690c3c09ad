//! The threads of a writer, which name and encode frames.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};

use crate::object::ObjectId;

use super::append::Stored;
use super::codec::{Codec, Compression, Hint};
use super::decode::Decoder;
use super::delta::Head;
use super::encode::{Base, Encoder};
use super::frame::{Frame, Pool};
use super::record::{Chain, Part, read_exact_at};
use super::tree::Namer;
use super::workers::{self, Workers};

/// What a thread is to do.
pub(super) enum Job {
    /// Finds out what a frame is called.
    Name { sequence: u64, part: Part, source: Source },
    /// Turns a frame into its stored form.
    Encode {
        sequence: u64,
        id: ObjectId,
        part: Part,
        hint: Hint,
        /// What it may be a difference to.
        base: Option<PossibleBase>,
        frame: Frame,
    },
}

/// Where the bytes of a frame are.
pub(super) enum Source {
    Here(Frame),
    /// In a file, from `offset` on.
    File {
        file: Arc<File>,
        offset: u64,
        bytes: u64,
    },
}

/// So much of a file is read before it is hashed: what comes from there is then still near the processor.
const READ_BYTES: usize = 128 << 10;

/// What a frame may be stored as a difference to.
pub(super) struct PossibleBase {
    /// The record, to be read.
    pub chain: Chain,
    /// What the stored form is to say of it.
    pub head: Head,
    /// Where to say that it does not pay.
    pub hopeless: Arc<AtomicBool>,
}

/// What the threads say.
pub(super) enum Event {
    /// A frame was encoded; with what it became a difference to.
    Encoded(Stored, Option<Head>),
    /// A frame was named; its number is the one that it was submitted with.
    Named(u64, Named),
    /// The bytes of a frame cannot be read.
    Unread(io::Error),
    /// A thread panicked.
    Panicked,
}

/// A frame with its name.
pub(super) struct Named {
    pub id: ObjectId,
    pub part: Part,
    pub crc: crc32fast::Hasher,
    pub frame: Frame,
}

impl Named {
    /// Finds out what a frame is called. What is in a file is read to a buffer of the pool.
    pub fn of(part: Part, source: Source, pool: &Pool) -> io::Result<Named> {
        let (mut frame, from) = match source {
            Source::Here(frame) => (frame, None),
            Source::File { file, offset, bytes } => {
                let mut frame = pool.take();
                frame.set_len(bytes as usize);
                (frame, Some((file, offset)))
            }
        };
        let bytes = frame.payload_mut();
        let mut namer =
            Namer::new(part, bytes.len() as u64).expect("frames lie at multiples of their length");
        let mut crc = crc32fast::Hasher::new();
        for (number, bytes) in bytes.chunks_mut(READ_BYTES).enumerate() {
            if let Some((file, offset)) = &from {
                read_exact_at(file, bytes, offset + (number * READ_BYTES) as u64)?;
            }
            namer.update(bytes);
            crc.update(bytes);
        }
        Ok(Named { id: namer.finish(), part, crc, frame })
    }
}

/// The threads of a writer.
pub(super) struct Pipeline {
    workers: Workers<Job>,
    pub events: Receiver<Event>,
    /// The number that the next record gets.
    sequence: u64,
    /// Frames that are on their way.
    pub frames: usize,
    pub max_frames: usize,
}

/// What each thread has for itself.
struct State {
    encoder: Encoder,
    decoder: Decoder,
    base: Frame,
    pool: Arc<Pool>,
}

impl Pipeline {
    pub fn start(compression: Compression, pool: &Arc<Pool>) -> Pipeline {
        let (sender, events) = mpsc::channel();
        let pool = Arc::clone(pool);
        let workers = Workers::start(
            &sender,
            move || State {
                encoder: Encoder::new(compression),
                decoder: Decoder::new(),
                base: Frame::default(),
                pool: Arc::clone(&pool),
            },
            run_job,
            || Event::Panicked,
        );
        // For each worker one frame at hand and one waiting, before and after the index is asked.
        let max_frames = 4 + 4 * workers::count();
        Pipeline { workers, events, sequence: 0, frames: 0, max_frames }
    }

    pub fn submit(&self, job: Job) {
        self.workers.submit(job);
    }

    pub fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence - 1
    }

    /// What the threads say next. Until they say something, this one does what they do.
    pub fn next_event(&mut self) -> Event {
        self.workers.next_result(&self.events).expect("there are threads as long as there is a pipeline")
    }
}

fn run_job(state: &mut State, job: Job) -> Event {
    match job {
        Job::Name { sequence, part, source } => Named::of(part, source, &state.pool)
            .map_or_else(Event::Unread, |named| Event::Named(sequence, named)),
        Job::Encode { sequence, id, part, hint, base, mut frame } => {
            let raw_bytes = frame.payload().len() as u64;
            let head = base.as_ref().map(|base| base.head);
            let codec = encode(state, &mut frame, hint, base);
            let stored = Stored { sequence, id, part, raw_bytes, codec, frame };
            Event::Encoded(stored, head.filter(|_| codec == Codec::Delta))
        }
    }
}

fn encode(state: &mut State, frame: &mut Frame, hint: Hint, base: Option<PossibleBase>) -> Codec {
    let Some(PossibleBase { chain, head, hopeless }) =
        base.filter(|base| !base.hopeless.load(Ordering::Relaxed))
    else {
        return state.encoder.encode(frame, hint, None);
    };
    // What is damaged is no base: a difference to it could not be undone.
    if chain.read(&mut state.base, &mut state.decoder).is_err() {
        return state.encoder.encode(frame, hint, None);
    }
    let base = Base { bytes: state.base.payload(), head };
    let codec = state.encoder.encode(frame, hint, Some(base));
    if codec != Codec::Delta {
        hopeless.store(true, Ordering::Relaxed);
    }
    codec
}
