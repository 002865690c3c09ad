//! Files of real frameworks, and hostile ones: what is sound comes back byte for byte, what is not is refused in
//! good order or kept as plain data, and none of them takes long or runs anything.
//!
//! `tests/data/corpus` has the small files. `tests/corpus.sh DIR` walks another folder with a `manifest.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Home, data};

/// What one file may take. Without optimisation everything is some ten times slower, and larger.
const MOST: (Duration, u64) = if cfg!(debug_assertions) {
    (Duration::from_secs(30), 2 << 30)
} else {
    (Duration::from_secs(2), 512 << 20)
};

/// How a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// It came back byte for byte.
    Returned,
    /// It came back, and the import warned of it.
    Warned,
    /// It came back, and was kept as plain bytes, with a warning that says so.
    KeptAsBytes,
    /// It was refused, with a code and a hint.
    Refused,
    /// Anything else.
    Failed,
}

struct Walked {
    path: String,
    ok: Option<bool>,
    outcome: Outcome,
    seconds: f64,
    peak_bytes: u64,
    said: String,
}

#[test]
fn every_file_returns_or_is_refused_in_good_order() {
    let folder = std::env::var_os("CKSTORE_CORPUS").map_or_else(|| data("corpus"), PathBuf::from);
    let manifest = fs::read(folder.join("manifest.json")).unwrap();
    let manifest: Vec<Value> = serde_json::from_slice(&manifest).unwrap();
    assert!(!manifest.is_empty());
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(8));
    // Each with a store of its own: only one writes to a store at a time.
    let walked: Vec<Walked> = std::thread::scope(|scope| {
        let share = manifest.len().div_ceil(threads);
        let folder = &folder;
        let walk = |entries| scope.spawn(move || walk_all(folder, entries));
        let walks: Vec<_> = manifest.chunks(share).map(walk).collect();
        walks.into_iter().flat_map(|walk| walk.join().unwrap()).collect()
    });
    print(&walked);
    let wrong: Vec<String> = walked.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), walked.len(), wrong.join("\n"));
    // The payloads of the hostile files would leave this behind.
    assert!(!Path::new("/srv/corpora/PWNED").exists());
}

/// Walks files with one store, which must be whole and alone in its folder afterwards.
fn walk_all(folder: &Path, entries: &[Value]) -> Vec<Walked> {
    let home = Home::new();
    home.run(["init"]).ok();
    let walk = |(place, entry)| walk(&home, folder, entry, &format!("file-{place}"));
    let walked = entries.iter().enumerate().map(walk).collect();
    assert_eq!(home.run(["fsck"]).code, Some(0));
    let mut left = fs::read_dir(home.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.all(|name| name == ".ckstore"));
    walked
}

/// What is wrong about a file, if anything is.
fn wrong(file: &Walked) -> Option<String> {
    let is_good = match file.ok {
        Some(true) => matches!(file.outcome, Outcome::Returned),
        Some(false) => !matches!(file.outcome, Outcome::Failed | Outcome::Returned),
        None => file.outcome != Outcome::Failed,
    };
    let told = |what: String| Some(format!("{}: {what}: {}", file.path, file.said));
    if !is_good {
        return told(format!("{:?}, though ok is {:?}", file.outcome, file.ok));
    }
    if file.seconds > MOST.0.as_secs_f64() {
        return told(format!("took {:.1} s", file.seconds));
    }
    if file.peak_bytes > MOST.1 {
        return told(format!("took {} MiB", file.peak_bytes >> 20));
    }
    None
}

fn walk(home: &Home, folder: &Path, entry: &Value, name: &str) -> Walked {
    let path = entry["path"].as_str().unwrap().to_owned();
    let file = folder.join(&path);
    let mut walked = Walked {
        ok: entry["ok"].as_bool(),
        outcome: Outcome::Failed,
        seconds: 0.0,
        peak_bytes: 0,
        said: String::new(),
        path,
    };
    let import =
        measured(home, &mut walked, &["import".as_ref(), file.as_os_str(), "--name".as_ref(), name.as_ref()]);
    let Ok((code, document)) = import else {
        walked.said = import.unwrap_err();
        return walked;
    };
    if code != 0 {
        let error = &document["error"];
        let has_hint = error["hint"].as_str().is_some_and(|hint| !hint.is_empty());
        let is_clean =
            matches!(error["code"].as_str(), Some("E_FORMAT" | "E_INPUT" | "E_LEDGER")) && has_hint;
        walked.outcome = if is_clean { Outcome::Refused } else { Outcome::Failed };
        walked.said = error.to_string();
        return walked;
    }
    let warnings: Vec<&Value> = document["warnings"].as_array().into_iter().flatten().collect();
    let is_plain = warnings.iter().any(|warning| warning["code"] == "W_KEPT_AS_BYTES");
    let back = home.path("back");
    let arguments: [&std::ffi::OsStr; 4] = ["checkout".as_ref(), name.as_ref(), "-o".as_ref(), back.as_ref()];
    match measured(home, &mut walked, &arguments) {
        Ok((0, _)) if fs::read(&back).ok() == fs::read(&file).ok() => {
            let is_odd = warnings.iter().any(|warning| warning["code"] == "W_ODD_PICKLE");
            walked.outcome = match walked.ok {
                Some(true) if is_odd => Outcome::Failed,
                Some(true) => Outcome::Returned,
                _ if is_plain => Outcome::KeptAsBytes,
                _ if !warnings.is_empty() => Outcome::Warned,
                _ => Outcome::Returned,
            };
            walked.said = warnings.iter().map(|warning| warning.to_string()).collect();
        }
        Ok((0, _)) => walked.said = "it did not come back byte for byte".to_owned(),
        Ok((_, document)) => walked.said = document.to_string(),
        Err(said) => walked.said = said,
    }
    let _ = fs::remove_file(back);
    walked
}

