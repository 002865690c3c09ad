//! A git-like versioned store for machine-learning checkpoints.

pub mod cli;
pub mod durable;
pub mod format;
pub mod ledger;
pub mod migration;
pub mod object;
pub mod progress;
pub mod refname;
pub mod repo;
pub mod revision;
pub mod snapshot;
pub mod store;
pub mod value;
