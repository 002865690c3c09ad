//! Carrying one operation of a plan out.

use std::io::{self, Seek, SeekFrom, Write};

use crate::format::Outline;
use crate::ledger::MemoKey;
use crate::migration::engine::{self, EngineError, Entry, Expr, StorageBytes};
use crate::migration::list::{self, Listed};
use crate::migration::plan::{Method, Operation, OperationKind, Warning};
use crate::migration::{Catalogue, ChangeRecord, Form, Migration, embedded, line_of, optimizer};
use crate::object::ObjectId;
use crate::revision::{Applied, Step, StepKind};
use crate::snapshot::{self, Content, Stored, Tree};
use crate::store::{Hint, Reader, Writer};
use crate::value::{Graph, Kind, StorageId};

use super::perform::{engine_of, function_of, perform};
use super::plan::Planned;
use super::python::RealPython;
use super::state::Lineage;
use super::{Context, Repo, RepoError};

/// Results of up to so many bytes stay in memory on their way to the store.
const SPOOL_BYTES: usize = 64 << 20;

/// Largest script that is read back from the store, in bytes.
const MAX_SCRIPT_BYTES: u64 = 16 << 20;

/// Stored scripts that are kept in memory.
const MAX_SCRIPTS: usize = 64;

/// A checkpoint between two operations.
#[derive(Debug, Clone)]
pub(super) struct Position {
    /// Its tree.
    pub tree: ObjectId,
    /// The migrations it has.
    pub applied: Vec<Applied>,
}

/// What an operation came to.
pub(super) struct Done {
    /// Where the checkpoint is now.
    pub position: Position,
    /// The row for the ledger.
    pub step: Step,
    /// What a script printed.
    pub printed: String,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

/// Where a checkpoint is after an operation, and what is to be said about it.
#[derive(Default)]
pub(super) struct Word {
    pub printed: String,
    pub warnings: Vec<Warning>,
}

/// A failed operation: the row for the ledger, and the error.
pub(super) struct Failed {
    pub step: Step,
    pub error: RepoError,
}

/// The catalogue and the history that operations draw on.
pub(super) struct Sources<'a> {
    pub catalogue: &'a Catalogue,
    pub lineage: &'a Lineage,
    /// Whether migrations run again that had run before.
    pub redo: bool,
    /// Migrations that have another name in the catalogue than in the checkpoint's list: old name, new name.
    pub renamed: Vec<(String, String)>,
    /// Whether results are remembered, and remembered ones are taken.
    pub remember: bool,
    /// The interpreter to run scripts in instead of the sandbox.
    pub python: Option<&'a RealPython>,
}

impl<'a> Sources<'a> {
    /// What the operations of a plan draw on.
    pub fn of(planned: &'a Planned, redo: bool) -> Sources<'a> {
        let renamed = planned.plan.warnings.iter().filter_map(|warning| match warning {
            Warning::Renamed { from, to } => Some((from.clone(), to.clone())),
            _ => None,
        });
        let renamed = renamed.collect();
        let (catalogue, lineage) = (&planned.catalogue, &planned.lineage);
        Sources { catalogue, lineage, renamed, redo, remember: true, python: None }
    }

    /// A migration of the catalogue, by its name there or by the one that the checkpoint's list has.
    pub fn listed(&self, name: &str) -> Option<&'a Migration> {
        let today = self.renamed.iter().find(|(old, _)| old == name).map_or(name, |(_, new)| new);
        self.catalogue.get(today)
    }

    /// A list with the catalogue's names. It is written wherever the file's own list is, so that the two stay
    /// the same.
    pub(super) fn renamed(&self, applied: &[Applied]) -> Vec<Applied> {
        let mut applied = applied.to_vec();
        for entry in &mut applied {
            if let Some((_, new)) = self.renamed.iter().find(|(old, _)| *old == entry.name) {
                entry.name.clone_from(new);
            }
        }
        applied
    }
}

