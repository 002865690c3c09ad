//! The layers of the source: what each module may name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::root;

/// Plain types, their bytes, one safe file write. A word uses words before it.
const WORDS: &[&str] = &["progress", "object", "refname", "revision", "durable", "value"];
/// Each uses words; no leaf knows another.
const LEAVES: &[&str] = &["store", "format", "migration", "ledger", "remote"];
/// Layers above the leaves, each using all before it.
const UPPER: &[&str] = &["snapshot", "repo", "face", "server", "cli"];

/// A file of the source with the modules that lead to it.
struct Source {
    path: PathBuf,
    module: Vec<String>,
    code: String,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(read(path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn read(path: PathBuf) -> Source {
    let text = fs::read_to_string(&path).unwrap();
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code = code.collect::<Vec<_>>().join("\n");
    let path = path.strip_prefix(root().join("src")).unwrap().to_owned();
    let mut module: Vec<String> =
        path.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if ["mod", "lib", "main"].contains(&module.last().unwrap().as_str()) {
        module.pop();
    }
    Source { path, module, code }
}

impl Source {
    /// The module at the top that this file is in; nothing for `lib.rs` and `main.rs`.
    fn top(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }

    /// The modules at the top that this file names.
    fn uses(&self) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        for (start, keyword) in ["crate::", "super::"].into_iter().flat_map(|word| places(&self.code, word)) {
            let mut rest = &self.code[start + keyword.len()..];
            if keyword == "super::" {
                // Of `super::super::`, the first is the start and the others are followed.
                if self.code[..start].ends_with("super::") {
                    continue;
                }
                // In a module inside the file one `super` leads to the file itself.
                let mut above = self.module.len().saturating_sub(1);
                while let Some(after) = rest.strip_prefix("super::") {
                    rest = after;
                    above = above.saturating_sub(1);
                }
                if above > 0 || self.module.is_empty() || !rest.starts_with(char::is_alphabetic) {
                    continue;
                }
                let name = identifier(rest);
                // Without the test modules of files at the top, that name what is in the file.
                if [WORDS, LEAVES, UPPER].iter().any(|layer| layer.contains(&name.as_str())) {
                    used.insert(name);
                }
                continue;
            }
            if let Some(group) = rest.strip_prefix('{') {
                let mut depth = 0;
                let mut item = true;
                for (at, letter) in group.char_indices() {
                    match letter {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => item = true,
                        _ if item && letter.is_alphabetic() => {
                            used.insert(identifier(&group[at..]));
                            item = false;
                        }
                        _ => {}
                    }
                }
            } else {
                used.insert(identifier(rest));
            }
        }
        if let Some(top) = self.top() {
            used.remove(top);
        }
        used
    }
}

fn places(code: &str, word: &'static str) -> Vec<(usize, &'static str)> {
    let found = code.match_indices(word).filter(|(at, _)| {
        !code[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '$')
    });
    found.map(|(at, _)| (at, word)).collect()
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// Which modules a module may name.
fn allowed(module: &str) -> Vec<&'static str> {
    if let Some(place) = WORDS.iter().position(|word| *word == module) {
        return WORDS[..place].to_vec();
    }
    if LEAVES.contains(&module) {
        return WORDS.to_vec();
    }
    let place = UPPER.iter().position(|layer| *layer == module);
    let place = place.unwrap_or_else(|| panic!("`{module}` is in no layer: say which in {}", file!()));
    [WORDS, LEAVES, &UPPER[..place]].concat()
}

#[test]
fn modules_name_only_layers_above_them() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(module) = source.top() else { continue };
        let allowed = allowed(module);
        for used in source.uses() {
            if !allowed.contains(&used.as_str()) {
                wrong.push(format!("src/{} names `{used}`", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn modules_name_each_other_in_no_circle() {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        if let Some(module) = source.top() {
            uses.entry(module.to_owned()).or_default().extend(source.uses());
        }
    }
    assert!(uses.len() > 8 && uses["repo"].contains("ledger"), "the uses are not found: {uses:?}");
    // What names nothing that is left is taken away until nothing is left.
    while !uses.is_empty() {
        let free = uses.iter().find(|(_, used)| !used.iter().any(|used| uses.contains_key(used)));
        let free = free.unwrap_or_else(|| panic!("a circle among {uses:?}")).0.clone();
        uses.remove(&free);
    }
}

/// Where a module may do what others must not: each is a face, or the process that runs scripts.
fn is_face(path: &Path) -> bool {
    ["cli", "face", "server", "main.rs", "migration/engine/worker"].iter().any(|face| path.starts_with(face))
}

#[test]
fn only_the_faces_print_and_name_exit_codes() {
    let words = [
        "println!",
        "eprintln!",
        "print!(",
        "eprint!(",
        "dbg!(",
        "io::stdout",
        "io::stderr",
        "ExitCode",
        "process::exit",
        "exit::",
    ];
    find(&words, &[]);
}

#[test]
fn only_the_faces_read_the_clock_and_the_environment() {
    let words =
        ["env::var", "env::args", "env::current", "SystemTime::now", "Timestamp::now", "Instant::now"];
    // Deadlines are measured, and no time goes into what is stored.
    find(&words, &["repo/lock.rs", "migration/engine/run.rs"]);
}

fn find(words: &[&str], except: &[&str]) {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !is_face(&source.path)) {
        if except.iter().any(|path| source.path == Path::new(path)) {
            continue;
        }
        for (number, line) in source.code.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                wrong.push(format!("src/{}:{} has `{word}`", source.path.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_paths_in_a_file_are_understood() {
    let source = |path: &str, code: &str| {
        let module = path.split('/').map(str::to_owned).collect();
        Source { path: path.into(), module, code: code.to_owned() }
    };
    let uses = |path: &str, code: &str| source(path, code).uses().into_iter().collect::<Vec<_>>();
    assert_eq!(
        uses("repo/gc", "use crate::store::Store; fn f(x: crate::value::Graph) {}"),
        ["store", "value"]
    );
    assert_eq!(
        uses("repo/gc", "use crate::{store::{self, a::b}, ledger, value::{Kind}};"),
        ["ledger", "store", "value"]
    );
    assert_eq!(uses("repo/gc", "use super::Repo; use super::super::ledger::X; my_crate::y"), ["ledger"]);
    assert_eq!(uses("repo/fsck/trees", "use super::super::ledger::X;"), [""; 0]);
    assert_eq!(uses("repo", "use super::store::X; use crate::repo::Y;"), ["store"]);
}
