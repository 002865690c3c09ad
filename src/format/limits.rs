//! Bounds on what a file may ask of memory and time.

use super::FormatError;

/// Bounds on what a file may ask of memory and time.
///
/// Tensor bytes are not bounded: they are never held in memory. What is stored kept to the bounds with which it was
/// imported, and is read [without any](Limits::NONE).
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
    /// Values of the decoded graph. Each takes some hundred bytes of memory.
    pub nodes: u64,
    /// Containers inside each other in a document, and marks at the same time in a pickle.
    pub nesting: u64,
    /// Decimal digits of an integer written as text. Python refuses more by default.
    pub digits: usize,
    /// Dimensions of a tensor.
    pub dimensions: usize,
}

impl Limits {
    /// No bounds: for what is stored already.
    pub const NONE: Limits = Limits {
        entries: u64::MAX,
        skeleton_bytes: u64::MAX,
        extra_bytes: u64::MAX,
        literal_bytes: u64::MAX,
        inflate_ratio: u64::MAX,
        inflated_bytes: u64::MAX,
        nodes: u64::MAX,
        nesting: u64::MAX,
        digits: usize::MAX,
        dimensions: usize::MAX,
    };

    /// The value of one of them.
    pub fn get(&self, bound: Bound) -> u64 {
        match bound {
            Bound::Entries => self.entries,
            Bound::SkeletonBytes => self.skeleton_bytes,
            Bound::ExtraBytes => self.extra_bytes,
            Bound::LiteralBytes => self.literal_bytes,
            Bound::InflateRatio => self.inflate_ratio,
            Bound::InflatedBytes => self.inflated_bytes,
            Bound::Values => self.nodes,
            Bound::Nesting => self.nesting,
            Bound::Digits => self.digits as u64,
            Bound::Dimensions => self.dimensions as u64,
        }
    }

    /// Refuses a size above one of them.
    pub(super) fn check(&self, bound: Bound, what: &'static str, found: u64) -> Result<(), FormatError> {
        let limit = self.get(bound);
        if found > limit { Err(FormatError::Limit { what, limit, bound: Some(bound) }) } else { Ok(()) }
    }
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
            nodes: 2_300_000,
            nesting: 2_000_000,
            digits: 4300,
            dimensions: 64,
        }
    }
}

/// One of the [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the fields of `Limits`")]
pub enum Bound {
    Entries,
    SkeletonBytes,
    ExtraBytes,
    LiteralBytes,
    InflateRatio,
    InflatedBytes,
    Values,
    Nesting,
    Digits,
    Dimensions,
}

impl Bound {
    /// The bound of what readers of values count: `values`, `nested values` and `marks`, `digits`.
    pub(super) fn of_values(what: &str) -> Option<Bound> {
        match what {
            "values" => Some(Bound::Values),
            "nested values" | "marks at the same time" => Some(Bound::Nesting),
            "digits in an integer" => Some(Bound::Digits),
            _ => None,
        }
    }

    /// The option by which the command line moves it.
    pub fn option(self) -> &'static str {
        match self {
            Bound::Entries => "--max-entries",
            Bound::SkeletonBytes => "--max-skeleton-bytes",
            Bound::ExtraBytes => "--max-extra-bytes",
            Bound::LiteralBytes => "--max-literal-bytes",
            Bound::InflateRatio => "--max-inflate-ratio",
            Bound::InflatedBytes => "--max-inflated-bytes",
            Bound::Values => "--max-values",
            Bound::Nesting => "--max-nesting",
            Bound::Digits => "--max-digits",
            Bound::Dimensions => "--max-dimensions",
        }
    }
}
