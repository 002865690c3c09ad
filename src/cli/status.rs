//! `ckstore status`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use crate::repo::{StatusReport, WorkingFileState};

use super::args::CatalogueArgs;
use super::failure::Failure;
use super::output::{Output, Tone, pending_code, write_table};
use super::session::Session;
use super::sweep::{ManyArgs, divide, some_failed_code};

/// Show where a checkpoint stands against its catalogue of migrations
///
/// Tells which migrations it has, lacks, or has that the catalogue does not know; which were changed after
/// they ran; the first version it cannot be brought to; and whether its working file was changed.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The checkpoint, by the name of its ref; without it HEAD, the one imported or checked out last
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    many: ManyArgs,
    /// Exit with 10 if something is to be migrated, rolled back or imported
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    catalogue: CatalogueArgs,
}

/// Runs the command.
pub fn run(args: &StatusArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let repo = session.open()?;
    let source = session.catalogue(args.catalogue.catalogue.as_deref());
    let context = session.context();
    if args.many.is_meant(args.name.as_deref())? {
        let swept = repo.sweep_status(args.many.collection.as_deref(), source, context.progress)?;
        let (reports, failed) = divide(swept);
        args.many.report(&reports, &failed, output, |out| write_all(out, &reports, output))?;
        if !failed.is_empty() {
            return Ok(some_failed_code(failed.len()));
        }
        return Ok(pending_code(reports.iter().any(StatusReport::is_pending), args.exit_code));
    }
    let report = repo.status(args.name.as_deref(), source, context.progress)?;
    output.report(&report, |out| write_one(out, &report, output))?;
    Ok(pending_code(report.is_pending(), args.exit_code))
}

fn place_text(report: &StatusReport) -> String {
    match (report.group, report.version.as_deref()) {
        (Some(group), Some(version)) => format!("version {version}, group {group}"),
        (Some(group), None) => format!("before the first migration, group {group}"),
        (None, _) => "version unknown".to_owned(),
    }
}

fn write_one(out: &mut dyn Write, report: &StatusReport, output: &Output) -> io::Result<()> {
    let name = output.paint(Tone::Strong, &report.ref_name);
    let revision = output.paint(Tone::Name, report.revision.short());
    writeln!(out, "{name} {revision} ({}): {}", report.format, place_text(report))?;
    if let Some(problem) = &report.problem {
        writeln!(out, "{} {} [{}]", output.paint(Tone::Warn, "problem:"), problem.message, problem.code)?;
    }
    let lists: [(&str, &[String], Tone); 4] = [
        ("registered", &report.registered, Tone::Good),
        ("missing", &report.missing, Tone::Warn),
        ("extra", &report.extra, Tone::Warn),
        ("changed since they ran", &report.drift, Tone::Bad),
    ];
    for (title, names, tone) in lists {
        if names.is_empty() {
            continue;
        }
        writeln!(out, "{title}:")?;
        for name in names {
            writeln!(out, "  {}", output.paint(tone, name))?;
        }
    }
    if let Some(version) = &report.first_incompatible_version {
        writeln!(out, "cannot be brought to {version} or later")?;
    }
    if let Some(file) = &report.working_file {
        let state = match file.state {
            WorkingFileState::Clean => "unchanged",
            WorkingFileState::Behind => "holds another revision (`ckstore checkout` writes this one)",
            WorkingFileState::Changed => "changed (`ckstore import` takes it in)",
            WorkingFileState::Missing => "missing (`ckstore checkout` writes it)",
        };
        writeln!(out, "working file {}: {state}", file.path)?;
    }
    Ok(())
}

fn write_all(out: &mut dyn Write, reports: &[StatusReport], output: &Output) -> io::Result<()> {
    let mut table =
        output.table(["", "ref", "revision", "version", "group", "registered", "missing", "extra", "file"]);
    for report in reports {
        let file = match report.working_file.as_ref().map(|file| file.state) {
            None => "-",
            Some(WorkingFileState::Clean) => "unchanged",
            Some(WorkingFileState::Behind) => "behind",
            Some(WorkingFileState::Changed) => "changed",
            Some(WorkingFileState::Missing) => "missing",
        };
        let group = report.group.map_or_else(|| "-".to_owned(), |group| group.to_string());
        table.add_row([
            if report.head { "*" } else { "" }.to_owned(),
            report.ref_name.to_string(),
            report.revision.short(),
            report.version.clone().unwrap_or_else(|| "-".to_owned()),
            group,
            report.registered.len().to_string(),
            report.missing.len().to_string(),
            report.extra.len().to_string(),
            file.to_owned(),
        ]);
    }
    write_table(out, &table)
}
