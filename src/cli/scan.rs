//! `ckstore scan`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::format::{Checksums, Rating};
use crate::repo::{self, ScanReport, ScannedFile};

use super::args::LimitArgs;
use super::failure::{Failure, exit};
use super::output::{Output, Tone, write_table};
use super::session::Session;

/// Problems of one kind that are printed of a file without `--all`.
const MOST_ALIKE: usize = 3;

/// Show what loading a checkpoint would execute
///
/// Lists every global that the pickles in files name or call, rated safe, unknown or dangerous, with its
/// place; and what of an archive cannot be trusted. Looks into archives, old torch files, arrays of objects,
/// and pickles inside pickles, also where a file is broken. Needs no store, and executes nothing. Exits with
/// 11 if something dangerous was found.
#[derive(Debug, Args)]
#[command(after_help = "Example: ckstore scan --strict model.pt downloads/")]
pub struct ScanArgs {
    /// Files, and folders with all that is in them
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Exit with 11 also if something unknown was found
    #[arg(long)]
    strict: bool,
    /// Show what is safe too
    #[arg(long)]
    all: bool,
    /// Do not read tensors to compare their checksums
    #[arg(long)]
    no_checksums: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Runs the command.
pub fn run(args: &ScanArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let checksums = if args.no_checksums { Checksums::Skip } else { Checksums::Compare };
    let report = repo::scan(&args.paths, &args.limits.limits(), checksums, session.context().progress)?;
    output.report(&report, |out| write_report(out, &report, args.all, output))?;
    let feared = if args.strict { Rating::Unknown } else { Rating::Dangerous };
    Ok(if report.rating >= feared { ExitCode::from(exit::DANGEROUS) } else { ExitCode::SUCCESS })
}

fn write_report(out: &mut dyn Write, report: &ScanReport, all: bool, output: &Output) -> io::Result<()> {
    let least = if all { Rating::Safe } else { Rating::Unknown };
    let is_single = report.files.len() == 1;
    for file in report.files.iter().filter(|file| is_single || file.rating >= least) {
        write_file(out, file, least, output)?;
    }
    if is_single {
        return Ok(());
    }
    let counts = &report.counts;
    writeln!(
        out,
        "{} files: {} dangerous, {} unknown, {} safe; {} pickles",
        report.files.len(),
        counts.dangerous,
        counts.unknown,
        counts.safe,
        counts.pickles
    )
}

fn write_file(out: &mut dyn Write, file: &ScannedFile, least: Rating, output: &Output) -> io::Result<()> {
    let path = output.paint(Tone::Strong, file.path.display());
    let dangers = &file.dangers;
    let pickles = match dangers.pickles {
        0 => String::new(),
        1 => ", 1 pickle".to_owned(),
        count => format!(", {count} pickles"),
    };
    writeln!(out, "{} {path} ({}{pickles})", word(file.rating, output), dangers.format)?;
    let mut table = output.table(["", "", "what", "where", "byte", "times"]);
    for found in dangers.globals.iter().filter(|found| found.rating >= least) {
        let why = found.why.map_or_else(String::new, |why| format!(" ({why})"));
        table.add_row([
            format!(" {}", word(found.rating, output)),
            if found.called { "calls" } else { "names" }.to_owned(),
            format!("{}{why}", found.global),
            if found.entry.is_empty() { "-".to_owned() } else { found.entry.clone() },
            found.offset.to_string(),
            found.count.to_string(),
        ]);
    }
    if !table.is_empty() {
        write_table(out, &table)?;
    }
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for problem in dangers.problems.iter().filter(|problem| problem.rating >= least) {
        let count = told.entry(problem.code).or_default();
        *count += 1;
        if *count > MOST_ALIKE && least > Rating::Safe {
            continue;
        }
        let place = if problem.entry.is_empty() { String::new() } else { format!("{}: ", problem.entry) };
        writeln!(out, " {} {place}{} [{}]", word(problem.rating, output), problem.message, problem.code)?;
    }
    for (code, count) in told.iter().filter(|(_, count)| **count > MOST_ALIKE && least > Rating::Safe) {
        writeln!(out, " and {} more [{code}]", count - MOST_ALIKE)?;
    }
    if dangers.truncated {
        writeln!(out, " there is more than is shown here")?;
    }
    Ok(())
}

fn word(rating: Rating, output: &Output) -> String {
    let tone = match rating {
        Rating::Safe => Tone::Good,
        Rating::Unknown => Tone::Warn,
        Rating::Dangerous => Tone::Bad,
    };
    output.paint(tone, rating.name())
}
