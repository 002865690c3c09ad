//! Catalogues: folders of migrations of one model package.
//!
//! Loading one reads and parses its files. It executes nothing.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use super::list::{DEFAULT_LIST_KEY, MIGRATE_CKPT_LIST_KEY};
use super::plan::Policy;
use super::resolver::Entry;
use super::source::exodus::problems_of_time;
use super::source::registry::{self, REGISTRY_FILE};
use super::source::{Form, Migration, Problem};
use super::version::Version;

/// The optional file that describes a catalogue.
pub const CONFIG_FILE: &str = "catalogue.toml";

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// Most bytes that are read from one catalogue.
pub const MAX_TOTAL_BYTES: u64 = 64 << 20;

/// Most files in a catalogue's folder.
pub const MAX_FILES: usize = 10_000;

/// An ordered folder of migrations.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// The name: the configured one, else that of the folder.
    pub name: String,
    /// The folder.
    pub directory: PathBuf,
    /// Which migrations a checkpoint needs: as `catalogue.toml` says, else as the framework has it whose scripts
    /// these are.
    pub policy: Policy,
    /// The key under which a checkpoint keeps its list, chosen likewise.
    pub list_key: String,
    /// The migrations, in the order in which they run: the bytewise order of their names, or of their times where
    /// they migrate documents. If the folder has an `all_migrations.py`, only what that lists of the latter.
    pub migrations: Vec<Migration>,
    /// What a person should know, although it stops nothing.
    pub warnings: Vec<Problem>,
    /// Migrations of documents whose times tie or go back, or are not told by their names. The order in which they
    /// run is then not the one that their author may think of.
    pub time_problems: Vec<Problem>,
}

/// Why a catalogue could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// The folder or a file in it could not be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder has more files than [`MAX_FILES`].
    #[error("catalogue `{}` has more than {MAX_FILES} files", directory.display())]
    TooManyFiles {
        /// The folder.
        directory: PathBuf,
    },
    /// The files together are larger than [`MAX_TOTAL_BYTES`].
    #[error("catalogue `{}` is larger than {MAX_TOTAL_BYTES} bytes", directory.display())]
    TooLarge {
        /// The folder.
        directory: PathBuf,
    },
    /// Files that are no migrations. All of them are listed.
    #[error("catalogue `{}` is broken: {}", directory.display(), first_of(problems))]
    Broken {
        /// The folder.
        directory: PathBuf,
        /// One entry for each broken file, in the order of the files. Never empty.
        problems: Vec<Problem>,
    },
}

