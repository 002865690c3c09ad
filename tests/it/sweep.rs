//! Status, plan and checkout of all refs of a collection.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Home, Tensor, copy_folder, data, old_checkpoint, root, safetensors};

/// A collection `runs` of four checkpoints, one of which cannot be migrated.
fn runs() -> Home {
    let home = Home::new();
    copy_folder(&root().join("migrations"), &home.path("migrations"));
    fs::create_dir_all(home.path("runs/era5")).unwrap();
    for name in ["runs/a.ckpt", "runs/b.ckpt", "runs/era5/c.ckpt"] {
        fs::copy(old_checkpoint(), home.path(name)).unwrap();
    }
    fs::write(home.path("runs/notes.txt"), "not a checkpoint").unwrap();
    home.run(["import", "runs", "--collection", "runs"]).ok();
    home
}

fn names(entries: &Value) -> Vec<&str> {
    entries.as_array().unwrap().iter().map(|entry| entry["ref"].as_str().unwrap()).collect()
}

#[test]
fn checkout_all_goes_on_after_a_failure_and_can_be_begun_again() {
    let home = runs();
    let ran = home.run([
        "checkout",
        "--all",
        "--collection",
        "runs",
        "--version",
        "0.8.3",
        "--jobs",
        "3",
        "--json",
    ]);
    let report = ran.json();
    assert_eq!(ran.code, Some(9), "{ran:?}");
    assert_eq!(names(&report["refs"]), ["runs/a", "runs/b", "runs/era5/c"]);
    assert_eq!(names(&report["failed"]), ["runs/notes"]);
    assert!(report["refs"].as_array().unwrap().iter().all(|entry| entry["bytes_written"].as_u64() > Some(0)));

    let again = home.run(["checkout", "--all", "--collection", "runs", "--version", "0.8.3", "--jsonl"]);
    let lines: Vec<Value> = again.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((again.code, lines.len()), (Some(9), 4));
    let done: Vec<_> = lines.iter().filter(|line| line["error"].is_null()).collect();
    assert!(done.iter().all(|line| line["in_sync"] == true && line["new_revision"].is_null()), "{lines:?}");
    // HEAD was nowhere and still is.
    assert_eq!(home.run(["status"]).code, Some(2));
    assert_eq!(home.findings(true), [""; 0]);
}

#[test]
fn what_many_have_in_common_is_warned_of_once() {
    let home = runs();
    home.run(["checkout", "--all", "--version", "0.8.3"]);
    let script = home.path("migrations/1738368000_move_learning_rate.py");
    let changed = fs::read_to_string(&script).unwrap() + "\nUNUSED = 1\n";
    fs::write(script, changed).unwrap();
    let ran = home.run(["checkout", "--all", "--version", "0.8.3"]);
    let warnings: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("warning:")).collect();
    assert_eq!(warnings.len(), 1, "{ran:?}");
    assert!(warnings[0].starts_with("warning: runs/a and 2 more: "), "{ran:?}");
}

#[test]
fn a_working_file_that_was_changed_is_a_failure_of_its_ref_alone() {
    let home = runs();
    home.run(["branch", "delete", "runs/notes"]);
    fs::write(home.path("runs/b.ckpt"), "changed").unwrap();
    let ran = home.run(["checkout", "--all", "--version", "0.8.3", "--json"]);
    let report = ran.json();
    assert_eq!((ran.code, names(&report["failed"]).contains(&"runs/b")), (Some(9), true), "{report}");
    assert_eq!(fs::read(home.path("runs/b.ckpt")).unwrap(), b"changed");
}

