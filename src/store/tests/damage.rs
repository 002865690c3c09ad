//! A table of damage: what is done to a pack, where, and what each way of reading then says.

use super::*;

/// A store with one pack of three objects: small, compressed, of several frames.
struct Fixture {
    dir: TempDir,
    store: Store,
    index: Index,
    pack: PackId,
    objects: Vec<Vec<u8>>,
}

impl Fixture {
    fn new() -> Fixture {
        let (dir, store) = store();
        let mut index = Index::default();
        let objects = vec![noise(1, 100), vec![5; 5000], noise(2, FRAME + 5000)];
        let mut writer = store.writer(&index);
        for bytes in &objects {
            writer.put(bytes, Hint::default()).unwrap();
        }
        let pack = writer.finish().unwrap().unwrap();
        let id = pack.id;
        index.take(Some(pack));
        Fixture { dir, store, index, pack: id, objects }
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.store.pack_path(self.pack)).unwrap()
    }

    fn set(&self, bytes: &[u8]) {
        fs::write(self.store.pack_path(self.pack), bytes).unwrap();
    }

    /// Opens and verifies the pack, and reads all objects. Says whether the first two, and whether any
    /// of the objects, gave errors; what is read without an error must be right.
    fn try_all(&self) -> Outcome {
        let store = Store::open(self.dir.path()).unwrap();
        let verify = match store.open_pack(self.pack) {
            Ok(pack) => pack.verify(&store.reader(&self.index), &mut |_| ()),
            Err(error) => vec![error],
        };
        let mut read = Vec::new();
        let reader = store.reader(&self.index);
        for bytes in &self.objects {
            let id = ObjectId::of(bytes);
            match reader.read(&id, u64::MAX) {
                Ok(found) => assert!(found == *bytes, "wrong bytes came out"),
                Err(error) => read.push(error),
            }
            let mut part = vec![0; bytes.len() / 2];
            let offset = bytes.len() / 2;
            if reader.read_range(&id, offset as u64, &mut part).is_ok() {
                assert!(part == bytes[offset..offset + part.len()], "wrong bytes came out");
            }
        }
        for error in verify.iter().chain(&read) {
            let text = error.to_string();
            assert!(text.contains(&self.pack.to_string()), "`{text}` does not name the pack");
        }
        Outcome { verify, read }
    }
}

struct Outcome {
    verify: Vec<StoreError>,
    read: Vec<StoreError>,
}

#[test]
fn every_flipped_byte_is_found_and_none_comes_out() {
    let fixture = Fixture::new();
    let sound = fixture.bytes();
    let records_end = sound.len() - layout::FOOTER_BYTES - fixture.index.0.len() * layout::ENTRY_BYTES;
    let mut places: Vec<usize> = (0..layout::HEADER_BYTES).collect();
    for location in fixture.index.0.values() {
        let start = location.offset as usize;
        let end = start + location.stored_bytes as usize;
        places.extend(start - layout::RECORD_BYTES..start);
        places.extend([start, start + 1, (start + end) / 2, end - 1]);
        if location.codec == Codec::Frames.number() {
            places.extend(start..end);
        }
    }
    places.extend(records_end..sound.len());
    for place in places {
        let mut bytes = sound.clone();
        bytes[place] ^= 0x10;
        fixture.set(&bytes);
        let Outcome { verify, read } = fixture.try_all();
        assert!(!verify.is_empty(), "byte {place} is not covered");
        // Index and footer are for a pack alone: objects are found by the other index.
        assert_eq!(read.is_empty(), place >= records_end, "byte {place}: {read:?}");
    }
}

#[test]
fn a_truncated_pack_is_found() {
    let fixture = Fixture::new();
    let sound = fixture.bytes();
    let index_at = sound.len() - layout::FOOTER_BYTES - fixture.index.0.len() * layout::ENTRY_BYTES;
    for length in
        [0, 1, 8, 15, 16, 17, 79, 80, 100, 5000, index_at - 1, index_at, sound.len() - 64, sound.len() - 1]
    {
        fixture.set(&sound[..length]);
        let Outcome { verify, read } = fixture.try_all();
        assert_eq!(verify.len(), 1, "{length} bytes");
        assert!(matches!(verify[0], StoreError::PackDamaged { .. }));
        assert_eq!(read.is_empty(), length >= index_at, "{length} bytes");
    }
    fixture.set(&[sound.as_slice(), b"\0"].concat());
    assert!(matches!(
        fixture.try_all().verify[0],
        StoreError::PackDamaged { damage: PackDamage::Footer, .. }
    ));
}

