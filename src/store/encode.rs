//! From bytes to their stored form: a sample says what pays, then the whole is done that way.

use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, ParamSwitch};

use super::codec::{Codec, Compression, Hint};
use super::delta;
use super::frame::Frame;
use super::planes;
use super::wavelet::{self, Code};

/// Records shorter than this are not worth a compressor's call.
const MIN_BYTES: usize = 64;
/// Above this length a sample decides.
const SAMPLED_BYTES: usize = 32 << 10;
/// A sample is this many slices, evenly spread.
const SAMPLE_SLICES: usize = 4;
/// Length of one slice of a sample.
const SLICE_BYTES: usize = 4 << 10;

/// Samples of planes that are shorter say too little of how often which byte occurs.
const WAVELET_BYTES: usize = 2 << 10;

/// Bytes in a stored form before the first plane: the length of an item, and form and length of each plane.
pub(super) fn table_bytes(item_bytes: usize) -> usize {
    1 + 5 * item_bytes
}

/// Turns bytes into their stored form.
pub(super) struct Encoder {
    compression: Compression,
    matches: Compressor<'static>,
    symbols: Compressor<'static>,
    wavelet: wavelet::Encoder,
    sample: Vec<u8>,
    difference: Vec<u8>,
    planes: Vec<u8>,
    out: Frame,
}

/// How a run of bytes is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Raw,
    /// By zstd as usual: repetitions, then an entropy coder.
    Matches,
    /// By zstd's entropy coder alone: several times faster, and smaller where nothing is repeated but
    /// single bytes are more frequent than others.
    Symbols,
    /// In Huffman's code too, as a [`wavelet`] tree: for planes alone, and there faster still.
    Wavelet(Code),
}

impl Form {
    /// The number that stands for it in a table of planes.
    fn number(self) -> u8 {
        match self {
            Form::Raw => 0,
            Form::Matches | Form::Symbols => 1,
            Form::Wavelet(_) => 2,
        }
    }
}

/// How a record is to be stored.
enum Plan {
    Whole(Form),
    Planes([Form; 8]),
    Delta([Form; 8]),
}

/// Numbers that a record may be stored as differences to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base<'a> {
    /// As many bytes as the record has.
    pub bytes: &'a [u8],
    /// What is to be said of them in the stored form.
    pub head: delta::Head,
}

impl Encoder {
    pub fn new(compression: Compression) -> Encoder {
        let level = if compression == Compression::Max { 15 } else { 1 };
        let matches = Compressor::new(level).expect("zstd has this level");
        Encoder {
            compression,
            matches,
            symbols: symbols_coder(),
            wavelet: wavelet::Encoder::new(),
            sample: Vec::new(),
            difference: Vec::new(),
            planes: Vec::new(),
            out: Frame::default(),
        }
    }

    /// Replaces the payload by its stored form and tells how that is made.
    ///
    /// It is stored as differences to `base` where they are clearly shorter.
    pub fn encode(&mut self, frame: &mut Frame, hint: Hint, base: Option<Base<'_>>) -> Codec {
        let raw_bytes = frame.payload().len();
        if self.compression == Compression::None || raw_bytes < MIN_BYTES {
            return Codec::Raw;
        }
        let base = base.filter(|base| base.bytes.len() == raw_bytes);
        let (codec, stored) = match self.plan(frame.payload(), hint, base) {
            Plan::Whole(Form::Raw) => return Codec::Raw,
            Plan::Whole(form) => (Codec::Zstd, self.encode_whole(form, frame.payload())),
            Plan::Planes(forms) => {
                let item_bytes = usize::from(hint.item_bytes);
                (Codec::Planes, Some(self.encode_planes(&forms, item_bytes, frame.payload(), &[])))
            }
            Plan::Delta(forms) => {
                let base = base.expect("differences are planned only where there is a base");
                (Codec::Delta, Some(self.encode_delta(&forms, hint, frame.payload(), base)))
            }
        };
        let Some(stored) = stored.filter(|stored| *stored <= worthwhile_bytes(raw_bytes)) else {
            return Codec::Raw;
        };
        self.out.set_len(stored);
        std::mem::swap(frame, &mut self.out);
        codec
    }