impl Repo {
    /// Carries one operation out. What it stores is in a finished pack that the index knows when this
    /// returns, so the next operation can read it; no ref has moved.
    pub(super) fn carry_out(
        &mut self,
        operation: &Operation,
        from: &Position,
        sources: &Sources<'_>,
        context: &Context<'_>,
    ) -> Result<Done, Box<Failed>> {
        let started = context.time();
        let listed = sources.listed(&operation.migration);
        let mut step = Step {
            kind: match operation.kind {
                OperationKind::Migrate if sources.redo => StepKind::Redo,
                OperationKind::Migrate => StepKind::Migrate,
                OperationKind::Rollback => StepKind::Rollback,
            },
            migration: operation.migration.clone(),
            version: operation.version.clone(),
            group: listed.and_then(|migration| sources.catalogue.group_of(&migration.name)),
            digest: listed.map(|migration| migration.digest),
            script: None,
            method: Some(method_word(operation.method).to_owned()),
            input: from.tree,
            output: from.tree,
            change: None,
            engine: None,
            started,
            finished: started,
        };
        let result = match operation.method {
            Method::Run => self.run_migrate(from, sources, context, &mut step),
            Method::Script => self.run_rollback(from, sources, context, &mut step),
            Method::Restore => self.restore(from, sources, &mut step),
            Method::Merge => self.merge_back(from, sources, &mut step),
        };
        step.finished = context.time();
        match result {
            Ok((position, Word { printed, warnings })) => {
                step.output = position.tree;
                Ok(Done { position, step, printed, warnings })
            }
            Err(error) => Err(Box::new(Failed { step, error })),
        }
    }

    /// Brings the recorded input of a step back.
    fn restore(
        &self,
        from: &Position,
        sources: &Sources<'_>,
        step: &mut Step,
    ) -> Result<(Position, Word), RepoError> {
        let missing = || RepoError::ScriptMissing { migration: step.migration.clone() };
        let run = sources.lineage.run_of(&step.migration).ok_or_else(missing)?;
        step.script = run.script;
        step.digest = run.digest.or(step.digest);
        step.change = run.change;
        // The tree must be whole before the checkpoint is moved to it.
        snapshot::read_tree(&self.reader(), &run.input)?;
        let mut applied = from.applied.clone();
        applied.pop();
        Ok((Position { tree: run.input, applied }, Word::default()))
    }

    fn run_migrate(
        &mut self,
        from: &Position,
        sources: &Sources<'_>,
        context: &Context<'_>,
        step: &mut Step,
    ) -> Result<(Position, Word), RepoError> {
        let migration = sources
            .catalogue
            .get(&step.migration)
            .ok_or_else(|| RepoError::ScriptMissing { migration: step.migration.clone() })?;
        let entry = Applied {
            name: migration.name.clone(),
            version: migration.version.named(),
            is_final: false,
            digest: Some(migration.digest),
            signature: Some(migration.label()),
            executed: true,
        };
        let mut applied = sources.renamed(&from.applied);
        applied.push(entry);
        let (tree, word) =
            self.run_script(migration, Entry::Migrate, from, &applied, sources, context, step)?;
        Ok((Position { tree, applied }, word))
    }

    fn run_rollback(
        &mut self,
        from: &Position,
        sources: &Sources<'_>,
        context: &Context<'_>,
        step: &mut Step,
    ) -> Result<(Position, Word), RepoError> {
        let missing = || RepoError::ScriptMissing { migration: step.migration.clone() };
        let run = sources.lineage.run_of(&step.migration);
        let stored = match run.and_then(|run| run.script) {
            Some(script) => self.stored_script(&script, &step.migration)?,
            None => None,
        };
        let recorded = from.applied.last().and_then(|entry| entry.digest);
        let listed = sources
            .listed(&step.migration)
            .filter(|migration| recorded.is_none_or(|digest| digest == migration.digest));
        let migration = stored.as_ref().filter(|m| m.has_rollback).or(listed).ok_or_else(missing)?;
        step.digest = Some(migration.digest);
        let applied = sources.renamed(&from.applied[..from.applied.len().saturating_sub(1)]);
        let (tree, word) =
            self.run_script(migration, Entry::Rollback, from, &applied, sources, context, step)?;
        Ok((Position { tree, applied }, word))
    }

