//! What the store takes, and what it saves.

mod refs;

use serde::Serialize;

use crate::refname::RefName;
use crate::store::Codec;

use super::{Repo, RepoError};
use refs::Visited;

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

/// What a ref takes, with all revisions that led to it, as `log` shows them.
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
        let _reading = self.ledger.reading()?;
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
        let revisions: Vec<Visited> = self.ledger.revisions()?.into_iter().map(Visited::of).collect();
        report.revisions = revisions.len() as u64;
        report.raw_bytes = revisions.iter().map(|revision| revision.raw_bytes).fold(0, u64::saturating_add);
        report.saved.dedupe = report.raw_bytes.saturating_sub(unique_bytes);
        report.refs = refs::weigh(&self.ledger, &self.reader(), &revisions, self.ledger.refs()?)?;
        Ok(report)
    }
}
