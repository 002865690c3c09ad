//! `ckstore repack`.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::repo::{RepackOptions, RepackReport};

use super::args::CompressionArg;
use super::failure::Failure;
use super::output::{Output, human_bytes};
use super::session::Session;

/// Write all packs anew: compress, find differences, join, drop garbage
///
/// Everything that is needed is read and proved, compressed as if it came now, stored as differences to an
/// earlier revision where that is shorter, and written to new packs; then the old ones are removed. What nothing
/// needs stays behind, as with `gc`. There must be room for a second copy of the store while it runs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ckstore repack --dry-run\n  ckstore repack --compression max")]
pub struct RepackArgs {
    /// How much work compression is worth: none; auto, which is quick; max, which is slow and smaller
    #[arg(long, value_name = "HOW", value_enum, default_value_t = CompressionArg::Auto, hide_possible_values = true)]
    compression: CompressionArg,
    /// Only show what would be written anew
    #[arg(long, short = 'n')]
    dry_run: bool,
}

/// The plan and, if it was carried out, what it came to.
#[derive(Serialize)]
struct Document<'a> {
    plan: &'a serde_json::Value,
    done: Option<RepackReport>,
}

/// Runs the command.
pub fn run(args: &RepackArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let mut repo = session.open()?;
    let context = session.context();
    let plan = repo.plan_repack(context.progress)?;
    let planned = serde_json::to_value(&plan).expect("a plan is plain data");
    let (packs, bytes, dead) = (plan.packs, plan.bytes, plan.dead_bytes);
    let count = |packs: u64| if packs == 1 { "1 pack".to_owned() } else { format!("{packs} packs") };
    if args.dry_run || plan.is_empty() {
        output.report(&Document { plan: &planned, done: None }, |out| {
            if packs == 0 {
                return writeln!(out, "nothing is stored");
            }
            let (bytes, dead) = (human_bytes(bytes), human_bytes(dead));
            writeln!(out, "{} of {bytes} would be written anew, {dead} of that dropped", count(packs))
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = RepackOptions { compression: args.compression.into() };
    let done = repo.repack(plan, &options, context.progress)?;
    output.report(&Document { plan: &planned, done: Some(done) }, |out| {
        let (before, after) = (human_bytes(bytes), human_bytes(done.new_bytes));
        writeln!(out, "{} of {before} became {} of {after}", count(packs), count(done.new_packs))
    })?;
    Ok(ExitCode::SUCCESS)
}
