//! The weights of an exported program (`.pt2`): documents in a zip that say which entry holds which tensor.
//!
//! Layout: `torch/export/pt2_archive/_package.py` and `torch/_export/serde/schema.py`, PyTorch 2.8 to 2.15.

use std::collections::HashMap;

use crate::value::{Dtype, Graph, Kind, NodeId, Storage, StorageId, StorageRef, Tail, Tensor};

use super::{Limits, json};

/// Longest document, in bytes.
pub(super) const MOST_DOCUMENT_BYTES: u64 = 64 << 20;

/// `ScalarType` by its numbers.
const DTYPES: &[(i64, Dtype)] = &[
    (1, Dtype::U8),
    (2, Dtype::I8),
    (3, Dtype::I16),
    (4, Dtype::I32),
    (5, Dtype::I64),
    (6, Dtype::F16),
    (7, Dtype::F32),
    (8, Dtype::F64),
    (9, Dtype::C32),
    (10, Dtype::C64),
    (11, Dtype::C128),
    (12, Dtype::Bool),
    (13, Dtype::Bf16),
    (28, Dtype::U16),
    (29, Dtype::F8E4M3),
    (30, Dtype::F8E5M2),
    (31, Dtype::F8E4M3Fnuz),
    (32, Dtype::F8E5M2Fnuz),
    (33, Dtype::F8E8M0),
    (34, Dtype::U32),
    (35, Dtype::U64),
];

/// `Layout.Strided`.
const STRIDED: i64 = 7;

/// Whether an entry of an archive is a document that names tensors.
pub(super) fn is_config(name: &str) -> bool {
    (name.contains("/data/weights/") && name.ends_with("_weights_config.json"))
        || (name.contains("/data/constants/") && name.ends_with("_constants_config.json"))
}

/// Adds the tensors that a document names to the root; those it describes in a way that is not known are left out.
pub(super) fn add_tensors(graph: &mut Graph, name: &str, document: &[u8], limits: &Limits) {
    let Ok(config) = json::read(document, limits) else { return };
    let Some(entries) = config.get(config.root, "config") else { return };
    let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
    let places: HashMap<String, u32> =
        graph.storages.iter().zip(0..).map(|(storage, place)| (storage.key.clone(), place)).collect();
    for (key, entry) in config.items(entries) {
        let Some(path) = config.get(entry, "path_name").and_then(|path| config.as_str(path)) else {
            continue;
        };
        let Some(place) = places.get(&format!("{directory}/{path}")) else { continue };
        let storage = &graph.storages[*place as usize];
        let Some(tensor) = tensor(&config, entry, StorageId(*place), storage, limits) else { continue };
        let Some(name) = config.as_str(key).map(str::to_owned) else { continue };
        let (key, value) = (graph.add_str(name), graph.add(Kind::Tensor(Box::new(tensor))));
        let root = graph.root;
        graph.node_mut(root).tail.push(Tail::Set(key, value));
    }
}

fn tensor(
    config: &Graph,
    entry: NodeId,
    id: StorageId,
    storage: &Storage,
    limits: &Limits,
) -> Option<Tensor> {
    if let Some(pickled) = config.get(entry, "use_pickle")
        && matches!(config.kind(pickled), Kind::Bool(true))
    {
        return None;
    }
    let meta = config.get(entry, "tensor_meta")?;
    if config.as_int(config.get(meta, "layout")?)? != STRIDED {
        return None;
    }
    let number = config.as_int(config.get(meta, "dtype")?)?;
    let dtype = DTYPES.iter().find(|row| row.0 == number)?.1;
    let numbers = |name: &str| -> Option<Vec<u64>> {
        config.elements(config.get(meta, name)?).map(|number| natural(config, number)).collect()
    };
    let tensor = Tensor {
        dtype,
        shape: numbers("sizes")?,
        strides: numbers("strides")?,
        offset: natural(config, config.get(meta, "storage_offset")?)?,
        storage: StorageRef {
            storage: id,
            class: String::new(),
            location: String::new(),
            elements: storage.bytes / dtype.item_bytes(),
            view: None,
        },
        requires_grad: false,
        hooks: None,
        metadata: None,
    };
    let fits = tensor.shape.len() <= limits.dimensions
        && tensor.bytes().is_some()
        && tensor.end_byte().is_some_and(|end| end <= storage.bytes);
    fits.then_some(tensor)
}

/// `{"as_int": 3}`.
fn natural(config: &Graph, id: NodeId) -> Option<u64> {
    u64::try_from(config.as_int(config.get(id, "as_int")?)?).ok()
}
