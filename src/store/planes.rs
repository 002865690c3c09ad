//! Numbers side by side, taken apart into planes of bytes of equal significance, and put together again.
//!
//! Each number is first rotated left by one bit. That brings the sign of an IEEE 754 number behind its
//! mantissa, so that the most significant byte is all exponent, which is where weights repeat; integers
//! lose nothing by it.

/// Takes the plane of this significance (0 is the least) out of `bytes`.
///
/// `bytes` is items of 1, 2, 4 or 8 bytes, little-endian; `plane` has one byte for each.
pub(super) fn split(item_bytes: usize, significance: usize, bytes: &[u8], plane: &mut [u8]) {
    macro_rules! split {
        ($number:ty) => {
            for (item, byte) in bytes.as_chunks().0.iter().zip(plane) {
                *byte = (<$number>::from_le_bytes(*item).rotate_left(1) >> (8 * significance)) as u8;
            }
        };
    }
    match item_bytes {
        1 => split!(u8),
        2 => split!(u16),
        4 => split!(u32),
        8 => split!(u64),
        _ => unreachable!("the caller knows which items have planes"),
    }
}

/// Puts numbers together from all their planes, least significant first, which have one byte for each item of `bytes`.
pub(super) fn join(planes: &[&[u8]], bytes: &mut [u8]) {
    macro_rules! join {
        ($number:ty, $($plane:ident $place:literal),*) => {{
            let (items, _) = bytes.as_chunks_mut();
            let length = items.len();
            // Slices of one known length let the compiler leave the bounds checks out of the loop.
            $(let $plane = &planes[$place][..length];)*
            for (i, item) in items.iter_mut().enumerate() {
                let number = $(<$number>::from($plane[i]) << (8 * $place))|*;
                *item = number.rotate_right(1).to_le_bytes();
            }
        }};
    }
    match planes.len() {
        1 => join!(u8, a 0),
        2 => join!(u16, a 0, b 1),
        4 => join!(u32, a 0, b 1, c 2, d 3),
        8 => join!(u64, a 0, b 1, c 2, d 3, e 4, f 5, g 6, h 7),
        _ => unreachable!("the caller knows which items have planes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_join_to_what_was_split() {
        let bytes: Vec<u8> = (0..8 * 1001_usize).map(|i| (i * i / 7) as u8).collect();
        for item_bytes in [1, 2, 4, 8] {
            let mut planes = vec![vec![0; bytes.len() / item_bytes]; item_bytes];
            for (significance, plane) in planes.iter_mut().enumerate() {
                split(item_bytes, significance, &bytes, plane);
            }
            let slices: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
            let mut joined = vec![0; bytes.len()];
            join(&slices, &mut joined);
            assert!(joined == bytes, "items of {item_bytes} bytes");
        }
    }

    #[test]
    fn the_last_plane_of_a_float_is_its_exponent() {
        let numbers = [1.0_f32, -1.5, 1.75];
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut plane = [0; 3];
        split(4, 3, &bytes, &mut plane);
        assert_eq!(plane, [127; 3]);
    }
}
