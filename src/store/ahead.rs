//! Threads that read and decode records before their bytes are wanted.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{self, Receiver};

use crate::object::ObjectId;

use super::decode::Decoder;
use super::error::StoreError;
use super::frame::Frame;
use super::record::Chain;
use super::workers::{self, Workers};

/// A record, and the object that it belongs to, by its place among those that are read.
pub(super) type Piece = (usize, ObjectId, Chain);

/// Gets the pieces in order, each with the place of its object.
pub(super) type PieceSink<'a> = dyn FnMut(usize, &[u8]) -> io::Result<()> + 'a;

/// A piece to be read by its number.
type Job = (u64, Chain, Frame);

/// A piece by its number, with its bytes unless there was an error.
type Done = (u64, Frame, Result<(), StoreError>);

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
        let workers = Workers::start(
            &sender,
            Decoder::new,
            |decoder, (number, chain, mut frame): Job| {
                let result = chain.read(&mut frame, decoder);
                Some((number, frame, result))
            },
            || None,
        );
        Ahead { workers, results, free: Vec::new(), max_frames: 2 + 2 * workers::count() }
    }

    /// Reads pieces on all cores, and passes them to `sink` on this thread, in order.
    pub fn run(
        &mut self,
        pieces: &mut dyn Iterator<Item = Result<Piece, StoreError>>,
        sink: &mut PieceSink<'_>,
    ) -> Result<(), StoreError> {
        // Objects of the pieces under way, by the pieces' numbers.
        let mut under_way: BTreeMap<u64, (usize, ObjectId)> = BTreeMap::new();
        let mut ready: BTreeMap<u64, (Frame, Result<(), StoreError>)> = BTreeMap::new();
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
                        self.workers.submit((number, chain, frame));
                        under_way.insert(number, (place, id));
                        number += 1;
                    }
                }
            }
            let Some((first, (place, id))) = under_way.pop_first() else { return outcome };
            while !ready.contains_key(&first) {
                let done = self.workers.next_result(&self.results).ok().flatten();
                let (number, frame, result) = done.expect("the threads of the store do not panic");
                ready.insert(number, (frame, result));
            }
            let (frame, result) = ready.remove(&first).expect("it was just waited for");
            // After an error what is under way is only waited for.
            if outcome.is_ok() {
                outcome = result.and_then(|()| {
                    sink(place, frame.payload()).map_err(|source| StoreError::Sink { id, source })
                });
            }
            self.free.push(frame);
        }
    }
}
