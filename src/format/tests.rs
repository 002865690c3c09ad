//! Real and hostile files as tables. `tests/data/corpus` holds files of real torch and safetensors, and
//! broken ones named for what is wrong with them.

use super::outline::Parts;
use super::zip::tests::zip;
use super::*;
use crate::value::{Dtype, Kind, NodeId, Storage, StorageRef, Tail, Tensor};

pub(super) fn corpus(path: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corpus").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn storage_bytes(file: &[u8], scanned: &Scanned, id: StorageId) -> Vec<u8> {
    let span = scanned.spans[id.index()];
    file[span.offset as usize..][..span.bytes as usize].to_vec()
}

fn assemble(outline: &Outline, storage: &dyn Fn(StorageId) -> Vec<u8>) -> Vec<u8> {
    let mut file = Vec::new();
    for part in &outline.parts {
        match part {
            Part::Literal(bytes) => file.extend(bytes),
            Part::Skeleton => file.extend(&outline.skeleton),
            Part::Extra(index) => file.extend(&outline.extras[*index as usize].bytes),
            Part::Storage(id) => file.extend(storage(*id)),
        }
    }
    file
}

fn facts(bytes: &[u8]) -> StorageFacts {
    StorageFacts { bytes: bytes.len() as u64, crc32: crc32fast::hash(bytes) }
}

/// Scans, decodes and encodes a file; returns what was scanned, the graph, and the file written again.
fn round(file: &Vec<u8>) -> Result<(Scanned, Graph, Vec<u8>), FormatError> {
    let limits = Limits::default();
    let scanned = scan(file, None, &limits)?;
    let graph = decode(&scanned.outline, &limits)?;
    let written = write(file, &scanned, &graph)?;
    Ok((scanned, graph, written))
}

fn write(file: &[u8], scanned: &Scanned, graph: &Graph) -> Result<Vec<u8>, FormatError> {
    let storage = |id| storage_bytes(file, scanned, id);
    let encoded = encode(graph, &scanned.outline, &|id| facts(&storage(id)))?;
    Ok(assemble(&encoded.outline, &|id| storage(encoded.order[id.index()])))
}

fn tensors(graph: &Graph) -> usize {
    graph.nodes.iter().filter(|node| matches!(node.kind, Kind::Tensor(_))).count()
}

