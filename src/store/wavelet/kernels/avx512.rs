//! 64 bytes in a step, for processors with AVX-512 and its VBMI2, which spreads and gathers bytes by a mask.

use std::arch::x86_64::*;

use bytemuck::cast;

use super::{SLACK_BYTES, Side};

/// Bytes of a vector.
const BYTES: usize = 64;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
pub fn look_up(bytes: &[u8], table: &[u8; 256], out: &mut [u8]) {
    let quarters: [__m512i; 4] = cast(*table);
    let (vectors, rest) = bytes.as_chunks::<BYTES>();
    let (outs, last) = out.split_at_mut(vectors.len() * BYTES);
    for (out, bytes) in outs.as_chunks_mut::<BYTES>().0.iter_mut().zip(vectors) {
        let bytes = cast(*bytes);
        let lower = _mm512_permutex2var_epi8(quarters[0], bytes, quarters[1]);
        let upper = _mm512_permutex2var_epi8(quarters[2], bytes, quarters[3]);
        *out = cast(_mm512_mask_mov_epi8(lower, _mm512_movepi8_mask(bytes), upper));
    }
    super::words::look_up(rest, table, last);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
pub fn compare(bytes: &[u8], least: u8, bits: &mut [u8]) -> usize {
    let least = _mm512_set1_epi8(least.cast_signed());
    let count = bytes.len() - SLACK_BYTES;
    let (words, last) = bits.split_at_mut(count / BYTES * 8);
    let mut set = 0;
    for (number, word) in words.as_chunks_mut().0.iter_mut().enumerate() {
        let mask = _mm512_cmpge_epu8_mask(load(bytes, number * BYTES), least);
        set += mask.count_ones();
        *word = mask.to_le_bytes();
    }
    let mask = _mm512_cmpge_epu8_mask(load(bytes, count - count % BYTES), least);
    let mask = mask & ((1 << (count % BYTES)) - 1);
    last.copy_from_slice(&mask.to_le_bytes()[..last.len()]);
    (set + mask.count_ones()) as usize
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
pub fn pick(bytes: &[u8], bits: &[u8], is_set: bool, out: &mut [u8]) {
    let flip = if is_set { 0 } else { u64::MAX };
    let (words, last) = bits.as_chunks::<8>();
    let mut at = 0;
    for (number, word) in words.iter().enumerate() {
        at += pick_vector(load(bytes, number * BYTES), u64::from_le_bytes(*word) ^ flip, &mut out[at..]);
    }
    if !last.is_empty() {
        pick_vector(load(bytes, words.len() * BYTES), word(last) ^ flip, &mut out[at..]);
    }
}

/// Writes those bytes whose bit is set, and tells how many these are.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
fn pick_vector(bytes: __m512i, mask: u64, out: &mut [u8]) -> usize {
    let room = out.first_chunk_mut::<BYTES>().expect("sequences have slack");
    *room = cast(_mm512_maskz_compress_epi8(mask, bytes));
    mask.count_ones() as usize
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
pub fn merge(bits: &[u8], left: Side<'_>, right: Side<'_>, out: &mut [u8]) {
    let (outs, last) = out.as_chunks_mut::<BYTES>();
    let (words, rest) = bits.split_at(outs.len() * 8);
    let (mut lefts, mut rights) = (0, 0);
    for (word, out) in words.as_chunks().0.iter().zip(outs) {
        let mask = u64::from_le_bytes(*word);
        *out = merge_vector(mask, (left, lefts), (right, rights));
        let set = mask.count_ones() as usize;
        (lefts, rights) = (lefts + BYTES - set, rights + set);
    }
    if !last.is_empty() {
        let all = merge_vector(word(rest), (left, lefts), (right, rights));
        last.copy_from_slice(&all[..last.len()]);
    }
}

/// Puts the next bytes of both sides together.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
fn merge_vector(mask: u64, left: (Side<'_>, usize), right: (Side<'_>, usize)) -> [u8; BYTES] {
    let lefts = match left {
        (Side::Byte(byte), _) => _mm512_set1_epi8(byte.cast_signed()),
        (Side::Sequence(bytes), at) => _mm512_maskz_expand_epi8(!mask, load(bytes, at)),
    };
    cast(match right {
        (Side::Byte(byte), _) => _mm512_mask_mov_epi8(lefts, mask, _mm512_set1_epi8(byte.cast_signed())),
        (Side::Sequence(bytes), at) => _mm512_mask_expand_epi8(lefts, mask, load(bytes, at)),
    })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
fn load(bytes: &[u8], at: usize) -> __m512i {
    cast(*bytes[at..].first_chunk::<BYTES>().expect("sequences have slack"))
}

/// Up to eight bytes as a word, zeros above them.
#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}
