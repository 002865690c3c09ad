use proptest::prelude::*;

use super::super::encode::huffman_bits;
use super::super::error::Damage;
use super::code::lengths;
use super::kernels::SLACK_BYTES;
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
    let mut out = vec![0; 4 * bytes.len() + 1000];
    let length = Encoder::new().encode(code, bytes, &mut out).unwrap();
    out.truncate(length);
    out
}

fn decode(form: &[u8], bytes: usize) -> Result<Vec<u8>, Damage> {
    let mut out = vec![0; bytes];
    Decoder::new().decode(form, &mut out).map(|()| out)
}

#[test]
fn forms_decode_to_their_bytes() {
    for count in (0..200).chain([BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 300_000]) {
        for highest in [127, 255, 3] {
            let mut bytes = exponents(count, highest);
            if count > 1 {
                bytes[0] = 77;
                bytes[count / 2] = highest.wrapping_add(1);
                bytes[count - 1] = 78;
            }
            assert!(decode(&form(&bytes), count).unwrap() == bytes, "{count} from {highest} down");
        }
    }
}

#[test]
fn bytes_that_are_not_as_the_sample_come_back() {
    // Of those that were rare, whose codes are the longest, and of others.
    let (code, _) = Code::of(&counts(&exponents(10_000, 130)));
    for bytes in [vec![117; 70_000], (0..70_000).map(|i| 115 + (i % 5) as u8).collect(), vec![9; 70_000]] {
        assert!(decode(&form_by(&code, &bytes), bytes.len()).unwrap() == bytes);
    }
}

#[test]
fn values_may_lie_anywhere() {
    let bytes: Vec<u8> = exponents(50_000, 31).iter().map(|byte| byte.wrapping_mul(37)).collect();
    // But for what fills nodes up.
    assert!(form(&bytes).len().abs_diff(form(&exponents(50_000, 31)).len()) < 40);
    assert!(decode(&form(&bytes), bytes.len()).unwrap() == bytes);
    // More of them than there are codes.
    let bytes: Vec<u8> = (0..70_000_usize).map(|i| (i * i / 7 % 256) as u8).collect();
    assert!(decode(&form(&bytes), bytes.len()).unwrap() == bytes);
}

#[test]
fn a_code_is_as_short_as_it_can_be() {
    let bits = |counts: &[u32]| -> usize {
        let lengths = lengths(counts);
        assert_eq!(lengths.iter().map(|length| (1 << MAX_BITS) >> length).sum::<u32>(), 1 << MAX_BITS);
        counts.iter().zip(lengths).map(|(count, length)| *count as usize * usize::from(length)).sum()
    };
    for (factor, count) in [(1, 2), (3, 3), (7, 15), (11, 31), (101, 32)] {
        let mut counts: Vec<u32> = (0..count).map(|place| 1 + (place * factor) % 37).collect();
        let found = bits(&counts);
        counts.sort_unstable();
        assert_eq!(found, huffman_bits(&counts));
    }
    // Up to nineteen bits would be best; twelve are allowed.
    let lengths = lengths(&std::array::from_fn::<u32, 20, _>(|place| 1 << place));
    assert!(lengths.is_sorted_by(|one, next| one >= next));
    assert_eq!((lengths[0], lengths[19]), (12, 1));
}

#[test]
fn the_length_is_foreseen() {
    let bytes = exponents(100_000, 130);
    let (code, foreseen) = Code::of(&counts(&bytes));
    let found = form(&bytes).len() - code.head_bytes();
    // Each node of each block may be filled up.
    let filled = 100_000_usize.div_ceil(BLOCK_BYTES) * code.nodes().len();
    assert!((foreseen..=foreseen + filled).contains(&found), "{foreseen} were foreseen, {found} found");
    // Two bits are the entropy.
    assert!(found < 101 * 100_000 / 100 * 2 / 8, "{found}");
}

