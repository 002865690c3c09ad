//! A git-like versioned store for machine-learning checkpoints.

pub mod durable;
pub mod object;
pub mod store;
pub mod value;
