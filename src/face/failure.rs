//! Errors as people and machines are told them: a stable code, a hint, an exit code.
//!
//! This is the only place that knows hints and exit codes. The codes are listed in the book; a test compares
//! the two.

use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use crate::format::convert::ConvertError;
use crate::format::{Bound, FolderError, FormatError};
use crate::ledger::LedgerError;
use crate::migration::{CatalogueError, ResolveError};
use crate::repo::{BisectError, RepoError};
use crate::snapshot::SnapshotError;
use crate::store::StoreError;

/// A failure as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The stable code.
    pub code: &'static str,
    /// What went wrong, causes included.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The exit code.
    pub exit: u8,
    /// How far a command of several steps came.
    pub steps: Option<Box<Steps>>,
}

/// How far a command came that failed at one of several migrations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Steps {
    /// The migrations that were done, in that order. They stay done.
    pub done: Vec<String>,
    /// The one that failed. Nothing of it was done.
    pub failed: String,
    /// Those after it.
    pub not_run: Vec<String>,
}

/// Exit codes, as the book lists them.
pub mod exit {
    /// ckstore or the system failed.
    pub const INTERNAL: u8 = 1;
    /// The command cannot be meant.
    pub const USAGE: u8 = 2;
    /// The checkpoint and the target are of different groups.
    pub const INCOMPATIBLE: u8 = 3;
    /// A step cannot be undone, or needs a script that may not run.
    pub const IRREVERSIBLE: u8 = 4;
    /// A migration was changed after it ran, and that was forbidden.
    pub const DRIFT: u8 = 5;
    /// Store, ledger, catalogue or file are damaged.
    pub const CORRUPT: u8 = 6;
    /// A script failed, or what came out is wrong.
    pub const FAILED: u8 = 7;
    /// Another process is writing.
    pub const LOCKED: u8 = 8;
    /// A command over many refs failed for some of them.
    pub const SOME_FAILED: u8 = 9;
    /// Something is to be done, and the caller wants to know.
    pub const PENDING: u8 = 10;
    /// Loading a file would run something.
    pub const DANGEROUS: u8 = 11;
}

/// Every exit code, and when the program ends with it.
pub const EXITS: &[(u8, &str)] = &[
    (0, "what was asked for is done, or nothing was to be done"),
    (exit::INTERNAL, "the system refused something, or ckstore failed in a way it did not foresee"),
    (exit::USAGE, "the command cannot be meant: wrong arguments, names or files"),
    (exit::INCOMPATIBLE, "the checkpoint cannot be brought to the target"),
    (exit::IRREVERSIBLE, "a step cannot be undone, or needs a script that is missing or forbidden"),
    (exit::DRIFT, "a migration was changed after it ran, and `--strict` was given"),
    (exit::CORRUPT, "the store, the ledger, the catalogue or the file is damaged; `fsck` found an error"),
    (exit::FAILED, "a script failed, or what came out is not what was stored"),
    (exit::LOCKED, "another process is writing to the store"),
    (
        exit::SOME_FAILED,
        "a command over many refs or files failed for some of them, and was done for the others",
    ),
    (exit::PENDING, "`plan` or `status` with `--exit-code`: something is to be done"),
    (exit::DANGEROUS, "`scan` found something dangerous; with `--strict`, or something unknown"),
];

