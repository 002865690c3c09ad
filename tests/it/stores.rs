//! Stores that earlier releases wrote.
//!
//! `tests/data/stores/vN` is as the release wrote it that had version N of the tables. Each has a ref `run` with
//! five revisions: two imports of a safetensors file, a baseline, a migration, and its rollback.

use std::fs;
use std::path::PathBuf;

use crate::support::{Home, copy_folder, data};

/// The stores, oldest first.
fn stores() -> Vec<PathBuf> {
    let mut stores: Vec<PathBuf> =
        fs::read_dir(data("stores")).unwrap().map(|entry| entry.unwrap().path()).collect();
    stores.sort();
    assert!(stores[0].ends_with("v1"));
    stores
}

#[test]
fn stores_of_every_earlier_version_still_open() {
    for store in stores() {
        let home = Home::new();
        copy_folder(&store, &home.path(".ckstore"));
        assert_eq!(home.findings(false), [""; 0], "{}", store.display());
        let entries = home.json(["log", "run"])["entries"].as_array().unwrap().clone();
        assert_eq!(entries.len(), 5);
        for (place, entry) in entries.iter().enumerate() {
            let revision = entry["revision"].as_str().unwrap();
            let file = format!("{place}.safetensors");
            home.run(["checkout", "--revision", revision, "-o", &file]).ok();
            let bytes = fs::read(home.path(&file)).unwrap();
            assert_eq!(bytes.len() as u64, entry["bytes"].as_u64().unwrap());
            // The hash of its file, which a revision of these releases has unless a migration made it.
            let shown = home.json(["show", revision]);
            if let Some(hash) = shown["file"].as_str() {
                assert_eq!(blake3::hash(&bytes).to_hex().as_str(), hash);
            }
            assert!(shown["file"].is_string() || place == 1, "{shown}");
        }
        assert_eq!(
            fs::read(home.path("0.safetensors")).unwrap(),
            fs::read(home.path("3.safetensors")).unwrap()
        );
        let history = home.json(["log", "history", "run"]);
        assert_eq!(history["entries"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn stores_of_every_earlier_version_take_what_is_new() {
    for store in stores() {
        let home = Home::new();
        copy_folder(&store, &home.path(".ckstore"));
        home.run(["checkout", "--revision", "run", "-o", "new.safetensors"]).ok();
        let mut bytes = fs::read(home.path("new.safetensors")).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(home.path("new.safetensors"), &bytes).unwrap();
        home.run(["import", "new.safetensors", "--name", "run"]).ok();
        home.run(["gc"]).ok();
        assert_eq!(home.findings(true), [""; 0], "{}", store.display());
        home.run(["checkout", "--revision", "run", "-o", "again.safetensors"]).ok();
        assert!(fs::read(home.path("again.safetensors")).unwrap() == bytes);
    }
}
