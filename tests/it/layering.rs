//! The layers: a module uses those below it, and none beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const WORDS: &[&str] = &["object", "value", "refname", "revision", "progress", "durable"];
const LEAVES: &[&str] = &["store", "format", "migration", "ledger"];
const ABOVE: &[&str] = &["snapshot", "repo", "cli"];

#[test]
fn modules_use_only_the_layers_below_them() {
    let mut allowed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for word in WORDS {
        allowed.insert(word, WORDS.to_vec());
    }
    for leaf in LEAVES {
        allowed.insert(leaf, WORDS.iter().chain([leaf]).copied().collect());
    }
    let mut below: Vec<&str> = WORDS.iter().chain(LEAVES).copied().collect();
    for module in ABOVE {
        below.push(module);
        allowed.insert(module, below.clone());
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut problems = Vec::new();
    for entry in fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if module == "lib" || module == "main" {
            continue;
        }
        let Some(allowed) = allowed.get(module.as_str()) else {
            problems.push(format!("`{module}` has no layer"));
            continue;
        };
        for_each_file(&path, &mut |file, text| {
            for used in uses(text) {
                if !allowed.contains(&used) {
                    problems.push(format!("{} uses `{used}`", file.display()));
                }
            }
        });
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn for_each_file(path: &Path, act: &mut dyn FnMut(&Path, &str)) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            for_each_file(&entry.unwrap().path(), act);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        act(path, &fs::read_to_string(path).unwrap());
    }
}

/// The top modules that a text names, and `{` for a list of them, which this test does not read.
fn uses(text: &str) -> impl Iterator<Item = &str> {
    text.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).unwrap_or(rest.len());
        if end == 0 { "{" } else { &rest[..end] }
    })
}

#[test]
fn uses_are_found_wherever_they_stand() {
    let text = "use crate::store::Reader;\nfn f(g: &crate::value::Graph) {}\nuse crate::{format, ledger};";
    assert_eq!(uses(text).collect::<Vec<_>>(), ["store", "value", "{"]);
}