fn first_of(problems: &[Problem]) -> String {
    match problems {
        [] => "no problem is named".to_owned(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

/// What `catalogue.toml` can say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    name: Option<String>,
    /// The key of the model package in a migration's versions.
    version_key: Option<String>,
    policy: Option<Policy>,
    list_key: Option<String>,
}

impl Catalogue {
    /// Loads the catalogue in a folder.
    ///
    /// Migrations are the `.py` and `.toml` files. Those whose names begin with `_` or `.` are passed over, and so
    /// are folders and files of other kinds.
    ///
    /// # Errors
    /// [`CatalogueError::Broken`] with every file that is no migration: of no known form, with a syntax error or
    /// computed metadata, larger than [`MAX_FILE_BYTES`], not UTF-8, not an ordinary file, or of a name that
    /// another has.
    pub fn load(directory: &Path) -> Result<Catalogue, CatalogueError> {
        let files = files(directory)?;
        let mut budget = MAX_TOTAL_BYTES;
        let mut problems = Vec::new();
        let mut sources = Vec::new();
        let mut config = Config::default();
        let mut is_configured = true;
        let mut registered = None;
        for (file, path) in files {
            let text = match read(&path, &mut budget) {
                Ok(text) => text,
                Err(ReadFailure::Budget) => {
                    return Err(CatalogueError::TooLarge { directory: directory.to_owned() });
                }
                Err(ReadFailure::Io(source)) => return Err(CatalogueError::Io { path, source }),
                Err(ReadFailure::Unfit(message)) => {
                    problems.push(Problem { file, line: None, message: message.to_owned() });
                    continue;
                }
            };
            if file == REGISTRY_FILE {
                match registry::read(&text) {
                    Ok(listed) => registered = Some(listed),
                    Err(problem) => problems.push(problem),
                }
            } else if file == CONFIG_FILE {
                match parse_config(&text) {
                    Ok(parsed) => config = parsed,
                    Err((line, message)) => {
                        is_configured = false;
                        problems.push(Problem { file, line, message });
                    }
                }
            } else {
                sources.push((file, text));
            }
        }
        let mut migrations: BTreeMap<String, Migration> = BTreeMap::new();
        // How files are to be read is not known while the settings cannot be.
        for (file, text) in sources.into_iter().filter(|_| is_configured) {
            match Migration::read(&file, text.into(), config.version_key.as_deref()) {
                Err(problem) => problems.push(problem),
                Ok(migration) => {
                    if let Some(other) = migrations.get(&migration.name) {
                        let message = format!("`{}` has the same name", other.file);
                        problems.push(Problem { file, line: None, message });
                    } else {
                        migrations.insert(migration.name.clone(), migration);
                    }
                }
            }
        }
        if let Some(listed) = &registered {
            problems.extend(register(&mut migrations, listed));
        }
        if !problems.is_empty() {
            problems.sort_by(|a, b| a.file.cmp(&b.file));
            return Err(CatalogueError::Broken { directory: directory.to_owned(), problems });
        }
        // A map of text is in bytewise order.
        let mut migrations: Vec<Migration> = migrations.into_values().collect();
        // Their times may have different numbers of digits.
        migrations.sort_by_key(Migration::time);
        let order: Vec<&str> = registered.iter().flatten().map(|entry| entry.name.as_str()).collect();
        let time_problems = match &registered {
            Some(_) => {
                problems_of_time(order.iter().filter_map(|name| migrations.iter().find(|m| m.name == *name)))
            }
            None => problems_of_time(&migrations),
        };
        let name = config.name.unwrap_or_else(|| folder_name(directory));
        fill_in(&mut migrations, config.version_key.as_deref().unwrap_or(&name));
        let (policy, list_key) = habits(&migrations);
        Ok(Catalogue {
            name,
            directory: directory.to_owned(),
            policy: config.policy.unwrap_or(policy),
            list_key: config.list_key.unwrap_or_else(|| list_key.to_owned()),
            warnings: warnings(&migrations),
            time_problems,
            migrations,
        })
    }

    /// The migration with this name.
    pub fn get(&self, name: &str) -> Option<&Migration> {
        self.migrations.iter().find(|migration| migration.name == name)
    }

    /// The compatibility group that a migration belongs to.
    pub fn group_of(&self, name: &str) -> Option<u32> {
        let position = self.migrations.iter().position(|migration| migration.name == name)?;
        let finals = self.migrations[..=position].iter().filter(|migration| migration.is_final).count();
        u32::try_from(finals).ok()
    }

    /// What the resolver needs to know of the migrations, in their order.
    pub fn entries(&self) -> Vec<Entry> {
        self.migrations.iter().map(Entry::from).collect()
    }

    /// The compatibility groups in their order. There is always group 0, which can be empty.
    pub fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        let finals = self.migrations.iter().enumerate().filter(|(_, m)| m.is_final).map(|(index, _)| index);
        let starts: Vec<usize> = std::iter::once(0).chain(finals.clone()).collect();
        let ends: Vec<usize> = finals.chain([self.migrations.len()]).collect();
        starts.into_iter().zip(ends).zip(0..).map(|((start, end), index)| Group {
            index,
            members: &self.migrations[start..end],
            next: self.migrations.get(end),
        })
    }
}

/// Migrations between two finals: checkpoints are only moved inside of one.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// Its number, from 0.
    pub index: u32,
    /// Its migrations in order. The first is the final that opens it, except in group 0.
    pub members: &'a [Migration],
    /// The final that opens the next group.
    next: Option<&'a Migration>,
}

