//! What can go wrong with packs.

use std::io;
use std::path::PathBuf;

use crate::object::{LocateError, ObjectId, PackId};

use super::layout::PACK_VERSION;

/// Why something could not be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no directory of packs.
    #[error("`{}` is missing: this is no store", path.display())]
    NoStore {
        /// Where the directory should be.
        path: PathBuf,
    },
    /// There is a directory of packs already.
    #[error("`{}` exists already", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// No record has this name.
    #[error("object {id} is missing")]
    Missing {
        /// What was asked for.
        id: ObjectId,
    },
    /// A record is not what its name says.
    #[error("object {id} is damaged in pack {pack}")]
    Damaged {
        /// The record.
        id: ObjectId,
        /// Where it lies.
        pack: PackId,
        /// What is wrong.
        #[source]
        damage: Damage,
    },
    /// The index names a pack that is not on disk.
    #[error("pack {pack} is missing")]
    PackMissing {
        /// The pack.
        pack: PackId,
    },
    /// A pack's frame of header, index and footer is not whole.
    #[error("pack `{}` is damaged", path.display())]
    PackDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        damage: PackDamage,
    },
    /// A pack was written by a newer release.
    #[error("pack `{}` has version {version}, this release knows {PACK_VERSION}", path.display())]
    PackVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// An object is larger than the reader wanted to hold.
    #[error("object {id} has {bytes} bytes, more than the {limit} that may be read at once")]
    TooLarge {
        /// The object.
        id: ObjectId,
        /// Its length.
        bytes: u64,
        /// The limit that the caller gave.
        limit: u64,
    },
    /// An object is longer than any list of frames can say.
    #[error("an object of {bytes} bytes cannot be stored, {limit} is the most")]
    TooLong {
        /// Its length.
        bytes: u64,
        /// The longest that can be stored.
        limit: u64,
    },
    /// A range reaches beyond the object's end.
    #[error("bytes {offset} to {end} lie outside object {id} of {bytes} bytes")]
    OutOfRange {
        /// The object.
        id: ObjectId,
        /// Its length.
        bytes: u64,
        /// The first byte that was wanted.
        offset: u64,
        /// The byte after the last one that was wanted.
        end: u64,
    },
    /// The bytes to store could not be read.
    #[error("cannot read the bytes to store")]
    Source(#[source] io::Error),
    /// The bytes of an object could not be passed on.
    #[error("cannot write the bytes of object {id}")]
    Sink {
        /// The object.
        id: ObjectId,
        /// What the receiver said.
        #[source]
        source: io::Error,
    },
    /// A file of the store could not be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the store could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A writer was used again after its pack could not be written.
    #[error("the pack was given up when it could not be written")]
    GivenUp,
    /// The index of stored objects could not be asked.
    #[error(transparent)]
    Locate(#[from] LocateError),
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// Its bytes have another name.
    #[error("its bytes hash to {found}")]
    Hash {
        /// The name that the bytes have.
        found: ObjectId,
    },
    /// The record's header says something else than the index.
    #[error("its header differs from the index")]
    Header,
    /// It reaches beyond the end of its pack.
    #[error("it reaches beyond the end of the pack")]
    Truncated,
    /// Its lengths or its position cannot be right.
    #[error("its lengths are impossible")]
    Lengths,
    /// Its stored form does not decode.
    #[error("its stored form does not decode")]
    Decode,
    /// What it is a difference to cannot be read, or is not what it should be.
    #[error("object {base}, which it is a difference to, cannot be read")]
    Base {
        /// What it is a difference to.
        base: ObjectId,
    },
    /// Its codec is not one that this release knows.
    #[error("its codec {codec} is unknown")]
    UnknownCodec {
        /// The number.
        codec: u8,
    },
    /// It lists frames although it is one, or the reverse.
    #[error("it is not the kind of record that is wanted here")]
    Kind,
}

/// What is wrong with a pack apart from its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackDamage {
    /// The file does not begin as a pack.
    #[error("it does not begin as a pack does")]
    Header,
    /// The file does not end as a pack: it was cut, or something was appended.
    #[error("it does not end as a pack does")]
    Footer,
    /// The index does not hash to the pack's name.
    #[error("its header and index hash to {found}")]
    Hash {
        /// The name that they have.
        found: PackId,
    },
    /// The index is not sorted, or its records do not lie side by side.
    #[error("its index contradicts itself")]
    Index,
}