/// Every code that a failure can have, with its exit code and what it means.
pub const CODES: &[(&str, u8, &str)] = &[
    ("E_IO", exit::INTERNAL, "the system refused to read or write a file"),
    ("E_DISK_FULL", exit::INTERNAL, "no space is left on the disk"),
    ("E_INTERNAL", exit::INTERNAL, "ckstore failed in a way it did not foresee"),
    ("E_USAGE", exit::USAGE, "the command line, a version or a migration's name is wrong"),
    ("E_NO_STORE", exit::USAGE, "there is no store here or above"),
    ("E_STORE_EXISTS", exit::USAGE, "there is a store already"),
    ("E_NAME", exit::USAGE, "no ref, revision, setting or value has that name, or it cannot be one"),
    ("E_EXISTS", exit::USAGE, "the name or the destination is taken"),
    ("E_INPUT", exit::USAGE, "the file is missing, empty, not a file, or inside a store"),
    ("E_DOCUMENT", exit::USAGE, "a document is no object, has no `_id`, or one that another has"),
    ("E_DIRTY", exit::USAGE, "the working file was changed and not imported"),
    ("E_BASELINED", exit::USAGE, "the checkpoint already says which migrations it has"),
    ("E_NO_CATALOGUE", exit::USAGE, "there is no folder of migrations"),
    ("E_TOO_OLD", exit::INCOMPATIBLE, "the checkpoint's group is below the target's"),
    ("E_TOO_NEW", exit::INCOMPATIBLE, "the checkpoint's group is above the target's"),
    ("E_UNBASELINED", exit::INCOMPATIBLE, "nothing says which migrations the checkpoint has"),
    ("E_UNKNOWN_LINEAGE", exit::INCOMPATIBLE, "the checkpoint's first migration is not in the catalogue"),
    ("E_CONVERT", exit::INCOMPATIBLE, "the other format cannot hold the checkpoint, or not all of it"),
    (
        "E_NOT_MIGRATABLE",
        exit::INCOMPATIBLE,
        "the format has no parts that a migration could change, or no place for what it made",
    ),
    ("E_UNEVEN", exit::INCOMPATIBLE, "the documents of a collection do not all have the same migrations"),
    ("E_IRREVERSIBLE", exit::IRREVERSIBLE, "a migration cannot be undone"),
    ("E_CODE_REQUIRED", exit::IRREVERSIBLE, "a step needs a script, which was forbidden"),
    ("E_NO_MIGRATE", exit::IRREVERSIBLE, "a needed migration has no migrate function"),
    (
        "E_TRUST",
        exit::IRREVERSIBLE,
        "a script may not run outside of the sandbox: it is not trusted, or cannot",
    ),
    ("E_DRIFT", exit::DRIFT, "a migration was changed after it ran on the checkpoint"),
    ("E_CORRUPT", exit::CORRUPT, "the store or the ledger is damaged"),
    ("E_NEWER", exit::CORRUPT, "the store was written by a newer ckstore"),
    ("E_CATALOGUE", exit::CORRUPT, "the catalogue of migrations cannot be used"),
    ("E_LEDGER", exit::CORRUPT, "the checkpoint's list of migrations contradicts itself or the catalogue"),
    ("E_FORMAT", exit::CORRUPT, "the file is damaged, hostile or larger than a limit"),
    ("E_SCRIPT", exit::FAILED, "a migration script failed"),
    ("E_BISECT", exit::FAILED, "the command that `bisect` runs does not tell the checkpoints apart"),
    ("E_VERIFY", exit::FAILED, "what was written is not what was stored"),
    ("E_LOCKED", exit::LOCKED, "another process is writing to the store"),
];

impl Failure {
    /// A failure with a code of the table and a message.
    pub fn new(code: &'static str, message: impl Into<String>) -> Failure {
        let known = CODES.iter().find(|(known, ..)| *known == code);
        let exit = known.map_or(exit::INTERNAL, |(_, exit, _)| *exit);
        Failure { code, message: message.into(), hint: None, exit, steps: None }
    }

    /// The same with what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// A command line that cannot be meant.
    pub fn usage(message: &str, hint: &str) -> Failure {
        Failure::new("E_USAGE", message).hint(hint)
    }

    /// Output that could not be printed.
    pub fn output(error: &io::Error) -> Failure {
        Failure::new("E_IO", format!("cannot print: {error}"))
    }

    /// A file that cannot be looked at.
    pub fn unreadable(path: &Path, error: &io::Error) -> Failure {
        let message = format!("cannot open `{}`: {}", path.display(), plain(error));
        Failure::new("E_INPUT", message).hint("check the path")
    }

    /// The failure as one JSON document.
    pub fn to_json(&self) -> serde_json::Value {
        let mut document = json!({ "code": self.code, "message": self.message, "hint": self.hint });
        if let Some(steps) = &self.steps {
            document["steps"] = json!(steps);
        }
        json!({ "error": document })
    }

    /// How the process ends.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit)
    }
}

/// The system's words without Rust's `(os error N)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

/// An error with all its causes on one line.
fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = match cause.downcast_ref::<io::Error>() {
            Some(error) => plain(error),
            None => cause.to_string(),
        };
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