#[test]
fn the_form_stays_what_it_is() {
    // Codes 0 for `b`, 10 for `a`, 110 for the exceptions, 111 for `c`.
    let code = [1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, b'b', b'a', b'c'];
    let (parsed, rest) = Code::parse(&code).unwrap();
    assert!(rest.is_empty());
    let root = [0b1101_1010, 0b0000_0001];
    // Six bytes go on: `a c x a y a`.
    let second = [0b0001_0110];
    let third = [0b0000_0001];
    let expected = [&code[..], &root, &second, &third, b"xy"].concat();
    assert_eq!(form_by(&parsed, b"babcxbaya"), expected);
    assert_eq!(decode(&expected, 9).unwrap(), b"babcxbaya");
    // The most frequent has the shortest code; of codes of one length that of the lower value comes first.
    let (code, _) = Code::of(&counts(b"eeeeeeeeccccaa"));
    let mut head = vec![0; code.head_bytes()];
    code.write(&mut head);
    assert_eq!(head, [1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, b'e', b'c', b'a']);
}

#[test]
fn without_room_nothing_is_encoded() {
    let mut bytes = exponents(40_000, 100);
    bytes[77] = 200;
    let (code, _) = Code::of(&counts(&bytes[..70]));
    let mut out = vec![0; 50_000];
    let mut encoder = Encoder::new();
    let length = encoder.encode(&code, &bytes, &mut out).unwrap();
    for room in (0..length).step_by(7).chain(length - 100..length) {
        assert_eq!(encoder.encode(&code, &bytes, &mut out[..room]), None, "room for {room}");
    }
}

#[test]
fn a_form_that_does_not_fill_its_bytes_is_refused() {
    let mut bytes = exponents(5_001, 100);
    (bytes[70], bytes[80]) = (200, 201);
    let (code, _) = Code::of(&counts(&bytes[..60]));
    let sound = form_by(&code, &bytes);
    assert!(decode(&sound, 5_001).unwrap() == bytes);
    for other in [0, 1, 4_000, 4_992, 5_010, 6_000] {
        assert_eq!(decode(&sound, other), Err(Damage::Decode), "{other} bytes");
    }
    for length in 0..sound.len() {
        assert_eq!(decode(&sound[..length], 5_001), Err(Damage::Decode), "cut to {length}");
    }
    assert_eq!(decode(&[&sound[..], &[0]].concat(), 5_001), Err(Damage::Decode));
    let spoiled = |at: usize, byte: u8| {
        let mut form = sound.clone();
        form[at] = byte;
        decode(&form, 5_001)
    };
    for (at, count) in sound[..MAX_BITS].iter().enumerate() {
        assert_eq!(spoiled(at, count + 1), Err(Damage::Decode), "codes of {} bits", at + 1);
    }
    let codes = sound[..MAX_BITS].iter().sum::<u8>();
    assert_eq!(spoiled(MAX_BITS, codes), Err(Damage::Decode), "no place among the codes");
    assert_eq!(spoiled(MAX_BITS + 1, sound[MAX_BITS + 2]), Err(Damage::Decode), "a value twice");
    // 5,001 bits do not fill the last byte of the root.
    let last = code.head_bytes() + 5_001 / 8;
    assert_eq!(spoiled(last, sound[last] | 0x80), Err(Damage::Decode), "a bit of no byte");
}

/// The kernels as this processor has them, as one with SSSE3 does, and as any.
mod each_kernel {
    use multiversion::multiversion;
    use multiversion::target::match_target;

    use super::super::kernels::{self, Side, words};
    use super::*;

    type Compare = fn(&[u8], u8, &mut [u8]) -> usize;
    type Pick = fn(&[u8], &[u8], bool, &mut [u8]);
    type Merge = fn(&[u8], Side<'_>, Side<'_>, &mut [u8]);

    const KERNELS: [(Compare, Pick, Merge); 3] = [
        (kernels::compare, kernels::pick, kernels::merge),
        (compare, pick, merge),
        (words::compare, words::pick, words::merge),
    ];

    #[multiversion(targets("x86_64+ssse3+popcnt"))]
    fn compare(bytes: &[u8], least: u8, bits: &mut [u8]) -> usize {
        match_target! {
            "x86_64+ssse3+popcnt" => kernels::ssse3::compare(bytes, least, bits),
            _ => words::compare(bytes, least, bits),
        }
    }

