//! The operations, by the field that names each.

use super::Reason;
use super::canonical::Canonical;
use super::cast::Cast;
use super::concat::Concat;
use super::delete::Delete;
use super::fields::{Fields, Flaw};
use super::fill::Fill;
use super::relocate::Relocate;
use super::rename::Rename;
use super::reshape::Reshape;
use super::set::Set;
use super::split::Split;
use super::state::State;
use super::transpose::Transpose;

/// The fields that name an operation.
const NAMES: [&str; 10] =
    ["rename", "move", "delete", "set", "cast", "reshape", "transpose", "split", "concat", "fill"];

/// One thing to do.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Rename(Rename),
    Move(Relocate),
    Delete(Delete),
    Set(Set),
    Cast(Cast),
    Reshape(Reshape),
    Transpose(Transpose),
    Split(Split),
    Concat(Concat),
    Fill(Fill),
}

impl Operation {
    /// Takes the fields of one step.
    pub fn read(fields: &mut Fields<'_>) -> Result<Operation, Flaw> {
        let named: Vec<&str> = NAMES.into_iter().filter(|name| fields.has(name)).collect();
        match named.as_slice() {
            ["rename"] => Rename::read(fields).map(Operation::Rename),
            ["move"] => Relocate::read(fields).map(Operation::Move),
            ["delete"] => Delete::read(fields).map(Operation::Delete),
            ["set"] => Set::read(fields).map(Operation::Set),
            ["cast"] => Cast::read(fields).map(Operation::Cast),
            ["reshape"] => Reshape::read(fields).map(Operation::Reshape),
            ["transpose"] => Transpose::read(fields).map(Operation::Transpose),
            ["split"] => Split::read(fields).map(Operation::Split),
            ["concat"] => Concat::read(fields).map(Operation::Concat),
            ["fill"] => Fill::read(fields).map(Operation::Fill),
            [] => Err(fields.flaw(format!("a step does one of {}", NAMES.join(", ")))),
            several => Err(fields.flaw(format!("a step does one thing, not {}", several.join(" and ")))),
        }
    }

    /// Carries it out.
    pub fn apply(&self, state: &mut State<'_>) -> Result<(), Reason> {
        match self {
            Operation::Rename(operation) => operation.apply(state),
            Operation::Move(operation) => operation.apply(state),
            Operation::Delete(operation) => operation.apply(state),
            Operation::Set(operation) => operation.apply(state),
            Operation::Cast(operation) => operation.apply(state),
            Operation::Reshape(operation) => operation.apply(state),
            Operation::Transpose(operation) => operation.apply(state),
            Operation::Split(operation) => operation.apply(state),
            Operation::Concat(operation) => operation.apply(state),
            Operation::Fill(operation) => operation.apply(state),
        }
    }

    /// What undoes it, if it says enough for that.
    pub fn inverse(&self) -> Option<Operation> {
        match self {
            Operation::Rename(operation) => operation.inverse().map(Operation::Rename),
            Operation::Move(operation) => operation.inverse().map(Operation::Move),
            Operation::Reshape(operation) => operation.inverse().map(Operation::Reshape),
            Operation::Transpose(operation) => Some(Operation::Transpose(operation.clone())),
            Operation::Split(operation) => operation.inverse().map(Operation::Concat),
            Operation::Concat(operation) => operation.inverse().map(Operation::Split),
            // What was there before is not in the step.
            Operation::Delete(_) | Operation::Set(_) | Operation::Cast(_) | Operation::Fill(_) => None,
        }
    }

    /// Writes its canonical form.
    pub fn canonical(&self, form: &mut Canonical) {
        match self {
            Operation::Rename(operation) => operation.canonical(form),
            Operation::Move(operation) => operation.canonical(form),
            Operation::Delete(operation) => operation.canonical(form),
            Operation::Set(operation) => operation.canonical(form),
            Operation::Cast(operation) => operation.canonical(form),
            Operation::Reshape(operation) => operation.canonical(form),
            Operation::Transpose(operation) => operation.canonical(form),
            Operation::Split(operation) => operation.canonical(form),
            Operation::Concat(operation) => operation.canonical(form),
            Operation::Fill(operation) => operation.canonical(form),
        }
    }
}