impl From<RepoError> for Failure {
    fn from(error: RepoError) -> Failure {
        let message = whole(&error);
        let near = |suggestion: &Option<String>, otherwise: &str| match suggestion {
            Some(name) => format!("did you mean `{name}`?"),
            None => otherwise.to_owned(),
        };
        match &error {
            RepoError::Stopped { .. } => stopped_failure(error, message),
            RepoError::NoStore { .. } => Failure::new("E_NO_STORE", message)
                .hint("`ckstore init` makes one, `ckstore import FILE` too; --store and CKSTORE_DIR name one"),
            RepoError::StoreExists { .. } => Failure::new("E_STORE_EXISTS", message).hint("use it as it is"),
            RepoError::Locked { .. } => Failure::new("E_LOCKED", message)
                .hint("wait for the other ckstore to end; the lock goes with its process"),
            RepoError::NoHead => Failure::new("E_NAME", message).hint("`ckstore import FILE` comes first"),
            RepoError::UnknownName { suggestion, .. } => Failure::new("E_NAME", message)
                .hint(near(suggestion, "`ckstore branch` and `ckstore tag` list the refs, `ckstore log` revisions")),
            RepoError::AmbiguousName { .. } => Failure::new("E_NAME", message).hint("give more digits"),
            RepoError::NotABranch { .. } => {
                Failure::new("E_NAME", message).hint("`ckstore branch` lists the branches")
            }
            RepoError::RefName(_) => Failure::new("E_NAME", message).hint("choose another name"),
            RepoError::NameTaken { .. } => Failure::new("E_EXISTS", message).hint("choose another name"),
            RepoError::IsHead { .. } => Failure::new("E_NAME", message)
                .hint("`ckstore checkout NAME` makes another ref the current one"),
            RepoError::NoWorkingFile { .. } => {
                Failure::new("E_INPUT", message).hint("name the file: `ckstore import FILE`")
            }
            RepoError::NotAFile { .. } => Failure::new("E_INPUT", message).hint("name a checkpoint file"),
            RepoError::OneFile { .. } => Failure::new("E_NAME", message).hint("ask for it without a path"),
            RepoError::NotAFolder { .. } => {
                Failure::new("E_INPUT", message).hint("choose another path with -o, or name the folder")
            }
            RepoError::StoreInside { .. } => Failure::new("E_INPUT", message)
                .hint("write elsewhere with -o, or keep the store beside the folder: `ckstore --store DIR`"),
            RepoError::InsideStore { .. } => Failure::new("E_INPUT", message)
                .hint("choose a path outside of the store's directory, where ckstore alone writes"),
            RepoError::Folder(error) => folder_failure(error, message),
            RepoError::Convert(error) => convert_failure(error, message),
            RepoError::Join { .. } => Failure::new("E_CORRUPT", message).hint("run `ckstore fsck`"),
            RepoError::EmptyFile { .. } => {
                Failure::new("E_INPUT", message).hint("was the file written to its end?")
            }
            RepoError::ChangedWhileRead { .. } => {
                Failure::new("E_INPUT", message).hint("wait until it is written, then import it again")
            }
            RepoError::WorkingFileChanged { .. } => Failure::new("E_DIRTY", message).hint(
                "`ckstore import` takes it in first (or use --import); -o writes elsewhere; --force overwrites it",
            ),
            RepoError::DestinationExists { .. } => Failure::new("E_EXISTS", message)
                .hint("choose another path, import that file first, or overwrite it with --force"),
            RepoError::AlreadyBaselined { .. } => {
                Failure::new("E_BASELINED", message).hint("import it without --version and --baseline")
            }
            RepoError::NoCatalogue { .. } => Failure::new("E_NO_CATALOGUE", message)
                .hint("name it with --catalogue DIR, or for good with `ckstore config catalogue DIR`"),
            RepoError::UnknownSetting { suggestion, .. } => {
                Failure::new("E_NAME", message).hint(near(suggestion, "`ckstore config --help` lists them"))
            }
            RepoError::SettingValue { .. } => {
                Failure::new("E_USAGE", message).hint("`ckstore config --help` tells what it can be")
            }
            RepoError::NotFound { suggestion, what, .. } => Failure::new("E_NAME", message).hint(near(
                suggestion,
                match *what {
                    "branch" => "`ckstore branch` lists the branches",
                    "tag" => "`ckstore tag` lists the tags",
                    "file" => "`ckstore ls REV --json` lists the files of a folder",
                    _ => "`ckstore ls REV` and `ckstore show REV` tell what there is",
                },
            )),
            RepoError::NotMigratable { .. } => {
                Failure::new("E_NOT_MIGRATABLE", message).hint("it can still be checked out as it is")
            }
            RepoError::ScriptMissing { .. } => {
                Failure::new("E_IRREVERSIBLE", message).hint("bring the script back into the catalogue")
            }
            RepoError::Merge { .. } => Failure::new("E_IRREVERSIBLE", message)
                .hint("check the revision before out instead: `ckstore log`, then `ckstore checkout --revision`"),
            RepoError::Migration { .. } | RepoError::Declarative { .. } => Failure::new("E_SCRIPT", message)
                .hint("nothing was changed; mend the script and check out again: steps that went well are kept"),
            RepoError::MigrationName { .. } => {
                Failure::new("E_USAGE", message).hint("for instance `rename_the_encoder`")
            }
            RepoError::NotNumbered { .. } => Failure::new("E_USAGE", message)
                .hint("names are ordered by their bytes: rename it by hand, or widen the numbers"),
            RepoError::Git { .. } => Failure::new("E_USAGE", message)
                .hint("name the branch with --base, inside the repository that holds the catalogue"),
            RepoError::NothingToRun { .. } => {
                Failure::new("E_USAGE", message).hint("`ckstore migration list` shows which have one")
            }
            RepoError::Untrusted { digest, .. } => Failure::new("E_TRUST", message).hint(format!(
                "a script there can do whatever you can, and so can the checkpoint's pickle: read it, then give --trust {digest}"
            )),
            RepoError::NotForPython { .. } => {
                Failure::new("E_TRUST", message).hint("leave --engine python out to run it in the sandbox")
            }
            RepoError::ListChanged { .. } => Failure::new("E_SCRIPT", message)
                .hint("nothing was changed; ckstore keeps that list, a migration leaves it alone"),
            RepoError::Bisect(BisectError::NoSteps { .. }) => {
                Failure::new("E_BISECT", message).hint("with --version it searches the steps of a plan")
            }
            RepoError::Bisect(_) => Failure::new("E_BISECT", message)
                .hint("the command says 0 for good, 125 for what it cannot tell, any other code up to 127 for bad"),
            RepoError::UnknownCollection { suggestion, .. } => Failure::new("E_NAME", message)
                .hint(near(suggestion, "`ckstore import DIR --collection NAME` makes one")),
            RepoError::NotADocument { .. } | RepoError::Document { .. } => Failure::new("E_DOCUMENT", message)
                .hint("a document is a JSON object with an `_id` of its own; nothing was changed"),
            RepoError::Uneven { .. } => Failure::new("E_UNEVEN", message)
                .hint("`ckstore status --all --collection NAME` shows which; bring that one where the others are"),
            RepoError::NoDocumentMigrations { .. } => Failure::new("E_NO_CATALOGUE", message)
                .hint("checkpoints are migrated with `ckstore checkout --all --collection NAME --version V`"),
            RepoError::NoVersions => Failure::new("E_NOT_MIGRATABLE", message)
                .hint("name a migration with --to; `latest` and `base` are understood too"),
            RepoError::OfDocuments { .. } => Failure::new("E_NOT_MIGRATABLE", message)
                .hint("`ckstore migrate COLLECTION up` runs it on all of them"),
            RepoError::Undo { .. } | RepoError::UndoConflict { .. } => Failure::new("E_IRREVERSIBLE", message)
                .hint("nothing was changed; `ckstore checkout --revision` brings one document back by itself"),
            RepoError::DiskFull { .. } => Failure::new("E_DISK_FULL", message).hint("make room and try again"),
            RepoError::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    Failure::new("E_INPUT", message).hint("check the path")
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Failure::new("E_IO", message).hint("check permissions, or choose another place with -o")
                }
                _ => Failure::new("E_IO", message),
            },
            RepoError::Format { source, .. } => format_failure(source, message),
            RepoError::List(_) => Failure::new("E_LEDGER", message)
                .hint("the file is stored as it is with `--format bytes`; mend its list to migrate it"),
            RepoError::Catalogue(error) => catalogue_failure(error, message),
            RepoError::Resolve(error) => resolve_failure(error, message),
            RepoError::Store(error) => store_failure(error, message),
            RepoError::Ledger(error) => ledger_failure(error, message),
            RepoError::Snapshot(error) => match error {
                SnapshotError::Store(error) => store_failure(error, message),
                SnapshotError::Format(error) => format_failure(error, message),
                SnapshotError::Unwritable { .. } => Failure::new("E_NOT_MIGRATABLE", message)
                    .hint("nothing was changed, and it can still be checked out as it is"),
                SnapshotError::Length { .. } => Failure::new("E_VERIFY", message)
                    .hint("run `ckstore fsck`; the destination was left as it was"),
                SnapshotError::Crc { .. } => Failure::new("E_FORMAT", message)
                    .hint("the file is damaged; take it from its source again"),
                _ => Failure::new("E_CORRUPT", message).hint("run `ckstore fsck`"),
            },
        }
    }
}

