//! What a migration looks for that a checkpoint does not have.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::migration::engine::Limits;
use crate::migration::{Lookups, Migration, lookups};
use crate::value::{Graph, Kind};

use super::super::RepoError;

/// Something that a migration looks for and a checkpoint does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmatched {
    /// The line of the migration's file, from 1.
    pub line: u32,
    /// What is missing.
    pub message: String,
}

/// What a migration looks for that a checkpoint does not have: steps that match nothing, and keys that a script
/// names and nothing in the checkpoint is called by, nor one of `others`.
///
/// # Errors
///
/// If the system gives no thread to parse a script.
pub(super) fn unmatched(
    migration: &Migration,
    graph: &Graph,
    others: &BTreeSet<String>,
    limits: &Limits,
) -> Result<Vec<Unmatched>, RepoError> {
    if let Some(body) = &migration.body {
        let steps = body.unmatched(graph, limits).into_iter();
        return Ok(steps.map(|(line, reason)| Unmatched { line, message: reason.to_string() }).collect());
    }
    let mut keys: BTreeSet<String> = others.clone();
    // Whatever is text may be looked up: keys, names of attributes, classes and settings.
    for node in &graph.nodes {
        match &node.kind {
            Kind::Str(text) => drop(keys.insert(text.clone())),
            Kind::Global { module, name } => keys.extend([module.clone(), name.clone()]),
            _ => {}
        }
    }
    let missing = looked_up(migration)?.wanted.into_iter().filter(|lookup| !lookup.is_among(&keys));
    let told =
        |line, text| Unmatched { line, message: format!("nothing in the checkpoint is called `{text}`") };
    Ok(missing.map(|lookup| told(lookup.line, lookup.text)).collect())
}

/// What a script looks up, and which keys it makes.
pub(super) fn looked_up(migration: &Migration) -> Result<Lookups, RepoError> {
    let found = lookups(&migration.source).map_err(RepoError::io("parse", migration.file.as_ref()))?;
    // It was parsed when the catalogue was loaded.
    Ok(found.unwrap_or_default())
}
