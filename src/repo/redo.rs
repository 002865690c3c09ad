//! Running a migration again, and those after it.

use std::path::Path;

use crate::migration::plan::{Method, Operation, OperationKind, Plan, PlanTarget};
use crate::migration::resolver::{self, Target};

use super::checkout::{CheckoutOptions, CheckoutReport};
use super::merge::Rehearsal;
use super::plan::{PlanOptions, Planned};
use super::{CatalogueSource, Context, Repo, RepoError};

/// What to run again.
#[derive(Debug, Clone)]
pub struct RedoOptions<'a> {
    /// The ref; HEAD when none is named.
    pub name: Option<&'a str>,
    /// The migration.
    pub migration: &'a str,
    /// Where the catalogue is.
    pub catalogue: CatalogueSource<'a>,
    /// Writes here instead of the working file.
    pub output: Option<&'a Path>,
    /// Imports a changed working file first instead of refusing.
    pub import: bool,
    /// Overwrites what is at the destination, even if it is not stored.
    pub force: bool,
    /// Why.
    pub message: Option<&'a str>,
}

impl Repo {
    /// Runs a migration again with the script that the catalogue has now, and those after it on top.
    ///
    /// All of them are first undone, by bringing the recorded input back or, where the content was changed
    /// since, by merging, so that training is kept. Their own rollbacks are not used: a script that is to be
    /// mended is not to be trusted with that.
    ///
    /// # Errors
    ///
    /// If the checkpoint does not have the migration or it did not run here, if one cannot be undone, or a
    /// script fails. The ref and the files are then as they were.
    pub fn redo(
        &mut self,
        options: &RedoOptions<'_>,
        context: &Context<'_>,
    ) -> Result<CheckoutReport, RepoError> {
        let checkout = CheckoutOptions {
            keep_head: false,
            plan: PlanOptions {
                name: options.name,
                target: Target::Latest,
                catalogue: options.catalogue,
                no_code: false,
                strict: false,
                allow_unknown_lineage: true,
            },
            migrate: true,
            revision: None,
            output: options.output,
            import: options.import,
            force: options.force,
            message: options.message,
            python: None,
        };
        if options.import {
            self.import_changed(&checkout, context)?;
        }
        let _lock = self.lock()?;
        let planned = self.planned_redo(options)?;
        let target = self.destination(&checkout, &planned.row, None, &planned.revision, context)?;
        self.carry_all_out(&planned, &checkout, context, target, true)
    }

    /// Undoes everything from the migration on, then runs it all again.
    fn planned_redo(&self, options: &RedoOptions<'_>) -> Result<Planned, RepoError> {
        let row = self.branch_named(options.name)?;
        let mut revision = self.revision(&row.revision)?;
        let catalogue = self.load_catalogue(Some(&row), options.catalogue)?;
        revision.applied = self.applied_of(&revision, &catalogue)?;
        let lineage = self.lineage(&revision)?;
        let applied = self.applied_for_resolver(&revision, &lineage)?.unwrap_or_default();
        let place = applied.iter().position(|entry| entry.name == options.migration);
        let place = place.ok_or_else(|| RepoError::NotFound {
            what: "migration of this checkpoint",
            name: options.migration.to_owned(),
            suggestion: crate::migration::suggest::suggest(
                options.migration,
                applied.iter().map(|entry| entry.name.as_str()),
            )
            .map(str::to_owned),
        })?;
        let again = &applied[place..];
        let mut operations = Vec::new();
        let mut trained = false;
        for entry in again.iter().rev() {
            trained |= entry.trained;
            let method = if entry.snapshot && !trained {
                Method::Restore
            } else if entry.mapping || (trained && entry.snapshot) {
                Method::Merge
            } else {
                return Err(resolver::ResolveError::Irreversible { name: entry.name.clone() }.into());
            };
            operations.push(operation(OperationKind::Rollback, &entry.name, method, &catalogue));
        }
        for entry in again {
            if !catalogue.get(&entry.name).is_some_and(|migration| migration.has_migrate) {
                return Err(RepoError::ScriptMissing { migration: entry.name.clone() });
            }
            operations.push(operation(OperationKind::Migrate, &entry.name, Method::Run, &catalogue));
        }
        let (group, version) = super::status::place(revision.applied.as_deref(), Some(&catalogue));
        let target = PlanTarget { version, group: group.unwrap_or_default() };
        let mut plan = Plan { target, operations, warnings: Vec::new() };
        match self.rehearse(&revision, &lineage, &catalogue, &plan)? {
            Rehearsal::Fine(warnings) => plan.warnings = warnings,
            Rehearsal::Refused { migration, conflict } => {
                return Err(match conflict {
                    Some(source) => RepoError::Merge { migration, source },
                    None => resolver::ResolveError::Irreversible { name: migration }.into(),
                });
            }
        }
        Ok(Planned { row, revision, lineage, catalogue, plan })
    }
}

fn operation(
    kind: OperationKind,
    name: &str,
    method: Method,
    catalogue: &crate::migration::Catalogue,
) -> Operation {
    let version = catalogue.get(name).map(|migration| migration.version.to_string());
    Operation { kind, migration: name.to_owned(), version, method }
}
