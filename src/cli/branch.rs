//! `ckstore branch`.

use std::process::ExitCode;

use clap::Args;

use crate::face::document::Refs;
use crate::ledger::RefKind;
use crate::refname::RefName;

use super::failure::Failure;
use super::output::{Output, Tone};
use super::session::Session;

/// List, make or delete branches
///
/// A branch names a revision and moves with every import and checkout.
#[derive(Debug, Args)]
pub struct BranchArgs {
    /// Name of the branch; without it, all branches are listed
    #[arg(value_name = "NAME")]
    name: Option<RefName>,
    /// The ref or revision to start from; HEAD without it
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// Delete the branch; its revisions and history stay
    #[arg(long, short, requires = "name", conflicts_with = "revision")]
    delete: bool,
}

/// What is asked of branches or tags.
pub struct RefRequest<'a> {
    /// Branches or tags.
    pub kind: RefKind,
    /// The name; all are listed without one.
    pub name: Option<&'a RefName>,
    /// The revision to name.
    pub revision: Option<&'a str>,
    /// Whether to delete it.
    pub delete: bool,
}

/// Runs the command.
pub fn run(args: &BranchArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let request = RefRequest {
        kind: RefKind::Branch,
        name: args.name.as_ref(),
        revision: args.revision.as_deref(),
        delete: args.delete,
    };
    run_refs(&request, session, output)
}

/// Lists, makes or deletes branches or tags.
pub fn run_refs(request: &RefRequest<'_>, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let mut repo = session.open()?;
    let context = session.context();
    match request.name {
        None => {
            let refs = repo.list_refs(request.kind)?;
            output.report(&Refs { refs: &refs }, |out| {
                for row in &refs {
                    let mark = if row.head { "*" } else { " " };
                    let revision = output.paint(Tone::Name, row.revision.short());
                    writeln!(out, "{mark} {} {revision}", row.name)?;
                }
                Ok(())
            })?;
        }
        Some(name) if request.delete => {
            let report = repo.delete_ref(request.kind, name, &context)?;
            output.report(&report, |out| {
                writeln!(out, "deleted {} {} (was {})", request.kind.as_str(), name, report.revision.short())
            })?;
        }
        Some(name) => {
            let report = repo.create_ref(request.kind, name, request.revision, &context)?;
            output.report(&report, |out| {
                let revision = output.paint(Tone::Name, report.revision.short());
                writeln!(out, "{} {} is at {revision}", report.kind, report.name)
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
