//! `ckstore import`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::format::Format;
use crate::refname::RefName;
use crate::repo::{ImportOptions, Repo};

use super::args::CatalogueArgs;
use super::failure::Failure;
use super::output::{Output, Tone, human_bytes};
use super::session::Session;

/// Take a checkpoint, a file or a folder, into the store
///
/// It is read as data: nothing in it is executed. Its content becomes a revision of a ref named after
/// it (or NAME), and that ref becomes HEAD. Tensors that are stored already are not stored again. A
/// store is made in the current folder where there is none.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ckstore import last.ckpt\n  ckstore import old.ckpt --name weather/2023 --version 0.8.1\n  \
                        ckstore import -m \"ten more epochs\""
)]
pub struct ImportArgs {
    /// The checkpoint, a file or a folder; without it, the working file of HEAD is taken again
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// Name in the store; without it, that of the file
    #[arg(long, value_name = "NAME")]
    name: Option<RefName>,
    /// The version it was trained at, if the file does not say which migrations it has
    #[arg(long, short = 'V', value_name = "VERSION", conflicts_with = "baseline")]
    version: Option<String>,
    /// The last migration it has, if the file does not say
    #[arg(long, value_name = "MIGRATION")]
    baseline: Option<String>,
    /// Why it is imported; `log` shows it
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Read the file as this format instead of looking: torch-zip, safetensors, bytes, ...
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    format: Option<Format>,
    #[command(flatten)]
    catalogue: CatalogueArgs,
}

fn parse_format(text: &str) -> Result<Format, String> {
    Format::from_name(text).ok_or_else(|| {
        let names: Vec<_> = Format::ALL.iter().map(|format| format.name()).collect();
        format!("known formats are {}", names.join(", "))
    })
}

/// Runs the command.
pub fn run(args: &ImportArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    if let Some(path) = &args.path
        && let Err(error) = std::fs::metadata(path)
    {
        return Err(Failure::unreadable(path, &error));
    }
    if session.is_without_store() {
        match &args.path {
            // No store is made for a file that cannot be stored.
            Some(path) => Repo::check_importable(path, args.format)?,
            None => drop(session.open()?),
        }
    }
    let (mut repo, made) = session.open_or_init()?;
    if made {
        output.say(&format!("made a store in {}", repo.directory().display()));
    }
    let options = ImportOptions {
        path: args.path.as_deref(),
        name: args.name.clone(),
        version: args.version.as_deref(),
        baseline: args.baseline.as_deref(),
        message: args.message.as_deref(),
        format: args.format,
        catalogue: session.catalogue(args.catalogue.catalogue.as_deref()),
    };
    let report = repo.import(&options, &session.context())?;
    for warning in &report.warnings {
        output.warn(&warning.code, &warning.message);
    }
    output.report(&report, |out| {
        let what = if report.unchanged { "unchanged" } else { "imported" };
        let revision = output.paint(Tone::Name, report.revision.short());
        writeln!(out, "{what} {} as {} {revision}", report.path.display(), report.ref_name)?;
        writeln!(
            out,
            "  format   {}, {} tensors, {}",
            report.format,
            report.tensors,
            human_bytes(report.bytes.read)
        )?;
        writeln!(
            out,
            "  stored   {} new, {} reused",
            human_bytes(report.bytes.new),
            human_bytes(report.bytes.reused)
        )?;
        match (&report.applied, report.group) {
            (None, _) => writeln!(out, "  version  unknown: the file does not say which migrations it has"),
            (Some(_), group) => writeln!(
                out,
                "  version  {}, group {}",
                report.version.as_deref().unwrap_or("before the first migration"),
                group.map_or_else(|| "unknown".to_owned(), |group| group.to_string())
            ),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}
