//! `cast = "*.weight", to = "bfloat16"`: another element type.

use crate::migration::engine::Step;
use crate::value::Dtype;

use super::Reason;
use super::canonical::Canonical;
use super::fields::{Fields, Flaw};
use super::selection::Selection;
use super::state::{State, last};

/// Brings tensors to another element type, as torch's `to` does.
#[derive(Debug, Clone)]
pub(super) struct Cast {
    selection: Selection,
    from: Option<Dtype>,
    to: Dtype,
}

/// Reads the name of an element type.
pub(super) fn dtype(text: &str) -> Result<Dtype, String> {
    Dtype::from_name(text.strip_prefix("torch.").unwrap_or(text))
        .ok_or_else(|| format!("there is no element type `{text}`"))
}

impl Cast {
    pub fn read(fields: &mut Fields<'_>) -> Result<Cast, Flaw> {
        let selection = Selection::read(fields, "cast")?;
        let to = fields.read("to", dtype)?;
        Ok(Cast { selection, from: fields.read("from", dtype)?, to: fields.required("to", to)? })
    }

    pub fn apply(&self, state: &mut State<'_>) -> Result<(), Reason> {
        let mut changes = Vec::new();
        for found in self.selection.find(state)? {
            for matched in &found.matches {
                let path = found.full(&matched.slot.path);
                let tensor = state.tensor(matched.slot.node, &path)?;
                if let Some(from) = self.from.filter(|from| *from != tensor.dtype) {
                    let expected = from.name().to_owned();
                    return Err(Reason::Dtype { path, found: tensor.dtype.name(), expected });
                }
                if tensor.dtype != self.to {
                    let mut expr = state.load(&tensor, State::window(&tensor));
                    expr.steps.push(Step::Cast { of: last(&expr), dtype: self.to });
                    let new = state.compute(expr, &tensor, &path)?;
                    changes.push((matched.slot.clone(), path, new));
                }
            }
        }
        state.change(&changes)
    }

    pub fn canonical(&self, form: &mut Canonical) {
        form.node("cast", |form| {
            self.selection.canonical(form);
            form.maybe(self.from.map(Dtype::name));
            form.text(self.to.name());
        });
    }
}
