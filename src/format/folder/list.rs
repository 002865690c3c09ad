//! The list of a folder's entries.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::super::{Extra, FormatError};

/// Links that are followed one after the other; systems follow fewer.
const MOST_LINKS: usize = 64;

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

/// Reads the list of a folder's entries, which may come from a stranger.
///
/// # Errors
///
/// If it is no list, or has paths that lead out of the folder.
pub fn parse(bytes: &[u8]) -> Result<Vec<Entry>, FormatError> {
    let entries: Vec<Entry> = serde_json::from_slice(bytes)
        .map_err(|_| FormatError::Group("its list of entries cannot be read"))?;
    let mut seen = HashSet::new();
    if let Some(entry) = entries.iter().find(|entry| !is_safe_path(&entry.path) || !seen.insert(&*entry.path))
    {
        return Err(FormatError::UnsafePath { path: entry.path.clone() });
    }
    let links = Links::of(&entries);
    // What lies below a link would be written wherever the link leads.
    match entries.iter().find(|entry| links.is_above(&entry.path)).or_else(|| links.leaving(&entries)) {
        Some(entry) => Err(FormatError::UnsafePath { path: entry.path.clone() }),
        None => Ok(entries),
    }
}

/// The links of a list: path and target.
struct Links<'a>(HashMap<&'a str, &'a str>);

impl<'a> Links<'a> {
    fn of(entries: &'a [Entry]) -> Links<'a> {
        let links = entries.iter().filter_map(|entry| match &entry.kind {
            EntryKind::Link { target } => Some((entry.path.as_str(), target.as_str())),
            _ => None,
        });
        Links(links.collect())
    }

    /// Whether a directory above a path is a link.
    fn is_above(&self, path: &str) -> bool {
        !self.0.is_empty() && path.match_indices('/').any(|(end, _)| self.0.contains_key(&path[..end]))
    }

    /// The first link that leads out of the folder, all links on its way followed.
    fn leaving<'b>(&self, entries: &'b [Entry]) -> Option<&'b Entry> {
        entries.iter().find(|entry| match &entry.kind {
            EntryKind::Link { target } => !self.stays_inside(&entry.path, target),
            _ => false,
        })
    }

    fn stays_inside(&self, path: &str, target: &str) -> bool {
        let mut at: Vec<&str> = path.split('/').collect();
        at.pop();
        if !is_relative(target) {
            return false;
        }
        let mut todo: Vec<&str> = target.rsplit('/').collect();
        let mut followed = 0;
        while let Some(step) = todo.pop() {
            match step {
                "" | "." => {}
                ".." => {
                    if at.pop().is_none() {
                        return false;
                    }
                }
                name => {
                    at.push(name);
                    let Some(next) = self.0.get(at.join("/").as_str()) else { continue };
                    if !is_relative(next) {
                        return false;
                    }
                    followed += 1;
                    if followed > MOST_LINKS {
                        // No system follows it to any place.
                        return true;
                    }
                    at.pop();
                    todo.extend(next.rsplit('/'));
                }
            }
        }
        true
    }
}

/// The first link of a list that leads out of its folder.
pub(super) fn leaving_link(entries: &[Entry]) -> Option<&Entry> {
    Links::of(entries).leaving(entries)
}

/// The same list with the lengths of files that were laid out anew.
pub(super) fn resized<'a>(
    mut entries: Vec<Entry>,
    files: impl Iterator<Item = (&'a str, u64)>,
) -> Vec<Entry> {
    let lengths: HashMap<&str, u64> = files.collect();
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

/// Whether a link's target is a path from where the link is, in a spelling that every system knows.
fn is_relative(target: &str) -> bool {
    !target.is_empty() && !target.starts_with('/') && !target.contains(['\0', '\\'])
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
            let links = Links(HashMap::new());
            assert_eq!(links.stays_inside(path, target), inside, "{path} -> {target}");
        }
    }

    #[test]
    fn links_that_leave_the_folder_by_way_of_other_links_are_known() {
        let link = |path: &str, target: &str| Entry {
            path: path.into(),
            kind: EntryKind::Link { target: target.into() },
        };
        let to_the_top = link("a/b/up", "../..");
        assert!(leaving_link(&[to_the_top.clone(), link("in", "a/b/up/x")]).is_none());
        assert!(leaving_link(&[to_the_top, link("out", "a/b/up/../x")]).is_some());
        assert!(leaving_link(&[link("round", "round")]).is_none());
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
