//! Limits: a file beyond one is told which option helps, and what was imported with it is read ever after.

use std::fs;

use crate::support::{Home, data};

/// A document with an integer of more digits than the default allows.
const DOCUMENT: &str = "long.json";

fn home() -> Home {
    let home = Home::new();
    fs::write(home.path(DOCUMENT), format!("{{\"a\": {}, \"b\": 1}}", "7".repeat(5000))).unwrap();
    home
}

#[test]
fn an_error_names_the_option_that_raises_the_limit() {
    let home = home();
    let ran = home.run(["import", DOCUMENT, "--json"]);
    assert_eq!(ran.code, Some(6));
    let error = &ran.json()["error"];
    assert_eq!(error["code"], "E_FORMAT");
    assert!(error["hint"].as_str().unwrap().starts_with("--max-digits raises the limit"), "{error}");
    fs::copy(data("corpus/gguf/plain.gguf"), home.path("a.gguf")).unwrap();
    for (option, limit) in [("--max-entries", "1"), ("--max-values", "2")] {
        let ran = home.run(["import", "a.gguf", option, limit, "--json"]);
        let error = &ran.json()["error"];
        assert_eq!(ran.code, Some(6), "{error}");
        assert!(error["hint"].as_str().unwrap().starts_with(&format!("{option} raises")), "{error}");
    }
    // A pickle beyond a limit is kept as bytes, which is said in the same way.
    fs::write(home.path("list.pkl"), b"\x80\x02](NNNNNNNNe.").unwrap();
    let report = home.json(["import", "list.pkl", "--max-values", "5"]);
    let warning = &report["warnings"][0];
    assert_eq!(warning["code"], "W_KEPT_AS_BYTES");
    assert!(warning["message"].as_str().unwrap().contains("--max-values"), "{warning}");
}

#[test]
fn what_was_imported_with_a_larger_limit_is_read_ever_after() {
    let home = home();
    home.run(["import", DOCUMENT, "--max-digits", "5000"]).ok();
    home.run(["branch", "before"]).ok();
    let value = home.run(["show", "long", "a"]).ok().stdout;
    assert!(value.contains(&"7".repeat(5000)));
    fs::write(home.path(DOCUMENT), format!("{{\"a\": {}, \"b\": 2}}", "7".repeat(5000))).unwrap();
    home.run(["import", DOCUMENT, "--max-digits", "5000"]).ok();
    let changed = home.run(["diff", "before", "long"]).ok().stdout;
    assert!(changed.contains('b'), "{changed}");
    assert_eq!(home.run(["fsck"]).code, Some(0));
}
