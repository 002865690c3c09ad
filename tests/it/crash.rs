//! Stopping the program at any moment leaves the old state or the new one.
//!
//! Each scenario is run once under `strace` to count the calls by which it changes files, then stopped by
//! SIGKILL on entry of each of them in turn. After every stop the store is opened again: what was stored
//! before must be there, refs and history must be as before or as after, the destination must be the old
//! file or the new one, and the same command must then lead to the new state.
//!
//! The normal suite stops at a few calls of each scenario. All of them:
//!
//! ```console
//! $ cargo test --test it -- --ignored crash::every_call
//! ```
//!
//! Where there is no `strace`, or tracing is forbidden, the program is stopped after random delays only.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ckstore::ledger::{GENESIS, Ledger, StepStatus};
use ckstore::migration::engine::{Limits, Worker};
use ckstore::object::ObjectId;
use ckstore::progress::Silent;
use ckstore::repo::{CheckoutOptions, Context, FsckOptions, Repo, Severity};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::support::{Ran, ckstore, content_of, copy_folder, data, old_checkpoint, root};

/// The calls that change files. Opening is one where it makes a file.
const CALLS: &str = "write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,ftruncate,unlink,unlinkat,\
    fallocate,mkdir,mkdirat,fchmod,openat,copy_file_range";

/// Something that a person does, and what was done before.
struct Scenario {
    name: &'static str,
    prepare: &'static [&'static [&'static str]],
    /// Changes the folder by hand before the command.
    meddle: fn(&Path),
    command: &'static [&'static str],
    /// The file that the command writes, if it does.
    destination: Option<&'static str>,
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "first import",
        prepare: &[],
        meddle: |_| (),
        command: &["import", "a.ckpt"],
        destination: None,
    },
    Scenario {
        name: "import of a changed file",
        prepare: &[&["import", "a.ckpt"]],
        meddle: |home| {
            fs::copy(data("demo/trained-0.12.2.ckpt"), home.join("a.ckpt")).unwrap();
        },
        command: &["import", "a.ckpt", "-m", "trained further"],
        destination: None,
    },
    Scenario {
        name: "migration",
        prepare: &[&["import", "a.ckpt"]],
        meddle: |_| (),
        command: &["checkout", "--version", "0.8.3"],
        destination: Some("a.ckpt"),
    },
    Scenario {
        name: "rollback by restore and by script",
        prepare: &[&["import", "a.ckpt"], &["checkout", "--version", "0.8.3"]],
        meddle: |_| (),
        command: &["checkout", "base"],
        destination: Some("a.ckpt"),
    },
    Scenario {
        name: "checkout of a revision",
        prepare: &[&["import", "a.ckpt"], &["tag", "first"], &["checkout", "--version", "0.8.3"]],
        meddle: |_| (),
        command: &["checkout", "--revision", "first"],
        destination: Some("a.ckpt"),
    },
    Scenario {
        name: "checkout to another place",
        prepare: &[&["import", "a.ckpt"]],
        meddle: |_| (),
        command: &["checkout", "-o", "out.ckpt"],
        destination: Some("out.ckpt"),
    },
    Scenario {
        name: "checkout of another folder",
        prepare: &[&["import", "hf"], &["tag", "first"], &["import", "hf-bin", "--name", "hf"]],
        meddle: |_| (),
        command: &["checkout", "--revision", "first"],
        destination: Some("hf-bin"),
    },
    Scenario {
        name: "migration of a collection",
        prepare: &[
            &["import", "a.ckpt"],
            &["import", "models.jsonl", "--collection", "models", "--catalogue", "scripts"],
        ],
        meddle: |_| (),
        command: &["migrate", "models", "up", "--to", "owner"],
        destination: None,
    },
    Scenario {
        name: "rollback of a collection",
        prepare: &[
            &["import", "a.ckpt"],
            &["import", "models.jsonl", "--collection", "models", "--catalogue", "scripts"],
            &["migrate", "models", "up"],
        ],
        meddle: |_| (),
        command: &["migrate", "models", "down", "--to", "owner"],
        destination: None,
    },
    Scenario {
        name: "gc",
        prepare: &[&["import", "a.ckpt"], &["checkout", "--version", "0.8.3"]],
        meddle: leave_garbage,
        command: &["gc"],
        destination: None,
    },
    Scenario {
        name: "repack",
        prepare: &[&["import", "a.ckpt", "--compression", "none"], &["checkout", "--version", "0.8.3"]],
        meddle: leave_garbage,
        command: &["repack"],
        destination: None,
    },
];

