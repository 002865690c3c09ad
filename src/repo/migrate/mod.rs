//! Migrating all documents of a collection up and down.
//!
//! Each step is one transaction: one pack with everything new in it, then one change of the ledger that moves all refs.

mod down;
mod plan;
mod state;
mod step;

pub(super) use plan::is_member;
pub(super) use state::is_document;

use std::sync::Arc;

use serde::Serialize;

use crate::ledger::DocumentCounts;
use crate::migration::plan::{Method, OperationKind, Warning};
use crate::migration::suggest::suggest;
use crate::migration::{Catalogue, Form, Migration};
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::revision::Applied;

use super::{CatalogueSource, Context, Repo, RepoError};
use step::Step;

/// Which way documents are migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Migrations that have not run yet are run.
    Up,
    /// Migrations that have run are undone, the newest first.
    Down,
}

/// What to migrate, and how far.
#[derive(Debug, Clone)]
pub struct MigrateOptions<'a> {
    /// The collection.
    pub collection: &'a str,
    /// Which way.
    pub direction: Direction,
    /// So many migrations; without a number all that are left (up), or one (down).
    pub steps: Option<usize>,
    /// As far as this migration: up, it is the last that runs; down, the last that stays. Its file's stem, the same
    /// without `Migration_`, or its name alone.
    pub to: Option<&'a str>,
    /// Brings the stored documents back also where a migration has a `down`.
    pub restore: bool,
    /// Only finds out what would be done.
    pub dry_run: bool,
    /// Why.
    pub message: Option<&'a str>,
    /// Where the catalogue is.
    pub catalogue: CatalogueSource<'a>,
}

/// What was done to a collection, or would be.
#[derive(Debug, Clone, Serialize)]
pub struct MigrateReport {
    /// The collection.
    pub collection: RefName,
    /// Which way.
    pub direction: Direction,
    /// Whether nothing was done, only looked at.
    pub dry_run: bool,
    /// The migrations that were run or undone, in that order.
    pub steps: Vec<MigratedStep>,
    /// Names of the migrations that the documents have now, oldest first.
    pub executed: Vec<String>,
    /// Names of those of the catalogue that they have not.
    pub pending: Vec<String>,
    /// Number of documents now.
    pub documents: u64,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

/// One migration that was run or undone.
#[derive(Debug, Clone, Serialize)]
pub struct MigratedStep {
    /// The migration.
    pub migration: String,
    /// Whether it ran or was undone.
    pub kind: OperationKind,
    /// How: `run`, `script` (its `down`) or `restore` (the stored documents came back).
    pub method: Method,
    /// Digest of its body.
    pub digest: Option<ObjectId>,
    /// What it did to documents. Those that it left as they were have the migration all the same.
    #[serde(flatten)]
    pub documents: DocumentCounts,
    /// What the script printed.
    pub printed: String,
}

impl Repo {
    /// Migrates all documents of a collection up or down.
    ///
    /// Every migration is one transaction: all documents have it, or none. Every document gets a revision and a row in
    /// the ledger, and the collection a row of its own. Documents that a script adds become refs, those that it removes
    /// lose theirs; both is taken back on the way down.
    ///
    /// # Errors
    ///
    /// The first failure ends it: [`RepoError::Stopped`] with the name of the migration, nothing of that done, and
    /// those before it done.
    pub fn migrate(
        &mut self,
        options: &MigrateOptions<'_>,
        context: &Context<'_>,
    ) -> Result<MigrateReport, RepoError> {
        let _lock = if options.dry_run { None } else { Some(self.lock()?) };
        let collection = self.collection_named(options.collection)?;
        let catalogue = self.catalogue_of_documents(&collection, options)?;
        let executed = self.executed(&collection)?;
        let mut names: Vec<String> = executed.applied.iter().map(|entry| entry.name.clone()).collect();
        let wanted = match options.direction {
            Direction::Up => up(catalogue.as_deref(), &names, options.to, options.steps)?,
            Direction::Down => down(catalogue.as_deref(), &names, options.to, options.steps)?,
        };
        let mut report = MigrateReport {
            collection: collection.clone(),
            direction: options.direction,
            dry_run: options.dry_run,
            steps: Vec::new(),
            executed: Vec::new(),
            pending: Vec::new(),
            documents: executed.documents,
            warnings: warnings(drift(catalogue.as_deref(), &executed.applied)),
        };
        let mut wanted = wanted.into_iter();
        while let Some(name) = wanted.next() {
            let step = Step { collection: &collection, migration: &name, options, context };
            let done = match (options.direction, options.dry_run) {
                (Direction::Up, false) => self.run_up(&step, catalogue.as_deref()),
                (Direction::Down, false) => self.run_down(&step),
                (_, true) => Ok((self.rehearse_step(&step, catalogue.as_deref())?, report.documents)),
            };
            let (done, documents) = match done {
                Ok(done) => done,
                Err(error) => {
                    return Err(RepoError::Stopped {
                        done: report.steps,
                        failed: name,
                        not_run: wanted.collect(),
                        source: Box::new(error),
                    });
                }
            };
            report.documents = documents;
            report.steps.push(done);
            match options.direction {
                Direction::Up => names.push(name),
                Direction::Down => names.retain(|known| *known != name),
            }
        }
        let of_documents = catalogue.as_deref().into_iter().flat_map(of_documents);
        report.pending = of_documents
            .map(|migration| migration.name.clone())
            .filter(|name| !names.contains(name))
            .collect();
        report.executed = names;
        Ok(report)
    }

