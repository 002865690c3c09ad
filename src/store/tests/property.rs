//! Random work on a store, compared with a plain map after every step.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// Stores an object, as a pattern and a length.
    Put { pattern: u8, length: usize },
    /// Ends the pack and begins another.
    Finish,
    /// Gives the pack up.
    Abandon,
}

fn bytes(pattern: u8, length: usize) -> Vec<u8> {
    match pattern % 3 {
        0 => vec![pattern; length],
        1 => noise(pattern.into(), length),
        _ => (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 27) as u8 ^ pattern).collect(),
    }
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![
        0..200_usize,
        (0..4_usize, 0..3_usize).prop_map(|(frames, off)| (frames * FRAME + off).saturating_sub(1)),
        0..2 * FRAME,
    ];
    prop_oneof![
        6 => (0..9_u8, length).prop_map(|(pattern, length)| Step::Put { pattern, length }),
        2 => Just(Step::Finish),
        1 => Just(Step::Abandon),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn a_store_holds_what_a_map_holds(steps in prop::collection::vec(step(), 1..20)) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let mut index = Index::default();
        let mut model: HashMap<ObjectId, Vec<u8>> = HashMap::new();
        for work in steps.split_inclusive(|step| !matches!(step, Step::Put { .. })) {
            let answers = index.clone();
            let mut writer = store.writer(&answers);
            let mut came = HashMap::new();
            let mut total = 0;
            for step in work {
                if let Step::Put { pattern, length } = step {
                    let bytes = bytes(*pattern, *length);
                    let id = writer.put(&bytes, Hint::default()).unwrap();
                    prop_assert_eq!(id, ObjectId::of(&bytes));
                    total += *length as u64;
                    came.insert(id, bytes);
                }
            }
            let counts = writer.counts();
            prop_assert_eq!(counts.new_bytes + counts.reused_bytes, total);
            if matches!(work.last(), Some(Step::Abandon)) {
                drop(writer);
            } else {
                index.take(writer.finish().unwrap());
                model.extend(came);
            }

            let store = Store::open(dir.path()).unwrap();
            let reader = store.reader(&index);
            for (id, bytes) in &model {
                prop_assert!(reader.read(id, u64::MAX).unwrap() == *bytes);
            }
        }
        for pack in store.packs().unwrap() {
            let pack = store.open_pack(pack).unwrap();
            prop_assert!(pack.verify(&store.reader(&index), &mut |_| ()).is_empty());
            for record in pack.records() {
                prop_assert_eq!(index.0.get(&record.id), Some(&record.location));
                prop_assert_eq!(pack.record(&record.id), Some(record));
            }
        }
        prop_assert!(store.temporary_files().unwrap().is_empty());
    }
}
