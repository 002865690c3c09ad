//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::format::Limits;

/// A git-like versioned store for machine-learning checkpoints
///
/// Import a checkpoint once; check it out at any version of your model code. Every migration is recorded and
/// can be rolled back. Nothing inside a checkpoint is ever executed, and scripts run in a sandbox.
#[derive(Debug, Parser)]
#[command(
    name = "ckstore",
    version,
    max_term_width = 100,
    after_help = "Start with `ckstore import FILE`, then `ckstore status` and `ckstore checkout --version V`.\n\
                  `ckstore help COMMAND` tells more of each command."
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Use the store in this directory instead of the nearest `.ckstore`
    #[arg(long, global = true, value_name = "DIR", env = "CKSTORE_DIR", help_heading = "Global options")]
    pub store: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Print without colour (NO_COLOR does the same)
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_color: bool,
}

/// The commands. What the help says of each is written at its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(super::init::InitArgs),
    Import(super::import::ImportArgs),
    Checkout(super::checkout::CheckoutArgs),
    Plan(super::plan::PlanArgs),
    Status(super::status::StatusArgs),
    Log(super::log::LogArgs),
    Show(super::show::ShowArgs),
    Ls(super::ls::LsArgs),
    Diff(super::diff::DiffArgs),
    Tag(super::tag::TagArgs),
    Branch(super::branch::BranchArgs),
    Baseline(super::baseline::BaselineArgs),
    Migrate(super::migrate::MigrateArgs),
    Migration(super::migration::MigrationArgs),
    Simulate(super::simulate::SimulateArgs),
    Bisect(super::bisect::BisectArgs),
    Redo(super::redo::RedoArgs),
    Config(super::config::ConfigArgs),
    Scan(super::scan::ScanArgs),
    Fsck(super::fsck::FsckArgs),
    Gc(super::gc::GcArgs),
    Repack(super::repack::RepackArgs),
    Stats(super::stats::StatsArgs),
    Serve(super::serve::ServeArgs),
    Completions(super::completions::CompletionsArgs),
}

/// How much work compression is worth.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum CompressionArg {
    /// Everything is stored as it is.
    None,
    /// What shrinks quickly is compressed.
    Auto,
    /// What shrinks is compressed slowly.
    Max,
}

impl From<CompressionArg> for crate::store::Compression {
    fn from(argument: CompressionArg) -> Self {
        match argument {
            CompressionArg::None => Self::None,
            CompressionArg::Auto => Self::Auto,
            CompressionArg::Max => Self::Max,
        }
    }
}

/// Which catalogue of migrations to use.
#[derive(Debug, Args, Clone)]
pub struct CatalogueArgs {
    /// Use the migrations in this folder
    #[arg(long, value_name = "DIR")]
    pub catalogue: Option<PathBuf>,
}

/// Which catalogue of migrations to use, from now on.
#[derive(Debug, Args, Clone)]
pub struct KeptCatalogueArgs {
    /// Use the migrations in this folder, and remember it
    #[arg(long, value_name = "DIR")]
    pub catalogue: Option<PathBuf>,
}

/// Bounds on what a file may ask of memory and time.
#[derive(Debug, Args, Clone)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Entries of a container
    #[arg(long, value_name = "N", default_value_t = Limits::default().entries)]
    max_entries: u64,
    /// Bytes of a pickle, a header or a document
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().skeleton_bytes)]
    max_skeleton_bytes: u64,
    /// Bytes of a container's other small entries, together
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().extra_bytes)]
    max_extra_bytes: u64,
    /// Bytes of headers and gaps between a container's entries, together
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().literal_bytes)]
    max_literal_bytes: u64,
    /// Values in a checkpoint, each of which takes some hundred bytes of memory
    #[arg(long, value_name = "N", default_value_t = Limits::default().nodes)]
    max_values: u64,
    /// Containers inside each other in a document, and open marks in a pickle
    #[arg(long, value_name = "N", default_value_t = Limits::default().nesting)]
    max_nesting: u64,
    /// Bytes that one compressed byte may become
    #[arg(long, value_name = "N", default_value_t = Limits::default().inflate_ratio)]
    max_inflate_ratio: u64,
    /// Bytes that a compressed tensor may become in any case
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().inflated_bytes)]
    max_inflated_bytes: u64,
    /// Digits of an integer that is written as text
    #[arg(long, value_name = "N", default_value_t = Limits::default().digits)]
    max_digits: usize,
    /// Dimensions of a tensor
    #[arg(long, value_name = "N", default_value_t = Limits::default().dimensions)]
    max_dimensions: usize,
}

impl LimitArgs {
    /// The limits that are meant.
    pub fn limits(&self) -> Limits {
        Limits {
            entries: self.max_entries,
            skeleton_bytes: self.max_skeleton_bytes,
            extra_bytes: self.max_extra_bytes,
            literal_bytes: self.max_literal_bytes,
            nodes: self.max_values,
            nesting: self.max_nesting,
            inflate_ratio: self.max_inflate_ratio,
            inflated_bytes: self.max_inflated_bytes,
            digits: self.max_digits,
            dimensions: self.max_dimensions,
        }
    }
}

/// Where a checkpoint shall be brought.
#[derive(Debug, Args, Clone)]
#[group(multiple = false)]
pub struct TargetArgs {
    /// The version of the model code, for instance 0.12.0; or `latest`, `next` (what is not released too) or
    /// `base` (the begin of its group)
    #[arg(long, short = 'V', value_name = "VERSION")]
    pub version: Option<String>,
    /// The last migration that it shall have, instead of a version
    #[arg(long, value_name = "MIGRATION")]
    pub to: Option<String>,
}

impl TargetArgs {
    /// The target that is meant, if one is named.
    pub fn target(&self) -> Option<crate::migration::resolver::Target> {
        use crate::migration::resolver::Target;
        match (&self.version, &self.to) {
            (Some(text), _) => Some(Target::of_version(text)),
            (None, Some(text)) => Some(Target::of_migration(text)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
