//! What the ledger needs kept: the objects that every later command may ask for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use crate::object::ObjectId;
use crate::revision::{Revision, Step};

/// Who needs an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needer {
    /// A revision.
    Revision(ObjectId),
    /// A row of the ledger.
    Row(i64),
}

impl fmt::Display for Needer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Needer::Revision(id) => write!(f, "revision {}", id.short()),
            Needer::Row(seq) => write!(f, "row {seq} of the history"),
        }
    }
}

/// Objects that are needed, each once, with the first that needs it.
#[derive(Debug, Default)]
struct Wanted {
    order: Vec<ObjectId>,
    by: HashMap<ObjectId, Needer>,
}

impl Wanted {
    fn add(&mut self, id: ObjectId, by: Needer) {
        if let Entry::Vacant(entry) = self.by.entry(id) {
            entry.insert(by);
            self.order.push(id);
        }
    }

    fn iter(&self) -> impl Iterator<Item = (ObjectId, Needer)> + '_ {
        self.order.iter().map(|id| (*id, self.by[id]))
    }
}

/// What revisions and rows of the ledger need.
#[derive(Debug, Default)]
pub(super) struct Needs {
    trees: Wanted,
    revisions: Wanted,
    records: Wanted,
}

impl Needs {
    /// A revision needs itself, its tree and what its steps need. Its parents are revisions of their own.
    pub fn add_revision(&mut self, id: ObjectId, revision: &Revision) {
        let by = Needer::Revision(id);
        self.revisions.add(id, by);
        self.trees.add(revision.tree, by);
        for step in &revision.steps {
            self.add_step(step, by);
        }
    }

    /// A step needs the trees before and after it, its script and its change record.
    pub fn add_step(&mut self, step: &Step, by: Needer) {
        self.trees.add(step.input, by);
        self.trees.add(step.output, by);
        for id in step.script.into_iter().chain(step.change) {
            self.records.add(id, by);
        }
    }

    /// Whether this tree is needed.
    pub fn has_tree(&self, id: &ObjectId) -> bool {
        self.trees.by.contains_key(id)
    }

    /// Whether this revision is among those that are needed.
    pub fn has_revision(&self, id: &ObjectId) -> bool {
        self.revisions.by.contains_key(id)
    }

    /// The trees, oldest first.
    pub fn trees(&self) -> impl Iterator<Item = (ObjectId, Needer)> + '_ {
        self.trees.iter()
    }

    /// The stored texts of revisions, oldest first.
    pub fn revisions(&self) -> impl Iterator<Item = (ObjectId, Needer)> + '_ {
        self.revisions.iter()
    }

    /// Scripts and change records, oldest first.
    pub fn records(&self) -> impl Iterator<Item = (ObjectId, Needer)> + '_ {
        self.records.iter()
    }
}
