use proptest::prelude::*;

use super::super::encode::huffman_bits;
use super::super::error::Damage;
use super::code::lengths;
use super::encode::{BLOCK_BYTES, BLOCK_ROOM};
use super::*;

fn counts(bytes: &[u8]) -> [u32; 256] {
    let mut counts = [0; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    counts
}

/// As weights have them: half as many of each next, downwards from `highest`.
fn exponents(count: usize, highest: u8) -> Vec<u8> {
    let mut noise = vec![0; 4 * count];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let words = noise.as_chunks::<4>().0.iter();
    words.map(|word| highest.wrapping_sub(u32::from_le_bytes(*word).leading_zeros() as u8)).collect()
}

fn form(bytes: &[u8]) -> Vec<u8> {
    form_by(&Code::of(&counts(bytes)).0, bytes)
}

fn form_by(code: &Code, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 3 * bytes.len() + 2 * BLOCK_ROOM];
    let length = encode(code, bytes, &mut out).unwrap();
    out.truncate(length);
    out
}

fn decode(form: &[u8], bytes: usize) -> Result<Vec<u8>, Damage> {
    let mut out = vec![0; bytes];
    Decoder::new().decode(form, &mut out).map(|()| out)
}

#[test]
fn forms_decode_to_their_bytes() {
    for count in (0..200).chain([4 * BLOCK_BYTES - 1, 4 * BLOCK_BYTES, 4 * BLOCK_BYTES + 1, 300_000]) {
        for highest in [127, 255, 3] {
            let mut bytes = exponents(count, highest);
            if count > 1 {
                // At the ends of lanes.
                bytes[0] = 77;
                bytes[count.div_ceil(LANES)] = highest.wrapping_add(1);
                bytes[count - 1] = 78;
            }
            assert!(decode(&form(&bytes), count).unwrap() == bytes, "{count} from {highest} down");
        }
    }
}

#[test]
fn bytes_that_are_not_as_the_sample_come_back() {
    // Of those that were rare, whose codes are the longest, and of others.
    let (code, _) = Code::of(&counts(&exponents(4000, 130)));
    assert!(code.lengths.contains(&9));
    for bytes in [vec![117; 20_000], (0..20_000).map(|i| 115 + (i % 5) as u8).collect(), vec![9; 20_000]] {
        assert!(decode(&form_by(&code, &bytes), bytes.len()).unwrap() == bytes);
    }
}

#[test]
fn a_code_is_as_short_as_it_can_be() {
    let bits = |counts: &[u32]| -> usize {
        let lengths = &lengths(counts)[..counts.len()];
        assert_eq!(lengths.iter().map(|length| 512 >> length).sum::<u32>(), 512);
        counts.iter().zip(lengths).map(|(count, length)| *count as usize * usize::from(*length)).sum()
    };
    for (factor, count) in [(1, 2), (3, 3), (7, 15), (11, 31), (101, 32)] {
        let mut counts: Vec<u32> = (0..count).map(|place| 1 + (place * factor) % 37).collect();
        let found = bits(&counts);
        counts.sort_unstable();
        assert_eq!(found, huffman_bits(&counts));
    }
    // Up to fifteen bits would be best; nine are allowed.
    let lengths = lengths(&std::array::from_fn::<u32, 16, _>(|place| 1 << place));
    assert!(lengths[..16].is_sorted_by(|one, next| one >= next));
    assert_eq!((lengths[0], lengths[15], lengths[16]), (9, 1, 0));
}

#[test]
fn the_length_is_foreseen() {
    let bytes = exponents(100_000, 130);
    let (_, foreseen) = Code::of(&counts(&bytes));
    let found = form(&bytes).len() - HEAD_BYTES;
    assert!(found.abs_diff(foreseen) <= 4, "{foreseen} were foreseen, {found} found");
    // Two bits are the entropy.
    assert!(found < 103 * 100_000 / 100 * 2 / 8, "{found}");
}

