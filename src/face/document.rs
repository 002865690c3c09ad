//! The documents around lists, as `--json` prints them. A report that is no list is its own document.

use serde::Serialize;

/// Refs, or where they stand.
#[derive(Debug, Serialize)]
pub struct Refs<'a, T> {
    /// One entry for each ref.
    pub refs: &'a [T],
}

/// Revisions, or steps of the history.
#[derive(Debug, Serialize)]
pub struct Entries<'a, T> {
    /// The entries, in the order of the log.
    pub entries: &'a [T],
}

/// Compatibility groups.
#[derive(Debug, Serialize)]
pub struct Groups<'a, T> {
    /// One entry for each group.
    pub groups: &'a [T],
}
