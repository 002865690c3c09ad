//! Elements of tensors as numbers, and back.

use half::{bf16, f16};

use super::Scalar;
use super::expr::is_float;
use crate::value::{Dtype, narrow};

/// A row of numbers: all floats or all integers (truth values count as integers).
pub(super) enum Lanes {
    /// Floats; every smaller type fits exactly.
    Float(Vec<f64>),
    /// Integers of any of the types.
    Int(Vec<i128>),
}

impl Lanes {
    /// The number in this place.
    pub(super) fn get(&self, place: usize) -> Number {
        match self {
            Lanes::Float(values) => Number::Float(values[place]),
            Lanes::Int(values) => Number::Int(values[place]),
        }
    }
}

/// One number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Float(f64),
    Int(i128),
}

impl Number {
    pub(super) fn of(scalar: Scalar) -> Number {
        match scalar {
            Scalar::Float(value) => Number::Float(value),
            Scalar::Int(value) => Number::Int(value.into()),
            Scalar::Bool(value) => Number::Int(value.into()),
        }
    }

    pub(super) fn float(self) -> f64 {
        match self {
            Number::Float(value) => value,
            Number::Int(value) => value as f64,
        }
    }

    /// The integer; floats are cut at the point, and what 64 bits do not hold is the least of them, as on
    /// x86.
    pub(super) fn int(self) -> i128 {
        match self {
            Number::Int(value) => value,
            Number::Float(value) if value.is_nan() => i64::MIN.into(),
            Number::Float(value) => i64::try_from(value.trunc() as i128).map_or(i64::MIN.into(), i128::from),
        }
    }

    pub(super) fn truth(self) -> bool {
        match self {
            Number::Float(value) => value != 0.0,
            Number::Int(value) => value != 0,
        }
    }
}

