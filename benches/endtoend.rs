//! What a person waits for: importing and restoring a checkpoint of 1 GiB, beside `cp` of the same file in the
//! same run, on both footings: everything synced to the disk, against `cp` and a sync of the copy; and all left in
//! the page cache, against plain `cp`. The same for other tools that are found on PATH.
//!
//! `cargo bench --bench endtoend` takes some minutes and 8 GiB of disk; `-- short` runs once with 64 MiB, which shows
//! that all works and measures little, `-- synced` and `-- cache` one footing alone. CKSTORE_BENCH_DIR names another folder than the build's.

mod workload;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The whole of a checkpoint, in MiB.
const FULL_MIB: u64 = 1015;
const SHORT_MIB: u64 = 64;
const FULL_RUNS: usize = 3;
/// What a command may take beside what it writes.
const SPARE_BYTES: u64 = 256 << 20;

/// A tool, by what a shell does. `$FILE` is the checkpoint, `$STORE` a folder of its own, `$NAME` of the file.
struct Tool {
    name: &'static str,
    program: &'static str,
    init: &'static str,
    add: &'static str,
    restore: &'static str,
    /// Whether it can sync what it writes.
    syncs: bool,
}

const CKSTORE: Tool = Tool {
    name: "ckstore",
    program: env!("CARGO_BIN_EXE_ckstore"),
    init: "$PROGRAM --store $STORE/s init && $PROGRAM --store $STORE/s config durability $DURABILITY",
    add: "$PROGRAM --store $STORE/s import $FILE --name model",
    restore: "$PROGRAM --store $STORE/s checkout --revision model -o $STORE/out",
    syncs: true,
};

/// Other tools, each as its manual says.
const PEERS: &[Tool] = &[
    Tool {
        name: "borg zstd",
        program: "borg",
        init: "borg init -e none $STORE/s",
        add: "borg create -C zstd $STORE/s::$NAME $FILE",
        restore: "mkdir $STORE/o && cd $STORE/o && borg extract $STORE/s::$NAME",
        syncs: false,
    },
    Tool {
        name: "casync",
        program: "casync",
        init: "mkdir $STORE/s",
        add: "casync make --store=$STORE/s $STORE/$NAME.caibx $FILE",
        restore: "casync extract --store=$STORE/s $STORE/$NAME.caibx $STORE/out",
        syncs: false,
    },
    Tool {
        name: "git-lfs",
        program: "git-lfs",
        init: "git init -q $STORE/s && cd $STORE/s && git lfs install --local && git lfs track model",
        add: "cp $FILE $STORE/s/model && cd $STORE/s && git add model && git -c user.name=b -c user.email=b commit -qm b",
        restore: "cd $STORE/s && rm model && git checkout -q model",
        syncs: false,
    },
    Tool {
        name: "dvc",
        program: "dvc",
        init: "mkdir $STORE/s && cd $STORE/s && dvc init -q --no-scm",
        add: "cp $FILE $STORE/s/model && cd $STORE/s && dvc add -q model",
        restore: "cd $STORE/s && rm model && dvc checkout -q",
        syncs: false,
    },
];

/// One command: how long it took, and the most memory it had.
struct Taken {
    time: Duration,
    peak_mib: u64,
}

/// What came of one tool in one run.
struct Run {
    /// Times of the four additions and the restore, as parts of that of `cp` just before.
    ratios: [f64; 5],
    /// Seconds that `cp` took before each.
    plain: [f64; 5],
    grown_mib: [u64; 4],
    peak_mib: u64,
}

impl Run {
    fn compare(&mut self, place: usize, taken: &Taken, plain: Duration) {
        self.plain[place] = plain.as_secs_f64();
        self.ratios[place] = taken.time.as_secs_f64() / self.plain[place];
        self.peak_mib = self.peak_mib.max(taken.peak_mib);
    }
}

