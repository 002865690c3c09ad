//! Taking many files, or files of many documents, into a collection.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::durable;
use crate::format::{self, Format, FormatError, Limits};
use crate::ledger::{Advance, RefKind, WorkingFile};
use crate::migration::document::{self, Document, DocumentError, MAX_DEPTH, Value};
use crate::migration::resolver;
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::revision::{Applied, REVISION_ENCODING, Revision, StepKind};
use crate::snapshot::{self, SnapshotError};
use crate::store::Counts;

use super::super::import::{ImportOptions, ImportReport, Opened, Warning, baseline_list, listed_step};
use super::super::open::absolute;
use super::super::working::{Stamp, path_text};
use super::super::{CatalogueSource, Context, Repo, RepoError};
use super::{SETTING_PREFIX, dump};

/// Largest file of documents, in bytes.
const MAX_DUMP_BYTES: u64 = 2 << 30;

/// At most so many files are stored in one pack and entered in one transaction, and so many bytes of several files.
const BATCH_FILES: usize = 1000;
const BATCH_BYTES: u64 = 256 << 20;

/// Most files below a folder that is imported.
const MAX_FILES: usize = 1_000_000;

/// Deepest folder that is looked into.
const MAX_FOLDERS: usize = 64;

/// What to take into a collection.
#[derive(Debug, Clone)]
pub struct CollectionImportOptions<'a> {
    /// A folder of files, or one file of documents.
    pub path: &'a Path,
    /// The collection.
    pub collection: RefName,
    /// The version that the checkpoints were trained at, where they do not say which migrations they have.
    pub version: Option<&'a str>,
    /// The last migration that they have, where they do not say.
    pub baseline: Option<&'a str>,
    /// Why.
    pub message: Option<&'a str>,
    /// Where the catalogue is; one that is given here is the collection's from now on.
    pub catalogue: CatalogueSource<'a>,
    /// Bounds on what each file or document may ask of memory and time.
    pub limits: Limits,
}

/// What an import into a collection did.
#[derive(Debug, Serialize)]
pub struct CollectionImportReport {
    /// The collection.
    pub collection: RefName,
    /// Number of refs that were made.
    pub added: u64,
    /// Number of refs that were moved.
    pub changed: u64,
    /// Number of refs that were what the files hold already.
    pub unchanged: u64,
    /// Number of documents among these.
    pub documents: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Files that could not be taken, each by itself, and why; the others were.
    #[serde(skip)]
    pub failed: Vec<(PathBuf, RepoError)>,
    /// What a person should know about files that were taken.
    pub warnings: Vec<FileWarning>,
}

/// Something a person should know about one file of many.
#[derive(Debug, Clone, Serialize)]
pub struct FileWarning {
    /// The file.
    pub path: String,
    /// What.
    #[serde(flatten)]
    pub warning: Warning,
}

/// What was done with files that were taken together.
#[derive(Default)]
struct Batch {
    added: u64,
    changed: u64,
    unchanged: u64,
    bytes: u64,
    failed: Vec<(PathBuf, RepoError)>,
    warnings: Vec<FileWarning>,
}

impl CollectionImportReport {
    fn add(&mut self, batch: Batch) {
        self.added += batch.added;
        self.changed += batch.changed;
        self.unchanged += batch.unchanged;
        self.bytes += batch.bytes;
        self.failed.extend(batch.failed);
        self.warnings.extend(batch.warnings);
    }
}

/// A document that was looked at, and not stored yet.
struct Incoming {
    name: RefName,
    text: Vec<u8>,
    /// The file, if it holds this document alone.
    file: Option<(PathBuf, Stamp)>,
}

/// The files below a folder, told apart by what they hold.
#[derive(Default)]
struct Sorted {
    documents: Vec<PathBuf>,
    others: Vec<PathBuf>,
}

