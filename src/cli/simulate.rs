//! `ckstore simulate`.

use std::process::ExitCode;

use clap::Args;

use crate::repo::migration::{Difference, SimulateOptions, Simulated, Unmatched};

use super::args::CatalogueArgs;
use super::failure::Failure;
use super::output::{Output, Tone};
use super::session::Session;

/// Try a migration out on every stored checkpoint
///
/// The checkpoint of each branch and tag is brought to where the migration applies, and it is run, in a copy of the
/// store that is gone afterwards. Shows on which it fails, which steps and keys match nothing, and, with
/// --reference, where the tensors' names, element types or shapes differ from those of a checkpoint that was born at
/// that version. Exits with 7 if it fails or differs anywhere.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ckstore simulate 1748736000_split_attention --reference new-run")]
pub struct SimulateArgs {
    /// The migration
    #[arg(value_name = "MIGRATION")]
    migration: String,
    /// A ref or revision whose tensors are as they should be
    #[arg(long, value_name = "REV")]
    reference: Option<String>,
    #[command(flatten)]
    catalogue: CatalogueArgs,
}

/// The exit code where there is a problem.
const PROBLEM: u8 = 7;

/// Runs the command.
pub fn run(args: &SimulateArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let repo = session.open()?;
    let options = SimulateOptions {
        migration: &args.migration,
        reference: args.reference.as_deref(),
        catalogue: session.catalogue(args.catalogue.catalogue.as_deref()),
    };
    let report = repo.simulate(&options, &session.context())?;
    output.report(&report, |out| {
        for checkpoint in &report.checkpoints {
            let tone = match checkpoint.status {
                "done" => Tone::Good,
                "failed" => Tone::Bad,
                _ => Tone::Dim,
            };
            let status = output.paint(tone, checkpoint.status);
            writeln!(out, "{} {status}{}", checkpoint.ref_name, details(checkpoint))?;
            for Unmatched { line, message } in &checkpoint.unmatched {
                writeln!(out, "  line {line}: {message}")?;
            }
            for Difference { path, expected, found } in &checkpoint.differs {
                let told = |shape: &Option<String>| shape.clone().unwrap_or_else(|| "nothing".to_owned());
                writeln!(out, "  {path}: {}, and {} in the reference", told(found), told(expected))?;
            }
        }
        writeln!(out, "{} of {} with problems", report.problems, report.checkpoints.len())
    })?;
    Ok(if report.problems == 0 { ExitCode::SUCCESS } else { ExitCode::from(PROBLEM) })
}

fn details(checkpoint: &Simulated) -> String {
    match &checkpoint.error {
        Some(error) => format!(": {error}"),
        None if checkpoint.unchanged => ", nothing changed".to_owned(),
        None => String::new(),
    }
}
