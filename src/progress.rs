//! Telling how far long work has come.

/// Receives how far long work has come. The command line draws it; the library only calls it.
pub trait Progress: Sync {
    /// A stage of the work begins; `total_bytes` is 0 where the amount is not known.
    fn begin(&self, stage: &str, total_bytes: u64);
    /// So many more bytes of the stage are done.
    fn advance(&self, bytes: u64);
    /// The stage is over.
    fn end(&self);
}

/// Ignores all progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _stage: &str, _total_bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn end(&self) {}
}
