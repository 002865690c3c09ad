//! What `torch.save` writes since PyTorch 1.6: a zip of `data.pkl` and one entry per storage.
//!
//! Layout: PyTorch's `caffe2/serialize/inline_container.cc`; meaning: `torch/serialization.py`.

mod layout;
mod legacy;
mod lift;
mod lower;
mod scan;
mod special;
mod storage;
mod tar;

use crate::value::{Graph, Storage, StorageId};

use lift::Dialect;

use super::{Encoded, Extra, FormatError, Limits, Outline, Part, StorageFacts, pickle};

pub(super) use legacy::{
    decode as decode_legacy, encode as encode_legacy, is_one as is_legacy, scan as scan_legacy,
};
pub(super) use scan::{detect, scan};
pub use special::{Whole, whole};
pub(super) use tar::{decode as decode_tar, is_one as is_tar, scan as scan_tar};

/// Why a torch file is not sound, or a value cannot become one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorchError {
    /// An entry that torch needs is not there.
    #[error("the entry `{0}` is missing")]
    MissingEntry(&'static str),
    /// An entry outside of the one top directory, which torch refuses.
    #[error("the entry `{name}` lies outside of the directory `{prefix}`")]
    OutsidePrefix {
        /// The entry.
        name: String,
        /// The top directory.
        prefix: String,
    },
    /// An entry says something that no version of torch writes.
    #[error("the entry `{name}` says `{found}`")]
    BadEntry {
        /// Which.
        name: &'static str,
        /// What it says.
        found: String,
    },
    /// A persistent id that should name a storage does not.
    #[error("a reference to a storage is damaged: {0}")]
    BadReference(&'static str),
    /// A storage that the pickle names is not in the file.
    #[error("storage `{key}` is missing")]
    MissingStorage {
        /// Its key.
        key: String,
    },
    /// A storage's length is not what the pickle says.
    #[error("storage `{key}` has {found} bytes, the pickle says {expected}")]
    StorageLength {
        /// Its key.
        key: String,
        /// According to the pickle.
        expected: u64,
        /// In the file.
        found: u64,
    },
    /// The heads of a file from before PyTorch 1.6 are not as they must be.
    #[error("the head of the file is damaged: {0}")]
    Head(&'static str),
    /// A tensor's arguments make no tensor.
    #[error("a tensor over storage `{key}` is damaged: {problem}")]
    Tensor {
        /// The key of its storage.
        key: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Decodes `data.pkl` and turns rebuild calls into tensors.
pub(super) fn decode(outline: &Outline, limits: &Limits) -> Result<Graph, FormatError> {
    let mut graph = pickle::read(&outline.skeleton, limits)?.graph;
    graph.storages.clone_from(&outline.storages);
    lift::lift(&mut graph, Dialect::Zip, limits)?;
    Ok(graph)
}

/// Lays out a torch file.
///
/// Storages are numbered in the order of first use, as torch numbers them; extras stay before or after
/// the storages as they were.
pub(super) fn encode(
    graph: &Graph,
    like: &Outline,
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Encoded, FormatError> {
    let protocol = pickle::extent(&like.skeleton)?.protocol;
    let lowered = lower::lower(graph, protocol, Dialect::Zip, facts)?;
    let mut storages: Vec<Storage> = Vec::with_capacity(lowered.used.len());
    let mut numbered: Vec<usize> = (0..lowered.used.len()).collect();
    if like.attributes.get(STORAGE_ORDER).is_some_and(|order| order == BY_TEXT) {
        numbered.sort_by_key(|number| number.to_string());
    }
    let mut order: Vec<StorageId> = numbered.iter().map(|&number| lowered.used[number].id).collect();
    let mut crcs = Vec::with_capacity(order.len());
    for &number in &numbered {
        let facts = lowered.used[number].facts;
        storages.push(Storage { key: number.to_string(), bytes: facts.bytes });
        crcs.push(facts.crc32);
    }
    for (place, storage) in (0..).zip(&graph.storages) {
        if storage.key.starts_with(ATTACHED) && like.storages.iter().any(|kept| kept.key == storage.key) {
            let facts = facts(StorageId(place));
            order.push(StorageId(place));
            storages.push(Storage { key: storage.key.clone(), bytes: facts.bytes });
            crcs.push(facts.crc32);
        }
    }

    let mut outline = Outline {
        format: like.format,
        skeleton: lowered.pickle,
        attributes: like.attributes.clone(),
        extras: like.extras.clone(),
        storages,
        parts: Vec::new(),
    };
    layout::lay_out(&mut outline, extras_before_storages(like), &crcs);
    Ok(Encoded { outline, order })
}

/// What stands before the name of a large entry that is no storage of a tensor; no entry of an archive can be
/// called so.
const ATTACHED: &str = "./";
/// What stands before the name of an entry in the form in which the archive holds it: deflated.
const DEFLATED: &str = "../";
/// The attribute that names the archive's top directory.
const PREFIX: &str = "prefix";
/// The attribute that says to which multiple of bytes contents are aligned.
const ALIGNMENT: &str = "alignment";
/// The attribute that says in which order storages lie.
const STORAGE_ORDER: &str = "storage-order";
/// `data/10` before `data/2`, as torch wrote before 2.1.
const BY_TEXT: &str = "text";

/// How many of the extras lie before the first storage, or would.
fn extras_before_storages(like: &Outline) -> usize {
    let mut extras = 0;
    for part in &like.parts {
        match part {
            Part::Storage(_) => return extras,
            Part::Extra(index) => extras = *index as usize + 1,
            _ => {}
        }
    }
    let is_version = |extra: &Extra| extra.name == "version";
    like.extras.iter().position(is_version).unwrap_or(like.extras.len())
}
