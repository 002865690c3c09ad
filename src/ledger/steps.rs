//! The rows of the ledger: everything that was done to a checkpoint.

use rusqlite::{OptionalExtension, Row, params, params_from_iter};
use serde::Serialize;

use super::chain;
use super::text;
use super::{Change, Ledger, LedgerError};
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::revision::{Step, StepKind};

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepStatus {
    /// It was done.
    Done,
    /// It failed, for this reason; nothing changed.
    Failed(String),
}

/// A step to be entered.
#[derive(Debug, Clone, Copy)]
pub struct NewStep<'a> {
    /// The ref that it was done to.
    pub ref_name: &'a RefName,
    /// The revision that holds the result; `None` for a failed step.
    pub revision: Option<ObjectId>,
    /// What was done.
    pub step: &'a Step,
    /// How it ended.
    pub status: &'a StepStatus,
    /// Who did it.
    pub actor: &'a str,
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow {
    /// Its number, from 1.
    pub seq: i64,
    /// The ref that it was done to.
    pub ref_name: RefName,
    /// The revision that holds the result.
    pub revision: Option<ObjectId>,
    /// What was done.
    pub step: Step,
    /// How it ended.
    pub status: StepStatus,
    /// Who did it.
    pub actor: String,
    /// Hash of the row before, [`GENESIS`](super::GENESIS) for the first.
    pub previous_hash: ObjectId,
    /// Hash of this row.
    pub hash: ObjectId,
}

/// What a step of a collection did to its documents, each of which has a row of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DocumentCounts {
    /// Number of documents that it changed.
    pub changed: u64,
    /// Number of documents that it added.
    pub inserted: u64,
    /// Number of documents that it removed.
    pub deleted: u64,
    /// Number of documents that it left as they were.
    pub unchanged: u64,
}

pub(super) const COLUMNS: &str =
    "seq, ref, revision, kind, migration, version, group_number, digest, script, method,
    input_tree, output_tree, change_record, engine, started, finished, status, error, actor,
    previous_hash, hash";

pub(super) const RAN: &str =
    "SELECT 1 FROM steps WHERE migration = ?1 AND kind IN ('migrate', 'redo') AND status = 'done' LIMIT 1";

/// The rows of a ref, oldest first.
pub(super) fn of_ref() -> String {
    format!("SELECT {COLUMNS} FROM steps WHERE ref = ?1 ORDER BY seq")
}

/// Rows of the documents of a collection that were entered between two rows, for one run of a migration. `+` keeps
/// the names from being looked up one by one: the numbers bound it better.
pub(super) const COUNTED: &str =
    "SELECT coalesce(sum(kept AND NOT added AND input_tree <> output_tree), 0), coalesce(sum(kept AND added), 0),
        coalesce(sum(NOT kept), 0), coalesce(sum(kept AND NOT added AND input_tree = output_tree), 0)
     FROM (SELECT input_tree, output_tree, revision IS NOT NULL AS kept,
            EXISTS (SELECT 1 FROM ref_log WHERE ref_log.ref = steps.ref AND old_revision IS NULL
                AND new_revision = steps.revision) AS added
        FROM steps WHERE seq > ?1 AND seq < ?2 AND +ref > ?3 AND +ref < ?4
            AND +migration = ?5 AND started = ?6 AND status = 'done')";

/// What lies below a name: from, and up to. In the order of bytes `0` follows `/`.
fn below(name: &RefName) -> [String; 2] {
    [format!("{name}/"), format!("{name}0")]
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<StepRow> {
    let kind: String = row.get(3)?;
    let kind = StepKind::from_word(&kind).ok_or_else(|| {
        rusqlite::Error::InvalidColumnType(3, "kind".to_owned(), rusqlite::types::Type::Text)
    })?;
    let status: String = row.get(16)?;
    let error: Option<String> = row.get(17)?;
    Ok(StepRow {
        seq: row.get(0)?,
        ref_name: text::ref_name(row, 1)?,
        revision: text::id_or_none(row, 2)?,
        step: Step {
            kind,
            migration: row.get(4)?,
            version: row.get(5)?,
            group: row.get(6)?,
            digest: text::id_or_none(row, 7)?,
            script: text::id_or_none(row, 8)?,
            method: row.get(9)?,
            input: text::id(row, 10)?,
            output: text::id(row, 11)?,
            change: text::id_or_none(row, 12)?,
            engine: row.get(13)?,
            started: text::time(row, 14)?,
            finished: text::time(row, 15)?,
        },
        status: if status == "failed" {
            StepStatus::Failed(error.unwrap_or_default())
        } else {
            StepStatus::Done
        },
        actor: row.get(18)?,
        previous_hash: text::id(row, 19)?,
        hash: text::id(row, 20)?,
    })
}

impl Ledger {
    /// The rows of a ref, or all, oldest first.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn steps(&self, name: Option<&RefName>) -> Result<Vec<StepRow>, LedgerError> {
        let statement = match name {
            Some(_) => of_ref(),
            None => format!("SELECT {COLUMNS} FROM steps ORDER BY seq"),
        };
        self.connection
            .prepare_cached(&statement)
            .and_then(|mut statement| {
                statement.query_map(params_from_iter(name.map(RefName::as_str)), read)?.collect()
            })
            .map_err(LedgerError::during("read the history"))
    }
}

