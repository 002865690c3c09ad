//! One step of a collection: run, store, and enter all of it at once.

use std::collections::BTreeMap;

use crate::format::{self, Format, Limits, Outline};
use crate::ledger::{Advance, DocumentCounts, NewStep, RefKind, RefMove, StepStatus};
use crate::migration::document::{self, Document, DocumentError, Spelling};
use crate::migration::engine::{self, ENGINE_VERSION, EngineError, Entry, Script, StorageBytes};
use crate::migration::plan::{Method, OperationKind};
use crate::migration::{Catalogue, Form, Migration};
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::revision::{self, Applied, REVISION_ENCODING, Revision, StepKind};
use crate::snapshot::{self, SnapshotError};
use crate::store::{Hint, Writer};
use crate::value::{Graph, Kind, NodeId, StorageId, Tail};

use super::super::collection::{ref_of, store_text};
use super::super::{Context, Repo, RepoError};
use super::state::{Member, manifest_text};
use super::{MigrateOptions, MigratedStep};

/// What is to be done.
pub(super) struct Step<'a> {
    pub collection: &'a RefName,
    pub migration: &'a str,
    pub options: &'a MigrateOptions<'a>,
    pub context: &'a Context<'a>,
}

/// What becomes of a document.
pub(super) enum Fate {
    /// It stays as it is.
    Keep,
    /// It is removed.
    Remove,
    /// It gets another content.
    Change(Document),
    /// It gets a content that is stored already.
    Tree(ObjectId),
}

/// A document that joins the collection.
pub(super) struct Newcomer {
    pub name: RefName,
    pub content: Content,
}

pub(super) enum Content {
    /// A new document.
    Document(Document),
    /// One that was removed before: its last revision, which it continues.
    Revision(ObjectId),
}

/// What is to be entered in the history.
pub(super) struct Record {
    pub kind: StepKind,
    pub method: Method,
    pub digest: Option<ObjectId>,
    /// The script's text, to be stored by value.
    pub script: Option<std::sync::Arc<str>>,
    /// The script's object, where it is stored already.
    pub stored: Option<ObjectId>,
    pub engine: Option<&'static str>,
    /// The list that the documents have afterwards.
    pub applied: Vec<Applied>,
    pub printed: String,
}

/// Documents have no tensors.
struct NoBytes;

impl StorageBytes for NoBytes {
    fn read(&mut self, _: StorageId, _: u64, _: &mut [u8]) -> std::io::Result<()> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

impl Repo {
    /// Runs one migration on all documents.
    pub(super) fn run_up(
        &mut self,
        step: &Step<'_>,
        catalogue: Option<&Catalogue>,
    ) -> Result<(MigratedStep, u64), RepoError> {
        let missing = || RepoError::ScriptMissing { migration: step.migration.to_owned() };
        let migration = catalogue.and_then(|catalogue| catalogue.get(step.migration)).ok_or_else(missing)?;
        let members = self.documents(step.collection)?;
        let mut applied = self.executed_by(step.collection, &members)?;
        applied.push(Applied {
            name: migration.name.clone(),
            version: None,
            is_final: false,
            digest: Some(migration.digest),
            signature: Some(migration.digest.to_string()),
            executed: true,
        });
        let record = Record {
            kind: StepKind::Migrate,
            method: Method::Run,
            digest: Some(migration.digest),
            script: Some(migration.source.clone()),
            stored: None,
            engine: Some(ENGINE_VERSION),
            applied,
            printed: String::new(),
        };
        self.run_on_documents(step, migration, Entry::Up, &members, record)
    }

    /// Runs one direction of a script on all documents, and enters what comes out.
    pub(super) fn run_on_documents(
        &mut self,
        step: &Step<'_>,
        migration: &Migration,
        entry: Entry,
        members: &[Member],
        mut record: Record,
    ) -> Result<(MigratedStep, u64), RepoError> {
        let started = step.context.time();
        let ran = run(step, migration, entry, members);
        let (fates, newcomers, printed) = match ran {
            Ok(ran) => ran,
            Err(error) => return Err(self.record_failed_step(step, members, &record, started, error)?),
        };
        record.printed = printed;
        self.enter(step, members, fates, newcomers, record, started)
    }

