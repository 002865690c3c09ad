//! `ckstore migration list`, `create`, `lint` and `test`.

use std::fs;

use serde_json::{Value, json};

use crate::bad_input::{State, failure, refused};
use crate::merge::{begin, catalogue};
use crate::support::Home;
use crate::train::Checkpoint;

/// A checkpoint that is imported, and a catalogue of scripts with these bodies.
fn home(bodies: &[&str]) -> Home {
    let home = Home::new();
    catalogue(&home, bodies);
    begin().save(&home.path("a.ckpt"));
    home.run(["import", "a.ckpt"]).ok();
    home
}

fn write(home: &Home, file: &str, text: &str) {
    fs::create_dir_all(home.path("migrations")).unwrap();
    fs::write(home.path("migrations").join(file), text).unwrap();
}

/// Code, file and line of what `lint` finds.
fn findings(home: &Home, arguments: &[&str]) -> Vec<(String, String, Value)> {
    let all: Vec<&str> = ["migration", "lint", "--json"].iter().chain(arguments).copied().collect();
    let ran = home.run(&all);
    let report = ran.json();
    let found: Vec<_> = report["findings"].as_array().unwrap_or_else(|| panic!("{ran:?}")).clone();
    assert_eq!(ran.code, Some(if found.is_empty() { 0 } else { 6 }), "{ran:?}");
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    found.iter().map(|f| (text(f, "code"), text(f, "file"), f["line"].clone())).collect()
}

fn script(head: &str, body: &str) -> String {
    format!(
        "from anemoi.models.migrations import MigrationMetadata\n\
         metadata = MigrationMetadata(versions={{'migration': '1.0.0', 'anemoi-models': {head}}})\n{body}"
    )
}

#[test]
fn list_shows_groups_in_order_and_which_branches_have_what() {
    let home = Home::migrated();
    let report = home.json(["migration", "list"]);
    let migrations = report["migrations"].as_array().unwrap();
    let seen: Vec<_> = migrations
        .iter()
        .map(|m| (m["group"].as_u64().unwrap(), m["version"].as_str().unwrap(), m["refs"] == json!(["a"])))
        .collect();
    let expected = [
        (0, "0.8.1", true),
        (0, "0.8.3", true),
        (1, "0.9.0", false),
        (1, "0.10.5", false),
        (2, "0.12.0", false),
        (2, "0.12.2", false),
    ];
    assert_eq!(seen, expected);
    assert_eq!(report["groups"].as_array().unwrap().len(), 3);
    assert_eq!(report["groups"][1]["opened_by"], "1740787200_final_0_9_0");
    assert_eq!(report["groups"][1]["until"], "0.12.0");
    let text = home.run(["migration", "list"]).ok().stdout;
    assert_eq!(text.lines().count(), 7, "{text}");

    // It needs no store, and says which folder is missing.
    let bare = Home::new();
    let folder = home.path("migrations");
    let ran = bare.run(["migration", "list", "--catalogue", folder.to_str().unwrap()]).ok();
    assert_eq!(ran.stdout.lines().count(), 7);
    failure(&bare.run(["migration", "list", "--json"]), "E_NO_CATALOGUE", 2);
}

