//! What each fuzz target does with its bytes. `cargo fuzz` runs these, and so does the replay in `tests/it/fuzz.rs`.
//!
//! A target must not panic, whatever it is given. Where a decoder accepts the bytes, the file must come back from its
//! parts byte for byte, and what is written from the decoded value must decode to the same value.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use ckstore::format::{
    self, Checksums, FolderSource, Format, Limits, Outline, Part, Scanned, StorageFacts, pickle,
};
use ckstore::migration::Migration;
use ckstore::revision::Revision;
use ckstore::snapshot::Tree;
use ckstore::store::{PackIndex, Store, kernels};
use ckstore::value::{Graph, Kind, NodeId, StorageId, Tail};

/// A name, what is done with bytes, the families of `tests/data/corpus` that it begins with, and its dictionary.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub families: &'static [&'static str],
    pub dictionary: &'static str,
}

pub const TARGETS: &[Target] = &[
    Target { name: "pickle", run: pickle, families: &["pickle", "malicious"], dictionary: "pickle" },
    Target {
        name: "scan",
        run: scan,
        families: &["malicious", "zip", "module", "numpy", "legacy"],
        dictionary: "zip",
    },
    Target { name: "zip", run: zip, families: &["zip", "old", "module", "malicious"], dictionary: "zip" },
    Target { name: "legacy", run: legacy, families: &["legacy", "old"], dictionary: "pickle" },
    Target { name: "torch_tar", run: torch_tar, families: &["old"], dictionary: "pickle" },
    Target { name: "safetensors", run: safetensors, families: &["safetensors"], dictionary: "json" },
    Target { name: "npy", run: npy, families: &["numpy"], dictionary: "npy" },
    Target { name: "gguf", run: gguf, families: &["gguf"], dictionary: "gguf" },
    Target { name: "dcp", run: dcp, families: &["dcp"], dictionary: "pickle" },
    Target { name: "index", run: index, families: &["hf"], dictionary: "json" },
    Target { name: "json", run: json, families: &["hf"], dictionary: "json" },
    Target { name: "tree", run: tree, families: &[], dictionary: "json" },
    Target { name: "pack", run: pack, families: &[], dictionary: "json" },
    Target { name: "wavelet", run: wavelet, families: &[], dictionary: "json" },
    Target { name: "catalogue", run: catalogue, families: &[], dictionary: "catalogue" },
];

/// Limits that an honest small file is far from, so that time goes into many inputs and not into large ones.
fn limits() -> Limits {
    Limits { nodes: 200_000, skeleton_bytes: 4 << 20, inflated_bytes: 1 << 20, ..Limits::default() }
}

pub fn pickle(data: &[u8]) {
    round(Some(Format::Pickle), data);
    let Ok(found) = pickle::read(data, &limits()) else { return };
    let extent = pickle::extent(data).expect("it was read");
    assert_eq!(extent.bytes, found.bytes);
    let Ok(written) = pickle::write(&found.graph, extent.protocol) else { return };
    let again = pickle::read(&written, &Limits::default()).expect("what was written is sound");
    assert_same(&found.graph, &again.graph);
}

pub fn scan(data: &[u8]) {
    let found = format::dangers(&data, &limits(), Checksums::Compare).expect("memory can be read");
    assert!(found.globals.len() <= 20_000 && found.problems.len() <= 20_000);
}

pub fn zip(data: &[u8]) {
    round(Some(Format::TorchZip), data);
    round(Some(Format::TorchArchive), data);
    round(Some(Format::TorchRow), data);
    round(Some(Format::Zip), data);
    round(None, data);
}

pub fn legacy(data: &[u8]) {
    round(Some(Format::TorchLegacy), data);
}