/// Documents, and two migrations of them: one changes, adds and removes, the other changes and leaves.
fn write_models(home: &Path) {
    fs::create_dir(home.join("scripts")).unwrap();
    fs::write(home.join("models.jsonl"), "{\"_id\": 1}\n{\"_id\": 2, \"a\": 1}\n{\"_id\": 3, \"a\": 2}\n")
        .unwrap();
    let head = "from exodusutils.migration.base_migration import BaseMigration\n\n\nclass Migration(BaseMigration):\n";
    for (name, up, down) in [
        (
            "Migration_1000_owner",
            "collection.update_many({}, {'$set': {'owner': 'ada'}}); collection.delete_one({'_id': 1}); \
             collection.insert_one({'_id': 4})",
            "pass",
        ),
        (
            "Migration_2000_rename",
            "collection.update_many({}, {'$rename': {'a': 'b'}})",
            "collection.update_many({}, {'$rename': {'b': 'a'}})",
        ),
    ] {
        let text = format!(
            "{head}    def up(self, collection):\n        {up}\n\n    def down(self, collection):\n        {down}\n"
        );
        fs::write(home.join("scripts").join(format!("{name}.py")), text).unwrap();
    }
}

/// Half of a pack that is needed and half that is not, a pack that nobody knows, a file.
fn leave_garbage(home: &Path) {
    let store = ckstore::store::Store::open(&home.join(".ckstore")).unwrap();
    let mut ledger = Ledger::open(&home.join(".ckstore/ledger.db")).unwrap();
    let live = ledger.records_of(&ledger.packs().unwrap()[0].0).unwrap();
    let nothing = Empty;
    let reader = store.reader(&ledger);
    let mut writer = store.writer(&nothing);
    for (id, _) in &live {
        writer.copy_record(&reader, id).unwrap();
    }
    let mut noise = vec![0; 100_000];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    writer.put(&noise, Default::default()).unwrap();
    let pack = writer.finish().unwrap().unwrap();
    let mut writer = store.writer(&nothing);
    writer.put(b"unknown", Default::default()).unwrap();
    writer.finish().unwrap().unwrap();
    drop(reader);
    let change = ledger.change().unwrap();
    change.add_pack(&pack.id, pack.bytes, &pack.records).unwrap();
    change.commit().unwrap();
    fs::write(home.join(".ckstore/packs/tmp-Ab1234"), "left").unwrap();
}

/// An index that finds nothing.
struct Empty;

impl ckstore::object::Locate for Empty {
    fn locate(
        &self,
        _: &ObjectId,
    ) -> Result<Option<ckstore::object::Location>, ckstore::object::LocateError> {
        Ok(None)
    }
}

/// What matters of a store, in words that do not depend on when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    head: Option<String>,
    /// For each ref the trees of its revision and of those before it.
    refs: BTreeMap<String, Vec<ObjectId>>,
    /// What was done, and to which tree it led.
    steps: Vec<(String, String, ObjectId)>,
}

impl State {
    /// `None` where there is no store yet.
    fn of(home: &Path) -> Option<State> {
        let path = home.join(".ckstore/ledger.db");
        if !path.exists() {
            return None;
        }
        let ledger = Ledger::open(&path).unwrap();
        let mut refs = BTreeMap::new();
        for row in ledger.refs().unwrap() {
            let mut trees = Vec::new();
            let mut next = Some(row.revision);
            while let Some(id) = next {
                let revision = ledger.revision(&id).unwrap().unwrap();
                trees.push(revision.tree);
                next = revision.parents.first().copied();
            }
            refs.insert(row.name.to_string(), trees);
        }
        let done = ledger.steps(None).unwrap().into_iter().filter(|row| row.status == StepStatus::Done);
        let steps = done.map(|row| {
            // A row of a collection names revisions, which hold the time.
            let output = row.revision.map_or(GENESIS, |_| row.step.output);
            (row.step.kind.as_str().to_owned(), row.step.migration, output)
        });
        Some(State { head: ledger.setting("head").unwrap(), refs, steps: steps.collect() })
    }

