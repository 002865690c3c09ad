//! `ckstore show`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use crate::repo::TensorValue;

use super::failure::Failure;
use super::log::when;
use super::output::{Output, Tone, human_bytes, number_text, share_text, tensors_text};
use super::session::Session;

/// Show one revision in full, or one value in it
///
/// A revision is named by HEAD, a ref, its own name or the beginning of that, and `~N` behind any of these
/// goes back by N revisions. Values are settings, text and numbers; of a tensor it shows what its numbers are like,
/// for which its own bytes are read and no others.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ckstore show HEAD~1\n  ckstore show HEAD hyper_parameters\n  ckstore show HEAD state_dict/encoder.weight"
)]
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
        let report = repo.show_value(args.name.as_deref(), path, session.context().progress)?;
        output.report(&report, |out| {
            writeln!(out, "{}", report.text)?;
            report.tensor.as_ref().map_or(Ok(()), |tensor| write_tensor(out, tensor, output))
        })?;
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
        writeln!(out, "format   {}, {}, {bytes}", revision.format, tensors_text(revision.tensors))?;
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

fn write_tensor(out: &mut dyn Write, tensor: &TensorValue, output: &Output) -> io::Result<()> {
    writeln!(out, "bytes   {}", human_bytes(tensor.bytes))?;
    if let Some(stats) = &tensor.stats {
        let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), number_text);
        writeln!(out, "min     {}", number(stats.min))?;
        writeln!(out, "max     {}", number(stats.max))?;
        writeln!(out, "mean    {}", number(stats.mean))?;
        writeln!(out, "std     {}", number(stats.std))?;
        writeln!(out, "zeros   {}", share_text(stats.zero_share))?;
        if stats.nan + stats.infinite > 0 {
            let text = format!("{} NaN, {} infinite", stats.nan, stats.infinite);
            writeln!(out, "others  {}", output.paint(Tone::Bad, text))?;
        }
    }
    if !tensor.first.is_empty() {
        let first: Vec<String> = tensor.first.iter().copied().map(number_text).collect();
        let elements = tensor.shape.iter().fold(1_u64, |n, extent| n.saturating_mul(*extent));
        let more = if elements > first.len() as u64 { " ..." } else { "" };
        writeln!(out, "values  {}{more}", first.join(" "))?;
    }
    Ok(())
}
