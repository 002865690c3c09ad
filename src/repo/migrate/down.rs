//! Undoing one migration in all documents.

use crate::migration::Migration;
use crate::migration::document::{self, Value};
use crate::migration::engine::{ENGINE_VERSION, Entry};
use crate::migration::plan::Method;
use crate::revision::StepKind;

use super::super::{Repo, RepoError};
use super::MigratedStep;
use super::state::Member;
use super::step::{Content, Fate, Newcomer, Record, Step, conflict};

impl Repo {
    /// Undoes the newest migration: by its `down`, as it was stored when it ran; where that does nothing, by bringing
    /// the stored documents back.
    pub(super) fn run_down(&mut self, step: &Step<'_>) -> Result<(MigratedStep, u64), RepoError> {
        let members = self.documents(step.collection)?;
        let mut applied = self.executed_by(step.collection, &members)?;
        let Some(entry) = applied.pop().filter(|entry| entry.name == step.migration) else {
            return Err(RepoError::ScriptMissing { migration: step.migration.to_owned() });
        };
        let script = self.script_that_ran(step)?;
        let stored = self.run_of(step.collection, step.migration)?.and_then(|row| row.step.script);
        let mut record = Record {
            kind: StepKind::Rollback,
            method: Method::Script,
            digest: entry.digest,
            script: None,
            stored,
            engine: Some(ENGINE_VERSION),
            applied,
            printed: String::new(),
        };
        match script.filter(|script| script.has_rollback && !step.options.restore) {
            Some(script) => {
                record.script = Some(script.source.clone());
                self.run_on_documents(step, &script, Entry::Down, &members, record)
            }
            None => {
                let started = step.context.time();
                let (fates, newcomers) = self.restored(step, &members)?;
                (record.method, record.engine) = (Method::Restore, None);
                self.enter(step, &members, fates, newcomers, record, started)
            }
        }
    }

    /// The script as it was when it ran.
    pub(super) fn script_that_ran(&self, step: &Step<'_>) -> Result<Option<Migration>, RepoError> {
        let script = match self.run_of(step.collection, step.migration)? {
            Some(row) => row.step.script,
            // The rows of a collection stay in the store where they were written; revisions travel.
            None => self.script_of_a_document(step)?,
        };
        match script {
            Some(script) => self.stored_script(&script, step.migration),
            None => Ok(None),
        }
    }

    fn script_of_a_document(&self, step: &Step<'_>) -> Result<Option<crate::object::ObjectId>, RepoError> {
        for row in self.members(step.collection)? {
            let revision = self.revision(&row.revision)?;
            let lineage = self.lineage(&revision)?;
            if let Some(script) = lineage.run_of(step.migration).and_then(|run| run.script) {
                return Ok(Some(script));
            }
        }
        Ok(None)
    }

    /// What the documents were before the migration; what was changed in them since is kept, or the whole is refused.
    fn restored(&self, step: &Step<'_>, members: &[Member]) -> Result<(Vec<Fate>, Vec<Newcomer>), RepoError> {
        let undo = |name: &str, reason| RepoError::Undo {
            migration: step.migration.to_owned(),
            name: name.to_owned(),
            reason,
        };
        let run = self.run_of(step.collection, step.migration)?;
        let run = run.ok_or_else(|| undo(step.collection.as_str(), "has no record here of what it did"))?;
        let before = self.manifest(&run.step.input)?;
        let after = self.manifest(&run.step.output)?;
        let mut fates = Vec::with_capacity(members.len());
        for member in members {
            let name = &member.row.name;
            let lineage = self.lineage(&member.revision)?;
            let own = lineage.run_of(step.migration);
            let own =
                own.ok_or_else(|| undo(name.as_str(), "came after it, and the migration has no `down`"))?;
            let now = member.revision.tree;
            fates.push(if !before.contains_key(name) {
                if now != own.output {
                    return Err(undo(name.as_str(), "was added by it and changed since"));
                }
                Fate::Remove
            } else if now == own.output {
                Fate::Tree(own.input)
            } else {
                let old = self.document_of(&own.input, name)?;
                let new = self.document_of(&own.output, name)?;
                let merged = document::merge(&old, &new, &member.document);
                let merged = merged.map_err(|source| conflict(step, name, source))?;
                // With nothing to keep, the text comes back byte for byte.
                let is_old = Value::Object(merged.clone()).is_identical(&Value::Object(old));
                if is_old { Fate::Tree(own.input) } else { Fate::Change(merged) }
            });
        }
        let mut gone: Vec<_> = before.into_iter().filter(|(name, _)| !after.contains_key(name)).collect();
        gone.sort();
        let mut newcomers = Vec::with_capacity(gone.len());
        for (name, revision) in gone {
            if self.ledger.find_ref(&name)?.is_some() {
                return Err(undo(name.as_str(), "was removed by it, and another has its name now"));
            }
            newcomers.push(Newcomer { name, content: Content::Revision(revision) });
        }
        Ok((fates, newcomers))
    }
}
