//! Printing: data on stdout, talk on stderr, JSON where it is asked for.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Color, Style};
use serde::Serialize;
use tabwriter::TabWriter;

use super::failure::{Failure, exit};

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
    pub fn table<'a>(&self, head: impl IntoIterator<Item = &'a str>) -> Table {
        let head: Vec<String> = head.into_iter().map(|text| self.paint(Tone::Dim, text)).collect();
        let mut table = Table { columns: head.len(), rows: 0, text: String::new() };
        table.add_line(head);
        table
    }

    fn choice(&self) -> anstream::ColorChoice {
        if self.colour { anstream::ColorChoice::Always } else { anstream::ColorChoice::Never }
    }
}

/// Rows of cells, which [`write_table`] aligns.
pub struct Table {
    columns: usize,
    /// Rows under the head.
    rows: usize,
    text: String,
}

impl Table {
    /// Whether there is nothing under the head.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds a row. Cells that are left out at its end are empty.
    pub fn add_row<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows += 1;
        self.add_line(cells);
    }

    fn add_line<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let mut cells = cells.into_iter();
        for column in 0..self.columns {
            if column > 0 {
                self.text.push('\t');
            }
            if let Some(cell) = cells.next() {
                // A tab or the end of a line would begin another cell.
                let ends_cell = |c: char| matches!(c, '\t'..='\r');
                let mut pieces = cell.as_ref().split(ends_cell);
                self.text.push_str(pieces.next().unwrap_or_default());
                for piece in pieces {
                    self.text.push(' ');
                    self.text.push_str(piece);
                }
            }
        }
        self.text.push('\n');
    }
}

/// Writes a table, without the blanks that it leaves at the ends of its lines.
pub fn write_table(out: &mut dyn Write, table: &Table) -> io::Result<()> {
    let mut aligned = TabWriter::new(Vec::new()).minwidth(0).ansi(true);
    aligned.write_all(table.text.as_bytes())?;
    aligned.flush()?;
    let aligned = aligned.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    for line in String::from_utf8_lossy(&aligned).lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
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

/// A number of tensors for people.
pub fn tensors_text(count: u64) -> String {
    if count == 1 { "1 tensor".to_owned() } else { format!("{count} tensors") }
}

/// A number for people: four digits that count.
pub fn number_text(number: f64) -> String {
    let magnitude = number.abs();
    if number.fract() == 0.0 && magnitude < 1e9 {
        return format!("{number}");
    }
    if !number.is_finite() {
        return format!("{number}");
    }
    if !(1e-3..1e6).contains(&magnitude) {
        return format!("{number:.3e}");
    }
    let digits = 3 - magnitude.log10().floor() as i32;
    format!("{number:.*}", digits.max(0) as usize)
}

/// A part of a whole for people, in hundredths.
pub fn share_text(share: f64) -> String {
    match share {
        share if share <= 0.0 => "0%".to_owned(),
        share if share >= 1.0 => "100%".to_owned(),
        // Not rounded to none or all.
        share => format!("{:.1}%", (share * 100.0).clamp(0.1, 99.9)),
    }
}

/// A shape as `[2, 3]`.
pub fn shape_text(shape: &[u64]) -> String {
    format!("{shape:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_with_four_digits() {
        for (number, text) in [
            (0.0, "0"),
            (-3.0, "-3"),
            (0.012345, "0.01235"),
            (-1.23456, "-1.235"),
            (12345.678, "12346"),
            (1.5e-7, "1.500e-7"),
            (2.5e12, "2.500e12"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(number_text(number), text);
        }
        assert_eq!([0.0, 1e-9, 0.5, 0.99999, 1.0].map(share_text), ["0%", "0.1%", "50.0%", "99.9%", "100%"]);
    }

    #[test]
    fn lengths_are_told_in_powers_of_1024() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 20, "1.0 MiB"), (u64::MAX, "16.0 EiB")]
        {
            assert_eq!(human_bytes(bytes), text);
        }
    }
}
