//! Opening the ledger, and its one way to write.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Params, Transaction, TransactionBehavior};

use super::LedgerError;

/// The version of the tables that this ckstore writes.
pub const SCHEMA_VERSION: i64 = 4;

/// Marks the file as a ledger: `CKST` as SQLite's application id.
const APPLICATION_ID: i64 = 0x434b_5354;

/// How long a reader or writer waits for another process's transaction.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// The most of the ledger's file that is kept in memory: the inner pages of an index of millions of records.
const CACHE_KIB: i64 = 16 << 10;

const SCHEMA: &str = include_str!("../../schema.sql");

/// Frozen statements that lead from version N to N + 1, from the first version on.
const UPGRADES: &[&str] = &[
    include_str!("upgrades/1-to-2.sql"),
    include_str!("upgrades/2-to-3.sql"),
    include_str!("upgrades/3-to-4.sql"),
];

/// The ledger of one store.
#[derive(Debug)]
pub struct Ledger {
    pub(super) connection: Connection,
}

impl Ledger {
    /// Creates a ledger at `path`.
    ///
    /// # Errors
    ///
    /// If something is there already, or the file cannot be written.
    pub fn create(path: &Path) -> Result<Ledger, LedgerError> {
        if path.exists() {
            return Err(LedgerError::Exists { path: path.to_owned() });
        }
        let mut connection = Connection::open(path).map_err(LedgerError::during("create its file"))?;
        configure(&connection)?;
        let during = || LedgerError::during("create its tables");
        let transaction = connection.transaction().map_err(during())?;
        transaction.execute_batch(SCHEMA).map_err(during())?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(during())?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(during())?;
        transaction.commit().map_err(during())?;
        Ok(Ledger { connection })
    }

    /// Opens the ledger at `path`, upgrading one that an older ckstore wrote.
    ///
    /// # Errors
    ///
    /// If there is none, it is no ledger, or a newer ckstore wrote it.
    pub fn open(path: &Path) -> Result<Ledger, LedgerError> {
        if !path.is_file() {
            return Err(LedgerError::Missing { path: path.to_owned() });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection =
            Connection::open_with_flags(path, flags).map_err(LedgerError::during("open its file"))?;
        // What is not known to be a ledger of this version is only looked at.
        connection.busy_timeout(BUSY_WAIT).map_err(LedgerError::during("open its file"))?;
        let pragma = |name| {
            connection
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
                .map_err(LedgerError::during("read its version"))
        };
        if pragma("application_id")? != APPLICATION_ID {
            return Err(LedgerError::Damaged { what: "the file is not a ckstore ledger".into() });
        }
        let found = pragma("user_version")?;
        if found > SCHEMA_VERSION {
            return Err(LedgerError::Newer { found, known: SCHEMA_VERSION });
        }
        if found < 1 {
            return Err(LedgerError::Damaged { what: format!("its version is {found}") });
        }
        configure(&connection)?;
        upgrade(&mut connection, found)?;
        Ok(Ledger { connection })
    }

    /// Writes a copy of the ledger, as it is now, to `path`.
    ///
    /// # Errors
    ///
    /// If something is there already, or it cannot be written.
    pub fn copy_to(&self, path: &Path) -> Result<(), LedgerError> {
        let during = || LedgerError::during("copy it");
        let path = path.to_str().ok_or_else(|| LedgerError::Missing { path: path.to_owned() })?;
        self.connection.execute("VACUUM INTO ?1", [path]).map(drop).map_err(during())
    }

    /// Leaves it to the system when changes reach the disk. A power loss may then damage the ledger.
    ///
    /// # Errors
    ///
    /// If SQLite refuses.
    pub fn leave_sync_to_the_system(&self) -> Result<(), LedgerError> {
        let refused = LedgerError::during("open its file");
        self.connection.pragma_update(None, "synchronous", "OFF").map_err(refused)
    }

    /// Begins to read: until what is returned is dropped, the ledger is seen as it is now, and many small
    /// questions are answered without asking the system for the file's locks each time.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn reading(&self) -> Result<Reading<'_>, LedgerError> {
        // Inside of another, there is nothing to begin.
        let begin = || self.connection.unchecked_transaction();
        let begun = self.connection.is_autocommit().then(begin).transpose();
        begun.map(|transaction| Reading { _transaction: transaction }).map_err(LedgerError::during("read it"))
    }

