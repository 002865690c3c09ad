//! `ckstore baseline`.

use std::process::ExitCode;

use clap::Args;

use crate::repo::BaselineOptions;

use super::args::{KeptCatalogueArgs, TargetArgs};
use super::failure::Failure;
use super::output::{Output, Tone};
use super::session::Session;

/// Say which migrations a checkpoint has, without running any
///
/// For a checkpoint that does not carry a list of its own: it is taken to have every migration up to the
/// version it was trained at.
#[derive(Debug, Args)]
pub struct BaselineArgs {
    /// The checkpoint, by the name of its ref; without it HEAD, the one imported or checked out last
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    target: TargetArgs,
    /// Why it is done; `log` shows it
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    catalogue: KeptCatalogueArgs,
}

/// Runs the command.
pub fn run(args: &BaselineArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let target = args.target.target().ok_or_else(|| {
        Failure::usage("a baseline needs a version or a migration", "add `--version V` or `--to MIGRATION`")
    })?;
    let mut repo = session.open()?;
    let report = repo.baseline(
        &BaselineOptions {
            name: args.name.as_deref(),
            target,
            catalogue: session.catalogue(args.catalogue.catalogue.as_deref()),
            message: args.message.as_deref(),
        },
        &session.context(),
    )?;
    output.report(&report, |out| {
        let revision = output.paint(Tone::Name, report.revision.short());
        writeln!(out, "{} {revision} has {} migrations:", report.ref_name, report.applied.len())?;
        report.applied.iter().try_for_each(|name| writeln!(out, "  {name}"))
    })?;
    Ok(ExitCode::SUCCESS)
}