/// A failure in the middle of several migrations: what was done before it stays.
fn stopped_failure(error: RepoError, message: String) -> Failure {
    let RepoError::Stopped { done, failed, not_run, source } = error else {
        unreachable!("only that is passed here")
    };
    let is_script = matches!(*source, RepoError::Migration { .. });
    let Failure { code, hint, exit, .. } = Failure::from(*source);
    let done: Vec<String> = done.into_iter().map(|step| step.migration).collect();
    let hint = match done.as_slice() {
        [] if is_script => Some("nothing was changed; mend the script and try again".to_owned()),
        [] => hint,
        done => {
            let mend = if is_script { "mend the script" } else { "see to the cause" };
            Some(format!(
                "done, and kept: `{}`; {mend} and try again: it goes on from there",
                done.join("`, `")
            ))
        }
    };
    Failure { code, message, hint, exit, steps: Some(Box::new(Steps { done, failed, not_run })) }
}

fn convert_failure(error: &ConvertError, message: String) -> Failure {
    let failure = Failure::new("E_CONVERT", message);
    match error {
        ConvertError::NoPlace { .. } => failure.hint("`ckstore ls` and `ckstore show` tell what there is"),
        ConvertError::NoStateDict { suggestion: Some(path), .. } => {
            failure.hint(format!("`--state-dict {path}` takes the dict of tensors there"))
        }
        ConvertError::Loss { suggestion: Some(path), .. } => failure.hint(format!(
            "`--state-dict {path}` takes the tensors there; --lossy leaves out what is named here"
        )),
        ConvertError::Loss { .. } => {
            failure.hint("--lossy leaves out what is named here, and writes shared memory for each tensor")
        }
        ConvertError::Dtype { .. } => {
            failure.hint("choose another format, or cast it first, which a migration can do to numbers")
        }
        _ => failure.hint("choose another format, or a part with --state-dict PATH"),
    }
}

