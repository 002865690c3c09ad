//! The documents of a collection as one file again: JSON lines, as `mongoexport` writes them.

use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use crate::durable::DurableFile;
use crate::progress::Progress;
use crate::refname::RefName;
use crate::snapshot;

use super::super::migrate::is_document;
use super::super::open::absolute;
use super::super::working::path_text;
use super::super::{Repo, RepoError};

/// What an export wrote.
#[derive(Debug, Clone, Serialize)]
pub struct ExportReport {
    /// The collection.
    pub collection: RefName,
    /// The file.
    pub output: String,
    /// Number of documents in it.
    pub documents: u64,
    /// Number of refs of the collection that are no documents, and are not in it.
    pub passed_over: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

impl Repo {
    /// Writes the documents of a collection to a file, one on each line, by name. Each is as it is stored, but for
    /// white space where it had several lines. What is there already is overwritten only with `force`.
    ///
    /// # Errors
    ///
    /// If there is no such collection, something is at the place, or a document is damaged. Nothing is written then.
    pub fn export_documents(
        &self,
        collection: &str,
        path: &Path,
        force: bool,
        progress: &dyn Progress,
    ) -> Result<ExportReport, RepoError> {
        let collection = self.collection_named(collection)?;
        let path = absolute(path)?;
        self.check_outside(&path)?;
        if path.is_dir() {
            return Err(RepoError::NotAFile { path, what: "a directory" });
        }
        if path.symlink_metadata().is_ok() && !force {
            return Err(RepoError::DestinationExists { path });
        }
        let failed = || RepoError::io("write", &path);
        let mut file = DurableFile::create(&path).map_err(failed())?;
        let mut out = BufWriter::new(file.file_mut());
        let (mut documents, mut passed_over, mut bytes) = (0, 0, 0);
        let _reading = self.ledger.reading()?;
        let reader = self.reader();
        let members = self.members(&collection)?;
        progress.begin("exporting", members.len() as u64);
        for row in members {
            progress.advance(1);
            let revision = self.revision(&row.revision)?;
            if !is_document(&revision) {
                passed_over += 1;
                continue;
            }
            let tree = snapshot::read_tree(&reader, &revision.tree)?;
            let mut text = Vec::new();
            let mut sink = |part: &[u8]| {
                text.extend_from_slice(part);
                Ok(())
            };
            snapshot::export(&reader, &tree, &mut sink, &crate::progress::Silent)?;
            let mut line = one_line(&text);
            line.push(b'\n');
            out.write_all(&line).map_err(failed())?;
            documents += 1;
            bytes += line.len() as u64;
        }
        progress.end();
        out.flush().map_err(failed())?;
        drop(out);
        file.finish_synced(self.store.is_synced()).map_err(failed())?;
        Ok(ExportReport { collection, output: path_text(&path), documents, passed_over, bytes })
    }
}

/// A JSON text on one line: as it is where it has no line breaks, else without the space between its parts.
fn one_line(text: &[u8]) -> Vec<u8> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii();
    if !text.iter().any(|byte| b"\r\n".contains(byte)) {
        return text.to_vec();
    }
    let mut out = Vec::with_capacity(text.len());
    let (mut in_text, mut escaped) = (false, false);
    for byte in text {
        if in_text {
            in_text = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_text = *byte == b'"';
        }
        out.push(*byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_text_of_several_lines_becomes_one_and_any_other_stays() {
        let line = |text: &str| String::from_utf8(one_line(text.as_bytes())).unwrap();
        assert_eq!(line("{\"a\": 1}\n"), "{\"a\": 1}");
        let text = "\u{feff}{\n  \"a b\": [1, 2],\r\n\t\"c\": \"\\\" \\\\\", \"d\": \"e f\"\n}\n";
        assert_eq!(line(text), "{\"a b\":[1,2],\"c\":\"\\\" \\\\\",\"d\":\"e f\"}");
    }
}
