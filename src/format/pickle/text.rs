//! Arguments of opcodes that are written as text.

use num_bigint::BigInt;

use crate::value::Kind;

/// A decimal integer with an optional sign.
pub(super) fn int(line: &[u8]) -> Option<BigInt> {
    let digits = line.strip_prefix(b"-").or_else(|| line.strip_prefix(b"+")).unwrap_or(line);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    BigInt::parse_bytes(line, 10)
}

/// A float as Python writes it.
pub(super) fn float(line: &[u8]) -> Option<f64> {
    std::str::from_utf8(line).ok()?.trim_ascii().parse().ok()
}

/// A float as Python's `repr` writes it.
pub(in crate::format) fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    // Rust's shortest digits are Python's; only the choice of notation differs.
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("scientific notation has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// Text that may hold surrogates encoded as Python's `surrogatepass` does.
pub(in crate::format) fn from_surrogatepass(bytes: Vec<u8>) -> Option<Kind> {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Some(Kind::Str(text)),
        Err(error) => error.into_bytes(),
    };
    let mut rest = bytes.as_slice();
    while let Err(error) = std::str::from_utf8(rest) {
        rest = &rest[error.valid_up_to()..];
        match rest {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..] => rest = after,
            _ => return None,
        }
    }
    Some(Kind::SurrogateStr(bytes))
}

/// The code points of text encoded with `surrogatepass`; surrogates are code points of their own.
pub(in crate::format) fn code_points(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let length = match first {
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
        };
        let (head, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        let lead = if length == 1 { u32::from(first) } else { u32::from(first) & (0x7f >> length) };
        Some(head[1..].iter().fold(lead, |code, &byte| code << 6 | u32::from(byte) & 0x3f))
    })
}

/// Undoes Python's raw-unicode-escape; the result is encoded with `surrogatepass`.
pub(super) fn raw_unicode_unescape(line: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' || rest.is_empty() {
            push_code_point(&mut out, u32::from(*first))?;
            continue;
        }
        let second = rest[0];
        rest = &rest[1..];
        let digits = match second {
            b'u' => 4,
            b'U' => 8,
            _ => {
                out.push(b'\\');
                push_code_point(&mut out, u32::from(second))?;
                continue;
            }
        };
        let (code, after) = rest.split_at_checked(digits)?;
        push_code_point(&mut out, hex(code)?)?;
        rest = after;
    }
    Some(out)
}

/// Python's raw-unicode-escape as pickles of protocol 0 use it: line ends and backslashes escaped too.
pub(super) fn raw_unicode_escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for code in code_points(text) {
        match code {
            0 | 0x0a | 0x0d | 0x1a | 0x5c | 0x100..=0xffff => {
                out.extend(format!("\\u{code:04x}").bytes());
            }
            0x1_0000.. => out.extend(format!("\\U{code:08x}").bytes()),
            _ => out.push(code as u8),
        }
    }
    out
}

/// Appends a code point as `surrogatepass` encodes it.
pub(in crate::format) fn push_code_point(out: &mut Vec<u8>, code: u32) -> Option<()> {
    match char::from_u32(code) {
        Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        None if (0xd800..0xe000).contains(&code) => {
            out.extend([
                0xe0 | (code >> 12) as u8,
                0x80 | (code >> 6) as u8 & 0x3f,
                0x80 | code as u8 & 0x3f,
            ]);
        }
        None => return None,
    }
    Some(())
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0u32, |value, &digit| value.checked_mul(16)?.checked_add(char::from(digit).to_digit(16)?))
}

/// Undoes Python's `repr` of bytes without its leading `b`, as the STRING opcode holds it.
pub(super) fn unquote(line: &[u8]) -> Option<Vec<u8>> {
    let (&quote, rest) = line.trim_ascii().split_first()?;
    let mut rest = rest.strip_suffix(&[quote]).filter(|_| matches!(quote, b'\'' | b'"'))?;
    let mut out = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let (&escaped, after) = rest.split_first()?;
        rest = after;
        let byte = match escaped {
            b'\\' | b'\'' | b'"' => escaped,
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            b'x' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                hex(digits)? as u8
            }
            b'0'..=b'7' => {
                let more = rest.iter().take(2).take_while(|digit| matches!(digit, b'0'..=b'7')).count();
                let (digits, after) = rest.split_at(more);
                rest = after;
                let fold = |value: u32, digit: &u8| value * 8 + u32::from(digit - b'0');
                digits.iter().fold(u32::from(escaped - b'0'), fold) as u8
            }
            _ => {
                out.push(b'\\');
                escaped
            }
        };
        out.push(byte);
    }
    Some(out)
}

/// Bytes as the STRING opcode holds them.
pub(super) fn quote(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![b'\''];
    for &byte in bytes {
        match byte {
            b'\\' | b'\'' => out.extend([b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            _ => out.extend(format!("\\x{byte:02x}").bytes()),
        }
    }
    out.push(b'\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let cases: [(f64, &str); 9] = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e-5, "1e-05"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (0.0001, "0.0001"),
            (f64::NEG_INFINITY, "-inf"),
            (5e-324, "5e-324"),
        ];
        for (value, text) in cases {
            assert_eq!(float_repr(value), text);
        }
    }

    #[test]
    fn escapes_lead_back() {
        for text in ["a\\b\nü€😀\r\0", "\\u0041", ""] {
            let escaped = raw_unicode_escape(text.as_bytes());
            assert!(!escaped.contains(&b'\n'));
            assert_eq!(raw_unicode_unescape(&escaped).as_deref(), Some(text.as_bytes()));
        }
        for bytes in [&b"it's \\ \x00\xff\n"[..], b""] {
            assert_eq!(unquote(&quote(bytes)).as_deref(), Some(bytes));
        }
        assert_eq!(unquote(b"'a\\x4'"), None);
        assert_eq!(unquote(b"'"), None);
        assert_eq!(raw_unicode_unescape(b"\\u00g0"), None);
    }

    #[test]
    fn lone_surrogates_are_kept_and_other_bytes_refused() {
        let lone = raw_unicode_unescape(b"x\\ud800y").unwrap();
        assert_eq!(code_points(&lone).collect::<Vec<_>>(), [0x78, 0xd800, 0x79]);
        assert!(matches!(from_surrogatepass(lone), Some(Kind::SurrogateStr(_))));
        assert_eq!(from_surrogatepass(vec![0xff]), None);
    }
}
