//! What each ref takes.
//!
//! Revisions are gone through from the first to the last along every line, as deep as it goes before the next
//! line begins. What is on the way to a revision is known when it is reached, so that each tree is read once,
//! however many refs there are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::ledger::{Ledger, RefRow, RevisionRow};
use crate::object::{Locate, ObjectId};
use crate::snapshot;
use crate::store::{Codec, Reader, StoreError};

use super::super::RepoError;
use super::RefStats;

/// What is needed of a revision.
pub(super) struct Visited {
    id: ObjectId,
    tree: ObjectId,
    /// The revision that it continues.
    parent: Option<ObjectId>,
    /// Length of its file in bytes.
    pub raw_bytes: u64,
}

impl Visited {
    pub fn of(row: RevisionRow) -> Visited {
        let parent = row.revision.parents.first().copied();
        Visited { id: row.id, tree: row.revision.tree, parent, raw_bytes: row.revision.file_bytes }
    }
}

/// Which refs need something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    None,
    /// This one alone.
    One(u32),
    Several,
}

impl By {
    fn and(self, other: By) -> By {
        match (self, other) {
            (By::None, by) | (by, By::None) => by,
            (By::One(one), By::One(other)) if one == other => By::One(one),
            _ => By::Several,
        }
    }
}

/// A stored record.
struct Record {
    stored_bytes: u64,
    /// Whether others have to be read for it.
    needs_others: bool,
    by: By,
    /// Whether a revision on the way to the present one needs it.
    on_the_way: bool,
}

/// What is known of the store's records.
struct Records<'a> {
    ledger: &'a Ledger,
    reader: &'a Reader<'a>,
    known: HashMap<ObjectId, Record>,
    /// What has to be there besides to read an object: its frames, and what they are differences to.
    besides: HashMap<ObjectId, Vec<ObjectId>>,
}

impl Records<'_> {
    /// Looks up the records that are not known yet.
    fn know(&mut self, ids: &[ObjectId]) -> Result<(), RepoError> {
        let new: Vec<ObjectId> = ids.iter().filter(|id| !self.known.contains_key(id)).copied().collect();
        for (id, found) in new.iter().zip(self.ledger.locate_many(&new).map_err(StoreError::from)?) {
            let codec = found.and_then(|location| Codec::from_number(location.codec));
            let record = Record {
                stored_bytes: found.map_or(0, |location| location.stored_bytes),
                needs_others: matches!(codec, Some(Codec::Frames | Codec::Delta)),
                by: By::None,
                on_the_way: false,
            };
            self.known.insert(*id, record);
        }
        Ok(())
    }

    /// Every record that a tree needs.
    fn of_tree(&mut self, tree: ObjectId) -> Result<Vec<ObjectId>, RepoError> {
        let read = snapshot::read_tree(self.reader, &tree)?;
        let mut needed: Vec<ObjectId> =
            std::iter::once(tree).chain(read.objects().map(|stored| stored.object)).collect();
        self.know(&needed)?;
        let mut more = Vec::new();
        for id in needed.iter().filter(|id| self.known[*id].needs_others) {
            let besides = match self.besides.entry(*id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(self.reader.references(id)?),
            };
            more.extend_from_slice(besides);
        }
        self.know(&more)?;
        needed.extend(more);
        Ok(needed)
    }
}

/// What is to be done next.
enum Next {
    /// Go to a revision, so many revisions and bytes of files being on the way to it.
    Enter { place: usize, revisions: u64, raw_bytes: u64 },
    /// Go back: this is no longer on the way.
    Leave(Vec<ObjectId>),
}

/// What each ref takes, in the order of the refs. `revisions` are all there are, oldest first.
pub(super) fn weigh(
    ledger: &Ledger,
    reader: &Reader<'_>,
    revisions: &[Visited],
    refs: Vec<RefRow>,
) -> Result<Vec<RefStats>, RepoError> {
    let places: HashMap<ObjectId, usize> =
        revisions.iter().enumerate().map(|(place, revision)| (revision.id, place)).collect();
    let mut by = vec![By::None; revisions.len()];
    let mut refs_at: Vec<Vec<usize>> = vec![Vec::new(); revisions.len()];
    for (number, row) in (0..).zip(&refs) {
        if let Some(place) = places.get(&row.revision) {
            by[*place] = by[*place].and(By::One(number));
            refs_at[*place].push(number as usize);
        }
    }
    // What a revision is needed by, the one that it continues is too: that one is older.
    let parent = |place: usize| revisions[place].parent.and_then(|id| places.get(&id).copied());
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); revisions.len()];
    let mut next = Vec::new();
    for place in (0..revisions.len()).rev() {
        if by[place] == By::None {
            continue;
        }
        match parent(place).filter(|parent| *parent < place) {
            Some(parent) => {
                by[parent] = by[parent].and(by[place]);
                children[parent].push(place);
            }
            None => next.push(Next::Enter { place, revisions: 0, raw_bytes: 0 }),
        }
    }
    let new =
        |row: RefRow| RefStats { name: row.name, revisions: 0, raw_bytes: 0, stored_bytes: 0, own_bytes: 0 };
    let mut stats: Vec<RefStats> = refs.into_iter().map(new).collect();
    let mut records = Records { ledger, reader, known: HashMap::new(), besides: HashMap::new() };
    let mut stored_bytes = 0;
    while let Some(step) = next.pop() {
        let (place, revisions_here, raw_here) = match step {
            Next::Leave(ids) => {
                for id in ids {
                    let record = records.known.get_mut(&id).expect("what was entered is known");
                    record.on_the_way = false;
                    stored_bytes -= record.stored_bytes;
                }
                continue;
            }
            Next::Enter { place, revisions, raw_bytes } => (place, revisions, raw_bytes),
        };
        let mut entered = Vec::new();
        for id in records.of_tree(revisions[place].tree)? {
            let record = records.known.get_mut(&id).expect("what a tree needs was looked up");
            record.by = record.by.and(by[place]);
            if !record.on_the_way {
                record.on_the_way = true;
                stored_bytes += record.stored_bytes;
                entered.push(id);
            }
        }
        let so_far = revisions_here + 1;
        let raw_bytes = raw_here.saturating_add(revisions[place].raw_bytes);
        for number in &refs_at[place] {
            let stats = &mut stats[*number];
            (stats.revisions, stats.raw_bytes, stats.stored_bytes) = (so_far, raw_bytes, stored_bytes);
        }
        next.push(Next::Leave(entered));
        let below = children[place].iter();
        next.extend(below.map(|place| Next::Enter { place: *place, revisions: so_far, raw_bytes }));
    }
    for record in records.known.values() {
        if let By::One(number) = record.by {
            stats[number as usize].own_bytes += record.stored_bytes;
        }
    }
    Ok(stats)
}
