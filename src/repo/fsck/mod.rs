//! Checking that everything is present and whole.
//!
//! A check goes on after every problem, and reports all of them. What cannot be read at all is a finding
//! too; the rest is then checked as far as it goes.

mod history;
mod packs;
mod repair;
mod trees;

use std::collections::HashSet;
use std::path::Path;

use serde::Serialize;

use crate::ledger::{Ledger, LedgerError};
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::refname::RefName;
use crate::store::{Store, StoreError};

use super::lock::Lock;
use super::needs::Needs;
use super::open::{LEDGER_FILE, LEDGER_LEFTOVERS};
use super::{Repo, RepoError};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is wrong; `gc` tidies it up.
    Note,
    /// Something is wrong that nothing needs.
    Warning,
    /// Something that is needed is missing or wrong.
    Error,
}

use Severity::{Error, Note, Warning};

/// Every code that a finding can have, with how much it matters and what it means. The book lists them.
pub const FINDINGS: &[(&str, Severity, &str)] = &[
    ("ledger-missing", Error, "the store has packs and no ledger"),
    ("ledger-unreadable", Error, "the ledger, or a table of it, cannot be read"),
    ("ledger-file", Error, "SQLite finds the ledger's file damaged, or rows name rows that are not there"),
    ("chain-gap", Error, "a row of the history is missing"),
    ("chain-broken", Error, "a row of the history does not follow the one before it"),
    ("chain-altered", Error, "a row of the history does not say what it said when it was written"),
    ("step-missing", Error, "a revision tells of a step that the history does not have"),
    ("step-unknown", Error, "the history tells of a step that its revision does not have"),
    ("step-object-missing", Error, "the script or change record of a step is missing"),
    ("step-object-damaged", Error, "the script or change record of a step is damaged"),
    ("revision-damaged", Error, "a revision's text does not read, or is not what its name or its row says"),
    ("revision-object-missing", Error, "a revision is in the ledger and not in the packs"),
    ("revision-object-damaged", Error, "the stored text of a revision is damaged"),
    ("revision-parent-missing", Error, "a revision was made from one that is not there"),
    ("ref-dangling", Error, "a ref names a revision that is not there"),
    ("ref-log-dangling", Error, "the log of a ref names a revision that is not there"),
    ("head-dangling", Error, "HEAD names a ref that is not there"),
    ("pack-missing", Error, "the index names a pack that is not on disk"),
    (
        "pack-damaged",
        Error,
        "a pack does not begin or end as one, or its index is not the one it was written with",
    ),
    ("pack-newer", Error, "a pack was written by a newer ckstore"),
    ("pack-unreadable", Error, "the system does not let a pack be read"),
    ("pack-unknown", Note, "a pack that the index does not name, as an interrupted command leaves it"),
    ("object-damaged", Error, "a stored record is not what its name says"),
    ("object-unused-damaged", Warning, "a record that the index does not use is damaged"),
    ("index-wrong", Error, "the index places a record where its pack does not have it"),
    ("index-missing", Warning, "a pack has a record that the index does not know"),
    ("tree-missing", Error, "a needed tree is missing"),
    ("tree-damaged", Error, "a needed tree is damaged"),
    ("tree-malformed", Error, "a needed tree does not hold together"),
    ("tree-object-missing", Error, "a part of a needed tree is missing"),
    ("tree-object-damaged", Error, "a part of a needed tree is damaged"),
    (
        "memo-dangling",
        Warning,
        "the remembered result of a run is missing; the run is made again when needed",
    ),
    ("temporary-file", Note, "a file that an interrupted command left behind"),
];

/// How much to check.
#[derive(Debug, Clone, Copy, Default)]
pub struct FsckOptions {
    /// Leaves out reading and hashing every stored record.
    pub quick: bool,
    /// Puts the index in order before the check: records that packs have are entered, records that are
    /// missing or damaged are forgotten, so that importing the same content again stores them anew.
    pub repair_index: bool,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable code, one of [`FINDINGS`].
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about: the name of an object, pack or ref, the number of a row, a path.
    pub subject: String,
    /// The same for people.
    pub message: String,
}

/// How much was checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Packs on disk.
    pub packs: u64,
    /// Objects that revisions and the history need, each once; frames of large ones are not counted.
    pub objects: u64,
    /// Revisions.
    pub revisions: u64,
    /// Branches and tags.
    pub refs: u64,
    /// Rows of the history.
    pub steps: u64,
    /// Bytes that were hashed.
    pub bytes: u64,
}

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct FsckReport {
    /// How much was checked.
    pub checked: Checked,
    /// What was found, in the order in which it was looked at; after a repair, what is left.
    pub findings: Vec<Finding>,
    /// Branches and tags whose present revision cannot be read whole, by name.
    pub broken_refs: Vec<RefName>,
    /// What was repaired before, where that was asked for.
    pub repaired: Option<Repaired>,
}

