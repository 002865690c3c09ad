//! Numbers side by side, taken apart into planes of bytes of equal significance, and put together again.
//!
//! Each number is first rotated left by one bit. That brings the sign of an IEEE 754 number behind its
//! mantissa, so that the most significant byte is all exponent, which is where weights repeat; integers
//! lose nothing by it.

use multiversion::multiversion;

/// Numbers that are taken apart or put together at once: all that is under way fits the processor's registers, or
/// nearly, and loops of a known length become vector instructions.
const BLOCK: usize = 64;

/// Takes `bytes` apart into planes, least significant first: as many as an item has bytes, 1, 2, 4 or 8, with one
/// byte for each item. Items are little-endian; what is left of less than one is passed over.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512vbmi", "x86_64+avx2"))]
pub(super) fn split(bytes: &[u8], planes: &mut [&mut [u8]]) {
    macro_rules! split {
        ($number:ty, $count:literal) => {{
            let planes: &mut [&mut [u8]; $count] =
                planes.try_into().expect("the caller matched their number");
            let (items, _) = bytes.as_chunks();
            let (blocks, rest) = items.as_chunks::<BLOCK>();
            for (number, block) in blocks.iter().enumerate() {
                let mut turned = [0; BLOCK];
                for (turned, item) in turned.iter_mut().zip(block) {
                    *turned = <$number>::from_le_bytes(*item).rotate_left(1);
                }
                let mut bytes = [[0; BLOCK]; $count];
                for (significance, bytes) in bytes.iter_mut().enumerate() {
                    for (byte, turned) in bytes.iter_mut().zip(turned) {
                        *byte = (turned >> (8 * significance)) as u8;
                    }
                }
                for (plane, bytes) in planes.iter_mut().zip(&bytes) {
                    plane[number * BLOCK..][..BLOCK].copy_from_slice(bytes);
                }
            }
            for (place, item) in (blocks.len() * BLOCK..).zip(rest) {
                let bytes = <$number>::from_le_bytes(*item).rotate_left(1).to_le_bytes();
                for (plane, byte) in planes.iter_mut().zip(bytes) {
                    plane[place] = byte;
                }
            }
        }};
    }
    match planes.len() {
        1 => split!(u8, 1),
        2 => split!(u16, 2),
        4 => split!(u32, 4),
        8 => split!(u64, 8),
        _ => unreachable!("the caller knows which items have planes"),
    }
}

/// Puts numbers together from all their planes, least significant first, which have one byte for each item of `bytes`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512vbmi", "x86_64+avx2"))]
pub(super) fn join(planes: &[&[u8]], bytes: &mut [u8]) {
    macro_rules! join {
        ($number:ty, $count:literal, $double:expr) => {{
            let planes: &[&[u8]; $count] = planes.try_into().expect("the caller matched their number");
            let (items, _) = bytes.as_chunks_mut();
            let (blocks, rest) = items.as_chunks_mut::<BLOCK>();
            let whole = blocks.len() * BLOCK;
            for (number, block) in blocks.iter_mut().enumerate() {
                let mut bytes = [[0; BLOCK]; $count];
                for (bytes, plane) in bytes.iter_mut().zip(planes) {
                    bytes.copy_from_slice(&plane[number * BLOCK..][..BLOCK]);
                }
                let turned: [$number; BLOCK] = $double(&bytes);
                for (item, turned) in block.iter_mut().zip(turned) {
                    *item = turned.rotate_right(1).to_le_bytes();
                }
            }
            for (place, item) in (whole..).zip(rest) {
                let bytes = planes.map(|plane| plane[place]);
                *item = <$number>::from_le_bytes(bytes).rotate_right(1).to_le_bytes();
            }
        }};
    }
    match planes.len() {
        1 => join!(u8, 1, |[bytes]: &[[u8; BLOCK]; 1]| *bytes),
        2 => join!(u16, 2, doubles_of_2),
        4 => join!(u32, 4, doubles_of_4),
        8 => join!(u64, 8, doubles_of_8),
        _ => unreachable!("the caller knows which items have planes"),
    }
}

/// Numbers are put together from halves, and those again: each step is one that processors have for vectors.
macro_rules! doubles {
    ($number:ty, $half:ty, $doubles:ident) => {
        #[inline(always)]
        fn $doubles([low, high]: &[[$half; BLOCK]; 2]) -> [$number; BLOCK] {
            let mut numbers = [0; BLOCK];
            for ((number, low), high) in numbers.iter_mut().zip(low).zip(high) {
                *number = <$number>::from(*low) | <$number>::from(*high) << <$half>::BITS;
            }
            numbers
        }
    };
}

doubles!(u16, u8, doubles_of_2);
doubles!(u32, u16, doubles_to_4);
doubles!(u64, u32, doubles_to_8);

#[inline(always)]
fn doubles_of_4([a, b, c, d]: &[[u8; BLOCK]; 4]) -> [u32; BLOCK] {
    doubles_to_4(&[doubles_of_2(&[*a, *b]), doubles_of_2(&[*c, *d])])
}

#[inline(always)]
fn doubles_of_8([a, b, c, d, e, f, g, h]: &[[u8; BLOCK]; 8]) -> [u64; BLOCK] {
    doubles_to_8(&[doubles_of_4(&[*a, *b, *c, *d]), doubles_of_4(&[*e, *f, *g, *h])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_join_to_what_was_split() {
        let bytes: Vec<u8> = (0..8 * 1001_usize).map(|i| (i * i / 7) as u8).collect();
        for item_bytes in [1, 2, 4, 8] {
            for items in (0..200).chain([1000]) {
                let bytes = &bytes[..items * item_bytes];
                let mut planes = vec![vec![0; items]; item_bytes];
                let mut room: Vec<&mut [u8]> = planes.iter_mut().map(Vec::as_mut_slice).collect();
                split(bytes, &mut room);
                let slices: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
                let mut joined = vec![0; bytes.len()];
                join(&slices, &mut joined);
                assert!(joined == bytes, "{items} items of {item_bytes} bytes");
            }
        }
    }

    #[test]
    fn the_last_plane_of_a_float_is_its_exponent() {
        for count in [3, 300] {
            let numbers = [1.0_f32, -1.5, 1.75].into_iter().cycle().take(count);
            let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
            let mut planes = vec![vec![0; count]; 4];
            let mut room: Vec<&mut [u8]> = planes.iter_mut().map(Vec::as_mut_slice).collect();
            split(&bytes, &mut room);
            assert!(planes[3].iter().all(|exponent| *exponent == 127));
            assert_eq!(planes[0][..3], [0, 1, 0]);
        }
    }
}
