//! `checkout --engine python`, with programs that stand in for the interpreter.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::bad_input::{State, failure, refused};
use crate::merge::{begin, catalogue};
use crate::support::{Home, Ran};
use crate::train::Checkpoint;

const BODY: &str = "def migrate(ckpt):\n    ckpt['epoch'] = 4\n    return ckpt\n";

/// A store with a checkpoint that is to be migrated, and an interpreter that does this.
fn home(body: &str, program: &str) -> Home {
    let home = Home::new();
    catalogue(&home, &[body]);
    begin().save(&home.path("a.ckpt"));
    home.run(["import", "a.ckpt"]).ok();
    let path = home.path("python");
    fs::write(&path, format!("#!/bin/sh\necho run >> \"$(dirname \"$0\")/runs\"\n{program}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    home
}

fn digest(home: &Home) -> String {
    home.json(["migration", "list"])["migrations"][0]["digest"].as_str().unwrap().to_owned()
}

fn checkout(home: &Home, trust: &str) -> Ran {
    let python = home.path("python");
    let program = python.to_str().unwrap();
    let words = [
        "checkout",
        "--version",
        "1.0.0",
        "--engine",
        "python",
        "--python",
        program,
        "--trust",
        trust,
        "--json",
    ];
    home.run(words)
}

/// Writes what is prepared beside it as the result.
const WORKS: &str = "here=$(dirname \"$0\")
[ \"$3\" = migrate ] || exit 3
grep -q \"epoch\" \"$2\" || exit 4
cp \"$4\" \"$here/given\"
cp \"$here/prepared\" \"$5\"
echo said on stdout; echo said on stderr >&2
echo '{\"engine\": \"python-3.99.1 torch-9.0\"}' > \"$6\"
";

#[test]
fn what_is_not_trusted_is_refused_and_not_run() {
    let home = home(BODY, WORKS);
    let python = home.path("python");
    let command =
        ["checkout", "--version", "1.0.0", "--engine", "python", "--python", python.to_str().unwrap()];
    let (message, hint) = refused(&home, &command, "E_TRUST", 4);
    let digest = digest(&home);
    assert!(message.contains("`1700000001_m1` is not trusted") && message.contains(&digest), "{message}");
    assert!(hint.contains(&format!("--trust {digest}")), "{hint}");
    let other = "0".repeat(64);
    failure(&checkout(&home, &other), "E_TRUST", 4);
    assert!(!home.path("runs").exists());
    refused(&home, &["checkout", "--version", "1.0.0", "--trust", &digest], "E_USAGE", 2);
    failure(&checkout(&home, "abc"), "E_USAGE", 2);
    // Another body is another script.
    catalogue(&home, &[&BODY.replace('4', "5")]);
    failure(&checkout(&home, &digest), "E_TRUST", 4);
    assert!(!home.path("runs").exists());
}

#[test]
fn a_trusted_script_runs_on_the_file_and_its_result_is_recorded() {
    let home = home(BODY, WORKS);
    let before = fs::read(home.path("a.ckpt")).unwrap();
    let mut prepared = begin();
    prepared.set_int("epoch", 4);
    prepared.set_tensor("state_dict/new", &[2], &[1.0, 2.0]);
    prepared.save(&home.path("prepared"));
    let ran = checkout(&home, &digest(&home));
    let report = ran.ok().json();
    assert_eq!(report["printed"], "said on stdout\nsaid on stderr\n");
    assert_eq!(fs::read(home.path("given")).unwrap(), before);
    let done = Checkpoint::load(&home.path("a.ckpt"));
    assert_eq!((done.int("epoch"), done.values("state_dict/new")), (4, vec![1.0, 2.0]));
    assert_eq!(done.graph.as_str(done.at("migrations/0/name")), Some("1700000001_m1"));
    let entry = home.json(["log", "history"])["entries"][0].clone();
    assert_eq!((&entry["engine"], &entry["status"]), (&json!("python-3.99.1 torch-9.0"), &json!("done")));
    assert_eq!(home.findings(false), [""; 0]);

    // What moved where is not known, so training cannot be merged back; what was there before is restored.
    let mut trained = done.clone();
    trained.train(|_| true);
    home.run(["branch", "kept"]).ok();
    trained.save(&home.path("a.ckpt"));
    home.run(["import"]).ok();
    failure(&home.run(["checkout", "base", "--json"]), "E_IRREVERSIBLE", 4);
    home.run(["checkout", "--revision", "HEAD~1"]).ok();
    let back = home.json(["checkout", "base"]);
    assert_eq!(back["operations"][0]["method"], "restore");
    assert_eq!(fs::read(home.path("a.ckpt")).unwrap(), before);
}

#[test]
fn a_run_that_fails_changes_nothing_and_is_in_the_history() {
    let raised = r#"echo '{"error": {"exception": "ValueError", "message": "no", "line": 8}}' > "$6""#;
    let cases = [
        (raised, "1700000001_m1.py, line 8: ValueError: no"),
        (
            "echo '{\"returned\": \"NoneType\"}' > \"$6\"",
            "1700000001_m1.py, line 7: `migrate` returned NoneType",
        ),
        ("echo Segmentation fault >&2; exit 139", "Segmentation fault"),
        ("echo '{}' > \"$6\"", "after"),
        ("echo nonsense > \"$5\"; echo '{}' > \"$6\"", "cannot be read"),
        ("cp \"$(dirname \"$0\")/prepared\" \"$5\"; echo '{}' > \"$6\"", "own list of migrations"),
    ];
    for (program, what) in cases {
        let home = home(BODY, program);
        let mut prepared = begin();
        prepared.remove("migrations");
        prepared.save(&home.path("prepared"));
        let before = State::of(&home);
        let ran = checkout(&home, &digest(&home));
        let message = ran.json()["error"]["message"].as_str().unwrap_or_else(|| panic!("{ran:?}")).to_owned();
        assert!(message.contains(what), "{message}");
        let mut after = State::of(&home);
        let failed = after.history["entries"].as_array_mut().unwrap().pop().unwrap();
        assert_eq!(failed["status"], "failed");
        after.files.retain(|path, _| path.to_str() != Some("runs"));
        assert_eq!(after, before, "{what}");
    }
    let home = home(BODY, "");
    fs::remove_file(home.path("python")).unwrap();
    let message = failure(&checkout(&home, &digest(&home)), "E_SCRIPT", 7)["message"].to_string();
    assert!(message.contains("cannot start"), "{message}");
}

#[test]
fn steps_without_a_script_need_no_trust_and_what_python_cannot_have_is_refused() {
    let home1 = home(BODY, WORKS);
    fs::remove_file(home1.path("migrations/1700000001_m1.py")).unwrap();
    fs::write(
        home1.path("migrations/1700000001_m1.toml"),
        "version = '1.0.0'\n[[step]]\nset = 'epoch'\nto = 4\n",
    )
    .unwrap();
    checkout(&home1, &"0".repeat(64)).ok();
    assert_eq!(Checkpoint::load(&home1.path("a.ckpt")).int("epoch"), 4);
    assert!(!home1.path("runs").exists());

    let setup = format!("def migrate_setup(context):\n    context.delete_module('x')\n{BODY}");
    let home2 = home(&setup, WORKS);
    let error = failure(&checkout(&home2, &digest(&home2)), "E_TRUST", 4);
    assert!(error["message"].as_str().unwrap().contains("`migrate_setup`"), "{error}");
    assert!(!home2.path("runs").exists());
}
