//! `delete = "*.edge_inc"`: takes entries away.

use super::Reason;
use super::canonical::Canonical;
use super::fields::{Fields, Flaw};
use super::selection::Selection;
use super::slot::Edits;
use super::state::State;

/// Takes entries away.
#[derive(Debug, Clone)]
pub(super) struct Delete {
    selection: Selection,
}

impl Delete {
    pub fn read(fields: &mut Fields<'_>) -> Result<Delete, Flaw> {
        Ok(Delete { selection: Selection::read(fields, "delete")? })
    }

    pub fn apply(&self, state: &mut State<'_>) -> Result<(), Reason> {
        let mut edits = Edits::default();
        for found in self.selection.find(state)? {
            for matched in &found.matches {
                if !edits.replace(&matched.slot, Vec::new()) {
                    return Err(Reason::NotEditable {
                        path: found.full(&matched.slot.path),
                        action: "deleted",
                        what: "an item of a tuple",
                    });
                }
            }
        }
        edits.commit(&mut state.graph);
        Ok(())
    }

    pub fn canonical(&self, form: &mut Canonical) {
        form.node("delete", |form| self.selection.canonical(form));
    }
}
