//! How applied migrations are undone.

use super::super::plan::{Method, Operation, OperationKind};
use super::lineage::Lineage;
use super::{Applied, Entry, ResolveError};

/// The rollbacks of everything but the `kept` oldest, newest first.
///
/// # Errors
/// [`ResolveError::Irreversible`] or [`ResolveError::CodeRequired`] for the newest that cannot be undone.
pub(super) fn rollbacks(
    applied: &[Applied],
    lineage: &Lineage,
    catalogue: &[Entry],
    kept: usize,
    no_code: bool,
) -> Result<Vec<Operation>, ResolveError> {
    let mut operations = Vec::new();
    let mut trained = false;
    for (step, position) in applied.iter().zip(&lineage.positions).skip(kept).rev() {
        // What changed after a step also changed after every older one: restoring an older one's input would
        // silently drop it.
        trained |= step.trained;
        let entry = position.map(|position| &catalogue[position]);
        let method = method(step, entry, trained);
        let name = || step.name.clone();
        let method = method.ok_or_else(|| ResolveError::Irreversible { name: name() })?;
        // A derived inverse takes no interpreter. Of a script that is only stored, the form is not known.
        let is_code = entry.filter(|entry| fits(step, entry)).is_none_or(|entry| entry.is_code);
        if method == Method::Script && no_code && is_code {
            return Err(ResolveError::CodeRequired { name: name(), kind: OperationKind::Rollback });
        }
        operations.push(Operation {
            kind: OperationKind::Rollback,
            migration: name(),
            version: entry.and_then(|entry| entry.version.named()),
            method,
        });
    }
    Ok(operations)
}

/// The first method that applies: restore, merge, script.
fn method(step: &Applied, entry: Option<&Entry>, trained: bool) -> Option<Method> {
    if step.snapshot && !trained {
        Some(Method::Restore)
    } else if step.mapping {
        Some(Method::Merge)
    } else if step.script || entry.is_some_and(|entry| fits(step, entry)) {
        Some(Method::Script)
    } else {
        None
    }
}

/// Whether the catalogue's rollback belongs to the body that made this step. A step that was registered without a
/// digest has only its name to go by.
fn fits(step: &Applied, entry: &Entry) -> bool {
    entry.has_rollback && (step.digest.is_none() || step.digest == entry.digest)
}
