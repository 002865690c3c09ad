//! `scan` through the program: paths, folders, exit codes, JSON.

use std::fs;

use serde_json::Value;

use crate::support::{Home, data};

const GIFT: &[u8] = b"cos\nsystem\n(S'id'\ntR.";

#[test]
fn scan_needs_no_store_and_ends_with_what_it_found() {
    let home = Home::new();
    fs::write(home.path("gift.pkl"), GIFT).unwrap();
    fs::write(home.path("mine.pkl"), b"\x80\x02cmine\nConfig\n)\x81.").unwrap();
    fs::write(home.path("plain.pkl"), b"\x80\x02}.").unwrap();
    for (arguments, code) in [
        (&["gift.pkl"][..], 11),
        (&["mine.pkl"], 0),
        (&["--strict", "mine.pkl"], 11),
        (&["--strict", "plain.pkl"], 0),
        (&["plain.pkl", "gift.pkl"], 11),
        (&["."], 11),
        (&["missing.pkl"], 2),
        (&[], 2),
    ] {
        let ran = home.run(["scan"].iter().chain(arguments));
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
    }
    assert!(!home.path(".ckstore").exists());
}

#[test]
fn scan_names_the_place_in_one_document() {
    let home = Home::new();
    fs::create_dir_all(home.path("models/inner")).unwrap();
    fs::create_dir_all(home.path("models/.ckstore")).unwrap();
    fs::write(home.path("models/.ckstore/x.pkl"), GIFT).unwrap();
    fs::write(home.path("models/inner/gift.pkl"), GIFT).unwrap();
    fs::copy(data("corpus/malicious/zip_os_system.pt"), home.path("models/a.pt")).unwrap();
    fs::write(home.path("models/readme.txt"), "text\n").unwrap();
    fs::write(home.path("models/empty"), "").unwrap();
    let report = home.run(["scan", "models", "--json"]).json();
    assert_eq!(report["rating"], "dangerous");
    assert_eq!(report["counts"], serde_json::json!({"dangerous": 2, "unknown": 0, "safe": 2, "pickles": 2}));
    let files = report["files"].as_array().unwrap();
    let paths: Vec<&str> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["models/a.pt", "models/empty", "models/readme.txt", "models/inner/gift.pkl"]);
    let found: &Value = &files[0]["globals"][0];
    assert_eq!(found["global"], "os.system");
    assert_eq!((&found["entry"], found["offset"].as_u64()), (&"archive/data.pkl".into(), Some(43)));
    assert_eq!((&found["called"], &found["count"]), (&true.into(), &1.into()));
}

#[test]
fn a_limit_can_be_moved() {
    let home = Home::new();
    fs::write(home.path("marks.pkl"), [b"\x80\x02".as_slice(), &[b'('; 1000], &[b'1'; 1000], b"N."].concat())
        .unwrap();
    assert_eq!(home.json(["scan", "marks.pkl"])["rating"], "safe");
    let report = home.json(["scan", "marks.pkl", "--max-nesting", "100"]);
    assert_eq!(report["files"][0]["problems"][0]["code"], "S_BROKEN_PICKLE", "{report}");
}

#[test]
fn import_and_checkout_of_a_dangerous_file_warn_and_run_nothing() {
    let home = Home::new();
    fs::copy(data("corpus/malicious/zip_os_system.pt"), home.path("a.pt")).unwrap();
    let ran = home.run(["import", "a.pt"]).ok();
    assert!(ran.stderr.contains("`os.system` (archive/data.pkl, byte 43) [W_DANGEROUS]"), "{ran:?}");
    let report = home.json(["checkout", "a", "-o", "out.pt"]);
    let warning = &report["warnings"][0];
    assert_eq!(warning["code"], "W_DANGEROUS", "{report}");
    assert!(
        warning["message"].as_str().unwrap().ends_with("`os.system` (archive/data.pkl, byte 43)"),
        "{report}"
    );
    assert_eq!(fs::read(home.path("a.pt")).unwrap(), fs::read(home.path("out.pt")).unwrap());
    fs::create_dir(home.path("model")).unwrap();
    fs::copy(home.path("a.pt"), home.path("model/pytorch_model.bin")).unwrap();
    fs::write(home.path("model/config.json"), "{}").unwrap();
    let report = home.json(["import", "model"]);
    let warnings = report["warnings"].as_array().unwrap();
    let message = "`os.system` (pytorch_model.bin, archive/data.pkl, byte 43)";
    assert!(warnings.iter().any(|w| w["message"].as_str().unwrap().ends_with(message)), "{report}");
    let report = home.json(["checkout", "model", "-o", "copy"]);
    assert_eq!(report["warnings"][0]["code"], "W_DANGEROUS", "{report}");
    fs::create_dir(home.path("runs")).unwrap();
    fs::copy(home.path("a.pt"), home.path("runs/last.pt")).unwrap();
    fs::copy(crate::support::old_checkpoint(), home.path("runs/old.ckpt")).unwrap();
    let report = home.json(["import", "runs", "--collection", "runs"]);
    let warnings = report["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{report}");
    assert_eq!(warnings[0]["code"], "W_DANGEROUS");
    assert!(warnings[0]["path"].as_str().unwrap().ends_with("runs/last.pt"), "{report}");
    let safe = Home::with_checkpoint();
    assert_eq!(safe.json(["import", "a.ckpt"])["warnings"], serde_json::json!([]));
}
