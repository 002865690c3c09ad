//! Every kind of step of a TOML migration, up and down, on two formats.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::bad_input::failure;
use crate::merge::begin;
use crate::support::Home;
use crate::train::Checkpoint;

/// A tensor that a step makes: its name, shape and elements.
type Made = (&'static str, &'static [u64], &'static [f32]);

struct Case {
    step: &'static str,
    /// Whether it is undone by itself, where nothing is stored.
    inverse: bool,
    /// Tensors that are there afterwards and were not, or are others.
    made: &'static [Made],
    /// Tensors that are gone.
    gone: &'static [&'static str],
}

const A: &[f32] = &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
const C: &[f32] = &[40.0, 41.0, 42.0];

const CASES: &[Case] = &[
    Case {
        step: "rename = '*.weight'\nto = 'layer.*.kernel'\nexcept = ['b.*']\nreversible = false\n",
        inverse: false,
        made: &[("layer.a.kernel", &[2, 3], A), ("layer.c.kernel", &[3], C)],
        gone: &["a.weight", "c.weight"],
    },
    Case { step: "rename = '[ac].weight'\nto = 'x'\noptional = true\n", inverse: true, made: &[], gone: &[] },
    Case {
        step: "rename = '*.weight'\nto = '*.kernel'\n",
        inverse: true,
        made: &[("a.kernel", &[2, 3], A), ("c.kernel", &[3], C)],
        gone: &["a.weight", "b.weight", "c.weight"],
    },
    Case {
        step: "rename = '(?<layer>[ac])\\.weight'\nregex = true\nto = 'w_${layer}'\n",
        inverse: true,
        made: &[("w_a", &[2, 3], A), ("w_c", &[3], C)],
        gone: &["a.weight", "c.weight"],
    },
    Case {
        step: "rename = '([ac]).weight'\nregex = true\nto = '$1.kernel'\n",
        inverse: false,
        made: &[("a.kernel", &[2, 3], A)],
        gone: &["a.weight", "c.weight"],
    },
    Case {
        step: "move = 'a.weight'\nto = 'z.weight'\n",
        inverse: true,
        made: &[("z.weight", &[2, 3], A)],
        gone: &["a.weight"],
    },
    Case { step: "delete = 'buffer'\n", inverse: false, made: &[], gone: &["buffer"] },
    Case {
        step: "cast = '*.weight'\nto = 'float16'\n",
        inverse: false,
        made: &[("a.weight", &[2, 3], A), ("c.weight", &[3], C)],
        gone: &[],
    },
    Case {
        step: "reshape = 'a.weight'\nfrom = [2, 3]\nto = [3, 2]\n",
        inverse: true,
        made: &[("a.weight", &[3, 2], A)],
        gone: &[],
    },
    Case {
        step: "reshape = 'a.weight'\nto = [6]\n",
        inverse: false,
        made: &[("a.weight", &[6], A)],
        gone: &[],
    },
    Case {
        step: "transpose = 'a.weight'\ndims = [0, 1]\n",
        inverse: true,
        made: &[("a.weight", &[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0])],
        gone: &[],
    },
    Case {
        step: "split = 'b.weight'\ninto = ['b.q', 'b.k', 'b.v']\n",
        inverse: true,
        made: &[
            ("b.q", &[2, 2], &[10.0, 11.0, 12.0, 13.0]),
            ("b.k", &[2, 2], &[14.0, 15.0, 16.0, 17.0]),
            ("b.v", &[2, 2], &[18.0, 19.0, 20.0, 21.0]),
        ],
        gone: &["b.weight"],
    },
    Case {
        step: "split = 'a.weight'\ninto = ['a.x', 'a.y']\ndim = 1\nsizes = [1, 2]\n",
        inverse: true,
        made: &[("a.x", &[2, 1], &[0.0, 3.0]), ("a.y", &[2, 2], &[1.0, 2.0, 4.0, 5.0])],
        gone: &["a.weight"],
    },
    Case {
        step: "concat = ['c.weight', 'buffer']\ninto = 'both'\nsizes = [3, 4]\n",
        inverse: true,
        made: &[("both", &[7], &[40.0, 41.0, 42.0, 30.0, 31.0, 32.0, 33.0])],
        gone: &["c.weight", "buffer"],
    },
    Case {
        step: "fill = 'buffer'\nwith = 1.5\n",
        inverse: false,
        made: &[("buffer", &[4], &[1.5; 4])],
        gone: &[],
    },
    Case {
        step: "fill = 'new.bias'\nwith = 0.25\nshape = [2]\ndtype = 'float32'\n",
        inverse: false,
        made: &[("new.bias", &[2], &[0.25; 2])],
        gone: &[],
    },
];

