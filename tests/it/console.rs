//! The console blocks of README and book, run in order, page by page.
//!
//! Every page starts in a folder `/home/ada/weather` of its own that holds `migrations/` and the demo checkpoints.
//! A line that starts with `$ ` is given to `sh`, `> ` continues it, and what follows is what it prints, on both
//! streams; `[..]` stands for any text on a line. Commands between `<!-- run` and `-->` are run and not shown. A
//! command must succeed unless the line itself deals with its failure.
//!
//! Names of objects, times, and lengths that depend on them may differ from the page; but a name must stand for
//! the same object wherever the page uses it. What is printed as JSON is compared as JSON.
//!
//! `CKSTORE_BOOK=write cargo test` puts what is printed into the pages where it differs.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const HOME: &str = "/home/ada";

#[test]
fn console_blocks_print_what_the_pages_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    find_pages(&root.join("book/src"), &mut pages);
    pages.sort();
    let write = std::env::var("CKSTORE_BOOK").is_ok_and(|value| value == "write");
    let mut problems = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let (rewritten, mut found) = check_page(&text, root);
        let name = page.strip_prefix(root).unwrap().display().to_string();
        if write && rewritten != text {
            fs::write(page, rewritten).unwrap();
            found.retain(|problem| problem.is_fatal);
        }
        problems
            .extend(found.into_iter().map(|problem| format!("{name}:{}: {}", problem.line, problem.text)));
    }
    assert!(problems.is_empty(), "{}\n(CKSTORE_BOOK=write rewrites the pages)", problems.join("\n"));
}

fn find_pages(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_pages(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

struct Problem {
    line: usize,
    text: String,
    /// Whether a rewritten page would still have it.
    is_fatal: bool,
}

/// Runs a page and returns it as it should be, and what is wrong with it.
fn check_page(text: &str, root: &Path) -> (String, Vec<Problem>) {
    let mut out = String::new();
    let mut problems = Vec::new();
    if !text.contains("```console") {
        return (text.to_owned(), problems);
    }
    let home = Home::new(root);
    let mut names = HashMap::new();
    let mut lines = text.lines().enumerate().peekable();
    let mut copy = |line: &str| {
        out.push_str(line);
        out.push('\n');
    };
    while let Some((_, line)) = lines.next() {
        copy(line);
        if line == "<!-- run" {
            for (number, line) in lines.by_ref() {
                copy(line);
                if line == "-->" {
                    break;
                }
                let (printed, succeeded) = home.run(line);
                if !succeeded {
                    let text = format!("`{line}` failed:\n{printed}");
                    problems.push(Problem { line: number + 1, text, is_fatal: true });
                }
            }
        }
        if line != "```console" {
            continue;
        }
        while let Some((number, line)) = lines.next() {
            copy(line);
            let Some(first) = line.strip_prefix("$ ") else { break };
            let mut command = first.to_owned();
            while let Some((_, more)) = lines.next_if(|(_, line)| *line == ">" || line.starts_with("> ")) {
                copy(more);
                command.push('\n');
                command.push_str(more.get(2..).unwrap_or_default());
            }
            let mut expected = Vec::new();
            while let Some((_, line)) = lines.next_if(|(_, line)| *line != "```" && !line.starts_with("$ ")) {
                expected.push(line.to_owned());
            }
            let (printed, succeeded) = home.run(&command);
            if !succeeded {
                let text = format!("`{command}` failed:\n{printed}");
                problems.push(Problem { line: number + 1, text, is_fatal: true });
            }
            let printed: Vec<String> = pretty(&printed).lines().map(str::to_owned).collect();
            let same = expected.len() == printed.len()
                && expected.iter().zip(&printed).all(|(a, b)| is_same(a, b, &mut names));
            if !same {
                let text = format!("`{command}` prints\n{}", printed.join("\n"));
                problems.push(Problem { line: number + 1, text, is_fatal: false });
            }
            (if same { expected } else { printed }).iter().for_each(|line| copy(line));
        }
    }
    (out, problems)
}

/// The folder in which a page's commands run.
struct Home {
    directory: tempfile::TempDir,
    /// As the system calls it, links resolved.
    path: String,
}

impl Home {
    fn new(root: &Path) -> Home {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().to_str().unwrap().to_owned();
        let weather = directory.path().join("weather");
        for (from, to) in [("migrations", weather.join("migrations")), ("tests/data/demo", weather)] {
            fs::create_dir_all(&to).unwrap();
            for entry in fs::read_dir(root.join(from)).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
        Home { directory, path }
    }

    /// What a command prints, and whether it succeeds.
    fn run(&self, command: &str) -> (String, bool) {
        let program = Path::new(env!("CARGO_BIN_EXE_ckstore")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!("exec 2>&1\n{command}"))
            .current_dir(Path::new(&self.path).join("weather"))
            .env_clear()
            .env("PATH", format!("{}:{path}", program.display()))
            .env("HOME", self.directory.path())
            .env("CKSTORE_ACTOR", "ada")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).replace(&self.path, HOME);
        (printed, output.status.success())
    }
}

/// One JSON document on several lines; any other text as it is.
fn pretty(text: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) if value.is_object() => serde_json::to_string_pretty(&value).unwrap(),
        _ => text.to_owned(),
    }
}

