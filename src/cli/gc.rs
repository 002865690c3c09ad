//! `ckstore gc`.
use super::{failure::Failure, output::Output, session::Session};
use clap::Args;
use std::process::ExitCode;
/// Remove what nothing needs
#[derive(Debug, Args)]
pub struct GcArgs {}
/// Runs the command.
pub fn run(_: &GcArgs, _: &Session, _: &Output) -> Result<ExitCode, Failure> {
    Ok(ExitCode::SUCCESS)
}
