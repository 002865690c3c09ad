//! What gc removes, and what it must never remove.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use ckstore::ledger::{Ledger, MemoKey, RefKind};
use ckstore::migration::engine::{Limits, Worker};
use ckstore::object::ObjectId;
use ckstore::progress::Silent;
use ckstore::repo::{CheckoutOptions, Context, FsckOptions, ImportOptions, REWRITE_DEAD_PERCENT, Repo};
use ckstore::store::{Hint, Store};
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::Value;

use crate::support::{Home, old_checkpoint};

#[test]
fn a_store_without_garbage_is_left_as_it_is() {
    let home = Home::migrated();
    let before = home.packs();
    let report = home.json(["gc"]);
    assert_eq!(report["plan"]["freed_bytes"], 0);
    assert_eq!(report["done"], Value::Null);
    assert_eq!(home.run(["gc"]).ok().stdout, "nothing to remove\n");
    assert_eq!(home.packs(), before);
}

#[test]
fn gc_keeps_objects_reached_only_from_the_ledger() {
    let home = Home::migrated();
    let first = home.json(["log", "first"])["entries"][0]["revision"].as_str().unwrap().to_owned();
    home.run(["checkout", "--version", "base"]).ok();
    // Neither a ref nor a tag leads to what is deleted here.
    fs::write(home.path("b.json"), r#"{"learning_rate": 0.5}"#).unwrap();
    home.run(["import", "b.json", "--name", "b"]).ok();
    home.run(["tag", "-d", "first"]).ok();
    home.run(["branch", "-d", "a"]).ok();
    home.run(["gc"]).ok();
    assert_eq!(home.findings(true), [""; 0]);
    home.run(["checkout", "--revision", &first, "-o", "again.ckpt"]).ok();
    assert_eq!(fs::read(home.path("again.ckpt")).unwrap(), fs::read(old_checkpoint()).unwrap());
}

#[test]
fn gc_removes_what_an_interrupted_import_left() {
    let home = Home::migrated();
    let before = home.packs();
    leave_pack(&home, &[&[7; 5000]]);
    fs::write(home.path(".ckstore/packs/tmp-AbC123"), [1; 1000]).unwrap();
    fs::write(home.path(".ckstore/tmp-ledger.db-wal"), [1; 10]).unwrap();
    assert_eq!(home.findings(true), ["pack-unknown", "temporary-file"]);
    let report = home.json(["gc"]);
    assert_eq!(report["plan"]["remove"].as_array().unwrap().len(), 1);
    assert_eq!(report["plan"]["temporary"].as_array().unwrap().len(), 2);
    assert_eq!(report["done"]["removed_packs"], 1);
    assert_eq!(report["done"]["removed_files"], 2);
    assert_eq!(report["done"]["freed_bytes"], report["plan"]["freed_bytes"]);
    assert_eq!(home.packs(), before);
    assert_eq!(home.findings(true), [""; 0]);
}

#[test]
fn a_dry_run_shows_the_same_plan_and_removes_nothing() {
    let home = Home::migrated();
    leave_pack(&home, &[&[7; 5000]]);
    let before = home.packs();
    let dry = home.json(["gc", "--dry-run"]);
    assert_eq!(dry["done"], Value::Null);
    let text = home.run(["gc", "-n"]).ok().stdout;
    assert!(text.contains("remove pack") && text.contains("can be freed"), "{text}");
    assert_eq!(home.packs(), before);
    assert_eq!(home.json(["gc"])["plan"], dry["plan"]);
    assert_eq!(home.packs().len(), before.len() - 1);
}

#[test]
fn a_remembered_run_without_a_revision_is_forgotten_with_its_result() {
    let home = Home::migrated();
    let tree = remember_run(&home, b"a tree that no revision has");
    let plan = home.json(["gc"])["plan"].clone();
    assert_eq!(plan["forgotten_runs"], 1);
    assert_eq!(plan["remove"].as_array().unwrap().len(), 1);
    let ledger = Ledger::open(&home.path(".ckstore/ledger.db")).unwrap();
    assert!(ledger.memo_outputs().unwrap().iter().all(|(output, _)| *output != tree));
    // The run that led to the revision is still remembered.
    assert_eq!(ledger.memo_outputs().unwrap().len(), 1);
    drop(ledger);
    assert_eq!(home.findings(true), [""; 0]);
}

#[test]
fn a_pack_is_written_anew_when_enough_of_it_is_dead() {
    for (dead, rewritten) in [(1000, false), (40_000, true)] {
        let home = Home::new();
        home.run(["init"]).ok();
        let noise = |seed: u64, length: usize| -> Vec<u8> {
            let mut reader = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
            let mut bytes = vec![0; length];
            reader.fill(&mut bytes);
            bytes
        };
        // What an import would store, beside what nothing will need, in one pack.
        let live = noise(1, 20_000);
        let entered = leave_pack(&home, &[&live, &noise(2, dead)]);
        enter_pack(&home, &entered);
        fs::write(home.path("a.bin"), &live).unwrap();
        home.run(["import", "a.bin"]).ok();
        let plan = home.json(["gc"])["plan"].clone();
        assert_eq!(plan["rewrite"].as_array().unwrap().len(), usize::from(rewritten), "{plan}");
        if rewritten {
            let entry = &plan["rewrite"][0];
            let share = entry["dead_bytes"].as_u64().unwrap() * 100 / entry["bytes"].as_u64().unwrap();
            assert!(share >= REWRITE_DEAD_PERCENT);
        }
        assert_eq!(home.findings(true), [""; 0]);
        fs::remove_file(home.path("a.bin")).unwrap();
        home.run(["checkout"]).ok();
        assert!(fs::read(home.path("a.bin")).unwrap() == live);
        assert_eq!(home.json(["gc"])["done"], Value::Null);
    }
}

#[test]
fn gc_keeps_what_a_failed_run_started_from() {
    let home = Home::with_checkpoint();
    home.run(["import", "a.ckpt"]).ok();
    let script = |text: &str| {
        let path = home.path("migrations/1739000000_raise.py");
        let head = "from anemoi.models.migrations import MigrationMetadata\n\n\
            metadata = MigrationMetadata(versions={'migration': '1.0.0', 'anemoi-models': '0.8.5'})\n\n";
        fs::write(path, format!("{head}def migrate(ckpt):\n    {text}\n    return ckpt\n")).unwrap();
    };
    script("raise ValueError('not today')");
    assert_eq!(home.run(["checkout", "--version", "0.8.5"]).code, Some(7));
    home.run(["gc"]).ok();
    assert_eq!(home.findings(true), [""; 0]);
    script("ckpt['seen'] = True");
    home.run(["checkout", "--version", "0.8.5"]).ok();
    home.run(["gc"]).ok();
    assert_eq!(home.findings(true), [""; 0]);
}

#[test]
fn a_pack_that_would_be_written_anew_as_it_is_stays() {
    let home = Home::new();
    home.run(["init"]).ok();
    let objects = [1u8, 2, 3]
        .map(|byte| -> Vec<u8> { (0..9000).map(|i: u32| ((i * 7919) >> 3) as u8 ^ byte).collect() });
    let [one, both, dead] = &objects;
    // The index has what is in both packs in the second one; what is live of both is the first one.
    let packs = [leave_pack(&home, &[one, both]), leave_pack(&home, &[both, dead])];
    packs.iter().for_each(|pack| enter_pack(&home, pack));
    for (name, bytes) in [("one.bin", one), ("both.bin", both)] {
        fs::write(home.path(name), bytes).unwrap();
        home.run(["import", name]).ok();
    }
    let report = home.json(["gc"]);
    assert_eq!(report["plan"]["rewrite"].as_array().unwrap().len(), 2);
    assert_eq!(report["done"]["removed_packs"], 1);
    assert!(home.path(&format!(".ckstore/packs/{}.pack", packs[0].id)).exists());
    assert_eq!(home.findings(true), [""; 0]);
}

#[test]
fn nothing_is_removed_from_a_damaged_store() {
    let home = Home::migrated();
    leave_pack(&home, &[&[7; 5000]]);
    home.sql()
        .execute("DELETE FROM objects WHERE name = (SELECT tree FROM revisions WHERE number = 1)", [])
        .unwrap();
    let before = home.packs();
    let ran = home.run(["gc", "--json"]);
    assert_eq!(ran.code, Some(6));
    assert_eq!(ran.json()["error"]["code"], "E_CORRUPT");
    assert_eq!(home.packs(), before);
}

/// Stores objects as a writer does that is stopped before the ledger learns of its pack.
fn leave_pack(home: &Home, objects: &[&[u8]]) -> ckstore::store::FinishedPack {
    let store = Store::open(&home.path(".ckstore")).unwrap();
    let ledger = Ledger::open(&home.path(".ckstore/ledger.db")).unwrap();
    let mut writer = store.writer(&ledger);
    for bytes in objects {
        writer.put(bytes, Hint::default()).unwrap();
    }
    writer.finish().unwrap().unwrap()
}

fn enter_pack(home: &Home, pack: &ckstore::store::FinishedPack) {
    let mut ledger = Ledger::open(&home.path(".ckstore/ledger.db")).unwrap();
    let change = ledger.change().unwrap();
    change.add_pack(&pack.id, pack.bytes, &pack.records).unwrap();
    change.commit().unwrap();
}

/// Remembers a run whose result is stored, and of which no revision came.
fn remember_run(home: &Home, output: &[u8]) -> ObjectId {
    let pack = leave_pack(home, &[output]);
    enter_pack(home, &pack);
    let mut ledger = Ledger::open(&home.path(".ckstore/ledger.db")).unwrap();
    let (output, digest) = (pack.records[0].0, ObjectId::of(b"digest"));
    let change = ledger.change().unwrap();
    let key = MemoKey { input_tree: output, digest, entry: "migrate", engine: "none" };
    change.add_memo(&key, &output, &output).unwrap();
    change.commit().unwrap();
    output
}

/// What a person, or a crash, does to a store.
#[derive(Debug, Clone)]
enum Act {
    /// Imports content of this kind as this ref.
    Import(u8, u8),
    /// Names HEAD by a tag.
    Tag(u8),
    DeleteBranch(u8),
    DeleteTag(u8),
    /// Moves HEAD to one of the revisions.
    GoTo(u8),
    /// Stops a writer after its pack.
    LeavePack(u8),
    /// Stops a checkout after a run.
    LeaveRun(u8),
    /// Stops a writer before its pack.
    LeaveFile(u8),
    Gc,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (any::<u8>(), 0..4u8).prop_map(|(content, name)| Act::Import(content, name)),
        1 => any::<u8>().prop_map(Act::Tag),
        1 => (0..4u8).prop_map(Act::DeleteBranch),
        1 => any::<u8>().prop_map(Act::DeleteTag),
        1 => any::<u8>().prop_map(Act::GoTo),
        2 => any::<u8>().prop_map(Act::LeavePack),
        1 => any::<u8>().prop_map(Act::LeaveRun),
        1 => any::<u8>().prop_map(Act::LeaveFile),
        3 => Just(Act::Gc),
    ];
    vec(act, 1..14)
}

