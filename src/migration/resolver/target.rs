//! Targets, and which migrations of the catalogue belong to one.

use super::super::plan::Warning;
use super::super::suggest::suggest;
use super::super::version::{ParseVersionError, Version};
use super::{Entry, ResolveError};

/// Where a checkpoint should go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Target {
    /// The latest released version.
    #[default]
    Latest,
    /// Everything in the catalogue, also what is not released yet.
    Next,
    /// The begin of the checkpoint's own group.
    Base,
    /// A version, as PEP 440 or SemVer spell it.
    Version(String),
    /// A migration by its name: everything up to it, and it.
    Migration(String),
}

impl Target {
    /// A version as people write it, `latest`, `next` and `base` being words for one.
    pub fn of_version(text: &str) -> Target {
        Target::of_word(text).unwrap_or_else(|| Target::Version(text.to_owned()))
    }

    /// The name of a migration, `latest`, `next` and `base` being words for one.
    pub fn of_migration(text: &str) -> Target {
        Target::of_word(text).unwrap_or_else(|| Target::Migration(text.to_owned()))
    }

    fn of_word(text: &str) -> Option<Target> {
        match text {
            "latest" => Some(Target::Latest),
            "next" => Some(Target::Next),
            "base" => Some(Target::Base),
            _ => None,
        }
    }
}

/// A target whose version is parsed and whose migration is found.
pub(super) enum ParsedTarget {
    Latest,
    Next,
    Base,
    Version(Version),
    Migration(usize),
}

/// The migrations that a checkpoint at the target has.
pub(super) struct TargetList {
    /// Places in the catalogue, rising. The first is the group's final, unless the group is 0.
    pub(super) members: Vec<usize>,
    pub(super) group: u32,
    pub(super) version: Option<String>,
    pub(super) beyond: Option<Warning>,
}

impl Target {
    pub(super) fn parse(&self, catalogue: &[Entry]) -> Result<ParsedTarget, ResolveError> {
        Ok(match self {
            Target::Latest => ParsedTarget::Latest,
            Target::Next => ParsedTarget::Next,
            Target::Base => ParsedTarget::Base,
            Target::Version(text) => {
                let version: Version = text.parse()?;
                if version.is_placeholder() {
                    // Only `Next` chooses what has no version yet.
                    return Err(ParseVersionError(text.clone()).into());
                }
                ParsedTarget::Version(version)
            }
            Target::Migration(name) => {
                let position = catalogue.iter().position(|entry| entry.name == *name);
                ParsedTarget::Migration(position.ok_or_else(|| ResolveError::UnknownMigration {
                    name: name.clone(),
                    suggestion: suggest(name, catalogue.iter().map(|e| e.name.as_str())).map(str::to_owned),
                })?)
            }
        })
    }
}

impl ParsedTarget {
    /// The migrations that belong to the target, for a checkpoint of group `own`.
    pub(super) fn list(&self, catalogue: &[Entry], own: u32) -> TargetList {
        let latest = catalogue.iter().map(|e| &e.version).filter(|v| !v.is_placeholder()).max();
        let beyond = match self {
            ParsedTarget::Version(version) if latest.is_none_or(|latest| latest < version) => {
                Some(Warning::Beyond {
                    version: version.to_string(),
                    latest: latest.and_then(Version::named),
                })
            }
            _ => None,
        };
        let chosen = |index: &usize| match self {
            ParsedTarget::Latest => !catalogue[*index].version.is_placeholder(),
            ParsedTarget::Next => true,
            ParsedTarget::Version(version) => catalogue[*index].version <= *version,
            ParsedTarget::Migration(last) => index <= last,
            ParsedTarget::Base => catalogue[*index].is_final,
        };
        let mut members: Vec<usize> = (0..catalogue.len()).filter(chosen).collect();
        if let ParsedTarget::Base = self {
            // Only finals were chosen: the checkpoint's own is the one with the number of its group.
            members.truncate(own as usize);
        }
        let opening = members.iter().rposition(|&index| catalogue[index].is_final);
        // A group is counted in the whole catalogue, so that it always means the same final.
        let group = opening
            .map_or(0, |at| catalogue[..=members[at]].iter().filter(|entry| entry.is_final).count() as u32);
        members.drain(..opening.unwrap_or(0));
        let version = match self {
            ParsedTarget::Version(version) => Some(version.to_string()),
            ParsedTarget::Migration(last) => catalogue[*last].version.named(),
            ParsedTarget::Latest | ParsedTarget::Next | ParsedTarget::Base => {
                members.iter().map(|&index| &catalogue[index].version).max().and_then(Version::named)
            }
        };
        TargetList { members, group, version, beyond }
    }
}
