//! Bringing a checkpoint to a version, and writing its file.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::durable::{self, DurableFile, SequentialWriter, directory_of};
use crate::format::{Format, Limits};
use crate::ledger::{Advance, NewStep, RefKind, RefMove, RefRow, StepStatus, WorkingFile};
use crate::migration::plan::{OperationKind, Warning};
use crate::object::ObjectId;
use crate::revision::{REVISION_ENCODING, Revision, Step};
use crate::snapshot::{self, Tree};

use super::catalogue::group_rows;
use super::folder::FolderWriter;
use super::import::ImportOptions;
use super::input::stamp_of;
use super::open::absolute;
use super::plan::{PlanOptions, PlanReport, Planned};
use super::python::RealPython;
use super::run::{Failed, Position, Sources, Word};
use super::working::{FileState, Stamp, path_text};
use super::{Context, Repo, RepoError};

/// What to check out, and where to: without more, HEAD as it is, to its working file.
#[derive(Debug, Clone, Default)]
pub struct CheckoutOptions<'a> {
    /// Where the ref shall be; `None` leaves it where it is and only writes the file.
    pub plan: PlanOptions<'a>,
    /// Whether the ref shall be brought to the plan's target.
    pub migrate: bool,
    /// A revision to go to instead.
    pub revision: Option<&'a str>,
    /// Writes here instead of the working file.
    pub output: Option<&'a Path>,
    /// Imports a changed working file first instead of refusing.
    pub import: bool,
    /// Overwrites what is at the destination, even if it is not stored.
    pub force: bool,
    /// Leaves HEAD where it is.
    pub keep_head: bool,
    /// Why.
    pub message: Option<&'a str>,
    /// Runs scripts in this interpreter, outside of the sandbox.
    pub python: Option<&'a RealPython>,
}

/// What a checkout did.
#[derive(Debug, Clone, Serialize)]
pub struct CheckoutReport {
    /// What was planned, and carried out.
    #[serde(flatten)]
    pub plan: PlanReport,
    /// The revision that the ref names now, if another than before.
    pub new_revision: Option<ObjectId>,
    /// The revision that the ref named before.
    pub previous: ObjectId,
    /// The file that holds the revision now.
    pub output: Option<String>,
    /// Length of the file if it was written, else 0.
    pub bytes_written: u64,
    /// What scripts printed.
    pub printed: String,
}

/// What carrying a plan out came to.
pub(super) struct Carried {
    /// Where the checkpoint is now.
    pub position: Position,
    /// The rows for the ledger.
    pub steps: Vec<Step>,
    /// What is to be said.
    pub word: Word,
}

impl Repo {
    /// Brings a ref to a version: plans, runs, records, and writes the file. The revision before stays.
    ///
    /// Objects are stored and synced first, then the ledger is changed in one transaction, then the file is
    /// written beside its place, synced and renamed. Whatever stops it leaves the old state or the new one.
    ///
    /// # Errors
    ///
    /// If there is no plan, a script fails (its run is then in the ledger), or the destination holds what is
    /// not stored. The ref and the files are then as they were.
    pub fn checkout(
        &mut self,
        options: &CheckoutOptions<'_>,
        context: &Context<'_>,
    ) -> Result<CheckoutReport, RepoError> {
        if options.import {
            self.import_changed(options, context)?;
        }
        let _lock = self.lock()?;
        if let Some(name) = options.revision {
            return self.checkout_revision(name, options, context);
        }
        if !options.migrate {
            let row = self.branch_named(options.plan.name)?;
            let revision = self.revision(&row.revision)?;
            let target = self.destination(options, &row, Some(row.revision), &revision, context)?;
            return self.finish(options, context, standing(&row, &revision), row.revision, target);
        }
        let planned = self.planned(&options.plan)?;
        self.checkout_planned(&planned, options, context)
    }

