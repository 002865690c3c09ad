//! From a stored form back to the bytes.

use zstd::bulk::Decompressor;

use super::codec::Codec;
use super::delta;
use super::encode::table_bytes;
use super::error::Damage;
use super::frame::Frame;
use super::planes;
use super::wavelet;

/// Turns stored forms back.
pub(super) struct Decoder {
    /// The stored form to be decoded.
    pub stored: Frame,
    /// What a record at hand is a difference to.
    pub base: Frame,
    inflate: Inflate,
    planes: Vec<u8>,
}

/// What turns compressed bytes back.
struct Inflate {
    zstd: Decompressor<'static>,
    wavelet: wavelet::Decoder,
}

impl Decoder {
    pub fn new() -> Decoder {
        let zstd = Decompressor::new().expect("zstd makes a context while there is memory");
        let inflate = Inflate { zstd, wavelet: wavelet::Decoder::new() };
        Decoder { stored: Frame::default(), base: Frame::default(), inflate, planes: Vec::new() }
    }

    /// Decodes [`stored`](Decoder::stored) into `raw`, which it must fill exactly. `base` is what
    /// differences are to.
    pub fn decode(&mut self, codec: Codec, raw: &mut [u8], base: &[u8]) -> Result<(), Damage> {
        let stored = self.stored.payload();
        match codec {
            Codec::Raw if stored.len() == raw.len() => {
                raw.copy_from_slice(stored);
                Ok(())
            }
            Codec::Raw => Err(Damage::Lengths),
            Codec::Zstd => self.inflate.zstd(stored, raw),
            Codec::Planes => match stored.first() {
                Some(2 | 4 | 8) => {
                    decode_planes(&mut self.inflate, &mut self.planes, stored, raw).map(|_| ())
                }
                _ => Err(Damage::Decode),
            },
            Codec::Delta if base.len() == raw.len() => {
                let (_, planes) = delta::Head::parse(stored)?;
                let item_bytes = decode_planes(&mut self.inflate, &mut self.planes, planes, raw)?;
                delta::add(item_bytes, raw, base);
                Ok(())
            }
            Codec::Delta => Err(Damage::Lengths),
            Codec::Frames => Err(Damage::Kind),
        }
    }
}

impl Inflate {
    fn zstd(&mut self, stored: &[u8], raw: &mut [u8]) -> Result<(), Damage> {
        match self.zstd.decompress_to_buffer(stored, raw) {
            Ok(bytes) if bytes == raw.len() => Ok(()),
            _ => Err(Damage::Decode),
        }
    }
}

/// Puts planes together, and tells the length of an item.
fn decode_planes(
    inflate: &mut Inflate,
    inflated: &mut Vec<u8>,
    stored: &[u8],
    raw: &mut [u8],
) -> Result<usize, Damage> {
    let item_bytes = match stored.first() {
        Some(&item_bytes @ (1 | 2 | 4 | 8)) => usize::from(item_bytes),
        _ => return Err(Damage::Decode),
    };
    let (table, mut rest) = stored.split_at_checked(table_bytes(item_bytes)).ok_or(Damage::Decode)?;
    let items = raw.len() / item_bytes;
    inflated.resize(inflated.len().max(items * item_bytes), 0);
    let mut room = inflated.as_mut_slice();
    let mut all: [&[u8]; 8] = [&[]; 8];
    for (entry, plane) in table[1..].as_chunks::<5>().0.iter().zip(&mut all) {
        let [form, length @ ..] = *entry;
        let (bytes, after) =
            rest.split_at_checked(u32::from_le_bytes(length) as usize).ok_or(Damage::Decode)?;
        rest = after;
        *plane = match form {
            0 if bytes.len() == items => bytes,
            1 | 2 => {
                let (plane, after) = room.split_at_mut(items);
                room = after;
                match form {
                    1 => inflate.zstd(bytes, plane)?,
                    _ => inflate.wavelet.decode(bytes, plane)?,
                }
                plane
            }
            _ => return Err(Damage::Decode),
        };
    }
    let (whole, tail) = raw.split_at_mut(items * item_bytes);
    if rest.len() != tail.len() {
        return Err(Damage::Decode);
    }
    tail.copy_from_slice(rest);
    planes::join(&all[..item_bytes], whole);
    Ok(item_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Three planes of five items of four bytes as they are, one of one byte compressed, and a tail.
    fn planes(lengths: [u32; 4], tail: usize) -> Vec<u8> {
        let compressed = zstd::bulk::compress(&[7; 5], 1).unwrap();
        let mut stored = vec![4];
        for (plane, length) in lengths.into_iter().enumerate() {
            stored.push(u8::from(plane == 3));
            stored.extend(
                length.wrapping_add(if plane == 3 { compressed.len() as u32 } else { 5 }).to_le_bytes(),
            );
        }
        stored.extend([1; 15]);
        stored.extend(compressed);
        stored.extend(vec![9; tail]);
        stored
    }

    #[test]
    fn planes_that_do_not_fill_the_record_are_refused() {
        let decode = |stored: &[u8], raw_bytes: usize| {
            let mut decoder = Decoder::new();
            decoder.stored.set_len(stored.len());
            decoder.stored.payload_mut().copy_from_slice(stored);
            let mut raw = vec![0; raw_bytes];
            decoder.decode(Codec::Planes, &mut raw, &[]).map(|()| raw)
        };
        let sound = planes([0; 4], 3);
        assert_eq!(decode(&sound, 23).unwrap()[20..], [9; 3]);
        for raw_bytes in (0..60).filter(|raw_bytes| *raw_bytes != 23) {
            assert_eq!(decode(&sound, raw_bytes), Err(Damage::Decode), "{raw_bytes} bytes");
        }
        for length in 0..sound.len() {
            assert_eq!(decode(&sound[..length], 23), Err(Damage::Decode), "cut to {length}");
        }
        for lie in [1, u32::MAX, 1 << 30] {
            for plane in 0..4 {
                let mut lengths = [0; 4];
                lengths[plane] = lie;
                assert_eq!(
                    decode(&planes(lengths, 3), 23),
                    Err(Damage::Decode),
                    "plane {plane} {lie} longer"
                );
            }
        }
        assert_eq!(decode(&planes([0; 4], 4), 23), Err(Damage::Decode));
        for item_bytes in [0, 1, 3, 8, 255] {
            let stored = [&[item_bytes], &sound[1..]].concat();
            assert_eq!(decode(&stored, 23), Err(Damage::Decode), "items of {item_bytes}");
        }
    }

    proptest! {
        #[test]
        fn any_stored_form_decodes_or_is_refused(
            codec in 0..5_u8,
            item in prop::sample::select(vec![0, 1, 2, 4, 8, 255_u8]),
            planes in prop::collection::vec((0..4_u8, 0..40_u32), 8),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            raw_bytes in 0..200_usize,
        ) {
            let mut stored = Vec::new();
            if codec == Codec::Delta.number() {
                stored.extend(delta::Head { depth: 1, base: crate::object::ObjectId::of(&[]) }.to_bytes());
            }
            stored.push(item);
            for (form, length) in planes {
                stored.push(form);
                stored.extend(length.to_le_bytes());
            }
            stored.extend(bytes);
            let mut decoder = Decoder::new();
            decoder.stored.set_len(stored.len());
            decoder.stored.payload_mut().copy_from_slice(&stored);
            // That it returns is the point; records are proved by their names afterwards.
            let _ = decoder.decode(Codec::from_number(codec).unwrap(), &mut vec![0; raw_bytes], &vec![7; raw_bytes]);
        }
    }
}
