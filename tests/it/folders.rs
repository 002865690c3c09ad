//! Folders as one checkpoint: taken in, shown, migrated, and given back.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Home, content_of, copy_folder, data};

/// The shards of a Hugging Face model, as safetensors and as torch files, and a folder that two ranks wrote with
/// `torch.distributed.checkpoint`.
const FOLDERS: [&str; 3] = ["hf", "hf-bin", "dcp"];

impl Home {
    /// A folder of the test data, and a catalogue whose migration renames tensors.
    fn with_folder(name: &str) -> Home {
        let home = Home::new();
        copy_folder(&data("folders").join(name), &home.path(name));
        fs::create_dir(home.path("migrations")).unwrap();
        let rename = |from: &str, to: &str| format!("[[step]]\nrename = \"{from}\"\nto = \"{to}\"\n");
        let steps = match name {
            "dcp" => rename("model.a.*", "net.first.*") + &rename("step", "epoch"),
            _ => rename("model.layers.*", "net.blocks.*"),
        };
        fs::write(home.path("migrations/1700000000_names.toml"), format!("version = \"1.0\"\n\n{steps}"))
            .unwrap();
        home
    }
}

fn names(listed: &Value) -> Vec<&str> {
    listed["tensors"].as_array().unwrap().iter().map(|tensor| tensor["path"].as_str().unwrap()).collect()
}

#[cfg(unix)]
#[test]
fn a_folder_returns_with_names_modes_and_links() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let home = Home::with_folder("hf");
    let folder = home.path("hf");
    fs::create_dir_all(folder.join("onnx/none")).unwrap();
    fs::write(folder.join("empty"), b"").unwrap();
    fs::write(folder.join("onnx/run.sh"), b"#!/bin/sh\n").unwrap();
    symlink("../config.json", folder.join("onnx/config.json")).unwrap();
    symlink("nowhere", folder.join("dangling")).unwrap();
    for (name, mode) in
        [("config.json", 0o600), ("onnx/run.sh", 0o755), ("onnx/none", 0o500), ("README.md", 0o444)]
    {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let before = content_of(&folder);
    let report = home.json(["import", "hf"]);
    assert_eq!(
        (&report["format"], &report["tensors"], &report["ref"]),
        (&"folder".into(), &9.into(), &"hf".into())
    );
    assert_eq!(home.json(["status"])["working_file"]["state"], "clean");
    home.run(["checkout", "-o", "copy"]).ok();
    assert!(content_of(&home.path("copy")) == before);
    fs::remove_dir_all(&folder).unwrap();
    home.run(["checkout", "-o", "hf"]).ok();
    assert!(content_of(&folder) == before);
    assert_eq!(home.findings(true), [""; 0]);
}

