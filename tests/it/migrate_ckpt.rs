//! Folders of migrate-ckpt, and catalogues that mix the forms.

use std::fs;

use serde_json::{Value, json};

use crate::bad_input::{State, failure};
use crate::merge::begin;
use crate::support::Home;
use crate::train::Checkpoint;

const LIST: &str = "_migrate-ckpt-migrations";

/// A checkpoint that no framework has touched, and a folder of files with these bodies.
fn home(files: &[(&str, &str)]) -> Home {
    let home = Home::new();
    fs::create_dir(home.path("migrations")).unwrap();
    for (name, text) in files {
        fs::write(home.path("migrations").join(name), text).unwrap();
    }
    save(&home, |_| ());
    home
}

fn save(home: &Home, edit: impl FnOnce(&mut Checkpoint)) {
    let mut checkpoint = begin();
    checkpoint.remove("migrations");
    edit(&mut checkpoint);
    checkpoint.save(&home.path("a.ckpt"));
}

fn listed(checkpoint: &Checkpoint, list: &str) -> Vec<String> {
    let items = checkpoint.graph.elements(checkpoint.at(list));
    items.map(|item| checkpoint.graph.as_str(item).unwrap_or("no text").to_owned()).collect()
}

fn with_list(checkpoint: &mut Checkpoint, names: &[&str]) {
    let list = checkpoint.graph.add(ckstore::value::Kind::List);
    for name in names {
        let name = checkpoint.graph.add_str(*name);
        checkpoint.graph.node_mut(list).tail.push(ckstore::value::Tail::Append(name));
    }
    checkpoint.set(LIST, list);
}

fn names(report: &Value) -> Vec<&str> {
    let operations = report["operations"].as_array().unwrap().iter();
    operations.map(|operation| operation["migration"].as_str().unwrap()).collect()
}

const FIRST: &str = "def handle(ckpt):\n    ckpt['order'] = ['first']\n    return ckpt\n";
const SECOND: &str = "def handle(ckpt):\n    ckpt['order'].append('second')\n    return ckpt\n";
const THIRD: &str = "def handle(ckpt):\n    return {**ckpt, 'order': ckpt['order'] + ['third']}\n";

fn three() -> Home {
    home(&[
        ("2_c.py", THIRD),
        ("0_a.py", FIRST),
        ("1_b.py", SECOND),
        ("notes.txt", "none"),
        ("_helper.py", "x"),
    ])
}

#[test]
fn a_folder_runs_in_the_order_of_its_names_and_leaves_its_list() {
    let home = three();
    home.run(["import", "a.ckpt"]).ok();
    let report = home.json(["checkout", "--version", "latest"]);
    assert_eq!(names(&report), ["0_a", "1_b", "2_c"]);
    let done = Checkpoint::load(&home.path("a.ckpt"));
    assert_eq!(listed(&done, "order"), ["first", "second", "third"]);
    assert_eq!(listed(&done, LIST), ["0_a", "1_b", "2_c"]);
    assert_eq!(done.keys(""), ["state_dict", "config", "epoch", "order", LIST]);
    assert_eq!(home.json(["checkout", "--version", "latest"])["in_sync"], true);
    // The list in the file tells another store what it has.
    let other = Home::new();
    fs::copy(home.path("a.ckpt"), other.path("b.ckpt")).unwrap();
    let folder = home.path("migrations");
    let report = other.json(["import", "b.ckpt", "--catalogue", folder.to_str().unwrap()]);
    assert_eq!(report["applied"], json!(["0_a", "1_b", "2_c"]));
}