#[test]
fn plans_and_status_of_a_collection_are_those_of_its_refs() {
    let home = runs();
    home.run(["checkout", "runs/b", "--version", "0.8.3"]).ok();
    let ran = home.run(["plan", "--all", "--collection", "runs", "--version", "0.8.3", "--json"]);
    let report = ran.json();
    for entry in report["refs"].as_array().unwrap() {
        let alone = home.json(["plan", entry["ref"].as_str().unwrap(), "--version", "0.8.3"]);
        assert_eq!(*entry, alone);
    }
    assert_eq!(names(&report["failed"]), ["runs/notes"]);
    let status = home.run(["status", "--all", "--collection", "runs/era5", "--json"]);
    assert_eq!((status.code, names(&status.json()["refs"])), (Some(0), vec!["runs/era5/c"]));
    let alone = home.json(["status", "runs/era5/c"]);
    assert_eq!(status.json()["refs"][0], alone);
    assert_eq!(home.run(["status", "--all", "--exit-code"]).code, Some(10));
    for wrong in
        [vec!["status", "a", "--all"], vec!["status", "--collection", "runs"], vec!["checkout", "--all"]]
    {
        assert_eq!(home.run(wrong).code, Some(2));
    }
    let unknown = home.run(["status", "--all", "--collection", "run", "--json"]);
    assert_eq!(unknown.json()["error"]["code"], json!("E_NAME"));
}

#[test]
fn a_collection_has_a_catalogue_of_its_own() {
    let home = runs();
    home.run(["config", "collection.runs/era5", "other"]).ok();
    fs::create_dir(home.path("other")).unwrap();
    let status = home.json(["status", "--all"]);
    let missing = |name: &str| {
        let refs = status["refs"].as_array().unwrap();
        let entry = refs.iter().find(|entry| entry["ref"] == name).unwrap();
        entry["missing"].as_array().unwrap().len()
    };
    assert_eq!((missing("runs/a") > 0, missing("runs/era5/c")), (true, 0));
}

#[test]
fn the_catalogue_given_at_an_import_holds_for_its_files_at_once() {
    let home = Home::new();
    copy_folder(&root().join("migrations"), &home.path("scripts"));
    fs::create_dir(home.path("runs")).unwrap();
    for name in ["a", "b"] {
        fs::write(home.path(&format!("runs/{name}.safetensors")), safetensors(&[])).unwrap();
    }
    let arguments =
        ["import", "runs", "--collection", "runs", "--catalogue", "scripts", "--version", "0.8.1"];
    assert_eq!(home.json(arguments)["added"], 2);
    assert_eq!(home.json(["status", "runs/a"])["version"], "0.8.1");
    fs::write(home.path("new.safetensors"), safetensors(&[])).unwrap();
    home.run(["import", "new.safetensors", "--name", "runs/new", "--version", "base"]).ok();
    let status = home.json(["status", "runs/new"]);
    assert_eq!((&status["group"], &status["registered"]), (&json!(0), &json!([])));
}

#[test]
fn files_of_a_collection_are_taken_together_and_what_fails_is_left_out() {
    let home = Home::new();
    fs::create_dir(home.path("runs")).unwrap();
    let tensor = |byte| Tensor { name: "w".into(), dtype: "U8", shape: vec![1], bytes: vec![byte] };
    for byte in 0..30 {
        fs::write(home.path(&format!("runs/{byte:02}.safetensors")), safetensors(&[tensor(byte)])).unwrap();
    }
    fs::write(home.path("runs/04.safetensors"), "").unwrap();
    fs::write(home.path("runs/07.safetensors"), b"PK\x03\x04 and no more").unwrap();
    // Another of the same name, but for its ending.
    fs::write(home.path("runs/11.weights"), safetensors(&[tensor(99)])).unwrap();
    let ran = home.run(["import", "runs", "--collection", "runs", "--json"]);
    let report = ran.json();
    assert_eq!((ran.code, &report["added"]), (Some(9), &json!(28)), "{ran:?}");
    let failed: Vec<_> =
        report["failed"].as_array().unwrap().iter().map(|failed| failed["error"]["code"].clone()).collect();
    assert_eq!(failed, ["E_INPUT", "E_FORMAT", "E_EXISTS"]);
    assert_eq!((home.packs().len(), home.findings(true)), (1, vec![]));
    fs::write(home.path("runs/03.safetensors"), safetensors(&[tensor(100)])).unwrap();
    let again = home.run(["import", "runs", "--collection", "runs", "--json"]).json();
    assert_eq!((&again["changed"], &again["unchanged"]), (&json!(1), &json!(27)));
    home.run(["checkout", "runs/03", "-o", "out.safetensors"]).ok();
    assert_eq!(fs::read(home.path("out.safetensors")).unwrap(), safetensors(&[tensor(100)]));
}

