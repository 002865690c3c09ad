//! What happens when something fails while threads are at work.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::sync::Arc;

use super::*;

/// An index that breaks after some questions.
struct Breaking(Cell<u32>);

impl Locate for Breaking {
    fn locate(&self, id: &ObjectId) -> Result<Option<Location>, LocateError> {
        match self.0.get().checked_sub(1) {
            Some(left) => {
                self.0.set(left);
                Ok(None)
            }
            None => Err(LocateError { id: *id, source: "no more answers".into() }),
        }
    }
}

#[test]
fn a_broken_index_ends_an_import_without_a_hang() {
    let (_dir, store) = store();
    for answers in 0..40 {
        let index = Breaking(Cell::new(answers));
        let mut writer = store.writer(&index);
        let mut bytes = noise(1, FRAME + FRAME / 2);
        // More errors than there are buffers.
        let outcomes = (0..60_u8).map(|first| {
            bytes[0] = first;
            writer.put(&bytes, Hint::default())
        });
        assert!(outcomes.filter(Result::is_err).count() > 30);
    }
}

#[cfg(unix)]
#[test]
fn a_pack_that_cannot_be_written_is_given_up() {
    let (_dir, store) = store();
    let index = Index::default();
    let mut writer = store.writer(&index);
    std::fs::remove_dir(&store.packs).unwrap();
    let mut outcome = Ok(ObjectId::of(b""));
    for seed in 0..100 {
        outcome = writer.put(&noise(seed, 2 * FRAME), Hint::default());
        if outcome.is_err() {
            break;
        }
    }
    assert!(matches!(outcome, Err(StoreError::Write { .. })));
    assert!(matches!(writer.put(b"more", Hint::default()), Err(StoreError::GivenUp)));
    assert!(matches!(writer.finish(), Err(StoreError::GivenUp)));

    let mut writer = store.writer(&index);
    writer.put(b"one", Hint::default()).unwrap();
    assert!(matches!(writer.finish(), Err(StoreError::Write { .. })));
}

#[test]
fn a_file_is_read_by_the_threads_and_one_that_ends_early_is_given_up() {
    let (dir, store) = store();
    let mut index = Index::default();
    let bytes = noise(7, 9 * FRAME + 5000);
    let path = dir.path().join("file");
    std::fs::write(&path, &bytes).unwrap();
    let file = Arc::new(File::open(&path).unwrap());
    let parts = [(0, 3), (3, 8000), (8003, 5 * FRAME), (8003 + 5 * FRAME, bytes.len() - 8003 - 5 * FRAME)];
    let mut writer = store.writer(&index);
    let mut taken = 0;
    for (offset, length) in parts {
        let place = (&file, offset as u64);
        writer.enqueue_from(place, length as u64, Hint::default(), &mut |bytes| taken += bytes).unwrap();
    }
    assert_eq!(taken, bytes.len() as u64);
    for (put, (offset, length)) in writer.settle().unwrap().iter().zip(parts) {
        let part = &bytes[offset..offset + length];
        assert_eq!((put.id, put.crc32), (ObjectId::of(part), crc32fast::hash(part)));
    }
    index.take(writer.finish().unwrap());
    let packs = || std::fs::read_dir(&store.packs).unwrap().count();
    assert_eq!(packs(), 1);

    // More than is there: a small piece is missed at once, a large one by a thread.
    for missing in [1, 30 * FRAME as u64] {
        let mut writer = store.writer(&index);
        let place = (&file, 1_u64);
        let queued =
            writer.enqueue_from(place, bytes.len() as u64 - 1 + missing, Hint::default(), &mut |_| ());
        let outcome = queued.and_then(|()| writer.settle().map(drop));
        assert!(matches!(outcome, Err(StoreError::Source(_))), "{outcome:?}");
        assert!(matches!(writer.finish(), Err(StoreError::GivenUp)));
        assert_eq!(packs(), 1);
    }
}

#[test]
fn a_receiver_that_fails_stops_the_reading() {
    let (_dir, store) = store();
    let mut index = Index::default();
    let mut writer = store.writer(&index);
    let id = writer.put(&noise(1, 9 * FRAME), Hint::default()).unwrap();
    index.take(writer.finish().unwrap());
    let reader = store.reader(&index);
    for stop in 0..9 {
        let mut pieces = 0;
        let error = reader.copy_to(&id, &mut |_| {
            pieces += 1;
            if pieces > stop { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        });
        assert!(matches!(error, Err(StoreError::Sink { id: found, .. }) if found == id));
        assert_eq!(pieces, stop + 1);
    }
    reader.copy_to(&id, &mut |_| Ok(())).unwrap();
}

#[test]
fn many_objects_are_read_in_order() {
    let (_dir, store) = store();
    let mut index = Index::default();
    let objects: Vec<Vec<u8>> =
        [0, 10, 3 * FRAME + 1, FRAME, 2 * FRAME, 7, 0].iter().map(|length| noise(3, *length)).collect();
    let mut writer = store.writer(&index);
    let ids: Vec<ObjectId> = objects.iter().map(|b| writer.put(b, Hint::default()).unwrap()).collect();
    index.take(writer.finish().unwrap());
    let reader = store.reader(&index);
    let mut found = vec![Vec::new(); objects.len()];
    let mut last = 0;
    reader
        .copy_each(&mut ids.iter().copied(), &mut |place, bytes| {
            assert!(place == last || place == last + 1);
            last = place;
            found[place].extend_from_slice(bytes);
            // A receiver may read as well.
            assert_eq!(reader.read(&ids[1], 10).unwrap().len(), 10);
            assert_eq!(reader.read(&ids[4], u64::MAX).unwrap().len(), 2 * FRAME);
            Ok(())
        })
        .unwrap();
    assert!(found == objects);
    let missing = ObjectId::of(b"missing");
    let error = reader.copy_each(&mut [ids[2], missing, ids[2]].into_iter(), &mut |_, _| Ok(()));
    assert!(matches!(error, Err(StoreError::Missing { id }) if id == missing));
}
