//! Working files whose time says that they were written: they are read, and known by what they hold.

use std::fs;
use std::path::Path;

use crate::support::{Home, copy_folder, data};

impl Home {
    fn state(&self) -> String {
        self.json(["status"])["working_file"]["state"].as_str().unwrap().to_owned()
    }
}

/// Writes a file anew, with another byte in the middle if it shall differ. A file keeps its length.
fn write_anew(path: &Path, differs: bool) {
    let mut bytes = fs::read(path).unwrap();
    if differs {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_file_that_is_written_anew_is_known_by_its_bytes() {
    let plain: Vec<u8> =
        (0..700_000_u32).flat_map(|i| (i / 3).wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    for name in ["torch", "plain"] {
        let home = if name == "torch" { Home::migrated() } else { Home::new() };
        if name == "plain" {
            fs::write(home.path("plain"), &plain).unwrap();
            home.run(["import", "plain"]).ok();
        }
        let path = home.json(["status"])["working_file"]["path"].as_str().unwrap().to_owned();
        assert_eq!(home.state(), "clean");
        write_anew(Path::new(&path), false);
        assert_eq!(home.state(), "clean", "{name}");
        write_anew(Path::new(&path), true);
        assert_eq!(home.state(), "changed", "{name}");
        write_anew(Path::new(&path), true);
        assert_eq!(home.state(), "clean", "{name}");
    }
}

#[test]
fn a_folder_that_is_written_anew_is_known_by_its_files_and_its_list() {
    let home = Home::new();
    copy_folder(&data("folders/hf"), &home.path("hf"));
    home.run(["import", "hf"]).ok();
    write_anew(&home.path("hf/config.json"), false);
    assert_eq!(home.state(), "clean");
    write_anew(&home.path("hf/config.json"), true);
    assert_eq!(home.state(), "changed");
    write_anew(&home.path("hf/config.json"), true);
    assert_eq!(home.state(), "clean");
    // The same bytes one behind the other, under another name.
    fs::rename(home.path("hf/config.json"), home.path("hf/config.jsom")).unwrap();
    assert_eq!(home.state(), "changed");
}

#[test]
fn a_file_that_an_older_revision_holds_may_be_written_over() {
    let home = Home::with_checkpoint();
    home.run(["import", "a.ckpt"]).ok();
    let path = home.json(["status"])["working_file"]["path"].as_str().unwrap().to_owned();
    let first = fs::read(&path).unwrap();
    home.run(["checkout", "--version", "0.8.3"]).ok();
    let second = fs::read(&path).unwrap();
    assert!(first != second);
    fs::write(&path, &first).unwrap();
    home.run(["checkout"]).ok();
    assert!(fs::read(&path).unwrap() == second);
    let mut other = first.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&path, &other).unwrap();
    let ran = home.run(["checkout", "--json"]);
    assert_eq!(ran.json()["error"]["code"], "E_DIRTY", "{ran:?}");
    assert!(fs::read(&path).unwrap() == other);
}
