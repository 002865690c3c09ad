//! Writing a revision in another format.

mod document;
mod join;
mod output;
mod shard;

use std::path::Path as FilePath;

use serde::Serialize;

use crate::durable::directory_of;
use crate::format::convert::{self, Arrays, Bytes, ConvertError, Converted, LeftOut, Request};
use crate::format::{Encoded, Format, Outline, StorageFacts};
use crate::object::ObjectId;
use crate::refname::RefName;
use crate::snapshot::{self, Content};
use crate::value::{Graph, Path, StorageId};

use super::open::absolute;
use super::run::{TreeBytes, contents_of};
use super::working::path_text;
use super::{Context, Repo, RepoError};

use join::expr_of;
use output::{Piece, Target, write_file, write_folder};

/// A format that a checkpoint can be converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvertFormat {
    /// A file of this format.
    File(Format),
    /// A folder of NumPy arrays, with a document of everything else.
    Arrays,
}

impl ConvertFormat {
    /// The names of all of them.
    pub const NAMES: &'static [&'static str] = &["safetensors", "npz", "torch", "gguf", "json", "dir"];

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<ConvertFormat> {
        Some(ConvertFormat::File(match name {
            "safetensors" => Format::Safetensors,
            "npz" => Format::Npz,
            "torch" => Format::TorchZip,
            "gguf" => Format::Gguf,
            "json" => Format::Json,
            "dir" => return Some(ConvertFormat::Arrays),
            _ => return None,
        }))
    }
}

/// What to convert, to what, and where to.
#[derive(Debug, Clone)]
pub struct ConvertOptions<'a> {
    /// The ref; HEAD without it.
    pub name: Option<&'a str>,
    /// The revision; that of the ref without it.
    pub revision: Option<&'a str>,
    /// What to write.
    pub format: ConvertFormat,
    /// The part to take, by its place.
    pub state_dict: Option<Path>,
    /// Most bytes of tensors in one file; more are written as shards with an index, in a folder. Only for
    /// safetensors.
    pub shard_bytes: Option<u64>,
    /// Leaves out what the format cannot hold, instead of refusing.
    pub lossy: bool,
    /// Where to.
    pub output: &'a FilePath,
    /// Overwrites a file that is there.
    pub force: bool,
}

/// What was converted.
#[derive(Debug, Clone, Serialize)]
pub struct ConvertReport {
    /// The ref.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// The revision.
    pub revision: ObjectId,
    /// The format that was written.
    pub format: String,
    /// The file or folder.
    pub output: String,
    /// Number of files.
    pub files: u64,
    /// Number of tensors.
    pub tensors: u64,
    /// Length of all files in bytes.
    pub bytes_written: u64,
    /// What the format has no place for.
    pub left_out: Vec<LeftOut>,
}

/// The bytes of a revision's tensors.
struct Contents<'a> {
    /// What the revision's own file is made of.
    outline: &'a Outline,
    bytes: TreeBytes<'a>,
    stored: Vec<Option<Content>>,
}

