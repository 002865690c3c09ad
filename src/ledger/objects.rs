//! The index of stored objects.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Row, params, params_from_iter};

use super::text;
use super::{Change, Ledger, LedgerError};
use crate::object::{Locate, LocateError, Location, ObjectId, PackId};

/// Names that are looked up with one statement: with the shorter one where few are left.
const BATCHES: [usize; 2] = [8, 64];

pub(super) const BY_NAME: &str = "SELECT packs.name, offset, stored_bytes, raw_bytes, codec
     FROM objects JOIN packs ON packs.number = objects.pack WHERE objects.name = ?1";
pub(super) const BY_PACK: &str = "SELECT objects.name, offset, stored_bytes, raw_bytes, codec
     FROM objects JOIN packs ON packs.number = objects.pack WHERE packs.name = ?1 ORDER BY objects.offset";

/// In the order in which they lie in the file.
const ALL: &str = "SELECT name, pack, offset, stored_bytes, raw_bytes, codec FROM objects ORDER BY name";

/// As [`BY_NAME`] for so many names, and the name itself.
pub(super) fn by_names(count: usize) -> String {
    format!(
        "SELECT packs.name, offset, stored_bytes, raw_bytes, codec, objects.name
         FROM objects JOIN packs ON packs.number = objects.pack WHERE objects.name IN (?{})",
        ", ?".repeat(count - 1)
    )
}

fn location(row: &Row<'_>) -> rusqlite::Result<Location> {
    Ok(Location {
        pack: PackId(text::id(row, 0)?),
        offset: text::count(row, 1)?,
        stored_bytes: text::count(row, 2)?,
        raw_bytes: text::count(row, 3)?,
        codec: row.get(4)?,
    })
}

impl Locate for Ledger {
    fn locate(&self, id: &ObjectId) -> Result<Option<Location>, LocateError> {
        self.connection
            .prepare_cached(BY_NAME)
            .and_then(|mut statement| statement.query_row([id.as_bytes()], location).optional())
            .map_err(|error| LocateError { id: *id, source: error.into() })
    }

    fn locate_many(&self, ids: &[ObjectId]) -> Result<Vec<Option<Location>>, LocateError> {
        let mut found = HashMap::new();
        let mut rest = ids;
        while !rest.is_empty() {
            let [few, many] = BATCHES;
            let count = if rest.len() <= few { few } else { many };
            let (batch, after) = rest.split_at(rest.len().min(count));
            rest = after;
            // Two statements for all batches: a short one is filled up with its first name.
            let names = batch.iter().chain(std::iter::repeat(&batch[0])).take(count).map(ObjectId::as_bytes);
            self.connection
                .prepare_cached(&by_names(count))
                .and_then(|mut statement| {
                    let mut rows = statement.query(params_from_iter(names))?;
                    while let Some(row) = rows.next()? {
                        found.insert(text::id(row, 5)?, location(row)?);
                    }
                    Ok(())
                })
                .map_err(|error| LocateError { id: batch[0], source: error.into() })?;
        }
        Ok(ids.iter().map(|id| found.get(id).copied()).collect())
    }
}

impl Ledger {
    /// The packs that the index knows, with their lengths in bytes.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn packs(&self) -> Result<Vec<(PackId, u64)>, LedgerError> {
        self.connection
            .prepare_cached("SELECT name, bytes FROM packs ORDER BY number")
            .and_then(|mut statement| {
                statement
                    .query_map([], |row| Ok((PackId(text::id(row, 0)?), text::count(row, 1)?)))?
                    .collect()
            })
            .map_err(LedgerError::during("list its packs"))
    }

    /// The records that the index places in a pack, in the order of their places.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn records_of(&self, pack: &PackId) -> Result<Vec<(ObjectId, Location)>, LedgerError> {
        self.connection
            .prepare_cached(BY_PACK)
            .and_then(|mut statement| {
                statement
                    .query_map([pack.0.as_bytes()], |row| {
                        let location = Location {
                            pack: *pack,
                            offset: text::count(row, 1)?,
                            stored_bytes: text::count(row, 2)?,
                            raw_bytes: text::count(row, 3)?,
                            codec: row.get(4)?,
                        };
                        Ok((text::id(row, 0)?, location))
                    })?
                    .collect()
            })
            .map_err(LedgerError::during("list the records of a pack"))
    }
}

