//! How the bytes of a record are stored, and when compressing them pays.

use zstd::bulk::{Compressor, Decompressor};

use super::error::Damage;
use super::frame::Frame;
use super::layout::MAX_FRAME_BYTES;

/// How a record's bytes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// As they are.
    Raw,
    /// Compressed with zstd.
    Zstd,
    /// Not at all: the names of the frames of a large object are.
    Frames,
}

impl Codec {
    /// The number that stands for this codec in packs; never reused.
    pub fn number(self) -> u8 {
        match self {
            Codec::Raw => 0,
            Codec::Zstd => 1,
            Codec::Frames => 2,
        }
    }

    /// The codec with this number.
    pub fn from_number(number: u8) -> Option<Codec> {
        match number {
            0 => Some(Codec::Raw),
            1 => Some(Codec::Zstd),
            2 => Some(Codec::Frames),
            _ => None,
        }
    }

    /// Whether a record of this codec can have these lengths.
    pub(super) fn allows(self, stored_bytes: u64, raw_bytes: u64) -> bool {
        match self {
            Codec::Raw => stored_bytes == raw_bytes && raw_bytes <= MAX_FRAME_BYTES,
            Codec::Zstd => stored_bytes < raw_bytes && raw_bytes <= MAX_FRAME_BYTES,
            Codec::Frames => stored_bytes <= super::list::MAX_LIST_BYTES,
        }
    }
}

/// How much work compression is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Everything is stored as it is.
    None,
    /// What a sample says shrinks is compressed quickly.
    #[default]
    Auto,
    /// Everything that shrinks is compressed slowly.
    Max,
}

impl Compression {
    fn level(self) -> i32 {
        match self {
            Compression::None | Compression::Auto => 1,
            Compression::Max => 15,
        }
    }
}

/// What the caller knows of some bytes. It decides nothing but how they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hint {
    /// Length of one number in bytes, for bytes that are numbers side by side; otherwise 0.
    pub item_bytes: u8,
}

/// Records shorter than this are not worth a compressor's call.
const MIN_BYTES: usize = 64;
/// Above this a sample decides first.
const SAMPLED_BYTES: usize = 64 << 10;
/// A sample is this many slices, evenly spread.
const SAMPLE_SLICES: usize = 8;
/// Length of one slice of a sample.
const SLICE_BYTES: usize = 4 << 10;

/// Turns bytes into their stored form.
pub(super) struct Encoder {
    compression: Compression,
    zstd: Compressor<'static>,
    sample: Vec<u8>,
    scratch: Vec<u8>,
}

impl Encoder {
    pub fn new(compression: Compression) -> Encoder {
        let zstd = Compressor::new(compression.level()).expect("zstd knows the levels given here");
        Encoder { compression, zstd, sample: Vec::new(), scratch: Vec::new() }
    }

    /// Replaces the payload by its stored form and tells how that is made.
    pub fn encode(&mut self, frame: &mut Frame, _hint: Hint) -> Codec {
        let worthwhile = match self.compression {
            Compression::None => false,
            Compression::Auto => self.sample_shrinks(frame.payload()),
            Compression::Max => true,
        };
        if !worthwhile || frame.payload().len() < MIN_BYTES {
            return Codec::Raw;
        }
        // Room for less than the raw form: where zstd does not get below, it fails, and raw is better.
        let limit = worthwhile_bytes(frame.payload().len());
        self.scratch.resize(self.scratch.len().max(limit), 0);
        match self.zstd.compress_to_buffer(frame.payload(), &mut self.scratch[..limit]) {
            Ok(stored) => {
                frame.set_len(stored);
                frame.payload_mut().copy_from_slice(&self.scratch[..stored]);
                Codec::Zstd
            }
            Err(_) => Codec::Raw,
        }
    }

    fn sample_shrinks(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() <= SAMPLED_BYTES {
            return true;
        }
        self.sample.clear();
        for slice in 0..SAMPLE_SLICES {
            let start = (bytes.len() - SLICE_BYTES) / (SAMPLE_SLICES - 1) * slice;
            self.sample.extend_from_slice(&bytes[start..start + SLICE_BYTES]);
        }
        let limit = worthwhile_bytes(self.sample.len());
        self.scratch.resize(self.scratch.len().max(limit), 0);
        self.zstd.compress_to_buffer(&self.sample, &mut self.scratch[..limit]).is_ok()
    }
}

/// The most that a compressed form may have: a tenth less, which is what reading it back costs.
fn worthwhile_bytes(raw_bytes: usize) -> usize {
    raw_bytes - raw_bytes.div_ceil(10)
}

/// Turns stored forms back.
pub(super) struct Decoder {
    zstd: Decompressor<'static>,
    /// Holds a stored form while it is decoded.
    pub stored: Frame,
}

impl Decoder {
    pub fn new() -> Decoder {
        let zstd = Decompressor::new().expect("zstd makes a context while there is memory");
        Decoder { zstd, stored: Frame::default() }
    }

    /// Decodes [`stored`](Decoder::stored) into `raw`, which it must fill exactly.
    pub fn decode(&mut self, codec: Codec, raw: &mut [u8]) -> Result<(), Damage> {
        match codec {
            Codec::Raw if self.stored.payload().len() == raw.len() => {
                raw.copy_from_slice(self.stored.payload());
                Ok(())
            }
            Codec::Zstd => match self.zstd.decompress_to_buffer(self.stored.payload(), raw) {
                Ok(bytes) if bytes == raw.len() => Ok(()),
                _ => Err(Damage::Decode),
            },
            Codec::Raw => Err(Damage::Lengths),
            Codec::Frames => Err(Damage::Kind),
        }
    }
}
