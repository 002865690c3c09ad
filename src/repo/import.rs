//! Taking a checkpoint into the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::format::{self, Format, FormatError, Limits, Note, Scanned};
use crate::ledger::{Advance, Change, RefKind, RefRow, WorkingFile};
use crate::migration::{Catalogue, list, resolver};
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::revision::{Applied, REVISION_ENCODING, Revision, Step, StepKind};
use crate::snapshot::{self, Tree};
use crate::store::{Compression, Counts, Writer};
use crate::value::Graph;

use super::catalogue::group_rows;
use super::input::{Input, stamp_of};
use super::open::absolute;
use super::working::{Stamp, path_text};
use super::{CatalogueSource, Context, Repo, RepoError};

/// What to import, and as what.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions<'a> {
    /// The file or folder; HEAD's working file when none is given.
    pub path: Option<&'a Path>,
    /// The ref; when none is given, the one whose working file this is, else one named after the file.
    pub name: Option<RefName>,
    /// The version the checkpoint was trained at, where the file does not say which migrations it has.
    pub version: Option<&'a str>,
    /// The last migration it has, where the file does not say.
    pub baseline: Option<&'a str>,
    /// Why.
    pub message: Option<&'a str>,
    /// Takes the file to be of this format instead of detecting it.
    pub format: Option<Format>,
    /// Where the catalogue is.
    pub catalogue: CatalogueSource<'a>,
    /// Only moves the ref: the file does not become its working file, and HEAD stays where it is if it names a ref.
    pub detached: bool,
    /// Leaves HEAD where it is.
    pub keep_head: bool,
    /// How much work compression is worth.
    pub compression: Compression,
    /// The revision whose tensors new ones may be stored as differences to; the ref's own without it.
    pub base: Option<&'a str>,
    /// Bounds on what the file may ask of memory and time.
    pub limits: Limits,
}

/// What an import did.
#[derive(Debug, Clone, Serialize)]
pub struct ImportReport {
    /// The ref.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// The revision it names now.
    pub revision: ObjectId,
    /// The revision it named before.
    pub previous: Option<ObjectId>,
    /// Whether the content was already what the ref named.
    pub unchanged: bool,
    /// The file's format.
    pub format: String,
    /// Number of tensors.
    pub tensors: u64,
    /// What was read and stored.
    pub bytes: ByteCounts,
    /// The compatibility group, where it is known.
    pub group: Option<u32>,
    /// The version of the newest migration it has, where it is known.
    pub version: Option<String>,
    /// Names of the migrations it has, oldest first; `None` where nothing says which.
    pub applied: Option<Vec<String>>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// The file.
    #[serde(skip)]
    pub path: PathBuf,
}

/// Counts of bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ByteCounts {
    /// Length of the file.
    pub read: u64,
    /// Bytes of objects that were not stored before.
    pub new: u64,
    /// Bytes of objects that were.
    pub reused: u64,
}

/// Something a person should know although it stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// A stable code.
    pub code: String,
    /// The same for people.
    pub message: String,
}

impl From<&Note> for Warning {
    fn from(note: &Note) -> Warning {
        Warning { code: note.code.to_owned(), message: note.message.clone() }
    }
}

/// A file that was read as far as that takes no writing.
pub(super) struct Opened {
    path: PathBuf,
    name: RefName,
    row: Option<RefRow>,
    parent: Option<(ObjectId, Revision)>,
    catalogue: Option<Arc<Catalogue>>,
    applied: Option<Vec<Applied>>,
    file: FileRead,
}

/// A file that is stored, and not entered in the ledger yet.
pub(super) struct Taken {
    path: PathBuf,
    name: RefName,
    row: Option<RefRow>,
    catalogue: Option<Arc<Catalogue>>,
    id: ObjectId,
    revision: Revision,
    unchanged: bool,
    /// The keys under which it was looked for a list of migrations, and has none.
    unlisted: Vec<String>,
    before: Stamp,
    notes: Vec<Warning>,
}

impl Opened {
    /// The ref that is to be moved.
    pub fn name(&self) -> &RefName {
        &self.name
    }
}

impl Taken {
    /// Whether the content was already what the ref named, and whether there was such a ref.
    pub fn is_known(&self) -> (bool, bool) {
        (self.unchanged, self.row.is_some())
    }

    /// Length of the file.
    pub fn read_bytes(&self) -> u64 {
        self.revision.file_bytes
    }

