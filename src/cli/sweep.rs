//! What commands over many refs share: how failures are listed, and the exit code that tells of them.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::repo::RepoError;

use super::failure::{Failure, exit};
use super::output::{Output, Tone};

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

/// Lists failures for people.
pub fn write_failures(out: &mut dyn Write, failures: &[Failed], output: &Output) -> io::Result<()> {
    for failed in failures {
        let word = output.paint(Tone::Bad, "failed:");
        writeln!(out, "{word} {}: {} [{}]", failed.name, failed.error.message, failed.error.code)?;
    }
    Ok(())
}

/// Success, or the code that says that some of many failed.
pub fn some_failed_code(failed: usize) -> ExitCode {
    if failed > 0 { ExitCode::from(exit::SOME_FAILED) } else { ExitCode::SUCCESS }
}
