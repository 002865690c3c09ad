//! Removing what nothing needs.
//!
//! Needed is everything that a revision or a row of the history names: revisions, their trees, the objects
//! of those with their frames, scripts, change records. Refs, tags and the logs of refs name revisions, and
//! the ledger forgets none. What remains is what interrupted commands stored and never entered, what failed
//! imports left, and results of runs that were remembered but never became part of a revision.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use crate::ledger::LedgerError;
use crate::object::{Locate, ObjectId, PackId};
use crate::progress::Progress;
use crate::snapshot;
use crate::store::{Reader, StoreError};

use super::lock::Lock;
use super::needs::{Needer, Needs};
use super::open::LEDGER_LEFTOVERS;
use super::working::path_text;
use super::{Repo, RepoError};

/// A pack is written anew without its dead records when these are at least so many hundredths of it.
pub const REWRITE_DEAD_PERCENT: u64 = 25;

/// What is live of several packs goes into one new pack until that has about so many bytes. So much room
/// may be needed for a moment beside what is there.
pub(super) const NEW_PACK_BYTES: u64 = 4 << 30;

/// What a record takes in a pack beside its stored form: its header and its entry in the index.
pub(super) const RECORD_OVERHEAD_BYTES: u64 = 64 + 72;

/// What can be removed. While it lives no other process writes to the store, so it stays true.
#[derive(Debug, Serialize)]
pub struct GcPlan {
    /// Packs in which nothing is needed.
    pub remove: Vec<PackEntry>,
    /// Packs that are written anew without their dead records.
    pub rewrite: Vec<PackEntry>,
    /// Number of packs that stay as they are.
    pub kept_packs: u64,
    /// Their length in bytes.
    pub kept_bytes: u64,
    /// Files that interrupted commands left behind.
    pub temporary: Vec<FileEntry>,
    /// Remembered runs whose results no revision has.
    pub forgotten_runs: u64,
    /// Number of bytes that will be free again.
    pub freed_bytes: u64,
    #[serde(skip)]
    pub(super) memo: Vec<ObjectId>,
    #[serde(skip)]
    pub(super) live: HashSet<ObjectId>,
    #[serde(skip)]
    _lock: Lock,
}

/// A pack, and how much of it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PackEntry {
    /// Its name.
    pub pack: PackId,
    /// Length of its file in bytes.
    pub bytes: u64,
    /// Bytes that are needed.
    pub live_bytes: u64,
    /// Bytes that are not.
    pub dead_bytes: u64,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// Its path.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// What a removal came to.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct GcReport {
    /// Packs that were removed, those that were written anew included.
    pub removed_packs: u64,
    /// Packs that were written.
    pub new_packs: u64,
    /// Files that interrupted commands had left behind.
    pub removed_files: u64,
    /// Remembered runs that were forgotten.
    pub forgotten_runs: u64,
    /// Number of bytes that are free again.
    pub freed_bytes: u64,
}

impl GcPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.rewrite.is_empty() && self.temporary.is_empty() && self.memo.is_empty()
    }
}