    /// Finds the way that makes a sample smallest.
    fn plan(&mut self, bytes: &[u8], hint: Hint, base: Option<Base<'_>>) -> Plan {
        let mut sample = std::mem::take(&mut self.sample);
        self.take_sample(bytes, &mut sample);
        let is_number = matches!(hint.item_bytes, 2 | 4 | 8);
        let (mut best, form) = self.best_whole(&sample, is_number);
        let mut plan = Plan::Whole(form);
        let item_bytes = usize::from(hint.item_bytes);
        if is_number {
            let (total, forms) = self.best_planes(item_bytes, &sample);
            if total < best {
                best = total;
                plan = Plan::Planes(forms);
            }
        }
        if let Some(base) = base {
            let mut difference = std::mem::take(&mut self.difference);
            let mut base_sample = Vec::new();
            self.take_sample(base.bytes, &mut base_sample);
            let item_bytes = delta_item_bytes(hint);
            difference.resize(difference.len().max(sample.len()), 0);
            delta::subtract(item_bytes, &sample, &base_sample, &mut difference[..sample.len()]);
            let (total, forms) = self.best_planes(item_bytes, &difference[..sample.len()]);
            self.difference = difference;
            // Two records have to be read then.
            if total + delta::HEAD_BYTES < worthwhile_bytes(best) {
                best = total;
                plan = Plan::Delta(forms);
            }
        }
        let pays = best <= worthwhile_bytes(sample.len());
        self.sample = sample;
        if pays { plan } else { Plan::Whole(Form::Raw) }
    }

    /// A part of the bytes, or all, that tells how they are best stored.
    fn take_sample(&self, bytes: &[u8], sample: &mut Vec<u8>) {
        sample.clear();
        if bytes.len() <= SAMPLED_BYTES || self.compression == Compression::Max {
            sample.extend_from_slice(bytes);
        } else {
            for slice in 0..SAMPLE_SLICES {
                let start = (bytes.len() - SLICE_BYTES) / (SAMPLE_SLICES - 1) * slice;
                // Numbers stay whole in a sample.
                let start = start - start % 8;
                sample.extend_from_slice(&bytes[start..start + SLICE_BYTES]);
            }
        }
    }

    /// The smallest forms of the planes of some numbers, and about their length together.
    fn best_planes(&mut self, item_bytes: usize, sample: &[u8]) -> (usize, [Form; 8]) {
        let items = sample.len() / item_bytes;
        let mut planes = std::mem::take(&mut self.planes);
        planes.resize(planes.len().max(sample.len()), 0);
        planes::split(sample, &mut rooms(&mut [], &mut planes, items)[..item_bytes]);
        let mut forms = [Form::Raw; 8];
        let mut total = table_bytes(item_bytes);
        for (plane, form) in planes.chunks(items).zip(&mut forms[..item_bytes]) {
            let (bytes, best) = self.best_plane(plane);
            *form = best;
            total += bytes;
        }
        self.planes = planes;
        (total, forms)
    }

    /// The smallest form of a plane, and about its length.
    fn best_plane(&mut self, plane: &[u8]) -> (usize, Form) {
        let counts = counts(plane);
        let symbols = symbols_bytes(&counts);
        if symbols > worthwhile_bytes(plane.len()) {
            // A plane of all bytes alike is a mantissa's: looking for repetitions is in vain.
            return (plane.len(), Form::Raw);
        }
        let mut best = (symbols, Form::Symbols);
        if wavelet::IS_FAST && plane.len() >= WAVELET_BYTES && self.compression != Compression::Max {
            let (code, wavelet) = Code::of(&counts);
            // It may be a little longer.
            if wavelet <= symbols + symbols / 32 {
                best = (wavelet, Form::Wavelet(code));
            }
        }
        if self.searches(plane) { self.matches_if_shorter(plane, best) } else { best }
    }

