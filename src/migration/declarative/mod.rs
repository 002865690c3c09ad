//! Declarative migrations: what to do with which places, applied to a graph without an interpreter.
//!
//! A `Body` takes the steps of a TOML migration, [`apply`] carries them out. Values in, values out: no weight
//! is read. What needs bytes becomes a computed storage, which somebody evaluates when it is stored. Nodes that
//! a step does not make anew keep their ids, so the change record sees what moved where.

mod canonical;
mod cast;
mod concat;
mod delete;
mod error;
mod fields;
mod fill;
mod operation;
mod pattern;
mod relocate;
mod rename;
mod reshape;
mod selection;
mod set;
mod slot;
mod split;
mod state;
#[cfg(test)]
mod tests;
mod transpose;
mod turned;
mod value;

use toml::de::DeArray;

use super::engine::{Limits, Outcome};
use crate::object::ObjectId;
use crate::value::Graph;

use canonical::Canonical;
pub use error::{DeclarativeError, Reason};
pub(super) use fields::{Fields, Flaw, Text};
use operation::Operation;
use state::State;

/// Names everything that decides what a declarative migration does; another text here means that results may differ.
pub const DECLARATIVE_VERSION: &str = "declarative/1";

/// The steps of a declarative migration.
#[derive(Debug, Clone, Default)]
pub struct Body {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
struct Step {
    line: u32,
    operation: Operation,
}

impl Body {
    /// Reads the tables of the steps.
    pub(super) fn read<'t>(text: Text<'t>, tables: &'t DeArray<'t>) -> Result<Body, Flaw> {
        let mut steps = Vec::new();
        for value in tables.iter() {
            let table = value.get_ref().as_table();
            let table = table.ok_or_else(|| text.flaw(value.span(), "a step is a table, `[[step]]`"))?;
            let mut fields = Fields::new(text, value.span(), table, "a step");
            let line = fields.line();
            let operation = Operation::read(&mut fields)?;
            fields.finish()?;
            steps.push(Step { line, operation });
        }
        Ok(Body { steps })
    }

    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps that undo it, if each of its steps can be undone by itself.
    pub fn inverse(&self) -> Option<Body> {
        let undo = |step: &Step| Some(Step { line: step.line, operation: step.operation.inverse()? });
        Some(Body { steps: self.steps.iter().rev().map(undo).collect::<Option<_>>()? })
    }

    /// The digest of what it does, however that is written down.
    pub fn digest(&self) -> ObjectId {
        let mut form = Canonical::new();
        self.steps.iter().for_each(|step| step.operation.canonical(&mut form));
        ObjectId::of(form.finish().as_bytes())
    }

    /// The steps that match nothing in a checkpoint when they are carried out in their order: the line of each and
    /// what it says. Ends at the first step that fails in another way.
    pub fn unmatched(&self, graph: &Graph, limits: &Limits) -> Vec<(u32, Reason)> {
        let mut state = State::new(graph, limits);
        let mut out = Vec::new();
        for step in &self.steps {
            match step.operation.apply(&mut state) {
                Ok(()) => {}
                Err(reason @ (Reason::NoMatch { .. } | Reason::NoContainer { .. })) => {
                    out.push((step.line, reason))
                }
                Err(_) => break,
            }
        }
        out
    }
}

/// Carries the steps out on a copy of a graph.
///
/// # Errors
///
/// If a step does not fit the checkpoint; the line of the step and why.
pub fn apply(file: &str, body: &Body, graph: &Graph, limits: &Limits) -> Result<Outcome, DeclarativeError> {
    let mut state = State::new(graph, limits);
    for step in &body.steps {
        step.operation.apply(&mut state).map_err(|reason| DeclarativeError {
            file: file.to_owned(),
            line: step.line,
            reason,
        })?;
    }
    Ok(state.finish())
}
