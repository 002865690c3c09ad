//! Checkpoints written in another format: the same tensors, or a word about what would be lost.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Home, content_of, copy_folder, data};

/// Writes a ref in another format.
fn convert(home: &Home, name: &str, format: &str, output: &str, more: &[&str]) -> Value {
    home.json([&["checkout", name, "--format", format, "-o", output], more].concat())
}

/// The tensors of a ref as numbers, by name.
fn numbers(home: &Home, name: &str) -> Value {
    let output = format!("{name}.numbers.json");
    convert(home, name, "json", &output, &["--force", "--lossy"]);
    let mut document: Value = serde_json::from_slice(&fs::read(home.path(&output)).unwrap()).unwrap();
    let values = document.as_object_mut().unwrap();
    // What is no tensor of the model.
    values.retain(|name, value| value.is_array() && !name.ends_with(".json") && name != "lr.0");
    document
}

#[track_caller]
fn refused(home: &Home, arguments: &[&str]) -> Value {
    let before = content_of(home.dir.path());
    let ran = home.run([arguments, &["--json"]].concat());
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let error = ran.json()["error"].clone();
    assert_eq!(error["code"], "E_CONVERT");
    assert!(content_of(home.dir.path()) == before, "a refusal changes nothing");
    error
}

#[test]
fn every_format_gives_the_same_tensors() {
    let sources = [
        ("hf", data("folders/hf"), &["--lossy"][..], &["safetensors", "torch", "gguf"][..]),
        ("hf-bin", data("folders/hf-bin"), &["--lossy"], &["safetensors", "torch", "gguf"]),
        ("dcp", data("folders/dcp"), &["--lossy"], &["safetensors", "torch", "gguf"]),
        ("npz", data("corpus/numpy/plain.npz"), &[], &["safetensors", "npz", "torch"]),
        ("gguf", data("corpus/gguf/align64.gguf"), &["--lossy"], &["safetensors", "npz", "torch", "gguf"]),
        ("torch", data("corpus/zip/align16.pt"), &[], &["safetensors", "npz", "torch", "gguf"]),
        ("shapes", data("corpus/zip/zero_d_empty.pt"), &[], &["safetensors", "npz", "torch"]),
    ];
    for (name, path, more, formats) in sources {
        let home = Home::new();
        home.run(["import".as_ref(), path.as_os_str(), "--name".as_ref(), name.as_ref()]).ok();
        let expected = numbers(&home, name);
        assert!(!expected.as_object().unwrap().is_empty(), "{name}");
        for format in formats {
            let report = convert(&home, name, format, format, more);
            assert_eq!(report["files"], 1, "{report}");
            home.run(["import", format, "--name", "again"]).ok();
            assert_eq!(numbers(&home, "again"), expected, "{name} as {format}");
            home.run(["checkout", name]).ok();
        }
        assert_eq!(home.findings(true), [""; 0]);
    }
}

#[test]
fn what_would_be_lost_is_named() {
    let home = Home::with_checkpoint();
    home.run(["import", "a.ckpt"]).ok();
    let error = refused(&home, &["checkout", "--format", "safetensors", "-o", "out"]);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("`epoch` is the number 1"), "{message}");
    assert!(error["hint"].as_str().unwrap().contains("`--state-dict state_dict`"), "{error}");
    refused(&home, &["checkout", "--format", "npz", "-o", "out", "--state-dict", "epoch"]);
    refused(&home, &["checkout", "--format", "npz", "-o", "out", "--state-dict", "nowhere"]);
    let report = convert(&home, "a", "safetensors", "out", &["--state-dict", "state_dict"]);
    assert_eq!(report["left_out"], serde_json::json!([]));
    assert_eq!(home.json(["status"])["working_file"]["state"], "clean");
}

#[test]
fn shared_memory_is_named_and_written_for_each_name_when_that_is_wanted() {
    let home = Home::new();
    let path = data("corpus/zip/tied.pt");
    home.run(["import".as_ref(), path.as_os_str()]).ok();
    let error = refused(&home, &["checkout", "--format", "safetensors", "-o", "out"]);
    assert!(
        error["message"].as_str().unwrap().contains("`b` is tied: it shares its memory with `a`"),
        "{error}"
    );
    let expected = numbers(&home, "tied");
    let report = convert(&home, "tied", "safetensors", "out", &["--lossy"]);
    assert_eq!(report["left_out"][0]["path"], "b", "{report}");
    home.run(["import", "out"]).ok();
    assert_eq!(numbers(&home, "out"), expected);
    // Torch can say it.
    let report = convert(&home, "tied", "torch", "again.pt", &[]);
    assert_eq!(report["left_out"], serde_json::json!([]));
}

#[test]
fn element_types_that_a_format_lacks_are_refused_by_name() {
    for (file, format, dtype) in [
        ("folders/dcp", "npz", "bfloat16"),
        ("corpus/zip/dtypes.pt", "safetensors", "complex32"),
        ("corpus/zip/dtypes.pt", "json", "complex64"),
        ("corpus/zip/dtypes.pt", "gguf", "bool"),
    ] {
        let home = Home::new();
        let path = data(file);
        home.run(["import".as_ref(), path.as_os_str(), "--name".as_ref(), "it".as_ref()]).ok();
        let error = refused(&home, &["checkout", "--format", format, "-o", "out", "--lossy"]);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("has elements of type") && message.contains(format), "{message} {dtype}");
    }
}

