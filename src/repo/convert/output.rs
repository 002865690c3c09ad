//! Writing what was laid out, to a file or a folder, whole or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use crate::durable::{DurableFile, SequentialWriter};
use crate::format::convert::Bytes;
use crate::format::{Encoded, Entry, EntryKind, Part};
use crate::progress::Progress;
use crate::store::StoreError;

use super::super::RepoError;
use super::super::folder::FolderWriter;

/// Where bytes go.
pub(super) type Sink<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// A file to be written.
pub(super) struct Target {
    /// Its path below the folder; empty for a file by itself.
    pub path: String,
    pub encoded: Encoded,
    /// For each storage of the value, where its bytes come from.
    pub bytes: Vec<Bytes>,
}

/// The bytes of one storage.
pub(super) struct Piece<'a> {
    pub name: &'a str,
    pub bytes: &'a Bytes,
}

/// Gives the bytes of a piece to a sink.
type Pieces<'a> = dyn FnMut(Piece<'_>, &mut Sink<'_>) -> Result<(), RepoError> + 'a;

impl Target {
    /// Length in bytes.
    pub fn file_bytes(&self) -> u64 {
        let outline = &self.encoded.outline;
        let bytes = outline.parts.iter().map(|part| match part {
            Part::Literal(bytes) => bytes.len() as u64,
            Part::Skeleton => outline.skeleton.len() as u64,
            Part::Extra(place) => outline.extras[*place as usize].bytes.len() as u64,
            Part::Storage(id) => outline.storages[id.index()].bytes,
        });
        bytes.fold(0, u64::saturating_add)
    }

    fn write(
        &self,
        path: &Path,
        pieces: &mut Pieces<'_>,
        progress: &dyn Progress,
        sink: &mut Sink<'_>,
    ) -> Result<(), RepoError> {
        let outline = &self.encoded.outline;
        let mut sink = |bytes: &[u8]| {
            progress.advance(bytes.len() as u64);
            sink(bytes)
        };
        let failed = || RepoError::io("write", path);
        for part in &outline.parts {
            match part {
                Part::Literal(bytes) => sink(bytes).map_err(failed())?,
                Part::Skeleton => sink(&outline.skeleton).map_err(failed())?,
                Part::Extra(place) => sink(&outline.extras[*place as usize].bytes).map_err(failed())?,
                Part::Storage(id) => {
                    let name = &outline.storages[id.index()].key;
                    let bytes = &self.bytes[self.encoded.order[id.index()].index()];
                    pieces(Piece { name, bytes }, &mut sink).map_err(|error| sink_error(error, path))?;
                }
            }
        }
        Ok(())
    }
}

/// A failure to write is the file's; any other is the store's.
fn sink_error(error: RepoError, path: &Path) -> RepoError {
    match error {
        RepoError::Store(StoreError::Sink { source, .. }) => RepoError::io("write", path)(source),
        RepoError::Join { source, tensor } => match *source {
            crate::migration::engine::EngineError::Write(source) => RepoError::io("write", path)(source),
            source => RepoError::Join { source: Box::new(source), tensor },
        },
        other => other,
    }
}

/// Writes one file. One that is there is only overwritten by force.
pub(super) fn write_file(
    path: &Path,
    files: Vec<Target>,
    force: bool,
    sync: bool,
    pieces: &mut Pieces<'_>,
    progress: &dyn Progress,
) -> Result<(), RepoError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            return Err(RepoError::NotAFile { path: path.to_owned(), what: "a directory" });
        }
        Ok(found) if !found.is_file() => {
            return Err(RepoError::NotAFile { path: path.to_owned(), what: "a device, pipe or socket" });
        }
        Ok(_) if !force => return Err(RepoError::DestinationExists { path: path.to_owned() }),
        _ => {}
    }
    let failed = || RepoError::io("write", path);
    let output = DurableFile::create(path).map_err(failed())?;
    let file_bytes = files.iter().map(Target::file_bytes).sum();
    let mut out = SequentialWriter::with_length(output.file(), file_bytes, sync).map_err(failed())?;
    for file in &files {
        file.write(path, pieces, progress, &mut |bytes| out.write(bytes))?;
    }
    out.finish().map_err(failed())?;
    output.finish_synced(sync).map_err(failed())
}

/// Writes a folder. One that is there must be empty: nothing is overwritten.
pub(super) fn write_folder(
    path: &Path,
    mut files: Vec<Target>,
    sync: bool,
    pieces: &mut Pieces<'_>,
    progress: &dyn Progress,
) -> Result<(), RepoError> {
    if fs::symlink_metadata(path).is_ok() && !fs::read_dir(path).is_ok_and(|mut found| found.next().is_none())
    {
        return Err(RepoError::DestinationExists { path: path.to_owned() });
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let mut folders = BTreeSet::new();
    for file in &files {
        folders.extend(file.path.match_indices('/').map(|(end, _)| file.path[..end].to_owned()));
    }
    let folder = |path: String| Entry { path, kind: EntryKind::Directory { mode: 0o755 } };
    let mut entries: Vec<Entry> = folders.into_iter().map(folder).collect();
    entries.extend(files.iter().map(|file| Entry {
        path: file.path.clone(),
        kind: EntryKind::File { bytes: file.file_bytes(), mode: 0o644 },
    }));
    let failed = || RepoError::io("write", path);
    let mut output = FolderWriter::create(path, entries, sync).map_err(failed())?;
    for file in &files {
        file.write(path, pieces, progress, &mut |bytes| output.write(bytes))?;
    }
    output.close().and_then(|folder| folder.finish_synced(sync)).map_err(failed())
}