impl Ledger {
    /// The rows of a name and of every ref below it, oldest first.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn steps_from(&self, name: &RefName) -> Result<Vec<StepRow>, LedgerError> {
        let [from, to] = below(name);
        let statement =
            format!("SELECT {COLUMNS} FROM steps WHERE ref = ?1 OR (ref > ?2 AND ref < ?3) ORDER BY seq");
        self.connection
            .prepare_cached(&statement)
            .and_then(|mut statement| statement.query_map([name.as_str(), &from, &to], read)?.collect())
            .map_err(LedgerError::during("read the history"))
    }

    /// What a step of a collection did to its documents, by the rows that were entered for it after the row `after`;
    /// `None` where the row is none of a collection that was done.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn documents_of(&self, row: &StepRow, after: i64) -> Result<Option<DocumentCounts>, LedgerError> {
        let is_done = row.status == StepStatus::Done && row.revision.is_none();
        // Of a document that was removed, both are what it was.
        if !is_done || row.step.input == row.step.output {
            return Ok(None);
        }
        let [from, to] = below(&row.ref_name);
        let values = params![after, row.seq, from, to, row.step.migration, row.step.started.to_string()];
        let counts = |row: &Row<'_>| {
            let count = |place| text::count(row, place);
            Ok(DocumentCounts {
                changed: count(0)?,
                inserted: count(1)?,
                deleted: count(2)?,
                unchanged: count(3)?,
            })
        };
        self.connection
            .prepare_cached(COUNTED)
            .and_then(|mut statement| statement.query_row(values, counts))
            .map(Some)
            .map_err(LedgerError::during("read the history"))
    }

    /// Whether a migration of this name ever ran here on any checkpoint.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn ever_ran(&self, migration: &str) -> Result<bool, LedgerError> {
        self.connection
            .prepare_cached(RAN)
            .and_then(|mut statement| statement.exists([migration]))
            .map_err(LedgerError::during("read the history"))
    }

    /// Passes every row that reads as one to `see`, oldest first.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn each_step(&self, see: &mut dyn FnMut(StepRow)) -> Result<(), LedgerError> {
        let mut each = || {
            let mut statement =
                self.connection.prepare_cached(&format!("SELECT {COLUMNS} FROM steps ORDER BY seq"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                if let Ok(row) = read(row) {
                    see(row);
                }
            }
            Ok(())
        };
        each().map_err(LedgerError::during("read the history"))
    }
}

impl Change<'_> {
    /// Adds a row at the end of the chain and returns its number.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be written.
    pub fn append_step(&self, new: &NewStep<'_>) -> Result<i64, LedgerError> {
        self.enter_step(new).map_err(LedgerError::during("add a row"))
    }

    fn enter_step(&self, new: &NewStep<'_>) -> rusqlite::Result<i64> {
        let last: Option<(i64, ObjectId)> = self
            .transaction
            .prepare_cached("SELECT seq, hash FROM steps ORDER BY seq DESC LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, text::id(row, 1)?)))
            .optional()?;
        let (seq, previous_hash) = last.map_or((1, chain::GENESIS), |(seq, hash)| (seq + 1, hash));
        let mut row = StepRow {
            seq,
            ref_name: new.ref_name.clone(),
            revision: new.revision,
            step: new.step.clone(),
            status: new.status.clone(),
            actor: new.actor.to_owned(),
            previous_hash,
            hash: previous_hash,
        };
        row.hash = chain::hash(&row);
        let step = &row.step;
        let (status, error) = match &row.status {
            StepStatus::Done => ("done", None),
            StepStatus::Failed(error) => ("failed", Some(error)),
        };
        self.transaction
            .prepare_cached(&format!(
                "INSERT INTO steps ({COLUMNS}) VALUES
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)"
            ))?
            .execute(params![
                row.seq,
                row.ref_name.as_str(),
                row.revision.as_ref().map(ObjectId::as_bytes),
                step.kind.as_str(),
                step.migration,
                step.version,
                step.group,
                step.digest.as_ref().map(ObjectId::as_bytes),
                step.script.as_ref().map(ObjectId::as_bytes),
                step.method,
                step.input.as_bytes(),
                step.output.as_bytes(),
                step.change.as_ref().map(ObjectId::as_bytes),
                step.engine,
                step.started.to_string(),
                step.finished.to_string(),
                status,
                error,
                row.actor,
                row.previous_hash.as_bytes(),
                row.hash.as_bytes(),
            ])?;
        Ok(row.seq)
    }
}
