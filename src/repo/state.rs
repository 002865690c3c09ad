//! What is known of a checkpoint's migrations, for the resolver.

use std::collections::HashMap;

use crate::migration::catalogue::MIGRATE_CKPT_LIST_KEY;
use crate::migration::list::{self, Listed};
use crate::migration::{Catalogue, resolver};
use crate::object::ObjectId;
use crate::revision::{Applied, Revision, Step, StepKind};
use crate::snapshot;

use super::{Repo, RepoError};

/// The steps that led to a revision, by migration: the last run of each that was not undone since.
#[derive(Debug, Default)]
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
    /// Follows first parents, from one turn to the one before, and gathers the runs that still stand.
    pub(super) fn lineage(&self, revision: &Revision) -> Result<Lineage, RepoError> {
        let _reading = self.ledger.reading()?;
        let mut runs: HashMap<String, Step> = HashMap::new();
        let mut undone: HashMap<String, u32> = HashMap::new();
        // What never ran here is not looked for.
        let mut wanted: Vec<&str> = Vec::new();
        for entry in revision.applied() {
            if entry.digest.is_some() || self.ledger.ever_ran(&entry.name)? {
                wanted.push(&entry.name);
            }
        }
        let mut next = Some(revision.clone());
        // Names of today, by the names that migrations had when they ran.
        let mut today: HashMap<String, String> = HashMap::new();
        while let Some(current) = next {
            for step in current.steps.iter().rev() {
                let name = today.get(&step.migration).unwrap_or(&step.migration);
                let count = undone.entry(name.clone()).or_default();
                match step.kind {
                    StepKind::Rollback => *count += 1,
                    StepKind::Migrate | StepKind::Redo if *count > 0 => *count -= 1,
                    StepKind::Migrate | StepKind::Redo => {
                        runs.entry(name.clone()).or_insert_with(|| step.clone());
                        wanted.retain(|wanted| wanted != name);
                    }
                    StepKind::Register | StepKind::Baseline | StepKind::Skip => {}
                }
            }
            if wanted.is_empty() {
                break;
            }
            next = match current.parents.first() {
                Some(parent) => self.ledger.turn_of(parent)?,
                None => None,
            };
            for (old, new) in next.iter().flat_map(|parent| parent.applied().iter().zip(current.applied())) {
                if old.name != new.name && old.digest.is_some() && old.digest == new.digest {
                    let name = today.get(&new.name).unwrap_or(&new.name).clone();
                    today.insert(old.name.clone(), name);
                }
            }
        }
        Ok(Lineage { runs })
    }

    /// The migrations that a checkpoint has: as its revision says; where that says nothing, as the list in the
    /// checkpoint itself does, which may be under a key that only the catalogue tells. A framework whose
    /// checkpoints have no list before their first migration takes them to have none.
    pub(super) fn applied_of(
        &self,
        revision: &Revision,
        catalogue: &Catalogue,
    ) -> Result<Option<Vec<Applied>>, RepoError> {
        if revision.applied.is_some() {
            return Ok(revision.applied.clone());
        }
        let key = &catalogue.list_key;
        let unlisted = || (key == MIGRATE_CKPT_LIST_KEY).then(Vec::new);
        if self.ledger.is_unlisted(&revision.tree, key)? {
            return Ok(unlisted());
        }
        let tree = snapshot::read_tree(&self.reader(), &revision.tree)?;
        let (graph, _) = snapshot::read_graph(&self.reader(), &tree)?;
        let Some(listed) = list::read(&graph, key)? else { return Ok(unlisted()) };
        let executed = list::executed(&graph);
        Ok(Some(listed.into_iter().map(|entry| applied_as_listed(entry, &executed)).collect()))
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
                signature: entry.signature.as_deref().and_then(|text| text.parse().ok()),
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
                    // What can be restored is never undone by its script, so that the script need not be parsed.
                    let is_restorable = known.snapshot && !known.trained;
                    known.script = !is_restorable && self.stored_rollback(step)?;
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

/// An entry of a checkpoint's own list, `executed` being what its history says was run.
fn applied_as_listed(entry: Listed, executed: &[(String, Option<String>)]) -> Applied {
    Applied {
        executed: executed.iter().any(|(name, _)| *name == entry.name),
        digest: None,
        name: entry.name,
        version: entry.version,
        is_final: entry.is_final,
        signature: entry.signature,
    }
}
