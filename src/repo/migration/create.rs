//! A new migration, ready to be written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::durable;
use crate::migration::version::Version;
use crate::migration::{Catalogue, CatalogueError, Form, Migration};

use super::super::RepoError;
use super::super::open::{absolute, check_outside_stores};

/// What to make.
#[derive(Debug, Clone)]
pub struct CreateOptions<'a> {
    /// What it is called, without a number.
    pub name: &'a str,
    /// The form to write it in.
    pub form: Form,
    /// Whether it opens a compatibility group.
    pub is_final: bool,
    /// Whether it edits class paths before it runs.
    pub with_setup: bool,
    /// Its version; the next release where none is given.
    pub version: Option<&'a str>,
    /// When it is made: its name begins with that.
    pub at: Timestamp,
}

/// What was made.
#[derive(Debug, Clone, Serialize)]
pub struct CreateReport {
    /// Its name.
    pub migration: String,
    /// Its file.
    pub path: PathBuf,
    /// Its version; `None` where its form has none.
    pub version: Option<String>,
    /// The form it is written in.
    pub form: Form,
}

/// Writes a migration that does nothing yet into a catalogue's folder, which is made where there is none.
///
/// # Errors
///
/// If the name or version cannot be one, a migration of that name is there, or the system refuses. Nothing is
/// overwritten.
pub fn create_migration(directory: &Path, options: &CreateOptions<'_>) -> Result<CreateReport, RepoError> {
    let bad_name = || RepoError::MigrationName { name: options.name.to_owned() };
    let name = slug(options.name).ok_or_else(bad_name)?;
    let catalogue = match Catalogue::load(directory) {
        Ok(catalogue) => Some(catalogue),
        Err(CatalogueError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let known = catalogue.as_ref().and_then(|catalogue| catalogue.migrations.first());
    let named = catalogue.as_ref().map(|catalogue| catalogue.name.clone());
    let package = known.map(|migration| migration.package.clone()).or(named);
    let package = package.unwrap_or_else(|| "my-model".to_owned());
    let version = match options.version {
        Some(text) => {
            let _: Version = text.parse().map_err(crate::migration::ResolveError::from)?;
            text.to_owned()
        }
        None => placeholder(&package),
    };
    let last = catalogue.as_ref().and_then(|catalogue| catalogue.migrations.last());
    let (stem, version, text, ending) = match options.form {
        Form::MigrateCkpt => (next_number(last, &name), None, handle(), "py"),
        form => {
            let stem = format!("{}_{name}", time_after(last, options.at));
            match form {
                Form::Declarative => {
                    let text = toml(&package, &version, options.is_final);
                    (stem, Some(version), text, "toml")
                }
                _ => {
                    let text = python(&package, &version, options);
                    (stem, Some(version), text, "py")
                }
            }
        }
    };
    if let Some(last) = last.filter(|last| stem <= last.name) {
        return Err(RepoError::NotNumbered { name: last.name.clone() });
    }
    let taken = catalogue.as_ref().is_some_and(|catalogue| catalogue.get(&stem).is_some());
    let path = directory.join(format!("{stem}.{ending}"));
    if taken || path.symlink_metadata().is_ok() {
        return Err(RepoError::NameTaken { name: stem });
    }
    check_outside_stores(&absolute(&path)?, None)?;
    fs::create_dir_all(directory).map_err(RepoError::io("make", directory))?;
    write_new(&path, text.as_bytes()).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => RepoError::NameTaken { name: stem.clone() },
        _ => RepoError::io("write", &path)(error),
    })?;
    Ok(CreateReport { migration: stem, path, version, form: options.form })
}

/// Writes a file that must not be there yet, whole or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = durable::directory_of(path);
    let mut file = tempfile::Builder::new().prefix(".ckstore-").tempfile_in(directory)?;
    io::Write::write_all(&mut file, bytes)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    durable::sync_directory(directory)
}

