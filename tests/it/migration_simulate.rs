//! `ckstore simulate`.

use std::fs;

use serde_json::{Value, json};

use crate::bad_input::State;
use crate::merge::{begin, catalogue};
use crate::support::Home;

const RENAME: &str = "def migrate(ckpt):
    sd = ckpt['state_dict']
    sd['head.weight'] = sd.pop('a.weight')
    sd.pop('gone', None)
    return ckpt
";

/// Three checkpoints: one as the migration expects it, one that lacks the tensor, one of another shape.
fn home() -> Home {
    let home = Home::new();
    catalogue(&home, &["def migrate(ckpt):\n    ckpt['one'] = 1\n    return ckpt\n", RENAME]);
    let mut lacking = begin();
    lacking.remove("state_dict/a.weight");
    let mut wide = begin();
    wide.set_tensor("state_dict/a.weight", &[2, 1], &[0.0, 1.0]);
    let mut reference = begin();
    reference.remove("state_dict/a.weight");
    reference.set_tensor("state_dict/head.weight", &[2, 3], &[0.0; 6]);
    for (name, checkpoint) in
        [("fine", begin()), ("lacking", lacking), ("wide", wide), ("reference", reference)]
    {
        let file = format!("{name}.ckpt");
        checkpoint.save(&home.path(&file));
        home.run(["import", &file]).ok();
    }
    home.run(["baseline", "reference", "--version", "2.0.0"]).ok();
    home
}

fn by_name(report: &Value) -> Vec<(&str, &str, usize, usize)> {
    let rows = report["checkpoints"].as_array().unwrap().iter();
    let count = |value: &Value| value.as_array().unwrap().len();
    rows.map(|row| {
        let text = |key: &str| row[key].as_str().unwrap();
        (text("ref"), text("status"), count(&row["unmatched"]), count(&row["differs"]))
    })
    .collect()
}

#[test]
fn simulate_tells_which_checkpoints_fail_miss_keys_or_come_out_otherwise() {
    let home = home();
    home.run(["tag", "same", "fine"]).ok();
    let before = (State::of(&home), home.packs());
    let ran = home.run(["simulate", "1700000002_m2", "--reference", "reference", "--json"]);
    assert_eq!(ran.code, Some(7), "{ran:?}");
    let report = ran.json();
    assert_eq!(
        by_name(&report),
        [
            ("fine", "done", 1, 0),
            ("lacking", "failed", 2, 0),
            // Born with it: the store has nothing to bring back.
            ("reference", "unreachable", 0, 0),
            ("wide", "done", 1, 1),
        ]
    );
    let rows = report["checkpoints"].as_array().unwrap();
    assert!(rows[1]["error"].as_str().unwrap().contains("1700000002_m2.py, line 9: KeyError"), "{report}");
    assert_eq!(rows[0]["unmatched"][0]["line"], 10);
    assert_eq!(
        rows[3]["differs"][0],
        json!({"path": "state_dict/head.weight", "expected": "float32 [2, 3]", "found": "float32 [2, 1]"})
    );
    assert_eq!(report["problems"], 2);
    assert_eq!((State::of(&home), home.packs()), before);
    let text = home.run(["simulate", "1700000002_m2"]).stdout;
    assert!(text.contains("2 of 4") || text.contains("1 of 4"), "{text}");
}

#[test]
fn a_changed_migration_is_simulated_from_what_it_got_when_it_ran() {
    let home = home();
    home.run(["checkout", "fine", "--version", "2.0.0"]).ok();
    let path = home.path("migrations/1700000002_m2.py");
    let mended = fs::read_to_string(&path).unwrap().replace("head.weight", "top.weight");
    fs::write(&path, mended).unwrap();
    let before = (State::of(&home), home.packs());
    let report = home.run(["simulate", "1700000002_m2", "--json"]).json();
    assert_eq!(by_name(&report)[0], ("fine", "done", 1, 0));
    assert_eq!((State::of(&home), home.packs()), before);
}

#[test]
fn checkpoints_of_another_catalogue_are_passed_over() {
    let home = home();
    fs::create_dir(home.path("other")).unwrap();
    fs::write(home.path("other/1_x.py"), "def handle(ckpt):\n    return ckpt\n").unwrap();
    begin().save(&home.path("b.ckpt"));
    home.run(["import", "b.ckpt", "--name", "alien", "--catalogue", "other"]).ok();
    let report = home.run(["simulate", "1700000001_m1", "--json"]).json();
    let names: Vec<_> = by_name(&report).into_iter().map(|(name, ..)| name.to_owned()).collect();
    assert_eq!(names, ["fine", "lacking", "reference", "wide"]);
    assert_eq!(by_name(&home.json(["simulate", "1_x"])).len(), 1);
    crate::bad_input::refused(&home, &["simulate", "1700000001_m"], "E_NAME", 2);
}
