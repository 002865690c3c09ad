//! Working files: where a ref was imported from or checked out to.

use rusqlite::{OptionalExtension, Row, params};

use super::text;
use super::{Change, Ledger, LedgerError};
use crate::object::ObjectId;
use crate::refname::RefName;

/// A working file as it was when ckstore last read or wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingFile {
    /// Its absolute path.
    pub path: String,
    /// The revision it held.
    pub revision: ObjectId,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its modification time in nanoseconds since 1970.
    pub modified_ns: i64,
}

const COLUMNS: &str = "path, revision, bytes, modified_ns";

pub(super) fn by_ref() -> String {
    format!("SELECT {COLUMNS} FROM working_files WHERE ref = ?1")
}

pub(super) fn by_path() -> String {
    format!("SELECT {COLUMNS}, ref FROM working_files WHERE path = ?1 ORDER BY ref")
}

fn read(row: &Row<'_>) -> rusqlite::Result<WorkingFile> {
    Ok(WorkingFile {
        path: row.get(0)?,
        revision: text::id(row, 1)?,
        bytes: text::count(row, 2)?,
        modified_ns: row.get(3)?,
    })
}

impl Ledger {
    /// The working file of a ref.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn working_file(&self, name: &RefName) -> Result<Option<WorkingFile>, LedgerError> {
        self.connection
            .prepare_cached(&by_ref())
            .and_then(|mut statement| statement.query_row([name.as_str()], read).optional())
            .map_err(LedgerError::during("read a working file's entry"))
    }

    /// What is known of the file at a path, and of which refs it is the working file.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn working_files_at(&self, path: &str) -> Result<Vec<(RefName, WorkingFile)>, LedgerError> {
        self.connection
            .prepare_cached(&by_path())
            .and_then(|mut statement| {
                statement.query_map([path], |row| Ok((text::ref_name(row, 4)?, read(row)?)))?.collect()
            })
            .map_err(LedgerError::during("read a working file's entry"))
    }
}

impl Change<'_> {
    /// Remembers the working file of a ref.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be written.
    pub fn set_working_file(&self, name: &RefName, file: &WorkingFile) -> Result<(), LedgerError> {
        text::integer(file.bytes)
            .and_then(|bytes| {
                self.run(
                    "INSERT OR REPLACE INTO working_files (ref, path, revision, bytes, modified_ns)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![name.as_str(), file.path, file.revision.as_bytes(), bytes, file.modified_ns,],
                )
            })
            .map(drop)
            .map_err(LedgerError::during("remember a working file"))
    }
}
