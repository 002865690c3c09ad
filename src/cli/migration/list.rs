//! `ckstore migration list`.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::repo::migration::{CatalogueReport, list_migrations};

use super::super::args::CatalogueArgs;
use super::super::failure::Failure;
use super::super::output::{Output, Tone, write_table};
use super::super::session::Session;

/// Runs the command.
pub fn run(args: &CatalogueArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let repo = session.open_if_there()?;
    let catalogue = super::load(repo.as_ref(), args, session)?;
    for warning in &catalogue.warnings {
        output.warn("W_CATALOGUE", &warning.to_string());
    }
    let report = list_migrations(&catalogue, repo.as_ref())?;
    output.report(&report, |out| write_list(out, &report, output))?;
    Ok(ExitCode::SUCCESS)
}

fn write_list(out: &mut dyn Write, report: &CatalogueReport, output: &Output) -> io::Result<()> {
    let mut table =
        output.table(["group", "migration", "version", "form", "undone by", "digest", "branches"]);
    for migration in &report.migrations {
        let undone = match (migration.is_final, migration.rollback, migration.code) {
            (true, ..) => "never",
            (_, true, true) => "script",
            (_, true, false) => "inverse",
            (_, false, _) => "restore",
        };
        let name = if migration.is_final {
            output.paint(Tone::Strong, &migration.migration)
        } else {
            migration.migration.clone()
        };
        let refs: Vec<&str> = migration.refs.iter().map(|name| name.as_str()).collect();
        table.add_row([
            migration.group.to_string(),
            name,
            migration.version.clone().unwrap_or_else(|| "-".to_owned()),
            migration.form.to_string(),
            undone.to_owned(),
            migration.digest.short(),
            if refs.is_empty() { "-".to_owned() } else { refs.join(", ") },
        ]);
    }
    write_table(out, &table)
}
