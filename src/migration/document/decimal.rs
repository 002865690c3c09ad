//! Decimal floats of 128 bits (IEEE 754 decimal128), kept as the text that names them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use num_bigint::BigInt;
use num_traits::{Signed, Zero};

/// Most digits of a coefficient.
const DIGITS: usize = 34;

/// Smallest and largest exponent of the last digit.
const EXPONENTS: (i64, i64) = (-6176, 6111);

/// A decimal float: its text, so that `1.10` stays `1.10`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal(String);

/// What a text names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Number {
    /// `coefficient * 10^exponent`.
    Finite { coefficient: BigInt, exponent: i64 },
    /// Beyond all numbers, on this side.
    Infinite { negative: bool },
    /// Not a number.
    Nan,
}

impl Decimal {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        matches!(self.number(), Number::Finite { coefficient, .. } if coefficient.is_zero())
    }

    pub(super) fn number(&self) -> Number {
        parse(&self.0).expect("the text was parsed when it was taken")
    }

    /// The decimal of a number, if it has one that is exact.
    pub(super) fn exact(coefficient: BigInt, exponent: i64) -> Option<Decimal> {
        let (mut coefficient, mut exponent) = (coefficient, exponent);
        while coefficient.abs().to_string().len() > DIGITS || exponent < EXPONENTS.0 {
            let (quotient, rest): (BigInt, BigInt) = (&coefficient / 10, &coefficient % 10);
            if !rest.is_zero() || coefficient.is_zero() {
                return None;
            }
            coefficient = quotient;
            exponent += 1;
        }
        while exponent > EXPONENTS.1 {
            coefficient *= 10;
            exponent -= 1;
            if coefficient.abs().to_string().len() > DIGITS {
                return None;
            }
        }
        if exponent == 0 {
            return Some(Decimal(coefficient.to_string()));
        }
        let digits = coefficient.abs().to_string();
        let sign = if coefficient.is_negative() { "-" } else { "" };
        let point = i64::try_from(digits.len()).ok()? + exponent;
        // As the standard's conversion to text has it: plain notation for small exponents.
        Some(Decimal(if exponent < 0 && point > -6 {
            let zeros = usize::try_from(1 - point).unwrap_or(0);
            let padded = format!("{}{digits}", "0".repeat(zeros));
            let whole = padded.len() - usize::try_from(-exponent).ok()?;
            format!("{sign}{}.{}", &padded[..whole], &padded[whole..])
        } else {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            let shown = exponent + i64::try_from(rest.len()).ok()?;
            format!("{sign}{first}{point}{rest}E{shown:+}")
        }))
    }
}

impl FromStr for Decimal {
    type Err = ();

    /// Takes a text that names a decimal exactly.
    fn from_str(text: &str) -> Result<Decimal, ()> {
        if text.len() > 128 {
            return Err(());
        }
        match parse(text).ok_or(())? {
            Number::Finite { coefficient, exponent } => {
                Decimal::exact(coefficient, exponent).ok_or(())?;
            }
            Number::Infinite { .. } | Number::Nan => {}
        }
        Ok(Decimal(text.to_owned()))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn parse(text: &str) -> Option<Number> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = body.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => return Some(Number::Infinite { negative }),
        "nan" => return Some(Number::Nan),
        _ => {}
    }
    let (mantissa, exponent) = match lower.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (lower.as_str(), 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let coefficient: BigInt = digits.parse().ok()?;
    let coefficient = if negative { -coefficient } else { coefficient };
    Some(Number::Finite { coefficient, exponent: i64::from(exponent) - i64::try_from(fraction.len()).ok()? })
}

/// The number that a float is, exactly.
pub(super) fn of_float(value: f64) -> Number {
    if value.is_nan() {
        return Number::Nan;
    }
    if value.is_infinite() {
        return Number::Infinite { negative: value < 0.0 };
    }
    let bits = value.to_bits();
    let raw = i64::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
    let fraction = (bits & ((1 << 52) - 1)) | if raw == 0 { 0 } else { 1 << 52 };
    let exponent = raw.max(1) - 1075;
    let mut coefficient = BigInt::from(fraction);
    if value < 0.0 {
        coefficient = -coefficient;
    }
    // 2^-n is 5^n * 10^-n.
    let power = u32::try_from(exponent.unsigned_abs()).unwrap_or(0);
    if exponent >= 0 {
        Number::Finite { coefficient: coefficient << power, exponent: 0 }
    } else {
        Number::Finite { coefficient: coefficient * BigInt::from(5).pow(power), exponent }
    }
}

pub(super) fn of_integer(value: i64) -> Number {
    Number::Finite { coefficient: value.into(), exponent: 0 }
}

/// Compares; what is not a number is below all numbers and the same as itself.
pub(super) fn compare(a: &Number, b: &Number) -> Ordering {
    let rank = |number: &Number| match number {
        Number::Nan => 0,
        Number::Infinite { negative: true } => 1,
        Number::Finite { .. } => 2,
        Number::Infinite { negative: false } => 3,
    };
    let (Number::Finite { coefficient: ca, exponent: ea }, Number::Finite { coefficient: cb, exponent: eb }) =
        (a, b)
    else {
        return rank(a).cmp(&rank(b));
    };
    // Exponents are bounded by what a text of 128 letters and the standard allow.
    let lower = *ea.min(eb);
    let scaled = |coefficient: &BigInt, exponent: i64| {
        coefficient * BigInt::from(10).pow(u32::try_from(exponent - lower).unwrap_or(u32::MAX))
    };
    scaled(ca, *ea).cmp(&scaled(cb, *eb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_exact_decimals_or_are_refused() {
        for text in ["1.10", "-0", "1E+3", "9.999999999999999999999999999999999E6144", "NaN", "-Infinity"] {
            assert_eq!(text.parse::<Decimal>().unwrap().as_str(), text);
        }
        let long = "1".repeat(35);
        for text in ["", "x", "1.2.3", "1e", "--1", "1E+7000", "1E-7000", &long] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_of_all_kinds_compare_by_value() {
        let decimal = |text: &str| text.parse::<Decimal>().unwrap().number();
        assert_eq!(compare(&decimal("0.1"), &of_float(0.1)), Ordering::Less);
        assert_eq!(compare(&decimal("1.50"), &of_float(1.5)), Ordering::Equal);
        assert_eq!(compare(&decimal("1E+3"), &of_integer(1000)), Ordering::Equal);
        assert_eq!(compare(&decimal("-Infinity"), &of_integer(i64::MIN)), Ordering::Less);
        assert_eq!(compare(&decimal("NaN"), &decimal("-Infinity")), Ordering::Less);
        assert_eq!(compare(&of_float(5e-324), &of_integer(0)), Ordering::Greater);
    }

    #[test]
    fn results_are_written_as_the_standard_has_them() {
        let text = |c: i64, e| Decimal::exact(c.into(), e).unwrap().0;
        assert_eq!(
            (text(110, -2), text(5, -3), text(-15, 2)),
            ("1.10".into(), "0.005".into(), "-1.5E+3".into())
        );
        assert_eq!(text(1, -8), "1E-8");
    }
}
