//! A folder with a store in it, and the program to use it with.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A checkpoint of tests/data.
pub fn data(path: &str) -> PathBuf {
    root().join("tests/data").join(path)
}

/// The checkpoint that the tests import: trained at 0.8.1 of the shipped catalogue.
pub fn old_checkpoint() -> PathBuf {
    data("demo/trained-0.8.1.ckpt")
}

/// The program, told nothing by the environment.
pub fn ckstore() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ckstore"));
    command.env_remove("CKSTORE_DIR").env_remove("NO_COLOR").env("CKSTORE_ACTOR", "ada");
    command
}

/// What a run of the program came to.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).expect("output is text");
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The document on stdout.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}

/// A folder of its own, gone when dropped.
pub struct Home {
    pub dir: TempDir,
}

impl Home {
    /// An empty folder.
    pub fn new() -> Home {
        Home { dir: tempfile::tempdir().unwrap() }
    }

    /// A folder with the shipped catalogue and `a.ckpt`, which is not imported yet.
    pub fn with_checkpoint() -> Home {
        let home = Home::new();
        copy_folder(&root().join("migrations"), &home.path("migrations"));
        fs::copy(old_checkpoint(), home.path("a.ckpt")).unwrap();
        home
    }

    /// As [`with_checkpoint`](Home::with_checkpoint), and the checkpoint was imported and brought to 0.8.3.
    pub fn migrated() -> Home {
        let home = Home::with_checkpoint();
        home.run(["import", "a.ckpt"]).ok();
        home.run(["tag", "first"]).ok();
        home.run(["checkout", "--version", "0.8.3"]).ok();
        home
    }

    /// A copy of everything in the folder. Working files stay those of the original.
    pub fn copy(&self) -> Home {
        let home = Home::new();
        copy_folder(self.dir.path(), home.dir.path());
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command that runs here.
    pub fn command<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Command {
        let mut command = ckstore();
        command.current_dir(self.dir.path()).args(arguments);
        command
    }

    /// Runs a command here.
    pub fn run<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Runs a command here that must succeed, and returns its document.
    #[track_caller]
    pub fn json<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Value {
        let ran = Ran::of(self.command(arguments).arg("--json").output().unwrap());
        ran.ok().json()
    }

    /// The ledger's tables, free to be damaged.
    pub fn sql(&self) -> Connection {
        let connection = Connection::open(self.path(".ckstore/ledger.db")).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        connection
    }

    /// The packs on disk, by name.
    pub fn packs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path(".ckstore/packs")).unwrap();
        let mut packs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        packs.retain(|path| path.extension() == Some(OsStr::new("pack")));
        packs.sort();
        packs
    }

    /// Codes of what fsck finds, sorted, each once, without notes unless asked for.
    pub fn findings(&self, with_notes: bool) -> Vec<String> {
        let ran = self.run(["fsck", "--json"]);
        let report = ran.json();
        let findings = report["findings"].as_array().unwrap_or_else(|| panic!("{ran:?}"));
        let wanted = findings.iter().filter(|finding| with_notes || finding["severity"] != "note");
        let mut codes: Vec<String> =
            wanted.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect();
        codes.sort();
        codes.dedup();
        codes
    }
}

pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a file holds; of a folder, the names, permission bits and contents of all that is in it.
pub fn content_of(path: &Path) -> Option<Vec<u8>> {
    let metadata = fs::metadata(path).ok()?;
    if metadata.is_file() {
        return fs::read(path).ok();
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let place = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&place).unwrap();
            let content = if metadata.is_symlink() {
                fs::read_link(&place).unwrap().into_os_string().into_encoded_bytes()
            } else if metadata.is_dir() {
                folders.push(place.clone());
                Vec::new()
            } else {
                fs::read(&place).unwrap()
            };
            #[cfg(unix)]
            let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
            #[cfg(not(unix))]
            let mode = 0;
            found.push((place.strip_prefix(path).unwrap().to_owned(), mode, content));
        }
    }
    found.sort();
    Some(format!("{found:?}").into_bytes())
}

/// A tensor of a safetensors file.
pub struct Tensor {
    pub name: String,
    pub dtype: &'static str,
    pub shape: Vec<u64>,
    pub bytes: Vec<u8>,
}

/// The bytes of a safetensors file.
pub fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut bytes: Vec<u8> = Vec::new();
    for tensor in tensors {
        let start = bytes.len();
        bytes.extend(&tensor.bytes);
        let entry = serde_json::json!({
            "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [start, bytes.len()],
        });
        header.insert(tensor.name.clone(), entry);
    }
    let mut text = Value::Object(header).to_string();
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    let mut file = (text.len() as u64).to_le_bytes().to_vec();
    file.extend(text.into_bytes());
    file.extend(bytes);
    file
}
