//! A checkpoint as stored objects, and back.
//!
//! Joins formats and the store: a file or a graph becomes a [`Tree`] of objects, a tree becomes the file
//! again, byte for byte, or a graph to be changed. Nothing written here is reachable before a ref moves, so a
//! crash leaves only garbage for `gc`.

mod compare;
mod error;
mod export;
mod file;
mod graph;
mod inflate;
mod likeness;
mod load;
mod rewrite;
mod tree;
mod wire;

pub use compare::is_file_of;
pub use error::SnapshotError;
pub use export::{export, export_range};
pub use file::{FileSnapshot, write_file};
pub use graph::{Content, write_content, write_graph};
pub use load::{read_graph, read_outline, read_tree};
pub use rewrite::rewrite;
pub use tree::{Stored, Tree, TreeError, TreePart, TreeStorage, TreeTensor};