    #[multiversion(targets("x86_64+ssse3+popcnt"))]
    fn pick(bytes: &[u8], bits: &[u8], is_set: bool, out: &mut [u8]) {
        match_target! {
            "x86_64+ssse3+popcnt" => kernels::ssse3::pick(bytes, bits, is_set, out),
            _ => words::pick(bytes, bits, is_set, out),
        }
    }

    #[multiversion(targets("x86_64+ssse3+popcnt"))]
    fn merge(bits: &[u8], left: Side<'_>, right: Side<'_>, out: &mut [u8]) {
        match_target! {
            "x86_64+ssse3+popcnt" => kernels::ssse3::merge(bits, left, right, out),
            _ => words::merge(bits, left, right, out),
        }
    }

    proptest! {
        #[test]
        fn takes_apart_and_puts_together(
            own in prop::collection::vec(0..32_u8, 0..400),
            split in 0..32_u8,
            byte: u8,
        ) {
            let mut bytes = own.clone();
            bytes.resize(own.len() + SLACK_BYTES, 31);
            for (compare, pick, merge) in KERNELS {
                let mut bits = vec![0; own.len().div_ceil(8)];
                let set = own.iter().filter(|byte| **byte >= split).count();
                prop_assert_eq!(compare(&bytes, split, &mut bits), set);
                prop_assert_eq!(kernels::ones(&bits), set);
                for (place, own) in own.iter().enumerate() {
                    prop_assert_eq!(bits[place / 8] >> (place % 8) & 1 == 1, *own >= split);
                }

                let sides = [false, true].map(|is_set| {
                    let expected: Vec<u8> = own.iter().copied().filter(|own| (*own >= split) == is_set).collect();
                    let mut side = vec![0; expected.len() + SLACK_BYTES];
                    pick(&bytes, &bits, is_set, &mut side);
                    assert_eq!(side[..expected.len()], expected);
                    side
                });
                let (left, right) = (Side::Sequence(&sides[0]), Side::Sequence(&sides[1]));
                for (left, right) in [(left, right), (Side::Byte(byte), right), (left, Side::Byte(byte))] {
                    let replaced = |own: &u8| match (left, right) {
                        (Side::Byte(byte), _) if *own < split => byte,
                        (_, Side::Byte(byte)) if *own >= split => byte,
                        _ => *own,
                    };
                    let expected: Vec<u8> = own.iter().map(replaced).collect();
                    let mut merged = vec![0; own.len()];
                    merge(&bits, left, right, &mut merged);
                    prop_assert_eq!(&merged, &expected);
                }
            }
        }

        #[test]
        fn looks_up(bytes in prop::collection::vec(any::<u8>(), 0..200), table: [u8; 32]) {
            let table: [u8; 256] = std::array::from_fn(|place| table[place % 32] ^ place as u8);
            let expected: Vec<u8> = bytes.iter().map(|byte| table[usize::from(*byte)]).collect();
            let (mut found, mut other) = (vec![0; bytes.len() + SLACK_BYTES], vec![0; bytes.len() + SLACK_BYTES]);
            kernels::look_up(&bytes, &table, &mut found);
            words::look_up(&bytes, &table, &mut other);
            prop_assert_eq!(&found[..bytes.len()], &expected);
            prop_assert_eq!(&other[..bytes.len()], &expected);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused(
        head in prop::sample::select(vec![
            vec![1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 7, 8, 9],
            vec![2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
            vec![1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 12, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
            vec![],
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..400),
        bytes in 0..2000_usize,
    ) {
        // That it returns is the point; records are proved by their names afterwards.
        let _ = decode(&[head, rest].concat(), bytes);
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
        factor in 0..128_u8,
    ) {
        let bytes: Vec<u8> = bytes.iter().map(|byte| byte.wrapping_mul(2 * factor + 1)).collect();
        prop_assert!(decode(&form(&bytes), bytes.len()).unwrap() == bytes);
    }
}
