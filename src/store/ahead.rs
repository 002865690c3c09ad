//! Threads that read and decode records before their bytes are wanted, and write them where they are wanted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use crate::object::ObjectId;

use super::decode::Decoder;
use super::error::StoreError;
use super::frame::Frame;
use super::record::{Chain, Part};
use super::whole::WholePiece;
use super::workers::{self, Workers};

/// A record, and the object that it belongs to, by its place among those that are read.
pub(super) type Piece = (usize, ObjectId, Chain);

/// Where a piece was written, if it was, and what it gives to the hash of the file.
pub(super) type Written = Option<(u64, WholePiece)>;

/// Gets the pieces in order.
pub(super) type PieceSink<'a> = dyn FnMut(usize, &[u8], Written) -> io::Result<()> + 'a;

/// A piece to be read by its number, and where to write it.
type Job = (u64, Chain, Option<(Arc<Target>, u64)>, Frame);

/// A piece by its number, with its bytes unless there was an error.
type Done = (u64, Frame, Result<Written, StoreError>);

/// A file that pieces are written to.
pub(super) struct Target {
    pub file: File,
    /// Where in it each object begins.
    pub starts: Vec<u64>,
    /// Whether what is written is proved by the hash of the whole file, once that is known, and not by its name.
    pub proved_as_whole: bool,
}

/// The threads.
pub(super) struct Ahead {
    workers: Workers<Job>,
    /// Nothing for a thread that panicked.
    results: Receiver<Option<Done>>,
    free: Vec<Frame>,
    max_frames: usize,
}

impl Ahead {
    pub fn start() -> Ahead {
        let (sender, results) = mpsc::channel();
        let count = workers::count();
        let workers = Workers::start(
            count,
            &sender,
            Decoder::new,
            |decoder, (number, chain, to, mut frame): Job| {
                let to = to.as_ref().map(|(target, at)| (target.as_ref(), *at));
                let result = read_piece(&chain, to, &mut frame, decoder);
                Some(Some((number, frame, result)))
            },
            || None,
        );
        Ahead { workers, results, free: Vec::new(), max_frames: 2 + 2 * count }
    }

    /// Reads pieces on all cores, and passes them to `sink` on this thread, in order.
    pub fn run(
        &mut self,
        pieces: &mut dyn Iterator<Item = Result<Piece, StoreError>>,
        target: Option<&Arc<Target>>,
        sink: &mut PieceSink<'_>,
    ) -> Result<(), StoreError> {
        // Objects of the pieces under way, by the pieces' numbers.
        let mut under_way: BTreeMap<u64, (usize, ObjectId)> = BTreeMap::new();
        let mut ready: BTreeMap<u64, (Frame, Result<Written, StoreError>)> = BTreeMap::new();
        let mut number = 0;
        let mut outcome = Ok(());
        let mut more = true;
        loop {
            while more && outcome.is_ok() && under_way.len() < self.max_frames {
                match pieces.next() {
                    None => more = false,
                    Some(Err(error)) => outcome = Err(error),
                    Some(Ok((place, id, chain))) => {
                        let frame = self.free.pop().unwrap_or_default();
                        let to = target.map(|target| (Arc::clone(target), target.start(place, &chain)));
                        self.workers.submit((number, chain, to, frame));
                        under_way.insert(number, (place, id));
                        number += 1;
                    }
                }
            }
            let Some((first, (place, id))) = under_way.pop_first() else { return outcome };
            while !ready.contains_key(&first) {
                let (number, frame, result) =
                    self.results.recv().ok().flatten().expect("the threads of the store do not panic");
                ready.insert(number, (frame, result));
            }
            let (frame, result) = ready.remove(&first).expect("it was just waited for");
            // After an error what is under way is only waited for.
            if outcome.is_ok() {
                outcome = result.and_then(|written| {
                    sink(place, frame.payload(), written).map_err(|source| StoreError::Sink { id, source })
                });
            }
            self.free.push(frame);
        }
    }
}

/// Reads a piece into `frame`, and writes it where that is wanted.
pub(super) fn read_piece(
    chain: &Chain,
    to: Option<(&Target, u64)>,
    frame: &mut Frame,
    decoder: &mut Decoder,
) -> Result<Written, StoreError> {
    match to {
        None => chain.read(frame, decoder).map(|()| None),
        Some((target, at)) => target.write(chain, at, frame, decoder).map(Some),
    }
}

impl Target {
    /// Where a piece of an object begins in the file.
    pub fn start(&self, place: usize, chain: &Chain) -> u64 {
        let within = match chain.record().part {
            Part::Object => 0,
            Part::Frame { position } => position,
        };
        self.starts[place].saturating_add(within)
    }

    fn write(
        &self,
        chain: &Chain,
        at: u64,
        frame: &mut Frame,
        decoder: &mut Decoder,
    ) -> Result<(u64, WholePiece), StoreError> {
        if self.proved_as_whole {
            chain.read_unproved(frame, decoder)?;
        } else {
            chain.read(frame, decoder)?;
        }
        write_all_at(&self.file, frame.payload(), at)
            .map_err(|source| StoreError::Sink { id: chain.record().id, source })?;
        Ok((at, WholePiece::at(at, frame.payload())))
    }
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}
