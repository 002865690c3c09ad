//! What a load would execute: every global that the pickles of a file name or call, rated, with its place; and
//! what of a container cannot be trusted.
//!
//! Nothing is executed, here as elsewhere. Other parts of [`format`](super) refuse what they cannot trust; this
//! one goes on, reads a container in each way in which some reader would, and looks at what lies before a break.

mod known;
mod odd;
mod packed;
mod pickles;
mod rating;
mod tar;
mod text;
mod zips;

use std::collections::HashMap;
use std::io;

use serde::Serialize;

use super::source::read;
use super::{Format, FormatError, Limits, Source, detect, npy, torch};

pub use rating::Rating;

/// Files inside each other that are looked into: an archive in an archive, a pickle in a pickle.
pub const MOST_DEPTH: usize = 8;
/// Bytes that are looked at inside containers and constants, all together.
pub const MOST_BYTES: u64 = 4 << 30;
/// Findings and problems that are kept of a file; the worst are never left out.
pub const MOST_FINDINGS: usize = 10_000;
/// Bytes of an unmarked or unexpected pickle that are read.
const MOST_GUESS_BYTES: u64 = 64 << 20;
/// Pickles in a row that are looked into.
const MOST_PICKLES: u64 = 100_000;
/// Bytes in which the end of a pickle is looked for first.
const WINDOW_BYTES: u64 = 4 << 10;

/// Whether the bytes of tensors are read too, to compare them with their checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksums {
    /// All bytes of the file are read.
    Compare,
    /// Only what could be executed is read.
    Skip,
}

/// A global that a pickle names or calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it is to be feared.
    pub rating: Rating,
    /// The global, or what stands in its place.
    pub global: String,
    /// Whether it is called, not only named.
    pub called: bool,
    /// The entries that lead to the pickle, from the outermost in, with `!` between them; empty for the file.
    pub entry: String,
    /// Where the first opcode that does so lies in the entry, in bytes.
    pub offset: u64,
    /// That opcode.
    pub opcode: &'static str,
    /// How often the entry does so.
    pub count: u64,
    /// Why it is rated so, where the name alone does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

/// Something about a container or a pickle by which a reader could be deceived or harmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How much it is to be feared.
    pub rating: Rating,
    /// One of [`PROBLEMS`].
    pub code: &'static str,
    /// Where, as in [`Finding::entry`].
    pub entry: String,
    /// What is wrong there.
    pub message: String,
}

/// The code of pickles that no program writes.
pub const ODD_PICKLE: &str = "S_ODD_PICKLE";

/// Every code that a problem can have, its rating, and what it means.
pub const PROBLEMS: &[(&str, Rating, &str)] = &[
    (
        "S_DUPLICATE",
        Rating::Dangerous,
        "two entries of an archive have one name: readers differ in which they see",
    ),
    ("S_SLIP", Rating::Dangerous, "the name of an entry leads out of the folder it is unpacked to"),
    ("S_BOMB", Rating::Dangerous, "a small entry becomes huge when it is unpacked"),
    ("S_LIE", Rating::Dangerous, "an archive says two things about an entry, or points where nothing is"),
    ("S_OVERLAP", Rating::Dangerous, "two entries of an archive share bytes"),
    ("S_HIDDEN", Rating::Dangerous, "an entry lies in an archive that its directory does not name"),
    ("S_DIRECTORIES", Rating::Dangerous, "an archive has two directories: readers differ in which they see"),
    ("S_TEMPLATE", Rating::Dangerous, "a chat template reaches for the inner parts of Python"),
    ("S_YAML", Rating::Dangerous, "a YAML document names Python objects, which an unsafe loader makes"),
    ("S_BEFORE", Rating::Unknown, "bytes lie before the first entry of an archive"),
    ("S_AFTER", Rating::Unknown, "bytes follow the end of an archive, or of the last pickle"),
    ("S_CRC", Rating::Unknown, "an entry is not what was written: its checksum differs"),
    ("S_DAMAGED", Rating::Unknown, "a container is damaged, and was looked into as far as it can be read"),
    (
        "S_BROKEN_PICKLE",
        Rating::Unknown,
        "a pickle breaks off: a load runs what comes before, and then fails",
    ),
    (
        ODD_PICKLE,
        Rating::Unknown,
        "a pickle is as no program writes it: a load fails, or takes very much more than its size",
    ),
    ("S_UNREADABLE", Rating::Unknown, "an entry is encrypted, or compressed in a way that is not read"),
    ("S_NESTING", Rating::Unknown, "containers lie too deep inside each other to be looked into"),
    ("S_LIMIT", Rating::Unknown, "there is more than a limit allows to look at"),
    ("S_CODE", Rating::Unknown, "the file has TorchScript code, which `torch.jit.load` compiles"),
    (
        "S_REMOTE_CODE",
        Rating::Unknown,
        "a configuration names code that a loader runs when it is told to trust it",
    ),
    ("S_FORMAT", Rating::Unknown, "the file is of no known format: what a load of it does cannot be said"),
];

