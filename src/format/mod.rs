//! File formats: a file as an outline, its skeleton as a value graph, and back.
//!
//! A file is first *scanned* into an [`Outline`]: what it is made of, without the bytes of its tensors.
//! The outline's skeleton is *decoded* into a [`Graph`], and a graph is *encoded* into the outline of a
//! file that does not exist yet. Writing a file is concatenating the outline's [parts](Part), so tensor
//! bytes stream past and are never held here. Nothing in a file is ever executed.

mod archive;
mod bytes;
pub mod convert;
mod danger;
mod detect;
mod error;
mod exported;
mod folder;
mod gguf;
mod group;
mod json;
mod limits;
mod literal;
mod merge;
mod npy;
mod npz;
mod outline;
pub mod pickle;
mod row;
mod safetensors;
mod source;
mod torch;
mod zip;

use serde::{Deserialize, Serialize};

use crate::value::{Graph, StorageId};

pub use danger::{Checksums, Dangers, Finding, ODD_PICKLE, PROBLEMS, Problem, Rating, dangers};
pub use detect::detect;
pub use error::FormatError;
pub use folder::{
    Archive, Entry, EntryKind, FolderError, FolderSource, entries_of as folder_entries,
    files as folder_files, piece as folder_piece,
};
pub use gguf::GgufError;
pub use group::Unit as FolderFile;
pub use json::JsonError;
pub use limits::{Bound, Limits};
pub use npy::NpyError;
pub use outline::{Encoded, Extra, Note, Outline, Part, Scanned, Span, StorageFacts};
pub use safetensors::SafetensorsError;
pub use source::{FileSource, Source};
pub use torch::{TorchError, Whole as WholeTensor, whole as whole_tensor};
pub use zip::ZipError;

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// What `torch.save` writes since PyTorch 1.6: a zip of `data.pkl` and storages.
    TorchZip,
    /// What `torch.save` wrote before: pickles, then the storages.
    TorchLegacy,
    /// Other zips of torch with a `data.pkl`: TorchScript, and the trial form of PyTorch 1.4. They come back
    /// as they were.
    TorchArchive,
    /// What `torch.save` wrote before PyTorch 0.2: a tar. It comes back as it was.
    TorchTar,
    /// Torch zips in a row: a shard of a distributed checkpoint.
    TorchRow,
    /// A folder of files.
    Folder,
    /// Pickles and nothing else.
    Pickle,
    /// A safetensors file.
    Safetensors,
    /// A GGUF file.
    Gguf,
    /// A NumPy array.
    Npy,
    /// A zip of NumPy arrays.
    Npz,
    /// A JSON document whose root is an object or an array.
    Json,
    /// Any other zip, which comes back as it was: exported programs (`.pt2`) among them.
    Zip,
    /// Anything else.
    Bytes,
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Format] = &[
        Format::TorchZip,
        Format::TorchLegacy,
        Format::TorchArchive,
        Format::TorchTar,
        Format::TorchRow,
        Format::Folder,
        Format::Pickle,
        Format::Safetensors,
        Format::Gguf,
        Format::Npy,
        Format::Npz,
        Format::Json,
        Format::Zip,
        Format::Bytes,
    ];

    /// The name by which people and stored trees know the format.
    pub fn name(self) -> &'static str {
        match self {
            Format::TorchZip => "torch-zip",
            Format::TorchLegacy => "torch-legacy",
            Format::TorchArchive => "torch-archive",
            Format::TorchTar => "torch-tar",
            Format::TorchRow => "torch-row",
            Format::Folder => "folder",
            Format::Pickle => "pickle",
            Format::Safetensors => "safetensors",
            Format::Gguf => "gguf",
            Format::Npy => "npy",
            Format::Npz => "npz",
            Format::Json => "json",
            Format::Zip => "zip",
            Format::Bytes => "bytes",
        }
    }

    /// Whether a checkpoint of this format is a Python object, which can keep whatever a framework puts
    /// into it; other formats hold what their readers expect and nothing else.
    pub fn keeps_objects(self) -> bool {
        matches!(self, Format::TorchZip | Format::TorchLegacy | Format::Pickle)
    }

    /// The format with this name.
    pub fn from_name(name: &str) -> Option<Format> {
        Format::ALL.iter().copied().find(|format| format.name() == name)
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Finds out what a file is made of.
///
/// Without a format, it is detected; what a person should know about the choice is in the notes.
///
/// # Errors
///
/// If the file cannot be read, is damaged, or exceeds a limit. Any file can be scanned as
/// [`Format::Bytes`].
pub fn scan(source: &dyn Source, format: Option<Format>, limits: &Limits) -> Result<Scanned, FormatError> {
    let (format, note) = match format {
        Some(format) => (format, None),
        None => detect::detect_with_note(source, limits)?,
    };
    let mut scanned = match format {
        Format::TorchZip | Format::TorchArchive => torch::scan(source, format, limits)?,
        Format::TorchLegacy => torch::scan_legacy(source, limits)?,
        Format::TorchTar => torch::scan_tar(source, limits)?,
        Format::TorchRow => row::scan(source, limits)?,
        Format::Folder => return Err(FormatError::Group("it is a file")),
        Format::Pickle => pickle::file::scan(source, limits)?,
        Format::Safetensors => safetensors::scan(source, limits)?,
        Format::Gguf => gguf::scan(source, limits)?,
        Format::Npy => npy::scan(source, limits)?,
        Format::Npz => npz::scan(source, limits)?,
        Format::Json => json::scan(source, limits)?,
        Format::Zip => archive::scan(source, limits)?,
        Format::Bytes => bytes::scan(source)?,
    };
    scanned.notes.extend(note);
    Ok(scanned)
}

/// Finds out what a folder is made of.
///
/// # Errors
///
/// If a file cannot be read. One that is not sound is kept as plain bytes, with a note.
pub fn scan_folder(source: &FolderSource, limits: &Limits) -> Result<Scanned, FormatError> {
    folder::scan(source, limits)
}

/// Decodes the skeleton of an outline; the graph's storages are the outline's.
///
/// # Errors
///
/// If the skeleton is damaged, contradicts the storages, or exceeds a limit.
pub fn decode(outline: &Outline, limits: &Limits) -> Result<Graph, FormatError> {
    match outline.format {
        Format::TorchZip | Format::TorchArchive => torch::decode(outline, limits),
        Format::TorchLegacy => torch::decode_legacy(outline, limits),
        Format::TorchTar => torch::decode_tar(outline, limits),
        Format::TorchRow => row::decode(outline, limits),
        Format::Folder => folder::decode(outline, limits),
        Format::Pickle => pickle::file::decode(outline, limits),
        Format::Gguf => gguf::decode(outline, limits),
        Format::Npy => npy::decode(outline, limits),
        Format::Npz => npz::decode(outline, limits),
        Format::Zip => Ok(archive::decode(outline, limits)),
        Format::Safetensors => safetensors::decode(outline, limits),
        Format::Json => json::decode(outline, limits),
        Format::Bytes => Ok(bytes::decode(outline)),
    }
}

/// Lays out a file for the graph that is like another: same format, attributes and extras.
///
/// `facts` is asked once for each storage that the graph still uses.
///
/// # Errors
///
/// If the format cannot hold the graph.
pub fn encode(
    graph: &Graph,
    like: &Outline,
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Encoded, FormatError> {
    match like.format {
        Format::TorchZip => torch::encode(graph, like, facts),
        Format::TorchLegacy => torch::encode_legacy(graph, like, facts),
        Format::Folder => folder::encode(graph, like, facts),
        Format::Pickle => pickle::file::encode(graph, like, facts),
        Format::Gguf => gguf::encode(graph, like, facts),
        Format::Npy => npy::encode(graph, like, facts),
        Format::Npz => npz::encode(graph, like, facts),
        Format::TorchArchive | Format::TorchTar | Format::TorchRow | Format::Zip => {
            Err(FormatError::ReadOnly(like.format))
        }
        Format::Safetensors => safetensors::encode(graph, like, facts),
        Format::Json => json::encode(graph, like),
        Format::Bytes => Err(FormatError::Opaque),
    }
}

#[cfg(test)]
mod tests;
