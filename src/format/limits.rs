//! Bounds on what a file may ask of memory and time.

/// Bounds on what a file may ask of memory and time.
///
/// Tensor bytes are not bounded: they are never held in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Entries of a container.
    pub entries: u64,
    /// Bytes of the skeleton: a torch file's `data.pkl`, a document.
    pub skeleton_bytes: u64,
    /// Bytes of all other small entries of a container together.
    pub extra_bytes: u64,
    /// Bytes of headers and gaps together, between what a container holds.
    pub literal_bytes: u64,
    /// Bytes that one compressed byte may become, once the result is over a mebibyte.
    pub inflate_ratio: u64,
    /// Bytes that a compressed storage may become whatever its ratio; it is never held in memory.
    pub inflated_bytes: u64,
    /// Nodes of the decoded graph.
    pub nodes: u64,
    /// Containers inside each other in a document, and marks at the same time in a pickle.
    pub nesting: u64,
    /// Decimal digits of an integer written as text. Python refuses more by default.
    pub digits: usize,
    /// Dimensions of a tensor.
    pub dimensions: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            entries: 1_000_000,
            skeleton_bytes: 512 << 20,
            extra_bytes: 256 << 20,
            literal_bytes: 256 << 20,
            inflate_ratio: 200,
            inflated_bytes: 256 << 20,
            nodes: 16_000_000,
            nesting: 2_000_000,
            digits: 4300,
            dimensions: 64,
        }
    }
}
