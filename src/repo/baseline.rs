//! Saying which migrations a checkpoint has.

use serde::Serialize;

use crate::ledger::Advance;
use crate::migration::resolver;
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::revision::{REVISION_ENCODING, Revision, Step, StepKind};

use super::catalogue::group_rows;
use super::import::{baseline_list, listed_step};
use super::working::path_text;
use super::{CatalogueSource, Context, Repo, RepoError};

/// What to say of which ref.
#[derive(Debug, Clone)]
pub struct BaselineOptions<'a> {
    /// The ref; HEAD when none is named.
    pub name: Option<&'a str>,
    /// The version it was trained at, or the last migration it has.
    pub target: resolver::Target,
    /// Where the catalogue is.
    pub catalogue: CatalogueSource<'a>,
    /// Why.
    pub message: Option<&'a str>,
}

/// What a baseline did.
#[derive(Debug, Clone, Serialize)]
pub struct BaselineReport {
    /// The ref.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// The revision it names now.
    pub revision: ObjectId,
    /// The revision it named before.
    pub previous: ObjectId,
    /// The compatibility group.
    pub group: Option<u32>,
    /// The version.
    pub version: Option<String>,
    /// Names of the migrations it has now, oldest first.
    pub applied: Vec<String>,
}

impl Repo {
    /// Records that a ref's checkpoint has the migrations of a version, without running any. The content
    /// stays as it is; the next migration writes the list into the file.
    ///
    /// # Errors
    ///
    /// If there is no such ref or version.
    pub fn baseline(
        &mut self,
        options: &BaselineOptions<'_>,
        context: &Context<'_>,
    ) -> Result<BaselineReport, RepoError> {
        let _lock = self.lock()?;
        let row = self.branch_named(options.name)?;
        let old = self.revision(&row.revision)?;
        let catalogue = self.load_catalogue(Some(&row), options.catalogue)?;
        let applied = baseline_list(&catalogue, &options.target)?;
        let at = context.time();
        let steps: Vec<Step> = applied
            .iter()
            .map(|entry| listed_step(StepKind::Baseline, entry, &old.tree, at, Some(&catalogue)))
            .collect();
        let (group, version) = super::status::place(Some(&applied), Some(&catalogue));
        let names = applied.iter().map(|entry| entry.name.clone()).collect();
        let next = Revision {
            encoding: REVISION_ENCODING,
            parents: vec![row.revision],
            applied: Some(applied),
            steps,
            actor: context.actor.to_owned(),
            created: at,
            message: options.message.unwrap_or("baseline").to_owned(),
            ..old
        };
        let mut writer = self.store.writer(&self.ledger);
        let id = writer.put(&next.encode(), Default::default())?;
        let pack = writer.finish()?;
        let file = self.remembered_file(&row.name)?;
        let change = self.ledger.change()?;
        if let Some(pack) = &pack {
            change.add_pack(&pack.id, pack.bytes, &pack.records)?;
        }
        change.advance(&Advance {
            name: &row.name,
            expected: Some(row.revision),
            id: &id,
            revision: &next,
            operation: "baseline",
        })?;
        change.set_groups(&catalogue.name, &group_rows(&catalogue), at)?;
        if options.catalogue.given.is_some() {
            change.set_catalogue(&row.name, &path_text(&catalogue.directory))?;
        }
        // The content is the same, so a file that held the old revision holds the new one.
        if let Some(mut file) = file.filter(|file| file.revision == row.revision) {
            file.revision = id;
            change.set_working_file(&row.name, &file)?;
        }
        change.commit()?;
        Ok(BaselineReport {
            ref_name: row.name,
            revision: id,
            previous: row.revision,
            group,
            version,
            applied: names,
        })
    }
}
