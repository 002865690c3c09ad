//! How the bytes of a record are stored.

use super::layout::MAX_FRAME_BYTES;
use super::list::MAX_LIST_BYTES;

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
    /// Split into planes of equal significance, each raw or compressed with zstd.
    Planes,
}

impl Codec {
    /// The number that stands for this codec in packs; never reused.
    pub fn number(self) -> u8 {
        match self {
            Codec::Raw => 0,
            Codec::Zstd => 1,
            Codec::Frames => 2,
            Codec::Planes => 3,
        }
    }

    /// The codec with this number.
    pub fn from_number(number: u8) -> Option<Codec> {
        match number {
            0 => Some(Codec::Raw),
            1 => Some(Codec::Zstd),
            2 => Some(Codec::Frames),
            3 => Some(Codec::Planes),
            _ => None,
        }
    }

    /// Whether a record of this codec can have these lengths.
    pub(super) fn allows(self, stored_bytes: u64, raw_bytes: u64) -> bool {
        match self {
            Codec::Raw => stored_bytes == raw_bytes && raw_bytes <= MAX_FRAME_BYTES,
            Codec::Zstd | Codec::Planes => stored_bytes < raw_bytes && raw_bytes <= MAX_FRAME_BYTES,
            Codec::Frames => stored_bytes <= MAX_LIST_BYTES,
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

/// What the caller knows of some bytes. It decides nothing but how they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hint {
    /// Length in bytes of the numbers that the bytes are, from the first byte on; 0 for other bytes.
    ///
    /// A complex number is two numbers.
    pub item_bytes: u8,
}

impl Hint {
    /// The hint for numbers of this many bytes, from the first byte on.
    pub fn items(item_bytes: u64) -> Hint {
        Hint { item_bytes: u8::try_from(item_bytes).unwrap_or(0) }
    }
}
