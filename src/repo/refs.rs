//! Refs, one by one or page by page.

use crate::ledger::{RefKind, RefRow};
use crate::refname::RefName;

use super::branch::RefReport;
use super::{Repo, RepoError};

/// Which refs.
#[derive(Debug, Clone, Copy, Default)]
pub struct RefsOptions<'a> {
    /// What their names begin with.
    pub prefix: &'a str,
    /// Branches or tags; both when none is named.
    pub kind: Option<RefKind>,
    /// Only those whose name follows this one.
    pub after: Option<&'a str>,
    /// At most so many.
    pub limit: u32,
}

/// Some refs, by name.
#[derive(Debug, Clone)]
pub struct RefsPage {
    /// The refs.
    pub refs: Vec<RefReport>,
    /// The last of them, where more follow it.
    pub next: Option<RefName>,
}

impl Repo {
    /// Some refs, by name.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn refs_page(&self, options: &RefsOptions<'_>) -> Result<RefsPage, RepoError> {
        let after = options.after.unwrap_or("");
        // One more tells whether there are more.
        let wanted = options.limit.saturating_add(1);
        let mut rows = self.ledger.refs_after(options.prefix, after, options.kind, wanted)?;
        let more = rows.len() > options.limit as usize;
        rows.truncate(options.limit as usize);
        let next = rows.last().filter(|_| more).map(|row| row.name.clone());
        let head = self.head().ok();
        Ok(RefsPage { refs: rows.into_iter().map(|row| report(row, head.as_ref())).collect(), next })
    }

    /// The branch or tag of this name.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn ref_named(&self, name: &str) -> Result<RefReport, RepoError> {
        let head = self.head().ok();
        let found = match name.parse::<RefName>() {
            Ok(parsed) => self.ledger.find_ref(&parsed)?,
            Err(_) => None,
        };
        match found {
            Some(row) => Ok(report(row, head.as_ref())),
            None => self.branch_named(Some(name)).map(|row| report(row, head.as_ref())),
        }
    }
}

fn report(row: RefRow, head: Option<&RefName>) -> RefReport {
    RefReport {
        head: head == Some(&row.name),
        kind: row.kind.as_str(),
        revision: row.revision,
        name: row.name,
    }
}
