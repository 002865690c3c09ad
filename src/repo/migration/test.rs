//! Trying one migration out: up, down, up, and what differs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use crate::ledger::RefRow;
use crate::migration::plan::{Method, Operation, OperationKind, Policy};
use crate::migration::resolver::{self, Target};
use crate::migration::suggest::suggest;
use crate::migration::{Catalogue, Migration};
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::snapshot::{self, Tree};
use crate::value::{Graph, Kind, NodeId, Path, is_atom, places};

use super::super::diff::{DiffReport, ValueChange};
use super::super::run::{Position, Sources};
use super::super::state::Lineage;
use super::super::values::describe;
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
    /// Whether tensors stand in another order, although nothing differs.
    pub reordered: bool,
    /// What differs, if anything does.
    pub differences: Option<DiffReport>,
}

impl Repo {
    /// Runs a migration on a checkpoint, undoes it and runs it again, and compares.
    ///
    /// The checkpoint is first brought to where the migration applies. All of that happens in a copy of the store
    /// that is gone afterwards. The migration's own rollback is tried where it has one; where it has none the store
    /// brings back what it kept, which is the same by itself.
    ///
    /// # Errors
    ///
    /// If the checkpoint cannot be brought there, or the migration fails.
    pub fn test_migration(
        &self,
        options: &TestOptions<'_>,
        context: &Context<'_>,
    ) -> Result<TestReport, RepoError> {
        let row = self.branch_named(options.on)?;
        let catalogue = self.load_catalogue(Some(&row), options.catalogue)?;
        let migration = runnable(&catalogue, options.migration)?.clone();
        let ref_name = row.name.clone();
        let mut scratch = self.scratch()?;
        let repo = &mut scratch.repo;
        let mut printed = String::new();
        let before = repo.bring_before(row, &catalogue, &migration.name, context)?;
        let lineage = Lineage::default();
        let sources = trial_sources(&catalogue, &lineage);
        let up = operation(&migration, OperationKind::Migrate, Method::Run);
        let first = repo.try_out(&up, &before, &sources, context, &mut printed)?;
        let second = repo.try_out(&up, &before, &sources, context, &mut String::new())?;
        let (back, forth) = if migration.has_rollback {
            let down = operation(&migration, OperationKind::Rollback, Method::Script);
            let back = repo.try_out(&down, &first, &sources, context, &mut printed)?;
            let forth = repo.try_out(&up, &back, &sources, context, &mut String::new())?;
            (back, forth)
        } else {
            (before.clone(), second.clone())
        };
        let list_key = &catalogue.list_key;
        let again = repo.trial(&first.tree, &second.tree, list_key, context)?;
        let back = repo.trial(&before.tree, &back.tree, list_key, context)?;
        let forth = repo.trial(&first.tree, &forth.tree, list_key, context)?;
        Ok(TestReport {
            migration: migration.name,
            ref_name,
            rollback: if migration.has_rollback { "script" } else { "restore" },
            passed: again.same && back.same && forth.same,
            again,
            back,
            forth,
            printed,
        })
    }

    /// Brings a ref's checkpoint to where a migration is the next to run.
    pub(super) fn bring_before(
        &mut self,
        row: RefRow,
        catalogue: &Arc<Catalogue>,
        name: &str,
        context: &Context<'_>,
    ) -> Result<Position, RepoError> {
        let place = catalogue.migrations.iter().position(|migration| migration.name == name);
        let target = match place.and_then(|place| place.checked_sub(1)) {
            Some(before) => Target::Migration(catalogue.migrations[before].name.clone()),
            None => Target::Base,
        };
        // Also where a checkout would never roll back.
        let rules = resolver::Options { policy: Policy::Prefix, ..resolver::Options::default() };
        let planned = self.planned_for(row, catalogue.clone(), &target, &rules)?;
        let sources = Sources::of(&planned, false);
        let mut position = planned.position();
        for operation in &planned.plan.operations {
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

    /// Compares two trees, but for the list of migrations and its history, which every run lengthens.
    fn trial(
        &self,
        expected: &ObjectId,
        found: &ObjectId,
        list_key: &str,
        context: &Context<'_>,
    ) -> Result<Trial, RepoError> {
        if expected == found {
            return Ok(Trial { same: true, reordered: false, differences: None });
        }
        let reader = self.reader();
        let (old, new) = (snapshot::read_tree(&reader, expected)?, snapshot::read_tree(&reader, found)?);
        let mut differences = self.diff_trees((*expected, &old), (*found, &new), context.progress)?;
        let (before, _) = snapshot::read_graph(&reader, &old)?;
        let (after, _) = snapshot::read_graph(&reader, &new)?;
        let (before, mut after) = (structure(&before), structure(&after));
        let mut others = Vec::new();
        for (path, what) in before {
            let now = after.remove(&path);
            if now.as_ref() != Some(&what) {
                others.push(ValueChange { path, before: Some(what), after: now });
            }
        }
        others.extend(after.into_iter().map(|(path, what)| ValueChange {
            path,
            before: None,
            after: Some(what),
        }));
        differences.values.extend(others);
        let kept = [Path::root().join(list_key), Path::parse(HISTORY)];
        // What holds them may be there for them alone.
        differences.values.retain(|value| {
            let is_above =
                |kept: &Path| value.path.contains(kept) && (value.before.is_none() || value.after.is_none());
            !kept.iter().any(|kept| kept.contains(&value.path) || is_above(kept))
        });
        differences.values.sort_by(|a, b| a.path.cmp(&b.path));
        let same = differences.is_empty();
        let places = |tree: &Tree| tree.tensors.iter().map(|tensor| tensor.path.clone()).collect::<Vec<_>>();
        let reordered = same && places(&old) != places(&new);
        Ok(Trial { same, reordered, differences: (!same).then_some(differences) })
    }
}

/// What a checkpoint is made of, by place: containers and objects, and which places hold the same one.
fn structure(graph: &Graph) -> BTreeMap<Path, String> {
    let places = places(graph);
    let mut first: HashMap<NodeId, &Path> = HashMap::new();
    for place in &places {
        first.entry(place.node).and_modify(|path| *path = (*path).min(&place.path)).or_insert(&place.path);
    }
    let mut out = BTreeMap::new();
    for place in places.iter().filter(|place| !is_atom(graph.kind(place.node))) {
        let what = match graph.kind(place.node) {
            // Their parts are places of their own.
            Kind::Dict => "dict".to_owned(),
            Kind::List => "list".to_owned(),
            Kind::Tuple(_) => "tuple".to_owned(),
            _ => describe(graph, place.node),
        };
        let shared = first[&place.node];
        let what = if *shared == place.path { what } else { format!("the same {what} as `{shared}`") };
        out.insert(place.path.clone(), what);
    }
    out
}

/// Where trials run: no history, nothing remembered.
pub(super) fn trial_sources<'a>(catalogue: &'a Catalogue, lineage: &'a Lineage) -> Sources<'a> {
    Sources { catalogue, lineage, renamed: Vec::new(), redo: false, remember: false, python: None }
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
