//! `ckstore fsck`.

use std::process::ExitCode;

use clap::Args;

use crate::repo::{FsckOptions, FsckReport, Repo, Severity};

use super::failure::{Failure, exit};
use super::output::{Output, Tone, human_bytes};
use super::session::Session;

/// Check that every object is present and whole
///
/// Reads and hashes every stored record, compares packs and index, and follows refs, revisions, trees and the
/// history of migrations to everything that they need. Goes on after a problem and reports all of them.
/// Changes nothing unless told to. Exits with 6 if something that is needed is missing or damaged.
#[derive(Debug, Args)]
pub struct FsckArgs {
    /// Do not read the stored records themselves
    #[arg(long)]
    quick: bool,
    /// First put the index in order: enter records that packs have, forget those that are missing or damaged
    ///
    /// Importing a file again then stores anew what was forgotten of it.
    #[arg(long)]
    repair_index: bool,
}

/// Runs the command.
pub fn run(args: &FsckArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let options = FsckOptions { quick: args.quick, repair_index: args.repair_index };
    let report = Repo::fsck(&session.directory()?, &options, session.context().progress)?;
    output.report(&report, |out| {
        if let Some(repaired) = report.repaired {
            writeln!(out, "entered {} records, forgot {}", repaired.entered, repaired.forgotten)?;
        }
        for finding in &report.findings {
            let word = match finding.severity {
                Severity::Error => output.paint(Tone::Bad, "error:"),
                Severity::Warning => output.paint(Tone::Warn, "warning:"),
                Severity::Note => output.paint(Tone::Dim, "note:"),
            };
            writeln!(out, "{word} {} [{}]", finding.message, finding.code)?;
        }
        if !report.broken_refs.is_empty() {
            let refs: Vec<&str> = report.broken_refs.iter().map(|name| name.as_str()).collect();
            let text = format!("cannot be read whole: {}", refs.join(", "));
            writeln!(out, "{}", output.paint(Tone::Bad, text))?;
        }
        let checked = &report.checked;
        writeln!(
            out,
            "checked {} packs, {} objects, {} revisions, {} refs and {} rows of history; hashed {}",
            checked.packs,
            checked.objects,
            checked.revisions,
            checked.refs,
            checked.steps,
            human_bytes(checked.bytes)
        )?;
        writeln!(out, "{}", verdict(&report))
    })?;
    let damaged = report.count(Severity::Error) > 0;
    Ok(if damaged { ExitCode::from(exit::CORRUPT) } else { ExitCode::SUCCESS })
}

fn verdict(report: &FsckReport) -> String {
    let kinds = [(Severity::Error, "errors"), (Severity::Warning, "warnings"), (Severity::Note, "notes")];
    let counts = kinds.map(|(severity, word)| (report.count(severity), word));
    let told: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| match count {
            1 => format!("1 {}", word.trim_end_matches('s')),
            _ => format!("{count} {word}"),
        })
        .collect();
    if told.is_empty() { "everything is present and whole".to_owned() } else { told.join(", ") }
}
