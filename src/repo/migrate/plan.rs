//! What `migrate` would do to a document, told as a plan.

use crate::ledger::RefRow;
use crate::migration::plan::{Method, Operation, OperationKind, PlanTarget};
use crate::migration::resolver::{ResolveError, Target};
use crate::migration::{Catalogue, Form};
use crate::revision::Revision;

use super::super::plan::{PlanOptions, PlanReport};
use super::super::{Repo, RepoError};
use super::{down, drift, is_document, up, warnings};

/// Whether a ref is migrated together with the other documents of its collection.
pub(in crate::repo) fn is_member(row: &RefRow, revision: &Revision, catalogue: &Catalogue) -> bool {
    let has_any = || catalogue.migrations.iter().any(|migration| migration.form == Form::Exodus);
    is_document(revision) && row.name.as_str().contains('/') && has_any()
}

impl Repo {
    /// What `migrate` would do to a document: up to the last migration or the one named, or down to it, or to the
    /// begin. Its migrations have no versions.
    pub(in crate::repo) fn plan_of_document(
        &self,
        row: RefRow,
        revision: &Revision,
        catalogue: &Catalogue,
        options: &PlanOptions<'_>,
    ) -> Result<PlanReport, RepoError> {
        let applied = revision.applied();
        let names: Vec<String> = applied.iter().map(|entry| entry.name.clone()).collect();
        let known = Some(catalogue);
        let (to_run, to_undo) = match &options.target {
            Target::Latest | Target::Next => (up(known, &names, None, None)?, Vec::new()),
            Target::Base => (Vec::new(), names.iter().rev().cloned().collect()),
            Target::Migration(to) => match down(known, &names, Some(to), None)? {
                undo if undo.is_empty() => (up(known, &names, Some(to), None)?, undo),
                undo => (Vec::new(), undo),
            },
            Target::Version(_) => return Err(RepoError::NoVersions),
        };
        let operation = |kind, method, migration| Operation { kind, migration, version: None, method };
        let mut operations: Vec<Operation> =
            to_run.into_iter().map(|name| operation(OperationKind::Migrate, Method::Run, name)).collect();
        let lineage = if to_undo.is_empty() { None } else { Some(self.lineage(revision)?) };
        for name in to_undo {
            let script = lineage.as_ref().and_then(|lineage| lineage.run_of(&name)?.script);
            let script = script.map(|script| self.stored_script(&script, &name)).transpose()?.flatten();
            let runs = script.is_some_and(|script| script.has_rollback);
            let method = if runs { Method::Script } else { Method::Restore };
            operations.push(operation(OperationKind::Rollback, method, name));
        }
        let takes_code = |operation: &&Operation| matches!(operation.method, Method::Run | Method::Script);
        if let Some(operation) = operations.iter().find(takes_code).filter(|_| options.no_code) {
            let (name, kind) = (operation.migration.clone(), operation.kind);
            return Err(ResolveError::CodeRequired { name, kind }.into());
        }
        let drifted = drift(known, applied);
        if options.strict && !drifted.is_empty() {
            return Err(ResolveError::Drift { names: drifted }.into());
        }
        Ok(PlanReport {
            ref_name: row.name,
            revision: row.revision,
            applied: names,
            target: PlanTarget { version: None, group: 0 },
            in_sync: operations.is_empty(),
            operations,
            warnings: warnings(drifted),
        })
    }
}
