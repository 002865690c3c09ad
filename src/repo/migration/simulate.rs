//! A migration tried out on every stored checkpoint.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;

use crate::migration::plan::{Method, OperationKind};
use crate::migration::{Catalogue, Migration};
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::snapshot::{self, Tree};
use crate::value::Path;

use super::super::run::Position;
use super::super::state::Lineage;
use super::super::{CatalogueSource, Context, Repo, RepoError};
use super::test::{operation, runnable, trial_sources};
use super::unmatched::{Unmatched, unmatched};

/// What to simulate.
#[derive(Debug, Clone)]
pub struct SimulateOptions<'a> {
    /// The migration.
    pub migration: &'a str,
    /// A checkpoint that was born at that version, to compare results with.
    pub reference: Option<&'a str>,
    /// Where the catalogue is; without it, each ref's own.
    pub catalogue: CatalogueSource<'a>,
}

/// What a migration would do to every stored checkpoint.
#[derive(Debug, Clone, Serialize)]
pub struct SimulateReport {
    /// The migration.
    pub migration: String,
    /// Each branch and tag, by name; of those that name one revision only the first.
    pub checkpoints: Vec<Simulated>,
    /// Number of checkpoints on which it failed, or gave another result than the reference.
    pub problems: usize,
}

/// What a migration would do to one checkpoint.
#[derive(Debug, Clone, Serialize)]
pub struct Simulated {
    /// The branch or tag.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// The revision that it names.
    pub revision: ObjectId,
    /// `done`, `failed`, or `unreachable` where the checkpoint cannot be brought to it.
    pub status: &'static str,
    /// Why, if it is not done.
    pub error: Option<String>,
    /// Steps and keys of the migration that match nothing.
    pub unmatched: Vec<Unmatched>,
    /// Whether it left the checkpoint as it was.
    pub unchanged: bool,
    /// Tensors that differ from the reference in being there, in element type or in shape.
    pub differs: Vec<Difference>,
}

/// A tensor that is not as in the reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where.
    pub path: Path,
    /// Element type and shape in the reference, if it is there.
    pub expected: Option<String>,
    /// Element type and shape in the result, if it is there.
    pub found: Option<String>,
}

impl Repo {
    /// Tries a migration out on the checkpoint of every branch and tag, in a copy of the store that is gone
    /// afterwards.
    ///
    /// # Errors
    ///
    /// If there is no such migration or reference. What goes wrong with one checkpoint is in the report.
    pub fn simulate(
        &self,
        options: &SimulateOptions<'_>,
        context: &Context<'_>,
    ) -> Result<SimulateReport, RepoError> {
        let reference = match options.reference {
            Some(name) => Some(shapes(&self.tree_of(&self.revision_named(name)?)?)),
            None => None,
        };
        let mut scratch = self.scratch()?;
        let repo = &mut scratch.repo;
        let mut report =
            SimulateReport { migration: options.migration.to_owned(), checkpoints: Vec::new(), problems: 0 };
        let mut seen = HashSet::new();
        let mut lacking = None;
        for row in repo.ledger.refs()? {
            if !seen.insert(row.revision) {
                continue;
            }
            // The catalogue of another model lacks it.
            let found = repo.load_catalogue(Some(&row), options.catalogue).and_then(|catalogue| {
                let migration = runnable(&catalogue, options.migration)?.clone();
                Ok((catalogue, migration))
            });
            let (catalogue, migration) = match found {
                Ok(found) => found,
                Err(error @ (RepoError::NotFound { .. } | RepoError::NoCatalogue { .. })) => {
                    lacking.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut simulated = Simulated {
                ref_name: row.name.clone(),
                revision: row.revision,
                status: "unreachable",
                error: None,
                unmatched: Vec::new(),
                unchanged: false,
                differs: Vec::new(),
            };
            match repo.bring_before(row, &catalogue, &migration.name, context) {
                Err(error) => simulated.error = Some(told(&error, &migration.name)),
                Ok(before) => {
                    let place = (&migration, &before);
                    repo.simulate_one(place, &catalogue, context, reference.as_ref(), &mut simulated)?;
                }
            }
            let is_problem = simulated.status == "failed" || !simulated.differs.is_empty();
            report.problems += usize::from(is_problem);
            report.checkpoints.push(simulated);
        }
        match lacking {
            Some(error) if report.checkpoints.is_empty() => Err(error),
            _ => Ok(report),
        }
    }

    fn simulate_one(
        &mut self,
        (migration, before): (&Migration, &Position),
        catalogue: &Catalogue,
        context: &Context<'_>,
        reference: Option<&BTreeMap<Path, Shape>>,
        simulated: &mut Simulated,
    ) -> Result<(), RepoError> {
        let tree = snapshot::read_tree(&self.reader(), &before.tree)?;
        let (graph, _) = snapshot::read_graph(&self.reader(), &tree)?;
        simulated.unmatched = unmatched(migration, &graph, &BTreeSet::new(), context.limits)?;
        let up = operation(migration, OperationKind::Migrate, Method::Run);
        let lineage = Lineage::default();
        match self.carry_out(&up, before, &trial_sources(catalogue, &lineage), context) {
            Err(failed) => {
                simulated.status = "failed";
                simulated.error = Some(told(&failed.error, &migration.name));
            }
            Ok(done) => {
                simulated.status = "done";
                simulated.unchanged = match done.step.change {
                    Some(change) => self.is_empty_change(&change)?,
                    None => done.position.tree == before.tree,
                };
                if let Some(reference) = reference {
                    let tree = snapshot::read_tree(&self.reader(), &done.position.tree)?;
                    simulated.differs = differences(reference, &shapes(&tree));
                }
            }
        }
        Ok(())
    }

    fn is_empty_change(&self, change: &ObjectId) -> Result<bool, RepoError> {
        let bytes = self.reader().read(change, 1 << 30)?;
        let record: Option<crate::migration::ChangeRecord> = serde_json::from_slice(&bytes).ok();
        Ok(record.is_some_and(|record| record.is_empty()))
    }
}

fn differences(expected: &BTreeMap<Path, Shape>, found: &BTreeMap<Path, Shape>) -> Vec<Difference> {
    let all: BTreeSet<&Path> = expected.keys().chain(found.keys()).collect();
    let other = all.into_iter().filter(|path| expected.get(path) != found.get(path));
    let told = |shape: Option<&Shape>| shape.map(|(dtype, shape)| format!("{dtype} {shape:?}"));
    other
        .map(|path| Difference {
            path: path.clone(),
            expected: told(expected.get(path)),
            found: told(found.get(path)),
        })
        .collect()
}

/// Element type and extents.
type Shape = (&'static str, Vec<u64>);

fn shapes(tree: &Tree) -> BTreeMap<Path, Shape> {
    let shape = |tensor: &snapshot::TreeTensor| (tensor.dtype.name(), tensor.shape.clone());
    tree.tensors.iter().map(|tensor| (tensor.path.clone(), shape(tensor))).collect()
}

/// What went wrong, and why, without the migration's name where that is the one that was asked for.
fn told(error: &RepoError, migration: &str) -> String {
    let mut chain: Vec<String> = Vec::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        chain.push(error.to_string());
        next = error.source();
    }
    let is_own = match error {
        RepoError::Migration { migration: failed, .. } | RepoError::Declarative { migration: failed, .. } => {
            failed == migration
        }
        _ => false,
    };
    chain[usize::from(is_own && chain.len() > 1)..].join(": ")
}
