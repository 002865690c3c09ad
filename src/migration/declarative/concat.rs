//! `concat = ["*.q.*", "*.k.*", "*.v.*"], into = "*.qkv.*"`: tensors joined along a dimension.

use std::collections::{HashMap, HashSet};

use crate::migration::engine::{Expr, Step};
use crate::value::{Tail, Tensor};

use super::Reason;
use super::canonical::Canonical;
use super::fields::{Fields, Flaw};
use super::pattern::{Pattern, Template};
use super::selection::{Found, Selection};
use super::slot::{Edits, Slot, escaped, key_like, slots_below, split_last, unescaped};
use super::split::{Split, check_sizes};
use super::state::{State, last};
use super::transpose::dimension;

/// Most steps of one joined tensor.
const MAX_EXPR_STEPS: usize = 1 << 20;

/// Joins tensors along a dimension. The whole stands where the first part stood.
#[derive(Debug, Clone)]
pub(super) struct Concat {
    /// The first parts.
    pub selection: Selection,
    /// The other parts, from what the first one's wildcards stand for.
    pub others: Vec<Template>,
    pub into: Template,
    pub dim: i64,
    /// Extents of the parts; equal ones where none are given.
    pub sizes: Option<Vec<i64>>,
}

impl Concat {
    pub fn read(fields: &mut Fields<'_>) -> Result<Concat, Flaw> {
        let parts = fields.texts("concat", Pattern::glob)?.unwrap_or_default();
        let within = fields.read("in", Pattern::glob)?;
        let optional = fields.flag("optional")?.unwrap_or(false);
        let sizes = fields.ints("sizes")?;
        check_sizes(fields, sizes.as_deref(), parts.len())?;
        let mut parts = parts.into_iter();
        let first = parts.next().expect("there are two at least");
        let others = parts.map(|part| Template::of(&first, &part.text)).collect::<Result<_, _>>();
        let others = others.map_err(|message| fields.flaw(message))?;
        let into = fields.read("into", |text| Template::of(&first, text))?;
        let into = fields.required("into", into)?;
        let selection = Selection { pattern: first, within, except: Vec::new(), optional };
        Ok(Concat { selection, others, into, dim: fields.int("dim")?.unwrap_or(0), sizes })
    }

    pub fn apply(&self, state: &mut State<'_>) -> Result<(), Reason> {
        for found in self.selection.find(state)? {
            self.apply_in(state, &found)?;
        }
        Ok(())
    }

    fn apply_in(&self, state: &mut State<'_>, found: &Found) -> Result<(), Reason> {
        let mut edits = Edits::default();
        // What is in the containers, by place.
        let mut slots: HashMap<String, Slot> = HashMap::new();
        let mut looked_at = HashSet::new();
        for matched in &found.matches {
            if looked_at.insert(matched.slot.holder) {
                let parent = split_last(&matched.slot.path).0;
                for (key, slot) in slots_below(&state.graph, matched.slot.holder) {
                    slots.insert(super::selection::joined(parent, &escaped(&key)), slot);
                }
            }
        }
        let mut made: HashSet<String> = HashSet::new();
        for matched in &found.matches {
            let first = found.full(&matched.slot.path);
            let expand = |template: &Template| {
                let pattern = &self.selection.pattern;
                template.expand(pattern, &matched.key, &matched.captures).map_err(Reason::Template)
            };
            let mut parts = vec![(matched.slot.clone(), matched.slot.path.clone())];
            for template in &self.others {
                let path = expand(template)?;
                let slot = slots
                    .get(&path)
                    .cloned()
                    .ok_or_else(|| Reason::MissingPart { path: found.full(&path), beside: first.clone() })?;
                parts.push((slot, path));
            }
            let into = expand(&self.into)?;
            if split_last(&into).0 != split_last(&matched.slot.path).0 {
                return Err(Reason::OtherContainer { from: first, to: found.full(&into) });
            }
            for (_, path) in &parts {
                slots.remove(path);
            }
            if slots.contains_key(&into) || !made.insert(into.clone()) {
                return Err(Reason::Exists { path: found.full(&into) });
            }
            let whole = self.join(state, found, &parts)?;
            let node = state.wrapped_like(matched.slot.node, whole);
            let key = key_like(&mut state.graph, &matched.slot, &unescaped(split_last(&into).1));
            let whole = key.map(|key| Tail::Set(key, node));
            let mut edited = whole.is_some() && edits.replace(&matched.slot, whole.into_iter().collect());
            for (slot, _) in &parts[1..] {
                edited &= edits.replace(slot, Vec::new());
            }
            if !edited {
                let what = "an item of a list or tuple";
                return Err(Reason::NotEditable { path: first, action: "joined", what });
            }
        }
        edits.commit(&mut state.graph);
        Ok(())
    }

