//! Wide and deep values, and tensors that claim more than they have: in bounded memory and time.

use std::fs;
use std::process::Stdio;

use crate::corpus::wait;
use crate::support::Home;

/// Bytes of memory that a million values may take, with what the program itself has.
const MOST_BYTES: u64 = 512 << 20;

/// Imports a file and returns the most memory that took.
#[track_caller]
fn import(home: &Home, name: &str, bytes: &[u8]) -> u64 {
    fs::write(home.path(name), bytes).unwrap();
    let mut command = home.command(["import", name, "--json"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (code, peak_bytes) = wait(child).unwrap();
    assert_eq!(code, 0, "{name}");
    peak_bytes
}

#[test]
fn wide_values_take_bounded_memory() {
    let home = Home::new();
    let mut dict = b"\x80\x02}(".to_vec();
    for key in 0..200_000u32 {
        dict.extend([b'X', 10, 0, 0, 0]);
        dict.extend(format!("key{key:07}").bytes());
        dict.extend(b"K\x01");
    }
    dict.extend(b"u.");
    let list = [b"\x80\x02](".as_slice(), &b"K\x01".repeat(1_000_000), b"e."].concat();
    for (name, pickle) in [("dict.pkl", dict), ("list.pkl", list)] {
        let peak_bytes = import(&home, name, &pickle);
        assert!(peak_bytes < MOST_BYTES, "{name} took {} MiB", peak_bytes >> 20);
    }
}

#[test]
fn depth_takes_no_stack() {
    const DEPTH: usize = 200_000;
    let home = Home::new();
    let lists = [b"\x80\x02]".as_slice(), &b"]".repeat(DEPTH), &b"a".repeat(DEPTH), b"."].concat();
    let tuples = [b"\x80\x02N".as_slice(), &b"\x85".repeat(DEPTH), b"."].concat();
    let dicts = [b"\x80\x02".as_slice(), &b"}K\x01".repeat(DEPTH), b"N", &b"s".repeat(DEPTH), b"."].concat();
    let calls =
        [b"\x80\x02".as_slice(), &b"cmine\nf\n(".repeat(DEPTH), b"N", &b"tR".repeat(DEPTH), b"."].concat();
    for (name, pickle) in
        [("lists.pkl", lists), ("tuples.pkl", tuples), ("dicts.pkl", dicts), ("calls.pkl", calls)]
    {
        let peak_bytes = import(&home, name, &pickle);
        assert!(peak_bytes < MOST_BYTES, "{name} took {} MiB", peak_bytes >> 20);
        home.run(["scan", name]).ok();
        home.run(["diff", "HEAD", "HEAD"]).ok();
    }
    let document = ["[".repeat(DEPTH), "]".repeat(DEPTH)].concat();
    assert!(import(&home, "deep.json", document.as_bytes()) < MOST_BYTES);
}

#[test]
fn a_tensor_of_stride_nought_is_as_large_as_its_storage() {
    let home = Home::new();
    let file = crate::support::data("corpus/malicious/zip_expand_huge.pt");
    fs::copy(file, home.path("a.pt")).unwrap();
    home.run(["import", "a.pt"]).ok();
    let shown = home.json(["ls"]);
    assert_eq!(shown["tensors"].as_array().unwrap().len(), 1, "{shown}");
    home.run(["diff", "HEAD", "HEAD"]).ok();
    home.run(["checkout", "a", "-o", "b.pt"]).ok();
    assert_eq!(fs::read(home.path("a.pt")).unwrap(), fs::read(home.path("b.pt")).unwrap());
}
