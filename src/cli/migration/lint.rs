//! `ckstore migration lint`.

use std::process::ExitCode;

use clap::Args;

use crate::migration::engine::Limits;
use crate::repo::RepoError;
use crate::repo::migration::{catalogue_folder, lint};

use super::super::args::CatalogueArgs;
use super::super::failure::Failure;
use super::super::output::{Output, Tone};
use super::super::session::Session;

/// Look for what is wrong with a catalogue, without running any of it; exit with 6 if there is something
///
/// Finds files that are no migrations (E_CATALOGUE); names whose order is not that of their numbers (W_ORDER);
/// versions that fall below a final (W_VERSION); two that do the same (W_DUPLICATE); a final with a body
/// (W_FINAL_BODY), another without one (W_EMPTY); a rollback that undoes nothing (W_IDENTITY_ROLLBACK); what differs
/// from run to run (W_NONDETERMINISTIC); what the sandbox refuses (W_SANDBOX); and, with --against, steps and keys
/// that match nothing (W_UNMATCHED).
#[derive(Debug, Args)]
pub struct LintArgs {
    /// Also look for steps and keys that this ref or revision does not have
    #[arg(long, value_name = "REV")]
    against: Option<String>,
    #[command(flatten)]
    catalogue: CatalogueArgs,
}

/// The exit code where something was found: that of a catalogue that cannot be used.
const FOUND: u8 = 6;

/// Runs the command.
pub fn run(args: &LintArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let repo = session.open_if_there()?;
    let directory = catalogue_folder(repo.as_ref(), session.catalogue(args.catalogue.catalogue.as_deref()))?;
    let against = match (&args.against, &repo) {
        (None, _) => None,
        (Some(name), Some(repo)) => Some((repo, name.as_str())),
        (Some(_), None) => return Err(RepoError::NoStore { start: directory }.into()),
    };
    let report = lint(&directory, against, &Limits::default())?;
    output.report(&report, |out| {
        for finding in &report.findings {
            let place = match finding.line {
                Some(line) => format!("{}:{line}", finding.file),
                None => finding.file.clone(),
            };
            let code = output.paint(Tone::Warn, finding.code);
            writeln!(out, "{place}: {} [{code}]", finding.message)?;
        }
        if report.findings.is_empty() {
            writeln!(out, "{} migrations, nothing to remark", report.migrations)?;
        }
        Ok(())
    })?;
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}