/// Runs a command in the store and returns its exit code and document; counts its time and memory.
fn measured(
    home: &Home,
    walked: &mut Walked,
    arguments: &[&std::ffi::OsStr],
) -> Result<(i32, Value), String> {
    let output = home.path("../").join(format!("{}.json", home.dir.path().file_name().unwrap().display()));
    let mut command: Command = home.command(arguments);
    command.arg("--json").stdin(Stdio::null()).stderr(Stdio::null());
    command.stdout(fs::File::create(&output).unwrap());
    let started = Instant::now();
    let child = command.spawn().unwrap();
    let (code, peak_bytes) = wait(child)?;
    walked.seconds = walked.seconds.max(started.elapsed().as_secs_f64());
    walked.peak_bytes = walked.peak_bytes.max(peak_bytes);
    let text = fs::read(&output).unwrap();
    let _ = fs::remove_file(output);
    let document = serde_json::from_slice(&text).map_err(|error| format!("no document: {error}"))?;
    Ok((code, document))
}

/// Waits for a process and returns its exit code and the most memory it had at a time, in bytes.
#[cfg(unix)]
pub(crate) fn wait(child: Child) -> Result<(i32, u64), String> {
    let mut status = 0;
    // SAFETY: both are written by the call, and zeroes are a sound `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let waited = unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
    if waited != child.id() as i32 || !libc::WIFEXITED(status) {
        return Err(format!("the program was ended by signal {}", libc::WTERMSIG(status)));
    }
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Ok((libc::WEXITSTATUS(status), usage.ru_maxrss as u64 * unit))
}

#[cfg(not(unix))]
pub(crate) fn wait(mut child: Child) -> Result<(i32, u64), String> {
    let status = child.wait().map_err(|error| error.to_string())?;
    status.code().map(|code| (code, 0)).ok_or_else(|| "the program was ended".to_owned())
}

/// Prints what became of the files, by family.
fn print(walked: &[Walked]) {
    let mut families: BTreeMap<&str, Vec<&Walked>> = BTreeMap::new();
    for file in walked {
        families.entry(file.path.split('/').next().unwrap_or_default()).or_default().push(file);
    }
    println!(
        "{:<14}{:>6}{:>8}{:>10}{:>9}{:>15}{:>9}{:>8}   slowest, largest",
        "family", "files", "sound", "returned", "warned", "kept as bytes", "refused", "failed"
    );
    for (family, files) in families {
        let count = |outcome| files.iter().filter(|file| file.outcome == outcome).count();
        let sound = files.iter().filter(|file| file.ok == Some(true)).count();
        let slowest =
            files.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds)).expect("a family has files");
        let largest = files.iter().max_by_key(|file| file.peak_bytes).expect("a family has files");
        println!(
            "{family:<14}{:>6}{sound:>8}{:>10}{:>9}{:>15}{:>9}{:>8}   {:.2} s {}, {} MiB {}",
            files.len(),
            count(Outcome::Returned),
            count(Outcome::Warned),
            count(Outcome::KeptAsBytes),
            count(Outcome::Refused),
            count(Outcome::Failed),
            slowest.seconds,
            base(&slowest.path),
            largest.peak_bytes >> 20,
            base(&largest.path)
        );
    }
    if std::env::var_os("CKSTORE_CORPUS_EACH").is_some() {
        for file in walked {
            println!(
                "{:?} {:.2} s {} MiB {} {}",
                file.outcome,
                file.seconds,
                file.peak_bytes >> 20,
                file.path,
                file.said
            );
        }
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
