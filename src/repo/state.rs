//! What is known of a checkpoint's migrations, for the resolver.

use std::collections::HashMap;

use crate::migration::resolver;
use crate::object::ObjectId;
use crate::revision::{Revision, Step, StepKind};

use super::{Repo, RepoError};

/// The steps that led to a revision, by migration: the last run of each that was not undone since.
pub(super) struct Lineage {
    runs: HashMap<String, Step>,
}

impl Lineage {
    /// The last run of a migration, if this checkpoint has one that still stands.
    pub fn run_of(&self, migration: &str) -> Option<&Step> {
        self.runs.get(migration)
    }
}

impl Repo {
    /// Follows first parents and gathers the runs that still stand.
    pub(super) fn lineage(&self, revision: &Revision) -> Result<Lineage, RepoError> {
        let mut runs: HashMap<String, Step> = HashMap::new();
        let mut undone: HashMap<String, u32> = HashMap::new();
        let mut wanted: Vec<&str> = revision.applied().iter().map(|entry| entry.name.as_str()).collect();
        let mut next = Some(revision.clone());
        while let Some(current) = next {
            for step in current.steps.iter().rev() {
                let count = undone.entry(step.migration.clone()).or_default();
                match step.kind {
                    StepKind::Rollback => *count += 1,
                    StepKind::Migrate | StepKind::Redo if *count > 0 => *count -= 1,
                    StepKind::Migrate | StepKind::Redo => {
                        runs.entry(step.migration.clone()).or_insert_with(|| step.clone());
                        wanted.retain(|name| *name != step.migration);
                    }
                    StepKind::Register | StepKind::Baseline | StepKind::Skip => {}
                }
            }
            if wanted.is_empty() {
                break;
            }
            next = match current.parents.first() {
                Some(parent) => self.ledger.revision(parent)?,
                None => None,
            };
        }
        Ok(Lineage { runs })
    }

    /// A revision's list as the resolver wants it; `None` where nothing says which migrations it has.
    pub(super) fn applied_for_resolver(
        &self,
        revision: &Revision,
        lineage: &Lineage,
    ) -> Result<Option<Vec<resolver::Applied>>, RepoError> {
        let Some(applied) = &revision.applied else { return Ok(None) };
        let reader = self.reader();
        // The tree as it would be after everything newer was restored; `None` once that is not known.
        let mut tree: Option<ObjectId> = Some(revision.tree);
        let mut out = Vec::with_capacity(applied.len());
        for entry in applied.iter().rev() {
            let run = lineage.run_of(&entry.name);
            let mut known = resolver::Applied {
                name: entry.name.clone(),
                digest: entry.digest,
                executed: entry.executed,
                ..resolver::Applied::default()
            };
            if !entry.is_final {
                if let Some(step) = run {
                    known.snapshot = reader.contains(&step.input)?;
                    known.trained = tree != Some(step.output);
                    // Whether it can be undone on changed content is found out when a plan wants it.
                    known.mapping = known.trained
                        && known.snapshot
                        && step.change.is_some()
                        && reader.contains(&step.output)?;
                    known.script = self.stored_rollback(step)?;
                }
                tree = run.filter(|_| !known.trained).map(|step| step.input);
            }
            out.push(known);
        }
        out.reverse();
        Ok(Some(out))
    }

    /// Whether the script that ran was stored and brings its own rollback.
    fn stored_rollback(&self, step: &Step) -> Result<bool, RepoError> {
        let Some(script) = step.script else { return Ok(false) };
        Ok(self.stored_script(&script, &step.migration)?.is_some_and(|migration| migration.has_rollback))
    }
}
