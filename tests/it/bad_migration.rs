//! Migrations that cannot be carried out: an error with file, line and name, and nothing changed but the history.

use std::fs;

use serde_json::{Value, json};

use crate::bad_input::{State, failure};
use crate::merge::{begin, catalogue};
use crate::support::Home;
use crate::train::Checkpoint;

const GOOD: &str = "def migrate(ckpt):\n    ckpt['good'] = 1\n    return ckpt\n";

/// A checkpoint that a good migration can be run on, and then the one that is bad.
fn home(body: &str) -> Home {
    let home = Home::new();
    catalogue(&home, &[GOOD, body]);
    begin().save(&home.path("a.ckpt"));
    home.run(["import", "a.ckpt"]).ok();
    home
}

/// Runs both, of which the second must fail, and checks that all is as before but for the failed run.
#[track_caller]
fn fails(home: &Home, migration: &str) -> String {
    let before = State::of(home);
    let ran = home.run(["checkout", "--version", "2.0.0", "--json"]);
    let message = failure(&ran, "E_SCRIPT", 7)["message"].as_str().unwrap().to_owned();
    let mut after = State::of(home);
    let entries = after.history["entries"].as_array_mut().unwrap();
    let place = entries.iter().position(|entry| entry["status"] == "failed").expect("a failed run");
    let failed = entries.remove(place);
    assert_eq!((&failed["migration"], &failed["kind"]), (&json!(migration), &json!("migrate")));
    assert!(message.ends_with(failed["error"].as_str().unwrap()), "{message}: {failed}");
    assert_eq!(after, before);
    message
}

#[test]
fn what_a_script_does_wrong_is_told_with_file_and_line() {
    let cases = [
        (
            "def migrate(ckpt):\n    ckpt['state_dict'].clear()\n    raise ValueError('half-way')\n    return ckpt\n",
            9,
            "ValueError: half-way",
        ),
        ("def migrate(ckpt):\n    ckpt['epoch'] = 9\n", 7, "`migrate` returned None"),
        ("def migrate(ckpt):\n    return 7\n", 7, "`migrate` returned int"),
        ("def migrate(ckpt):\n    return [ckpt]\n", 7, "`migrate` returned list"),
        ("def migrate(ckpt):\n    ckpt['f'] = migrate\n    return ckpt\n", 7, "`f` holds a function"),
        (
            "def migrate(ckpt):\n    ckpt['config']['f'] = lambda: 1\n    return ckpt\n",
            7,
            "`config/f` holds a function",
        ),
        (
            "def migrate(ckpt):\n    ckpt['f'] = (i for i in [1])\n    return ckpt\n",
            7,
            "`f` holds a generator",
        ),
        ("def migrate(ckpt):\n    ckpt['f'] = open('x')\n    return ckpt\n", 8, "open"),
        (
            "def migrate(ckpt):\n    del ckpt['migrations']\n    return ckpt\n",
            7,
            "own list of migrations, `migrations`",
        ),
        (
            "def migrate(ckpt):\n    ckpt['migrations'].pop()\n    return ckpt\n",
            7,
            "own list of migrations, `migrations`",
        ),
        ("def migrate(ckpt):\n    return migrate(ckpt)\n", 8, "Recursion"),
        ("def migrate(ckpt):\n    ckpt['f'] = [0] * (1 << 40)\n    return ckpt\n", 0, "emory"),
        (
            "def migrate(ckpt):\n    all = []\n    while True:\n        all.append('x' * (1 << 26) + str(len(all)))\n",
            0,
            "emory",
        ),
        (
            "import torch\ndef migrate(ckpt):\n    ckpt['f'] = torch.zeros(1 << 45)\n    return ckpt\n",
            8,
            "bytes",
        ),
        ("def migrate(ckpt:\n    return ckpt\n", 8, "not valid Python"),
    ];
    for (body, line, what) in cases {
        let home = if what == "not valid Python" {
            let home = home(GOOD);
            catalogue(&home, &[GOOD, body]);
            let ran = home.run(["checkout", "--version", "2.0.0", "--json"]);
            let message = failure(&ran, "E_CATALOGUE", 6)["message"].as_str().unwrap().to_owned();
            assert!(message.contains("1700000002_m2.py:8") && message.contains(what), "{message}");
            continue;
        } else {
            home(body)
        };
        let message = fails(&home, "1700000002_m2");
        assert!(message.contains("`1700000002_m2`") && message.contains(what), "{body}: {message}");
        let place =
            if line == 0 { "1700000002_m2.py".to_owned() } else { format!("1700000002_m2.py, line {line}") };
        assert!(message.contains(&place), "{body}: {message}");
    }
}

