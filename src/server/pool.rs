//! Open stores, and a bounded number of threads that work with them: the store and the ledger block.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::repo::{Catalogues, Repo, RepoError};

use super::problem::Problem;

/// How long an answer may take, waiting for a thread included.
const PATIENCE: Duration = Duration::from_secs(60);

/// Requests that are worked on at the same time.
const LIGHT: usize = 8;

/// Among them, those that may read all of a checkpoint or look at every ref.
const HEAVY: usize = 2;

/// Stores that are kept open.
const MAX_IDLE: usize = 16;

/// What a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// A few rows.
    Light,
    /// Much.
    Heavy,
}

/// Open stores, and places to work with them.
pub struct Pool {
    directory: PathBuf,
    catalogues: Arc<Catalogues>,
    idle: Mutex<Vec<Repo>>,
    light: Arc<Semaphore>,
    heavy: Arc<Semaphore>,
}

impl Pool {
    /// A pool for the store in `directory`.
    pub fn new(directory: PathBuf) -> Pool {
        let places = |count| Arc::new(Semaphore::new(count));
        Pool {
            directory,
            catalogues: Arc::new(Catalogues::new(SystemTime::now)),
            idle: Mutex::default(),
            light: places(LIGHT),
            heavy: places(HEAVY),
        }
    }

    /// The directory of the store.
    pub fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// Runs `work` on a thread that may block, when there is a place for it.
    ///
    /// # Errors
    ///
    /// Those of `work`; E_BUSY if it takes too long, and it then goes on unseen.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        weight: Weight,
        work: impl FnOnce(&mut Repo) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let deadline = Instant::now() + PATIENCE;
        let late = |_| Problem::busy(format!("no answer within {} seconds", PATIENCE.as_secs()));
        let places = match weight {
            Weight::Light => &self.light,
            Weight::Heavy => &self.heavy,
        };
        let place = timeout_at(deadline, Arc::clone(places).acquire_owned()).await.map_err(late)?;
        let pool = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            // Given back when the work ends, also when nobody waits for it any more.
            let _place = place;
            pool.with(work)
        });
        timeout_at(deadline, task).await.map_err(late)?.unwrap_or_else(|error| Err(panicked(&error)))
    }

    /// Runs `work` on this thread, which may block.
    ///
    /// # Errors
    ///
    /// Those of `work`, or if the store cannot be opened.
    pub fn with<T>(&self, work: impl FnOnce(&mut Repo) -> Result<T, Problem>) -> Result<T, Problem> {
        let mut repo = self.open()?;
        let result = work(&mut repo);
        if let Ok(mut idle) = self.idle.lock()
            && idle.len() < MAX_IDLE
        {
            idle.push(repo);
        }
        result
    }

    fn open(&self) -> Result<Repo, RepoError> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        if let Some(repo) = idle {
            return Ok(repo);
        }
        let mut repo = Repo::open(&self.directory)?;
        repo.share_catalogues(Arc::clone(&self.catalogues));
        Ok(repo)
    }
}

/// Work that ended in a panic: a mistake of ckstore's, and no reason to end the server.
pub fn panicked(error: &tokio::task::JoinError) -> Problem {
    Problem::new("E_INTERNAL", format!("the work ended early: {error}"))
}
