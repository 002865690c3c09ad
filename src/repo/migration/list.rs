//! What a catalogue holds.

use serde::Serialize;

use crate::ledger::RefKind;
use crate::migration::plan::Policy;
use crate::migration::{Catalogue, Form};
use crate::object::ObjectId;
use crate::refname::RefName;

use super::super::{Repo, RepoError};

/// What a catalogue holds.
#[derive(Debug, Clone, Serialize)]
pub struct CatalogueReport {
    /// Its name.
    pub catalogue: String,
    /// Its folder.
    pub directory: String,
    /// Which migrations a checkpoint needs.
    pub policy: Policy,
    /// The key under which a checkpoint keeps its list.
    pub list_key: String,
    /// Its groups in order.
    pub groups: Vec<GroupOfCatalogue>,
    /// Its migrations in the order in which they run.
    pub migrations: Vec<ListedMigration>,
}

/// A compatibility group of a catalogue.
#[derive(Debug, Clone, Serialize)]
pub struct GroupOfCatalogue {
    /// Its number, from 0.
    pub group: u32,
    /// The final that opens it; `None` for group 0.
    pub opened_by: Option<String>,
    /// Its first version.
    pub version: Option<String>,
    /// The first version that is no longer in it.
    pub until: Option<String>,
}

/// A migration of a catalogue.
#[derive(Debug, Clone, Serialize)]
pub struct ListedMigration {
    /// Its name.
    pub migration: String,
    /// Its file in the catalogue's folder.
    pub file: String,
    /// The form it is written in.
    pub form: Form,
    /// Its version; `None` where its form has none.
    pub version: Option<String>,
    /// Its compatibility group.
    pub group: u32,
    /// Whether it opens the group.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// The digest of its body.
    pub digest: ObjectId,
    /// Whether it can be run.
    pub migrate: bool,
    /// Whether it brings its own rollback, or one can be derived from it.
    pub rollback: bool,
    /// Whether running it takes an interpreter.
    pub code: bool,
    /// What it says that it does.
    pub summary: Option<String>,
    /// The branches whose checkpoint has it.
    pub refs: Vec<RefName>,
}

/// Lists a catalogue, and which branches of a store have which migration.
///
/// # Errors
///
/// If the ledger cannot be read.
pub fn list_migrations(catalogue: &Catalogue, repo: Option<&Repo>) -> Result<CatalogueReport, RepoError> {
    let mut branches: Vec<(RefName, Vec<String>)> = Vec::new();
    if let Some(repo) = repo {
        for row in repo.ledger.refs()?.into_iter().filter(|row| row.kind == RefKind::Branch) {
            let revision = repo.revision(&row.revision)?;
            let names = revision.applied().iter().map(|entry| entry.name.clone()).collect();
            branches.push((row.name, names));
        }
    }
    let mut migrations = Vec::with_capacity(catalogue.migrations.len());
    for group in catalogue.groups() {
        for migration in group.members {
            let has = |(_, names): &&(RefName, Vec<String>)| names.contains(&migration.name);
            migrations.push(ListedMigration {
                migration: migration.name.clone(),
                file: migration.file.clone(),
                form: migration.form,
                version: migration.version.named(),
                group: group.index,
                is_final: migration.is_final,
                digest: migration.digest,
                migrate: migration.has_migrate,
                rollback: migration.has_rollback,
                code: migration.form.is_code(),
                summary: migration.summary.clone(),
                refs: branches.iter().filter(has).map(|(name, _)| name.clone()).collect(),
            });
        }
    }
    let groups = catalogue.groups().map(|group| GroupOfCatalogue {
        group: group.index,
        opened_by: group.opening().map(|migration| migration.name.clone()),
        version: group.since().map(str::to_owned),
        until: group.until().map(str::to_owned),
    });
    Ok(CatalogueReport {
        catalogue: catalogue.name.clone(),
        directory: catalogue.directory.display().to_string(),
        policy: catalogue.policy,
        list_key: catalogue.list_key.clone(),
        groups: groups.collect(),
        migrations,
    })
}