/// What was found in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Dangers {
    /// The format, or what stands for it.
    pub format: String,
    /// Each global once for each entry that names it, the worst first.
    pub globals: Vec<Finding>,
    /// What cannot be trusted, the worst first.
    pub problems: Vec<Problem>,
    /// Pickles that were looked into.
    pub pickles: u64,
    /// Whether something was left out because there was too much of it.
    pub truncated: bool,
}

impl Dangers {
    /// The worst of all ratings.
    pub fn worst(&self) -> Rating {
        let globals = self.globals.iter().map(|finding| finding.rating);
        globals.chain(self.problems.iter().map(|problem| problem.rating)).max().unwrap_or(Rating::Safe)
    }
}

/// Looks for what a load of this file would execute.
///
/// # Errors
///
/// If the file cannot be read. What is damaged or hostile is a [`Problem`].
pub fn dangers(source: &dyn Source, limits: &Limits, checksums: Checksums) -> Result<Dangers, FormatError> {
    let mut hunt =
        Hunt { limits, checksums, found: Dangers::default(), places: HashMap::new(), bytes: 0, unpacked: 0 };
    let is_known = hunt.file(source, "", 0, Role::File)?;
    let format = match detect(source) {
        Ok(Format::Bytes) => None,
        Ok(format) => Some(format.name()),
        Err(FormatError::Read { source: error, .. }) if error.kind() != io::ErrorKind::UnexpectedEof => {
            return Err(FormatError::Read { offset: 0, source: error });
        }
        Err(_) => Some("damaged"),
    };
    hunt.found.format = match format {
        Some(format) => format.to_owned(),
        None if zips::begins(&read(source, 0, source.bytes().min(4))?) => "zip".to_owned(),
        None if is_known => "unknown, with pickles or archives inside".to_owned(),
        None if text::is_text(source)? => "text".to_owned(),
        None => {
            hunt.problem("", "S_FORMAT", "its format is not known");
            "unknown".to_owned()
        }
    };
    let mut found = hunt.found;
    found.globals.sort_by_key(|finding| std::cmp::Reverse((finding.rating, finding.called)));
    found.problems.sort_by_key(|problem| std::cmp::Reverse(problem.rating));
    Ok(found)
}

/// What a run of bytes is to the thing it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A whole file.
    File,
    /// An entry of an archive.
    Member,
    /// What should be the bytes of a tensor, and looks like anything by chance.
    Storage,
    /// Bytes or text that a pickle holds.
    Constant,
}

struct Hunt<'a> {
    limits: &'a Limits,
    checksums: Checksums,
    found: Dangers,
    /// Where each finding is, by what makes it one.
    places: HashMap<(String, String, bool, Rating), usize>,
    bytes: u64,
    /// Bytes that streams were unpacked to.
    unpacked: u64,
}

