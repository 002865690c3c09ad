//! What takes no more than its share of a store that was used for years.

use std::fs;
use std::process::Stdio;

use crate::corpus::wait;
use crate::support::{Home, Tensor, safetensors};

/// The most memory that any command may take on a checkpoint of so many tensors.
const MOST_BYTES: u64 = 256 << 20;
const TENSORS: u32 = 50_000;

/// A checkpoint of one small tensor.
fn import(home: &Home, number: u32) {
    let bytes = number.to_le_bytes().repeat(20);
    let tensor = Tensor { name: "weight".into(), dtype: "F32", shape: vec![20], bytes };
    fs::write(home.path("model.safetensors"), safetensors(&[tensor])).unwrap();
    home.run(["import", "model.safetensors"]).ok();
}

/// A store with migrations, where one ran long ago and training went on since.
fn trained() -> Home {
    let home = Home::new();
    fs::create_dir(home.path("migrations")).unwrap();
    let migration = "version = \"1.1.0\"\n\n[[step]]\nrename = \"weight\"\nto = \"kernel\"\n";
    fs::write(home.path("migrations/1700000000_rename.toml"), migration).unwrap();
    import(&home, 0);
    home.run(["baseline", "--version", "base"]).ok();
    home.run(["checkout", "--version", "1.1.0"]).ok();
    for number in 1..=6 {
        import(&home, number);
    }
    home
}

/// Makes the revisions unreadable that have neither steps nor another list of migrations, but the last.
fn break_plain_imports(home: &Home) -> usize {
    let sql = home.sql();
    sql.execute(
        "UPDATE revisions SET body = 'unreadable' WHERE body ->> '$.steps' = '[]' AND number <
         (SELECT max(number) FROM revisions) AND number > 3",
        [],
    )
    .unwrap()
}

#[test]
fn status_and_plan_read_only_revisions_at_which_migrations_changed() {
    let home = trained();
    let plan = ["plan", "--version", "base"];
    let before = [home.json(["status"]), home.json(plan)];
    assert_eq!(before[1]["operations"][0]["migration"], "1700000000_rename", "{}", before[1]);
    assert_eq!(break_plain_imports(&home), 5);
    assert_eq!([home.json(["status"]), home.json(plan)], before);
    // Who asks for all of them is told.
    assert_eq!(home.run(["log"]).code, Some(6));
}

#[test]
fn a_turn_that_is_not_where_a_row_says_is_found() {
    let home = trained();
    assert_eq!(home.findings(true), [""; 0]);
    home.sql()
        .execute("UPDATE revisions SET turn = name WHERE number = (SELECT max(number) FROM revisions)", [])
        .unwrap();
    assert_eq!(home.findings(true), ["revision-damaged"]);
}

#[test]
fn a_checkpoint_without_a_list_is_not_read_for_it_again() {
    let home = Home::new();
    fs::create_dir(home.path("migrations")).unwrap();
    import(&home, 0);
    let before = home.json(["status"]);
    for pack in home.packs() {
        fs::remove_file(pack).unwrap();
    }
    assert_eq!(home.json(["status"]), before);
}

/// Runs a command and returns the most memory that it had.
#[track_caller]
fn peak(home: &Home, arguments: &[&str]) -> u64 {
    let mut command = home.command(arguments);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (code, peak_bytes) = wait(child).unwrap();
    assert_eq!(code, 0, "{arguments:?}");
    peak_bytes
}

#[test]
fn many_tensors_take_bounded_memory() {
    let home = Home::new();
    let write = |name: &str, step: u32| {
        let tensor = |number: u32| Tensor {
            name: format!("model.layers.{}.experts.{}.down_proj.weight", number / 64, number % 64),
            dtype: "F32",
            shape: vec![2, 2],
            bytes: [number, step, 1, 2].iter().flat_map(|number| number.to_le_bytes()).collect(),
        };
        fs::write(home.path(name), safetensors(&(0..TENSORS).map(tensor).collect::<Vec<_>>())).unwrap();
    };
    write("a.safetensors", 1);
    write("b.safetensors", 2);
    for arguments in [
        ["import", "a.safetensors", "--name", "a"].as_slice(),
        &["import", "b.safetensors", "--name", "a"],
        &["ls"],
        &["checkout", "--revision", "a~1", "-o", "out"],
    ] {
        let peak_bytes = peak(&home, arguments);
        assert!(peak_bytes < MOST_BYTES, "{arguments:?} took {} MiB", peak_bytes >> 20);
    }
    assert!(fs::read(home.path("out")).unwrap() == fs::read(home.path("a.safetensors")).unwrap());
}
