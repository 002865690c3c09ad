//! `ckstore stats`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use crate::repo::{RefStats, StatsReport};

use super::failure::Failure;
use super::output::{Output, Tone, human_bytes, write_table};
use super::session::Session;

/// Show what the store takes and what it saves
///
/// Compares the packs with the files of all revisions as if each were kept, and tells what is saved by storing
/// the same bytes once, by compression, and by storing differences to an earlier revision.
#[derive(Debug, Args)]
pub struct StatsArgs {}

/// Refs that are shown.
const MOST_REFS: usize = 20;

/// Letters of the bar.
const BAR_LETTERS: u64 = 60;

/// Runs the command.
pub fn run(_args: &StatsArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let report = session.open()?.stats()?;
    output.report(&report, |out| write_report(out, &report, output))?;
    Ok(ExitCode::SUCCESS)
}

fn write_report(out: &mut dyn Write, report: &StatsReport, output: &Output) -> io::Result<()> {
    let (raw, stored) = (human_bytes(report.raw_bytes), human_bytes(report.stored_bytes));
    let packs = if report.packs == 1 { "1 pack".to_owned() } else { format!("{} packs", report.packs) };
    let what = if report.revisions == 1 {
        "1 revision".to_owned()
    } else {
        format!("{} revisions", report.revisions)
    };
    write!(out, "{raw} in {what}, stored as {stored} in {packs}")?;
    if report.stored_bytes > 0 && report.raw_bytes > report.stored_bytes {
        write!(out, ": {:.1} times smaller", report.raw_bytes as f64 / report.stored_bytes as f64)?;
    }
    writeln!(out)?;
    if report.raw_bytes > 0 {
        let parts = [
            ('█', "stored", report.stored_bytes, Tone::Strong),
            ('▓', "saved by compression", report.saved.codec, Tone::Name),
            ('▒', "saved by differences", report.saved.delta, Tone::Good),
            ('░', "saved by storing the same once", report.saved.dedupe, Tone::Dim),
        ];
        let lengths = letters(parts.map(|(_, _, bytes, _)| bytes));
        writeln!(out)?;
        let bar = parts.iter().zip(lengths);
        let bar: String = bar
            .map(|((letter, _, _, tone), length)| {
                output.paint(*tone, letter.to_string().repeat(length as usize))
            })
            .collect();
        writeln!(out, "  {bar}")?;
        for (letter, name, bytes, tone) in parts {
            writeln!(out, "  {} {:>10}  {name}", output.paint(tone, letter), human_bytes(bytes))?;
        }
    }
    if !report.refs.is_empty() {
        writeln!(out)?;
        let mut refs: Vec<&RefStats> = report.refs.iter().collect();
        // What would free most comes first.
        refs.sort_by_key(|stats| std::cmp::Reverse(stats.own_bytes));
        let mut table = output.table(["ref", "revisions", "files", "stored", "of that alone"]);
        for stats in refs.iter().take(MOST_REFS) {
            table.add_row([
                stats.name.to_string(),
                stats.revisions.to_string(),
                human_bytes(stats.raw_bytes),
                human_bytes(stats.stored_bytes),
                human_bytes(stats.own_bytes),
            ]);
        }
        write_table(out, &table)?;
        if let Some(more) = refs.len().checked_sub(MOST_REFS).filter(|more| *more > 0) {
            writeln!(out, "and {more} more; --json tells of all")?;
        }
    }
    Ok(())
}

/// How many letters each part gets: in proportion, one at least where there is anything.
fn letters(parts: [u64; 4]) -> [u64; 4] {
    let total = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(*part)).max(1);
    parts.map(|part| {
        let share = u128::from(part) * u128::from(BAR_LETTERS) / u128::from(total);
        if part == 0 { 0 } else { (share as u64).max(1) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_has_a_letter_for_the_smallest_part() {
        assert_eq!(letters([0, 0, 0, 0]), [0; 4]);
        assert_eq!(letters([1, 0, 0, u64::MAX - 1]), [1, 0, 0, 59]);
        assert_eq!(letters([50, 25, 25, 0]), [30, 15, 15, 0]);
    }
}
