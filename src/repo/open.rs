//! Making, opening and finding a store.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::durable;
use crate::ledger::Ledger;
use crate::migration::Migration;
use crate::object::ObjectId;
use crate::store::{Reader, Store};

use super::RepoError;
use super::catalogues::Catalogues;
use super::lock::Lock;

/// Name of the directory that holds a store.
pub const STORE_DIRECTORY: &str = ".ckstore";

/// Name of the ledger's file in the store's directory.
pub(super) const LEDGER_FILE: &str = "ledger.db";

/// Links that are followed one after the other; systems follow as many.
const MOST_LINKS: usize = 40;

/// What an interrupted [`Repo::init`] may leave beside it: the ledger before it has its name.
pub(super) const LEDGER_LEFTOVERS: [&str; 3] = ["tmp-ledger.db", "tmp-ledger.db-wal", "tmp-ledger.db-shm"];

/// An open store: objects in packs, and the ledger.
#[derive(Debug)]
pub struct Repo {
    directory: PathBuf,
    pub(super) store: Store,
    pub(super) ledger: Ledger,
    /// Stored scripts that were read, by their objects and names: thousands of refs may have been through one.
    pub(super) scripts: RefCell<HashMap<(ObjectId, String), Option<Migration>>>,
    /// Catalogues that are loaded already, where somebody keeps them.
    pub(super) catalogues: Option<Arc<Catalogues>>,
}

impl Repo {
    /// Makes an empty store in `directory`, which is made too.
    ///
    /// # Errors
    ///
    /// [`RepoError::StoreExists`] if there is one, or the system refuses.
    pub fn init(directory: &Path) -> Result<Repo, RepoError> {
        if directory.join(LEDGER_FILE).exists() {
            return Err(RepoError::StoreExists { path: directory.to_owned() });
        }
        check_outside_stores(durable::directory_of(&absolute(directory)?), None)?;
        make_folders(directory)?;
        let _lock = Lock::take(directory)?;
        if directory.join(LEDGER_FILE).exists() {
            return Err(RepoError::StoreExists { path: directory.to_owned() });
        }
        let has_packs = directory.join("packs").exists();
        let store = if has_packs { Store::open(directory)? } else { Store::create(directory)? };
        // The ledger makes the directory a store; it appears last, and under its name only when whole.
        let unfinished = directory.join(LEDGER_LEFTOVERS[0]);
        for name in LEDGER_LEFTOVERS {
            let leftover = directory.join(name);
            if leftover.exists() {
                fs::remove_file(&leftover).map_err(RepoError::io("remove", &leftover))?;
            }
        }
        drop(Ledger::create(&unfinished)?);
        let path = directory.join(LEDGER_FILE);
        fs::rename(&unfinished, &path).map_err(RepoError::io("rename", &unfinished))?;
        durable::sync_directory(directory).map_err(RepoError::io("sync", directory))?;
        let ledger = Ledger::open(&path)?;
        let directory = absolute(directory)?;
        Ok(Repo::assemble(directory, store, ledger))
    }

    /// Opens the store in `directory`.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoStore`] if there is none, or it is damaged or of a newer version.
    pub fn open(directory: &Path) -> Result<Repo, RepoError> {
        let path = directory.join(LEDGER_FILE);
        if !path.exists() {
            return Err(RepoError::NoStore { start: directory.to_owned() });
        }
        let ledger = Ledger::open(&path)?;
        let mut store = Store::open(directory)?;
        if ledger.setting("durability")?.as_deref() == Some(super::config::CACHE) {
            store.leave_sync_to_the_system();
            ledger.leave_sync_to_the_system()?;
        }
        Ok(Repo::assemble(absolute(directory)?, store, ledger))
    }

    /// Opens the nearest store: in `.ckstore` under `start` or a folder above it.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoStore`] if there is none.
    pub fn discover(start: &Path) -> Result<Repo, RepoError> {
        Repo::open(&Repo::find(start)?)
    }

