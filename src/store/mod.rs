//! Packs: append-only files of records, each named by the BLAKE3 of its bytes.
//!
//! The store owns the files under `packs/`. It keeps no index over them: whoever writes gets the
//! [`Location`](crate::object::Location)s of a finished pack and remembers them, and answers through
//! [`Locate`] when the store asks.
//!
//! # Objects, frames, records
//!
//! An object of at most [`FRAME_BYTES`] is one record under its own name. A longer one is split at
//! multiples of [`FRAME_BYTES`] into frames. A frame is named by the BLAKE3 chaining value of its bytes
//! at its offset in the object; a record under the object's name lists the names of its frames. BLAKE3
//! is a tree and a frame a whole subtree of it, so that the names of the frames merge to the name of
//! the object: one pass gives both, a frame read alone is proved by its own name, and the list by
//! merging it.
//!
//! # Layout of a pack
//!
//! All numbers are little-endian; reserved bytes are zero, and readers refuse others.
//!
//! | part | bytes | field |
//! |---|---|---|
//! | header | 8 | magic `8b 63 6b 70 61 63 6b 0a` |
//! | | 4 | version, 2 |
//! | | 4 | reserved |
//! | record, any number | 32 | name |
//! | | 8 | position of a frame in its object, in bytes; all bits set for what is no frame |
//! | | 8 | raw length: of the bytes that are named; in a list of frames, of the whole object |
//! | | 8 | stored length |
//! | | 1 | codec |
//! | | 7 | reserved |
//! | | stored length | stored form |
//! | index, one entry for each record, sorted by name | 32 | name |
//! | | 8 | offset of the stored form in the pack |
//! | | 8 | stored length |
//! | | 8 | raw length |
//! | | 8 | position, as in the record |
//! | | 1 | codec |
//! | | 7 | reserved |
//! | footer | 8 | offset of the index |
//! | | 8 | number of entries |
//! | | 8 | length of the pack, footer included |
//! | | 32 | name of the pack: BLAKE3 of header and index |
//! | | 8 | magic `8b 63 6b 65 6e 64 0a 00` |
//!
//! Records follow each other without gaps, so a pack that lost its index can still be walked. The file
//! is called by the name of the pack, with `.pack`.
//!
//! | codec | | stored form |
//! |---|---|---|
//! | 0 | raw | the bytes |
//! | 1 | zstd | one zstd frame |
//! | 2 | list of frames | 8 bytes frame length (a power of two), 8 bytes object length, 32 bytes for each name |
//! | 3 | planes | 1 byte length of an item (2, 4, 8); for each plane, least significant first, 1 byte form (0 raw, 1 zstd, 2 wavelet tree) and 4 bytes length; the planes; what is left of less than an item |
//! | 4 | delta | 1 byte depth; 32 bytes name of the base; planes, as in 3, of the differences to it |
//!
//! Planes: every item, a little-endian number, is rotated left by one bit, and plane *n* holds byte *n*
//! of each.
//!
//! Delta: the base is the record of the same raw length that lies at the same position of another object, or
//! an object of its own like this one. Bytes are numbers of 1, 2, 4 or 8 bytes, whose bits are put into the
//! order of the floats that they stand for: all are inverted where the highest is set, else the highest is
//! set. The difference to the base's, modulo the range, is kept with its sign in the highest bit and below it
//! its size, less one where it is negative. The depth is one more than that of the base, which is 0 where the
//! base is no delta, and at most 4.
//!
//! Wavelet trees: see the table in `wavelet`.
//!
//! A compressed form is shorter than its raw form, no raw form but that of a list exceeds
//! [`MAX_FRAME_BYTES`], and a list has at most 2^22 names; a reader refuses others before it allocates.

mod ahead;
mod append;
mod codec;
mod decode;
mod delta;
mod encode;
mod error;
mod frame;
mod layout;
mod list;
mod pack;
mod pieces;
mod pipeline;
mod planes;
mod reader;
mod record;
#[cfg(test)]
mod tests;
mod tree;
mod wavelet;
mod workers;
mod writer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::object::{Locate, PackId};

pub use codec::{Codec, Compression, Hint};
pub use error::{Damage, PackDamage, StoreError};
pub use layout::{MAX_FRAME_BYTES, PACK_VERSION};
pub use pack::{PackFile, PackIndex};
pub use reader::{ObjectReader, Reader};
pub use record::{Part, Record};
pub use tree::FRAME_BYTES;
pub use writer::{Counts, FinishedPack, Links, Put, Writer};

/// The inner loops, for the benchmarks.
#[doc(hidden)]
pub mod kernels {
    /// Takes numbers side by side apart into planes.
    pub fn split(bytes: &[u8], planes: &mut [&mut [u8]]) {
        super::planes::split(bytes, planes);
    }

    /// Puts planes together to numbers.
    pub fn join(planes: &[&[u8]], bytes: &mut [u8]) {
        super::planes::join(planes, bytes);
    }

    /// Differences of numbers to others.
    pub fn subtract(item_bytes: usize, bytes: &[u8], base: &[u8], out: &mut [u8]) {
        super::delta::subtract(item_bytes, bytes, base, out);
    }

    /// Numbers from differences to others.
    pub fn add(item_bytes: usize, bytes: &mut [u8], base: &[u8]) {
        super::delta::add(item_bytes, bytes, base);
    }