    fn join(&self, state: &mut State<'_>, found: &Found, parts: &[(Slot, String)]) -> Result<Tensor, Reason> {
        let mut expr = Expr { steps: Vec::new() };
        let mut ends = Vec::with_capacity(parts.len());
        let mut extents = Vec::with_capacity(parts.len());
        let mut like: Option<Tensor> = None;
        let mut along = 0;
        for (slot, path) in parts {
            let path = found.full(path);
            let tensor = state.tensor(slot.node, &path)?;
            along = dimension(self.dim, tensor.shape.len()).ok_or_else(|| Reason::Shape {
                path: path.clone(),
                found: tensor.shape.clone(),
                problem: format!("it has no dimension {}", self.dim),
            })?;
            if let Some(first) = &like
                && first.dtype != tensor.dtype
            {
                let expected = format!("{} as the first part", first.dtype);
                return Err(Reason::Dtype { path, found: tensor.dtype.name(), expected });
            }
            let part = state.load(&tensor, State::window(&tensor));
            append(&mut expr, part)?;
            ends.push(last(&expr));
            extents.push((path, tensor.shape.clone(), tensor.shape[along]));
            like.get_or_insert(tensor);
        }
        self.check_extents(&extents, along)?;
        let dim = u32::try_from(along).expect("a tensor has few dimensions");
        expr.steps.push(Step::Cat { dim, parts: ends });
        let path = found.full(&parts[0].1);
        state.compute(expr, &like.expect("there are two parts at least"), &path)
    }

    /// Refuses parts of which the whole could not be cut again.
    fn check_extents(&self, parts: &[(String, Vec<u64>, u64)], along: usize) -> Result<(), Reason> {
        for (place, (path, shape, extent)) in parts.iter().enumerate() {
            let wanted = match &self.sizes {
                Some(sizes) => sizes.get(place).and_then(|size| u64::try_from(*size).ok()),
                None => Some(parts[0].2),
            };
            let mut others = shape.iter().zip(&parts[0].1).enumerate();
            let problem = if shape.len() != parts[0].1.len()
                || others.any(|(dim, (one, other))| dim != along && one != other)
            {
                format!("it does not fit `{}` beside dimension {along}", parts[0].0)
            } else if wanted != Some(*extent) {
                match &self.sizes {
                    Some(sizes) => format!("dimension {along} is not as `sizes` says, {sizes:?}"),
                    None => {
                        format!("dimension {along} is not as long as that of `{}`: say `sizes`", parts[0].0)
                    }
                }
            } else {
                continue;
            };
            return Err(Reason::Shape { path: path.clone(), found: shape.clone(), problem });
        }
        Ok(())
    }

    pub fn inverse(&self) -> Option<Split> {
        let pattern = self.into.as_pattern().ok()?;
        let first = Template::of(&pattern, &self.selection.pattern.text).ok()?;
        let others = self.others.iter().map(|other| Template::of(&pattern, &other.text));
        let into = std::iter::once(Ok(first)).chain(others).collect::<Result<_, _>>().ok()?;
        let selection = self.selection.with_pattern(pattern);
        Some(Split { selection, into, dim: self.dim, sizes: self.sizes.clone() })
    }

    pub fn canonical(&self, form: &mut Canonical) {
        form.node("concat", |form| {
            self.selection.canonical(form);
            form.row(&self.others, |form, other| form.text(&other.text));
            form.text(&self.into.text);
            form.text(&self.dim.to_string());
            form.numbers(self.sizes.as_deref());
        });
    }
}

/// Puts the steps of one expression behind those of another.
fn append(expr: &mut Expr, part: Expr) -> Result<(), Reason> {
    if expr.steps.len() + part.steps.len() > MAX_EXPR_STEPS {
        return Err(Reason::TooManySteps { limit: MAX_EXPR_STEPS });
    }
    let by = u32::try_from(expr.steps.len()).expect("expressions are bounded");
    for mut step in part.steps {
        match &mut step {
            Step::View { of, .. } | Step::Cast { of, .. } => *of += by,
            Step::Cat { parts, .. } => parts.iter_mut().for_each(|part| *part += by),
            // The others that are made here have no operands.
            _ => {}
        }
        expr.steps.push(step);
    }
    Ok(())
}