#[test]
fn a_sound_file_is_its_parts_and_is_written_as_it_was() {
    // File, format, tensors, whether writing it again gives the same bytes.
    let table = [
        ("anemoi/inference.ckpt", Format::TorchZip, 10, false), // entries appended by Python's zipfile
        ("anemoi/saveckpt_two.ckpt", Format::TorchZip, 1, true),
        ("lightning/weights_only.ckpt", Format::TorchZip, 10, true),
        ("malicious/z_comment.pt", Format::TorchZip, 1, false),
        ("malicious/z_reordered.pt", Format::TorchZip, 1, false),
        ("malicious/z_streamed.pt", Format::TorchZip, 1, false),
        ("malicious/z_zip64.pt", Format::TorchZip, 1, false),
        ("malicious/zip_expand_huge.pt", Format::TorchZip, 1, false),
        ("malicious/zip_os_system.pt", Format::TorchZip, 0, false),
        ("malicious/zip_tuple_doubling_key.pt", Format::TorchZip, 0, false),
        ("module/spectral_norm_hooks.pt", Format::TorchZip, 5, true),
        ("module/tinynet.pt", Format::TorchZip, 10, true),
        ("old/t1.13_module.pt", Format::TorchZip, 7, true),
        ("old/t1.13_zip.pt", Format::TorchZip, 13, true),
        ("safetensors/dtypes.safetensors", Format::Safetensors, 20, true),
        ("safetensors/empty.safetensors", Format::Safetensors, 0, true),
        ("safetensors/meta.safetensors", Format::Safetensors, 3, true),
        ("safetensors/order.safetensors", Format::Safetensors, 2, false),
        ("safetensors/pad_spaces.safetensors", Format::Safetensors, 1, false),
        ("zip/align16.pt", Format::TorchZip, 2, true),
        ("zip/buffer_saved.pt", Format::TorchZip, 1, true),
        ("zip/conj_neg.pt", Format::TorchZip, 3, true),
        ("zip/dtensor.pt", Format::TorchZip, 2, false), // shares the text `cpu` with its storages
        ("zip/dtype_uint16.pt", Format::TorchZip, 1, true),
        ("zip/dtypes.pt", Format::TorchZip, 27, true),
        ("zip/generator.pt", Format::TorchZip, 1, true),
        ("zip/nested_dicts.pt", Format::TorchZip, 10, true),
        ("zip/nobyteorder.pt", Format::TorchZip, 1, true),
        ("zip/obj_atoms.pt", Format::TorchZip, 0, true),
        ("zip/obj_classes.pt", Format::TorchZip, 0, true),
        ("zip/obj_collections.pt", Format::TorchZip, 0, true),
        ("zip/obj_cycle_frozenset.pt", Format::TorchZip, 0, true),
        ("zip/obj_cycles_hash.pt", Format::TorchZip, 0, true),
        ("zip/params.pt", Format::TorchZip, 2, true),
        ("zip/proto1.pt", Format::TorchZip, 2, true),
        ("zip/proto4.pt", Format::TorchZip, 2, true),
        ("zip/sparse.pt", Format::TorchZip, 20, true),
        ("zip/subclass.pt", Format::TorchZip, 0, true),
        ("zip/tied.pt", Format::TorchZip, 4, true),
        ("zip/two.dots.v1.pt", Format::TorchZip, 1, true),
        ("zip/zero_d_empty.pt", Format::TorchZip, 5, true),
    ];
    for (name, format, count, is_same) in table {
        let file = corpus(name);
        let (scanned, graph, written) = round(&file).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(scanned.outline.format, format, "{name}");
        assert!(assemble(&scanned.outline, &|id| storage_bytes(&file, &scanned, id)) == file, "{name}");
        assert_eq!(tensors(&graph), count, "{name}");
        assert_eq!(graph.storages, scanned.outline.storages, "{name}");
        assert_eq!(written == file, is_same, "{name}");
        // What was written reads as the same value, and is written the same again.
        let (_, again, rewritten) = round(&written).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(rewritten == written, "{name}");
        assert_eq!(tensors(&again), count, "{name}");
    }
}

#[test]
fn a_format_is_told_by_content_and_what_is_kept_whole_says_so() {
    let table = [
        ("gguf/align64.gguf", Format::Gguf),
        ("malicious/pkl_os_system.pkl", Format::Pickle),
        ("malicious/z_constants_pkl.pt", Format::TorchArchive),
        ("malicious/z_empty_zip.pt", Format::Bytes),
        ("malicious/z_prepended.pt", Format::Bytes),
        ("module/exported.pt2", Format::Zip),
        ("module/torchscript_traced.pt", Format::TorchArchive),
        ("numpy/f32.npy", Format::Npy),
        ("numpy/plain.npz", Format::Npz),
        ("old/t1.4_legacy.pt", Format::TorchLegacy),
        ("old/t0.1_state_dict.tar", Format::TorchTar),
        ("old/t1.4_zip.pt", Format::TorchArchive),
        ("safetensors/bad_huge_len.safetensors", Format::Bytes),
    ];
    for (name, format) in table {
        let file = corpus(name);
        let scanned = scan(&file, None, &Limits::default()).unwrap();
        assert_eq!(scanned.outline.format, format, "{name}");
        assert_eq!(assemble(&scanned.outline, &|id| storage_bytes(&file, &scanned, id)), file, "{name}");
        // An exported program is a zip whose documents name its tensors.
        let is_whole = matches!(format, Format::Bytes | Format::Zip) && scanned.outline.extras.is_empty();
        let told = scanned.notes.iter().any(|note| note.code == "W_KEPT_AS_BYTES");
        assert_eq!(told, is_whole, "{name}");
    }
    let empty =
        scan(&b"PK\x05\x06".iter().copied().chain([0; 18]).collect::<Vec<u8>>(), None, &Limits::default());
    assert!(empty.unwrap().notes[0].message.starts_with("a zip file without entries is kept"));
}