#[test]
fn only_what_follows_the_last_done_is_run() {
    let fourth = "def handle(ckpt):\n    ckpt['epoch'] = 4\n    return ckpt\n";
    for (has, runs) in [
        (&[][..], &["0_a", "1_b", "2_c", "3_d"][..]),
        (&["1_b"], &["2_c", "3_d"]),
        (&["0_a", "2_c"], &["3_d"]),
    ] {
        let home = three();
        fs::write(home.path("migrations/3_d.py"), fourth).unwrap();
        save(&home, |checkpoint| {
            let list = checkpoint.graph.add(ckstore::value::Kind::List);
            checkpoint.set("order", list);
            with_list(checkpoint, has);
        });
        home.run(["import", "a.ckpt"]).ok();
        let report = home.json(["checkout", "--version", "latest"]);
        assert_eq!(names(&report), runs, "{has:?}");
        let done = Checkpoint::load(&home.path("a.ckpt"));
        assert_eq!(listed(&done, LIST), [has, runs].concat());
    }
}

#[test]
fn a_handle_that_fails_leaves_the_checkpoint_as_it_was() {
    let fails = "def handle(ckpt):\n    ckpt['state_dict'].clear()\n    ckpt['epoch'] = 0\n    raise RuntimeError('no')\n";
    let home = home(&[("0_a.py", FIRST), ("1_b.py", fails)]);
    home.run(["import", "a.ckpt"]).ok();
    let before = State::of(&home);
    let ran = home.run(["checkout", "--version", "latest", "--json"]);
    let message = failure(&ran, "E_SCRIPT", 7)["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "migration `1_b` failed: 1_b.py, line 4: RuntimeError: no");
    let mut after = State::of(&home);
    let failed = after.history["entries"].as_array_mut().unwrap().pop().unwrap();
    assert_eq!((&failed["status"], &failed["migration"]), (&json!("failed"), &json!("1_b")));
    assert_eq!(after, before);
}

#[test]
fn a_new_dict_is_the_same_as_one_edited_in_place() {
    let in_place = "def handle(ckpt):\n    ckpt['state_dict']['z'] = ckpt['state_dict'].pop('a.weight')\n    \
                    ckpt['seen'] = True\n    return ckpt\n";
    let new = "def handle(ckpt):\n    out = dict(ckpt)\n    state = dict(out['state_dict'])\n    \
               state['z'] = state.pop('a.weight')\n    out['state_dict'] = state\n    out['seen'] = True\n    return out\n";
    let results = [in_place, new].map(|body| {
        let home = home(&[("0_a.py", FIRST), ("1_b.py", body)]);
        home.run(["import", "a.ckpt"]).ok();
        home.run(["checkout", "--version", "latest"]).ok();
        let done = Checkpoint::load(&home.path("a.ckpt"));
        (done.tensors(), done.paths())
    });
    assert_eq!(results[0], results[1]);
}

#[test]
fn a_new_dict_without_the_list_keeps_the_list_and_a_list_taken_out_is_refused() {
    let new = "def handle(ckpt):\n    return {'state_dict': ckpt['state_dict']}\n";
    let home1 = home(&[("0_a.py", FIRST), ("1_b.py", new)]);
    home1.run(["import", "a.ckpt"]).ok();
    home1.run(["checkout", "--version", "latest"]).ok();
    let done = Checkpoint::load(&home1.path("a.ckpt"));
    assert_eq!(done.keys(""), ["state_dict", LIST]);
    assert_eq!(listed(&done, LIST), ["0_a", "1_b"]);
    assert_eq!(home1.findings(false), [""; 0]);

    for body in [
        "    del ckpt[KEY]\n",
        "    ckpt[KEY].append('2_c')\n",
        "    ckpt[KEY] = []\n",
        "    ckpt[KEY] = 7\n",
    ] {
        let body = format!("KEY = '{LIST}'\ndef handle(ckpt):\n{body}    return ckpt\n");
        let home = home(&[("0_a.py", FIRST), ("1_b.py", &body)]);
        home.run(["import", "a.ckpt"]).ok();
        let ran = home.run(["checkout", "--version", "latest", "--json"]);
        let message = failure(&ran, "E_SCRIPT", 7)["message"].as_str().unwrap().to_owned();
        assert!(message.contains("`1_b`") && message.contains(LIST), "{message}");
    }
}

const SCRIPT: &str = "from anemoi.models.migrations import MigrationMetadata
metadata = MigrationMetadata(versions={'migration': '1.0.0', 'anemoi-models': '1.0.0'})
def migrate(ckpt):
    ckpt['order'] = ['first']
    return ckpt
";

const STEPS: &str = "version = '1.1.0'
[[step]]
in = 'state_dict'
rename = 'a.*'
to = 'encoder.*'
";

#[test]
fn forms_are_mixed_in_one_catalogue() {
    let home = home(&[("10_script.py", SCRIPT), ("20_steps.toml", STEPS), ("30_handle.py", SECOND)]);
    begin().save(&home.path("a.ckpt"));
    home.run(["import", "a.ckpt"]).ok();
    let list = home.json(["migration", "list"]);
    let rows = list["migrations"].as_array().unwrap().iter();
    let forms: Vec<_> = rows
        .map(|m| (m["form"].as_str().unwrap(), m["version"].as_str(), m["code"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        forms,
        [
            ("anemoi", Some("1.0.0"), true),
            ("declarative", Some("1.1.0"), false),
            ("migrate-ckpt", Some("1.1.0"), true)
        ]
    );
    let report = home.json(["checkout", "--version", "1.1"]);
    assert_eq!(names(&report), ["10_script", "20_steps", "30_handle"]);
    let done = Checkpoint::load(&home.path("a.ckpt"));
    assert_eq!(listed(&done, "order"), ["first", "second"]);
    assert!(done.has("state_dict/encoder.weight") && !done.has(LIST));
    for (place, name) in ["10_script", "20_steps", "30_handle"].iter().enumerate() {
        assert_eq!(done.graph.as_str(done.at(&format!("migrations/{place}/name"))), Some(*name));
    }
    home.run(["checkout", "base"]).ok();
    let back = Checkpoint::load(&home.path("a.ckpt"));
    assert_eq!((back.tensors(), back.keys("state_dict")), (begin().tensors(), begin().keys("state_dict")));
    assert!(!back.has("order"));
}

#[test]
fn catalogue_toml_says_name_version_policy_and_place_of_the_list() {
    let two = SCRIPT.replace("'anemoi-models': '1.0.0'", "'anemoi-models': '9.0.0', 'weather': '2.0.0'");
    let home = home(&[("10_script.py", &two), ("20_handle.py", SECOND)]);
    failure(&home.run(["migration", "list", "--json"]), "E_CATALOGUE", 6);
    let config = "name = 'ours'\nversion_key = 'weather'\npolicy = 'last-done'\nlist_key = 'steps'\n";
    fs::write(home.path("migrations/catalogue.toml"), config).unwrap();
    let list = home.json(["migration", "list"]);
    assert_eq!(
        (&list["catalogue"], &list["policy"], &list["list_key"], &list["migrations"][0]["version"]),
        (&json!("ours"), &json!("last-done"), &json!("steps"), &json!("2.0.0"))
    );
    save(&home, |checkpoint| {
        let list = checkpoint.graph.add(ckstore::value::Kind::List);
        checkpoint.set("steps", list);
    });
    home.run(["import", "a.ckpt"]).ok();
    home.run(["checkout", "--version", "2.0.0"]).ok();
    let done = Checkpoint::load(&home.path("a.ckpt"));
    assert_eq!(done.graph.as_str(done.at("steps/1/name")), Some("20_handle"));
    assert!(!done.has("migrations") && !done.has(LIST));
    assert_eq!(home.json(["log", "groups"])["groups"][0]["catalogue"], "ours");
    // Last done: never back.
    let plan = home.json(["plan", "--version", "0.1"]);
    assert_eq!(plan["operations"], json!([]));
    for (line, what) in [("polcy = 'prefix'", "polcy"), ("policy = 'first'", "first"), ("name = 7", "7")] {
        fs::write(home.path("migrations/catalogue.toml"), format!("version_key = 'weather'\n{line}\n"))
            .unwrap();
        let error = failure(&home.run(["plan", "--json"]), "E_CATALOGUE", 6);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("catalogue.toml:2") && message.contains(what), "{message}");
    }
}
