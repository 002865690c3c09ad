//! What an operation is told about the world outside.

use jiff::Timestamp;

use crate::migration::engine::{Limits as EngineLimits, Worker};
use crate::progress::Progress;

/// What an operation is told about the world outside: who asks, what time it is, whom to tell of progress.
///
/// The library reads no clock, user or environment of its own.
pub struct Context<'a> {
    /// Who asks.
    pub actor: &'a str,
    /// Tells the time.
    pub now: &'a dyn Fn() -> Timestamp,
    /// Is told how far long work has come.
    pub progress: &'a dyn Progress,
    /// Runs migration scripts.
    pub worker: &'a Worker,
    /// Bounds of a script's run.
    pub limits: &'a EngineLimits,
}

impl Context<'_> {
    /// The time now.
    pub fn time(&self) -> Timestamp {
        (self.now)()
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("actor", &self.actor).finish_non_exhaustive()
    }
}
