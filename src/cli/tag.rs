//! `ckstore tag`.

use std::process::ExitCode;

use clap::Args;

use crate::ledger::RefKind;
use crate::refname::RefName;

use super::branch::{RefRequest, run_refs};
use super::failure::Failure;
use super::output::Output;
use super::session::Session;

/// List, make or delete tags
///
/// A tag names a revision and never moves.
#[derive(Debug, Args)]
pub struct TagArgs {
    /// Name of the tag; without it, all tags are listed
    #[arg(value_name = "NAME")]
    name: Option<RefName>,
    /// The ref or revision to name; HEAD without it
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// Delete the tag
    #[arg(long, short, requires = "name", conflicts_with = "revision")]
    delete: bool,
}

/// Runs the command.
pub fn run(args: &TagArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let request = RefRequest {
        kind: RefKind::Tag,
        name: args.name.as_ref(),
        revision: args.revision.as_deref(),
        delete: args.delete,
    };
    run_refs(&request, session, output)
}
