//! Pickled modules, which are migrated through the names of their state dict.
//!
//! `net.ckpt` was written by torch 2.15, with metadata and an array by anemoi-utils.

use std::fs;

use crate::support::{Home, data};

fn home(body: &str) -> Home {
    let home = Home::new();
    fs::copy(data("inference/net.ckpt"), home.path("net.ckpt")).unwrap();
    fs::create_dir(home.path("migrations")).unwrap();
    let head = r#"
from anemoi.models.migrations import MigrationMetadata
metadata = MigrationMetadata(versions={"migration": "1.0.0", "anemoi-models": "1.0.0"})
def migrate(ckpt):
    sd = ckpt["state_dict"]
"#;
    let script = format!("{head}    {}\n    return ckpt\n", body.replace('\n', "\n    "));
    fs::write(home.path("migrations/1700000000_case.py"), script).unwrap();
    home.run(["import", "net.ckpt"]).ok();
    home.run(["baseline", "HEAD", "--to", "base"]).ok();
    home
}

fn names(home: &Home, revision: &str) -> Vec<String> {
    let tensors = home.json(["ls", revision])["tensors"].clone();
    tensors.as_array().unwrap().iter().map(|tensor| tensor["path"].as_str().unwrap().to_owned()).collect()
}

const RENAME: &str = r#"for key in list(sd):
    if key.startswith("first."):
        sd["embed." + key[6:]] = sd.pop(key)"#;

#[test]
fn a_module_whose_names_all_move_gets_the_new_name() {
    let home = home(RENAME);
    let before = names(&home, "HEAD");
    assert!(before.contains(&"first.weight".to_owned()), "{before:?}");
    home.run(["checkout", "--to", "next"]).ok();
    let expected: Vec<_> = before.iter().map(|name| name.replace("first.", "embed.")).collect();
    assert_eq!(names(&home, "HEAD"), expected);
    let diff = home.run(["diff", "HEAD~1", "HEAD"]).ok().stdout;
    assert!(diff.contains("R first.weight => embed.weight"), "{diff}");
    // What torch does not name moves along.
    let value = home.json(["show", "HEAD", "embed.in_features"]);
    assert_eq!(value["value"], 2);

    home.run(["checkout", "--to", "base"]).ok();
    let original = fs::read(data("inference/net.ckpt")).unwrap();
    assert!(fs::read(home.path("net.ckpt")).unwrap() == original, "the file is another");
}

#[test]
fn the_embedded_history_gets_an_entry_and_the_rest_of_the_file_stays() {
    let home = home(RENAME);
    home.run(["checkout", "--to", "next"]).ok();
    let file = fs::read(home.path("net.ckpt")).unwrap();
    let text = String::from_utf8_lossy(&file);
    let history = text.split("\"history\": [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
    assert!(history.starts_with(r#"{"type": "migrate", "name": "old", "signature": "x"}, "#), "{history}");
    assert!(history.contains(r#""name": "1700000000_case""#), "{history}");
    assert!(text.contains("supporting_arrays_paths"));
    assert!(text.contains("anemoi-metadata/mask.numpy"));
}

#[test]
fn a_name_that_no_module_can_hold_is_refused_and_nothing_changes() {
    for (body, reason) in [
        (r#"sd["nowhere.weight"] = sd.pop("scale")"#, "there is no module `nowhere` that could hold it"),
        (r#"sd["first.weight"] = [1.0]"#, "`first.weight` in the state dict of a module is no tensor"),
        (r#"ckpt["epoch"] = 1"#, "a module has no place for `epoch`"),
    ] {
        let home = home(body);
        let before = fs::read(home.path("net.ckpt")).unwrap();
        let ran = home.run(["checkout", "--to", "next"]);
        assert_eq!(ran.code, Some(7), "{ran:?}");
        assert!(ran.stderr.contains(reason), "{ran:?}");
        assert!(fs::read(home.path("net.ckpt")).unwrap() == before, "{body}");
    }
}
