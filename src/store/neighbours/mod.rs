//! Bytes that are nearly all of few neighbouring values, as the exponents of weights are, in Huffman's code.
//!
//! zstd's entropy coder counts all bytes first, and takes them one by one. Where 32 codes suffice, a sample's counts do
//! as well, two bytes are written at once, and up to six are read at once. Bytes of values without a code of their own,
//! the exceptions, share one, and are listed.
//!
//! | bytes | |
//! |---|---|
//! | 1 | the lowest of at most 31 values; 0 follows 255 |
//! | 16 | the length of the code of each in bits, 1 to 9, then of that of the exceptions, then 0: four bits each, of two in a byte the first lower |
//! | 4 | number of exceptions |
//! | 4, three times | length of each lane but the last |
//! | | four lanes |
//! | 1 each | the exceptions in their order |
//!
//! The first lane has a quarter of the bytes, rounded up, so has each of the next while so many are left, and the last
//! has the rest. In a lane code follows code, from the lowest bit of its first byte on; the bits after the last are 0.
//! The codes are canonical: short ones come before long ones, and of one length those of lower values, that of the
//! exceptions last; a code begins with its highest bit.

mod code;
mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub(super) use code::Code;
pub(super) use decode::Decoder;
pub(super) use encode::encode;

/// The most codes that there are, with that of the exceptions.
const CODES: usize = 32;

/// The longest code: six of them and what is left of a byte before fit a word of 64 bits.
const MAX_BITS: u32 = 9;

/// Lanes are read side by side, since in one of them each code has to wait for the length of the one before.
const LANES: usize = 4;

/// Bytes of a code.
const CODE_BYTES: usize = 1 + CODES / 2;

/// Bytes before the lanes.
const HEAD_BYTES: usize = CODE_BYTES + 4 + 4 * (LANES - 1);

/// How many bytes the first lane has.
fn lane_items(bytes: usize) -> usize {
    bytes.div_ceil(LANES).max(1)
}