/// Where tensors lie in a checkpoint of a format.
#[derive(Clone, Copy)]
struct Kind {
    file: &'static str,
    place: &'static str,
}

const TORCH: Kind = Kind { file: "a.ckpt", place: "state_dict/" };
const SAFETENSORS: Kind = Kind { file: "a.safetensors", place: "" };

/// The tensors of [`begin`] as a safetensors file.
fn safetensors(path: &Path) {
    let (mut head, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, values) in begin().tensors() {
        let start = data.len();
        let shape = begin().shape(&name);
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let name = name.strip_prefix("state_dict/").unwrap().to_owned();
        head.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let mut head = Value::Object(head).to_string();
    head.push_str(&" ".repeat((8 - head.len() % 8) % 8));
    let length = (head.len() as u64).to_le_bytes();
    fs::write(path, [&length[..], head.as_bytes(), &data].concat()).unwrap();
}

fn home(kind: Kind, step: &str) -> Home {
    let home = Home::new();
    fs::create_dir(home.path("migrations")).unwrap();
    let place = kind.place.trim_end_matches('/');
    let place = if place.is_empty() { String::new() } else { format!("in = '{place}'\n") };
    fs::write(
        home.path("migrations/1700000001_step.toml"),
        format!("version = '1.0.0'\n[[step]]\n{place}{step}"),
    )
    .unwrap();
    match kind.file {
        "a.ckpt" => begin().save(&home.path("a.ckpt")),
        _ => safetensors(&home.path(kind.file)),
    }
    home.run(["import", kind.file]).ok();
    if kind.place.is_empty() {
        home.run(["baseline", "--to", "base"]).ok();
    }
    home
}

fn methods(report: &Value) -> Vec<&str> {
    let operations = report["operations"].as_array().unwrap().iter();
    operations.map(|operation| operation["method"].as_str().unwrap()).collect()
}

#[test]
fn every_step_goes_up_and_down_on_torch_and_safetensors() {
    for (case, kind) in CASES.iter().flat_map(|case| [(case, TORCH), (case, SAFETENSORS)]) {
        let step = case.step;
        let home = home(kind, step);
        let file = home.path(kind.file);
        let before = fs::read(&file).unwrap();
        // Runs without an interpreter.
        home.run(["checkout", "--version", "1.0.0", "--no-code"]).ok();
        let up = Checkpoint::load(&file);
        for (name, shape, values) in case.made {
            let path = format!("{}{name}", kind.place);
            assert_eq!(
                (up.shape(&path).as_slice(), up.values(&path).as_slice()),
                (*shape, *values),
                "{step}"
            );
        }
        for name in case.gone {
            assert!(!up.has(&format!("{}{name}", kind.place)), "{step}");
        }
        let begun = begin().tensors();
        for (path, values) in &begun {
            let name = path.strip_prefix("state_dict/").unwrap();
            let is_other = case.gone.contains(&name) || case.made.iter().any(|(made, ..)| *made == name);
            if !is_other && !step.starts_with("cast") {
                assert_eq!(&up.values(&format!("{}{name}", kind.place)), values, "{step}");
            }
        }
        // Another store has only the file.
        let other = Home::new();
        crate::support::copy_folder(&home.path("migrations"), &other.path("migrations"));
        fs::copy(&file, other.path(kind.file)).unwrap();
        other.run(["import", kind.file]).ok();
        if kind.place.is_empty() {
            other.run(["baseline", "--version", "1.0.0"]).ok();
        }

        let down = home.json(["checkout", "base"]);
        assert_eq!(methods(&down), ["restore"], "{step}");
        assert_eq!(fs::read(&file).unwrap(), before, "{step}");

        if case.inverse {
            let down = other.json(["checkout", "base", "--no-code"]);
            assert_eq!(methods(&down), ["script"], "{step}");
            let back = Checkpoint::load(&other.path(kind.file));
            let keys = |checkpoint: &Checkpoint| checkpoint.tensors().into_iter().collect::<Vec<_>>();
            let expected = Checkpoint::load(&file);
            assert_eq!(keys(&back), keys(&expected), "{step}");
            for path in begun.keys() {
                let path = format!("{}{}", kind.place, path.strip_prefix("state_dict/").unwrap());
                assert_eq!(back.shape(&path), expected.shape(&path), "{step}");
            }
        } else {
            failure(&other.run(["checkout", "base", "--json"]), "E_IRREVERSIBLE", 4);
        }
    }
}

#[test]
fn settings_are_set_moved_and_deleted_in_documents_too() {
    let document = r#"{"config": {"model": {"layers": 16, "rate": 0.5}}, "epoch": 3}"#;
    let cases = [
        (
            "set = 'config/model/layers'\nto = 24\n",
            json!({"config": {"model": {"layers": 24, "rate": 0.5}}, "epoch": 3}),
        ),
        (
            "set = 'config/model/layers'\nnone = true\n",
            json!({"config": {"model": {"layers": null, "rate": 0.5}}, "epoch": 3}),
        ),
        (
            "move = 'config/model/rate'\nto = 'config/rate'\n",
            json!({"config": {"model": {"layers": 16}, "rate": 0.5}, "epoch": 3}),
        ),
        ("delete = 'config/**/rate'\n", json!({"config": {"model": {"layers": 16}}, "epoch": 3})),
        (
            "in = 'config/*'\nrename = 'layers'\nto = 'depth'\n",
            json!({"config": {"model": {"depth": 16, "rate": 0.5}}, "epoch": 3}),
        ),
    ];
    for (step, expected) in cases {
        let home = Home::new();
        fs::create_dir(home.path("migrations")).unwrap();
        fs::write(
            home.path("migrations/1700000001_step.toml"),
            format!("version = '1.0.0'\n[[step]]\n{step}"),
        )
        .unwrap();
        fs::write(home.path("a.json"), document).unwrap();
        home.run(["import", "a.json"]).ok();
        home.run(["baseline", "--to", "base"]).ok();
        home.run(["checkout", "--version", "1.0.0"]).ok();
        let text = fs::read_to_string(home.path("a.json")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{step}: {text}");
        home.run(["checkout", "base"]).ok();
        assert_eq!(fs::read_to_string(home.path("a.json")).unwrap(), document, "{step}");
        // On a torch file, the same places.
        let home = Home::new();
        fs::create_dir(home.path("migrations")).unwrap();
        fs::write(
            home.path("migrations/1700000001_step.toml"),
            format!("version = '1.0.0'\n[[step]]\n{step}"),
        )
        .unwrap();
        begin().save(&home.path("a.ckpt"));
        let before = fs::read(home.path("a.ckpt")).unwrap();
        home.run(["import", "a.ckpt"]).ok();
        home.run(["checkout", "--version", "1.0.0"]).ok();
        assert_ne!(fs::read(home.path("a.ckpt")).unwrap(), before);
        assert!(home.run(["migration", "test", "1700000001_step"]).stdout.contains("same"));
        home.run(["checkout", "base"]).ok();
        assert_eq!(fs::read(home.path("a.ckpt")).unwrap(), before, "{step}");
    }
}