fn main() -> io::Result<()> {
    let is_asked = |word: &str| std::env::args().any(|argument| argument == word);
    let short = is_asked("short");
    let (mib, runs) = if short { (SHORT_MIB, 1) } else { (FULL_MIB, FULL_RUNS) };
    let home = std::env::var_os("CKSTORE_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let files = home.join(format!("workload-{mib}"));
    if !files.join("whole").exists() {
        eprintln!("making the workload in {}", files.display());
        fs::create_dir_all(&files)?;
        workload::write(&files, mib << 20)?;
        fs::write(files.join("whole"), "")?;
    }
    println!("{}", machine());
    for synced in
        [true, false].into_iter().filter(|synced| !is_asked(if *synced { "cache" } else { "synced" }))
    {
        let footing =
            if synced { "synced, against cp and sync" } else { "page cache only, against plain cp" };
        println!("\n{footing}: medians of {runs} runs");
        println!("| | add base | add v2 | add v3 | add v4 | restore | grows by (MiB) | peak (MiB) |");
        println!("|---|---|---|---|---|---|---|---|");
        let found = PEERS.iter().filter(|tool| !synced && is_on_path(tool.program));
        for tool in [&CKSTORE].into_iter().chain(found) {
            let done: Vec<Run> =
                (0..runs).map(|_| run(tool, &files, &home, synced)).collect::<Result<_, _>>()?;
            print_row(tool, &done);
            if tool.name == CKSTORE.name {
                print_plain(&done);
            }
        }
    }
    Ok(())
}

fn run(tool: &Tool, files: &Path, home: &Path, synced: bool) -> io::Result<Run> {
    let store = home.join("store");
    let _ = fs::remove_dir_all(&store);
    fs::create_dir_all(&store)?;
    let synced_tool = synced && tool.syncs;
    shell(tool, tool.init, &store, Path::new(""), synced_tool)?;
    let mut run = Run { ratios: [0.0; 5], plain: [0.0; 5], grown_mib: [0; 4], peak_mib: 0 };
    let mut before = folder_bytes(&store)?;
    let mut last = PathBuf::new();
    for (place, name) in workload::NAMES.iter().enumerate() {
        let file = files.join(format!("{name}.safetensors"));
        let plain = copy(&file, &store, synced)?;
        let taken = shell(tool, tool.add, &store, &file, synced_tool)?;
        run.compare(place, &taken, plain);
        let after = folder_bytes(&store)?;
        run.grown_mib[place] = after.saturating_sub(before) >> 20;
        before = after;
        last = file;
    }
    let plain = copy(&last, &store, synced)?;
    let taken = shell(tool, tool.restore, &store, &last, synced_tool)?;
    run.compare(4, &taken, plain);
    fs::remove_dir_all(&store)?;
    Ok(run)
}

/// How long `cp` takes for a file, which is read once before so that it is in the page cache.
fn copy(file: &Path, folder: &Path, synced: bool) -> io::Result<Duration> {
    io::copy(&mut File::open(file)?, &mut io::sink())?;
    let target = folder.join("copy");
    make_ready(folder, file)?;
    let start = Instant::now();
    let status = Command::new("cp").arg(file).arg(&target).status()?;
    if synced {
        File::open(&target)?.sync_all()?;
    }
    let time = start.elapsed();
    assert!(status.success(), "cp failed");
    fs::remove_file(target)?;
    Ok(time)
}

/// Makes the same start for `cp` and a tool that take a file.
fn make_ready(folder: &Path, file: &Path) -> io::Result<()> {
    // What earlier commands left to be written would be in the way of either.
    Command::new("sync").status()?;
    // A virtual machine gives memory that is free back, and has it again many times slower than what it kept. So
    // as much as is going to be written is taken just before, and freed.
    let scratch = folder.join("scratch");
    let bytes = fs::metadata(file)?.len() + SPARE_BYTES;
    io::copy(&mut io::repeat(0).take(bytes), &mut File::create(&scratch)?)?;
    fs::remove_file(scratch)
}

fn shell(tool: &Tool, script: &str, store: &Path, file: &Path, synced: bool) -> io::Result<Taken> {
    if file.is_file() {
        make_ready(store, file)?;
    }
    let start = Instant::now();
    let mut child = Command::new("sh")
        // The tool takes the shell's place where it is all there is to do, so that its memory is seen.
        .args(["-ec", &if script.contains("&&") { script.to_owned() } else { format!("exec {script}") }])
        .env("PROGRAM", tool.program)
        .env("STORE", store)
        .env("FILE", file)
        .env("NAME", file.file_stem().unwrap_or_default())
        .env("DURABILITY", if synced { "full" } else { "cache" })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let memory = format!("/proc/{}/status", child.id());
    let mut peak_mib = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            assert!(status.success(), "{} failed: {script}", tool.name);
            return Ok(Taken { time: start.elapsed(), peak_mib });
        }
        let peak = fs::read_to_string(&memory).ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        peak_mib = peak_mib.max(peak.unwrap_or(0) >> 10);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a ratio of 1 is, in seconds.
fn print_plain(runs: &[Run]) {
    let seconds = (0..5).map(|place| format!(" {:.2} s |", median(runs, |run| run.plain[place])));
    println!("| cp |{} | |", seconds.collect::<String>());
}

fn median(runs: &[Run], value: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print_row(tool: &Tool, runs: &[Run]) {
    let mut row = format!("| {} |", tool.name);
    for place in 0..5 {
        row.push_str(&format!(" {:.2}x |", median(runs, |run| run.ratios[place])));
    }
    let grown: Vec<String> = runs[0].grown_mib.iter().map(u64::to_string).collect();
    let peak = runs.iter().map(|run| run.peak_mib).max().unwrap_or(0);
    println!("{row} {} | {peak} |", grown.join(" / "));
}

fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_folder = entry.file_type()?.is_dir();
        bytes += if is_folder { folder_bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The processor and the number of cores.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{}, {cores} cores", name.map_or("unknown processor", |(_, name)| name))
}
