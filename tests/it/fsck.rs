//! Damage of every kind, and what fsck says of it.

use std::fs;
use std::sync::LazyLock;

use ckstore::ledger::{Ledger, NewStep, StepStatus};
use ckstore::object::ObjectId;
use ckstore::repo::{FINDINGS, Severity};
use ckstore::revision::{REVISION_ENCODING, Revision};
use ckstore::store::{Hint, Store};
use rusqlite::params;
use serde_json::Value;

use crate::support::{Home, old_checkpoint};

static SOUND: LazyLock<Home> = LazyLock::new(Home::migrated);

#[test]
fn a_sound_store_gives_no_finding() {
    let home = SOUND.copy();
    for options in [&["fsck", "--json"][..], &["fsck", "--quick", "--json"]] {
        let report = home.run(options).ok().json();
        assert_eq!(report["findings"], Value::Array(Vec::new()));
        assert_eq!(report["checked"]["revisions"], 2);
        assert_eq!(report["checked"]["refs"], 2);
        assert_eq!(report["checked"]["steps"], 2);
        assert_eq!(report["checked"]["packs"], home.packs().len());
        assert!(report["checked"]["objects"].as_u64().unwrap() > 60);
        assert_eq!(report["checked"]["bytes"].as_u64().unwrap() > 60_000, options.len() == 2);
    }
    let text = home.run(["fsck"]).ok().stdout;
    assert!(text.ends_with("everything is present and whole\n"), "{text}");
}

