//! What writing all packs anew keeps, and what it saves.

use std::fs;

use serde_json::Value;

use crate::support::{Home, Tensor, safetensors};

/// A checkpoint of numbers that move a little with every step.
fn model(step: u32, name: &str) -> Vec<u8> {
    let tensor = |number: u32, count: u32| {
        let numbers = (0..count).map(|place| {
            let mixed = (place ^ (number << 20)).wrapping_mul(2_654_435_761);
            let start = f32::from_bits(0x3c00_0000 | mixed >> 9);
            f32::from_bits(start.to_bits() + step * (mixed % 3))
        });
        Tensor {
            name: format!("{name}.{number}.weight"),
            dtype: "F32",
            shape: vec![u64::from(count)],
            bytes: numbers.flat_map(f32::to_le_bytes).collect(),
        }
    };
    safetensors(&[tensor(0, 300_000), tensor(1, 20_000), tensor(2, 10)])
}

/// A store in which nothing was compressed, six revisions in as many packs, and their files.
fn uncompressed() -> (Home, Vec<Vec<u8>>) {
    let home = Home::new();
    let files: Vec<Vec<u8>> = (0..6).map(|step| model(step, "layers")).collect();
    for file in &files {
        fs::write(home.path("model.safetensors"), file).unwrap();
        home.run(["import", "model.safetensors", "--compression", "none"]).ok();
    }
    (home, files)
}

fn codecs(home: &Home) -> Vec<(String, u64)> {
    let stats = home.json(["stats"]);
    let codecs = stats["codecs"].as_array().unwrap().iter();
    codecs
        .map(|codec| (codec["codec"].as_str().unwrap().to_owned(), codec["records"].as_u64().unwrap()))
        .collect()
}

fn check_out_all(home: &Home, files: &[Vec<u8>]) {
    let log = home.json(["log"]);
    for (entry, file) in log["entries"].as_array().unwrap().iter().rev().zip(files) {
        let revision = entry["revision"].as_str().unwrap();
        home.run(["checkout", "--revision", revision, "-o", "out", "--force"]).ok();
        assert!(fs::read(home.path("out")).unwrap() == *file);
    }
}

#[test]
fn repack_compresses_and_keeps_every_revision() {
    let (home, files) = uncompressed();
    assert!(codecs(&home).iter().all(|(codec, _)| codec == "raw" || codec == "frames"));
    let done = home.json(["repack"])["done"].clone();
    assert_eq!((done["new_packs"].as_u64(), done["removed_packs"].as_u64()), (Some(1), Some(6)));
    assert!(done["freed_bytes"].as_i64().unwrap() * 2 > 6 * files[0].len() as i64, "{done}");
    assert!(codecs(&home).iter().any(|(codec, records)| codec == "delta" && *records >= 15));
    assert_eq!(home.packs().len(), 1);
    check_out_all(&home, &files);
    assert_eq!(home.findings(true), [""; 0]);
    // Once more, also back to what it was: chains of differences are followed and made anew.
    for how in ["max", "none", "auto"] {
        home.run(["repack", "--compression", how]).ok();
        check_out_all(&home, &files);
        assert_eq!(home.findings(true), [""; 0]);
    }
}

#[test]
fn a_dry_run_of_repack_changes_nothing() {
    let (home, _) = uncompressed();
    let before = home.packs();
    let plan = home.json(["repack", "--dry-run"]);
    assert_eq!(plan["done"], Value::Null);
    assert_eq!(plan["plan"]["packs"], 6);
    assert_eq!(home.packs(), before);
}

#[test]
fn repack_drops_what_nothing_needs() {
    let home = Home::migrated();
    fs::write(home.path(".ckstore/packs/tmp-AbC123"), [1; 1000]).unwrap();
    let store = ckstore::store::Store::open(&home.path(".ckstore")).unwrap();
    let ledger = ckstore::ledger::Ledger::open(&home.path(".ckstore/ledger.db")).unwrap();
    let mut writer = store.writer(&ledger);
    writer.put(&[7; 5000], Default::default()).unwrap();
    writer.finish().unwrap();
    drop(ledger);
    home.run(["repack"]).ok();
    assert_eq!(home.packs().len(), 1);
    assert_eq!(home.findings(true), [""; 0]);
    home.run(["checkout", "--version", "base"]).ok();
}

#[test]
fn a_damaged_store_is_not_written_anew() {
    let (home, _) = uncompressed();
    let pack = home.packs().into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[5000] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let before = home.packs();
    assert_eq!(home.run(["repack"]).code, Some(6));
    assert_eq!(home.packs(), before);
}

#[test]
fn a_base_may_be_named() {
    let home = Home::new();
    fs::write(home.path("one.safetensors"), model(0, "layers")).unwrap();
    home.run(["import", "one.safetensors"]).ok();
    let file = model(1, "model.blocks");
    fs::write(home.path("two.safetensors"), &file).unwrap();
    home.run(["import", "two.safetensors", "--base", "one"]).ok();
    assert!(codecs(&home).iter().any(|(codec, records)| codec == "delta" && *records >= 3));
    home.run(["checkout", "--revision", "two", "-o", "out"]).ok();
    assert!(fs::read(home.path("out")).unwrap() == file);
    assert_eq!(home.run(["import", "two.safetensors", "--base", "three"]).code, Some(2));
}

#[test]
fn stats_add_up() {
    let (home, files) = uncompressed();
    home.run(["repack"]).ok();
    fs::write(home.path("again.safetensors"), &files[0]).unwrap();
    home.run(["import", "again.safetensors"]).ok();
    let stats = home.json(["stats"]);
    let number = |value: &Value| value.as_u64().unwrap();
    assert_eq!(number(&stats["revisions"]), 7);
    assert_eq!(
        number(&stats["raw_bytes"]),
        files.iter().map(|file| file.len() as u64).sum::<u64>() + files[0].len() as u64
    );
    let on_disk: u64 = home.packs().iter().map(|pack| fs::metadata(pack).unwrap().len()).sum();
    assert_eq!(number(&stats["stored_bytes"]), on_disk);
    assert!(number(&stats["saved"]["dedupe"]) >= files[0].len() as u64 - 10_000);
    assert!(number(&stats["saved"]["delta"]) > number(&stats["saved"]["codec"]));
    let refs = stats["refs"].as_array().unwrap();
    let of = |name: &str| refs.iter().find(|stats| stats["ref"] == name).unwrap();
    assert_eq!(number(&of("model")["revisions"]), 6);
    // All that `again` needs `model` needs too.
    assert!(number(&of("again")["own_bytes"]) < 2000, "{stats}");
    assert!(number(&of("model")["own_bytes"]) > 10_000, "{stats}");
    let text = home.run(["stats"]).ok().stdout;
    assert!(text.contains("█") && text.contains("saved by differences"), "{text}");
}
