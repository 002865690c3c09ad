//! What happened: revisions, steps, groups.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::ledger::{DocumentCounts, RefKind, StepRow, StepStatus};
use crate::migration::Catalogue;
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::revision::StepKind;

use super::{CatalogueSource, Repo, RepoError};

/// A revision in the log.
#[derive(Debug, Clone, Serialize)]
pub struct RevisionEntry {
    /// Its name.
    pub revision: ObjectId,
    /// Revisions it was made from.
    pub parents: Vec<ObjectId>,
    /// Its content.
    pub tree: ObjectId,
    /// Refs that name it.
    pub refs: Vec<RefName>,
    /// Its format.
    pub format: String,
    /// Length of its file in bytes.
    pub bytes: u64,
    /// Number of tensors.
    pub tensors: u64,
    /// Names of the migrations it has; `None` where nothing says which.
    pub applied: Option<Vec<String>>,
    /// What was done to make it, for instance `migrate 1750840837_add`.
    pub steps: Vec<String>,
    /// Why.
    pub message: String,
    /// Who.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// A row of the ledger.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryEntry {
    /// Its number.
    pub seq: i64,
    /// The ref that it was done to.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// What was done.
    pub kind: StepKind,
    /// The migration.
    pub migration: String,
    /// Its version.
    pub version: Option<String>,
    /// Its compatibility group.
    pub group: Option<u32>,
    /// Digest of its body.
    pub digest: Option<ObjectId>,
    /// How it was done.
    pub method: Option<String>,
    /// `done` or `failed`.
    pub status: &'static str,
    /// Why it failed.
    pub error: Option<String>,
    /// The tree before.
    pub input: ObjectId,
    /// The tree after.
    pub output: ObjectId,
    /// The revision that holds the result.
    pub revision: Option<ObjectId>,
    /// What ran it.
    pub engine: Option<String>,
    /// When it ended.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// Of a step of a collection, what it did to its documents. Each has a row, and a revision, of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<DocumentCounts>,
}

impl From<StepRow> for HistoryEntry {
    fn from(row: StepRow) -> HistoryEntry {
        let (status, error) = match row.status {
            StepStatus::Done => ("done", None),
            StepStatus::Failed(error) => ("failed", Some(error)),
        };
        HistoryEntry {
            seq: row.seq,
            ref_name: row.ref_name,
            kind: row.step.kind,
            migration: row.step.migration,
            version: row.step.version,
            group: row.step.group,
            digest: row.step.digest,
            method: row.step.method,
            status,
            error,
            input: row.step.input,
            output: row.step.output,
            revision: row.revision,
            engine: row.step.engine,
            at: row.step.finished,
            actor: row.actor,
            documents: None,
        }
    }
}

/// A compatibility group.
#[derive(Debug, Clone, Serialize)]
pub struct GroupEntry {
    /// The catalogue that declares it.
    pub catalogue: String,
    /// Its number, from 0.
    pub group: u32,
    /// The final migration that opens it; `None` for group 0.
    pub opened_by: Option<String>,
    /// That migration's version: the first version of the group.
    pub version: Option<String>,
    /// The first version of the next group: the group ends before it.
    pub until: Option<String>,
    /// Branches whose checkpoint is in it.
    pub refs: Vec<RefName>,
}