    /// Carries a plan out if there is something to do, and sees to the file. The store is locked.
    pub(super) fn checkout_planned(
        &mut self,
        planned: &Planned,
        options: &CheckoutOptions<'_>,
        context: &Context<'_>,
    ) -> Result<CheckoutReport, RepoError> {
        let wanted = planned.plan.in_sync().then_some(planned.row.revision);
        let target = self.destination(options, &planned.row, wanted, &planned.revision, context)?;
        if planned.plan.in_sync() {
            let row = &planned.row;
            return self.finish(options, context, planned.report(), row.revision, target);
        }
        self.carry_all_out(planned, options, context, target, false)
    }

    /// Carries a plan out, moves the ref and writes the file.
    pub(super) fn carry_all_out(
        &mut self,
        planned: &Planned,
        options: &CheckoutOptions<'_>,
        context: &Context<'_>,
        target: Option<PathBuf>,
        redo: bool,
    ) -> Result<CheckoutReport, RepoError> {
        let (id, word) = self.carry_plan_out(planned, options, context, redo)?;
        let mut report = self.finish(options, context, planned.report(), id, target)?;
        report.new_revision = Some(id);
        report.printed = word.printed;
        report.plan.warnings.extend(word.warnings);
        Ok(report)
    }

    /// Carries the operations of a plan out, one after the other. What they give is stored; no ref has moved.
    pub(super) fn carry_operations(
        &mut self,
        planned: &Planned,
        sources: &Sources<'_>,
        context: &Context<'_>,
    ) -> Result<Carried, Box<Failed>> {
        let mut carried = Carried { position: planned.position(), steps: Vec::new(), word: Word::default() };
        for operation in &planned.plan.operations {
            let done = self.carry_out(operation, &carried.position, sources, context)?;
            carried.position = done.position;
            carried.steps.push(done.step);
            carried.word.printed.push_str(&done.printed);
            carried.word.warnings.extend(done.warnings);
        }
        Ok(carried)
    }

    /// Carries the plan out and moves the ref.
    fn carry_plan_out(
        &mut self,
        planned: &Planned,
        options: &CheckoutOptions<'_>,
        context: &Context<'_>,
        redo: bool,
    ) -> Result<(ObjectId, Word), RepoError> {
        let Planned { row, catalogue, plan, .. } = planned;
        let sources = Sources { python: options.python, ..Sources::of(planned, redo) };
        if let Some(python) = options.python {
            python.check_all(&plan.operations, &sources)?;
        }
        let carried = match self.carry_operations(planned, &sources, context) {
            Ok(carried) => carried,
            Err(failed) => return Err(self.record_failure(row, *failed, context)?),
        };
        let Carried { position, steps, word } = carried;
        let tree = snapshot::read_tree(&self.reader(), &position.tree)?;
        let at = context.time();
        let next = Revision {
            encoding: REVISION_ENCODING,
            tree: position.tree,
            parents: vec![row.revision],
            format: tree.format.clone(),
            file: None,
            file_bytes: tree.file_bytes(),
            tensors: super::whole::count(&tree),
            applied: Some(position.applied),
            steps,
            actor: context.actor.to_owned(),
            created: at,
            message: options.message.map_or_else(|| default_message(planned, redo), str::to_owned),
        };
        let mut writer = self.store.writer(&self.ledger);
        let id = writer.put(&next.encode(), Default::default())?;
        let pack = writer.finish()?;
        let change = self.ledger.change()?;
        if let Some(pack) = &pack {
            change.add_pack(&pack.id, pack.bytes, &pack.records)?;
        }
        change.advance(&Advance {
            name: &row.name,
            expected: Some(row.revision),
            id: &id,
            revision: &next,
            operation: if redo { "redo" } else { "checkout" },
        })?;
        change.set_groups(&catalogue.name, &group_rows(catalogue), at)?;
        if options.plan.catalogue.given.is_some() {
            change.set_catalogue(&row.name, &path_text(&catalogue.directory))?;
        }
        change.commit()?;
        Ok((id, word))
    }

