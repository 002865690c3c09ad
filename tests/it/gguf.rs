//! GGUF files of every version and byte order: what is in them, exact return, names that change.

use std::fs;

use serde_json::json;

use crate::support::Home;

/// Writes numbers in the byte order, and lengths in the width, of a file.
struct Writer {
    version: u32,
    big_endian: bool,
    bytes: Vec<u8>,
}

impl Writer {
    fn number(&mut self, number: u64, bytes: usize) {
        match self.big_endian {
            true => self.bytes.extend(&number.to_be_bytes()[8 - bytes..]),
            false => self.bytes.extend(&number.to_le_bytes()[..bytes]),
        }
    }

    /// Four bytes in version 1, eight since.
    fn length(&mut self, length: usize) {
        self.number(length as u64, if self.version == 1 { 4 } else { 8 });
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.bytes.extend(text.as_bytes());
    }

    fn key(&mut self, key: &str, kind: u64) {
        self.text(key);
        self.number(kind, 4);
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(32), 0);
    }
}

/// A file by the text of `docs/gguf.md`: a key of most types, and tensors whose names begin with `prefix`.
fn gguf(version: u32, big_endian: bool, prefix: &str) -> Vec<u8> {
    // Shape as it is written, innermost first; number of the type; length of the bytes.
    let tensors: [(&str, &[usize], u64, usize); 4] = [
        ("weight", &[3, 2], 0, 24),
        ("half", &[5], 1, 10),
        ("blocks", &[64, 2], 2, 72),
        ("bytes", &[7], 24, 7),
    ];
    let mut out = Writer { version, big_endian, bytes: b"GGUF".to_vec() };
    out.number(version.into(), 4);
    out.length(tensors.len());
    out.length(7);
    out.key("general.architecture", 8);
    out.text("llama");
    out.key("a.u8", 0);
    out.number(200, 1);
    out.key("a.i16", 3);
    out.number(-2i64 as u64, 2);
    out.key("a.f32", 6);
    out.number(1.5f32.to_bits().into(), 4);
    out.key("a.bool", 7);
    out.number(1, 1);
    out.key("a.u64", 10);
    out.number(1 << 40, 8);
    out.key("a.tokens", 9);
    out.number(8, 4);
    out.length(2);
    out.text("one");
    out.text("two");
    let mut offset = 0;
    for (name, shape, kind, bytes) in tensors {
        out.text(&format!("{prefix}{name}"));
        out.number(shape.len() as u64, 4);
        shape.iter().for_each(|extent| out.length(*extent));
        out.number(kind, 4);
        out.number(offset, 8);
        offset = (offset + bytes as u64).next_multiple_of(32);
    }
    for (place, (.., bytes)) in tensors.into_iter().enumerate() {
        out.align();
        out.bytes.extend((0..bytes).map(|byte| (byte * 5 + place) as u8));
    }
    out.align();
    out.bytes
}

#[test]
fn every_version_and_byte_order_is_read_and_changes_its_names() {
    for (version, big_endian) in [(1, false), (2, false), (3, false), (1, true), (2, true), (3, true)] {
        let what = format!("version {version}, big-endian: {big_endian}");
        let home = Home::new();
        let before = gguf(version, big_endian, "");
        fs::write(home.path("a.gguf"), &before).unwrap();
        fs::create_dir(home.path("migrations")).unwrap();
        let script =
            "version = \"1.0\"\n\n[[step]]\nrename = \"*\"\nto = \"net.*\"\nexcept = [\"__metadata__\"]\n";
        fs::write(home.path("migrations/1700000000_prefix.toml"), script).unwrap();
        let imported = home.json(["import", "a.gguf", "--version", "0.1"]);
        assert_eq!((&imported["format"], &imported["tensors"]), (&json!("gguf"), &json!(4)), "{what}");
        home.run(["checkout", "-o", "b.gguf"]).ok();
        let written = || fs::read(home.path("b.gguf")).unwrap();
        assert!(written() == before, "{what}");

        let listed = home.json(["ls"])["tensors"].clone();
        let row = |place: usize| {
            let tensor = &listed[place];
            (tensor["path"].clone(), tensor["dtype"].clone(), tensor["shape"].clone(), tensor["kind"].clone())
        };
        let none = serde_json::Value::Null;
        let number = |name: &str, dtype: &str, shape: &[u64], item_bytes: u64| match big_endian {
            false => (json!(name), json!(dtype), json!(shape), none.clone()),
            true => {
                let shape = [shape, &[item_bytes]].concat();
                (json!(name), json!("bits8"), json!(shape), json!(format!("big-endian {dtype}")))
            }
        };
        assert_eq!(row(0), number("weight", "float32", &[2, 3], 4), "{what}");
        assert_eq!(row(1), number("half", "float16", &[5], 2), "{what}");
        assert_eq!(row(3), (json!("bytes"), json!("int8"), json!([7]), none.clone()), "{what}");
        if !big_endian {
            let blocks = (json!("blocks"), json!("q4_0"), json!([2, 2]), json!("in blocks of 32 values"));
            assert_eq!(row(2), blocks, "{what}");
        }
        let shown = home.json(["show", "HEAD", "__metadata__"])["value"].clone();
        assert_eq!((&shown["a.i16"], &shown["a.u64"]), (&json!(-2), &json!(1u64 << 40)), "{what}");
        assert_eq!(shown["a.tokens"], json!(["one", "two"]), "{what}");

        // What is written is what a writer of that version would write.
        home.run(["checkout", "--version", "1.0"]).ok();
        assert!(written() == gguf(version, big_endian, "net."), "{what}");
        home.run(["checkout", "--version", "base"]).ok();
        assert!(written() == before, "{what}");
    }
}
