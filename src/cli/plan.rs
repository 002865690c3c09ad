//! `ckstore plan`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use crate::migration::plan::{Method, OperationKind};
use crate::migration::resolver::Target;
use crate::repo::{PlanOptions, PlanReport};

use super::args::{CatalogueArgs, TargetArgs};
use super::failure::Failure;
use super::output::{Output, Tone, pending_code, write_table};
use super::session::Session;
use super::sweep::{ManyArgs, divide, some_failed_code};

/// Show what a checkout would do, without doing it
///
/// Reads no tensor bytes, runs no script and changes nothing. Without a version it plans for the latest. Of a document
/// of a collection it shows what `ckstore migrate` would do.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The checkpoint, by the name of its ref; without it HEAD, the one imported or checked out last
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    many: ManyArgs,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    catalogue: CatalogueArgs,
    #[command(flatten)]
    rules: RuleArgs,
    /// Exit with 10 if there is something to do
    #[arg(long)]
    exit_code: bool,
}

/// Rules for resolving.
#[derive(Debug, Args, Clone, Copy)]
pub struct RuleArgs {
    /// Refuse steps that would run a script
    #[arg(long)]
    pub no_code: bool,
    /// Refuse migrations that were changed after they ran on this checkpoint
    #[arg(long)]
    pub strict: bool,
    /// Take a list that begins with an unknown migration as one of group 0
    #[arg(long)]
    pub allow_unknown_lineage: bool,
}

/// Runs the command.
pub fn run(args: &PlanArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let repo = session.open()?;
    let options = PlanOptions {
        name: args.name.as_deref(),
        target: args.target.target().unwrap_or(Target::Latest),
        catalogue: session.catalogue(args.catalogue.catalogue.as_deref()),
        no_code: args.rules.no_code,
        strict: args.rules.strict,
        allow_unknown_lineage: args.rules.allow_unknown_lineage,
    };
    if args.many.is_meant(args.name.as_deref())? {
        let (reports, failed) = divide(repo.sweep_plan(args.many.collection.as_deref(), &options)?);
        args.many.report(&reports, &failed, output, |out| write_plans(out, &reports, output))?;
        if !failed.is_empty() {
            return Ok(some_failed_code(failed.len()));
        }
        return Ok(pending_code(reports.iter().any(|report| !report.in_sync), args.exit_code));
    }
    let report = repo.plan(&options)?;
    warn_all(&report, output);
    output.report(&report, |out| write_plan(out, &report, output))?;
    Ok(pending_code(!report.in_sync, args.exit_code))
}

/// Warns of everything that a plan warns of.
pub fn warn_all(report: &PlanReport, output: &Output) {
    for warning in &report.warnings {
        output.warn(warning.code(), &warning.to_string());
    }
}

/// Writes plans of many refs, a line for each.
pub fn write_plans(out: &mut dyn Write, reports: &[PlanReport], output: &Output) -> io::Result<()> {
    let mut table = output.table(["ref", "revision", "to", "group", "roll back", "migrate", "warnings"]);
    for report in reports {
        let count = |kind| report.operations.iter().filter(|operation| operation.kind == kind).count();
        table.add_row([
            report.ref_name.to_string(),
            report.revision.short(),
            report.target.version.clone().unwrap_or_else(|| "-".to_owned()),
            report.target.group.to_string(),
            count(OperationKind::Rollback).to_string(),
            count(OperationKind::Migrate).to_string(),
            report.warnings.len().to_string(),
        ]);
    }
    write_table(out, &table)
}

/// Writes a plan for people.
pub fn write_plan(out: &mut dyn Write, report: &PlanReport, output: &Output) -> io::Result<()> {
    let target = match &report.target.version {
        Some(version) => format!("version {version}, group {}", report.target.group),
        None => format!("group {}", report.target.group),
    };
    let name = output.paint(Tone::Strong, &report.ref_name);
    if report.in_sync {
        return writeln!(out, "{name} is in sync with {target}");
    }
    writeln!(out, "{name} to {target}:")?;
    for operation in &report.operations {
        let word = match operation.kind {
            OperationKind::Rollback => output.paint(Tone::Warn, "rollback"),
            OperationKind::Migrate => output.paint(Tone::Good, "migrate "),
        };
        let method = match operation.method {
            Method::Restore => "restore",
            Method::Merge => "merge",
            Method::Script => "script",
            Method::Run => "run",
        };
        let version = operation.version.as_deref().unwrap_or("-");
        writeln!(out, "  {word} {} ({version}) by {method}", operation.migration)?;
    }
    Ok(())
}