    /// The smallest form of some bytes that are taken as they come, and about its length.
    fn best_whole(&mut self, bytes: &[u8], is_number: bool) -> (usize, Form) {
        let symbols = symbols_bytes(&counts(bytes));
        let best = if symbols <= worthwhile_bytes(bytes.len()) {
            (symbols, Form::Symbols)
        } else {
            (bytes.len(), Form::Raw)
        };
        if !is_number || self.searches(bytes) { self.matches_if_shorter(bytes, best) } else { best }
    }

    /// Whether numbers, or a plane of them, are searched for repetitions: where a glance shows some, or time is no object.
    fn searches(&self, bytes: &[u8]) -> bool {
        self.compression == Compression::Max || repeats_words(bytes)
    }

    fn matches_if_shorter(&mut self, bytes: &[u8], best: (usize, Form)) -> (usize, Form) {
        let limit = worthwhile_bytes(bytes.len());
        self.out.set_len(limit);
        match self.compress(Form::Matches, bytes, 0, limit) {
            Some(matches) if matches < best.0 => (matches, Form::Matches),
            _ => best,
        }
    }

    fn encode_whole(&mut self, form: Form, bytes: &[u8]) -> Option<usize> {
        let limit = worthwhile_bytes(bytes.len());
        self.out.set_len(limit);
        self.compress(form, bytes, 0, limit)
    }

    fn encode_delta(&mut self, forms: &[Form; 8], hint: Hint, bytes: &[u8], base: Base<'_>) -> usize {
        let mut difference = std::mem::take(&mut self.difference);
        difference.resize(difference.len().max(bytes.len()), 0);
        let item_bytes = delta_item_bytes(hint);
        delta::subtract(item_bytes, bytes, base.bytes, &mut difference[..bytes.len()]);
        let head = base.head.to_bytes();
        let stored = self.encode_planes(forms, item_bytes, &difference[..bytes.len()], &head);
        self.difference = difference;
        stored
    }

    /// Writes planes after `head`.
    fn encode_planes(&mut self, forms: &[Form; 8], item_bytes: usize, bytes: &[u8], head: &[u8]) -> usize {
        let items = bytes.len() / item_bytes;
        let (whole, tail) = bytes.split_at(items * item_bytes);
        let mut planes = std::mem::take(&mut self.planes);
        planes.resize(planes.len().max(whole.len()), 0);
        let table = head.len();
        let mut at = table + table_bytes(item_bytes);
        self.out.set_len(at + bytes.len());
        self.out.payload_mut()[..table].copy_from_slice(head);
        self.out.payload_mut()[table] = item_bytes as u8;
        // Planes before the first that is compressed are split to where they stay.
        let staying = forms[..item_bytes].iter().take_while(|form| **form == Form::Raw).count();
        let out = &mut self.out.payload_mut()[at..at + staying * items];
        planes::split(whole, &mut rooms(out, &mut planes, items)[..item_bytes]);
        for (significance, &form) in forms[..item_bytes].iter().enumerate() {
            let plane = significance.checked_sub(staying).map(|place| &planes[place * items..][..items]);
            let (form, length) = plane.map_or((Form::Raw, items), |plane| self.encode_plane(form, plane, at));
            let entry = &mut self.out.payload_mut()[table + 1 + 5 * significance..][..5];
            entry[0] = form.number();
            entry[1..].copy_from_slice(&(length as u32).to_le_bytes());
            at += length;
        }
        self.planes = planes;
        self.out.payload_mut()[at..at + tail.len()].copy_from_slice(tail);
        at + tail.len()
    }

    /// Writes a plane to `out` from `at` on, in another form if this one is not what the sample promised. Tells which it
    /// became, and its length.
    fn encode_plane(&mut self, form: Form, plane: &[u8], at: usize) -> (Form, usize) {
        let limit = worthwhile_bytes(plane.len());
        if let Form::Wavelet(code) = form {
            let room = &mut self.out.payload_mut()[at..at + limit];
            return match self.wavelet.encode(&code, plane, room) {
                Some(length) => (form, length),
                None => self.encode_plane(Form::Symbols, plane, at),
            };
        }
        if form != Form::Raw
            && let Some(length) = self.compress(form, plane, at, limit)
        {
            return (form, length);
        }
        self.out.payload_mut()[at..at + plane.len()].copy_from_slice(plane);
        (Form::Raw, plane.len())
    }