    /// Nothing was imported yet, whether there is a store or not.
    fn is_empty(state: Option<&State>) -> bool {
        state.is_none_or(|state| state.head.is_none() && state.refs.is_empty() && state.steps.is_empty())
    }
}

/// A scenario made ready: the folder before it, and what it leads to when nobody stops it.
struct Stage {
    scenario: &'static Scenario,
    dir: TempDir,
    old: Option<State>,
    new: Option<State>,
    /// Files that revisions must give back.
    files: Vec<(ObjectId, Vec<u8>)>,
    old_file: Option<Vec<u8>>,
    new_file: Option<Vec<u8>>,
}

impl Stage {
    fn new(scenario: &'static Scenario) -> Stage {
        let dir = tempfile::tempdir().unwrap();
        let mut stage =
            Stage { scenario, dir, old: None, new: None, files: Vec::new(), old_file: None, new_file: None };
        let home = stage.home();
        copy_folder(&root().join("migrations"), &home.join("migrations"));
        fs::copy(old_checkpoint(), home.join("a.ckpt")).unwrap();
        for folder in ["hf", "hf-bin"] {
            copy_folder(&data("folders").join(folder), &home.join(folder));
        }
        write_models(&home);
        for arguments in scenario.prepare {
            stage.run(arguments).ok();
        }
        (scenario.meddle)(&home);
        stage.old = State::of(&home);
        stage.files = stage.read_revisions();
        stage.old_file = stage.destination();
        keep_times(&home, &stage.before());
        stage.run(scenario.command).ok();
        stage.new = State::of(&home);
        stage.new_file = stage.destination();
        stage
    }

    /// Where the program runs: always the same place, since the ledger remembers paths.
    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn before(&self) -> PathBuf {
        self.dir.path().join("before")
    }

    fn destination(&self) -> Option<Vec<u8>> {
        content_of(&self.home().join(self.scenario.destination?))
    }

    /// Puts everything back as it was before the scenario.
    fn reset(&self) {
        fs::remove_dir_all(self.home()).unwrap();
        keep_times(&self.before(), &self.home());
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(ckstore().args(arguments).current_dir(self.home()).output().unwrap())
    }