impl<'a> Group<'a> {
    /// The final that opens it.
    pub fn opening(&self) -> Option<&'a Migration> {
        self.members.first().filter(|migration| migration.is_final)
    }

    /// The first version that belongs to it, or `None` when there is no lower bound.
    pub fn since(&self) -> Option<&'a str> {
        self.opening().map(|migration| migration.version.as_str())
    }

    /// The first version that no longer belongs to it, or `None` for the newest group.
    pub fn until(&self) -> Option<&'a str> {
        self.next.map(|migration| migration.version.as_str())
    }
}

impl From<&Migration> for Entry {
    fn from(migration: &Migration) -> Entry {
        Entry {
            name: migration.name.clone(),
            version: migration.version.clone(),
            is_final: migration.is_final,
            digest: Some(migration.digest),
            label: migration.label().parse().ok(),
            has_migrate: migration.has_migrate,
            has_rollback: migration.has_rollback,
            is_code: migration.form.is_code(),
        }
    }
}

/// Leaves only the migrations of documents that are registered, and tells what is wrong with the list.
fn register(migrations: &mut BTreeMap<String, Migration>, listed: &[registry::Registered]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for entry in listed {
        let mut wrong = |message| {
            problems.push(Problem { file: REGISTRY_FILE.to_owned(), line: Some(entry.line), message });
        };
        match migrations.get(&entry.name) {
            None => wrong(format!("it registers `{}`, of which there is no file", entry.name)),
            Some(_) if !seen.insert(&entry.name) => wrong(format!("it registers `{}` twice", entry.name)),
            Some(found) => {
                if let (Some(named), Some(time)) = (found.time(), entry.time)
                    && named != time
                {
                    wrong(format!("it registers `{}` with the time {time}", entry.name));
                }
            }
        }
    }
    migrations.retain(|name, migration| migration.form != Form::Exodus || seen.contains(name));
    problems
}

/// Gives migrations without a version that of the one before, and those without a package the catalogue's.
fn fill_in(migrations: &mut [Migration], otherwise: &str) {
    let named = migrations.iter().map(|migration| &migration.package).find(|package| !package.is_empty());
    let package = named.map_or(otherwise, String::as_str).to_owned();
    let mut version = Version::absent();
    for migration in migrations {
        if migration.package.is_empty() {
            migration.package.clone_from(&package);
        }
        if migration.version.is_absent() {
            migration.version.clone_from(&version);
        }
        version.clone_from(&migration.version);
    }
}

/// Policy and key of the list, as the framework has them whose scripts these are.
fn habits(migrations: &[Migration]) -> (Policy, &'static str) {
    let has = |form| migrations.iter().any(|migration| migration.form == form);
    if has(Form::MigrateCkpt) && !has(Form::Anemoi) {
        (Policy::LastDone, MIGRATE_CKPT_LIST_KEY)
    } else {
        (Policy::Prefix, DEFAULT_LIST_KEY)
    }
}

fn folder_name(directory: &Path) -> String {
    let named = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    named.file_name().map_or_else(|| "catalogue".into(), |name| name.to_string_lossy().into_owned())
}

fn warnings(migrations: &[Migration]) -> Vec<Problem> {
    let about =
        |migration: &Migration, message| Problem { file: migration.file.clone(), line: None, message };
    let finals: Vec<&Migration> = migrations.iter().filter(|migration| migration.is_final).collect();
    let bodies = finals.iter().filter(|migration| migration.has_migrate).map(|migration| {
        about(migration, "a final never runs, but this one has a migrate function".to_owned())
    });
    let falling = finals.windows(2).filter(|pair| pair[1].version < pair[0].version).map(|pair| {
        about(
            pair[1],
            format!("its version {} is below the final before it, {}", pair[1].version, pair[0].version),
        )
    });
    let missing = migrations
        .iter()
        .filter(|migration| !migration.is_final && !migration.has_migrate)
        .map(|migration| about(migration, "it has no migrate function and is no final".to_owned()));
    let mut warnings: Vec<Problem> = bodies.chain(falling).chain(missing).collect();
    warnings.sort_by(|a, b| a.file.cmp(&b.file));
    warnings
}

