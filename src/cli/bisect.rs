//! `ckstore bisect`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use clap::Args;

use crate::migration::resolver::Target;
use crate::repo::{BisectError, BisectOptions, BisectReport, BisectStep, PlanOptions, Verdict};

use super::args::{CatalogueArgs, TargetArgs};
use super::failure::{Failure, exit};
use super::output::{Output, Tone};
use super::session::Session;

/// Find the migration that changed what a command reports
///
/// Searches the steps that led to the checkpoint, imports included; with a version or a migration, those of the plan
/// to it. The checkpoint between two steps is written to a temporary file, and the command is run with that file's
/// path in place of `{}`, or behind its arguments where there is none. It says by its exit code what the checkpoint
/// is: 0 good, 125 cannot be told, any other up to 127 bad. The first must be good and the last bad; halving finds
/// the step between. The command is run as it is, outside of any sandbox. Nothing in the store changes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ckstore bisect -- python evaluate.py --max-error 0.1 {}\n  \
                        ckstore bisect last --version latest -- ./check.sh")]
pub struct BisectArgs {
    /// The checkpoint, by the name of its ref; without it HEAD
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    target: TargetArgs,
    /// Begin the history at this revision, which must be good
    #[arg(long, value_name = "REV", conflicts_with_all = ["version", "to"])]
    since: Option<String>,
    #[command(flatten)]
    catalogue: CatalogueArgs,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What the command exits with for a checkpoint of which it cannot tell.
const SKIP: i32 = 125;

/// Runs the command.
pub fn run(args: &BisectArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let repo = session.open()?;
    let target = args.target.target();
    let options = BisectOptions {
        over_plan: target.is_some(),
        since: args.since.as_deref(),
        plan: PlanOptions {
            name: args.name.as_deref(),
            target: target.unwrap_or(Target::Latest),
            catalogue: session.catalogue(args.catalogue.catalogue.as_deref()),
            ..PlanOptions::default()
        },
    };
    let mut judge = |step: &BisectStep, path: &Path| {
        let verdict = verdict(&args.command, path)?;
        output.say(&format!("{} {}", word(verdict), described(step)));
        Ok(verdict)
    };
    let report = repo.bisect(&options, &session.context(), &mut judge)?;
    output.report(&report, |out| write_report(out, &report, output))?;
    Ok(ExitCode::from(if report.first_bad.is_some() { 0 } else { exit::FAILED }))
}

/// Runs the command on a file.
fn verdict(command: &[OsString], path: &Path) -> Result<Verdict, BisectError> {
    let (program, arguments) = command.split_first().expect("clap asks for a command");
    let has_place = arguments.iter().any(|argument| argument == "{}");
    let arguments =
        arguments.iter().map(|argument| if argument == "{}" { path.as_os_str() } else { argument });
    let status = Command::new(program)
        .args(arguments)
        .args((!has_place).then_some(path))
        .stdin(Stdio::null())
        // What is printed on stdout is ckstore's report.
        .stdout(io::stderr())
        .status();
    let status = status.map_err(|source| BisectError::Start { program: program.into(), source })?;
    match status.code() {
        Some(0) => Ok(Verdict::Good),
        Some(SKIP) => Ok(Verdict::Skip),
        Some(1..=127) => Ok(Verdict::Bad),
        _ => Err(BisectError::Aborted { reason: format!("it ended with {status}") }),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good:",
        Verdict::Bad => "bad: ",
        Verdict::Skip => "skip:",
    }
}

/// A step for people.
fn described(step: &BisectStep) -> String {
    let version = step.version.as_ref().map_or_else(String::new, |version| format!(" ({version})"));
    let revision =
        step.revision.map_or_else(String::new, |revision| format!(", revision {}", revision.short()));
    match &step.migration {
        Some(migration) => format!("after {} {migration}{version}{revision}", step.kind),
        None if step.place == 0 => format!("before the first step{revision}"),
        None => format!("after {}{revision}", step.kind),
    }
}

fn write_report(out: &mut dyn Write, report: &BisectReport, output: &Output) -> io::Result<()> {
    let runs = report.runs.len();
    match &report.first_bad {
        Some(step) => {
            let name = step.migration.as_deref().unwrap_or("the import");
            let version = step.version.as_ref().map_or_else(String::new, |version| format!(" ({version})"));
            let name = output.paint(Tone::Strong, name);
            writeln!(out, "{name}{version} is the first bad step, by {}: found in {runs} runs", step.kind)
        }
        None => {
            writeln!(out, "the first bad step is one of these; what is between them was skipped:")?;
            report
                .candidates
                .iter()
                .try_for_each(|place| writeln!(out, "  {}", described(&report.steps[*place])))
        }
    }
}
