//! The chain of hashes that ties the rows of the ledger together.

use super::{Ledger, LedgerError, StepRow, StepStatus};
use crate::object::ObjectId;

/// What stands before the first row.
pub const GENESIS: ObjectId = ObjectId::from_bytes([0; 32]);

/// A place where the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainFault {
    /// A number is left out, or does not follow the one before.
    Gap {
        /// The number that is missing.
        seq: i64,
    },
    /// A row does not name the hash of the one before.
    Broken {
        /// Its number.
        seq: i64,
    },
    /// What a row says is not what it said when it was added.
    Altered {
        /// Its number.
        seq: i64,
    },
}

/// Hash of a row: BLAKE3 of its fields in the order of the table, each with its length before it, so that
/// no two rows give the same bytes.
pub fn hash(row: &StepRow) -> ObjectId {
    let mut hasher = blake3::Hasher::new_derive_key("ckstore ledger row v1");
    let mut field = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => {
            hasher.update(&(bytes.len() as u64 + 1).to_le_bytes());
            hasher.update(bytes);
        }
        None => {
            hasher.update(&0u64.to_le_bytes());
        }
    };
    fn id(id: &Option<ObjectId>) -> Option<&[u8]> {
        id.as_ref().map(|id| id.as_bytes().as_slice())
    }
    let step = &row.step;
    let group = step.group.map(|group| group.to_le_bytes());
    let error = match &row.status {
        StepStatus::Done => None,
        StepStatus::Failed(error) => Some(error.as_bytes()),
    };
    field(Some(row.previous_hash.as_bytes()));
    field(Some(&row.seq.to_le_bytes()));
    field(Some(row.ref_name.as_str().as_bytes()));
    field(id(&row.revision));
    field(Some(step.kind.as_str().as_bytes()));
    field(Some(step.migration.as_bytes()));
    field(step.version.as_deref().map(str::as_bytes));
    field(group.as_ref().map(|bytes| bytes.as_slice()));
    field(id(&step.digest));
    field(id(&step.script));
    field(step.method.as_deref().map(str::as_bytes));
    field(Some(step.input.as_bytes()));
    field(Some(step.output.as_bytes()));
    field(id(&step.change));
    field(step.engine.as_deref().map(str::as_bytes));
    field(Some(step.started.to_string().as_bytes()));
    field(Some(step.finished.to_string().as_bytes()));
    field(error);
    field(Some(row.actor.as_bytes()));
    hasher.finalize().into()
}

impl Ledger {
    /// Checks every row against the chain and returns all faults.
    ///
    /// Rows cut off at the end leave no fault here: the refs and revisions that they belong to do.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn check_chain(&self) -> Result<Vec<ChainFault>, LedgerError> {
        self.find_faults().map_err(LedgerError::during("read the history"))
    }

    fn find_faults(&self) -> rusqlite::Result<Vec<ChainFault>> {
        let mut faults = Vec::new();
        let mut previous = (0, Some(GENESIS));
        let mut statement = self
            .connection
            .prepare_cached(&format!("SELECT {} FROM steps ORDER BY seq", super::steps::COLUMNS))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let seq = row.get(0)?;
            // A row that does not even read as one was altered; the next row is not to blame for it.
            let found = super::steps::read(row).ok();
            if seq != previous.0 + 1 {
                faults.push(ChainFault::Gap { seq: previous.0 + 1 });
            } else if let (Some(row), Some(hash)) = (&found, previous.1)
                && row.previous_hash != hash
            {
                faults.push(ChainFault::Broken { seq });
            }
            if found.as_ref().is_none_or(|row| hash(row) != row.hash) {
                faults.push(ChainFault::Altered { seq });
            }
            previous = (seq, found.map(|row| row.hash));
        }
        Ok(faults)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::open::tests::ledger;
    use super::super::{Ledger, NewStep, StepStatus};
    use super::*;
    use crate::refname::RefName;
    use crate::revision::{Step, StepKind};

    fn three_rows(ledger: &mut Ledger) {
        let name: RefName = "last".parse().unwrap();
        for migration in ["a", "b", "c"] {
            let step = Step {
                kind: StepKind::Migrate,
                migration: migration.into(),
                version: None,
                group: Some(0),
                digest: None,
                script: None,
                method: Some("run".into()),
                input: ObjectId::of(b"in"),
                output: ObjectId::of(b"out"),
                change: None,
                engine: None,
                started: Timestamp::UNIX_EPOCH,
                finished: Timestamp::UNIX_EPOCH,
            };
            let change = ledger.change().unwrap();
            let status = StepStatus::Done;
            let new = NewStep { ref_name: &name, revision: None, step: &step, status: &status, actor: "ada" };
            change.append_step(&new).unwrap();
            change.commit().unwrap();
        }
    }

    fn tamper(ledger: &Ledger, sql: &str) {
        ledger
            .connection
            .execute_batch(&format!(
                "DROP TRIGGER steps_are_never_changed; DROP TRIGGER steps_are_never_removed; {sql}"
            ))
            .unwrap();
    }

    #[test]
    fn rows_cannot_be_changed_or_removed_through_sql() {
        let (_dir, mut ledger) = ledger();
        three_rows(&mut ledger);
        for sql in ["UPDATE steps SET actor = 'eve'", "DELETE FROM steps"] {
            assert!(ledger.connection.execute(sql, []).is_err());
        }
        assert_eq!(ledger.check_chain().unwrap(), []);
    }

    #[test]
    fn an_altered_row_is_found() {
        let (_dir, mut ledger) = ledger();
        three_rows(&mut ledger);
        tamper(&ledger, "UPDATE steps SET actor = 'eve' WHERE seq = 2");
        assert_eq!(ledger.check_chain().unwrap(), [ChainFault::Altered { seq: 2 }]);
    }

    #[test]
    fn a_removed_row_is_found() {
        let (_dir, mut ledger) = ledger();
        three_rows(&mut ledger);
        tamper(&ledger, "DELETE FROM steps WHERE seq = 2");
        assert_eq!(ledger.check_chain().unwrap(), [ChainFault::Gap { seq: 2 }]);
    }
}
