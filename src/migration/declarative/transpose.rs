//! `transpose = "head.weight", dims = [0, 1]`: two dimensions exchanged.

use super::Reason;
use super::canonical::Canonical;
use super::fields::{Fields, Flaw};
use super::selection::Selection;
use super::state::State;

/// Exchanges two dimensions of tensors. The elements are laid out anew.
#[derive(Debug, Clone)]
pub(super) struct Transpose {
    selection: Selection,
    dims: [i64; 2],
}

/// The dimension that is meant, counted from the end where it is negative.
pub(super) fn dimension(dim: i64, count: usize) -> Option<usize> {
    let count = i64::try_from(count).ok()?;
    let dim = if dim < 0 { dim.checked_add(count)? } else { dim };
    if (0..count).contains(&dim) { usize::try_from(dim).ok() } else { None }
}

impl Transpose {
    pub fn read(fields: &mut Fields<'_>) -> Result<Transpose, Flaw> {
        let selection = Selection::read(fields, "transpose")?;
        let dims = fields.ints("dims")?.unwrap_or_else(|| vec![0, 1]);
        let dims = <[i64; 2]>::try_from(dims).map_err(|_| fields.flaw("`dims` names two dimensions"))?;
        Ok(Transpose { selection, dims })
    }

    pub fn apply(&self, state: &mut State<'_>) -> Result<(), Reason> {
        let mut changes = Vec::new();
        for found in self.selection.find(state)? {
            for matched in &found.matches {
                let path = found.full(&matched.slot.path);
                let tensor = state.tensor(matched.slot.node, &path)?;
                let [first, second] = self.dims.map(|dim| dimension(dim, tensor.shape.len()));
                let (Some(first), Some(second)) = (first, second) else {
                    let problem = format!("it has no dimensions {:?}", self.dims);
                    return Err(Reason::Shape { path, found: tensor.shape, problem });
                };
                let mut window = State::window(&tensor);
                window.shape.swap(first, second);
                window.strides.swap(first, second);
                let expr = state.load(&tensor, window);
                let new = state.compute(expr, &tensor, &path)?;
                changes.push((matched.slot.clone(), path, new));
            }
        }
        state.change(&changes)
    }

    pub fn canonical(&self, form: &mut Canonical) {
        form.node("transpose", |form| {
            self.selection.canonical(form);
            form.numbers(Some(&self.dims));
        });
    }
}
