//! Tensors in pieces as one to be computed.

use crate::format::convert::{ConvertError, Pieces};
use crate::migration::engine::{Expr, Step, StepId, Window};
use crate::value::{Path, Tensor};

/// A box of elements: where it begins and ends in each dimension.
type Bounds = Vec<(u64, u64)>;

/// A tensor as joins of its pieces, whose cuts go through all of it, dimension by dimension.
pub(super) fn expr_of(pieces: &Pieces, name: &str) -> Result<Expr, ConvertError> {
    let mut steps = Vec::new();
    let whole: Bounds = pieces.shape.iter().map(|extent| (0, *extent)).collect();
    let all: Vec<&(Vec<u64>, Tensor)> = pieces.pieces.iter().collect();
    join(&all, &whole, 0, &mut steps)
        .ok_or_else(|| ConvertError::Pieces { path: Path::root().join(name) })?;
    Ok(Expr { steps })
}

/// The step that gives a box; the recursion goes one dimension further each time.
fn join(
    pieces: &[&(Vec<u64>, Tensor)],
    bounds: &Bounds,
    dim: usize,
    steps: &mut Vec<Step>,
) -> Option<StepId> {
    if let [(begin, tensor)] = pieces {
        let fits = begin
            .iter()
            .zip(&tensor.shape)
            .zip(bounds)
            .all(|((begin, extent), bounds)| (*begin, begin.saturating_add(*extent)) == *bounds);
        return (fits && begin.len() == bounds.len()).then(|| load(tensor, steps));
    }
    if dim >= bounds.len() || pieces.is_empty() {
        return None;
    }
    let mut begins: Vec<u64> = pieces.iter().map(|(begin, _)| begin[dim]).collect();
    begins.sort_unstable();
    begins.dedup();
    if begins.first() != Some(&bounds[dim].0) {
        return None;
    }
    let mut parts = Vec::with_capacity(begins.len());
    for (place, begin) in begins.iter().enumerate() {
        let end = begins.get(place + 1).copied().unwrap_or(bounds[dim].1);
        let mut inner = bounds.clone();
        inner[dim] = (*begin, end);
        let within: Vec<_> = pieces.iter().copied().filter(|(start, _)| start[dim] == *begin).collect();
        parts.push(join(&within, &inner, dim + 1, steps)?);
    }
    if let [only] = parts.as_slice() {
        return Some(*only);
    }
    steps.push(Step::Cat { dim: u32::try_from(dim).ok()?, parts });
    StepId::try_from(steps.len() - 1).ok()
}

fn load(tensor: &Tensor, steps: &mut Vec<Step>) -> StepId {
    steps.push(Step::Load {
        storage: tensor.storage.storage,
        dtype: tensor.dtype,
        window: Window {
            shape: tensor.shape.clone(),
            strides: tensor.strides.clone(),
            offset: tensor.offset,
        },
    });
    steps.len() as StepId - 1
}
