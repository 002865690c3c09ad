//! Steps on small checkpoints, forth and back.

use std::collections::HashMap;
use std::io;

use super::super::engine::{Limits, StorageBytes, evaluate};
use super::super::source::Migration;
use super::*;
use crate::value::{Dtype, Kind, NodeId, Storage, StorageId, StorageRef, Tail, Tensor};

/// Bytes of storages, by place.
#[derive(Default, Clone)]
struct Bytes(HashMap<u32, Vec<u8>>);

impl StorageBytes for Bytes {
    fn read(&mut self, storage: StorageId, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.get(&storage.0).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&bytes[from..from + buffer.len()]);
        Ok(())
    }
}

struct Checkpoint {
    graph: Graph,
    bytes: Bytes,
    state: NodeId,
}

impl Checkpoint {
    /// A checkpoint with a `state_dict` and a `config`.
    fn new() -> Checkpoint {
        let mut graph = Graph::new();
        let (root, state, config) = (graph.root, graph.add(Kind::Dict), graph.add(Kind::Dict));
        graph.set(root, "state_dict", state);
        graph.set(root, "config", config);
        Checkpoint { graph, bytes: Bytes::default(), state }
    }

    fn tensor(mut self, key: &str, shape: &[u64], values: &[f32]) -> Checkpoint {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let place = self.graph.storages.len().to_string();
        let storage = self.graph.add_storage(Storage { key: place, bytes: bytes.len() as u64 });
        self.bytes.0.insert(storage.0, bytes);
        let tensor = self.graph.add(Kind::Tensor(Box::new(Tensor {
            dtype: Dtype::F32,
            shape: shape.to_vec(),
            strides: Tensor::contiguous_strides(shape).unwrap(),
            offset: 0,
            storage: StorageRef {
                storage,
                class: "torch.FloatStorage".into(),
                location: "cpu".into(),
                elements: values.len() as u64,
                view: None,
            },
            requires_grad: true,
            hooks: None,
            metadata: None,
        })));
        self.graph.set(self.state, key, tensor);
        self
    }

    fn config(mut self, key: &str, value: Kind) -> Checkpoint {
        let value = self.graph.add(value);
        let config = self.graph.get(self.graph.root, "config").unwrap();
        self.graph.set(config, key, value);
        self
    }

    fn tied(mut self, key: &str, to: &str) -> Checkpoint {
        let node = self.graph.get(self.state, to).unwrap();
        self.graph.set(self.state, key, node);
        self
    }

    /// Runs steps, the storages that they make included.
    fn run(&self, body: &Body) -> Result<Checkpoint, DeclarativeError> {
        let outcome = apply("1_test.toml", body, &self.graph, &Limits::default())?;
        let mut bytes = self.bytes.clone();
        for computed in &outcome.computed {
            let mut made = Vec::new();
            evaluate(&computed.expr, &mut self.bytes.clone(), &mut |part| {
                made.extend_from_slice(part);
                Ok(())
            })
            .unwrap();
            assert_eq!(made.len() as u64, outcome.graph.storage(computed.storage).bytes);
            bytes.0.insert(computed.storage.0, made);
        }
        Ok(Checkpoint { graph: outcome.graph, bytes, state: self.state })
    }