/// A name as it stands in a file's name: lower case, words joined by `_`.
fn slug(name: &str) -> Option<String> {
    let joined: String = name
        .trim()
        .chars()
        .map(|c| if c == ' ' || c == '-' { '_' } else { c.to_ascii_lowercase() })
        .collect();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!joined.is_empty() && joined.len() <= 100 && joined.chars().all(fits) && joined.contains(|c| c != '_'))
        .then_some(joined)
}

/// The version that a release tool replaces.
fn placeholder(package: &str) -> String {
    let upper: String = package
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    format!("%NEXT_{upper}_VERSION%")
}

/// The present, but behind the last migration where numbers are times.
fn time_after(last: Option<&Migration>, at: Timestamp) -> u64 {
    let now = u64::try_from(at.as_second()).unwrap_or(0);
    match last.and_then(|last| super::fix_order::digits(&last.name).parse::<u64>().ok()) {
        Some(number) if number >= super::fix_order::FIRST_TIME => now.max(number.saturating_add(1)),
        _ => now,
    }
}

/// The number behind the last one, as wide as that.
fn next_number(last: Option<&Migration>, name: &str) -> String {
    let digits = last.map_or("", |last| super::fix_order::digits(&last.name));
    let next = digits.parse::<u64>().map_or(0, |number| number.saturating_add(1));
    format!("{next:0width$}_{name}", width = digits.len().max(4))
}

fn handle() -> String {
    "\"\"\"Say in one line what this changes.\"\"\"\n\n\ndef handle(ckpt):\n    return ckpt\n".to_owned()
}

fn toml(package: &str, version: &str, is_final: bool) -> String {
    let (package, version) = (quoted(package), quoted(version));
    let head = |summary: &str| format!("summary = \"{summary}\"\nversions = {{ {package} = {version} }}\n");
    if is_final {
        return head("Opens a group: older checkpoints cannot be brought here.") + "final = true\n";
    }
    head("Say in one line what this changes.")
        + "\n# One table for each thing to do, in order: rename, move, delete, set, cast, reshape, transpose, split,\n\
           # concat or fill. For instance:\n\
           #\n\
           # [[step]]\n\
           # in = \"state_dict\"\n\
           # rename = \"*.old.*\"\n\
           # to = \"*.new.*\"\n"
}

/// Text as TOML and Python both write it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn python(package: &str, version: &str, options: &CreateOptions<'_>) -> String {
    let summary = match options.is_final {
        true => "Opens a group: older checkpoints cannot be brought here.",
        false => "Say in one line what this changes.",
    };
    let mut imports = Vec::new();
    if !options.is_final {
        imports.push("CkptType");
    }
    if options.with_setup {
        imports.push("MigrationContext");
    }
    imports.push("MigrationMetadata");
    let imports: String =
        imports.iter().map(|name| format!("from anemoi.models.migrations import {name}\n")).collect();
    let last = if options.is_final { "    final=True,\n" } else { "" };
    let mut text = format!(
        "\"\"\"{summary}\"\"\"\n\n{imports}\nmetadata = MigrationMetadata(\n    versions={{\n        \
         \"migration\": \"1.0.0\",\n        {}: {},\n    }},\n{last})\n",
        quoted(package),
        quoted(version),
    );
    if options.with_setup {
        text.push_str(
            "\n\ndef migrate_setup(context: MigrationContext) -> None:\n    \
             \"\"\"Say which classes moved or are gone, before the checkpoint is looked at.\"\"\"\n    \
             # context.move_attribute(\"package.old.Class\", \"package.new.Class\")\n",
        );
    }
    if !options.is_final {
        text.push_str(
            "\n\ndef migrate(ckpt: CkptType) -> CkptType:\n    \
             # What this changes is kept: a rollback is needed only where the checkpoint was migrated elsewhere.\n    \
             return ckpt\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_words_joined_by_underscores() {
        assert_eq!(slug("Rename the-Encoder").as_deref(), Some("rename_the_encoder"));
        for bad in ["", " ", "a/b", "..", "é", "_"] {
            assert_eq!(slug(bad), None, "{bad}");
        }
        assert_eq!(placeholder("anemoi-models"), "%NEXT_ANEMOI_MODELS_VERSION%");
    }
}
