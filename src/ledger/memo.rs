//! Results of runs, so that the same run is not made twice.

use rusqlite::{OptionalExtension, params};

use super::text;
use super::{Change, Ledger, LedgerError};
use crate::object::ObjectId;

/// What decides the result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoKey<'a> {
    /// The tree before.
    pub input_tree: ObjectId,
    /// Digest of the migration.
    pub digest: ObjectId,
    /// Which of its functions: `migrate`, `rollback`.
    pub entry: &'a str,
    /// The engine and its version.
    pub engine: &'a str,
}

impl Ledger {
    /// The output tree and change record of a run that was made before.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn memo(&self, key: &MemoKey<'_>) -> Result<Option<(ObjectId, ObjectId)>, LedgerError> {
        self.connection
            .prepare_cached(
                "SELECT output_tree, change_record FROM memo
                 WHERE input_tree = ?1 AND digest = ?2 AND entry = ?3 AND engine = ?4",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(
                        params![key.input_tree.as_bytes(), key.digest.as_bytes(), key.entry, key.engine],
                        |row| Ok((text::id(row, 0)?, text::id(row, 1)?)),
                    )
                    .optional()
            })
            .map_err(LedgerError::during("look a run up"))
    }

    /// Output trees and change records of all remembered runs.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn memo_outputs(&self) -> Result<Vec<(ObjectId, ObjectId)>, LedgerError> {
        self.connection
            .prepare_cached("SELECT output_tree, change_record FROM memo")
            .and_then(|mut statement| {
                statement.query_map([], |row| Ok((text::id(row, 0)?, text::id(row, 1)?)))?.collect()
            })
            .map_err(LedgerError::during("list the remembered runs"))
    }
}

impl Change<'_> {
    /// Remembers the result of a run.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be written.
    pub fn add_memo(
        &self,
        key: &MemoKey<'_>,
        output_tree: &ObjectId,
        change_record: &ObjectId,
    ) -> Result<(), LedgerError> {
        self.transaction
            .execute(
                "INSERT OR REPLACE INTO memo (input_tree, digest, entry, engine, output_tree, change_record)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    key.input_tree.as_bytes(),
                    key.digest.as_bytes(),
                    key.entry,
                    key.engine,
                    output_tree.as_bytes(),
                    change_record.as_bytes(),
                ],
            )
            .map(drop)
            .map_err(LedgerError::during("remember a run"))
    }

    /// Forgets the remembered runs whose output tree is this one.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be written.
    pub fn forget_memo(&self, output_tree: &ObjectId) -> Result<(), LedgerError> {
        self.transaction
            .execute("DELETE FROM memo WHERE output_tree = ?1", [output_tree.as_bytes()])
            .map(drop)
            .map_err(LedgerError::during("forget a run"))
    }
}
