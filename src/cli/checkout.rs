//! `ckstore checkout`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::format::Format;
use crate::migration::resolver::Target;
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::repo::{
    CheckoutOptions, CheckoutReport, ConvertFormat, ConvertOptions, ConvertReport, ExportReport, PlanOptions,
    RealPython, Repo,
};
use crate::value::Path;

use super::args::{KeptCatalogueArgs, TargetArgs};
use super::failure::Failure;
use super::output::{Output, Tone, human_bytes, tensors_text, write_table};
use super::plan::{RuleArgs, warn_all, write_plan};
use super::session::Session;
use super::sweep::{Failed, ManyArgs, divide, some_failed_code};

/// Bring a checkpoint to a version and write its file
///
/// Plans which migrations to undo and which to run, carries them out, records them, and rewrites the working
/// file. The revision before stays in the store. With NAME alone, that ref becomes HEAD and its file is
/// written. A working file that was changed and not imported is never overwritten.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ckstore checkout --version 0.12.0\n  ckstore checkout last --version latest\n  \
                        ckstore checkout --revision HEAD~1 -o before.ckpt\n  \
                        ckstore checkout --all --collection runs --version 0.12.0\n  \
                        ckstore checkout --all --collection models -o models.jsonl\n  \
                        ckstore checkout --format safetensors --state-dict state_dict -o weights.safetensors"
)]
pub struct CheckoutArgs {
    /// The checkpoint, by the name of its ref; without it HEAD, the one imported or checked out last
    /// (`base`, `next` and `latest` are versions, unless a ref has that name)
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    many: ManyArgs,
    /// With --all, work on so many refs at once; without it, on one for each processor
    #[arg(long, value_name = "COUNT")]
    jobs: Option<usize>,
    #[command(flatten)]
    target: TargetArgs,
    /// Go to this revision instead, for instance HEAD~1: moves the ref there, or with -o only writes it out
    #[arg(long, value_name = "REV", conflicts_with_all = ["version", "to"])]
    revision: Option<String>,
    /// Write here; this then is the working file, unless it was --revision that was asked for. With --all and
    /// --collection and no version: write all documents to this file, one on each line
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Only show what would be done
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Write a copy in another format instead: safetensors, npz, torch, gguf, json, dir
    ///
    /// The checkpoint and its working file stay as they are. `dir` is a folder of NumPy arrays and a document. What the
    /// format has no place for is named, and nothing is written.
    #[arg(long, value_name = "FORMAT", value_parser = parse_format, requires = "output", conflicts_with_all = ["version", "to", "import", "dry_run"])]
    format: Option<ConvertFormat>,
    /// The part to convert, a dict of tensors, for instance state_dict
    #[arg(long, value_name = "PATH", requires = "format")]
    state_dict: Option<String>,
    /// Write a folder of safetensors files of at most this size, with an index: 500MB, 2GiB
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, requires = "format")]
    shard_size: Option<u64>,
    /// Leave out what the format cannot hold, and write shared tensors once for each name
    #[arg(long, requires = "format")]
    lossy: bool,
    /// Import a changed working file first
    #[arg(long)]
    import: bool,
    /// Overwrite the destination even if it holds what is not stored
    #[arg(long)]
    force: bool,
    /// Why it is done; `log` shows it
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// What runs the scripts
    #[arg(long, value_enum, default_value_t = Engine::Sandbox, value_name = "ENGINE")]
    engine: Engine,
    /// Let the migration with this digest run in a real interpreter; `ckstore migration list --json` tells digests
    #[arg(long, value_name = "DIGEST")]
    trust: Vec<ObjectId>,
    /// The interpreter, which must have torch; needs --engine python
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: OsString,
    #[command(flatten)]
    catalogue: KeptCatalogueArgs,
    #[command(flatten)]
    rules: RuleArgs,
}

/// What can run scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// The embedded interpreter, in a process that can do nothing but compute
    Sandbox,
    /// A real interpreter, which loads the checkpoint with torch and can do whatever you can
    Python,
}