#[test]
fn what_create_writes_lints_clean_and_runs() {
    let forms: [&[&str]; 4] = [&[], &["--with-setup"], &["--form", "toml"], &["--form", "handle"]];
    for form in forms {
        let home = home(&["def migrate(ckpt):\n    return ckpt\n"]);
        let create = |name: &str| {
            let all: Vec<&str> = ["migration", "create", name].iter().chain(form).copied().collect();
            home.json(&all)["migration"].as_str().unwrap().to_owned()
        };
        let first = create("Move the encoder");
        let second = create("and-another");
        assert!(first < second && second.ends_with("_and_another"), "{first} {second}");
        assert_eq!(findings(&home, &["--against", "a"]), [], "{form:?}");
        let report = home.json(["checkout", "--version", "next"]);
        assert_eq!(report["applied"], json!([]), "what it had before");
        assert_eq!(report["operations"].as_array().unwrap().len(), 3, "{form:?}");
        let tensors = Checkpoint::load(&home.path("a.ckpt")).tensors();
        assert_eq!(tensors, begin().tensors());
        home.run(["migration", "test", &second]).ok();
        assert_eq!(home.json(["checkout", "base"])["operations"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn a_created_final_opens_a_group() {
    for form in ["py", "toml"] {
        let home = home(&["def migrate(ckpt):\n    return ckpt\n"]);
        home.run(["checkout", "--version", "1.0.0"]).ok();
        home.run(["migration", "create", "era", "--final", "--form", form, "-V", "2.0.0"]).ok();
        home.run(["migration", "create", "after", "--form", form, "-V", "2.0.1"]).ok();
        assert_eq!(findings(&home, &[]), []);
        let list = home.json(["migration", "list"]);
        let groups: Vec<_> =
            list["migrations"].as_array().unwrap().iter().map(|m| m["group"].as_u64().unwrap()).collect();
        assert_eq!(groups, [0, 1, 1]);
        let ran = home.run(["checkout", "--version", "2.0.1", "--json"]);
        failure(&ran, "E_TOO_OLD", 3);
    }
}

#[test]
fn create_refuses_what_cannot_be_and_overwrites_nothing() {
    let home = home(&[]);
    refused(&home, &["migration", "create", "../up"], "E_USAGE", 2);
    refused(&home, &["migration", "create", "x", "-V", "one"], "E_USAGE", 2);
    refused(&home, &["migration", "create", "x", "--form", "toml", "--with-setup"], "E_USAGE", 2);
    refused(&home, &["migration", "create", "x", "--form", "handle", "--final"], "E_USAGE", 2);
    // Nothing can come after it: names are ordered by their bytes.
    write(&home, "9_last.py", "def handle(ckpt):\n    return ckpt\n");
    refused(&home, &["migration", "create", "x"], "E_USAGE", 2);
}

#[test]
fn lint_finds_what_is_wrong_with_its_line() {
    let home = home(&[]);
    let body = "def migrate(ckpt):\n    return ckpt.pop('epoch') and ckpt\n";
    let same = "def rollback(ckpt):\n    return ckpt\n";
    write(&home, "10_a.py", &script("'1.0.0'", body));
    write(&home, "20_b.py", &script("'1.0.1'", &format!("{body}{same}")));
    write(&home, "30_again.py", &script("'1.0.2'", &format!("# Other words.\n{body}")));
    let with_body = script("'2.0.0'", "def migrate(ckpt):\n    return ckpt\n")
        .replace("'2.0.0'}", "'2.0.0'}, final=True");
    write(&home, "40_final.py", &with_body);
    write(
        &home,
        "50_older.py",
        &script("'1.5.0'", "import random\nimport os.path\ndef migrate(ckpt):\n    open('x')\n"),
    );
    write(&home, "60_none.py", &script("'2.0.1'", ""));
    write(
        &home,
        "9_order.py",
        &script("'2.0.2'", "def migrate(ckpt):\n    del ckpt['epoch']\n    return ckpt\n"),
    );
    let found = findings(&home, &[]);
    let found: Vec<(&str, &str, Option<u64>)> =
        found.iter().map(|(code, file, line)| (code.as_str(), file.as_str(), line.as_u64())).collect();
    assert_eq!(
        found,
        [
            ("W_IDENTITY_ROLLBACK", "20_b.py", Some(5)),
            ("W_DUPLICATE", "30_again.py", None),
            ("W_FINAL_BODY", "40_final.py", None),
            ("W_VERSION", "50_older.py", None),
            ("W_NONDETERMINISTIC", "50_older.py", Some(3)),
            ("W_SANDBOX", "50_older.py", Some(4)),
            ("W_SANDBOX", "50_older.py", Some(6)),
            ("W_EMPTY", "60_none.py", None),
            ("W_ORDER", "9_order.py", None),
        ]
    );
    write(&home, "70_broken.py", "def migrate(:\n");
    write(&home, "80_broken.toml", "version = '3'\n\n[[step]]\nrenam = 'a'\n");
    let found = findings(&home, &[]);
    assert_eq!(found[0], ("E_CATALOGUE".into(), "70_broken.py".into(), json!(1)));
    assert_eq!(found[1], ("E_CATALOGUE".into(), "80_broken.toml".into(), json!(3)));
}

#[test]
fn lint_finds_keys_that_a_stored_checkpoint_does_not_have() {
    let home = home(&[]);
    let step = |rename: &str| {
        format!(
            "version = '1.0.0'\n[[step]]\nin = 'state_dict'\nrename = '{rename}.weight'\nto = 'x.weight'\n"
        )
    };
    write(&home, "10_steps.toml", &step("a"));
    write(&home, "20_steps.toml", &step("missing"));
    let body = "def migrate(ckpt):\n    state = ckpt['state_dict']\n    state['y'] = state.pop('b.weight')\n    \
                for key in list(state):\n        if key.startswith('encoder.'):\n            state.pop(key)\n    \
                ckpt.pop('epochs', None)\n    return ckpt\n";
    write(&home, "30_script.py", &script("'1.0.1'", body));
    write(
        &home,
        "40_later.py",
        &script("'1.0.2'", "def migrate(ckpt):\n    del ckpt['state_dict']['y']\n    return ckpt\n"),
    );
    assert_eq!(findings(&home, &[]), []);
    let found = findings(&home, &["--against", "a"]);
    let places: Vec<_> =
        found.iter().map(|(code, file, line)| (code.as_str(), file.as_str(), line.as_u64())).collect();
    assert_eq!(
        places,
        [
            ("W_UNMATCHED", "20_steps.toml", Some(2)),
            ("W_UNMATCHED", "30_script.py", Some(7)),
            ("W_UNMATCHED", "30_script.py", Some(9)),
        ]
    );
    refused(&home, &["migration", "lint", "--against", "nothing"], "E_NAME", 2);
}

#[test]
fn test_goes_up_down_and_up_and_changes_nothing() {
    let good = "def migrate(ckpt):\n    sd = ckpt['state_dict']\n    sd['z.weight'] = sd.pop('a.weight')\n    return ckpt\n\
                def rollback(ckpt):\n    sd = ckpt['state_dict']\n    sd['a.weight'] = sd.pop('z.weight')\n    return ckpt\n";
    let home = home(&[good]);
    let before = (State::of(&home), home.packs());
    let report = home.json(["migration", "test", "1700000001_m1"]);
    assert_eq!((&report["passed"], &report["rollback"]), (&json!(true), &json!("script")));
    assert_eq!(report["back"]["reordered"], true, "the key came back at the end");
    assert_eq!((State::of(&home), home.packs()), before);
}

#[test]
fn test_tells_what_a_wrong_rollback_leaves() {
    let wrong: [(&str, &str); 4] = [
        ("    del ckpt['epoch']\n", "    return {**ckpt, 'epoch': 4}\n"),
        ("    ckpt['config']['x'] = {}\n", "    ckpt['seen'] = []\n    return ckpt\n"),
        (
            "    ckpt['again'] = ckpt['state_dict']['c.weight']\n",
            "    ckpt['again'] = ckpt['again'].clone()\n    return ckpt\n",
        ),
        (
            "    pass\n",
            "    ckpt['state_dict']['c.weight'] = ckpt['state_dict']['c.weight'] + 1\n    return ckpt\n",
        ),
    ];
    for (up, down) in wrong {
        let body = format!("def migrate(ckpt):\n{up}    return ckpt\ndef rollback(ckpt):\n{down}");
        let home = home(&[&body]);
        let before = State::of(&home);
        let ran = home.run(["migration", "test", "1700000001_m1", "--json"]);
        assert_eq!(ran.code, Some(7), "{ran:?}");
        let report = ran.json();
        assert_eq!(report["again"]["same"], true);
        assert_eq!(report["back"]["same"], false, "{up}{down}");
        assert!(report["back"]["differences"].is_object());
        assert_eq!(State::of(&home), before);
    }
}

#[test]
fn test_brings_the_checkpoint_to_where_the_migration_applies() {
    let bodies = [
        "def migrate(ckpt):\n    ckpt['one'] = 1\n    return ckpt\n",
        "def migrate(ckpt):\n    ckpt['two'] = ckpt['one'] + 1\n    return ckpt\n",
        "def migrate(ckpt):\n    ckpt['three'] = ckpt['two'] + 1\n    return ckpt\n",
    ];
    for version in ["0.0.1", "1.0.0", "3.0.0"] {
        let home = home(&bodies);
        home.run(["checkout", "--version", version]).ok();
        for number in 1..=3 {
            let name = format!("170000000{number}_m{number}");
            assert_eq!(home.json(["migration", "test", &name])["passed"], true, "{name} from {version}");
        }
    }
    let home = home(&bodies);
    refused(&home, &["migration", "test", "1700000001_m"], "E_NAME", 2);
    fs::write(home.path("migrations/1700000002_m2.py"), script("'2.0.0'", "def migrate(ckpt):\n    1/0\n"))
        .unwrap();
    let (message, _) = refused(&home, &["migration", "test", "1700000002_m2"], "E_SCRIPT", 7);
    assert!(message.contains("1700000002_m2.py, line 4: ZeroDivisionError"), "{message}");
}
