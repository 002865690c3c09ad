//! Putting the index in order: it can be made again from the packs.

use std::collections::{HashMap, HashSet};

use crate::ledger::{Ledger, StoredRevision};
use crate::object::{Locate, Location, ObjectId, PackId};
use crate::progress::Progress;
use crate::store::{Hint, PackIndex, Store, StoreError};

use super::super::RepoError;
use super::{Broken, FsckOptions, FsckReport, Repaired, packs};

/// What is to be entered for one pack: its length, and records that were proved.
type Entries = (PackId, u64, Vec<(ObjectId, Location)>);

/// Enters records that packs have and the index lacks or has wrongly, and forgets those that are missing or
/// damaged: what the index does not have is stored anew when it comes again. Revisions need not come: the
/// ledger has their texts.
pub(super) fn repair(
    store: &Store,
    ledger: &mut Ledger,
    progress: &dyn Progress,
) -> Result<Repaired, RepoError> {
    let mut broken = Broken::default();
    // Only what it finds broken is of interest; what is left of that is reported by the check that follows.
    packs::check(store, ledger, &FsckOptions::default(), progress, &mut broken, &mut FsckReport::new());
    let mut lost: HashSet<ObjectId> = broken.missing;
    lost.extend(broken.damaged);
    let found = find(store, ledger, &mut lost)?;
    let on_disk = store.packs()?;
    let indexed: HashMap<PackId, u64> = ledger.packs()?.into_iter().collect();
    let change = ledger.change()?;
    for (pack, bytes, records) in &found {
        change.add_pack(pack, *bytes, records)?;
    }
    lost.iter().try_for_each(|id| change.forget_object(id))?;
    let gone = indexed.keys().filter(|pack| on_disk.binary_search(pack).is_err());
    gone.into_iter().try_for_each(|pack| change.remove_pack(pack))?;
    change.commit()?;
    store_revisions(store, ledger)?;
    let entered = found.iter().map(|(_, _, records)| records.len() as u64).sum();
    Ok(Repaired { entered, forgotten: lost.len() as u64 })
}

/// Stores the texts of revisions again that only the ledger has.
fn store_revisions(store: &Store, ledger: &mut Ledger) -> Result<(), RepoError> {
    let mut texts = Vec::new();
    let mut failed = Ok(());
    ledger.each_revision(&mut |StoredRevision { id, body, .. }| match ledger.locate(&id) {
        Ok(None) if ObjectId::of(body.as_bytes()) == id => texts.push(body.to_owned()),
        Ok(_) => {}
        Err(error) => failed = Err(StoreError::from(error)),
    })?;
    failed?;
    let mut writer = store.writer(&*ledger);
    for text in texts {
        writer.put(text.as_bytes(), Hint::default())?;
    }
    if let Some(pack) = writer.finish()? {
        let change = ledger.change()?;
        change.add_pack(&pack.id, pack.bytes, &pack.records)?;
        change.commit()?;
    }
    Ok(())
}

/// Finds sound records for what is lost or not in the index. What was found is lost no longer.
fn find(store: &Store, ledger: &Ledger, lost: &mut HashSet<ObjectId>) -> Result<Vec<Entries>, RepoError> {
    let mut found = Vec::new();
    let mut entered = HashSet::new();
    let on_disk = store.packs()?;
    // By the packs' own word: the ledger's may be what is wrong.
    let index = PackIndex::of(store, &on_disk);
    let reader = store.reader(&index);
    for pack in on_disk {
        // A pack whose own index is damaged has nothing to tell that the ledger does not know.
        let Ok(file) = store.open_pack(pack) else { continue };
        let mut records = Vec::new();
        for record in file.records() {
            let wanted = lost.contains(&record.id)
                || (!entered.contains(&record.id)
                    && ledger.locate(&record.id).map_err(StoreError::from)?.is_none());
            if wanted && file.prove(&record, &reader).is_ok() {
                lost.remove(&record.id);
                entered.insert(record.id);
                records.push((record.id, record.location));
            }
        }
        if !records.is_empty() {
            found.push((pack, file.bytes(), records));
        }
    }
    Ok(found)
}
