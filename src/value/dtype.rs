//! Element types of tensors.

use serde::{Deserialize, Serialize};

macro_rules! dtypes {
    ($($(#[$doc:meta])* $variant:ident, $code:literal, $name:literal, $size:literal;)*) => {
        /// The element type of a tensor.
        ///
        /// Names are PyTorch's, without the `torch.` in front. Types that hold less than a byte per
        /// element are listed with the size of the byte or word that packs them, as PyTorch does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Dtype {
            $($(#[$doc])* $variant,)*
        }

        impl Dtype {
            /// Every element type, in the order of its code.
            pub const ALL: &'static [Dtype] = &[$(Dtype::$variant,)*];

            /// The number that stands for this type in stored trees; never reused.
            pub fn code(self) -> u8 {
                match self { $(Dtype::$variant => $code,)* }
            }

            /// The type with this code.
            pub fn from_code(code: u8) -> Option<Dtype> {
                match code { $($code => Some(Dtype::$variant),)* _ => None }
            }

            /// PyTorch's name, for instance `float32`.
            pub fn name(self) -> &'static str {
                match self { $(Dtype::$variant => $name,)* }
            }

            /// The type with this PyTorch name.
            pub fn from_name(name: &str) -> Option<Dtype> {
                match name { $($name => Some(Dtype::$variant),)* _ => None }
            }

            /// Size of one element in bytes.
            pub fn item_bytes(self) -> u64 {
                match self { $(Dtype::$variant => $size,)* }
            }
        }
    };
}

dtypes! {
    /// 64-bit IEEE 754.
    F64, 1, "float64", 8;
    /// 32-bit IEEE 754.
    F32, 2, "float32", 4;
    /// 16-bit IEEE 754.
    F16, 3, "float16", 2;
    /// The upper 16 bits of a [`Dtype::F32`].
    Bf16, 4, "bfloat16", 2;
    /// Two [`Dtype::F64`].
    C128, 5, "complex128", 16;
    /// Two [`Dtype::F32`].
    C64, 6, "complex64", 8;
    /// Two [`Dtype::F16`].
    C32, 7, "complex32", 4;
    /// Signed, 64 bits.
    I64, 8, "int64", 8;
    /// Signed, 32 bits.
    I32, 9, "int32", 4;
    /// Signed, 16 bits.
    I16, 10, "int16", 2;
    /// Signed, 8 bits.
    I8, 11, "int8", 1;
    /// Unsigned, 64 bits.
    U64, 12, "uint64", 8;
    /// Unsigned, 32 bits.
    U32, 13, "uint32", 4;
    /// Unsigned, 16 bits.
    U16, 14, "uint16", 2;
    /// Unsigned, 8 bits.
    U8, 15, "uint8", 1;
    /// One byte, zero or one.
    Bool, 16, "bool", 1;
    /// 8-bit float, 4 exponent bits, no infinities.
    F8E4M3, 17, "float8_e4m3fn", 1;
    /// 8-bit float, 5 exponent bits.
    F8E5M2, 18, "float8_e5m2", 1;
    /// 8-bit float, 4 exponent bits, no negative zero.
    F8E4M3Fnuz, 19, "float8_e4m3fnuz", 1;
    /// 8-bit float, 5 exponent bits, no negative zero.
    F8E5M2Fnuz, 20, "float8_e5m2fnuz", 1;
    /// 8 exponent bits only: a power of two.
    F8E8M0, 21, "float8_e8m0fnu", 1;
    /// Two 4-bit floats in a byte.
    F4E2M1X2, 22, "float4_e2m1fn_x2", 1;
    /// Quantized, signed 8 bits.
    QI8, 23, "qint8", 1;
    /// Quantized, unsigned 8 bits.
    QU8, 24, "quint8", 1;
    /// Quantized, signed 32 bits.
    QI32, 25, "qint32", 4;
    /// Quantized, two 4-bit values in a byte.
    QU4X2, 26, "quint4x2", 1;
    /// Quantized, four 2-bit values in a byte.
    QU2X4, 27, "quint2x4", 1;
    /// Uninterpreted bits, eight in a byte.
    Bits1X8, 28, "bits1x8", 1;
    /// Uninterpreted bits, four pairs in a byte.
    Bits2X4, 29, "bits2x4", 1;
    /// Uninterpreted bits, two halves of a byte.
    Bits4X2, 30, "bits4x2", 1;
    /// Uninterpreted byte.
    Bits8, 31, "bits8", 1;
    /// Uninterpreted two bytes.
    Bits16, 32, "bits16", 2;
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_lead_back_to_the_type() {
        for &dtype in Dtype::ALL {
            assert_eq!(Dtype::from_code(dtype.code()), Some(dtype));
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
        }
        assert_eq!(Dtype::from_code(0), None);
    }
}
