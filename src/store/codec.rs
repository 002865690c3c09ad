//! How the bytes of a record are stored.

use crate::object::ObjectId;

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
    /// Differences to the numbers of another record, as planes.
    Delta,
}

impl Codec {
    /// The number that stands for this codec in packs; never reused.
    pub fn number(self) -> u8 {
        match self {
            Codec::Raw => 0,
            Codec::Zstd => 1,
            Codec::Frames => 2,
            Codec::Planes => 3,
            Codec::Delta => 4,
        }
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Raw => "raw",
            Codec::Zstd => "zstd",
            Codec::Frames => "frames",
            Codec::Planes => "planes",
            Codec::Delta => "delta",
        }
    }

    /// The codec with this number.
    pub fn from_number(number: u8) -> Option<Codec> {
        match number {
            0 => Some(Codec::Raw),
            1 => Some(Codec::Zstd),
            2 => Some(Codec::Frames),
            3 => Some(Codec::Planes),
            4 => Some(Codec::Delta),
            _ => None,
        }
    }

    /// Whether a record of this codec can have these lengths.
    pub(super) fn allows(self, stored_bytes: u64, raw_bytes: u64) -> bool {
        match self {
            Codec::Raw => stored_bytes == raw_bytes && raw_bytes <= MAX_FRAME_BYTES,
            Codec::Zstd | Codec::Planes | Codec::Delta => {
                stored_bytes < raw_bytes && raw_bytes <= MAX_FRAME_BYTES
            }
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
    /// An object of the same length that is much alike: the same tensor before a training step.
    pub base: Option<ObjectId>,
}

impl Hint {
    /// The hint for numbers of this many bytes, from the first byte on.
    pub fn items(item_bytes: u64) -> Hint {
        Hint { item_bytes: u8::try_from(item_bytes).unwrap_or(0), base: None }
    }

    /// The same, with something that the bytes are much like.
    #[must_use]
    pub fn like(self, base: Option<ObjectId>) -> Hint {
        Hint { base, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_no_writer_makes_are_not_allowed() {
        let most = MAX_FRAME_BYTES;
        for (codec, stored, raw, allowed) in [
            (Codec::Raw, 0, 0, true),
            (Codec::Raw, most, most, true),
            (Codec::Raw, most + 1, most + 1, false),
            (Codec::Raw, 5, 6, false),
            (Codec::Zstd, 5, 6, true),
            (Codec::Zstd, 6, 6, false),
            (Codec::Planes, 6, most, true),
            (Codec::Planes, 6, most + 1, false),
            (Codec::Frames, MAX_LIST_BYTES, u64::MAX, true),
            (Codec::Frames, MAX_LIST_BYTES + 1, u64::MAX, false),
        ] {
            assert_eq!(codec.allows(stored, raw), allowed, "{codec:?} {stored} of {raw}");
        }
    }

    #[test]
    fn numbers_lead_back_to_the_codec() {
        let known: Vec<Codec> = (0..=255).filter_map(Codec::from_number).collect();
        assert_eq!(known.len(), 5);
        assert!(known.iter().all(|codec| Codec::from_number(codec.number()) == Some(*codec)));
    }
}
