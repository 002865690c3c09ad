//! What a collection holds and has: its documents, and the migrations that all of them have.

use std::collections::HashMap;

use crate::format::{Format, Outline};
use crate::ledger::{RefRow, StepRow, StepStatus};
use crate::migration::document::{self, Document};
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::revision::{Applied, Revision, StepKind};
use crate::snapshot;

use super::super::{Repo, RepoError};

/// The migrations that the documents of a collection have.
pub(in crate::repo) struct Executed {
    /// Oldest first.
    pub applied: Vec<Applied>,
    /// Number of documents.
    pub documents: u64,
}

/// A document of a collection.
pub(super) struct Member {
    pub row: RefRow,
    pub revision: Revision,
    /// How its text is written.
    pub outline: Outline,
    pub document: Document,
}

/// The lists of migrations that documents have, as far as they were looked at.
#[derive(Default)]
struct Lists {
    /// Each with the number of documents that have it, and the first of these.
    known: Vec<(Vec<Applied>, u64, RefName)>,
}

impl Lists {
    fn add(&mut self, name: &RefName, revision: &Revision) {
        let own = revision.applied();
        let same = |known: &&mut (Vec<Applied>, u64, RefName)| {
            known.0.len() == own.len() && known.0.iter().zip(own).all(|(known, own)| known.name == own.name)
        };
        let Some((known, count, _)) = self.known.iter_mut().find(same) else {
            self.known.push((own.to_vec(), 1, name.clone()));
            return;
        };
        *count += 1;
        // A document that came later does not know by which text it was migrated.
        for (known, own) in known.iter_mut().zip(own) {
            if known.digest.is_none() {
                known.clone_from(own);
            }
        }
    }

    /// The list that all of them have, and how many these are; without documents there is none.
    fn common(mut self, collection: &RefName) -> Result<Option<(Vec<Applied>, u64)>, RepoError> {
        if self.known.len() > 1 {
            // Most likely it is the one that fewest have.
            let odd = self.known.into_iter().min_by_key(|(_, count, _)| *count);
            let (_, _, name) = odd.expect("there is more than one");
            return Err(RepoError::Uneven { collection: collection.to_string(), name: name.to_string() });
        }
        Ok(self.known.pop().map(|(applied, count, _)| (applied, count)))
    }
}

impl Repo {
    /// The migrations that all documents of a collection have. One without documents has those of its history.
    pub(in crate::repo) fn executed(&self, collection: &RefName) -> Result<Executed, RepoError> {
        let _reading = self.ledger.reading()?;
        let mut lists = Lists::default();
        for row in self.members(collection)? {
            let revision = self.revision(&row.revision)?;
            if is_document(&revision) {
                lists.add(&row.name, &revision);
            }
        }
        let (applied, documents) = self.common_or_history(collection, lists)?;
        Ok(Executed { applied, documents })
    }

    /// As [`executed`](Repo::executed), of documents that were read already.
    pub(super) fn executed_by(
        &self,
        collection: &RefName,
        members: &[Member],
    ) -> Result<Vec<Applied>, RepoError> {
        let mut lists = Lists::default();
        members.iter().for_each(|member| lists.add(&member.row.name, &member.revision));
        Ok(self.common_or_history(collection, lists)?.0)
    }

    fn common_or_history(
        &self,
        collection: &RefName,
        lists: Lists,
    ) -> Result<(Vec<Applied>, u64), RepoError> {
        match lists.common(collection)? {
            Some(common) => Ok(common),
            None => Ok((self.executed_by_history(collection)?, 0)),
        }
    }

    /// The migrations that a document has which joins a collection by itself: those that the others have, if any.
    pub(in crate::repo) fn joined_alone(&self, name: &RefName) -> Result<Option<Vec<Applied>>, RepoError> {
        let Some(collection) = self.collection_of(name)? else { return Ok(None) };
        let applied = self.executed(&collection)?.applied;
        Ok(Some(applied).filter(|applied| !applied.is_empty()))
    }

