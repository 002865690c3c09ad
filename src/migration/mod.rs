//! Migrations of checkpoints.

pub mod engine;
