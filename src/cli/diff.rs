//! `ckstore diff`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use crate::repo::{ChangedTensor, DiffReport};

use super::failure::Failure;
use super::output::{Output, Tone, pending_code, shape_text, tensors_text};
use super::session::Session;

/// Show what differs between two revisions
///
/// Tensors that were added, removed, renamed (same content under another name), cast or changed, with the
/// largest and mean absolute difference; and configuration values.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The first ref or revision; without it, the parent of HEAD
    #[arg(value_name = "FROM")]
    from: Option<String>,
    /// The second ref or revision; HEAD without it
    #[arg(value_name = "TO")]
    to: Option<String>,
    /// Exit with 10 if something differs
    #[arg(long)]
    exit_code: bool,
}

/// Runs the command.
pub fn run(args: &DiffArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let repo = session.open()?;
    let from = args.from.as_deref().unwrap_or("HEAD~1");
    let to = args.to.as_deref().unwrap_or("HEAD");
    let report = repo.diff(from, to, session.context().progress)?;
    output.report(&report, |out| write_diff(out, &report, output))?;
    Ok(pending_code(!report.is_empty(), args.exit_code))
}

/// Writes a comparison for people.
pub fn write_diff(out: &mut dyn Write, report: &DiffReport, output: &Output) -> io::Result<()> {
    if report.is_empty() {
        return writeln!(out, "no difference");
    }
    for tensor in &report.removed {
        let line = format!("- {} {} {}", tensor.path, tensor.dtype, shape_text(&tensor.shape));
        writeln!(out, "{}", output.paint(Tone::Bad, line))?;
    }
    for tensor in &report.added {
        let line = format!("+ {} {} {}", tensor.path, tensor.dtype, shape_text(&tensor.shape));
        writeln!(out, "{}", output.paint(Tone::Good, line))?;
    }
    for moved in &report.renamed {
        writeln!(out, "{} {} => {}", output.paint(Tone::Name, "R"), moved.from, moved.to)?;
    }
    for tensor in &report.cast {
        let [before, after] = tensor.dtype;
        writeln!(out, "C {} {before} => {after}{}", tensor.path, distance(tensor))?;
    }
    for tensor in &report.changed {
        let [before, after] = &tensor.shape;
        let shape = if before == after {
            String::new()
        } else {
            format!(" {} => {}", shape_text(before), shape_text(after))
        };
        writeln!(out, "M {}{shape}{}", tensor.path, distance(tensor))?;
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "(none)".to_owned());
    for change in &report.values {
        writeln!(out, "V {}: {} => {}", change.path, text(&change.before), text(&change.after))?;
    }
    for change in &report.files {
        let path = if change.path.is_empty() { "(the file)" } else { &change.path };
        writeln!(out, "F {path}: {} => {}", text(&change.before), text(&change.after))?;
    }
    let are = if report.same == 1 { "is" } else { "are" };
    writeln!(out, "{} {are} the same", tensors_text(report.same))
}

fn distance(tensor: &ChangedTensor) -> String {
    match (tensor.max_abs_difference, tensor.mean_abs_difference) {
        (Some(max), Some(mean)) => format!(" max |d| {max:.6e}, mean |d| {mean:.6e}"),
        _ => String::new(),
    }
}
