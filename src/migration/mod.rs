//! Migrations: what a catalogue holds, and which of them a checkpoint needs.
//!
//! Everything here is values in, values out, but for [`catalogue`], which reads files. Nothing here runs a
//! migration.

pub mod catalogue;
mod digest;
pub mod plan;
pub mod resolver;
mod source;
pub mod suggest;
pub mod version;

pub use source::{Form, Migration, Problem};
