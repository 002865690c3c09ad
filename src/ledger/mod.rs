//! The ledger: the SQLite file with refs, revisions, every executed step, groups and the object index.
//!
//! It knows names and rows, and nothing of tensors, formats or scripts. All writing goes through one
//! [`Change`], a single SQLite transaction: it is made whole by [`Change::commit`] or leaves no trace.

mod advance;
mod chain;
mod error;
#[cfg(test)]
mod explained;
mod files;
mod groups;
mod memo;
mod objects;
mod open;
mod refs;
mod revisions;
mod settings;
mod steps;
mod text;
mod unlisted;

pub use advance::Advance;
pub use chain::{ChainFault, GENESIS};
pub use error::LedgerError;
pub use files::WorkingFile;
pub use groups::GroupRow;
pub use memo::MemoKey;
pub use open::{Change, Ledger, Reading, SCHEMA_VERSION};
pub use refs::{RefKind, RefLogRow, RefMove, RefRow};
pub use revisions::{RevisionRow, StoredRevision};
pub use steps::{DocumentCounts, NewStep, StepRow, StepStatus};
