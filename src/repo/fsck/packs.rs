//! Packs against the index: every record is where the index says, and is what its name says.

use std::collections::HashMap;

use crate::ledger::Ledger;
use crate::object::{Locate, Location, ObjectId, PackId};
use crate::progress::Progress;
use crate::store::{PackFile, PackIndex, Reader, Store, StoreError};

use super::{Broken, FsckOptions, FsckReport, whole};

/// Checks every pack on disk and every pack that the index names.
pub(super) fn check(
    store: &Store,
    ledger: &Ledger,
    options: &FsckOptions,
    progress: &dyn Progress,
    broken: &mut Broken,
    report: &mut FsckReport,
) {
    let indexed: HashMap<PackId, u64> = report.read("packs", ledger.packs()).into_iter().collect();
    let on_disk = list(store, report);
    report.checked.packs = on_disk.len() as u64;
    for pack in indexed.keys().filter(|pack| on_disk.binary_search(pack).is_err()) {
        let records = report.read("index", ledger.records_of(pack));
        let message =
            format!("pack {} is missing; the index places {} records in it", pack.0.short(), records.len());
        report.add("pack-missing", pack, message);
        broken.missing.extend(records.iter().map(|(id, _)| *id));
    }
    begin(store, &on_disk, options, progress);
    for pack in on_disk {
        if !indexed.contains_key(&pack) {
            let message = format!("pack {} is not in the index; `gc` removes it", pack.0.short());
            report.add("pack-unknown", pack, message);
            continue;
        }
        let records = report.read("index", ledger.records_of(&pack));
        match store.open_pack(pack) {
            Ok(file) => {
                let damaged = match options.quick {
                    true => Vec::new(),
                    false => verify(&file, &store.reader(ledger), progress, report),
                };
                compare(&file, ledger, records, damaged, broken, report);
            }
            Err(error) => {
                add_pack_error(pack, &error, report);
                // Its own index is of no use; the ledger's may still find every record in it.
                salvage(store, ledger, pack, &records, options, progress, broken, report);
            }
        }
    }
    progress.end();
}

/// Checks packs where there is no ledger to compare them with.
pub(super) fn check_alone(
    store: &Store,
    options: &FsckOptions,
    progress: &dyn Progress,
    report: &mut FsckReport,
) {
    let on_disk = list(store, report);
    report.checked.packs = on_disk.len() as u64;
    begin(store, &on_disk, options, progress);
    let index = PackIndex::of(store, &on_disk);
    for pack in on_disk {
        match store.open_pack(pack) {
            Ok(file) if !options.quick => {
                for (_, error) in verify(&file, &store.reader(&index), progress, report) {
                    report.add("object-damaged", pack, whole(&error));
                }
            }
            Ok(_) => {}
            Err(error) => add_pack_error(pack, &error, report),
        }
    }
    progress.end();
}

fn begin(store: &Store, packs: &[PackId], options: &FsckOptions, progress: &dyn Progress) {
    let length = |pack: &PackId| std::fs::metadata(store.pack_path(*pack)).map_or(0, |file| file.len());
    let bytes = if options.quick { 0 } else { packs.iter().map(length).sum() };
    progress.begin("checking packs", bytes);
}

fn list(store: &Store, report: &mut FsckReport) -> Vec<PackId> {
    store.packs().unwrap_or_else(|error| {
        report.add("pack-unreadable", "packs", whole(&error));
        Vec::new()
    })
}

fn add_pack_error(pack: PackId, error: &StoreError, report: &mut FsckReport) {
    let code = match error {
        StoreError::PackMissing { .. } => "pack-missing",
        StoreError::PackVersion { .. } => "pack-newer",
        StoreError::Io { .. } => "pack-unreadable",
        _ => "pack-damaged",
    };
    report.add(code, pack, whole(error));
}

/// Hashes every record; returns those that are damaged. What is wrong with the pack itself is reported.
fn verify(
    file: &PackFile,
    reader: &Reader<'_>,
    progress: &dyn Progress,
    report: &mut FsckReport,
) -> Vec<(ObjectId, StoreError)> {
    let mut bytes = 0;
    let errors = file.verify(reader, &mut |raw_bytes| {
        bytes += raw_bytes;
        progress.advance(raw_bytes);
    });
    report.checked.bytes += bytes;
    let mut damaged = Vec::new();
    for error in errors {
        match error {
            StoreError::Damaged { id, .. } => damaged.push((id, error)),
            error => add_pack_error(file.id(), &error, report),
        }
    }
    damaged
}

/// Compares a pack's own index with the ledger's.
fn compare(
    file: &PackFile,
    ledger: &Ledger,
    indexed: Vec<(ObjectId, Location)>,
    damaged: Vec<(ObjectId, StoreError)>,
    broken: &mut Broken,
    report: &mut FsckReport,
) {
    let pack = file.id();
    let mut indexed: HashMap<ObjectId, Location> = indexed.into_iter().collect();
    let mut damaged: HashMap<ObjectId, StoreError> = damaged.into_iter().collect();
    let mut unknown = 0u64;
    for record in file.records() {
        let error = damaged.remove(&record.id);
        let placed = indexed.remove(&record.id);
        match (&placed, &error) {
            (Some(_), Some(error)) => {
                report.add("object-damaged", record.id, whole(error));
                broken.damaged.insert(record.id);
            }
            (None, Some(error)) => report.add("object-unused-damaged", record.id, whole(error)),
            (Some(placed), None) if *placed != record.location => {
                let id = record.id.short();
                let message = format!("the index places object {id} elsewhere in pack {}", pack.0.short());
                report.add("index-wrong", record.id, message);
                broken.damaged.insert(record.id);
            }
            (Some(_), None) => {}
            (None, None) => unknown += u64::from(matches!(ledger.locate(&record.id), Ok(None))),
        }
    }
    for id in indexed.into_keys() {
        let message = format!(
            "the index places object {} in pack {}, which does not have it",
            id.short(),
            pack.0.short()
        );
        report.add("index-wrong", id, message);
        broken.damaged.insert(id);
    }
    if unknown > 0 {
        let message = format!("{unknown} records of pack {} are not in the index", pack.0.short());
        report.add("index-missing", pack, message);
    }
}

/// Proves the records of a pack whose own index is damaged, by the ledger's.
#[expect(clippy::too_many_arguments, reason = "one private step of the check above")]
fn salvage(
    store: &Store,
    ledger: &Ledger,
    pack: PackId,
    records: &[(ObjectId, Location)],
    options: &FsckOptions,
    progress: &dyn Progress,
    broken: &mut Broken,
    report: &mut FsckReport,
) {
    if options.quick {
        return;
    }
    let reader = store.reader(ledger);
    let mut lost = 0;
    for (id, location) in records {
        match reader.verify(id) {
            Ok(()) => {
                report.checked.bytes += location.stored_bytes;
                progress.advance(location.stored_bytes);
            }
            Err(error) => {
                lost += 1;
                broken.damaged.insert(*id);
                // Where nothing can be read, one finding for the pack says it all.
                if matches!(error, StoreError::Damaged { .. }) {
                    report.add("object-damaged", id, whole(&error));
                }
            }
        }
    }
    let message = format!("{} of its {} records can still be read", records.len() - lost, records.len());
    if let Some(finding) = report.findings.iter_mut().rfind(|finding| finding.subject == pack.to_string()) {
        finding.message = format!("{}; {message}", finding.message);
    }
}
