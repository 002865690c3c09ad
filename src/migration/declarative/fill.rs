//! `fill = "head.bias", with = 0.0`: the same number everywhere.

use crate::migration::engine::{Expr, Scalar, Step};
use crate::value::{Dtype, StorageId, StorageRef, Tensor};

use super::Reason;
use super::canonical::Canonical;
use super::cast::dtype;
use super::fields::{Fields, Flaw, float, int};
use super::relocate::node_at;
use super::selection::Selection;
use super::slot::{Edits, key_holder, split_last, unescaped};
use super::state::State;

/// Fills tensors with a number; with `shape` and `dtype` it makes a new one.
#[derive(Debug, Clone)]
pub(super) struct Fill {
    selection: Selection,
    with: Scalar,
    new: Option<(Vec<u64>, Dtype)>,
}

impl Fill {
    pub fn read(fields: &mut Fields<'_>) -> Result<Fill, Flaw> {
        let selection = Selection::read(fields, "fill")?;
        let value = fields.take("with");
        let value = fields.required("with", value)?;
        let number = value.get_ref();
        let with = number.as_bool().map(Scalar::Bool).or_else(|| int(number).map(Scalar::Int));
        let with = with.or_else(|| float(number).map(Scalar::Float));
        let with = with.ok_or_else(|| fields.wrong(value, "with", "a number"))?;
        let new = match (fields.ints("shape")?, fields.read("dtype", dtype)?) {
            (None, None) => None,
            (Some(shape), Some(dtype)) => {
                let shape = shape.into_iter().map(u64::try_from).collect::<Result<_, _>>();
                Some((shape.map_err(|_| fields.flaw("an extent is below zero"))?, dtype))
            }
            _ => return Err(fields.flaw("a new tensor takes `shape` and `dtype`")),
        };
        if new.is_some() && !selection.pattern.is_literal() {
            return Err(fields.flaw("a new tensor has one place, without wildcards"));
        }
        Ok(Fill { selection, with, new })
    }

    pub fn apply(&self, state: &mut State<'_>) -> Result<(), Reason> {
        if let Some((shape, dtype)) = &self.new {
            return self.make(state, shape, *dtype);
        }
        let mut changes = Vec::new();
        for found in self.selection.find(state)? {
            for matched in &found.matches {
                let path = found.full(&matched.slot.path);
                let tensor = state.tensor(matched.slot.node, &path)?;
                let new = state.compute(self.expr(&tensor.shape, tensor.dtype), &tensor, &path)?;
                changes.push((matched.slot.clone(), path, new));
            }
        }
        state.change(&changes)
    }

    fn expr(&self, shape: &[u64], dtype: Dtype) -> Expr {
        Expr { steps: vec![Step::Full { dtype, shape: shape.to_vec(), value: self.with }] }
    }

    fn make(&self, state: &mut State<'_>, shape: &[u64], dtype: Dtype) -> Result<(), Reason> {
        let path = self.selection.pattern.literal().expect("a new tensor has one place");
        let (parent, step) = split_last(path.as_str());
        let mut edits = Edits::default();
        for (place, container) in self.selection.containers(state)? {
            let full = super::selection::joined(&place, path.as_str());
            if node_at(state, container, path.as_str()).is_some() {
                return Err(Reason::Exists { path: full });
            }
            let above = || split_last(&full).0.to_owned();
            let inside = if parent.is_empty() { Some(container) } else { node_at(state, container, parent) };
            let inside = inside.ok_or_else(|| Reason::NoContainer { place: above() })?;
            let holder = key_holder(&state.graph, inside).ok_or_else(|| Reason::NoKeys { path: above() })?;
            let tensor = state.compute(self.expr(shape, dtype), &nothing(dtype), &full)?;
            let node = state.graph.add(crate::value::Kind::Tensor(Box::new(tensor)));
            let key = state.graph.add_str(unescaped(step));
            edits.add(holder, key, node);
        }
        edits.commit(&mut state.graph);
        Ok(())
    }

    pub fn canonical(&self, form: &mut Canonical) {
        form.node("fill", |form| {
            self.selection.canonical(form);
            match self.with {
                Scalar::Bool(value) => form.node("bool", |form| form.flag(value)),
                Scalar::Int(value) => form.node("int", |form| form.text(&value.to_string())),
                Scalar::Float(value) => {
                    form.node("float", |form| form.text(&format!("{:016x}", value.to_bits())));
                }
            }
            match &self.new {
                None => form.maybe(None),
                Some((shape, dtype)) => form.node("new", |form| {
                    form.row(shape, |form, extent| form.text(&extent.to_string()));
                    form.text(dtype.name());
                }),
            }
        });
    }
}

/// What a tensor out of nothing is like.
fn nothing(dtype: Dtype) -> Tensor {
    Tensor {
        dtype,
        shape: Vec::new(),
        strides: Vec::new(),
        offset: 0,
        storage: StorageRef {
            storage: StorageId(0),
            class: String::new(),
            location: String::new(),
            elements: 0,
            view: None,
        },
        requires_grad: false,
        hooks: None,
        metadata: None,
    }
}
