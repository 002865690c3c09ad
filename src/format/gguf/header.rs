//! The header: counts, keys, and what is said of each tensor.

use std::collections::HashSet;

use super::super::{Bound, FormatError, Limits, Source};
use super::types::{ARRAY, TEXT, Value, dtype_of, int_type, least_bytes};
use super::{ALIGNMENT, GgufError, MAGIC, read_window};

/// Most dimensions of a tensor (`GGML_MAX_DIMS`).
pub(super) const MOST_DIMENSIONS: usize = 4;
/// Arrays inside each other; no writer makes more than two.
const MOST_NESTING: usize = 8;
/// First window in which the end of the header is looked for, in bytes.
const WINDOW_BYTES: u64 = 1 << 20;
/// Alignment of tensors where no key says another.
const DEFAULT_ALIGNMENT: u64 = 32;

/// What is said of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Info {
    pub name: String,
    /// Innermost first, in values.
    pub shape: Vec<u64>,
    pub kind: u32,
    /// From the start of the tensors.
    pub offset: u64,
}

impl Info {
    /// Length in bytes, if type and shape make sense together.
    pub fn bytes(&self) -> Option<u64> {
        let dtype = dtype_of(self.kind)?;
        let (block, item_bytes) = (dtype.block_values(), dtype.item_bytes());
        let inner = self.shape.first().copied().unwrap_or(1);
        if inner % block != 0 {
            return None;
        }
        let blocks = self.shape.iter().skip(1).try_fold(inner / block, |n, extent| n.checked_mul(*extent))?;
        blocks.checked_mul(item_bytes)
    }
}

/// A header.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub version: u32,
    pub big_endian: bool,
    pub alignment: u64,
    pub keys: Vec<(Vec<u8>, Value)>,
    pub infos: Vec<Info>,
}

/// The alignment that the keys say.
pub(super) fn alignment(keys: &[(Vec<u8>, Value)]) -> Option<u64> {
    let found = keys.iter().find(|(key, _)| key == ALIGNMENT.as_bytes())?;
    match &found.1 {
        Value::Int(_, value) => u64::try_from(*value).ok(),
        _ => None,
    }
}

impl Header {
    /// Reads the header of a file, and its bytes.
    pub fn read_from(source: &dyn Source, limits: &Limits) -> Result<(Header, Vec<u8>), FormatError> {
        let mut window = WINDOW_BYTES;
        loop {
            let mut bytes = read_window(source, window.min(limits.skeleton_bytes))?;
            let mut reader = Reader::new(&bytes, limits);
            match reader.header() {
                Ok(header) => {
                    let end = reader.offset;
                    bytes.truncate(end);
                    return Ok((header, bytes));
                }
                Err(Stop::Short) if (bytes.len() as u64) < source.bytes() => {
                    limits.check(Bound::SkeletonBytes, "the header", window)?;
                    window = window.saturating_mul(4);
                }
                Err(stop) => return Err(reader.error(stop).into()),
            }
        }
    }

    /// Reads a whole header.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Header, GgufError> {
        let mut reader = Reader::new(bytes, limits);
        reader.header().map_err(|stop| reader.error(stop))
    }

    /// The bytes of the header, if its version can hold it.
    pub fn write(&self) -> Option<Vec<u8>> {
        let mut out = Writer { bytes: MAGIC.to_vec(), big_endian: self.big_endian, version: self.version };
        out.number(u64::from(self.version), 4);
        out.length(self.infos.len())?;
        out.length(self.keys.len())?;
        for (key, value) in &self.keys {
            out.text(key)?;
            out.number(u64::from(value.kind()), 4);
            out.value(value)?;
        }
        for info in &self.infos {
            out.text(info.name.as_bytes())?;
            out.number(info.shape.len() as u64, 4);
            for extent in &info.shape {
                out.length(usize::try_from(*extent).ok()?)?;
            }
            out.number(u64::from(info.kind), 4);
            out.number(info.offset, 8);
        }
        Some(out.bytes)
    }
}

