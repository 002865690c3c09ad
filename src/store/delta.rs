//! Numbers as differences to others at the same places.
//!
//! The bits of a number are first put into the order of the numbers that they stand for, as floats compare:
//! then two neighbours differ by one, whether they differ in the mantissa, across a power of two, or in the
//! sign around zero. The difference of two such is small where a weight has moved a little. It is stored
//! with its sign as the most significant bit and its size below it, so that the planes of small differences
//! are zeros but for the first.

use multiversion::multiversion;

use crate::object::ObjectId;

use super::error::Damage;

/// The longest chain of differences: so many records beside the last are read for one.
pub(super) const MAX_DEPTH: u8 = 4;

/// Bytes in a stored form before the planes of the differences.
pub(super) const HEAD_BYTES: usize = 33;

/// What a record of differences is a difference to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many records must be read before this one, at least 1.
    pub depth: u8,
    /// The name of the first of these.
    pub base: ObjectId,
}

impl Head {
    pub fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0] = self.depth;
        bytes[1..].copy_from_slice(self.base.as_bytes());
        bytes
    }

    pub fn parse(stored: &[u8]) -> Result<(Head, &[u8]), Damage> {
        let (&depth, rest) = stored.split_first().ok_or(Damage::Decode)?;
        let (base, rest) = rest.split_first_chunk().ok_or(Damage::Decode)?;
        match depth {
            1..=MAX_DEPTH => Ok((Head { depth, base: ObjectId::from_bytes(*base) }, rest)),
            _ => Err(Damage::Decode),
        }
    }
}

macro_rules! each_item {
    ($item_bytes:expr, $function:ident, $($argument:expr),*) => {
        match $item_bytes {
            1 => $function!(u8, i8, $($argument),*),
            2 => $function!(u16, i16, $($argument),*),
            4 => $function!(u32, i32, $($argument),*),
            8 => $function!(u64, i64, $($argument),*),
            _ => unreachable!("the caller knows which items have differences"),
        }
    };
}

/// Writes the differences of `bytes` to `base`, which is as long, to `out`, which is as long.
///
/// Bytes after the last whole item are copied.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512vbmi", "x86_64+avx2"))]
pub(super) fn subtract(item_bytes: usize, bytes: &[u8], base: &[u8], out: &mut [u8]) {
    macro_rules! subtract {
        ($unsigned:ty, $signed:ty, $bytes:expr, $base:expr, $out:expr) => {{
            const SIGN: $unsigned = 1 << (<$unsigned>::BITS - 1);
            let ordered = |number: [u8; size_of::<$unsigned>()]| {
                let number = <$unsigned>::from_le_bytes(number);
                number ^ (((number as $signed) >> (<$unsigned>::BITS - 1)) as $unsigned | SIGN)
            };
            let ((items, tail), (bases, _)) = ($bytes.as_chunks(), $base.as_chunks());
            let (outs, out_tail) = $out.as_chunks_mut();
            for ((item, base), out) in items.iter().zip(bases).zip(outs) {
                let difference = ordered(*item).wrapping_sub(ordered(*base)) as $signed;
                let sign = (difference >> (<$unsigned>::BITS - 1)) as $unsigned;
                *out = (((difference as $unsigned) ^ sign) & !SIGN | (sign & SIGN)).to_le_bytes();
            }
            out_tail.copy_from_slice(tail);
        }};
    }
    each_item!(item_bytes, subtract, bytes, base, out);
}

/// Turns differences to `base`, which is as long, back into numbers.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512vbmi", "x86_64+avx2"))]
pub(super) fn add(item_bytes: usize, bytes: &mut [u8], base: &[u8]) {
    macro_rules! add {
        ($unsigned:ty, $signed:ty, $bytes:expr, $base:expr) => {{
            const SIGN: $unsigned = 1 << (<$unsigned>::BITS - 1);
            let ordered = |number: $unsigned| {
                number ^ (((number as $signed) >> (<$unsigned>::BITS - 1)) as $unsigned | SIGN)
            };
            let (bases, _) = $base.as_chunks();
            let (items, _) = $bytes.as_chunks_mut();
            for (item, base) in items.iter_mut().zip(bases) {
                let stored = <$unsigned>::from_le_bytes(*item);
                let sign = ((stored as $signed) >> (<$unsigned>::BITS - 1)) as $unsigned;
                let difference = (stored & !SIGN | (sign & SIGN)) ^ (sign & !SIGN);
                let number = ordered(<$unsigned>::from_le_bytes(*base)).wrapping_add(difference);
                // What was ordered has its highest bit set where the number had not.
                let positive = ((number as $signed) >> (<$unsigned>::BITS - 1)) as $unsigned;
                *item = (number ^ (SIGN | !positive)).to_le_bytes();
            }
        }};
    }
    each_item!(item_bytes, add, bytes, base);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_lead_back_to_the_numbers() {
        let noise = |seed: usize| -> Vec<u8> {
            let mut bytes = vec![0; 8 * 4099 + 5];
            blake3::Hasher::new().update(&[seed as u8]).finalize_xof().fill(&mut bytes);
            bytes
        };
        let (mut bytes, base) = (noise(0), noise(1));
        let edges = [0, 1, 2, 0x7f, 0x80, 0x81, 0xff];
        for (place, byte) in bytes.iter_mut().take(2000).enumerate() {
            *byte = edges[place % edges.len()];
        }
        for item_bytes in [1, 2, 4, 8] {
            let mut out = vec![0; bytes.len()];
            subtract(item_bytes, &bytes, &base, &mut out);
            add(item_bytes, &mut out, &base);
            assert!(out == bytes, "items of {item_bytes}");
        }
    }

    #[test]
    fn neighbours_differ_by_one() {
        for (one, other, difference) in [
            (1.0_f32, f32::from_bits(1.0_f32.to_bits() + 1), 1),
            (2.0, f32::from_bits(2.0_f32.to_bits() - 1), 1 << 31),
            (-1.0, -1.0, 0),
            (0.0, -0.0, 1 << 31),
            (-0.0, 0.0, 1),
        ] {
            let mut out = [0; 4];
            subtract(4, &other.to_le_bytes(), &one.to_le_bytes(), &mut out);
            assert_eq!(u32::from_le_bytes(out), difference, "{one} to {other}");
        }
    }
}
