//! A copy of a store to try things out in.

use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::ledger::Ledger;
use crate::store::Store;

use super::lock::Lock;
use super::open::LEDGER_FILE;
use super::{Repo, RepoError};

/// A copy of a store to try things out in: its own ledger, and links to the packs. What is stored here is gone when
/// it is dropped.
pub(super) struct Scratch {
    pub repo: Repo,
    /// The packs that are linked to must stay until then.
    _lock: Lock,
    _folder: TempDir,
}

impl Repo {
    /// Makes a copy to try things out in. Other writers are kept out of this store until it is dropped.
    ///
    /// # Errors
    ///
    /// If another process is writing, or the temporary folder takes no files.
    pub(super) fn scratch(&self) -> Result<Scratch, RepoError> {
        let lock = self.lock()?;
        let temporary = std::env::temp_dir();
        let folder = tempfile::Builder::new()
            .prefix("ckstore-")
            .tempdir()
            .map_err(RepoError::io("make a folder in", &temporary))?;
        let ledger = folder.path().join(LEDGER_FILE);
        self.ledger.copy_to(&ledger)?;
        let store = Store::create(folder.path())?;
        for pack in self.store.packs()? {
            let place = store.pack_path(pack);
            link(&self.store.pack_path(pack), &place).map_err(RepoError::io("write", &place))?;
        }
        // The folder of the catalogue is looked for beside the store.
        let repo = Repo::assemble(self.directory().to_owned(), store, Ledger::open(&ledger)?);
        Ok(Scratch { repo, _lock: lock, _folder: folder })
    }
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

#[cfg(not(unix))]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::hard_link(from, to).or_else(|_| std::fs::copy(from, to).map(drop))
}