fn folder_failure(error: &FolderError, message: String) -> Failure {
    match error {
        FolderError::Read { .. } => Failure::new("E_IO", message),
        FolderError::LeavingLink { .. } => Failure::new("E_INPUT", message)
            .hint("`cp -rL` makes a copy with files in place of links, which can be imported"),
        FolderError::TooLarge { .. } => {
            Failure::new("E_FORMAT", message).hint(format!("{} raises the limit", Bound::Entries.option()))
        }
        _ => Failure::new("E_INPUT", message).hint("take it out of the folder, or rename it"),
    }
}

fn format_failure(error: &FormatError, message: String) -> Failure {
    match error {
        FormatError::Read { .. } => Failure::new("E_IO", message),
        FormatError::ReadOnly(_) | FormatError::Opaque => {
            Failure::new("E_NOT_MIGRATABLE", message).hint("it can still be checked out as it is")
        }
        _ => Failure::new("E_FORMAT", message).hint(match error.bound() {
            Some(bound) => format!(
                "{} raises the limit; `ckstore import --format bytes` stores it as plain data, without looking inside",
                bound.option()
            ),
            None => "`ckstore import --format bytes` stores it as plain data, without looking inside".to_owned(),
        }),
    }
}

fn catalogue_failure(error: &CatalogueError, message: String) -> Failure {
    match error {
        CatalogueError::Broken { problems, .. } if problems.len() > 1 => {
            let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Failure::new("E_CATALOGUE", message).hint(format!("all problems: {}", all.join("; ")))
        }
        _ => Failure::new("E_CATALOGUE", message)
            .hint("mend the file, or name another folder with --catalogue"),
    }
}

