//! Running one direction of a migration, by the form it is written in.

use crate::migration::declarative::{self, DECLARATIVE_VERSION};
use crate::migration::engine::{self, ENGINE_VERSION, EngineError, Entry, Outcome, Script, StorageBytes};
use crate::migration::{Form, Migration, line_of};
use crate::value::Graph;

use super::{Context, RepoError};

/// Names what decides a migration's result, for memory and history.
pub(super) fn engine_of(migration: &Migration) -> &'static str {
    if migration.form.is_code() { ENGINE_VERSION } else { DECLARATIVE_VERSION }
}

/// Applies or undoes a migration on a checkpoint: steps that are declared by a pure function, scripts in a worker.
/// Nothing of the checkpoint that was given is changed.
pub(super) fn perform(
    migration: &Migration,
    entry: Entry,
    graph: &Graph,
    bytes: &mut dyn StorageBytes,
    context: &Context<'_>,
) -> Result<Outcome, RepoError> {
    let name = || migration.name.clone();
    if let Some(body) = &migration.body {
        let undone = match entry {
            Entry::Rollback => {
                Some(body.inverse().ok_or_else(|| RepoError::ScriptMissing { migration: name() })?)
            }
            _ => None,
        };
        let body = undone.as_ref().unwrap_or(body);
        return declarative::apply(&migration.file, body, graph, context.limits)
            .map_err(|source| RepoError::Declarative { migration: name(), source: Box::new(source) });
    }
    let entry = function_of(migration, entry);
    let script = Script { name: &migration.name, file: &migration.file, source: &migration.source };
    engine::run(context.worker, &script, entry, graph, bytes, context.limits)
        .map_err(|source| failed(migration, entry, source))
}

/// The error of a script, with the line of its function where nothing nearer is known.
pub(super) fn failed(migration: &Migration, entry: Entry, source: EngineError) -> RepoError {
    let source = source.of_function(&migration.file, line_of(&migration.source, entry.function()));
    RepoError::Migration { migration: migration.name.clone(), source: Box::new(source) }
}

/// The function of a migration that is called, by the form it is written in.
pub(super) fn function_of(migration: &Migration, entry: Entry) -> Entry {
    match (entry, migration.form) {
        (Entry::Migrate, Form::MigrateCkpt) => Entry::Handle,
        (entry, _) => entry,
    }
}