    /// The program under strace, which is told more by `options`.
    fn traced(&self, options: &[String]) -> Command {
        let program = ckstore();
        let mut command = Command::new("strace");
        command.args(["-qq", "-y"]).args(options).arg(program.get_program());
        command.args(self.scenario.command).current_dir(self.home());
        command.env_remove("CKSTORE_DIR").env("CKSTORE_ACTOR", "ada");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// The calls that change files, in order, as (call, its number among calls of that name).
    fn calls(&self) -> Vec<(String, usize)> {
        let log = self.dir.path().join("calls");
        self.reset();
        let options = ["-e".into(), format!("trace={CALLS}"), "-o".into(), log.display().to_string()];
        assert!(self.traced(&options).status().unwrap().success());
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        let mut calls = Vec::new();
        for line in String::from_utf8_lossy(&fs::read(log).unwrap()).lines() {
            let Some((call, arguments)) = line.split_once('(') else { continue };
            let number = numbers.entry(call.to_owned()).or_default();
            *number += 1;
            // Only the calling thread is traced; what it prints and tells its threads and its worker is not
            // of interest.
            let changes = match call {
                "openat" => arguments.contains("O_CREAT"),
                "write" => arguments.split_once('<').is_some_and(|(_, path)| path.starts_with('/')),
                _ => true,
            };
            if changes {
                calls.push((call.to_owned(), *number));
            }
        }
        calls
    }

    /// Stops the program on entry of a call, and checks what is left.
    fn stop_at(&self, call: &str, number: usize) {
        self.reset();
        let inject = format!("inject={call}:signal=KILL:when={number}");
        let log = self.dir.path().join("log").display().to_string();
        let options = ["-e".into(), format!("trace={call}"), "-e".into(), inject, "-o".into(), log];
        let status = self.traced(&options).status().unwrap();
        assert!(!status.success(), "it was not stopped");
        self.check();
    }

    /// Stops the program after a while. Says whether it was still running.
    fn stop_after(&self, delay: Duration) -> bool {
        self.reset();
        let mut command = ckstore();
        command.args(self.scenario.command).current_dir(self.home());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(delay);
        let _ = child.kill();
        let stopped = !child.wait().unwrap().success();
        self.check();
        stopped
    }

    /// Old or new, nothing lost, nothing half, and the command can be given again.
    fn check(&self) {
        let file = self.destination();
        assert!(file == self.old_file || file == self.new_file, "the destination is half a file");
        let state = State::of(&self.home());
        let is_old =
            state == self.old || State::is_empty(state.as_ref()) && State::is_empty(self.old.as_ref());
        assert!(is_old || state == self.new, "neither the old state nor the new one: {state:?}");
        if file != self.old_file {
            assert!(state == self.new, "the file is ahead of the store");
        }
        self.check_store(&["pack-unknown", "temporary-file", "object-unused-damaged"]);

        self.run(self.scenario.command).ok();
        assert_eq!(State::of(&self.home()), self.new, "the command did not lead to the new state");
        assert!(self.destination() == self.new_file);
        let beside = fs::read_dir(self.home()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = beside.filter(|name| name.to_string_lossy().starts_with(".ckstore-")).collect();
        assert!(left.is_empty(), "{left:?}");
        self.run(&["gc"]).ok();
        self.check_store(&[]);
    }

    /// Every revision that was there gives its file back, and fsck finds nothing but what is allowed.
    fn check_store(&self, allowed: &[&str]) {
        if State::of(&self.home()).is_none() {
            return;
        }
        let store = self.home().join(".ckstore");
        let report = Repo::fsck(&store, &FsckOptions::default(), &Silent).unwrap();
        let wrong = report.findings.iter().find(|finding| !allowed.contains(&finding.code));
        assert!(wrong.is_none() && report.count(Severity::Error) == 0, "{wrong:?}");
        assert!(self.read_revisions().starts_with(&self.files), "an earlier revision is not what it was");
    }

    /// The file of every revision, oldest first.
    fn read_revisions(&self) -> Vec<(ObjectId, Vec<u8>)> {
        let Some(ledger) = Ledger::open(&self.home().join(".ckstore/ledger.db")).ok() else {
            return Vec::new();
        };
        let out = self.dir.path().join("out");
        let mut repo = Repo::open(&self.home().join(".ckstore")).unwrap();
        let rows = ledger.revisions().unwrap();
        rows.into_iter()
            .map(|row| {
                write_revision(&mut repo, row.id, &out);
                (row.id, content_of(&out).unwrap())
            })
            .collect()
    }
}

fn write_revision(repo: &mut Repo, revision: ObjectId, out: &Path) {
    let (worker, limits) = (Worker::new(PathBuf::new()), Limits::default());
    let now = || Timestamp::UNIX_EPOCH;
    let context = Context { actor: "ada", now: &now, progress: &Silent, worker: &worker, limits: &limits };
    let name = revision.to_string();
    let options =
        CheckoutOptions { revision: Some(&name), output: Some(out), force: true, ..Default::default() };
    repo.checkout(&options, &context).unwrap();
}

/// Copies a folder with the times of its files, which tell whether a working file was changed.
fn keep_times(from: &Path, to: &Path) {
    copy_folder(from, to);
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(from.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                let modified = entry.metadata().unwrap().modified().unwrap();
                let file = File::options().write(true).open(to.join(&path)).unwrap();
                file.set_times(FileTimes::new().set_modified(modified)).unwrap();
            }
        }
    }
}

fn can_trace() -> bool {
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        eprintln!("skipped: no strace here, or it may not trace");
    }
    works
}

/// Stops each scenario at `points` calls, evenly spread, on all cores.
fn sweep(points: usize) {
    if !can_trace() {
        return;
    }
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(scenario) =
                    SCENARIOS.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    let stage = Stage::new(scenario);
                    let calls = stage.calls();
                    let step = calls.len().div_ceil(points).max(1);
                    // The last call counts too: what comes after it is nothing.
                    let chosen = (0..calls.len()).rev().step_by(step);
                    let mut stopped = 0;
                    for place in chosen {
                        let (call, number) = &calls[place];
                        stopped += 1;
                        let here =
                            format!("{}: call {place} of {}, {call} {number}", scenario.name, calls.len());
                        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                            stage.stop_at(call, *number);
                        }));
                        assert!(outcome.is_ok(), "{here}");
                    }
                    println!("{}: stopped at {stopped} of {} calls", scenario.name, calls.len());
                }
            });
        }
    });
}