impl Repo {
    /// Takes a folder of files, or a file of documents, into a collection: one ref for each.
    ///
    /// Documents are named by their `_id` (see [`document::part_of`]), files by their path below the folder. All
    /// documents are taken in one transaction, or none; every other file by itself. What was taken before stays as it
    /// is. HEAD does not move.
    ///
    /// # Errors
    ///
    /// If a document is none, has the `_id` of another, or the store cannot be written. Nothing is changed then.
    pub fn import_collection(
        &mut self,
        options: &CollectionImportOptions<'_>,
        context: &Context<'_>,
    ) -> Result<CollectionImportReport, RepoError> {
        let root = absolute(options.path)?;
        let sorted = sort(&root)?;
        let base = base_of(&root, &sorted);
        let mut report = CollectionImportReport {
            collection: options.collection.clone(),
            added: 0,
            changed: 0,
            unchanged: 0,
            documents: 0,
            bytes: 0,
            failed: Vec::new(),
            warnings: Vec::new(),
        };
        let mut incoming = Vec::new();
        for path in &sorted.documents {
            report.bytes += read_documents(path, base, &options.collection, &options.limits, &mut incoming)?;
        }
        refuse_twins(&root, &incoming)?;
        report.documents = incoming.len() as u64;
        self.take_documents(&incoming, options, context, &mut report)?;
        for files in batches(&sorted.others) {
            let taken = self.take_files(files, base, options, context);
            match taken {
                Ok(done) => report.add(done),
                // Whichever it is, the others are taken without it.
                Err(_) if files.len() > 1 => {
                    for file in files {
                        match self.take_files(std::slice::from_ref(file), base, options, context) {
                            Ok(done) => report.add(done),
                            Err(error) => report.failed.push((file.clone(), error)),
                        }
                    }
                }
                Err(error) => report.failed.push((files[0].clone(), error)),
            }
        }
        Ok(report)
    }

    /// Finds out whether what is to be taken can be, as far as that takes no store.
    ///
    /// # Errors
    ///
    /// As [`import_collection`](Repo::import_collection).
    pub fn check_collection(path: &Path, collection: &RefName, limits: &Limits) -> Result<(), RepoError> {
        let root = absolute(path)?;
        let sorted = sort(&root)?;
        let base = base_of(&root, &sorted);
        let mut incoming = Vec::new();
        for path in &sorted.documents {
            read_documents(path, base, collection, limits, &mut incoming)?;
        }
        refuse_twins(&root, &incoming)
    }

    /// Takes files in one pack and one transaction. Those that cannot be opened or are not sound are listed; any other
    /// failure is one of all of them.
    fn take_files(
        &mut self,
        files: &[PathBuf],
        base: &Path,
        options: &CollectionImportOptions<'_>,
        context: &Context<'_>,
    ) -> Result<Batch, RepoError> {
        let _lock = self.lock()?;
        let reading = self.ledger.reading()?;
        let mut writer = self.store.writer(&self.ledger);
        let (mut batch, mut taken, mut names) = (Batch::default(), Vec::new(), HashSet::new());
        for path in files {
            match self.open_file(path, base, options) {
                Ok((opened, _)) if !names.insert(opened.name().clone()) => {
                    let name = opened.name().to_string();
                    batch.failed.push((path.clone(), RepoError::NameTaken { name }));
                }
                Ok((opened, import)) => {
                    taken.push((self.take(opened, &import, &mut writer, context)?, import))
                }
                Err(error) => batch.failed.push((path.clone(), error)),
            }
        }
        let pack = writer.finish()?;
        drop(reading);
        let change = self.ledger.change()?;
        if let Some(pack) = &pack {
            change.add_pack(&pack.id, pack.bytes, &pack.records)?;
        }
        for (done, import) in &taken {
            done.enter(import, context, &change)?;
            batch.bytes += done.read_bytes();
            match done.is_known() {
                (true, _) => batch.unchanged += 1,
                (false, true) => batch.changed += 1,
                (false, false) => batch.added += 1,
            }
        }
        change.commit()?;
        for (done, import) in taken {
            let ImportReport { path, warnings, .. } = done.report(Counts::default(), &import);
            let of_file = |warning| FileWarning { path: path_text(&path), warning };
            batch.warnings.extend(warnings.into_iter().map(of_file));
        }
        Ok(batch)
    }

