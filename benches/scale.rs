//! Commands on a store that was used for years: 10,000 revisions, 10,000 refs, a million objects, 10,000 rows of
//! history, checkpoints of 50,000 tensors whose trees have about 20 MB. Prints how long each command takes, its output
//! thrown away: the quickest and the median of some runs, the least time of the processors, and the most memory.
//!
//! `cargo bench --bench scale` makes the store in a few minutes and keeps it for the next time; `-- short` has a
//! hundredth of all, which shows that all works. CKSTORE_BENCH_DIR names another folder than the build's.

mod peak;

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use peak::Used;

use ckstore::ledger::{Ledger, NewStep, StepStatus};
use ckstore::{
    Context, ImportOptions, RefKind, Repo, STORE_DIRECTORY, ScriptLimits, Silent, Step, StepKind, Timestamp,
    Worker,
};

const RUNS: usize = 5;

/// How much there is of everything.
struct Scale {
    /// Revisions of `long`, a small checkpoint; as many refs and rows of history.
    revisions: usize,
    /// Revisions of `wide`, a large one, that share no tensor.
    wide_revisions: u32,
    /// Tensors of `wide`.
    tensors: u32,
}

const FULL: Scale = Scale { revisions: 10_000, wide_revisions: 20, tensors: 50_000 };
const SHORT: Scale = Scale { revisions: 100, wide_revisions: 2, tensors: 5_000 };

/// What is measured: what it is called, and the arguments of `ckstore`.
const COMMANDS: &[(&str, &str)] = &[
    ("status", "status"),
    ("status of a long history", "status long"),
    ("log", "log -n 20"),
    ("log of all revisions", "log long"),
    ("log history", "log history"),
    ("log groups", "log groups"),
    ("plan", "plan --version 0.8.3"),
    ("plan with a long history", "plan long --version 0.8.3"),
    ("checkout --dry-run", "checkout long --version 0.8.3 -n"),
    ("show", "show"),
    (
        "show of a tensor",
        "show wide model.layers.7.mlp.experts.1.down_projection.weight_quantized_group_scale_and_zero_point",
    ),
    ("ls", "ls"),
    ("ls of a small checkpoint", "ls long"),
    ("diff", "diff wide~1 wide"),
    ("diff of small checkpoints", "diff long~1 long"),
    ("tag --list", "tag"),
    ("import, unchanged", "import long.safetensors --name long"),
    ("import, all tensors new", "import next.safetensors --name wide"),
    ("checkout", "checkout --revision wide -o out.safetensors --force"),
    ("gc --dry-run", "gc --dry-run"),
    ("stats", "stats"),
    ("fsck --quick", "fsck --quick"),
    ("fsck", "fsck"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let short = arguments.iter().any(|argument| argument == "short");
    let wanted = arguments.iter().find(|argument| *argument != "short");
    let scale = if short { SHORT } else { FULL };
    let home = std::env::var_os("CKSTORE_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let folder = home.join(format!("scale-{}", scale.revisions));
    if !folder.join("whole").exists() {
        let _ = fs::remove_dir_all(&folder);
        let start = Instant::now();
        make(&folder, &scale)?;
        fs::write(folder.join("whole"), "")?;
        eprintln!("made {} in {:.0} s", folder.display(), start.elapsed().as_secs_f64());
    }
    println!("| | quickest | median | processor | peak memory |\n|---|---|---|---|---|");
    for (name, arguments) in COMMANDS {
        if wanted.is_some_and(|wanted| !name.contains(wanted.as_str())) {
            continue;
        }
        let (mut times, mut processor, mut peak_bytes) = (Vec::new(), Duration::MAX, 0);
        // What takes long is not taken five times.
        while times.len() < RUNS && times.iter().sum::<Duration>() < Duration::from_secs(5) {
            let (time, used) = run(&folder, arguments)?;
            times.push(time);
            processor = processor.min(used.processor);
            peak_bytes = peak_bytes.max(used.peak_bytes);
        }
        times.sort_unstable();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (quickest, median, processor) = (ms(times[0]), ms(times[times.len() / 2]), ms(processor));
        let peak_mib = peak_bytes >> 20;
        println!("| {name} | {quickest:.1} ms | {median:.1} ms | {processor:.1} ms | {peak_mib} MiB |");
    }
    Ok(())
}

fn run(folder: &Path, arguments: &str) -> Result<(Duration, Used), Box<dyn Error>> {
    let start = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_ckstore"))
        .current_dir(folder)
        .args(arguments.split(' '))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let used = peak::wait(child)?;
    let time = start.elapsed();
    if used.code != 0 {
        Err(format!("{arguments}: exit code {}", used.code).into())
    } else {
        Ok((time, used))
    }
}

fn make(folder: &Path, scale: &Scale) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder.join("migrations"))?;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations"))? {
        let entry = entry?;
        fs::copy(entry.path(), folder.join("migrations").join(entry.file_name()))?;
    }
    let store = folder.join(STORE_DIRECTORY);
    Repo::init(&store)?.config_set("durability", Some("cache"))?;
    let mut repo = Repo::open(&store)?;
    let context = Context {
        actor: "ada",
        now: &Timestamp::now,
        progress: &Silent,
        worker: &Worker::new("ckstore"),
        limits: &ScriptLimits::default(),
    };
    let import = |repo: &mut Repo, name: &str, version| {
        let path = folder.join(format!("{name}.safetensors"));
        let name = Some(name.parse()?);
        let options = ImportOptions { path: Some(&path), name, version, ..Default::default() };
        Ok::<_, Box<dyn Error>>(repo.import(&options, &context)?)
    };
    let small: Vec<String> = (0..10).map(|number| format!("layers.{number}.weight")).collect();
    let mut values = vec![0; small.len()];
    for number in 0..scale.revisions as u32 {
        values[number as usize % small.len()] = number;
        write_file(&folder.join("long.safetensors"), &small, &values)?;
        let report = import(&mut repo, "long", (number == 0).then_some("0.8.1"))?;
        let kind = if number % 2 == 0 { RefKind::Tag } else { RefKind::Branch };
        let name = format!("runs/{}/step-{number:06}", number % 100).parse()?;
        repo.create_ref(kind, &name, Some(&report.revision.to_string()), &context)?;
    }
    fail_often(&store, scale.revisions)?;
    let names = wide_names(scale.tensors);
    for number in 0..scale.wide_revisions {
        let values: Vec<u32> = (0..scale.tensors).map(|tensor| number * scale.tensors + tensor + 1).collect();
        write_file(&folder.join("wide.safetensors"), &names, &values)?;
        import(&mut repo, "wide", (number == 0).then_some("0.8.1"))?;
    }
    let values: Vec<u32> = (0..scale.tensors).map(|tensor| u32::MAX - tensor).collect();
    write_file(&folder.join("next.safetensors"), &names, &values)?;
    Ok(())
}