    /// Runs one function of a script on a stored checkpoint and stores what comes out.
    #[expect(clippy::too_many_arguments, reason = "one private step of two operations")]
    fn run_script(
        &mut self,
        migration: &Migration,
        entry: Entry,
        from: &Position,
        applied: &[Applied],
        sources: &Sources<'_>,
        context: &Context<'_>,
        step: &mut Step,
    ) -> Result<(ObjectId, Word), RepoError> {
        if let Some(python) = sources.python.filter(|_| migration.form.is_code()) {
            return self.run_in_python(python, (migration, entry), from, applied, sources, context, step);
        }
        let engine = engine_of(migration);
        step.engine = Some(engine.to_owned());
        let catalogue = sources.catalogue;
        let tree = snapshot::read_tree(&self.reader(), &from.tree)?;
        let (graph, mut outline) = snapshot::read_graph(&self.reader(), &tree)?;
        if !takes_migrations(&graph) {
            return Err(RepoError::NotMigratable { format: tree.format.clone() });
        }
        // The list in the file names the migration and its version, which the digest leaves out; and it is
        // made new from what the ledger knows where the file's own list is not in step with that.
        let word = match entry {
            Entry::Migrate => "migrate",
            _ => "rollback",
        };
        let place = list_place(&graph, &outline, &catalogue.list_key, &from.applied);
        let renamed: Vec<_> = from
            .applied
            .iter()
            .zip(applied)
            .filter(|(old, new)| old.name != new.name)
            .map(|(old, new)| (old.name.as_str(), new.name.as_str()))
            .collect();
        let label = migration.label();
        let mut remembered = format!("{word} {} {} {label} {place:?}", migration.name, migration.version);
        renamed.iter().for_each(|(old, new)| remembered.push_str(&format!(" {old}={new}")));
        if place == ListPlace::Replaced {
            // What is written then.
            let list = serde_json::to_vec(applied).expect("a list is plain data");
            remembered.push_str(&format!(" {}", ObjectId::of(&list)));
        }
        let key = MemoKey { input_tree: from.tree, digest: migration.digest, entry: &remembered, engine };
        let with_memo = sources.remember;
        if with_memo
            && let Some((output, change)) = self.ledger.memo(&key)?
            && self.reader().contains(&output)?
        {
            step.script = Some(self.store_script(migration)?);
            step.change = Some(change);
            let (now, _) =
                snapshot::read_graph(&self.reader(), &snapshot::read_tree(&self.reader(), &output)?)?;
            let warnings = optimizer_warnings(&migration.name, &graph, &now);
            return Ok((output, Word { printed: String::new(), warnings }));
        }

        let reader = self.reader();
        let mut bytes = TreeBytes::of(&reader, &tree);
        let mut given = graph.clone();
        if place != ListPlace::Absent && entry == Entry::Migrate {
            list::prepare_history(&mut given, &catalogue.list_key);
        }
        let outcome = perform(migration, entry, &given, &mut bytes, context)?;
        let mut after = outcome.graph;
        let change = ChangeRecord::between(&graph, &after, &outcome.computed);
        let warnings = optimizer_warnings(&migration.name, &graph, &after);
        settle_list(&graph, &mut after, place, (migration, entry), from, applied, sources)?;
        if place == ListPlace::Absent {
            let name = listed_name(migration, entry, from);
            enter_embedded(&mut outline, entry, name, &migration.label());
        }

        let mut writer = self.store.writer(&self.ledger);
        let mut contents = contents_of(&tree);
        contents.resize(after.storages.len(), None);
        for computed in &outcome.computed {
            let length = after.storage(computed.storage).bytes;
            let content = store_computed(&computed.expr, length, &mut bytes, &mut writer, &migration.name)?;
            contents[computed.storage.index()] = Some(content);
        }
        let (output, _) = snapshot::write_graph(&after, &outline, &contents, &mut writer)?;
        let record = serde_json::to_vec(&change).expect("a change record is plain data");
        let record = writer.put(&record, Hint::default())?;
        let source = writer.put(migration.source.as_bytes(), Hint::default())?;
        let pack = writer.finish()?;
        drop(reader);
        let ledger = self.ledger.change()?;
        if let Some(pack) = &pack {
            ledger.add_pack(&pack.id, pack.bytes, &pack.records)?;
        }
        if with_memo {
            ledger.add_memo(&key, &output, &record)?;
        }
        ledger.commit()?;
        step.change = Some(record);
        step.script = Some(source);
        Ok((output, Word { printed: outcome.printed, warnings }))
    }

    /// Stores a script by value and returns its object.
    fn store_script(&mut self, migration: &Migration) -> Result<ObjectId, RepoError> {
        let mut writer = self.store.writer(&self.ledger);
        let id = writer.put(migration.source.as_bytes(), Hint::default())?;
        if let Some(pack) = writer.finish()? {
            let change = self.ledger.change()?;
            change.add_pack(&pack.id, pack.bytes, &pack.records)?;
            change.commit()?;
        }
        Ok(id)
    }