    fn open_file<'a>(
        &self,
        path: &Path,
        base: &Path,
        options: &CollectionImportOptions<'a>,
    ) -> Result<(Opened, ImportOptions<'a>), RepoError> {
        let name = name_of_file(path, base, &options.collection)?;
        // Two files that differ only in their ending would take turns at one name.
        if let Some(file) = self.remembered_file(&name)?
            && Path::new(&file.path) != path
            && Path::new(&file.path).exists()
        {
            return Err(RepoError::NameTaken { name: name.to_string() });
        }
        let known = match self.ledger.find_ref(&name)? {
            Some(row) => self.revision(&row.revision)?.applied.is_some(),
            None => false,
        };
        let import = ImportOptions {
            // Said once, it stays said.
            version: options.version.filter(|_| !known),
            baseline: options.baseline.filter(|_| !known),
            message: options.message,
            catalogue: CatalogueSource { given: None, ..options.catalogue },
            keep_head: true,
            limits: options.limits.clone(),
            ..ImportOptions::default()
        };
        let opened =
            self.open_import(&ImportOptions { path: Some(path), name: Some(name), ..import.clone() })?;
        Ok((opened, import))
    }

    /// Stores documents and moves their refs, in one pack and one transaction.
    fn take_documents(
        &mut self,
        incoming: &[Incoming],
        options: &CollectionImportOptions<'_>,
        context: &Context<'_>,
        report: &mut CollectionImportReport,
    ) -> Result<(), RepoError> {
        let _lock = self.lock()?;
        let collection = &options.collection;
        let directory = options.catalogue.given.map(absolute).transpose()?;
        let applied = if incoming.is_empty() { Vec::new() } else { self.joined_list(options)? };
        let reading = self.ledger.reading()?;
        let mut writer = self.store.writer(&self.ledger);
        let mut new = Vec::new();
        context.progress.begin("importing", incoming.iter().map(|document| document.text.len() as u64).sum());
        for document in incoming {
            let row = self.ledger.find_ref(&document.name)?;
            if row.as_ref().is_some_and(|row| row.kind == RefKind::Tag) {
                return Err(RepoError::NotABranch { name: document.name.to_string(), found: "tag" });
            }
            let parent = row.as_ref().map(|row| self.revision(&row.revision)).transpose()?;
            let tree = store_text(&document.text, &mut writer)?;
            context.progress.advance(document.text.len() as u64);
            if let (Some(row), Some(parent)) = (&row, &parent)
                && parent.tree == tree
            {
                report.unchanged += 1;
                new.push((document, Some(row.revision), row.revision, None));
                continue;
            }
            let at = context.time();
            let kept = parent.as_ref().map(|parent| parent.applied.clone());
            let steps = match &kept {
                Some(_) => Vec::new(),
                None => applied
                    .iter()
                    .map(|entry| listed_step(StepKind::Baseline, entry, &tree, at, None))
                    .collect(),
            };
            let revision = Revision {
                encoding: REVISION_ENCODING,
                tree,
                parents: row.iter().map(|row| row.revision).collect(),
                format: Format::Json.name().to_owned(),
                file: None,
                file_bytes: document.text.len() as u64,
                tensors: 0,
                applied: kept.unwrap_or_else(|| Some(applied.clone())),
                steps,
                actor: context.actor.to_owned(),
                created: at,
                message: options.message.map_or_else(|| format!("import into {collection}"), str::to_owned),
            };
            let id = writer.put(&revision.encode(), Default::default())?;
            match row {
                Some(_) => report.changed += 1,
                None => report.added += 1,
            }
            new.push((document, row.map(|row| row.revision), id, Some(revision)));
        }
        context.progress.end();
        let pack = writer.finish()?;
        drop(reading);
        let change = self.ledger.change()?;
        if let Some(pack) = &pack {
            change.add_pack(&pack.id, pack.bytes, &pack.records)?;
        }
        let key = format!("{SETTING_PREFIX}{collection}");
        match &directory {
            Some(directory) => change.set_setting(&key, &path_text(directory))?,
            None => change.add_setting(&key, "")?,
        }
        for (document, expected, id, revision) in &new {
            if let Some(revision) = revision {
                change.advance(&Advance {
                    name: &document.name,
                    expected: *expected,
                    id,
                    revision,
                    operation: "import",
                })?;
            }
            if let Some((path, stamp)) = &document.file {
                let file = WorkingFile {
                    path: path_text(path),
                    revision: *id,
                    bytes: stamp.bytes,
                    modified_ns: stamp.modified_ns,
                };
                change.set_working_file(&document.name, &file)?;
            }
        }
        Ok(change.commit()?)
    }

    /// The migrations that a document has which joins a collection: those that the others have. The first ones have
    /// what a person says.
    fn joined_list(&self, options: &CollectionImportOptions<'_>) -> Result<Vec<Applied>, RepoError> {
        let executed = self.executed(&options.collection)?;
        let target = match (options.version, options.baseline) {
            (_, Some(migration)) => resolver::Target::Migration(migration.to_owned()),
            (Some(version), None) => resolver::Target::of_version(version),
            (None, None) => return Ok(executed.applied),
        };
        let catalogue = self.load_collection_catalogue(&options.collection, options.catalogue)?;
        let said = baseline_list(&catalogue, &target)?;
        let names = |list: &[Applied]| list.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
        if executed.documents > 0 && names(&said) != names(&executed.applied) {
            let (collection, name) = (options.collection.to_string(), "the documents to import".to_owned());
            return Err(RepoError::Uneven { collection, name });
        }
        Ok(said)
    }
}

