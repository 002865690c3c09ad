//! Collections: refs that share the beginning of their names, with a catalogue of their own.

mod dump;
mod export;
mod import;
mod sweep;

use serde::Serialize;

use crate::ledger::{RefKind, RefRow};
use crate::migration::document::{self, Value};
use crate::migration::suggest::suggest;
use crate::refname::{MAX_REF_NAME_BYTES, RefName};

use super::{Repo, RepoError};

pub use export::ExportReport;
pub(super) use import::store_text;
pub use import::{CollectionImportOptions, CollectionImportReport, FileWarning};
pub use sweep::Swept;

/// Settings whose keys begin so are of collections: `collection.NAME` holds its folder of migrations.
pub(super) const SETTING_PREFIX: &str = "collection.";

/// A collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CollectionEntry {
    /// Its name: what the names of its refs begin with.
    pub name: RefName,
    /// Its folder of migrations, if it has one of its own.
    pub catalogue: Option<String>,
    /// Number of its branches.
    pub refs: u64,
}

impl Repo {
    /// The collections that were made by an import or a setting, by name.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn collections(&self) -> Result<Vec<CollectionEntry>, RepoError> {
        let mut entries = Vec::new();
        for (key, value) in self.ledger.settings()? {
            let Some(name) = key.strip_prefix(SETTING_PREFIX) else { continue };
            let name: RefName = name.parse()?;
            let refs = self.members(&name)?.len() as u64;
            entries.push(CollectionEntry {
                name,
                catalogue: Some(value).filter(|text| !text.is_empty()),
                refs,
            });
        }
        Ok(entries)
    }

    /// The collection of this name: one that was made, or any beginning that refs share.
    ///
    /// # Errors
    ///
    /// [`RepoError::UnknownCollection`] if there is none.
    pub fn collection_named(&self, name: &str) -> Result<RefName, RepoError> {
        let known = self.collections()?;
        let unknown = || {
            let suggestion = suggest(name, known.iter().map(|entry| entry.name.as_str())).map(str::to_owned);
            RepoError::UnknownCollection { name: name.to_owned(), suggestion }
        };
        let Ok(name) = name.parse::<RefName>() else { return Err(unknown()) };
        let is_known = known.iter().any(|entry| entry.name == name);
        if is_known || !self.members(&name)?.is_empty() { Ok(name) } else { Err(unknown()) }
    }

    /// The innermost collection that was made and that a ref belongs to, or would.
    pub(super) fn collection_of(&self, name: &RefName) -> Result<Option<RefName>, RepoError> {
        let mut known: Vec<RefName> = self.collections()?.into_iter().map(|entry| entry.name).collect();
        known.retain(|known| {
            name.as_str().strip_prefix(known.as_str()).is_some_and(|rest| rest.starts_with('/'))
        });
        Ok(known.into_iter().max_by_key(|known| known.as_str().len()))
    }

    /// The branches of a collection, by name.
    pub(super) fn members(&self, collection: &RefName) -> Result<Vec<RefRow>, RepoError> {
        let mut rows = self.ledger.refs_below(collection)?;
        rows.retain(|row| row.kind == RefKind::Branch);
        Ok(rows)
    }

    /// The folder of migrations of the innermost collection that a ref belongs to, as the setting has it.
    pub(super) fn collection_catalogue(&self, name: &RefName) -> Result<Option<String>, RepoError> {
        let mut end = name.as_str().len();
        loop {
            let setting = self.ledger.setting(&format!("{SETTING_PREFIX}{}", &name.as_str()[..end]))?;
            if let Some(folder) = setting.filter(|folder| !folder.is_empty()) {
                return Ok(Some(folder));
            }
            match name.as_str()[..end].rfind('/') {
                Some(slash) => end = slash,
                None => return Ok(None),
            }
        }
    }
}

/// The ref of a document: below the collection's name a part that stands for its `_id`, in full or, where that is too
/// long for a name, its begin and a hash.
pub(super) fn ref_of(collection: &RefName, id: &Value) -> Result<RefName, RepoError> {
    let full = format!("{collection}/{}", document::part_of(id));
    let name = if full.len() > MAX_REF_NAME_BYTES {
        format!("{collection}/{}", document::short_part_of(id))
    } else {
        full
    };
    Ok(name.parse()?)
}
