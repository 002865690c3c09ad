//! Branches and tags.

use serde::Serialize;

use crate::ledger::{RefKind, RefMove};
use crate::object::ObjectId;
use crate::refname::RefName;

use super::{Context, Repo, RepoError};

/// A ref.
#[derive(Debug, Clone, Serialize)]
pub struct RefReport {
    /// Its name.
    pub name: RefName,
    /// `branch` or `tag`.
    pub kind: &'static str,
    /// The revision it names.
    pub revision: ObjectId,
    /// Whether it is the current ref.
    pub head: bool,
}

/// A ref that was deleted.
#[derive(Debug, Clone, Serialize)]
pub struct DeleteReport {
    /// Its name.
    pub name: RefName,
    /// The revision it named.
    pub revision: ObjectId,
}

impl Repo {
    /// All refs of a kind, by name.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn list_refs(&self, kind: RefKind) -> Result<Vec<RefReport>, RepoError> {
        let head = self.head().ok();
        let rows = self.ledger.refs()?.into_iter().filter(|row| row.kind == kind);
        let report = |row: crate::ledger::RefRow| RefReport {
            head: head.as_ref() == Some(&row.name),
            name: row.name,
            kind: kind.as_str(),
            revision: row.revision,
        };
        Ok(rows.map(report).collect())
    }

    /// Makes a branch or tag that names a revision; HEAD's when none is named.
    ///
    /// # Errors
    ///
    /// If the name is taken, or there is no such revision.
    pub fn create_ref(
        &mut self,
        kind: RefKind,
        name: &RefName,
        revision: Option<&str>,
        context: &Context<'_>,
    ) -> Result<RefReport, RepoError> {
        let _lock = self.lock()?;
        if self.ledger.find_ref(name)?.is_some() {
            return Err(RepoError::NameTaken { name: name.to_string() });
        }
        let id = self.revision_named(revision.unwrap_or("HEAD"))?;
        let change = self.ledger.change()?;
        change.move_ref(&RefMove {
            name,
            kind,
            expected: None,
            new: Some(id),
            operation: kind.as_str(),
            at: context.time(),
            actor: context.actor,
        })?;
        change.commit()?;
        Ok(RefReport { name: name.clone(), kind: kind.as_str(), revision: id, head: false })
    }

    /// Deletes a branch or tag. Its revisions stay, and so does its history.
    ///
    /// # Errors
    ///
    /// If there is no such ref, or it is the current one.
    pub fn delete_ref(
        &mut self,
        kind: RefKind,
        name: &RefName,
        context: &Context<'_>,
    ) -> Result<DeleteReport, RepoError> {
        let _lock = self.lock()?;
        let row = match self.ledger.find_ref(name)? {
            Some(row) if row.kind == kind => row,
            _ => {
                let suggestion = None;
                return Err(RepoError::NotFound { what: kind.as_str(), name: name.to_string(), suggestion });
            }
        };
        if self.head().is_ok_and(|head| head == *name) {
            return Err(RepoError::IsHead { name: name.to_string() });
        }
        let change = self.ledger.change()?;
        change.move_ref(&RefMove {
            name,
            kind,
            expected: Some(row.revision),
            new: None,
            operation: "delete",
            at: context.time(),
            actor: context.actor,
        })?;
        change.commit()?;
        Ok(DeleteReport { name: name.clone(), revision: row.revision })
    }
}
