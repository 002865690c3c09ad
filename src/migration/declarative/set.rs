//! `set = "training/epochs", to = 10`: a plain value.

use crate::value::NodeId;

use super::Reason;
use super::canonical::Canonical;
use super::fields::{Fields, Flaw};
use super::relocate::node_at;
use super::selection::Selection;
use super::slot::{Edits, key_holder, split_last, unescaped, with_node};
use super::state::State;
use super::value::Value;

/// Sets places to a plain value. One that is named without wildcards may be new in its container.
#[derive(Debug, Clone)]
pub(super) struct Set {
    selection: Selection,
    value: Value,
}

impl Set {
    pub fn read(fields: &mut Fields<'_>) -> Result<Set, Flaw> {
        let selection = Selection::read(fields, "set")?;
        let is_none = fields.flag("none")?.unwrap_or(false);
        let value = match (fields.take("to"), is_none) {
            (Some(value), false) => Value::read(value)
                .map_err(|message| fields.wrong(value, "to", &format!("a plain value: {message}")))?,
            (None, true) => Value::None,
            (Some(_), true) => return Err(fields.flaw("`set` takes `to` or `none`, not both")),
            (None, false) => return Err(fields.flaw("`set` lacks `to` (or `none = true`)")),
        };
        Ok(Set { selection, value })
    }

    pub fn apply(&self, state: &mut State<'_>) -> Result<(), Reason> {
        let mut edits = Edits::default();
        if let Some(path) = self.selection.pattern.literal() {
            for (place, container) in self.selection.containers(state)? {
                let full = super::selection::joined(&place, path.as_str());
                self.set_one(state, container, path.as_str(), &full, &mut edits)?;
            }
        } else {
            for found in self.selection.find(state)? {
                for matched in &found.matches {
                    // Each place gets its own, so that a later change of one is not one of all.
                    let node = self.value.add(&mut state.graph);
                    let step = with_node(&state.graph, &matched.slot, node);
                    if step.is_none_or(|step| !edits.replace(&matched.slot, vec![step])) {
                        return Err(not_editable(found.full(&matched.slot.path)));
                    }
                }
            }
        }
        edits.commit(&mut state.graph);
        Ok(())
    }

    fn set_one(
        &self,
        state: &mut State<'_>,
        container: NodeId,
        path: &str,
        full: &str,
        edits: &mut Edits,
    ) -> Result<(), Reason> {
        let found = super::slot::find(&state.graph, container, &self.selection.pattern);
        let node = self.value.add(&mut state.graph);
        if let Some(matched) = found.first() {
            let step = with_node(&state.graph, &matched.slot, node);
            if step.is_none_or(|step| !edits.replace(&matched.slot, vec![step])) {
                return Err(not_editable(full.to_owned()));
            }
            return Ok(());
        }
        let (parent, step) = split_last(path);
        let above = || split_last(full).0.to_owned();
        let inside = if parent.is_empty() { Some(container) } else { node_at(state, container, parent) };
        let inside = inside.ok_or_else(|| Reason::NoContainer { place: above() })?;
        let holder = key_holder(&state.graph, inside).ok_or_else(|| Reason::NoKeys { path: above() })?;
        let key = state.graph.add_str(unescaped(step));
        edits.add(holder, key, node);
        Ok(())
    }

    pub fn canonical(&self, form: &mut Canonical) {
        form.node("set", |form| {
            self.selection.canonical(form);
            self.value.canonical(form);
        });
    }
}

fn not_editable(path: String) -> Reason {
    Reason::NotEditable { path, action: "set", what: "an item of a tuple" }
}