    /// Enters a failed run in the ledger and gives its error back.
    fn record_failure(
        &mut self,
        row: &RefRow,
        failed: Failed,
        context: &Context<'_>,
    ) -> Result<RepoError, RepoError> {
        if matches!(failed.error, RepoError::Untrusted { .. } | RepoError::NotForPython { .. }) {
            // It did not run.
            return Ok(failed.error);
        }
        let text = with_causes(&failed.error);
        let change = self.ledger.change()?;
        change.append_step(&NewStep {
            ref_name: &row.name,
            revision: None,
            step: &failed.step,
            status: &StepStatus::Failed(text),
            actor: context.actor,
        })?;
        change.commit()?;
        Ok(failed.error)
    }

    /// Goes to a revision: with an output it is only written there, else the ref is moved to it.
    fn checkout_revision(
        &mut self,
        name: &str,
        options: &CheckoutOptions<'_>,
        context: &Context<'_>,
    ) -> Result<CheckoutReport, RepoError> {
        let id = self.revision_named(name)?;
        let revision = self.revision(&id)?;
        let row = self.branch_named(options.plan.name)?;
        let target = self.destination(options, &row, Some(id), &revision, context)?;
        let mut plan = standing(&row, &revision);
        plan.revision = id;
        if options.output.is_some() {
            let mut report = self.report(plan, row.revision);
            if let Some(target) = &target {
                self.write_output(&mut report, &id, target, context)?;
            }
            return Ok(report);
        }
        let moved = id != row.revision;
        if moved {
            let change = self.ledger.change()?;
            change.move_ref(&RefMove {
                name: &row.name,
                kind: RefKind::Branch,
                expected: Some(row.revision),
                new: Some(id),
                operation: "checkout",
                at: context.time(),
                actor: context.actor,
            })?;
            change.commit()?;
        }
        plan.revision = row.revision;
        let mut report = self.finish(options, context, plan, id, target)?;
        report.new_revision = moved.then_some(id);
        Ok(report)
    }

    /// Makes the ref HEAD and writes its file where that does not hold the revision yet.
    fn finish(
        &mut self,
        options: &CheckoutOptions<'_>,
        context: &Context<'_>,
        plan: PlanReport,
        id: ObjectId,
        target: Option<PathBuf>,
    ) -> Result<CheckoutReport, RepoError> {
        let name = plan.ref_name.clone();
        let previous = plan.revision;
        let mut report = self.report(plan, previous);
        let mut written = None;
        if let Some(target) = target {
            let state = self.file_state(&target, context.progress)?;
            if state == FileState::Holds(id) && !options.force {
                report.output = Some(path_text(&target));
            } else {
                written = Some(self.write_output(&mut report, &id, &target, context)?);
            }
        }
        // Last, so that HEAD stays where it was when the file cannot be written.
        let change = self.ledger.change()?;
        if !options.keep_head {
            change.set_setting("head", name.as_str())?;
        }
        if let Some(file) = &written {
            change.set_working_file(&name, file)?;
        }
        change.commit()?;
        Ok(report)
    }

    fn report(&self, plan: PlanReport, previous: ObjectId) -> CheckoutReport {
        CheckoutReport {
            plan,
            new_revision: None,
            previous,
            output: None,
            bytes_written: 0,
            printed: String::new(),
        }
    }

