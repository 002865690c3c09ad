//! Deflated bytes as the stream that they inflate to.

use std::io::{self, Read};

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// Inflates a stream, and keeps the CRC-32 of what came out.
pub(super) struct Inflated<R> {
    source: R,
    state: Box<InflateState>,
    buffer: Vec<u8>,
    /// What of the buffer was not inflated yet.
    from: usize,
    to: usize,
    ended: bool,
    crc: crc32fast::Hasher,
}

impl<R: Read> Inflated<R> {
    /// Inflates from the start of `source`, which has no header of its own.
    pub fn new(source: R) -> Inflated<R> {
        Inflated {
            source,
            state: InflateState::new_boxed(DataFormat::Raw),
            buffer: vec![0; BUFFER_BYTES],
            from: 0,
            to: 0,
            ended: false,
            crc: crc32fast::Hasher::new(),
        }
    }

    /// Inflates so many bytes for nothing but the CRC-32.
    pub fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.by_ref().take(bytes), &mut io::sink())?;
        if skipped == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Makes sure that nothing is left, and returns the CRC-32 of all that came out.
    pub fn finish(mut self) -> io::Result<u32> {
        if self.read(&mut [0])? > 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it inflates to more than it says"));
        }
        Ok(self.crc.finalize())
    }
}

impl<R: Read> Read for Inflated<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !out.is_empty() {
            if self.from == self.to {
                self.to = self.source.read(&mut self.buffer)?;
                self.from = 0;
            }
            let result = inflate(&mut self.state, &self.buffer[self.from..self.to], out, MZFlush::None);
            self.from += result.bytes_consumed;
            match result.status {
                Ok(MZStatus::StreamEnd) => self.ended = true,
                Ok(_) => {}
                // No progress is no fault while there is more to read.
                Err(miniz_oxide::MZError::Buf) if self.from == self.to => {}
                Err(_) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "its deflated bytes are not sound",
                    ));
                }
            }
            if result.bytes_written > 0 {
                self.crc.update(&out[..result.bytes_written]);
                return Ok(result.bytes_written);
            }
            if !self.ended && self.to == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_deflated_comes_out_with_its_checksum() {
        let bytes: Vec<u8> = (0..300_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let deflated = miniz_oxide::deflate::compress_to_vec(&bytes, 6);
        let mut inflated = Inflated::new(deflated.as_slice());
        inflated.skip(1000).unwrap();
        let mut out = Vec::new();
        inflated.read_to_end(&mut out).unwrap();
        assert!(out == bytes[1000..]);
        assert_eq!(inflated.finish().unwrap(), crc32fast::hash(&bytes));
    }

    #[test]
    fn a_cut_stream_is_refused() {
        let deflated = miniz_oxide::deflate::compress_to_vec(&[7; 5000], 6);
        let mut out = Vec::new();
        let cut = &deflated[..deflated.len() - 3];
        assert!(Inflated::new(cut).read_to_end(&mut out).is_err());
    }
}
