//! Undoing migrations on content that was changed since, with the stored checkpoints before and after.

use crate::format::Outline;
use crate::migration::engine::Entry;
use crate::migration::merge::{self, Conflict, Side, Source};
use crate::migration::plan::{Method, OperationKind, Plan, Warning};
use crate::migration::{Catalogue, ChangeRecord, list};
use crate::object::ObjectId;
use crate::revision::{Revision, Step};
use crate::snapshot::{self, Content, Tree};
use crate::value::Graph;

use super::run::{
    ListPlace, Position, Sources, TreeBytes, Word, contents_of, list_place, optimizer_warnings,
    store_computed, write_list,
};
use super::state::Lineage;
use super::{Repo, RepoError};

/// Largest change record that is read back, in bytes.
const MAX_RECORD_BYTES: u64 = 1 << 30;

/// Whether the merges of a plan can be done.
pub(super) enum Rehearsal {
    /// They can; and what a person should know.
    Fine(Vec<Warning>),
    /// This one cannot; without a conflict when what it would be done on is not known beforehand.
    Refused { migration: String, conflict: Option<Conflict> },
}

/// A stored checkpoint without its tensor bytes.
struct Loaded {
    tree: Tree,
    graph: Graph,
    outline: Outline,
    contents: Vec<Option<ObjectId>>,
}

impl Loaded {
    fn side(&self) -> Side<'_> {
        Side { graph: &self.graph, contents: &self.contents }
    }
}

/// What a step was run on, what came out, and how they differ.
struct Recorded {
    before: Loaded,
    after: Loaded,
    change: ChangeRecord,
}

impl Repo {
    /// Does all merges of a plan without tensor bytes and without writing anything, each on what the one
    /// before it would leave.
    pub(super) fn rehearse(
        &self,
        revision: &Revision,
        lineage: &Lineage,
        catalogue: &Catalogue,
        plan: &Plan,
    ) -> Result<Rehearsal, RepoError> {
        let rollbacks = plan.operations.iter().filter(|operation| operation.kind == OperationKind::Rollback);
        let rollbacks: Vec<_> = rollbacks.collect();
        let Some(last) = rollbacks.iter().rposition(|operation| operation.method == Method::Merge) else {
            return Ok(Rehearsal::Fine(Vec::new()));
        };
        let mut tree = revision.tree;
        let mut warnings = Vec::new();
        let mut present: Option<(Graph, Vec<Option<ObjectId>>)> = None;
        for (place, operation) in rollbacks[..=last].iter().enumerate() {
            let migration = &operation.migration;
            let refused = |conflict| Rehearsal::Refused { migration: migration.clone(), conflict };
            match (operation.method, lineage.run_of(migration)) {
                (Method::Restore, Some(run)) => (tree, present) = (run.input, None),
                (Method::Merge, Some(run)) => {
                    let (graph, contents) = match present.take() {
                        Some(present) => present,
                        None => {
                            let loaded = self.load(&tree)?;
                            (loaded.graph, loaded.contents)
                        }
                    };
                    let side = Side { graph: &graph, contents: &contents };
                    let Some(recorded) = self.recorded(run)? else { return Ok(refused(None)) };
                    match merge_step(&recorded, &side, &catalogue.list_key) {
                        Ok(merged) => {
                            warnings.extend(optimizer_warnings(migration, &graph, &merged.graph));
                            let names = merged.sources.iter().map(|source| match source {
                                Source::Present(id) => contents.get(id.index()).copied().flatten(),
                                Source::Recorded(id) => recorded.before.contents[id.index()],
                                Source::Computed(_) => None,
                            });
                            let names = names.collect();
                            present = Some((merged.graph, names));
                        }
                        Err(conflict) => return Ok(refused(Some(conflict))),
                    }
                }
                // What a script makes is not known before it ran.
                _ => {
                    let mut later = rollbacks[place..].iter();
                    let next = later.find(|later| later.method == Method::Merge);
                    let migration = next.map_or(migration, |later| &later.migration).clone();
                    return Ok(Rehearsal::Refused { migration, conflict: None });
                }
            }
        }
        Ok(Rehearsal::Fine(warnings))
    }

