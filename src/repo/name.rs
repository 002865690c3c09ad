//! What a person means by a name: HEAD, a ref, a revision, an ancestor of one.

use crate::ledger::{RefKind, RefRow};
use crate::migration::suggest::suggest;
use crate::object::ObjectId;
use crate::refname::RefName;

use super::{Repo, RepoError};

/// Fewest digits that can name a revision.
const MIN_DIGITS: usize = 4;

impl Repo {
    /// The current ref's name.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoHead`] if nothing was imported yet.
    pub fn head(&self) -> Result<RefName, RepoError> {
        match self.ledger.setting("head")? {
            Some(name) => Ok(name.parse()?),
            None => Err(RepoError::NoHead),
        }
    }

    /// The branch of this name; HEAD when none is named.
    ///
    /// # Errors
    ///
    /// If there is no such branch.
    pub fn branch_named(&self, name: Option<&str>) -> Result<RefRow, RepoError> {
        let name = match name {
            None | Some("HEAD") => self.head()?.as_str().to_owned(),
            Some(name) => name.to_owned(),
        };
        let found = match name.parse::<RefName>() {
            Ok(parsed) => self.ledger.find_ref(&parsed)?,
            Err(_) => None,
        };
        match found {
            Some(row) if row.kind == RefKind::Branch => Ok(row),
            Some(_) => Err(RepoError::NotABranch { name, found: "tag" }),
            None if self.revision_named(&name).is_ok() => {
                Err(RepoError::NotABranch { name, found: "revision" })
            }
            None => Err(self.unknown(name)?),
        }
    }

    /// The revision that is meant by `HEAD`, a ref, a revision's name or its beginning (at least four
    /// digits), or any of these followed by `~N`: N parents back.
    ///
    /// # Errors
    ///
    /// If nothing, or more than one revision, has that name.
    pub fn revision_named(&self, name: &str) -> Result<ObjectId, RepoError> {
        let (base, back) = match name.rsplit_once('~') {
            Some((base, "")) => (base, 1),
            Some((base, back)) => match back.parse::<u32>() {
                Ok(back) => (base, back),
                Err(_) => return Err(self.unknown(name.to_owned())?),
            },
            None => (name, 0),
        };
        let mut id = self.base_named(base, name)?;
        for _ in 0..back {
            let revision = self.ledger.revision(&id)?;
            match revision.and_then(|revision| revision.parents.first().copied()) {
                Some(parent) => id = parent,
                None => return Err(self.unknown(name.to_owned())?),
            }
        }
        Ok(id)
    }

    fn base_named(&self, base: &str, whole: &str) -> Result<ObjectId, RepoError> {
        let name = if base == "HEAD" { Ok(self.head()?) } else { base.parse::<RefName>() };
        if let Ok(name) = name
            && let Some(row) = self.ledger.find_ref(&name)?
        {
            return Ok(row.revision);
        }
        let is_digits = base.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if is_digits && (MIN_DIGITS..=64).contains(&base.len()) {
            match self.ledger.revisions_starting_with(base, 2)?.as_slice() {
                [] => {}
                [id] => return Ok(*id),
                _ => return Err(RepoError::AmbiguousName { name: base.to_owned() }),
            }
        }
        Err(self.unknown(whole.to_owned())?)
    }

    fn unknown(&self, name: String) -> Result<RepoError, RepoError> {
        let refs = self.ledger.refs()?;
        let suggestion = suggest(&name, refs.iter().map(|row| row.name.as_str())).map(str::to_owned);
        Ok(RepoError::UnknownName { name, suggestion })
    }
}