    /// Enters the revision, moves the ref, and remembers the file.
    pub fn enter(
        &self,
        options: &ImportOptions<'_>,
        context: &Context<'_>,
        change: &Change<'_>,
    ) -> Result<(), RepoError> {
        if !self.unchanged {
            change.advance(&Advance {
                name: &self.name,
                expected: self.row.as_ref().map(|row| row.revision),
                id: &self.id,
                revision: &self.revision,
                operation: "import",
            })?;
        }
        self.unlisted.iter().try_for_each(|key| change.add_unlisted(&self.revision.tree, key))?;
        if let Some(catalogue) = &self.catalogue {
            change.set_groups(&catalogue.name, &group_rows(catalogue), context.time())?;
            if options.catalogue.given.is_some() {
                change.set_catalogue(&self.name, &path_text(&catalogue.directory))?;
            }
        }
        if !options.detached {
            change.set_working_file(
                &self.name,
                &WorkingFile {
                    path: path_text(&self.path),
                    revision: self.id,
                    bytes: self.before.bytes,
                    modified_ns: self.before.modified_ns,
                },
            )?;
        }
        Ok(())
    }

    /// What was done, once it is entered.
    pub fn report(self, counts: Counts, options: &ImportOptions<'_>) -> ImportReport {
        let mut warnings = self.notes;
        let cautions = super::scan::cautions(&self.path, &options.limits);
        let mut warn = |code: &str, message| warnings.push(Warning { code: code.to_owned(), message });
        if let Some(what) = cautions.dangerous {
            let why = "it is kept as data, but loading it is dangerous, `ckstore scan` tells why";
            warn("W_DANGEROUS", format!("{why}: {what}"));
        }
        if let Some(what) = cautions.odd {
            let why = "it is kept as data, but no program writes pickles so: loading it may fail, or take very long";
            warn("W_ODD_PICKLE", format!("{why}: {what}"));
        }
        let Revision { applied, format, file_bytes, tensors, .. } = self.revision;
        let (group, version) = super::status::place(applied.as_deref(), self.catalogue.as_deref());
        ImportReport {
            ref_name: self.name,
            revision: self.id,
            previous: self.row.map(|row| row.revision),
            unchanged: self.unchanged,
            format,
            tensors,
            bytes: ByteCounts {
                read: file_bytes,
                new: if self.unchanged { 0 } else { counts.new_bytes },
                reused: counts.reused_bytes,
            },
            group,
            version,
            applied: applied.map(|list| list.into_iter().map(|entry| entry.name).collect()),
            warnings,
            path: self.path,
        }
    }
}

impl Repo {
    /// Finds out whether a file or folder can be imported, as far as that takes no store.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is not sound.
    pub fn check_importable(path: &Path, format: Option<Format>, limits: &Limits) -> Result<(), RepoError> {
        read_file(path, format, limits).map(drop)
    }

    /// Takes a file or folder into the store as a new revision of a ref, and makes that ref HEAD.
    ///
    /// The same content again stores nothing and makes no revision.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is not sound, the options do not fit it, or the store cannot be
    /// written. Nothing is changed then.
    pub fn import(
        &mut self,
        options: &ImportOptions<'_>,
        context: &Context<'_>,
    ) -> Result<ImportReport, RepoError> {
        let _lock = self.lock()?;
        let opened = self.open_import(options)?;
        let reading = self.ledger.reading()?;
        let mut writer = self.store.writer(&self.ledger).with_compression(options.compression);
        let taken = self.take(opened, options, &mut writer, context)?;
        let counts = writer.counts();
        let pack = writer.finish()?;
        drop(reading);

        let has_head = self.ledger.setting("head")?.is_some();
        let change = self.ledger.change()?;
        if let Some(pack) = &pack {
            change.add_pack(&pack.id, pack.bytes, &pack.records)?;
        }
        taken.enter(options, context, &change)?;
        let keeps_head = options.keep_head || (options.detached && has_head);
        if !keeps_head {
            change.set_setting("head", taken.name.as_str())?;
        }
        change.commit()?;
        Ok(taken.report(counts, options))
    }

    /// Reads a file as far as that takes no writing, and finds out what it becomes.
    pub(super) fn open_import(&self, options: &ImportOptions<'_>) -> Result<Opened, RepoError> {
        let (path, name) = self.import_target(options)?;
        let row = self.ledger.find_ref(&name)?;
        if row.as_ref().is_some_and(|row| row.kind == RefKind::Tag) {
            return Err(RepoError::NotABranch { name: name.to_string(), found: "tag" });
        }
        self.keep_out_of(&path)?;
        let file = read_file(&path, options.format, &options.limits)?;
        let catalogue = match &row {
            Some(row) => self.find_catalogue(Some(row), options.catalogue)?,
            None => self.find_collection_catalogue(&name, options.catalogue)?,
        };
        let parent = match &row {
            Some(row) => self.ledger.revision(&row.revision)?.map(|revision| (row.revision, revision)),
            None => None,
        };
        let known = parent.as_ref().map(|(_, revision)| revision);
        let applied = match applied_list(&path, &file.graph, options, catalogue.as_deref(), known)? {
            None if row.is_none() && file.scanned.outline.format == Format::Json => {
                self.joined_alone(&name)?
            }
            found => found,
        };
        Ok(Opened { path, name, row, parent, catalogue, applied, file })
    }

