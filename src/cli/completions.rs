//! `ckstore completions`.

use std::io;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::args::Cli;
use super::failure::Failure;

/// Print a completion script for a shell
///
/// For bash: `ckstore completions bash > ~/.local/share/bash-completion/completions/ckstore`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Runs the command.
pub fn run(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ckstore", &mut script);
    // A reader that hung up is no failure.
    let _ = io::Write::write_all(&mut io::stdout().lock(), &script);
    Ok(ExitCode::SUCCESS)
}