#[test]
fn what_is_no_pack_or_a_newer_one_is_refused() {
    let fixture = Fixture::new();
    let sound = fixture.bytes();
    let mut newer = sound.clone();
    newer[8] = 3;
    fixture.set(&newer);
    let Outcome { verify, read } = fixture.try_all();
    for error in verify.iter().chain(&read) {
        assert!(matches!(error, StoreError::PackVersion { version: 3, .. }), "{error:?}");
    }
    fixture.set(&noise(3, sound.len()));
    let Outcome { verify, read } = fixture.try_all();
    for error in verify.iter().chain(&read) {
        assert!(matches!(error, StoreError::PackDamaged { damage: PackDamage::Header, .. }), "{error:?}");
    }
    fs::remove_file(fixture.store.pack_path(fixture.pack)).unwrap();
    let Outcome { verify, read } = fixture.try_all();
    for error in verify.iter().chain(&read) {
        assert!(matches!(error, StoreError::PackMissing { .. }), "{error:?}");
    }
}

#[test]
fn a_pack_under_another_name_is_refused() {
    let fixture = Fixture::new();
    let other = PackId(ObjectId::of(b"another"));
    fs::copy(fixture.store.pack_path(fixture.pack), fixture.store.pack_path(other)).unwrap();
    assert!(matches!(
        fixture.store.open_pack(other),
        Err(StoreError::PackDamaged { damage: PackDamage::Hash { found }, .. }) if found == fixture.pack
    ));
}

#[test]
fn an_index_that_lies_gives_errors_and_no_huge_buffers() {
    let fixture = Fixture::new();
    let right = fixture.index.clone();
    let huge = [0, 1, 63, 1 << 20, 1 << 40, u64::MAX - 1, u64::MAX];
    for bytes in &fixture.objects {
        let id = ObjectId::of(bytes);
        let location = right.0[&id];
        let mut lies = Vec::new();
        for lie in huge {
            lies.push(Location { offset: lie, ..location });
            lies.push(Location { raw_bytes: lie, ..location });
            lies.push(Location { stored_bytes: lie, ..location });
            lies.push(Location { stored_bytes: lie, raw_bytes: lie, ..location });
        }
        lies.extend((0..=255).map(|codec| Location { codec, ..location }));
        lies.extend(right.0.values());
        lies.retain(|lie| *lie != location);
        for lie in lies {
            let mut index = right.clone();
            index.0.insert(id, lie);
            let reader = fixture.store.reader(&index);
            assert!(matches!(reader.read(&id, u64::MAX), Err(StoreError::Damaged { .. })), "{lie:?}");
            assert!(reader.references(&id).is_err(), "{lie:?}");
            let empty = Index::default();
            let mut writer = fixture.store.writer(&empty);
            assert!(writer.copy_record(&reader, &id).is_err());
        }
    }
}

#[test]
fn a_frame_is_no_object_and_an_object_no_frame() {
    let fixture = Fixture::new();
    let reader = fixture.store.reader(&fixture.index);
    let whole = ObjectId::of(&fixture.objects[2]);
    for frame in reader.references(&whole).unwrap() {
        assert!(matches!(
            reader.read(&frame, u64::MAX),
            Err(StoreError::Damaged { damage: Damage::Header, .. })
        ));
    }
    assert!(reader.references(&ObjectId::of(&fixture.objects[0])).unwrap().is_empty());
}

/// Writes a pack of these records and stored forms, each after a gap, as no writer would.
fn forge(store: &Store, records: &mut [(Record, Vec<u8>)], gap: usize) -> PackId {
    forge_version(layout::PACK_VERSION, store, records, gap)
}

