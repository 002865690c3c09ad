//! The list of a folder's entries.

use serde::{Deserialize, Serialize};

use super::super::{Extra, FormatError};

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path below the folder, with `/` between the steps.
    pub path: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: EntryKind,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum EntryKind {
    /// A file; the files' bytes follow each other in the order of the list.
    File {
        /// Length in bytes.
        bytes: u64,
        /// Permission bits.
        mode: u32,
    },
    /// A directory.
    Directory {
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link that stays within the folder.
    Link {
        /// Where it leads, as written.
        target: String,
    },
}

pub(super) fn extra(name: &str, entries: &[Entry]) -> Extra {
    let bytes = serde_json::to_vec(entries).expect("a list of entries is plain data");
    Extra { name: name.to_owned(), bytes }
}

/// Reads a list that may come from a stranger.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Entry>, FormatError> {
    let entries: Vec<Entry> = serde_json::from_slice(bytes)
        .map_err(|_| FormatError::Group("its list of entries cannot be read"))?;
    let mut seen = std::collections::HashSet::new();
    let mut links: Vec<&str> = Vec::new();
    for entry in &entries {
        let is_sound = is_safe_path(&entry.path) && seen.insert(entry.path.as_str());
        // What lies below a link would be written wherever the link leads.
        let is_below_link =
            links.iter().any(|link| entry.path.strip_prefix(link).is_some_and(|rest| rest.starts_with('/')));
        let stays = match &entry.kind {
            EntryKind::Link { target } => stays_inside(&entry.path, target),
            _ => true,
        };
        if !is_sound || is_below_link || !stays {
            return Err(FormatError::UnsafePath { path: entry.path.clone() });
        }
        if matches!(entry.kind, EntryKind::Link { .. }) {
            links.push(&entry.path);
        }
    }
    let below_later_link = |entry: &Entry| {
        links.iter().any(|link| entry.path.strip_prefix(link).is_some_and(|rest| rest.starts_with('/')))
    };
    match entries.iter().find(|entry| below_later_link(entry)) {
        Some(entry) => Err(FormatError::UnsafePath { path: entry.path.clone() }),
        None => Ok(entries),
    }
}

/// The same list with the lengths of files that were laid out anew.
pub(super) fn resized<'a>(
    mut entries: Vec<Entry>,
    files: impl Iterator<Item = (&'a str, u64)>,
) -> Vec<Entry> {
    let lengths: std::collections::HashMap<&str, u64> = files.collect();
    for entry in &mut entries {
        if let EntryKind::File { bytes, .. } = &mut entry.kind
            && let Some(length) = lengths.get(entry.path.as_str())
        {
            *bytes = *length;
        }
    }
    entries
}

/// Whether a path is one below a folder and nothing else.
fn is_safe_path(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\0', '\\'])
        && path.split('/').all(|step| !matches!(step, "" | "." | ".."))
}

/// Whether a link at `path` leads to a place within the folder.
pub(super) fn stays_inside(path: &str, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.contains(['\0', '\\']) {
        return false;
    }
    let mut depth = path.split('/').count() - 1;
    for step in target.split('/') {
        match step {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_leave_the_folder_are_known() {
        for (path, target, inside) in [
            ("a", "b", true),
            ("a", "../b", false),
            ("d/a", "../b", true),
            ("d/a", "../../b", false),
            ("d/a", "x/../../b", true),
            ("a", "/etc/passwd", false),
            ("a", "", false),
        ] {
            assert_eq!(stays_inside(path, target), inside, "{path} -> {target}");
        }
    }

    #[test]
    fn lists_that_would_write_elsewhere_are_refused() {
        let file = |path: &str| Entry { path: path.into(), kind: EntryKind::File { bytes: 0, mode: 0o644 } };
        let link = Entry { path: "l".into(), kind: EntryKind::Link { target: "d".into() } };
        let lists = [
            vec![file("../x")],
            vec![file("/x")],
            vec![file("a//x")],
            vec![file("a"), file("a")],
            vec![link.clone(), file("l/x")],
            vec![file("l/x"), link.clone()],
            vec![Entry { path: "l".into(), kind: EntryKind::Link { target: "../d".into() } }],
        ];
        for list in lists {
            assert!(parse(&extra("entries", &list).bytes).is_err(), "{list:?}");
        }
        assert!(parse(&extra("entries", &[file("d/x"), link]).bytes).is_ok());
    }
}
