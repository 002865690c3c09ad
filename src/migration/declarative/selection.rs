//! Which places an operation is about.

use crate::value::NodeId;

use super::Reason;
use super::canonical::Canonical;
use super::fields::{Fields, Flaw};
use super::pattern::{Pattern, Progress, Template};
use super::slot::{self, Match};
use super::state::State;

/// Which places an operation is about: what a pattern matches in a container.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    pub pattern: Pattern,
    pub within: Option<Pattern>,
    pub except: Vec<Pattern>,
    /// Whether it may match nothing.
    pub optional: bool,
}

/// What was found in one container.
#[derive(Debug)]
pub(super) struct Found {
    /// The container's place.
    pub place: String,
    /// The container.
    pub container: NodeId,
    /// What matched, in the checkpoint's order.
    pub matches: Vec<Match>,
}

impl Found {
    /// The whole path of a place in the container.
    pub fn full(&self, path: &str) -> String {
        joined(&self.place, path)
    }
}

/// A place below another.
pub(super) fn joined(place: &str, path: &str) -> String {
    if place.is_empty() { path.to_owned() } else { format!("{place}/{path}") }
}

impl Selection {
    /// Takes the pattern under `name`, and `in`, `regex`, `except` and `optional`.
    pub fn read(fields: &mut Fields<'_>, name: &str) -> Result<Selection, Flaw> {
        let is_regex = fields.flag("regex")?.unwrap_or(false);
        let pattern =
            if is_regex { fields.read(name, Pattern::regex)? } else { fields.read(name, Pattern::glob)? };
        Ok(Selection {
            pattern: fields.required(name, pattern)?,
            within: fields.read("in", Pattern::glob)?,
            except: fields.texts("except", Pattern::glob)?.unwrap_or_default(),
            optional: fields.flag("optional")?.unwrap_or(false),
        })
    }

    /// The same places, looked for with another pattern.
    pub fn with_pattern(&self, pattern: Pattern) -> Selection {
        Selection { pattern, ..self.clone() }
    }

    /// Finds the places.
    ///
    /// # Errors
    ///
    /// If there are none, unless that is allowed.
    pub fn find(&self, state: &State<'_>) -> Result<Vec<Found>, Reason> {
        let containers = self.containers(state)?;
        let mut out = Vec::with_capacity(containers.len());
        for (place, container) in containers {
            let mut matches = slot::find(&state.graph, container, &self.pattern);
            matches.retain(|found| !self.except.iter().any(|except| is_at(except, &found.slot.path)));
            out.push(Found { place, container, matches });
        }
        if !self.optional && out.iter().all(|found| found.matches.is_empty()) {
            let place = self.within.as_ref().map_or_else(String::new, |within| within.text.clone());
            return Err(Reason::NoMatch { pattern: self.pattern.text.clone(), place });
        }
        Ok(out)
    }

    /// The containers that are searched.
    pub fn containers(&self, state: &State<'_>) -> Result<Vec<(String, NodeId)>, Reason> {
        let found = slot::containers(&state.graph, self.within.as_ref());
        match &self.within {
            Some(within) if found.is_empty() && !self.optional => {
                Err(Reason::NoContainer { place: within.text.clone() })
            }
            _ => Ok(found),
        }
    }

    /// Reads what the pattern's captures are put into.
    pub fn template(&self, fields: &mut Fields<'_>, name: &str) -> Result<Template, Flaw> {
        let template = fields.read(name, |text| Template::of(&self.pattern, text))?;
        fields.required(name, template)
    }

    pub fn canonical(&self, form: &mut Canonical) {
        form.flag(self.pattern.is_regex());
        form.text(&self.pattern.text);
        form.maybe(self.within.as_ref().map(|within| within.text.as_str()));
        form.row(&self.except, |form, except| form.text(&except.text));
        form.flag(self.optional);
    }
}

/// Whether a pattern matches exactly this place.
pub(super) fn is_at(pattern: &Pattern, path: &str) -> bool {
    captures_at(pattern, path).is_some()
}

/// What a pattern captures of exactly this place.
pub(super) fn captures_at(pattern: &Pattern, path: &str) -> Option<Vec<String>> {
    let mut captured = Vec::new();
    let mut end = 0;
    for (depth, step) in path.split('/').enumerate() {
        end += step.len() + usize::from(depth > 0);
        match pattern.advance(depth, &path[..end], step, &captured) {
            Progress::No => return None,
            Progress::Here(found) => return (end == path.len()).then_some(found),
            Progress::Below => captured.extend(pattern.captures_of_step(depth, step)),
        }
    }
    None
}
