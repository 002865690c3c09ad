//! Which catalogue a ref's migrations come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::ledger::{GroupRow, RefRow};
use crate::migration::Catalogue;
use crate::refname::RefName;

use super::catalogues::Catalogues;
use super::open::absolute;
use super::{Repo, RepoError};

/// Where to look for a catalogue.
#[derive(Debug, Clone, Copy, Default)]
pub struct CatalogueSource<'a> {
    /// The folder that was named for this operation.
    pub given: Option<&'a Path>,
    /// The folder in which the operation was started.
    pub current: Option<&'a Path>,
}

impl Repo {
    /// The folder of a ref's catalogue: the one given; else the one that the ref remembers; else its collection's;
    /// else the store's setting; else `migrations` where the operation was started, or beside the store.
    pub(super) fn catalogue_directory(
        &self,
        row: Option<&RefRow>,
        source: CatalogueSource<'_>,
    ) -> Result<PathBuf, RepoError> {
        if let Some(given) = source.given {
            return absolute(given);
        }
        if let Some(remembered) = row.and_then(|row| row.catalogue.as_deref()) {
            return Ok(PathBuf::from(remembered));
        }
        let beside = self.directory().parent().unwrap_or(Path::new("."));
        if let Some(row) = row
            && let Some(folder) = self.collection_catalogue(&row.name)?
        {
            return Ok(beside.join(folder));
        }
        if let Some(setting) = self.ledger.setting("catalogue")? {
            return Ok(beside.join(setting));
        }
        let here = source.current.map(|folder| folder.join("migrations"));
        Ok(here.filter(|folder| folder.is_dir()).unwrap_or_else(|| beside.join("migrations")))
    }

    /// Loads a ref's catalogue. Nothing in it is executed.
    pub(super) fn load_catalogue(
        &self,
        row: Option<&RefRow>,
        source: CatalogueSource<'_>,
    ) -> Result<Arc<Catalogue>, RepoError> {
        let directory = self.catalogue_directory(row, source)?;
        if !directory.is_dir() {
            return Err(RepoError::NoCatalogue { path: directory });
        }
        Ok(match &self.catalogues {
            Some(known) => known.get(&directory)?,
            None => Arc::new(Catalogue::load(&directory)?),
        })
    }

    /// Takes catalogues from those that are known already, as long as their files stay as they are.
    pub fn share_catalogues(&mut self, known: Arc<Catalogues>) {
        self.catalogues = Some(known);
    }

    /// Loads the catalogue of a collection, or of a ref that joins one.
    pub(super) fn load_collection_catalogue(
        &self,
        collection: &RefName,
        source: CatalogueSource<'_>,
    ) -> Result<Arc<Catalogue>, RepoError> {
        let own = if source.given.is_some() { None } else { self.collection_catalogue(collection)? };
        let beside = self.directory().parent().unwrap_or(Path::new("."));
        let given = own.map(|folder| beside.join(folder));
        let given = given.as_deref().or(source.given);
        self.load_catalogue(None, CatalogueSource { given, ..source })
    }

    /// As [`load_catalogue`](Repo::load_catalogue), but `None` where no folder was named and none is there.
    pub(super) fn find_catalogue(
        &self,
        row: Option<&RefRow>,
        source: CatalogueSource<'_>,
    ) -> Result<Option<Arc<Catalogue>>, RepoError> {
        or_none(self.load_catalogue(row, source), source)
    }

    /// As [`load_collection_catalogue`](Repo::load_collection_catalogue), but `None` where no folder was named and none
    /// is there.
    pub(super) fn find_collection_catalogue(
        &self,
        collection: &RefName,
        source: CatalogueSource<'_>,
    ) -> Result<Option<Arc<Catalogue>>, RepoError> {
        or_none(self.load_collection_catalogue(collection, source), source)
    }
}

fn or_none(
    loaded: Result<Arc<Catalogue>, RepoError>,
    source: CatalogueSource<'_>,
) -> Result<Option<Arc<Catalogue>>, RepoError> {
    match loaded {
        Err(RepoError::NoCatalogue { .. }) if source.given.is_none() => Ok(None),
        other => other.map(Some),
    }
}

/// The groups of a catalogue as the ledger records them.
pub(super) fn group_rows(catalogue: &Catalogue) -> Vec<GroupRow> {
    let first = GroupRow { catalogue: catalogue.name.clone(), number: 0, opened_by: None, version: None };
    let finals = catalogue.migrations.iter().filter(|migration| migration.is_final);
    let opened = (1u32..).zip(finals).map(|(number, migration)| GroupRow {
        catalogue: catalogue.name.clone(),
        number,
        opened_by: Some(migration.name.clone()),
        version: Some(migration.version.to_string()),
    });
    std::iter::once(first).chain(opened).collect()
}
