//! stub
use crate::value::{Graph, StorageId};
use std::io;
use std::path::PathBuf;
pub const ENGINE_VERSION: &str = "rustpython-0.5.0/1";
pub const WORKER_ARGUMENT: &str = "__worker";
#[derive(Debug, Clone)]
pub struct Worker {
    program: PathBuf,
}
impl Worker {
    pub fn new(program: impl Into<PathBuf>) -> Worker {
        Worker { program: program.into() }
    }
}
#[derive(Debug, Clone, Default)]
pub struct Limits {}
pub struct Script<'a> {
    pub name: &'a str,
    pub file: &'a str,
    pub source: &'a str,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Entry {
    Migrate,
    Rollback,
}
impl Entry {
    pub fn function(self) -> &'static str {
        match self {
            Entry::Migrate => "migrate",
            Entry::Rollback => "rollback",
        }
    }
}
pub trait StorageBytes {
    fn read(&mut self, storage: StorageId, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}
pub struct Expr;
pub struct Computed {
    pub storage: StorageId,
    pub expr: Expr,
}
pub struct Outcome {
    pub graph: Graph,
    pub computed: Vec<Computed>,
    pub skipped: Option<String>,
    pub printed: String,
}
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    #[error("stub")]
    Stub,
}
pub fn run(
    _w: &Worker,
    _s: &Script,
    _e: Entry,
    _g: &Graph,
    _b: &mut dyn StorageBytes,
    _l: &Limits,
) -> Result<Outcome, EngineError> {
    Err(EngineError::Stub)
}
pub fn evaluate(
    _e: &Expr,
    _b: &mut dyn StorageBytes,
    _s: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), EngineError> {
    Err(EngineError::Stub)
}
pub fn worker_main() -> ! {
    std::process::exit(1)
}
