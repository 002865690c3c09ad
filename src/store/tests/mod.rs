//! How the store behaves, with a map in place of the ledger.

mod damage;
mod property;
mod threads;

use std::collections::HashMap;
use std::fs;

use tempfile::TempDir;

use super::*;
use crate::object::{LocateError, Location, ObjectId};

/// An index in memory.
#[derive(Debug, Default, Clone)]
struct Index(HashMap<ObjectId, Location>);

impl Locate for Index {
    fn locate(&self, id: &ObjectId) -> Result<Option<Location>, LocateError> {
        Ok(self.0.get(id).copied())
    }
}

impl Index {
    fn take(&mut self, pack: Option<FinishedPack>) {
        self.0.extend(pack.into_iter().flat_map(|pack| pack.records));
    }
}

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    (dir, store)
}

/// Bytes that no codec shrinks, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

const FRAME: usize = FRAME_BYTES as usize;

#[test]
fn objects_of_every_length_come_back_under_their_blake3_name() {
    let (_dir, store) = store();
    let mut index = Index::default();
    let lengths =
        [0, 1, 63, 64, 1023, 1024, 1025, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 2 * FRAME + 1025, 5 * FRAME];
    let mut writer = store.writer(&index);
    for (seed, length) in lengths.into_iter().enumerate() {
        let bytes = noise(seed as u64, length);
        assert_eq!(writer.put(&bytes, Hint::default()).unwrap(), ObjectId::of(&bytes), "length {length}");
    }
    index.take(writer.finish().unwrap());

    let store = Store::open(store.packs.parent().unwrap()).unwrap();
    let reader = store.reader(&index);
    for (seed, length) in lengths.into_iter().enumerate() {
        let bytes = noise(seed as u64, length);
        let id = ObjectId::of(&bytes);
        assert_eq!(reader.bytes(&id).unwrap(), length as u64);
        assert_eq!(reader.read(&id, u64::MAX).unwrap(), bytes, "length {length}");
    }
    let pack = store.open_pack(store.packs().unwrap()[0]).unwrap();
    assert!(pack.verify(&store.reader(&index), &mut |_| ()).is_empty());
    assert_eq!(pack.records().len(), index.0.len());
}

#[test]
fn ranges_are_read_across_frames() {
    let (_dir, store) = store();
    let mut index = Index::default();
    let bytes = noise(1, 3 * FRAME + 100);
    let mut writer = store.writer(&index);
    let id = writer.put(&bytes, Hint::default()).unwrap();
    let small = writer.put(b"twelve bytes", Hint::default()).unwrap();
    index.take(writer.finish().unwrap());
    let reader = store.reader(&index);
    for (offset, length) in
        [(0, 0), (0, 10), (FRAME - 1, 2), (FRAME - 5, 2 * FRAME), (3 * FRAME, 100), (0, bytes.len())]
    {
        let mut part = vec![0; length];
        reader.read_range(&id, offset as u64, &mut part).unwrap();
        assert!(part == bytes[offset..offset + length], "{length} bytes at {offset}");
    }
    let mut part = [0; 5];
    reader.read_range(&small, 7, &mut part).unwrap();
    assert_eq!(&part, b"bytes");
    for (id, offset) in [(small, 8), (small, u64::MAX), (id, bytes.len() as u64 - 4)] {
        assert!(matches!(reader.read_range(&id, offset, &mut part), Err(StoreError::OutOfRange { .. })));
    }
}

#[test]
fn what_is_stored_is_not_stored_again() {
    let (_dir, store) = store();
    let mut index = Index::default();
    let mut bytes = noise(1, 4 * FRAME);
    let mut writer = store.writer(&index);
    writer.put(&bytes, Hint::default()).unwrap();
    writer.put(&bytes, Hint::default()).unwrap();
    let all = bytes.len() as u64;
    assert_eq!(writer.counts(), Counts { new_bytes: all, reused_bytes: all });
    index.take(writer.finish().unwrap());

    let mut writer = store.writer(&index);
    writer.put(&bytes, Hint::default()).unwrap();
    assert_eq!(writer.counts(), Counts { new_bytes: 0, reused_bytes: all });
    assert_eq!(writer.finish().unwrap(), None);

    bytes[2 * FRAME + 7] ^= 1;
    let mut writer = store.writer(&index);
    writer.put(&bytes, Hint::default()).unwrap();
    assert_eq!(writer.counts(), Counts { new_bytes: FRAME_BYTES, reused_bytes: all - FRAME_BYTES });
    let pack = writer.finish().unwrap().unwrap();
    assert_eq!(pack.records.len(), 2, "one frame and the list");
    assert!(pack.bytes < FRAME_BYTES + 1000);
    index.take(Some(pack));
    assert!(store.reader(&index).read(&ObjectId::of(&bytes), all).unwrap() == bytes);
}