    /// Stores what is new, and enters revisions, rows and refs in one transaction.
    pub(super) fn enter(
        &mut self,
        step: &Step<'_>,
        members: &[Member],
        fates: Vec<Fate>,
        newcomers: Vec<Newcomer>,
        record: Record,
        started: jiff::Timestamp,
    ) -> Result<(MigratedStep, u64), RepoError> {
        let context = step.context;
        let mut done = MigratedStep {
            migration: step.migration.to_owned(),
            kind: if record.kind == StepKind::Migrate {
                OperationKind::Migrate
            } else {
                OperationKind::Rollback
            },
            method: record.method,
            digest: record.digest,
            documents: DocumentCounts::default(),
            printed: record.printed,
        };
        let verb = if record.kind == StepKind::Migrate { "migrate up" } else { "migrate down" };
        let message =
            step.options.message.map_or_else(|| format!("{verb} {}", step.migration), str::to_owned);
        let finished = context.time();
        let reading = self.ledger.reading()?;
        let mut writer = self.store.writer(&self.ledger);
        let script = match (&record.script, record.stored) {
            (Some(source), _) => Some(writer.put(source.as_bytes(), Hint::default())?),
            (None, stored) => stored,
        };
        let row = |input: ObjectId, output: ObjectId| revision::Step {
            kind: record.kind,
            migration: step.migration.to_owned(),
            version: None,
            group: None,
            digest: record.digest,
            script,
            method: Some(method_word(record.method).to_owned()),
            input,
            output,
            change: None,
            engine: record.engine.map(str::to_owned),
            started,
            finished,
        };
        let mut moves: Vec<Move> = Vec::with_capacity(members.len() + newcomers.len());
        context.progress.begin("storing documents", members.len() as u64);
        for (member, fate) in members.iter().zip(fates) {
            context.progress.advance(1);
            let before = member.revision.tree;
            let mut revision = Revision {
                encoding: REVISION_ENCODING,
                parents: vec![member.row.revision],
                applied: Some(record.applied.clone()),
                steps: Vec::new(),
                actor: context.actor.to_owned(),
                created: finished,
                message: message.clone(),
                file: None,
                ..member.revision.clone()
            };
            match fate {
                Fate::Remove => {
                    done.documents.deleted += 1;
                    moves.push(Move::remove(member, row(before, before)));
                    continue;
                }
                Fate::Keep => {}
                Fate::Change(document) => {
                    let stored = store_document(&document, &member.outline, &mut writer)?;
                    (revision.tree, revision.file_bytes) = (stored.tree, stored.bytes);
                }
                Fate::Tree(tree) => {
                    let stored = snapshot::read_tree(&self.reader(), &tree)?;
                    revision.tree = tree;
                    revision.file_bytes = stored.file_bytes();
                }
            }
            if revision.tree == before {
                done.documents.unchanged += 1;
            } else {
                done.documents.changed += 1;
            }
            revision.steps = vec![row(before, revision.tree)];
            let id = writer.put(&revision.encode(), Hint::default())?;
            moves.push(Move::to(&member.row.name, Some(member.row.revision), id, revision));
        }
        context.progress.end();
        for newcomer in &newcomers {
            let (parent, mut revision) = match &newcomer.content {
                Content::Document(document) => {
                    let stored = store_document(document, &plain_outline()?, &mut writer)?;
                    let revision = Revision {
                        encoding: REVISION_ENCODING,
                        tree: stored.tree,
                        parents: Vec::new(),
                        format: Format::Json.name().to_owned(),
                        file: None,
                        file_bytes: stored.bytes,
                        tensors: 0,
                        applied: None,
                        steps: Vec::new(),
                        actor: String::new(),
                        created: finished,
                        message: String::new(),
                    };
                    (None, revision)
                }
                Content::Revision(id) => (Some(*id), self.revision(id)?),
            };
            done.documents.inserted += 1;
            revision.parents = parent.into_iter().collect();
            revision.applied = Some(record.applied.clone());
            revision.steps = vec![row(revision.tree, revision.tree)];
            (revision.actor, revision.created) = (context.actor.to_owned(), finished);
            revision.message.clone_from(&message);
            let id = writer.put(&revision.encode(), Hint::default())?;
            moves.push(Move::to(&newcomer.name, None, id, revision));
        }
        let before = manifest_text(members.iter().map(|member| (&member.row.name, &member.row.revision)));
        let standing: BTreeMap<&RefName, &ObjectId> =
            moves.iter().filter_map(|moved| Some((&moved.name, moved.revision()?))).collect();
        let documents = standing.len() as u64;
        let after = manifest_text(standing.into_iter());
        let before = store_text(&before, &mut writer)?;
        let after = store_text(&after, &mut writer)?;
        let summary = row(before, after);
        let pack = writer.finish()?;
        drop(reading);

        let head = self.ledger.setting("head")?;
        let change = self.ledger.change()?;
        if let Some(pack) = &pack {
            change.add_pack(&pack.id, pack.bytes, &pack.records)?;
        }
        for moved in &moves {
            let Move { name, expected, .. } = moved;
            match &moved.becomes {
                Becomes::Revision(id, revision) => change.advance(&Advance {
                    name,
                    expected: *expected,
                    id,
                    revision,
                    operation: "migrate",
                })?,
                Becomes::Nothing(step) => {
                    change.move_ref(&RefMove {
                        name,
                        kind: RefKind::Branch,
                        expected: *expected,
                        new: None,
                        operation: "migrate",
                        at: finished,
                        actor: context.actor,
                    })?;
                    change.append_step(&NewStep {
                        ref_name: name,
                        revision: None,
                        step,
                        status: &StepStatus::Done,
                        actor: context.actor,
                    })?;
                    if head.as_deref() == Some(name.as_str()) {
                        change.remove_setting("head")?;
                    }
                }
            }
        }
        // Last, so that it says that all of the step is entered.
        change.append_step(&NewStep {
            ref_name: step.collection,
            revision: None,
            step: &summary,
            status: &StepStatus::Done,
            actor: context.actor,
        })?;
        change.commit()?;
        Ok((done, documents))
    }