/// Runs the command.
pub fn run(args: &CheckoutArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let mut repo = session.open()?;
    if let Some(format) = args.format {
        return convert(args, format, &repo, session, output);
    }
    let (name, target) = name_and_target(args, &repo);
    let plan = PlanOptions {
        name: name.as_deref(),
        target: target.clone().unwrap_or(Target::Latest),
        catalogue: session.catalogue(args.catalogue.catalogue.as_deref()),
        no_code: args.rules.no_code,
        strict: args.rules.strict,
        allow_unknown_lineage: args.rules.allow_unknown_lineage,
    };
    if args.many.is_meant(name.as_deref())? {
        return run_many(args, plan, target.is_some(), &mut repo, session, output);
    }
    if args.dry_run && args.revision.is_none() {
        let report = repo.plan(&plan)?;
        warn_all(&report, output);
        output.report(&report, |out| write_plan(out, &report, output))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.engine == Engine::Sandbox && !args.trust.is_empty() {
        return Err(Failure::usage("trust is for a real interpreter", "add --engine python"));
    }
    let python = RealPython { program: args.python.clone(), trusted: args.trust.clone() };
    let report = repo.checkout(
        &CheckoutOptions {
            keep_head: false,
            migrate: target.is_some(),
            plan,
            revision: args.revision.as_deref(),
            output: args.output.as_deref(),
            import: args.import,
            force: args.force,
            message: args.message.as_deref(),
            python: (args.engine == Engine::Python).then_some(&python),
        },
        &session.context(),
    )?;
    write_report(&report, target.is_some(), output)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a copy in another format.
fn convert(
    args: &CheckoutArgs,
    format: ConvertFormat,
    repo: &Repo,
    session: &Session,
    output: &Output,
) -> Result<ExitCode, Failure> {
    if args.shard_size.is_some() && format != ConvertFormat::File(Format::Safetensors) {
        return Err(Failure::usage("only safetensors has shards", "leave --shard-size out"));
    }
    let path = args.output.as_deref().ok_or_else(|| Failure::usage("no destination", "name it with -o"))?;
    let options = ConvertOptions {
        name: args.name.as_deref(),
        revision: args.revision.as_deref(),
        format,
        state_dict: args.state_dict.as_deref().map(Path::parse),
        shard_bytes: args.shard_size,
        lossy: args.lossy,
        output: path,
        force: args.force,
    };
    let report = repo.convert(&options, &session.context())?;
    for left in &report.left_out {
        output.warn("W_LEFT_OUT", &format!("left out: `{}` is {}", left.path, left.what));
    }
    output.report(&report, |out| {
        let ConvertReport { output, format, tensors, bytes_written, .. } = &report;
        writeln!(
            out,
            "wrote {output} ({format}, {}, {})",
            tensors_text(*tensors),
            human_bytes(*bytes_written)
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn parse_format(text: &str) -> Result<ConvertFormat, String> {
    ConvertFormat::from_name(text)
        .ok_or_else(|| format!("known formats are {}", ConvertFormat::NAMES.join(", ")))
}

/// A number of bytes with a unit: powers of 1000, or with an `i` of 1024.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err("sizes look like 500MB or 2GiB".to_owned()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "sizes look like 500MB or 2GiB".to_owned())
}

/// Brings many refs to a version.
fn run_many(
    args: &CheckoutArgs,
    plan: PlanOptions<'_>,
    has_target: bool,
    repo: &mut Repo,
    session: &Session,
    output: &Output,
) -> Result<ExitCode, Failure> {
    if let (false, Some(path), Some(collection)) = (has_target, &args.output, &args.many.collection) {
        let report = repo.export_documents(collection, path, args.force, session.context().progress)?;
        output.report(&report, |out| {
            let ExportReport { output, documents, bytes, passed_over, .. } = &report;
            writeln!(out, "wrote {output} ({documents} documents, {})", human_bytes(*bytes))?;
            match passed_over {
                0 => Ok(()),
                count => writeln!(out, "{count} refs are no documents, and are not in it"),
            }
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    if !has_target
        || args.revision.is_some()
        || args.output.is_some()
        || args.import
        || args.engine != Engine::Sandbox
    {
        let message = "--all goes with a version or --to, and without --revision, --output, --import and --engine python";
        return Err(Failure::usage(message, "for instance `ckstore checkout --all --version 0.12.0`"));
    }
    if args.dry_run {
        let (reports, failed) = divide(repo.sweep_plan(args.many.collection.as_deref(), &plan)?);
        args.many.report(&reports, &failed, output, |out| super::plan::write_plans(out, &reports, output))?;
        return Ok(some_failed_code(failed.len()));
    }
    let options = CheckoutOptions {
        plan,
        migrate: true,
        revision: None,
        output: None,
        import: false,
        force: args.force,
        keep_head: true,
        message: args.message.as_deref(),
        python: None,
    };
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut reports = Vec::new();
    let mut failed = Vec::new();
    let context = session.context();
    let collection = args.many.collection.as_deref();
    repo.sweep_checkout(collection, &options, jobs, &jiff::Timestamp::now, &context, &mut |name, result| {
        match result {
            Ok(report) => {
                args.many.line(&report);
                reports.push(report);
            }
            Err(error) => {
                let failure = Failed::new(name, error);
                args.many.line(&failure);
                failed.push(failure);
            }
        }
    })?;
    reports.sort_by(|a, b| a.plan.ref_name.cmp(&b.plan.ref_name));
    failed.sort_by(|a, b| a.name.cmp(&b.name));
    warn_of_many(&reports, output);
    args.many.finish(&reports, &failed, output, |out| {
        let mut table = output.table(["ref", "revision", "to", "steps", "file"]);
        for report in &reports {
            let moved = report.new_revision.unwrap_or(report.previous);
            table.add_row([
                report.plan.ref_name.to_string(),
                moved.short(),
                report.plan.target.version.clone().unwrap_or_else(|| "-".to_owned()),
                if report.plan.in_sync {
                    "in sync".to_owned()
                } else {
                    report.plan.operations.len().to_string()
                },
                if report.bytes_written > 0 { human_bytes(report.bytes_written) } else { "-".to_owned() },
            ]);
        }
        write_table(out, &table)
    })?;
    Ok(some_failed_code(failed.len()))
}

/// Warns once of what many have in common.
fn warn_of_many(reports: &[CheckoutReport], output: &Output) {
    let mut told: BTreeMap<(&str, String), Vec<&RefName>> = BTreeMap::new();
    for CheckoutReport { plan, .. } in reports {
        for warning in &plan.warnings {
            told.entry((warning.code(), warning.to_string())).or_default().push(&plan.ref_name);
        }
    }
    for ((code, message), names) in told {
        let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
        output.warn(code, &format!("{}{more}: {message}", names[0]));
    }
}

/// Prints what was done.
pub fn write_report(report: &CheckoutReport, with_plan: bool, output: &Output) -> Result<(), Failure> {
    warn_all(&report.plan, output);
    for line in report.printed.lines() {
        output.say(&format!("script: {line}"));
    }
    output.report(report, |out| {
        if with_plan {
            write_plan(out, &report.plan, output)?;
        }
        if let Some(revision) = &report.new_revision {
            let (new, old) = (revision.short(), report.previous.short());
            writeln!(out, "now at {} (was {old})", output.paint(Tone::Name, new))?;
        }
        match &report.output {
            Some(path) if report.bytes_written > 0 => {
                writeln!(out, "wrote {path} ({})", human_bytes(report.bytes_written))
            }
            Some(path) => writeln!(out, "{path} is up to date"),
            None => Ok(()),
        }
    })
}

/// A bare `base`, `next` or `latest` is a target unless a ref has that name.
fn name_and_target(args: &CheckoutArgs, repo: &Repo) -> (Option<String>, Option<Target>) {
    let target = args.target.target();
    let word = match args.name.as_deref() {
        Some("base") => Some(Target::Base),
        Some("next") => Some(Target::Next),
        Some("latest") => Some(Target::Latest),
        _ => None,
    };
    match word {
        Some(word) if target.is_none() && repo.branch_named(args.name.as_deref()).is_err() => {
            (None, Some(word))
        }
        _ => (args.name.clone(), target),
    }
}
