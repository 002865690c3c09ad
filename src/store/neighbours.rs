//! Bytes that are nearly all of few neighbouring values, as the exponents of weights are, in Huffman's code.
//!
//! zstd's entropy coder counts all bytes first, and takes them one by one. Where 32 codes suffice, a sample's counts do
//! as well, two bytes are written at once, and up to six are read at once. Bytes of values without a code of their own,
//! the exceptions, share one, and are listed.
//!
//! | bytes | |
//! |---|---|
//! | 1 | the lowest of at most 31 values; 0 follows 255 |
//! | 16 | the length of the code of each in bits, 1 to 9, then of that of the exceptions, then 0: four bits each, of two in a byte the first lower |
//! | 4 | number of exceptions |
//! | 4, three times | length of each lane but the last |
//! | | four lanes |
//! | 1 each | the exceptions in their order |
//!
//! The first lane has a quarter of the bytes, rounded up, so has each of the next while so many are left, and the last
//! has the rest. In a lane code follows code, from the lowest bit of its first byte on; the bits after the last are 0.
//! The codes are canonical: short ones come before long ones, and of one length those of lower values, that of the
//! exceptions last; a code begins with its highest bit.

use memchr::memchr;
use multiversion::multiversion;

use super::error::Damage;

/// The most codes that there are, with that of the exceptions.
const CODES: usize = 32;

/// The longest code: six of them and what is left of a byte before fit a word of 64 bits.
const MAX_BITS: u32 = 9;

/// Lanes are read side by side, since in one of them each code has to wait for the length of the one before.
const LANES: usize = 4;

/// Bytes of a code.
const CODE_BYTES: usize = 1 + CODES / 2;

/// Bytes before the lanes.
const HEAD_BYTES: usize = CODE_BYTES + 4 + 4 * (LANES - 1);

/// Bytes that are written in one go: a whole number of words of six codes.
const BLOCK_BYTES: usize = 6 * 128;

/// A code for neighbouring values, and one for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    lowest: u8,
    /// How many values from the lowest on have a code; the exceptions have the one after these.
    values: u8,
    /// The codes' lengths in bits, 0 after the last.
    lengths: [u8; CODES],
}

impl Code {
    /// The best code for bytes that occur so often, and about how long it makes them, without the head.
    pub fn of(counts: &[u32; 256]) -> (Code, usize) {
        let window = |lowest: usize| -> [u32; CODES - 1] {
            std::array::from_fn(|place| counts[(lowest + place) % 256])
        };
        let widest = (0..256).max_by_key(|lowest| window(*lowest).iter().sum::<u32>()).unwrap_or_default();
        let lowest = widest + window(widest).iter().take_while(|count| **count == 0).count() % (CODES - 1);
        let own = window(lowest);
        let values = own.iter().rposition(|count| *count > 0).unwrap_or_default() + 1;
        let exceptions = counts.iter().sum::<u32>() - own[..values].iter().sum::<u32>();
        // What a sample does not have may occur all the same.
        let counts: Vec<u32> = own[..values].iter().chain([&exceptions]).map(|count| 1.max(*count)).collect();
        let lengths = lengths(&counts);
        let bits: usize =
            counts.iter().zip(lengths).map(|(count, length)| *count as usize * usize::from(length)).sum();
        let code = Code { lowest: lowest as u8, values: values as u8, lengths };
        (code, bits / 8 + exceptions as usize)
    }

    fn to_bytes(self) -> [u8; CODE_BYTES] {
        let (pairs, _) = self.lengths.as_chunks();
        std::array::from_fn(|at| match at.checked_sub(1).map(|pair| pairs[pair]) {
            Some([first, second]) => first | second << 4,
            None => self.lowest,
        })
    }

    fn parse(bytes: &[u8; CODE_BYTES]) -> Option<Code> {
        let [lowest, pairs @ ..] = bytes;
        let lengths: [u8; CODES] = std::array::from_fn(|place| pairs[place / 2] >> (4 * (place % 2)) & 0xf);
        let codes = lengths.iter().position(|length| *length == 0).unwrap_or(CODES);
        let (own, after) = lengths.split_at(codes);
        if own.iter().any(|length| u32::from(*length) > MAX_BITS) || after.iter().any(|length| *length > 0) {
            return None;
        }
        // Then all bits are codes, whatever they are, and none begins with another (Kraft 1949).
        let is_whole = own.iter().map(|length| 1 << MAX_BITS >> length).sum::<u32>() == 1 << MAX_BITS;
        is_whole.then_some(Code { lowest: *lowest, values: (codes - 1) as u8, lengths })
    }

