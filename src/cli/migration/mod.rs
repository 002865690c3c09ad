//! `ckstore migration`.

mod create;
mod fix_order;
mod lint;
mod list;
mod test;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::migration::Catalogue;
use crate::repo::{Repo, RepoError, migration::catalogue_folder};

use super::args::CatalogueArgs;
use super::failure::Failure;
use super::output::Output;
use super::session::Session;

/// List, make, check and try out the migrations of a catalogue
///
/// The catalogue is the one given, else that of HEAD, else the folder `migrations`. Only `test` and comparing with
/// a checkpoint need a store.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ckstore migration list\n  ckstore migration lint --against HEAD\n  \
                  ckstore migration test 1738368000_move_learning_rate")]
pub struct MigrationArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the migrations in the order in which they run, and which branches have them
    List(CatalogueArgs),
    /// Write a new migration that does nothing yet
    Create(create::CreateArgs),
    /// Look for what is wrong with a catalogue, without running any of it; exit with 6 if there is something
    Lint(lint::LintArgs),
    /// Run a migration on a checkpoint, undo it, run it again, and compare; nothing is recorded
    Test(test::TestArgs),
    /// Give migrations of this branch new numbers where they sort before those of the base branch
    FixOrder(fix_order::FixOrderArgs),
}

/// Runs the command.
pub fn run(args: &MigrationArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    match &args.verb {
        Verb::List(args) => list::run(args, session, output),
        Verb::Create(args) => create::run(args, session, output),
        Verb::Lint(args) => lint::run(args, session, output),
        Verb::Test(args) => test::run(args, session, output),
        Verb::FixOrder(args) => fix_order::run(args, session, output),
    }
}

/// Loads the catalogue that is meant.
fn load(repo: Option<&Repo>, args: &CatalogueArgs, session: &Session) -> Result<Catalogue, RepoError> {
    let directory = catalogue_folder(repo, session.catalogue(args.catalogue.as_deref()))?;
    if !directory.is_dir() {
        return Err(RepoError::NoCatalogue { path: directory });
    }
    Ok(Catalogue::load(&directory)?)
}
