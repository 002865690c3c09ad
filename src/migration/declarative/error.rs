//! Why a step does not fit a checkpoint.

use crate::migration::engine::ExprError;

/// A step that does not fit a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}: {reason}")]
pub struct DeclarativeError {
    /// The migration's file.
    pub file: String,
    /// The line of the step, from 1.
    pub line: u32,
    /// Why.
    pub reason: Reason,
}

/// Why a step does not fit a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The container is not there.
    #[error("there is no `{place}`")]
    NoContainer {
        /// The container, as the step names it.
        place: String,
    },
    /// Nothing matches.
    #[error("nothing matches `{pattern}`{}", inside(place))]
    NoMatch {
        /// What was looked for.
        pattern: String,
        /// Where; empty for the root.
        place: String,
    },
    /// Something is there already.
    #[error("`{path}` exists already")]
    Exists {
        /// The place.
        path: String,
    },
    /// Two places would become one.
    #[error("`{first}` and `{second}` would both become `{into}`")]
    TwoIntoOne {
        /// A place.
        first: String,
        /// Another place.
        second: String,
        /// What they would become.
        into: String,
    },
    /// The change could not be undone by itself.
    #[error(
        "`{path}` {problem}, so turning the step round would not undo it; `reversible = false` says that it need not"
    )]
    NotReversible {
        /// The place.
        path: String,
        /// Why.
        problem: &'static str,
    },
    /// A rename leads into another container.
    #[error("`{from}` and `{to}` are not in the same place: use `move`")]
    OtherContainer {
        /// The place.
        from: String,
        /// Where it would be.
        to: String,
    },
    /// A move leads into what is moved.
    #[error("`{from}` cannot be moved into itself, to `{to}`")]
    IntoItself {
        /// The place.
        from: String,
        /// Where it would be.
        to: String,
    },
    /// The place takes no keys.
    #[error("`{path}` is neither a dict nor an object with attributes")]
    NoKeys {
        /// The place.
        path: String,
    },
    /// The place cannot be edited.
    #[error("`{path}` cannot be {action}: it is {what}")]
    NotEditable {
        /// The place.
        path: String,
        /// What was to be done.
        action: &'static str,
        /// What it is.
        what: &'static str,
    },
    /// A tensor was expected.
    #[error("`{path}` is no tensor")]
    NotTensor {
        /// The place.
        path: String,
    },
    /// The tensor's element type is another.
    #[error("`{path}` has element type {found}, not {expected}")]
    Dtype {
        /// The place.
        path: String,
        /// What it has.
        found: &'static str,
        /// What was expected.
        expected: String,
    },
    /// The tensor's shape is another, or does not allow the change.
    #[error("`{path}` has shape {found:?}{}", because(problem))]
    Shape {
        /// The place.
        path: String,
        /// What it has.
        found: Vec<u64>,
        /// What is wrong with that.
        problem: String,
    },
    /// A part of what is to be joined is missing.
    #[error("`{path}` is missing beside `{beside}`")]
    MissingPart {
        /// What is missing.
        path: String,
        /// The part that is there.
        beside: String,
    },
    /// A template makes no key.
    #[error("{0}")]
    Template(String),
    /// The tensor has a conjugate or negative bit, which is only real once torch reads it.
    #[error("`{path}` is a lazily conjugated or negated tensor")]
    LazyBits {
        /// The place.
        path: String,
    },
    /// A computed tensor would not be sound.
    #[error("`{path}` cannot be computed: {source}")]
    Expr {
        /// The place.
        path: String,
        /// Why.
        source: ExprError,
    },
    /// The computed tensors would take too much.
    #[error("computed tensors would take {bytes} bytes, more than the {limit_bytes} allowed")]
    TooLarge {
        /// What they would take.
        bytes: u64,
        /// What is allowed.
        limit_bytes: u64,
    },
    /// The steps feed on each other too often.
    #[error("more than {limit} computations are chained")]
    TooManySteps {
        /// What is allowed.
        limit: usize,
    },
}

fn inside(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" in `{place}`") }
}

fn because(problem: &str) -> String {
    if problem.is_empty() { String::new() } else { format!(": {problem}") }
}