    /// Enters a failed run in the ledger and gives its error back.
    fn record_failed_step(
        &mut self,
        step: &Step<'_>,
        members: &[Member],
        record: &Record,
        started: jiff::Timestamp,
        error: RepoError,
    ) -> Result<RepoError, RepoError> {
        let mut writer = self.store.writer(&self.ledger);
        let documents = manifest_text(members.iter().map(|member| (&member.row.name, &member.row.revision)));
        let tree = store_text(&documents, &mut writer)?;
        let script = record
            .script
            .as_ref()
            .map(|source| writer.put(source.as_bytes(), Hint::default()))
            .transpose()?;
        let pack = writer.finish()?;
        let row = revision::Step {
            kind: record.kind,
            migration: step.migration.to_owned(),
            version: None,
            group: None,
            digest: record.digest,
            script: script.or(record.stored),
            method: Some(method_word(record.method).to_owned()),
            input: tree,
            output: tree,
            change: None,
            engine: record.engine.map(str::to_owned),
            started,
            finished: step.context.time(),
        };
        let change = self.ledger.change()?;
        if let Some(pack) = &pack {
            change.add_pack(&pack.id, pack.bytes, &pack.records)?;
        }
        change.append_step(&NewStep {
            ref_name: step.collection,
            revision: None,
            step: &row,
            status: &StepStatus::Failed(super::super::checkout::with_causes(&error)),
            actor: step.context.actor,
        })?;
        change.commit()?;
        Ok(error)
    }

