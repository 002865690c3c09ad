//! `ckstore ls`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use crate::format::EntryKind;
use crate::repo::{ListedFile, LsReport, TensorEntry};

use super::failure::Failure;
use super::output::{
    Output, Tone, human_bytes, number_text, shape_text, share_text, tensors_text, write_table,
};
use super::session::Session;

/// List the tensors of a revision
///
/// Reads no tensor bytes, unless it is to tell what their numbers are like.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ckstore ls\n  ckstore ls HEAD~1 --stats")]
pub struct LsArgs {
    /// The ref or revision; HEAD without it
    #[arg(value_name = "REV")]
    name: Option<String>,
    /// Read the tensors and show least, greatest and mean number, standard deviation, share of zeros, and how many
    /// are NaN or infinite
    #[arg(long)]
    stats: bool,
}

/// Runs the command.
pub fn run(args: &LsArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let repo = session.open()?;
    if args.stats {
        let report = repo.ls_with_stats(args.name.as_deref(), session.context().progress)?;
        output.report(&report, |out| write_stats(out, &report, output))?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = repo.ls(args.name.as_deref())?;
    output.report(&report, |out| {
        if report.files.is_none() || !report.tensors.is_empty() {
            write_tensors(out, &report, output)?;
        }
        write_files(out, &report, output)?;
        write_total(out, &report)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn write_tensors(out: &mut dyn Write, report: &LsReport, output: &Output) -> io::Result<()> {
    let mut table = output.table(["tensor", "dtype", "shape", "bytes"]);
    for tensor in &report.tensors {
        table.add_row([
            tensor.path.to_string(),
            tensor.dtype.to_string(),
            described(tensor),
            tensor.bytes.to_string(),
        ]);
    }
    write_table(out, &table)
}

/// The files of a folder.
fn write_files(out: &mut dyn Write, report: &LsReport, output: &Output) -> io::Result<()> {
    let Some(files) = &report.files else { return Ok(()) };
    let mut table = output.table(["file", "format", "bytes"]);
    for ListedFile { entry, format } in files {
        let (what, bytes) = match &entry.kind {
            EntryKind::File { bytes, .. } => (format.clone().unwrap_or_default(), bytes.to_string()),
            EntryKind::Directory { .. } => ("directory".to_owned(), String::new()),
            EntryKind::Link { target } => (format!("link to {target}"), String::new()),
        };
        table.add_row([entry.path.clone(), what, bytes]);
    }
    write_table(out, &table)
}

fn write_total(out: &mut dyn Write, report: &LsReport) -> io::Result<()> {
    let bytes = human_bytes(report.bytes);
    writeln!(out, "{}, {bytes} ({})", tensors_text(report.tensors.len() as u64), report.format)
}

fn write_stats(out: &mut dyn Write, report: &LsReport, output: &Output) -> io::Result<()> {
    let mut table =
        output.table(["tensor", "dtype", "shape", "min", "max", "mean", "std", "zeros", "NaN", "infinite"]);
    let mut sick = 0;
    for tensor in &report.tensors {
        let begin = [tensor.path.to_string(), tensor.dtype.to_string(), described(tensor)];
        let Some(stats) = &tensor.stats else {
            table.add_row(begin);
            continue;
        };
        let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), number_text);
        let numbers = [stats.min, stats.max, stats.mean, stats.std].map(number);
        let count = |count: u64| match count {
            0 => "0".to_owned(),
            count => output.paint(Tone::Bad, count),
        };
        sick += u64::from(stats.nan + stats.infinite > 0);
        let others = [share_text(stats.zero_share), count(stats.nan), count(stats.infinite)];
        table.add_row(begin.into_iter().chain(numbers).chain(others));
    }
    write_table(out, &table)?;
    write_total(out, report)?;
    match sick {
        0 => Ok(()),
        1 => writeln!(out, "{}", output.paint(Tone::Bad, "1 tensor has numbers that are NaN or infinite")),
        _ => {
            let text = format!("{sick} tensors have numbers that are NaN or infinite");
            writeln!(out, "{}", output.paint(Tone::Bad, text))
        }
    }
}

/// The shape, and what else is to be said.
fn described(tensor: &TensorEntry) -> String {
    let mut text = shape_text(&tensor.shape);
    if tensor.pieces > 1 {
        text.push_str(&format!(" in {} pieces", tensor.pieces));
    }
    if !tensor.kind.is_empty() {
        text.push_str(&format!(" {}", tensor.kind));
    }
    if let Some(first) = &tensor.same_as {
        text.push_str(&format!(" same as {first}"));
    }
    text
}
