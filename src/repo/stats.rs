//! What the store takes, and what it saves.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::object::{Locate, ObjectId};
use crate::refname::RefName;
use crate::snapshot;
use crate::store::{Codec, Reader, StoreError};

use super::{Repo, RepoError};

/// What a store takes, and what it saves.
#[derive(Debug, Clone, Serialize)]
pub struct StatsReport {
    /// Number of revisions.
    pub revisions: u64,
    /// Length in bytes of the files of all revisions together, as if each were kept.
    pub raw_bytes: u64,
    /// Length in bytes of all packs.
    pub stored_bytes: u64,
    /// Number of packs.
    pub packs: u64,
    /// Where the difference comes from.
    pub saved: Saved,
    /// What is stored how.
    pub codecs: Vec<CodecStats>,
    /// What each ref takes, by name.
    pub refs: Vec<RefStats>,
}

/// How many bytes each way of saving saves.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Saved {
    /// The same bytes in more than one revision, or more than once in one.
    pub dedupe: u64,
    /// Compression.
    pub codec: u64,
    /// Differences to an earlier revision's tensors, beyond nothing at all.
    pub delta: u64,
}

/// The records of one codec.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CodecStats {
    /// Its name.
    pub codec: &'static str,
    /// Number of records.
    pub records: u64,
    /// Length of what they stand for in bytes.
    pub raw_bytes: u64,
    /// Length of their stored forms in bytes.
    pub stored_bytes: u64,
}

/// What a ref takes, with all revisions that led to it.
#[derive(Debug, Clone, Serialize)]
pub struct RefStats {
    /// The ref.
    #[serde(rename = "ref")]
    pub name: RefName,
    /// Number of its revisions.
    pub revisions: u64,
    /// Length in bytes of their files together.
    pub raw_bytes: u64,
    /// Length in bytes of the stored forms that they need.
    pub stored_bytes: u64,
    /// How many of these no other ref needs.
    pub own_bytes: u64,
}

impl Repo {
    /// Tells what the store takes and what it saves. Reads every tree and no tensor.
    ///
    /// # Errors
    ///
    /// If the store is damaged.
    pub fn stats(&self) -> Result<StatsReport, RepoError> {
        let mut report = StatsReport {
            revisions: 0,
            raw_bytes: 0,
            stored_bytes: 0,
            packs: 0,
            saved: Saved { dedupe: 0, codec: 0, delta: 0 },
            codecs: Vec::new(),
            refs: Vec::new(),
        };
        for (_, bytes) in self.ledger.packs()? {
            report.packs += 1;
            report.stored_bytes += bytes;
        }
        let mut unique_bytes = 0;
        for (number, records, raw_bytes, stored_bytes) in self.ledger.codec_totals()? {
            let codec = Codec::from_number(number);
            // A list says the length of its whole object, whose frames are counted.
            let raw_bytes = if codec == Some(Codec::Frames) { 0 } else { raw_bytes };
            let shorter = raw_bytes.saturating_sub(stored_bytes);
            unique_bytes += raw_bytes;
            if codec == Some(Codec::Delta) {
                report.saved.delta += shorter;
            } else {
                report.saved.codec += shorter;
            }
            let codec = codec.map_or("unknown", Codec::name);
            report.codecs.push(CodecStats { codec, records, raw_bytes, stored_bytes });
        }
        let mut lengths = HashMap::new();
        let mut trees = HashMap::new();
        let mut parents = HashMap::new();
        for row in self.ledger.revisions()? {
            report.revisions += 1;
            report.raw_bytes += row.revision.file_bytes;
            lengths.insert(row.id, row.revision.file_bytes);
            trees.insert(row.id, row.revision.tree);
            parents.insert(row.id, row.revision.parents);
        }
        report.saved.dedupe = report.raw_bytes.saturating_sub(unique_bytes);
        // Which ref needs a record; `None` once several do.
        let mut needed_by: HashMap<ObjectId, (u64, Option<usize>)> = HashMap::new();
        let reader = self.reader();
        for (place, row) in self.ledger.refs()?.into_iter().enumerate() {
            let mut stats =
                RefStats { name: row.name, revisions: 0, raw_bytes: 0, stored_bytes: 0, own_bytes: 0 };
            let mut seen = HashSet::new();
            let mut left = vec![row.revision];
            let mut revisions = HashSet::new();
            while let Some(id) = left.pop() {
                if !revisions.insert(id) {
                    continue;
                }
                stats.revisions += 1;
                stats.raw_bytes += lengths.get(&id).copied().unwrap_or_default();
                left.extend(parents.get(&id).into_iter().flatten());
                if let Some(tree) = trees.get(&id) {
                    self.add_tree(&reader, *tree, &mut seen)?;
                }
            }
            for id in seen {
                let known = needed_by.get(&id).map(|(bytes, _)| *bytes);
                let bytes = match known {
                    Some(bytes) => bytes,
                    None => {
                        self.ledger.locate(&id).map_err(StoreError::from)?.map_or(0, |at| at.stored_bytes)
                    }
                };
                stats.stored_bytes += bytes;
                needed_by.entry(id).and_modify(|(_, by)| *by = None).or_insert((bytes, Some(place)));
            }
            report.refs.push(stats);
        }
        for (bytes, by) in needed_by.into_values() {
            if let Some(place) = by {
                report.refs[place].own_bytes += bytes;
            }
        }
        Ok(report)
    }

    /// Adds a tree, its objects and their frames to what was seen.
    fn add_tree(
        &self,
        reader: &Reader<'_>,
        tree: ObjectId,
        seen: &mut HashSet<ObjectId>,
    ) -> Result<(), RepoError> {
        if !seen.insert(tree) {
            return Ok(());
        }
        for stored in snapshot::read_tree(reader, &tree)?.objects() {
            if seen.insert(stored.object) {
                seen.extend(reader.references(&stored.object)?);
            }
        }
        Ok(())
    }
}