    /// A migration as it was stored when it ran; `None` if what was stored no longer parses.
    pub(super) fn stored_script(&self, id: &ObjectId, name: &str) -> Result<Option<Migration>, RepoError> {
        let key = (*id, name.to_owned());
        if let Some(known) = self.scripts.borrow().get(&key) {
            return Ok(known.clone());
        }
        let found = self.read_script(id, name)?;
        let mut scripts = self.scripts.borrow_mut();
        if scripts.len() >= MAX_SCRIPTS {
            scripts.clear();
        }
        scripts.insert(key, found.clone());
        Ok(found)
    }

    fn read_script(&self, id: &ObjectId, name: &str) -> Result<Option<Migration>, RepoError> {
        let bytes = self.reader().read(id, MAX_SCRIPT_BYTES)?;
        let Ok(source) = String::from_utf8(bytes) else { return Ok(None) };
        Ok(Migration::read_kept(name, &source.into()))
    }
}

/// Warns of optimizers whose state may no longer fit the parameters.
pub(super) fn optimizer_warnings(migration: &str, before: &Graph, after: &Graph) -> Vec<Warning> {
    let stale = optimizer::stale(before, after).into_iter();
    let warning = |stale: optimizer::Stale| Warning::Optimizer {
        name: migration.to_owned(),
        path: stale.path,
        reason: stale.reason,
    };
    stale.map(warning).collect()
}

/// What happens to the list of migrations in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListPlace {
    /// The file has no place for one.
    Absent,
    /// The entry is added to, or taken from, the one there.
    Edited,
    /// It is written anew, since the ledger knows more than the file.
    Replaced,
}

/// Whether the file's own list is kept, and how. A torch checkpoint always has one; a document or a
/// safetensors file only where it brought one.
pub(super) fn list_place(graph: &Graph, outline: &Outline, key: &str, applied: &[Applied]) -> ListPlace {
    let listed = list::read(graph, key).ok().flatten();
    match listed {
        Some(listed) => {
            let same = listed.iter().map(|entry| &entry.name).eq(applied.iter().map(|entry| &entry.name));
            if same { ListPlace::Edited } else { ListPlace::Replaced }
        }
        None if outline.format.keeps_objects() && list::has_place(graph) => ListPlace::Replaced,
        None => ListPlace::Absent,
    }
}

/// Enters what was done in the file's own list, which a migration must have left alone.
pub(super) fn settle_list(
    before: &Graph,
    after: &mut Graph,
    mut place: ListPlace,
    (migration, entry): (&Migration, Entry),
    from: &Position,
    applied: &[Applied],
    sources: &Sources<'_>,
) -> Result<(), RepoError> {
    let key = &sources.catalogue.list_key;
    let found = list::read(after, key);
    // Such a function may return a dict of its own making, without what it does not know of.
    let is_left_out = migration.form == Form::MigrateCkpt && before.root != after.root && found == Ok(None);
    if is_left_out && place != ListPlace::Absent {
        place = ListPlace::Replaced;
    } else if list::read(before, key).ok() != found.ok() {
        let function = function_of(migration, entry).function();
        return Err(RepoError::ListChanged {
            migration: migration.name.clone(),
            file: migration.file.clone(),
            line: line_of(&migration.source, function),
            key: key.clone(),
        });
    }
    if place == ListPlace::Edited {
        for (old, new) in from.applied.iter().zip(applied).filter(|(old, new)| old.name != new.name) {
            list::rename(after, key, &old.name, &new.name);
        }
    }
    write_list(after, place, sources.catalogue, entry, listed_name(migration, entry, from), applied)
}

/// The name of a migration as the checkpoint's list has it, which may be that of an earlier catalogue.
fn listed_name<'a>(migration: &'a Migration, entry: Entry, from: &'a Position) -> &'a str {
    match entry {
        Entry::Migrate => &migration.name,
        _ => from.applied.last().map_or(&migration.name, |last| &last.name),
    }
}

