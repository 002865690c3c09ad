//! The command line: parses, calls one operation, prints.

mod args;
mod baseline;
mod bisect;
mod branch;
mod checkout;
mod completions;
mod config;
mod diff;
mod fsck;
mod gc;
mod import;
mod init;
mod log;
mod ls;
mod migrate;
mod migration;
mod output;
mod plan;
mod progress;
mod redo;
mod repack;
mod scan;
mod serve;
mod session;
mod show;
mod simulate;
mod stats;
mod status;
mod sweep;
mod tag;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::face::failure;

pub use args::Cli;
use args::Command;
use failure::Failure;
use output::Output;
use session::Session;

/// Runs the command line of this process and tells how it ended.
pub fn run() -> ExitCode {
    let mut command = Cli::command();
    let arguments: Vec<_> = std::env::args_os().collect();
    let wants_json = arguments.iter().skip(1).any(|argument| argument == "--json");
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || arguments.iter().any(|argument| argument == "--no-color")
    {
        command = command.color(clap::ColorChoice::Never);
    }
    let cli = match command.try_get_matches_from_mut(arguments) {
        Ok(matches) => Cli::from_arg_matches(&matches).expect("the matches are those of this command"),
        Err(error) => return usage_error(&error, wants_json),
    };
    let output = Output::new(cli.global.json, cli.global.no_color);
    match dispatch(&cli, &output) {
        Ok(code) => code,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
    }
}

fn dispatch(cli: &Cli, output: &Output) -> Result<ExitCode, Failure> {
    let session = Session::new(&cli.global);
    match &cli.command {
        Command::Init(args) => init::run(args, &session, output),
        Command::Import(args) => import::run(args, &session, output),
        Command::Checkout(args) => checkout::run(args, &session, output),
        Command::Plan(args) => plan::run(args, &session, output),
        Command::Status(args) => status::run(args, &session, output),
        Command::Log(args) => log::run(args, &session, output),
        Command::Show(args) => show::run(args, &session, output),
        Command::Ls(args) => ls::run(args, &session, output),
        Command::Diff(args) => diff::run(args, &session, output),
        Command::Tag(args) => tag::run(args, &session, output),
        Command::Branch(args) => branch::run(args, &session, output),
        Command::Baseline(args) => baseline::run(args, &session, output),
        Command::Migrate(args) => migrate::run(args, &session, output),
        Command::Migration(args) => migration::run(args, &session, output),
        Command::Simulate(args) => simulate::run(args, &session, output),
        Command::Bisect(args) => bisect::run(args, &session, output),
        Command::Redo(args) => redo::run(args, &session, output),
        Command::Config(args) => config::run(args, &session, output),
        Command::Scan(args) => scan::run(args, &session, output),
        Command::Fsck(args) => fsck::run(args, &session, output),
        Command::Gc(args) => gc::run(args, &session, output),
        Command::Repack(args) => repack::run(args, &session, output),
        Command::Stats(args) => stats::run(args, &session, output),
        Command::Serve(args) => serve::run(args, &session, output),
        Command::Completions(args) => completions::run(args),
    }
}

/// A command line that does not parse: clap's own words, or one JSON document.
fn usage_error(error: &clap::Error, wants_json: bool) -> ExitCode {
    if !error.use_stderr() || !wants_json {
        // Help and version go to stdout and are no failure. A reader that hung up is none either.
        let _ = error.print();
        return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
    }
    let text = error.render().to_string();
    let message = text.lines().next().unwrap_or_default();
    let failure = Failure::usage(message.trim_start_matches("error: "), "see `ckstore --help`");
    Output::new(true, true).failure(&failure);
    failure.exit_code()
}
