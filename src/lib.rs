//! A git-like versioned store for machine-learning checkpoints.

pub mod durable;
pub mod format;
pub mod object;
pub mod value;
