//! A branch that goes on to a new revision.

use crate::object::ObjectId;
use crate::refname::RefName;
use crate::revision::Revision;

use super::{Change, LedgerError, NewStep, RefKind, RefMove, StepStatus};

/// A new revision, and the branch that goes on to it.
#[derive(Debug, Clone, Copy)]
pub struct Advance<'a> {
    /// The branch.
    pub name: &'a RefName,
    /// Where it must point now; `None` when it must not exist.
    pub expected: Option<ObjectId>,
    /// The revision's name.
    pub id: &'a ObjectId,
    /// The revision; its steps are those that were done, its actor and its time those of the move.
    pub revision: &'a Revision,
    /// What moves the branch, for instance `import`.
    pub operation: &'a str,
}

impl Change<'_> {
    /// Enters a revision, moves a branch to it and enters its steps as done.
    ///
    /// # Errors
    ///
    /// [`LedgerError::RefMoved`] if the branch is not where it is expected, or if a row cannot be written.
    pub fn advance(&self, next: &Advance<'_>) -> Result<(), LedgerError> {
        let Revision { actor, created, steps, .. } = next.revision;
        self.add_revision(next.id, next.revision)?;
        self.move_ref(&RefMove {
            name: next.name,
            kind: RefKind::Branch,
            expected: next.expected,
            new: Some(*next.id),
            operation: next.operation,
            at: *created,
            actor,
        })?;
        for step in steps {
            self.append_step(&NewStep {
                ref_name: next.name,
                revision: Some(*next.id),
                step,
                status: &StepStatus::Done,
                actor,
            })?;
        }
        Ok(())
    }
}