#[test]
fn a_checkout_of_all_that_was_killed_goes_on_where_it_was() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let fleet = || {
        let home = Home::new();
        copy_folder(&root().join("migrations"), &home.path("migrations"));
        fs::create_dir(home.path("runs")).unwrap();
        for name in NAMES {
            fs::copy(old_checkpoint(), home.path(&format!("runs/{name}.ckpt"))).unwrap();
        }
        home.run(["import", "runs", "--collection", "runs"]).ok();
        home
    };
    let command = ["checkout", "--all", "--collection", "runs", "--version", "0.8.3", "--jobs", "2"];
    let files = |home: &Home| NAMES.map(|name| fs::read(home.path(&format!("runs/{name}.ckpt"))).unwrap());
    let whole = fleet();
    let began = Instant::now();
    whole.run(command).ok();
    let (old, new, took) = (fs::read(old_checkpoint()).unwrap(), files(&whole), began.elapsed());
    for part in [1, 2, 3] {
        let home = fleet();
        let mut child = home.command(command);
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep((took * part / 4).max(Duration::from_millis(1)));
        let _ = child.kill();
        child.wait().unwrap();
        assert_eq!(home.findings(false), [""; 0]);
        for (now, new) in files(&home).iter().zip(&new) {
            assert!(*now == old || now == new, "half a file after {part} of 4");
        }
        home.run(command).ok();
        assert!(files(&home) == new);
        for name in NAMES {
            // Each migration ran once.
            let history = |home: &Home| {
                let log = home.json(["log", "history", &format!("runs/{name}")]);
                let entries = log["entries"].as_array().unwrap().iter();
                entries.map(|entry| (entry["kind"].clone(), entry["migration"].clone())).collect::<Vec<_>>()
            };
            assert_eq!(history(&home), history(&whole), "{name}");
        }
    }
}

#[test]
fn a_folder_that_is_a_checkpoint_is_taken_as_one() {
    let home = Home::new();
    fs::create_dir_all(home.path("zoo/v1")).unwrap();
    fs::copy(old_checkpoint(), home.path("zoo/v1/a.ckpt")).unwrap();
    copy_folder(&data("folders/hf"), &home.path("zoo/v1/model.v2"));
    let report = home.json(["import", "zoo", "--collection", "zoo"]);
    assert_eq!(report["added"], json!(2));
    let refs = home.json(["status", "--all"]);
    assert_eq!(names(&refs["refs"]), ["zoo/v1/a", "zoo/v1/model.v2"]);
    assert_eq!(home.json(["import", "zoo", "--collection", "zoo"])["unchanged"], json!(2));
    // One by itself too.
    home.run(["import", "zoo/v1/model.v2", "--collection", "other"]).ok();
    assert_eq!(names(&home.json(["status", "--all", "--collection", "other"])["refs"]), ["other/model.v2"]);
}

#[test]
fn failures_for_one_reason_are_listed_shortly() {
    let home = Home::new();
    fs::create_dir_all(home.path("scripts")).unwrap();
    let script = "class Migration(BaseMigration):\n    def up(self, collection): pass\n    def down(self, collection): pass\n";
    fs::write(home.path("scripts/Migration_1000_a.py"), script).unwrap();
    let lines: String = (0..20).map(|id| format!("{{\"_id\": {id}}}\n")).collect();
    fs::write(home.path("many.jsonl"), lines).unwrap();
    home.run(["import", "many.jsonl", "--collection", "many", "--catalogue", "scripts"]).ok();
    let ran = home.run(["plan", "--all", "--version", "1.0"]);
    let lines: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("failed:")).collect();
    assert_eq!((ran.code, lines.len()), (Some(9), 11), "{ran:?}");
    assert!(lines[10].starts_with("failed: 10 more: "), "{}", lines[10]);
    // Machines get all of them.
    assert_eq!(
        home.run(["plan", "--all", "--version", "1.0", "--json"]).json()["failed"].as_array().unwrap().len(),
        20
    );
}
