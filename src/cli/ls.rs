//! `ckstore ls`.

use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::output::{Output, human_bytes, shape_text, write_table};
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
                match tensor.pieces {
                    0 | 1 => shape_text(&tensor.shape),
                    pieces => format!("{} in {pieces} pieces", shape_text(&tensor.shape)),
                },
                tensor.bytes.to_string(),
            ]);
        }
        write_table(out, &table)?;
        let bytes = human_bytes(report.bytes);
        writeln!(out, "{} tensors, {bytes} ({})", report.tensors.len(), report.format)
    })?;
    Ok(ExitCode::SUCCESS)
}
