//! Refs: names that lead to revisions.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params, params_from_iter};

use super::text;
use super::{Change, Ledger, LedgerError};
use crate::object::ObjectId;
use crate::refname::RefName;

/// Whether a ref may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefKind {
    /// It moves with every import and checkout.
    Branch,
    /// It stays.
    Tag,
}

impl RefKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            RefKind::Branch => "branch",
            RefKind::Tag => "tag",
        }
    }
}

/// A ref as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefRow {
    /// Its name.
    pub name: RefName,
    /// Whether it may move.
    pub kind: RefKind,
    /// The revision it names.
    pub revision: ObjectId,
    /// The catalogue that was given for it, a folder.
    pub catalogue: Option<String>,
    /// When it last moved.
    pub updated: Timestamp,
}

/// A move of a ref, from where it is expected to be.
#[derive(Debug, Clone, Copy)]
pub struct RefMove<'a> {
    /// The ref.
    pub name: &'a RefName,
    /// What it is.
    pub kind: RefKind,
    /// Where it must point now; `None` when it must not exist.
    pub expected: Option<ObjectId>,
    /// Where it shall point; `None` removes it.
    pub new: Option<ObjectId>,
    /// What moves it, for instance `import`.
    pub operation: &'a str,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: &'a str,
}

/// One row of the ref log: name, old and new revision, operation, time, actor.
pub type RefLogRow = (RefName, Option<ObjectId>, Option<ObjectId>, String, Timestamp, String);

const COLUMNS: &str = "name, kind, revision, catalogue, updated";

pub(super) fn by_name() -> String {
    format!("SELECT {COLUMNS} FROM refs WHERE name = ?1")
}

pub(super) const AT_REVISION: &str = "SELECT name FROM refs WHERE revision = ?1 ORDER BY name";
pub(super) const LOG_OF_REF: &str =
    "SELECT ref, old_revision, new_revision, operation, at, actor FROM ref_log
     WHERE ref = ?1 ORDER BY seq";
const LOG: &str = "SELECT ref, old_revision, new_revision, operation, at, actor FROM ref_log ORDER BY seq";

fn read(row: &Row<'_>) -> rusqlite::Result<RefRow> {
    let kind: String = row.get(1)?;
    Ok(RefRow {
        name: text::ref_name(row, 0)?,
        kind: if kind == "tag" { RefKind::Tag } else { RefKind::Branch },
        revision: text::id(row, 2)?,
        catalogue: row.get(3)?,
        updated: text::time(row, 4)?,
    })
}

impl Ledger {
    /// The ref with this name.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn find_ref(&self, name: &RefName) -> Result<Option<RefRow>, LedgerError> {
        self.connection
            .prepare_cached(&by_name())
            .and_then(|mut statement| statement.query_row([name.as_str()], read).optional())
            .map_err(LedgerError::during("read a ref"))
    }

    /// All refs, by name.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn refs(&self) -> Result<Vec<RefRow>, LedgerError> {
        self.connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM refs ORDER BY name"))
            .and_then(|mut statement| statement.query_map([], read)?.collect())
            .map_err(LedgerError::during("list its refs"))
    }

    /// At most `limit` refs whose name begins with `prefix` and follows `after`, by name.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn refs_after(
        &self,
        prefix: &str,
        after: &str,
        kind: Option<RefKind>,
        limit: u32,
    ) -> Result<Vec<RefRow>, LedgerError> {
        // The second bound ends the scan of the index, the third is exact.
        let statement = format!(
            "SELECT {COLUMNS} FROM refs
             WHERE name > ?1 AND name >= ?2 AND name < ?2 || char(0x10FFFF)
               AND substr(name, 1, length(?2)) = ?2 AND (?3 IS NULL OR kind = ?3)
             ORDER BY name LIMIT ?4"
        );
        self.connection
            .prepare_cached(&statement)
            .and_then(|mut statement| {
                let kind = kind.map(RefKind::as_str);
                statement.query_map(params![after, prefix, kind, limit], read)?.collect()
            })
            .map_err(LedgerError::during("list its refs"))
    }

    /// Names of the refs that name a revision, sorted.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn refs_at(&self, revision: &ObjectId) -> Result<Vec<RefName>, LedgerError> {
        self.connection
            .prepare_cached(AT_REVISION)
            .and_then(|mut statement| {
                statement.query_map([revision.as_bytes()], |row| text::ref_name(row, 0))?.collect()
            })
            .map_err(LedgerError::during("list its refs"))
    }

    /// The refs whose names begin with this one and a slash, by name.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn refs_below(&self, name: &RefName) -> Result<Vec<RefRow>, LedgerError> {
        // In the order of bytes `0` follows `/`.
        let (from, to) = (format!("{name}/"), format!("{name}0"));
        self.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM refs WHERE name >= ?1 AND name < ?2 ORDER BY name"
            ))
            .and_then(|mut statement| statement.query_map([from, to], read)?.collect())
            .map_err(LedgerError::during("list its refs"))
    }

    /// Every move of a ref, or of all, oldest first.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn ref_log(&self, name: Option<&RefName>) -> Result<Vec<RefLogRow>, LedgerError> {
        let statement = if name.is_some() { LOG_OF_REF } else { LOG };
        self.connection
            .prepare_cached(statement)
            .and_then(|mut statement| {
                statement
                    .query_map(params_from_iter(name.map(RefName::as_str)), |row| {
                        Ok((
                            text::ref_name(row, 0)?,
                            text::id_or_none(row, 1)?,
                            text::id_or_none(row, 2)?,
                            row.get(3)?,
                            text::time(row, 4)?,
                            row.get(5)?,
                        ))
                    })?
                    .collect()
            })
            .map_err(LedgerError::during("read the ref log"))
    }
}