/// Names as long as those of large models.
fn wide_names(count: u32) -> Vec<String> {
    let name = |number| {
        let (layer, expert) = (number / 512, number % 512);
        format!(
            "model.layers.{layer}.mlp.experts.{expert}.down_projection.weight_quantized_group_scale_and_zero_point"
        )
    };
    (0..count).map(name).collect()
}

/// Enters rows of runs that failed: the rows that need nothing but a tree.
fn fail_often(store: &Path, rows: usize) -> Result<(), Box<dyn Error>> {
    let mut ledger = Ledger::open(&store.join("ledger.db"))?;
    let tree = ledger.revisions()?[0].revision.tree;
    let name = "long".parse()?;
    let change = ledger.change()?;
    for _ in 0..rows {
        let step = Step {
            kind: StepKind::Migrate,
            migration: "1740787200_final_0_9_0".into(),
            version: Some("0.9.0".into()),
            group: Some(1),
            digest: None,
            script: None,
            method: Some("run".into()),
            input: tree,
            output: tree,
            change: None,
            engine: None,
            started: Timestamp::UNIX_EPOCH,
            finished: Timestamp::UNIX_EPOCH,
        };
        let status = StepStatus::Failed("script failed: no key `model`".into());
        let new = NewStep { ref_name: &name, revision: None, step: &step, status: &status, actor: "ada" };
        change.append_step(&new)?;
    }
    Ok(change.commit()?)
}

/// A safetensors file with one tensor of four numbers for each name, told apart by its value.
fn write_file(path: &Path, names: &[String], values: &[u32]) -> io::Result<()> {
    let mut header = String::from("{");
    for (place, name) in names.iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        let (start, end) = (16 * place, 16 * place + 16);
        header.push_str(&format!(
            r#"{comma}"{name}":{{"dtype":"F32","shape":[2,2],"data_offsets":[{start},{end}]}}"#
        ));
    }
    header.push('}');
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for value in values {
        out.write_all(&value.to_le_bytes())?;
        for number in [0.25_f32, -1.5, 0.75] {
            out.write_all(&number.to_le_bytes())?;
        }
    }
    out.flush()
}
