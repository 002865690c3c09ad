//! Eight bytes in a step, for processors with SSSE3, which shuffles bytes.

use std::arch::x86_64::*;

use bytemuck::cast;

use super::{SLACK_BYTES, Side, words};

/// Bytes that are compared in a step.
const BYTES: usize = 16;

#[target_feature(enable = "ssse3,popcnt")]
pub fn compare(bytes: &[u8], least: u8, bits: &mut [u8]) -> usize {
    let least = _mm_set1_epi8(least.cast_signed());
    let compare = |bytes: &[u8; BYTES]| {
        let bytes = cast(*bytes);
        _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(bytes, least), bytes)) as u16
    };
    let count = bytes.len() - SLACK_BYTES;
    let (masks, last) = bits.split_at_mut(count / BYTES * 2);
    let (vectors, _) = bytes.as_chunks();
    let mut set = 0;
    for (mask, vector) in masks.as_chunks_mut().0.iter_mut().zip(vectors) {
        let found = compare(vector);
        set += found.count_ones();
        *mask = found.to_le_bytes();
    }
    let found = compare(&vectors[count / BYTES]) & ((1 << (count % BYTES)) - 1);
    last.copy_from_slice(&found.to_le_bytes()[..last.len()]);
    (set + found.count_ones()) as usize
}

#[target_feature(enable = "ssse3,popcnt")]
pub fn pick(bytes: &[u8], bits: &[u8], is_set: bool, out: &mut [u8]) {
    let gather = |word: u64, mask: u8| shuffle(word, 0, PICKED[usize::from(mask)]);
    words::pick_by(gather, bytes, bits, is_set, out);
}

#[target_feature(enable = "ssse3,popcnt")]
pub fn merge(bits: &[u8], left: Side<'_>, right: Side<'_>, out: &mut [u8]) {
    let next = |side, at| match side {
        Side::Byte(byte) => u64::from_ne_bytes([byte; 8]),
        Side::Sequence(bytes) => words::next(bytes, at),
    };
    let merge =
        |mask: u8, lefts, rights| shuffle(next(left, lefts), next(right, rights), MERGED[usize::from(mask)]);
    words::merge_by(merge, bits, out);
}

/// The bytes of two words at these eight places.
#[inline]
#[target_feature(enable = "ssse3,popcnt")]
fn shuffle(first: u64, second: u64, places: u64) -> u64 {
    let bytes = _mm_set_epi64x(second.cast_signed(), first.cast_signed());
    _mm_cvtsi128_si64(_mm_shuffle_epi8(bytes, _mm_cvtsi64_si128(places.cast_signed()))).cast_unsigned()
}

/// For each mask where in a word the bytes are whose bit is set, one after the other.
static PICKED: [u64; 256] = {
    let mut all = [0; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut place, mut set) = (0, 0);
        while place < 8 {
            if mask >> place & 1 == 1 {
                all[mask] |= place << (8 * set);
                set += 1;
            }
            place += 1;
        }
        mask += 1;
    }
    all
};

/// For each mask where the byte of each place is: one after the other in the first word, and where the bit is set in the
/// second.
static MERGED: [u64; 256] = {
    let mut all = [0; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut place, mut set) = (0, 0);
        while place < 8 {
            let bit = (mask >> place & 1) as u64;
            let from = if bit == 1 { 8 + set } else { place - set };
            all[mask] |= from << (8 * place);
            set += bit;
            place += 1;
        }
        mask += 1;
    }
    all
};
