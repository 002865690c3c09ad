//! Which values have a code, and which code.

use super::{CODE_BYTES, CODES, MAX_BITS};

/// A code for neighbouring values, and one for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The lowest value that has one.
    pub lowest: u8,
    /// How many values from the lowest on have a code; the exceptions have the one after these.
    pub values: u8,
    /// The codes' lengths in bits, 0 after the last.
    pub lengths: [u8; CODES],
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

    /// The code as a form begins with it.
    pub fn to_bytes(self) -> [u8; CODE_BYTES] {
        let (pairs, _) = self.lengths.as_chunks();
        std::array::from_fn(|at| match at.checked_sub(1).map(|pair| pairs[pair]) {
            Some([first, second]) => first | second << 4,
            None => self.lowest,
        })
    }

    /// The code that a form begins with; `None` if some bits would be no code, or belong to two.
    pub fn parse(bytes: &[u8; CODE_BYTES]) -> Option<Code> {
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
    pub fn codes(&self) -> [u32; CODES] {
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
pub(super) fn lengths(counts: &[u32]) -> [u8; CODES] {
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