    /// The catalogue of a collection. On the way down it may be missing: what ran is stored.
    fn catalogue_of_documents(
        &self,
        collection: &RefName,
        options: &MigrateOptions<'_>,
    ) -> Result<Option<Arc<Catalogue>>, RepoError> {
        match (self.load_collection_catalogue(collection, options.catalogue), options.direction) {
            (Ok(catalogue), Direction::Up) if of_documents(&catalogue).next().is_none() => {
                Err(RepoError::NoDocumentMigrations { path: catalogue.directory.clone() })
            }
            (Ok(catalogue), _) => Ok(Some(catalogue)),
            (Err(RepoError::NoCatalogue { .. }), Direction::Down) if options.catalogue.given.is_none() => {
                Ok(None)
            }
            (Err(error), _) => Err(error),
        }
    }
}

/// The migrations of documents in a catalogue, in their order.
fn of_documents(catalogue: &Catalogue) -> impl Iterator<Item = &Migration> {
    catalogue.migrations.iter().filter(|migration| migration.form == Form::Exodus)
}

/// Names of the migrations to run.
fn up(
    catalogue: Option<&Catalogue>,
    executed: &[String],
    to: Option<&str>,
    steps: Option<usize>,
) -> Result<Vec<String>, RepoError> {
    let all: Vec<&Migration> = catalogue.into_iter().flat_map(of_documents).collect();
    let mut wanted: Vec<String> =
        all.iter().map(|migration| migration.name.clone()).filter(|name| !executed.contains(name)).collect();
    if let Some(to) = to {
        let to = named(to, all.iter().map(|migration| migration.name.as_str()))?;
        match wanted.iter().position(|name| *name == to) {
            Some(place) => wanted.truncate(place + 1),
            None => wanted.clear(),
        }
    }
    wanted.truncate(steps.unwrap_or(usize::MAX));
    Ok(wanted)
}

/// Names of the migrations to undo: those that ran last come first.
fn down(
    catalogue: Option<&Catalogue>,
    executed: &[String],
    to: Option<&str>,
    steps: Option<usize>,
) -> Result<Vec<String>, RepoError> {
    let newest_first = executed.iter().rev();
    let Some(to) = to else {
        return Ok(newest_first.take(steps.unwrap_or(1)).cloned().collect());
    };
    match named(to, executed.iter().map(String::as_str)) {
        Ok(to) => {
            let wanted = newest_first.take_while(|name| **name != to).cloned();
            Ok(wanted.take(steps.unwrap_or(usize::MAX)).collect())
        }
        Err(error) => {
            // One that never ran has nothing above it to undo.
            let all: Vec<&Migration> = catalogue.into_iter().flat_map(of_documents).collect();
            named(to, all.iter().map(|migration| migration.name.as_str()))
                .map(|_| Vec::new())
                .map_err(|_| error)
        }
    }
}

/// The migration that a person means: by its whole name, without `Migration_`, or without its time.
fn named<'a>(text: &str, names: impl Iterator<Item = &'a str> + Clone) -> Result<String, RepoError> {
    let stem = text.strip_suffix(".py").unwrap_or(text);
    let found = names.clone().find(|name| *name == stem || name.strip_prefix("Migration_") == Some(stem));
    let by_short_name = || {
        let mut fitting = names.clone().filter(|name| short(name) == stem);
        let first = fitting.next();
        first.filter(|_| fitting.next().is_none())
    };
    found.or_else(by_short_name).map(str::to_owned).ok_or_else(|| RepoError::NotFound {
        what: "migration",
        name: text.to_owned(),
        suggestion: suggest(stem, names).map(str::to_owned),
    })
}

fn short(name: &str) -> &str {
    let rest = name.strip_prefix("Migration_").and_then(|rest| rest.split_once('_'));
    rest.map_or(name, |(_, name)| name)
}

/// Warns of migrations that were changed after they ran.
fn drift(catalogue: Option<&Catalogue>, applied: &[Applied]) -> Vec<String> {
    let changed = applied.iter().filter(|entry| {
        let listed = catalogue.and_then(|catalogue| catalogue.get(&entry.name));
        listed.is_some_and(|listed| entry.digest.is_some_and(|digest| digest != listed.digest))
    });
    changed.map(|entry| entry.name.clone()).collect()
}

fn warnings(drifted: Vec<String>) -> Vec<Warning> {
    drifted.into_iter().map(|name| Warning::Drift { name }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_named_by_its_stem_its_time_and_name_or_its_name_alone() {
        let names = ["Migration_1_a", "Migration_2_b", "Migration_3_b"];
        let find = |text: &str| named(text, names.iter().copied()).ok();
        assert_eq!(find("Migration_2_b").as_deref(), Some("Migration_2_b"));
        assert_eq!(find("Migration_2_b.py").as_deref(), Some("Migration_2_b"));
        assert_eq!(find("3_b").as_deref(), Some("Migration_3_b"));
        assert_eq!(find("a").as_deref(), Some("Migration_1_a"));
        assert_eq!(find("b"), None);
        assert_eq!(find("c"), None);
    }
}