/// A call as strace tells it: its name, the paths in it, in order.
#[derive(Debug)]
struct Call {
    name: String,
    paths: Vec<String>,
}

impl Stage {
    /// What the command does to files, in order.
    fn trace(&self) -> Vec<Call> {
        let log = self.dir.path().join("trace");
        self.reset();
        let options = ["-e".into(), format!("trace={CALLS}"), "-o".into(), log.display().to_string()];
        assert!(self.traced(&options).status().unwrap().success());
        let home = self.home().display().to_string();
        let text = String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned();
        let calls = text.lines().filter_map(|line| {
            let (name, arguments) = line.split_once('(')?;
            // Descriptors come as 7</path>, paths in quotes and relative to the folder.
            let mut paths: Vec<String> = Vec::new();
            let names = if name.contains("write") { &arguments[..arguments.find(',')?] } else { arguments };
            for piece in names.split(['<', '>', '"']).filter(|piece| piece.contains('/')) {
                let path = piece.strip_prefix(&home).unwrap_or(piece);
                paths.push(path.trim_start_matches('/').to_owned());
            }
            Some(Call { name: name.to_owned(), paths })
        });
        calls.collect()
    }
}

fn is_sync(call: &Call, path: &str) -> bool {
    ["fsync", "fdatasync"].contains(&call.name.as_str()) && call.paths == [path]
}

fn is_write(call: &Call, path: &str) -> bool {
    ["write", "pwrite64", "writev", "copy_file_range"].contains(&call.name.as_str())
        && call.paths.iter().any(|p| p == path)
}