    /// The bits of each code, the first lowest.
    fn codes(&self) -> [u32; CODES] {
        let mut codes = [0; CODES];
        let mut next = 0_u32;
        for length in 1..=MAX_BITS {
            for (code, own) in codes.iter_mut().zip(self.lengths) {
                if u32::from(own) == length {
                    *code = next.reverse_bits() >> (u32::BITS - length);
                    next += 1;
                }
            }
            next <<= 1;
        }
        codes
    }
}

/// The lengths of the shortest codes of at most [`MAX_BITS`] for what occurs so often: for at least two, each of which
/// occurs, and at most [`CODES`].
///
/// By packages (Larmore and Hirschberg 1990): as often as a code may have a bit, what there is is put together two by
/// two, and the values are added. Of the last packages the lightest are taken: a value is in as many of them as its
/// code has bits.
fn lengths(counts: &[u32]) -> [u8; CODES] {
    /// How often the values of a package occur, and how often each of them is in it.
    type Package = (u64, [u8; CODES]);
    let join = |one: &Package, other: &Package| -> Package {
        (one.0 + other.0, std::array::from_fn(|place| one.1[place] + other.1[place]))
    };
    let own = |place| std::array::from_fn(|other| u8::from(other == place));
    let values = counts.iter().enumerate().map(|(place, count)| (u64::from(*count), own(place)));
    let mut packages: Vec<Package> = Vec::new();
    for _ in 0..MAX_BITS {
        let pairs = packages.as_chunks::<2>().0.iter().map(|[one, other]| join(one, other));
        packages = pairs.chain(values.clone()).collect();
        packages.sort_by_key(|package| package.0);
    }
    packages[..2 * counts.len() - 2].iter().fold((0, [0; CODES]), |all, package| join(&all, package)).1
}

