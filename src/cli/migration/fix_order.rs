//! `ckstore migration fix-order`.

use std::process::ExitCode;

use clap::Args;

use crate::repo::migration::{FixOrderOptions, catalogue_folder, fix_order};

use super::super::args::CatalogueArgs;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::session::Session;

/// Give migrations of this branch new numbers where they sort before those of the base branch
///
/// Migrations that the base branch does not have and that would run before one that it has get the present time as
/// number, in their own order. A checkpoint that one of them ran on already is known by the digest, and takes the
/// new name the next time it is migrated.
#[derive(Debug, Args)]
pub struct FixOrderArgs {
    /// The branch that this one goes into
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    base: String,
    /// Only show the new names
    #[arg(long, short = 'n')]
    dry_run: bool,
    #[command(flatten)]
    catalogue: CatalogueArgs,
}

/// Runs the command.
pub fn run(args: &FixOrderArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let repo = session.open_if_there()?;
    let directory = catalogue_folder(repo.as_ref(), session.catalogue(args.catalogue.catalogue.as_deref()))?;
    let options = FixOrderOptions { base: &args.base, at: session.context().time(), dry_run: args.dry_run };
    let report = fix_order(&directory, &options)?;
    output.report(&report, |out| {
        if report.renamed.is_empty() {
            return writeln!(out, "in order: {} new beside `{}`", report.added.len(), report.base);
        }
        let word = if report.done { "renamed" } else { "would rename" };
        report
            .renamed
            .iter()
            .try_for_each(|renaming| writeln!(out, "{word} {} to {}", renaming.from, renaming.to))
    })?;
    Ok(ExitCode::SUCCESS)
}
