//! Runs one migration script on one checkpoint in a locked-down worker process.
//!
//! Values in, values out: [`run`] takes a [`Graph`] and gives the edited one; no disk, no store, no clock
//! beyond the deadline. The script gets dicts, lists, objects and tensor *handles*; no weights cross the
//! pipe. What a script computes from tensors comes back as an [`Expr`], which [`evaluate`] turns into
//! bytes when somebody stores them.
//!
//! The process is the wall and the interpreter only depth: the worker has limits on memory, time and file
//! size, on Linux a system-call filter, and whatever it answers is checked here as a stranger's.

mod check;
mod element;
mod error;
mod evaluate;
mod expr;
mod pipe;
mod real;
mod run;
mod worker;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::value::{Graph, StorageId};

pub use error::{EngineError, TraceLine};
pub use evaluate::evaluate;
pub use expr::{BinaryOp, Expr, ExprError, FoldOp, Operand, Scalar, Shape, Step, StepId, UnaryOp, Window};
pub use real::{RealOutcome, run_real};
pub use run::run;
pub use worker::worker_main;

/// Names everything that decides a script's result; another text here means that results may differ.
pub const ENGINE_VERSION: &str = "rustpython-0.5.0/2";

/// The first argument that makes the executable a worker: it must then call [`worker_main`].
pub const WORKER_ARGUMENT: &str = "__worker";

/// How to start the worker process.
#[derive(Debug, Clone)]
pub struct Worker {
    program: PathBuf,
}

impl Worker {
    /// A worker that is this executable, started with [`WORKER_ARGUMENT`].
    pub fn new(program: impl Into<PathBuf>) -> Worker {
        Worker { program: program.into() }
    }
}

/// What a script may use up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Address space of the worker in bytes; 2 GiB by default.
    pub memory_bytes: u64,
    /// Processor time of the worker; 60 seconds by default.
    pub cpu: Duration,
    /// Time on the clock, for everything; ten minutes by default.
    pub wall: Duration,
    /// Longest message between the processes in bytes; 1 GiB by default.
    pub message_bytes: u64,
    /// Captured output of `print` and `logging` in bytes; 64 KiB by default, the rest is dropped.
    pub printed_bytes: u64,
    /// Bytes that all computed tensors may take together; by default 16 GiB and four times the
    /// checkpoint's storages.
    pub computed_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory_bytes: 2 << 30,
            cpu: Duration::from_secs(60),
            wall: Duration::from_secs(600),
            message_bytes: 1 << 30,
            printed_bytes: 64 << 10,
            computed_bytes: None,
        }
    }
}

impl Limits {
    /// The bound for a checkpoint.
    pub(in crate::migration) fn computed_bytes(&self, graph: &Graph) -> u64 {
        self.computed_bytes.unwrap_or_else(|| {
            let stored = graph.storages.iter().fold(0u64, |sum, s| sum.saturating_add(s.bytes));
            stored.saturating_mul(4).saturating_add(16 << 30)
        })
    }
}

/// A migration script.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// The migration's name: the file's stem.
    pub name: &'a str,
    /// What errors call the file.
    pub file: &'a str,
    /// The text.
    pub source: &'a str,
}

/// Which function of a script is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Entry {
    /// `migrate(ckpt)`.
    Migrate,
    /// `rollback(ckpt)`.
    Rollback,
    /// `handle(ckpt)`, as migrate-ckpt has it.
    Handle,
    /// `Migration.up(collection)`, as the Exodus templates have it: the graph is a list of documents.
    Up,
    /// `Migration.down(collection)`.
    Down,
}

impl Entry {
    /// Whether it runs on the documents of a collection instead of a checkpoint.
    pub fn is_of_documents(self) -> bool {
        matches!(self, Entry::Up | Entry::Down)
    }

    /// The function's name.
    pub fn function(self) -> &'static str {
        match self {
            Entry::Migrate => "migrate",
            Entry::Rollback => "rollback",
            Entry::Handle => "handle",
            Entry::Up => "up",
            Entry::Down => "down",
        }
    }
}

/// Reads bytes of a checkpoint's storages.
///
/// Asked only where a script looks at values (`.item()`, `torch.equal`, ...) and by [`evaluate`].
pub trait StorageBytes {
    /// Fills `buffer` from the bytes of a storage that begin at `offset`.
    fn read(&mut self, storage: StorageId, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// What a script did.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The edited checkpoint. Nodes that survived keep their ids, new ones come after them; the same
    /// holds for storages.
    pub graph: Graph,
    /// The storages of `graph` whose bytes are still to be computed.
    pub computed: Vec<Computed>,
    /// Why the script skipped itself, when it asked for a live model and changed nothing.
    pub skipped: Option<String>,
    /// What it printed and logged, cut at [`Limits::printed_bytes`].
    pub printed: String,
}

/// A storage whose bytes are still to be computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Computed {
    /// Which one of [`Outcome::graph`]; its length is that of the expression's result.
    pub storage: StorageId,
    /// How, from the storages of the graph that was given to [`run`].
    pub expr: Expr,
}