/// What was changed in the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Records that were entered.
    pub entered: u64,
    /// Records that were forgotten.
    pub forgotten: u64,
}

impl FsckReport {
    fn new() -> FsckReport {
        FsckReport {
            checked: Checked::default(),
            findings: Vec::new(),
            broken_refs: Vec::new(),
            repaired: None,
        }
    }

    /// Number of findings that matter this much.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    fn add(&mut self, code: &'static str, subject: impl ToString, message: impl ToString) {
        let known = FINDINGS.iter().find(|(known, ..)| *known == code);
        let (_, severity, _) = known.expect("every code is in the table");
        let (subject, message) = (subject.to_string(), message.to_string());
        self.findings.push(Finding { code, severity: *severity, subject, message });
    }

    /// What was read of the ledger, or a finding and nothing.
    fn read<T: Default>(&mut self, what: &str, result: Result<T, LedgerError>) -> T {
        result.unwrap_or_else(|error| {
            self.add("ledger-unreadable", what, whole(&error));
            T::default()
        })
    }
}

/// What is found broken on the way, so that it is told once and taken for broken afterwards.
#[derive(Debug, Default)]
struct Broken {
    /// Records of packs that are not on disk.
    missing: HashSet<ObjectId>,
    /// Records that do not prove by their names where the index places them.
    damaged: HashSet<ObjectId>,
}

impl Repo {
    /// Checks the store in `directory`: every record, the index, trees, revisions, refs and history.
    ///
    /// Takes no lock: others may go on writing. If something seems wrong and the store was changed
    /// meanwhile, it is looked at again with the lock.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoStore`], a ledger of a newer version, [`RepoError::Locked`], or an index that cannot
    /// be repaired. Damage is no error here but a finding.
    pub fn fsck(
        directory: &Path,
        options: &FsckOptions,
        progress: &dyn Progress,
    ) -> Result<FsckReport, RepoError> {
        let ledger_path = directory.join(LEDGER_FILE);
        let store = match Store::open(directory) {
            Err(_) if !ledger_path.exists() => {
                return Err(RepoError::NoStore { start: directory.to_owned() });
            }
            other => other.ok(),
        };
        let mut report = FsckReport::new();
        let ledger = match Ledger::open(&ledger_path) {
            Ok(ledger) => Some(ledger),
            Err(error @ (LedgerError::Newer { .. } | LedgerError::Busy)) => return Err(error.into()),
            Err(LedgerError::Missing { path }) => {
                report.add("ledger-missing", path.display(), "the packs are there, the ledger is not");
                None
            }
            Err(error) => {
                report.add("ledger-unreadable", ledger_path.display(), whole(&error));
                None
            }
        };
        let Some(store) = store else {
            report.add(
                "pack-unreadable",
                directory.join("packs").display(),
                "the folder of packs is missing",
            );
            return Ok(report);
        };
        let Some(mut ledger) = ledger else {
            packs::check_alone(&store, options, progress, &mut report);
            return Ok(report);
        };
        if options.repair_index {
            let _lock = Lock::take(directory)?;
            let repaired = repair::repair(&store, &mut ledger, progress)?;
            let mut found = check(&store, &ledger, directory, options, progress);
            found.repaired = Some(repaired);
            return Ok(found);
        }
        let version = ledger.data_version().ok();
        let found = check(&store, &ledger, directory, options, progress);
        if found.count(Error) > 0 && ledger.data_version().ok() != version {
            let _lock = Lock::take(directory)?;
            return Ok(check(&store, &ledger, directory, options, progress));
        }
        Ok(found)
    }
}

fn check(
    store: &Store,
    ledger: &Ledger,
    directory: &Path,
    options: &FsckOptions,
    progress: &dyn Progress,
) -> FsckReport {
    let mut report = FsckReport::new();
    // What keeps the ledger from being read is found again below, and told there.
    let _reading = ledger.reading();
    let mut needs = Needs::default();
    let mut broken = Broken::default();
    history::check(ledger, &mut needs, &mut report);
    packs::check(store, ledger, options, progress, &mut broken, &mut report);
    trees::check(store, ledger, &needs, &broken, progress, &mut report);
    leftovers(store, directory, &mut report);
    report
}

fn leftovers(store: &Store, directory: &Path, report: &mut FsckReport) {
    let mut files = store.temporary_files().unwrap_or_default();
    files.extend(LEDGER_LEFTOVERS.iter().map(|name| directory.join(name)).filter(|path| path.exists()));
    for path in files {
        report.add("temporary-file", path.display(), "left by an interrupted command; `gc` removes it");
    }
}

/// An error with its causes.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Whether an error says that the bytes are not there, and not that they are wrong.
fn is_missing(error: &StoreError) -> bool {
    matches!(error, StoreError::Missing { .. } | StoreError::PackMissing { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_listed_once() {
        for (place, (code, ..)) in FINDINGS.iter().enumerate() {
            assert!(FINDINGS[..place].iter().all(|(other, ..)| other != code), "{code}");
        }
    }
}
