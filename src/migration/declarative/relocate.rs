//! `move = "training/lr", to = "training/optimizer/lr"`: another place.

use std::collections::{HashMap, HashSet};

use crate::value::NodeId;

use super::Reason;
use super::canonical::Canonical;
use super::fields::{Fields, Flaw};
use super::pattern::{Pattern, Template};
use super::selection::{Found, Selection, captures_at};
use super::slot::{self, Edits, escaped, key_holder, slots_below, split_last, unescaped};
use super::state::State;

/// Moves entries to other containers, which must be there. Each comes behind what its new container holds.
#[derive(Debug, Clone)]
pub(super) struct Relocate {
    selection: Selection,
    to: Template,
    reversible: bool,
}

/// Where something goes.
struct Destination {
    holder: NodeId,
    /// The keys it has, those that came included, and by whom.
    keys: HashMap<String, Option<String>>,
}

impl Relocate {
    pub fn read(fields: &mut Fields<'_>) -> Result<Relocate, Flaw> {
        let selection = Selection::read(fields, "move")?;
        if selection.pattern.is_regex() {
            return Err(fields.flaw("a move takes no regex"));
        }
        let to = selection.template(fields, "to")?;
        let can_be = selection.except.is_empty();
        let reversible = fields.flag("reversible")?.unwrap_or(can_be);
        if reversible && !can_be {
            return Err(fields.flaw("a move with exceptions cannot be turned round"));
        }
        Ok(Relocate { selection, to, reversible })
    }

    pub fn apply(&self, state: &mut State<'_>) -> Result<(), Reason> {
        let found = self.selection.find(state)?;
        for found in &found {
            self.apply_in(state, found)?;
        }
        Ok(())
    }

    fn apply_in(&self, state: &mut State<'_>, found: &Found) -> Result<(), Reason> {
        let moved: HashSet<&str> = found.matches.iter().map(|matched| matched.slot.path.as_str()).collect();
        let undo = self.to.as_pattern().map_err(Reason::Template)?;
        let undo = self.reversible.then_some(undo);
        let mut destinations: HashMap<String, Destination> = HashMap::new();
        let mut edits = Edits::default();
        for matched in &found.matches {
            let from = &matched.slot.path;
            let to = self
                .to
                .expand(&self.selection.pattern, &matched.key, &matched.captures)
                .map_err(Reason::Template)?;
            if to == *from {
                continue;
            }
            if to.starts_with(&format!("{from}/")) {
                return Err(Reason::IntoItself { from: found.full(from), to: found.full(&to) });
            }
            let (parent, step) = split_last(&to);
            if !destinations.contains_key(parent) {
                let destination = self.destination(state, found, parent, &moved, undo.as_ref())?;
                destinations.insert(parent.to_owned(), destination);
            }
            let destination = destinations.get_mut(parent).expect("it was put there");
            match destination.keys.insert(step.to_owned(), Some(from.clone())) {
                None => {}
                Some(None) => return Err(Reason::Exists { path: found.full(&to) }),
                Some(Some(first)) => {
                    let (first, second) = (found.full(&first), found.full(from));
                    return Err(Reason::TwoIntoOne { first, second, into: found.full(&to) });
                }
            }
            self.check_way_back(undo.as_ref(), found, from, &to)?;
            if !edits.replace(&matched.slot, Vec::new()) {
                return Err(Reason::NotEditable {
                    path: found.full(from),
                    action: "moved",
                    what: "an item of a tuple",
                });
            }
            let key = state.graph.add_str(unescaped(step));
            edits.add(destination.holder, key, matched.slot.node);
        }
        edits.commit(&mut state.graph);
        Ok(())
    }

    fn destination(
        &self,
        state: &State<'_>,
        found: &Found,
        parent: &str,
        moved: &HashSet<&str>,
        undo: Option<&Pattern>,
    ) -> Result<Destination, Reason> {
        let node = match parent {
            "" => Some(found.container),
            _ => node_at(state, found.container, parent),
        };
        let place = || found.full(parent);
        let node = node.ok_or_else(|| Reason::NoContainer { place: place() })?;
        let holder = key_holder(&state.graph, node).ok_or_else(|| Reason::NoKeys { path: place() })?;
        let mut keys = HashMap::new();
        for (key, _) in slots_below(&state.graph, holder) {
            let path = super::selection::joined(parent, &escaped(&key));
            if moved.contains(path.as_str()) {
                continue;
            }
            if undo.is_some_and(|undo| !undo.is_literal() && captures_at(undo, &path).is_some()) {
                let path = found.full(&path);
                return Err(Reason::NotReversible { path, problem: "is in such a place already" });
            }
            keys.insert(escaped(&key), None);
        }
        Ok(Destination { holder, keys })
    }

    fn check_way_back(
        &self,
        undo: Option<&Pattern>,
        found: &Found,
        from: &str,
        to: &str,
    ) -> Result<(), Reason> {
        let Some(undo) = undo else { return Ok(()) };
        let template = Template::of(undo, &self.selection.pattern.text).map_err(Reason::Template)?;
        let back = captures_at(undo, to).and_then(|captures| template.expand(undo, "", &captures).ok());
        if back.as_deref() == Some(from) {
            return Ok(());
        }
        Err(Reason::NotReversible {
            path: found.full(from),
            problem: "is not where its new place leads back to",
        })
    }

    pub fn inverse(&self) -> Option<Relocate> {
        if !self.reversible {
            return None;
        }
        let pattern = self.to.as_pattern().ok()?;
        let to = Template::of(&pattern, &self.selection.pattern.text).ok()?;
        Some(Relocate { selection: self.selection.with_pattern(pattern), to, reversible: true })
    }

    pub fn canonical(&self, form: &mut Canonical) {
        form.node("move", |form| {
            self.selection.canonical(form);
            form.text(&self.to.text);
            form.flag(self.reversible);
        });
    }
}

/// The node at a place below a container.
pub(super) fn node_at(state: &State<'_>, container: NodeId, path: &str) -> Option<NodeId> {
    path.split('/').try_fold(container, |node, step| {
        let below = slot::slots_below(&state.graph, node);
        below.into_iter().find(|(key, _)| escaped(key) == step).map(|(_, slot)| slot.node)
    })
}
