//! Why something cannot be done to documents.

/// Why something cannot be done to documents. Nothing of it has then been done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// A part of the language that is not spoken here.
    #[error("`{what}` is not supported{}", because(.why))]
    NotSupported {
        /// The operator, method or option.
        what: String,
        /// Why, where there is more to say.
        why: &'static str,
    },
    /// What was asked has no meaning.
    #[error("{message}")]
    Invalid {
        /// What is wrong with it.
        message: String,
    },
    /// The documents do not take the change.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
    },
    /// Two documents would have one `_id`.
    #[error("two documents would have the `_id` {id}")]
    DuplicateId {
        /// The `_id`.
        id: String,
    },
    /// A value is no document, or none that can be kept.
    #[error("{what}")]
    NotADocument {
        /// What it is.
        what: String,
    },
    /// Two changes of one document do not go together.
    #[error("`{path}` was changed since in another way")]
    Conflict {
        /// Where.
        path: String,
    },
}

fn because(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {why}") }
}

impl DocumentError {
    pub(super) fn unsupported(what: impl Into<String>) -> DocumentError {
        DocumentError::NotSupported { what: what.into(), why: "" }
    }

    pub(super) fn invalid(message: impl Into<String>) -> DocumentError {
        DocumentError::Invalid { message: message.into() }
    }

    pub(super) fn refused(message: impl Into<String>) -> DocumentError {
        DocumentError::Refused { message: message.into() }
    }
}