/// Contents that share objects with each other and with garbage: documents, plain bytes of one frame and of
/// several.
fn content(kind: u8) -> Vec<u8> {
    let byte = kind / 4;
    match kind % 4 {
        0 => format!("{{\"weights\": [{byte}, {}], \"name\": \"{}\"}}", kind % 8, "x".repeat(2000))
            .into_bytes(),
        1 => vec![byte % 4; 3000],
        2 => [vec![byte % 3; 1 << 20], vec![byte % 5; 1 << 20], vec![byte; 100]].concat(),
        _ => {
            let mut bytes = vec![0; 40_000];
            blake3::Hasher::new().update(&[byte % 8]).finalize_xof().fill(&mut bytes);
            bytes
        }
    }
}

/// A store, and beside it what every revision must give back.
struct Model {
    home: Home,
    repo: Repo,
    revisions: BTreeMap<ObjectId, Vec<u8>>,
    clock: i64,
}

impl Model {
    fn new() -> Model {
        let home = Home::new();
        let repo = Repo::init(&home.path(".ckstore")).unwrap();
        Model { home, repo, revisions: BTreeMap::new(), clock: 0 }
    }

    fn with_context<T>(&mut self, act: impl FnOnce(&mut Repo, &Context<'_>) -> T) -> T {
        self.clock += 1;
        let at = Timestamp::from_second(self.clock).unwrap();
        let (worker, limits) = (Worker::new(PathBuf::new()), Limits::default());
        let now = || at;
        act(
            &mut self.repo,
            &Context { actor: "ada", now: &now, progress: &Silent, worker: &worker, limits: &limits },
        )
    }

    fn apply(&mut self, act: &Act) {
        match *act {
            Act::Import(kind, name) => {
                let bytes = content(kind);
                let path = self.home.path(&format!("{name}.bin"));
                fs::write(&path, &bytes).unwrap();
                let report = self.with_context(|repo, context| {
                    let options = ImportOptions { path: Some(&path), ..ImportOptions::default() };
                    repo.import(&options, context).unwrap()
                });
                self.revisions.insert(report.revision, bytes);
            }
            Act::Tag(number) => {
                let name = format!("tag-{}", number % 3).parse().unwrap();
                let _ =
                    self.with_context(|repo, context| repo.create_ref(RefKind::Tag, &name, None, context));
            }
            Act::DeleteBranch(name) => {
                let name = name.to_string().parse().unwrap();
                let _ = self.with_context(|repo, context| repo.delete_ref(RefKind::Branch, &name, context));
            }
            Act::DeleteTag(number) => {
                let name = format!("tag-{}", number % 3).parse().unwrap();
                let _ = self.with_context(|repo, context| repo.delete_ref(RefKind::Tag, &name, context));
            }
            Act::GoTo(number) => {
                let count = self.revisions.len();
                if count > 0 {
                    let revision = *self.revisions.keys().nth(usize::from(number) % count).unwrap();
                    self.checkout(revision, None);
                }
            }
            Act::LeavePack(kind) => drop(leave_pack(&self.home, &[&content(kind), &[kind; 10]])),
            Act::LeaveRun(kind) => drop(remember_run(&self.home, &[&content(kind)[..], &[kind]].concat())),
            Act::LeaveFile(number) => {
                fs::write(self.home.path(&format!(".ckstore/packs/tmp-{number}")), [number; 100]).unwrap();
            }
            Act::Gc => {
                let plan = self.repo.plan_gc(&Silent).unwrap();
                let (freed, before) = (plan.freed_bytes, self.packs_bytes());
                self.repo.gc(plan, &Silent).unwrap();
                assert!(self.packs_bytes() + freed <= before + 200, "less was freed than was said");
                assert!(self.repo.plan_gc(&Silent).unwrap().is_empty(), "gc leaves nothing to gc");
            }
        }
    }

    fn checkout(&mut self, revision: ObjectId, output: Option<PathBuf>) {
        let name = revision.to_string();
        self.with_context(|repo, context| {
            let output = output.as_deref();
            let options =
                CheckoutOptions { revision: Some(&name), output, force: true, ..Default::default() };
            repo.checkout(&options, context).unwrap()
        });
    }

    fn packs_bytes(&self) -> u64 {
        let files = fs::read_dir(self.home.path(".ckstore/packs")).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    }

    /// Reads every revision back, and checks the store.
    fn check(&mut self) {
        let out = self.home.path("out");
        let revisions: Vec<ObjectId> = self.revisions.keys().copied().collect();
        for revision in revisions {
            self.checkout(revision, Some(out.clone()));
            assert!(fs::read(&out).unwrap() == self.revisions[&revision], "revision {revision}");
        }
        let report = Repo::fsck(&self.home.path(".ckstore"), &FsckOptions::default(), &Silent).unwrap();
        let told: Vec<_> = report
            .findings
            .iter()
            .filter(|finding| !["pack-unknown", "temporary-file"].contains(&finding.code))
            .collect();
        assert!(told.is_empty(), "{told:?}");
    }
}

proptest! {
    #![proptest_config(Config { cases: 24, failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_sequence_of_acts_and_gc_loses_a_revision(acts in acts()) {
        let mut model = Model::new();
        for act in &acts {
            model.apply(act);
            if matches!(act, Act::Gc) {
                model.check();
            }
        }
        model.apply(&Act::Gc);
        model.check();
    }
}