/// Stores the text of a document, and returns its tree.
pub(in crate::repo) fn store_text(
    text: &[u8],
    writer: &mut crate::store::Writer<'_>,
) -> Result<ObjectId, RepoError> {
    let limits = Limits::NONE;
    let scanned = format::scan(&text, Some(Format::Json), &limits).map_err(SnapshotError::from)?;
    let graph = format::decode(&scanned.outline, &limits).map_err(SnapshotError::from)?;
    let stored = snapshot::write_file(&text, &scanned, &graph, None, writer, &crate::progress::Silent)?;
    Ok(stored.id)
}

/// Reads the documents of a file and checks each. Returns how many bytes the file has.
fn read_documents(
    path: &Path,
    base: &Path,
    collection: &RefName,
    limits: &Limits,
    incoming: &mut Vec<Incoming>,
) -> Result<u64, RepoError> {
    let failed = || RepoError::io("read", path);
    let metadata = fs::metadata(path).map_err(failed())?;
    if metadata.len() > MAX_DUMP_BYTES {
        let what = "the file of documents is larger than 2 GiB: import it in parts".to_owned();
        let source = DocumentError::NotADocument { what };
        return Err(RepoError::NotADocument { path: path.to_owned(), line: None, source });
    }
    let stamp = Stamp::of(&metadata);
    let text = fs::read(path).map_err(failed())?;
    let after = fs::metadata(path).map_err(failed())?;
    if Stamp::of(&after) != stamp || text.len() as u64 != stamp.bytes {
        return Err(RepoError::ChangedWhileRead { path: path.to_owned() });
    }
    let places = dump::split(&text).map_err(|error| RepoError::NotADocument {
        path: path.to_owned(),
        line: Some(error.line),
        source: DocumentError::NotADocument { what: error.what.to_owned() },
    })?;
    let alone = places.len() == 1 && !text.trim_ascii_start().starts_with(b"[");
    let limits = Limits { nesting: MAX_DEPTH as u64 + 8, ..limits.clone() };
    // Counted on from one document to the next, since counting from the begin would take quadratic time.
    let (mut line, mut counted) = (1, 0);
    for place in places {
        line += text[counted..place.start].iter().filter(|byte| **byte == b'\n').count();
        counted = place.start;
        let wrong = |source| RepoError::NotADocument { path: path.to_owned(), line: Some(line), source };
        let body = if alone { &text[..] } else { &text[place.clone()] };
        let read = || -> Result<Document, RepoError> {
            let malformed = |error: FormatError| {
                let cause =
                    std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                wrong(DocumentError::NotADocument { what: cause })
            };
            let scanned = format::scan(&body, Some(Format::Json), &limits).map_err(malformed)?;
            let graph = format::decode(&scanned.outline, &limits).map_err(malformed)?;
            document::read(&graph, graph.root).map_err(wrong)
        };
        let document = read()?;
        let name = match document.get("_id") {
            Some(id @ (Value::Array(_) | Value::Regex { .. })) => {
                let what = format!("an `_id` cannot be of type {}", id.type_name());
                return Err(wrong(DocumentError::NotADocument { what }));
            }
            Some(id) => super::ref_of(collection, id)?,
            None if alone => name_of_file(path, base, collection)?,
            None => {
                return Err(wrong(DocumentError::NotADocument {
                    what: "the document has no `_id`".to_owned(),
                }));
            }
        };
        let file = alone.then(|| (path.to_owned(), stamp));
        incoming.push(Incoming { name, text: body.to_vec(), file });
    }
    Ok(stamp.bytes)
}

