//! What is wrong with a catalogue, or may be.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde::Serialize;

use crate::migration::engine::Limits;
use crate::migration::{
    Catalogue, CatalogueError, Migration, declarative, does_nothing as does_nothing_script, review,
};
use crate::snapshot;
use crate::value::Graph;

use super::super::{Repo, RepoError};
use super::Unmatched;

/// What is wrong with a catalogue, or may be.
#[derive(Debug, Clone, Serialize)]
pub struct LintReport {
    /// The folder.
    pub directory: String,
    /// Number of migrations that were read.
    pub migrations: usize,
    /// What was found, by file and line.
    pub findings: Vec<Finding>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable code.
    pub code: &'static str,
    /// The file, inside the folder.
    pub file: String,
    /// The line, from 1, where there is one.
    pub line: Option<u32>,
    /// What it is.
    pub message: String,
}

/// Looks a catalogue through. Nothing in it is executed.
///
/// With a revision to compare with, the steps of declarative migrations that it does not have yet are carried out on
/// its values, in order, without reading weights, to find those that match nothing.
///
/// # Errors
///
/// If the folder cannot be read, or there is no such revision. What is wrong inside of it is a finding.
pub fn lint(
    directory: &Path,
    against: Option<(&Repo, &str)>,
    limits: &Limits,
) -> Result<LintReport, RepoError> {
    let told = directory.display().to_string();
    let catalogue = match Catalogue::load(directory) {
        Ok(catalogue) => catalogue,
        Err(CatalogueError::Broken { problems, .. }) => {
            let finding = |problem: crate::migration::Problem| Finding {
                code: "E_CATALOGUE",
                file: problem.file,
                line: problem.line,
                message: problem.message,
            };
            let findings = problems.into_iter().map(finding).collect();
            return Ok(LintReport { directory: told, migrations: 0, findings });
        }
        Err(CatalogueError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(RepoError::NoCatalogue { path: directory.to_owned() });
        }
        Err(error) => return Err(error.into()),
    };
    let mut findings = Vec::new();
    order(&catalogue, &mut findings);
    bodies(&catalogue, &mut findings)?;
    scripts(&catalogue, &mut findings)?;
    if let Some((repo, name)) = against {
        unmatched(&catalogue, repo, name, limits, &mut findings)?;
    }
    findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    Ok(LintReport { directory: told, migrations: catalogue.migrations.len(), findings })
}

fn about(migration: &Migration, code: &'static str, line: Option<u32>, message: String) -> Finding {
    Finding { code, file: migration.file.clone(), line, message }
}

fn order(catalogue: &Catalogue, findings: &mut Vec<Finding>) {
    let number = |migration: &Migration| {
        let digits = super::fix_order::digits(&migration.name).trim_start_matches('0').to_owned();
        (digits.len(), digits)
    };
    let has_number = |migration: &&Migration| migration.name.starts_with(|c: char| c.is_ascii_digit());
    let numbered: Vec<&Migration> = catalogue.migrations.iter().filter(has_number).collect();
    for pair in numbered.windows(2).filter(|pair| number(pair[0]) > number(pair[1])) {
        let message =
            format!("runs after `{}`: names are ordered by their bytes, not by number", pair[0].name);
        findings.push(about(pair[1], "W_ORDER", None, message));
    }
    let mut released: Option<&Migration> = None;
    for migration in &catalogue.migrations {
        if let Some(before) = released.filter(|before| migration.version < before.version) {
            let message = format!(
                "its version {} is below that of `{}` before it, {}",
                migration.version, before.name, before.version
            );
            findings.push(about(migration, "W_VERSION", None, message));
        }
        if migration.is_final {
            released = Some(migration);
        }
    }
}

fn bodies(catalogue: &Catalogue, findings: &mut Vec<Finding>) -> Result<(), RepoError> {
    let mut first: HashMap<_, &Migration> = HashMap::new();
    for migration in &catalogue.migrations {
        if migration.is_final && migration.has_migrate {
            let message = "a final never runs, but this one has a body".to_owned();
            findings.push(about(migration, "W_FINAL_BODY", None, message));
        } else if !migration.is_final && !migration.has_migrate {
            let message = "it has nothing to run and is no final".to_owned();
            findings.push(about(migration, "W_EMPTY", None, message));
        }
        // What does nothing is alike.
        if migration.has_migrate && !does_nothing(migration)? {
            match first.get(&migration.digest) {
                Some(other) => {
                    let message = format!("it does the same as `{}`", other.name);
                    findings.push(about(migration, "W_DUPLICATE", None, message));
                }
                None => drop(first.insert(migration.digest, migration)),
            }
        }
    }
    Ok(())
}

/// Whether a migration is only begun: it has no steps, or gives back what it got.
fn does_nothing(migration: &Migration) -> Result<bool, RepoError> {
    match &migration.body {
        Some(body) => Ok(body.is_empty()),
        None => {
            does_nothing_script(&migration.source).map_err(RepoError::io("parse", migration.file.as_ref()))
        }
    }
}

fn scripts(catalogue: &Catalogue, findings: &mut Vec<Finding>) -> Result<(), RepoError> {
    for migration in catalogue.migrations.iter().filter(|migration| migration.form.is_code()) {
        let path = catalogue.directory.join(&migration.file);
        let reviewed = review(&migration.source).map_err(RepoError::io("parse", &path))?;
        // It was parsed when the catalogue was loaded.
        let remarks = reviewed.unwrap_or_default();
        let found = remarks.into_iter().map(|r| about(migration, r.code, Some(r.line), r.message));
        findings.extend(found);
    }
    Ok(())
}

fn unmatched(
    catalogue: &Catalogue,
    repo: &Repo,
    name: &str,
    limits: &Limits,
    findings: &mut Vec<Finding>,
) -> Result<(), RepoError> {
    let id = repo.revision_named(name)?;
    let revision = repo.revision(&id)?;
    let tree = repo.tree_of(&id)?;
    let (mut graph, _): (Graph, _) = snapshot::read_graph(&repo.reader(), &tree)?;
    let has = |migration: &Migration| revision.applied().iter().any(|entry| entry.name == migration.name);
    // What migrations before may have made.
    let mut made = BTreeSet::new();
    let mut is_known = true;
    for migration in catalogue.migrations.iter().filter(|m| m.has_migrate && !m.is_final && !has(m)) {
        let found = super::unmatched::unmatched(migration, &graph, &made, limits)?;
        // What scripts make of the checkpoint is only known after they ran.
        let found = found.into_iter().filter(|_| is_known || migration.body.is_none());
        findings.extend(found.map(|Unmatched { line, message }| {
            about(migration, "W_UNMATCHED", Some(line), format!("{message}, in `{name}`"))
        }));
        match &migration.body {
            None => {
                is_known = false;
                made.extend(super::unmatched::looked_up(migration)?.made);
            }
            Some(body) => {
                if let Ok(outcome) = declarative::apply(&migration.file, body, &graph, limits) {
                    // Further steps may look at what was computed, but here nothing is evaluated.
                    graph = outcome.graph;
                }
            }
        }
    }
    Ok(())
}