#[test]
fn what_is_written_in_a_manner_of_its_own_reads_as_the_same() {
    let table = [
        ("gguf/align64.gguf", Format::Gguf, 2),
        ("malicious/pkl_os_system.pkl", Format::Pickle, 0),
        ("numpy/f32.npy", Format::Npy, 1),
        ("numpy/plain.npz", Format::Npz, 3),
    ];
    for (name, format, count) in table {
        let file = corpus(name);
        let (scanned, graph, written) = round(&file).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(scanned.outline.format, format, "{name}");
        assert!(assemble(&scanned.outline, &|id| storage_bytes(&file, &scanned, id)) == file, "{name}");
        assert_eq!(tensors(&graph), count, "{name}");
        let (again, read, rewritten) = round(&written).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(again.outline.format, format, "{name}");
        assert!(rewritten == written, "{name}");
        assert_eq!(tensors(&read), count, "{name}");
    }
}

#[test]
fn a_hostile_file_is_refused_for_what_is_wrong_with_it() {
    let table = [
        ("malicious/z_bad_byteorder.pt", "the entry `byteorder` says `middle`"),
        ("malicious/z_bad_crc_pkl.pt", "its CRC-32 is"),
        ("malicious/z_bad_version.pt", "the entry `version` says `99`"),
        ("malicious/z_bad_version_text.pt", "the entry `version` says `abc`"),
        ("malicious/z_bzip2.pt", "compressed in another way than deflate"),
        ("malicious/z_cd_offset_lie.pt", "its two end records contradict each other"),
        ("malicious/z_duplicate.pt", "`archive/data.pkl` is there twice"),
        ("malicious/z_duplicate_first.pt", "`archive/data.pkl` is there twice"),
        ("malicious/z_encrypted_flag.pt", "is encrypted"),
        ("malicious/z_local_name_differs.pt", "its local header has another name"),
        ("malicious/z_local_namelen_lie.pt", "it overlaps what follows"),
        ("malicious/z_long_data0.pt", "storage `0` has 64 bytes, the pickle says 12"),
        ("malicious/z_overlap.pt", "it overlaps what follows"),
        ("malicious/z_size_lie.pt", "it overlaps what follows"),
        ("malicious/z_slip.pt", "unsafe name"),
        ("malicious/z_trunc_half.pt", "the directory at the end of the file is missing"),
        ("malicious/z_trunc_tail.pt", "the directory at the end of the file is missing"),
        ("malicious/zip_additems_list.pt", "changes a value that cannot change"),
        ("malicious/zip_empty.pt", "the bytes end"),
        ("malicious/zip_global_nonl.pt", "the bytes end"),
        ("malicious/zip_huge_binbytes8.pt", "the bytes end"),
        ("malicious/zip_in_persid.pt", "its class is none"),
        ("malicious/zip_neg_long4.pt", "no length"),
        ("malicious/zip_no_stop.pt", "the bytes end"),
        ("malicious/zip_persid_str.pt", "a line of text"),
        ("malicious/zip_put_huge.pt", "no memo index"),
        ("malicious/zip_setitems_odd.pt", "a key has no value"),
        ("malicious/zip_storage_key_int.pt", "its key is no text"),
        ("malicious/zip_storage_key_missing.pt", "storage `77` is missing"),
        ("malicious/zip_storage_numel_short.pt", "storage `0` has 12 bytes, the pickle says 4"),
        ("malicious/zip_storage_type_fake.pt", "none of torch's storages"),
        ("malicious/zip_storage_type_other.pt", "none of torch's storages"),
        ("malicious/zip_tensor_ndim_mismatch.pt", "not as many as its dimensions"),
        ("malicious/zip_tensor_neg_size.pt", "its shape is no tuple of natural numbers"),
        ("malicious/zip_tensor_neg_stride.pt", "its strides are no tuple of natural numbers"),
        ("malicious/zip_tensor_overflow.pt", "more bytes than can be counted"),
        ("malicious/zip_unknown_opcode.pt", "is no opcode: 0xf0"),
        ("safetensors/bad_bad_dtype.safetensors", "its dtype is not known"),
        ("safetensors/bad_bad_utf8.safetensors", "UTF-8 text is expected at byte 1"),
        ("safetensors/bad_dupmeta.safetensors", "`__metadata__` at byte 26 is there twice"),
        ("safetensors/bad_extra_field.safetensors", "the fields dtype, shape and data_offsets"),
        ("safetensors/bad_hole.safetensors", "`b` begins at byte 16 of the data"),
        ("safetensors/bad_meta_nonstring.safetensors", "no object of texts"),
        ("safetensors/bad_neg_shape.safetensors", "no list of natural numbers"),
        ("safetensors/bad_not_json.safetensors", "the header is no JSON"),
        ("safetensors/bad_overflow_shape.safetensors", "its shape does not fill its offsets"),
        ("safetensors/bad_short.safetensors", "the file at 4"),
        ("safetensors/bad_size_mismatch.safetensors", "its shape does not fill its offsets"),
        ("safetensors/bad_trailing.safetensors", "the file at 12"),
        ("zip/proto0.pt", "a line of text"),
    ];
    for (name, reason) in table {
        match round(&corpus(name)) {
            Ok(_) => panic!("{name} is accepted"),
            Err(error) => assert!(chain(&error).contains(reason), "{name}: {}", chain(&error)),
        }
    }
}

