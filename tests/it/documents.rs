//! Collections of documents: taken in, migrated up and down.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Home, Ran};

const HEAD: &str =
    "from exodusutils.migration.base_migration import BaseMigration\n\n\nclass Migration(BaseMigration):\n";

/// Scripts of the Exodus form, given by the bodies of `up` and `down`.
fn script(up: &str, down: &str) -> String {
    let indented = |body: &str| body.lines().map(|line| format!("        {line}\n")).collect::<String>();
    format!(
        "{HEAD}    def up(self, collection):\n{}\n    def down(self, collection):\n{}",
        indented(up),
        indented(down)
    )
}

const FIRST: &str = "Migration_1000000000001_owner";
const SECOND: &str = "Migration_1000000000002_rename";

/// A collection `models` of three documents, and a catalogue of two migrations: the first's `down` does nothing.
fn models() -> Home {
    let home = Home::new();
    let lines = "{\"_id\": \"a\", \"kind\": \"x\", \"n\": 1}\n{\"_id\": \"b\", \"kind\": \"y\"}\n\
                 {\"_id\": {\"$oid\": \"507f1f77bcf86cd799439011\"}, \"at\": {\"$date\": \"2020-01-01T00:00:00Z\"}}\n";
    fs::write(home.path("models.jsonl"), lines).unwrap();
    write(&home, FIRST, "collection.update_many({'kind': 'x'}, {'$set': {'owner': 'ada'}})", "pass");
    write(
        &home,
        SECOND,
        "collection.update_many({}, {'$rename': {'kind': 'type'}})",
        "collection.update_many({}, {'$rename': {'type': 'kind'}})",
    );
    home.run(["import", "models.jsonl", "--collection", "models", "--catalogue", "scripts"]).ok();
    home
}

fn write(home: &Home, name: &str, up: &str, down: &str) {
    fs::create_dir_all(home.path("scripts")).unwrap();
    fs::write(home.path("scripts").join(format!("{name}.py")), script(up, down)).unwrap();
}

/// The text of a document as it would be checked out.
#[track_caller]
fn text(home: &Home, name: &str) -> String {
    let out = home.path("out.json");
    let _ = fs::remove_file(&out);
    home.run(["checkout", name, "-o", "out.json", "--force"]).ok();
    fs::read_to_string(out).unwrap()
}

fn refs(home: &Home) -> Vec<String> {
    let report = home.json(["status", "--all"]);
    report["refs"].as_array().unwrap().iter().map(|entry| entry["ref"].as_str().unwrap().to_owned()).collect()
}

