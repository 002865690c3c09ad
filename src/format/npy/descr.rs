//! Element types as NumPy spells them.

use crate::value::Dtype;

use super::super::literal::{Value, parse};

/// Types that are a tensor's as they are.
const PLAIN: &[(&str, Dtype)] = &[
    ("|b1", Dtype::Bool),
    ("|i1", Dtype::I8),
    ("|u1", Dtype::U8),
    ("<i2", Dtype::I16),
    ("<u2", Dtype::U16),
    ("<i4", Dtype::I32),
    ("<u4", Dtype::U32),
    ("<i8", Dtype::I64),
    ("<u8", Dtype::U64),
    ("<f2", Dtype::F16),
    ("<f4", Dtype::F32),
    ("<f8", Dtype::F64),
    ("<c8", Dtype::C64),
    ("<c16", Dtype::C128),
];

/// An element type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::format) struct Descr {
    /// As the header spells it.
    pub text: String,
    /// Length of an element in bytes; `None` where elements are Python objects.
    pub item_bytes: Option<u64>,
    /// The tensor's type, if it has one.
    pub dtype: Option<Dtype>,
}

impl Descr {
    /// Reads a type from the header's text.
    pub fn of_text(text: &str) -> Option<Descr> {
        Descr::of_value(&parse(text)?, text)
    }

    /// Reads a type that was parsed from `text`.
    pub fn of_value(value: &Value, text: &str) -> Option<Descr> {
        let item_bytes = item_bytes(value)?;
        let dtype = match value {
            Value::Text(name) => {
                let name = name.strip_prefix('=').map_or(name.clone(), |rest| format!("<{rest}"));
                PLAIN.iter().find(|(plain, _)| *plain == name).map(|(_, dtype)| *dtype)
            }
            _ => None,
        };
        Some(Descr { text: text.to_owned(), item_bytes: item_bytes.known(), dtype })
    }
}

/// The spelling of a tensor's type.
pub(super) fn of_dtype(dtype: Dtype) -> Option<String> {
    PLAIN.iter().find(|(_, plain)| *plain == dtype).map(|(name, _)| format!("'{name}'"))
}

/// Length of an element, or that it is none of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Bytes(u64),
    Object,
}

impl Item {
    fn known(self) -> Option<u64> {
        match self {
            Item::Bytes(bytes) => Some(bytes),
            Item::Object => None,
        }
    }
}

/// The parser bounds the nesting of values, so this recursion is bounded too.
fn item_bytes(value: &Value) -> Option<Item> {
    match value {
        Value::Text(name) => scalar_bytes(name),
        Value::List(fields) => {
            let mut total = 0u64;
            for field in fields {
                let Value::Tuple(parts) = field else { return None };
                let (Some(descr), shape) = (parts.get(1), parts.get(2)) else { return None };
                let Item::Bytes(bytes) = item_bytes(descr)? else { return Some(Item::Object) };
                total = total.checked_add(bytes.checked_mul(count(shape)?)?)?;
            }
            Some(Item::Bytes(total))
        }
        // A type with a shape of its own.
        Value::Tuple(parts) if parts.len() == 2 => {
            let Item::Bytes(bytes) = item_bytes(&parts[0])? else { return Some(Item::Object) };
            Some(Item::Bytes(bytes.checked_mul(count(Some(&parts[1]))?)?))
        }
        _ => None,
    }
}

fn count(shape: Option<&Value>) -> Option<u64> {
    match shape {
        None => Some(1),
        Some(Value::Int(extent)) => u64::try_from(*extent).ok(),
        Some(Value::Tuple(extents)) => extents.iter().try_fold(1u64, |count, extent| match extent {
            Value::Int(extent) => count.checked_mul(u64::try_from(*extent).ok()?),
            _ => None,
        }),
        Some(_) => None,
    }
}

fn scalar_bytes(name: &str) -> Option<Item> {
    let name = name.strip_prefix(['<', '>', '|', '=']).unwrap_or(name);
    let mut letters = name.chars();
    let kind = letters.next()?;
    let rest = letters.as_str();
    // Times carry their unit behind their length.
    let digits = rest.split_once('[').map_or(rest, |(digits, _)| digits);
    if kind == 'O' {
        return Some(Item::Object);
    }
    if kind == '?' && rest.is_empty() {
        return Some(Item::Bytes(1));
    }
    let length: u64 = digits.parse().ok()?;
    match kind {
        'U' => Some(Item::Bytes(length.checked_mul(4)?)),
        'b' | 'i' | 'u' | 'f' | 'c' | 'S' | 'a' | 'V' | 'M' | 'm' => Some(Item::Bytes(length)),
        _ => None,
    }
}