#[test]
fn a_wrong_crc_of_a_storage_is_left_to_who_reads_it() {
    let file = corpus("malicious/z_bad_crc_data.pt");
    let (scanned, ..) = round(&file).unwrap();
    let found = crc32fast::hash(&storage_bytes(&file, &scanned, StorageId(0)));
    assert_ne!(scanned.spans[0].crc32, Some(found));
}

#[test]
fn no_cut_and_no_flipped_bit_makes_it_panic() {
    let files = [
        "zip/buffer_saved.pt",
        "safetensors/meta.safetensors",
        "malicious/z_streamed.pt",
        "old/t0.1_state_dict.tar",
    ];
    for name in files {
        let file = corpus(name);
        for length in 0..file.len() {
            let _ = round(&file[..length].to_vec());
        }
        for place in 0..file.len() {
            for bit in [0, 3, 7] {
                let mut file = file.clone();
                file[place] ^= 1 << bit;
                let _ = round(&file);
            }
        }
    }
}

#[test]
fn trailing_bytes_are_kept_and_noted() {
    let mut file = corpus("zip/tied.pt");
    file.extend(b"appended");
    let (scanned, ..) = round(&file).unwrap();
    assert_eq!(scanned.notes[0].code, "W_TRAILING_BYTES");
    assert_eq!(assemble(&scanned.outline, &|id| storage_bytes(&file, &scanned, id)), file);
}

#[test]
fn limits_hold() {
    let file = corpus("zip/tied.pt");
    let generous = Limits::default;
    let table = [
        Limits { entries: 3, ..generous() },
        Limits { skeleton_bytes: 100, ..generous() },
        Limits { extra_bytes: 10, ..generous() },
        Limits { literal_bytes: 900, ..generous() },
        Limits { nodes: 10, ..generous() },
    ];
    for limits in table {
        let error = scan(&file, None, &limits).and_then(|scanned| decode(&scanned.outline, &limits));
        let error = chain(&error.unwrap_err());
        assert!(error.contains("limit of") || error.contains("more than"), "{error}");
    }
}