impl Repo {
    /// The revisions that lead to the one named (HEAD when none is), newest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// If there is no such revision.
    pub fn log_revisions(
        &self,
        name: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Vec<RevisionEntry>, RepoError> {
        let _reading = self.ledger.reading()?;
        let mut entries = Vec::new();
        let mut next = Some(self.revision_named(name.unwrap_or("HEAD"))?);
        while let Some(id) = next
            && limit.is_none_or(|limit| entries.len() < limit)
        {
            let revision = self.revision(&id)?;
            next = revision.parents.first().copied();
            let steps = revision.steps.iter();
            entries.push(RevisionEntry {
                revision: id,
                tree: revision.tree,
                refs: self.ledger.refs_at(&id)?,
                applied: revision
                    .applied
                    .as_ref()
                    .map(|list| list.iter().map(|entry| entry.name.clone()).collect()),
                steps: steps.map(|step| format!("{} {}", step.kind.as_str(), step.migration)).collect(),
                format: revision.format,
                bytes: revision.file_bytes,
                tensors: revision.tensors,
                parents: revision.parents,
                message: revision.message,
                actor: revision.actor,
                at: revision.created,
            });
        }
        Ok(entries)
    }

    /// Every step that was done to a ref or a collection, or to any when none is named, oldest first. Of a collection
    /// they are its own, or those of its `documents` too.
    ///
    /// # Errors
    ///
    /// If the name cannot be that of a ref and never was.
    pub fn log_history(&self, name: Option<&str>, documents: bool) -> Result<Vec<HistoryEntry>, RepoError> {
        let _reading = self.ledger.reading()?;
        let rows = self.history_rows(name, documents)?;
        let mut entries = Vec::with_capacity(rows.len());
        // The row before, of each collection: what was done to documents is between the two.
        let mut before: HashMap<RefName, i64> = HashMap::new();
        for row in rows {
            let of_collection = row.revision.is_none();
            let after = before.get(&row.ref_name).copied().unwrap_or(0);
            let documents = self.ledger.documents_of(&row, after)?;
            if of_collection {
                before.insert(row.ref_name.clone(), row.seq);
            }
            entries.push(HistoryEntry { documents, ..HistoryEntry::from(row) });
        }
        Ok(entries)
    }

    fn history_rows(&self, name: Option<&str>, documents: bool) -> Result<Vec<StepRow>, RepoError> {
        let rows = match name {
            None => self.ledger.steps(None)?,
            Some(name) => {
                // The history of a ref outlives the ref.
                let rows = match name.parse::<RefName>() {
                    Ok(parsed) if documents => self.ledger.steps_from(&parsed)?,
                    Ok(parsed) => self.ledger.steps(Some(&parsed))?,
                    Err(_) => Vec::new(),
                };
                if rows.is_empty() {
                    self.ledger.steps(Some(&self.branch_named(Some(name))?.name))?
                } else {
                    rows
                }
            }
        };
        Ok(rows)
    }

    /// The compatibility groups of every catalogue that was used, with the branches that are in them.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read, or a catalogue does not load.
    pub fn log_groups(&self, source: CatalogueSource<'_>) -> Result<Vec<GroupEntry>, RepoError> {
        let _reading = self.ledger.reading()?;
        let rows = self.ledger.groups()?;
        let mut entries: Vec<GroupEntry> = rows
            .iter()
            .map(|row| GroupEntry {
                catalogue: row.catalogue.clone(),
                group: row.number,
                opened_by: row.opened_by.clone(),
                version: row.version.clone(),
                until: rows
                    .iter()
                    .find(|next| next.catalogue == row.catalogue && next.number == row.number + 1)
                    .and_then(|next| next.version.clone()),
                refs: Vec::new(),
            })
            .collect();
        // Most refs share one catalogue, which takes longer to load than all the rest.
        let mut catalogues: HashMap<PathBuf, Option<Arc<Catalogue>>> = HashMap::new();
        for row in self.ledger.refs()?.into_iter().filter(|row| row.kind == RefKind::Branch) {
            let catalogue = match catalogues.entry(self.catalogue_directory(Some(&row), source)?) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(self.find_catalogue(Some(&row), source)?),
            };
            let Some(catalogue) = catalogue else { continue };
            let revision = self.revision(&row.revision)?;
            let (group, _) = super::status::place(revision.applied.as_deref(), Some(catalogue));
            let entry = entries
                .iter_mut()
                .find(|entry| entry.catalogue == catalogue.name && Some(entry.group) == group);
            if let Some(entry) = entry {
                entry.refs.push(row.name);
            }
        }
        Ok(entries)
    }
}
