//! Where a checkpoint's list stands in the catalogue.

use std::collections::{HashMap, HashSet};

use super::super::plan::Warning;
use super::{Applied, Entry, LedgerError, ObjectId, ResolveError};

/// A checkpoint's list, found in the catalogue.
pub(super) struct Lineage {
    /// For each applied migration its place in the catalogue.
    pub(super) positions: Vec<Option<usize>>,
    /// The compatibility group: the number of finals up to the one that the list begins with.
    pub(super) group: u32,
    /// The migrations that have another name in the catalogue.
    pub(super) renamed: Vec<Warning>,
}

impl Lineage {
    /// Finds the list in the catalogue.
    ///
    /// # Errors
    /// [`ResolveError::Ledger`] or [`ResolveError::UnknownLineage`], the latter only without `allow_unknown`.
    pub(super) fn of(
        applied: &[Applied],
        catalogue: &[Entry],
        allow_unknown: bool,
    ) -> Result<Lineage, ResolveError> {
        let (positions, renamed) = find(applied, catalogue)?;
        let group = match (applied.first(), positions.first()) {
            (Some(first), Some(Some(position))) => group_of(first, *position, catalogue)?,
            (Some(first), Some(None)) if !allow_unknown => {
                return Err(ResolveError::UnknownLineage { name: first.name.clone() });
            }
            _ => 0,
        };
        let inside = positions.iter().zip(applied).skip(1);
        for (position, applied) in inside {
            if position.is_some_and(|position| catalogue[position].is_final) {
                return Err(LedgerError::MisplacedMarker { name: applied.name.clone() }.into());
            }
        }
        Ok(Lineage { positions, group, renamed })
    }

    /// The migrations that were changed after they ran on this checkpoint.
    pub(super) fn drifted(&self, applied: &[Applied], catalogue: &[Entry]) -> Vec<String> {
        let known = applied.iter().zip(&self.positions).filter_map(|(a, position)| Some((a, (*position)?)));
        known
            .filter(|(a, position)| {
                let now = catalogue[*position].digest;
                a.executed && a.digest.is_some() && now.is_some() && a.digest != now
            })
            .map(|(a, _)| a.name.clone())
            .collect()
    }
}

/// The place of each applied migration: by its name, else by a digest that fits exactly one migration which is
/// not in the list.
fn find(
    applied: &[Applied],
    catalogue: &[Entry],
) -> Result<(Vec<Option<usize>>, Vec<Warning>), ResolveError> {
    let places: HashMap<&str, usize> =
        catalogue.iter().enumerate().map(|(i, e)| (e.name.as_str(), i)).collect();
    let mut seen = HashSet::new();
    if let Some(twice) = applied.iter().find(|a| !seen.insert(a.name.as_str())) {
        return Err(LedgerError::Duplicate { name: twice.name.clone() }.into());
    }
    let mut positions: Vec<Option<usize>> =
        applied.iter().map(|a| places.get(a.name.as_str()).copied()).collect();

    let mut free: HashMap<ObjectId, Vec<usize>> = HashMap::new();
    for (index, entry) in catalogue.iter().enumerate() {
        if let Some(digest) = entry.digest.filter(|_| !seen.contains(entry.name.as_str())) {
            free.entry(digest).or_default().push(index);
        }
    }
    let mut renamed = Vec::new();
    for (at, (a, position)) in applied.iter().zip(&mut positions).enumerate() {
        let Some(digest) = a.digest.or(a.signature).filter(|_| position.is_none()) else { continue };
        let Some(&[index]) = free.get(&digest).map(Vec::as_slice) else { continue };
        if at > 0 && catalogue[index].is_final {
            // Finals are alike. Only the first of a list can be one.
            continue;
        }
        free.remove(&digest);
        *position = Some(index);
        renamed.push(Warning::Renamed { from: a.name.clone(), to: catalogue[index].name.clone() });
    }
    Ok((positions, renamed))
}

/// The group of a list that begins with this migration of the catalogue.
fn group_of(first: &Applied, position: usize, catalogue: &[Entry]) -> Result<u32, ResolveError> {
    let begin = &catalogue[position];
    let mut finals = catalogue[..=position].iter().filter(|entry| entry.is_final);
    if begin.is_final {
        return Ok(finals.count() as u32);
    }
    // A final of a later version is passed by: a fix of an old version that was added behind it belongs, for
    // checkpoints of that version, to the group before.
    match finals.rfind(|marker| marker.version <= begin.version) {
        None => Ok(0),
        Some(marker) => {
            Err(LedgerError::MissingMarker { name: first.name.clone(), marker: marker.name.clone() }.into())
        }
    }
}