    /// The file or folder to write, once it is sure that nothing is lost by that, and likely that it can be
    /// written; `None` where the ref has none. What an interrupted checkout left beside it is removed.
    ///
    /// It shall hold `wanted`, if that is known already, and have about the length of `like`'s.
    pub(super) fn destination(
        &self,
        options: &CheckoutOptions<'_>,
        row: &RefRow,
        wanted: Option<ObjectId>,
        like: &Revision,
        context: &Context<'_>,
    ) -> Result<Option<PathBuf>, RepoError> {
        let remembered = self.remembered_file(&row.name)?.map(|file| PathBuf::from(file.path));
        let path = match options.output {
            Some(output) => absolute(output)?,
            None => match remembered.clone() {
                Some(path) => path,
                None => return Ok(None),
            },
        };
        self.check_outside(&path)?;
        let is_folder = like.format == Format::Folder.name();
        let mut force = options.force;
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() && !is_folder => {
                return Err(RepoError::NotAFile { path, what: "a directory" });
            }
            Ok(found) if found.is_dir() => {
                if self.inside(&path).is_some() {
                    return Err(RepoError::StoreInside { path });
                }
                // A slip of the hand must not cost a whole folder that ckstore never saw.
                force = force && !self.ledger.working_files_at(&path_text(&path))?.is_empty();
            }
            Ok(found) if found.is_file() && is_folder => return Err(RepoError::NotAFolder { path }),
            // Not even by force: the file would take the device's place.
            Ok(found) if !found.is_file() => {
                return Err(RepoError::NotAFile { path, what: "a device, pipe or socket" });
            }
            _ => {}
        }
        // What cannot be tidied up does no harm.
        let _ = durable::remove_leftovers(&path);
        let state = if force { None } else { Some(self.file_state(&path, context.progress)?) };
        match state {
            Some(FileState::Unknown) if remembered.as_ref() == Some(&path) => {
                return Err(RepoError::WorkingFileChanged { path });
            }
            Some(FileState::Unknown) => return Err(RepoError::DestinationExists { path }),
            Some(FileState::Holds(held)) if wanted == Some(held) => return Ok(Some(path)),
            _ => {}
        }
        check_writable(&path, like.file_bytes)?;
        Ok(Some(path))
    }

    /// Writes a revision to its place, and warns if that is dangerous to load.
    fn write_output(
        &self,
        report: &mut CheckoutReport,
        id: &ObjectId,
        path: &Path,
        context: &Context<'_>,
    ) -> Result<WorkingFile, RepoError> {
        let written = self.write_revision(report, id, path, context)?;
        // What was never decoded, a bomb kept as bytes, has no claim to be read without limits.
        if let Some(what) = super::scan::cautions(path, &Limits::default()).dangerous {
            report.plan.warnings.push(Warning::Dangerous { what });
        }
        Ok(written)
    }

    /// Writes a revision's file to its place, whole or not at all, and checks what is written.
    fn write_revision(
        &self,
        report: &mut CheckoutReport,
        id: &ObjectId,
        path: &Path,
        context: &Context<'_>,
    ) -> Result<WorkingFile, RepoError> {
        let _reading = self.ledger.reading()?;
        let revision = self.revision(id)?;
        let tree = snapshot::read_tree(&self.reader(), &revision.tree)?;
        let Stamp { bytes, modified_ns } = if tree.is_folder() {
            self.write_folder(&tree, path, context)?
        } else {
            self.write_file_of(&tree, path, context)?
        };
        report.output = Some(path_text(path));
        report.bytes_written = tree.file_bytes();
        Ok(WorkingFile { path: path_text(path), revision: *id, bytes, modified_ns })
    }

    /// Writes the file of a tree to its place, whole or not at all.
    fn write_file_of(&self, tree: &Tree, path: &Path, context: &Context<'_>) -> Result<Stamp, RepoError> {
        let failed = || RepoError::io("write", path);
        let file = DurableFile::create(path).map_err(failed())?;
        let is_synced = self.store.is_synced();
        let out = SequentialWriter::with_length(file.file(), tree.file_bytes(), is_synced);
        let mut out = out.map_err(failed())?;
        context.progress.begin("writing", tree.file_bytes());
        let export = snapshot::export(&self.reader(), tree, &mut |bytes| out.write(bytes), context.progress);
        context.progress.end();
        export.map_err(|error| sink_error(error, path))?;
        out.finish().map_err(failed())?;
        // Taken before others can see the file: what they do to it afterwards is a change.
        let stamp = Stamp::of(&file.file().metadata().map_err(failed())?);
        file.finish_synced(is_synced).map_err(failed())?;
        Ok(stamp)
    }

    /// Writes the folder of a tree to its place, whole or not at all. What was there is kept until then.
    fn write_folder(&self, tree: &Tree, path: &Path, context: &Context<'_>) -> Result<Stamp, RepoError> {
        let failed = || RepoError::io("write", path);
        // Where a link leads, the folder is exchanged, not the link.
        let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let before = stamp_of(&place).ok();
        let reader = self.reader();
        let entries = self.folder_entries(tree)?.unwrap_or_default();
        let mut folder = FolderWriter::create(&place, entries, self.store.is_synced()).map_err(failed())?;
        context.progress.begin("writing", tree.file_bytes());
        let export = snapshot::export(&reader, tree, &mut |bytes| folder.write(bytes), context.progress);
        context.progress.end();
        export.map_err(|error| sink_error(error, path))?;
        let folder = folder.close().map_err(failed())?;
        let stamp = stamp_of(folder.path())?;
        if stamp_of(&place).ok() != before {
            return Err(RepoError::WorkingFileChanged { path: path.to_owned() });
        }
        folder.finish_synced(self.store.is_synced()).map_err(failed())?;
        Ok(stamp)
    }

    /// Imports the working file if it holds what is not stored.
    pub(super) fn import_changed(
        &mut self,
        options: &CheckoutOptions<'_>,
        context: &Context<'_>,
    ) -> Result<(), RepoError> {
        let row = self.branch_named(options.plan.name)?;
        let Some(file) = self.remembered_file(&row.name)? else { return Ok(()) };
        if self.file_state(Path::new(&file.path), context.progress)? != FileState::Unknown {
            return Ok(());
        }
        let import = ImportOptions {
            compression: Default::default(),
            base: None,
            name: Some(row.name),
            catalogue: options.plan.catalogue,
            ..ImportOptions::default()
        };
        self.import(&import, context).map(drop)
    }
}