#[test]
fn the_form_stays_what_it_is() {
    let mut lengths = [0; CODES];
    lengths[..16].copy_from_slice(&[9, 2, 2, 2, 3, 4, 5, 8, 8, 8, 8, 8, 8, 9, 9, 9]);
    let code = Code { lowest: 250, values: 15, lengths };
    let mut bytes = vec![251; 260];
    (bytes[64], bytes[65], bytes[259]) = (250, 100, 254);
    let mut out = vec![0; 1000];
    let length = encode(&code, &bytes, &mut out).unwrap();
    // 251 is the first code of two bits, 254 the one of three: 110. 250 is the first of nine: 111111100, and that of
    // the exceptions the last. 65 bytes are in each lane.
    let mut expected = vec![250, 0x29, 0x22, 0x43, 0x85, 0x88, 0x88, 0x98, 0x99];
    expected.extend([0; 8]);
    expected.extend([1_u32, 18, 18, 17].iter().flat_map(|field| field.to_le_bytes()));
    expected.extend([vec![0; 16], vec![0x7f, 0]].concat());
    expected.extend([vec![0xff, 0x01], vec![0; 16]].concat());
    expected.extend([vec![0; 17], vec![0; 16], vec![0b0000_0011]].concat());
    expected.push(100);
    assert_eq!(out[..length], expected);
}

#[test]
fn without_room_nothing_is_encoded() {
    let mut bytes = exponents(10_000, 100);
    bytes[77] = 200;
    let (code, _) = Code::of(&counts(&bytes));
    let mut out = vec![0; 20_000];
    let length = encode(&code, &bytes, &mut out).unwrap();
    for room in 0..length {
        assert_eq!(encode(&code, &bytes, &mut out[..room]), None, "room for {room}");
    }
}

#[test]
fn a_form_that_does_not_fill_its_bytes_is_refused() {
    let mut bytes = exponents(5_000, 100);
    bytes[70] = 200;
    bytes[80] = 201;
    let sound = form(&bytes);
    assert!(decode(&sound, 5_000).unwrap() == bytes);
    for other in [0, 1, 4_000, 4_999, 5_001, 6_000] {
        assert_eq!(decode(&sound, other), Err(Damage::Decode), "{other} bytes");
    }
    for length in 0..sound.len() {
        assert_eq!(decode(&sound[..length], 5_000), Err(Damage::Decode), "cut to {length}");
    }
    assert_eq!(decode(&[&sound[..], &[0]].concat(), 5_000), Err(Damage::Decode));
    // Each field of the head but the lowest value: lengths of codes, of the list, of lanes.
    for at in 1..HEAD_BYTES {
        let mut form = sound.clone();
        form[at] ^= 1;
        assert_eq!(decode(&form, 5_000), Err(Damage::Decode), "byte {at}");
    }
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused(
        lengths in prop::collection::vec(0..10_u8, CODES),
        fields in prop::collection::vec(0..60_u32, LANES),
        rest in prop::collection::vec(any::<u8>(), 0..400),
        sound in any::<bool>(),
        bytes in 0..2000_usize,
    ) {
        let mut form = vec![100];
        if sound {
            form.extend([[0x44; CODES / 4], [0; CODES / 4]].concat());
        } else {
            form.extend(lengths.as_chunks::<2>().0.iter().map(|[one, other]| one | other << 4));
        }
        form.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
        form.extend(rest);
        // That it returns is the point; records are proved by their names afterwards.
        let _ = decode(&form, bytes);
    }

    #[test]
    fn any_bytes_come_back_by_any_code(
        like in prop::collection::vec(prop_oneof![64 => Just(100_u8), 16 => 95..105_u8, 1 => 85..115_u8], 4000),
        bytes in prop::collection::vec(prop_oneof![9 => 84..116_u8, 1 => any::<u8>()], 0..8000),
    ) {
        let (code, _) = Code::of(&counts(&like));
        prop_assert!(decode(&form_by(&code, &bytes), bytes.len()).unwrap() == bytes);
    }

    #[test]
    fn any_bytes_of_few_values_come_back(
        bytes in prop::collection::vec(prop_oneof![9 => 0..31_u8, 1 => any::<u8>()], 0..4000),
        lowest in any::<u8>(),
    ) {
        let bytes: Vec<u8> = bytes.iter().map(|byte| lowest.wrapping_add(*byte)).collect();
        prop_assert!(decode(&form(&bytes), bytes.len()).unwrap() == bytes);
    }
}
