//! The work at one node: bits and bytes, many at once.
//!
//! Processors with AVX-512 take 64 bytes in a step, those with SSSE3, which are nearly all others of x86-64, eight. Any
//! other takes eight as a word. (So could those with BMI2, but on some its instructions are slow.)

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
pub(super) mod ssse3;
pub(super) mod words;

use multiversion::multiversion;
use multiversion::target::match_target;

/// What is read and written after the last byte of a sequence, where it means nothing.
pub const SLACK_BYTES: usize = 64;

/// What came to one side of a node.
#[derive(Debug, Clone, Copy)]
pub enum Side<'a> {
    /// One byte again and again.
    Byte(u8),
    /// These, and slack.
    Sequence(&'a [u8]),
}

/// How many bits are set.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512vpopcntdq",
    "x86_64+avx2+popcnt",
    "x86_64+popcnt"
))]
pub fn ones(bits: &[u8]) -> usize {
    let (words, rest) = bits.as_chunks();
    let whole: u32 = words.iter().map(|word| u64::from_le_bytes(*word).count_ones()).sum();
    (whole + rest.iter().map(|byte| byte.count_ones()).sum::<u32>()) as usize
}

/// Looks the first bytes of `out` up, one for each of `bytes`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512vbmi+avx512vbmi2+popcnt"))]
pub fn look_up(bytes: &[u8], table: &[u8; 256], out: &mut [u8]) {
    match_target! {
        "x86_64+avx512f+avx512bw+avx512vl+avx512vbmi+avx512vbmi2+popcnt" => avx512::look_up(bytes, table, out),
        _ => words::look_up(bytes, table, out),
    }
}

/// Writes a bit for each byte but the slack, set where it is not less than `least`, which is below 128, as all bytes are.
/// Tells how many are set.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512vbmi+avx512vbmi2+popcnt",
    "x86_64+ssse3+popcnt"
))]
pub fn compare(bytes: &[u8], least: u8, bits: &mut [u8]) -> usize {
    match_target! {
        "x86_64+avx512f+avx512bw+avx512vl+avx512vbmi+avx512vbmi2+popcnt" => avx512::compare(bytes, least, bits),
        "x86_64+ssse3+popcnt" => ssse3::compare(bytes, least, bits),
        _ => words::compare(bytes, least, bits),
    }
}

/// Writes the bytes whose bit is `is_set` to `out`, which has slack, as `bytes` has.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512vbmi+avx512vbmi2+popcnt",
    "x86_64+ssse3+popcnt"
))]
pub fn pick(bytes: &[u8], bits: &[u8], is_set: bool, out: &mut [u8]) {
    match_target! {
        "x86_64+avx512f+avx512bw+avx512vl+avx512vbmi+avx512vbmi2+popcnt" => avx512::pick(bytes, bits, is_set, out),
        "x86_64+ssse3+popcnt" => ssse3::pick(bytes, bits, is_set, out),
        _ => words::pick(bytes, bits, is_set, out),
    }
}

/// Puts what came to both sides together: where a bit is set the next byte of the right, else the next of the left. `out`
/// has a byte for each bit.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512vbmi+avx512vbmi2+popcnt",
    "x86_64+ssse3+popcnt"
))]
pub fn merge(bits: &[u8], left: Side<'_>, right: Side<'_>, out: &mut [u8]) {
    match_target! {
        "x86_64+avx512f+avx512bw+avx512vl+avx512vbmi+avx512vbmi2+popcnt" => avx512::merge(bits, left, right, out),
        "x86_64+ssse3+popcnt" => ssse3::merge(bits, left, right, out),
        _ => words::merge(bits, left, right, out),
    }
}
