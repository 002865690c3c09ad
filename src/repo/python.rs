//! Running a migration in a Python of the user's own.

use std::ffi::OsString;
use std::fs::{self, File};

use crate::format::{self, FileSource, Format, Limits};
use crate::migration::engine::{self, Entry, Script};
use crate::migration::plan::{Method, Operation};
use crate::migration::{Migration, embedded};
use crate::object::ObjectId;
use crate::revision::{Applied, Step};
use crate::snapshot;
use crate::store::Hint;

use super::perform::{failed, function_of};
use super::run::{
    ListPlace, Position, Sources, Word, contents_of, list_place, optimizer_warnings, settle_list,
};
use super::{Context, Repo, RepoError};

/// Longest text that an interpreter may call itself by, in bytes.
const MAX_ENGINE_BYTES: usize = 200;

/// An interpreter of the user's own, and what may run in it.
#[derive(Debug, Clone)]
pub struct RealPython {
    /// The program.
    pub program: OsString,
    /// Digests of the migrations that are trusted.
    pub trusted: Vec<ObjectId>,
}

impl RealPython {
    /// Refuses what is not trusted, or cannot be run there.
    pub(super) fn check(&self, migration: &Migration) -> Result<(), RepoError> {
        if !self.trusted.contains(&migration.digest) {
            let (migration, digest) = (migration.name.clone(), migration.digest);
            return Err(RepoError::Untrusted { migration, digest });
        }
        if migration.has_setup {
            let reason = "its `migrate_setup` edits class paths, which only the sandbox does";
            return Err(RepoError::NotForPython { migration: migration.name.clone(), reason });
        }
        Ok(())
    }

    /// Refuses a plan with a step that is not trusted, before anything of it is done.
    pub(super) fn check_all(&self, operations: &[Operation], sources: &Sources<'_>) -> Result<(), RepoError> {
        let runs = operations.iter().filter(|operation| operation.method == Method::Run);
        let listed = runs.filter_map(|operation| sources.listed(&operation.migration));
        listed.filter(|migration| migration.form.is_code()).try_for_each(|migration| self.check(migration))
    }
}

impl Repo {
    /// Runs one function of a trusted script in a real interpreter, on the checkpoint's own file, and stores the file
    /// that it writes. What moved where is not known of it.
    #[expect(clippy::too_many_arguments, reason = "one private step of two operations")]
    pub(super) fn run_in_python(
        &mut self,
        python: &RealPython,
        (migration, entry): (&Migration, Entry),
        from: &Position,
        applied: &[Applied],
        sources: &Sources<'_>,
        context: &Context<'_>,
        step: &mut Step,
    ) -> Result<(ObjectId, Word), RepoError> {
        step.engine = Some("python".to_owned());
        python.check(migration)?;
        let tree = snapshot::read_tree(&self.reader(), &from.tree)?;
        let (before, outline) = snapshot::read_graph(&self.reader(), &tree)?;
        if !matches!(outline.format, Format::TorchZip | Format::TorchLegacy) {
            let reason = "only what `torch.load` reads can be given to a real interpreter";
            return Err(RepoError::NotForPython { migration: migration.name.clone(), reason });
        }
        if outline.extras.iter().any(|extra| embedded::is_metadata(&extra.name)) {
            let reason = "its file has metadata beside the pickle, which `torch.save` would leave out";
            return Err(RepoError::NotForPython { migration: migration.name.clone(), reason });
        }
        let temporary = std::env::temp_dir();
        let folder = tempfile::Builder::new()
            .prefix("ckstore-")
            .tempdir()
            .map_err(RepoError::io("make a folder in", &temporary))?;
        let (input, output) = (folder.path().join("before"), folder.path().join("after"));
        self.write_tree(&from.tree, &input, context)?;
        let function = function_of(migration, entry);
        let script = Script { name: &migration.name, file: &migration.file, source: &migration.source };
        let paths = (input.as_path(), output.as_path());
        let outcome =
            engine::run_real(&python.program, &script, function, paths, folder.path(), context.limits)
                .map_err(|source| failed(migration, function, source))?;
        let engine: String =
            outcome.engine.chars().filter(|c| !c.is_control()).take(MAX_ENGINE_BYTES).collect();
        step.engine = Some(engine);
        // Room for what is stored now.
        let _ = fs::remove_file(&input);

        let unread = |source| RepoError::Format { path: output.clone(), source };
        let file = File::open(&output).map_err(RepoError::io("read", &output))?;
        let source = FileSource::new(file).map_err(RepoError::io("read", &output))?;
        let scanned = format::scan(&source, Some(Format::TorchZip), &Limits::NONE).map_err(unread)?;
        let mut after = format::decode(&scanned.outline, &Limits::NONE).map_err(unread)?;
        let mut writer = self.store.writer(&self.ledger);
        let taken =
            snapshot::write_file(&source, &scanned, &after, Some(&tree), &mut writer, context.progress)?;
        let warnings = optimizer_warnings(&migration.name, &before, &after);
        let place: ListPlace = list_place(&before, &outline, &sources.catalogue.list_key, &from.applied);
        settle_list(&before, &mut after, place, (migration, entry), from, applied, sources)?;
        let contents = contents_of(&taken.tree);
        let (result, _) = snapshot::write_graph(&after, &scanned.outline, &contents, &mut writer)?;
        let text = writer.put(migration.source.as_bytes(), Hint::default())?;
        let pack = writer.finish()?;
        let ledger = self.ledger.change()?;
        if let Some(pack) = &pack {
            ledger.add_pack(&pack.id, pack.bytes, &pack.records)?;
        }
        ledger.commit()?;
        step.script = Some(text);
        Ok((result, Word { printed: outcome.printed, warnings }))
    }
}
