//! Migrations as they are written down: one file per form.
//!
//! Reading a migration parses its source text. It never runs it.

mod anemoi;
mod declarative;
pub(super) mod exodus;
pub mod lookups;
mod migrate_ckpt;
pub(super) mod python;
pub(super) mod registry;
pub mod review;

use std::fmt;
use std::io;
use std::sync::Arc;

use super::declarative::Body;
use super::digest::digest;
use super::signature::signature;
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
    /// A Python file with `class Migration(BaseMigration)`, `up(self, collection)` and `down(self, collection)`, as
    /// the Exodus model templates have them. It migrates all documents of a collection.
    Exodus,
    /// A TOML file that says what to do with which places. Nothing of it is code.
    Declarative,
}

impl Form {
    /// Whether running a migration of this form takes an interpreter.
    pub fn is_code(self) -> bool {
        match self {
            Form::Anemoi | Form::MigrateCkpt | Form::Exodus => true,
            Form::Declarative => false,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Form::Anemoi => f.write_str("anemoi"),
            Form::MigrateCkpt => f.write_str("migrate-ckpt"),
            Form::Exodus => f.write_str("exodus"),
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
        Migration::read_of(file, source, version_key.map_or(Package::Only, Package::Named))
    }

    /// Reads a migration from the text that was kept of it when it ran. What it does counts, not whose version it
    /// leads to: one that names several packages is taken for one of them.
    ///
    /// `None` where it cannot be read, by a newer ckstore for instance.
    pub fn read_kept(name: &str, source: &Arc<str>) -> Option<Migration> {
        // The form is told by the text alone: none of one form is of another.
        let read =
            |ending| Migration::read_of(&format!("{name}.{ending}"), source.clone(), Package::Any).ok();
        read("py").or_else(|| read("toml"))
    }

    fn read_of(file: &str, source: Arc<str>, package: Package<'_>) -> Result<Migration, Problem> {
        let problem = |line, message| Problem { file: file.to_owned(), line, message };
        let (name, outline) = if let Some(name) = file.strip_suffix(".toml").filter(|name| is_name(name)) {
            (name, declarative::read(&source, package))
        } else if let Some(name) = file.strip_suffix(".py").filter(|name| is_name(name)) {
            let outline = read_python(&source, package)
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

    /// What stands for the script in a checkpoint's own list: anemoi-models' signature for a migration of its form
    /// (see [`signature`]), else the digest.
    pub fn label(&self) -> String {
        let signature = match self.form {
            Form::Anemoi => signature(&self.source),
            Form::MigrateCkpt | Form::Declarative | Form::Exodus => None,
        };
        signature.unwrap_or_else(|| self.digest.to_string())
    }
}

impl Migration {
    /// Milliseconds since 1970 that its name tells, where it is of the Exodus form.
    pub fn time(&self) -> Option<i64> {
        (self.form == Form::Exodus).then(|| exodus::time_and_name(&self.name)).flatten().map(|(time, _)| time)
    }

    /// The name without the time, where it is of the Exodus form.
    pub fn short_name(&self) -> &str {
        match exodus::time_and_name(&self.name) {
            Some((_, name)) if self.form == Form::Exodus => name,
            _ => &self.name,
        }
    }
}

/// The version of the form itself stands beside the package's under this key.
const FORM_KEY: &str = "migration";

/// Which of the packages that a migration names is the model package.
#[derive(Debug, Clone, Copy)]
enum Package<'a> {
    /// The only one.
    Only,
    /// This one.
    Named(&'a str),
    /// Any.
    Any,
}

impl Package<'_> {
    /// Whether an entry of `versions` may be the model package's.
    fn allows(self, package: &str) -> bool {
        match self {
            Package::Named(name) => package == name,
            Package::Only | Package::Any => package != FORM_KEY,
        }
    }

    /// The one of these, in bytewise order of their names, that it is.
    fn choose<T: Copy>(self, found: &[(&str, T)]) -> Result<T, String> {
        match (found, self) {
            ([(_, only)], _) | ([(_, only), ..], Package::Any) => Ok(*only),
            ([], Package::Named(name)) => Err(format!("`versions` has no `{name}`")),
            ([], _) => Err("`versions` names no package".into()),
            (several, _) => {
                let names: Vec<_> = several.iter().map(|(name, _)| *name).collect();
                let names = names.join(", ");
                Err(format!("`versions` names several packages ({names}): the catalogue must say which"))
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_control() || c == '/' || c == '\\')
}

fn read_python(source: &str, package: Package<'_>) -> io::Result<Result<Outline, Flaw>> {
    let parsed = python::with_module(source, |module| {
        if anemoi::is_one(module) {
            return anemoi::read(module, package);
        }
        if exodus::is_one(module) {
            return Ok(exodus::read(module));
        }
        if migrate_ckpt::is_one(module) {
            return Ok(migrate_ckpt::read(module));
        }
        let message = "form not recognised: it has neither `metadata = MigrationMetadata(...)` nor `handle(ckpt)` \
                       nor `class Migration(BaseMigration)` at top level";
        Err(Flaw { line: 1, message: message.into() })
    })?;
    Ok(parsed.unwrap_or_else(|error| Err(Flaw { line: error.line, message: error.message })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_migration_is_read_without_knowing_whose_version_it_leads_to() {
        let script = "metadata = MigrationMetadata(versions={'migration': '1', 'one': '2', 'two': '3'})\n\
                      def migrate(ckpt): pass\ndef rollback(ckpt): pass\n";
        let table = "versions = { one = \"2\", two = \"3\" }\n[[step]]\nrename = \"a\"\nto = \"b\"\n";
        for text in [script, table] {
            let text: Arc<str> = text.into();
            let kept = Migration::read_kept("1_step", &text).unwrap();
            assert_eq!((kept.package.as_str(), kept.has_migrate, kept.has_rollback), ("one", true, true));
            let file = format!("1_step.{}", if text.starts_with("meta") { "py" } else { "toml" });
            assert!(
                Migration::read(&file, text.clone(), None).unwrap_err().message.contains("several packages")
            );
            assert_eq!(Migration::read(&file, text, Some("two")).unwrap().version.to_string(), "3");
        }
    }
}
