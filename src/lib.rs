//! A git-like versioned store for machine-learning checkpoints.

pub mod durable;
pub mod migration;
pub mod object;
pub mod value;
