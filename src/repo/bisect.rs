//! Finding the step that changed what a command reports.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::ledger::RefRow;
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::snapshot;

use super::plan::{PlanOptions, Planned};
use super::run::Sources;
use super::{Context, Repo, RepoError};

/// What to search.
#[derive(Debug, Clone)]
pub struct BisectOptions<'a> {
    /// The ref and the rules; the target counts only with `over_plan`.
    pub plan: PlanOptions<'a>,
    /// Search the steps of the plan, and not those that led to the ref.
    pub over_plan: bool,
    /// Begin the history at this revision.
    pub since: Option<&'a str>,
}

/// What a command says of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it was before the change.
    Good,
    /// As it is after the change.
    Bad,
    /// It cannot be told.
    Skip,
}

/// Why a search finds nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BisectError {
    /// There is nothing between two checkpoints.
    #[error("there is no step to search: nothing was done to `{name}`")]
    NoSteps {
        /// The ref.
        name: RefName,
    },
    /// It was bad before.
    #[error("the command says that the checkpoint is bad before the first step already")]
    AlreadyBad,
    /// It never is bad.
    #[error("the command says that the checkpoint is good after the last step too")]
    NeverBad,
    /// The command cannot tell of the first or the last checkpoint.
    #[error("the command skips the {which} checkpoint, so there is nothing to begin with")]
    EndSkipped {
        /// `first` or `last`.
        which: &'static str,
    },
    /// The command cannot be started.
    #[error("cannot start `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's account.
        #[source]
        source: io::Error,
    },
    /// The command did not come to a verdict.
    #[error("the command gives no verdict: {reason}")]
    Aborted {
        /// What became of it.
        reason: String,
    },
}

/// What was done to a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BisectStep {
    /// Its place: 0 is the checkpoint before the first step.
    pub place: usize,
    /// `migrate`, `rollback`, `redo`, or `import` where the content came from a file.
    pub kind: String,
    /// The migration; `None` for an import.
    pub migration: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The tree after it.
    pub tree: ObjectId,
    /// The revision that was made of it, where one was.
    pub revision: Option<ObjectId>,
}

/// A checkpoint that was given to the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BisectRun {
    /// Which one: the place of the step that led to it.
    pub place: usize,
    /// What the command said.
    pub verdict: Verdict,
}

/// What a search came to.
#[derive(Debug, Clone, Serialize)]
pub struct BisectReport {
    /// The ref.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// Everything that was searched, in order.
    pub steps: Vec<BisectStep>,
    /// What was run, in that order.
    pub runs: Vec<BisectRun>,
    /// The step that changed the verdict; `None` where skipped checkpoints leave several.
    pub first_bad: Option<BisectStep>,
    /// Places of the steps among which it is; one if it was found.
    pub candidates: Vec<usize>,
}

impl Repo {
    /// Finds the step after which a command no longer calls a checkpoint good, by halving.
    ///
    /// Each checkpoint is written to a file of its own, which is gone after the command. Nothing of the store is
    /// changed.
    ///
    /// # Errors
    ///
    /// [`BisectError`] where there is no such step, or `judge`'s own.
    pub fn bisect(
        &self,
        options: &BisectOptions<'_>,
        context: &Context<'_>,
        judge: &mut dyn FnMut(&BisectStep, &Path) -> Result<Verdict, BisectError>,
    ) -> Result<BisectReport, RepoError> {
        let row = self.branch_named(options.plan.name)?;
        let name = self.file_name(&row)?;
        if options.over_plan {
            let planned = self.planned(&options.plan)?;
            let mut scratch = self.scratch()?;
            let steps = scratch.repo.steps_of_plan(&planned, context)?;
            return scratch.repo.search(row.name, steps, &name, context, judge);
        }
        let steps = self.steps_of_history(&row, options.since)?;
        self.search(row.name, steps, &name, context, judge)
    }

    /// What a plan leads through.
    fn steps_of_plan(
        &mut self,
        planned: &Planned,
        context: &Context<'_>,
    ) -> Result<Vec<BisectStep>, RepoError> {
        let mut position = planned.position();
        let mut steps = vec![begin(position.tree, Some(planned.row.revision))];
        let sources = Sources::of(planned, false);
        for operation in &planned.plan.operations {
            let done =
                self.carry_out(operation, &position, &sources, context).map_err(|failed| failed.error)?;
            position = done.position;
            steps.push(BisectStep {
                place: 0,
                kind: done.step.kind.as_str().to_owned(),
                migration: Some(operation.migration.clone()),
                version: operation.version.clone(),
                tree: position.tree,
                revision: None,
            });
        }
        Ok(numbered(steps))
    }