impl Repo {
    /// Writes a revision in another format. The store and the ref stay as they are.
    ///
    /// Tensors are read, joined and made dense one after the other; a tensor that is no dense run of its storage
    /// is held in memory while it is written.
    ///
    /// # Errors
    ///
    /// If the other format cannot hold the checkpoint, or the destination exists.
    pub fn convert(
        &self,
        options: &ConvertOptions<'_>,
        context: &Context<'_>,
    ) -> Result<ConvertReport, RepoError> {
        let row = self.branch_named(options.name)?;
        let revision = match options.revision {
            Some(name) => self.revision_named(name)?,
            None => row.revision,
        };
        let path = absolute(options.output)?;
        self.check_outside(&path)?;
        let reader = self.reader();
        let tree = snapshot::read_tree(&reader, &self.revision(&revision)?.tree)?;
        let (graph, outline) = snapshot::read_graph(&reader, &tree)?;
        let stored = contents_of(&tree);
        let bytes = TreeBytes::of_contents(&reader, &stored);
        let mut contents = Contents { outline: &outline, bytes, stored };
        let mut report = ConvertReport {
            ref_name: row.name,
            revision,
            format: String::new(),
            output: path_text(&path),
            files: 0,
            tensors: 0,
            bytes_written: 0,
            left_out: Vec::new(),
        };
        let files = match options.format {
            ConvertFormat::Arrays => {
                "dir".clone_into(&mut report.format);
                let request = request(options, Format::Npy);
                let arrays = convert::arrays(&graph, &outline, &request)?;
                arrays_as_files(arrays, &mut contents, &mut report)?
            }
            ConvertFormat::File(Format::Json) => {
                Format::Json.name().clone_into(&mut report.format);
                let request = request(options, Format::Json);
                report.left_out = convert::left_out_of_document(&graph, &outline, &request)?;
                let part = options.state_dict.as_ref();
                let (value, count) = document::of(&graph, &outline, part, &mut contents.bytes)?;
                report.tensors = count;
                vec![Target {
                    path: String::new(),
                    encoded: lay_out(&value, Format::Json, &|_| NO_FACTS)?,
                    bytes: Vec::new(),
                }]
            }
            ConvertFormat::File(format) => {
                format.name().clone_into(&mut report.format);
                let request = request(options, format);
                let converted = convert::convert(&graph, &outline, &request)?;
                report.left_out.clone_from(&converted.left_out);
                report.tensors = converted.graph.nodes.iter().filter(|n| is_tensor(&n.kind)).count() as u64;
                self.files(converted, format, options.shard_bytes, &mut contents)?
            }
        };
        report.files = files.len() as u64;
        report.bytes_written = files.iter().map(Target::file_bytes).fold(0, u64::saturating_add);
        check_room(&path, report.bytes_written)?;
        context.progress.begin("writing", report.bytes_written);
        let is_folder = files.iter().any(|file| !file.path.is_empty());
        let sync = self.store.is_synced();
        let mut pieces = |piece: Piece<'_>, sink: &mut output::Sink<'_>| contents.copy(&reader, piece, sink);
        if is_folder {
            write_folder(&path, files, sync, &mut pieces, context.progress)?;
        } else {
            write_file(&path, files, options.force, sync, &mut pieces, context.progress)?;
        }
        context.progress.end();
        Ok(report)
    }

    /// One file, or shards and their index.
    fn files(
        &self,
        converted: Converted,
        format: Format,
        shard_bytes: Option<u64>,
        contents: &mut Contents<'_>,
    ) -> Result<Vec<Target>, RepoError> {
        let Some(most) = shard_bytes else {
            let encoded = contents.lay_out(&converted.graph, &converted.bytes, format)?;
            return Ok(vec![Target { path: String::new(), encoded, bytes: converted.bytes }]);
        };
        let (shards, index) = shard::split(&converted, most);
        let mut files = Vec::with_capacity(shards.len() + 1);
        for (path, shard) in shards {
            let encoded = contents.lay_out(&shard.graph, &shard.bytes, format)?;
            files.push(Target { path, encoded, bytes: shard.bytes });
        }
        let encoded = lay_out(&index, Format::Json, &|_| NO_FACTS)?;
        files.push(Target { path: shard::INDEX.to_owned(), encoded, bytes: Vec::new() });
        Ok(files)
    }
}

fn is_tensor(kind: &crate::value::Kind) -> bool {
    matches!(kind, crate::value::Kind::Tensor(_))
}

fn request<'a>(options: &'a ConvertOptions<'_>, format: Format) -> Request<'a> {
    Request { format, state_dict: options.state_dict.as_ref(), lossy: options.lossy }
}

/// Facts of a storage that does not matter.
const NO_FACTS: StorageFacts = StorageFacts { bytes: 0, crc32: 0 };

