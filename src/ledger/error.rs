//! What can go wrong with the ledger.

use std::path::PathBuf;

use crate::object::ObjectId;
use crate::refname::RefName;

/// Why the ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// There is no ledger at the path.
    #[error("there is no ledger at `{}`", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is one already.
    #[error("a ledger exists already at `{}`", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Written by a newer ckstore.
    #[error("ledger has version {found}; this ckstore knows versions up to {known}")]
    Newer {
        /// The version in the file.
        found: i64,
        /// The newest version that is known here.
        known: i64,
    },
    /// The file is no ledger, or damaged.
    #[error("ledger is damaged: {what}")]
    Damaged {
        /// What was found.
        what: String,
    },
    /// Another process holds the ledger for longer than was waited.
    #[error("ledger is in use by another process")]
    Busy,
    /// The disk is full.
    #[error("no space is left for the ledger")]
    Full,
    /// A ref did not point where it was expected to.
    #[error("ref `{name}` has moved meanwhile: expected {}, found {}", show(expected), show(found))]
    RefMoved {
        /// The ref.
        name: RefName,
        /// Where it was expected to point.
        expected: Option<ObjectId>,
        /// Where it points.
        found: Option<ObjectId>,
    },
    /// The system refused to read or write the files of the ledger.
    #[error("ledger could not {action}: its files cannot be read or written")]
    Io {
        /// What was under way.
        action: &'static str,
        /// SQLite's account.
        #[source]
        source: rusqlite::Error,
    },
    /// SQLite failed otherwise.
    #[error("ledger could not {action}")]
    Sql {
        /// What was under way.
        action: &'static str,
        /// SQLite's account.
        #[source]
        source: rusqlite::Error,
    },
}

fn show(id: &Option<ObjectId>) -> String {
    id.map_or_else(|| "nothing".to_owned(), |id| id.short())
}

impl LedgerError {
    /// Turns SQLite's error into the ledger's, naming what was under way.
    pub(super) fn during(action: &'static str) -> impl FnOnce(rusqlite::Error) -> LedgerError {
        use rusqlite::ErrorCode;
        move |source| match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => LedgerError::Busy,
            Some(ErrorCode::DiskFull) => LedgerError::Full,
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied,
            ) => LedgerError::Io { action, source },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                LedgerError::Damaged { what: source.to_string() }
            }
            _ => LedgerError::Sql { action, source },
        }
    }
}
