//! The store over HTTP.
//!
//! A request becomes one operation of the repository on a thread that may block; its report is the answer, the
//! same document that `--json` prints. Reading is open to who reaches the address, writing takes a token.

mod access;
mod description;
mod diff;
mod download;
mod extract;
mod groups;
mod health;
mod jobs;
mod jobs_api;
mod listen;
mod metrics;
mod migrate;
mod observe;
mod pool;
mod problem;
mod refs;
mod revisions;
mod routes;
mod upload;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::face::failure::Failure;
use crate::format::Limits as FileLimits;
use crate::migration::engine::{Limits, Worker};
use crate::progress::Silent;
use crate::repo::{CatalogueSource, Context};

use access::Rules;
pub use access::Token;
use jobs::Jobs;
use metrics::Metrics;
use pool::Pool;
pub use problem::{OWN, status_of};

/// Checkpoints that are sent at the same time.
const DOWNLOADS: usize = 8;

/// Checkpoints that are received at the same time.
const UPLOADS: usize = 4;

/// Threads that may block, all together.
const MAX_BLOCKING_THREADS: usize = 64;

/// How to serve.
pub struct Settings {
    /// Where to listen.
    pub address: SocketAddr,
    /// The directory of the store.
    pub store: PathBuf,
    /// What allows writing.
    pub token: Option<Token>,
    /// Whether nothing may be written, whatever the token.
    pub read_only: bool,
    /// Whether reading takes the token too. Where others than this machine reach the address it always does.
    pub private: bool,
    /// Names that the server answers to, besides addresses and `localhost`.
    pub hosts: Vec<String>,
    /// Largest upload, in bytes.
    pub max_upload_bytes: u64,
    /// Bounds on what an upload may ask of memory and time.
    pub file_limits: FileLimits,
    /// How long a client may take for a request, for the next piece of a body, or to take some of an answer.
    pub patience: Duration,
    /// Whether requests are not logged.
    pub quiet: bool,
    /// What operations are told.
    pub world: World,
}

/// What operations are told of the world outside.
pub struct World {
    /// In whose name is written.
    pub actor: String,
    /// Where catalogues are looked for.
    pub current: PathBuf,
    /// Runs migration scripts.
    pub worker: Worker,
    /// Bounds of a script's run.
    pub limits: Limits,
}

/// What all requests share.
struct Shared {
    pool: Arc<Pool>,
    rules: Rules,
    jobs: Jobs,
    metrics: Metrics,
    downloads: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    max_upload_bytes: u64,
    file_limits: FileLimits,
    patience: Duration,
    quiet: bool,
    world: World,
}

impl Shared {
    fn catalogue(&self) -> CatalogueSource<'_> {
        CatalogueSource { given: None, current: Some(&self.world.current) }
    }

    fn with_context<T>(&self, work: impl FnOnce(&Context<'_>) -> T) -> T {
        work(&Context {
            actor: &self.world.actor,
            now: &Timestamp::now,
            progress: &Silent,
            worker: &self.world.worker,
            limits: &self.world.limits,
        })
    }
}

/// Serves a store until the process is told to end. `ready` gets the address when requests are taken.
///
/// # Errors
///
/// If the settings would let strangers write or the address cannot be listened at.
pub fn serve(
    settings: Settings,
    ready: impl FnOnce(SocketAddr) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let is_public = !settings.address.ip().is_loopback();
    if settings.token.is_none() && (is_public || settings.private) {
        return Err(Failure::usage(
            &format!("`{}` can be reached by others, and there is no token", settings.address),
            "add --token-file FILE, or listen at 127.0.0.1",
        ));
    }
    let writes = settings.token.is_some() && !settings.read_only;
    let shared = Arc::new(Shared {
        jobs: Jobs::open(&settings.store, writes)?,
        pool: Arc::new(Pool::new(settings.store)),
        rules: Rules {
            token: settings.token,
            read_only: settings.read_only,
            private: settings.private || is_public,
            hosts: settings.hosts,
        },
        metrics: Metrics::new(),
        downloads: Arc::new(Semaphore::new(DOWNLOADS)),
        uploads: Arc::new(Semaphore::new(UPLOADS)),
        max_upload_bytes: settings.max_upload_bytes,
        file_limits: settings.file_limits,
        patience: settings.patience,
        quiet: settings.quiet,
        world: settings.world,
    });
    if writes {
        upload::remove_leftovers(shared.pool.directory());
    }
    let failed = |error: std::io::Error| Failure::new("E_IO", format!("cannot start threads: {error}"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(thread::available_parallelism().map_or(2, usize::from).min(8))
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(failed)?;
    let ended = runtime.block_on(listen::listen(settings.address, &shared, ready));
    // What still runs is ended with the process: the ledger takes a change whole or not at all.
    runtime.shutdown_background();
    ended
}