#[test]
fn the_same_input_makes_the_same_pack() {
    let (_dir, first) = store();
    let (_dir2, second) = store();
    let packs = [first, second].map(|store| {
        let index = Index::default();
        let mut writer = store.writer(&index);
        for seed in 0..3 {
            writer.put(&noise(seed, 5 * FRAME + 3), Hint::default()).unwrap();
            writer.put(&vec![seed as u8; 3 * FRAME], Hint::default()).unwrap();
        }
        let pack = writer.finish().unwrap().unwrap();
        fs::read(store.pack_path(pack.id)).unwrap()
    });
    assert!(packs[0] == packs[1]);
}

#[test]
fn compression_changes_sizes_and_no_names() {
    let bytes: Vec<u8> = (0..3 * FRAME).map(|i| (i / 1000) as u8).collect();
    let noise = noise(1, 2 * FRAME);
    let sizes = [Compression::None, Compression::Auto, Compression::Max].map(|compression| {
        let (_dir, store) = store();
        let mut index = Index::default();
        let mut writer = store.writer(&index).with_compression(compression);
        let id = writer.put(&bytes, Hint::default()).unwrap();
        assert_eq!(id, ObjectId::of(&bytes));
        writer.put(&noise, Hint::default()).unwrap();
        let pack = writer.finish().unwrap().unwrap();
        let size = pack.bytes;
        index.take(Some(pack));
        assert!(store.reader(&index).read(&id, u64::MAX).unwrap() == bytes);
        let pack = store.open_pack(store.packs().unwrap()[0]).unwrap();
        assert!(pack.verify(&store.reader(&index), &mut |_| ()).is_empty());
        size
    });
    let noise_bytes = noise.len() as u64;
    assert!(sizes[0] > noise_bytes + bytes.len() as u64);
    assert!(sizes[1] > noise_bytes && sizes[1] < noise_bytes + 100_000);
    assert!(sizes[2] > noise_bytes && sizes[2] <= sizes[1]);
}

#[test]
fn objects_that_are_queued_are_named_in_order_whatever_their_frames() {
    let (_dir, store) = store();
    let index = Index::default();
    let mut writer = store.writer(&index);
    let lengths = [10, FRAME + 1, 0, 700, 3 * FRAME, 1024, FRAME - 5, 5 * FRAME + 77];
    for (seed, length) in lengths.into_iter().enumerate() {
        let object = noise(seed as u64, length);
        writer.enqueue(&mut object.as_slice(), length as u64, Hint::default()).unwrap();
    }
    let puts = writer.settle().unwrap();
    assert_eq!(puts.len(), lengths.len());
    for (seed, (put, length)) in puts.iter().zip(lengths).enumerate() {
        let object = noise(seed as u64, length);
        assert_eq!((put.id, put.bytes), (ObjectId::of(&object), length as u64));
        assert_eq!(put.crc32, crc32fast::hash(&object));
    }
}

#[test]
fn a_source_that_ends_early_spoils_only_its_own_object() {
    let (_dir, store) = store();
    let mut index = Index::default();
    let mut writer = store.writer(&index);
    let bytes = noise(5, 6 * FRAME);
    for length in [10, FRAME + 10, 5 * FRAME] {
        let error = writer.put_stream(&mut &bytes[..length], 6 * FRAME_BYTES, Hint::default());
        assert!(matches!(error, Err(StoreError::Source(_))));
    }
    let id = writer.put(&bytes[..4 * FRAME], Hint::default()).unwrap();
    index.take(writer.finish().unwrap());
    assert_eq!(index.0.values().filter(|location| location.codec == Codec::Frames.number()).count(), 1);
    assert!(store.reader(&index).read(&id, u64::MAX).unwrap() == bytes[..4 * FRAME]);
}