impl Hunt<'_> {
    /// Looks into something by what it begins with, and tells whether it could. Depth bounds the recursion.
    fn file(
        &mut self,
        source: &dyn Source,
        entry: &str,
        depth: usize,
        role: Role,
    ) -> Result<bool, FormatError> {
        let head = read(source, 0, source.bytes().min(512))?;
        if depth >= MOST_DEPTH {
            if is_container(&head) {
                self.problem(
                    entry,
                    "S_NESTING",
                    &format!("more than {MOST_DEPTH} containers inside each other"),
                );
            }
            return Ok(is_container(&head));
        }
        let looked = if zips::begins(&head) {
            self.zips(source, entry, depth).map(|()| true)
        } else if head.starts_with(npy::MAGIC) {
            self.array(source, entry, depth).map(|()| true)
        } else if tar::begins(&head) {
            self.tar(source, entry, depth).map(|()| true)
        } else if torch::is_legacy(&head) {
            self.legacy(source, entry, depth).map(|()| true)
        } else {
            let is_named = role == Role::Member && entry.ends_with(".pkl");
            let trust = matches!(role, Role::File | Role::Member) && pickles::is_marked(&head) || is_named;
            self.pickles(source, 0, entry, depth, trust)
        };
        let mut known = match looked {
            Ok(known) => known,
            Err(error) => {
                self.failed(entry, error)?;
                true
            }
        };
        if role != Role::Storage {
            // Besides: what begins as a stream may be a pickle all the same.
            known |= self.packed(source, &head, entry, depth, role)?;
        }
        if matches!(role, Role::File | Role::Member) {
            text::look(self, source, &head, entry)?;
            if !zips::begins(&head) && zips::ends(source)? {
                // Readers that look for the end of a zip find one behind whatever comes first.
                known = true;
                if let Err(error) = self.zips(source, entry, depth) {
                    self.failed(entry, error)?;
                }
            }
        }
        Ok(known)
    }

    /// Takes an error as a problem of the file, unless the system refused to read it.
    fn failed(&mut self, entry: &str, error: FormatError) -> Result<(), FormatError> {
        if let FormatError::Read { source, .. } = &error
            && source.kind() != io::ErrorKind::UnexpectedEof
        {
            return Err(error);
        }
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            message = format!("{message}: {next}");
            cause = next.source();
        }
        if let Some(bound) = error.bound() {
            message = format!("{message} ({} raises the limit)", bound.option());
        }
        let code = if matches!(error, FormatError::Limit { .. }) { "S_LIMIT" } else { "S_DAMAGED" };
        self.problem(entry, code, &message);
        Ok(())
    }

    /// An array of Python objects is a pickle after the header.
    fn array(&mut self, source: &dyn Source, entry: &str, depth: usize) -> Result<(), FormatError> {
        let header_bytes = npy::head_bytes(&read(source, 0, source.bytes().min(12))?)?;
        super::error::check_limit("the header", header_bytes, npy::MOST_HEADER_BYTES)?;
        let header = npy::Header::parse(&read(source, 0, header_bytes.min(source.bytes()))?, self.limits);
        let is_objects = header.as_ref().is_ok_and(|header| header.data_bytes().is_none());
        // What numbers of a sound header look like is chance; all else is looked at.
        if header.is_err() || is_objects {
            self.pickles(source, header_bytes, entry, depth, is_objects)?;
        }
        Ok(header.map(drop)?)
    }

    /// The old form of torch is five pickles, then the bytes of tensors.
    fn legacy(&mut self, source: &dyn Source, entry: &str, depth: usize) -> Result<(), FormatError> {
        let mut offset = 0;
        for _ in 0..5 {
            match self.one_pickle(source, offset, entry, depth, true)? {
                Some(bytes) => offset += bytes,
                None => return Ok(()),
            }
        }
        let scanned = torch::scan_legacy(source, self.limits);
        if let Ok(scanned) = &scanned {
            offset = scanned.spans.iter().map(|span| span.offset + span.bytes).max().unwrap_or(offset);
        }
        self.pickles(source, offset, entry, depth, false)?;
        scanned.map(drop)
    }

    /// Looks at the pickles that follow each other from an offset on, and tells whether there was one.
    ///
    /// With trust, the first is one, and its breaking off is a problem; else it may be other bytes, as what
    /// follows the first always may.
    fn pickles(
        &mut self,
        source: &dyn Source,
        mut offset: u64,
        entry: &str,
        depth: usize,
        trust: bool,
    ) -> Result<bool, FormatError> {
        let before = self.found.pickles;
        let mut count = 0;
        while offset < source.bytes() {
            let trust = trust && count == 0;
            let Some(bytes) = self.one_pickle(source, offset, entry, depth, trust)? else { break };
            offset += bytes;
            count += 1;
            if count == MOST_PICKLES {
                self.problem(entry, "S_LIMIT", &format!("more than {MOST_PICKLES} pickles in a row"));
                break;
            }
        }
        Ok(self.found.pickles > before || trust)
    }

    /// Looks at the pickle at an offset and returns its length; nothing if it breaks off or is none.
    fn one_pickle(
        &mut self,
        source: &dyn Source,
        offset: u64,
        entry: &str,
        depth: usize,
        trust: bool,
    ) -> Result<Option<u64>, FormatError> {
        let rest = source.bytes() - offset;
        let most = if trust { self.limits.skeleton_bytes } else { MOST_GUESS_BYTES };
        let mut window = WINDOW_BYTES.min(rest);
        loop {
            let bytes = read(source, offset, window)?;
            let traced = super::pickle::trace::trace(&bytes, self.limits);
            let grown = window.saturating_mul(4).min(rest).min(most);
            if traced.is_cut() && grown > window {
                window = grown;
                continue;
            }
            let is_all = traced.bytes as u64 == rest && offset == 0;
            return Ok(self.pickle(&traced, offset, entry, depth, trust, is_all));
        }
    }

    fn problem(&mut self, entry: &str, code: &'static str, message: &str) {
        let known = PROBLEMS.iter().find(|(known, ..)| *known == code);
        let rating = known.map_or(Rating::Dangerous, |(_, rating, _)| *rating);
        let is_known = |p: &Problem| p.code == code && p.entry == entry && p.message == message;
        if self.found.problems.len() >= MOST_FINDINGS {
            self.found.truncated = true;
            if self.found.problems.iter().any(|problem| problem.code == code) {
                return;
            }
        }
        // Only the last few are compared: what repeats does so at once.
        if !self.found.problems.iter().rev().take(8).any(is_known) {
            let (entry, message) = (entry.to_owned(), message.to_owned());
            self.found.problems.push(Problem { rating, code, entry, message });
        }
    }

    fn finding(&mut self, finding: Finding) {
        let key = (finding.entry.clone(), finding.global.clone(), finding.called, finding.rating);
        if let Some(place) = self.places.get(&key) {
            self.found.globals[*place].count += 1;
            return;
        }
        if self.found.globals.len() >= MOST_FINDINGS {
            self.found.truncated = true;
            // The worst is never left out.
            if finding.rating <= self.found.worst() {
                return;
            }
        }
        self.places.insert(key, self.found.globals.len());
        self.found.globals.push(finding);
    }

    /// Counts bytes; false when there were too many.
    fn spend(&mut self, bytes: u64) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        let is_within = self.bytes <= MOST_BYTES;
        self.found.truncated |= !is_within;
        is_within
    }
}

/// Whether bytes begin as something that is looked into: an archive, an array, a stream, a pickle.
fn is_container(head: &[u8]) -> bool {
    zips::begins(head)
        || head.starts_with(npy::MAGIC)
        || tar::begins(head)
        || packed::begins(head)
        || pickles::is_marked(head)
}

/// The place of something inside an entry.
fn inner(entry: &str, name: &str) -> String {
    // A name of control characters or of endless length would garble what it is printed in.
    let name: String = name.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if entry.is_empty() { name } else { format!("{entry}!{name}") }
}

#[cfg(test)]
mod tests;
