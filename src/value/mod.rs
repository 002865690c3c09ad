//! A checkpoint in memory: a graph of nodes with identity, and the tensors in it.

mod dtype;
mod graph;
pub mod narrow;
mod path;
mod tensor;
mod walk;

pub use dtype::Dtype;
pub use graph::{FloatBits, Graph, Kind, Node, NodeId, Tail};
pub use path::Path;
pub use tensor::{Storage, StorageId, StorageRef, StorageView, Tensor};
pub use walk::{MAX_DEPTH, Place, Walk, is_atom, places, walk};