/// Reads dense little-endian elements of a type that can be computed with.
pub(super) fn decode(dtype: Dtype, bytes: &[u8]) -> Lanes {
    macro_rules! floats {
        ($n:literal, $read:expr) => {
            Lanes::Float(
                bytes.chunks_exact($n).map(|b| $read(b.try_into().expect("chunks are exact"))).collect(),
            )
        };
    }
    macro_rules! ints {
        ($n:literal, $t:ty) => {
            Lanes::Int(
                bytes
                    .chunks_exact($n)
                    .map(|b| <$t>::from_le_bytes(b.try_into().expect("chunks are exact")).into())
                    .collect(),
            )
        };
    }
    match dtype {
        Dtype::F64 => floats!(8, f64::from_le_bytes),
        Dtype::F32 => floats!(4, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F16 => floats!(2, |b| f64::from(f16::from_le_bytes(b))),
        Dtype::Bf16 => floats!(2, |b| f64::from(bf16::from_le_bytes(b))),
        Dtype::F8E4M3 | Dtype::F8E5M2 | Dtype::F8E4M3Fnuz | Dtype::F8E5M2Fnuz => {
            Lanes::Float(bytes.iter().map(|&byte| narrow::of(dtype).decode(byte)).collect())
        }
        Dtype::I64 => ints!(8, i64),
        Dtype::I32 => ints!(4, i32),
        Dtype::I16 => ints!(2, i16),
        Dtype::I8 => ints!(1, i8),
        Dtype::U64 => ints!(8, u64),
        Dtype::U32 => ints!(4, u32),
        Dtype::U16 => ints!(2, u16),
        Dtype::U8 => ints!(1, u8),
        _ => Lanes::Int(bytes.iter().map(|&b| i128::from(b != 0)).collect()),
    }
}

/// Appends a number as an element of this type.
///
/// Half-width floats are rounded from single width, as PyTorch does; integers wrap.
pub(super) fn encode(dtype: Dtype, number: Number, out: &mut Vec<u8>) {
    match dtype {
        Dtype::F64 => out.extend_from_slice(&number.float().to_le_bytes()),
        Dtype::F32 => out.extend_from_slice(&single(number).to_le_bytes()),
        Dtype::F16 => out.extend_from_slice(&f16::from_f32(single(number)).to_le_bytes()),
        Dtype::Bf16 => out.extend_from_slice(&bf16_from(single(number)).to_le_bytes()),
        Dtype::F8E4M3 | Dtype::F8E5M2 | Dtype::F8E4M3Fnuz | Dtype::F8E5M2Fnuz => {
            out.push(narrow::of(dtype).encode(single(number)));
        }
        Dtype::I64 | Dtype::U64 => out.extend_from_slice(&(number.int() as u64).to_le_bytes()),
        Dtype::I32 | Dtype::U32 => out.extend_from_slice(&(number.int() as u32).to_le_bytes()),
        Dtype::I16 | Dtype::U16 => out.extend_from_slice(&(number.int() as u16).to_le_bytes()),
        Dtype::I8 | Dtype::U8 => out.push(number.int() as u8),
        _ => out.push(number.truth().into()),
    }
}

/// Rounds a number as an element of this type would be, without its width.
pub(super) fn rounded(dtype: Dtype, number: Number) -> Number {
    match dtype {
        Dtype::F64 => Number::Float(number.float()),
        Dtype::F32 => Number::Float(single(number).into()),
        Dtype::F16 => Number::Float(f16::from_f32(single(number)).into()),
        Dtype::Bf16 => Number::Float(bf16_from(single(number)).into()),
        _ if dtype == Dtype::Bool => Number::Int(number.truth().into()),
        _ => {
            let bits = number.int();
            Number::Int(match dtype {
                Dtype::I64 => (bits as i64).into(),
                Dtype::I32 => (bits as i32).into(),
                Dtype::I16 => (bits as i16).into(),
                Dtype::I8 => (bits as i8).into(),
                Dtype::U64 => (bits as u64).into(),
                Dtype::U32 => (bits as u32).into(),
                Dtype::U16 => (bits as u16).into(),
                _ => (bits as u8).into(),
            })
        }
    }
}

/// Rounds to what PyTorch computes with before it stores an element of this type.
pub(super) fn computed(dtype: Dtype, value: f64) -> f64 {
    if is_float(dtype) && dtype != Dtype::F64 { f64::from(value as f32) } else { value }
}

fn single(number: Number) -> f32 {
    match number {
        Number::Float(value) => value as f32,
        // Straight from the integer: by way of 64-bit floats it would be rounded twice.
        Number::Int(value) => value as f32,
    }
}

/// Rounds to nearest, ties to even; NaN becomes the one pattern that PyTorch writes.
fn bf16_from(value: f32) -> bf16 {
    if value.is_nan() { bf16::from_bits(0x7fc0) } else { bf16::from_f32(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(dtype: Dtype, number: Number) -> Vec<u8> {
        let mut out = Vec::new();
        encode(dtype, number, &mut out);
        out
    }

    #[test]
    fn half_width_floats_round_to_even_from_single_width() {
        assert_eq!(bytes(Dtype::Bf16, Number::Float(1.00390625)), 0x3f80u16.to_le_bytes());
        assert_eq!(bytes(Dtype::Bf16, Number::Float(1.01171875)), 0x3f82u16.to_le_bytes());
        assert_eq!(bytes(Dtype::F16, Number::Float(65519.0)), 0x7bffu16.to_le_bytes());
        assert_eq!(bytes(Dtype::F16, Number::Float(65520.0)), 0x7c00u16.to_le_bytes());
        // Straight from 64 bits this would be the next one up.
        assert_eq!(
            bytes(Dtype::F16, Number::Float(1.0 + 2f64.powi(-11) + 2f64.powi(-40))),
            0x3c00u16.to_le_bytes()
        );
    }

    #[test]
    fn integers_wrap_and_floats_are_cut() {
        assert_eq!(bytes(Dtype::I8, Number::Int(300)), [44]);
        assert_eq!(bytes(Dtype::U8, Number::Int(-1)), [255]);
        assert_eq!(bytes(Dtype::I32, Number::Float(-1.9)), (-1i32).to_le_bytes());
        assert_eq!(bytes(Dtype::I64, Number::Float(f64::NAN)), i64::MIN.to_le_bytes());
        assert_eq!(bytes(Dtype::Bool, Number::Float(0.5)), [1]);
    }

    #[test]
    fn every_type_reads_back_what_it_wrote() {
        use Dtype::*;
        for dtype in [F64, F32, F16, Bf16, I64, I32, I16, I8, U64, U32, U16, U8, Bool] {
            let written = bytes(dtype, Number::Int(1));
            assert_eq!(written.len() as u64, dtype.item_bytes());
            assert_eq!(decode(dtype, &written).get(0).float(), 1.0, "{dtype}");
        }
    }
}