fn forge_version(version: u32, store: &Store, records: &mut [(Record, Vec<u8>)], gap: usize) -> PackId {
    let mut bytes = layout::header(version).to_vec();
    for (record, stored) in records.iter_mut() {
        bytes.extend(vec![0; gap]);
        record.location.offset = (bytes.len() + layout::RECORD_BYTES) as u64;
        bytes.extend(layout::record_header(record));
        bytes.extend(stored.iter());
    }
    records.sort_by_key(|(record, _)| record.id);
    let index: Vec<u8> = records.iter().flat_map(|(record, _)| layout::entry(record)).collect();
    let id = pack::id_of(version, &index);
    let (index_offset, entries) = (bytes.len() as u64, records.len() as u64);
    bytes.extend(index);
    let pack_bytes = (bytes.len() + layout::FOOTER_BYTES) as u64;
    bytes.extend(layout::Footer { index_offset, entries, pack_bytes, id }.to_bytes());
    fs::write(store.pack_path(id), bytes).unwrap();
    for (record, _) in records {
        record.location.pack = id;
    }
    id
}

fn record(id: ObjectId, part: Part, codec: Codec, raw_bytes: u64, stored: Vec<u8>) -> (Record, Vec<u8>) {
    let stored_bytes = stored.len() as u64;
    let pack = PackId(ObjectId::of(b"not known yet"));
    let location = Location { pack, offset: 0, stored_bytes, raw_bytes, codec: codec.number() };
    (Record { id, part, location }, stored)
}

#[test]
fn packs_of_all_versions_are_read() {
    let (_dir, store) = store();
    let small = record(ObjectId::of(b"small"), Part::Object, Codec::Raw, 5, b"small".to_vec());
    for version in 0..=layout::PACK_VERSION + 1 {
        let mut records = [small.clone()];
        let id = forge_version(version, &store, &mut records, 0);
        let index = Index([(small.0.id, records[0].0.location)].into());
        let read = store.reader(&index).read(&small.0.id, 5);
        match version {
            1..=layout::PACK_VERSION => {
                assert_eq!(read.unwrap(), b"small");
                assert!(store.open_pack(id).unwrap().verify(&store.reader(&index), &mut |_| ()).is_empty());
            }
            0 => assert!(matches!(read, Err(StoreError::PackDamaged { .. })), "{read:?}"),
            _ => assert!(matches!(read, Err(StoreError::PackVersion { .. })), "{read:?}"),
        }
    }
}

#[test]
fn bytes_between_records_are_found() {
    let (_dir, store) = store();
    let small = record(ObjectId::of(b"small"), Part::Object, Codec::Raw, 5, b"small".to_vec());
    let sound = forge(&store, &mut [small.clone()], 0);
    assert!(store.open_pack(sound).unwrap().verify(&store.reader(&Index::default()), &mut |_| ()).is_empty());
    let gap = forge(&store, &mut [small], 10);
    let findings = store.open_pack(gap).unwrap().verify(&store.reader(&Index::default()), &mut |_| ());
    assert!(matches!(findings[..], [StoreError::PackDamaged { damage: PackDamage::Index, .. }]));
}

#[test]
fn a_list_that_lies_of_its_length_gives_no_bytes_beyond_its_frames() {
    let (_dir, store) = store();
    let bytes = noise(1, FRAME + 500);
    let id = ObjectId::of(&bytes);
    let parts: Vec<(Record, Vec<u8>)> = bytes
        .chunks(FRAME)
        .enumerate()
        .map(|(number, bytes)| {
            let part = Part::Frame { position: (number * FRAME) as u64 };
            let name = tree::name(part, bytes).unwrap();
            record(name, part, Codec::Raw, bytes.len() as u64, bytes.to_vec())
        })
        .collect();
    for lie in [499, 501, FRAME_BYTES] {
        let object_bytes = FRAME_BYTES + lie;
        let frames = parts.iter().map(|(record, _)| record.id).collect();
        let list = list::FrameList { frame_bytes: FRAME_BYTES, object_bytes, frames };
        let mut records = parts.clone();
        records.push(record(id, Part::Object, Codec::Frames, object_bytes, list.to_bytes()));
        forge(&store, &mut records, 0);
        let index = Index(records.iter().map(|(record, _)| (record.id, record.location)).collect());
        let reader = store.reader(&index);
        let last = parts[1].0.id;
        assert!(matches!(
            reader.read(&id, u64::MAX),
            Err(StoreError::Damaged { id, damage: Damage::Lengths, .. }) if id == last
        ));
        let mut part = [0; 10];
        assert!(reader.read_range(&id, object_bytes - 10, &mut part).is_err());
        reader.read_range(&id, FRAME_BYTES - 10, &mut part).unwrap();
        assert_eq!(part, bytes[FRAME - 10..FRAME]);
    }
}