    /// Stores what was opened. Nothing is entered in the ledger.
    pub(super) fn take(
        &self,
        opened: Opened,
        options: &ImportOptions<'_>,
        writer: &mut Writer<'_>,
        context: &Context<'_>,
    ) -> Result<Taken, RepoError> {
        let Opened { path, name, row, parent, catalogue, applied, file } = opened;
        let FileRead { input, before, scanned, graph } = file;
        let source = input.source();
        let known = parent.as_ref().map(|(_, revision)| revision);
        let unlisted = match &applied {
            Some(_) => Vec::new(),
            None => list_keys(catalogue.as_deref()).map(str::to_owned).collect(),
        };
        let base = self.base_tree(options.base, known)?;
        context.progress.begin("importing", source.bytes());
        let snapshot =
            snapshot::write_file(source, &scanned, &graph, base.as_ref(), writer, context.progress)?;
        context.progress.end();
        if stamp_of(&path)? != before {
            return Err(RepoError::ChangedWhileRead { path });
        }

        let unchanged =
            known.is_some_and(|revision| revision.tree == snapshot.id && revision.applied == applied);
        let (id, revision) = match (&parent, unchanged) {
            (Some((id, revision)), true) => (*id, revision.clone()),
            _ => {
                let at = context.time();
                let revision = Revision {
                    encoding: REVISION_ENCODING,
                    tree: snapshot.id,
                    parents: parent.iter().map(|(id, _)| *id).collect(),
                    format: snapshot.tree.format.clone(),
                    file: None,
                    file_bytes: source.bytes(),
                    tensors: super::whole::count(&snapshot.tree),
                    steps: registered(&applied, known, options, &snapshot.id, at, catalogue.as_deref()),
                    applied,
                    actor: context.actor.to_owned(),
                    created: at,
                    message: options.message.map_or_else(|| default_message(&path), str::to_owned),
                };
                (writer.put(&revision.encode(), Default::default())?, revision)
            }
        };
        let notes = scanned.notes.iter().map(Warning::from).collect();
        Ok(Taken { path, name, row, catalogue, id, revision, unchanged, unlisted, before, notes })
    }

    /// The tree whose tensors new ones may be stored as differences to.
    fn base_tree(&self, named: Option<&str>, parent: Option<&Revision>) -> Result<Option<Tree>, RepoError> {
        if let Some(name) = named {
            return Ok(Some(self.tree_of(&self.revision_named(name)?)?));
        }
        // A parent that is damaged is no reason not to store what is whole.
        Ok(parent.and_then(|parent| snapshot::read_tree(&self.reader(), &parent.tree).ok()))
    }

    /// The file to read and the ref to move.
    fn import_target(&self, options: &ImportOptions<'_>) -> Result<(PathBuf, RefName), RepoError> {
        let Some(path) = options.path else {
            let name = match &options.name {
                Some(name) => self.branch_named(Some(name.as_str()))?.name,
                None => self.head()?,
            };
            let file = self.ledger.working_file(&name)?;
            let file = file.ok_or_else(|| RepoError::NoWorkingFile { name: name.to_string() })?;
            return Ok((PathBuf::from(file.path), name));
        };
        let path = absolute(path)?;
        if let Some(name) = &options.name {
            return Ok((path, name.clone()));
        }
        let known = self.ledger.working_files_at(&path_text(&path))?;
        let head = self.head().ok();
        let known = known.iter().find(|(name, _)| Some(name) == head.as_ref()).or(known.first());
        let name = match known {
            Some((name, _)) => name.clone(),
            None => {
                let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
                RefName::from_file_stem(&stem.unwrap_or_default().to_string_lossy())
            }
        };
        Ok((path, name))
    }
}

/// A file or folder that was looked at, and not stored yet.
struct FileRead {
    input: Input,
    /// What the system said of it before anything was read.
    before: Stamp,
    scanned: Scanned,
    graph: Graph,
}

fn read_file(path: &Path, format: Option<Format>, limits: &Limits) -> Result<FileRead, RepoError> {
    let (input, before) = Input::open(path, limits)?;
    let scanned = input.scan(path, format, limits)?;
    let failed = |source: FormatError| RepoError::Format { path: path.to_owned(), source };
    let graph = format::decode(&scanned.outline, limits).map_err(failed)?;
    Ok(FileRead { input, before, scanned, graph })
}

