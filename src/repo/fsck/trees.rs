//! What revisions and the history need: trees and their objects, scripts, change records.

use std::collections::{HashMap, HashSet};

use crate::ledger::Ledger;
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::refname::RefName;
use crate::snapshot::{self, SnapshotError};
use crate::store::{Reader, Store, StoreError};

use super::super::needs::{Needer, Needs};
use super::{Broken, FsckReport, is_missing, whole};

/// How an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    Missing,
    Damaged,
}

/// Looks every needed object up, each once.
struct Objects<'a> {
    reader: Reader<'a>,
    broken: &'a Broken,
    seen: HashMap<ObjectId, State>,
}

impl Objects<'_> {
    /// Whether an object can be read, as far as index, lists and the check of the packs tell.
    fn state(&mut self, id: &ObjectId) -> State {
        if let Some(state) = self.seen.get(id) {
            return *state;
        }
        let state = match self.reader.check(id) {
            Err(error) if is_missing(&error) => State::Missing,
            Err(_) => State::Damaged,
            Ok(frames) => {
                let among = |set: &HashSet<ObjectId>| frames.iter().chain([id]).any(|id| set.contains(id));
                if among(&self.broken.missing) {
                    State::Missing
                } else if among(&self.broken.damaged) {
                    State::Damaged
                } else {
                    State::Whole
                }
            }
        };
        self.seen.insert(*id, state);
        state
    }
}

/// Checks that everything in `needs` is there, and not among what is `broken`.
pub(super) fn check(
    store: &Store,
    ledger: &Ledger,
    needs: &Needs,
    broken: &Broken,
    progress: &dyn Progress,
    report: &mut FsckReport,
) {
    let mut objects = Objects { reader: store.reader(ledger), broken, seen: HashMap::new() };
    progress.begin("checking trees", 0);
    for (id, _) in needs.revisions() {
        let codes = ["revision-object-missing", "revision-object-damaged"];
        let what = format!("the stored text of revision {}", id.short());
        check_object(&mut objects, id, &what, codes, report);
    }
    for (id, by) in needs.records() {
        let codes = ["step-object-missing", "step-object-damaged"];
        let what = format!("object {}, which {by} needs,", id.short());
        check_object(&mut objects, id, &what, codes, report);
    }
    let mut broken_trees = HashSet::new();
    for (id, by) in needs.trees() {
        let before = report.findings.len();
        check_tree(&mut objects, id, by, report);
        if report.findings.len() > before {
            broken_trees.insert(id);
        }
    }
    progress.end();
    if !broken_trees.is_empty() {
        report.broken_refs = broken_refs(ledger, &broken_trees);
    }
    for (output, change) in report.read("remembered runs", ledger.memo_outputs()) {
        // What is needed has been reported already.
        let here = needs.has_tree(&output) || objects.state(&output) == State::Whole;
        if !here || objects.state(&change) != State::Whole {
            let message =
                "the result of a run that was remembered is gone; the run is made again when needed";
            report.add("memo-dangling", output, message);
        }
    }
    report.checked.objects = objects.seen.len() as u64;
}

/// The refs whose present revision has one of these trees. What cannot be read of the ledger is told elsewhere.
fn broken_refs(ledger: &Ledger, trees: &HashSet<ObjectId>) -> Vec<RefName> {
    let refs = ledger.refs().unwrap_or_default().into_iter();
    let broken = refs.filter(|row| match ledger.revision(&row.revision) {
        Ok(Some(revision)) => trees.contains(&revision.tree),
        _ => false,
    });
    broken.map(|row| row.name).collect()
}

fn check_object(
    objects: &mut Objects<'_>,
    id: ObjectId,
    what: &str,
    [missing, damaged]: [&'static str; 2],
    report: &mut FsckReport,
) {
    match objects.state(&id) {
        State::Whole => {}
        State::Missing => report.add(missing, id, format!("{what} is missing")),
        State::Damaged => report.add(damaged, id, format!("{what} is damaged")),
    }
}

fn check_tree(objects: &mut Objects<'_>, id: ObjectId, by: Needer, report: &mut FsckReport) {
    let name = format!("tree {} of {by}", id.short());
    let codes = ["tree-missing", "tree-damaged"];
    if objects.state(&id) != State::Whole {
        check_object(objects, id, &name, codes, report);
        return;
    }
    let tree = match snapshot::read_tree(&objects.reader, &id) {
        Ok(tree) => tree,
        Err(SnapshotError::Tree { source, .. }) => {
            report.add("tree-malformed", id, format!("{name}: {source}"));
            return;
        }
        Err(error) => {
            report.add("tree-damaged", id, format!("{name}: {}", whole(&error)));
            return;
        }
    };
    // One finding for each tree and kind: a pack that is gone may hold a million of its objects.
    let mut bad: [Vec<ObjectId>; 2] = Default::default();
    for stored in tree.objects() {
        match objects.state(&stored.object) {
            State::Missing => bad[0].push(stored.object),
            State::Damaged => bad[1].push(stored.object),
            State::Whole => match objects.reader.bytes(&stored.object) {
                Ok(bytes) if bytes == stored.bytes => {}
                Ok(bytes) => {
                    let object = stored.object.short();
                    let message =
                        format!("{name} gives object {object} {} bytes, it has {bytes}", stored.bytes);
                    report.add("tree-malformed", id, message);
                }
                Err(StoreError::Missing { .. }) => bad[0].push(stored.object),
                Err(_) => bad[1].push(stored.object),
            },
        }
    }
    let codes = [("tree-object-missing", "missing"), ("tree-object-damaged", "damaged")];
    for (mut objects, (code, word)) in bad.into_iter().zip(codes) {
        objects.sort_unstable();
        objects.dedup();
        if let Some(first) = objects.first() {
            let message = format!("{name}: {} of its objects are {word}, among them {first}", objects.len());
            report.add(code, id, message);
        }
    }
}