    /// What a step would be, as far as that is known without running it.
    pub(super) fn rehearse_step(
        &self,
        step: &Step<'_>,
        catalogue: Option<&Catalogue>,
    ) -> Result<MigratedStep, RepoError> {
        let is_up = step.options.direction == super::Direction::Up;
        let (digest, method) = if is_up {
            let migration = catalogue.and_then(|catalogue| catalogue.get(step.migration));
            (migration.map(|migration| migration.digest), Method::Run)
        } else {
            let script = self.script_that_ran(step)?;
            let runs = script.as_ref().is_some_and(|script| script.has_rollback) && !step.options.restore;
            (script.map(|script| script.digest), if runs { Method::Script } else { Method::Restore })
        };
        Ok(MigratedStep {
            migration: step.migration.to_owned(),
            kind: if is_up { OperationKind::Migrate } else { OperationKind::Rollback },
            method,
            digest,
            documents: DocumentCounts::default(),
            printed: String::new(),
        })
    }
}

/// What a step does to one ref.
struct Move {
    name: RefName,
    expected: Option<ObjectId>,
    becomes: Becomes,
}

enum Becomes {
    Revision(ObjectId, Box<Revision>),
    /// It is removed; the row that tells so.
    Nothing(Box<revision::Step>),
}

impl Move {
    fn to(name: &RefName, expected: Option<ObjectId>, id: ObjectId, revision: Revision) -> Move {
        Move { name: name.clone(), expected, becomes: Becomes::Revision(id, Box::new(revision)) }
    }

    fn remove(member: &Member, row: revision::Step) -> Move {
        let expected = Some(member.row.revision);
        Move { name: member.row.name.clone(), expected, becomes: Becomes::Nothing(Box::new(row)) }
    }

