//! What commands over many refs share: how failures are listed, and the exit code that tells of them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::repo::{RepoError, Swept};

use super::failure::{Failure, exit};
use super::output::{Output, Tone};

/// So many failures for one reason are listed by name.
const NAMED: usize = 10;

/// A ref or file for which a command failed, while it went on with the others.
#[derive(Debug, Clone, Serialize)]
pub struct Failed {
    /// The ref or file.
    #[serde(rename = "ref")]
    pub name: String,
    /// The failure, as `--json` tells it of a command.
    pub error: FailureDocument,
}

/// A failure as one JSON object.
#[derive(Debug, Clone, Serialize)]
pub struct FailureDocument {
    /// The stable code.
    pub code: &'static str,
    /// What went wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failed {
    /// A failure of one of many.
    pub fn new(name: impl Display, error: RepoError) -> Failed {
        let Failure { code, message, hint, .. } = error.into();
        Failed { name: name.to_string(), error: FailureDocument { code, message, hint } }
    }
}

/// Lists failures for people: of those for one reason the first few by name.
pub fn write_failures(out: &mut dyn Write, failures: &[Failed], output: &Output) -> io::Result<()> {
    let word = output.paint(Tone::Bad, "failed:");
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for failed in failures {
        let error = &failed.error;
        let count = counts.entry((error.code, &error.message)).or_default();
        *count += 1;
        if *count <= NAMED {
            writeln!(out, "{word} {}: {} [{}]", failed.name, error.message, error.code)?;
        }
    }
    for ((code, message), count) in counts.into_iter().filter(|(_, count)| *count > NAMED) {
        writeln!(out, "{word} {} more: {message} [{code}]", count - NAMED)?;
    }
    Ok(())
}

/// Success, or the code that says that some of many failed.
pub fn some_failed_code(failed: usize) -> ExitCode {
    if failed > 0 { ExitCode::from(exit::SOME_FAILED) } else { ExitCode::SUCCESS }
}

/// Which refs a command works on, where it can be many.
#[derive(Debug, Args, Clone)]
pub struct ManyArgs {
    /// Work on every branch, or with --collection on all of a collection
    #[arg(long)]
    pub all: bool,
    /// Work on this collection, with --all
    #[arg(long, value_name = "NAME", requires = "all")]
    pub collection: Option<String>,
    /// With --all, print one JSON document on a line for each ref, also where --json is given
    #[arg(long, requires = "all")]
    pub jsonl: bool,
}

/// What `--all --json` prints.
#[derive(Debug, Serialize)]
struct Document<'a, T> {
    refs: &'a [T],
    #[serde(skip_serializing_if = "<[Failed]>::is_empty")]
    failed: &'a [Failed],
}

impl ManyArgs {
    /// Whether many refs are meant.
    pub fn is_meant(&self, name: Option<&str>) -> Result<bool, Failure> {
        match name {
            Some(_) if self.all => {
                Err(Failure::usage("--all goes without a name", "name a collection with --collection"))
            }
            _ => Ok(self.all),
        }
    }

    /// Prints a line for machines, where these are asked for. A reader that hung up is no failure.
    pub fn line(&self, report: &impl Serialize) {
        if self.jsonl
            && let Ok(text) = serde_json::to_string(report)
        {
            let _ = writeln!(io::stdout().lock(), "{text}");
        }
    }

    /// Prints everything that a command came to: as lines, as one document, or for people.
    pub fn report<T: Serialize>(
        &self,
        reports: &[T],
        failed: &[Failed],
        output: &Output,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        reports.iter().for_each(|report| self.line(report));
        failed.iter().for_each(|failed| self.line(failed));
        self.finish(reports, failed, output, text)
    }

    /// As [`report`](ManyArgs::report), once the lines are printed.
    pub fn finish<T: Serialize>(
        &self,
        reports: &[T],
        failed: &[Failed],
        output: &Output,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        if self.jsonl {
            return Ok(());
        }
        output.report(&Document { refs: reports, failed }, |out| {
            text(out)?;
            write_failures(out, failed, output)
        })
    }
}

/// What was done, and what failed.
pub fn divide<T>(swept: Vec<Swept<T>>) -> (Vec<T>, Vec<Failed>) {
    let (mut reports, mut failed) = (Vec::with_capacity(swept.len()), Vec::new());
    for (name, result) in swept {
        match result {
            Ok(report) => reports.push(report),
            Err(error) => failed.push(Failed::new(name, error)),
        }
    }
    (reports, failed)
}
