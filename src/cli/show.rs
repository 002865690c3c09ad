//! `ckstore show`.

use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::log::when;
use super::output::{Output, Tone, human_bytes};
use super::session::Session;

/// Show one revision in full, or one value in it
///
/// A revision is named by HEAD, a ref, its own name or the beginning of that, and `~N` behind any of these
/// goes back by N revisions. Values are settings, text and numbers; tensors are described, not loaded.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The ref or revision; HEAD without it
    #[arg(value_name = "REV")]
    name: Option<String>,
    /// A place in the checkpoint, such as hyper_parameters/config/model
    #[arg(value_name = "PATH")]
    path: Option<String>,
}

/// Runs the command.
pub fn run(args: &ShowArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let repo = session.open()?;
    if let Some(path) = &args.path {
        let report = repo.show_value(args.name.as_deref(), path)?;
        output.report(&report, |out| writeln!(out, "{}", report.text))?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = repo.show(args.name.as_deref())?;
    let revision = &report.revision;
    output.report(&report, |out| {
        writeln!(out, "revision {}", output.paint(Tone::Name, report.id))?;
        for parent in &revision.parents {
            writeln!(out, "parent   {parent}")?;
        }
        writeln!(out, "tree     {}", revision.tree)?;
        if let Some(file) = revision.file {
            writeln!(out, "file     {file}")?;
        }
        let bytes = human_bytes(revision.file_bytes);
        writeln!(out, "format   {}, {} tensors, {bytes}", revision.format, revision.tensors)?;
        writeln!(out, "date     {} by {}", when(revision.created), revision.actor)?;
        writeln!(out, "message  {}", revision.message)?;
        match &revision.applied {
            None => writeln!(out, "migrations: unknown")?,
            Some(applied) => {
                writeln!(out, "migrations:")?;
                for entry in applied {
                    let version = entry.version.as_deref().unwrap_or("-");
                    let last = if entry.is_final {
                        ", final"
                    } else if entry.executed {
                        ", run here"
                    } else {
                        ""
                    };
                    writeln!(out, "  {} ({version}{last})", entry.name)?;
                }
            }
        }
        if !revision.steps.is_empty() {
            writeln!(out, "steps:")?;
            for step in &revision.steps {
                let method = step.method.as_deref().map(|m| format!(" by {m}")).unwrap_or_default();
                writeln!(out, "  {} {}{method}", step.kind.as_str(), step.migration)?;
            }
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}
