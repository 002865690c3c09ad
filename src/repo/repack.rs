//! Writing all packs anew.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use crate::object::{Locate, ObjectId, PackId};
use crate::progress::Progress;
use crate::snapshot;
use crate::store::{Compression, FinishedPack, Links, Reader, Store, StoreError, Writer};

use super::gc::{GcPlan, NEW_PACK_BYTES};
use super::needs::Needs;
use super::{Repo, RepoError};

/// How to write packs anew.
#[derive(Debug, Clone, Copy, Default)]
pub struct RepackOptions {
    /// How much work compression is worth.
    pub compression: Compression,
}

/// What there is to write anew. While it lives no other process writes to the store, so it stays true.
#[derive(Debug, Serialize)]
pub struct RepackPlan {
    /// Number of packs on disk.
    pub packs: u64,
    /// Their length in bytes, and that of what interrupted commands left.
    pub bytes: u64,
    /// Bytes of these that are needed.
    pub live_bytes: u64,
    /// Bytes that are not.
    pub dead_bytes: u64,
    /// Length in bytes of what is to be read: the needed objects as they were before they were stored.
    pub raw_bytes: u64,
    #[serde(skip)]
    gc: GcPlan,
}

/// What writing anew came to.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RepackReport {
    /// Packs that were written.
    pub new_packs: u64,
    /// Their length in bytes.
    pub new_bytes: u64,
    /// Packs that were removed.
    pub removed_packs: u64,
    /// Number of bytes that are free again; negative where the new packs are larger.
    pub freed_bytes: i64,
}

impl RepackPlan {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.packs == 0
    }
}

/// Packs that take the place of all others.
struct Anew<'a> {
    store: &'a Store,
    index: &'a dyn Locate,
    compression: Compression,
    writer: Option<Writer<'a>>,
    done: Vec<FinishedPack>,
}

impl<'a> Anew<'a> {
    fn begin(store: &'a Store, index: &'a dyn Locate, compression: Compression) -> Anew<'a> {
        let writer = store.writer(index).with_compression(compression).anew(Links::default());
        Anew { store, index, compression, writer: Some(writer), done: Vec::new() }
    }

    fn writer(&mut self) -> &mut Writer<'a> {
        self.writer.as_mut().expect("there is a writer until the end")
    }

    /// Ends the pack and begins the next.
    fn next_pack(&mut self) -> Result<(), StoreError> {
        let (pack, links) = self.writer.take().expect("there is a writer until the end").into_links()?;
        self.done.extend(pack);
        let writer = self.store.writer(self.index).with_compression(self.compression).anew(links);
        self.writer = Some(writer);
        Ok(())
    }

    /// Goes on in a new pack once this one is large.
    fn end_large_pack(&mut self) -> Result<(), StoreError> {
        if self.writer().counts().new_bytes < NEW_PACK_BYTES {
            return Ok(());
        }
        self.next_pack()
    }

    fn finish(mut self) -> Result<Vec<FinishedPack>, StoreError> {
        self.next_pack()?;
        Ok(self.done)
    }
}

impl Repo {
    /// Finds out what there is to write anew. Reads every tree and no tensor.
    ///
    /// # Errors
    ///
    /// As [`plan_gc`](Repo::plan_gc).
    pub fn plan_repack(&self, progress: &dyn Progress) -> Result<RepackPlan, RepoError> {
        let gc = self.plan_gc(progress)?;
        let mut plan = RepackPlan { packs: 0, bytes: 0, live_bytes: 0, dead_bytes: 0, raw_bytes: 0, gc };
        for pack in self.store.packs()? {
            plan.packs += 1;
            plan.bytes += fs::metadata(self.store.pack_path(pack)).map_or(0, |file| file.len());
        }
        plan.bytes += plan.gc.temporary.iter().map(|file| file.bytes).sum::<u64>();
        self.ledger.each_object(&mut |id, location| {
            if plan.gc.live.contains(&id) {
                plan.live_bytes += location.stored_bytes + super::gc::RECORD_OVERHEAD_BYTES;
                // A list says the length of its whole object, whose frames are counted.
                let is_list = location.codec == crate::store::Codec::Frames.number();
                plan.raw_bytes += if is_list { 0 } else { location.raw_bytes };
            }
        })?;
        plan.dead_bytes = plan.bytes.saturating_sub(plan.live_bytes);
        Ok(plan)
    }