    /// Undoes a step on content that was changed since.
    pub(super) fn merge_back(
        &mut self,
        from: &Position,
        sources: &Sources<'_>,
        step: &mut Step,
    ) -> Result<(Position, Word), RepoError> {
        let missing = || RepoError::ScriptMissing { migration: step.migration.clone() };
        let run = sources.lineage.run_of(&step.migration).ok_or_else(missing)?;
        let recorded = self.recorded(run)?.ok_or_else(missing)?;
        step.script = run.script;
        step.digest = run.digest.or(step.digest);
        step.change = run.change;
        let present = self.load(&from.tree)?;
        let catalogue = sources.catalogue;
        let merged = merge_step(&recorded, &present.side(), &catalogue.list_key)
            .map_err(|source| RepoError::Merge { migration: step.migration.clone(), source })?;

        let applied = sources.renamed(&from.applied[..from.applied.len().saturating_sub(1)]);
        let place = list_place(&present.graph, &present.outline, &catalogue.list_key, &from.applied);
        let mut graph = merged.graph;
        if place == ListPlace::Edited {
            let names = from.applied.iter().zip(&applied).filter(|(old, new)| old.name != new.name);
            names.for_each(|(old, new)| list::rename(&mut graph, &catalogue.list_key, &old.name, &new.name));
        }
        write_list(&mut graph, place, catalogue, Entry::Rollback, &step.migration, &applied)?;

        let (now, stored) = (contents_of(&present.tree), contents_of(&recorded.before.tree));
        let known = |source: &Source| match source {
            Source::Present(id) => now.get(id.index()).copied().flatten(),
            Source::Recorded(id) => stored.get(id.index()).copied().flatten(),
            Source::Computed(_) => None,
        };
        let mut contents: Vec<Option<Content>> = merged.sources.iter().map(known).collect();
        let reader = self.reader();
        let mut bytes = TreeBytes::of_contents(&reader, &now);
        let mut writer = self.store.writer(&self.ledger);
        for (content, (source, storage)) in
            contents.iter_mut().zip(merged.sources.iter().zip(&graph.storages))
        {
            if let Source::Computed(expr) = source {
                let stored = store_computed(expr, storage.bytes, &mut bytes, &mut writer, &step.migration)?;
                *content = Some(stored);
            }
        }
        let (tree, _) = snapshot::write_graph(&graph, &present.outline, &contents, &mut writer)?;
        let pack = writer.finish()?;
        drop(reader);
        let ledger = self.ledger.change()?;
        if let Some(pack) = &pack {
            ledger.add_pack(&pack.id, pack.bytes, &pack.records)?;
        }
        ledger.commit()?;
        Ok((Position { tree, applied }, Word::default()))
    }

    /// What is stored of a run; `None` where no change record is.
    fn recorded(&self, run: &Step) -> Result<Option<Recorded>, RepoError> {
        let Some(change) = run.change else { return Ok(None) };
        let bytes = self.reader().read(&change, MAX_RECORD_BYTES)?;
        // A record of another version is as good as none.
        let Ok(change) = serde_json::from_slice::<ChangeRecord>(&bytes) else { return Ok(None) };
        if change.encoding != crate::migration::CHANGE_ENCODING {
            return Ok(None);
        }
        Ok(Some(Recorded { before: self.load(&run.input)?, after: self.load(&run.output)?, change }))
    }

    fn load(&self, tree: &ObjectId) -> Result<Loaded, RepoError> {
        let reader = self.reader();
        let tree = snapshot::read_tree(&reader, tree)?;
        let (graph, outline) = snapshot::read_graph(&reader, &tree)?;
        let contents = tree.storages.iter().map(|storage| Some(storage.content.object)).collect();
        Ok(Loaded { tree, graph, outline, contents })
    }
}

fn merge_step(recorded: &Recorded, present: &Side<'_>, list_key: &str) -> Result<merge::Merged, Conflict> {
    merge::undo(&recorded.before.side(), &recorded.after.side(), present, &recorded.change, list_key)
}