/// What is done to a store, and the codes that it must give, those and no others.
type Case = (&'static str, fn(&Home), &'static [&'static str]);

const CASES: &[Case] = &[
    ("no ledger", |home| fs::remove_file(home.path(".ckstore/ledger.db")).unwrap(), &["ledger-missing"]),
    (
        "ledger is no database",
        |home| fs::write(home.path(".ckstore/ledger.db"), [b'x'; 5000]).unwrap(),
        &["ledger-unreadable"],
    ),
    (
        "ledger lost its end",
        |home| {
            let path = home.path(".ckstore/ledger.db");
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        },
        &["ledger-unreadable"],
    ),
    (
        "an index of the ledger is wrong",
        |home| {
            let sql = home.sql();
            sql.pragma_update(None, "writable_schema", true).unwrap();
            sql.execute_batch("DELETE FROM sqlite_schema WHERE name = 'refs_by_revision'").unwrap();
        },
        &["ledger-file"],
    ),
    ("a table is gone", |home| sql(home, "DROP TABLE memo"), &["ledger-unreadable"]),
    (
        "a row of the history is gone",
        |home| tamper(home, "DELETE FROM steps WHERE seq = 1"),
        &["chain-gap", "step-missing"],
    ),
    (
        "the last row of the history is gone",
        |home| tamper(home, "DELETE FROM steps WHERE seq = 2"),
        &["step-missing"],
    ),
    (
        "a row of the history was changed",
        |home| tamper(home, "UPDATE steps SET actor = 'eve' WHERE seq = 1"),
        &["chain-altered"],
    ),
    (
        "a row of the history does not read",
        |home| tamper(home, "UPDATE steps SET started = 'yesterday' WHERE seq = 2"),
        &["chain-altered", "step-missing"],
    ),
    (
        "a row of the history follows another",
        |home| tamper(home, "UPDATE steps SET previous_hash = zeroblob(32) WHERE seq = 2"),
        &["chain-altered", "chain-broken"],
    ),
    ("a row of the history was slipped in", slip_a_row_in, &["step-unknown"]),
    (
        "a script is not in the index",
        |home| forget(home, "SELECT script FROM steps WHERE script IS NOT NULL"),
        &["index-missing", "step-object-missing"],
    ),
    (
        "a script is damaged",
        |home| damage(home, "SELECT script FROM steps WHERE script IS NOT NULL"),
        &["object-damaged", "step-object-damaged"],
    ),
    (
        "a revision's text was changed",
        |home| sql(home, "UPDATE revisions SET body = replace(body, 'import', 'omport') WHERE number = 1"),
        &["revision-damaged"],
    ),
    (
        "a revision's text does not read",
        |home| sql(home, "UPDATE revisions SET body = '{' WHERE number = 1"),
        &["revision-damaged"],
    ),
    (
        "a revision's row names another tree",
        |home| sql(home, "UPDATE revisions SET tree = zeroblob(32) WHERE number = 1"),
        &["revision-damaged"],
    ),
    (
        "a revision's text is not stored",
        |home| forget(home, "SELECT name FROM revisions WHERE number = 1"),
        &["index-missing", "revision-object-missing"],
    ),
    (
        "a revision's stored text is damaged",
        |home| damage(home, "SELECT name FROM revisions WHERE number = 1"),
        &["object-damaged", "revision-object-damaged"],
    ),
    (
        "a revision is gone",
        |home| sql(home, "DELETE FROM revisions WHERE number = 1"),
        &["ledger-file", "ref-dangling", "ref-log-dangling", "revision-parent-missing", "step-unknown"],
    ),
    (
        "HEAD names nothing",
        |home| sql(home, "UPDATE settings SET value = 'nothing' WHERE key = 'head'"),
        &["head-dangling"],
    ),
    (
        "a pack is gone",
        |home| fs::remove_file(biggest_pack(home)).unwrap(),
        &["pack-missing", "revision-object-missing", "tree-missing", "tree-object-missing"],
    ),
    (
        "a pack has another length",
        |home| {
            let mut bytes = fs::read(biggest_pack(home)).unwrap();
            bytes.push(0);
            fs::write(biggest_pack(home), bytes).unwrap();
        },
        &["pack-damaged"],
    ),
    (
        "a pack is of a newer version",
        |home| {
            let mut bytes = fs::read(biggest_pack(home)).unwrap();
            bytes[8] = 9;
            fs::write(biggest_pack(home), bytes).unwrap();
        },
        &["pack-newer", "revision-object-damaged", "tree-damaged", "tree-object-damaged"],
    ),
    (
        "a pack is a folder",
        |home| {
            let path = biggest_pack(home);
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
        },
        &["pack-unreadable", "revision-object-damaged", "tree-damaged", "tree-object-damaged"],
    ),
    (
        "a pack is not in the index, but what it holds is in no other",
        |home| {
            let name = biggest_pack(home).file_stem().unwrap().to_str().unwrap().to_uppercase();
            sql(
                home,
                "DELETE FROM objects WHERE pack = (SELECT number FROM packs WHERE hex(name) = '#')"
                    .replace('#', &name),
            );
            sql(home, "DELETE FROM packs WHERE hex(name) = '#'".replace('#', &name));
        },
        &["pack-unknown", "revision-object-missing", "tree-missing", "tree-object-missing"],
    ),
    ("a tensor is damaged", |home| damage(home, BIGGEST_OBJECT), &["object-damaged", "tree-object-damaged"]),
    (
        "a tensor is damaged that the index does not use",
        |home| {
            damage(home, BIGGEST_OBJECT);
            forget(home, BIGGEST_OBJECT);
        },
        &["object-unused-damaged", "tree-object-missing"],
    ),
    (
        "a tensor is not in the index",
        |home| forget(home, BIGGEST_OBJECT),
        &["index-missing", "tree-object-missing"],
    ),
    (
        "the index places a tensor wrongly",
        |home| {
            sql(home, "UPDATE objects SET offset = offset + 1 WHERE name = (#)".replace('#', BIGGEST_OBJECT))
        },
        &["index-wrong", "tree-object-damaged"],
    ),
    (
        "the index has a record that is nowhere",
        |home| {
            sql(
                home,
                "INSERT INTO objects SELECT randomblob(32), pack, offset, stored_bytes, raw_bytes, codec FROM objects LIMIT 1",
            )
        },
        &["index-wrong"],
    ),
    (
        "a tree is not in the index",
        |home| forget(home, "SELECT tree FROM revisions WHERE number = 1"),
        &["index-missing", "tree-missing"],
    ),
    (
        "a tree is damaged",
        |home| damage(home, "SELECT tree FROM revisions WHERE number = 1"),
        &["object-damaged", "tree-damaged"],
    ),
    (
        "a tree does not hold together",
        |home| add_revision_of(home, b"CKTREE\0\x01 and then?"),
        &["tree-malformed"],
    ),
    (
        "the result of a remembered run is gone",
        |home| {
            sql(
                home,
                "INSERT INTO memo VALUES (zeroblob(32), zeroblob(32), '', '', randomblob(32), randomblob(32))",
            )
        },
        &["memo-dangling"],
    ),
    (
        "commands were interrupted",
        |home| {
            fs::write(home.path(".ckstore/packs/tmp-Xy12"), "half a pack").unwrap();
            fs::write(home.path(".ckstore/tmp-ledger.db"), "").unwrap();
        },
        &["temporary-file"],
    ),
];

/// The object that takes most room of the first import, as SQL.
const BIGGEST_OBJECT: &str = "SELECT name FROM objects WHERE pack = 1 AND codec <> 2 AND name NOT IN \
    (SELECT tree FROM revisions) ORDER BY raw_bytes DESC, name LIMIT 1";

#[test]
fn every_damage_is_told_by_its_code() {
    let mut wrong = Vec::new();
    for (name, act, expected) in CASES {
        let home = SOUND.copy();
        act(&home);
        let found = home.findings(true);
        if found != *expected {
            wrong.push(format!("{name}: {found:?}, expected {expected:?}"));
            continue;
        }
        let severe = |code: &&str| FINDINGS.iter().any(|f| f.0 == *code && f.1 == Severity::Error);
        let code = if expected.iter().any(severe) { 6 } else { 0 };
        let ran = home.run(["fsck"]);
        assert_eq!(ran.code, Some(code), "{name}: {ran:?}");
        assert_eq!(ran.stderr, "", "{name}");
        for expected in *expected {
            assert!(ran.stdout.contains(&format!("[{expected}]")), "{name}: {ran:?}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_damage_that_gives_it() {
    for (code, ..) in FINDINGS {
        assert!(CASES.iter().any(|(_, _, codes)| codes.contains(code)), "{code}");
    }
}

#[test]
fn a_pack_that_lost_its_index_is_read_by_the_ledgers() {
    let home = SOUND.copy();
    let path = biggest_pack(&home);
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 200..].fill(0);
    fs::write(&path, bytes).unwrap();
    assert_eq!(home.findings(true), ["pack-damaged"]);
    let report = home.run(["fsck", "--json"]).json();
    let message = report["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("records can still be read"), "{message}");
    home.run(["checkout", "--revision", "first", "-o", "again.ckpt"]).ok();
}

#[test]
fn a_quick_check_finds_what_is_missing_and_reads_no_record() {
    let home = SOUND.copy();
    damage(&home, BIGGEST_OBJECT);
    home.run(["fsck", "--quick"]).ok();
    forget(&home, BIGGEST_OBJECT);
    assert_eq!(home.run(["fsck", "--quick"]).code, Some(6));
}

#[test]
fn an_index_that_lost_everything_is_made_again_from_the_packs() {
    let home = SOUND.copy();
    sql(&home, "DELETE FROM objects; DELETE FROM packs");
    assert_eq!(home.run(["fsck"]).code, Some(6));
    let report = home.json(["fsck", "--repair-index"]);
    assert_eq!(report["findings"], Value::Array(Vec::new()));
    assert_eq!(report["repaired"]["forgotten"], 0);
    home.run(["checkout", "--revision", "first", "-o", "again.ckpt"]).ok();
    assert_eq!(fs::read(home.path("again.ckpt")).unwrap(), fs::read(old_checkpoint()).unwrap());
}

#[test]
fn what_was_damaged_comes_back_with_the_next_import_after_a_repair() {
    let damages: [fn(&Home); 3] = [
        |home| damage(home, BIGGEST_OBJECT),
        |home| damage(home, "SELECT tree FROM revisions WHERE number = 1"),
        |home| fs::remove_file(biggest_pack(home)).unwrap(),
    ];
    for (number, act) in damages.iter().enumerate() {
        let home = SOUND.copy();
        act(&home);
        let report = home.run(["fsck", "--repair-index", "--json"]).json();
        assert!(report["repaired"]["forgotten"].as_u64() > Some(0), "{number}: {report}");
        fs::copy(old_checkpoint(), home.path("b.ckpt")).unwrap();
        home.run(["import", "b.ckpt"]).ok();
        // What a pack has of damaged records stays until that pack is written anew.
        let left: &[&str] = if number == 2 { &[] } else { &["object-unused-damaged"] };
        assert_eq!(home.findings(false), left, "{number}");
        home.run(["checkout", "--revision", "first", "-o", "again.ckpt"]).ok();
        assert_eq!(fs::read(home.path("again.ckpt")).unwrap(), fs::read(old_checkpoint()).unwrap());
    }
}

#[test]
fn a_repair_of_a_sound_store_changes_nothing() {
    let home = SOUND.copy();
    let report = home.json(["fsck", "--repair-index"]);
    assert_eq!(report["repaired"], serde_json::json!({ "entered": 0, "forgotten": 0 }));
}

#[test]
fn a_ledger_of_a_newer_version_is_no_finding() {
    let home = SOUND.copy();
    home.sql().pragma_update(None, "user_version", 99).unwrap();
    let ran = home.run(["fsck", "--json"]);
    assert_eq!(ran.code, Some(6));
    assert_eq!(ran.json()["error"]["code"], "E_NEWER");
}

#[test]
fn where_there_is_no_store_there_is_nothing_to_check() {
    let home = Home::new();
    let ran = home.run(["fsck", "--json"]);
    assert_eq!((ran.code, ran.json()["error"]["code"].as_str()), (Some(2), Some("E_NO_STORE")));
}

fn sql(home: &Home, text: impl AsRef<str>) {
    home.sql().execute_batch(text.as_ref()).unwrap();
}

/// Changes rows of the history, which the tables forbid.
fn tamper(home: &Home, text: &str) {
    sql(home, "DROP TRIGGER steps_are_never_changed; DROP TRIGGER steps_are_never_removed");
    sql(home, text);
}

/// Takes the object that a query names out of the index.
fn forget(home: &Home, query: &str) {
    sql(home, "DELETE FROM objects WHERE name IN (#)".replace('#', query));
}

/// Changes one byte of the stored form of the object that a query names.
fn damage(home: &Home, query: &str) {
    let place = "SELECT lower(hex(packs.name)), offset FROM objects JOIN packs ON number = pack
        WHERE objects.name IN (#)"
        .replace('#', query);
    let (pack, offset): (String, u64) =
        home.sql().query_row(&place, [], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64))).unwrap();
    let path = home.path(&format!(".ckstore/packs/{pack}.pack"));
    let mut bytes = fs::read(&path).unwrap();
    bytes[offset as usize + 8] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn biggest_pack(home: &Home) -> std::path::PathBuf {
    let name: String = home
        .sql()
        .query_row("SELECT lower(hex(name)) FROM packs ORDER BY bytes DESC LIMIT 1", [], |row| row.get(0))
        .unwrap();
    home.path(&format!(".ckstore/packs/{name}.pack"))
}

/// Adds a row that is sound by itself and belongs to a revision that does not tell of it.
fn slip_a_row_in(home: &Home) {
    let mut ledger = Ledger::open(&home.path(".ckstore/ledger.db")).unwrap();
    let row = ledger.steps(None).unwrap().pop().unwrap();
    let mut step = row.step;
    step.migration = "another".into();
    let change = ledger.change().unwrap();
    let status = StepStatus::Done;
    let new = NewStep {
        ref_name: &row.ref_name,
        revision: row.revision,
        step: &step,
        status: &status,
        actor: "eve",
    };
    change.append_step(&new).unwrap();
    change.commit().unwrap();
}

/// Stores bytes, and a revision that says that they are its tree.
fn add_revision_of(home: &Home, tree: &[u8]) {
    let store = Store::open(&home.path(".ckstore")).unwrap();
    let mut ledger = Ledger::open(&home.path(".ckstore/ledger.db")).unwrap();
    let old = ledger.revisions().unwrap().pop().unwrap();
    let mut writer = store.writer(&ledger);
    let tree = writer.put(tree, Hint::default()).unwrap();
    let revision = Revision {
        encoding: REVISION_ENCODING,
        tree,
        parents: vec![old.id],
        steps: Vec::new(),
        ..old.revision
    };
    let id: ObjectId = writer.put(&revision.encode(), Hint::default()).unwrap();
    let pack = writer.finish().unwrap().unwrap();
    let change = ledger.change().unwrap();
    change.add_pack(&pack.id, pack.bytes, &pack.records).unwrap();
    change.add_revision(&id, &revision).unwrap();
    change.commit().unwrap();
    drop(ledger);
    home.sql().execute("UPDATE refs SET revision = ?1 WHERE name = 'a'", params![id.as_bytes()]).unwrap();
}
