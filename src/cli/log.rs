//! `ckstore log`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::face::document::{Entries, Groups};
use crate::ledger::DocumentCounts;
use crate::repo::{GroupEntry, HistoryEntry, RevisionEntry};

use super::args::CatalogueArgs;
use super::failure::Failure;
use super::output::{Output, Tone, human_bytes, tensors_text, write_table};
use super::session::Session;

/// Show revisions, the history of migrations, or compatibility groups
///
/// Without a command it shows revisions.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LogArgs {
    #[command(subcommand)]
    kind: Option<LogKind>,
    #[command(flatten)]
    revisions: RevisionsArgs,
}

#[derive(Debug, Subcommand)]
enum LogKind {
    /// Show the revisions that lead to one, newest first
    Revisions(RevisionsArgs),
    /// Show every migrate and rollback: what, when, who, how it ended
    History(HistoryArgs),
    /// Show the compatibility groups and which checkpoints are in them
    Groups(CatalogueArgs),
}

#[derive(Debug, Args)]
struct RevisionsArgs {
    /// The ref or revision to start from; HEAD without it
    #[arg(value_name = "REV")]
    name: Option<String>,
    /// Show at most so many
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<usize>,
}

#[derive(Debug, Args)]
struct HistoryArgs {
    /// The checkpoint, by the name of its ref, or a collection; all of them without it
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Of a collection, show the rows of all that is in it too
    #[arg(long, requires = "name")]
    documents: bool,
}

/// Runs the command.
pub fn run(args: &LogArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let repo = session.open()?;
    match &args.kind {
        None => revisions(&args.revisions, session, output),
        Some(LogKind::Revisions(args)) => revisions(args, session, output),
        Some(LogKind::History(args)) => {
            let entries = repo.log_history(args.name.as_deref(), args.documents)?;
            output.report(&Entries { entries: &entries }, |out| write_history(out, &entries, output))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(LogKind::Groups(args)) => {
            let groups = repo.log_groups(session.catalogue(args.catalogue.as_deref()))?;
            output.report(&Groups { groups: &groups }, |out| write_groups(out, &groups, output))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn revisions(args: &RevisionsArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let entries = session.open()?.log_revisions(args.name.as_deref(), args.limit)?;
    output.report(&Entries { entries: &entries }, |out| write_revisions(out, &entries, output))?;
    Ok(ExitCode::SUCCESS)
}

fn write_revisions(out: &mut dyn Write, entries: &[RevisionEntry], output: &Output) -> io::Result<()> {
    for entry in entries {
        let refs: Vec<_> = entry.refs.iter().map(|name| name.as_str()).collect();
        let refs = if refs.is_empty() { String::new() } else { format!(" ({})", refs.join(", ")) };
        let revision = output.paint(Tone::Name, entry.revision.short());
        writeln!(out, "{revision}{} {}", output.paint(Tone::Strong, refs), entry.message)?;
        writeln!(
            out,
            "  {} by {}, {} with {}, {}",
            when(entry.at),
            entry.actor,
            entry.format,
            tensors_text(entry.tensors),
            human_bytes(entry.bytes)
        )?;
        for step in &entry.steps {
            writeln!(out, "  {step}")?;
        }
    }
    Ok(())
}

fn write_history(out: &mut dyn Write, entries: &[HistoryEntry], output: &Output) -> io::Result<()> {
    let titles =
        ["seq", "when", "ref", "kind", "migration", "version", "group", "method", "status", "digest", "who"];
    let has_documents = entries.iter().any(|entry| entry.documents.is_some());
    let mut table = output.table(titles.into_iter().chain(has_documents.then_some("documents")));
    let dash = || "-".to_owned();
    for entry in entries {
        let tone = if entry.status == "done" { Tone::Good } else { Tone::Bad };
        let row = [
            entry.seq.to_string(),
            when(entry.at),
            entry.ref_name.to_string(),
            entry.kind.as_str().to_owned(),
            entry.migration.clone(),
            entry.version.clone().unwrap_or_else(dash),
            entry.group.map_or_else(dash, |group| group.to_string()),
            entry.method.clone().unwrap_or_else(dash),
            output.paint(tone, entry.status),
            entry.digest.map_or_else(dash, |digest| digest.short()),
            entry.actor.clone(),
        ];
        let documents = has_documents.then(|| entry.documents.map_or_else(dash, documents_text));
        table.add_row(row.into_iter().chain(documents));
    }
    write_table(out, &table)?;
    for entry in entries {
        if let Some(error) = &entry.error {
            writeln!(out, "{}: {error}", entry.seq)?;
        }
    }
    Ok(())
}

/// What was done to documents, in a few words.
pub fn documents_text(counts: DocumentCounts) -> String {
    let counts = [
        (counts.changed, "changed"),
        (counts.inserted, "added"),
        (counts.deleted, "removed"),
        (counts.unchanged, "unchanged"),
    ];
    let told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if told.is_empty() { "no documents".to_owned() } else { told.join(", ") }
}

fn write_groups(out: &mut dyn Write, groups: &[GroupEntry], output: &Output) -> io::Result<()> {
    let mut table = output.table(["catalogue", "group", "from", "until", "opened by", "checkpoints"]);
    for group in groups {
        let refs: Vec<_> = group.refs.iter().map(|name| name.as_str()).collect();
        table.add_row([
            group.catalogue.clone(),
            group.group.to_string(),
            group.version.clone().unwrap_or_else(|| "-".to_owned()),
            group.until.clone().map_or_else(|| "-".to_owned(), |version| format!("< {version}")),
            group.opened_by.clone().unwrap_or_else(|| "-".to_owned()),
            if refs.is_empty() { "-".to_owned() } else { refs.join(", ") },
        ]);
    }
    write_table(out, &table)
}

/// A time for people: to the second, in UTC.
pub fn when(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