/// The files of a folder that should be migrations, or describe them: names and paths, by name.
///
/// # Errors
///
/// If the folder cannot be read or has more than [`MAX_FILES`].
pub fn files(directory: &Path) -> Result<Vec<(String, PathBuf)>, CatalogueError> {
    let failed = |source| CatalogueError::Io { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for (count, entry) in fs::read_dir(directory).map_err(failed)?.enumerate() {
        if count >= MAX_FILES {
            return Err(CatalogueError::TooManyFiles { directory: directory.to_owned() });
        }
        let entry = entry.map_err(failed)?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let passed_over = file.starts_with(['_', '.']);
        if !passed_over && (file.ends_with(".py") || file.ends_with(".toml")) {
            files.push((file, entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

enum ReadFailure {
    Io(io::Error),
    Budget,
    Unfit(&'static str),
}

impl From<io::Error> for ReadFailure {
    fn from(error: io::Error) -> ReadFailure {
        ReadFailure::Io(error)
    }
}

/// Reads an ordinary file. A symbolic link is not followed: it could lead out of the folder, or change.
fn read(path: &Path, budget: &mut u64) -> Result<String, ReadFailure> {
    const NOT_ORDINARY: ReadFailure = ReadFailure::Unfit("not an ordinary file");
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(NOT_ORDINARY);
    }
    let file = open(path)?;
    if !file.metadata()?.is_file() {
        return Err(NOT_ORDINARY);
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    let length = bytes.len() as u64;
    if length > MAX_FILE_BYTES {
        return Err(ReadFailure::Unfit("larger than 1 MiB"));
    }
    *budget = budget.checked_sub(length).ok_or(ReadFailure::Budget)?;
    String::from_utf8(bytes).map_err(|_| ReadFailure::Unfit("not UTF-8 text"))
}

/// Opens without following a link and without waiting for the other end of a pipe, in case the file was exchanged
/// since it was looked at.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    options.open(path)
}

fn parse_config(text: &str) -> Result<Config, (Option<u32>, String)> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() as u32 + 1);
        (line, error.message().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/catalogues").join(name)
    }

    /// A folder with these files.
    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    fn problems(directory: &Path) -> Vec<String> {
        match Catalogue::load(directory).unwrap_err() {
            CatalogueError::Broken { problems, .. } => problems.iter().map(ToString::to_string).collect(),
            other => panic!("{other}"),
        }
    }

    const GOOD: &[u8] = b"metadata = MigrationMetadata(versions={'p': '1'})\ndef migrate(ckpt): pass\n";
    const FINAL: &[u8] = b"metadata = MigrationMetadata(versions={'p': '1'}, final=True)\n";

    #[test]
    fn a_catalogue_is_read_in_bytewise_order_with_its_settings() {
        let catalogue = Catalogue::load(&data("spellings")).unwrap();
        assert_eq!((catalogue.name.as_str(), catalogue.policy), ("every spelling", Policy::LastDone));
        assert_eq!(catalogue.list_key, "steps");
        let names: Vec<_> = catalogue.migrations.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["100_plain", "20_qualified", "30_borrowed", "9_final"]);

        let plain = catalogue.get("100_plain").unwrap();
        assert_eq!((plain.version.as_str(), plain.is_final), ("0.8.1", false));
        assert_eq!((plain.has_migrate, plain.has_rollback, plain.has_setup), (true, true, false));
        assert_eq!(plain.summary.as_deref(), Some("Renames the first layer."));
        assert_eq!(*plain.source, *fs::read_to_string(data("spellings/100_plain.py")).unwrap());

        let qualified = catalogue.get("20_qualified").unwrap();
        assert!(qualified.version.is_placeholder());
        assert_eq!((qualified.has_migrate, qualified.has_rollback, qualified.has_setup), (true, true, true));

        let borrowed = catalogue.get("30_borrowed").unwrap();
        assert_eq!((borrowed.has_migrate, borrowed.has_rollback), (true, false));

        let last = catalogue.get("9_final").unwrap();
        assert_eq!((last.is_final, last.has_migrate, last.summary.as_deref()), (true, false, None));
        assert!(catalogue.get("8_none").is_none());
    }

    #[test]
    fn every_broken_file_is_reported_with_its_line() {
        let expected = [
            "calls_for_its_version.py:3: the version of `pkg` is not a literal string",
            "computes_its_versions.py:4: `versions` is computed: only a literal dict is read",
            "declared.toml:1: a migration lacks `version`",
            "edits_its_metadata.py:4: `metadata` is changed after it was assigned",
            "has_a_bad_version.py:6: bad version 'banana'",
            "has_a_formatted_version.py:3: the version of `pkg` is not a literal string",
            "has_an_unknown_field.py:3: `MigrationMetadata` has no field `finale`",
            "has_metadata_twice.py:4: `metadata` is assigned twice",
            "has_no_metadata.py:1: form not recognised: it has neither `metadata = MigrationMetadata(...)` nor `handle(ckpt)` \
             nor `class Migration(BaseMigration)` at top level",
            "has_no_package.py:3: `versions` names no package",
            "has_no_versions.py:3: `MigrationMetadata` lacks `versions`",
            "has_one_version_twice.py:3: `versions` has `pkg` twice",
            "has_two_packages.py:3: `versions` names several packages (one, two): the catalogue must say which",
            "hides_its_metadata.py:1: form not recognised: it has neither `metadata = MigrationMetadata(...)` nor `handle(ckpt)` \
             nor `class Migration(BaseMigration)` at top level",
            "is_final_by_computing.py:3: `final` is neither `True` nor `False`",
            "is_no_python.py:2: not valid Python: Expected an expression",
            "makes_other_metadata.py:1: `metadata` is not a call of `MigrationMetadata`",
            "spreads_its_fields.py:3: `metadata` is computed: only literals are read",
            "spreads_its_versions.py:3: a key of `versions` is not a literal string",
        ];
        assert_eq!(problems(&data("broken")), expected);
    }

    #[test]
    fn an_unknown_setting_is_refused_with_its_line() {
        let problems = problems(&data("unknown-setting"));
        assert!(problems[0].starts_with("catalogue.toml:3: unknown field `polcy`"), "{problems:?}");
    }

    #[test]
    fn unfit_files_are_refused() {
        let large = vec![b'#'; MAX_FILE_BYTES as usize + 1];
        let folder = folder(&[("1_large.py", &large), ("2_bytes.py", b"\xff\xfe"), ("4_good.py", GOOD)]);
        fs::create_dir(folder.path().join("3_folder.py")).unwrap();
        let expected = [
            "1_large.py: larger than 1 MiB",
            "2_bytes.py: not UTF-8 text",
            "3_folder.py: not an ordinary file",
        ];
        assert_eq!(problems(folder.path()), expected);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_pipes_are_refused_without_waiting() {
        let folder = folder(&[("target", GOOD)]);
        std::os::unix::fs::symlink("target", folder.path().join("1_link.py")).unwrap();
        let pipe = folder.path().join("2_pipe.py");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(
            problems(folder.path()),
            ["1_link.py: not an ordinary file", "2_pipe.py: not an ordinary file"]
        );
    }

    #[test]
    fn a_folder_of_too_many_files_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..=MAX_FILES {
            File::create(folder.path().join(format!("{index}"))).unwrap();
        }
        let error = Catalogue::load(folder.path()).unwrap_err();
        assert!(matches!(error, CatalogueError::TooManyFiles { .. }), "{error}");
    }

    #[test]
    fn a_missing_folder_is_an_error_and_an_empty_one_is_a_catalogue() {
        let folder = tempfile::tempdir().unwrap();
        let error = Catalogue::load(&folder.path().join("none")).unwrap_err();
        assert!(matches!(error, CatalogueError::Io { .. }), "{error}");
        let catalogue = Catalogue::load(folder.path()).unwrap();
        assert_eq!(catalogue.list_key, "migrations");
        assert_eq!(catalogue.groups().map(|group| group.members.len()).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn what_is_odd_but_harmless_is_told() {
        let body = [FINAL, b"def migrate(ckpt): pass\n"].concat();
        let older = b"metadata = MigrationMetadata(versions={'p': '0.9'}, final=True)\n";
        let bodiless = b"metadata = MigrationMetadata(versions={'p': '1'})\n";
        let folder = folder(&[("1.py", &body), ("2.py", older), ("3.py", bodiless)]);
        let warnings: Vec<String> =
            Catalogue::load(folder.path()).unwrap().warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "1.py: a final never runs, but this one has a migrate function",
                "2.py: its version 0.9 is below the final before it, 1",
                "3.py: it has no migrate function and is no final",
            ]
        );
    }

    const UP: &[u8] = b"class Migration(BaseMigration):\n    def up(self, collection): pass\n";

    #[test]
    fn migrations_of_documents_run_in_the_order_of_their_times_and_only_if_registered() {
        let names =
            ["Migration_1000_b.py", "Migration_999_a.py", "Migration_1000_c.py", "Migration_2000_d.py"];
        let files: Vec<_> = names.iter().map(|name| (*name, UP)).collect();
        let all = Catalogue::load(folder(&files).path()).unwrap();
        let order = |all: &Catalogue| all.migrations.iter().map(|m| m.name.clone()).collect::<Vec<_>>();
        let expected = ["Migration_999_a", "Migration_1000_b", "Migration_1000_c", "Migration_2000_d"];
        assert_eq!(order(&all), expected);
        let problems: Vec<_> = all.time_problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, ["Migration_1000_c.py: `Migration_1000_b.py` has the same time"]);

        let registry = b"from . import Migration_2000_d, Migration_999_a\nall_migrations = [Migration_2000_d.Migration(2000, 'd'), \
            Migration_999_a.Migration(999, 'a')]\n";
        let registered =
            Catalogue::load(folder(&[&files[..], &[("all_migrations.py", registry)]].concat()).path());
        let registered = registered.unwrap();
        assert_eq!(order(&registered), ["Migration_999_a", "Migration_2000_d"]);
        assert!(
            registered.time_problems[0].message.contains("its time is before that of `Migration_2000_d.py`")
        );
    }

    #[test]
    fn a_registry_that_does_not_fit_its_folder_is_refused() {
        let registry = b"from . import Migration_1_a, Migration_2_b\nall_migrations = [\n  Migration_1_a.Migration(7, 'a'),\n  \
            Migration_1_a.Migration(1, 'a'),\n  Migration_2_b.Migration(2, 'b'),\n]\n";
        let folder = folder(&[("Migration_1_a.py", UP), ("all_migrations.py", registry)]);
        assert_eq!(
            problems(folder.path()),
            [
                "all_migrations.py:3: it registers `Migration_1_a` with the time 7",
                "all_migrations.py:4: it registers `Migration_1_a` twice",
                "all_migrations.py:5: it registers `Migration_2_b`, of which there is no file",
            ]
        );
    }

    #[test]
    fn metadata_takes_no_part_in_the_digest() {
        let other = b"metadata: MigrationMetadata = MigrationMetadata(versions={'p': '2'})\ndef migrate(ckpt): pass\n";
        let folder = folder(&[("1.py", GOOD), ("2.py", other)]);
        let catalogue = Catalogue::load(folder.path()).unwrap();
        assert_eq!(catalogue.migrations[0].digest, catalogue.migrations[1].digest);
    }

    #[test]
    fn the_shipped_catalogue_has_three_groups() {
        let catalogue = Catalogue::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")).unwrap();
        assert_eq!(catalogue.warnings, []);
        let groups: Vec<_> = catalogue
            .groups()
            .map(|group| {
                let versions: Vec<_> = group.members.iter().map(|m| m.version.as_str()).collect();
                (group.index, group.since(), group.until(), versions)
            })
            .collect();
        assert_eq!(
            groups,
            [
                (0, None, Some("0.9.0"), vec!["0.8.1", "0.8.3"]),
                (1, Some("0.9.0"), Some("0.12.0"), vec!["0.9.0", "0.10.5"]),
                (2, Some("0.12.0"), None, vec!["0.12.0", "0.12.2"]),
            ]
        );
        assert!(catalogue.entries().iter().all(|entry| entry.has_migrate != entry.is_final));
    }
}
