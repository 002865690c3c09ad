//! Reading one tensor reads its frames and no others.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};

use ckstore::ledger::Ledger;
use ckstore::snapshot;
use ckstore::store::Store;
use serde_json::Value;

use crate::support::{Home, Tensor, safetensors};

/// Two frames and a half.
const ELEMENTS: u64 = 5 << 17;

/// Numbers that look like weights: none is zero, the same for the same seed.
fn weights(seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 - 0.5
    };
    (0..ELEMENTS).map(|_| next()).collect()
}

/// A checkpoint of three tensors, imported; in the second, something went wrong in training.
fn home() -> Home {
    let home = Home::new();
    let tensor = |name: &str, numbers: Vec<f32>| Tensor {
        name: name.into(),
        dtype: "F32",
        shape: vec![1024, ELEMENTS / 1024],
        bytes: numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
    };
    let mut sick = weights(2);
    sick[7] = f32::NAN;
    sick[8] = f32::NEG_INFINITY;
    sick[9] = 0.0;
    let tensors = [tensor("first", weights(1)), tensor("sick", sick), tensor("third", weights(3))];
    fs::write(home.path("model.safetensors"), safetensors(&tensors)).unwrap();
    home.run(["import", "model.safetensors"]).ok();
    home
}

/// Damages every stored record that is not needed to find a tensor and to read it.
fn break_all_but(home: &Home, kept: &str) {
    let store = Store::open(&home.path(".ckstore")).unwrap();
    let ledger = Ledger::open(&home.path(".ckstore/ledger.db")).unwrap();
    let reader = store.reader(&ledger);
    let row = ledger.find_ref(&"model".parse().unwrap()).unwrap().unwrap();
    let tree_id = ledger.revision(&row.revision).unwrap().unwrap().tree;
    let tree = snapshot::read_tree(&reader, &tree_id).unwrap();
    let wanted = tree.tensors.iter().find(|tensor| tensor.path.as_str() == kept).unwrap();
    let mut needed = vec![tree_id, tree.storages[wanted.storage as usize].content.object];
    needed.extend(needed.clone().iter().flat_map(|id| reader.references(id).unwrap()));
    let mut broken = 0;
    for (pack, _) in ledger.packs().unwrap() {
        let mut file = OpenOptions::new().write(true).open(store.pack_path(pack)).unwrap();
        for (id, location) in ledger.records_of(&pack).unwrap() {
            if !needed.contains(&id) && location.stored_bytes > 0 {
                file.seek(SeekFrom::Start(location.offset)).unwrap();
                file.write_all(&vec![0xa5; location.stored_bytes as usize]).unwrap();
                broken += 1;
            }
        }
    }
    // Two tensors of three frames each, and what describes the file.
    assert!(broken >= 6, "{broken}");
}

fn tensor<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["tensors"].as_array().unwrap().iter().find(|tensor| tensor["path"] == name).unwrap()
}

#[test]
fn show_of_a_tensor_reads_only_its_frames() {
    let home = home();
    let before = home.json(["show", "model", "sick"]);
    break_all_but(&home, "sick");
    assert_eq!(home.json(["show", "model", "sick"]), before);
    for other in ["first", "third"] {
        assert_eq!(home.run(["show", "model", other]).code, Some(6), "{other}");
    }
    assert_eq!(home.run(["ls", "--stats"]).code, Some(6));
    home.run(["ls"]).ok();
}

#[test]
fn one_damaged_frame_is_not_passed_over() {
    let home = home();
    let path = home.packs().into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[2_000_000] ^= 1;
    fs::write(path, bytes).unwrap();
    let codes = ["first", "sick", "third"].map(|name| home.run(["show", "model", name]).code);
    assert_eq!(codes.iter().filter(|code| **code == Some(6)).count(), 1, "{codes:?}");
}

#[test]
fn stats_tell_what_the_numbers_of_each_tensor_are_like() {
    let home = home();
    let report = home.json(["ls", "--stats"]);
    let numbers = weights(1);
    let mean = numbers.iter().map(|number| f64::from(*number)).sum::<f64>() / numbers.len() as f64;
    let squares = numbers.iter().map(|number| (f64::from(*number) - mean).powi(2)).sum::<f64>();
    let stats = &tensor(&report, "first")["stats"];
    let number = |key: &str| stats[key].as_f64().unwrap();
    assert!((number("mean") - mean).abs() < 1e-12);
    assert!((number("std") - (squares / numbers.len() as f64).sqrt()).abs() < 1e-12);
    assert_eq!(number("min"), f64::from(numbers.iter().copied().fold(f32::MAX, f32::min)));
    assert_eq!(number("max"), f64::from(numbers.iter().copied().fold(f32::MIN, f32::max)));
    assert_eq!((number("zero_share"), stats["nan"].as_u64()), (0.0, Some(0)));
    let stats = &tensor(&report, "sick")["stats"];
    assert_eq!((stats["nan"].as_u64(), stats["infinite"].as_u64()), (Some(1), Some(1)));
    assert_eq!(stats["zero_share"].as_f64(), Some(1.0 / ELEMENTS as f64));
    let text = home.run(["ls", "--stats"]).ok().stdout;
    assert!(text.contains("1 tensor has numbers that are NaN or infinite"), "{text}");
    // Without it no tensor is read, and none is told of.
    assert!(tensor(&home.json(["ls"]), "first").get("stats").is_none());
}

#[test]
fn stats_of_a_pickled_checkpoint_are_those_of_its_tensors() {
    let home = Home::migrated();
    let report = home.json(["ls", "--stats"]);
    for tensor in report["tensors"].as_array().unwrap() {
        let shown = home.json(["show", "HEAD", tensor["path"].as_str().unwrap()]);
        assert_eq!(shown["tensor"]["stats"], tensor["stats"], "{tensor}");
        assert_eq!(shown["tensor"]["shape"], tensor["shape"]);
    }
}