/// The files that are written: the one at a path, or those in the folder there.
fn files_within(calls: &[Call], path: &str) -> Vec<String> {
    let written = calls.iter().filter(|call| is_write(call, &call.paths.concat()));
    let mut files: Vec<String> = written.map(|call| call.paths.concat()).collect();
    files.retain(|file| file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    files.sort();
    files.dedup();
    files
}

/// Where in `calls` a file gets its name: the place, the old name, the new one.
fn renames(calls: &[Call]) -> Vec<(usize, &str, &str)> {
    let renames = calls.iter().enumerate().filter(|(_, call)| call.name.starts_with("rename"));
    let named = renames.map(|(place, call)| {
        let paths: Vec<&str> =
            call.paths.iter().map(String::as_str).filter(|path| !path.is_empty()).collect();
        (place, paths[0], paths[paths.len() - 1])
    });
    named.collect()
}

#[test]
fn objects_are_synced_before_the_ledger_and_the_file_before_its_name() {
    if !can_trace() {
        return;
    }
    for scenario in SCENARIOS {
        let name = scenario.name;
        let stage = Stage::new(scenario);
        let calls = stage.trace();
        let wal = ".ckstore/ledger.db-wal";
        let mut packs = 0;
        let mut files = 0;
        for (place, old, new) in renames(&calls) {
            let folder = new.rsplit_once('/').map_or("", |(folder, _)| folder);
            // Whatever gets a name is whole on the disk before, and its name after.
            let written = files_within(&calls[..place], old);
            assert!(!written.is_empty(), "{name}: nothing is written to {old}");
            for file in &written {
                let last_write = calls[..place].iter().rposition(|call| is_write(call, file)).unwrap();
                assert!(
                    calls[last_write..place].iter().any(|call| is_sync(call, file)),
                    "{name}: {file} is not synced"
                );
            }
            let is_written = |call: &Call| written.iter().any(|file| is_write(call, file));
            let last_write = calls[..place].iter().rposition(is_written).unwrap();
            let named = calls[place..].iter().position(|call| is_sync(call, folder));
            let named = place + named.unwrap_or_else(|| panic!("{name}: `{folder}` is not synced"));
            let before = |call: &Call| is_write(call, wal);
            if old.contains("packs/tmp-") {
                packs += 1;
                let ledger = calls[last_write..named].iter().any(before);
                assert!(!ledger, "{name}: the ledger is written before {new} is on the disk");
                assert!(calls[named..].iter().any(before), "{name}: the ledger never learns of {new}");
            }
            if Some(new) == scenario.destination {
                files += 1;
                let first_write = calls.iter().position(is_written).unwrap();
                let committed = calls[..first_write].iter().rposition(before);
                let synced = calls[..first_write].iter().rposition(|call| is_sync(call, wal));
                assert!(synced >= committed, "{name}: the file is written before the ledger is on the disk");
            }
        }
        assert_eq!(files, usize::from(scenario.destination.is_some()), "{name}: {calls:#?}");
        assert!(packs > 0 || scenario.destination.is_some(), "{name}");
        // What is removed was given up by the ledger before.
        for (place, call) in calls.iter().enumerate().filter(|(_, call)| call.name.starts_with("unlink")) {
            if call.paths.iter().any(|path| path.ends_with(".pack")) {
                let committed = calls[..place].iter().rposition(|call| is_write(call, wal)).unwrap();
                assert!(calls[committed..place].iter().any(|call| is_sync(call, wal)), "{name}");
            }
        }
    }
}

/// Commands that write to the store, a file, a folder, and another format, when nothing is to be synced.
const UNSYNCED: &[Scenario] = &[
    Scenario {
        name: "import, cached",
        prepare: &[&["init"], &["config", "durability", "cache"]],
        meddle: |_| (),
        command: &["import", "a.ckpt"],
        destination: None,
    },
    Scenario {
        name: "checkout of a file, cached",
        prepare: &[&["import", "a.ckpt"], &["config", "durability", "cache"]],
        meddle: |_| (),
        command: &["checkout", "--version", "0.8.3"],
        destination: Some("a.ckpt"),
    },
    Scenario {
        name: "checkout of a folder, cached",
        prepare: &[&["import", "hf"], &["config", "durability", "cache"]],
        meddle: |_| (),
        command: &["checkout", "-o", "out"],
        destination: Some("out"),
    },
    Scenario {
        name: "conversion to a folder, cached",
        prepare: &[&["import", "hf"], &["config", "durability", "cache"]],
        meddle: |_| (),
        command: &["checkout", "--format", "safetensors", "--shard-size", "1KB", "--lossy", "-o", "out"],
        destination: Some("out"),
    },
    Scenario {
        name: "repack, cached",
        prepare: &[&["import", "a.ckpt"], &["config", "durability", "cache"]],
        meddle: leave_garbage,
        command: &["repack"],
        destination: None,
    },
];

#[test]
fn nothing_is_synced_where_that_is_left_to_the_system() {
    if !can_trace() {
        return;
    }
    for scenario in UNSYNCED {
        let stage = Stage::new(scenario);
        let calls = stage.trace();
        let synced = calls.iter().find(|call| call.name.ends_with("sync"));
        assert!(synced.is_none(), "{}: {synced:?}", scenario.name);
        assert!(stage.destination().is_some() == scenario.destination.is_some(), "{}", scenario.name);
        stage.check_store(&[]);
    }
}

#[test]
fn folders_of_a_new_store_are_synced() {
    if !can_trace() {
        return;
    }
    let stage = Stage::new(&SCENARIOS[0]);
    let calls = stage.trace();
    let made = calls.iter().position(|call| call.name == "mkdir" && call.paths.is_empty()).unwrap();
    assert!(calls[made..].iter().any(|call| is_sync(call, "")), "{calls:#?}");
}

#[test]
fn a_few_calls_of_each_command_are_safe_to_stop_at() {
    sweep(5);
}

#[test]
#[ignore = "takes many minutes"]
fn every_call_is_safe_to_stop_at() {
    sweep(usize::MAX);
}

#[test]
fn any_moment_is_safe_to_stop_at() {
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.destination == Some("a.ckpt")) {
        let stage = Stage::new(scenario);
        stage.reset();
        let began = Instant::now();
        stage.run(scenario.command).ok();
        let whole = began.elapsed();
        let stops = 3;
        for stop in 0..stops {
            stage.stop_after(whole * (2 * stop + 1) / (2 * stops));
        }
    }
}