    /// Writes what zstd makes of these bytes to `out` from `at` on, if it has at most `limit` bytes.
    fn compress(&mut self, form: Form, bytes: &[u8], at: usize, limit: usize) -> Option<usize> {
        let zstd = if form == Form::Symbols { &mut self.symbols } else { &mut self.matches };
        // zstd fails where the room is too short: what does not shrink enough.
        zstd.compress_to_buffer(bytes, &mut self.out.payload_mut()[at..at + limit]).ok()
    }
}

/// zstd's entropy coder alone.
pub(super) fn symbols_coder() -> Compressor<'static> {
    // The fastest level hardly looks for repetitions; it must be told to use its entropy coder.
    let symbols = Compressor::new(*zstd::compression_level_range().start()).and_then(|mut zstd| {
        zstd.set_parameter(CParameter::LiteralCompressionMode(ParamSwitch::Enable)).map(|()| zstd)
    });
    symbols.expect("zstd has this parameter")
}

/// Room for up to eight planes of so many bytes each: in `first` as many as fit there, then in `rest`.
fn rooms<'a>(first: &'a mut [u8], rest: &'a mut [u8], items: usize) -> [&'a mut [u8]; 8] {
    let mut all = first.chunks_exact_mut(items.max(1)).chain(rest.chunks_exact_mut(items.max(1)));
    std::array::from_fn(|_| all.next().unwrap_or_default())
}

/// Length of the numbers that differences are taken of; single bytes where nothing is known.
fn delta_item_bytes(hint: Hint) -> usize {
    match hint.item_bytes {
        item_bytes @ (2 | 4 | 8) => usize::from(item_bytes),
        _ => 1,
    }
}

/// Whether words of eight bytes occur again after a while, as they do not by chance: in weights, or in a plane of them,
/// about one of a thousand does.
fn repeats_words(bytes: &[u8]) -> bool {
    const PLACES_BITS: u32 = 10;
    let mut last = [0_u64; 1 << PLACES_BITS];
    let (words, _) = bytes.as_chunks::<8>();
    let mut repeated = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        // Fibonacci hashing (Knuth, volume 3, 6.4).
        let place = word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACES_BITS);
        repeated += usize::from(std::mem::replace(&mut last[place as usize], word) == word);
    }
    repeated > words.len() / 64
}

/// How often each byte occurs.
pub(super) fn counts(bytes: &[u8]) -> [u32; 256] {
    // Several counters, or each count waits for the one before.
    let mut counts = [[0_u32; 256]; 4];
    let (fours, rest) = bytes.as_chunks::<4>();
    for four in fours {
        for (counts, byte) in counts.iter_mut().zip(four) {
            counts[usize::from(*byte)] += 1;
        }
    }
    for byte in rest {
        counts[0][usize::from(*byte)] += 1;
    }
    std::array::from_fn(|byte| counts.iter().map(|counts| counts[byte]).sum())
}

/// About how long zstd's entropy coder makes bytes that occur so often: by Huffman's code for them, and a table of
/// weights of half a byte for each byte that occurs.
fn symbols_bytes(counts: &[u32; 256]) -> usize {
    let mut occurring: Vec<u32> = counts.iter().copied().filter(|count| *count > 0).collect();
    occurring.sort_unstable();
    huffman_bits(&occurring) / 8 + occurring.len() / 2
}

/// Length in bits of a text that has its symbols so often, counts from the lowest, in Huffman's code.
///
/// Every pair that is joined adds a bit to all that is under it, so the length is the sum of the joined counts
/// (Huffman 1952). Joined counts come out sorted: two queues take the place of a heap.
pub(super) fn huffman_bits(counts: &[u32]) -> usize {
    let mut joined = std::collections::VecDeque::with_capacity(counts.len());
    let (mut left, mut bits) = (counts, 0);
    for _ in 1..counts.len() {
        let mut lowest = || match (left.split_first(), joined.front()) {
            (Some((count, rest)), front) if front.is_none_or(|front| count <= front) => {
                left = rest;
                *count
            }
            _ => joined.pop_front().expect("as many counts are left as there are to join"),
        };
        let sum = lowest() + lowest();
        bits += sum as usize;
        joined.push_back(sum);
    }
    bits
}

