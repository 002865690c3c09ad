//! Compatibility groups as catalogues declare them.

use jiff::Timestamp;
use rusqlite::params;

use super::{Change, Ledger, LedgerError};

/// A compatibility group of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// The catalogue's name.
    pub catalogue: String,
    /// Its place: 0 for the first group.
    pub number: u32,
    /// The final migration that opens it; `None` for group 0.
    pub opened_by: Option<String>,
    /// That migration's version.
    pub version: Option<String>,
}

impl Ledger {
    /// All groups that were ever used, by catalogue and number.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn groups(&self) -> Result<Vec<GroupRow>, LedgerError> {
        self.connection
            .prepare_cached(
                "SELECT catalogue, number, opened_by, version FROM groups ORDER BY catalogue, number",
            )
            .and_then(|mut statement| {
                statement
                    .query_map([], |row| {
                        Ok(GroupRow {
                            catalogue: row.get(0)?,
                            number: row.get(1)?,
                            opened_by: row.get(2)?,
                            version: row.get(3)?,
                        })
                    })?
                    .collect()
            })
            .map_err(LedgerError::during("list the groups"))
    }
}

impl Change<'_> {
    /// Records the groups of a catalogue, in place of what was recorded of it before.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be written.
    pub fn set_groups(&self, catalogue: &str, groups: &[GroupRow], at: Timestamp) -> Result<(), LedgerError> {
        let during = || LedgerError::during("record the groups");
        self.transaction.execute("DELETE FROM groups WHERE catalogue = ?1", [catalogue]).map_err(during())?;
        for group in groups {
            self.transaction
                .execute(
                    "INSERT INTO groups (catalogue, number, opened_by, version, recorded)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![catalogue, group.number, group.opened_by, group.version, at.to_string()],
                )
                .map_err(during())?;
        }
        Ok(())
    }
}
