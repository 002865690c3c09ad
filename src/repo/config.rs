//! Settings of a store.

use crate::migration::suggest::suggest;

use crate::refname::RefName;

use super::collection::SETTING_PREFIX;
use super::{Repo, RepoError};

/// The settings that a person can set, and what each is for.
pub const SETTINGS: &[(&str, &str)] = &[
    ("catalogue", "folder of migrations for refs that have none of their own"),
    (COLLECTION, "folder of migrations of a collection"),
    ("durability", "`full`, or `cache`: leave it to the system when what is written reaches the disk"),
];

/// How the settings of collections are called in lists and messages.
const COLLECTION: &str = "collection.NAME";

/// The value of `durability` for which nothing is synced.
pub(super) const CACHE: &str = "cache";

impl Repo {
    /// The value of a setting.
    ///
    /// # Errors
    ///
    /// If there is no such setting, or the ledger cannot be read.
    pub fn config_get(&self, key: &str) -> Result<Option<String>, RepoError> {
        check(key)?;
        Ok(self.ledger.setting(key)?)
    }

    /// All settings that have a value, by key.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn config_list(&self) -> Result<Vec<(String, String)>, RepoError> {
        let mut settings = self.ledger.settings()?;
        settings.retain(|(key, _)| check(key).is_ok());
        Ok(settings)
    }

    /// Gives a setting a value, or takes it away.
    ///
    /// # Errors
    ///
    /// If there is no such setting, or the store is locked.
    pub fn config_set(&mut self, key: &str, value: Option<&str>) -> Result<(), RepoError> {
        check(key)?;
        if let Some(value) = value.filter(|value| key == "durability" && !["full", CACHE].contains(value)) {
            return Err(RepoError::SettingValue { key: key.to_owned(), value: value.to_owned() });
        }
        let _lock = self.lock()?;
        let change = self.ledger.change()?;
        match value {
            Some(value) => change.set_setting(key, value)?,
            None => change.remove_setting(key)?,
        }
        Ok(change.commit()?)
    }
}

fn check(key: &str) -> Result<(), RepoError> {
    if key.strip_prefix(SETTING_PREFIX).is_some_and(|name| name.parse::<RefName>().is_ok()) {
        return Ok(());
    }
    let known = || SETTINGS.iter().map(|(key, _)| *key).filter(|key| *key != COLLECTION);
    if known().any(|known| known == key) {
        return Ok(());
    }
    let suggestion = suggest(key, known()).map(str::to_owned);
    Err(RepoError::UnknownSetting { key: key.to_owned(), suggestion })
}
