//! `ckstore migrate`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::migration::plan::{Method, OperationKind};
use crate::repo::{Direction, MigrateOptions, MigrateReport, MigratedStep, RepoError};

use super::args::KeptCatalogueArgs;
use super::failure::Failure;
use super::log::documents_text;
use super::output::{Output, Tone};
use super::session::Session;

/// Migrate all documents of a collection up or down
///
/// Runs the scripts of the collection's catalogue (`Migration_{milliseconds}_{name}.py`, with `up` and `down`) on its
/// documents. Each migration is one transaction: all documents have it, or none. Checkpoints are migrated with
/// `ckstore checkout --all` instead.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ckstore migrate models up\n  ckstore migrate models up --to add_owner --dry-run\n  \
                  ckstore migrate models down"
)]
pub struct MigrateArgs {
    /// The collection
    #[arg(value_name = "COLLECTION")]
    collection: String,
    #[command(subcommand)]
    way: Way,
}

#[derive(Debug, Subcommand)]
enum Way {
    /// Run the migrations that have not run yet, oldest first
    Up(WayArgs),
    /// Undo the newest migration that has run, or more of them
    ///
    /// The `down` of the script is run, as it was stored when it ran. Where that does nothing, the documents come back
    /// as they are stored; what was changed in them since is kept where the two do not touch, else nothing is done.
    Down(DownArgs),
}

#[derive(Debug, Args)]
struct WayArgs {
    /// So many migrations
    #[arg(long, value_name = "COUNT")]
    steps: Option<usize>,
    /// As far as this migration, by its file or by its name alone; down, it is the first that stays
    #[arg(long, value_name = "MIGRATION", conflicts_with = "steps")]
    to: Option<String>,
    /// Only show what would be done
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Why it is done; `log` shows it
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    catalogue: KeptCatalogueArgs,
}

#[derive(Debug, Args)]
struct DownArgs {
    #[command(flatten)]
    way: WayArgs,
    /// Bring the stored documents back also where the script has a `down`
    #[arg(long)]
    restore: bool,
}

/// Runs the command.
pub fn run(args: &MigrateArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let (direction, way, restore) = match &args.way {
        Way::Up(way) => (Direction::Up, way, false),
        Way::Down(down) => (Direction::Down, &down.way, down.restore),
    };
    let options = MigrateOptions {
        collection: &args.collection,
        direction,
        steps: way.steps,
        to: way.to.as_deref(),
        restore,
        dry_run: way.dry_run,
        message: way.message.as_deref(),
        catalogue: session.catalogue(way.catalogue.catalogue.as_deref()),
    };
    let migrated = session.open()?.migrate(&options, &session.context());
    let report = match migrated {
        Err(RepoError::Stopped { done, failed, not_run, source }) => {
            say_printed(&done, output);
            output.text(|out| write_steps(out, &done, false, output))?;
            return Err(RepoError::Stopped { done, failed, not_run, source }.into());
        }
        other => other?,
    };
    for warning in &report.warnings {
        output.warn(warning.code(), &warning.to_string());
    }
    say_printed(&report.steps, output);
    output.report(&report, |out| write(out, &report, output))?;
    Ok(ExitCode::SUCCESS)
}

fn say_printed(steps: &[MigratedStep], output: &Output) {
    for step in steps {
        step.printed.lines().for_each(|line| output.say(&format!("{}: {line}", step.migration)));
    }
}

fn write_steps(
    out: &mut dyn Write,
    steps: &[MigratedStep],
    dry_run: bool,
    output: &Output,
) -> io::Result<()> {
    for step in steps {
        let verb = match (step.kind, step.method) {
            (OperationKind::Migrate, _) => "up",
            (OperationKind::Rollback, Method::Restore) => "down, restored",
            (OperationKind::Rollback, _) => "down",
        };
        let name = output.paint(Tone::Strong, &step.migration);
        if dry_run {
            writeln!(out, "would migrate {verb}: {name}")?;
            continue;
        }
        writeln!(out, "{verb} {name}: {}", documents_text(step.documents))?;
    }
    Ok(())
}

fn write(out: &mut dyn Write, report: &MigrateReport, output: &Output) -> io::Result<()> {
    write_steps(out, &report.steps, report.dry_run, output)?;
    if report.steps.is_empty() {
        writeln!(out, "nothing to do")?;
    }
    let last = report.executed.last().map_or("before the first migration", String::as_str);
    writeln!(
        out,
        "{}: {} documents, {last}, {} pending",
        report.collection,
        report.documents,
        report.pending.len()
    )
}
