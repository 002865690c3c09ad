//! The header of an array.

use super::super::Limits;
use super::super::literal::{Value, parse_with_slices};
use super::descr::Descr;
use super::{MAGIC, NpyError};

/// Longest header that is read, in bytes.
pub(in crate::format) const MOST_HEADER_BYTES: u64 = 1 << 20;

/// What the header of an array says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::format) struct Header {
    /// The element type.
    pub descr: Descr,
    /// Whether the first dimension is the dense one.
    pub fortran: bool,
    /// Extent of each dimension.
    pub shape: Vec<u64>,
    /// The literal, without padding.
    pub text: String,
}

/// Length of the whole header, by its first twelve bytes.
pub(in crate::format) fn head_bytes(head: &[u8]) -> Result<u64, NpyError> {
    let rest = head.strip_prefix(MAGIC).ok_or(NpyError::Header("it does not begin as one"))?;
    match rest {
        [1, _, low, high, ..] => Ok(10 + u64::from(u16::from_le_bytes([*low, *high]))),
        [2 | 3, _, a, b, c, d, ..] => Ok(12 + u64::from(u32::from_le_bytes([*a, *b, *c, *d]))),
        [0 | 4.., ..] => Err(NpyError::Header("its version is not known")),
        _ => Err(NpyError::Header("the file ends inside it")),
    }
}

impl Header {
    /// Reads a whole header.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Header, NpyError> {
        let start = if bytes.get(6) == Some(&1) { 10 } else { 12 };
        let text = bytes.get(start..).ok_or(NpyError::Header("the file ends inside it"))?;
        // Version 3 is UTF-8; versions 1 and 2 are Latin-1, of which only ASCII is ever written.
        let text = std::str::from_utf8(text).map_err(|_| NpyError::Header("it is no text"))?.trim_end();
        let Some(fields) = parse_with_slices(text) else {
            return Err(NpyError::Header("it is no Python literal"));
        };
        let field =
            |name| fields.iter().find(|(key, _, _)| key == name).map(|(_, value, text)| (value, *text));
        let (descr, descr_text) = field("descr").ok_or(NpyError::Header("it says no type"))?;
        let descr = Descr::of_value(descr, descr_text).ok_or(NpyError::Header("its type is not known"))?;
        let Some((Value::Bool(fortran), _)) = field("fortran_order") else {
            return Err(NpyError::Header("it says no order"));
        };
        let Some((Value::Tuple(extents), _)) = field("shape") else {
            return Err(NpyError::Header("it says no shape"));
        };
        let extent = |value: &Value| match value {
            Value::Int(extent) => u64::try_from(*extent).ok(),
            _ => None,
        };
        let shape: Option<Vec<u64>> = extents.iter().map(extent).collect();
        let shape = shape.ok_or(NpyError::Header("its shape is no tuple of natural numbers"))?;
        if fields.len() != 3 || shape.len() >= limits.dimensions {
            return Err(NpyError::Header("it says more than an array has"));
        }
        let header = Header { descr, fortran: *fortran, shape, text: text.to_owned() };
        let mut extents = header.shape.iter();
        let item_bytes = header.descr.item_bytes.unwrap_or(1);
        // Zero extents would hide an overflow that a change of shape could bring out.
        let total = extents.try_fold(item_bytes.max(1), |total, extent| total.checked_mul((*extent).max(1)));
        total.ok_or(NpyError::Header("its shape overflows"))?;
        Ok(header)
    }

    /// Length of the elements in bytes; `None` where they are a pickle.
    pub fn data_bytes(&self) -> Option<u64> {
        let item_bytes = self.descr.item_bytes?;
        self.shape.iter().try_fold(item_bytes, |total, extent| total.checked_mul(*extent))
    }
}

/// The literal as NumPy writes it.
pub(super) fn text(descr: &str, fortran: bool, shape: &[u64]) -> String {
    let fortran = if fortran { "True" } else { "False" };
    let extents: Vec<String> = shape.iter().map(u64::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': ({}{comma}), }}", extents.join(", "))
}

/// A whole header around a literal: padded to 64 bytes, of the first version that can hold it.
pub(super) fn frame(text: &str) -> Vec<u8> {
    let (version, head): (u8, usize) = match (text.is_ascii(), text.len()) {
        (false, _) => (3, 12),
        (true, 0..=65_000) => (1, 10),
        _ => (2, 12),
    };
    let total = (head + text.len() + 1).next_multiple_of(64);
    let mut out = MAGIC.to_vec();
    out.extend([version, 0]);
    let length = total - head;
    match version {
        1 => out.extend((length as u16).to_le_bytes()),
        _ => out.extend((length as u32).to_le_bytes()),
    }
    out.extend(text.bytes());
    out.resize(total - 1, b' ');
    out.push(b'\n');
    out
}