    /// Finds the directory of the nearest store, and opens nothing.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoStore`] if there is none.
    pub fn find(start: &Path) -> Result<PathBuf, RepoError> {
        let start = absolute(start)?;
        let mut found = start.ancestors().map(|folder| folder.join(STORE_DIRECTORY));
        match found.find(|directory| directory.join(LEDGER_FILE).exists()) {
            Some(directory) => Ok(directory),
            None => Err(RepoError::NoStore { start }),
        }
    }

    /// A store whose parts are open.
    pub(super) fn assemble(directory: PathBuf, store: Store, ledger: Ledger) -> Repo {
        Repo { directory, store, ledger, scripts: RefCell::default(), catalogues: None }
    }

    /// The directory that holds the store.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Refuses a folder that holds this store, other than as `.ckstore` right in it, where imports pass it over.
    pub(super) fn keep_out_of(&self, folder: &Path) -> Result<(), RepoError> {
        match self.inside(folder) {
            Some(rest) if rest != Path::new(STORE_DIRECTORY) => {
                Err(RepoError::StoreInside { path: folder.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Where the store is below a folder, if it is.
    pub(super) fn inside(&self, folder: &Path) -> Option<PathBuf> {
        let (folder, store) = (folder.canonicalize().ok()?, self.directory.canonicalize().ok()?);
        store.strip_prefix(folder).ok().map(Path::to_owned)
    }

    /// Refuses a place to write that lies inside a store.
    pub(super) fn check_outside(&self, path: &Path) -> Result<(), RepoError> {
        check_outside_stores(path, Some(&self.directory))
    }

    /// Keeps other writers out until it is dropped.
    pub(super) fn lock(&self) -> Result<Lock, RepoError> {
        Lock::take(&self.directory)
    }

    /// Reads objects.
    pub(super) fn reader(&self) -> Reader<'_> {
        self.store.reader(&self.ledger)
    }
}

/// Makes a folder and those above it, so that they survive a power loss.
fn make_folders(directory: &Path) -> Result<(), RepoError> {
    let missing =
        directory.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    let missing: Vec<&Path> = missing.collect();
    fs::create_dir_all(directory).map_err(RepoError::io("make", directory))?;
    for folder in missing {
        let above = durable::directory_of(folder);
        durable::sync_directory(above).map_err(RepoError::io("sync", above))?;
    }
    Ok(())
}

/// Refuses a place to write that lies inside a store, links followed: `own`, or any folder that is named like one.
pub(super) fn check_outside_stores(path: &Path, own: Option<&Path>) -> Result<(), RepoError> {
    let own = own.and_then(|own| own.canonicalize().ok());
    // Where it leads, and where it is itself: a link may be exchanged or followed.
    let name = path.file_name().unwrap_or_default();
    let places = [resolved(path), resolved(durable::directory_of(path)).join(name)];
    let is_store = |folder: &Path| {
        folder.file_name().is_some_and(|name| name == STORE_DIRECTORY) || own.as_deref() == Some(folder)
    };
    if places.iter().any(|place| place.ancestors().any(is_store)) {
        return Err(RepoError::InsideStore { path: path.to_owned() });
    }
    Ok(())
}

/// Where a path leads, as far as that exists.
fn resolved(path: &Path) -> PathBuf {
    let mut place = path.to_owned();
    // A link whose target is missing is followed by hand.
    for _ in 0..MOST_LINKS {
        match fs::read_link(&place) {
            Ok(target) if !place.exists() => place = durable::directory_of(&place).join(target),
            _ => break,
        }
    }
    for folder in place.ancestors() {
        if let (Ok(known), Ok(rest)) = (folder.canonicalize(), place.strip_prefix(folder)) {
            return known.join(rest);
        }
    }
    place
}

/// The path from the root of the file system, links kept as they are.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, RepoError> {
    let path = std::path::absolute(path).map_err(RepoError::io("find", path))?;
    // Without a separator at the end, which names the same.
    Ok(path.components().collect())
}