/// An error with all its causes, as the ledger keeps it.
pub(super) fn with_causes(error: &RepoError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// A plan that does nothing.
fn standing(row: &RefRow, revision: &Revision) -> PlanReport {
    let (group, version) = super::status::place(revision.applied.as_deref(), None);
    PlanReport {
        ref_name: row.name.clone(),
        revision: row.revision,
        applied: revision.applied().iter().map(|entry| entry.name.clone()).collect(),
        target: crate::migration::plan::PlanTarget { version, group: group.unwrap_or_default() },
        operations: Vec::new(),
        warnings: Vec::new(),
        in_sync: true,
    }
}

fn default_message(planned: &Planned, redo: bool) -> String {
    let first = planned.plan.operations.iter().find(|operation| operation.kind == OperationKind::Migrate);
    if let Some(first) = first.filter(|_| redo) {
        return format!("redo {}", first.migration);
    }
    match &planned.plan.target.version {
        Some(version) => format!("checkout version {version}"),
        None => "checkout".to_owned(),
    }
}

/// Finds out before any work whether a file or folder of about `bytes` bytes can be written.
fn check_writable(path: &Path, bytes: u64) -> Result<(), RepoError> {
    let directory = directory_of(path);
    DurableFile::create(path).map(drop).map_err(RepoError::io("write in", directory))?;
    #[cfg(unix)]
    if let Ok(system) = rustix::fs::statvfs(directory)
        && system.f_bavail.saturating_mul(system.f_frsize) < bytes
    {
        return Err(RepoError::io("write", path)(std::io::ErrorKind::StorageFull.into()));
    }
    #[cfg(not(unix))]
    let _ = bytes;
    if path.is_dir() {
        return Ok(());
    }
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(RepoError::io("write", path)(error)),
    }
}

/// A failure to write the file is the file's; any other is the store's.
pub(super) fn sink_error(error: snapshot::SnapshotError, path: &Path) -> RepoError {
    match error {
        snapshot::SnapshotError::Store(crate::store::StoreError::Sink { source, .. }) => {
            RepoError::io("write", path)(source)
        }
        other => other.into(),
    }
}