    fn executed_by_history(&self, collection: &RefName) -> Result<Vec<Applied>, RepoError> {
        let mut applied: Vec<Applied> = Vec::new();
        for row in self.runs(collection)? {
            let step = row.step;
            applied.retain(|entry| entry.name != step.migration);
            if step.kind == StepKind::Migrate {
                applied.push(Applied {
                    name: step.migration,
                    version: None,
                    is_final: false,
                    digest: step.digest,
                    signature: step.digest.map(|digest| digest.to_string()),
                    executed: true,
                });
            }
        }
        Ok(applied)
    }

    /// The rows of the collection itself that say what was done to all of it, oldest first.
    fn runs(&self, collection: &RefName) -> Result<Vec<StepRow>, RepoError> {
        let mut rows = self.ledger.steps(Some(collection))?;
        // A ref that has the name of the collection has revisions of its own.
        rows.retain(|row| {
            row.status == StepStatus::Done
                && row.revision.is_none()
                && matches!(row.step.kind, StepKind::Migrate | StepKind::Rollback)
        });
        Ok(rows)
    }

    /// The last run of a migration on a collection, if it was not undone since.
    pub(super) fn run_of(&self, collection: &RefName, migration: &str) -> Result<Option<StepRow>, RepoError> {
        let mut rows = self.runs(collection)?;
        rows.retain(|row| row.step.migration == migration);
        Ok(rows.pop().filter(|row| row.step.kind == StepKind::Migrate))
    }

    /// The documents of a collection, by name.
    pub(super) fn documents(&self, collection: &RefName) -> Result<Vec<Member>, RepoError> {
        let _reading = self.ledger.reading()?;
        let reader = self.reader();
        let mut members = Vec::new();
        for row in self.members(collection)? {
            let revision = self.revision(&row.revision)?;
            if !is_document(&revision) {
                continue;
            }
            let tree = snapshot::read_tree(&reader, &revision.tree)?;
            let (graph, outline) = snapshot::read_graph(&reader, &tree)?;
            let failed = |source| RepoError::Document { name: row.name.to_string(), source };
            let document = document::read(&graph, graph.root).map_err(failed)?;
            members.push(Member { row, revision, outline, document });
        }
        Ok(members)
    }

    /// The document in a tree.
    pub(super) fn document_of(&self, tree: &ObjectId, name: &RefName) -> Result<Document, RepoError> {
        let reader = self.reader();
        let (graph, _) = snapshot::read_graph(&reader, &snapshot::read_tree(&reader, tree)?)?;
        let failed = |source| RepoError::Document { name: name.to_string(), source };
        document::read(&graph, graph.root).map_err(failed)
    }

    /// Which documents a collection held, as a row of it tells: names and revisions.
    pub(super) fn manifest(&self, tree: &ObjectId) -> Result<HashMap<RefName, ObjectId>, RepoError> {
        let reader = self.reader();
        let (graph, _) = snapshot::read_graph(&reader, &snapshot::read_tree(&reader, tree)?)?;
        let items = graph.get(graph.root, "documents").map(|node| graph.items(node)).unwrap_or_default();
        let pair =
            |(key, value)| Some((graph.as_str(key)?.parse().ok()?, graph.as_str(value)?.parse().ok()?));
        Ok(items.into_iter().filter_map(pair).collect())
    }
}

/// Whether a revision holds a document.
pub(in crate::repo) fn is_document(revision: &Revision) -> bool {
    revision.format == Format::Json.name()
}

/// The text of a manifest: every document's name and revision.
pub(super) fn manifest_text<'a>(documents: impl Iterator<Item = (&'a RefName, &'a ObjectId)>) -> Vec<u8> {
    let documents = documents.map(|(name, id)| (name.to_string(), id.to_string().into()));
    let documents: serde_json::Map<String, serde_json::Value> = documents.collect();
    serde_json::to_vec(&serde_json::json!({ "documents": documents })).expect("names and digits are JSON")
}
