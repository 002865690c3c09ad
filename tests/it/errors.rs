//! The page of the book that lists codes: its tables come from the program itself.
//!
//! `CKSTORE_BOOK=write cargo test` writes them into the page.

use std::fs;

use ckstore::face::failure::{CODES, EXITS};
use ckstore::repo::{FINDINGS, Severity};

use crate::support::root;

#[test]
fn the_book_lists_every_code() {
    let exits = EXITS.iter().map(|(code, meaning)| format!("| {code} | {meaning} |"));
    let errors = CODES.iter().map(|(code, exit, meaning)| format!("| `{code}` | {exit} | {meaning} |"));
    let findings = FINDINGS.iter().map(|(code, severity, meaning)| {
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        format!("| `{code}` | {severity} | {meaning} |")
    });
    let mut page = fs::read_to_string(root().join("book/src/errors.md")).unwrap();
    let written = page.clone();
    put(&mut page, "exit codes", "| exit code | when |\n|---|---|", exits.collect());
    put(&mut page, "errors", "| code | exit code | meaning |\n|---|---|---|", errors.collect());
    put(&mut page, "findings", "| code | severity | meaning |\n|---|---|---|", findings.collect());
    if std::env::var("CKSTORE_BOOK").is_ok_and(|value| value == "write") {
        fs::write(root().join("book/src/errors.md"), page).unwrap();
    } else {
        assert!(page == written, "errors.md is out of date: CKSTORE_BOOK=write cargo test");
    }
}

/// Puts a table in its place.
fn put(page: &mut String, name: &str, head: &str, rows: Vec<String>) {
    let begin = format!("<!-- {name}: written by `CKSTORE_BOOK=write cargo test` -->\n");
    let end = format!("<!-- /{name} -->");
    let start = page.find(&begin).unwrap_or_else(|| panic!("no place for {name}")) + begin.len();
    let length = page[start..].find(&end).unwrap_or_else(|| panic!("no end of {name}"));
    page.replace_range(start..start + length, &format!("{head}\n{}\n", rows.join("\n")));
}

#[test]
fn the_book_explains_every_warning() {
    let page = fs::read_to_string(root().join("book/src/errors.md")).unwrap();
    let mut codes = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(path).unwrap();
                let quoted = text.split('"').filter(|piece| {
                    let letters = piece.strip_prefix("W_");
                    letters.is_some_and(|l| {
                        !l.is_empty() && l.chars().all(|c| c.is_ascii_uppercase() || c == '_')
                    })
                });
                codes.extend(quoted.map(str::to_owned));
            }
        }
    }
    assert!(codes.len() > 4, "{codes:?}");
    let missing: Vec<_> = codes.iter().filter(|code| !page.contains(&format!("| `{code}` |"))).collect();
    assert!(missing.is_empty(), "errors.md does not explain {missing:?}");
}
