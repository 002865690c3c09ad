//! How a checkpoint stands beside the catalogue, without a target.

use std::collections::HashSet;

use serde::Serialize;

use super::lineage::Lineage;
use super::{Applied, Entry, ResolveError};

/// How a checkpoint stands beside the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Status {
    /// The compatibility group, if the list tells.
    pub group: Option<u32>,
    /// Applied migrations that the catalogue has, under their names in the catalogue, in the list's order.
    pub registered: Vec<String>,
    /// Released migrations of the checkpoint's group that are not applied, in catalogue order. Empty while the
    /// group is unknown.
    pub missing: Vec<String>,
    /// Applied migrations that the catalogue lacks, in the list's order.
    pub extra: Vec<String>,
    /// Applied migrations that were changed after they ran on this checkpoint.
    pub drift: Vec<String>,
    /// The version of the first final after the checkpoint's group: it and later ones cannot be reached.
    pub first_incompatible_version: Option<String>,
    /// Why the group is unknown.
    #[serde(skip)]
    pub problem: Option<ResolveError>,
}

/// Compares a checkpoint's list with the catalogue.
///
/// It always answers: a list that the resolver would refuse is told in [`Status::problem`].
pub fn status(applied: Option<&[Applied]>, catalogue: &[Entry]) -> Status {
    let Some(applied) = applied else {
        return Status { problem: Some(ResolveError::Unbaselined), ..Status::default() };
    };
    let lineage =
        match super::refuse_duplicates(catalogue).and_then(|()| Lineage::of(applied, catalogue, false)) {
            Ok(lineage) => lineage,
            Err(problem) => return by_name(applied, catalogue, problem),
        };
    let known: HashSet<usize> = lineage.positions.iter().copied().flatten().collect();
    let mut status = Status { group: Some(lineage.group), ..Status::default() };
    for (step, position) in applied.iter().zip(&lineage.positions) {
        match position {
            Some(position) => status.registered.push(catalogue[*position].name.clone()),
            None => status.extra.push(step.name.clone()),
        }
    }
    let mut group = 0;
    for (index, entry) in catalogue.iter().enumerate() {
        group += u32::from(entry.is_final);
        if group == lineage.group && !known.contains(&index) && !entry.version.is_placeholder() {
            status.missing.push(entry.name.clone());
        }
        if group == lineage.group + 1 && entry.is_final {
            status.first_incompatible_version = Some(entry.version.to_string());
        }
    }
    status.drift = lineage.drifted(applied, catalogue);
    status
}

fn by_name(applied: &[Applied], catalogue: &[Entry], problem: ResolveError) -> Status {
    let names: HashSet<&str> = catalogue.iter().map(|entry| entry.name.as_str()).collect();
    let all = applied.iter().map(|step| step.name.clone());
    let (registered, extra) = all.partition(|name| names.contains(name.as_str()));
    Status { registered, extra, problem: Some(problem), ..Status::default() }
}