#[test]
fn tied_tensors_share_their_storage_and_views_keep_theirs() {
    let (_, graph, _) = round(&corpus("zip/tied.pt")).unwrap();
    let at = |key| graph.get(graph.root, key).unwrap();
    assert_eq!(at("a"), at("b"));
    let (c, d) = (graph.as_tensor(at("c")).unwrap(), graph.as_tensor(at("d")).unwrap());
    assert_ne!(at("c"), at("d"));
    assert_eq!(c.storage, d.storage);
    assert_eq!(c.storage.class, "torch.FloatStorage");
    assert_eq!(c.storage.location, "cpu");
}

/// Adds a tensor over a new storage of `bytes` zero bytes at the root.
fn add_tensor(graph: &mut Graph, key: &str, dtype: Dtype, bytes: u64) {
    let storage = graph.add_storage(Storage { key: "new".to_owned(), bytes });
    let extent = bytes / dtype.item_bytes();
    let tensor = Tensor {
        dtype,
        shape: vec![extent],
        strides: vec![1],
        offset: 0,
        storage: StorageRef {
            storage,
            class: String::new(),
            location: String::new(),
            elements: 0,
            view: None,
        },
        requires_grad: false,
        hooks: None,
        metadata: None,
    };
    let node = graph.add(Kind::Tensor(Box::new(tensor)));
    let root = graph.root;
    graph.set(root, key, node);
}