#[test]
fn what_does_not_fit_a_declared_step_is_told_with_file_and_line() {
    let cases = [
        ("rename = 'a.weight'\nto = 'b.weight'\n", "`state_dict/b.weight` exists already"),
        ("rename = '?.weight'\nto = 'all.weight'\n", "has not the wildcards of"),
        (
            "rename = '([abc]).weight'\nregex = true\nto = 'all.weight'\n",
            "`state_dict/b.weight` would both become",
        ),
        (
            "rename = '(a|b)(.)weight'\nregex = true\nto = 'all${2}weight'\n",
            "would both become `state_dict/all.weight`",
        ),
        ("rename = 'missing'\nto = 'x'\n", "nothing matches `missing`"),
        ("move = 'a.weight'\nto = 'c.weight'\n", "`state_dict/c.weight` exists already"),
        ("split = 'a.weight'\ninto = ['x', 'y', 'z']\n", "does not fall into 3 equal parts"),
        ("concat = ['a.weight', 'b.weight']\ninto = 'x'\n", "shape"),
        ("reshape = 'a.weight'\nto = [4, 2]\n", "shape"),
        ("cast = 'a.weight'\nfrom = 'int32'\nto = 'float16'\n", "element type"),
        ("transpose = 'c.weight'\n", "dimension"),
    ];
    for (step, what) in cases {
        let home = home(GOOD);
        fs::remove_file(home.path("migrations/1700000002_m2.py")).unwrap();
        let text = format!("version = '2.0.0'\n\n[[step]]\nin = 'state_dict'\n{step}");
        fs::write(home.path("migrations/1700000002_m2.toml"), text).unwrap();
        if what.contains("has not the wildcards of") {
            // Seen without a checkpoint.
            let ran = home.run(["checkout", "--version", "2.0.0", "--json"]);
            let message = failure(&ran, "E_CATALOGUE", 6)["message"].as_str().unwrap().to_owned();
            assert!(message.contains("1700000002_m2.toml:") && message.contains(what), "{message}");
            continue;
        }
        let message = fails(&home, "1700000002_m2");
        assert!(message.contains("`1700000002_m2`") && message.contains(what), "{step}: {message}");
        assert!(message.contains("1700000002_m2.toml, line 3"), "{step}: {message}");
    }
}

#[test]
fn what_no_step_knows_is_told_when_the_catalogue_is_read() {
    let head = "version = '2.0.0'\n\n[[step]]\nin = 'state_dict'\n";
    let cases = [
        (format!("{head}rename = 'a'\nto = 'b'\noptionl = true\n"), 7, "`optionl`"),
        (format!("{head}renam = 'a'\n"), 3, "a step does one of"),
        (format!("{head}rename = 'a'\ndelete = 'b'\n"), 3, "one thing"),
        (format!("{head}rename = 7\n"), 5, "`rename` is not text"),
        (format!("{head}rename = '(['\nregex = true\nto = 'x'\n"), 5, ""),
        (format!("{head}cast = 'a'\nto = 'float17'\n"), 6, "float17"),
        ("version = '2.0.0'\nfinl = true\n".into(), 2, "`finl`"),
        ("version = 'two'\n".into(), 1, "two"),
        ("version = '2.0.0\n".into(), 1, "not valid TOML"),
    ];
    for (text, line, what) in cases {
        let home = home(GOOD);
        fs::remove_file(home.path("migrations/1700000002_m2.py")).unwrap();
        fs::write(home.path("migrations/1700000002_m2.toml"), &text).unwrap();
        let ran = home.run(["checkout", "--version", "2.0.0", "--json"]);
        let message = failure(&ran, "E_CATALOGUE", 6)["message"].as_str().unwrap().to_owned();
        assert!(message.contains(&format!("1700000002_m2.toml:{line}: ")), "{text}: {message}");
        assert!(message.contains(what), "{text}: {message}");
    }
}

/// How often scripts ran: each prints a line.
fn printed(home: &Home) -> Vec<String> {
    let ran = home.run(["checkout", "--version", "3.0.0"]);
    let lines = ran.stderr.lines().filter_map(|line| line.strip_prefix("script: "));
    lines.map(str::to_owned).collect()
}

#[test]
fn checkout_goes_on_from_the_last_good_step() {
    let step = |number: usize, rest: &str| {
        format!(
            "def migrate(ckpt):\n    print('step {number}')\n    ckpt['step{number}'] = {number}\n{rest}    return ckpt\n"
        )
    };
    for with_list in [true, false] {
        let home = Home::new();
        let (first, second, third) = (step(1, ""), step(2, ""), step(3, "    1 / 0\n"));
        catalogue(&home, &[&first, &second, &third]);
        let mut checkpoint = begin();
        if !with_list {
            checkpoint.remove("migrations");
        }
        checkpoint.save(&home.path("a.ckpt"));
        home.run(["import", "a.ckpt"]).ok();
        if !with_list {
            home.run(["baseline", "--to", "base"]).ok();
        }
        assert_eq!(printed(&home), [""; 0], "what a failing run printed is not shown");
        catalogue(&home, &[&first, &second, &step(3, "")]);
        assert_eq!(printed(&home), ["step 3"], "the first two are remembered");
        let done = Checkpoint::load(&home.path("a.ckpt"));
        assert_eq!((done.int("step1"), done.int("step2"), done.int("step3")), (1, 2, 3));
        let history = home.json(["log", "history"]);
        let entries = history["entries"].as_array().unwrap().iter();
        let seen: Vec<(&str, &str)> = entries
            .filter(|entry| entry["kind"] == "migrate")
            .map(|entry| (entry["migration"].as_str().unwrap(), entry["status"].as_str().unwrap()))
            .collect();
        let m = |n: usize| ["1700000001_m1", "1700000002_m2", "1700000003_m3"][n - 1];
        assert_eq!(seen, [(m(3), "failed"), (m(1), "done"), (m(2), "done"), (m(3), "done")]);
        assert_eq!(home.findings(false), [""; 0]);
        let _: Value = history;
    }
}
