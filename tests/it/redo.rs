//! Running migrations again.

use std::fs;

use serde_json::Value;

use crate::merge::{MOVE, RENAME, begin, catalogue};
use crate::support::Home;
use crate::train::Checkpoint;

fn kinds(home: &Home) -> Vec<String> {
    let history = home.json(["log", "history"]);
    let entries = history["entries"].as_array().unwrap().clone();
    let mut kinds: Vec<(u64, String)> = entries
        .iter()
        .map(|entry: &Value| (entry["seq"].as_u64().unwrap(), entry["kind"].as_str().unwrap().to_owned()))
        .collect();
    kinds.sort();
    kinds.into_iter().map(|(_, kind)| kind).collect()
}

/// A checkpoint with a rename and a move applied.
fn migrated() -> Home {
    let home = Home::new();
    catalogue(&home, &[RENAME, MOVE]);
    begin().save(&home.path("a.ckpt"));
    home.run(["import", "a.ckpt"]).ok();
    home.run(["checkout", "--version", "2.0.0"]).ok();
    home
}

fn mend(home: &Home) {
    let path = home.path("migrations/1700000001_m1.py");
    let text = fs::read_to_string(&path).unwrap().replace("first.", "right.");
    fs::write(path, text).unwrap();
}

#[test]
fn a_mended_script_runs_from_its_recorded_input_with_those_after_it() {
    let home = migrated();
    mend(&home);
    let report = home.json(["redo", "1700000001_m1"]);
    let methods: Vec<&str> =
        report["operations"].as_array().unwrap().iter().map(|o| o["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["restore", "restore", "run", "run"]);
    let now = Checkpoint::load(&home.path("a.ckpt"));
    assert_eq!(now.values("state_dict/right.weight"), begin().values("state_dict/a.weight"));
    assert_eq!(now.float("config/optimizer/lr"), 0.5);
    assert!(!now.has("state_dict/first.weight"));
    assert_eq!(kinds(&home), ["migrate", "migrate", "rollback", "rollback", "redo", "redo"]);
    assert_eq!(home.findings(false), [""; 0]);

    // What was redone is undone as if it had always been so.
    home.run(["checkout", "--version", "0.0.1"]).ok();
    let back = Checkpoint::load(&home.path("a.ckpt"));
    assert_eq!(back.tensors(), begin().tensors());
}

#[test]
fn redo_keeps_what_was_trained_since() {
    let home = migrated();
    let mut ckpt = Checkpoint::load(&home.path("a.ckpt"));
    ckpt.train(|_| true);
    ckpt.set_float("config/optimizer/lr", 0.25);
    ckpt.save(&home.path("a.ckpt"));
    home.run(["import"]).ok();
    mend(&home);
    home.run(["redo", "1700000001_m1", "-m", "mended"]).ok();
    let now = Checkpoint::load(&home.path("a.ckpt"));
    assert_eq!(now.values("state_dict/right.weight"), ckpt.values("state_dict/first.weight"));
    assert_eq!(now.float("config/optimizer/lr"), 0.25);
    assert_eq!(home.json(["log"])["entries"][0]["message"], "mended");
}

#[test]
fn redo_of_what_cannot_be_undone_changes_nothing() {
    let home = migrated();
    let mut ckpt = Checkpoint::load(&home.path("a.ckpt"));
    ckpt.remove("state_dict/first.weight");
    ckpt.save(&home.path("a.ckpt"));
    home.run(["import"]).ok();
    let before = home.json(["log"]);
    let ran = home.run(["redo", "1700000001_m1", "--json"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.json()["error"]["message"].as_str().unwrap().contains("state_dict/first.weight"));
    assert_eq!(home.json(["log"]), before);
    let unknown = home.run(["redo", "1700000001_m2", "--json"]);
    assert_eq!(unknown.json()["error"]["code"], "E_NAME");
}