#[cfg(unix)]
#[test]
fn files_are_listed_and_a_change_of_one_is_told() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let home = Home::with_folder("hf-bin");
    let path = |name: &str| home.path("hf-bin").join(name);
    home.run(["import", "hf-bin"]).ok();
    let listed = home.json(["ls"])["files"].clone();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|file| &file["path"]).collect();
    assert_eq!(names.len(), 7);
    let last = &listed[6];
    assert_eq!((&last["path"], &last["kind"]), (&"tokenizer_config.json".into(), &"file".into()));
    assert_eq!((&last["format"], &last["bytes"]), (&"json".into(), &25.into()));
    // As long as before, with other permissions, new, gone, and one whose values tell what changed.
    fs::set_permissions(path("tokenizer.model"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(path("config.json"), fs::Permissions::from_mode(0o600)).unwrap();
    home.run(["import", "hf-bin"]).ok();
    fs::write(path("tokenizer.model"), [7; 600]).unwrap();
    fs::set_permissions(path("config.json"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("config.json", path("link")).unwrap();
    fs::remove_file(path("README.md")).unwrap();
    fs::write(path("tokenizer_config.json"), "{\"changed\": 1}").unwrap();
    home.run(["import", "hf-bin"]).ok();
    let files = home.json(["diff"])["files"].clone();
    let rows = files.as_array().unwrap().iter().map(|change| {
        let text = |side: &str| change[side].as_str().unwrap_or("-").to_owned();
        (change["path"].as_str().unwrap(), text("before"), text("after"))
    });
    let rows: Vec<_> = rows.map(|(path, before, after)| format!("{path}: {before} => {after}")).collect();
    assert_eq!(
        rows[1..],
        [
            "config.json: 59 bytes, mode 600 => 59 bytes, mode 755",
            "link: - => a link to config.json",
            "tokenizer.model: 600 bytes, mode 644 => 600 bytes, mode 644"
        ]
    );
    assert!(rows[0].starts_with("README.md: 7 bytes") && rows[0].ends_with("=> -"), "{rows:?}");
}

#[test]
fn a_change_of_plain_bytes_is_told() {
    let home = Home::new();
    for content in ["one", "two"] {
        fs::write(home.path("a.dat"), content).unwrap();
        home.run(["import", "a.dat"]).ok();
    }
    let ran = home.run(["diff", "--exit-code"]);
    assert_eq!((ran.code, ran.stdout.lines().next()), (Some(10), Some("F (the file): 3 bytes => 3 bytes")));
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_and_special_files_are_refused() {
    use std::os::unix::fs::symlink;
    let links =
        [("out", "/etc/passwd"), ("out", "../migrations"), ("deep/up", ".."), ("deep/out", "up/../x")];
    for count in [1, 2, 4] {
        let home = Home::with_folder("hf");
        fs::create_dir(home.path("hf/deep")).unwrap();
        let chosen = if count == 4 { &links[2..4] } else { &links[count - 1..count] };
        for (name, target) in chosen {
            symlink(target, home.path("hf").join(name)).unwrap();
        }
        let ran = home.run(["import", "hf", "--json"]);
        assert_eq!((ran.code, ran.json()["error"]["code"].as_str()), (Some(2), Some("E_INPUT")), "{ran:?}");
        assert!(ran.stdout.contains("leads out of the folder"), "{ran:?}");
        assert!(!home.path(".ckstore").exists());
    }
    let home = Home::with_folder("hf");
    std::os::unix::net::UnixListener::bind(home.path("hf/socket")).unwrap();
    let ran = home.run(["import", "hf"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("is a device, pipe or socket"), "{ran:?}");
}

#[test]
fn names_change_in_every_kind_of_folder_and_back() {
    for name in FOLDERS {
        let home = Home::with_folder(name);
        let folder = home.path(name);
        let before = content_of(&folder);
        home.run(["import", name, "--version", "0.1"]).ok();
        let old = home.json(["ls"]);
        home.run(["checkout", "--version", "1.0"]).ok();
        let new = home.json(["ls"]);
        let renamed = |name: &str| name.replace("model.layers", "net.blocks").replace("model.a", "net.first");
        let mut expected: Vec<String> = names(&old).into_iter().map(renamed).collect();
        let mut found: Vec<String> = names(&new).into_iter().map(str::to_owned).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{name}");
        assert_ne!(names(&old), names(&new), "{name}");
        let diff = home.json(["diff", "HEAD~1", "HEAD"]);
        assert_eq!(
            diff["changed"].as_array().unwrap().len() + diff["added"].as_array().unwrap().len(),
            0,
            "{diff}"
        );

        // What was written reads as what is stored.
        let other = Home::new();
        copy_folder(&folder, &other.path("again"));
        other.run(["import", "again"]).ok();
        assert_eq!(names(&other.json(["ls"])), names(&new), "{name}");

        assert_eq!(home.json(["status"])["working_file"]["state"], "clean");
        home.run(["checkout", "--version", "base"]).ok();
        assert!(content_of(&folder) == before, "{name}");
    }
}

#[test]
fn an_index_names_the_shard_of_every_tensor_after_a_migration() {
    let home = Home::with_folder("hf");
    home.run(["import", "hf", "--version", "0.1"]).ok();
    home.run(["checkout", "--version", "1.0"]).ok();
    let index: Value =
        serde_json::from_slice(&fs::read(home.path("hf/model.safetensors.index.json")).unwrap()).unwrap();
    let map = index["weight_map"].as_object().unwrap();
    assert_eq!(map.len(), 9);
    assert_eq!(index["metadata"]["total_size"], 8 * 512 + 16);
    for (tensor, shard) in map {
        let shard = fs::read(home.path("hf").join(shard.as_str().unwrap())).unwrap();
        let named = format!("\"{tensor}\":");
        assert!(shard.windows(named.len()).any(|part| part == named.as_bytes()), "{tensor}");
    }
    // Documents beside the shards stay as they are.
    assert_eq!(
        fs::read(home.path("hf/config.json")).unwrap(),
        fs::read(data("folders/hf/config.json")).unwrap()
    );
}

#[test]
fn sharded_tensors_are_listed_whole() {
    let home = Home::with_folder("dcp");
    home.run(["import", "dcp"]).ok();
    let listed = home.json(["ls"]);
    let rows = listed["tensors"].as_array().unwrap().iter().map(|tensor| {
        (tensor["path"].as_str().unwrap(), tensor["shape"].to_string(), tensor["pieces"].as_u64())
    });
    assert_eq!(
        rows.collect::<Vec<_>>(),
        [
            ("model.a.weight", "[8,8]".to_owned(), Some(2)),
            ("model.b.weight", "[6,8]".to_owned(), Some(2)),
            ("model.c", "[5]".to_owned(), None),
        ]
    );
    assert_eq!(home.json(["show", "HEAD", "step"])["value"], 7);
    let shown = home.json(["show", "HEAD", "model.a.weight"]);
    assert_eq!(shown["value"], "tensor float32 [8, 8] in 2 pieces");
    home.run(["branch", "before"]).ok();
    home.run(["baseline", "dcp", "--version", "0.1"]).ok();
    home.run(["checkout", "dcp", "--version", "1.0"]).ok();
    let report = home.json(["diff", "before", "dcp"]);
    let moved = serde_json::json!([{ "from": "model.a.weight", "to": "net.first.weight" }]);
    assert_eq!((&report["renamed"], &report["same"]), (&moved, &2.into()), "{report}");
}

#[test]
fn values_of_a_distributed_checkpoint_do_not_change() {
    let home = Home::with_folder("dcp");
    fs::write(
        home.path("migrations/1700000000_names.toml"),
        "version = \"1.0\"\n\n[[step]]\nset = \"step\"\nto = 8\n",
    )
    .unwrap();
    home.run(["import", "dcp", "--version", "0.1"]).ok();
    let before = content_of(&home.path("dcp"));
    let ran = home.run(["checkout", "--version", "1.0"]);
    assert!(ran.code != Some(0) && ran.stderr.contains("only names can be changed"), "{ran:?}");
    assert!(content_of(&home.path("dcp")) == before);
}

#[test]
fn names_of_nested_values_change_where_they_fit_beside_the_others() {
    let tried = |new: &str| {
        let home = Home::with_folder("dcp");
        let script = format!("version = \"1.0\"\n\n[[step]]\nrename = \"lr.0\"\nto = \"{new}\"\n");
        fs::write(home.path("migrations/1700000000_names.toml"), script).unwrap();
        home.run(["import", "dcp", "--version", "0.1"]).ok();
        (home.run(["checkout", "--version", "1.0"]), home)
    };
    let (ran, home) = tried("trainer.lr.0");
    ran.ok();
    assert!(names(&home.json(["ls"])).contains(&"model.a.weight"));
    assert_eq!(home.json(["show", "HEAD", "trainer.lr.0"])["value"], 0.1);
    // `lr` is a list, in which `first` is no place.
    let (ran, _) = tried("lr.first");
    assert!(ran.code == Some(3) && ran.stderr.contains("`lr.first` cannot be beside"), "{ran:?}");
}

#[test]
fn a_working_folder_that_was_changed_is_refused() {
    let home = Home::with_folder("hf");
    home.run(["import", "hf", "--version", "0.1"]).ok();
    let changes: [fn(&Path); 3] = [
        |folder| fs::write(folder.join("notes.txt"), b"new").unwrap(),
        |folder| fs::remove_file(folder.join("README.md")).unwrap(),
        |folder| fs::write(folder.join("config.json"), b"{\"hidden_size\": 16}").unwrap(),
    ];
    for change in changes {
        change(&home.path("hf"));
        let changed = content_of(&home.path("hf"));
        assert_eq!(home.json(["status"])["working_file"]["state"], "changed");
        let ran = home.run(["checkout", "--version", "1.0", "--json"]);
        assert_eq!(ran.json()["error"]["code"], "E_DIRTY", "{ran:?}");
        assert!(content_of(&home.path("hf")) == changed);
        home.run(["import"]).ok();
    }
    fs::write(home.path("hf/notes.txt"), b"newer").unwrap();
    home.run(["checkout", "--version", "1.0", "--import"]).ok();
    assert_eq!(fs::read(home.path("hf/notes.txt")).unwrap(), b"newer");
    assert_eq!(names(&home.json(["ls"]))[0], "net.blocks.0.k.weight");
}

#[test]
fn a_folder_that_was_never_stored_is_not_replaced_even_by_force() {
    let home = Home::with_folder("hf");
    home.run(["import", "hf"]).ok();
    fs::create_dir(home.path("mine")).unwrap();
    fs::write(home.path("mine/thesis.txt"), b"years").unwrap();
    for force in [&[][..], &["--force"]] {
        let ran = home.run([&["checkout", "-o", "mine"], force].concat());
        assert!(ran.code == Some(2) && ran.stderr.contains("E_EXISTS"), "{ran:?}");
    }
    assert_eq!(fs::read(home.path("mine/thesis.txt")).unwrap(), b"years");
    fs::write(home.path("file"), b"1").unwrap();
    let ran = home.run(["checkout", "-o", "file", "--force"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("is a file, not a folder"), "{ran:?}");
}

#[test]
fn a_folder_with_the_store_in_it_is_imported_and_never_replaced() {
    let home = Home::with_folder("hf");
    copy_folder(&data("folders/hf"), home.dir.path());
    home.run(["import", ".", "--name", "here"]).ok();
    assert!(home.path(".ckstore").exists());
    fs::remove_file(home.path("README.md")).unwrap();
    for force in [&[][..], &["--force"]] {
        let ran = home.run([&["checkout", "here"], force].concat());
        assert!(ran.code == Some(2) && ran.stderr.contains("holds the store itself"), "{ran:?}");
    }
    home.run(["checkout", "here", "-o", "copy"]).ok();
    assert!(home.path("copy/README.md").exists() && !home.path("copy/.ckstore").exists());
}

#[test]
fn tensors_of_other_shards_are_stored_once() {
    let home = Home::with_folder("hf");
    let first = home.json(["import", "hf"]);
    copy_folder(&home.path("hf"), &home.path("next"));
    // A last shard that was trained further.
    let shard = home.path("next/model-00002-of-00002.safetensors");
    let mut bytes = fs::read(&shard).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&shard, bytes).unwrap();
    let second = home.json(["import", "next"]);
    let (new, read) = (second["bytes"]["new"].as_u64().unwrap(), second["bytes"]["read"].as_u64().unwrap());
    assert_eq!(read, first["bytes"]["read"].as_u64().unwrap());
    // One tensor, and what describes the folder.
    let description = new - 512;
    assert!(description < first["bytes"]["new"].as_u64().unwrap() / 2, "{second}");
    assert_eq!(home.json(["diff", "hf", "next"])["changed"].as_array().unwrap().len(), 1);
}

#[test]
fn a_large_file_that_was_shifted_is_stored_once() {
    let home = Home::new();
    fs::create_dir_all(home.path("orbax/d")).unwrap();
    let mut noise = vec![0; 6 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    fs::write(home.path("orbax/d/0.0"), &noise).unwrap();
    fs::write(home.path("orbax/.zarray"), b"{\"chunks\": [2, 2]}").unwrap();
    let first = home.json(["import", "orbax"]);
    assert!(first["bytes"]["new"].as_u64().unwrap() > 6 << 20);
    noise.splice(100..100, *b"shifted");
    fs::write(home.path("orbax/d/0.0"), &noise).unwrap();
    let second = home.json(["import", "orbax"]);
    assert!(second["bytes"]["new"].as_u64().unwrap() < 2 << 20, "{second}");
    let after = content_of(&home.path("orbax"));
    home.run(["checkout", "--revision", "HEAD", "-o", "copy"]).ok();
    assert!(content_of(&home.path("copy")) == after);
    assert_eq!(home.json(["show", "HEAD", ".zarray"])["value"]["chunks"][1], 2);
}

#[test]
fn shards_that_contradict_their_index_are_shown_file_by_file() {
    let home = Home::with_folder("hf");
    fs::remove_file(home.path("hf/model-00002-of-00002.safetensors")).unwrap();
    let report = home.json(["import", "hf"]);
    let codes: Vec<_> =
        report["warnings"].as_array().unwrap().iter().map(|warning| &warning["code"]).collect();
    assert_eq!(codes, ["W_INDEX"]);
    assert_eq!(names(&home.json(["ls"]))[0], "model-00001-of-00002.safetensors/model.layers.0.k.weight");
}

#[test]
fn a_document_that_a_migration_takes_away_is_no_longer_written() {
    let home = Home::with_folder("hf");
    fs::write(
        home.path("migrations/1700000000_names.toml"),
        "version = \"1.0\"\n\n[[step]]\ndelete = \"tokenizer_config.json\"\n",
    )
    .unwrap();
    home.run(["import", "hf", "--version", "0.1"]).ok();
    let before = content_of(&home.path("hf"));
    home.run(["checkout", "--version", "1.0"]).ok();
    assert!(!home.path("hf/tokenizer_config.json").exists() && home.path("hf/config.json").exists());
    home.run(["checkout", "--version", "base"]).ok();
    assert!(content_of(&home.path("hf")) == before);
}