    /// What is in the state and the configuration, in order.
    fn told(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (key, value) in self.graph.items(self.state) {
            let key = self.graph.as_str(key).unwrap();
            let tensor = self.graph.as_tensor(value).unwrap();
            let expr = State::new(&self.graph, &Limits::default()).load(tensor, State::window(tensor));
            let mut made = Vec::new();
            evaluate(&expr, &mut self.bytes.clone(), &mut |part| {
                made.extend_from_slice(part);
                Ok(())
            })
            .unwrap();
            let values: Vec<String> = match tensor.dtype {
                Dtype::F32 => made
                    .chunks_exact(4)
                    .map(|b| f32::from_le_bytes(b.try_into().unwrap()).to_string())
                    .collect(),
                _ => made.iter().map(|byte| format!("{byte:02x}")).collect(),
            };
            out.push(format!("{key} {} {:?} {}", tensor.dtype, tensor.shape, values.join(" ")));
        }
        let mut todo = vec![("config".to_owned(), self.graph.get(self.graph.root, "config").unwrap())];
        while let Some((path, node)) = todo.pop() {
            match self.graph.kind(node) {
                Kind::Dict => {
                    for (key, value) in self.graph.items(node).into_iter().rev() {
                        todo.push((format!("{path}/{}", self.graph.as_str(key).unwrap()), value));
                    }
                }
                other => out.push(format!("{path} = {other:?}")),
            }
        }
        out
    }
}

fn read(steps: &str) -> Result<Migration, String> {
    let text = format!("version = '1'\n{steps}");
    Migration::read("1_test.toml", text.into(), None).map_err(|problem| problem.to_string())
}

fn body(steps: &str) -> Body {
    (*read(steps).unwrap().body.unwrap()).clone()
}

fn told(result: Result<Checkpoint, DeclarativeError>) -> String {
    match result {
        Ok(checkpoint) => checkpoint.told().join("\n"),
        Err(error) => error.to_string(),
    }
}

