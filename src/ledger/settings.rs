//! Settings of the store.

use rusqlite::{OptionalExtension, params};

use super::{Change, Ledger, LedgerError};

impl Ledger {
    /// The value of a setting.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn setting(&self, key: &str) -> Result<Option<String>, LedgerError> {
        self.connection
            .prepare_cached("SELECT value FROM settings WHERE key = ?1")
            .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional())
            .map_err(LedgerError::during("read a setting"))
    }

    /// All settings, by key.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn settings(&self) -> Result<Vec<(String, String)>, LedgerError> {
        self.connection
            .prepare_cached("SELECT key, value FROM settings ORDER BY key")
            .and_then(|mut statement| {
                statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .map_err(LedgerError::during("read the settings"))
    }
}

impl Change<'_> {
    /// Sets a setting.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be written.
    pub fn set_setting(&self, key: &str, value: &str) -> Result<(), LedgerError> {
        self.transaction
            .execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?1, ?2)", params![key, value])
            .map(drop)
            .map_err(LedgerError::during("write a setting"))
    }

    /// Sets a setting that is not set yet.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be written.
    pub fn add_setting(&self, key: &str, value: &str) -> Result<(), LedgerError> {
        self.transaction
            .execute("INSERT OR IGNORE INTO settings (key, value) VALUES (?1, ?2)", params![key, value])
            .map(drop)
            .map_err(LedgerError::during("write a setting"))
    }

    /// Removes a setting.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be written.
    pub fn remove_setting(&self, key: &str) -> Result<(), LedgerError> {
        self.transaction
            .execute("DELETE FROM settings WHERE key = ?1", [key])
            .map(drop)
            .map_err(LedgerError::during("remove a setting"))
    }
}