/// Why reading stopped.
enum Stop {
    /// The bytes end.
    Short,
    Wrong(&'static str),
    /// There is more of something than a limit allows.
    Limit(&'static str, Bound),
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    limits: &'a Limits,
    big_endian: bool,
    version: u32,
    values: u64,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], limits: &'a Limits) -> Reader<'a> {
        Reader { bytes, offset: 0, limits, big_endian: false, version: 0, values: 0 }
    }

    fn error(&self, stop: Stop) -> GgufError {
        let problem = match stop {
            Stop::Short => "the file ends inside it",
            Stop::Wrong(problem) => problem,
            Stop::Limit(what, bound) => {
                return GgufError::Limit { what, limit: self.limits.get(bound), bound };
            }
        };
        GgufError::Header { offset: self.offset as u64, problem }
    }

    fn take(&mut self, bytes: u64) -> Result<&'a [u8], Stop> {
        let end = usize::try_from(bytes).ok().and_then(|bytes| self.offset.checked_add(bytes));
        let taken = end.and_then(|end| self.bytes.get(self.offset..end)).ok_or(Stop::Short)?;
        self.offset += taken.len();
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<u64, Stop> {
        let taken = self.take(bytes as u64)?;
        let mut wide = [0; 8];
        if self.big_endian {
            wide[8 - bytes..].copy_from_slice(taken);
            Ok(u64::from_be_bytes(wide))
        } else {
            wide[..bytes].copy_from_slice(taken);
            Ok(u64::from_le_bytes(wide))
        }
    }

    /// A count or a length: of four bytes in version 1.
    fn length(&mut self) -> Result<u64, Stop> {
        self.number(if self.version == 1 { 4 } else { 8 })
    }

    fn text(&mut self) -> Result<Vec<u8>, Stop> {
        let bytes = self.length()?;
        if bytes > self.limits.skeleton_bytes {
            return Err(Stop::Limit("bytes in a text", Bound::SkeletonBytes));
        }
        Ok(self.take(bytes)?.to_vec())
    }

    fn header(&mut self) -> Result<Header, Stop> {
        if self.take(4)? != MAGIC {
            return Err(Stop::Wrong("it does not begin as one"));
        }
        let version: [u8; 4] = self.take(4)?.try_into().expect("four bytes were taken");
        let (little, big) = (u32::from_le_bytes(version), u32::from_be_bytes(version));
        (self.version, self.big_endian) = match (little, big) {
            (1..=3, _) => (little, false),
            (_, 1..=3) => (big, true),
            _ => return Err(Stop::Wrong("its version is not known")),
        };
        let tensors = self.length()?;
        let keys = self.length()?;
        if tensors > self.limits.entries || keys > self.limits.entries {
            return Err(Stop::Limit("tensors or keys", Bound::Entries));
        }
        let mut header = Header {
            version: self.version,
            big_endian: self.big_endian,
            alignment: DEFAULT_ALIGNMENT,
            keys: Vec::new(),
            infos: Vec::new(),
        };
        let mut seen = HashSet::new();
        for _ in 0..keys {
            let key = self.text()?;
            if !seen.insert(key.clone()) {
                return Err(Stop::Wrong("a key is there twice"));
            }
            let kind = self.number(4)? as u32;
            let value = self.value(kind, 0)?;
            header.keys.push((key, value));
        }
        if let Some(alignment) = alignment(&header.keys) {
            if !alignment.is_power_of_two() || alignment > 1 << 20 {
                return Err(Stop::Wrong("its alignment is no power of two up to a mebibyte"));
            }
            header.alignment = alignment;
        }
        let mut names = HashSet::new();
        for _ in 0..tensors {
            let name =
                String::from_utf8(self.text()?).map_err(|_| Stop::Wrong("a tensor's name is no text"))?;
            if !names.insert(name.clone()) {
                return Err(Stop::Wrong("a tensor is there twice"));
            }
            let dimensions = self.number(4)? as usize;
            if dimensions > MOST_DIMENSIONS {
                return Err(Stop::Wrong("a tensor has more than four dimensions"));
            }
            let mut shape = Vec::with_capacity(dimensions);
            for _ in 0..dimensions {
                shape.push(self.length()?);
            }
            let kind = self.number(4)? as u32;
            if dtype_of(kind).is_none() {
                return Err(Stop::Wrong("a tensor's type is not known"));
            }
            header.infos.push(Info { name, shape, kind, offset: self.number(8)? });
        }
        Ok(header)
    }

    /// Reads a value; the nesting of arrays is bounded, and so is this recursion.
    fn value(&mut self, kind: u32, depth: usize) -> Result<Value, Stop> {
        self.values += 1;
        if self.values > self.limits.nodes {
            return Err(Stop::Limit("values", Bound::Values));
        }
        if let Some((bytes, signed)) = int_type(kind) {
            let value = i128::from(self.number(bytes)?);
            let bits = bytes * 8;
            let value = if signed && value >> (bits - 1) != 0 { value - (1i128 << bits) } else { value };
            return Ok(Value::Int(kind, value));
        }
        Ok(match kind {
            6 => Value::F32(f32::from_bits(self.number(4)? as u32)),
            12 => Value::F64(f64::from_bits(self.number(8)?)),
            7 => match self.number(1)? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return Err(Stop::Wrong("a truth value is neither 0 nor 1")),
            },
            TEXT => Value::Text(self.text()?),
            ARRAY => {
                if depth >= MOST_NESTING {
                    return Err(Stop::Wrong("arrays are nested too deep"));
                }
                let kind = self.number(4)? as u32;
                let count = self.length()?;
                let least = least_bytes(kind).ok_or(Stop::Wrong("an array's type is not known"))?;
                if count > self.limits.nodes {
                    return Err(Stop::Limit("values in an array", Bound::Values));
                }
                if count.saturating_mul(least) > (self.bytes.len() - self.offset) as u64 {
                    return Err(Stop::Short);
                }
                let mut items = Vec::with_capacity(count as usize);
                for _ in 0..count {
                    items.push(self.value(kind, depth + 1)?);
                }
                Value::Array(kind, items)
            }
            _ => return Err(Stop::Wrong("a value's type is not known")),
        })
    }
}