    /// Turns planes into wavelet trees.
    pub struct Encoder(super::wavelet::Encoder);

    impl Encoder {
        /// One that is ready for any plane.
        #[expect(clippy::new_without_default, reason = "only the benchmarks make one")]
        pub fn new() -> Encoder {
            Encoder(super::wavelet::Encoder::new())
        }

        /// Writes a plane as it is stored, and tells how long that is; `None` where there is no room.
        pub fn encode(&mut self, plane: &[u8], out: &mut [u8]) -> Option<usize> {
            let counts = super::encode::counts(&plane[..plane.len().min(4 << 10)]);
            self.0.encode(&super::wavelet::Code::of(&counts).0, plane, out)
        }
    }

    /// zstd's entropy coder alone, which codes other planes.
    pub fn symbols_coder() -> zstd::bulk::Compressor<'static> {
        super::encode::symbols_coder()
    }

    /// Turns wavelet trees back.
    pub struct Decoder(super::wavelet::Decoder);

    impl Decoder {
        /// One that is ready for any form.
        #[expect(clippy::new_without_default, reason = "only the benchmarks make one")]
        pub fn new() -> Decoder {
            Decoder(super::wavelet::Decoder::new())
        }

        /// Fills `plane`; says whether the form was sound.
        pub fn decode(&mut self, form: &[u8], plane: &mut [u8]) -> bool {
            self.0.decode(form, plane).is_ok()
        }
    }
}

/// The prefix of files that are not packs yet.
const TEMPORARY_PREFIX: &str = "tmp-";

/// The packs of one store.
#[derive(Debug, Clone)]
pub struct Store {
    packs: PathBuf,
    sync: bool,
}

impl Store {
    /// Makes an empty `packs` directory in `directory`, which exists.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if there is one already, [`StoreError::Write`] if it cannot be made.
    pub fn create(directory: &Path) -> Result<Store, StoreError> {
        let packs = directory.join("packs");
        match fs::create_dir(&packs) {
            Ok(()) => Ok(Store { packs, sync: true }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(StoreError::Exists { path: packs })
            }
            Err(source) => Err(StoreError::Write { path: packs, source }),
        }
    }

    /// Finds the `packs` directory in `directory`. Packs are opened when they are needed.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoStore`] if there is none.
    pub fn open(directory: &Path) -> Result<Store, StoreError> {
        let packs = directory.join("packs");
        if packs.is_dir() {
            Ok(Store { packs, sync: true })
        } else {
            Err(StoreError::NoStore { path: packs })
        }
    }

    /// Leaves it to the system when new packs reach the disk. A power loss may then damage them although they
    /// were finished.
    pub fn leave_sync_to_the_system(&mut self) {
        self.sync = false;
    }

    /// Whether new packs are on the disk when they are finished.
    pub fn is_synced(&self) -> bool {
        self.sync
    }

    /// Begins a pack. Nothing is written before the first new record.
    ///
    /// What `index` finds is not stored again.
    pub fn writer<'a>(&'a self, index: &'a dyn Locate) -> Writer<'a> {
        Writer::new(self, index)
    }

    /// Reads objects that `index` finds.
    pub fn reader<'a>(&'a self, index: &'a dyn Locate) -> Reader<'a> {
        Reader::new(self, index)
    }

    /// The packs on disk, sorted by name. Other files are passed over.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if the directory cannot be listed.
    pub fn packs(&self) -> Result<Vec<PackId>, StoreError> {
        let mut packs: Vec<PackId> = self
            .names()?
            .iter()
            .filter_map(|name| name.strip_suffix(".pack")?.parse().ok())
            .map(PackId)
            .collect();
        packs.sort_unstable();
        Ok(packs)
    }

    /// What unfinished writers left behind, sorted. While a writer is at work, its file is among them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if the directory cannot be listed.
    pub fn temporary_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut names = self.names()?;
        names.retain(|name| name.starts_with(TEMPORARY_PREFIX));
        names.sort_unstable();
        Ok(names.iter().map(|name| self.packs.join(name)).collect())
    }

    /// Opens a pack by its own index, checks that index, and nothing else.
    ///
    /// # Errors
    ///
    /// [`StoreError::PackMissing`], [`StoreError::PackDamaged`], [`StoreError::PackVersion`] or
    /// [`StoreError::Io`].
    pub fn open_pack(&self, id: PackId) -> Result<PackFile, StoreError> {
        PackFile::open(id, &self.pack_path(id))
    }

    /// Deletes packs, and returns how many there were. Those that are not there are passed over.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`] if one cannot be deleted; those before it are gone then.
    pub fn remove_packs(&self, ids: impl IntoIterator<Item = PackId>) -> Result<u64, StoreError> {
        let mut removed = 0;
        for id in ids {
            let path = self.pack_path(id);
            match fs::remove_file(&path) {
                Ok(()) => removed += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(StoreError::Write { path, source }),
            }
        }
        if removed > 0 && self.sync {
            let failed = |source| StoreError::Write { path: self.packs.clone(), source };
            crate::durable::sync_directory(&self.packs).map_err(failed)?;
        }
        Ok(removed)
    }

    /// Where a pack lies, or would lie.
    pub fn pack_path(&self, id: PackId) -> PathBuf {
        self.packs.join(format!("{id}.pack"))
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let failed = |source| StoreError::Io { path: self.packs.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.packs).map_err(failed)? {
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        Ok(names)
    }
}
