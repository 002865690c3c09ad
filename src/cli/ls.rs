//! `ckstore ls`.

use std::process::ExitCode;

use clap::Args;

use crate::repo::TensorEntry;

use super::failure::Failure;
use super::output::{Output, human_bytes, shape_text};
use super::session::Session;

/// List the tensors of a revision
///
/// Reads no tensor bytes.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// The ref or revision; HEAD without it
    #[arg(value_name = "REV")]
    name: Option<String>,
}

/// Runs the command.
pub fn run(args: &LsArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let report = session.open()?.ls(args.name.as_deref())?;
    output.report(&report, |out| {
        let mut table = output.table(["tensor", "dtype", "shape", "bytes"]);
        for tensor in &report.tensors {
            table.add_row([
                tensor.path.to_string(),
                tensor.dtype.to_string(),
                described(tensor),
                tensor.bytes.to_string(),
            ]);
        }
        table.write(out)?;
        let bytes = human_bytes(report.bytes);
        writeln!(out, "{} tensors, {bytes} ({})", report.tensors.len(), report.format)
    })?;
    Ok(ExitCode::SUCCESS)
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
