//! `ckstore bisect`.

use std::fs;

use serde_json::{Value, json};

use crate::bad_input::{State, failure};
use crate::merge::{begin, catalogue};
use crate::support::Home;
use crate::train::Checkpoint;

/// A checkpoint with nine migrations, of which the sixth brings a text that the check does not like.
fn home() -> Home {
    let home = Home::new();
    let bodies: Vec<String> = (1..=9)
        .map(|number| {
            let text = if number == 6 { "HARMFUL" } else { "harmless" };
            format!("def migrate(ckpt):\n    ckpt['key{number}'] = '{text}'\n    return ckpt\n")
        })
        .collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    catalogue(&home, &bodies);
    begin().save(&home.path("a.ckpt"));
    home.run(["import", "a.ckpt"]).ok();
    fs::write(home.path("check.sh"), "! grep -q HARMFUL \"$1\"\n").unwrap();
    home
}

fn bisect(home: &Home, arguments: &[&str]) -> Value {
    let all: Vec<&str> = ["bisect", "--json"].iter().chain(arguments).copied().collect();
    let before = (State::of(home), home.packs());
    let ran = home.run(&all);
    assert_eq!((State::of(home), home.packs()), before);
    let report = ran.json();
    let expected = if report["first_bad"].is_object() { 0 } else { 7 };
    assert_eq!(ran.code, Some(expected), "{ran:?}");
    report
}

#[test]
fn the_migration_that_changed_the_verdict_is_found_in_the_plan_and_in_the_history() {
    let home = home();
    let planned = bisect(&home, &["--version", "9.0.0", "--", "sh", "check.sh", "{}"]);
    assert_eq!(planned["first_bad"]["migration"], "1700000006_m6");
    assert_eq!(planned["steps"].as_array().unwrap().len(), 10);
    assert!(planned["runs"].as_array().unwrap().len() <= 6, "two ends and four halvings: {planned}");
    failure(&home.run(["bisect", "--json", "--", "sh", "check.sh"]), "E_BISECT", 7);

    home.run(["checkout", "--version", "3.0.0"]).ok();
    let mut trained = Checkpoint::load(&home.path("a.ckpt"));
    trained.train(|_| true);
    trained.save(&home.path("a.ckpt"));
    home.run(["import"]).ok();
    home.run(["checkout", "--version", "9.0.0"]).ok();
    let found = bisect(&home, &["--", "sh", "check.sh", "{}"]);
    assert_eq!(found["first_bad"]["migration"], "1700000006_m6");
    assert_eq!(found["first_bad"]["kind"], "migrate");
    assert_eq!(
        found["steps"].as_array().unwrap().len(),
        11,
        "nine migrations and an import behind the first"
    );
    assert_eq!(found["steps"][4]["kind"], "import");
    // Without `{}` the path comes last.
    assert_eq!(bisect(&home, &["--", "sh", "check.sh"])["first_bad"], found["first_bad"]);
    let text = home.run(["bisect", "--", "sh", "check.sh", "{}"]).ok();
    assert!(text.stdout.starts_with("1700000006_m6 (6.0.0) is the first bad step"), "{text:?}");
}

#[test]
fn an_import_can_be_what_changed_the_verdict() {
    let home = home();
    home.run(["checkout", "--version", "2.0.0"]).ok();
    let mut trained = Checkpoint::load(&home.path("a.ckpt"));
    trained.set_text("note", "HARMFUL");
    trained.save(&home.path("a.ckpt"));
    home.run(["import"]).ok();
    home.run(["checkout", "--version", "4.0.0"]).ok();
    let found = bisect(&home, &["--", "sh", "check.sh"]);
    assert_eq!(
        (&found["first_bad"]["kind"], &found["first_bad"]["migration"]),
        (&json!("import"), &Value::Null)
    );
    let since = home.json(["log"])["entries"][1]["revision"].as_str().unwrap().to_owned();
    let ran = home.run(["bisect", "--since", &since, "--json", "--", "sh", "check.sh"]);
    assert!(failure(&ran, "E_BISECT", 7)["message"].as_str().unwrap().contains("before the first step"));
}

#[test]
fn skipped_checkpoints_leave_all_steps_between_named() {
    let home = home();
    let script = "grep -q key4 \"$1\" && ! grep -q key7 \"$1\" && exit 125\n! grep -q HARMFUL \"$1\"\n";
    fs::write(home.path("check.sh"), script).unwrap();
    let report = bisect(&home, &["--version", "9.0.0", "--", "sh", "check.sh"]);
    assert_eq!(report["first_bad"], Value::Null);
    assert_eq!(report["candidates"], json!([4, 5, 6, 7]));
    // One that is skipped on the way does not hide the answer.
    let script = "grep -q key4 \"$1\" && ! grep -q key5 \"$1\" && exit 125\n! grep -q HARMFUL \"$1\"\n";
    fs::write(home.path("check.sh"), script).unwrap();
    let report = bisect(&home, &["--version", "9.0.0", "--", "sh", "check.sh"]);
    assert_eq!(report["first_bad"]["place"], 6);
}

#[test]
fn a_command_without_a_verdict_ends_the_search() {
    let home = home();
    for (script, what) in [
        ("exit 0\n", "good after the last step too"),
        ("exit 1\n", "bad before the first step already"),
        ("exit 125\n", "skips the last checkpoint"),
        ("exit 128\n", "no verdict"),
        ("kill -9 $$\n", "no verdict"),
    ] {
        fs::write(home.path("check.sh"), script).unwrap();
        let before = State::of(&home);
        let ran = home.run(["bisect", "--version", "9.0.0", "--json", "--", "sh", "check.sh"]);
        let message = failure(&ran, "E_BISECT", 7)["message"].as_str().unwrap().to_owned();
        assert!(message.contains(what), "{message}");
        assert_eq!(State::of(&home), before);
    }
    let ran = home.run(["bisect", "--version", "9.0.0", "--json", "--", "./no-such-program"]);
    failure(&ran, "E_BISECT", 7);
    failure(&home.run(["bisect", "--version", "9.0.0", "--json"]), "E_USAGE", 2);
}
