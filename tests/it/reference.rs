//! The command reference of the book: its options come from the program itself.
//!
//! `CKSTORE_BOOK=write cargo test` writes them into the pages.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};

const BEGIN: &str = "<!-- options: written by `CKSTORE_BOOK=write cargo test` -->";
const END: &str = "<!-- /options -->";

#[test]
fn the_book_describes_every_command_as_the_program_does() {
    let commands = Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src/commands");
    let summary = fs::read_to_string(commands.join("../SUMMARY.md")).unwrap();
    let mut top = ckstore::cli::Cli::command();
    check(&commands.join("index.md"), &help("ckstore", &top));
    for command in top.get_subcommands_mut() {
        let name = command.get_name().to_owned();
        let mut text = help(&format!("ckstore {name}"), command);
        for inner in command.get_subcommands() {
            text.push('\n');
            text.push_str(&help(&format!("ckstore {name} {}", inner.get_name()), inner));
        }
        assert!(summary.contains(&format!("(commands/{name}.md)")), "the summary does not name {name}");
        check(&commands.join(format!("{name}.md")), &text);
    }
}

/// What `--help` prints, without what depends on the terminal and the environment.
fn help(name: &str, command: &Command) -> String {
    let command = command.clone().bin_name(name).term_width(92).mut_args(|arg| arg.hide_env_values(true));
    let text = command.disable_help_flag(true).render_long_help().to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("```text\n{}\n```\n", lines.join("\n").trim_end())
}

fn check(page: &Path, options: &str) {
    let text = fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.unwrap_or_else(|| panic!("{} has no place for options", page.display()));
    let right = format!("{before}{BEGIN}\n{options}{END}{after}");
    if std::env::var("CKSTORE_BOOK").is_ok_and(|value| value == "write") {
        fs::write(page, right).unwrap();
    } else {
        assert!(text == right, "{} is out of date: CKSTORE_BOOK=write cargo test", page.display());
    }
}
