//! New names for migrations that would run before ones that are released already.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::super::RepoError;
use super::git;

/// What to put in order.
#[derive(Debug, Clone)]
pub struct FixOrderOptions<'a> {
    /// The branch that the present one goes into.
    pub base: &'a str,
    /// The time now: new names begin with it.
    pub at: Timestamp,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What was put in order.
#[derive(Debug, Clone, Serialize)]
pub struct FixOrderReport {
    /// The branch that was compared with.
    pub base: String,
    /// Migrations that are new here.
    pub added: Vec<String>,
    /// The new names, in the order in which the migrations run.
    pub renamed: Vec<Renaming>,
    /// Whether files were renamed.
    pub done: bool,
}

/// One file's new name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renaming {
    /// The file's name.
    pub from: String,
    /// Its new name.
    pub to: String,
}

/// Renames the migrations that are new here and sort before one of the base branch, so that they run after it.
///
/// Digests do not depend on names: a checkpoint that a renamed migration already ran on is still known to have it,
/// and gets the new name when it is migrated next.
///
/// # Errors
///
/// If git does not know the branch, a new name is taken, or names are not ordered by number.
pub fn fix_order(directory: &Path, options: &FixOrderOptions<'_>) -> Result<FixOrderReport, RepoError> {
    let base: Vec<String> =
        git::files_on(options.base, directory)?.into_iter().filter(|name| is_migration(name)).collect();
    let mut own = Vec::new();
    let failed = || RepoError::io("read", directory);
    for entry in fs::read_dir(directory).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name().to_string_lossy().into_owned();
        if is_migration(&name) {
            own.push(name);
        }
    }
    let added: Vec<String> = sorted(own.iter().filter(|name| !base.contains(name)).cloned());
    let renamed = plan(&base, &added, options.at).map_err(|name| RepoError::NotNumbered { name })?;
    let taken: BTreeSet<&String> = base.iter().chain(&own).collect();
    if let Some(clash) = renamed.iter().find(|renaming| taken.contains(&renaming.to)) {
        return Err(RepoError::NameTaken { name: clash.to.clone() });
    }
    if !options.dry_run {
        for Renaming { from, to } in &renamed {
            let (from, to): (PathBuf, PathBuf) = (directory.join(from), directory.join(to));
            // A link and not a rename, which would overwrite.
            fs::hard_link(&from, &to)
                .and_then(|()| fs::remove_file(&from))
                .map_err(RepoError::io("rename", &from))?;
        }
    }
    let done = !options.dry_run && !renamed.is_empty();
    Ok(FixOrderReport { base: options.base.to_owned(), added, renamed, done })
}

/// Numbers from here on are times, in seconds since 1970; smaller ones count.
pub(super) const FIRST_TIME: u64 = 1_000_000_000;

/// The digits that a name begins with.
pub(super) fn digits(name: &str) -> &str {
    &name[..name.bytes().take_while(u8::is_ascii_digit).count()]
}

fn stem(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

fn is_migration(file: &str) -> bool {
    !file.starts_with(['_', '.'])
        && (file.ends_with(".py") || file.ends_with(".toml"))
        && file != crate::migration::catalogue::CONFIG_FILE
}

/// In the order in which migrations run: bytewise by stem.
fn sorted(files: impl Iterator<Item = String>) -> Vec<String> {
    let mut files: Vec<String> = files.collect();
    files.sort_by(|a, b| stem(a).cmp(stem(b)));
    files
}

/// New names for those of `added` that come before the last of `base`, and for what follows them, so that their own
/// order stays. The error is a name that cannot be given another number.
fn plan(base: &[String], added: &[String], at: Timestamp) -> Result<Vec<Renaming>, String> {
    let base = sorted(base.iter().cloned());
    let Some(last) = base.last() else { return Ok(Vec::new()) };
    let Some(first) = added.iter().position(|name| stem(name) < stem(last)) else { return Ok(Vec::new()) };
    let highest =
        base.iter().chain(&added[..first]).filter_map(|name| digits(name).parse::<u64>().ok()).max();
    let highest = highest.ok_or_else(|| last.clone())?;
    // Where numbers are times the new ones are the present; where they count, they go on.
    let now = u64::try_from(at.as_second()).unwrap_or(0);
    let counts = highest < FIRST_TIME;
    let mut next = if counts { highest + 1 } else { now.max(highest.saturating_add(1)) };
    let mut out = Vec::new();
    let mut before = stem(last).to_owned();
    for from in &added[first..] {
        let old = digits(from);
        let width = digits(last).len();
        let to = format!("{next:0width$}{}", &from[old.len()..]);
        if old.is_empty() || stem(&to) <= before.as_str() {
            return Err(from.clone());
        }
        before = stem(&to).to_owned();
        next = next.checked_add(1).ok_or_else(|| from.clone())?;
        out.push(Renaming { from: from.clone(), to });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(base: &[&str], added: &[&str], at: i64) -> Result<Vec<(String, String)>, String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let renamed = plan(&owned(base), &owned(added), Timestamp::from_second(at).unwrap())?;
        Ok(renamed.into_iter().map(|renaming| (renaming.from, renaming.to)).collect())
    }

    fn pair(from: &str, to: &str) -> (String, String) {
        (from.to_owned(), to.to_owned())
    }

    #[test]
    fn what_comes_before_the_base_gets_the_present_and_keeps_its_order() {
        let base = ["1700000000_a.py", "1700000500_b.py"];
        assert_eq!(names(&base, &["1700000600_c.py"], 1_700_001_000), Ok(vec![]));
        assert_eq!(
            names(&base, &["1700000100_c.py", "1700000900_d.toml"], 1_700_001_000),
            Ok(vec![
                pair("1700000100_c.py", "1700001000_c.py"),
                pair("1700000900_d.toml", "1700001001_d.toml")
            ])
        );
        // A clock that is behind does not bring them before the base again.
        assert_eq!(
            names(&base, &["1700000100_c.py"], 1_600_000_000),
            Ok(vec![pair("1700000100_c.py", "1700000501_c.py")])
        );
        assert_eq!(names(&[], &["1_a.py"], 0), Ok(vec![]));
    }

    #[test]
    fn numbers_that_count_go_on_as_long_as_that_keeps_the_order() {
        assert_eq!(names(&["0_a.py", "1_b.py"], &["0_c.py"], 0), Ok(vec![pair("0_c.py", "2_c.py")]));
        assert_eq!(names(&["8_a.py", "9_b.py"], &["0_c.py"], 0), Err("0_c.py".to_owned()));
        assert_eq!(names(&["1_b.py"], &["0x.py", "1_a.py"], 0).map(|list| list.len()), Ok(2));
        assert_eq!(names(&["x.py"], &["a.py"], 0), Err("x.py".to_owned()));
    }
}