struct Writer {
    bytes: Vec<u8>,
    big_endian: bool,
    version: u32,
}

impl Writer {
    fn number(&mut self, value: u64, bytes: usize) {
        if self.big_endian {
            self.bytes.extend(&value.to_be_bytes()[8 - bytes..]);
        } else {
            self.bytes.extend(&value.to_le_bytes()[..bytes]);
        }
    }

    fn length(&mut self, length: usize) -> Option<()> {
        if self.version == 1 {
            self.number(u64::from(u32::try_from(length).ok()?), 4);
        } else {
            self.number(length as u64, 8);
        }
        Some(())
    }

    fn text(&mut self, text: &[u8]) -> Option<()> {
        self.length(text.len())?;
        self.bytes.extend(text);
        Some(())
    }

    /// Writes a value; its nesting is that of one that was read, or none.
    fn value(&mut self, value: &Value) -> Option<()> {
        match value {
            Value::Int(kind, value) => {
                let (bytes, _) = int_type(*kind)?;
                self.number(*value as u64, bytes);
            }
            Value::F32(value) => self.number(u64::from(value.to_bits()), 4),
            Value::F64(value) => self.number(value.to_bits(), 8),
            Value::Bool(value) => self.number(u64::from(*value), 1),
            Value::Text(text) => self.text(text)?,
            Value::Array(kind, items) => {
                self.number(u64::from(*kind), 4);
                self.length(items.len())?;
                for item in items {
                    self.value(item)?;
                }
            }
        }
        Some(())
    }
}