/// A tar, or the three entries of one behind the lengths of the first two, so that no length that a header says
/// stands in the way.
pub fn torch_tar(data: &[u8]) {
    const BLOCK_BYTES: usize = 512;
    round(Some(Format::TorchTar), data);
    let Some((&[a, b, c, d], rest)) = data.split_first_chunk() else { return };
    let (pickle, rest) = rest.split_at(rest.len().min(u16::from_le_bytes([a, b]).into()));
    let (tensors, storages) = rest.split_at(rest.len().min(u16::from_le_bytes([c, d]).into()));
    let mut tar = Vec::new();
    for (name, bytes) in [("pickle", pickle), ("storages", storages), ("tensors", tensors)] {
        let mut head = [0; BLOCK_BYTES];
        head[..name.len()].copy_from_slice(name.as_bytes());
        head[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        head[156] = b'0';
        head[257..262].copy_from_slice(b"ustar");
        tar.extend(head);
        tar.extend(bytes);
        tar.resize(tar.len().next_multiple_of(BLOCK_BYTES), 0);
    }
    round(Some(Format::TorchTar), &tar);
}

pub fn safetensors(data: &[u8]) {
    round(Some(Format::Safetensors), data);
}

pub fn npy(data: &[u8]) {
    round(Some(Format::Npy), data);
    round(Some(Format::Npz), data);
}

pub fn gguf(data: &[u8]) {
    round(Some(Format::Gguf), data);
}

pub fn json(data: &[u8]) {
    round(Some(Format::Json), data);
}

/// The metadata of a distributed checkpoint, beside a sound shard.
pub fn dcp(data: &[u8]) {
    const SHARD: &[u8] = include_bytes!("../tests/data/corpus/dcp/dtensor/__0_0.distcp");
    folder(&[(".metadata", data), ("__0_0.distcp", SHARD)]);
}

/// The index of a sharded checkpoint, beside a sound shard.
pub fn index(data: &[u8]) {
    const SHARD: &[u8] = include_bytes!("../tests/data/corpus/safetensors/order.safetensors");
    folder(&[("model.safetensors.index.json", data), ("model-00001-of-00001.safetensors", SHARD)]);
}

fn folder(files: &[(&str, &[u8])]) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).expect("a file can be written");
    }
    let source = FolderSource::open(folder.path(), 100).expect("it holds plain files");
    let Ok(scanned) = format::scan_folder(&source, &limits()) else { return };
    let _ = format::decode(&scanned.outline, &limits());
}

/// What the store keeps of a checkpoint, of a revision and of its steps.
pub fn tree(data: &[u8]) {
    if let Ok(tree) = Tree::decode(data) {
        let encoded = tree.encode();
        assert_eq!(Tree::decode(&encoded).expect("what was written is sound"), tree);
        let _ = (tree.file_bytes(), tree.objects().count());
    }
    if let Ok(revision) = Revision::decode(data) {
        let encoded = revision.encode();
        assert_eq!(Revision::decode(&encoded).expect("what was written is sound"), revision);
    }
}

/// A pack whose index is made to fit its name, so that what the index says is read.
pub fn pack(data: &[u8]) {
    const FOOTER_BYTES: usize = 64;
    const ENTRY_BYTES: usize = 72;
    let Some(body) = data.len().checked_sub(FOOTER_BYTES).filter(|body| *body >= 16) else { return };
    let mut pack = data.to_vec();
    let entries = u64::from_le_bytes(pack[body + 8..body + 16].try_into().expect("eight bytes"));
    let entries = (entries as usize).min((body - 16) / ENTRY_BYTES);
    let index = body - entries * ENTRY_BYTES;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&pack[..16]).update(&pack[index..body]);
    let name = hasher.finalize();
    let length = pack.len() as u64;
    pack[body..body + 8].copy_from_slice(&(index as u64).to_le_bytes());
    pack[body + 8..body + 16].copy_from_slice(&(entries as u64).to_le_bytes());
    pack[body + 16..body + 24].copy_from_slice(&length.to_le_bytes());
    pack[body + 24..body + 56].copy_from_slice(name.as_bytes());

    let folder = tempfile::tempdir().expect("a folder can be made");
    let store = Store::create(folder.path()).expect("a store can be made");
    let packs = store.packs().expect("it can be listed");
    assert!(packs.is_empty());
    let place = pack_folder(folder.path());
    fs::write(place.join(format!("{}.pack", name.to_hex())), &pack).expect("a file can be written");
    let packs = store.packs().expect("it can be listed");
    let index = PackIndex::of(&store, &packs);
    let reader = store.reader(&index);
    for id in packs {
        let Ok(opened) = store.open_pack(id) else { continue };
        let _ = opened.verify(&reader, &mut |_| {});
        for record in opened.records().take(64) {
            let _ = reader.read(&record.id, 1 << 20);
            let _ = reader.verify(&record.id);
            let _ = reader.references(&record.id);
        }
    }
}