fn forth_and_back(checkpoint: &Checkpoint, steps: &str, expected: &[&str]) {
    let body = body(steps);
    let after = checkpoint.run(&body).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(after.told(), expected, "{steps}");
    let back = after.run(&body.inverse().expect("it can be undone")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(back.told(), checkpoint.told(), "{steps}");
}

#[test]
fn each_step_does_what_it_says_and_its_inverse_undoes_it() {
    let two = Checkpoint::new()
        .tensor("a.emb.weight", &[2, 3], &[1., 2., 3., 4., 5., 6.])
        .tensor("b.emb.weight", &[2], &[7., 8.])
        .config("lr", Kind::Int(1))
        .config("epochs", Kind::Int(2));
    let rest = ["config/lr = Int(1)", "config/epochs = Int(2)"];
    let with_rest =
        |first: &[&str]| -> Vec<String> { first.iter().chain(&rest).map(|l| (*l).to_owned()).collect() };
    let a = "a.emb.weight float32 [2, 3] 1 2 3 4 5 6";
    let b = "b.emb.weight float32 [2] 7 8";
    let cases: Vec<(&str, Vec<String>)> = vec![
        (
            "[[step]]\nin = 'state_dict'\nrename = '*.emb.*'\nto = '*.embed.*'\n",
            with_rest(&["a.embed.weight float32 [2, 3] 1 2 3 4 5 6", "b.embed.weight float32 [2] 7 8"]),
        ),
        (
            "[[step]]\nrename = 'state_dict/a.emb.weight'\nto = 'state_dict/first'\n",
            with_rest(&["first float32 [2, 3] 1 2 3 4 5 6", b]),
        ),
        (
            "[[step]]\nin = 'state_dict'\nreshape = 'a.*'\nfrom = [2, 3]\nto = [3, -1]\n",
            with_rest(&["a.emb.weight float32 [3, 2] 1 2 3 4 5 6", b]),
        ),
        (
            "[[step]]\nin = 'state_dict'\ntranspose = 'a.*'\ndims = [-1, 0]\n",
            with_rest(&["a.emb.weight float32 [3, 2] 1 4 2 5 3 6", b]),
        ),
        (
            "[[step]]\nin = 'state_dict'\nsplit = 'a.emb.*'\ninto = ['a.p.*', 'a.q.*']\ndim = 1\nsizes = [1, 2]\n",
            with_rest(&["a.p.weight float32 [2, 1] 1 4", "a.q.weight float32 [2, 2] 2 3 5 6", b]),
        ),
        (
            // Each feeds on what the one before made.
            "[[step]]\nin = 'state_dict'\ntranspose = 'a.*'\n\
             [[step]]\nin = 'state_dict'\nsplit = 'a.emb.weight'\ninto = ['x', 'y', 'z']\n\
             [[step]]\nin = 'state_dict'\nconcat = ['z', 'y']\ninto = 'zy'\ndim = 1\n",
            with_rest(&["x float32 [1, 2] 1 4", "zy float32 [1, 4] 3 6 2 5", b]),
        ),
    ];
    for (steps, expected) in &cases[..cases.len() - 1] {
        forth_and_back(&two, steps, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // Joined in another order than they stood: the same keys and values come back, in another order.
    let (steps, expected) = cases.last().unwrap();
    let after = two.run(&body(steps)).unwrap();
    assert_eq!(after.told(), *expected);
    let mut back = after.run(&body(steps).inverse().unwrap()).unwrap().told();
    back.sort();
    let mut before = two.told();
    before.sort();
    assert_eq!(back, before);
    let _ = a;
}

#[test]
fn what_cannot_be_turned_round_says_so() {
    let checkpoint = Checkpoint::new()
        .tensor("a.weight", &[2], &[1., 2.5])
        .tensor("a.bias", &[1], &[3.])
        .config("lr", Kind::Int(1));
    let cases = [
        ("delete = '*.bias'\nin = 'state_dict'", "a.weight float32 [2] 1 2.5\nconfig/lr = Int(1)"),
        (
            "cast = '*'\nto = 'bfloat16'\nin = 'state_dict'\nexcept = ['*.bias']",
            "a.weight bfloat16 [2] 80 3f 20 40\na.bias float32 [1] 3\nconfig/lr = Int(1)",
        ),
        (
            "set = 'config/name'\nto = 'adam'",
            "a.weight float32 [2] 1 2.5\na.bias float32 [1] 3\nconfig/lr = Int(1)\nconfig/name = Str(\"adam\")",
        ),
        (
            "set = 'config/*'\nnone = true",
            "a.weight float32 [2] 1 2.5\na.bias float32 [1] 3\nconfig/lr = None",
        ),
        (
            "fill = '*.bias'\nwith = 0.5\nin = 'state_dict'",
            "a.weight float32 [2] 1 2.5\na.bias float32 [1] 0.5\nconfig/lr = Int(1)",
        ),
        (
            "fill = 'state_dict/new'\nwith = 1\nshape = [2]\ndtype = 'int8'",
            "a.weight float32 [2] 1 2.5\na.bias float32 [1] 3\nnew int8 [2] 01 01\nconfig/lr = Int(1)",
        ),
        (
            "rename = '(.*)[.](weight|bias)'\nto = '${2}_$1'\nregex = true\nin = 'state_dict'",
            "weight_a float32 [2] 1 2.5\nbias_a float32 [1] 3\nconfig/lr = Int(1)",
        ),
        (
            "rename = 'a.weight'\nto = 'w'\nin = 'state_dict'\nreversible = false",
            "w float32 [2] 1 2.5\na.bias float32 [1] 3\nconfig/lr = Int(1)",
        ),
    ];
    for (step, expected) in cases {
        let body = body(&format!("[[step]]\n{step}\n"));
        assert_eq!(told(checkpoint.run(&body)), expected, "{step}");
        assert!(body.inverse().is_none(), "{step}");
        assert!(!read(&format!("[[step]]\n{step}\n")).unwrap().has_rollback);
    }
}

#[test]
fn a_moved_entry_comes_back() {
    let mut checkpoint = Checkpoint::new().config("lr", Kind::Int(1)).config("rest", Kind::Int(2));
    let inner = checkpoint.graph.add(Kind::Dict);
    let config = checkpoint.graph.get(checkpoint.graph.root, "config").unwrap();
    checkpoint.graph.set(config, "optimizer", inner);
    let body = body("[[step]]\nin = 'config'\nmove = 'lr'\nto = 'optimizer/rate'\n");
    let after = checkpoint.run(&body).unwrap();
    assert_eq!(after.told(), ["config/rest = Int(2)", "config/optimizer/rate = Int(1)"]);
    let back = after.run(&body.inverse().unwrap()).unwrap();
    assert_eq!(back.told(), ["config/rest = Int(2)", "config/lr = Int(1)"]);
    // The same object all the way.
    let lr = |checkpoint: &Checkpoint, keys: &[&str]| checkpoint.graph.get_in(checkpoint.graph.root, keys);
    assert_eq!(lr(&after, &["config", "optimizer", "rate"]), lr(&checkpoint, &["config", "lr"]));
}

#[test]
fn what_does_not_fit_is_refused_with_its_line() {
    let checkpoint = Checkpoint::new()
        .tensor("a.x.w", &[2], &[1., 2.])
        .tensor("a.y.w", &[3], &[1., 2., 3.])
        .tensor("b.w", &[2], &[1., 2.])
        .config("lr", Kind::Int(1));
    let cases = [
        ("in = 'state_dict'\nrename = 'b.w'\nto = 'a.x.w'", "`state_dict/a.x.w` exists already"),
        (
            "in = 'state_dict'\nrename = 'a.?.w'\nto = 'c.?'\nexcept=['a.y.w']\nreversible=true",
            "1_test.toml:2: a rename with exceptions, or by a regex that is more than text and groups, cannot be turned round",
        ),
        (
            "in = 'state_dict'\nrename = '(.).*'\nto = '$1'\nregex = true",
            "`state_dict/a.x.w` and `state_dict/a.y.w` would both become `state_dict/a`",
        ),
        ("in = 'state_dict'\nrename = 'z.*'\nto = 'y.*'", "nothing matches `z.*` in `state_dict`"),
        ("in = 'nothing'\nrename = 'z.*'\nto = 'y.*'", "there is no `nothing`"),
        ("in = 'state_dict'\nrename = 'a.x.*'\nto = 'b.*'", "`state_dict/b.w` exists already"),
        (
            "in = 'state_dict'\nrename = 'a.x.*'\nto = 'a.*'",
            "`state_dict/a.y.w` has such a key already, so turning the step round would not undo it; \
             `reversible = false` says that it need not",
        ),
        (
            "rename = 'state_dict/b.w'\nto = 'config/w'",
            "`state_dict/b.w` and `config/w` are not in the same place: use `move`",
        ),
        ("move = 'config'\nto = 'config/inner'", "`config` cannot be moved into itself, to `config/inner`"),
        ("move = 'config/lr'\nto = 'state_dict/b.w'", "`state_dict/b.w` exists already"),
        ("move = 'config/lr'\nto = 'nowhere/lr'", "there is no `nowhere`"),
        (
            "move = 'config/lr'\nto = 'state_dict/b.w/lr'",
            "`state_dict/b.w` is neither a dict nor an object with attributes",
        ),
        ("cast = 'config/lr'\nto = 'float16'", "`config/lr` is no tensor"),
        (
            "in = 'state_dict'\ncast = 'b.w'\nfrom = 'float16'\nto = 'float32'",
            "`state_dict/b.w` has element type float32, not float16",
        ),
        (
            "in = 'state_dict'\nreshape = 'b.w'\nto = [3, -1]",
            "`state_dict/b.w` has shape [2]: its elements do not fill [3, -1]",
        ),
        (
            "in = 'state_dict'\nreshape = 'b.w'\nfrom = [4]\nto = [2, 2]",
            "`state_dict/b.w` has shape [2]: [4] was expected",
        ),
        (
            "in = 'state_dict'\ntranspose = 'b.w'",
            "`state_dict/b.w` has shape [2]: it has no dimensions [0, 1]",
        ),
        (
            "in = 'state_dict'\nsplit = 'a.y.w'\ninto = ['p', 'q']",
            "`state_dict/a.y.w` has shape [3]: dimension 0 does not fall into 2 equal parts: say `sizes`",
        ),
        ("in = 'state_dict'\nsplit = 'b.w'\ninto = ['p', 'a.x.w']", "`state_dict/a.x.w` exists already"),
        (
            "in = 'state_dict'\nconcat = ['a.x.w', 'a.y.w']\ninto = 'p'",
            "`state_dict/a.y.w` has shape [3]: dimension 0 is not as long as that of `state_dict/a.x.w`: say `sizes`",
        ),
        (
            "in = 'state_dict'\nconcat = ['*.x.w', '*.z.w']\ninto = '*.p'",
            "`state_dict/a.z.w` is missing beside `state_dict/a.x.w`",
        ),
        ("set = 'nowhere/a'\nto = 1", "there is no `nowhere`"),
        ("fill = 'state_dict/b.w'\nwith = 1\nshape = [1]\ndtype = 'int8'", "`state_dict/b.w` exists already"),
        (
            "fill = 'state_dict/n'\nwith = 1\nshape = [1099511627776]\ndtype = 'int8'",
            "computed tensors would take 1099511627776 bytes, more than the 17179869296 allowed",
        ),
    ];
    for (step, expected) in cases {
        let text = format!("[[step]]\n{step}\n");
        let found = match read(&text) {
            Ok(_) => told(checkpoint.run(&body(&text))),
            Err(problem) => problem,
        };
        let found = found.strip_prefix("1_test.toml, line 2: ").unwrap_or(&found);
        assert_eq!(found, expected, "{step}");
    }
}

#[test]
fn what_is_no_step_is_refused_when_it_is_read() {
    let cases = [
        ("[[step]]\nrename = 'a'\nto = 'b'\nfrom = 'c'\n", "1_test.toml:5: a step has no field `from`"),
        ("[[step]]\nrename = 'a'\n", "1_test.toml:2: a step lacks `to`"),
        (
            "[[step]]\nto = 'a'\n",
            "1_test.toml:2: a step does one of rename, move, delete, set, cast, reshape, transpose, split, concat, fill",
        ),
        ("[[step]]\ndelete = 'a'\ncast = 'b'\n", "1_test.toml:2: a step does one thing, not delete and cast"),
        ("[[step]]\nrename = 'a*'\nto = 'b'\n", "1_test.toml:4: `b` has not the wildcards of `a*`"),
        ("[[step]]\ncast = 'a'\nto = 'float33'\n", "1_test.toml:4: there is no element type `float33`"),
        ("[[step]]\ndelete = 3\n", "1_test.toml:3: `delete` is not text"),
        (
            "[[step]]\ndelete = '('\nregex = true\n",
            "1_test.toml:3: `(` is no regular expression: unclosed group",
        ),
        (
            "[[step]]\nset = 'a'\nto = 2020-01-01\n",
            "1_test.toml:4: `to` is not a plain value: a date, which a checkpoint cannot keep as one",
        ),
        ("[[step]]\nsplit = 'a'\ninto = ['b']\n", "1_test.toml:2: there must be two parts at least"),
        ("steps = 1\n", "1_test.toml:2: a migration has no field `steps`"),
        ("step = 1\n", "1_test.toml:2: `step` is not a table for each step, `[[step]]`"),
        ("[[step]\n", "1_test.toml:2: not valid TOML: unclosed array table, expected `]`"),
    ];
    for (steps, expected) in cases {
        assert_eq!(read(steps).map(|_| ()).unwrap_err(), expected, "{steps}");
    }
    let read = |text: &str| Migration::read("1_test.toml", text.into(), None);
    assert_eq!(read("").unwrap_err().to_string(), "1_test.toml:1: a migration lacks `version`");
    let versions =
        "versions = { migration = '1.0.0', model = '0.8.1' }\nfinal = true\nsummary = 'Opens a group'\n";
    let migration = read(versions).unwrap();
    assert_eq!((migration.package.as_str(), migration.version.as_str()), ("model", "0.8.1"));
    assert!(migration.is_final && !migration.has_migrate && !migration.has_rollback);
    assert_eq!(migration.summary.as_deref(), Some("Opens a group"));
}

#[test]
fn the_digest_is_of_what_is_done() {
    let digest = |text: &str| Migration::read("1_test.toml", text.into(), None).unwrap().digest;
    let plain = "version = '1'\n[[step]]\ndelete = 'a'\n";
    assert_eq!(
        digest(plain),
        digest(
            "# a word\nsummary = 'x'\nversion = '2'\n\n[[step]]\n  delete = \"a\" # b\n  optional = false\n"
        )
    );
    assert_eq!(digest(plain), digest("version = '1'\r\nstep = [{delete = 'a'}]\r\n"));
    for other in
        ["delete = 'b'", "delete = 'a'\noptional = true", "delete = 'a'\nin = 'b'", "set = 'a'\nto = 1"]
    {
        assert_ne!(digest(plain), digest(&format!("version = '1'\n[[step]]\n{other}\n")), "{other}");
    }
    assert_eq!(digest(plain).to_string().len(), 64);
}

#[test]
fn tied_tensors_stay_tied_where_all_of_them_change() {
    let checkpoint = Checkpoint::new().tensor("a", &[2], &[1., 2.]).tied("b", "a").tied("c", "a");
    let at = |checkpoint: &Checkpoint, key| checkpoint.graph.get(checkpoint.state, key).unwrap();
    let all = checkpoint.run(&body("[[step]]\nin = 'state_dict'\ncast = '*'\nto = 'float16'\n")).unwrap();
    assert_eq!(at(&all, "a"), at(&all, "b"));
    assert_eq!(at(&all, "a"), at(&checkpoint, "a"));
    let some = "[[step]]\nin = 'state_dict'\ncast = '*'\nto = 'float16'\nexcept = ['c']\n";
    let some = checkpoint.run(&body(some)).unwrap();
    assert_eq!(at(&some, "a"), at(&some, "b"));
    assert_eq!(at(&some, "c"), at(&checkpoint, "c"));
    assert_ne!(at(&some, "a"), at(&some, "c"));
}

#[test]
fn steps_that_feed_on_each_other_without_end_are_refused() {
    let mut steps = String::new();
    for i in 0..64 {
        steps.push_str(&format!(
            "[[step]]\nin = 'state_dict'\nsplit = 'x{i}'\ninto = ['p', 'q']\n\
             [[step]]\nin = 'state_dict'\nconcat = ['p', 'q']\ninto = 'x{}'\n",
            i + 1
        ));
    }
    let checkpoint = Checkpoint::new().tensor("x0", &[2], &[1., 2.]);
    assert!(told(checkpoint.run(&body(&steps))).ends_with("computations are chained"));
}

#[test]
fn items_of_lists_can_be_set_and_deleted_but_not_renamed() {
    let mut checkpoint = Checkpoint::new();
    let list = checkpoint.graph.add(Kind::List);
    for value in [1, 2, 3] {
        let item = checkpoint.graph.add(Kind::Int(value));
        checkpoint.graph.node_mut(list).tail.push(Tail::Append(item));
    }
    let root = checkpoint.graph.root;
    checkpoint.graph.set(root, "groups", list);
    let items = |checkpoint: &Checkpoint| -> Vec<i64> {
        checkpoint.graph.elements(list).filter_map(|id| checkpoint.graph.as_int(id)).collect()
    };
    let after = checkpoint.run(&body("[[step]]\nset = 'groups/1'\nto = 9\n[[step]]\ndelete = 'groups/0'\n"));
    assert_eq!(items(&after.unwrap()), [9, 3]);
    let renamed = checkpoint.run(&body("[[step]]\nrename = 'groups/0'\nto = 'groups/a'\n"));
    assert!(told(renamed).contains("an item of a list or tuple"));
}