    /// Writes everything that is needed to new packs, compressed anew and as differences where that is
    /// shorter, and removes the old ones. All that is read is proved by its name.
    ///
    /// New packs are synced before the ledger names them, all in one transaction, and only then the old ones
    /// are removed: wherever this is stopped, nothing is lost. So there must be room for both.
    ///
    /// # Errors
    ///
    /// If something that is needed turns out to be damaged, or the store cannot be written. The old packs are
    /// then as they were.
    pub fn repack(
        &mut self,
        plan: RepackPlan,
        options: &RepackOptions,
        progress: &dyn Progress,
    ) -> Result<RepackReport, RepoError> {
        let old = self.store.packs()?;
        let needs = self.needs()?;
        progress.begin("writing packs", plan.raw_bytes);
        let reader = self.reader();
        let mut anew = Anew::begin(&self.store, &self.ledger, options.compression);
        self.rewrite_trees(&reader, &needs, &mut anew, progress)?;
        let trees = needs.trees().map(|(id, _)| id);
        let texts = needs.revisions().chain(needs.records()).map(|(id, _)| id);
        let mut rest: Vec<ObjectId> = trees.chain(texts).collect();
        for (output, change) in self.ledger.memo_outputs()? {
            if needs.has_tree(&output) && plan.gc.live.contains(&change) {
                rest.push(change);
            }
        }
        for id in rest {
            for part in reader.references(&id)? {
                anew.writer().copy_record(&reader, &part)?;
            }
            anew.writer().copy_record(&reader, &id)?;
            anew.end_large_pack()?;
        }
        let new = anew.finish()?;
        drop(reader);
        progress.end();
        self.take_place(&plan.gc, &old, &new).map(|mut report| {
            report.freed_bytes = plan.bytes as i64 - report.new_bytes as i64;
            report
        })
    }

    /// Writes the objects of all trees anew, those that others came from first.
    fn rewrite_trees(
        &self,
        reader: &Reader<'_>,
        needs: &Needs,
        anew: &mut Anew<'_>,
        progress: &dyn Progress,
    ) -> Result<(), RepoError> {
        let mut trees: HashMap<ObjectId, ObjectId> = HashMap::new();
        let mut came_from: HashMap<ObjectId, ObjectId> = HashMap::new();
        for row in self.ledger.revisions()? {
            let parent = row.revision.parents.first().and_then(|parent| trees.get(parent));
            if let Some(parent) = parent.filter(|parent| **parent != row.revision.tree) {
                came_from.entry(row.revision.tree).or_insert(*parent);
            }
            for step in row.revision.steps.iter().filter(|step| step.input != step.output) {
                came_from.entry(step.output).or_insert(step.input);
            }
            trees.insert(row.id, row.revision.tree);
        }
        // Neighbours share their base more often than not.
        let mut last: Option<(ObjectId, snapshot::Tree)> = None;
        for (id, _) in needs.trees() {
            let tree = snapshot::read_tree(reader, &id)?;
            let base = match came_from.get(&id) {
                Some(base) if last.as_ref().is_some_and(|(id, _)| id == base) => {
                    last.take().map(|(_, tree)| tree)
                }
                Some(base) => snapshot::read_tree(reader, base).ok(),
                None => None,
            };
            let before = anew.writer().counts().new_bytes;
            snapshot::rewrite(reader, &tree, base.as_ref(), anew.writer())?;
            progress.advance(anew.writer().counts().new_bytes - before);
            anew.end_large_pack()?;
            last = Some((id, tree));
        }
        Ok(())
    }

    /// Lets new packs take the place of all old ones.
    fn take_place(
        &mut self,
        gc: &GcPlan,
        old: &[PackId],
        new: &[FinishedPack],
    ) -> Result<RepackReport, RepoError> {
        let mut report = RepackReport {
            new_packs: new.len() as u64,
            new_bytes: new.iter().map(|pack| pack.bytes).sum(),
            removed_packs: 0,
            freed_bytes: 0,
        };
        // A pack with the same records in the same order has the same name, and must stay then.
        let stays = |pack: &PackId| new.iter().any(|new| new.id == *pack);
        let indexed = self.ledger.packs()?;
        let change = self.ledger.change()?;
        gc.memo.iter().try_for_each(|output| change.forget_memo(output))?;
        for pack in new {
            change.add_pack(&pack.id, pack.bytes, &pack.records)?;
        }
        let gone = indexed.iter().map(|(pack, _)| pack).filter(|pack| !stays(pack));
        gone.into_iter().try_for_each(|pack| change.remove_pack(pack))?;
        change.commit()?;
        report.removed_packs = self.store.remove_packs(old.iter().copied().filter(|pack| !stays(pack)))?;
        for file in &gc.temporary {
            let path = PathBuf::from(&file.path);
            fs::remove_file(&path).map_err(RepoError::io("remove", &path))?;
        }
        Ok(report)
    }
}