#[test]
fn a_changed_graph_is_written_with_the_storages_it_uses() {
    let file = corpus("zip/nested_dicts.pt");
    let limits = Limits::default();
    let scanned = scan(&file, None, &limits).unwrap();
    let mut graph = decode(&scanned.outline, &limits).unwrap();
    let root = graph.root;
    let dropped = graph.items(root)[0].0;
    graph.node_mut(root).tail.retain(|step| !matches!(step, Tail::Set(key, _) if *key == dropped));
    add_tensor(&mut graph, "added", Dtype::Bf16, 6);
    add_tensor(&mut graph, "half", Dtype::F8E5M2, 6);
    let old = scanned.outline.storages.len();
    let storage = |id: StorageId| match id.index() < old {
        true => storage_bytes(&file, &scanned, id),
        false => vec![0; 6],
    };
    let encoded = encode(&graph, &scanned.outline, &|id| facts(&storage(id))).unwrap();
    let written = assemble(&encoded.outline, &|id| storage(encoded.order[id.index()]));

    let scanned = scan(&written, None, &limits).unwrap();
    assert_eq!(scanned.outline, encoded.outline);
    let read = decode(&scanned.outline, &limits).unwrap();
    assert_eq!(read.items(read.root).len(), graph.items(root).len());
    for (key, class) in [("added", "torch.BFloat16Storage"), ("half", "torch.storage.UntypedStorage")] {
        let tensor = read.as_tensor(read.get(read.root, key).unwrap()).unwrap();
        assert_eq!((tensor.storage.class.as_str(), tensor.storage.location.as_str()), (class, "cpu"));
    }
    let keys: Vec<_> = read.storages.iter().map(|storage| storage.key.clone()).collect();
    assert_eq!(keys, (0..keys.len()).map(|key| key.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_storage_seen_as_two_types_is_written_untyped() {
    let file = corpus("zip/buffer_saved.pt");
    let limits = Limits::default();
    let scanned = scan(&file, None, &limits).unwrap();
    let mut graph = decode(&scanned.outline, &limits).unwrap();
    let first = graph.get(graph.root, "a").unwrap();
    let mut tensor = graph.as_tensor(first).unwrap().clone();
    tensor.dtype = Dtype::I32;
    tensor.storage.class = "torch.IntStorage".to_owned();
    let second = graph.add(Kind::Tensor(Box::new(tensor)));
    let root = graph.root;
    graph.set(root, "b", second);
    let (_, read, _) = round(&write(&file, &scanned, &graph).unwrap()).unwrap();
    let dtype = |key| {
        let tensor = read.as_tensor(read.get(read.root, key).unwrap()).unwrap();
        assert_eq!(tensor.storage.class, "torch.storage.UntypedStorage");
        tensor.dtype
    };
    assert_eq!((dtype("a"), dtype("b")), (Dtype::F32, Dtype::I32));
}

#[test]
fn a_view_of_a_storage_is_written_as_one_in_the_old_form() {
    let (_, graph, written) = round(&corpus("legacy/view_metadata.pt")).unwrap();
    let (_, again, _) = round(&written).unwrap();
    let views = |graph: &Graph| -> Vec<_> {
        let tensors = graph.nodes.iter().filter_map(|node| match &node.kind {
            Kind::Tensor(tensor) => Some((tensor.offset, tensor.storage.storage, tensor.storage.view)),
            _ => None,
        });
        tensors.collect()
    };
    assert!(views(&graph).iter().any(|(.., view)| view.is_some()));
    assert_eq!(views(&graph), views(&again));
}

/// A torch file of this pickle and one storage.
fn torch_file(pickle: &[u8], storage: (u16, &[u8])) -> Vec<u8> {
    let entries =
        [("a/data.pkl", 0, pickle), ("a/data/0", storage.0, storage.1), ("a/version", 0, &b"3\n"[..])];
    zip(b"", &entries)
}

#[test]
fn a_tensor_that_reaches_beyond_its_storage_is_refused() {
    for name in ["tensor_oob_size", "tensor_oob_offset"] {
        let file = torch_file(&corpus(&format!("malicious/pkl_{name}.pkl")), (0, &[0; 12]));
        let outline = scan(&file, None, &Limits::default()).unwrap().outline;
        let error = chain(&decode(&outline, &Limits::default()).unwrap_err());
        assert!(error.ends_with("it reaches beyond its storage"), "{error}");
    }
}

#[test]
fn a_compressed_storage_comes_back_as_it_was() {
    let file = torch_file(b"N.", (8, &[0; 12]));
    let (scanned, _, _) = round(&file).unwrap();
    assert_eq!(assemble(&scanned.outline, &|id| storage_bytes(&file, &scanned, id)), file);
}

#[test]
fn a_compressed_pickle_is_read_and_comes_back_as_it_was() {
    let pickle = b"\x80\x02]q\x00.";
    let file = zip(b"", &[("a/data.pkl", 8, pickle), ("a/version", 0, b"3\n")]);
    let (scanned, graph, _) = round(&file).unwrap();
    assert_eq!(graph.kind(graph.root), &Kind::List);
    assert_eq!(assemble(&scanned.outline, &|_| unreachable!()), file);
}

#[test]
fn tensors_over_a_storage_of_two_classes_stay_calls() {
    let mut graph = Graph::new();
    let call = |graph: &mut Graph, class: &str| {
        let tag = graph.add_str("storage");
        let class = graph.add(Kind::Global { module: "torch".into(), name: class.into() });
        let (key, location, three) = (graph.add_str("0"), graph.add_str("cpu"), graph.add(Kind::Int(3)));
        let id = graph.add(Kind::Tuple(vec![tag, class, key, location, three]));
        let storage = graph.add(Kind::PersistentId(id));
        let zero = graph.add(Kind::Int(0));
        let one = graph.add(Kind::Int(1));
        let (shape, strides) = (graph.add(Kind::Tuple(vec![three])), graph.add(Kind::Tuple(vec![one])));
        let no = graph.add(Kind::Bool(false));
        let hooks = graph.add(Kind::None);
        let args = graph.add(Kind::Tuple(vec![storage, zero, shape, strides, no, hooks]));
        let callee = Kind::Global { module: "torch._utils".into(), name: "_rebuild_tensor_v2".into() };
        let callee = graph.add(callee);
        graph.add(Kind::Reduce { callee, args })
    };
    let root = graph.root;
    for (key, class) in [("a", "FloatStorage"), ("b", "IntStorage")] {
        let node = call(&mut graph, class);
        graph.set(root, key, node);
    }
    let file = torch_file(&pickle::write(&graph, 2).unwrap(), (0, &[0; 12]));
    let (_, read, written) = round(&file).unwrap();
    assert_eq!(tensors(&read), 0);
    // Torch loads both as the class that is named first, and must find the same names again.
    let (_, again, _) = round(&written).unwrap();
    for graph in [read, again] {
        let classes = graph.nodes.iter().filter_map(|node| match &node.kind {
            Kind::Storage(storage) => Some(storage.class.as_str()),
            _ => None,
        });
        assert_eq!(classes.collect::<Vec<_>>(), ["torch.FloatStorage", "torch.IntStorage"]);
    }
}

#[test]
fn bytes_behind_the_end_of_a_pickle_come_back_and_are_not_written_anew() {
    let file = torch_file(b"\x80\x02}q\x00.and more", (0, &[0; 12]));
    let (scanned, graph, written) = round(&file).unwrap();
    assert_eq!(assemble(&scanned.outline, &|id| storage_bytes(&file, &scanned, id)), file);
    assert_eq!(graph.kind(graph.root), &Kind::Dict);
    assert_eq!(scan(&written, None, &Limits::default()).unwrap().outline.skeleton, b"\x80\x02}q\x00.");
}

#[test]
fn hooks_that_two_tensors_share_stay_shared() {
    let file = corpus("zip/tied.pt");
    let limits = Limits::default();
    let scanned = scan(&file, None, &limits).unwrap();
    let mut graph = decode(&scanned.outline, &limits).unwrap();
    let callee = graph.add(Kind::Global { module: "collections".into(), name: "OrderedDict".into() });
    let args = graph.add(Kind::Tuple(Vec::new()));
    let hooks = graph.add(Kind::Reduce { callee, args });
    for key in ["c", "d"] {
        let id = graph.get(graph.root, key).unwrap();
        let Kind::Tensor(tensor) = &mut graph.node_mut(id).kind else { panic!("`{key}` is no tensor") };
        assert_eq!(tensor.hooks, None);
        tensor.hooks = Some(hooks);
    }
    let (_, read, _) = round(&write(&file, &scanned, &graph).unwrap()).unwrap();
    let hooks = |key| -> Option<NodeId> { read.as_tensor(read.get(read.root, key).unwrap()).unwrap().hooks };
    assert!(hooks("c").is_some());
    assert_eq!(hooks("c"), hooks("d"));
}

#[test]
fn what_safetensors_cannot_hold_is_refused_by_name() {
    let file = corpus("safetensors/meta.safetensors");
    let limits = Limits::default();
    let scanned = scan(&file, None, &limits).unwrap();
    let sound = decode(&scanned.outline, &limits).unwrap();
    let refused = |change: &dyn Fn(&mut Graph)| {
        let mut graph = sound.clone();
        change(&mut graph);
        let error = encode(&graph, &scanned.outline, &|id| {
            let bytes = graph.storage(id).bytes;
            StorageFacts { bytes, crc32: 0 }
        });
        chain(&error.unwrap_err())
    };
    let root = sound.root;
    let error = refused(&|graph| {
        let text = graph.add_str("text");
        graph.set(root, "note", text);
    });
    assert!(error.ends_with("`note` cannot be written: it is no tensor"), "{error}");
    let error = refused(&|graph| add_tensor(graph, "bits", Dtype::Bits8, 4));
    assert!(error.ends_with("`bits` cannot be written: safetensors has no such element type"), "{error}");
    let error = refused(&|graph| {
        add_tensor(graph, "w", Dtype::F32, 16);
        let first = graph.get(root, "w").unwrap();
        let shared = graph.add(graph.kind(first).clone());
        graph.set(root, "x", shared);
    });
    assert!(error.ends_with("`x` cannot be written: it shares its memory with another tensor"), "{error}");
    let error = refused(&|graph| {
        add_tensor(graph, "w", Dtype::F32, 16);
        let first = graph.get(root, "w").unwrap();
        if let Kind::Tensor(tensor) = &mut graph.node_mut(first).kind {
            tensor.shape = vec![2];
        }
    });
    assert!(error.contains("`w` cannot be written: it is a view"), "{error}");
}

/// A file of parts whose storages are zeros, without holding them.
struct Sparse {
    parts: Vec<(u64, Vec<u8>)>,
    bytes: u64,
}

impl Source for Sparse {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        buffer.fill(0);
        for (start, part) in &self.parts {
            let from = offset.max(*start);
            let to = (offset + buffer.len() as u64).min(start + part.len() as u64);
            if from < to {
                let found = &part[(from - start) as usize..(to - start) as usize];
                buffer[(from - offset) as usize..(to - offset) as usize].copy_from_slice(found);
            }
        }
        Ok(())
    }
}

#[test]
fn storages_over_four_gibibytes_are_laid_out_with_zip64() {
    let file = corpus("zip/tied.pt");
    let limits = Limits::default();
    let scanned = scan(&file, None, &limits).unwrap();
    let mut graph = decode(&scanned.outline, &limits).unwrap();
    let sizes = [0x1_0000_0040, 0xffff_ffff, 12];
    for (index, bytes) in sizes.into_iter().enumerate() {
        add_tensor(&mut graph, &format!("large{index}"), Dtype::U8, bytes);
    }
    let encoded = encode(&graph, &scanned.outline, &|id| {
        let bytes = graph.storage(id).bytes;
        StorageFacts { bytes, crc32: 7 }
    })
    .unwrap();
    let mut sparse = Sparse { parts: Vec::new(), bytes: 0 };
    for part in &encoded.outline.parts {
        let bytes = match part {
            Part::Literal(bytes) => bytes,
            Part::Skeleton => &encoded.outline.skeleton,
            Part::Extra(index) => &encoded.outline.extras[*index as usize].bytes,
            Part::Storage(id) => {
                sparse.bytes += encoded.outline.storages[id.index()].bytes;
                continue;
            }
        };
        sparse.parts.push((sparse.bytes, bytes.clone()));
        sparse.bytes += bytes.len() as u64;
    }
    let scanned = scan(&sparse, None, &limits).unwrap();
    assert_eq!(scanned.outline, encoded.outline);
    let found: Vec<_> = scanned.spans.iter().rev().take(3).rev().map(|span| span.bytes).collect();
    assert_eq!(found, sizes);
    assert!(scanned.spans.iter().all(|span| span.offset % 64 == 0));
    // The first large one's local header: a zip64 field of the content's length, the stored one's unknown.
    let field = b"\x01\0\x10\0\x40\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0";
    let is_there = |(_, part): &(u64, Vec<u8>)| part.windows(field.len()).any(|window| window == field);
    assert!(sparse.parts.iter().any(is_there));
}

#[test]
fn formats_lead_back_from_their_names() {
    for &format in Format::ALL {
        assert_eq!(Format::from_name(format.name()), Some(format));
    }
    assert_eq!(Format::from_name("tar of nothing"), None);
}

#[test]
fn literal_runs_are_joined() {
    let mut parts = Parts::default();
    parts.literal(b"a");
    parts.literal(b"b");
    parts.push(Part::Skeleton);
    parts.literal(b"");
    assert_eq!(parts.finish(), [Part::Literal(b"ab".to_vec()), Part::Skeleton]);
}