impl Repo {
    /// Finds out what nothing needs, and keeps other writers out as long as the plan lives. Reads every
    /// tree and no tensor.
    ///
    /// # Errors
    ///
    /// If another process is writing, or something that is needed is missing or damaged: what it would lead
    /// to cannot be known then, and nothing may be removed.
    pub fn plan_gc(&self, progress: &dyn Progress) -> Result<GcPlan, RepoError> {
        let lock = self.lock()?;
        progress.begin("finding what is needed", 0);
        let _reading = self.ledger.reading()?;
        let (live, memo) = self.live()?;
        progress.end();
        let indexed = self.ledger.packs()?;
        let on_disk = self.store.packs()?;
        let mut plan = GcPlan {
            remove: Vec::new(),
            rewrite: Vec::new(),
            kept_packs: 0,
            kept_bytes: 0,
            temporary: Vec::new(),
            forgotten_runs: memo.len() as u64,
            freed_bytes: 0,
            memo,
            live,
            _lock: lock,
        };
        let mut live_bytes: HashMap<PackId, u64> = HashMap::new();
        self.ledger.each_object(&mut |id, location| {
            if plan.live.contains(&id) {
                let bytes = live_bytes.entry(location.pack).or_default();
                *bytes = bytes.saturating_add(location.stored_bytes.saturating_add(RECORD_OVERHEAD_BYTES));
            }
        })?;
        for (pack, bytes) in &indexed {
            let entry = weigh(*pack, *bytes, live_bytes.get(pack).copied().unwrap_or_default());
            let here = on_disk.binary_search(pack).is_ok();
            if entry.live_bytes == 0 {
                plan.remove.push(PackEntry { bytes: if here { *bytes } else { 0 }, ..entry });
            } else if !here {
                return Err(StoreError::PackMissing { pack: *pack }.into());
            } else if entry.dead_bytes.saturating_mul(100) >= bytes.saturating_mul(REWRITE_DEAD_PERCENT) {
                plan.rewrite.push(entry);
            } else {
                plan.kept_packs += 1;
                plan.kept_bytes += entry.bytes;
            }
        }
        let known: HashSet<PackId> = indexed.iter().map(|(pack, _)| *pack).collect();
        for pack in on_disk.into_iter().filter(|pack| !known.contains(pack)) {
            let bytes = fs::metadata(self.store.pack_path(pack)).map_or(0, |file| file.len());
            plan.remove.push(PackEntry { pack, bytes, live_bytes: 0, dead_bytes: bytes });
        }
        let ledger_files = LEDGER_LEFTOVERS.iter().map(|name| self.directory().join(name));
        let leftovers = self.store.temporary_files()?.into_iter().chain(ledger_files);
        plan.temporary = leftovers
            .filter_map(|path| {
                Some(FileEntry { bytes: fs::metadata(&path).ok()?.len(), path: path_text(&path) })
            })
            .collect();
        let dead = plan.rewrite.iter().map(|entry| entry.dead_bytes);
        let whole = plan.remove.iter().map(|entry| entry.bytes);
        let files = plan.temporary.iter().map(|file| file.bytes);
        plan.freed_bytes = dead.chain(whole).chain(files).sum();
        Ok(plan)
    }

    /// Carries a plan out.
    ///
    /// New packs are synced before the ledger names them, and the ledger names them before the old ones
    /// are removed, so that nothing is lost wherever this is stopped.
    ///
    /// # Errors
    ///
    /// If a record that is needed turns out to be damaged, or the store cannot be written. What was done
    /// until then is whole.
    pub fn gc(&mut self, plan: GcPlan, progress: &dyn Progress) -> Result<GcReport, RepoError> {
        let mut report = GcReport {
            removed_packs: 0,
            new_packs: 0,
            removed_files: 0,
            forgotten_runs: plan.forgotten_runs,
            freed_bytes: 0,
        };
        let change = self.ledger.change()?;
        plan.memo.iter().try_for_each(|output| change.forget_memo(output))?;
        plan.remove.iter().try_for_each(|entry| change.remove_pack(&entry.pack))?;
        change.commit()?;
        for file in &plan.temporary {
            let path = PathBuf::from(&file.path);
            fs::remove_file(&path).map_err(RepoError::io("remove", &path))?;
            report.removed_files += 1;
            report.freed_bytes += file.bytes;
        }
        self.store.remove_packs(plan.remove.iter().map(|entry| entry.pack))?;
        report.removed_packs += plan.remove.len() as u64;
        report.freed_bytes += plan.remove.iter().map(|entry| entry.bytes).sum::<u64>();
        progress.begin("writing packs", plan.rewrite.iter().map(|entry| entry.live_bytes).sum());
        let mut rest = plan.rewrite.as_slice();
        while !rest.is_empty() {
            let (group, after) = rest.split_at(group_length(rest));
            rest = after;
            self.rewrite(group, &plan.live, progress, &mut report)?;
        }
        progress.end();
        Ok(report)
    }

