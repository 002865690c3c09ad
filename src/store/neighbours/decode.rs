//! From codes to bytes.

use memchr::memchr;
use multiversion::multiversion;

use super::super::error::Damage;
use super::code::Code;
use super::{HEAD_BYTES, LANES, MAX_BITS, lane_items};

/// Bits that are looked up at once.
const LOOKUP_BITS: u32 = 11;

/// The most values that one lookup gives.
const LOOKUP_BYTES: u32 = 6;

/// Lookups for each word that is read: it has at least 57 bits of codes.
const LOOKUPS: usize = 5;

/// Room for what a round writes: the values of its lookups, and two bytes that the last may write beyond them.
const ROUND_BYTES: usize = 40;

/// Turns forms back into bytes.
pub struct Decoder {
    /// What the tables are for.
    code: Option<Code>,
    /// For all that the next bits may be: the values that they begin with, lowest byte first, in the seventh byte how
    /// many these are, and in the eighth how many bits their codes have.
    several: Box<[u64; 1 << LOOKUP_BITS]>,
    /// The first of these values, and how many bits its code has.
    single: Box<[(u8, u8); 1 << MAX_BITS]>,
}

impl Decoder {
    /// One that is ready for any code.
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