fn resolve_failure(error: &ResolveError, message: String) -> Failure {
    let failure = Failure::new(error.code(), message);
    match error {
        ResolveError::TooOld { version, .. } => {
            failure.hint(format!("the newest it can be brought to is below {version}"))
        }
        ResolveError::TooNew { version, .. } => {
            failure.hint(format!("the oldest it can be brought to is {version}"))
        }
        ResolveError::Unbaselined => failure
            .hint("say which it has with `ckstore baseline --version V`, V being what it was trained at"),
        ResolveError::UnknownLineage { .. } => {
            failure.hint("is this the right catalogue? `--allow-unknown-lineage` goes on all the same")
        }
        ResolveError::Irreversible { .. } => failure
            .hint("check the revision before out instead: `ckstore log`, then `ckstore checkout --revision`"),
        ResolveError::CodeRequired { .. } => failure.hint("leave --no-code out to let its script run"),
        ResolveError::NoMigrate { .. } => failure.hint("write the migration's body"),
        ResolveError::Drift { .. } => failure.hint("leave --strict out to go on with a warning"),
        ResolveError::Ledger(_) => failure.hint("put the list right with `ckstore baseline --version V`"),
        ResolveError::DuplicateMigration { .. } => failure.hint("rename one of the two"),
        ResolveError::BadVersion(_) => failure.hint("versions look like 0.12.0, 1.2rc1, `latest` or `next`"),
        ResolveError::UnknownMigration { suggestion, .. } => failure.hint(match suggestion {
            Some(name) => format!("did you mean `{name}`?"),
            None => "the catalogue's files name its migrations".to_owned(),
        }),
    }
}

fn store_failure(error: &StoreError, message: String) -> Failure {
    match error {
        StoreError::NoStore { .. } => Failure::new("E_CORRUPT", message).hint("run `ckstore fsck`"),
        StoreError::PackVersion { .. } => Failure::new("E_NEWER", message).hint("use a newer ckstore"),
        StoreError::Source(source) | StoreError::Io { source, .. } | StoreError::Sink { source, .. }
            if !is_full(source) =>
        {
            Failure::new("E_IO", message)
        }
        StoreError::Write { source, .. } if !is_full(source) => Failure::new("E_IO", message),
        StoreError::Source(_)
        | StoreError::Io { .. }
        | StoreError::Sink { .. }
        | StoreError::Write { .. } => Failure::new("E_DISK_FULL", message).hint("make room and try again"),
        _ => Failure::new("E_CORRUPT", message).hint("run `ckstore fsck` to see all that is damaged"),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn ledger_failure(error: &LedgerError, message: String) -> Failure {
    match error {
        LedgerError::Newer { .. } => Failure::new("E_NEWER", message).hint("use a newer ckstore"),
        LedgerError::Busy => Failure::new("E_LOCKED", message).hint("wait for the other process to end"),
        LedgerError::Full => Failure::new("E_DISK_FULL", message).hint("make room and try again"),
        LedgerError::RefMoved { .. } => {
            Failure::new("E_LOCKED", message).hint("another process was quicker; look at `ckstore log`")
        }
        LedgerError::Exists { .. } => Failure::new("E_STORE_EXISTS", message),
        LedgerError::Missing { .. } => Failure::new("E_NO_STORE", message),
        LedgerError::Io { .. } => Failure::new("E_IO", message)
            .hint("is the disk full, or may the folder of the store not be written?"),
        LedgerError::Sql { .. } => Failure::new("E_INTERNAL", message),
        _ => Failure::new("E_CORRUPT", message)
            .hint("run `ckstore fsck`; the packs hold what is needed to rebuild"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resolver_code_has_an_exit_code() {
        let error = ResolveError::Unbaselined;
        assert_eq!(Failure::from(RepoError::Resolve(error)).exit, exit::INCOMPATIBLE);
        for code in ["E_TOO_OLD", "E_LEDGER", "E_IRREVERSIBLE", "E_CODE_REQUIRED", "E_NO_MIGRATE", "E_DRIFT"]
        {
            assert!(CODES.iter().any(|(known, ..)| *known == code), "{code}");
        }
    }

    #[test]
    fn codes_are_listed_once() {
        for (place, (code, ..)) in CODES.iter().enumerate() {
            assert!(CODES[..place].iter().all(|(other, ..)| other != code), "{code}");
        }
    }
}
