//! Printing: data on stdout, talk on stderr, JSON where it is asked for.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Color, Style};
use serde::Serialize;

use super::failure::{Failure, exit};
use super::table::Table;

/// How this process prints.
pub struct Output {
    json: bool,
    colour: bool,
}

/// What a piece of text is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Names of revisions and the like.
    Name,
    /// What is well.
    Good,
    /// What a person should look at.
    Warn,
    /// What is wrong.
    Bad,
    /// What matters less.
    Dim,
    /// What matters more.
    Strong,
}

impl Output {
    /// Decides on colour: only for a terminal, and never under `--no-color` or NO_COLOR.
    pub fn new(json: bool, no_color: bool) -> Output {
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Output { json, colour: !json && !no_color && !forbidden && io::stdout().is_terminal() }
    }

    /// Prints a report: as one JSON document, or as `text` writes it.
    pub fn report<R: Serialize>(
        &self,
        report: &R,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        if !self.json {
            return self.text(text);
        }
        self.print(|out| {
            serde_json::to_writer(&mut *out, report)?;
            writeln!(out)
        })
    }

    /// Prints for people what comes before a report; where JSON is asked for, nothing.
    pub fn text(&self, text: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        if self.json { Ok(()) } else { self.print(text) }
    }

    fn print(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        let mut out = io::BufWriter::new(anstream::AutoStream::new(io::stdout().lock(), self.choice()));
        match write(&mut out).and_then(|()| out.flush()) {
            // A reader that has seen enough, such as `head`, is no failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failure::output(&error)),
            Ok(()) => Ok(()),
        }
    }

    /// Says something to people on stderr; machines that read JSON are left alone.
    pub fn say(&self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Warns people on stderr; in JSON warnings are part of the report.
    pub fn warn(&self, code: &str, message: &str) {
        self.say(&format!("warning: {message} [{code}]"));
    }

    /// Prints a failure: text on stderr, or one JSON document on stdout.
    pub fn failure(&self, failure: &Failure) {
        if self.json {
            let _ = writeln!(io::stdout().lock(), "{}", failure.to_json());
        } else {
            let mut text = format!("error: {} [{}]", failure.message, failure.code);
            if let Some(hint) = &failure.hint {
                text.push_str(&format!("\nhint: {hint}"));
            }
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Text in the colour of its tone, where there is colour.
    pub fn paint(&self, tone: Tone, text: impl std::fmt::Display) -> String {
        if !self.colour {
            return text.to_string();
        }
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(Color::Ansi(colour)));
        let style = match tone {
            Tone::Name => colour(AnsiColor::Yellow),
            Tone::Good => colour(AnsiColor::Green),
            Tone::Warn => colour(AnsiColor::Yellow).bold(),
            Tone::Bad => colour(AnsiColor::Red).bold(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Strong => Style::new().bold(),
        };
        format!("{style}{text}{style:#}")
    }

    /// A table without lines, its columns as wide as they need.
    pub fn table<const N: usize>(&self, head: [&str; N]) -> Table {
        let mut table = Table::default();
        table.add_row(head.map(|text| self.paint(Tone::Dim, text)));
        table
    }

    fn choice(&self) -> anstream::ColorChoice {
        if self.colour { anstream::ColorChoice::Always } else { anstream::ColorChoice::Never }
    }
}

/// Success, or the code for pending changes where those shall fail.
pub fn pending_code(pending: bool, asked: bool) -> ExitCode {
    if pending && asked { ExitCode::from(exit::PENDING) } else { ExitCode::SUCCESS }
}

/// A length in bytes for people, in powers of 1024.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A shape as `[2, 3]`.
pub fn shape_text(shape: &[u64]) -> String {
    format!("{shape:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_in_powers_of_1024() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 20, "1.0 MiB"), (u64::MAX, "16.0 EiB")]
        {
            assert_eq!(human_bytes(bytes), text);
        }
    }
}