fn code(ran: &Ran) -> (Option<i32>, String) {
    (ran.code, ran.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn documents_become_refs_named_by_their_ids_and_come_back_as_they_were() {
    let home = models();
    assert_eq!(refs(&home), ["models/507f1f77bcf86cd799439011", "models/a", "models/b"]);
    assert_eq!(text(&home, "models/a"), "{\"_id\": \"a\", \"kind\": \"x\", \"n\": 1}");
    let again = home.json(["import", "models.jsonl", "--collection", "models"]);
    assert_eq!((&again["added"], &again["unchanged"]), (&json!(0), &json!(3)));
    fs::write(home.path("more.json"), "[{\"_id\": \"a\", \"n\": 2}, {\"_id\": 7}]").unwrap();
    let more = home.json(["import", "more.json", "--collection", "models"]);
    assert_eq!((&more["added"], &more["changed"]), (&json!(1), &json!(1)));
    assert_eq!(text(&home, "models/=7"), "{\"_id\": 7}");
}

#[test]
fn a_folder_of_files_becomes_a_collection_and_files_that_fail_are_listed() {
    let home = Home::with_checkpoint();
    fs::create_dir_all(home.path("runs/era5")).unwrap();
    fs::rename(home.path("a.ckpt"), home.path("runs/era5/last.ckpt")).unwrap();
    fs::write(home.path("runs/settings.json"), "{\"lr\": 1}").unwrap();
    fs::write(home.path("runs/empty.ckpt"), "").unwrap();
    fs::write(home.path("runs/.hidden"), "x").unwrap();
    let ran = home.run(["import", "runs", "--collection", "weather", "--json"]);
    let report = ran.json();
    assert_eq!((ran.code, &report["added"], &report["documents"]), (Some(9), &json!(2), &json!(1)));
    assert_eq!(report["failed"][0]["error"]["code"], "E_INPUT");
    assert_eq!(refs(&home), ["weather/era5/last", "weather/settings"]);
    // A folder's checkpoints have working files, and are checked out to them.
    home.run(["checkout", "weather/era5/last", "--version", "0.8.3"]).ok();
}

#[test]
fn what_is_no_document_is_refused_and_changes_nothing() {
    let long = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
    for (file, message) in [
        (
            "[{\"_id\": 1}, 5]",
            "line 1, cannot be taken as documents: a document is an object, and this is none",
        ),
        ("{\"_id\": 1}\n{\"_id\": 1.0}", "two documents would have the `_id` that `models/=1` stands for"),
        ("{\"_id\": 1}\n{\"x\": 1}", "line 2, cannot be taken as documents: the document has no `_id`"),
        (
            "{\"_id\": 1}\n{\"_id\": [1]}",
            "line 2, cannot be taken as documents: an `_id` cannot be of type array",
        ),
        ("{\"_id\": 1}\n{\"_id\": 2, }", "line 2, cannot be taken as documents: a key is expected"),
        ("{\"_id\": 1}\n{\"_id\": 2", "line 2, cannot be taken as documents: the document does not end"),
        ("{\"_id\": 1, \"a\": 1, \"a\": 2}", "the key `a` at byte 19 is there twice"),
        ("{\"_id\": 99999999999999999999}", "an integer does not fit in 64 bits"),
        (&long, "nest"),
    ] {
        let home = Home::new();
        fs::write(home.path("models.json"), file).unwrap();
        let ran = home.run(["import", "models.json", "--collection", "models", "--json"]);
        assert_eq!(code(&ran), (Some(2), "E_DOCUMENT".to_owned()), "{file}: {ran:?}");
        assert!(ran.stdout.contains(message), "{file}: {}", ran.stdout);
        assert!(!home.path(".ckstore").exists(), "{file}");
    }
    let home = models();
    let before = fs::read(home.path(".ckstore/ledger.db")).unwrap();
    fs::write(home.path("bad.json"), "[{\"_id\": \"new\"}, {\"_id\": \"new\"}]").unwrap();
    assert_eq!(home.run(["import", "bad.json", "--collection", "models"]).code, Some(2));
    assert_eq!(fs::read(home.path(".ckstore/ledger.db")).unwrap(), before);
}

#[test]
fn a_document_without_an_id_is_named_when_its_collection_is_migrated() {
    let home = models();
    fs::write(home.path("plain.json"), "{\"a\": 1}").unwrap();
    home.run(["import", "plain.json", "--collection", "models"]).ok();
    let ran = home.run(["migrate", "models", "up", "--json"]);
    let error = &ran.json()["error"];
    assert_eq!((ran.code, &error["code"]), (Some(2), &json!("E_DOCUMENT")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("models/plain"), "{error}");
    fs::write(home.path("plain.json"), "{\"_id\": \"plain\", \"a\": 1}").unwrap();
    home.run(["import", "plain.json", "--collection", "models"]).ok();
    home.run(["migrate", "models", "up"]).ok();
}

#[test]
fn up_runs_what_has_not_run_and_down_undoes_the_newest() {
    let home = models();
    let report = home.json(["migrate", "models", "up"]);
    assert_eq!(report["executed"], json!([FIRST, SECOND]));
    assert_eq!((&report["steps"][0]["changed"], &report["steps"][0]["unchanged"]), (&json!(1), &json!(2)));
    assert_eq!(text(&home, "models/a"), "{\"_id\": \"a\", \"n\": 1, \"owner\": \"ada\", \"type\": \"x\"}");
    assert_eq!(home.json(["migrate", "models", "up"])["steps"], json!([]));

    let down = home.json(["migrate", "models", "down"]);
    assert_eq!(
        (&down["steps"][0]["migration"], &down["steps"][0]["method"]),
        (&json!(SECOND), &json!("script"))
    );
    assert_eq!(text(&home, "models/a"), "{\"_id\": \"a\", \"n\": 1, \"owner\": \"ada\", \"kind\": \"x\"}");
    let down = home.json(["migrate", "models", "down"]);
    assert_eq!(
        (&down["steps"][0]["migration"], &down["steps"][0]["method"]),
        (&json!(FIRST), &json!("restore"))
    );
    assert_eq!(text(&home, "models/a"), "{\"_id\": \"a\", \"kind\": \"x\", \"n\": 1}");
    assert_eq!(home.json(["migrate", "models", "down"])["steps"], json!([]));

    // History is kept: a row for each document and one for the collection, four times.
    let history = home.json(["log", "history", "models"]);
    let kinds: Vec<&Value> =
        history["entries"].as_array().unwrap().iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, ["migrate", "migrate", "rollback", "rollback"]);
    assert_eq!(home.json(["log", "history"])["entries"].as_array().unwrap().len(), 16);
    assert_eq!(home.json(["log", "models/a"])["entries"].as_array().unwrap().len(), 5);
    assert_eq!(home.findings(true), [""; 0]);
}

#[test]
fn steps_and_to_say_how_far() {
    let home = models();
    assert_eq!(home.json(["migrate", "models", "up", "--to", "owner"])["executed"], json!([FIRST]));
    assert_eq!(home.json(["migrate", "models", "up", "--to", "owner"])["steps"], json!([]));
    assert_eq!(
        home.json(["migrate", "models", "up", "--steps", "1", "-n"])["executed"],
        json!([FIRST, SECOND])
    );
    assert_eq!(home.json(["migrate", "models", "up", "--steps", "1"])["executed"], json!([FIRST, SECOND]));
    assert_eq!(home.json(["migrate", "models", "down", "--to", FIRST])["executed"], json!([FIRST]));
    assert_eq!(home.json(["migrate", "models", "down", "--steps", "9"])["executed"], json!([]));
    let ran = home.run(["migrate", "models", "up", "--to", "nothing", "--json"]);
    assert_eq!(code(&ran), (Some(2), "E_NAME".to_owned()));
    assert_eq!(code(&home.run(["migrate", "model", "up", "--json"])).1, "E_NAME");
}

/// Migration, kind and method of every operation of a plan.
fn operations(plan: &Value) -> Vec<(&str, &str, &str)> {
    let operations = plan["operations"].as_array().unwrap();
    operations
        .iter()
        .map(|operation| {
            let word = |key: &str| operation[key].as_str().unwrap();
            (word("migration"), word("kind"), word("method"))
        })
        .collect()
}

#[test]
fn the_plan_of_a_document_is_what_migrate_would_do() {
    let home = models();
    let all = home.json(["plan", "--all", "--collection", "models"]);
    let plans = all["refs"].as_array().unwrap();
    assert_eq!(plans.len(), 3);
    let run = |name| (name, "migrate", "run");
    for plan in plans {
        assert_eq!(operations(plan), [run(FIRST), run(SECOND)]);
        assert_eq!(plan["in_sync"], false);
    }
    assert_eq!(home.json(["plan", "models/a"]), plans[1]);
    assert_eq!(operations(&home.json(["plan", "models/a", "--to", "owner"])), [run(FIRST)]);
    let ran = home.run(["plan", "models/a", "--version", "1.0", "--json"]);
    assert_eq!(code(&ran), (Some(3), "E_NOT_MIGRATABLE".to_owned()));
    let ran = home.run(["plan", "models/a", "--no-code", "--json"]);
    assert_eq!(code(&ran), (Some(4), "E_CODE_REQUIRED".to_owned()));
    assert_eq!(home.run(["plan", "--all", "--exit-code"]).code, Some(10));

    home.run(["migrate", "models", "up"]).ok();
    let lines = home.run(["plan", "--all", "--jsonl", "--exit-code"]).ok().stdout;
    let plans: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(plans.len() == 3 && plans.iter().all(|plan| plan["in_sync"] == true), "{lines}");
    // The first has no `down`: its documents come back from the store.
    let back = home.json(["plan", "models/a", "--version", "base"]);
    assert_eq!(operations(&back), [(SECOND, "rollback", "script"), (FIRST, "rollback", "restore")]);
    assert_eq!(operations(&home.json(["plan", "models/a", "--to", FIRST])), [(SECOND, "rollback", "script")]);
    write(&home, FIRST, "collection.update_many({}, {'$set': {'owner': 'eve'}})", "pass");
    assert_eq!(home.json(["plan", "models/a"])["warnings"][0]["code"], "W_DRIFT");
    assert_eq!(home.run(["plan", "models/a", "--strict"]).code, Some(5));
}

#[test]
fn a_failing_up_stops_with_its_name_and_leaves_nothing_half_done() {
    let home = models();
    write(&home, "Migration_1000000000003_bad", "collection.delete_many({})\nraise ValueError('no')", "pass");
    write(&home, "Migration_1000000000004_after", "collection.delete_many({})", "pass");
    let ran = home.run(["migrate", "models", "up", "--json"]);
    assert_eq!(code(&ran), (Some(7), "E_SCRIPT".to_owned()));
    let error = ran.json()["error"].clone();
    let message = error["message"].as_str().unwrap();
    assert_eq!(
        message,
        "stopped at `Migration_1000000000003_bad`, 2 of 4 migrations done: migration `Migration_1000000000003_bad` \
         failed: Migration_1000000000003_bad.py, line 7: ValueError: no"
    );
    assert_eq!(
        error["steps"],
        json!({
            "done": [FIRST, SECOND],
            "failed": "Migration_1000000000003_bad",
            "not_run": ["Migration_1000000000004_after"],
        })
    );
    assert!(error["hint"].as_str().unwrap().starts_with("done, and kept: `Migration_"), "{error}");
    assert_eq!(refs(&home).len(), 3);
    let history = home.json(["log", "history", "models"]);
    let entries = history["entries"].as_array().unwrap();
    assert_eq!(entries.iter().map(|entry| &entry["status"]).collect::<Vec<_>>(), ["done", "done", "failed"]);
    assert_eq!(home.json(["migrate", "models", "down", "-n"])["steps"][0]["migration"], SECOND);
    assert_eq!(home.findings(true), [""; 0]);
    // Where nothing was done before it, that is what is said.
    let ran = home.run(["migrate", "models", "up"]);
    assert!(
        ran.stderr.contains("0 of 2 migrations done") && ran.stderr.contains("nothing was changed"),
        "{ran:?}"
    );
    // What was done is told in full before the failure.
    home.run(["migrate", "models", "down"]).ok();
    let ran = home.run(["migrate", "models", "up"]);
    assert!(ran.stdout.starts_with(&format!("up {SECOND}: ")) && !ran.stderr.contains("nothing"), "{ran:?}");
}

#[test]
fn the_history_of_a_collection_tells_what_each_step_did_to_its_documents() {
    let home = models();
    write(&home, SECOND, "collection.insert_one({'_id': 'c'})\ncollection.delete_one({'_id': 'b'})", "pass");
    home.run(["migrate", "models", "up"]).ok();
    home.run(["migrate", "models", "down"]).ok();
    let counts = |changed, inserted, deleted, unchanged| json!({"changed": changed, "inserted": inserted, "deleted": deleted, "unchanged": unchanged});
    let history = home.json(["log", "history", "models"]);
    let entries = history["entries"].as_array().unwrap();
    let told: Vec<&Value> = entries.iter().map(|entry| &entry["documents"]).collect();
    assert_eq!(told, [&counts(1, 0, 0, 2), &counts(0, 1, 1, 2), &counts(0, 1, 1, 2)]);
    let text = home.run(["log", "history", "models"]).ok().stdout;
    assert!(text.contains("1 added, 1 removed, 2 unchanged"), "{text}");
    // Its own rows with those of its documents: one for each document of each step.
    let all = home.json(["log", "history", "models", "--documents"]);
    let names: Vec<&str> =
        all["entries"].as_array().unwrap().iter().map(|entry| entry["ref"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 3 + 3 + 4 + 4);
    assert_eq!(names.iter().filter(|name| **name == "models/b").count(), 3);
    // That of one document tells nothing of others.
    let own = home.json(["log", "history", "models/b"]);
    assert!(own["entries"].as_array().unwrap().iter().all(|entry| entry.get("documents").is_none()), "{own}");
}

#[test]
fn documents_that_a_script_adds_and_removes_come_and_go() {
    let home = models();
    write(
        &home,
        FIRST,
        "collection.delete_one({'_id': 'b'})\ncollection.insert_one({'_id': 'c', 'n': 1.5})",
        "pass",
    );
    home.run(["checkout", "models/b", "-o", "b.json"]).ok();
    let up = home.json(["migrate", "models", "up", "--steps", "1"]);
    assert_eq!(
        (&up["steps"][0]["inserted"], &up["steps"][0]["deleted"], &up["documents"]),
        (&json!(1), &json!(1), &json!(3))
    );
    assert_eq!(refs(&home), ["models/507f1f77bcf86cd799439011", "models/a", "models/c"]);
    assert_eq!(text(&home, "models/c"), "{\"_id\": \"c\", \"n\": 1.5}");
    home.run(["gc", "--prune"]);
    let down = home.json(["migrate", "models", "down"]);
    assert_eq!((&down["steps"][0]["method"], &down["documents"]), (&json!("restore"), &json!(3)));
    assert_eq!(refs(&home), ["models/507f1f77bcf86cd799439011", "models/a", "models/b"]);
    assert_eq!(text(&home, "models/b"), "{\"_id\": \"b\", \"kind\": \"y\"}");
    assert_eq!(home.json(["log", "models/b"])["entries"].as_array().unwrap().len(), 2);
    assert_eq!(home.findings(true), [""; 0]);
}

#[test]
fn types_of_documents_stay_exactly() {
    let home = Home::new();
    let text_before = "{\"_id\": 1, \"long\": {\"$numberLong\": \"5\"}, \"int\": 5, \"float\": 5.0, \"dec\": {\"$numberDecimal\": \"1.10\"}, \
                \"date\": {\"$date\": \"2020-01-01T00:00:00.123Z\"}, \"old\": {\"$date\": {\"$numberLong\": \"-1\"}}, \
                \"bin\": {\"$binary\": {\"base64\": \"AQID\", \"subType\": \"80\"}}, \"id\": {\"$oid\": \"507f1f77bcf86cd799439011\"}, \
                \"re\": {\"$regularExpression\": {\"pattern\": \"^a\", \"options\": \"i\"}}, \"ts\": {\"$timestamp\": {\"t\": 1, \"i\": 2}}, \
                \"nan\": {\"$numberDouble\": \"NaN\"}, \"min\": {\"$minKey\": 1}}";
    fs::write(home.path("types.json"), text_before).unwrap();
    // Everything goes through Python and back.
    write(
        &home,
        FIRST,
        "d = collection.find_one()\nd['new'] = 1\ncollection.replace_one({'_id': 1}, d)",
        "pass",
    );
    home.run(["import", "types.json", "--collection", "types", "--catalogue", "scripts"]).ok();
    home.run(["migrate", "types", "up"]).ok();
    assert_eq!(text(&home, "types/=1"), format!("{}, \"new\": 1}}", text_before.strip_suffix('}').unwrap()));

    let canonical = "{\"_id\":{\"$numberInt\":\"2\"},\"a\":{\"$numberDouble\":\"1.0\"},\"b\":{\"$date\":{\"$numberLong\":\"0\"}}}";
    fs::write(home.path("canonical.json"), canonical).unwrap();
    home.run(["import", "canonical.json", "--collection", "types"]).ok();
    write(&home, SECOND, "collection.update_many({'_id': 2}, {'$inc': {'a': 1, 'c': 1}})", "pass");
    home.run(["migrate", "types", "up"]).ok();
    let after = "{\"_id\":{\"$numberInt\":\"2\"},\"a\":{\"$numberDouble\":\"2.0\"},\"b\":{\"$date\":{\"$numberLong\":\"0\"}},\"c\":{\"$numberInt\":\"1\"}}";
    assert_eq!(text(&home, "types/=2"), after);
}

#[test]
fn a_script_that_is_gone_or_changed_is_undone_by_its_stored_copy() {
    let home = models();
    home.run(["migrate", "models", "up"]).ok();
    fs::remove_file(home.path("scripts").join(format!("{SECOND}.py"))).unwrap();
    let down = home.json(["migrate", "models", "down"]);
    assert_eq!(
        (&down["steps"][0]["migration"], &down["steps"][0]["method"]),
        (&json!(SECOND), &json!("script"))
    );
    assert_eq!(text(&home, "models/b"), "{\"_id\": \"b\", \"kind\": \"y\"}");

    write(&home, FIRST, "pass", "collection.delete_many({})");
    let down = home.json(["migrate", "models", "down"]);
    assert_eq!(down["steps"][0]["method"], "restore");
    assert_eq!(down["warnings"][0]["code"], "W_DRIFT");
    assert_eq!(refs(&home).len(), 3);
    fs::remove_dir_all(home.path("scripts")).unwrap();
    assert_eq!(home.json(["migrate", "models", "down"])["steps"], json!([]));
}

#[test]
fn restoring_keeps_what_came_since_or_refuses() {
    let changed = |document: &str| {
        let home = models();
        home.run(["migrate", "models", "up", "--steps", "1"]).ok();
        fs::write(home.path("new.json"), document).unwrap();
        home.run(["import", "new.json", "--collection", "models"]).ok();
        home
    };
    let home = changed("{\"_id\": \"a\", \"kind\": \"x\", \"n\": 5, \"owner\": \"ada\"}");
    home.run(["migrate", "models", "down"]).ok();
    assert_eq!(text(&home, "models/a"), "{\"_id\": \"a\", \"kind\": \"x\", \"n\": 5}");

    for document in ["{\"_id\": \"a\", \"owner\": \"eve\"}", "{\"_id\": \"late\"}"] {
        let home = changed(document);
        let before = home.json(["status", "--all"]);
        let ran = home.run(["migrate", "models", "down", "--json"]);
        assert_eq!(code(&ran), (Some(4), "E_IRREVERSIBLE".to_owned()), "{ran:?}");
        assert_eq!(home.json(["status", "--all"]), before);
    }
}

#[test]
fn documents_that_join_have_what_the_others_have() {
    let home = models();
    home.run(["migrate", "models", "up", "--steps", "1"]).ok();
    fs::write(home.path("late.json"), "{\"_id\": \"late\", \"kind\": \"z\"}").unwrap();
    home.run(["import", "late.json", "--collection", "models"]).ok();
    let status = home.json(["status", "models/late"]);
    assert_eq!((&status["registered"], &status["missing"]), (&json!([FIRST]), &json!([SECOND])));
    // So does one that comes by itself.
    fs::write(home.path("alone.json"), "{\"_id\": \"alone\"}").unwrap();
    home.run(["import", "alone.json", "--name", "models/alone"]).ok();
    assert_eq!(home.json(["status", "models/alone"])["registered"], json!([FIRST]));
    home.run(["migrate", "models", "up"]).ok();
    assert_eq!(text(&home, "models/late"), "{\"_id\": \"late\", \"type\": \"z\"}");
    // One that goes its own way is found out before anything is done.
    home.run(["checkout", "models/a", "--revision", "models/a~1"]).ok();
    let ran = home.run(["migrate", "models", "down", "--json"]);
    assert_eq!(code(&ran), (Some(3), "E_UNEVEN".to_owned()));
    assert!(ran.stdout.contains("`models/a` has others"), "{ran:?}");
}

#[test]
fn a_collection_without_documents_remembers_what_ran() {
    let home = models();
    write(&home, FIRST, "collection.delete_many({})", "pass");
    home.run(["migrate", "models", "up"]).ok();
    assert_eq!(refs(&home), [""; 0]);
    assert_eq!(home.json(["migrate", "models", "up"])["steps"], json!([]));
    home.run(["migrate", "models", "down", "--steps", "2"]).ok();
    assert_eq!(refs(&home).len(), 3);
}

#[test]
fn documents_are_migrated_together_and_checkpoints_by_themselves() {
    let home = models();
    let ran = home.run(["checkout", "models/a", "--version", "latest", "--json"]);
    assert_eq!(code(&ran), (Some(3), "E_NOT_MIGRATABLE".to_owned()));
    let home = Home::with_checkpoint();
    home.run(["import", "a.ckpt", "--name", "runs/a"]).ok();
    assert_eq!(code(&home.run(["migrate", "runs", "up", "--json"])).1, "E_NO_CATALOGUE");
}

#[test]
fn a_collection_comes_out_as_lines_and_goes_in_again() {
    let home = models();
    fs::write(home.path("one.json"), "{\n  \"_id\": \"one\",\n  \"text\": \"a  b\"\n}\n").unwrap();
    home.run(["import", "one.json", "--collection", "models"]).ok();
    let report = home.json(["checkout", "--all", "--collection", "models", "-o", "out.jsonl"]);
    assert_eq!((report["documents"].clone(), report["passed_over"].clone()), (json!(4), json!(0)));
    let lines = fs::read_to_string(home.path("out.jsonl")).unwrap();
    assert_eq!(
        lines,
        "{\"_id\": {\"$oid\": \"507f1f77bcf86cd799439011\"}, \"at\": {\"$date\": \"2020-01-01T00:00:00Z\"}}\n\
         {\"_id\": \"a\", \"kind\": \"x\", \"n\": 1}\n{\"_id\": \"b\", \"kind\": \"y\"}\n\
         {\"_id\":\"one\",\"text\":\"a  b\"}\n"
    );
    // What is there is not overwritten unasked.
    let again = home.run(["checkout", "--all", "--collection", "models", "-o", "out.jsonl", "--json"]);
    assert_eq!(again.json()["error"]["code"], json!("E_EXISTS"));
    home.run(["checkout", "--all", "--collection", "models", "-o", "out.jsonl", "--force"]).ok();
    home.run(["import", "out.jsonl", "--collection", "copy"]).ok();
    home.run(["checkout", "--all", "--collection", "copy", "-o", "copy.jsonl"]).ok();
    assert_eq!(fs::read_to_string(home.path("copy.jsonl")).unwrap(), lines);
}

#[test]
fn an_id_too_long_for_a_name_gets_one_that_stays() {
    let home = models();
    let id = "x/".repeat(300);
    fs::write(home.path("long.jsonl"), format!("{{\"_id\": \"{id}\", \"kind\": \"x\"}}\n")).unwrap();
    home.run(["import", "long.jsonl", "--collection", "models"]).ok();
    let long = |home: &Home| refs(home).into_iter().find(|name| name.starts_with("models/x%2F")).unwrap();
    let name = long(&home);
    assert!(name.len() <= 200, "{name}");
    home.run(["migrate", "models", "up"]).ok();
    assert_eq!(long(&home), name);
    let document: Value = serde_json::from_str(&text(&home, &name)).unwrap();
    assert_eq!(document, json!({"_id": id, "type": "x", "owner": "ada"}));
    let again = home.json(["import", "long.jsonl", "--collection", "models"]);
    assert_eq!((again["added"].clone(), again["changed"].clone()), (json!(0), json!(1)));
}
