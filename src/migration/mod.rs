//! Migrations.
mod change;
pub mod list;
pub use change::{CHANGE_ENCODING, ChangeRecord, Move};