impl Ledger {
    /// Passes every record that the index has to `see`, in the order of their names.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn each_object(&self, see: &mut dyn FnMut(ObjectId, Location)) -> Result<(), LedgerError> {
        let mut each = || {
            let mut packs = HashMap::new();
            let mut statement = self.connection.prepare_cached("SELECT number, name FROM packs")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                packs.insert(row.get::<_, i64>(0)?, PackId(text::id(row, 1)?));
            }
            let mut statement = self.connection.prepare_cached(ALL)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let Some(pack) = packs.get(&row.get(1)?) else { continue };
                let location = Location {
                    pack: *pack,
                    offset: text::count(row, 2)?,
                    stored_bytes: text::count(row, 3)?,
                    raw_bytes: text::count(row, 4)?,
                    codec: row.get(5)?,
                };
                see(text::id(row, 0)?, location);
            }
            Ok(())
        };
        each().map_err(LedgerError::during("list its records"))
    }

    /// For each codec its number, how many records the index has of it, and their lengths together, raw and
    /// stored, in bytes.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn codec_totals(&self) -> Result<Vec<(u8, u64, u64, u64)>, LedgerError> {
        self.connection
            .prepare_cached(
                "SELECT codec, count(*), sum(raw_bytes), sum(stored_bytes)
                 FROM objects GROUP BY codec ORDER BY codec",
            )
            .and_then(|mut statement| {
                let totals = |row: &Row<'_>| {
                    Ok((row.get(0)?, text::count(row, 1)?, text::count(row, 2)?, text::count(row, 3)?))
                };
                statement.query_map([], totals)?.collect()
            })
            .map_err(LedgerError::during("add up its records"))
    }
}

impl Change<'_> {
    /// Enters a finished pack and the records in it. A record that the index already places elsewhere is
    /// placed here from now on.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be written.
    pub fn add_pack(
        &self,
        pack: &PackId,
        bytes: u64,
        records: &[(ObjectId, Location)],
    ) -> Result<(), LedgerError> {
        self.enter_pack(pack, bytes, records).map_err(LedgerError::during("enter a pack"))
    }

    fn enter_pack(
        &self,
        pack: &PackId,
        bytes: u64,
        records: &[(ObjectId, Location)],
    ) -> rusqlite::Result<()> {
        let name = pack.0.as_bytes();
        self.transaction.execute(
            "INSERT OR IGNORE INTO packs (name, bytes) VALUES (?1, ?2)",
            params![name, text::integer(bytes)?],
        )?;
        let number: i64 =
            self.transaction
                .query_row("SELECT number FROM packs WHERE name = ?1", [name], |row| row.get(0))?;
        let mut insert = self.transaction.prepare_cached(
            "INSERT OR REPLACE INTO objects (name, pack, offset, stored_bytes, raw_bytes, codec)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for (id, location) in records {
            insert.execute(params![
                id.as_bytes(),
                number,
                text::integer(location.offset)?,
                text::integer(location.stored_bytes)?,
                text::integer(location.raw_bytes)?,
                location.codec,
            ])?;
        }
        Ok(())
    }

    /// Removes a pack and the records that the index still places in it.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be written.
    pub fn remove_pack(&self, pack: &PackId) -> Result<(), LedgerError> {
        let name = pack.0.as_bytes();
        self.transaction
            .execute("DELETE FROM objects WHERE pack = (SELECT number FROM packs WHERE name = ?1)", [name])
            .and_then(|_| self.transaction.execute("DELETE FROM packs WHERE name = ?1", [name]))
            .map(drop)
            .map_err(LedgerError::during("remove a pack"))
    }

    /// Forgets where a record lies.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be written.
    pub fn forget_object(&self, id: &ObjectId) -> Result<(), LedgerError> {
        self.transaction
            .prepare_cached("DELETE FROM objects WHERE name = ?1")
            .and_then(|mut statement| statement.execute([id.as_bytes()]))
            .map(drop)
            .map_err(LedgerError::during("forget a record"))
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::super::open::tests::ledger;
    use super::*;

    #[test]
    fn a_lookup_is_compiled_once_whatever_is_looked_up() {
        let (_dir, ledger) = ledger();
        for number in 0..5u8 {
            assert!(ledger.locate(&ObjectId::of(&[number])).unwrap().is_none());
        }
        let statement = ledger.connection.prepare_cached(BY_NAME).unwrap();
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
