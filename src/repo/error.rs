//! What can go wrong with an operation.

use std::io;
use std::path::{Path, PathBuf};

use crate::format::convert::ConvertError;
use crate::format::{FolderError, FormatError};
use crate::ledger::LedgerError;
use crate::migration::declarative::DeclarativeError;
use crate::migration::document::DocumentError;
use crate::migration::engine::EngineError;
use crate::migration::list::ListError;
use crate::migration::merge::Conflict;
use crate::migration::{CatalogueError, ResolveError};
use crate::object::ObjectId;
use crate::refname::RefNameError;
use crate::snapshot::SnapshotError;
use crate::store::StoreError;

use super::migrate::MigratedStep;

use super::bisect::BisectError;

/// Why an operation was not done. The store, its refs and the files are then as they were before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// No store here.
    #[error("no ckstore store in `{}` or any folder above it", start.display())]
    NoStore {
        /// Where the search began.
        start: PathBuf,
    },
    /// There is one already.
    #[error("a store exists already at `{}`", path.display())]
    StoreExists {
        /// Where.
        path: PathBuf,
    },
    /// Another process is writing.
    #[error("store is locked by another process through `{}`", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// HEAD names nothing yet.
    #[error("nothing is imported yet: HEAD names no ref")]
    NoHead,
    /// No ref or revision of that name.
    #[error("`{name}` names no ref and no revision")]
    UnknownName {
        /// What was asked for.
        name: String,
        /// A near name.
        suggestion: Option<String>,
    },
    /// A short revision name fits several.
    #[error("`{name}` is the beginning of more than one revision")]
    AmbiguousName {
        /// What was asked for.
        name: String,
    },
    /// A ref is expected, but the name is another kind of thing.
    #[error("`{name}` is a {found}, not a branch")]
    NotABranch {
        /// What was asked for.
        name: String,
        /// What it is.
        found: &'static str,
    },
    /// The name is taken.
    #[error("`{name}` exists already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The name is not allowed.
    #[error(transparent)]
    RefName(#[from] RefNameError),
    /// The current ref cannot be deleted.
    #[error("`{name}` is the current ref")]
    IsHead {
        /// The name.
        name: String,
    },
    /// The ref has no working file.
    #[error("`{name}` has no working file")]
    NoWorkingFile {
        /// The ref.
        name: String,
    },
    /// The path is not a file.
    #[error("`{}` is {what}, not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A folder was to be written where a file is, or a file read as one.
    #[error("`{}` is a file, not a folder", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// A file of a folder was asked for where there is one file.
    #[error("`{name}` is one file, not a folder of files")]
    OneFile {
        /// The ref or revision.
        name: String,
    },
    /// The folder holds the store itself.
    #[error("`{}` holds the store itself", path.display())]
    StoreInside {
        /// The folder.
        path: PathBuf,
    },
    /// A file was to be written among those of a store.
    #[error("`{}` lies inside a store", path.display())]
    InsideStore {
        /// The path.
        path: PathBuf,
    },
    /// The checkpoint cannot be written in another format.
    #[error("it cannot be converted")]
    Convert(#[from] ConvertError),
    /// A tensor could not be put together from its pieces.
    #[error("tensor `{tensor}` cannot be written")]
    Join {
        /// The tensor.
        tensor: String,
        /// Why.
        #[source]
        source: Box<EngineError>,
    },
    /// A folder cannot be taken as a checkpoint.
    #[error("the folder cannot be taken as a checkpoint")]
    Folder(#[from] FolderError),
    /// The file has no bytes.
    #[error("`{}` is empty", path.display())]
    EmptyFile {
        /// The path.
        path: PathBuf,
    },
    /// The file changed while it was read.
    #[error("`{}` changed while it was read", path.display())]
    ChangedWhileRead {
        /// The path.
        path: PathBuf,
    },
    /// A working file holds what no revision holds.
    #[error("`{}` was changed since ckstore last read or wrote it", path.display())]
    WorkingFileChanged {
        /// The path.
        path: PathBuf,
    },
    /// The destination exists and is not known to be stored.
    #[error("`{}` exists, and ckstore has not stored what it holds", path.display())]
    DestinationExists {
        /// The path.
        path: PathBuf,
    },
    /// The checkpoint already says which migrations it has.
    #[error("`{}` already says which migrations it has", path.display())]
    AlreadyBaselined {
        /// The file.
        path: PathBuf,
    },
    /// There is no folder of migrations.
    #[error("no catalogue of migrations at `{}`", path.display())]
    NoCatalogue {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A setting that does not exist.
    #[error("there is no setting `{key}`")]
    UnknownSetting {
        /// The key.
        key: String,
        /// A near key.
        suggestion: Option<String>,
    },
    /// A setting cannot have that value.
    #[error("the setting `{key}` cannot be `{value}`")]
    SettingValue {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// No migration, tensor or value of that name.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// A near name.
        suggestion: Option<String>,
    },
    /// A format that migrations cannot change.
    #[error("a checkpoint of format `{format}` cannot be migrated")]
    NotMigratable {
        /// The format.
        format: String,
    },
    /// A rollback that the plan counts on is not stored.
    #[error("the script of `{migration}` is not stored and not in the catalogue")]
    ScriptMissing {
        /// The migration.
        migration: String,
    },
    /// A migration cannot be undone on content that was changed since.
    #[error("`{migration}` cannot be undone without losing what came since")]
    Merge {
        /// The migration.
        migration: String,
        /// What stands in the way.
        #[source]
        source: Conflict,
    },
    /// A migration failed; its run is in the ledger.
    #[error("migration `{migration}` failed")]
    Migration {
        /// The migration.
        migration: String,
        /// Why.
        #[source]
        source: Box<EngineError>,
    },
    /// A declarative migration does not fit the checkpoint; its run is in the ledger.
    #[error("migration `{migration}` failed")]
    Declarative {
        /// The migration.
        migration: String,
        /// Why.
        #[source]
        source: Box<DeclarativeError>,
    },
    /// No migration can have this name.
    #[error("`{name}` is no name for a migration: letters, digits and `_` are")]
    MigrationName {
        /// The name.
        name: String,
    },
    /// A name is not ordered by a number.
    #[error("`{name}` cannot be given another number that keeps the order")]
    NotNumbered {
        /// The file.
        name: String,
    },
    /// Git does not tell what a branch holds.
    #[error("cannot tell which migrations branch `{branch}` has: {reason}")]
    Git {
        /// The branch.
        branch: String,
        /// What git says.
        reason: String,
    },
    /// A final has nothing to run.
    #[error("`{name}` has no body that could be run")]
    NothingToRun {
        /// The migration.
        name: String,
    },
    /// A script that nobody trusts shall run outside of the sandbox.
    #[error("`{migration}` is not trusted to run outside of the sandbox; its digest is {digest}")]
    Untrusted {
        /// The migration.
        migration: String,
        /// The digest of its body.
        digest: ObjectId,
    },
    /// A script that a real interpreter cannot be given.
    #[error("`{migration}` cannot run in a real interpreter: {reason}")]
    NotForPython {
        /// The migration.
        migration: String,
        /// Why.
        reason: &'static str,
    },
    /// A migration edited the list of applied migrations.
    #[error(
        "migration `{migration}` failed: {file}{} changed the checkpoint's own list of migrations, `{key}`",
        line.map(|line| format!(", line {line}")).unwrap_or_default()
    )]
    ListChanged {
        /// The migration.
        migration: String,
        /// Its file.
        file: String,
        /// The line of its function, from 1.
        line: Option<u32>,
        /// The list's key.
        key: String,
    },
    /// A search for the step that changed something finds none.
    #[error(transparent)]
    Bisect(#[from] BisectError),
    /// No collection of that name.
    #[error("there is no collection `{name}`")]
    UnknownCollection {
        /// What was asked for.
        name: String,
        /// A near name.
        suggestion: Option<String>,
    },
    /// What should be documents is not.
    #[error("`{}`{} cannot be taken as documents", path.display(), at_line(.line))]
    NotADocument {
        /// The file.
        path: PathBuf,
        /// The line.
        line: Option<usize>,
        /// Why.
        #[source]
        source: DocumentError,
    },
    /// A ref of a collection is no document that a migration can take.
    #[error("`{name}` is no document that can be migrated")]
    Document {
        /// The ref.
        name: String,
        /// Why.
        #[source]
        source: DocumentError,
    },
    /// The documents of a collection do not have the same migrations.
    #[error("the documents of `{collection}` do not all have the same migrations: `{name}` has others")]
    Uneven {
        /// The collection.
        collection: String,
        /// One that differs from the first.
        name: String,
    },
    /// A catalogue has no migration of documents.
    #[error("catalogue `{}` has no migrations of documents", path.display())]
    NoDocumentMigrations {
        /// The folder.
        path: PathBuf,
    },
    /// A migration of documents was to run on one checkpoint.
    #[error("`{migration}` migrates all documents of a collection, not one")]
    OfDocuments {
        /// The migration.
        migration: String,
    },
    /// A version was asked for of a document, whose migrations have none.
    #[error("migrations of documents have no versions")]
    NoVersions,
    /// One of several migrations of a collection failed. Each is a step of its own: those before it are done.
    #[error("stopped at `{failed}`, {} of {} migrations done", done.len(), done.len() + 1 + not_run.len())]
    Stopped {
        /// What was done, in that order.
        done: Vec<MigratedStep>,
        /// The migration that failed. Nothing of it was done.
        failed: String,
        /// The migrations after it.
        not_run: Vec<String>,
        /// Why it failed.
        #[source]
        source: Box<RepoError>,
    },
    /// A migration of documents cannot be undone without its script.
    #[error("`{migration}` cannot be undone: `{name}` {reason}")]
    Undo {
        /// The migration.
        migration: String,
        /// The ref.
        name: String,
        /// What stands in the way.
        reason: &'static str,
    },
    /// A migration of documents cannot be undone on one that was changed since.
    #[error("`{migration}` cannot be undone in `{name}`")]
    UndoConflict {
        /// The migration.
        migration: String,
        /// The ref.
        name: String,
        /// What stands in the way.
        #[source]
        source: DocumentError,
    },
    /// The disk is full.
    #[error("no space is left to write `{}`", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
        /// The system's account.
        #[source]
        source: io::Error,
    },
    /// The system refused to read or write.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's account.
        #[source]
        source: io::Error,
    },
    /// The file's format could not be read or written.
    #[error("`{}` cannot be read", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: FormatError,
    },
    /// The checkpoint's own list of migrations cannot be used.
    #[error(transparent)]
    List(#[from] ListError),
    /// The catalogue cannot be used.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// There is no plan.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A checkpoint could not be stored or brought back.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

fn at_line(line: &Option<usize>) -> String {
    line.map(|line| format!(", line {line},")).unwrap_or_default()
}

impl RepoError {
    /// Turns the system's error into one that names what was tried, and where.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RepoError {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => RepoError::DiskFull { path, source },
            _ => RepoError::Io { action, path, source },
        }
    }
}
