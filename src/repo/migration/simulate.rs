//! A migration tried out on every stored checkpoint.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ledger::RefKind;
use crate::migration::Migration;
use crate::migration::plan::{Method, OperationKind};
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::snapshot::{self, Tree};
use crate::value::Path;

use super::super::run::{Position, Sources};
use super::super::state::Lineage;
use super::super::{CatalogueSource, Context, Repo, RepoError};
use super::test::{operation, runnable};

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
    /// Each branch, by name.
    pub checkpoints: Vec<Simulated>,
    /// Number of checkpoints on which it failed, matched nothing, or gave another result than the reference.
    pub problems: usize,
}

/// What a migration would do to one checkpoint.
#[derive(Debug, Clone, Serialize)]
pub struct Simulated {
    /// The branch.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// `done`, `failed`, or `unreachable` where the checkpoint cannot be brought to it.
    pub status: &'static str,
    /// Why, if it is not done.
    pub error: Option<String>,
    /// Steps that match nothing: their lines and what they say.
    pub unmatched: Vec<(u32, String)>,
    /// Whether it left the checkpoint as it was.
    pub unchanged: bool,
    /// Tensors that differ from the reference in being there, in element type or in shape.
    pub differs: Vec<Path>,
}

impl Repo {
    /// Tries a migration out on the checkpoint of every branch. No ref moves and no history is written.
    ///
    /// # Errors
    ///
    /// If there is no such migration or reference. What goes wrong with one checkpoint is in the report.
    pub fn simulate(
        &mut self,
        options: &SimulateOptions<'_>,
        context: &Context<'_>,
    ) -> Result<SimulateReport, RepoError> {
        let _lock = self.lock()?;
        let reference = match options.reference {
            Some(name) => Some(shapes(&self.tree_of(&self.revision_named(name)?)?)),
            None => None,
        };
        let mut report =
            SimulateReport { migration: options.migration.to_owned(), checkpoints: Vec::new(), problems: 0 };
        let rows = self.ledger.refs()?.into_iter().filter(|row| row.kind == RefKind::Branch);
        for row in rows.collect::<Vec<_>>() {
            let catalogue = self.load_catalogue(Some(&row), options.catalogue)?;
            let migration = runnable(&catalogue, options.migration)?.clone();
            let mut revision = self.revision(&row.revision)?;
            revision.applied = self.applied_of(&revision, &catalogue)?;
            let mut simulated = Simulated {
                ref_name: row.name,
                status: "unreachable",
                error: None,
                unmatched: Vec::new(),
                unchanged: false,
                differs: Vec::new(),
            };
            match self.bring_before(&revision, &catalogue, &migration.name, context) {
                Err(error) => simulated.error = Some(told(&error)),
                Ok(before) => {
                    let lineage = Lineage::default();
                    let sources = Sources {
                        catalogue: &catalogue,
                        lineage: &lineage,
                        renamed: Vec::new(),
                        redo: false,
                        remember: false,
                    };
                    self.simulate_one(
                        &migration,
                        &before,
                        &sources,
                        context,
                        reference.as_ref(),
                        &mut simulated,
                    )?;
                }
            }
            let is_problem = simulated.status == "failed"
                || !simulated.unmatched.is_empty()
                || !simulated.differs.is_empty();
            report.problems += usize::from(is_problem);
            report.checkpoints.push(simulated);
        }
        Ok(report)
    }

    fn simulate_one(
        &mut self,
        migration: &Migration,
        before: &Position,
        sources: &Sources<'_>,
        context: &Context<'_>,
        reference: Option<&BTreeMap<Path, Shape>>,
        simulated: &mut Simulated,
    ) -> Result<(), RepoError> {
        let tree = snapshot::read_tree(&self.reader(), &before.tree)?;
        if let Some(body) = &migration.body {
            let (graph, _) = snapshot::read_graph(&self.reader(), &tree)?;
            let unmatched = body.unmatched(&graph, context.limits).into_iter();
            simulated.unmatched = unmatched.map(|(line, reason)| (line, reason.to_string())).collect();
        }
        let up = operation(migration, OperationKind::Migrate, Method::Run);
        match self.carry_out(&up, before, sources, context) {
            Err(failed) => {
                simulated.status = "failed";
                simulated.error = Some(told(&failed.error));
            }
            Ok(done) => {
                simulated.status = "done";
                simulated.unchanged = match done.step.change {
                    Some(change) => self.is_empty_change(&change)?,
                    None => done.position.tree == before.tree,
                };
                if let Some(reference) = reference {
                    let tree = snapshot::read_tree(&self.reader(), &done.position.tree)?;
                    let found = shapes(&tree);
                    let other = |path: &&Path| found.get(path) != reference.get(path);
                    let mut all: Vec<&Path> = found.keys().chain(reference.keys()).filter(other).collect();
                    all.sort();
                    all.dedup();
                    simulated.differs = all.into_iter().cloned().collect();
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

/// Element type and extents.
type Shape = (&'static str, Vec<u64>);

fn shapes(tree: &Tree) -> BTreeMap<Path, Shape> {
    let shape = |tensor: &snapshot::TreeTensor| (tensor.dtype.name(), tensor.shape.clone());
    tree.tensors.iter().map(|tensor| (tensor.path.clone(), shape(tensor))).collect()
}

/// An error with its causes.
fn told(error: &RepoError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
