//! Migrations: what a catalogue holds, which of them a checkpoint needs, and what they do to it.
//!
//! Everything here is values in, values out, but for [`catalogue`], which reads files.

pub mod catalogue;
mod change;
pub mod declarative;
mod derive;
mod digest;
pub mod embedded;
pub mod engine;
pub mod list;
pub mod merge;
pub mod optimizer;
pub mod plan;
pub mod resolver;
mod source;
pub mod suggest;
pub mod version;

pub use catalogue::{Catalogue, CatalogueError};
pub use change::{CHANGE_ENCODING, ChangeRecord, Move};
pub use derive::{Derived, Dim, Origin, Piece, Span};
pub use resolver::ResolveError;
pub use source::lookups::{Lookup, Lookups, lookups};
pub use source::review::{Remark, does_nothing, review};
pub use source::{Form, Migration, Problem};
