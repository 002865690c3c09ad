//! Input that cannot be used: a clear error with code and hint, and nothing changed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Home, Ran, content_of, copy_folder, data, old_checkpoint};

/// Everything that a refused command must leave as it is.
#[derive(Debug, PartialEq)]
pub struct State {
    refs: Value,
    tags: Value,
    pub history: Value,
    revisions: BTreeMap<String, Value>,
    settings: Value,
    findings: Vec<String>,
    pub files: BTreeMap<PathBuf, Option<Vec<u8>>>,
}

impl State {
    pub fn of(home: &Home) -> State {
        let mut files = BTreeMap::new();
        list(home.dir.path(), Path::new(""), &mut files);
        if !home.path(".ckstore").exists() {
            let none = Value::Null;
            return State {
                refs: none.clone(),
                tags: none.clone(),
                history: none.clone(),
                revisions: BTreeMap::new(),
                settings: none,
                findings: Vec::new(),
                files,
            };
        }
        let refs = home.json(["branch"]);
        let names =
            refs["refs"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned());
        let revisions = names.map(|name| (name.clone(), home.json(["log", &name])));
        State {
            revisions: revisions.collect(),
            refs,
            tags: home.json(["tag"]),
            history: home.json(["log", "history"]),
            settings: home.json(["config"]),
            findings: home.findings(true),
            files,
        }
    }
}

/// The files outside the store, with their bytes.
fn list(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = folder.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && entry.file_name() != ".ckstore" {
            list(root, &path, files);
        }
        let bytes = kind.is_file().then(|| fs::read(entry.path()).unwrap());
        files.insert(path, bytes);
    }
}

/// The words of a failure, without anything that a panic would print.
#[track_caller]
pub fn failure(ran: &Ran, code: &str, exit: i32) -> Value {
    let document = ran.json();
    let error = &document["error"];
    assert_eq!(error["code"], code, "{ran:?}");
    assert_eq!(ran.code, Some(exit), "{ran:?}");
    let keys: Vec<&String> = error.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "message", "hint"]);
    assert_eq!(document.as_object().unwrap().len(), 1);
    for key in ["message", "hint"] {
        let text = error[key].as_str().unwrap_or_else(|| panic!("no {key}: {ran:?}"));
        assert!(!text.is_empty() && !text.contains('\n') && !text.ends_with('.'), "{text}");
        assert!(!text.contains("os error") && !text.contains("panicked"), "{text}");
    }
    error.clone()
}

/// Gives a command that must be refused, twice: as JSON and for people. Returns the message and the hint.
#[track_caller]
pub fn refused(home: &Home, arguments: &[&str], code: &str, exit: i32) -> (String, String) {
    let before = State::of(home);
    let with_json: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    let ran = home.run(&with_json);
    assert_eq!(ran.stderr, "", "JSON is all there is");
    let error = failure(&ran, code, exit);
    let ran = home.run(arguments);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(exit), ""), "{ran:?}");
    let text = |key: &str| error[key].as_str().unwrap().to_owned();
    let (message, hint) = (text("message"), text("hint"));
    assert_eq!(ran.stderr, format!("error: {message} [{code}]\nhint: {hint}\n"), "{arguments:?}");
    assert_eq!(State::of(home), before, "{arguments:?} changed something");
    (message, hint)
}

static MIGRATED: LazyLock<(Home, Vec<u8>)> = LazyLock::new(|| {
    let home = Home::migrated();
    let bytes = fs::read(home.path("a.ckpt")).unwrap();
    (home, bytes)
});

/// A store with a migrated checkpoint whose working file is here.
fn migrated() -> Home {
    let home = MIGRATED.0.copy();
    let path = fs::canonicalize(home.dir.path()).unwrap().join("a.ckpt");
    home.sql().execute("UPDATE working_files SET path = ?1", [path.to_str().unwrap()]).unwrap();
    home
}

const INPUT: i32 = 2;
const INCOMPATIBLE: i32 = 3;
const CORRUPT: i32 = 6;
const LOCKED: i32 = 8;

