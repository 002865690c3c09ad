//! What a load of files would execute.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::format::{self, Checksums, Dangers, FileSource, Limits, Problem, Rating};
use crate::progress::{Progress, Silent};

use super::RepoError;

/// Folders whose files are no checkpoints: those of ckstore and of git.
const LEFT_OUT: &[&str] = &[super::STORE_DIRECTORY, ".git"];

/// What was found in files and folders.
#[derive(Debug, Clone, Serialize)]
pub struct ScanReport {
    /// The worst of all ratings.
    pub rating: Rating,
    /// How many files have which rating.
    pub counts: ScanCounts,
    /// Every file that was looked into.
    pub files: Vec<ScannedFile>,
}

/// Counts of files and of what is in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ScanCounts {
    /// Files with something dangerous.
    pub dangerous: u64,
    /// Files with something unknown, and nothing dangerous.
    pub unknown: u64,
    /// All other files.
    pub safe: u64,
    /// Pickles in them.
    pub pickles: u64,
}

/// What was found in one file.
#[derive(Debug, Clone, Serialize)]
pub struct ScannedFile {
    /// The file.
    pub path: PathBuf,
    /// The worst rating of what is in it.
    pub rating: Rating,
    /// What was found.
    #[serde(flatten)]
    pub dangers: Dangers,
}

/// Looks for what a load of these files, and of all files of these folders, would execute; no store is needed.
///
/// A link to a file is followed, one to a folder is not.
///
/// # Errors
///
/// If a path cannot be read. A file inside a folder that cannot is a problem of the report.
pub fn scan(
    paths: &[PathBuf],
    limits: &Limits,
    checksums: Checksums,
    progress: &dyn Progress,
) -> Result<ScanReport, RepoError> {
    let mut files = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(RepoError::io("open", path))?;
        if metadata.is_dir() {
            walk(path, &mut files)?;
        } else if metadata.is_file() {
            fs::File::open(path).map_err(RepoError::io("open", path))?;
            files.push(path.clone());
        } else {
            return Err(RepoError::NotAFile { path: path.clone(), what: "a device, pipe or socket" });
        }
    }
    let mut report = ScanReport { rating: Rating::Safe, counts: ScanCounts::default(), files: Vec::new() };
    let bytes_of = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
    progress.begin("scanning", files.iter().map(bytes_of).sum());
    for path in files {
        let dangers = dangers_of(&path, limits, checksums).unwrap_or_else(unreadable);
        let rating = dangers.worst();
        report.rating = report.rating.max(rating);
        report.counts.pickles += dangers.pickles;
        match rating {
            Rating::Dangerous => report.counts.dangerous += 1,
            Rating::Unknown => report.counts.unknown += 1,
            Rating::Safe => report.counts.safe += 1,
        }
        progress.advance(bytes_of(&path));
        report.files.push(ScannedFile { path, rating, dangers });
    }
    progress.end();
    Ok(report)
}

/// Findings that a warning names.
const MOST_NAMED: usize = 3;

/// What a load of a file or folder would suffer, each as the end of a sentence.
#[derive(Debug, Default)]
pub(super) struct Cautions {
    /// What is dangerous.
    pub dangerous: Option<String>,
    /// What is odd about its pickles.
    pub odd: Option<String>,
}

/// Looks for what a person should know before loading a file or folder.
///
/// What cannot be read here is for the command that reads it to tell.
pub(super) fn cautions(path: &Path, limits: &Limits) -> Cautions {
    let Ok(report) = scan(&[path.to_owned()], limits, Checksums::Skip, &Silent) else {
        return Cautions::default();
    };
    let is_one = report.files.len() == 1;
    let (mut dangerous, mut odd) = (Vec::new(), Vec::new());
    for file in &report.files {
        let place = |entry: &str| {
            let inside = file.path.strip_prefix(path).map(|path| path.display().to_string());
            let inside = inside.unwrap_or_default();
            match (is_one || inside.is_empty(), entry.is_empty()) {
                (true, true) => String::new(),
                (true, false) => format!("{entry}, "),
                (false, true) => format!("{inside}, "),
                (false, false) => format!("{inside}, {entry}, "),
            }
        };
        let globals = file.dangers.globals.iter().filter(|found| found.rating == Rating::Dangerous);
        dangerous.extend(
            globals.map(|found| format!("`{}` ({}byte {})", found.global, place(&found.entry), found.offset)),
        );
        for problem in &file.dangers.problems {
            let told = || format!("{} ({}{})", problem.message, place(&problem.entry), problem.code);
            if problem.rating == Rating::Dangerous {
                dangerous.push(told());
            } else if problem.code == format::ODD_PICKLE {
                odd.push(told());
            }
        }
    }
    Cautions { dangerous: some_of(dangerous), odd: some_of(odd) }
}

/// The first few on one line; nothing if there are none.
fn some_of(mut told: Vec<String>) -> Option<String> {
    let more = told.len().saturating_sub(MOST_NAMED);
    told.truncate(MOST_NAMED);
    if more > 0 {
        told.push(format!("{more} more"));
    }
    (!told.is_empty()).then(|| told.join(", "))
}

fn dangers_of(path: &Path, limits: &Limits, checksums: Checksums) -> Result<Dangers, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    if file.metadata().map_err(|error| error.to_string())?.len() == 0 {
        return Ok(Dangers { format: "empty".to_owned(), ..Dangers::default() });
    }
    let source = FileSource::new(file).map_err(|error| error.to_string())?;
    format::dangers(&source, limits, checksums).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    })
}

fn unreadable(message: String) -> Dangers {
    let problem = Problem { rating: Rating::Unknown, code: "S_UNREADABLE", entry: String::new(), message };
    Dangers { format: "unreadable".to_owned(), problems: vec![problem], ..Dangers::default() }
}

/// Adds the files below a folder, in the order of their names.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), RepoError> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&folder).map_err(RepoError::io("read", &folder))? {
            entries.push(entry.map_err(RepoError::io("read", &folder))?);
        }
        entries.sort_by_key(fs::DirEntry::file_name);
        let mut below = Vec::new();
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().map_err(RepoError::io("read", &path))?;
            if kind.is_dir() {
                if !LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
                    below.push(path);
                }
            } else if kind.is_file() || path.is_file() {
                files.push(path);
            }
        }
        folders.extend(below.into_iter().rev());
    }
    Ok(())
}
