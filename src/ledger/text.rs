//! Values as columns hold them.

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::{FromSqlError, Type};

use crate::object::ObjectId;
use crate::refname::RefName;

/// Reads a 32-byte name.
pub fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<ObjectId> {
    Ok(ObjectId::from_bytes(row.get(column)?))
}

/// Reads a 32-byte name that may be NULL.
pub fn id_or_none(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<ObjectId>> {
    Ok(row.get::<_, Option<[u8; 32]>>(column)?.map(ObjectId::from_bytes))
}

/// Reads the name of a ref.
pub fn ref_name(row: &Row<'_>, column: usize) -> rusqlite::Result<RefName> {
    parsed(row, column)
}

/// Reads a time.
pub fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    parsed(row, column)
}

/// Reads a length or a count.
pub fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// A length or a count as SQLite holds it.
pub fn integer(value: u64) -> rusqlite::Result<i64> {
    i64::try_from(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error: T::Err| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, FromSqlError::other(error).into())
    })
}