impl Change<'_> {
    /// Moves, makes or removes a ref, and enters that in the ref log.
    ///
    /// # Errors
    ///
    /// [`LedgerError::RefMoved`] if it does not point where it was expected to; nothing is changed then.
    pub fn move_ref(&self, step: &RefMove<'_>) -> Result<(), LedgerError> {
        let found = self
            .transaction
            .prepare_cached("SELECT revision FROM refs WHERE name = ?1")
            .and_then(|mut statement| {
                statement.query_row([step.name.as_str()], |row| text::id(row, 0)).optional()
            })
            .map_err(LedgerError::during("read a ref"))?;
        if found != step.expected {
            return Err(LedgerError::RefMoved { name: step.name.clone(), expected: step.expected, found });
        }
        self.write_ref(step).map_err(LedgerError::during("move a ref"))
    }

    fn write_ref(&self, step: &RefMove<'_>) -> rusqlite::Result<()> {
        let name = step.name.as_str();
        match step.new {
            Some(new) => self.run(
                "INSERT INTO refs (name, kind, revision, updated) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO UPDATE SET revision = ?3, updated = ?4",
                params![name, step.kind.as_str(), new.as_bytes(), step.at.to_string()],
            )?,
            None => self.run("DELETE FROM refs WHERE name = ?1", [name])?,
        };
        self.run(
            "INSERT INTO ref_log (ref, old_revision, new_revision, operation, at, actor)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                name,
                step.expected.as_ref().map(ObjectId::as_bytes),
                step.new.as_ref().map(ObjectId::as_bytes),
                step.operation,
                step.at.to_string(),
                step.actor,
            ],
        )?;
        Ok(())
    }

    /// Remembers the catalogue that was given for a ref.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be written.
    pub fn set_catalogue(&self, name: &RefName, catalogue: &str) -> Result<(), LedgerError> {
        self.transaction
            .execute("UPDATE refs SET catalogue = ?2 WHERE name = ?1", params![name.as_str(), catalogue])
            .map(drop)
            .map_err(LedgerError::during("remember a catalogue"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::open::tests::ledger;
    use super::*;

    #[test]
    fn a_ref_moves_only_from_where_it_is_expected() {
        let (_dir, mut ledger) = ledger();
        let name: RefName = "last".parse().unwrap();
        let change = ledger.change().unwrap();
        let step = RefMove {
            name: &name,
            kind: RefKind::Branch,
            expected: Some(ObjectId::of(b"elsewhere")),
            new: None,
            operation: "test",
            at: Timestamp::UNIX_EPOCH,
            actor: "ada",
        };
        assert!(matches!(change.move_ref(&step), Err(LedgerError::RefMoved { found: None, .. })));
    }

    #[test]
    fn a_ref_names_only_revisions_that_exist() {
        let (_dir, mut ledger) = ledger();
        let name: RefName = "last".parse().unwrap();
        let change = ledger.change().unwrap();
        let step = RefMove {
            name: &name,
            kind: RefKind::Branch,
            expected: None,
            new: Some(ObjectId::of(b"nowhere")),
            operation: "test",
            at: Timestamp::UNIX_EPOCH,
            actor: "ada",
        };
        assert!(matches!(change.move_ref(&step), Err(LedgerError::Sql { .. })));
    }
}
