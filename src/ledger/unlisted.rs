//! Which trees hold no list of migrations, so that none is read again to find that out.

use rusqlite::params;

use super::{Change, Ledger, LedgerError};
use crate::object::ObjectId;

pub(super) const BY_TREE_AND_KEY: &str = "SELECT 1 FROM unlisted WHERE tree = ?1 AND key = ?2";

impl Ledger {
    /// Whether a tree is known to hold no list of migrations under this key.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn is_unlisted(&self, tree: &ObjectId, key: &str) -> Result<bool, LedgerError> {
        self.connection
            .prepare_cached(BY_TREE_AND_KEY)
            .and_then(|mut statement| statement.exists(params![tree.as_bytes(), key]))
            .map_err(LedgerError::during("look a tree up"))
    }
}

impl Change<'_> {
    /// Remembers that a tree was read and holds no list of migrations under this key.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be written.
    pub fn add_unlisted(&self, tree: &ObjectId, key: &str) -> Result<(), LedgerError> {
        self.transaction
            .prepare_cached("INSERT OR IGNORE INTO unlisted (tree, key) VALUES (?1, ?2)")
            .and_then(|mut statement| statement.execute(params![tree.as_bytes(), key]))
            .map(drop)
            .map_err(LedgerError::during("remember a tree"))
    }
}
