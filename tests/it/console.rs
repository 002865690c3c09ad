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

/// A page in pieces, in order.
enum Piece<'a> {
    Text(&'a str),
    Command(Block<'a>),
}

/// A command on a page, and what the page says that it prints.
struct Block<'a> {
    /// Counted from one.
    line: usize,
    command: String,
    expected: Vec<&'a str>,
    /// Whether the page shows what it prints.
    shown: bool,
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut lines = text.lines().enumerate().map(|(place, line)| (place + 1, line)).peekable();
    while let Some((_, line)) = lines.next() {
        pieces.push(Piece::Text(line));
        if line == "<!-- run" {
            while let Some((line, command)) = lines.next_if(|(_, line)| *line != "-->") {
                pieces.push(Piece::Text(command));
                let command = command.to_owned();
                pieces.push(Piece::Command(Block { line, command, expected: Vec::new(), shown: false }));
            }
        }
        if line != "```console" {
            continue;
        }
        while let Some((line, first)) = lines.next_if(|(_, line)| line.starts_with("$ ")) {
            pieces.push(Piece::Text(first));
            let mut command = first[2..].to_owned();
            while let Some((_, more)) = lines.next_if(|(_, line)| *line == ">" || line.starts_with("> ")) {
                pieces.push(Piece::Text(more));
                command.push('\n');
                command.push_str(more.get(2..).unwrap_or_default());
            }
            let mut expected = Vec::new();
            while let Some((_, line)) = lines.next_if(|(_, line)| *line != "```" && !line.starts_with("$ ")) {
                expected.push(line);
            }
            pieces.push(Piece::Command(Block { line, command, expected, shown: true }));
        }
    }
    pieces
}

/// Runs a page and returns it as it should be, and what is wrong with it.
fn check_page(text: &str, root: &Path) -> (String, Vec<Problem>) {
    let home = Home::new(root);
    let mut names = Names::default();
    let mut problems = Vec::new();
    let mut right = String::new();
    for piece in pieces(text) {
        let block = match piece {
            Piece::Text(line) => {
                right.extend([line, "\n"]);
                continue;
            }
            Piece::Command(block) => block,
        };
        let (printed, succeeded) = home.run(&block.command);
        let printed = pretty(&printed);
        let mut complain = |what, is_fatal| {
            let text = format!("`{}` {what}\n{printed}", block.command);
            problems.push(Problem { line: block.line, text, is_fatal });
        };
        if !succeeded {
            complain("failed:", true);
        }
        if block.shown {
            let lines: Vec<&str> = printed.lines().collect();
            let is_same = |(a, b): (&&str, &&str)| names.is_same(a, b);
            if block.expected.len() != lines.len() || !block.expected.iter().zip(&lines).all(is_same) {
                complain("prints", false);
            }
            lines.iter().for_each(|line| right.extend([line, "\n"]));
        }
    }
    // A page is rewritten as a whole, so that a name stands for one object all over it.
    if problems.is_empty() { (text.to_owned(), problems) } else { (right, problems) }
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

/// Which name on the page stands for which object, and the other way round.
#[derive(Default)]
struct Names {
    objects: HashMap<String, String>,
    names: HashMap<String, String>,
}

impl Names {
    /// Whether a line is as the page says.
    fn is_same(&mut self, expected: &str, printed: &str) -> bool {
        let (expected, names) = general(expected);
        let (printed, objects) = general(printed);
        if names.len() == objects.len() {
            for (name, object) in names.iter().zip(&objects) {
                let known = self.objects.entry(name.clone()).or_insert_with(|| object.clone()) == object
                    && self.names.entry(object.clone()).or_insert_with(|| name.clone()) == name;
                if !known {
                    return false;
                }
            }
        }
        let mut pieces: Vec<&str> = expected.split("[..]").collect();
        let last = pieces.pop().expect("splitting gives at least one piece");
        let Some((first, middle)) = pieces.split_first() else { return printed == last };
        let Some(mut rest) = printed.strip_prefix(first) else { return false };
        for piece in middle {
            match rest.find(piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
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
    for field in ["\"new\": ", "\"kept_bytes\": ", "; hashed "] {
        if let Some((before, _)) = line.split_once(field) {
            return format!("{before}{field}BYTES");
        }
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
    let mut names = Names::default();
    let [a, b] = ["aaaaaaaaaaaa", "bbbbbbbbbbbb"];
    assert!(names.is_same(&format!("now at {a}"), &format!("now at {b}")));
    assert!(!names.is_same(&format!("was {a}"), &format!("was {a}")));
    assert!(!names.is_same(&format!("was {b}"), &format!("was {b}")));
    assert!(names.is_same("at 2026-01-02 03:04:05Z by [..]!", "at 1999-12-31T00:00:00.5Z by ada!"));
    assert!(!names.is_same("wrote a", "wrote a and b"));
    assert!(!names.is_same("[..] 5 B", "wrote 6 B"));
}
