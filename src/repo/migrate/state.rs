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

/// What documents have in common, as far as they were looked at.
#[derive(Default)]
struct Common {
    applied: Option<Vec<Applied>>,
    documents: u64,
}

impl Common {
    fn add(&mut self, collection: &RefName, name: &RefName, revision: &Revision) -> Result<(), RepoError> {
        self.documents += 1;
        let own = revision.applied();
        let Some(known) = &mut self.applied else {
            self.applied = Some(own.to_vec());
            return Ok(());
        };
        if !known.iter().map(|entry| &entry.name).eq(own.iter().map(|entry| &entry.name)) {
            let (collection, name) = (collection.to_string(), name.to_string());
            return Err(RepoError::Uneven { collection, name });
        }
        // A document that came later does not know by which text it was migrated.
        for (known, own) in known.iter_mut().zip(own) {
            if known.digest.is_none() {
                known.clone_from(own);
            }
        }
        Ok(())
    }
}

impl Repo {
    /// The migrations that all documents of a collection have. One without documents has those of its history.
    pub(in crate::repo) fn executed(&self, collection: &RefName) -> Result<Executed, RepoError> {
        let _reading = self.ledger.reading()?;
        let mut common = Common::default();
        for row in self.members(collection)? {
            let revision = self.revision(&row.revision)?;
            if is_document(&revision) {
                common.add(collection, &row.name, &revision)?;
            }
        }
        let documents = common.documents;
        Ok(Executed { applied: self.common_or_history(collection, common)?, documents })
    }

    /// As [`executed`](Repo::executed), of documents that were read already.
    pub(super) fn executed_by(
        &self,
        collection: &RefName,
        members: &[Member],
    ) -> Result<Vec<Applied>, RepoError> {
        let mut common = Common::default();
        for member in members {
            common.add(collection, &member.row.name, &member.revision)?;
        }
        self.common_or_history(collection, common)
    }

    fn common_or_history(&self, collection: &RefName, common: Common) -> Result<Vec<Applied>, RepoError> {
        common.applied.map_or_else(|| self.executed_by_history(collection), Ok)
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
