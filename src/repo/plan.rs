//! What a checkout would do.

use std::sync::Arc;

use serde::Serialize;

use crate::ledger::RefRow;
use crate::migration::merge::Conflict;
use crate::migration::plan::{Operation, Plan, PlanTarget, Warning};
use crate::migration::{Catalogue, Form, resolver};
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::revision::Revision;

use super::merge::Rehearsal;
use super::migrate::is_member;
use super::run::Position;
use super::state::Lineage;
use super::{CatalogueSource, Repo, RepoError};

/// What to plan: without more, the way of HEAD to the latest version.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions<'a> {
    /// The ref; HEAD when none is named.
    pub name: Option<&'a str>,
    /// Where to.
    pub target: resolver::Target,
    /// Where the catalogue is.
    pub catalogue: CatalogueSource<'a>,
    /// Refuse steps that take an interpreter.
    pub no_code: bool,
    /// Refuse migrations that were changed after they ran.
    pub strict: bool,
    /// Take a list that begins with an unknown migration as one of group 0.
    pub allow_unknown_lineage: bool,
}

impl PlanOptions<'_> {
    /// How the resolver is to take them with a catalogue.
    pub(super) fn rules(&self, catalogue: &Catalogue) -> resolver::Options {
        resolver::Options {
            policy: catalogue.policy,
            no_code: self.no_code,
            strict: self.strict,
            allow_unknown_lineage: self.allow_unknown_lineage,
        }
    }
}

/// A plan for a ref.
#[derive(Debug, Clone, Serialize)]
pub struct PlanReport {
    /// The ref.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// The revision it names.
    pub revision: ObjectId,
    /// Names of the migrations that the revision has, oldest first.
    pub applied: Vec<String>,
    /// Where the plan leads.
    pub target: PlanTarget,
    /// What would be done, in order.
    pub operations: Vec<Operation>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// Whether there is nothing to do.
    pub in_sync: bool,
}

/// Everything that a checkout needs to go on from a plan.
pub(super) struct Planned {
    pub row: RefRow,
    pub revision: Revision,
    pub lineage: Lineage,
    pub catalogue: Arc<Catalogue>,
    pub plan: Plan,
}

impl Planned {
    /// Where the operations begin.
    pub fn position(&self) -> Position {
        Position { tree: self.revision.tree, applied: self.revision.applied().to_vec() }
    }

    pub fn report(&self) -> PlanReport {
        PlanReport {
            ref_name: self.row.name.clone(),
            revision: self.row.revision,
            applied: self.revision.applied().iter().map(|entry| entry.name.clone()).collect(),
            target: self.plan.target.clone(),
            operations: self.plan.operations.clone(),
            warnings: self.plan.warnings.clone(),
            in_sync: self.plan.in_sync(),
        }
    }
}

impl Repo {
    /// Finds out what a checkout would do, or `migrate` to a document of a collection. Reads no tensor bytes, runs
    /// nothing, changes nothing.
    ///
    /// # Errors
    ///
    /// If there is no way to the target, see [`resolver::ResolveError`].
    pub fn plan(&self, options: &PlanOptions<'_>) -> Result<PlanReport, RepoError> {
        let row = self.branch_named(options.name)?;
        let catalogue = self.load_catalogue(Some(&row), options.catalogue)?;
        let revision = self.revision(&row.revision)?;
        if is_member(&row, &revision, &catalogue) {
            return self.plan_of_document(row, &revision, &catalogue, options);
        }
        let rules = options.rules(&catalogue);
        Ok(self.planned_for(row, catalogue, &options.target, &rules)?.report())
    }

    pub(super) fn planned(&self, options: &PlanOptions<'_>) -> Result<Planned, RepoError> {
        let row = self.branch_named(options.name)?;
        let catalogue = self.load_catalogue(Some(&row), options.catalogue)?;
        let rules = options.rules(&catalogue);
        self.planned_for(row, catalogue, &options.target, &rules)
    }

    /// The way of what a ref names to a target.
    pub(super) fn planned_for(
        &self,
        row: RefRow,
        catalogue: Arc<Catalogue>,
        target: &resolver::Target,
        rules: &resolver::Options,
    ) -> Result<Planned, RepoError> {
        let mut revision = self.revision(&row.revision)?;
        revision.applied = self.applied_of(&revision, &catalogue)?;
        let lineage = self.lineage(&revision)?;
        let mut applied = self.applied_for_resolver(&revision, &lineage)?;
        let entries = catalogue.entries();
        let mut conflicts = Vec::new();
        let plan = loop {
            let plan = resolver::resolve(applied.as_deref(), &entries, target, rules);
            let mut plan = plan.map_err(|error| why_not(error, &mut conflicts))?;
            match self.rehearse(&revision, &lineage, &catalogue, &plan)? {
                Rehearsal::Fine(warnings) => {
                    plan.warnings.extend(warnings);
                    break plan;
                }
                // The next best method is chosen for what cannot be merged.
                Rehearsal::Refused { migration, conflict } => {
                    let found = applied.iter_mut().flatten().find(|entry| entry.name == migration);
                    found.expect("a plan undoes what is applied").mapping = false;
                    conflicts.extend(conflict.map(|conflict| (migration, conflict)));
                }
            }
        };
        let of_documents = plan.operations.iter().find(|operation| {
            let listed = catalogue.get(&operation.migration);
            listed.is_some_and(|migration| migration.form == Form::Exodus)
        });
        if let Some(operation) = of_documents {
            return Err(RepoError::OfDocuments { migration: operation.migration.clone() });
        }
        Ok(Planned { row, revision, lineage, catalogue, plan })
    }

    /// The revision with this name, which the ledger itself names.
    pub(super) fn revision(&self, id: &ObjectId) -> Result<Revision, RepoError> {
        self.ledger.revision(id)?.ok_or_else(|| {
            let what = format!("revision {} is named but not there", id.short());
            crate::ledger::LedgerError::Damaged { what }.into()
        })
    }
}

/// Says why a migration cannot be undone: for the conflict at it, or else at the newest that has one.
fn why_not(error: resolver::ResolveError, conflicts: &mut Vec<(String, Conflict)>) -> RepoError {
    let resolver::ResolveError::Irreversible { name } = &error else { return error.into() };
    let place = conflicts.iter().position(|(migration, _)| migration == name);
    if conflicts.is_empty() {
        return error.into();
    }
    let (migration, source) = conflicts.swap_remove(place.unwrap_or(0));
    RepoError::Merge { migration, source }
}