    /// Writes what is live in some packs to a new one, and removes them.
    fn rewrite(
        &mut self,
        group: &[PackEntry],
        live: &HashSet<ObjectId>,
        progress: &dyn Progress,
        report: &mut GcReport,
    ) -> Result<(), RepoError> {
        let reader = self.reader();
        let mut writer = self.store.writer(&self.ledger);
        for entry in group {
            for (id, location) in self.ledger.records_of(&entry.pack)? {
                if live.contains(&id) {
                    writer.copy_record(&reader, &id)?;
                    progress.advance(location.stored_bytes);
                }
            }
        }
        let new = writer.finish()?;
        drop(reader);
        // A pack with the same records in the same order has the same name, and must stay then.
        let kept = new.as_ref().map(|pack| pack.id);
        let change = self.ledger.change()?;
        if let Some(pack) = &new {
            change.add_pack(&pack.id, pack.bytes, &pack.records)?;
        }
        let old = || group.iter().filter(|entry| Some(entry.pack) != kept);
        old().try_for_each(|entry| change.remove_pack(&entry.pack))?;
        change.commit()?;
        self.store.remove_packs(old().map(|entry| entry.pack))?;
        report.removed_packs += old().count() as u64;
        let old_bytes: u64 = group.iter().map(|entry| entry.bytes).sum();
        report.new_packs += u64::from(new.is_some());
        report.freed_bytes += old_bytes.saturating_sub(new.map_or(0, |pack| pack.bytes));
        Ok(())
    }

    /// Every record that is needed, and the outputs of remembered runs that are not.
    fn live(&self) -> Result<(HashSet<ObjectId>, Vec<ObjectId>), RepoError> {
        let needs = self.needs()?;
        let reader = self.reader();
        let mut live = HashSet::new();
        for (id, _) in needs.revisions().chain(needs.records()) {
            live.insert(id);
        }
        for (id, _) in needs.trees() {
            live.insert(id);
            live.extend(snapshot::read_tree(&reader, &id)?.objects().map(|stored| stored.object));
        }
        // Neighbours in the index are looked up together.
        let mut named: Vec<ObjectId> = live.iter().copied().collect();
        named.sort_unstable();
        reader.references_of(&named, &mut |needed| {
            live.insert(needed);
        })?;
        let mut forgotten = Vec::new();
        for (output, change) in self.ledger.memo_outputs()? {
            if !needs.has_tree(&output) {
                forgotten.push(output);
            } else if self.ledger.locate(&change).map_err(StoreError::from)?.is_some() {
                keep(&reader, change, &mut live)?;
            }
        }
        Ok((live, forgotten))
    }

    /// What every revision and every row of the history needs.
    pub(super) fn needs(&self) -> Result<Needs, RepoError> {
        let mut needs = Needs::default();
        for row in self.ledger.revisions()? {
            needs.add_revision(row.id, &row.revision);
        }
        for row in self.ledger.steps(None)? {
            needs.add_step(&row.step, Needer::Row(row.seq));
        }
        self.refuse_dangling(&needs)?;
        Ok(needs)
    }

    /// Refs and logs lead to revisions that the ledger has; one that does not means that rows were lost,
    /// and with them the knowledge of what is needed.
    fn refuse_dangling(&self, needs: &Needs) -> Result<(), RepoError> {
        let refs = self.ledger.refs()?.into_iter().map(|row| row.revision);
        let logged = self.ledger.ref_log(None)?;
        let logged = logged.into_iter().flat_map(|(_, old, new, ..)| old.into_iter().chain(new));
        match refs.chain(logged).find(|id| !needs.has_revision(id)) {
            Some(id) => {
                let what = format!("revision {} is named but not there", id.short());
                Err(LedgerError::Damaged { what }.into())
            }
            None => Ok(()),
        }
    }
}

/// How much of a pack is needed.
fn weigh(pack: PackId, bytes: u64, live_bytes: u64) -> PackEntry {
    // Header and footer are nobody's.
    let dead_bytes = if live_bytes == 0 { bytes } else { bytes.saturating_sub(live_bytes + 80) };
    PackEntry { pack, bytes, live_bytes, dead_bytes }
}

/// How many packs from the first on go into one new pack.
fn group_length(packs: &[PackEntry]) -> usize {
    let mut bytes = 0;
    let fitting = packs.iter().take_while(|entry| {
        bytes += entry.live_bytes;
        bytes <= NEW_PACK_BYTES
    });
    fitting.count().max(1)
}

/// Marks an object and its frames as needed.
fn keep(reader: &Reader<'_>, id: ObjectId, live: &mut HashSet<ObjectId>) -> Result<(), RepoError> {
    if live.insert(id) {
        live.extend(reader.references(&id)?);
    }
    Ok(())
}
