//! A git-like versioned store for machine-learning checkpoints.

pub mod durable;
pub mod ledger;
pub mod migration;
pub mod object;
pub mod progress;
pub mod refname;
pub mod revision;
pub mod value;
