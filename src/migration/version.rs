//! Versions of a model package, ordered as Python packages are.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Longest accepted spelling, in bytes.
const MAX_BYTES: usize = 128;

/// A version of a model package: its spelling, and its place in the order of PEP 440.
///
/// SemVer spellings of the same stages (`0.10.5-rc.1`), a leading `v` and missing zeros (`0.12`) are accepted.
/// Local and build metadata (`+cu121`) takes no part in the order. A placeholder that a release tool replaces later
/// (`%NEXT_ANEMOI_MODELS_VERSION%`, `NEXT`) is after every released version. Two versions are equal when
/// neither is before the other, however they are spelled.
///
/// The order is the one of <https://packaging.python.org/en/latest/specifications/version-specifiers/>.
#[derive(Debug, Clone)]
pub struct Version {
    text: String,
    stage: Stage,
}

/// In the order in which they follow each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// There is none: before every version.
    Absent,
    Released(pep440_rs::Version),
    Placeholder,
}

impl Version {
    /// Whether this stands for a release that is not made yet.
    pub fn is_placeholder(&self) -> bool {
        self.stage == Stage::Placeholder
    }

    /// What stands in the place of a version where there is none: it is before every version.
    pub fn absent() -> Version {
        Version { text: String::new(), stage: Stage::Absent }
    }

    /// Whether there is none.
    pub fn is_absent(&self) -> bool {
        self.stage == Stage::Absent
    }

    /// The version as it was written, if there is one.
    pub fn named(&self) -> Option<String> {
        (!self.is_absent()).then(|| self.text.clone())
    }

    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad version '{0}'")]
pub struct ParseVersionError(pub String);

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Version, ParseVersionError> {
        let bad = || ParseVersionError(text.chars().take(MAX_BYTES).collect());
        let trimmed = text.trim();
        if trimmed.is_empty() || trimmed.len() > MAX_BYTES {
            return Err(bad());
        }
        let stage = if is_placeholder(trimmed) {
            Stage::Placeholder
        } else {
            let public = without_build(trimmed).ok_or_else(bad)?;
            Stage::Released(public.parse().map_err(|_| bad())?)
        };
        Ok(Version { text: trimmed.to_owned(), stage })
    }
}

fn is_placeholder(text: &str) -> bool {
    text == "NEXT"
        || text
            .strip_prefix("%NEXT_")
            .and_then(|rest| rest.strip_suffix("VERSION%"))
            .is_some_and(|middle| middle.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

/// Cuts what follows the first `+`, which SemVer spells more freely than PEP 440 does.
fn without_build(text: &str) -> Option<&str> {
    let Some((public, build)) = text.split_once('+') else { return Some(text) };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (!build.is_empty() && build.bytes().all(allowed)).then_some(public)
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        self.stage.cmp(&other.stage)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn versions_rise_through_the_stages_of_a_release() {
        let rising = [
            "0.9.0",
            "0.10.5.dev3",
            "0.10.5a1",
            "0.10.5-beta.2",
            "0.10.5rc1",
            "0.10.5-rc.2",
            "0.10.5",
            "0.10.5.post1",
            "0.10.10",
            "0.12",
            "99",
            "1!0.1",
            "%NEXT_ANEMOI_MODELS_VERSION%",
        ];
        for pair in rising.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{} is not before {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn spellings_of_one_version_are_equal() {
        for (a, b) in [
            ("0.12", "0.12.0"),
            ("v0.10.5", "0.10.5"),
            ("0.10.5-rc.1", "0.10.5rc1"),
            ("1.0.0-alpha", "1.0a0"),
            ("0.10.5+cu121", "0.10.5"),
            ("0.10.5-rc.1+exp.sha-51--x", "0.10.5rc1"),
            (" 1.0 ", "1.0"),
            ("NEXT", "%NEXT_VERSION%"),
        ] {
            assert_eq!(version(a), version(b), "{a} and {b}");
        }
    }

    #[test]
    fn the_spelling_is_kept() {
        assert_eq!(version("v0.12").to_string(), "v0.12");
        assert!(version("%NEXT_ANEMOI_MODELS_VERSION%").is_placeholder());
        assert!(!version("0.12").is_placeholder());
    }

    #[test]
    fn what_is_no_version_is_refused() {
        let long = "1.".repeat(200);
        let large = "9".repeat(40);
        for text in [
            "",
            " ",
            "banana",
            "1.0.*",
            "1..0",
            "next",
            "1.0+",
            "1.0+ü",
            "+1",
            "%NEXT%",
            "1.0-nightly",
            &long,
            &large,
        ] {
            assert!(text.parse::<Version>().is_err(), "`{text}` was taken");
        }
        assert_eq!("".parse::<Version>().unwrap_err().to_string(), "bad version ''");
    }
}
