//! Tensors that are stored as differences to those of an earlier revision.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};

use crate::support::{Home, Tensor, safetensors};

/// Numbers of one 1 MiB frame and a bit, and of much less.
const SIZES: [usize; 3] = [300_000, 20_000, 700];

/// Numbers that look like weights, the same for the same seed.
fn weights(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (uniform() + uniform() + uniform()) * 0.04).collect()
}

/// A checkpoint after so many steps of training.
struct Model {
    tensors: Vec<(String, Vec<f32>)>,
}

impl Model {
    fn new() -> Model {
        let tensors = SIZES.iter().enumerate();
        let tensors =
            tensors.map(|(n, count)| (format!("layers.{n}.weight"), weights(n as u64 + 1, *count))).collect();
        Model { tensors }
    }

    fn step(&mut self) {
        for (_, numbers) in &mut self.tensors {
            for (place, number) in numbers.iter_mut().enumerate() {
                *number = f32::from_bits(number.to_bits() + (place as u32).wrapping_mul(2_654_435_761) % 5);
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let tensor = |(name, numbers): &(String, Vec<f32>)| Tensor {
            name: name.clone(),
            dtype: "F32",
            shape: vec![numbers.len() as u64],
            bytes: numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        };
        safetensors(&self.tensors.iter().map(tensor).collect::<Vec<_>>())
    }

    fn import(&self, home: &Home) -> Vec<u8> {
        let bytes = self.bytes();
        fs::write(home.path("model.safetensors"), &bytes).unwrap();
        home.run(["import", "model.safetensors"]).ok();
        bytes
    }
}

/// Places of the records with the delta codec: pack, offset, length.
fn differences(home: &Home) -> Vec<(String, i64, i64)> {
    let sql = home.sql();
    let mut statement = sql
        .prepare(
            "SELECT lower(hex(packs.name)), offset, stored_bytes FROM objects
             JOIN packs ON packs.number = pack WHERE codec = 4",
        )
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// How many records each of the differences needs before it, as they say.
fn depths(home: &Home) -> Vec<u8> {
    let depth = |(pack, offset, _): (String, i64, i64)| {
        let mut file = fs::File::open(home.path(&format!(".ckstore/packs/{pack}.pack"))).unwrap();
        let mut depth = [0];
        file.seek(SeekFrom::Start(offset as u64)).unwrap();
        file.read_exact(&mut depth).unwrap();
        depth[0]
    };
    differences(home).into_iter().map(depth).collect()
}

fn revisions(home: &Home) -> Vec<String> {
    let log = home.json(["log"]);
    let entries = log["entries"].as_array().unwrap();
    entries.iter().rev().map(|entry| entry["revision"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn small_moves_are_stored_as_short_chains_of_differences() {
    let home = Home::new();
    let mut model = Model::new();
    let mut files = vec![model.import(&home)];
    assert!(differences(&home).is_empty());
    for _ in 0..6 {
        model.step();
        files.push(model.import(&home));
    }
    let depths = depths(&home);
    // Two frames, one object, and one that is too short or not, for each step.
    assert!(depths.len() >= 18, "{depths:?}");
    assert_eq!(depths.iter().max(), Some(&4), "{depths:?}");
    let stored: i64 = differences(&home).iter().map(|(_, _, bytes)| bytes).sum();
    assert!(stored * 4 < 6 * files[0].len() as i64, "{stored}");
    for (file, revision) in files.iter().zip(revisions(&home)) {
        home.run(["checkout", "--revision", &revision, "-o", "out"]).ok();
        assert!(fs::read(home.path("out")).unwrap() == *file);
        fs::remove_file(home.path("out")).unwrap();
    }
    assert_eq!(home.findings(true), [""; 0]);
}

#[test]
fn a_renamed_tensor_is_compared_with_what_it_was() {
    let home = Home::new();
    let mut model = Model::new();
    model.import(&home);
    model.step();
    for (name, _) in &mut model.tensors {
        *name = format!("model.{}", name.replace("layers", "blocks"));
    }
    let file = model.import(&home);
    assert!(differences(&home).len() >= 3);
    home.run(["checkout", "--revision", "model", "-o", "out"]).ok();
    assert!(fs::read(home.path("out")).unwrap() == file);
}

/// Forgets the first revision, as nothing but a person with a database can.
fn forget_first_revision(home: &Home) {
    let first = &revisions(home)[0];
    let sql = home.sql();
    for statement in [
        "DELETE FROM ref_log WHERE old_revision = :r OR new_revision = :r",
        "DELETE FROM revision_parents WHERE parent = :r",
        "DELETE FROM revisions WHERE name = :r",
    ] {
        sql.execute(&statement.replace(":r", &format!("x'{first}'")), []).unwrap();
    }
}

#[test]
fn gc_keeps_what_differences_are_to() {
    let home = Home::new();
    let mut model = Model::new();
    model.import(&home);
    model.step();
    let file = model.import(&home);
    assert!(!differences(&home).is_empty());
    forget_first_revision(&home);
    home.run(["gc"]).ok();
    home.run(["checkout", "--revision", "model", "-o", "out"]).ok();
    assert!(fs::read(home.path("out")).unwrap() == file);
}

#[test]
fn fsck_tells_what_a_broken_base_takes_with_it() {
    let home = Home::new();
    let mut model = Model::new();
    model.import(&home);
    home.run(["tag", "first"]).ok();
    fs::write(home.path("other.json"), "{}").unwrap();
    home.run(["import", "other.json"]).ok();
    model.step();
    model.import(&home);
    let (pack, offset): (String, i64) = home
        .sql()
        .query_row(
            "SELECT lower(hex(packs.name)), offset FROM objects JOIN packs ON packs.number = pack
             WHERE codec = 3 ORDER BY raw_bytes DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let path = home.path(&format!(".ckstore/packs/{pack}.pack"));
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(offset as u64 + 5000)).unwrap();
    file.write_all(&[0x5a; 64]).unwrap();
    let report = home.run(["fsck", "--json"]).json();
    let codes: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect();
    // The base and the difference to it, and the trees of both.
    assert_eq!(codes.iter().filter(|code| **code == "object-damaged").count(), 2, "{report}");
    assert_eq!(codes.iter().filter(|code| **code == "tree-object-damaged").count(), 2, "{report}");
    assert_eq!(report["broken_refs"], serde_json::json!(["first", "model"]));
    let refused = home.run(["checkout", "--revision", "model", "-o", "out"]);
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(!home.path("out").exists());
}
