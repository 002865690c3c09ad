//! `reshape = "head.weight", from = [6], to = [2, 3]`: the same elements in another shape.

use crate::value::Tensor;

use super::Reason;
use super::canonical::Canonical;
use super::fields::{Fields, Flaw};
use super::selection::Selection;
use super::state::State;

/// Gives tensors another shape. The elements keep their order.
#[derive(Debug, Clone)]
pub(super) struct Reshape {
    selection: Selection,
    from: Option<Vec<i64>>,
    to: Vec<i64>,
}

impl Reshape {
    pub fn read(fields: &mut Fields<'_>) -> Result<Reshape, Flaw> {
        let selection = Selection::read(fields, "reshape")?;
        let (from, to) = (fields.ints("from")?, fields.ints("to")?);
        let to = fields.required("to", to)?;
        for shape in from.iter().chain([&to]) {
            let open = shape.iter().filter(|extent| **extent == -1).count();
            if shape.iter().any(|extent| *extent < -1) || open > 1 {
                return Err(fields.flaw("a shape is whole numbers, one of which may be -1"));
            }
        }
        Ok(Reshape { selection, from, to })
    }

    pub fn apply(&self, state: &mut State<'_>) -> Result<(), Reason> {
        let mut changes = Vec::new();
        for found in self.selection.find(state)? {
            for matched in &found.matches {
                let path = found.full(&matched.slot.path);
                let tensor = state.tensor(matched.slot.node, &path)?;
                let wrong = |problem: String| Reason::Shape {
                    path: path.clone(),
                    found: tensor.shape.clone(),
                    problem,
                };
                if self.from.as_ref().is_some_and(|from| !fits(from, &tensor.shape)) {
                    let from = self.from.clone().unwrap_or_default();
                    return Err(wrong(format!("{from:?} was expected")));
                }
                let shape = resolve(&self.to, &tensor)
                    .ok_or_else(|| wrong(format!("its elements do not fill {:?}", self.to)))?;
                let new = if tensor.is_contiguous() {
                    // The same bytes, read otherwise.
                    let strides = Tensor::contiguous_strides(&shape)
                        .ok_or_else(|| wrong(format!("{:?} is too large", self.to)))?;
                    Tensor { shape, strides, ..tensor }
                } else {
                    let expr = state.load(&tensor, State::window(&tensor));
                    let dense = state.compute(expr, &tensor, &path)?;
                    let strides = Tensor::contiguous_strides(&shape)
                        .ok_or_else(|| wrong(format!("{:?} is too large", self.to)))?;
                    Tensor { shape, strides, ..dense }
                };
                changes.push((matched.slot.clone(), path, new));
            }
        }
        state.change(&changes)
    }

    pub fn inverse(&self) -> Option<Reshape> {
        let from = self.from.clone()?;
        Some(Reshape { selection: self.selection.clone(), from: Some(self.to.clone()), to: from })
    }

    pub fn canonical(&self, form: &mut Canonical) {
        form.node("reshape", |form| {
            self.selection.canonical(form);
            form.numbers(self.from.as_deref());
            form.numbers(Some(&self.to));
        });
    }
}

/// Whether a shape is as it was described, -1 standing for any extent.
fn fits(wanted: &[i64], shape: &[u64]) -> bool {
    let same = |(wanted, extent): (&i64, &u64)| *wanted == -1 || u64::try_from(*wanted) == Ok(*extent);
    wanted.len() == shape.len() && wanted.iter().zip(shape).all(same)
}

/// The shape that is meant for so many elements.
fn resolve(wanted: &[i64], tensor: &Tensor) -> Option<Vec<u64>> {
    let elements = tensor.elements()?;
    let known = wanted.iter().filter_map(|extent| u64::try_from(*extent).ok());
    let known = known.into_iter().try_fold(1u64, |n, extent| n.checked_mul(extent))?;
    let open = match wanted.contains(&-1) {
        true if known > 0 && elements % known == 0 => elements / known,
        true => return None,
        false if known == elements => 1,
        false => return None,
    };
    Some(wanted.iter().map(|extent| u64::try_from(*extent).unwrap_or(open)).collect())
}
