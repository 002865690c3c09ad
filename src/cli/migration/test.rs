//! `ckstore migration test`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use crate::repo::migration::{TestOptions, TestReport, Trial};

use super::super::args::CatalogueArgs;
use super::super::diff::write_diff;
use super::super::failure::Failure;
use super::super::output::{Output, Tone};
use super::super::session::Session;

/// Run a migration on a checkpoint, undo it, run it again, and compare; nothing is recorded
///
/// The checkpoint is brought to where the migration applies, in a copy of the store that is gone afterwards. Exits
/// with 7 if results differ: from one run to the next, after its own rollback, or after running it again.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The migration
    #[arg(value_name = "MIGRATION")]
    migration: String,
    /// The branch whose checkpoint is used; HEAD without it
    #[arg(long, value_name = "REF")]
    on: Option<String>,
    #[command(flatten)]
    catalogue: CatalogueArgs,
}

/// The exit code where results differ.
const DIFFERS: u8 = 7;

/// Runs the command.
pub fn run(args: &TestArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let repo = session.open()?;
    let options = TestOptions {
        migration: &args.migration,
        on: args.on.as_deref(),
        catalogue: session.catalogue(args.catalogue.catalogue.as_deref()),
    };
    let report = repo.test_migration(&options, &session.context())?;
    for line in report.printed.lines() {
        output.say(&format!("script: {line}"));
    }
    output.report(&report, |out| write_test(out, &report, output))?;
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
}

fn write_test(out: &mut dyn Write, report: &TestReport, output: &Output) -> io::Result<()> {
    let name = output.paint(Tone::Strong, &report.migration);
    writeln!(out, "{name} on {}", report.ref_name)?;
    let mut line = |what: &str, trial: &Trial| -> io::Result<()> {
        let word =
            if trial.same { output.paint(Tone::Good, "same") } else { output.paint(Tone::Bad, "differs") };
        let order = if trial.reordered { ", in another order" } else { "" };
        writeln!(out, "  {what} {word}{order}")?;
        match &trial.differences {
            Some(differences) => write_diff(out, differences, output),
            None => Ok(()),
        }
    };
    line("run once more: ", &report.again)?;
    if report.rollback == "script" {
        line("undone:        ", &report.back)?;
        line("run on that:   ", &report.forth)
    } else {
        writeln!(out, "  it has no rollback: the store brings back what it kept")
    }
}