    /// Begins a change. Nothing of it is seen by others, or kept, before [`Change::commit`].
    ///
    /// # Errors
    ///
    /// [`LedgerError::Busy`] when another process is writing for too long.
    pub fn change(&mut self) -> Result<Change<'_>, LedgerError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(LedgerError::during("begin a change"))?;
        Ok(Change { transaction })
    }

    /// Asks SQLite to check its file and every name of a row that another table should have, and returns
    /// what it finds wrong.
    ///
    /// # Errors
    ///
    /// If the check itself cannot run.
    pub fn check_file(&self) -> Result<Vec<String>, LedgerError> {
        let during = || LedgerError::during("check its file");
        let mut findings: Vec<String> = self
            .connection
            .prepare("PRAGMA integrity_check")
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .map_err(during())?;
        findings.retain(|text| text != "ok");
        let dangling: Vec<(String, String)> = self
            .connection
            .prepare("SELECT DISTINCT \"table\", parent FROM pragma_foreign_key_check")
            .and_then(|mut statement| {
                statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .map_err(during())?;
        findings.extend(dangling.into_iter().map(|(table, parent)| {
            format!("table `{table}` names rows of table `{parent}` that are not there")
        }));
        Ok(findings)
    }

    /// A number that changes whenever another process changes the ledger.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn data_version(&self) -> Result<i64, LedgerError> {
        self.connection
            .pragma_query_value(None, "data_version", |row| row.get(0))
            .map_err(LedgerError::during("read its version"))
    }
}

/// The ledger as it was when this began.
#[derive(Debug)]
pub struct Reading<'a> {
    _transaction: Option<Transaction<'a>>,
}

/// A change of the ledger under way: one transaction.
#[derive(Debug)]
pub struct Change<'a> {
    pub(super) transaction: Transaction<'a>,
}

impl Change<'_> {
    /// Makes the change lasting.
    ///
    /// # Errors
    ///
    /// If it cannot be written; nothing of it is then kept.
    pub fn commit(self) -> Result<(), LedgerError> {
        self.transaction.commit().map_err(LedgerError::during("commit a change"))
    }

    /// Carries a statement out that is compiled once, since it may come for thousands of rows.
    pub(super) fn run(&self, statement: &str, values: impl Params) -> rusqlite::Result<usize> {
        self.transaction.prepare_cached(statement)?.execute(values)
    }
}

fn configure(connection: &Connection) -> Result<(), LedgerError> {
    let during = || LedgerError::during("open its file");
    connection.busy_timeout(BUSY_WAIT).map_err(during())?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(during())?;
    // A committed change must survive a power loss, since packs that it names are already synced.
    connection.pragma_update(None, "synchronous", "FULL").map_err(during())?;
    connection.pragma_update(None, "foreign_keys", true).map_err(during())?;
    // Else every statement is planned anew each time that other values are bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(during())?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(during())?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn upgrade(connection: &mut Connection, found: i64) -> Result<(), LedgerError> {
    let done = usize::try_from(found - 1).expect("the version was checked to be at least 1");
    for (step, statements) in UPGRADES.iter().enumerate().skip(done) {
        let during = || LedgerError::during("upgrade its tables");
        let transaction = connection.transaction().map_err(during())?;
        transaction.execute_batch(statements).map_err(during())?;
        let version = i64::try_from(step).expect("a handful of upgrades") + 2;
        transaction.pragma_update(None, "user_version", version).map_err(during())?;
        transaction.commit().map_err(during())?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn ledger() -> (tempfile::TempDir, Ledger) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::create(&dir.path().join("ledger.db")).unwrap();
        (dir, ledger)
    }

    #[test]
    fn a_ledger_of_a_newer_version_is_refused() {
        let (dir, ledger) = ledger();
        ledger.connection.pragma_update(None, "user_version", 99).unwrap();
        drop(ledger);
        let error = Ledger::open(&dir.path().join("ledger.db")).unwrap_err();
        assert!(matches!(error, LedgerError::Newer { found: 99, known: SCHEMA_VERSION }));
    }

    #[test]
    fn a_file_that_is_no_ledger_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        std::fs::write(&path, b"not a database, surely not a database at all").unwrap();
        assert!(matches!(Ledger::open(&path), Err(LedgerError::Damaged { .. })));
    }

    #[test]
    fn upgrades_lead_from_the_first_version_to_the_last() {
        assert_eq!(UPGRADES.len() as i64, SCHEMA_VERSION - 1);
    }

    #[test]
    fn a_change_that_is_dropped_leaves_no_trace() {
        let (_dir, mut ledger) = ledger();
        let change = ledger.change().unwrap();
        change.set_setting("catalogue", "x").unwrap();
        drop(change);
        assert_eq!(ledger.setting("catalogue").unwrap(), None);
    }
}
