//! Floats of one byte, <https://arxiv.org/abs/2209.05433> and <https://arxiv.org/abs/2206.02915>.

use super::Dtype;

/// How the eight bits of a float are shared out.
#[derive(Debug, Clone, Copy)]
pub struct Narrow {
    /// Bits of the fraction; the sign takes one, the exponent the rest.
    fraction_bits: i32,
    /// What is taken from the exponent as it is stored.
    bias: i32,
    /// The byte that stands for infinity, where there is one.
    infinity: Option<u8>,
    /// The byte that stands for what is no number.
    nan: u8,
    /// Whether zero has no sign, and the byte of negative zero is the one that is no number.
    unsigned_zero: bool,
}

/// The form of a type of one byte.
pub fn of(dtype: Dtype) -> Narrow {
    let form = |fraction_bits, bias, infinity, nan, unsigned_zero| Narrow {
        fraction_bits,
        bias,
        infinity,
        nan,
        unsigned_zero,
    };
    match dtype {
        Dtype::F8E4M3 => form(3, 7, None, 0x7f, false),
        Dtype::F8E4M3Fnuz => form(3, 8, None, 0x80, true),
        Dtype::F8E5M2Fnuz => form(2, 16, None, 0x80, true),
        _ => form(2, 15, Some(0x7c), 0x7f, false),
    }
}

impl Narrow {
    /// The number that a byte stands for.
    pub fn decode(&self, byte: u8) -> f64 {
        let magnitude = byte & 0x7f;
        let sign = if byte & 0x80 == 0 { 1.0 } else { -1.0 };
        if self.unsigned_zero {
            if byte == self.nan {
                return f64::NAN;
            }
        } else if let Some(infinity) = self.infinity
            && magnitude >= infinity
        {
            return if magnitude == infinity { sign * f64::INFINITY } else { f64::NAN };
        } else if magnitude == self.nan {
            return f64::NAN;
        }
        sign * self.value(magnitude)
    }

    /// The number of a byte without a sign, as if all of them were numbers.
    fn value(&self, magnitude: u8) -> f64 {
        let exponent = i32::from(magnitude >> self.fraction_bits);
        let fraction = f64::from(magnitude & ((1 << self.fraction_bits) - 1));
        let step = 2f64.powi(exponent.max(1) - self.bias - self.fraction_bits);
        let whole = if exponent == 0 { 0.0 } else { f64::from(1 << self.fraction_bits) };
        (whole + fraction) * step
    }

    /// The byte nearest to a number, the even one of two as near.
    ///
    /// What is too large becomes infinite where there is an infinity, no number where zero has no sign, else the
    /// largest number, as in PyTorch 2.15.
    pub fn encode(&self, number: f32) -> u8 {
        let sign = if number.is_sign_negative() && !self.unsigned_zero { 0x80 } else { 0 };
        let wide = f64::from(number.abs());
        let over = |sign: u8| match self.infinity {
            Some(infinity) => infinity | sign,
            None if self.unsigned_zero => self.nan,
            None => (self.nan - 1) | sign,
        };
        if number.is_nan() {
            return if self.unsigned_zero { self.nan } else { self.nan | sign };
        }
        // The values of bytes without a sign grow with the byte, so that one can search among them.
        let (mut low, mut high) = (0u8, 0x80u8);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.value(middle) <= wide { low = middle } else { high = middle }
        }
        let (down, up) = (wide - self.value(low), self.value(low + 1) - wide);
        let nearest = if up < down || (up == down && low & 1 == 1) { low + 1 } else { low };
        let largest = match self.infinity {
            Some(infinity) => infinity - 1,
            None if self.unsigned_zero => 0x7f,
            None => self.nan - 1,
        };
        if nearest > largest {
            return over(sign);
        }
        if self.unsigned_zero && nearest != 0 && number < 0.0 { nearest | 0x80 } else { nearest | sign }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Dtype; 4] = [Dtype::F8E4M3, Dtype::F8E5M2, Dtype::F8E4M3Fnuz, Dtype::F8E5M2Fnuz];

    #[test]
    fn every_byte_that_is_a_number_reads_back() {
        for dtype in ALL {
            let form = of(dtype);
            let numbers = (0..=255u8).filter(|&byte| !form.decode(byte).is_nan());
            for byte in numbers {
                assert_eq!(form.encode(form.decode(byte) as f32), byte, "{dtype}");
            }
        }
    }

    #[test]
    fn the_ends_are_where_torch_has_them() {
        // PyTorch 2.15: `torch.tensor(x).to(dtype).view(torch.uint8)`.
        for (dtype, number, byte) in [
            (Dtype::F8E4M3, 448.0, 0x7e),
            (Dtype::F8E4M3, 464.0, 0x7e),
            (Dtype::F8E4M3, 465.0, 0x7e),
            (Dtype::F8E4M3, -1e9, 0xfe),
            (Dtype::F8E4M3, f32::NEG_INFINITY, 0xfe),
            (Dtype::F8E5M2, 57344.0, 0x7b),
            (Dtype::F8E5M2, 61440.0, 0x7c),
            (Dtype::F8E5M2, -1e9, 0xfc),
            (Dtype::F8E4M3Fnuz, 240.0, 0x7f),
            (Dtype::F8E4M3Fnuz, 247.0, 0x7f),
            (Dtype::F8E4M3Fnuz, 248.0, 0x80),
            (Dtype::F8E4M3Fnuz, 1e9, 0x80),
            (Dtype::F8E5M2Fnuz, -0.0, 0x00),
            (Dtype::F8E4M3, 0.5 / 512.0, 0x00),
            (Dtype::F8E4M3, 0.75 / 512.0, 0x01),
        ] {
            assert_eq!(of(dtype).encode(number), byte, "{dtype} of {number}");
        }
    }
}
