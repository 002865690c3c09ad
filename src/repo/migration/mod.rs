//! What a team does with a catalogue: look at it, add to it, try it out.

mod create;
mod fix_order;
mod git;
mod lint;
mod list;
mod simulate;
mod test;
mod unmatched;

pub use create::{CreateOptions, CreateReport, create_migration};
pub use fix_order::{FixOrderOptions, FixOrderReport, Renaming, fix_order};
pub use lint::{Finding, LintReport, lint};
pub use list::{CatalogueReport, GroupOfCatalogue, ListedMigration, list_migrations};
pub use simulate::{Difference, SimulateOptions, SimulateReport, Simulated};
pub use test::{TestOptions, TestReport, Trial};
pub use unmatched::Unmatched;

use std::path::PathBuf;

use super::{CatalogueSource, Repo, RepoError};

/// The folder of the catalogue that is meant, with or without a store: the one given, else HEAD's, else `migrations`
/// in the current folder.
///
/// # Errors
///
/// If the ledger cannot be read.
pub fn catalogue_folder(repo: Option<&Repo>, source: CatalogueSource<'_>) -> Result<PathBuf, RepoError> {
    match repo {
        Some(repo) => {
            let head = repo.branch_named(None).ok();
            repo.catalogue_directory(head.as_ref(), source)
        }
        None => match (source.given, source.current) {
            (Some(given), _) => super::open::absolute(given),
            (None, Some(current)) => Ok(current.join("migrations")),
            (None, None) => super::open::absolute("migrations".as_ref()),
        },
    }
}
