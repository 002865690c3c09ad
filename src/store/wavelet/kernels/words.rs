//! Eight bytes in a step, for any processor.

use super::{SLACK_BYTES, Side};

#[inline(always)]
pub fn look_up(bytes: &[u8], table: &[u8; 256], out: &mut [u8]) {
    for (out, byte) in out.iter_mut().zip(bytes) {
        *out = table[usize::from(*byte)];
    }
}

#[inline(always)]
pub fn compare(bytes: &[u8], least: u8, bits: &mut [u8]) -> usize {
    const HIGHEST: u64 = 0x8080_8080_8080_8080;
    /// Multiplied with this, the lowest bits of all bytes come together in the highest byte.
    const TOGETHER: u64 = 0x0102_0408_1020_4080;
    let least = u64::from_ne_bytes([least; 8]);
    let count = bytes.len() - SLACK_BYTES;
    let compare = |word: &[u8; 8]| {
        // The highest bit is left where it was not borrowed from.
        let not_less = ((u64::from_le_bytes(*word) | HIGHEST) - least) & HIGHEST;
        ((not_less >> 7).wrapping_mul(TOGETHER) >> 56) as u8
    };
    let (masks, last) = bits.split_at_mut(count / 8);
    let (words, _) = bytes.as_chunks();
    let mut set = 0;
    for (mask, word) in masks.iter_mut().zip(words) {
        *mask = compare(word);
        set += mask.count_ones();
    }
    if let [last] = last {
        *last = compare(&words[count / 8]) & ((1 << (count % 8)) - 1);
        set += last.count_ones();
    }
    set as usize
}

#[inline(always)]
pub fn pick(bytes: &[u8], bits: &[u8], is_set: bool, out: &mut [u8]) {
    pick_by(gather, bytes, bits, is_set, out);
}

/// As [`pick`], where `gather` puts the bytes of a word whose bit is set together.
#[inline(always)]
pub fn pick_by(gather: impl Fn(u64, u8) -> u64, bytes: &[u8], bits: &[u8], is_set: bool, out: &mut [u8]) {
    let flip = if is_set { 0 } else { u8::MAX };
    let mut at = 0;
    for (word, bits) in bytes.as_chunks().0.iter().zip(bits) {
        let mask = bits ^ flip;
        let picked = gather(u64::from_le_bytes(*word), mask);
        *out[at..].first_chunk_mut().expect("sequences have slack") = picked.to_le_bytes();
        at += mask.count_ones() as usize;
    }
}

#[inline(always)]
pub fn merge(bits: &[u8], left: Side<'_>, right: Side<'_>, out: &mut [u8]) {
    let side = |side, at, mask| match side {
        Side::Byte(byte) => u64::from_ne_bytes([byte; 8]) & MASKS[usize::from(mask)],
        Side::Sequence(bytes) => scatter(next(bytes, at), mask),
    };
    merge_by(|mask, lefts, rights| side(left, lefts, !mask) | side(right, rights, mask), bits, out);
}

/// As [`merge`], where `merge` puts the next bytes of both sides together: it gets the bits, and how many bytes came from
/// the left and from the right before.
#[inline(always)]
pub fn merge_by(merge: impl Fn(u8, usize, usize) -> u64, bits: &[u8], out: &mut [u8]) {
    let (outs, last) = out.as_chunks_mut();
    let (mut lefts, mut rights) = (0, 0);
    for (mask, out) in bits.iter().zip(&mut *outs) {
        *out = merge(*mask, lefts, rights).to_le_bytes();
        let set = mask.count_ones() as usize;
        (lefts, rights) = (lefts + 8 - set, rights + set);
    }
    if !last.is_empty() {
        let all = merge(bits[outs.len()], lefts, rights).to_le_bytes();
        last.copy_from_slice(&all[..last.len()]);
    }
}

/// Eight bytes of a sequence.
#[inline(always)]
pub fn next(sequence: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*sequence[at..].first_chunk().expect("sequences have slack"))
}

/// For each mask a word in which all bits are set of each byte whose bit is set.
static MASKS: [u64; 256] = {
    let mut masks = [0; 256];
    let mut mask = 0;
    while mask < 256 {
        let mut place = 0;
        while place < 8 {
            if mask >> place & 1 == 1 {
                masks[mask] |= 0xff << (8 * place);
            }
            place += 1;
        }
        mask += 1;
    }
    masks
};

/// For each mask which bytes of a word move down by one place, which then by two, and which then by four, until those
/// whose bit is set are together.
static MOVES: [[u64; 3]; 256] = {
    let mut moves = [[0; 3]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut place, mut gaps) = (0, 0);
        while place < 8 {
            if mask >> place & 1 == 0 {
                gaps += 1;
            } else {
                let (mut at, mut step) = (place, 0);
                while step < 3 {
                    if gaps >> step & 1 == 1 {
                        moves[mask][step] |= 0xff << (8 * at);
                        at -= 1 << step;
                    }
                    step += 1;
                }
            }
            place += 1;
        }
        mask += 1;
    }
    moves
};

/// Puts the bytes whose bit is set together (Warren, *Hacker's Delight*, 7-4).
#[inline(always)]
fn gather(word: u64, mask: u8) -> u64 {
    let mut word = word & MASKS[usize::from(mask)];
    for (step, moves) in MOVES[usize::from(mask)].iter().enumerate() {
        let moving = word & moves;
        word = word ^ moving | moving >> (8 << step);
    }
    word
}

/// Brings one byte after the other to where a bit is set (Warren, *Hacker's Delight*, 7-5).
#[inline(always)]
fn scatter(word: u64, mask: u8) -> u64 {
    let mut word = word;
    for (step, moves) in MOVES[usize::from(mask)].iter().enumerate().rev() {
        word = word & !moves | word << (8 << step) & moves;
    }
    word & MASKS[usize::from(mask)]
}
