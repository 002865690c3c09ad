//! Where a checkpoint stands against its catalogue.

use std::path::Path;

use serde::Serialize;

use crate::ledger::RefRow;
use crate::migration::{Catalogue, resolver};
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::refname::RefName;
use crate::revision::{Applied, Revision};

use super::working::FileState;
use super::{CatalogueSource, Repo, RepoError};

/// Where a checkpoint stands.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// The ref.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// The revision it names.
    pub revision: ObjectId,
    /// Whether it is the current ref.
    pub head: bool,
    /// The content's format.
    pub format: String,
    /// The compatibility group, where it is known.
    pub group: Option<u32>,
    /// The version of the newest migration it has, where it is known.
    pub version: Option<String>,
    /// Names of the migrations that the checkpoint and the catalogue both have.
    pub registered: Vec<String>,
    /// Names of the migrations of its group that it lacks.
    pub missing: Vec<String>,
    /// Names of the migrations that it has and the catalogue lacks.
    pub extra: Vec<String>,
    /// Names of the migrations that were changed after they ran on it.
    pub drift: Vec<String>,
    /// The first version that it cannot be migrated to.
    pub first_incompatible_version: Option<String>,
    /// Why the migrations could not be compared, where they could not: a code and a sentence.
    pub problem: Option<super::import::Warning>,
    /// The working file.
    pub working_file: Option<WorkingFileStatus>,
}

/// Where a working file stands.
#[derive(Debug, Clone, Serialize)]
pub struct WorkingFileStatus {
    /// Its path.
    pub path: String,
    /// How it relates to the ref.
    pub state: WorkingFileState,
}

/// How a working file relates to its ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkingFileState {
    /// It holds the ref's revision.
    Clean,
    /// It holds another revision that is stored.
    Behind,
    /// It holds what is not stored.
    Changed,
    /// It is not there.
    Missing,
}

impl StatusReport {
    /// Whether there is something to migrate, roll back or import.
    pub fn is_pending(&self) -> bool {
        let file = self.working_file.as_ref().map(|file| file.state);
        !self.missing.is_empty()
            || !self.extra.is_empty()
            || matches!(file, Some(WorkingFileState::Changed | WorkingFileState::Behind))
    }
}

impl Repo {
    /// Tells where a ref stands; HEAD when none is named. Reads no tensor bytes of the store; a working file
    /// whose size or time changed is read.
    ///
    /// # Errors
    ///
    /// If there is no such ref, or its catalogue does not load.
    pub fn status(
        &self,
        name: Option<&str>,
        source: CatalogueSource<'_>,
        progress: &dyn Progress,
    ) -> Result<StatusReport, RepoError> {
        let mut report = self.standing(name, source)?;
        report.working_file = self.working_file_status(&report.ref_name, &report.revision, progress)?;
        Ok(report)
    }

    /// As [`status`](Repo::status), without a look at the working file or any other file beside the catalogue.
    ///
    /// # Errors
    ///
    /// As [`status`](Repo::status).
    pub fn standing(
        &self,
        name: Option<&str>,
        source: CatalogueSource<'_>,
    ) -> Result<StatusReport, RepoError> {
        let row = self.branch_named(name)?;
        let catalogue = self.find_catalogue(Some(&row), source)?;
        self.standing_of(row, catalogue.as_deref())
    }

    /// As [`status`](Repo::status), of this ref against this catalogue.
    pub(super) fn status_of(
        &self,
        row: RefRow,
        catalogue: Option<&Catalogue>,
        progress: &dyn Progress,
    ) -> Result<StatusReport, RepoError> {
        let mut report = self.standing_of(row, catalogue)?;
        report.working_file = self.working_file_status(&report.ref_name, &report.revision, progress)?;
        Ok(report)
    }

    fn standing_of(&self, row: RefRow, catalogue: Option<&Catalogue>) -> Result<StatusReport, RepoError> {
        let revision = self.revision(&row.revision)?;
        let (group, version) = place(revision.applied.as_deref(), catalogue);
        let mut report = StatusReport {
            head: self.head().is_ok_and(|head| head == row.name),
            format: revision.format.clone(),
            group,
            version,
            registered: Vec::new(),
            missing: Vec::new(),
            extra: Vec::new(),
            drift: Vec::new(),
            first_incompatible_version: None,
            problem: None,
            working_file: None,
            revision: row.revision,
            ref_name: row.name,
        };
        if let Some(catalogue) = catalogue {
            self.compare(&revision, catalogue, &mut report)?;
        } else {
            report.registered = revision.applied().iter().map(|entry| entry.name.clone()).collect();
        }
        Ok(report)
    }

    fn compare(
        &self,
        revision: &Revision,
        catalogue: &Catalogue,
        report: &mut StatusReport,
    ) -> Result<(), RepoError> {
        let mut revision = revision.clone();
        revision.applied = self.applied_of(&revision, catalogue)?;
        let lineage = self.lineage(&revision)?;
        let applied = self.applied_for_resolver(&revision, &lineage)?;
        let status = resolver::status(applied.as_deref(), &catalogue.entries());
        report.problem = status.problem.as_ref().map(|problem| super::import::Warning {
            code: problem.code().to_owned(),
            message: problem.to_string(),
        });
        report.group = status.group.or(report.group);
        report.registered = status.registered;
        report.missing = status.missing;
        report.extra = status.extra;
        report.drift = status.drift;
        report.first_incompatible_version = status.first_incompatible_version;
        Ok(())
    }

    fn working_file_status(
        &self,
        name: &RefName,
        revision: &ObjectId,
        progress: &dyn Progress,
    ) -> Result<Option<WorkingFileStatus>, RepoError> {
        let Some(file) = self.remembered_file(name)? else { return Ok(None) };
        let state = match self.file_state(Path::new(&file.path), progress)? {
            FileState::Missing => WorkingFileState::Missing,
            FileState::Holds(held) if held == *revision => WorkingFileState::Clean,
            FileState::Holds(_) => WorkingFileState::Behind,
            FileState::Unknown => WorkingFileState::Changed,
        };
        Ok(Some(WorkingFileStatus { path: file.path, state }))
    }
}

/// Group and version of a checkpoint that has these migrations, as far as they are known.
pub(super) fn place(
    applied: Option<&[Applied]>,
    catalogue: Option<&Catalogue>,
) -> (Option<u32>, Option<String>) {
    let Some(applied) = applied else { return (None, None) };
    let own = |entry: &Applied| entry.version.clone();
    let listed = |entry: &Applied| {
        let migration = catalogue.and_then(|catalogue| catalogue.get(&entry.name));
        migration.and_then(|migration| migration.version.named()).or_else(|| own(entry))
    };
    let version = applied.last().and_then(listed);
    let group = match (applied.first(), catalogue) {
        (None, _) => Some(0),
        (Some(first), Some(catalogue)) => catalogue.group_of(&first.name),
        (Some(first), None) => (!first.is_final).then_some(0),
    };
    (group, version)
}