#[test]
fn an_unfinished_writer_leaves_nothing() {
    let (_dir, store) = store();
    let index = Index::default();
    let mut writer = store.writer(&index);
    writer.put(&noise(1, 3 * FRAME), Hint::default()).unwrap();
    drop(writer);
    assert_eq!(fs::read_dir(&store.packs).unwrap().count(), 0);
}

#[test]
fn what_a_crash_leaves_is_no_pack() {
    let (_dir, store) = store();
    let mut index = Index::default();
    let mut writer = store.writer(&index);
    writer.put(b"kept", Hint::default()).unwrap();
    let pack = writer.finish().unwrap().unwrap();
    let id = pack.id;
    index.take(Some(pack));
    let left = store.packs.join("tmp-left.pack");
    fs::copy(store.pack_path(id), &left).unwrap();
    fs::write(store.packs.join("README"), "").unwrap();
    assert_eq!(store.packs().unwrap(), [id]);
    assert_eq!(store.temporary_files().unwrap(), [left]);
}

#[test]
fn records_move_to_a_new_pack_as_they_are() {
    let (_dir, store) = store();
    let mut index = Index::default();
    let kept = [noise(1, 3 * FRAME + 9), vec![7; 5 * FRAME], b"small".to_vec(), Vec::new()];
    let mut writer = store.writer(&index);
    for bytes in &kept {
        writer.put(bytes, Hint::default()).unwrap();
    }
    writer.put(&noise(9, FRAME), Hint::default()).unwrap();
    let old = writer.finish().unwrap().unwrap();
    let (old_id, old_bytes) = (old.id, old.bytes);
    index.take(Some(old));

    let empty = Index::default();
    let mut writer = store.writer(&empty);
    let reader = store.reader(&index);
    for bytes in &kept {
        let id = ObjectId::of(bytes);
        for frame in reader.references(&id).unwrap() {
            writer.copy_record(&reader, &frame).unwrap();
        }
        assert!(writer.copy_record(&reader, &id).unwrap());
        assert!(!writer.copy_record(&reader, &id).unwrap());
    }
    let new = writer.finish().unwrap().unwrap();
    assert!(new.bytes < old_bytes - FRAME_BYTES);
    assert_eq!(store.remove_packs([old_id]).unwrap(), 1);
    let mut index = Index::default();
    index.take(Some(new));
    for bytes in &kept {
        assert!(store.reader(&index).read(&ObjectId::of(bytes), u64::MAX).unwrap() == *bytes);
    }
    let pack = store.open_pack(store.packs().unwrap()[0]).unwrap();
    assert!(pack.verify(&store.reader(&index), &mut |_| ()).is_empty());
    assert_eq!(store.remove_packs([old_id]).unwrap(), 0);
}

#[test]
fn objects_above_the_limits_are_refused() {
    let (_dir, store) = store();
    let mut index = Index::default();
    let mut writer = store.writer(&index);
    let id = writer.put(&[1; 100], Hint::default()).unwrap();
    index.take(writer.finish().unwrap());
    let mut writer = store.writer(&index);
    let error = writer.put_stream(&mut std::io::repeat(0), u64::MAX, Hint::default());
    assert!(matches!(error, Err(StoreError::TooLong { .. })));
    let reader = store.reader(&index);
    assert!(matches!(reader.read(&id, 99), Err(StoreError::TooLarge { bytes: 100, limit: 99, .. })));
    let missing = ObjectId::of(b"never stored");
    assert!(matches!(reader.read(&missing, 99), Err(StoreError::Missing { id }) if id == missing));
}

#[test]
fn a_directory_is_a_store_only_when_made_one() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::NoStore { .. })));
    Store::create(dir.path()).unwrap();
    assert!(matches!(Store::create(dir.path()), Err(StoreError::Exists { .. })));
    Store::open(dir.path()).unwrap();
}
