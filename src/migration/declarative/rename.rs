//! `rename = "*.emb.*", to = "*.embed.*"`: another key in the same place.

use std::collections::HashMap;

use crate::value::Tail;

use super::Reason;
use super::canonical::Canonical;
use super::fields::{Fields, Flaw};
use super::pattern::{Pattern, Template};
use super::selection::{Found, Selection, captures_at};
use super::slot::{Edits, escaped, key_like, slots_below, split_last, unescaped};
use super::state::State;

/// Gives entries another key. Each stays where it is in the order.
#[derive(Debug, Clone)]
pub(super) struct Rename {
    selection: Selection,
    to: Template,
    reversible: bool,
}

impl Rename {
    pub fn read(fields: &mut Fields<'_>) -> Result<Rename, Flaw> {
        let selection = Selection::read(fields, "rename")?;
        let to = selection.template(fields, "to")?;
        if to.is_literal() && !selection.pattern.is_literal() {
            return Err(fields.flaw("`to` names one key, `rename` may match several"));
        }
        let can_be = selection.except.is_empty() && selection.pattern.turned(&to).is_some();
        let reversible = fields.flag("reversible")?.unwrap_or(can_be);
        if reversible && !can_be {
            let message = "a rename with exceptions, or by a regex that is more than text and groups, cannot be turned \
                           round";
            return Err(fields.flaw(message));
        }
        Ok(Rename { selection, to, reversible })
    }

    pub fn apply(&self, state: &mut State<'_>) -> Result<(), Reason> {
        let found = self.selection.find(state)?;
        let undo = if self.reversible { self.selection.pattern.turned(&self.to) } else { None };
        let mut edits = Edits::default();
        for found in &found {
            let renames = self.renames(found)?;
            self.check(state, found, &renames, undo.as_ref())?;
            for (matched, to) in found.matches.iter().zip(&renames) {
                let text = unescaped(split_last(to).1);
                let key = key_like(&mut state.graph, &matched.slot, &text);
                let edited = key
                    .is_some_and(|key| edits.replace(&matched.slot, vec![Tail::Set(key, matched.slot.node)]));
                if !edited {
                    return Err(Reason::NotEditable {
                        path: found.full(&matched.slot.path),
                        action: "renamed",
                        what: "an item of a list or tuple, which has no key",
                    });
                }
            }
        }
        edits.commit(&mut state.graph);
        Ok(())
    }

    /// The new place of each match.
    fn renames(&self, found: &Found) -> Result<Vec<String>, Reason> {
        let mut out = Vec::with_capacity(found.matches.len());
        for matched in &found.matches {
            let path = &matched.slot.path;
            let mut to = self
                .to
                .expand(&self.selection.pattern, &matched.key, &matched.captures)
                .map_err(Reason::Template)?;
            if self.selection.pattern.is_regex() {
                // A regex is about keys, in which a slash is a character like another.
                to = escaped(&to);
            }
            if split_last(path).0 != split_last(&to).0 {
                return Err(Reason::OtherContainer { from: found.full(path), to: found.full(&to) });
            }
            out.push(to);
        }
        Ok(out)
    }

    /// Refuses renames onto each other, onto what stays, and such as could not be told apart afterwards.
    fn check(
        &self,
        state: &State<'_>,
        found: &Found,
        renames: &[String],
        undo: Option<&(Pattern, Template)>,
    ) -> Result<(), Reason> {
        let mut new: HashMap<&str, &str> = HashMap::new();
        let old: HashMap<&str, &str> = found
            .matches
            .iter()
            .zip(renames)
            .map(|(matched, to)| (matched.slot.path.as_str(), to.as_str()))
            .collect();
        for (matched, to) in found.matches.iter().zip(renames) {
            if let Some(first) = new.insert(to, &matched.slot.path) {
                return Err(Reason::TwoIntoOne {
                    first: found.full(first),
                    second: found.full(&matched.slot.path),
                    into: found.full(to),
                });
            }
            if let Some((undo, template)) = undo {
                let key = unescaped(to);
                let back = captures_at(undo, to).and_then(|c| template.expand(undo, &key, &c).ok());
                let back = if undo.is_regex() { back.map(|back| escaped(&back)) } else { back };
                if back.as_deref() != Some(matched.slot.path.as_str()) {
                    let path = found.full(&matched.slot.path);
                    return Err(Reason::NotReversible {
                        path,
                        problem: "is not what its new key leads back to",
                    });
                }
            }
        }
        // What stays, in the containers that something is renamed in.
        let mut parents: HashMap<crate::value::NodeId, &str> = HashMap::new();
        for matched in &found.matches {
            parents.entry(matched.slot.holder).or_insert(split_last(&matched.slot.path).0);
        }
        for (holder, parent) in parents {
            for (key, _) in slots_below(&state.graph, holder) {
                let path = super::selection::joined(parent, &escaped(&key));
                if old.contains_key(path.as_str()) {
                    continue;
                }
                if new.contains_key(path.as_str()) {
                    return Err(Reason::Exists { path: found.full(&path) });
                }
                if undo.is_some_and(|(undo, _)| captures_at(undo, &path).is_some()) {
                    let path = found.full(&path);
                    return Err(Reason::NotReversible { path, problem: "has such a key already" });
                }
            }
        }
        Ok(())
    }

    pub fn inverse(&self) -> Option<Rename> {
        if !self.reversible {
            return None;
        }
        let (pattern, to) = self.selection.pattern.turned(&self.to)?;
        Some(Rename { selection: self.selection.with_pattern(pattern), to, reversible: true })
    }

    pub fn canonical(&self, form: &mut Canonical) {
        form.node("rename", |form| {
            self.selection.canonical(form);
            form.text(&self.to.text);
            form.flag(self.reversible);
        });
    }
}
