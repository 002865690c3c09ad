//! The ledger by itself: its file, the chain of its rows, revisions and refs.

use std::collections::{HashMap, HashSet};

use crate::ledger::{ChainFault, Ledger, StepRow, StoredRevision};
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::revision::{Applied, Revision, Step};

use super::super::needs::{Needer, Needs};
use super::{FsckReport, whole};

/// For each revision, where it turned and which migrations it has.
type Turns = HashMap<ObjectId, (ObjectId, Option<Vec<Applied>>)>;

/// Checks the ledger, and gathers what it needs.
pub(super) fn check(ledger: &Ledger, needs: &mut Needs, report: &mut FsckReport) {
    for text in report.read("file", ledger.check_file()) {
        report.add("ledger-file", "ledger", text);
    }
    for fault in report.read("history", ledger.check_chain()) {
        match fault {
            ChainFault::Gap { seq } => report.add("chain-gap", seq, format!("row {seq} is missing")),
            ChainFault::Broken { seq } => {
                report.add("chain-broken", seq, format!("row {seq} does not follow the row before it"));
            }
            ChainFault::Altered { seq } => {
                report.add("chain-altered", seq, format!("row {seq} was changed after it was written"));
            }
        }
    }
    let mut rows: HashMap<ObjectId, Vec<StepRow>> = HashMap::new();
    let mut steps = 0;
    let read = ledger.each_step(&mut |row| {
        steps += 1;
        needs.add_step(&row.step, Needer::Row(row.seq));
        if let Some(revision) = row.revision {
            rows.entry(revision).or_default().push(row);
        }
    });
    report.read("history", read);
    report.checked.steps = steps;
    let known = check_revisions(ledger, &mut rows, needs, report);
    for row in rows.into_values().flatten() {
        let revision = row.revision.map(|id| id.short()).unwrap_or_default();
        let message = format!("row {} belongs to revision {revision}, which does not tell of it", row.seq);
        report.add("step-unknown", row.seq, message);
    }
    check_refs(ledger, &known, report);
}

/// Checks every revision, and takes the rows that belong to it out of `rows`. Returns their names.
fn check_revisions(
    ledger: &Ledger,
    rows: &mut HashMap<ObjectId, Vec<StepRow>>,
    needs: &mut Needs,
    report: &mut FsckReport,
) -> HashSet<ObjectId> {
    let mut known = HashSet::new();
    let mut parents = Vec::new();
    let mut turns = Turns::new();
    let read = ledger.each_revision(&mut |StoredRevision { id, tree, turn, body }| {
        known.insert(id);
        let own = rows.remove(&id).unwrap_or_default();
        let wrong = match Revision::decode(body.as_bytes()) {
            Err(error) => Some(whole(&error)),
            Ok(_) if ObjectId::of(body.as_bytes()) != id => Some("its text has another name".to_owned()),
            Ok(revision) if revision.tree != tree => Some("its row names another tree".to_owned()),
            Ok(revision) if !turned_at(id, turn, &revision, &mut turns) => {
                Some("its row says that its migrations are older or newer than they are".to_owned())
            }
            Ok(revision) => {
                needs.add_revision(id, &revision);
                compare_steps(id, &revision.steps, &own, report);
                parents.extend(revision.parents.iter().map(|parent| (id, *parent)));
                None
            }
        };
        if let Some(wrong) = wrong {
            report.add("revision-damaged", id, format!("revision {} is damaged: {wrong}", id.short()));
        }
    });
    report.read("revisions", read);
    report.checked.revisions = known.len() as u64;
    for (id, parent) in parents {
        if !known.contains(&parent) {
            let message =
                format!("revision {} was made from {}, which is missing", id.short(), parent.short());
            report.add("revision-parent-missing", id, message);
        }
    }
    known
}

/// Whether a revision turned where its row says. Where its parents are not known, anything is taken for right.
fn turned_at(id: ObjectId, stated: Option<ObjectId>, revision: &Revision, turns: &mut Turns) -> bool {
    let continued = revision.parents.first().and_then(|parent| turns.get(parent));
    let turn = match continued {
        Some((turn, applied)) if revision.steps.is_empty() && revision.applied == *applied => *turn,
        Some(_) => id,
        None => stated.unwrap_or(id),
    };
    turns.insert(id, (turn, revision.applied.clone()));
    stated.is_none_or(|stated| stated == turn)
}

/// A revision tells of its steps under its name, and the history in its chain: both must tell the same.
fn compare_steps(id: ObjectId, steps: &[Step], rows: &[StepRow], report: &mut FsckReport) {
    let mut left: Vec<&StepRow> = rows.iter().collect();
    for step in steps {
        match left.iter().position(|row| row.step == *step) {
            Some(place) => drop(left.remove(place)),
            None => {
                let kind = step.kind.as_str();
                let name = &step.migration;
                let message = format!("the history does not have {kind} {name} of revision {}", id.short());
                report.add("step-missing", id, message);
            }
        }
    }
    for row in left {
        let message = format!("row {} is not among the steps of revision {}", row.seq, id.short());
        report.add("step-unknown", row.seq, message);
    }
}

fn check_refs(ledger: &Ledger, known: &HashSet<ObjectId>, report: &mut FsckReport) {
    let refs = report.read("refs", ledger.refs());
    report.checked.refs = refs.len() as u64;
    for row in &refs {
        if !known.contains(&row.revision) {
            let message = format!("`{}` names revision {}, which is missing", row.name, row.revision.short());
            report.add("ref-dangling", &row.name, message);
        }
    }
    if let Some(head) = report.read("settings", ledger.setting("head")) {
        let found = head.parse::<RefName>().is_ok_and(|head| refs.iter().any(|row| row.name == head));
        if !found {
            let message =
                format!("HEAD names `{head}`, which is not there; `ckstore checkout NAME` moves it");
            report.add("head-dangling", head, message);
        }
    }
    let mut told = HashSet::new();
    for (name, old, new, ..) in report.read("ref log", ledger.ref_log(None)) {
        for id in old.into_iter().chain(new) {
            if !known.contains(&id) && told.insert(id) {
                let message = format!("the log of `{name}` names revision {}, which is missing", id.short());
                report.add("ref-log-dangling", &name, message);
            }
        }
    }
}
