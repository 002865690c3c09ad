//! Why there is no plan.

use super::super::plan::OperationKind;
use super::super::version::ParseVersionError;

/// Why there is no plan. [`code`](ResolveError::code) gives each its stable code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The checkpoint's group is below the target's.
    #[error("the checkpoint is too old for the group that `{first_final}` opens: use < {version}")]
    TooOld {
        /// The first final ahead of the checkpoint.
        first_final: String,
        /// Its version: every version below it can still be reached.
        version: String,
    },
    /// The checkpoint's group is above the target's.
    #[error(
        "the checkpoint is in the group that `{own_final}` opened, which is not undone: use >= {version}"
    )]
    TooNew {
        /// The final that opened the checkpoint's group.
        own_final: String,
        /// Its version: this one and later ones can be reached.
        version: String,
    },
    /// The checkpoint has no list of migrations.
    #[error("the checkpoint does not say which migrations it has")]
    Unbaselined,
    /// The checkpoint's list contradicts itself or the catalogue.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The catalogue does not know the first migration of the checkpoint's list.
    #[error("the catalogue does not know `{name}`, the first migration of the checkpoint")]
    UnknownLineage {
        /// The first migration.
        name: String,
    },
    /// No way to undo a migration is left.
    #[error(
        "`{name}` cannot be undone: neither its input, nor a usable change record, nor a rollback is there"
    )]
    Irreversible {
        /// The migration.
        name: String,
    },
    /// A step takes an interpreter, which was forbidden.
    #[error("`{name}` can only be {} by its script", match kind { OperationKind::Rollback => "undone", OperationKind::Migrate => "applied" })]
    CodeRequired {
        /// The migration.
        name: String,
        /// What it would have to be run for.
        kind: OperationKind,
    },
    /// A needed migration has no body.
    #[error("`{name}` is needed, but has no migrate function")]
    NoMigrate {
        /// The migration.
        name: String,
    },
    /// Migrations were changed after they ran on this checkpoint.
    #[error("changed after they ran on this checkpoint: {}", names.join(", "))]
    Drift {
        /// Their names in the checkpoint's list.
        names: Vec<String>,
    },
    /// The catalogue has two migrations of one name.
    #[error("the catalogue has `{name}` twice")]
    DuplicateMigration {
        /// The name.
        name: String,
    },
    /// The target is no version.
    #[error(transparent)]
    BadVersion(#[from] ParseVersionError),
    /// The target names a migration that the catalogue lacks.
    #[error("the catalogue has no migration `{name}`")]
    UnknownMigration {
        /// The name.
        name: String,
        /// A migration with a near name.
        suggestion: Option<String>,
    },
}

/// How a checkpoint's list contradicts itself or the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// A migration is there twice, maybe under two names.
    #[error("duplicate registration of `{name}` in the checkpoint")]
    Duplicate {
        /// The migration.
        name: String,
    },
    /// The list begins with a migration of a later group, not with the final that opens it.
    #[error("missing group marker: the checkpoint's list begins with `{name}` without the final `{marker}`")]
    MissingMarker {
        /// The first migration.
        name: String,
        /// The final that should precede it.
        marker: String,
    },
    /// A final is not the first of the list.
    #[error("misplaced group marker: the final `{name}` is not the first of the checkpoint's list")]
    MisplacedMarker {
        /// The final.
        name: String,
    },
}

impl ResolveError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ResolveError::TooOld { .. } => "E_TOO_OLD",
            ResolveError::TooNew { .. } => "E_TOO_NEW",
            ResolveError::Unbaselined => "E_UNBASELINED",
            ResolveError::Ledger(_) => "E_LEDGER",
            ResolveError::UnknownLineage { .. } => "E_UNKNOWN_LINEAGE",
            ResolveError::Irreversible { .. } => "E_IRREVERSIBLE",
            ResolveError::CodeRequired { .. } => "E_CODE_REQUIRED",
            ResolveError::NoMigrate { .. } => "E_NO_MIGRATE",
            ResolveError::Drift { .. } => "E_DRIFT",
            ResolveError::DuplicateMigration { .. } => "E_CATALOGUE",
            ResolveError::BadVersion(_) | ResolveError::UnknownMigration { .. } => "E_USAGE",
        }
    }
}
