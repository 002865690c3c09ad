//! Trying one migration out: up, down, up, and what differs.

use serde::Serialize;

use crate::migration::plan::{Method, Operation, OperationKind, Policy};
use crate::migration::resolver::{self, Target};
use crate::migration::suggest::suggest;
use crate::migration::{Catalogue, Migration};
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::revision::Revision;
use crate::snapshot;
use crate::value::Path;

use super::super::diff::DiffReport;
use super::super::run::{Position, Sources};
use super::super::state::Lineage;
use super::super::{CatalogueSource, Context, Repo, RepoError};

/// The checkpoint's own history, which a run and its undoing both lengthen.
const HISTORY: &str = "hyper_parameters/metadata/migrations";

/// What to try out.
#[derive(Debug, Clone)]
pub struct TestOptions<'a> {
    /// The migration.
    pub migration: &'a str,
    /// The branch on whose checkpoint; HEAD when none is named.
    pub on: Option<&'a str>,
    /// Where the catalogue is.
    pub catalogue: CatalogueSource<'a>,
}

/// How a migration did.
#[derive(Debug, Clone, Serialize)]
pub struct TestReport {
    /// The migration.
    pub migration: String,
    /// The ref whose checkpoint was used.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// How it is undone: `script` by its own or a derived rollback, `restore` by the store.
    pub rollback: &'static str,
    /// Whether everything is as it should be.
    pub passed: bool,
    /// Running it again on the same checkpoint: the same result?
    pub again: Trial,
    /// Undoing it: the checkpoint as it was?
    pub back: Trial,
    /// Running it on what came back: the first result?
    pub forth: Trial,
    /// What scripts printed.
    pub printed: String,
}

/// A comparison with what was expected.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// Whether nothing differs.
    pub same: bool,
    /// What differs, if anything does.
    pub differences: Option<DiffReport>,
}

impl Repo {
    /// Runs a migration on a checkpoint, undoes it and runs it again, and compares.
    ///
    /// The checkpoint is first brought to where the migration applies. No ref moves and no history is written; what
    /// comes out is left for `gc`. The migration's own rollback is tried where it has one; where it has none the
    /// store brings back what it kept, which is the same by itself.
    ///
    /// # Errors
    ///
    /// If the checkpoint cannot be brought there, or the migration fails.
    pub fn test_migration(
        &mut self,
        options: &TestOptions<'_>,
        context: &Context<'_>,
    ) -> Result<TestReport, RepoError> {
        let _lock = self.lock()?;
        let row = self.branch_named(options.on)?;
        let catalogue = self.load_catalogue(Some(&row), options.catalogue)?;
        let migration = runnable(&catalogue, options.migration)?.clone();
        let mut revision = self.revision(&row.revision)?;
        revision.applied = self.applied_of(&revision, &catalogue)?;
        let mut printed = String::new();
        let before = self.bring_before(&revision, &catalogue, &migration.name, context)?;
        let lineage = Lineage::default();
        let sources = Sources {
            catalogue: &catalogue,
            lineage: &lineage,
            renamed: Vec::new(),
            redo: false,
            remember: false,
        };
        let up = operation(&migration, OperationKind::Migrate, Method::Run);
        let first = self.try_out(&up, &before, &sources, context, &mut printed)?;
        let second = self.try_out(&up, &before, &sources, context, &mut printed)?;
        let (back, forth) = if migration.has_rollback {
            let down = operation(&migration, OperationKind::Rollback, Method::Script);
            let back = self.try_out(&down, &first, &sources, context, &mut printed)?;
            let forth = self.try_out(&up, &back, &sources, context, &mut printed)?;
            (back, forth)
        } else {
            (before.clone(), second.clone())
        };
        let list_key = &catalogue.list_key;
        let again = self.trial(&first.tree, &second.tree, list_key, context)?;
        let back = self.trial(&before.tree, &back.tree, list_key, context)?;
        let forth = self.trial(&first.tree, &forth.tree, list_key, context)?;
        Ok(TestReport {
            migration: migration.name,
            ref_name: row.name,
            rollback: if migration.has_rollback { "script" } else { "restore" },
            passed: again.same && back.same && forth.same,
            again,
            back,
            forth,
            printed,
        })
    }

    /// Brings a checkpoint to where a migration is the next to run.
    pub(super) fn bring_before(
        &mut self,
        revision: &Revision,
        catalogue: &Catalogue,
        name: &str,
        context: &Context<'_>,
    ) -> Result<Position, RepoError> {
        let place = catalogue.migrations.iter().position(|migration| migration.name == name);
        let target = match place.and_then(|place| place.checked_sub(1)) {
            Some(before) => Target::Migration(catalogue.migrations[before].name.clone()),
            None => Target::Base,
        };
        let lineage = self.lineage(revision)?;
        let applied = self.applied_for_resolver(revision, &lineage)?;
        // Also where a checkout would never roll back.
        let rules = resolver::Options { policy: Policy::Prefix, ..resolver::Options::default() };
        let plan = resolver::resolve(applied.as_deref(), &catalogue.entries(), &target, &rules)?;
        let sources =
            Sources { catalogue, lineage: &lineage, renamed: Vec::new(), redo: false, remember: false };
        let mut position = Position { tree: revision.tree, applied: revision.applied().to_vec() };
        for operation in &plan.operations {
            position = self.try_out(operation, &position, &sources, context, &mut String::new())?;
        }
        Ok(position)
    }

    /// Carries one operation out without recording it.
    pub(super) fn try_out(
        &mut self,
        operation: &Operation,
        from: &Position,
        sources: &Sources<'_>,
        context: &Context<'_>,
        printed: &mut String,
    ) -> Result<Position, RepoError> {
        let done = self.carry_out(operation, from, sources, context).map_err(|failed| failed.error)?;
        printed.push_str(&done.printed);
        Ok(done.position)
    }

    fn trial(
        &self,
        expected: &ObjectId,
        found: &ObjectId,
        list_key: &str,
        context: &Context<'_>,
    ) -> Result<Trial, RepoError> {
        if expected == found {
            return Ok(Trial { same: true, differences: None });
        }
        let reader = self.reader();
        let (old, new) = (snapshot::read_tree(&reader, expected)?, snapshot::read_tree(&reader, found)?);
        let mut differences = self.diff_trees((*expected, &old), (*found, &new), context.progress)?;
        let kept = [Path::root().join(list_key), Path::parse(HISTORY)];
        differences.values.retain(|value| !kept.iter().any(|path| path.contains(&value.path)));
        let same = differences.is_empty();
        Ok(Trial { same, differences: (!same).then_some(differences) })
    }
}

/// The migration of this name, if it can be run.
pub(super) fn runnable<'a>(catalogue: &'a Catalogue, name: &str) -> Result<&'a Migration, RepoError> {
    let Some(migration) = catalogue.get(name) else {
        let names = catalogue.migrations.iter().map(|migration| migration.name.as_str());
        let suggestion = suggest(name, names).map(str::to_owned);
        return Err(RepoError::NotFound { what: "migration", name: name.to_owned(), suggestion });
    };
    if migration.is_final || !migration.has_migrate {
        return Err(RepoError::NothingToRun { name: name.to_owned() });
    }
    Ok(migration)
}

/// An operation that a plan would have.
pub(super) fn operation(migration: &Migration, kind: OperationKind, method: Method) -> Operation {
    Operation { kind, migration: migration.name.clone(), version: migration.version.named(), method }
}
