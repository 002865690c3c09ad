//! The buffers that carry records through the pipelines.

use std::sync::{Mutex, PoisonError};

use super::layout::RECORD_BYTES;
use super::tree::FRAME_BYTES;

/// Room for a whole frame in any stored form: what describes it in the longest one has less than this.
const ROOM_BYTES: usize = FRAME_BYTES as usize + (4 << 10);

/// Buffers for as little as this are as long as they need to be.
const SMALL_BYTES: usize = 64 << 10;

/// Up to one frame of bytes, with room before them for a record's header, so that both go to the disk
/// and come from it in one call.
#[derive(Debug, Default)]
pub(super) struct Frame {
    bytes: Vec<u8>,
    payload_bytes: usize,
}

impl Frame {
    /// Makes the payload this long. What it then holds is unspecified.
    pub fn set_len(&mut self, payload_bytes: usize) {
        let bytes = RECORD_BYTES + payload_bytes;
        // Never shortened: growing again would clear the bytes again. Of the room that a large one gets, the system
        // gives only what is used.
        if self.bytes.len() < bytes {
            self.bytes = vec![0; if payload_bytes > SMALL_BYTES { bytes.max(ROOM_BYTES) } else { bytes }];
        }
        self.payload_bytes = payload_bytes;
    }

    pub fn payload(&self) -> &[u8] {
        &self.bytes[RECORD_BYTES..RECORD_BYTES + self.payload_bytes]
    }

    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[RECORD_BYTES..RECORD_BYTES + self.payload_bytes]
    }

    pub fn header(&self) -> &[u8; RECORD_BYTES] {
        self.bytes.first_chunk().expect("room was made for the header")
    }

    pub fn header_mut(&mut self) -> &mut [u8; RECORD_BYTES] {
        self.bytes.first_chunk_mut().expect("room was made for the header")
    }

    /// Header and payload.
    pub fn record(&self) -> &[u8] {
        &self.bytes[..RECORD_BYTES + self.payload_bytes]
    }

    /// Header and payload.
    pub fn record_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..RECORD_BYTES + self.payload_bytes]
    }
}

/// Buffers that nobody uses.
///
/// The one that was used last is taken first: the processor still has it at hand, and to fill another would take the
/// memory's time.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<Frame>>);

impl Pool {
    /// A buffer, a new one if none is there.
    pub fn take(&self) -> Frame {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Gives a buffer back. One that is longer than any frame is not kept.
    pub fn give(&self, frame: Frame) {
        if frame.bytes.len() <= RECORD_BYTES + ROOM_BYTES {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_that_was_used_last_comes_first() {
        let pool = Pool::default();
        for bytes in [1, 2, FRAME_BYTES as usize, 2 * FRAME_BYTES as usize] {
            let mut frame = Frame::default();
            frame.set_len(bytes);
            pool.give(frame);
        }
        // The one that is longer than a frame is gone.
        let lengths: Vec<usize> = (0..4).map(|_| pool.take().payload_bytes).collect();
        assert_eq!(lengths, [FRAME_BYTES as usize, 2, 1, 0]);
    }
}
