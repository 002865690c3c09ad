//! Names of refs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a ref: one or more parts joined by `/`, for instance `weather/era5/last`.
///
/// The rules are close to git's (`git check-ref-format`): no control characters, spaces or any of
/// `~^:?*[\`, no part that is empty, starts with `.` or `-`, or ends with `.lock` or `.`, nowhere `..` or
/// `@{`, and never the word `HEAD` alone. At most 200 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RefName(String);

/// Longest name of a ref, in bytes.
pub const MAX_REF_NAME_BYTES: usize = 200;

/// The text is no name for a ref.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` cannot name a ref: {reason}")]
pub struct RefNameError {
    /// The text.
    pub name: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl RefName {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name made from a file's name: its stem, with what a name must not hold replaced by `-`.
    pub fn from_file_stem(stem: &str) -> RefName {
        let mut name: String = stem.chars().map(|c| if forbidden(c) || c == '/' { '-' } else { c }).collect();
        while name.contains("..") {
            name = name.replace("..", ".");
        }
        let mut name = name.replace("@{", "-").trim_matches(|c| c == '.' || c == '-').to_owned();
        while name.len() > MAX_REF_NAME_BYTES {
            name.pop();
        }
        name.parse().unwrap_or_else(|_| RefName("checkpoint".to_owned()))
    }
}

fn forbidden(c: char) -> bool {
    c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c)
}

impl FromStr for RefName {
    type Err = RefNameError;

    fn from_str(text: &str) -> Result<RefName, RefNameError> {
        let fail = |reason| Err(RefNameError { name: text.to_owned(), reason });
        if text.len() > MAX_REF_NAME_BYTES {
            return fail("it is longer than 200 bytes");
        }
        if text == "HEAD" {
            return fail("`HEAD` stands for the current ref");
        }
        if text.contains(forbidden) {
            return fail("spaces, control characters and ~^:?*[\\ are not allowed");
        }
        if text.contains("..") || text.contains("@{") {
            return fail("`..` and `@{` are not allowed");
        }
        for part in text.split('/') {
            if part.is_empty() {
                return fail("a part between slashes is empty");
            }
            if part.starts_with(['.', '-']) {
                return fail("a part starts with `.` or `-`");
            }
            if part.ends_with('.') || part.ends_with(".lock") {
                return fail("a part ends with `.` or `.lock`");
            }
        }
        Ok(RefName(text.to_owned()))
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for RefName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<RefName, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_place_are_refused() {
        for bad in ["", "/a", "a/", "a//b", "../a", "a/../b", ".a", "-a", "a b", "a\n", "HEAD", "a.lock"] {
            assert!(bad.parse::<RefName>().is_err(), "{bad:?}");
        }
        for good in ["last", "weather/era5/last", "épo-3", "v1.2", "a@b"] {
            assert_eq!(good.parse::<RefName>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn every_stem_gives_a_valid_name() {
        for stem in ["last", "epoch=3 step=1", "..", "", "a..b", "-x-", "a/b", "HEAD", "x.lock"] {
            let name = RefName::from_file_stem(stem);
            assert_eq!(name.as_str().parse::<RefName>(), Ok(name.clone()), "{stem:?}");
        }
        assert_eq!(RefName::from_file_stem("epoch=3 step=1").as_str(), "epoch=3-step=1");
    }
}
