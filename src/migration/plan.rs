//! A plan: what a checkout would do to one checkpoint, before anything is done.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::value::Path;

/// Which migrations a checkpoint needs when its list and the catalogue differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Keep the longest common start of both lists, roll back what is left of the checkpoint's, migrate what
    /// is left of the catalogue's.
    #[default]
    Prefix,
    /// Run what follows the last applied migration, and never roll back.
    LastDone,
}

/// What a checkout would do, in order. Finals are never among the operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The version and group that the checkpoint has at the end.
    pub target: PlanTarget,
    /// First the rollbacks, newest first; then the migrations in catalogue order.
    pub operations: Vec<Operation>,
    /// What a person should know, although it stops nothing.
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn in_sync(&self) -> bool {
        self.operations.is_empty()
    }
}

/// Where a plan leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanTarget {
    /// The version asked for or, when none was named, the one of the newest migration that takes part. `None`
    /// when the catalogue has none.
    pub version: Option<String>,
    /// The compatibility group: the number of finals up to the target.
    pub group: u32,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// Whether the migration is applied or undone.
    pub kind: OperationKind,
    /// The migration's name: for a rollback the one in the checkpoint's list, which can be an older name of the
    /// catalogue's.
    pub migration: String,
    /// The migration's version in the catalogue, if the catalogue has it.
    pub version: Option<String>,
    /// How it is done.
    pub method: Method,
}

/// Whether an operation applies or undoes a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// Undoes a migration.
    Rollback,
    /// Applies a migration.
    Migrate,
}

/// How an operation is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The recorded input of the step is brought back.
    Restore,
    /// The step's change record is undone on the present content.
    Merge,
    /// The migration's own rollback is run.
    Script,
    /// The migration is run.
    Run,
}

/// Something a person should know about a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The target version is later than every released migration.
    Beyond {
        /// The target.
        version: String,
        /// The latest version in the catalogue.
        latest: Option<String>,
    },
    /// The order of the catalogue is not the order of the numbers that its names begin with.
    Order {
        /// A name.
        earlier: String,
        /// A later name with a smaller number.
        later: String,
    },
    /// A migration in the checkpoint's list has another name in the catalogue. Whoever carries the plan out
    /// writes the catalogue's name into the list, so that the two stay matched.
    Renamed {
        /// The name in the list.
        from: String,
        /// The name in the catalogue.
        to: String,
    },
    /// A migration was changed after it ran on this checkpoint.
    Drift {
        /// Its name in the checkpoint's list.
        name: String,
    },
    /// The state of an optimizer may no longer belong to the parameters.
    Optimizer {
        /// The migration that was run or undone.
        name: String,
        /// The optimizer.
        path: Path,
        /// How it does not fit, as the end of a sentence.
        reason: String,
    },
    /// The file that was written is not safe to load.
    Dangerous {
        /// What a load would run, as the end of a sentence.
        what: String,
    },
}

impl Warning {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Warning::Beyond { .. } => "W_BEYOND",
            Warning::Order { .. } => "W_ORDER",
            Warning::Renamed { .. } => "W_RENAMED",
            Warning::Drift { .. } => "W_DRIFT",
            Warning::Optimizer { .. } => "W_OPTIMIZER",
            Warning::Dangerous { .. } => "W_DANGEROUS",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Beyond { version, latest: Some(latest) } => {
                write!(f, "{version} is later than everything in the catalogue, which ends at {latest}")
            }
            Warning::Beyond { version, latest: None } => {
                write!(f, "the catalogue has no released migration that {version} could be compared with")
            }
            Warning::Order { earlier, later } => {
                write!(
                    f,
                    "`{earlier}` runs before `{later}`: names are ordered by their bytes, not by number"
                )
            }
            Warning::Renamed { from, to } => write!(f, "`{from}` is called `{to}` in the catalogue"),
            Warning::Drift { name } => write!(f, "`{name}` was changed after it ran on this checkpoint"),
            Warning::Optimizer { name, path, reason } => {
                write!(f, "`{path}` may not fit the parameters since `{name}`: {reason}")
            }
            Warning::Dangerous { what } => {
                write!(f, "loading this file is dangerous, `ckstore scan` tells why: {what}")
            }
        }
    }
}

/// As `{"code": "W_...", "message": "..."}`.
impl Serialize for Warning {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Warning", 2)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("message", &self.to_string())?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_its_documented_json() {
        let plan = Plan {
            target: PlanTarget { version: Some("0.12.0".into()), group: 2 },
            operations: vec![Operation {
                kind: OperationKind::Rollback,
                migration: "m4".into(),
                version: None,
                method: Method::Restore,
            }],
            warnings: vec![Warning::Drift { name: "m4".into() }],
        };
        let expected = serde_json::json!({
            "target": {"version": "0.12.0", "group": 2},
            "operations": [{"kind": "rollback", "migration": "m4", "version": null, "method": "restore"}],
            "warnings": [{"code": "W_DRIFT", "message": "`m4` was changed after it ran on this checkpoint"}],
        });
        assert_eq!(serde_json::to_value(&plan).unwrap(), expected);
    }
}
