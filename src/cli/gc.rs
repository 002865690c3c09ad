//! `ckstore gc`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::repo::{GcPlan, GcReport};

use super::failure::Failure;
use super::output::{Output, human_bytes, write_table};
use super::session::Session;

/// Remove what nothing needs
///
/// Everything that a branch, a tag, their logs or the history of migrations names is kept: every revision can
/// still be checked out, and every migration rolled back. Removed is what interrupted commands left behind,
/// and results that never became part of a revision. Packs in which a quarter or more is dead are written anew.
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Only show what would be removed
    #[arg(long, short = 'n')]
    dry_run: bool,
}

/// The plan and, if it was carried out, what it came to.
#[derive(Serialize)]
struct Document<'a> {
    plan: &'a serde_json::Value,
    done: Option<GcReport>,
}

/// Runs the command.
pub fn run(args: &GcArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let mut repo = session.open()?;
    let context = session.context();
    let plan = repo.plan_gc(context.progress)?;
    let mut text = Vec::new();
    write_plan(&mut text, &plan, output).map_err(|error| Failure::output(&error))?;
    let planned = serde_json::to_value(&plan).expect("a plan is plain data");
    // The plan is shown before anything is done; as JSON both are one document.
    let nothing_to_do = plan.is_empty();
    if args.dry_run || nothing_to_do {
        output.report(&Document { plan: &planned, done: None }, |out| {
            out.write_all(&text)?;
            if nothing_to_do { writeln!(out, "nothing to remove") } else { Ok(()) }
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    output.text(|out| out.write_all(&text))?;
    let done = repo.gc(plan, context.progress)?;
    output.report(&Document { plan: &planned, done: Some(done) }, |out| {
        writeln!(out, "freed {}", human_bytes(done.freed_bytes))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn write_plan(out: &mut dyn Write, plan: &GcPlan, output: &Output) -> io::Result<()> {
    if plan.is_empty() {
        return Ok(());
    }
    let mut table = output.table(["what", "name", "bytes", "dead", "live"]);
    let packs = plan.remove.iter().map(|entry| ("remove pack", entry));
    for (what, entry) in packs.chain(plan.rewrite.iter().map(|entry| ("rewrite pack", entry))) {
        table.add_row([
            what.to_owned(),
            entry.pack.0.short(),
            human_bytes(entry.bytes),
            human_bytes(entry.dead_bytes),
            human_bytes(entry.live_bytes),
        ]);
    }
    for file in &plan.temporary {
        let bytes = human_bytes(file.bytes);
        table.add_row(["remove file".to_owned(), file.path.clone(), bytes.clone(), bytes, human_bytes(0)]);
    }
    write_table(out, &table)?;
    if plan.forgotten_runs > 0 {
        writeln!(out, "forget {} remembered runs that no revision has", plan.forgotten_runs)?;
    }
    writeln!(out, "{} can be freed", human_bytes(plan.freed_bytes))
}