/// Files that are taken together, in their order. A folder is as large as it likes, and taken by itself.
fn batches(files: &[PathBuf]) -> Vec<&[PathBuf]> {
    let (mut batches, mut begin, mut bytes) = (Vec::new(), 0, 0_u64);
    for (place, file) in files.iter().enumerate() {
        let found = fs::metadata(file).ok();
        let own = found.map_or(0, |found| if found.is_dir() { BATCH_BYTES } else { found.len() });
        bytes = bytes.saturating_add(own);
        if place > begin && (bytes > BATCH_BYTES || place - begin >= BATCH_FILES) {
            batches.push(&files[begin..place]);
            (begin, bytes) = (place, own);
        }
    }
    if begin < files.len() {
        batches.push(&files[begin..]);
    }
    batches
}

/// Refuses documents that would have one ref.
fn refuse_twins(root: &Path, incoming: &[Incoming]) -> Result<(), RepoError> {
    let mut seen = HashSet::with_capacity(incoming.len());
    match incoming.iter().find(|document| !seen.insert(document.name.as_str())) {
        Some(document) => {
            let source = DocumentError::DuplicateId { id: format!("that `{}` stands for", document.name) };
            Err(RepoError::NotADocument { path: root.to_owned(), line: None, source })
        }
        None => Ok(()),
    }
}

/// The ref of a file: its path below the folder, without the ending.
fn name_of_file(path: &Path, base: &Path, collection: &RefName) -> Result<RefName, RepoError> {
    let below = path.strip_prefix(base).unwrap_or(path);
    // The dot in the name of a folder begins no ending.
    let below = if path.is_dir() { below.to_owned() } else { below.with_extension("") };
    let parts = below
        .components()
        .map(|part| RefName::from_file_stem(&part.as_os_str().to_string_lossy()).to_string());
    let parts: Vec<String> = parts.collect();
    Ok(format!("{collection}/{}", parts.join("/")).parse()?)
}

/// Finds the files below a path. Hidden ones and links are passed over.
fn sort(root: &Path) -> Result<Sorted, RepoError> {
    let mut sorted = Sorted::default();
    let metadata = fs::metadata(root).map_err(RepoError::io("open", root))?;
    if metadata.is_file() {
        place_file(root, &mut sorted)?;
        return Ok(sorted);
    }
    if !metadata.is_dir() {
        return Err(RepoError::NotAFile { path: root.to_owned(), what: "a device, pipe or socket" });
    }
    let mut folders = vec![(root.to_owned(), 0)];
    let mut files = Vec::new();
    while let Some((folder, depth)) = folders.pop() {
        if is_checkpoint(&folder) {
            sorted.others.push(folder);
            continue;
        }
        let failed = || RepoError::io("read", &folder);
        for entry in fs::read_dir(&folder).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let kind = entry.file_type().map_err(failed())?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if kind.is_dir() && depth < MAX_FOLDERS {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file() {
                files.push(entry.path());
            }
            if files.len() > MAX_FILES {
                return Err(RepoError::NotAFile {
                    path: root.to_owned(),
                    what: "a folder of more than a million files",
                });
            }
        }
    }
    files.sort();
    for file in files {
        place_file(&file, &mut sorted)?;
    }
    sorted.others.sort();
    Ok(sorted)
}

/// What names are counted from: the folder, or that which a single file or checkpoint lies in.
fn base_of<'a>(root: &'a Path, sorted: &Sorted) -> &'a Path {
    let is_one = sorted.others.first().is_some_and(|first| first == root);
    if root.is_dir() && !is_one { root } else { durable::directory_of(root) }
}

/// Whether a folder is one checkpoint, by the files that frameworks look for in it: the metadata of
/// `torch.distributed.checkpoint` beside its shards, an index of shards, or a model's configuration beside weights
/// (transformers, peft).
fn is_checkpoint(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let names: Vec<String> = entries
        .take(MAX_FILES)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    let has = |name: &str| names.iter().any(|known| known == name);
    let any_ends = |endings: &[&str]| names.iter().any(|name| endings.iter().any(|end| name.ends_with(end)));
    has(".metadata") && any_ends(&[".distcp"])
        || any_ends(&[".safetensors.index.json", ".bin.index.json"])
        || (has("config.json") || has("adapter_config.json")) && any_ends(&[".safetensors", ".bin"])
}

fn place_file(path: &Path, sorted: &mut Sorted) -> Result<(), RepoError> {
    let failed = || RepoError::io("read", path);
    let mut head = Vec::new();
    File::open(path).map_err(failed())?.take(512).read_to_end(&mut head).map_err(failed())?;
    if dump::looks_like(&head) {
        sorted.documents.push(path.to_owned());
    } else {
        sorted.others.push(path.to_owned());
    }
    Ok(())
}
