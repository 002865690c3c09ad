//! Revisions in the ledger.

use rusqlite::{OptionalExtension, Row, params};

use super::text;
use super::{Change, Ledger, LedgerError};
use crate::object::ObjectId;
use crate::revision::Revision;

/// A revision with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRow {
    /// Its name.
    pub id: ObjectId,
    /// What it says.
    pub revision: Revision,
}

pub(super) const BY_NAME: &str = "SELECT name, body FROM revisions WHERE name = ?1";
pub(super) const TURN_OF: &str = "SELECT turns.name, turns.body FROM revisions
     JOIN revisions AS turns ON turns.name = coalesce(revisions.turn, revisions.name) WHERE revisions.name = ?1";
pub(super) const TURN_AND_TEXT: &str = "SELECT turn, body FROM revisions WHERE name = ?1";
pub(super) const BY_NAME_RANGE: &str = "SELECT name FROM revisions WHERE name BETWEEN ?1 AND ?2 LIMIT ?3";
pub(super) const BY_TREE: &str = "SELECT name FROM revisions WHERE tree = ?1 ORDER BY number DESC LIMIT 1";

fn read(row: &Row<'_>) -> rusqlite::Result<(ObjectId, String)> {
    Ok((text::id(row, 0)?, row.get(1)?))
}

fn decode((id, body): (ObjectId, String)) -> Result<RevisionRow, LedgerError> {
    match Revision::decode(body.as_bytes()) {
        Ok(revision) => Ok(RevisionRow { id, revision }),
        Err(error) => {
            Err(LedgerError::Damaged { what: format!("revision {} does not parse: {error}", id.short()) })
        }
    }
}

/// What the row of a revision says.
#[derive(Debug, Clone, Copy)]
pub struct StoredRevision<'a> {
    /// Its name.
    pub id: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
    /// The one where it [turned](Ledger::turn_of), if that is known.
    pub turn: Option<ObjectId>,
    /// The text that should hash to its name.
    pub body: &'a str,
}

impl Ledger {
    /// The revision with this name.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read, or the row does not parse.
    pub fn revision(&self, id: &ObjectId) -> Result<Option<Revision>, LedgerError> {
        let found = self
            .connection
            .prepare_cached(BY_NAME)
            .and_then(|mut statement| statement.query_row([id.as_bytes()], read).optional())
            .map_err(LedgerError::during("read a revision"))?;
        Ok(found.map(decode).transpose()?.map(|row| row.revision))
    }

    /// The nearest revision, this one or one that it continues, that [turns](Revision::turns_from) from the one
    /// before it. What lies between has neither steps nor another list of migrations.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read, or the row does not parse.
    pub fn turn_of(&self, id: &ObjectId) -> Result<Option<Revision>, LedgerError> {
        let found = self
            .connection
            .prepare_cached(TURN_OF)
            .and_then(|mut statement| statement.query_row([id.as_bytes()], read).optional())
            .map_err(LedgerError::during("read a revision"))?;
        Ok(found.map(decode).transpose()?.map(|row| row.revision))
    }

    /// All revisions, oldest first.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read, or a row does not parse.
    pub fn revisions(&self) -> Result<Vec<RevisionRow>, LedgerError> {
        let rows: Vec<_> = self
            .connection
            .prepare_cached("SELECT name, body FROM revisions ORDER BY number")
            .and_then(|mut statement| statement.query_map([], read)?.collect())
            .map_err(LedgerError::during("list its revisions"))?;
        rows.into_iter().map(decode).collect()
    }

    /// Passes every revision to `see`, oldest first.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn each_revision(&self, see: &mut dyn FnMut(StoredRevision<'_>)) -> Result<(), LedgerError> {
        let mut each = || {
            let mut statement = self
                .connection
                .prepare_cached("SELECT name, tree, turn, body FROM revisions ORDER BY number")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                see(StoredRevision {
                    id: text::id(row, 0)?,
                    tree: text::id(row, 1)?,
                    turn: text::id_or_none(row, 2)?,
                    body: row.get_ref(3)?.as_str()?,
                });
            }
            Ok(())
        };
        each().map_err(LedgerError::during("list its revisions"))
    }

    /// Names of the revisions whose name starts with these hexadecimal digits, at most `limit`.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn revisions_starting_with(&self, digits: &str, limit: u32) -> Result<Vec<ObjectId>, LedgerError> {
        // The first and the last name that begin so.
        let bound = |fill: &str| format!("{digits}{}", fill.repeat(64_usize.saturating_sub(digits.len())));
        let bounds = (bound("0").parse::<ObjectId>(), bound("f").parse::<ObjectId>());
        let (Ok(first), Ok(last)) = bounds else { return Ok(Vec::new()) };
        self.connection
            .prepare_cached(BY_NAME_RANGE)
            .and_then(|mut statement| {
                let bounds = params![first.as_bytes(), last.as_bytes(), limit];
                statement.query_map(bounds, |row| text::id(row, 0))?.collect()
            })
            .map_err(LedgerError::during("look a revision up"))
    }

    /// The newest revision with this content.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn revision_of_tree(&self, tree: &ObjectId) -> Result<Option<ObjectId>, LedgerError> {
        self.connection
            .prepare_cached(BY_TREE)
            .and_then(|mut statement| {
                statement.query_row([tree.as_bytes()], |row| text::id(row, 0)).optional()
            })
            .map_err(LedgerError::during("look a tree up"))
    }
}

impl Change<'_> {
    /// Enters a revision. Its object must already be in a synced pack, its parents already entered.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be written.
    pub fn add_revision(&self, id: &ObjectId, revision: &Revision) -> Result<(), LedgerError> {
        self.enter_revision(id, revision).map_err(LedgerError::during("enter a revision"))
    }

    fn enter_revision(&self, id: &ObjectId, revision: &Revision) -> rusqlite::Result<()> {
        let body = String::from_utf8(revision.encode())
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let turn = self.turn(id, revision)?;
        self.run(
            "INSERT OR IGNORE INTO revisions (name, tree, created, body, turn) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                id.as_bytes(),
                revision.tree.as_bytes(),
                revision.created.to_string(),
                body,
                turn.as_bytes()
            ],
        )?;
        for (position, parent) in (0i64..).zip(&revision.parents) {
            self.run(
                "INSERT OR IGNORE INTO revision_parents (revision, position, parent) VALUES (?1, ?2, ?3)",
                params![id.as_bytes(), position, parent.as_bytes()],
            )?;
        }
        Ok(())
    }

    /// Where a new revision turned: there where its parent did, or it does itself.
    fn turn(&self, id: &ObjectId, revision: &Revision) -> rusqlite::Result<ObjectId> {
        let Some(parent) = revision.parents.first() else { return Ok(*id) };
        let found: Option<(Option<ObjectId>, String)> = self
            .transaction
            .prepare_cached(TURN_AND_TEXT)?
            .query_row([parent.as_bytes()], |row| Ok((text::id_or_none(row, 0)?, row.get(1)?)))
            .optional()?;
        Ok(match found {
            Some((Some(turn), body)) => match Revision::decode(body.as_bytes()) {
                Ok(parent) if !revision.turns_from(&parent) => turn,
                _ => *id,
            },
            _ => *id,
        })
    }
}
