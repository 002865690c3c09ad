//! Pickles as data: bytes to a value graph and back, for protocols 0 to 5.
//!
//! Nothing is imported or called: a global is two names, a call is a node that says what would be
//! called. Both directions work without recursion, so any nesting is fine. Opcodes: CPython's
//! `Lib/pickletools.py`.

mod emit;
pub(super) mod file;
mod names;
mod op;
mod protocol;
mod read;
pub(super) mod text;
pub(super) mod trace;
mod write;

pub use names::python2_name;
pub use protocol::{Extent, extent};
pub use read::{Pickle, read};
pub use write::{Piece, write, write_with};

/// Why a pickle could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The bytes end before the STOP opcode, or inside an opcode's argument.
    #[error("the bytes end inside the opcode at byte {offset}")]
    Truncated {
        /// Where the opcode begins.
        offset: usize,
    },
    /// A byte that is no opcode.
    #[error("byte {offset} is no opcode: {opcode:#04x}")]
    UnknownOpcode {
        /// Where.
        offset: usize,
        /// The byte.
        opcode: u8,
    },
    /// A protocol above 5.
    #[error("protocol {0} is not known")]
    Protocol(u8),
    /// An opcode that takes more than the stack holds.
    #[error("the stack is empty at byte {offset}")]
    StackUnderflow {
        /// Where the opcode begins.
        offset: usize,
    },
    /// An opcode that looks for a mark where there is none.
    #[error("a mark is missing at byte {offset}")]
    NoMark {
        /// Where the opcode begins.
        offset: usize,
    },
    /// A dict with a key that has no value.
    #[error("a key has no value at byte {offset}")]
    OddItems {
        /// Where the opcode begins.
        offset: usize,
    },
    /// A reference to what was never memoised.
    #[error("memo entry {index} is asked for at byte {offset}, but was never made")]
    MissingMemo {
        /// Where the opcode begins.
        offset: usize,
        /// Which entry.
        index: u64,
    },
    /// An argument that does not read as what it must be.
    #[error("the opcode at byte {offset} has an argument that is no {what}")]
    BadArgument {
        /// Where the opcode begins.
        offset: usize,
        /// What it must be.
        what: &'static str,
    },
    /// Items or state given to a value that cannot take them.
    #[error("the opcode at byte {offset} changes a value that cannot change")]
    WrongTarget {
        /// Where the opcode begins.
        offset: usize,
    },
    /// More of something than its limit allows.
    #[error("the pickle has more than {limit} {what}")]
    Limit {
        /// What.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// A value that the protocol cannot hold.
    #[error("a value cannot be written: {0}")]
    Unwritable(&'static str),
}

#[cfg(test)]
mod tests;
