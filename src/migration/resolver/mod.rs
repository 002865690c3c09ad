//! The resolver: which migrations to undo and to run, so that a checkpoint is at a version.
//!
//! A pure function from the checkpoint's list, the catalogue and a target to a [`Plan`] or a coded error. It is
//! all or nothing: when one step cannot be done there is no plan.

mod error;
mod lineage;
mod method;
mod status;
mod target;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use super::plan::{Method, Operation, OperationKind, Plan, PlanTarget, Policy, Warning};
use super::version::Version;
use crate::object::ObjectId;

pub use error::{LedgerError, ResolveError};
use lineage::Lineage;
pub use status::{Status, status};
pub use target::Target;

/// What the resolver needs to know of a migration in the catalogue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name: the stem of the file.
    pub name: String,
    /// The version of the package that brought it.
    pub version: Version,
    /// Whether it opens a compatibility group. A final never runs and is never undone.
    pub is_final: bool,
    /// The digest of its body, if there is one to compare with.
    pub digest: Option<ObjectId>,
    /// Whether it can be run.
    pub has_migrate: bool,
    /// Whether it brings its own rollback.
    pub has_rollback: bool,
    /// Whether running it takes an interpreter.
    pub is_code: bool,
}

/// A migration in a checkpoint's list, and what is known about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The name it was registered under.
    pub name: String,
    /// The digest of its body then, if that is known.
    pub digest: Option<ObjectId>,
    /// The signature in the checkpoint's own list, if it may be a digest. Another framework's never fits.
    pub signature: Option<ObjectId>,
    /// Whether it ran on this checkpoint, and was not only registered when the checkpoint was born.
    pub executed: bool,
    /// Whether the step's input is stored.
    pub snapshot: bool,
    /// Whether the content was changed after the step by something that is no migration.
    pub trained: bool,
    /// Whether the step's change record can be undone on changed content.
    pub mapping: bool,
    /// Whether the source of its rollback is stored by value.
    pub script: bool,
}

/// How to resolve.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which migrations are needed.
    pub policy: Policy,
    /// Refuse every step that takes an interpreter.
    pub no_code: bool,
    /// Refuse migrations that were changed after they ran on this checkpoint.
    pub strict: bool,
    /// Take a list that begins with an unknown migration as one of group 0.
    pub allow_unknown_lineage: bool,
}

/// Plans the way of a checkpoint to a target.
///
/// `applied` is the checkpoint's list, oldest first, or `None` when it has no list at all. `catalogue` is in the
/// order in which migrations run. Reads no clock, no file and no tensor.
///
/// # Errors
/// One coded error, see [`ResolveError`]; the first that applies, in the order: catalogue and target, the
/// checkpoint's list, groups, rollbacks from the newest, migrations from the oldest, drift.
pub fn resolve(
    applied: Option<&[Applied]>,
    catalogue: &[Entry],
    target: &Target,
    options: &Options,
) -> Result<Plan, ResolveError> {
    refuse_duplicates(catalogue)?;
    let mut warnings: Vec<Warning> = out_of_numeric_order(catalogue).into_iter().collect();
    let target = target.parse(catalogue)?;
    let applied = applied.ok_or(ResolveError::Unbaselined)?;
    let lineage = Lineage::of(applied, catalogue, options.allow_unknown_lineage)?;
    let list = target.list(catalogue, lineage.group);
    check_groups(catalogue, lineage.group, list.group)?;

    let (kept, start) = match options.policy {
        Policy::Prefix => {
            let common = lineage.positions.iter().zip(&list.members).take_while(|(a, b)| **a == Some(**b));
            let common = common.count();
            (common, common)
        }
        Policy::LastDone => {
            let done: HashSet<usize> = lineage.positions.iter().copied().flatten().collect();
            let last = list.members.iter().rposition(|member| done.contains(member));
            (applied.len(), last.map_or(0, |last| last + 1))
        }
    };
    let mut operations = method::rollbacks(applied, &lineage, catalogue, kept, options.no_code)?;
    for &member in &list.members[start..] {
        operations.push(migrate(&catalogue[member], options.no_code)?);
    }

    let drifted = lineage.drifted(applied, catalogue);
    if options.strict && !drifted.is_empty() {
        return Err(ResolveError::Drift { names: drifted });
    }
    warnings.extend(list.beyond);
    warnings.extend(lineage.renamed);
    warnings.extend(drifted.into_iter().map(|name| Warning::Drift { name }));
    Ok(Plan { target: PlanTarget { version: list.version, group: list.group }, operations, warnings })
}

/// Names of the migrations that a checkpoint has when it is born at a target, in catalogue order.
///
/// # Errors
/// If the catalogue names a migration twice, or the target does not parse or is not there.
pub fn target_list(catalogue: &[Entry], target: &Target) -> Result<Vec<String>, ResolveError> {
    refuse_duplicates(catalogue)?;
    let list = target.parse(catalogue)?.list(catalogue, 0);
    Ok(list.members.iter().map(|&index| catalogue[index].name.clone()).collect())
}

fn migrate(entry: &Entry, no_code: bool) -> Result<Operation, ResolveError> {
    let name = entry.name.clone();
    if !entry.has_migrate {
        return Err(ResolveError::NoMigrate { name });
    }
    if no_code && entry.is_code {
        return Err(ResolveError::CodeRequired { name, kind: OperationKind::Migrate });
    }
    Ok(Operation {
        kind: OperationKind::Migrate,
        migration: name,
        version: entry.version.named(),
        method: Method::Run,
    })
}

fn refuse_duplicates(catalogue: &[Entry]) -> Result<(), ResolveError> {
    let mut seen = HashSet::new();
    match catalogue.iter().find(|entry| !seen.insert(&entry.name)) {
        None => Ok(()),
        Some(entry) => Err(ResolveError::DuplicateMigration { name: entry.name.clone() }),
    }
}

fn check_groups(catalogue: &[Entry], own: u32, target: u32) -> Result<(), ResolveError> {
    // The finals in order: the one at `group` is the first ahead of that group, the one before opened it.
    let opening = |index: u32| {
        let entry = catalogue.iter().filter(|entry| entry.is_final).nth(index as usize);
        entry.expect("a group above another has a final that opens it")
    };
    if own < target {
        let ahead = opening(own);
        return Err(ResolveError::TooOld {
            first_final: ahead.name.clone(),
            version: ahead.version.to_string(),
        });
    }
    if own > target {
        let opened = opening(own - 1);
        return Err(ResolveError::TooNew {
            own_final: opened.name.clone(),
            version: opened.version.to_string(),
        });
    }
    Ok(())
}

/// The first two neighbours, of the names that begin with a number, whose numbers fall.
fn out_of_numeric_order(catalogue: &[Entry]) -> Option<Warning> {
    let number = |name: &str| -> Option<(usize, String)> {
        let digits: &str = &name[..name.bytes().take_while(u8::is_ascii_digit).count()];
        let significant = digits.trim_start_matches('0');
        (!digits.is_empty()).then(|| (significant.len(), significant.to_owned()))
    };
    let numbered: Vec<_> =
        catalogue.iter().filter_map(|entry| Some((number(&entry.name)?, &entry.name))).collect();
    let falling = numbered.windows(2).find(|pair| pair[0].0 > pair[1].0)?;
    Some(Warning::Order { earlier: falling[0].1.clone(), later: falling[1].1.clone() })
}
