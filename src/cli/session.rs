//! What the command line knows of the world: the user, the time, the terminal, where the store is.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::migration::engine::{Limits, Worker};
use crate::repo::{CatalogueSource, Context, Repo, RepoError, STORE_DIRECTORY};

use super::args::Global;
use super::progress::Bar;

/// What the command line knows of the world.
pub struct Session {
    store: Option<PathBuf>,
    actor: String,
    worker: Worker,
    limits: Limits,
    bar: Bar,
    current: PathBuf,
}

impl Session {
    /// Looks around.
    pub fn new(global: &Global) -> Session {
        let named = std::env::var("CKSTORE_ACTOR").ok().filter(|name| !name.trim().is_empty());
        Session {
            store: global.store.clone(),
            actor: named.or_else(|| whoami::username().ok()).unwrap_or_else(|| "unknown".to_owned()),
            worker: Worker::new(std::env::current_exe().unwrap_or_else(|_| PathBuf::from("ckstore"))),
            limits: Limits::default(),
            bar: Bar::new(global.json),
            current: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
        }
    }

    /// Opens the store that is meant.
    pub fn open(&self) -> Result<Repo, RepoError> {
        match &self.store {
            Some(directory) => Repo::open(directory),
            None => Repo::discover(Path::new(".")),
        }
    }

    /// The directory of the store that is meant, which need not be fit to be opened.
    pub fn directory(&self) -> Result<PathBuf, RepoError> {
        match &self.store {
            Some(directory) => Ok(directory.clone()),
            None => match Repo::find(Path::new(".")) {
                // Its ledger may be what is lost.
                Err(_) if self.current.join(STORE_DIRECTORY).is_dir() => {
                    Ok(self.current.join(STORE_DIRECTORY))
                }
                other => other,
            },
        }
    }

    /// Whether there is no store yet where one is meant.
    pub fn is_without_store(&self) -> bool {
        matches!(self.open(), Err(RepoError::NoStore { .. }))
    }

    /// As [`open`](Session::open), but makes a store where there is none.
    pub fn open_or_init(&self) -> Result<(Repo, bool), RepoError> {
        match self.open() {
            Err(RepoError::NoStore { .. }) => match Repo::init(&self.new_store(None)) {
                // Another process made it meanwhile.
                Err(RepoError::StoreExists { .. }) => Ok((self.open()?, false)),
                made => Ok((made?, true)),
            },
            other => other.map(|repo| (repo, false)),
        }
    }

    /// Where a new store goes.
    pub fn new_store(&self, directory: Option<&Path>) -> PathBuf {
        match (directory, &self.store) {
            (Some(directory), _) => directory.join(STORE_DIRECTORY),
            (None, Some(store)) => store.clone(),
            (None, None) => PathBuf::from(STORE_DIRECTORY),
        }
    }

    /// Opens the store that is meant, where there is one.
    pub fn open_if_there(&self) -> Result<Option<Repo>, RepoError> {
        match self.open() {
            Err(RepoError::NoStore { .. }) if self.store.is_none() => Ok(None),
            other => other.map(Some),
        }
    }

    /// What operations are told.
    pub fn context(&self) -> Context<'_> {
        Context {
            actor: &self.actor,
            now: &Timestamp::now,
            progress: &self.bar,
            worker: &self.worker,
            limits: &self.limits,
        }
    }

    /// Where catalogues are looked for.
    pub fn catalogue<'a>(&'a self, given: Option<&'a Path>) -> CatalogueSource<'a> {
        CatalogueSource { given, current: Some(&self.current) }
    }
}