/// The most that a compressed form may have: a tenth less, which is what reading it back is worth.
fn worthwhile_bytes(raw_bytes: usize) -> usize {
    raw_bytes - raw_bytes.div_ceil(10)
}

#[cfg(test)]
mod tests {
    use super::super::decode::Decoder;
    use super::*;

    #[test]
    fn huffman_codes_have_the_length_that_is_foreseen() {
        assert_eq!(huffman_bits(&[]), 0);
        assert_eq!(huffman_bits(&[7]), 0);
        // A symbol takes a bit at least, however frequent it is.
        assert_eq!(huffman_bits(&[1, 1000]), 1001);
        assert_eq!(huffman_bits(&[1, 1, 2, 4]), 3 + 3 + 2 * 2 + 4);
        assert_eq!(huffman_bits(&[5, 5, 5, 5]), 40);
    }

    fn round_trip(compression: Compression, item_bytes: u64, bytes: &[u8]) -> (Codec, usize) {
        let mut frame = Frame::default();
        frame.set_len(bytes.len());
        frame.payload_mut().copy_from_slice(bytes);
        let codec = Encoder::new(compression).encode(&mut frame, Hint::items(item_bytes), None);
        let stored = frame.payload().len();
        let mut raw = vec![0; bytes.len()];
        let mut decoder = Decoder::new();
        decoder.stored = frame;
        decoder.decode(codec, &mut raw, &[]).unwrap();
        assert!(raw == bytes, "{codec:?} of {} bytes", bytes.len());
        (codec, stored)
    }

    /// Numbers with random mantissas and few exponents.
    fn floats(count: usize) -> impl Iterator<Item = f32> {
        let mut noise = blake3::Hasher::new().finalize_xof();
        (0..count).map(move |_| {
            let mut bytes = [0; 4];
            noise.fill(&mut bytes);
            let bits = u32::from_le_bytes(bytes);
            f32::from_bits((bits & 0x807f_ffff) | ((120 + (bits >> 23) % 6) << 23))
        })
    }

    #[test]
    fn floats_are_stored_as_planes() {
        for (item_bytes, bytes, most) in [
            (4, floats(100_003).flat_map(f32::to_le_bytes).collect::<Vec<u8>>(), 86),
            (2, floats(100_003).flat_map(|n| ((n.to_bits() >> 16) as u16).to_le_bytes()).collect(), 71),
            (8, floats(100_003).flat_map(|n| f64::from(n).to_le_bytes()).collect(), 70),
        ] {
            let (codec, stored) = round_trip(Compression::Auto, item_bytes, &bytes);
            assert_eq!(codec, Codec::Planes, "items of {item_bytes}");
            assert!(stored <= bytes.len() * most / 100, "{stored} of {}", bytes.len());
            for cut in [1, 3, 7] {
                round_trip(Compression::Auto, item_bytes, &bytes[..bytes.len() - cut]);
                round_trip(Compression::Auto, item_bytes, &bytes[cut..1000 + cut]);
            }
        }
    }

    /// The form of the last plane of floats as they are stored.
    fn exponents_form(compression: Compression, bytes: &[u8]) -> u8 {
        let mut frame = Frame::default();
        frame.set_len(bytes.len());
        frame.payload_mut().copy_from_slice(bytes);
        assert_eq!(Encoder::new(compression).encode(&mut frame, Hint::items(4), None), Codec::Planes);
        frame.payload()[1 + 3 * 5]
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn exponents_are_a_wavelet_tree_where_that_is_not_longer() {
        // Half as many of each next, downwards, as small numbers have them.
        let few: Vec<u8> = floats(100_000)
            .map(|n| {
                f32::from_bits(
                    n.to_bits() & 0x807f_ffff | (126 - (n.to_bits() | 1 << 20).trailing_zeros()) << 23,
                )
            })
            .flat_map(f32::to_le_bytes)
            .collect();
        assert_eq!(exponents_form(Compression::Auto, &few), Form::Wavelet(Code::of(&[1; 256]).0).number());
        assert_eq!(exponents_form(Compression::Max, &few), Form::Symbols.number());
        // Exponents far from each other have no code.
        let apart: Vec<u8> = floats(100_000)
            .map(|n| f32::from_bits(n.to_bits() & 0x807f_ffff | (n.to_bits() >> 23 & 7) << 28))
            .flat_map(f32::to_le_bytes)
            .collect();
        assert_eq!(exponents_form(Compression::Auto, &apart), Form::Symbols.number());
        round_trip(Compression::Auto, 4, &apart);
        // A sample sees nothing of what lies between its slices.
        let mut mixed = few;
        for (number, bytes) in mixed.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            if number % 33_000 > 5_000 {
                bytes[3] = (number * 7 % 256) as u8;
            }
        }
        round_trip(Compression::Auto, 4, &mixed);
    }

