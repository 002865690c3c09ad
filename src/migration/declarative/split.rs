//! `split = "*.qkv.*", into = ["*.q.*", "*.k.*", "*.v.*"]`: a tensor cut along a dimension.

use std::collections::HashSet;

use crate::value::Tail;

use super::Reason;
use super::canonical::Canonical;
use super::concat::Concat;
use super::fields::{Fields, Flaw};
use super::pattern::Template;
use super::selection::{Found, Selection};
use super::slot::{Edits, escaped, key_like, slots_below, split_last, unescaped};
use super::state::State;
use super::transpose::dimension;

/// Cuts tensors along a dimension. The parts stand where the whole stood, each with its own memory.
#[derive(Debug, Clone)]
pub(super) struct Split {
    pub selection: Selection,
    pub into: Vec<Template>,
    pub dim: i64,
    /// Extents of the parts; equal ones where none are given.
    pub sizes: Option<Vec<i64>>,
}

/// Checks how long parts are.
pub(super) fn check_sizes(fields: &Fields<'_>, sizes: Option<&[i64]>, parts: usize) -> Result<(), Flaw> {
    if parts < 2 {
        return Err(fields.flaw("there must be two parts at least"));
    }
    match sizes {
        Some(sizes) if sizes.len() != parts || sizes.iter().any(|size| *size < 1) => {
            Err(fields.flaw("`sizes` is one number above zero for each part"))
        }
        _ => Ok(()),
    }
}

impl Split {
    pub fn read(fields: &mut Fields<'_>) -> Result<Split, Flaw> {
        let selection = Selection::read(fields, "split")?;
        if selection.pattern.is_regex() {
            return Err(fields.flaw("a split takes no regex"));
        }
        let into = fields.texts("into", |text| Template::of(&selection.pattern, text))?;
        let into = fields.required("into", into)?;
        let sizes = fields.ints("sizes")?;
        check_sizes(fields, sizes.as_deref(), into.len())?;
        Ok(Split { selection, into, dim: fields.int("dim")?.unwrap_or(0), sizes })
    }

    pub fn apply(&self, state: &mut State<'_>) -> Result<(), Reason> {
        for found in self.selection.find(state)? {
            self.apply_in(state, &found)?;
        }
        Ok(())
    }

    fn apply_in(&self, state: &mut State<'_>, found: &Found) -> Result<(), Reason> {
        let mut edits = Edits::default();
        let mut taken: HashSet<String> = HashSet::new();
        let mut looked_at = HashSet::new();
        for matched in &found.matches {
            if looked_at.insert(matched.slot.holder) {
                let parent = split_last(&matched.slot.path).0;
                let keys = slots_below(&state.graph, matched.slot.holder).into_iter();
                taken.extend(keys.map(|(key, _)| super::selection::joined(parent, &escaped(&key))));
            }
        }
        for matched in &found.matches {
            taken.remove(&matched.slot.path);
        }
        for matched in &found.matches {
            let path = found.full(&matched.slot.path);
            let tensor = state.tensor(matched.slot.node, &path)?;
            let windows = self.windows(&tensor, &path)?;
            let mut steps = Vec::with_capacity(windows.len());
            for (template, window) in self.into.iter().zip(windows) {
                let to = template
                    .expand(&self.selection.pattern, &matched.key, &matched.captures)
                    .map_err(Reason::Template)?;
                if split_last(&to).0 != split_last(&matched.slot.path).0 {
                    return Err(Reason::OtherContainer { from: path, to: found.full(&to) });
                }
                if !taken.insert(to.clone()) {
                    return Err(Reason::Exists { path: found.full(&to) });
                }
                let expr = state.load(&tensor, window);
                let part = state.compute(expr, &tensor, &path)?;
                let node = state.wrapped_like(matched.slot.node, part);
                let key = key_like(&mut state.graph, &matched.slot, &unescaped(split_last(&to).1));
                steps.extend(key.map(|key| Tail::Set(key, node)));
            }
            if steps.len() != self.into.len() || !edits.replace(&matched.slot, steps) {
                return Err(Reason::NotEditable {
                    path,
                    action: "split",
                    what: "an item of a list or tuple",
                });
            }
        }
        edits.commit(&mut state.graph);
        Ok(())
    }

    /// The part of the tensor's storage that each part is.
    fn windows(
        &self,
        tensor: &crate::value::Tensor,
        path: &str,
    ) -> Result<Vec<crate::migration::engine::Window>, Reason> {
        let wrong =
            |problem: String| Reason::Shape { path: path.to_owned(), found: tensor.shape.clone(), problem };
        let dim = dimension(self.dim, tensor.shape.len())
            .ok_or_else(|| wrong(format!("it has no dimension {}", self.dim)))?;
        let extent = tensor.shape[dim];
        let count = self.into.len() as u64;
        let sizes: Vec<u64> = match &self.sizes {
            Some(sizes) => sizes.iter().filter_map(|size| u64::try_from(*size).ok()).collect(),
            None if extent.is_multiple_of(count) => vec![extent / count; self.into.len()],
            None => {
                return Err(wrong(format!(
                    "dimension {dim} does not fall into {count} equal parts: say `sizes`"
                )));
            }
        };
        if sizes.iter().try_fold(0u64, |sum, size| sum.checked_add(*size)) != Some(extent) {
            return Err(wrong(format!("the sizes {sizes:?} are not dimension {dim} together")));
        }
        let mut start = 0u64;
        let mut out = Vec::with_capacity(sizes.len());
        for size in sizes {
            let mut window = State::window(tensor);
            window.shape[dim] = size;
            let reach = start.checked_mul(tensor.strides[dim]).and_then(|n| n.checked_add(tensor.offset));
            window.offset = reach.ok_or_else(|| wrong("it is too large".into()))?;
            out.push(window);
            start += size;
        }
        Ok(out)
    }

    pub fn inverse(&self) -> Option<Concat> {
        if !self.selection.except.is_empty() {
            return None;
        }
        let parts: Vec<_> = self.into.iter().map(Template::as_pattern).collect::<Result<_, _>>().ok()?;
        let into = Template::of(parts.first()?, &self.selection.pattern.text).ok()?;
        let selection = self.selection.with_pattern(parts.first()?.clone());
        let others = parts[1..].iter().map(|part| Template::of(&parts[0], &part.text));
        let others = others.collect::<Result<_, _>>().ok()?;
        Some(Concat { selection, others, into, dim: self.dim, sizes: self.sizes.clone() })
    }

    pub fn canonical(&self, form: &mut Canonical) {
        form.node("split", |form| {
            self.selection.canonical(form);
            form.row(&self.into, |form, into| form.text(&into.text));
            form.text(&self.dim.to_string());
            form.numbers(self.sizes.as_deref());
        });
    }
}