/// Writes the form of `bytes` to `out`, and tells how long it is; `None` where there is no room for it.
pub(super) fn encode(code: &Code, bytes: &[u8], out: &mut [u8]) -> Option<usize> {
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
                exceptions.extend(memchr::memchr_iter(code.values, places).map(|place| block[place]));
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

/// How many bytes the first lane has.
fn lane_items(bytes: usize) -> usize {
    bytes.div_ceil(LANES).max(1)
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
const BLOCK_ROOM: usize = 1024;

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

/// Bits that are looked up at once.
const LOOKUP_BITS: u32 = 11;

/// The most values that one lookup gives.
const LOOKUP_BYTES: u32 = 6;

/// Lookups for each word that is read: it has at least 57 bits of codes.
const LOOKUPS: usize = 5;

/// Room for what a round writes: the values of its lookups, and two bytes that the last may write beyond them.
const ROUND_BYTES: usize = 40;

/// Turns forms back into bytes.
pub(super) struct Decoder {
    /// What the tables are for.
    code: Option<Code>,
    /// For all that the next bits may be: the values that they begin with, lowest byte first, in the seventh byte how
    /// many these are, and in the eighth how many bits their codes have.
    several: Box<[u64; 1 << LOOKUP_BITS]>,
    /// The first of these values, and how many bits its code has.
    single: Box<[(u8, u8); 1 << MAX_BITS]>,
}

impl Decoder {
    pub fn new() -> Decoder {
        Decoder {
            code: None,
            several: Box::new([0; 1 << LOOKUP_BITS]),
            single: Box::new([(0, 0); 1 << MAX_BITS]),
        }
    }

    /// Turns a form back into `bytes`, which it must fill exactly.
    pub fn decode(&mut self, form: &[u8], bytes: &mut [u8]) -> Result<(), Damage> {
        let (head, rest) = form.split_first_chunk::<HEAD_BYTES>().ok_or(Damage::Decode)?;
        let (code, fields) = head.split_first_chunk().expect("the head begins with the code");
        let code = Code::parse(code).ok_or(Damage::Decode)?;
        if self.code != Some(code) {
            self.prepare(&code);
        }
        let mut fields = fields.as_chunks().0.iter().map(|field| u32::from_le_bytes(*field) as usize);
        let lanes_bytes = fields.next().and_then(|exceptions| rest.len().checked_sub(exceptions));
        let (mut rest, mut exceptions) = rest.split_at(lanes_bytes.ok_or(Damage::Decode)?);

        let mut outs = bytes.chunks_mut(lane_items(bytes.len()));
        let mut lanes: [Lane<'_>; LANES] = Default::default();
        for lane in &mut lanes {
            let length = fields.next().unwrap_or(rest.len());
            let (input, after) = rest.split_at_checked(length).ok_or(Damage::Decode)?;
            rest = after;
            *lane = Lane { input, bit: 0, out: outs.next().unwrap_or_default(), at: 0 };
        }
        while let Some(rounds @ 1..) = lanes.iter().map(Lane::rounds).min() {
            read_rounds(&mut lanes, &self.several, rounds);
        }
        lanes.into_iter().try_for_each(|lane| lane.finish(&self.single))?;

        // What the code of the exceptions gave is a value that has no other code.
        let placeholder = code.lowest.wrapping_add(code.values);
        let mut rest = bytes;
        while let Some(place) = memchr(placeholder, rest) {
            let (exception, after) = exceptions.split_first().ok_or(Damage::Decode)?;
            rest[place] = *exception;
            (rest, exceptions) = (&mut rest[place + 1..], after);
        }
        if exceptions.is_empty() { Ok(()) } else { Err(Damage::Decode) }
    }

    /// Makes the tables for a code.
    fn prepare(&mut self, code: &Code) {
        let codes = code.codes().into_iter().zip(code.lengths).take(1 + usize::from(code.values));
        for (place, (bits, length)) in codes.enumerate() {
            for entry in self.single[bits as usize..].iter_mut().step_by(1 << length) {
                *entry = (code.lowest.wrapping_add(place as u8), length);
            }
        }
        for (next, entry) in self.several.iter_mut().enumerate() {
            let (mut values, mut count, mut bits) = (0, 0, 0);
            while count < LOOKUP_BYTES {
                let (value, length) = self.single[(next >> bits) % self.single.len()];
                if bits + u32::from(length) > LOOKUP_BITS {
                    break;
                }
                values |= u64::from(value) << (8 * count);
                count += 1;
                bits += u32::from(length);
            }
            *entry = values | u64::from(count) << 48 | u64::from(bits) << 56;
        }
        self.code = Some(*code);
    }
}

/// A lane that is being read.
#[derive(Default)]
struct Lane<'a> {
    input: &'a [u8],
    /// How many of its bits were taken.
    bit: usize,
    out: &'a mut [u8],
    /// How much of that is filled.
    at: usize,
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2"))]
fn read_rounds(lanes: &mut [Lane<'_>; LANES], several: &[u64; 1 << LOOKUP_BITS], rounds: usize) {
    for _ in 0..rounds {
        for lane in &mut *lanes {
            lane.read_round(several);
        }
    }
}

impl Lane<'_> {
    /// How many rounds stay within the lane, whatever they read.
    fn rounds(&self) -> usize {
        let bits = (8 * self.input.len()).saturating_sub(self.bit + 64);
        let bytes = (self.out.len() - self.at).saturating_sub(ROUND_BYTES);
        (bits / (LOOKUPS * LOOKUP_BITS as usize)).min(bytes / (LOOKUPS * LOOKUP_BYTES as usize))
    }

    /// Reads a word's worth of codes.
    #[inline(always)]
    fn read_round(&mut self, several: &[u64; 1 << LOOKUP_BITS]) {
        let word = self.input[self.bit / 8..].first_chunk().expect("the rounds were counted");
        let mut window = u64::from_le_bytes(*word) >> (self.bit % 8);
        let out: &mut [u8; ROUND_BYTES] =
            self.out[self.at..].first_chunk_mut().expect("the rounds were counted");
        // Values in the lower byte, bits in the higher.
        let mut sum = 0;
        for _ in 0..LOOKUPS {
            let entry = several[window as usize % several.len()];
            // What is no value in it is overwritten by the next.
            out[sum % 32..][..8].copy_from_slice(&entry.to_le_bytes());
            sum += (entry >> 48) as usize;
            window = window.wrapping_shr((entry >> 56) as u32);
        }
        self.at += sum & 0xff;
        self.bit += sum >> 8;
    }

    /// Reads what is left code by code; nothing may be over then.
    fn finish(mut self, single: &[(u8, u8); 1 << MAX_BITS]) -> Result<(), Damage> {
        for out in &mut self.out[self.at..] {
            let rest = self.input.get(self.bit / 8..).unwrap_or_default();
            let next = std::array::from_fn(|at| rest.get(at).copied().unwrap_or_default());
            let window = usize::from(u16::from_le_bytes(next) >> (self.bit % 8));
            let (value, bits) = single[window % single.len()];
            *out = value;
            self.bit += usize::from(bits);
        }
        let is_whole = self.bit.div_ceil(8) == self.input.len();
        let padding = self.input.last().map_or(0, |last| last >> ((self.bit + 7) % 8) >> 1);
        if is_whole && padding == 0 { Ok(()) } else { Err(Damage::Decode) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encode::huffman_bits;
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
        for bytes in [vec![117; 20_000], (0..20_000).map(|i| 115 + (i % 5) as u8).collect(), vec![9; 20_000]]
        {
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
}
