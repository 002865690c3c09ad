//! Migrations as they are written down: one file per form.
//!
//! Reading a migration parses its source text. It never runs it.

mod anemoi;
mod declarative;
pub mod lookups;
mod migrate_ckpt;
pub(super) mod python;
pub mod review;

use std::fmt;
use std::io;
use std::sync::Arc;

use super::declarative::Body;
use super::digest::digest;
use super::version::Version;
use crate::object::ObjectId;

/// The form that a migration is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Form {
    /// A Python file with `metadata = MigrationMetadata(...)`, `migrate(ckpt)` and maybe `rollback(ckpt)` and
    /// `migrate_setup(context)`, as anemoi-models has them.
    Anemoi,
    /// A Python file with `handle(ckpt)` alone, as migrate-ckpt has them.
    MigrateCkpt,
    /// A TOML file that says what to do with which places. Nothing of it is code.
    Declarative,
}

impl Form {
    /// Whether running a migration of this form takes an interpreter.
    pub fn is_code(self) -> bool {
        match self {
            Form::Anemoi | Form::MigrateCkpt => true,
            Form::Declarative => false,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Form::Anemoi => f.write_str("anemoi"),
            Form::MigrateCkpt => f.write_str("migrate-ckpt"),
            Form::Declarative => f.write_str("declarative"),
        }
    }
}

/// One migration of a catalogue, read but not run.
#[derive(Debug, Clone)]
pub struct Migration {
    /// The name: the stem of its file.
    pub name: String,
    /// The model package, as its versions name it; empty while no one says.
    pub package: String,
    /// The version of the package that brought it. One without a version has that of the migration before it.
    pub version: Version,
    /// Whether it opens a compatibility group. A final never runs.
    pub is_final: bool,
    /// The digest of its body. Comments, formatting, docstrings and the metadata take no part in it, and neither
    /// does the version of any interpreter.
    pub digest: ObjectId,
    /// The whole text, as it is in the file.
    pub source: Arc<str>,
    /// The name of its file, inside the catalogue's folder.
    pub file: String,
    /// The form it is written in.
    pub form: Form,
    /// Whether it can be run.
    pub has_migrate: bool,
    /// Whether it brings its own rollback, or one that can be derived. A rollback that only gives back what it
    /// got, as generated scripts have it, undoes nothing and does not count.
    pub has_rollback: bool,
    /// What it does, if it says so in a form that takes no interpreter.
    pub body: Option<Arc<Body>>,
    /// Whether it brings a setup, which edits class paths before it runs.
    pub has_setup: bool,
    /// The first line of its docstring.
    pub summary: Option<String>,
}

/// A file of a catalogue that cannot be read as a migration, or something in it that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The name of the file, inside the catalogue's folder.
    pub file: String,
    /// The line, from 1, where there is one.
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for Problem {}

/// What is wrong with a text, before its file is named.
struct Flaw {
    line: u32,
    message: String,
}

/// What a form tells of a migration.
struct Outline {
    form: Form,
    package: String,
    version: Version,
    is_final: bool,
    digest: ObjectId,
    has_migrate: bool,
    has_rollback: bool,
    body: Option<Body>,
    has_setup: bool,
    summary: Option<String>,
}

impl Migration {
    /// Reads a migration from its text, by the form that it is recognised as. Nothing of it is run.
    ///
    /// `file` is the name of its file: its stem is the migration's name. `version_key` is the key of the model
    /// package in the migration's versions; without one, the migration must name a single package.
    ///
    /// # Errors
    /// What is wrong with the text and where, for a person.
    pub fn read(file: &str, source: Arc<str>, version_key: Option<&str>) -> Result<Migration, Problem> {
        let problem = |line, message| Problem { file: file.to_owned(), line, message };
        let (name, outline) = if let Some(name) = file.strip_suffix(".toml").filter(|name| is_name(name)) {
            (name, declarative::read(&source, version_key))
        } else if let Some(name) = file.strip_suffix(".py").filter(|name| is_name(name)) {
            let outline = read_python(&source, version_key)
                .map_err(|error| problem(None, format!("cannot start a thread to parse it: {error}")))?;
            (name, outline)
        } else {
            return Err(problem(None, "form not recognised: neither a Python nor a TOML file".into()));
        };
        let outline = outline.map_err(|flaw| problem(Some(flaw.line), flaw.message))?;
        Ok(Migration {
            name: name.to_owned(),
            package: outline.package,
            version: outline.version,
            is_final: outline.is_final,
            digest: outline.digest,
            source,
            file: file.to_owned(),
            form: outline.form,
            has_migrate: outline.has_migrate,
            has_rollback: outline.has_rollback,
            body: outline.body.map(Arc::new),
            has_setup: outline.has_setup,
            summary: outline.summary,
        })
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_control() || c == '/' || c == '\\')
}

fn read_python(source: &str, version_key: Option<&str>) -> io::Result<Result<Outline, Flaw>> {
    let parsed = python::with_module(source, |module| {
        if anemoi::is_one(module) {
            return anemoi::read(module, version_key);
        }
        if migrate_ckpt::is_one(module) {
            return Ok(migrate_ckpt::read(module));
        }
        let message = "form not recognised: it has neither `metadata = MigrationMetadata(...)` nor `handle(ckpt)` \
                       at top level";
        Err(Flaw { line: 1, message: message.into() })
    })?;
    Ok(parsed.unwrap_or_else(|error| Err(Flaw { line: error.line, message: error.message })))
}