fn lay_out(
    graph: &Graph,
    format: Format,
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Encoded, ConvertError> {
    let blank = convert::blank(format).ok_or(ConvertError::Target { format })?;
    crate::format::encode(graph, &blank, facts).map_err(|error| ConvertError::unwritable(format, error))
}

/// A file for each tensor, and the document.
fn arrays_as_files(
    arrays: Arrays,
    contents: &mut Contents<'_>,
    report: &mut ConvertReport,
) -> Result<Vec<Target>, RepoError> {
    report.left_out = arrays.left_out;
    report.tensors = arrays.files.len() as u64;
    let mut files = Vec::with_capacity(arrays.files.len() + 1);
    for file in arrays.files {
        let bytes = vec![file.bytes];
        let encoded = contents.lay_out(&file.graph, &bytes, Format::Npy)?;
        files.push(Target { path: file.path, encoded, bytes });
    }
    let encoded = lay_out(&arrays.document, Format::Json, &|_| NO_FACTS)?;
    files.push(Target { path: "values.json".to_owned(), encoded, bytes: Vec::new() });
    Ok(files)
}

impl Contents<'_> {
    /// Lays a file out. Formats with checksums before their contents have joined tensors worked out once more.
    fn lay_out(&mut self, graph: &Graph, bytes: &[Bytes], format: Format) -> Result<Encoded, RepoError> {
        let with_crc = matches!(format, Format::TorchZip | Format::Npz);
        let mut facts = Vec::with_capacity(bytes.len());
        for (bytes, storage) in bytes.iter().zip(&graph.storages) {
            facts.push(match bytes {
                Bytes::Stored(id) => match self.stored.get(id.index()).copied().flatten() {
                    Some(content) => StorageFacts { bytes: content.stored.bytes, crc32: content.crc32 },
                    None => NO_FACTS,
                },
                Bytes::Joined(pieces) => {
                    let mut crc = crc32fast::Hasher::new();
                    if with_crc {
                        let expr = expr_of(pieces, &storage.key)?;
                        self.evaluate(&expr, &storage.key, &mut |bytes| {
                            crc.update(bytes);
                            Ok(())
                        })?;
                    }
                    StorageFacts { bytes: storage.bytes, crc32: crc.finalize() }
                }
            });
        }
        let facts = |id: StorageId| facts.get(id.index()).copied().unwrap_or(NO_FACTS);
        // A part of a GGUF file keeps its keys, and with them the alignment that they say.
        if format == Format::Gguf && self.outline.format == Format::Gguf {
            return Ok(crate::format::encode(graph, self.outline, &facts)
                .map_err(|error| ConvertError::unwritable(format, error))?);
        }
        Ok(lay_out(graph, format, &facts)?)
    }

    fn evaluate(
        &mut self,
        expr: &crate::migration::engine::Expr,
        name: &str,
        sink: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), RepoError> {
        crate::migration::engine::evaluate(expr, &mut self.bytes, sink)
            .map_err(|source| RepoError::Join { tensor: name.to_owned(), source: Box::new(source) })
    }

    /// Gives the bytes of a storage to a sink.
    fn copy(
        &mut self,
        reader: &crate::store::Reader<'_>,
        piece: Piece<'_>,
        sink: &mut output::Sink<'_>,
    ) -> Result<(), RepoError> {
        match piece.bytes {
            Bytes::Joined(pieces) => {
                let expr = expr_of(pieces, piece.name)?;
                self.evaluate(&expr, piece.name, sink)
            }
            Bytes::Stored(id) => {
                let content = self.stored.get(id.index()).copied().flatten();
                let missing = || snapshot::SnapshotError::NoContent { key: piece.name.to_owned() };
                Ok(reader.copy_to(&content.ok_or_else(missing)?.stored.object, sink)?)
            }
        }
    }
}

/// Finds out before anything is written whether there is room.
fn check_room(path: &FilePath, bytes: u64) -> Result<(), RepoError> {
    #[cfg(unix)]
    if let Ok(system) = rustix::fs::statvfs(directory_of(path))
        && system.f_bavail.saturating_mul(system.f_frsize) < bytes
    {
        return Err(RepoError::io("write", path)(std::io::ErrorKind::StorageFull.into()));
    }
    #[cfg(not(unix))]
    let _ = (path, bytes, directory_of(path));
    Ok(())
}