    /// The revision that the ref names afterwards.
    fn revision(&self) -> Option<&ObjectId> {
        match &self.becomes {
            Becomes::Revision(id, _) => Some(id),
            Becomes::Nothing(_) => None,
        }
    }
}

/// Runs a script on the documents. What it answers is checked as a stranger's.
fn run(
    step: &Step<'_>,
    migration: &Migration,
    entry: Entry,
    members: &[Member],
) -> Result<(Vec<Fate>, Vec<Newcomer>, String), RepoError> {
    let failed = |source: EngineError| RepoError::Migration {
        migration: migration.name.clone(),
        source: Box::new(source),
    };
    let refused = |reason: String| failed(EngineError::Refused { script: migration.file.clone(), reason });
    if migration.form != Form::Exodus {
        return Err(failed(EngineError::NoEntry {
            script: migration.file.clone(),
            function: entry.function().to_owned(),
        }));
    }
    let mut graph = Graph { nodes: Vec::new(), root: NodeId(0), storages: Vec::new() };
    let root = graph.add(Kind::List);
    graph.root = root;
    if let Some(member) = members.iter().find(|member| !member.document.contains_key("_id")) {
        let what = "the document has no `_id`, by which scripts know it";
        let source = DocumentError::NotADocument { what: what.to_owned() };
        return Err(RepoError::Document { name: member.row.name.to_string(), source });
    }
    for member in members {
        let node = graph.add(Kind::Bytes(document::pack(&member.document)));
        graph.node_mut(root).tail.push(Tail::Append(node));
    }
    let script = Script { name: &migration.name, file: &migration.file, source: &migration.source };
    let context = step.context;
    let outcome =
        engine::run(context.worker, &script, entry, &graph, &mut NoBytes, context.limits).map_err(failed)?;
    let before: Vec<NodeId> = graph.elements(root).collect();
    let after: Vec<NodeId> = outcome.graph.elements(outcome.graph.root).collect();
    if !matches!(outcome.graph.kind(outcome.graph.root), Kind::List) || after.len() < before.len() {
        return Err(refused("it does not tell what became of every document".to_owned()));
    }
    let read = |node: NodeId| match outcome.graph.kind(node) {
        Kind::Bytes(packed) => document::unpack(packed).map_err(|error| refused(error.to_string())),
        _ => Err(refused("a document is not packed".to_owned())),
    };
    let mut fates = Vec::with_capacity(members.len());
    let mut removed = Vec::new();
    for (place, member) in members.iter().enumerate() {
        fates.push(if outcome.graph.node(after[place]) == graph.node(before[place]) {
            Fate::Keep
        } else if matches!(outcome.graph.kind(after[place]), Kind::None) {
            removed.push((&member.row.name, place));
            Fate::Remove
        } else {
            let document = read(after[place])?;
            if !same_id(&document, &member.document) {
                return Err(refused(format!("the document `{}` got another `_id`", member.row.name)));
            }
            Fate::Change(document)
        });
    }
    let mut newcomers: Vec<Newcomer> = Vec::new();
    let taken: std::collections::HashSet<&RefName> = members.iter().map(|member| &member.row.name).collect();
    let mut new = std::collections::HashSet::new();
    for node in &after[before.len()..] {
        let document = read(*node)?;
        let id = document.get("_id").ok_or_else(|| refused("a new document has no `_id`".to_owned()))?;
        let name = ref_of(step.collection, id)?;
        if !new.insert(name.clone()) {
            return Err(refused(format!("two new documents are `{name}`")));
        }
        match removed.iter().find(|(known, _)| **known == name) {
            // Removed and added again under its name: that is a change.
            Some((_, place)) => fates[*place] = Fate::Change(document),
            None if taken.contains(&name) => return Err(refused(format!("two documents are `{name}`"))),
            None => newcomers.push(Newcomer { name, content: Content::Document(document) }),
        }
    }
    Ok((fates, newcomers, outcome.printed))
}

fn same_id(a: &Document, b: &Document) -> bool {
    match (a.get("_id"), b.get("_id")) {
        (Some(a), Some(b)) => document::same(a, b),
        _ => false,
    }
}

/// A document as stored.
struct StoredDocument {
    tree: ObjectId,
    bytes: u64,
}

/// Stores a document, written as another was.
fn store_document(
    document: &Document,
    like: &Outline,
    writer: &mut Writer<'_>,
) -> Result<StoredDocument, RepoError> {
    let mut graph = Graph { nodes: Vec::new(), root: NodeId(0), storages: Vec::new() };
    graph.root = document::write(&mut graph, document, spelling_of(&like.skeleton));
    let (tree, stored) = snapshot::write_graph(&graph, like, &[], writer)?;
    Ok(StoredDocument { tree, bytes: stored.file_bytes() })
}

/// How a document spells its numbers.
fn spelling_of(text: &[u8]) -> Spelling {
    let text = String::from_utf8_lossy(text);
    // What no plain number can say is written with its type in both spellings.
    let is_number = |rest: &str| {
        let value = rest.trim_start_matches([':', ' ', '\t', '\r', '\n', '"', '-']);
        value.starts_with(|letter: char| letter.is_ascii_digit())
    };
    let typed = text.contains("\"$numberInt\"") || text.split("\"$numberDouble\"").skip(1).any(is_number);
    if typed { Spelling::Canonical } else { Spelling::Relaxed }
}

/// How a document is written that has no model.
fn plain_outline() -> Result<Outline, RepoError> {
    let text = &b"{\"_id\": 0, \"a\": 0}"[..];
    let scanned = format::scan(&text, Some(Format::Json), &Limits::NONE).map_err(SnapshotError::from)?;
    Ok(scanned.outline)
}

pub(super) fn method_word(method: Method) -> &'static str {
    match method {
        Method::Run => "run",
        Method::Restore => "restore",
        Method::Merge => "merge",
        Method::Script => "script",
    }
}

/// Why a document cannot go back.
pub(super) fn conflict(step: &Step<'_>, name: &RefName, source: DocumentError) -> RepoError {
    RepoError::UndoConflict { migration: step.migration.to_owned(), name: name.to_string(), source }
}
