//! `ckstore migration fix-order`, in a repository of git.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::bad_input::refused;
use crate::merge::begin;
use crate::support::Home;
use crate::train::Checkpoint;

fn git(home: &Home, arguments: &[&str]) {
    let status = Command::new("git")
        .current_dir(home.dir.path())
        .args(["-c", "user.name=ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    assert!(status.status.success(), "{arguments:?}: {status:?}");
}

fn add(home: &Home, file: &str, version: &str, body: &str) {
    let key = body.split('\'').nth(1).unwrap_or("none");
    let text = format!(
        "from anemoi.models.migrations import MigrationMetadata\n\
         metadata = MigrationMetadata(versions={{'migration': '1.0.0', 'anemoi-models': '{version}'}})\n\
         def migrate(ckpt):\n{body}    return ckpt\n\
         def rollback(ckpt):\n    del ckpt['{key}']\n    return ckpt\n"
    );
    fs::write(home.path("migrations").join(file), text).unwrap();
}

fn names(home: &Home) -> Vec<String> {
    let list = home.json(["migration", "list"]);
    let names = list["migrations"].as_array().unwrap().iter();
    names.map(|migration| migration["migration"].as_str().unwrap().to_owned()).collect()
}

/// A repository whose branch `feature` has two migrations that sort before one that `main` has by now.
fn repository() -> Home {
    let home = Home::new();
    fs::create_dir(home.path("migrations")).unwrap();
    git(&home, &["init", "-q", "-b", "main"]);
    add(&home, "1700000000_first.py", "1.0.0", "    ckpt['first'] = 1\n");
    git(&home, &["add", "migrations"]);
    git(&home, &["commit", "-q", "-m", "first"]);
    git(&home, &["checkout", "-q", "-b", "feature"]);
    add(&home, "1700000100_mine.py", "1.1.0", "    ckpt['mine'] = ckpt['first'] + 1\n");
    add(&home, "1700000900_too.py", "1.2.0", "    ckpt['too'] = ckpt['mine'] + 1\n");
    git(&home, &["add", "migrations"]);
    git(&home, &["commit", "-q", "-m", "mine"]);
    home
}

/// `main` goes on, and `feature` takes that in.
fn main_goes_on(home: &Home) {
    git(home, &["checkout", "-q", "main"]);
    add(home, "1700000500_other.py", "1.0.1", "    ckpt['other'] = 7\n");
    git(home, &["add", "migrations"]);
    git(home, &["commit", "-q", "-m", "other"]);
    git(home, &["checkout", "-q", "feature"]);
    git(home, &["merge", "-q", "--no-edit", "main"]);
}

#[test]
fn checkpoints_that_ran_a_migration_under_its_old_name_are_still_known() {
    let home = repository();
    begin().save(&home.path("a.ckpt"));
    home.run(["import", "a.ckpt"]).ok();
    home.run(["checkout", "latest"]).ok();
    // One that another store migrated: only its own list tells what it has.
    let elsewhere = fs::read(home.path("a.ckpt")).unwrap();
    main_goes_on(&home);

    let dry = home.json(["migration", "fix-order", "-n"]);
    assert_eq!((&dry["done"], dry["renamed"].as_array().unwrap().len()), (&json!(false), 2));
    let report = home.json(["migration", "fix-order"]);
    assert_eq!(report["done"], true);
    assert_eq!(report["added"], json!(["1700000100_mine.py", "1700000900_too.py"]));
    let now = names(&home);
    assert_eq!(now[..2], ["1700000000_first", "1700000500_other"]);
    assert!(now[2].ends_with("_mine") && now[3].ends_with("_too"), "{now:?}");
    assert_eq!(home.json(["migration", "fix-order"])["renamed"], json!([]), "it is in order now");

    fs::create_dir(home.path("elsewhere")).unwrap();
    fs::write(home.path("elsewhere/b.ckpt"), elsewhere).unwrap();
    let path = home.path("elsewhere/.ckstore");
    let store = path.to_str().unwrap();
    home.run(["import", "elsewhere/b.ckpt", "--store", store]).ok();
    let status = home.json(["status", "b", "--store", store]);
    assert_eq!(status["extra"], json!([]), "{status}");
    let plan = home.json(["plan", "--version", "latest", "--store", store]);
    assert_eq!(
        plan["warnings"].as_array().unwrap().iter().filter(|w| w["code"] == "W_RENAMED").count(),
        2,
        "{plan}"
    );

    // There the store has kept nothing: the migrations' own rollbacks are used, from files that have other names now.
    home.run(["checkout", "--version", "1.0.0", "--store", store]).ok();
    let back = Checkpoint::load(&home.path("elsewhere/b.ckpt"));
    assert!(back.has("first") && !back.has("mine") && !back.has("too"));

    let report = home.json(["checkout", "latest"]);
    let steps: Vec<_> = report["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| (o["kind"].as_str().unwrap(), o["migration"].as_str().unwrap().split_once('_').unwrap().1))
        .collect();
    assert_eq!(
        steps,
        [
            ("rollback", "too"),
            ("rollback", "mine"),
            ("migrate", "other"),
            ("migrate", "mine"),
            ("migrate", "too")
        ]
    );
    let done = Checkpoint::load(&home.path("a.ckpt"));
    assert_eq!((done.int("other"), done.int("mine"), done.int("too")), (7, 2, 3));
    let status = home.json(["status"]);
    assert_eq!((&status["extra"], &status["missing"]), (&json!([]), &json!([])));
    let listed: Vec<String> = (0..4)
        .map(|i| done.graph.as_str(done.at(&format!("migrations/{i}/name"))).unwrap().to_owned())
        .collect();
    assert_eq!(listed, now);
}

#[test]
fn fix_order_asks_git_and_says_what_it_does_not_know() {
    let home = repository();
    main_goes_on(&home);
    let (message, _) = refused(&home, &["migration", "fix-order", "--base", "nowhere"], "E_USAGE", 2);
    assert!(message.contains("`nowhere`"), "{message}");
    // What is not committed yet counts as new too.
    add(&home, "1700000050_fresh.toml", "1", "");
    fs::write(home.path("migrations/1700000050_fresh.toml"), "version = '1.3.0'\n").unwrap();
    let added = home.json(["migration", "fix-order", "--base", "main"])["added"].clone();
    assert_eq!(added, json!(["1700000050_fresh.toml", "1700000100_mine.py", "1700000900_too.py"]));
    let now = names(&home);
    let order: Vec<&str> = now.iter().map(|name| name.split_once('_').unwrap().1).collect();
    assert_eq!(order, ["first", "other", "fresh", "mine", "too"]);

    let outside = Home::new();
    fs::create_dir(outside.path("migrations")).unwrap();
    fs::write(outside.path("migrations/1_a.py"), "def handle(ckpt):\n    return ckpt\n").unwrap();
    let mut command = outside.command(["migration", "fix-order", "--json"]);
    command.env("GIT_CEILING_DIRECTORIES", outside.dir.path().parent().unwrap());
    let ran = crate::support::Ran::of(command.output().unwrap());
    assert_eq!((ran.code, &ran.json()["error"]["code"]), (Some(2), &json!("E_USAGE")));
}