    /// What led to a ref, oldest first.
    fn steps_of_history(&self, row: &RefRow, since: Option<&str>) -> Result<Vec<BisectStep>, RepoError> {
        let since = since.map(|name| self.revision_named(name)).transpose()?;
        let mut chain = Vec::new();
        let mut next = Some(row.revision);
        while let Some(id) = next {
            let revision = self.revision(&id)?;
            next = revision.parents.first().copied().filter(|_| since != Some(id));
            chain.push((id, revision));
        }
        if let Some(since) = since.filter(|since| chain.last().is_none_or(|(id, _)| id != since)) {
            let name = since.short();
            return Err(RepoError::NotFound { what: "revision of this checkpoint", name, suggestion: None });
        }
        let mut steps = Vec::new();
        for (place, (id, revision)) in chain.iter().rev().enumerate() {
            if place == 0 {
                steps.push(begin(revision.tree, Some(*id)));
                continue;
            }
            for step in revision.steps.iter().filter(|step| step.input != step.output) {
                steps.push(BisectStep {
                    place: 0,
                    kind: step.kind.as_str().to_owned(),
                    migration: Some(step.migration.clone()),
                    version: step.version.clone(),
                    tree: step.output,
                    revision: None,
                });
            }
            match steps.last_mut() {
                Some(last) if last.tree == revision.tree => last.revision = Some(*id),
                _ => steps.push(begin(revision.tree, Some(*id))),
            }
        }
        Ok(numbered(steps))
    }

    fn search(
        &self,
        ref_name: RefName,
        steps: Vec<BisectStep>,
        file_name: &str,
        context: &Context<'_>,
        judge: &mut dyn FnMut(&BisectStep, &Path) -> Result<Verdict, BisectError>,
    ) -> Result<BisectReport, RepoError> {
        if steps.len() < 2 {
            return Err(BisectError::NoSteps { name: ref_name }.into());
        }
        let temporary = std::env::temp_dir();
        let folder = tempfile::Builder::new()
            .prefix("ckstore-")
            .tempdir()
            .map_err(RepoError::io("make a folder in", &temporary))?;
        let mut runs = Vec::new();
        let mut run = |place: usize| -> Result<Verdict, RepoError> {
            let path = folder.path().join(file_name);
            self.write_tree(&steps[place].tree, &path, context)?;
            let verdict = judge(&steps[place], &path)?;
            // The command may have removed it.
            let _ = std::fs::remove_file(&path);
            runs.push(BisectRun { place, verdict });
            Ok(verdict)
        };
        let (mut good, mut bad) = (0, steps.len() - 1);
        for (place, which, wrong, error) in [
            (bad, "last", Verdict::Good, BisectError::NeverBad),
            (good, "first", Verdict::Bad, BisectError::AlreadyBad),
        ] {
            match run(place)? {
                Verdict::Skip => return Err(BisectError::EndSkipped { which }.into()),
                verdict if verdict == wrong => return Err(error.into()),
                _ => {}
            }
        }
        let mut skipped = BTreeSet::new();
        while let Some(place) = nearest_to_middle(good, bad, &skipped) {
            match run(place)? {
                Verdict::Good => good = place,
                Verdict::Bad => bad = place,
                Verdict::Skip => drop(skipped.insert(place)),
            }
        }
        let candidates: Vec<usize> = (good + 1..=bad).collect();
        let first_bad = (candidates.len() == 1).then(|| steps[bad].clone());
        Ok(BisectReport { ref_name, steps, runs, first_bad, candidates })
    }

    /// Writes the file of a tree to a new place.
    pub(super) fn write_tree(
        &self,
        tree: &ObjectId,
        path: &Path,
        context: &Context<'_>,
    ) -> Result<(), RepoError> {
        let failed = || RepoError::io("write", path);
        let reader = self.reader();
        let tree = snapshot::read_tree(&reader, tree)?;
        let mut file = BufWriter::new(File::create(path).map_err(failed())?);
        let export = snapshot::export(&reader, &tree, &mut |bytes| file.write_all(bytes), context.progress);
        export.map_err(|error| super::checkout::sink_error(error, path))?;
        file.flush().map_err(failed())
    }

    /// The name of a ref's file, which tells programs its format.
    fn file_name(&self, row: &RefRow) -> Result<String, RepoError> {
        let known = self.remembered_file(&row.name)?.map(|file| PathBuf::from(file.path));
        let name = known.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
        Ok(name.unwrap_or_else(|| "checkpoint".to_owned()))
    }
}

/// A checkpoint that came from a file, or that a search begins with.
fn begin(tree: ObjectId, revision: Option<ObjectId>) -> BisectStep {
    BisectStep { place: 0, kind: "import".to_owned(), migration: None, version: None, tree, revision }
}

fn numbered(mut steps: Vec<BisectStep>) -> Vec<BisectStep> {
    steps.iter_mut().enumerate().for_each(|(place, step)| step.place = place);
    steps
}

/// The checkpoint between these two that tells most, of those that were not skipped.
fn nearest_to_middle(good: usize, bad: usize, skipped: &BTreeSet<usize>) -> Option<usize> {
    let middle = good + (bad - good) / 2;
    (good + 1..bad).filter(|place| !skipped.contains(place)).min_by_key(|place| place.abs_diff(middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_skipped_is_passed_by() {
        let none = BTreeSet::new();
        assert_eq!(nearest_to_middle(0, 1, &none), None);
        assert_eq!(nearest_to_middle(0, 2, &none), Some(1));
        assert_eq!(nearest_to_middle(0, 8, &none), Some(4));
        assert_eq!(nearest_to_middle(0, 8, &[4].into()), Some(3));
        assert_eq!(nearest_to_middle(2, 5, &[3, 4].into()), None);
    }
}