/// Whether a line is as the page says. `names` remembers which name on the page stands for which object.
fn is_same(expected: &str, printed: &str, names: &mut HashMap<String, String>) -> bool {
    let (expected, expected_names) = general(expected);
    let (printed, printed_names) = general(printed);
    if expected_names.len() == printed_names.len() {
        for (ours, theirs) in expected_names.iter().zip(printed_names) {
            if *names.entry(ours.clone()).or_insert_with(|| theirs.clone()) != theirs {
                return false;
            }
        }
    }
    let mut pieces = expected.split("[..]");
    let Some(mut rest) = printed.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A line with words in place of names of objects, times and what depends on them, and the names, cut to the
/// length that people see.
fn general(line: &str) -> (String, Vec<String>) {
    let mut out = String::new();
    let mut names = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        if let Some(length) = time_length(rest) {
            out.push_str("TIME");
            rest = &rest[length..];
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let is_hex = word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if is_hex && (word.len() == 12 || word.len() == 64) {
            names.push(word[..12].to_owned());
            out.push_str("NAME");
        } else {
            out.push_str(word);
        }
        rest = after;
    }
    out.push_str(rest);
    (without_new_bytes(&out), names)
}

/// Length of a time such as `2026-01-02 03:04:05Z` at the start of a text.
fn time_length(text: &str) -> Option<usize> {
    let shape = b"dddd-dd-dd?dd:dd:dd";
    let bytes = text.as_bytes();
    let fits = bytes.len() > shape.len()
        && shape.iter().zip(bytes).all(|(shape, byte)| match shape {
            b'd' => byte.is_ascii_digit(),
            b'?' => matches!(byte, b' ' | b'T'),
            _ => shape == byte,
        });
    let end = fits.then(|| text[shape.len()..].find('Z'))??;
    Some(shape.len() + end + 1)
}

/// A revision's text holds times, so the room that it takes is not always the same.
fn without_new_bytes(line: &str) -> String {
    if let Some((before, _)) = line.split_once("\"new\": ") {
        return format!("{before}\"new\": BYTES,");
    }
    match line.split_once(" new, ") {
        Some((before, after)) if before.trim_start().starts_with("stored ") => {
            format!("stored BYTES new, {after}")
        }
        _ => line.to_owned(),
    }
}

#[test]
fn a_name_must_stand_for_the_same_object_all_over_a_page() {
    let mut names = HashMap::new();
    let [a, b] = ["aaaaaaaaaaaa", "bbbbbbbbbbbb"];
    assert!(is_same(&format!("now at {a}"), &format!("now at {b}"), &mut names));
    assert!(!is_same(&format!("was {a}"), &format!("was {a}"), &mut names));
    assert!(is_same("at 2026-01-02 03:04:05Z by [..]!", "at 1999-12-31T00:00:00.5Z by ada!", &mut names));
    assert!(!is_same("wrote a", "wrote a and b", &mut names));
    assert!(!is_same("[..] 5 B", "wrote 6 B", &mut names));
}
