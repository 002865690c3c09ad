//! Real files of every kind: what is in them is listed, and comes back.

use std::fs;

use serde_json::Value;

use crate::support::{Home, content_of, data};

/// The tensors of HEAD: path, element type, shape and what they are.
fn listed(home: &Home) -> Vec<(String, String, String, String)> {
    let report = home.json(["ls"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |tensor: &Value| {
        (text(&tensor["path"]), text(&tensor["dtype"]), tensor["shape"].to_string(), text(&tensor["kind"]))
    };
    report["tensors"].as_array().unwrap().iter().map(row).collect()
}

/// What torch 2.15 wrote: path below `state_dict`, element type, shape, kind.
const EVERY_KIND: &[(&str, &str, &str, &str)] = &[
    ("view", "float32", "[2,3]", ""),
    ("t", "float32", "[6,4]", ""),
    ("tied1", "float32", "[3]", ""),
    ("tied2", "float32", "[3]", ""),
    ("param", "float32", "[2,2]", ""),
    ("buffer", "float32", "[2]", "with attributes"),
    ("coo", "float32", "[4,4]", "sparse_coo"),
    ("csr", "float32", "[3,3]", "sparse_csr"),
    ("csc", "float32", "[3,3]", "sparse_csc"),
    ("bsr", "float32", "[4,4]", "sparse_bsr"),
    ("bsc", "float32", "[4,4]", "sparse_bsc"),
    ("qt", "qint8", "[3,4]", "quantized"),
    ("qc", "qint32", "[3,4]", "quantized"),
    ("q4", "quint4x2", "[4,8]", "quantized"),
    ("nested", "float32", "[2]", "nested"),
    ("jagged", "float32", "[2]", "nested"),
    ("meta", "bfloat16", "[5,6]", "meta"),
    ("dt.float8_e4m3fn", "float8_e4m3fn", "[2,3]", ""),
    ("dt.float8_e5m2", "float8_e5m2", "[2,3]", ""),
    ("dt.float8_e4m3fnuz", "float8_e4m3fnuz", "[2,3]", ""),
    ("dt.float8_e5m2fnuz", "float8_e5m2fnuz", "[2,3]", ""),
    ("dt.float8_e8m0fnu", "float8_e8m0fnu", "[2,3]", ""),
    ("dt.uint16", "uint16", "[2,3]", ""),
    ("dt.uint32", "uint32", "[2,3]", ""),
    ("dt.uint64", "uint64", "[2,3]", ""),
    ("dt.complex32", "complex32", "[2,3]", ""),
    ("dt.complex64", "complex64", "[2,3]", ""),
    ("dt.complex128", "complex128", "[2,3]", ""),
    ("dt.bfloat16", "bfloat16", "[2,3]", ""),
    ("dt.bool", "bool", "[2,3]", ""),
    ("dt.int8", "int8", "[2,3]", ""),
    ("mixed_view", "float32", "[8]", ""),
];

#[test]
fn tensors_of_every_kind_are_listed_and_renamed_and_back() {
    let files = [
        ("special/every-kind.pt", "state_dict/", &[][..]),
        ("special/every-kind-legacy.pt", "", &["nested", "jagged"]),
    ];
    for (file, above, without) in files {
        let home = Home::new();
        fs::copy(data(file), home.path("a.pt")).unwrap();
        fs::create_dir(home.path("migrations")).unwrap();
        let place = if above.is_empty() { "" } else { "in = \"state_dict\"\n" };
        let text = format!("version = \"1.0\"\n\n[[step]]\n{place}rename = \"*\"\nto = \"net.*\"\n");
        fs::write(home.path("migrations/1700000000_prefix.toml"), text).unwrap();
        home.run(["import", "a.pt", "--version", "0.1"]).ok();
        let expected = |prefix: &str| {
            let kept = EVERY_KIND.iter().filter(|row| !without.contains(&row.0));
            let row = |row: &(&str, &str, &str, &str)| {
                (format!("{above}{prefix}{}", row.0), row.1.to_owned(), row.2.to_owned(), row.3.to_owned())
            };
            kept.map(row).collect::<Vec<_>>()
        };
        assert_eq!(listed(&home), expected(""), "{file}");
        let tied = &home.json(["ls"])["tensors"][3];
        assert_eq!(tied["same_as"], format!("{above}tied1"));
        let before = content_of(&home.path("a.pt"));
        home.run(["checkout", "--version", "1.0"]).ok();
        assert_eq!(listed(&home), expected("net."), "{file}");
        home.run(["checkout", "--version", "base"]).ok();
        assert!(content_of(&home.path("a.pt")) == before);
    }
}

#[test]
fn files_that_return_as_they_were_have_their_tensors_listed() {
    /// Name, dtype and shape.
    type Row = (&'static str, &'static str, &'static str);
    let table: [(&str, &str, &[Row]); 4] = [
        ("module/exported.pt2", "zip", &[("weight", "float32", "[3,2]"), ("bias", "float32", "[3]")]),
        (
            "module/torchscript_traced.pt",
            "torch-archive",
            &[("weight", "float32", "[3,2]"), ("bias", "float32", "[3]")],
        ),
        (
            "old/t0.1_state_dict.tar",
            "torch-tar",
            &[("weight", "float32", "[2,3]"), ("again", "float32", "[2,3]")],
        ),
        ("old/t1.4_zip.pt", "torch-archive", &[("a", "float32", "[3,4]"), ("t", "float32", "[4,3]")]),
    ];
    for (file, format, tensors) in table {
        let home = Home::new();
        fs::copy(data("corpus").join(file), home.path("a")).unwrap();
        let report = home.json(["import", "a"]);
        assert_eq!(
            (report["format"].as_str(), &report["warnings"]),
            (Some(format), &Value::Array(Vec::new()))
        );
        let rows: Vec<_> = listed(&home).into_iter().take(2).map(|row| (row.0, row.1, row.2)).collect();
        let expected: Vec<_> =
            tensors.iter().map(|row| (row.0.to_owned(), row.1.to_owned(), row.2.to_owned())).collect();
        assert_eq!(rows, expected, "{file}");
        let before = fs::read(home.path("a")).unwrap();
        home.run(["checkout", "-o", "b"]).ok();
        assert!(fs::read(home.path("b")).unwrap() == before, "{file}");
    }
}

#[test]
fn names_change_in_files_that_hold_nothing_but_tensors_and_back() {
    for file in ["numpy/plain.npz", "gguf/align64.gguf", "safetensors/meta.safetensors"] {
        let home = Home::new();
        fs::copy(data("corpus").join(file), home.path("a")).unwrap();
        fs::create_dir(home.path("migrations")).unwrap();
        let text =
            "version = \"1.0\"\n\n[[step]]\nrename = \"*\"\nto = \"net.*\"\nexcept = [\"__metadata__\"]\n";
        fs::write(home.path("migrations/1700000000_prefix.toml"), text).unwrap();
        home.run(["import", "a", "--version", "0.1"]).ok();
        let before = fs::read(home.path("a")).unwrap();
        let old = listed(&home);
        assert!(!old.is_empty(), "{file}");
        home.run(["checkout", "--version", "1.0"]).ok();
        let mut expected: Vec<_> =
            old.into_iter().map(|row| (format!("net.{}", row.0), row.1, row.2, row.3)).collect();
        // What was written reads as what is stored.
        home.run(["import", "--name", "again", "a"]).ok();
        let mut found = listed(&home);
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{file}");
        home.run(["checkout", "a", "--version", "base"]).ok();
        assert!(fs::read(home.path("a")).unwrap() == before, "{file}");
    }
}