#[test]
fn files_that_are_no_files_are_refused_and_no_store_is_made_for_them() {
    let home = Home::new();
    fs::create_dir(home.path("folder")).unwrap();
    fs::write(home.path("empty.ckpt"), "").unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, home.path("pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    for name in ["missing.ckpt", "folder", "empty.ckpt", "pipe", "folder/../missing"] {
        refused(&home, &["import", name], "E_INPUT", INPUT);
    }
    refused(&home, &["import", "empty.ckpt/inside"], "E_INPUT", INPUT);
    assert!(!home.path(".ckstore").exists());
}

#[test]
fn damaged_files_are_refused() {
    let home = migrated();
    let checkpoint = fs::read(old_checkpoint()).unwrap();
    let tensors = fs::read(data("corpus/safetensors/dtypes.safetensors")).unwrap();
    let mut wrong_crc = checkpoint.clone();
    wrong_crc[checkpoint.len() / 2] ^= 1;
    let cases: [(&str, &[u8]); 8] = [
        ("half.ckpt", &checkpoint[..checkpoint.len() / 2]),
        ("beginning.ckpt", &checkpoint[..70]),
        ("end-lost.ckpt", &checkpoint[..checkpoint.len() - 1]),
        ("crc.ckpt", &wrong_crc),
        ("cut.safetensors", &tensors[..tensors.len() - 1]),
        ("header-cut.safetensors", &tensors[..50]),
        ("cut.json", br#"{"weights": [1, 2"#),
        ("more.json", br#"{"weights": [1, 2]} {"#),
    ];
    for (name, bytes) in cases {
        fs::write(home.path(name), bytes).unwrap();
        refused(&home, &["import", name], "E_FORMAT", CORRUPT);
        // What cannot be understood can still be kept.
        let other = home.copy();
        other.run(["import", name, "--format", "bytes"]).ok();
    }
}

#[test]
fn damaged_files_leave_no_new_store_behind() {
    let home = Home::new();
    let checkpoint = fs::read(old_checkpoint()).unwrap();
    fs::write(home.path("half.ckpt"), &checkpoint[..checkpoint.len() / 2]).unwrap();
    refused(&home, &["import", "half.ckpt"], "E_FORMAT", CORRUPT);
    assert!(!home.path(".ckstore").exists());
}

#[test]
fn hostile_files_are_refused_or_kept_as_data_and_never_run() {
    let folders = ["corpus/malicious", "corpus/safetensors"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(data(folder)).unwrap());
    let mut kept = 0;
    let mut refused = 0;
    let home = Home::new();
    home.run(["init"]).ok();
    let mut last = State::of(&home);
    for entry in files {
        let path = entry.unwrap().path();
        let began = Instant::now();
        let ran = home.run(["import".as_ref(), path.as_os_str(), "--json".as_ref()]);
        let name = path.display();
        assert!(began.elapsed() < Duration::from_secs(20), "{name} took {:?}", began.elapsed());
        assert!(!ran.stderr.contains("panicked"), "{name}: {ran:?}");
        if ran.code == Some(0) {
            kept += 1;
            let report = ran.json();
            home.run(["checkout", "-o", "out", "--force"]).ok();
            assert!(fs::read(home.path("out")).unwrap() == fs::read(&path).unwrap(), "{name}");
            assert_eq!(report["bytes"]["read"], fs::metadata(&path).unwrap().len());
            last = State::of(&home);
        } else {
            refused += 1;
            match fs::metadata(&path).unwrap().len() {
                0 => failure(&ran, "E_INPUT", INPUT),
                _ => failure(&ran, "E_FORMAT", CORRUPT),
            };
            assert_eq!(State::of(&home), last, "{name}");
        }
    }
    assert!(kept > 10 && refused > 10, "{kept} kept, {refused} refused");
    // Their payloads write here, if anything.
    assert!(!Path::new("/tmp/pwned").exists());
}

#[test]
fn a_file_of_unknown_format_is_kept_as_plain_bytes_and_that_is_said() {
    let home = Home::new();
    fs::write(home.path("notes.xyz"), b"\x00\x01 neither fish nor fowl").unwrap();
    let ran = home.run(["import", "notes.xyz"]).ok();
    assert!(ran.stderr.contains("plain bytes") && ran.stderr.contains("[W_KEPT_AS_BYTES]"), "{ran:?}");
    let report = home.json(["import", "notes.xyz"]);
    assert_eq!(report["format"], "bytes");
    assert_eq!(report["warnings"][0]["code"], "W_KEPT_AS_BYTES");
    // Who asks for it needs no warning.
    let report = home.json(["import", "notes.xyz", "--format", "bytes"]);
    assert_eq!(report["warnings"], json!([]));
    fs::remove_file(home.path("notes.xyz")).unwrap();
    home.run(["checkout"]).ok();
    assert_eq!(fs::read(home.path("notes.xyz")).unwrap(), b"\x00\x01 neither fish nor fowl");
}

#[test]
fn commands_that_cannot_be_meant_are_refused() {
    let home = migrated();
    fs::write(home.path("plain.json"), r#"{"weights": [1, 2]}"#).unwrap();
    fs::create_dir(home.path("folder")).unwrap();
    fs::write(home.path("not-stored"), "precious").unwrap();
    let cases: &[(&[&str], &str, i32)] = &[
        (&["import", "a.ckpt", "--version", "0.8.1"], "E_BASELINED", INPUT),
        (&["import", "plain.json", "--version", "banana"], "E_USAGE", INPUT),
        (&["import", "plain.json", "--name", "first"], "E_NAME", INPUT),
        (&["import", "plain.json", "--version", "0.8.1", "--catalogue", "nowhere"], "E_NO_CATALOGUE", INPUT),
        (&["checkout", "-o", "folder"], "E_INPUT", INPUT),
        (&["checkout", "-o", "nowhere/out.ckpt"], "E_INPUT", INPUT),
        (&["checkout", "-o", "a.ckpt/out.ckpt"], "E_INPUT", INPUT),
        (&["checkout", "-o", "not-stored"], "E_EXISTS", INPUT),
        (&["checkout", "first"], "E_NAME", INPUT),
        (&["checkout", "nobody"], "E_NAME", INPUT),
        (&["checkout", "--revision", "0000"], "E_NAME", INPUT),
        (&["checkout", "--version", "banana"], "E_USAGE", INPUT),
        (&["checkout", "--version", "0.12.0"], "E_TOO_OLD", INCOMPATIBLE),
        (&["checkout", "--version", "0.8.1", "--catalogue", "nowhere"], "E_NO_CATALOGUE", INPUT),
        (&["plan", "--version", "banana"], "E_USAGE", INPUT),
        (&["plan", "nobody", "--version", "0.8.1"], "E_NAME", INPUT),
        (&["status", "nobody"], "E_NAME", INPUT),
        (&["log", "nobody"], "E_NAME", INPUT),
        (&["log", "history", "nobody"], "E_NAME", INPUT),
        (&["show", "nobody"], "E_NAME", INPUT),
        (&["show", "HEAD", "no/such/place"], "E_NAME", INPUT),
        (&["ls", "HEAD~99"], "E_NAME", INPUT),
        (&["diff", "HEAD", "nobody"], "E_NAME", INPUT),
        (&["tag", "first"], "E_EXISTS", INPUT),
        (&["tag", "new", "nobody"], "E_NAME", INPUT),
        (&["tag", "-d", "nobody"], "E_NAME", INPUT),
        (&["branch", "-d", "a"], "E_NAME", INPUT),
        (&["branch", "-d", "first"], "E_NAME", INPUT),
        (&["baseline"], "E_USAGE", INPUT),
        (&["baseline", "--version", "banana"], "E_USAGE", INPUT),
        (&["config", "nothing"], "E_NAME", INPUT),
        (&["init"], "E_STORE_EXISTS", INPUT),
    ];
    for (arguments, code, exit) in cases {
        refused(&home, arguments, code, *exit);
    }
}

#[test]
fn arguments_that_do_not_parse_are_refused_in_the_same_shape() {
    let home = migrated();
    let cases: [&[&str]; 6] = [
        &["chekout"],
        &["import", "a.ckpt", "--nmae", "x"],
        &["import", "a.ckpt", "--name", "a b"],
        &["import", "a.ckpt", "--format", "docx"],
        &["checkout", "--version", "1", "--to", "2"],
        &["tag", "-d"],
    ];
    for arguments in cases {
        let before = State::of(&home);
        let with_json: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        failure(&home.run(with_json), "E_USAGE", INPUT);
        let ran = home.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(INPUT), ""));
        assert!(ran.stderr.starts_with("error: "), "{ran:?}");
        assert_eq!(State::of(&home), before);
    }
}

#[test]
fn the_near_name_is_suggested() {
    let home = migrated();
    let cases: [(&[&str], &str); 6] = [
        (&["checkout", "fisrt"], "first"),
        (&["log", "frist"], "first"),
        (&["config", "catalog"], "catalogue"),
        (&["checkout", "--to", "1738368000_move_learning"], "1738368000_move_learning_rate"),
        (&["plan", "--to", "move_learning_rate"], "1738368000_move_learning_rate"),
        (&["baseline", "--to", "1738368000_move_learning_rat"], "1738368000_move_learning_rate"),
    ];
    for (arguments, name) in cases {
        let code = if arguments.contains(&"--to") { "E_USAGE" } else { "E_NAME" };
        let (_, hint) = refused(&home, arguments, code, INPUT);
        assert_eq!(hint, format!("did you mean `{name}`?"), "{arguments:?}");
    }
}

#[test]
fn without_a_store_every_command_says_so() {
    let home = Home::new();
    let commands: [&[&str]; 16] = [
        &["import"],
        &["checkout"],
        &["plan", "--version", "1.0"],
        &["status"],
        &["log"],
        &["show"],
        &["ls"],
        &["diff", "a", "b"],
        &["tag"],
        &["branch"],
        &["baseline", "--version", "1.0"],
        &["config"],
        &["fsck"],
        &["gc"],
        &["log", "history"],
        &["status", "--all"],
    ];
    for arguments in commands {
        refused(&home, arguments, "E_NO_STORE", INPUT);
        let elsewhere: Vec<&str> = arguments.iter().copied().chain(["--store", "nowhere"]).collect();
        refused(&home, &elsewhere, "E_NO_STORE", INPUT);
    }
    let empty = Home::new();
    empty.run(["init"]).ok();
    let commands: [&[&str]; 6] = [&["checkout"], &["status"], &["log"], &["show"], &["ls"], &["import"]];
    for arguments in commands {
        refused(&empty, arguments, "E_NAME", INPUT);
    }
}

#[test]
fn a_store_of_a_newer_version_is_refused() {
    let home = migrated();
    home.sql().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(home.path("a.ckpt")).unwrap();
    for arguments in
        [&["status", "--json"][..], &["import", "a.ckpt", "--json"], &["fsck", "--json"], &["gc", "--json"]]
    {
        let error = failure(&home.run(arguments), "E_NEWER", CORRUPT);
        assert!(error["message"].as_str().unwrap().contains("99"));
    }
    let home = migrated();
    for pack in home.packs() {
        let mut bytes = fs::read(&pack).unwrap();
        bytes[8] = 9;
        fs::write(pack, bytes).unwrap();
    }
    let ran = home.run(["checkout", "--revision", "first", "--json"]);
    failure(&ran, "E_NEWER", CORRUPT);
    assert_eq!(fs::read(home.path("a.ckpt")).unwrap(), before);
}

#[test]
fn what_is_no_store_is_refused() {
    let home = Home::new();
    fs::create_dir_all(home.path(".ckstore/packs")).unwrap();
    fs::write(home.path(".ckstore/ledger.db"), "surely not a database, however one looks at it").unwrap();
    failure(&home.run(["status", "--json"]), "E_CORRUPT", CORRUPT);
    fs::write(home.path(".ckstore/ledger.db"), "").unwrap();
    failure(&home.run(["status", "--json"]), "E_CORRUPT", CORRUPT);
    fs::remove_file(home.path(".ckstore/ledger.db")).unwrap();
    let other = Connection::open(home.path(".ckstore/ledger.db")).unwrap();
    other.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    drop(other);
    let before = fs::read(home.path(".ckstore/ledger.db")).unwrap();
    failure(&home.run(["status", "--json"]), "E_CORRUPT", CORRUPT);
    assert_eq!(
        fs::read(home.path(".ckstore/ledger.db")).unwrap(),
        before,
        "another's database is left alone"
    );
}

#[test]
fn a_catalogue_that_does_not_parse_is_refused() {
    let home = migrated();
    copy_folder(&data("catalogues/broken"), &home.path("broken"));
    let (message, _) =
        refused(&home, &["checkout", "--version", "0.8.1", "--catalogue", "broken"], "E_CATALOGUE", CORRUPT);
    assert!(message.contains(".py:"), "no file and line: {message}");
    for arguments in [&["plan", "--version", "0.8.1"][..], &["status"], &["import", "a.ckpt"]] {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--catalogue", "broken"]).collect();
        refused(&home, &arguments, "E_CATALOGUE", CORRUPT);
    }
}

#[test]
fn a_script_that_fails_changes_nothing_but_the_history() {
    let home = Home::with_checkpoint();
    home.run(["import", "a.ckpt"]).ok();
    let scripts = [
        ("raises", "    raise ValueError('not today')"),
        ("loops", "    while True: pass"),
        ("opens a file", "    open('/etc/passwd')"),
        ("returns nothing", "    return None"),
        ("is no function", "    return ckpt['no such key']"),
    ];
    for (number, (what, body)) in scripts.iter().enumerate() {
        let text = format!(
            "from anemoi.models.migrations import MigrationMetadata\n\
             metadata = MigrationMetadata(versions={{'migration': '1.0.0', 'anemoi-models': '0.8.3'}})\n\
             def migrate(ckpt):\n{body}\n"
        );
        fs::write(home.path("migrations/1738368000_move_learning_rate.py"), text).unwrap();
        let before = State::of(&home);
        let ran = home.run(["checkout", "--version", "0.8.3", "--json"]);
        failure(&ran, "E_SCRIPT", 7);
        let mut after = State::of(&home);
        let entries = after.history["entries"].as_array_mut().unwrap();
        let failed = entries.iter().position(|entry| entry["seq"] == number + 2).unwrap();
        assert_eq!(entries.remove(failed)["status"], "failed", "{what}");
        assert_eq!(after.files.keys().collect::<Vec<_>>(), before.files.keys().collect::<Vec<_>>(), "{what}");
        assert_eq!(after, before, "{what}");
    }
}

#[test]
fn a_changed_working_file_is_never_overwritten_unasked() {
    let trained = fs::read(data("corpus/lightning/weights_only.ckpt")).unwrap();
    let change = |home: &Home| fs::write(home.path("a.ckpt"), &trained).unwrap();
    let home = migrated();
    change(&home);
    for arguments in [
        &["checkout", "--version", "0.8.1"][..],
        &["checkout"],
        &["checkout", "base"],
        &["checkout", "--revision", "first"],
        &["checkout", "-o", "a.ckpt"],
    ] {
        refused(&home, arguments, "E_DIRTY", INPUT);
    }
    assert_eq!(home.json(["status"])["working_file"]["state"], "changed");

    let forced = home.copy();
    forced
        .sql()
        .execute("UPDATE working_files SET path = ?1", [forced.path("a.ckpt").to_str().unwrap()])
        .unwrap();
    forced.run(["checkout", "--force"]).ok();
    assert!(fs::read(forced.path("a.ckpt")).unwrap() == MIGRATED.1);

    // What was trained is taken in first, and comes back whenever it is wanted.
    home.run(["checkout", "--import"]).ok();
    let kept = home.json(["log"])["entries"][0]["revision"].as_str().unwrap().to_owned();
    home.run(["checkout", "--revision", "first"]).ok();
    assert!(fs::read(home.path("a.ckpt")).unwrap() == fs::read(old_checkpoint()).unwrap());
    home.run(["checkout", "--revision", &kept]).ok();
    assert!(fs::read(home.path("a.ckpt")).unwrap() == trained);
}

#[test]
fn damage_is_told_and_the_destination_stays() {
    let home = migrated();
    for pack in home.packs() {
        let mut bytes = fs::read(&pack).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(pack, bytes).unwrap();
    }
    let again = ["checkout", "--revision", "first", "-o", "again.ckpt"];
    refused(&home, &again, "E_CORRUPT", CORRUPT);
    // The file as a whole is known to be wrong first; what of it is damaged is found out all the same.
    let ran = home.run(again);
    assert!(ran.stderr.contains("object ") && ran.stderr.contains("is damaged"), "{ran:?}");
}

#[test]
fn a_locked_store_says_so_and_readers_go_on() {
    let home = migrated();
    let lock = File::options().write(true).open(home.path(".ckstore/lock")).unwrap();
    lock.lock().unwrap();
    let writers: [&[&str]; 7] = [
        &["import", "a.ckpt", "--json"],
        &["checkout", "--version", "0.8.1", "--json"],
        &["tag", "new", "--json"],
        &["branch", "-d", "first", "--json"],
        &["baseline", "--version", "0.8.1", "--json"],
        &["gc", "--json"],
        &["config", "catalogue", "x", "--json"],
    ];
    let children: Vec<_> = writers.map(|arguments| spawn(&home, arguments)).into();
    for reader in [&["status"][..], &["log"], &["ls"], &["fsck"], &["plan", "--version", "0.8.1"]] {
        home.run(reader).ok();
    }
    for child in children {
        let ran = Ran::of(child.wait_with_output().unwrap());
        failure(&ran, "E_LOCKED", LOCKED);
    }
    drop(lock);
    home.run(["tag", "new"]).ok();
}

#[test]
fn a_ledger_that_another_process_writes_is_waited_for_and_then_told() {
    let home = migrated();
    let other = home.sql();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ran = home.run(["tag", "new", "--json"]);
    failure(&ran, "E_LOCKED", LOCKED);
    let child = spawn(&home, &["tag", "new", "--json"]);
    std::thread::sleep(Duration::from_millis(300));
    other.execute_batch("ROLLBACK").unwrap();
    Ran::of(child.wait_with_output().unwrap()).ok();
}

#[test]
fn many_processes_that_write_at_once_all_come_through() {
    let home = Home::new();
    home.run(["init"]).ok();
    let names: Vec<String> = (0..6).map(|number| format!("{number}.json")).collect();
    for (number, name) in names.iter().enumerate() {
        fs::write(home.path(name), format!("{{\"same\": \"{}\", \"own\": {number}}}", "x".repeat(5000)))
            .unwrap();
    }
    let children: Vec<_> = names.iter().map(|name| spawn(&home, &["import", name])).collect();
    for child in children {
        Ran::of(child.wait_with_output().unwrap()).ok();
    }
    assert_eq!(home.json(["branch"])["refs"].as_array().unwrap().len(), names.len());
    assert_eq!(home.findings(true), [""; 0]);
}

#[test]
fn a_first_import_by_many_processes_at_once_makes_one_store() {
    let home = Home::new();
    let names: Vec<String> = (0..4).map(|number| format!("{number}.json")).collect();
    for name in &names {
        fs::write(home.path(name), format!("[\"{name}\"]")).unwrap();
    }
    let children: Vec<_> = names.iter().map(|name| spawn(&home, &["import", name])).collect();
    for child in children {
        Ran::of(child.wait_with_output().unwrap()).ok();
    }
    assert_eq!(home.json(["branch"])["refs"].as_array().unwrap().len(), names.len());
    assert_eq!(home.findings(true), [""; 0]);
}

fn spawn(home: &Home, arguments: &[&str]) -> std::process::Child {
    home.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs a shell script in a folder, where it may mount file systems that nobody else sees. `None` where
/// that is not allowed.
fn with_mounts(home: &Home, script: &str) -> Option<Ran> {
    let unshare = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(arguments);
        command
    };
    let can_mount = |arguments: &[&str]| {
        let probe = "mkdir -p probe && mount -t tmpfs tmpfs probe";
        let mut command = unshare(arguments);
        command.args(["sh", "-c", probe]).current_dir(home.dir.path()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let ways: [&[&str]; 2] = [&["-m"], &["-rm"]];
    let way = ways.into_iter().find(|way| can_mount(way));
    let _ = fs::remove_dir(home.path("probe"));
    let Some(way) = way else {
        eprintln!("skipped: mounting is not allowed here");
        return None;
    };
    let mut command = unshare(way);
    command.args(["sh", "-ec", script]).current_dir(home.dir.path());
    command.env("CK", env!("CARGO_BIN_EXE_ckstore")).env("CKSTORE_ACTOR", "ada").env_remove("CKSTORE_DIR");
    Some(Ran::of(command.output().unwrap()))
}

#[test]
fn a_read_only_destination_is_refused_before_anything_is_done() {
    let home = migrated();
    fs::create_dir(home.path("shelf")).unwrap();
    let before = State::of(&home);
    let script = "
        cp a.ckpt shelf/old.ckpt; mount --bind shelf shelf; mount -o remount,bind,ro shelf
        set +e
        \"$CK\" checkout --version 0.8.1 -o shelf/out.ckpt --json; echo $? >&2
        \"$CK\" checkout --version 0.8.1 -o shelf/old.ckpt --force --json >/dev/null; echo $? >&2
        umount shelf; rm shelf/old.ckpt; ls -A shelf >&2";
    let Some(ran) = with_mounts(&home, script) else { return };
    assert_eq!(ran.stderr, "1\n1\n", "{ran:?}");
    failure(&Ran { code: Some(1), ..ran }, "E_IO", 1);
    assert_eq!(State::of(&home), before);
}

#[test]
fn a_full_disk_at_the_destination_is_found_before_anything_is_done() {
    let home = migrated();
    fs::create_dir(home.path("small")).unwrap();
    let before = State::of(&home);
    let script = "
        mount -t tmpfs -o size=32k tmpfs small; echo precious > small/kept
        set +e
        \"$CK\" checkout --version 0.8.1 -o small/out.ckpt --json; echo $? >&2
        ls -A small >&2; cat small/kept >&2";
    let Some(ran) = with_mounts(&home, script) else { return };
    assert_eq!(ran.stderr, "1\nkept\nprecious\n", "{ran:?}");
    failure(&Ran { code: Some(1), ..ran }, "E_DISK_FULL", 1);
    assert_eq!(State::of(&home), before);
}

#[test]
fn a_full_disk_under_the_store_loses_nothing() {
    let home = Home::with_checkpoint();
    let mut noise = vec![0; 3 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    fs::write(home.path("large.bin"), &noise).unwrap();
    let script = "
        mkdir small; mount -t tmpfs -o size=1500k tmpfs small; export CKSTORE_DIR=small/.ckstore
        \"$CK\" import a.ckpt >/dev/null 2>&1
        set +e
        \"$CK\" import large.bin --json; echo $? >&2
        ls small/.ckstore/packs | grep -c tmp- >&2
        \"$CK\" branch >&2
        \"$CK\" fsck --json >&2; echo $? >&2
        rm a.ckpt; \"$CK\" checkout >/dev/null 2>&1; echo $? >&2";
    let Some(ran) = with_mounts(&home, script) else { return };
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines[..2], ["1", "0"], "{ran:?}");
    assert!(lines[2].starts_with("* a "), "{ran:?}");
    assert!(lines[3].ends_with(r#""findings":[],"broken_refs":[],"repaired":null}"#), "{ran:?}");
    assert_eq!(lines[4..], ["0", "0"], "{ran:?}");
    failure(&Ran { code: Some(1), ..ran }, "E_DISK_FULL", 1);
    assert_eq!(fs::read(home.path("a.ckpt")).unwrap(), fs::read(old_checkpoint()).unwrap());
}

#[test]
fn a_disk_that_fills_up_under_the_ledger_loses_nothing() {
    let home = Home::with_checkpoint();
    // So little room that packs fit and the ledger's log does not.
    let script = "
        mkdir small; mount -t tmpfs -o size=900k tmpfs small; export CKSTORE_DIR=small/.ckstore
        \"$CK\" import a.ckpt >/dev/null 2>&1
        head -c 2000000 /dev/zero > small/filler 2>/dev/null || true
        set +e
        \"$CK\" checkout --version 0.8.3 --json; echo $? >&2
        rm small/filler
        \"$CK\" fsck --json >&2
        \"$CK\" checkout --version 0.8.3 >/dev/null 2>&1; echo $? >&2
        \"$CK\" fsck --json >&2";
    let Some(ran) = with_mounts(&home, script) else { return };
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines[0], "1", "{ran:?}");
    assert_eq!(lines[2], "0", "{ran:?}");
    for line in [lines[1], lines[3]] {
        let report: Value = serde_json::from_str(line).unwrap();
        let told = report["findings"].as_array().unwrap();
        assert!(told.iter().all(|finding| finding["severity"] == "note"), "{ran:?}");
    }
    // SQLite tells a full disk as such only where it writes, and not where it makes its files.
    let code = ran.json()["error"]["code"].as_str().unwrap().to_owned();
    assert!(["E_DISK_FULL", "E_IO"].contains(&code.as_str()), "{code}");
    failure(&Ran { code: Some(1), ..ran }, &code, 1);
}

#[cfg(unix)]
#[test]
fn nothing_is_written_inside_a_store() {
    use std::os::unix::fs::symlink;
    let home = Home::migrated();
    fs::write(home.path("models.jsonl"), "{\"_id\": \"a\"}\n").unwrap();
    home.run(["import", "models.jsonl", "--collection", "models"]).ok();
    symlink(home.path(".ckstore/packs"), home.path("folder")).unwrap();
    symlink(home.path(".ckstore/ledger.db"), home.path("link.ckpt")).unwrap();
    symlink(".ckstore/new.ckpt", home.path("dangling.ckpt")).unwrap();
    symlink(home.path("elsewhere"), home.path(".ckstore/out.ckpt")).unwrap();
    let before = content_of(&home.path(".ckstore/packs"));
    for path in [
        ".ckstore/x.ckpt",
        ".ckstore/ledger.db",
        ".ckstore/packs/x",
        ".ckstore/deep/x",
        "migrations/../.ckstore/x",
        "folder/x",
        "link.ckpt",
        "dangling.ckpt",
        ".ckstore/out.ckpt",
    ] {
        for command in [
            vec!["checkout", "a", "-o", path, "--force"],
            vec!["checkout", "a", "--version", "0.8.1", "-o", path, "--force"],
            vec!["checkout", "a", "--revision", "first", "-o", path, "--force"],
            vec!["checkout", "a", "--format", "safetensors", "--lossy", "-o", path, "--force"],
            vec!["checkout", "a", "--format", "dir", "--lossy", "-o", path],
            vec!["checkout", "--all", "--collection", "models", "-o", path, "--force"],
            vec!["migration", "create", "x", "--version", "9.0", "--catalogue", path],
        ] {
            let ran = home.run(command.iter().chain(&["--json"]));
            // A catalogue is read before anything is written to it.
            if command[0] == "migration" && ran.json()["error"]["code"] == "E_CATALOGUE" {
                continue;
            }
            let text = format!("{command:?}: {ran:?}");
            assert_eq!((ran.code, &ran.json()["error"]["code"]), (Some(2), &"E_INPUT".into()), "{text}");
            assert!(ran.stdout.contains("inside a store"), "{text}");
        }
    }
    // Under another name, too, the store that is open is known.
    fs::rename(home.path(".ckstore"), home.path("store")).unwrap();
    let ran = home.run(["--store", "store", "checkout", "a", "-o", "store/x.ckpt", "--json"]);
    assert_eq!(ran.json()["error"]["code"], "E_INPUT", "{ran:?}");
    fs::rename(home.path("store"), home.path(".ckstore")).unwrap();
    assert_eq!(content_of(&home.path(".ckstore/packs")), before);
    let ran = home.run(["init", ".ckstore/packs/x"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("inside a store"), "{ran:?}");
    home.run(["fsck"]).ok();
}