pub(super) fn write_list(
    graph: &mut Graph,
    place: ListPlace,
    catalogue: &Catalogue,
    entry: Entry,
    migration: &str,
    applied: &[Applied],
) -> Result<(), RepoError> {
    let key = &catalogue.list_key;
    let package = catalogue.get(migration).map(|migration| &migration.package);
    let listed = |entry: &Applied| Listed {
        name: entry.name.clone(),
        package: package.cloned(),
        version: entry.version.clone(),
        is_final: entry.is_final,
        signature: entry.signature.clone(),
    };
    match (place, entry) {
        (ListPlace::Absent, _) => {}
        (ListPlace::Edited, Entry::Migrate) => {
            if let Some(last) = applied.last() {
                list::append(graph, key, &listed(last))?;
            }
        }
        (ListPlace::Edited, _) => list::remove_last(graph, key, migration)?,
        (ListPlace::Replaced, _) => {
            let old = list::read(graph, key)?.unwrap_or_default();
            let all: Vec<Listed> = applied.iter().map(listed).collect();
            list::replace(graph, key, &all)?;
            let (done, among) = match entry {
                Entry::Migrate => (list::Done::Migrate, &all),
                _ => (list::Done::Rollback, &old),
            };
            let known = among.iter().find(|entry| entry.name == migration);
            let signature = known.and_then(|entry| entry.signature.as_deref());
            list::record(graph, key, done, migration, signature);
        }
    }
    Ok(())
}

/// Enters what was done in the metadata file that a checkpoint without a list of its own may carry.
fn enter_embedded(outline: &mut Outline, entry: Entry, name: &str, signature: &str) {
    let done = match entry {
        Entry::Migrate => list::Done::Migrate,
        _ => list::Done::Rollback,
    };
    for extra in outline.extras.iter_mut().filter(|extra| embedded::is_metadata(&extra.name)) {
        if let Some(bytes) = embedded::with_entry(&extra.bytes, done, name, signature) {
            extra.bytes = bytes;
        }
    }
}

/// Whether a checkpoint has parts that a migration could change.
fn takes_migrations(graph: &Graph) -> bool {
    !matches!(graph.kind(graph.root), Kind::None)
}

/// Where the bytes of a tree's storages are.
pub(super) fn contents_of(tree: &Tree) -> Vec<Option<Content>> {
    let content = |storage: &snapshot::TreeStorage| Content { stored: storage.content, crc32: storage.crc32 };
    tree.storages.iter().map(|storage| Some(content(storage))).collect()
}

/// Works the bytes of a new storage out and stores them.
pub(super) fn store_computed(
    expr: &Expr,
    length: u64,
    bytes: &mut TreeBytes<'_>,
    writer: &mut Writer<'_>,
    migration: &str,
) -> Result<Content, RepoError> {
    let failed = |source: EngineError| RepoError::Migration {
        migration: migration.to_owned(),
        source: Box::new(source),
    };
    let mut spool = tempfile::SpooledTempFile::new(SPOOL_BYTES);
    engine::evaluate(expr, bytes, &mut |piece| spool.write_all(piece)).map_err(failed)?;
    let io = |error: io::Error| RepoError::io("write", &std::env::temp_dir())(error);
    spool.seek(SeekFrom::Start(0)).map_err(io)?;
    Ok(snapshot::write_content(writer, &mut spool, length, Hint::default())?)
}

/// The bytes of stored storages, for scripts that look at values and for results that are computed.
pub(super) struct TreeBytes<'a> {
    reader: &'a Reader<'a>,
    storages: Vec<Option<Stored>>,
}

impl<'a> TreeBytes<'a> {
    fn of(reader: &'a Reader<'a>, tree: &Tree) -> TreeBytes<'a> {
        TreeBytes { reader, storages: tree.storages.iter().map(|storage| Some(storage.content)).collect() }
    }

    /// The bytes of these contents, in the order of the storages of a graph.
    pub fn of_contents(reader: &'a Reader<'a>, contents: &[Option<Content>]) -> TreeBytes<'a> {
        TreeBytes { reader, storages: contents.iter().map(|content| content.map(|c| c.stored)).collect() }
    }
}

impl StorageBytes for TreeBytes<'_> {
    fn read(&mut self, storage: StorageId, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let stored = self.storages.get(storage.index()).copied().flatten();
        let Stored { object, .. } = stored.ok_or(io::ErrorKind::NotFound)?;
        self.reader.read_range(&object, offset, buffer).map_err(io::Error::other)
    }
}

fn method_word(method: Method) -> &'static str {
    match method {
        Method::Run => "run",
        Method::Restore => "restore",
        Method::Merge => "merge",
        Method::Script => "script",
    }
}
