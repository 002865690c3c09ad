//! From bytes to codes.

use memchr::memchr_iter;
use multiversion::multiversion;

use super::code::Code;
use super::{CODE_BYTES, CODES, HEAD_BYTES, LANES, lane_items};

/// Bytes that are written in one go: a whole number of words of six codes.
pub(super) const BLOCK_BYTES: usize = 6 * 128;

/// Writes the form of `bytes` to `out`, and tells how long it is; `None` where there is no room for it.
pub fn encode(code: &Code, bytes: &[u8], out: &mut [u8]) -> Option<usize> {
    let codes = code.codes();
    // Without a code there is no entry, and no place has it.
    let entry = |code: u32, length: u8| {
        u64::from(code).wrapping_shl(u64::BITS - u32::from(length)) | u64::from(length)
    };
    let singles: [u64; CODES] = std::array::from_fn(|place| entry(codes[place], code.lengths[place]));
    let pairs: [u64; CODES * CODES] = std::array::from_fn(|pair| {
        let (first, second) = (pair % CODES, pair / CODES);
        let bits = codes[first] | codes[second] << code.lengths[first];
        entry(bits, code.lengths[first] + code.lengths[second])
    });
    let mut exceptions = Vec::new();
    let mut lane_bytes = [0; LANES];
    let mut at = HEAD_BYTES;
    for (lane, length) in bytes.chunks(lane_items(bytes.len())).zip(&mut lane_bytes) {
        let start = at;
        let mut bits = Bits::default();
        for block in lane.chunks(BLOCK_BYTES) {
            let mut places = [0; BLOCK_BYTES];
            let is_exception = places_of(code, block, &mut places);
            let places = &places[..block.len()];
            if is_exception {
                exceptions.extend(memchr_iter(code.values, places).map(|place| block[place]));
            }
            if let Ok(places) = places.try_into() {
                let room = out.get_mut(at..)?.first_chunk_mut()?;
                at += write_block(&pairs, &pack(places), &mut bits, room);
            } else {
                for place in places {
                    bits.push(singles[usize::from(*place)]);
                    let room = out.get_mut(at..)?.first_chunk_mut()?;
                    at += bits.write(room);
                }
            }
        }
        at += bits.end(out.get_mut(at..)?.first_chunk_mut()?);
        *length = at - start;
    }
    out.get_mut(at..)?.get_mut(..exceptions.len())?.copy_from_slice(&exceptions);
    let (code_bytes, fields) = out[..HEAD_BYTES].split_at_mut(CODE_BYTES);
    code_bytes.copy_from_slice(&code.to_bytes());
    for (field, number) in fields.chunks_mut(4).zip(std::iter::once(exceptions.len()).chain(lane_bytes)) {
        field.copy_from_slice(&(number as u32).to_le_bytes());
    }
    Some(at + exceptions.len())
}

/// Writes the place of each byte's code. Says whether one is that of the exceptions.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512vbmi", "x86_64+avx2"))]
fn places_of(code: &Code, bytes: &[u8], places: &mut [u8; BLOCK_BYTES]) -> bool {
    let Code { lowest, values, .. } = *code;
    let mut highest = 0;
    for (place, byte) in places.iter_mut().zip(bytes) {
        *place = byte.wrapping_sub(lowest).min(values);
        highest = highest.max(*place);
    }
    highest == values
}

/// Bits of a place.
const PLACE_BITS: u32 = CODES.ilog2();

/// Places two by two, the first lower.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512vbmi", "x86_64+avx2"))]
fn pack(places: &[u8; BLOCK_BYTES]) -> [u16; BLOCK_BYTES / 2] {
    let mut pairs = [0; BLOCK_BYTES / 2];
    for (pair, places) in pairs.iter_mut().zip(places.as_chunks::<2>().0) {
        let places = u16::from_le_bytes(*places);
        *pair = places & 0xff | places >> 8 << PLACE_BITS;
    }
    pairs
}

/// Room for the longest codes of a block, a power of two, and for what the last word writes beyond them.
pub(super) const BLOCK_ROOM: usize = 1024;

/// Writes the codes of a block's pairs, and tells how many whole bytes these are.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2"))]
fn write_block(
    entries: &[u64; CODES * CODES],
    pairs: &[u16; BLOCK_BYTES / 2],
    bits: &mut Bits,
    out: &mut [u8; BLOCK_ROOM + 8],
) -> usize {
    let mut at = 0;
    let mut own = *bits;
    for three in pairs.as_chunks::<3>().0 {
        for pair in three {
            own.push(entries[usize::from(*pair) % (CODES * CODES)]);
        }
        let room = out[at % BLOCK_ROOM..].first_chunk_mut().expect("the room goes on for a word");
        at += own.write(room);
    }
    *bits = own;
    at
}

/// Bits on their way to bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Bits {
    /// The last bit is the highest. What is below the first means nothing.
    word: u64,
    count: u8,
}

impl Bits {
    /// Appends the highest bits of an entry, as many as its lowest byte says.
    #[inline(always)]
    fn push(&mut self, entry: u64) {
        self.word = self.word.wrapping_shr(entry as u32) | entry & !0xff;
        self.count = self.count.wrapping_add(entry as u8);
    }

    /// Writes all bits, keeps those of the last byte if it is not whole, and tells how many bytes are.
    #[inline(always)]
    fn write(&mut self, out: &mut [u8; 8]) -> usize {
        // At least one bit is there: something was pushed.
        *out = self.word.wrapping_shr(u64::BITS - u32::from(self.count)).to_le_bytes();
        let whole = self.count / 8;
        self.count %= 8;
        usize::from(whole)
    }

    /// Writes the last byte if there is one, and tells how many bytes that are.
    fn end(self, out: &mut [u8; 1]) -> usize {
        if self.count == 0 {
            return 0;
        }
        *out = [(self.word >> (u64::BITS - u32::from(self.count))) as u8];
        1
    }
}
