//! The fuzz targets on stable Rust: their seeds, and deterministic mutations of them.
//!
//! `tests/fuzz.sh` gives them more time. An input that fails is kept in the folder that the message names.

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ckstore::revision::Revision;
use ckstore::snapshot::Tree;
use ckstore::store::{Hint, Store};
use targets::{TARGETS, Target};

use crate::support::{data, root};

/// Longest input, in bytes.
const MOST_BYTES: usize = 1 << 16;
/// What one input may take.
const MOST_TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 10 });

#[test]
fn no_target_fails_on_its_seeds_and_their_mutations() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("CKSTORE_FUZZ_SECONDS").unwrap_or(0);
    let seed = number("CKSTORE_FUZZ_SEED").unwrap_or(1);
    let only = std::env::var("CKSTORE_FUZZ_TARGET").ok();
    let chosen: Vec<&Target> =
        TARGETS.iter().filter(|target| only.as_deref().is_none_or(|only| only == target.name)).collect();
    assert!(!chosen.is_empty(), "there is no target `{only:?}`");
    if let Ok(folder) = std::env::var("CKSTORE_FUZZ_SEEDS") {
        return chosen.iter().for_each(|target| write_seeds(target, Path::new(&folder)));
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(chosen.len()) {
            scope.spawn(|| {
                while let Some(target) = chosen.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    if let Err(what) = replay(target, seconds, seed) {
                        failed.lock().unwrap().push(what);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Runs a target and tells how it failed.
fn replay(target: &Target, seconds: u64, seed: u64) -> Result<(), String> {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{} has no seeds", target.name);
    let words = dictionary(&root().join("fuzz/dictionaries").join(target.dictionary).with_extension("dict"));
    let kept = std::env::temp_dir().join("ckstore-fuzz");
    fs::create_dir_all(&kept).unwrap();
    let last = kept.join(format!("{}-last-{}", target.name, std::process::id()));
    // What ends the process leaves its input here.
    let mut last_file = File::create(&last).unwrap();
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut run = |input: &[u8], what: String| {
        last_file
            .rewind()
            .and_then(|()| last_file.set_len(0))
            .and_then(|()| last_file.write_all(input))
            .unwrap();
        let began = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
        let took = began.elapsed();
        slowest = slowest.max(took);
        if ended.is_ok() && took <= MOST_TIME {
            return Ok(());
        }
        let place = kept.join(format!("{}-{}", target.name, blake3::hash(input).to_hex()));
        fs::write(&place, input).unwrap();
        let how = if ended.is_ok() { format!("took {took:?}") } else { "failed".to_owned() };
        Err(format!("{} {how} on {what}: {}", target.name, place.display()))
    };
    for (name, seed) in &seeds {
        run(seed, name.clone())?;
    }
    let mut random = Random(
        blake3::hash(format!("{} {seed}", target.name).as_bytes()).as_bytes()[..8]
            .try_into()
            .map(u64::from_le_bytes)
            .unwrap()
            | 1,
    );
    let (mut count, least) = (seeds.len() as u64, if seconds == 0 { 100 } else { 0 });
    let mut mutated = 0;
    while mutated < least || started.elapsed() < Duration::from_secs(seconds) {
        let mut input = seeds[random.below(seeds.len())].1.clone();
        for _ in 0..1 + random.below(4) {
            mutate(&mut input, &seeds, &words, &mut random);
        }
        input.truncate(MOST_BYTES);
        run(&input, format!("mutation {mutated}"))?;
        mutated += 1;
        count += 1;
    }
    let _ = fs::remove_file(&last);
    println!("{:<12}{count:>9} inputs, slowest {:.3} s", target.name, slowest.as_secs_f64());
    Ok(())
}

/// Puts the seeds of a target and its dictionary where another fuzzer finds them.
fn write_seeds(target: &Target, folder: &Path) {
    let own = folder.join(target.name);
    fs::create_dir_all(&own).unwrap();
    for (_, seed) in seeds(target) {
        fs::write(own.join(blake3::hash(&seed).to_hex().as_str()), seed).unwrap();
    }
    let dictionary = root().join("fuzz/dictionaries").join(target.dictionary).with_extension("dict");
    fs::copy(dictionary, own.with_extension("dict")).unwrap();
}

/// A sequence of numbers that is the same in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end.max(1)
    }
}

fn mutate(input: &mut Vec<u8>, seeds: &[(String, Vec<u8>)], words: &[Vec<u8>], random: &mut Random) {
    const NUMBERS: &[u64] =
        &[0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];
    let at = random.below(input.len() + 1);
    let length = random.below(32.min(input.len() - at) + 1);
    match random.below(10) {
        0 | 1 if at < input.len() => input[at] ^= 1 << random.below(8),
        2 if at < input.len() => input[at] = random.next() as u8,
        3 => drop(input.drain(at..at + length)),
        4 => {
            let copy = input[at..at + length].to_vec();
            let to = random.below(input.len() + 1);
            input.splice(to..to, copy);
        }
        5 => {
            let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
            let width = [1, 2, 4, 8][random.below(4)];
            let end = (at + width).min(input.len());
            input.splice(at..end, number[..width].iter().copied());
        }
        6 if !words.is_empty() => {
            let word = &words[random.below(words.len())];
            let end = if random.below(2) == 0 { at } else { (at + word.len()).min(input.len()) };
            input.splice(at..end, word.iter().copied());
        }
        7 => {
            let other = &seeds[random.below(seeds.len())].1;
            let from = random.below(other.len() + 1);
            let bytes = random.below(512.min(other.len() - from) + 1);
            input.splice(at..at + length, other[from..from + bytes].iter().copied());
        }
        8 => input.truncate(at),
        _ => {
            let copies = random.below(64);
            let piece = input[at..at + length.min(4)].to_vec();
            input.splice(at..at, piece.repeat(copies));
        }
    }
}

/// The files that a target begins with: its own, and those of its families.
fn seeds(target: &Target) -> Vec<(String, Vec<u8>)> {
    let mut paths = files(&root().join("fuzz/seeds").join(target.name));
    for family in target.families {
        paths.extend(files(&data("corpus").join(family)));
    }
    let read = |path: &PathBuf| (path.display().to_string(), fs::read(path).unwrap());
    let mut seeds: Vec<_> = paths.iter().map(read).filter(|(_, seed)| seed.len() <= MOST_BYTES).collect();
    if target.name == "pack" {
        seeds.push(("a new pack".to_owned(), pack()));
    }
    if target.name == "wavelet" {
        let planes = [exponents(700), exponents(5000)];
        seeds.extend(planes.iter().map(|plane| (format!("a form of {} bytes", plane.len()), form(plane))));
        seeds.extend(planes.map(|plane| (format!("a plane of {} bytes", plane.len()), plane)));
    }
    if target.name == "tree" {
        seeds.extend(trees().into_iter().enumerate().map(|(place, tree)| (format!("object {place}"), tree)));
    }
    if target.name == "catalogue" {
        for path in files(&root().join("migrations")) {
            let form = if path.extension().is_some_and(|e| e == "toml") { 3 } else { 0 };
            seeds.push((path.display().to_string(), [&[form], fs::read(&path).unwrap().as_slice()].concat()));
        }
    }
    seeds
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// As the exponents of weights are: half as many of each next, and few that lie apart.
fn exponents(count: usize) -> Vec<u8> {
    let mut random = Random(1);
    let exponents = (0..count).map(|_| 120 - random.next().leading_zeros() as u8);
    exponents.enumerate().map(|(place, byte)| if place % 500 == 499 { 7 } else { byte }).collect()
}

/// The length of a plane in two bytes, and its wavelet tree.
fn form(plane: &[u8]) -> Vec<u8> {
    let mut form = vec![0; 3 * plane.len()];
    let length = ckstore::store::kernels::Encoder::new().encode(plane, &mut form).unwrap();
    [&(plane.len() as u16).to_le_bytes(), &form[..length]].concat()
}

/// A pack of several objects, one of them numbers.
fn pack() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let index = ckstore::store::PackIndex::default();
    let mut writer = store.writer(&index);
    for object in [b"first".as_slice(), &[7; 5000], &[0, 1, 2, 3].repeat(500)] {
        writer.put(object, Default::default()).unwrap();
    }
    let mut random = Random(2);
    let numbers: Vec<u8> = exponents(9000)
        .iter()
        .flat_map(|exponent| (random.next() as u32 & 0x807f_ffff | u32::from(*exponent) << 23).to_le_bytes())
        .collect();
    writer.put(&numbers, Hint::items(4)).unwrap();
    writer.finish().unwrap();
    let packs = store.packs().unwrap();
    fs::read(store.pack_path(packs[0])).unwrap()
}

/// The small objects of a store with a checkpoint and a migration: its trees and revisions are among them.
fn trees() -> Vec<Vec<u8>> {
    let home = crate::support::Home::migrated();
    let store = Store::open(&home.path(".ckstore")).unwrap();
    let packs = store.packs().unwrap();
    let index = ckstore::store::PackIndex::of(&store, &packs);
    let reader = store.reader(&index);
    let records = packs.iter().flat_map(|id| store.open_pack(*id).unwrap().records().collect::<Vec<_>>());
    let objects = records.filter_map(|record| reader.read(&record.id, MOST_BYTES as u64).ok());
    objects.filter(|object| Tree::decode(object).is_ok() || Revision::decode(object).is_ok()).collect()
}

/// The words of a dictionary of libFuzzer: one in quotes on each line, with `\xNN` for bytes.
fn dictionary(path: &Path) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let word = line.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).unwrap().0;
            let mut bytes = Vec::new();
            let mut rest = word.as_bytes();
            while let Some((first, after)) = rest.split_first() {
                rest = after;
                match (first, rest) {
                    (b'\\', [b'x', high, low, ..]) => {
                        let digits = [*high, *low];
                        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                        rest = &rest[3..];
                    }
                    (b'\\', [next, ..]) => {
                        bytes.push(*next);
                        rest = &rest[1..];
                    }
                    _ => bytes.push(*first),
                }
            }
            bytes
        })
        .collect()
}