    #[test]
    fn numbers_that_moved_a_little_are_stored_as_differences() {
        for (item_bytes, before, after, most) in [
            (
                2,
                floats(100_003).flat_map(|n| ((n.to_bits() >> 16) as u16).to_le_bytes()).collect::<Vec<u8>>(),
                floats(100_003)
                    .enumerate()
                    .flat_map(|(i, n)| ((n.to_bits() >> 16) as u16 + (i % 3) as u16).to_le_bytes())
                    .collect::<Vec<u8>>(),
                20,
            ),
            (
                4,
                floats(100_003).flat_map(f32::to_le_bytes).collect(),
                floats(100_003).flat_map(|n| (n * 1.000_001).to_le_bytes()).collect(),
                20,
            ),
        ] {
            let mut frame = Frame::default();
            frame.set_len(after.len());
            frame.payload_mut().copy_from_slice(&after);
            let head = delta::Head { depth: 1, base: crate::object::ObjectId::of(&before) };
            let base = Base { bytes: &before, head };
            let codec =
                Encoder::new(Compression::Auto).encode(&mut frame, Hint::items(item_bytes), Some(base));
            let stored = frame.payload().len();
            assert_eq!(codec, Codec::Delta);
            assert!(stored <= after.len() * most / 100, "{stored} of {}", after.len());
            let (mut decoder, mut raw) = (Decoder::new(), vec![0; after.len()]);
            decoder.stored = frame;
            decoder.decode(codec, &mut raw, &before).unwrap();
            assert!(raw == after);
            assert!(decoder.decode(codec, &mut raw, &before[1..]).is_err());
        }
    }

    #[test]
    fn what_does_not_shrink_stays_as_it_is() {
        let mut noise = vec![0; 300_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        for compression in [Compression::None, Compression::Auto, Compression::Max] {
            for item_bytes in [0, 1, 2, 4, 8, 16] {
                assert_eq!(round_trip(compression, item_bytes, &noise), (Codec::Raw, noise.len()));
                for length in 0..70 {
                    round_trip(compression, item_bytes, &noise[..length]);
                }
            }
        }
    }

    #[test]
    fn with_time_repetitions_far_apart_are_found_too() {
        // A row of noise, again and again.
        let mut row = vec![0; 40_000];
        blake3::Hasher::new().finalize_xof().fill(&mut row);
        let rows = row.repeat(10);
        for item_bytes in [0, 1, 2, 4, 8] {
            assert!(round_trip(Compression::Max, item_bytes, &rows).1 < rows.len() / 8, "{item_bytes}");
        }
    }

    #[test]
    fn repetition_is_found_whatever_the_items() {
        let text: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
        let numbers: Vec<u8> = (0..50_000_u64).flat_map(|i| (i * 3).to_le_bytes()).collect();
        for compression in [Compression::Auto, Compression::Max] {
            for item_bytes in [0, 1, 2, 4, 8] {
                assert!(round_trip(compression, item_bytes, &text).1 < 10_000);
                assert!(round_trip(compression, item_bytes, &numbers).1 < numbers.len() / 3);
                assert!(round_trip(compression, item_bytes, &vec![0; 1 << 20]).1 < 500);
            }
        }
    }
}
