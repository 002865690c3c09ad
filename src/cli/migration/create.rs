//! `ckstore migration create`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::migration::Form;
use crate::repo::migration::{CreateOptions, catalogue_folder, create_migration};

use super::super::args::CatalogueArgs;
use super::super::failure::Failure;
use super::super::output::{Output, Tone};
use super::super::session::Session;

/// Write a new migration that does nothing yet
///
/// Its name begins with the time, so it runs last. Its version is a placeholder that a release replaces; until then
/// only the target `next` runs it.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What it is called, for instance `rename_the_encoder`
    #[arg(value_name = "NAME")]
    name: String,
    /// Open a compatibility group: older checkpoints cannot be brought beyond it
    #[arg(long = "final")]
    is_final: bool,
    /// Add `migrate_setup`, which says which classes moved or are gone
    #[arg(long, conflicts_with = "is_final")]
    with_setup: bool,
    /// Write Python, TOML that takes no interpreter, or a `handle(ckpt)` as migrate-ckpt has it
    #[arg(long, value_enum, default_value_t = Kind::Py, value_name = "FORM")]
    form: Kind,
    /// Its version instead of the placeholder
    #[arg(long, short = 'V', value_name = "VERSION")]
    version: Option<String>,
    #[command(flatten)]
    catalogue: CatalogueArgs,
}

/// What can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Python, as anemoi-models has it
    Py,
    /// TOML
    Toml,
    /// Python, as migrate-ckpt has it
    Handle,
}

/// Runs the command.
pub fn run(args: &CreateArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let form = match args.form {
        Kind::Py => Form::Anemoi,
        Kind::Toml => Form::Declarative,
        Kind::Handle => Form::MigrateCkpt,
    };
    if args.with_setup && form != Form::Anemoi {
        return Err(Failure::usage(
            "only a Python migration has a setup",
            "leave --form or --with-setup out",
        ));
    }
    if form == Form::MigrateCkpt && (args.is_final || args.version.is_some()) {
        return Err(Failure::usage(
            "a `handle` migration has no version and opens no group",
            "leave --final and --version out",
        ));
    }
    let repo = session.open_if_there()?;
    let directory = catalogue_folder(repo.as_ref(), session.catalogue(args.catalogue.catalogue.as_deref()))?;
    let options = CreateOptions {
        name: &args.name,
        form,
        is_final: args.is_final,
        with_setup: args.with_setup,
        version: args.version.as_deref(),
        at: session.context().time(),
    };
    let report = create_migration(&directory, &options)?;
    output.report(&report, |out| {
        let name = output.paint(Tone::Strong, &report.migration);
        let version = report.version.as_deref().unwrap_or("no version");
        writeln!(out, "made {name} ({version})\n  {}", report.path.display())
    })?;
    Ok(ExitCode::SUCCESS)
}
