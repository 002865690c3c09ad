//! `ckstore import`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Args;
use serde::Serialize;

use crate::format::Format;
use crate::refname::RefName;
use crate::repo::{Catalogues, CollectionImportOptions, FileWarning, ImportOptions, Repo};

use super::args::{CompressionArg, KeptCatalogueArgs, LimitArgs};
use super::failure::Failure;
use super::output::{Output, Tone, human_bytes, tensors_text};
use super::session::Session;
use super::sweep::{Failed, some_failed_code, write_failures};

/// Take a checkpoint, a file or a folder, into the store
///
/// It is read as data: nothing in it is executed. Its content becomes a revision of a ref named after
/// it (or NAME), and that ref becomes HEAD. Tensors that are stored already are not stored again. A
/// store is made in the current folder where there is none.
///
/// With --collection, every file below a folder becomes a ref `NAME/path`, and so does every document of a JSON
/// array, of JSON lines or of a MongoDB export (Extended JSON), named by its `_id`. HEAD stays where it is.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ckstore import last.ckpt\n  ckstore import old.ckpt --name weather/2023 --version 0.8.1\n  \
                        ckstore import -m \"ten more epochs\"\n  \
                        ckstore import models.json --collection models --catalogue migrations\n  \
                        ckstore import tuned.safetensors --base last"
)]
pub struct ImportArgs {
    /// The checkpoint, a file or a folder, or with --collection a folder of these or a file of documents; without it,
    /// the working file of HEAD is taken again
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// Name in the store; without it, that of the file
    #[arg(long, value_name = "NAME")]
    name: Option<RefName>,
    /// The version it was trained at, if the file does not say which migrations it has; `base` if it has none
    #[arg(long, short = 'V', value_name = "VERSION", conflicts_with = "baseline")]
    version: Option<String>,
    /// The last migration it has, if the file does not say
    #[arg(long, value_name = "MIGRATION")]
    baseline: Option<String>,
    /// Why it is imported; `log` shows it
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Take a folder of files, or a file of documents, into this collection
    #[arg(long, value_name = "NAME", conflicts_with_all = ["name", "format"], requires = "path")]
    collection: Option<RefName>,
    /// Read the file as this format instead of looking: torch-zip, safetensors, bytes, ...
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    format: Option<Format>,
    /// How much work compression is worth: none; auto, which is quick; max, which is slow and smaller
    #[arg(long, value_name = "HOW", value_enum, default_value_t = CompressionArg::Auto, hide_possible_values = true)]
    compression: CompressionArg,
    /// The revision that this checkpoint was trained from, if it is not the ref's: tensors that are like its
    /// tensors, by name or by shape, are stored as differences to them
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    #[command(flatten)]
    catalogue: KeptCatalogueArgs,
    #[command(flatten)]
    limits: LimitArgs,
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
    if let (Some(collection), Some(path)) = (&args.collection, &args.path) {
        return run_collection(args, collection, path, session, output);
    }
    if session.is_without_store() {
        match &args.path {
            // No store is made for a file that cannot be stored.
            Some(path) => Repo::check_importable(path, args.format, &args.limits.limits())?,
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
        detached: false,
        keep_head: false,
        compression: args.compression.into(),
        base: args.base.as_deref(),
        limits: args.limits.limits(),
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
            "  format   {}, {}, {}",
            report.format,
            tensors_text(report.tensors),
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

/// Takes many files or documents.
fn run_collection(
    args: &ImportArgs,
    collection: &RefName,
    path: &Path,
    session: &Session,
    output: &Output,
) -> Result<ExitCode, Failure> {
    if session.is_without_store() {
        // No store is made for what cannot be stored.
        Repo::check_collection(path, collection, &args.limits.limits())?;
    }
    let (mut repo, made) = session.open_or_init()?;
    if made {
        output.say(&format!("made a store in {}", repo.directory().display()));
    }
    let options = CollectionImportOptions {
        path,
        collection: collection.clone(),
        version: args.version.as_deref(),
        baseline: args.baseline.as_deref(),
        message: args.message.as_deref(),
        catalogue: session.catalogue(args.catalogue.catalogue.as_deref()),
        limits: args.limits.limits(),
    };
    // Thousands of files may have one catalogue.
    repo.share_catalogues(Arc::new(Catalogues::new(SystemTime::now)));
    let report = repo.import_collection(&options, &session.context())?;
    let failures: Vec<Failed> =
        report.failed.into_iter().map(|(path, error)| Failed::new(path.display(), error)).collect();
    let document = CollectionDocument {
        collection,
        added: report.added,
        changed: report.changed,
        unchanged: report.unchanged,
        documents: report.documents,
        bytes: report.bytes,
        failed: &failures,
        warnings: &report.warnings,
    };
    for FileWarning { path, warning } in &report.warnings {
        output.warn(&warning.code, &format!("{path}: {}", warning.message));
    }
    output.report(&document, |out| {
        writeln!(
            out,
            "{collection}: {} added, {} changed, {} unchanged ({} documents, {} read)",
            report.added,
            report.changed,
            report.unchanged,
            report.documents,
            human_bytes(report.bytes)
        )?;
        write_failures(out, &failures, output)
    })?;
    Ok(some_failed_code(failures.len()))
}

/// What an import into a collection did, as `--json` prints it.
#[derive(Debug, Serialize)]
struct CollectionDocument<'a> {
    collection: &'a RefName,
    added: u64,
    changed: u64,
    unchanged: u64,
    documents: u64,
    bytes: u64,
    failed: &'a [Failed],
    warnings: &'a [FileWarning],
}
