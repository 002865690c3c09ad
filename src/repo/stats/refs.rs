//! What each ref takes.
//!
//! Revisions are gone through from the first to the last along every line, as deep as it goes before the next
//! line begins. What is on the way to a revision is known when it is reached, so that each tree is read once,
//! however many refs there are.

use std::collections::HashMap;

use crate::ledger::{Ledger, RefRow, RevisionRow};
use crate::object::ObjectId;
use crate::snapshot;
use crate::store::{Codec, Reader};

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

/// The store's records, by number in the order of their names: a few bytes for each.
struct Records<'a> {
    reader: &'a Reader<'a>,
    names: Vec<ObjectId>,
    stored_bytes: Vec<u32>,
    by: Vec<By>,
    /// Whether a revision on the way to the present one needs it.
    on_the_way: Vec<bool>,
    /// Whether others have to be read for it.
    needs_others: Vec<bool>,
    /// Those others: the frames of an object, and what they are differences to.
    others: HashMap<u32, Vec<u32>>,
}

impl<'a> Records<'a> {
    fn of(ledger: &Ledger, reader: &'a Reader<'a>) -> Result<Records<'a>, RepoError> {
        let mut records = Records {
            reader,
            names: Vec::new(),
            stored_bytes: Vec::new(),
            by: Vec::new(),
            on_the_way: Vec::new(),
            needs_others: Vec::new(),
            others: HashMap::new(),
        };
        ledger.each_object(&mut |id, location| {
            records.names.push(id);
            records.stored_bytes.push(u32::try_from(location.stored_bytes).unwrap_or(u32::MAX));
            let codec = Codec::from_number(location.codec);
            records.needs_others.push(matches!(codec, Some(Codec::Frames | Codec::Delta)));
        })?;
        records.by.resize(records.names.len(), By::None);
        records.on_the_way.resize(records.names.len(), false);
        Ok(records)
    }

    /// The number of a record; `None` where the store does not have it.
    fn number(&self, id: &ObjectId) -> Option<u32> {
        u32::try_from(self.names.binary_search(id).ok()?).ok()
    }

    /// Every record that a tree needs.
    fn of_tree(&mut self, tree: ObjectId) -> Result<Vec<u32>, RepoError> {
        let read = snapshot::read_tree(self.reader, &tree)?;
        let objects = std::iter::once(tree).chain(read.objects().map(|stored| stored.object));
        let mut needed: Vec<u32> = objects.filter_map(|id| self.number(&id)).collect();
        for place in 0..needed.len() {
            let number = needed[place];
            if !self.needs_others[number as usize] {
                continue;
            }
            if !self.others.contains_key(&number) {
                let others = self.reader.references(&self.names[number as usize])?;
                let others = others.iter().filter_map(|id| self.number(id)).collect();
                self.others.insert(number, others);
            }
            needed.extend_from_slice(&self.others[&number]);
        }
        Ok(needed)
    }
}

/// What is to be done next.
enum Next {
    /// Go to a revision, so many revisions and bytes of files being on the way to it.
    Enter { place: usize, revisions: u64, raw_bytes: u64 },
    /// Go back: this is no longer on the way.
    Leave(Vec<u32>),
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
    let mut records = Records::of(ledger, reader)?;
    let mut stored_bytes = 0;
    while let Some(step) = next.pop() {
        let (place, revisions_here, raw_here) = match step {
            Next::Leave(left) => {
                for number in left {
                    records.on_the_way[number as usize] = false;
                    stored_bytes -= u64::from(records.stored_bytes[number as usize]);
                }
                continue;
            }
            Next::Enter { place, revisions, raw_bytes } => (place, revisions, raw_bytes),
        };
        let mut entered = Vec::new();
        for number in records.of_tree(revisions[place].tree)? {
            let record = number as usize;
            records.by[record] = records.by[record].and(by[place]);
            if !records.on_the_way[record] {
                records.on_the_way[record] = true;
                stored_bytes += u64::from(records.stored_bytes[record]);
                entered.push(number);
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
    for (by, stored_bytes) in records.by.iter().zip(&records.stored_bytes) {
        if let By::One(number) = by {
            stats[*number as usize].own_bytes += u64::from(*stored_bytes);
        }
    }
    Ok(stats)
}
