//! Objects: bytes named by their BLAKE3, and where in the store they lie.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of an object: the BLAKE3 hash of its bytes.
///
/// Written as 64 lower-case hexadecimal digits, the same that `b3sum` prints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; 32]);

impl ObjectId {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> ObjectId {
        ObjectId(*blake3::hash(bytes).as_bytes())
    }

    /// The name with these 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> ObjectId {
        ObjectId(bytes)
    }

    /// The 32 bytes of the name.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl From<blake3::Hash> for ObjectId {
    fn from(hash: blake3::Hash) -> ObjectId {
        ObjectId(*hash.as_bytes())
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

/// The text is no object name.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an object name: 64 lower-case hexadecimal digits are expected")]
pub struct ParseObjectIdError(String);

impl FromStr for ObjectId {
    type Err = ParseObjectIdError;

    fn from_str(text: &str) -> Result<ObjectId, ParseObjectIdError> {
        match blake3::Hash::from_hex(text) {
            Ok(hash) if !text.contains(|c: char| c.is_ascii_uppercase()) => Ok(hash.into()),
            _ => Err(ParseObjectIdError(text.to_owned())),
        }
    }
}

impl Serialize for ObjectId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<ObjectId, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The name of a pack: the BLAKE3 hash of its header and index.
///
/// The index lists the names of all records, and a record is checked by its name, so this one hash
/// stands for all bytes of the pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PackId(pub ObjectId);

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a record of the store lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The pack.
    pub pack: PackId,
    /// First byte of the stored form, from the start of the pack.
    pub offset: u64,
    /// Length of the stored form in bytes.
    pub stored_bytes: u64,
    /// Length of the bytes that it stands for.
    pub raw_bytes: u64,
    /// How the stored form is made, see `store`.
    pub codec: u8,
}

/// Finds records by name. The ledger's index implements it; the store asks it.
pub trait Locate {
    /// Where the record with this name lies, if the store has it.
    fn locate(&self, id: &ObjectId) -> Result<Option<Location>, LocateError>;

    /// As [`locate`](Locate::locate) for many names, the answers in the order of the names.
    fn locate_many(&self, ids: &[ObjectId]) -> Result<Vec<Option<Location>>, LocateError> {
        ids.iter().map(|id| self.locate(id)).collect()
    }
}

/// The index of stored objects could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("cannot look `{id}` up in the index of stored objects")]
pub struct LocateError {
    /// What was looked for.
    pub id: ObjectId,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_written() {
        let id = ObjectId::of(b"weights");
        assert_eq!(id.to_string().parse::<ObjectId>().unwrap(), id);
        assert!("xyz".parse::<ObjectId>().is_err());
        assert!(id.to_string().to_uppercase().parse::<ObjectId>().is_err());
    }
}
