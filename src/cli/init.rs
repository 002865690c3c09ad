//! `ckstore init`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::repo::Repo;

use super::failure::Failure;
use super::output::Output;
use super::session::Session;

/// Make an empty store
///
/// The store is the directory `.ckstore` in the current folder, or in DIR. `ckstore import` makes one by
/// itself where there is none.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Folder that shall hold the store
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &InitArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let repo = Repo::init(&session.new_store(args.directory.as_deref()))?;
    let directory = repo.directory().display();
    output.report(&json!({ "store": repo.directory() }), |out| {
        writeln!(out, "made an empty store in {directory}")
    })?;
    Ok(ExitCode::SUCCESS)
}