#[test]
fn shards_have_a_bounded_size_and_an_index() {
    let home = Home::new();
    copy_folder(&data("folders/hf"), &home.path("hf"));
    home.run(["import", "hf"]).ok();
    let report = convert(&home, "hf", "safetensors", "shards", &["--lossy", "--shard-size", "1KiB"]);
    let index: Value =
        serde_json::from_slice(&fs::read(home.path("shards/model.safetensors.index.json")).unwrap()).unwrap();
    assert_eq!(index["metadata"]["total_size"], 8 * 512 + 16);
    assert_eq!(index["weight_map"].as_object().unwrap().len(), 9);
    assert_eq!(index["weight_map"]["lm_head.weight"], "model-00005-of-00005.safetensors");
    assert_eq!(report["files"], 6);
    home.run(["import", "shards"]).ok();
    assert_eq!(home.json(["status"])["format"], "folder");
    assert_eq!(numbers(&home, "shards"), numbers(&home, "hf"));
}

#[test]
fn a_folder_of_arrays_names_each_in_its_document() {
    let home = Home::with_checkpoint();
    home.run(["import", "a.ckpt"]).ok();
    let report = convert(&home, "a", "dir", "arrays", &["--state-dict", "state_dict"]);
    let files = report["tensors"].as_u64().unwrap();
    let document: Value =
        serde_json::from_slice(&fs::read(home.path("arrays/values.json")).unwrap()).unwrap();
    let document = document.as_object().unwrap();
    assert_eq!(document.len() as u64, files);
    for entry in document.values() {
        let array = fs::read(home.path("arrays").join(entry["npy"].as_str().unwrap())).unwrap();
        assert!(array.starts_with(b"\x93NUMPY"));
    }
}

#[test]
fn files_of_plain_bytes_are_no_silent_loss() {
    let home = Home::new();
    copy_folder(&data("folders/hf"), &home.path("hf"));
    home.run(["import", "hf"]).ok();
    fs::write(home.path("notes"), b"neither").unwrap();
    home.run(["import", "notes"]).ok();
    let told = |name: &str, format: &str| {
        refused(&home, &["checkout", name, "--format", format, "-o", "new"])["message"].to_string()
    };
    for format in ["safetensors", "torch", "json"] {
        let message = told("hf", format);
        assert!(message.contains("`tokenizer.model` is a file of plain bytes"), "{format}: {message}");
    }
    for format in ["safetensors", "torch", "json", "dir"] {
        let message = told("notes", format);
        assert!(message.contains("it is kept as `bytes`"), "{format}: {message}");
    }
    let report = convert(&home, "hf", "json", "hf.json", &["--lossy"]);
    assert_eq!(report["left_out"].as_array().unwrap().len(), 2, "{report}");
}

#[test]
fn a_distributed_checkpoint_becomes_one_torch_file_with_its_values() {
    let home = Home::new();
    copy_folder(&data("folders/dcp"), &home.path("dcp"));
    home.run(["import", "dcp"]).ok();
    let report = convert(&home, "dcp", "torch", "whole.pt", &[]);
    assert_eq!((&report["tensors"], &report["left_out"]), (&3.into(), &serde_json::json!([])));
    home.run(["import", "whole.pt"]).ok();
    assert_eq!(numbers(&home, "whole"), numbers(&home, "dcp"));
    // A folder and a file are compared by what they hold.
    assert_eq!(home.json(["diff", "dcp", "whole"])["files"], Value::Null);
    assert_eq!(home.json(["show", "whole", "lr.0"])["value"], 0.1);
}

#[test]
fn types_of_numpy_stay_in_its_formats() {
    let home = Home::new();
    for name in ["struct", "unicode"] {
        fs::copy(data(&format!("corpus/numpy/{name}.npy")), home.path("a.npy")).unwrap();
        home.run(["import", "a.npy", "--name", name]).ok();
        convert(&home, name, "npz", &format!("{name}.npz"), &[]);
        home.run(["import", &format!("{name}.npz"), "--name", "packed"]).ok();
        let array = |name: &str| {
            let tensor = home.json(["ls", name])["tensors"][0].clone();
            (tensor["kind"].clone(), tensor["shape"].clone(), tensor["bytes"].clone())
        };
        assert_eq!(array("packed"), array(name));
        assert!(array(name).0.as_str().unwrap().starts_with("NumPy "));
        refused(&home, &["checkout", name, "--format", "safetensors", "-o", "new"]);
    }
}

#[test]
fn a_conversion_overwrites_files_by_force_alone_and_folders_never() {
    let home = Home::new();
    copy_folder(&data("folders/hf"), &home.path("hf"));
    home.run(["import", "hf"]).ok();
    fs::write(home.path("mine"), b"precious").unwrap();
    let to = |output: &str, more: &[&str]| {
        home.run([&["checkout", "--format", "safetensors", "--lossy", "-o", output], more].concat())
    };
    assert_eq!(to("mine", &[]).code, Some(2));
    assert_eq!(fs::read(home.path("mine")).unwrap(), b"precious");
    to("mine", &["--force"]).ok();
    let before = content_of(Path::new(&home.path("hf")));
    assert_eq!(to("hf", &["--force"]).code, Some(2));
    assert_eq!(to("hf", &["--force", "--shard-size", "1MB"]).code, Some(2));
    assert!(content_of(&home.path("hf")) == before);
    assert_eq!(home.run(["checkout", "--format", "safetensors"]).code, Some(2));
    assert_eq!(to("new", &["--shard-size", "lots"]).code, Some(2));
}
