//! `ckstore redo`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::repo::RedoOptions;

use super::args::KeptCatalogueArgs;
use super::checkout::write_report;
use super::failure::Failure;
use super::output::Output;
use super::session::Session;

/// Run a migration again, and those after it
///
/// For a script that was mended: the migration and all after it are undone, and run again with the scripts that
/// the catalogue has now. What was trained since is kept where that is sure; otherwise nothing is done.
#[derive(Debug, Args)]
pub struct RedoArgs {
    /// The checkpoint, by the name of its ref, when a migration follows; else the migration, and the checkpoint
    /// is HEAD
    #[arg(value_name = "NAME")]
    first: String,
    /// The migration
    #[arg(value_name = "MIGRATION")]
    second: Option<String>,
    /// Write here; this becomes the ref's working file
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Import a changed working file first
    #[arg(long)]
    import: bool,
    /// Overwrite the destination even if it holds what is not stored
    #[arg(long)]
    force: bool,
    /// Why it is done; `log` shows it
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    catalogue: KeptCatalogueArgs,
}

/// Runs the command.
pub fn run(args: &RedoArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let (name, migration) = match &args.second {
        Some(migration) => (Some(args.first.as_str()), migration.as_str()),
        None => (None, args.first.as_str()),
    };
    let mut repo = session.open()?;
    let report = repo.redo(
        &RedoOptions {
            name,
            migration,
            catalogue: session.catalogue(args.catalogue.catalogue.as_deref()),
            output: args.output.as_deref(),
            import: args.import,
            force: args.force,
            message: args.message.as_deref(),
        },
        &session.context(),
    )?;
    write_report(&report, true, output)?;
    Ok(ExitCode::SUCCESS)
}
