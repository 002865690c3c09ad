//! Element types of tensors.

use serde::{Deserialize, Serialize};

macro_rules! dtypes {
    ($($(#[$doc:meta])* $variant:ident, $code:literal, $name:literal, $size:literal;)*) => {
        /// The element type of a tensor.
        ///
        /// Names are PyTorch's, without the `torch.` in front, and GGML's for its quantized blocks; there, an
        /// element is a whole block. Types that hold less than a byte per
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
    /// A block of 32 quantized values, GGML's `Q4_0`.
    Q40, 66, "q4_0", 18;
    /// A block of 32 quantized values, GGML's `Q4_1`.
    Q41, 67, "q4_1", 20;
    /// A block of 32 quantized values, GGML's `Q5_0`.
    Q50, 70, "q5_0", 22;
    /// A block of 32 quantized values, GGML's `Q5_1`.
    Q51, 71, "q5_1", 24;
    /// A block of 32 quantized values, GGML's `Q8_0`.
    Q80, 72, "q8_0", 34;
    /// A block of 32 quantized values, GGML's `Q8_1`.
    Q81, 73, "q8_1", 40;
    /// A block of 256 quantized values, GGML's `Q2_K`.
    Q2K, 74, "q2_k", 84;
    /// A block of 256 quantized values, GGML's `Q3_K`.
    Q3K, 75, "q3_k", 110;
    /// A block of 256 quantized values, GGML's `Q4_K`.
    Q4K, 76, "q4_k", 144;
    /// A block of 256 quantized values, GGML's `Q5_K`.
    Q5K, 77, "q5_k", 176;
    /// A block of 256 quantized values, GGML's `Q6_K`.
    Q6K, 78, "q6_k", 210;
    /// A block of 256 quantized values, GGML's `Q8_K`.
    Q8K, 79, "q8_k", 292;
    /// A block of 256 quantized values, GGML's `IQ2_XXS`.
    Iq2Xxs, 80, "iq2_xxs", 66;
    /// A block of 256 quantized values, GGML's `IQ2_XS`.
    Iq2Xs, 81, "iq2_xs", 74;
    /// A block of 256 quantized values, GGML's `IQ3_XXS`.
    Iq3Xxs, 82, "iq3_xxs", 98;
    /// A block of 256 quantized values, GGML's `IQ1_S`.
    Iq1S, 83, "iq1_s", 50;
    /// A block of 32 quantized values, GGML's `IQ4_NL`.
    Iq4Nl, 84, "iq4_nl", 18;
    /// A block of 256 quantized values, GGML's `IQ3_S`.
    Iq3S, 85, "iq3_s", 110;
    /// A block of 256 quantized values, GGML's `IQ2_S`.
    Iq2S, 86, "iq2_s", 82;
    /// A block of 256 quantized values, GGML's `IQ4_XS`.
    Iq4Xs, 87, "iq4_xs", 136;
    /// A block of 256 quantized values, GGML's `IQ1_M`.
    Iq1M, 93, "iq1_m", 56;
    /// A block of 256 quantized values, GGML's `TQ1_0`.
    Tq10, 98, "tq1_0", 54;
    /// A block of 256 quantized values, GGML's `TQ2_0`.
    Tq20, 99, "tq2_0", 66;
    /// A block of 32 quantized values, GGML's `MXFP4`.
    Mxfp4, 103, "mxfp4", 17;
    /// A block of 64 quantized values, GGML's `NVFP4`.
    Nvfp4, 104, "nvfp4", 36;
    /// A block of 128 quantized values, GGML's `Q1_0`.
    Q10, 105, "q1_0", 18;
}

impl Dtype {
    /// Values in one element: many in GGML's blocks (the `gguf` Python package's table of sizes).
    pub fn block_values(self) -> u64 {
        use Dtype::*;
        match self {
            Q40 | Q41 | Q50 | Q51 | Q80 | Q81 | Iq4Nl | Mxfp4 => 32,
            Nvfp4 => 64,
            Q10 => 128,
            Q2K | Q3K | Q4K | Q5K | Q6K | Q8K | Iq2Xxs | Iq2Xs | Iq2S | Iq3Xxs | Iq3S | Iq1S | Iq1M
            | Iq4Xs | Tq10 | Tq20 => 256,
            _ => 1,
        }
    }
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
