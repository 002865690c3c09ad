//! Documents as bytes, between ckstore and the worker that runs a script: a fraction of the room that graphs take.
//!
//! Each value is a tag and its content; lengths have four bytes and numbers their own, all little-endian. Nothing is
//! stored so: both sides are of one version.

use super::{Document, DocumentError, MAX_DEPTH, Value};

/// The bytes of a document.
pub fn pack(document: &Document) -> Vec<u8> {
    let mut out = Vec::new();
    put_document(document, &mut out);
    out
}

/// Reads the bytes of a document, which may come from a stranger.
///
/// # Errors
///
/// [`DocumentError::NotADocument`] if they are none, or nest deeper than [`MAX_DEPTH`].
pub fn unpack(bytes: &[u8]) -> Result<Document, DocumentError> {
    let mut rest = Rest(bytes);
    let document = rest.document(MAX_DEPTH)?;
    if rest.0.is_empty() { Ok(document) } else { Err(broken()) }
}

fn put_document(document: &Document, out: &mut Vec<u8>) {
    put_length(document.len(), out);
    for (key, value) in document {
        put_bytes(key.as_bytes(), out);
        put(value, out);
    }
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    // What is longer than that is far beyond every limit, and does not read as a document.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn put(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0),
        Value::Bool(value) => out.extend_from_slice(&[1, u8::from(*value)]),
        Value::Int32(value) => {
            out.push(2);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::Int64(value) => {
            out.push(3);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::Double(value) => {
            out.push(4);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        Value::Decimal(value) => {
            out.push(5);
            put_bytes(value.as_str().as_bytes(), out);
        }
        Value::Text(text) => {
            out.push(6);
            put_bytes(text.as_bytes(), out);
        }
        Value::Object(document) => {
            out.push(7);
            put_document(document, out);
        }
        Value::Array(items) => {
            out.push(8);
            put_length(items.len(), out);
            items.iter().for_each(|item| put(item, out));
        }
        Value::Binary { subtype, bytes } => {
            out.extend_from_slice(&[9, *subtype]);
            put_bytes(bytes, out);
        }
        Value::ObjectId(id) => {
            out.push(10);
            out.extend_from_slice(id);
        }
        Value::DateTime(millis) => {
            out.push(11);
            out.extend_from_slice(&millis.to_le_bytes());
        }
        Value::Regex { pattern, options } => {
            out.push(12);
            put_bytes(pattern.as_bytes(), out);
            put_bytes(options.as_bytes(), out);
        }
        Value::Timestamp { time, increment } => {
            out.push(13);
            out.extend_from_slice(&time.to_le_bytes());
            out.extend_from_slice(&increment.to_le_bytes());
        }
        Value::MinKey => out.push(14),
        Value::MaxKey => out.push(15),
    }
}

fn broken() -> DocumentError {
    DocumentError::NotADocument { what: "a packed document is damaged".to_owned() }
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take(&mut self, length: usize) -> Result<&[u8], DocumentError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(broken)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DocumentError> {
        self.take(N).map(|bytes| bytes.try_into().expect("so many were taken"))
    }

    fn length(&mut self) -> Result<usize, DocumentError> {
        usize::try_from(u32::from_le_bytes(self.array()?)).map_err(|_| broken())
    }

    fn bytes(&mut self) -> Result<&[u8], DocumentError> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<String, DocumentError> {
        std::str::from_utf8(self.bytes()?).map(str::to_owned).map_err(|_| broken())
    }

    fn document(&mut self, left: usize) -> Result<Document, DocumentError> {
        let mut document = Document::new();
        for _ in 0..self.length()? {
            let key = self.text()?;
            if document.insert(key, self.value(left)?).is_some() {
                return Err(broken());
            }
        }
        Ok(document)
    }

    fn value(&mut self, left: usize) -> Result<Value, DocumentError> {
        let deeper = || {
            let what = format!("a document nests deeper than {MAX_DEPTH} levels");
            left.checked_sub(1).ok_or(DocumentError::NotADocument { what })
        };
        let [tag] = self.array()?;
        Ok(match tag {
            0 => Value::Null,
            1 => Value::Bool(self.array::<1>()? != [0]),
            2 => Value::Int32(i32::from_le_bytes(self.array()?)),
            3 => Value::Int64(i64::from_le_bytes(self.array()?)),
            4 => Value::Double(f64::from_bits(u64::from_le_bytes(self.array()?))),
            5 => Value::Decimal(self.text()?.parse().map_err(|()| broken())?),
            6 => Value::Text(self.text()?),
            7 => Value::Object(self.document(deeper()?)?),
            8 => {
                let left = deeper()?;
                // No room is made for what is only announced.
                (0..self.length()?).map(|_| self.value(left)).collect::<Result<_, _>>().map(Value::Array)?
            }
            9 => Value::Binary { subtype: self.array::<1>()?[0], bytes: self.bytes()?.to_vec() },
            10 => Value::ObjectId(self.array()?),
            11 => Value::DateTime(i64::from_le_bytes(self.array()?)),
            12 => Value::Regex { pattern: self.text()?, options: self.text()? },
            13 => Value::Timestamp {
                time: u32::from_le_bytes(self.array()?),
                increment: u32::from_le_bytes(self.array()?),
            },
            14 => Value::MinKey,
            15 => Value::MaxKey,
            _ => return Err(broken()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::document;
    use super::*;

    fn every_kind() -> Document {
        document(
            r#"{"_id": {"$oid": "507f1f77bcf86cd799439011"}, "a": [null, true, 1, {"$numberLong": "1"}, 1.5, {}],
                "b": {"$numberDecimal": "1.10"}, "c": {"$binary": {"base64": "YWI=", "subType": "04"}},
                "d": {"$date": "2021-11-22T17:22:20Z"}, "e": {"$regularExpression": {"pattern": "^a", "options": "i"}},
                "f": {"$timestamp": {"t": 1, "i": 2}}, "g": {"$minKey": 1}, "h": {"$maxKey": 1}, "i": {"j": "text"}}"#,
        )
    }

    #[test]
    fn every_kind_of_value_comes_back_as_it_was() {
        let document = every_kind();
        assert!(super::super::value::is_identical(&unpack(&pack(&document)).unwrap(), &document));
    }

    #[test]
    fn what_is_cut_changed_or_too_deep_is_refused_and_never_panics() {
        let whole = pack(&every_kind());
        for end in 0..whole.len() {
            assert!(unpack(&whole[..end]).is_err(), "{end}");
        }
        assert!(unpack(&[&whole[..], &[0]].concat()).is_err());
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 0xff;
            let _ = unpack(&changed);
        }
        let nested = |levels: usize| {
            let inner = [&[8, 1, 0, 0, 0][..]].concat().repeat(levels);
            unpack(&[&[1, 0, 0, 0, 1, 0, 0, 0, b'a'][..], &inner, &[0]].concat())
        };
        assert!(nested(MAX_DEPTH).is_ok());
        assert!(nested(MAX_DEPTH + 1).is_err());
        let lying = [1, 0, 0, 0, 1, 0, 0, 0, b'a', 8, 0xff, 0xff, 0xff, 0xff];
        assert!(unpack(&lying).is_err());
    }
}