/// Where a checkpoint's own list is looked for. That of one framework is known by its key, also while there is no
/// catalogue.
fn list_keys(catalogue: Option<&Catalogue>) -> impl Iterator<Item = &str> {
    let keys = match catalogue {
        Some(catalogue) => [Some(catalogue.list_key.as_str()), None],
        None => [Some(list::DEFAULT_LIST_KEY), Some(list::MIGRATE_CKPT_LIST_KEY)],
    };
    keys.into_iter().flatten()
}

/// The migrations that the checkpoint has: as its own list says; else as the person says; else as the
/// revision before had them, since training changes weights and not code.
fn applied_list(
    path: &Path,
    graph: &Graph,
    options: &ImportOptions<'_>,
    catalogue: Option<&Catalogue>,
    parent: Option<&Revision>,
) -> Result<Option<Vec<Applied>>, RepoError> {
    let asked = options.version.is_some() || options.baseline.is_some();
    let old = |name: &str| parent.and_then(|p| p.applied().iter().find(|entry| entry.name == name));
    let mut listed = None;
    for key in list_keys(catalogue) {
        listed = list::read(graph, key)?;
        if listed.is_some() {
            break;
        }
    }
    if let Some(listed) = listed {
        if asked {
            return Err(RepoError::AlreadyBaselined { path: path.to_owned() });
        }
        let executed = list::executed(graph);
        let applied = listed.into_iter().map(|entry| {
            let old = old(&entry.name);
            let ran = executed.iter().any(|(name, _)| *name == entry.name);
            Applied {
                digest: old.and_then(|old| old.digest),
                executed: ran || old.is_some_and(|old| old.executed),
                name: entry.name,
                version: entry.version,
                is_final: entry.is_final,
                signature: entry.signature,
            }
        });
        return Ok(Some(applied.collect()));
    }
    if asked {
        let directory = options.catalogue.given.unwrap_or(Path::new("migrations")).to_owned();
        let catalogue = catalogue.ok_or(RepoError::NoCatalogue { path: directory })?;
        let target = match (options.version, options.baseline) {
            (_, Some(migration)) => resolver::Target::Migration(migration.to_owned()),
            (Some(version), None) => resolver::Target::of_version(version),
            (None, None) => resolver::Target::Latest,
        };
        return Ok(Some(baseline_list(catalogue, &target)?));
    }
    Ok(parent.and_then(|parent| parent.applied.clone()))
}

/// The list of a checkpoint that was born at a target.
pub(super) fn baseline_list(
    catalogue: &Catalogue,
    target: &resolver::Target,
) -> Result<Vec<Applied>, RepoError> {
    let names = resolver::target_list(&catalogue.entries(), target)?;
    let applied = names.iter().filter_map(|name| catalogue.get(name)).map(|migration| Applied {
        name: migration.name.clone(),
        version: migration.version.named(),
        is_final: migration.is_final,
        digest: None,
        signature: Some(migration.label()),
        executed: false,
    });
    Ok(applied.collect())
}

/// One row of history for each migration that the revision before did not have.
fn registered(
    applied: &Option<Vec<Applied>>,
    parent: Option<&Revision>,
    options: &ImportOptions<'_>,
    tree: &ObjectId,
    at: Timestamp,
    catalogue: Option<&Catalogue>,
) -> Vec<Step> {
    let asked = options.version.is_some() || options.baseline.is_some();
    let kind = if asked { StepKind::Baseline } else { StepKind::Register };
    let had = |name: &str| parent.is_some_and(|p| p.applied().iter().any(|old| old.name == name));
    let new = applied.iter().flatten().filter(|entry| !had(&entry.name));
    new.map(|entry| listed_step(kind, entry, tree, at, catalogue)).collect()
}

/// A step that says that a checkpoint has a migration, without running it.
pub(super) fn listed_step(
    kind: StepKind,
    entry: &Applied,
    tree: &ObjectId,
    at: Timestamp,
    catalogue: Option<&Catalogue>,
) -> Step {
    Step {
        kind,
        migration: entry.name.clone(),
        version: entry.version.clone(),
        group: catalogue.and_then(|catalogue| catalogue.group_of(&entry.name)),
        digest: entry.digest,
        script: None,
        method: None,
        input: *tree,
        output: *tree,
        change: None,
        engine: None,
        started: at,
        finished: at,
    }
}

fn default_message(path: &Path) -> String {
    format!("import {}", path.file_name().unwrap_or_default().to_string_lossy())
}