/// A plane that is to be encoded, and a form that is to be decoded, to as many bytes as its first two say.
pub fn wavelet(data: &[u8]) {
    let mut decoder = kernels::Decoder::new();
    let mut form = vec![0; 4 * data.len() + 4096];
    let length = kernels::Encoder::new().encode(data, &mut form).expect("there is room for exceptions only");
    let mut decoded = vec![0; data.len()];
    assert!(decoder.decode(&form[..length], &mut decoded));
    assert!(decoded == data, "a plane came back as another");
    if let Some((bytes, form)) = data.split_first_chunk() {
        let _ = decoder.decode(form, &mut vec![0; u16::from_le_bytes(*bytes).into()]);
    }
}

/// Where a store keeps its packs.
fn pack_folder(store: &Path) -> std::path::PathBuf {
    let inner = store.join("packs");
    if inner.is_dir() { inner } else { store.to_owned() }
}

/// A migration in each form: by the first byte, as the file that it would be.
pub fn catalogue(data: &[u8]) {
    let Some((first, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let file = match first % 4 {
        0 => "1700000000_step.py",
        1 => "1_step.py",
        2 => "Migration_1700000000000_step.py",
        _ => "1700000000_step.toml",
    };
    if let Ok(migration) = Migration::read(file, Arc::from(text), None) {
        let again = Migration::read(file, Arc::from(text), None).expect("it was read before");
        assert_eq!(migration.digest, again.digest);
    }
}

/// Scans, decodes, encodes and decodes again.
fn round(format: Option<Format>, data: &[u8]) {
    let Some((graph, written, format)) = rewritten(format, data, &limits()) else { return };
    let scanned =
        format::scan(&written, Some(format), &Limits::default()).expect("what was written is sound");
    let again =
        format::decode(&scanned.outline, &Limits::default()).expect("what was written can be decoded");
    if format != Format::Safetensors {
        return assert_same(&graph, &again);
    }
    // Its writers put the tensors into an order of their own, which then stays.
    assert_eq!(graph.items(graph.root).len(), again.items(again.root).len());
    let (_, written, _) =
        rewritten(Some(format), &written, &Limits::default()).expect("it was written before");
    let scanned =
        format::scan(&written, Some(format), &Limits::default()).expect("what was written is sound");
    assert_same(&again, &format::decode(&scanned.outline, &Limits::default()).expect("it can be decoded"));
}

/// The value of a file and the file that is written from it, where it can be decoded and written.
fn rewritten(format: Option<Format>, data: &[u8], limits: &Limits) -> Option<(Graph, Vec<u8>, Format)> {
    let scanned = format::scan(&data, format, limits).ok()?;
    if scanned.outline.storages.iter().any(|storage| storage.bytes > 1 << 20) {
        return None;
    }
    let storages: Vec<Vec<u8>> =
        scanned.spans.iter().map(|span| stored(data, span.offset, span.bytes)).collect();
    let back = assembled(&scanned.outline, &storages);
    assert!(back == data, "the parts are not the file");
    let graph = format::decode(&scanned.outline, limits).ok()?;
    let contents = contents(&scanned, &storages);
    let facts = |id: StorageId| facts(&contents[id.index()]);
    let encoded = format::encode(&graph, &scanned.outline, &facts).ok()?;
    let ordered: Vec<Vec<u8>> = encoded.order.iter().map(|id| contents[id.index()].clone()).collect();
    Some((graph, assembled(&encoded.outline, &ordered), encoded.outline.format))
}

fn stored(data: &[u8], offset: u64, bytes: u64) -> Vec<u8> {
    data[offset as usize..][..bytes as usize].to_vec()
}

/// What storages hold; what lies deflated in the file is only as long as that, which is all that matters here.
fn contents(scanned: &Scanned, storages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let each = scanned.outline.storages.iter().zip(&scanned.spans).zip(storages);
    each.map(|((storage, span), stored)| match span.inflated {
        Some(_) => vec![0; storage.bytes as usize],
        None => stored.clone(),
    })
    .collect()
}

fn facts(bytes: &[u8]) -> StorageFacts {
    StorageFacts { bytes: bytes.len() as u64, crc32: crc32fast::hash(bytes) }
}

fn assembled(outline: &Outline, storages: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for part in &outline.parts {
        match part {
            Part::Literal(bytes) => file.extend(bytes),
            Part::Skeleton => file.extend(&outline.skeleton),
            Part::Extra(place) => file.extend(&outline.extras[*place as usize].bytes),
            Part::Storage(id) => file.extend(&storages[id.index()]),
        }
    }
    file
}

/// Walks two graphs in step: what is one object in one must be one object in the other.
fn assert_same(left: &Graph, right: &Graph) {
    let mut pairs: HashMap<NodeId, NodeId> = HashMap::new();
    let mut back: HashMap<NodeId, NodeId> = HashMap::new();
    let mut todo = vec![(left.root, right.root)];
    while let Some((one, other)) = todo.pop() {
        let (a, b) = (left.node(one), right.node(other));
        let is_atom = left.children(one).is_empty() && !matches!(a.kind, Kind::List | Kind::Dict | Kind::Set);
        if !is_atom {
            let known = (pairs.insert(one, other), back.insert(other, one));
            match known {
                (None, None) => {}
                (Some(before), Some(behind)) if before == other && behind == one => continue,
                _ => panic!("{one:?} and {other:?} are not shared alike"),
            }
        }
        assert_eq!(head(&a.kind), head(&b.kind), "at {one:?} and {other:?}");
        let steps = |tail: &[Tail]| tail.iter().map(std::mem::discriminant).collect::<Vec<_>>();
        assert_eq!(steps(&a.tail), steps(&b.tail), "at {one:?} and {other:?}");
        let (ours, theirs) = (left.children(one), right.children(other));
        assert_eq!(ours.len(), theirs.len(), "at {one:?} and {other:?}");
        todo.extend(ours.into_iter().zip(theirs));
    }
}

/// A node without the names of others.
fn head(kind: &Kind) -> String {
    match kind {
        Kind::Tuple(_) => "tuple".to_owned(),
        Kind::FrozenSet(_) => "frozenset".to_owned(),
        Kind::Instance(parts) => format!("instance of {}", parts.len()),
        Kind::ReadonlyBuffer(_) => "read-only buffer".to_owned(),
        Kind::PersistentId(_) => "persistent id".to_owned(),
        Kind::ComputedGlobal { .. } => "computed global".to_owned(),
        Kind::Reduce { .. } => "reduce".to_owned(),
        Kind::NewObj { .. } => "new object".to_owned(),
        Kind::NewObjEx { .. } => "new object with keywords".to_owned(),
        Kind::Storage(storage) => format!("storage of {}", storage.elements),
        Kind::Tensor(tensor) => format!(
            "tensor {:?} {:?} {:?} {} {} {} {}",
            tensor.dtype,
            tensor.shape,
            tensor.strides,
            tensor.offset,
            tensor.requires_grad,
            tensor.hooks.is_some(),
            tensor.metadata.is_some()
        ),
        other => format!("{other:?}"),
    }
}
