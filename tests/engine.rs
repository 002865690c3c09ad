//! Scripts on graphs, through the real worker process.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use ckstore::migration::engine::{
    EngineError, Entry, Limits, Outcome, Script, StorageBytes, Worker, evaluate, run,
};
use ckstore::value::{
    Dtype, FloatBits, Graph, Kind, NodeId, Storage, StorageId, StorageRef, Tail, Tensor, places,
};

/// Bytes of storages, by place.
#[derive(Default)]
struct Bytes(HashMap<u32, Vec<u8>>);

impl StorageBytes for Bytes {
    fn read(&mut self, storage: StorageId, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.get(&storage.0).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(bytes.get(from..from + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A checkpoint under construction.
#[derive(Default)]
struct Checkpoint {
    graph: Graph,
    bytes: Bytes,
}

impl Checkpoint {
    fn global(&mut self, module: &str, name: &str) -> NodeId {
        self.graph.add(Kind::Global { module: module.into(), name: name.into() })
    }

    fn int(&mut self, value: i64) -> NodeId {
        self.graph.add(Kind::Int(value))
    }

    fn dict(&mut self, items: &[(&str, NodeId)]) -> NodeId {
        let dict = self.graph.add(Kind::Dict);
        for (key, value) in items {
            self.graph.set(dict, key, *value);
        }
        dict
    }

    fn list(&mut self, items: &[NodeId]) -> NodeId {
        let list = self.graph.add(Kind::List);
        self.graph.node_mut(list).tail = items.iter().map(|id| Tail::Append(*id)).collect();
        list
    }

    fn ordered(&mut self, items: &[(&str, NodeId)]) -> NodeId {
        let callee = self.global("collections", "OrderedDict");
        let args = self.graph.add(Kind::Tuple(vec![]));
        let ordered = self.graph.add(Kind::Reduce { callee, args });
        for (key, value) in items {
            self.graph.set(ordered, key, *value);
        }
        ordered
    }

    fn object(&mut self, module: &str, name: &str, attributes: &[(&str, NodeId)]) -> NodeId {
        let class = self.global(module, name);
        let args = self.graph.add(Kind::Tuple(vec![]));
        let object = self.graph.add(Kind::NewObj { class, args });
        let state = self.dict(attributes);
        self.graph.node_mut(object).tail.push(Tail::Build(state));
        object
    }

    fn tensor_of(&mut self, dtype: Dtype, shape: &[u64], bytes: Vec<u8>) -> NodeId {
        let elements = shape.iter().product();
        let key = self.graph.storages.len().to_string();
        let storage = self.graph.add_storage(Storage { key, bytes: bytes.len() as u64 });
        self.bytes.0.insert(storage.0, bytes);
        let storage = StorageRef {
            storage,
            class: "torch.FloatStorage".into(),
            location: "cpu".into(),
            elements,
            view: None,
        };
        self.graph.add(Kind::Tensor(Box::new(Tensor {
            dtype,
            shape: shape.to_vec(),
            strides: Tensor::contiguous_strides(shape).unwrap(),
            offset: 0,
            storage,
            requires_grad: false,
            hooks: None,
            metadata: None,
        })))
    }

    fn tensor(&mut self, shape: &[u64], values: &[f32]) -> NodeId {
        self.tensor_of(Dtype::F32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    fn root(&mut self, items: &[(&str, NodeId)]) {
        for (key, value) in items {
            let root = self.graph.root;
            self.graph.set(root, key, *value);
        }
    }

    fn migrate(&mut self, source: &str) -> Result<Outcome, EngineError> {
        self.run(source, Entry::Migrate, &Limits::default())
    }

    fn run(&mut self, source: &str, entry: Entry, limits: &Limits) -> Result<Outcome, EngineError> {
        let worker = Worker::new(env!("CARGO_BIN_EXE_ckstore"));
        let script = Script { name: "1_test", file: "1_test.py", source };
        run(&worker, &script, entry, &self.graph, &mut self.bytes, limits)
    }

    /// The floats of a tensor of an outcome, wherever they come from.
    fn floats(&mut self, outcome: &Outcome, id: NodeId) -> Vec<f32> {
        let tensor = outcome.graph.as_tensor(id).expect("a tensor");
        let bytes = self.storage(outcome, tensor.storage.storage);
        let at = |element: u64| {
            let from = element as usize * 4;
            f32::from_le_bytes(bytes[from..from + 4].try_into().unwrap())
        };
        let mut out = vec![tensor.offset];
        for (extent, stride) in tensor.shape.iter().zip(&tensor.strides) {
            out = out.iter().flat_map(|base| (0..*extent).map(move |i| base + i * stride)).collect();
        }
        out.into_iter().map(at).collect()
    }

    fn storage(&mut self, outcome: &Outcome, storage: StorageId) -> Vec<u8> {
        match outcome.computed.iter().find(|computed| computed.storage == storage) {
            None => self.bytes.0[&storage.0].clone(),
            Some(computed) => {
                let mut out = Vec::new();
                evaluate(&computed.expr, &mut self.bytes, &mut |part| {
                    out.extend_from_slice(part);
                    Ok(())
                })
                .unwrap();
                out
            }
        }
    }
}

fn keys(graph: &Graph, id: NodeId) -> Vec<String> {
    graph.items(id).into_iter().map(|(key, _)| graph.as_str(key).unwrap_or("?").to_owned()).collect()
}

fn paths(graph: &Graph) -> Vec<String> {
    places(graph).into_iter().map(|place| place.path.to_string()).collect()
}

#[test]
fn a_script_that_changes_nothing_gives_the_same_graph() {
    let mut checkpoint = Checkpoint::default();
    let one = checkpoint.int(1);
    let tensor = checkpoint.tensor(&[2], &[1.0, 2.0]);
    let state = checkpoint.ordered(&[("w", tensor)]);
    let object = checkpoint.object("argparse", "Namespace", &[("lr", one)]);
    let list = checkpoint.list(&[one, object, tensor]);
    checkpoint.root(&[("epoch", one), ("state_dict", state), ("args", object), ("list", list)]);
    let outcome = checkpoint.migrate("def migrate(ckpt):\n    return ckpt\n").unwrap();
    assert_eq!(outcome.graph, checkpoint.graph);
    assert_eq!(outcome.computed, []);
    assert_eq!(outcome.skipped, None);
}

#[test]
fn a_renamed_key_keeps_its_tensor() {
    let mut checkpoint = Checkpoint::default();
    let (a, b) = (checkpoint.tensor(&[1], &[1.0]), checkpoint.tensor(&[1], &[2.0]));
    let state = checkpoint.ordered(&[("old.w", a), ("b", b)]);
    checkpoint.root(&[("state_dict", state)]);
    let outcome = checkpoint
        .migrate("def migrate(ckpt):\n    sd = ckpt['state_dict']\n    sd['new.w'] = sd.pop('old.w')\n    return ckpt\n")
        .unwrap();
    assert_eq!(outcome.graph.get_in(outcome.graph.root, &["state_dict", "new.w"]), Some(a));
    assert_eq!(outcome.graph.get(outcome.graph.root, "state_dict"), Some(state));
    assert_eq!(keys(&outcome.graph, state), ["b", "new.w"]);
    assert_eq!(outcome.graph.kind(state), checkpoint.graph.kind(state));
    assert_eq!(paths(&outcome.graph).len(), 4);
}

#[test]
fn every_key_of_a_large_dict_is_renamed() {
    let mut checkpoint = Checkpoint::default();
    let tensor = checkpoint.tensor(&[1], &[1.0]);
    let names: Vec<String> = (0..20_000).map(|i| format!("layer.{i}")).collect();
    let items: Vec<(&str, NodeId)> = names.iter().map(|name| (name.as_str(), tensor)).collect();
    let callee = checkpoint.global("collections", "OrderedDict");
    let args = checkpoint.graph.add(Kind::Tuple(vec![]));
    let state = checkpoint.graph.add(Kind::Reduce { callee, args });
    for (name, value) in items {
        let key = checkpoint.graph.add_str(name);
        checkpoint.graph.node_mut(state).tail.push(Tail::Set(key, value));
    }
    checkpoint.root(&[("state_dict", state)]);
    let outcome = checkpoint
        .migrate(
            "def migrate(ckpt):
    sd = ckpt['state_dict']
    for key in list(sd):
        sd[key.replace('layer', 'block')] = sd.pop(key)
    return ckpt
",
        )
        .unwrap();
    let keys = keys(&outcome.graph, state);
    assert_eq!((keys.len(), keys[19_999].as_str()), (20_000, "block.19999"));
}

#[test]
fn shared_and_cyclic_objects_stay_shared() {
    let mut checkpoint = Checkpoint::default();
    let one = checkpoint.int(1);
    let shared = checkpoint.list(&[one]);
    checkpoint.root(&[("a", shared), ("b", shared)]);
    let outcome = checkpoint
        .migrate(
            "def migrate(ckpt):
    ckpt['a'].append(2)
    ckpt['c'] = ckpt.pop('a')
    new = [ckpt]
    new.append(new)
    ckpt['new'] = new
    return ckpt
",
        )
        .unwrap();
    let graph = &outcome.graph;
    assert_eq!(graph.get(graph.root, "b"), Some(shared));
    assert_eq!(graph.get(graph.root, "c"), Some(shared));
    assert_eq!(graph.elements(shared).filter_map(|id| graph.as_int(id)).collect::<Vec<_>>(), [1, 2]);
    let new = graph.get(graph.root, "new").unwrap();
    assert_eq!(graph.elements(new).collect::<Vec<_>>(), [graph.root, new]);
}

#[test]
fn an_edit_reached_only_through_an_untouched_object_is_kept() {
    let mut checkpoint = Checkpoint::default();
    let shared = checkpoint.dict(&[]);
    let object = checkpoint.object("a.b", "C", &[("inside", shared)]);
    checkpoint.root(&[("object", object), ("shared", shared)]);
    let outcome =
        checkpoint.migrate("def migrate(ckpt):\n    ckpt.pop('shared')['x'] = 7\n    return ckpt\n").unwrap();
    let value = outcome.graph.get(shared, "x").and_then(|id| outcome.graph.as_int(id));
    assert_eq!(value, Some(7));
}

#[test]
fn attributes_of_objects_are_edited_in_their_state() {
    let mut checkpoint = Checkpoint::default();
    let (one, two) = (checkpoint.int(1), checkpoint.int(2));
    let object = checkpoint.object("argparse", "Namespace", &[("lr", one), ("old", two)]);
    checkpoint.root(&[("args", object)]);
    let outcome = checkpoint
        .migrate(
            "import argparse
def migrate(ckpt):
    args = ckpt['args']
    assert isinstance(args, argparse.Namespace) and 'lr' in args and not hasattr(args, 'nothing')
    assert vars(args) == {'lr': 1, 'old': 2}
    assert type(args).__module__ == 'argparse' and type(args).__name__ == 'Namespace'
    del args.old
    args.new = [args.lr]
    return ckpt
",
        )
        .unwrap();
    let graph = &outcome.graph;
    let Some(Tail::Build(state)) = graph.node(object).tail.first() else { panic!("a state") };
    assert_eq!(checkpoint.graph.node(object), graph.node(object));
    assert_eq!(keys(graph, *state), ["lr", "new"]);
}

#[test]
fn a_configuration_keeps_its_pickled_form() {
    let mut checkpoint = Checkpoint::default();
    let none = checkpoint.graph.add(Kind::None);
    let metadata = |checkpoint: &mut Checkpoint, class: &str, key: NodeId| {
        let any = checkpoint.global("typing", "Any");
        checkpoint.object("omegaconf.base", class, &[("ref_type", any), ("key", key)])
    };
    let root_metadata = metadata(&mut checkpoint, "ContainerMetadata", none);
    let key = checkpoint.graph.add_str("lr");
    let leaf_metadata = metadata(&mut checkpoint, "Metadata", key);
    let value = checkpoint.graph.add(Kind::Float(FloatBits::from(0.1)));
    let leaf =
        checkpoint.object("omegaconf.nodes", "AnyNode", &[("_metadata", leaf_metadata), ("_val", value)]);
    let content = checkpoint.dict(&[("lr", leaf)]);
    let config = checkpoint.object(
        "omegaconf.dictconfig",
        "DictConfig",
        &[("_metadata", root_metadata), ("_parent", none), ("_content", content)],
    );
    checkpoint.root(&[("config", config)]);
    let outcome = checkpoint
        .migrate(
            "from omegaconf import DictConfig
def migrate(ckpt):
    config = ckpt['config']
    assert isinstance(config, DictConfig) and config.lr == 0.1 and config.get('swa') is None
    config.lr = 0.2
    config.weight_averaging = None
    config.model = {'layers': 4}
    return ckpt
",
        )
        .unwrap();
    let graph = &outcome.graph;
    assert_eq!(keys(graph, content), ["lr", "weight_averaging", "model"]);
    assert_eq!(graph.get(content, "lr"), Some(leaf));
    let state = |id: NodeId| match graph.node(id).tail.as_slice() {
        [Tail::Build(state)] => *state,
        other => panic!("{other:?}"),
    };
    let changed = graph.get(state(leaf), "_val").unwrap();
    assert_eq!(graph.kind(changed), &Kind::Float(FloatBits::from(0.2)));
    let model = graph.get(content, "model").unwrap();
    assert_eq!(graph.class_of(model), Some(("omegaconf.dictconfig", "DictConfig")));
    assert_eq!(graph.get(state(model), "_parent"), Some(config));
    let layers = graph.get_in(state(model), &["_content", "layers"]).unwrap();
    assert_eq!(graph.class_of(layers), Some(("omegaconf.nodes", "AnyNode")));
}

#[test]
fn classes_move_without_being_imported() {
    let mut checkpoint = Checkpoint::default();
    let object = checkpoint.object("pkg.old", "Files", &[]);
    checkpoint.root(&[("x", object)]);
    let source = "def migrate_setup(context):
    context.move_attribute('pkg.old.Files', 'pkg.middle.Files')
    context.move_attribute('pkg.middle.Files', 'pkg.new.Input')
    context.delete_module('pkg.gone')
def migrate(ckpt):
    assert type(ckpt['x']).__name__ == 'Input'
    return ckpt
def rollback(ckpt):
    return ckpt
";
    let outcome = checkpoint.migrate(source).unwrap();
    assert_eq!(outcome.graph.class_of(object), Some(("pkg.new", "Input")));
}

#[test]
fn a_view_reads_nothing_and_shares_its_storage() {
    let mut checkpoint = Checkpoint::default();
    let weight = checkpoint.tensor(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    checkpoint.root(&[("w", weight)]);
    let outcome = checkpoint
        .migrate(
            "def migrate(ckpt):
    w = ckpt['w']
    ckpt['t'], ckpt['row'], ckpt['flat'] = w.t(), w[1], w.reshape(-1)
    ckpt['a'], ckpt['b'] = w.chunk(2)
    return ckpt
",
        )
        .unwrap();
    assert_eq!(outcome.computed, []);
    assert_eq!(outcome.graph.storages, checkpoint.graph.storages);
    let get = |key: &str| outcome.graph.get(outcome.graph.root, key).unwrap();
    assert_eq!(checkpoint.floats(&outcome, get("t")), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_eq!(checkpoint.floats(&outcome, get("row")), [3.0, 4.0, 5.0]);
    assert_eq!(checkpoint.floats(&outcome, get("flat")), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(checkpoint.floats(&outcome, get("b")), [3.0, 4.0, 5.0]);
    let transposed = outcome.graph.as_tensor(get("t")).unwrap();
    assert_eq!((&transposed.shape, &transposed.strides), (&vec![3, 2], &vec![1, 3]));
}

#[test]
fn computed_tensors_are_computed_when_they_are_stored() {
    let mut checkpoint = Checkpoint::default();
    let weight = checkpoint.tensor(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    checkpoint.root(&[("w", weight)]);
    let outcome = checkpoint
        .migrate(
            "import torch
def migrate(ckpt):
    w = ckpt['w']
    unused = torch.cat([w] * 100)
    ckpt['cat'] = torch.cat([w, w[:1]])
    ckpt['copy'] = w.t().contiguous()
    ckpt['pick'] = w.index_select(1, torch.tensor([2, 0]))
    ckpt['sum'] = w * 2 + 1
    ckpt['stack'] = torch.stack([w[0], w[1]], 1)
    both = w.clone()
    ckpt['both'], ckpt['half'] = both, both[1]
    return ckpt
",
        )
        .unwrap();
    let get = |key: &str| outcome.graph.get(outcome.graph.root, key).unwrap();
    assert_eq!(outcome.computed.len(), 6);
    assert_eq!(checkpoint.floats(&outcome, get("cat")), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 1.0, 2.0]);
    assert_eq!(checkpoint.floats(&outcome, get("copy")), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_eq!(checkpoint.floats(&outcome, get("pick")), [2.0, 0.0, 5.0, 3.0]);
    assert_eq!(checkpoint.floats(&outcome, get("sum")), [1.0, 3.0, 5.0, 7.0, 9.0, 11.0]);
    assert_eq!(checkpoint.floats(&outcome, get("stack")), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_eq!(checkpoint.floats(&outcome, get("half")), [3.0, 4.0, 5.0]);
    let storage = |key: &str| outcome.graph.as_tensor(get(key)).unwrap().storage.storage;
    assert_eq!(storage("both"), storage("half"));
}

#[test]
fn casts_round_as_torch_does() {
    let mut checkpoint = Checkpoint::default();
    let weight = checkpoint.tensor(&[4], &[1.0, 0.1, 65520.0, f32::NAN]);
    checkpoint.root(&[("w", weight)]);
    let outcome = checkpoint
        .migrate(
            "import torch
def migrate(ckpt):
    w = ckpt['w']
    for name in ('bfloat16', 'float16', 'int8', 'bool', 'float64'):
        ckpt[name] = w.to(getattr(torch, name))
    return ckpt
",
        )
        .unwrap();
    let mut bytes = |key: &str| {
        let id = outcome.graph.get(outcome.graph.root, key).unwrap();
        let storage = outcome.graph.as_tensor(id).unwrap().storage.clone();
        (storage.class, checkpoint.storage(&outcome, storage.storage))
    };
    assert_eq!(
        bytes("bfloat16"),
        ("torch.BFloat16Storage".to_owned(), vec![0x80, 0x3f, 0xcd, 0x3d, 0x80, 0x47, 0xc0, 0x7f])
    );
    let (class, half) = bytes("float16");
    assert_eq!(
        (class.as_str(), &half[..6]),
        ("torch.HalfStorage", &[0x00, 0x3c, 0x66, 0x2e, 0x00, 0x7c][..])
    );
    assert_eq!(bytes("int8").1[..3], [1, 0, 0xf0]);
    assert_eq!(bytes("bool").1, [1, 1, 1, 1]);
    assert_eq!(bytes("float64").1[8..16], f64::from(0.1f32).to_le_bytes());
}

#[test]
fn work_in_place_is_seen_by_every_view() {
    let mut checkpoint = Checkpoint::default();
    let weight = checkpoint.tensor(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let mut row = checkpoint.graph.as_tensor(weight).unwrap().clone();
    (row.shape, row.strides, row.offset) = (vec![2], vec![1], 2);
    let row = checkpoint.graph.add(Kind::Tensor(Box::new(row)));
    let hidden = checkpoint.object("a.b", "C", &[("row", row)]);
    checkpoint.root(&[("w", weight), ("hidden", hidden)]);
    let outcome = checkpoint
        .migrate("def migrate(ckpt):\n    ckpt['w'][1] = 9\n    ckpt['w'].mul_(2)\n    return ckpt\n")
        .unwrap();
    assert_eq!(checkpoint.floats(&outcome, weight), [2.0, 4.0, 18.0, 18.0]);
    assert_eq!(checkpoint.floats(&outcome, row), [18.0, 18.0]);
}

#[test]
fn values_are_read_only_when_a_script_looks() {
    let mut checkpoint = Checkpoint::default();
    let weight = checkpoint.tensor(&[2], &[1.5, 2.5]);
    checkpoint.root(&[("w", weight)]);
    let look = "import torch
def migrate(ckpt):
    w = ckpt['w']
    ckpt['seen'] = [w[1].item(), w.tolist(), torch.equal(w, w + 0), bool((w > 2).all())]
    return ckpt
";
    let outcome = checkpoint.migrate(look).unwrap();
    let seen = outcome.graph.get(outcome.graph.root, "seen").unwrap();
    let first = outcome.graph.elements(seen).next().unwrap();
    assert_eq!(outcome.graph.kind(first), &Kind::Float(FloatBits::from(2.5)));
    checkpoint.bytes.0.clear();
    let error = checkpoint.migrate(look).unwrap_err();
    assert!(error.to_string().contains("cannot read the bytes"), "{error}");
    checkpoint
        .migrate("def migrate(ckpt):\n    ckpt['v'] = ckpt.pop('w').half()\n    return ckpt\n")
        .unwrap();
}

#[test]
fn a_script_that_raises_is_named_with_its_line() {
    let mut checkpoint = Checkpoint::default();
    let error = checkpoint
        .migrate("def helper(d):\n    return d['missing']\n\ndef migrate(ckpt):\n    ckpt['x'] = 1\n    helper(ckpt)\n")
        .unwrap_err();
    let EngineError::Raised { script, line, exception, message, traceback } = &error else {
        panic!("{error}")
    };
    assert_eq!((script.as_str(), *line), ("1_test.py", Some(2)));
    assert_eq!((exception.as_str(), message.as_str()), ("KeyError", "'missing'"));
    assert_eq!(traceback.last().unwrap().text, "return d['missing']");
    assert_eq!(error.to_string(), "1_test.py, line 2: KeyError: 'missing'");
}

#[test]
fn what_is_wrong_with_a_script_has_a_name() {
    let mut checkpoint = Checkpoint::default();
    let mut error = |source: &str| checkpoint.migrate(source).unwrap_err().to_string();
    assert_eq!(
        error("def migrate(ckpt):\n    pass\n"),
        "1_test.py: `migrate` returned None instead of the checkpoint"
    );
    assert_eq!(
        error("def migrate(ckpt):\n    return [ckpt]\n"),
        "1_test.py: `migrate` returned list instead of the checkpoint"
    );
    assert_eq!(error("x = 1\n"), "1_test.py: defines no `migrate`");
    assert!(error("def migrate(ckpt)\n").starts_with("1_test.py, line 1: "));
    assert_eq!(
        error("def migrate(ckpt):\n    ckpt['a'] = {'f/g': [0, lambda: 0]}\n    return ckpt\n"),
        "1_test.py: `a/f~1g/1` holds a function, which a checkpoint cannot keep"
    );
    assert_eq!(
        error("class Mine(dict):\n    pass\ndef migrate(ckpt):\n    ckpt['x'] = Mine()\n    return ckpt\n"),
        "1_test.py: `x` holds a Mine, which a checkpoint cannot keep"
    );
    assert_eq!(
        error("def migrate(ckpt):\n    ckpt['x'] = (i for i in ckpt)\n    return ckpt\n"),
        "1_test.py: `x` holds a generator, which a checkpoint cannot keep"
    );
    assert_eq!(
        error("import re\nimport pandas as np\n"),
        "1_test.py, line 2: `pandas` is not available in the sandbox"
    );
    assert_eq!(
        error("import torch\ndef migrate(ckpt):\n    torch.linalg\n"),
        "1_test.py, line 3: `torch.linalg` is not available in the sandbox"
    );
    assert_eq!(
        error("from anemoi.models import Model\ndef migrate(ckpt):\n    Model(ckpt)\n"),
        "1_test.py, line 3: `anemoi.models.Model()` is not available in the sandbox"
    );
}

#[test]
fn what_a_script_prints_and_logs_is_kept_up_to_a_limit() {
    let mut checkpoint = Checkpoint::default();
    let source = "import logging
print('loaded')
def migrate(ckpt):
    logging.getLogger(__name__).warning('%d keys', 3)
    print('x' * 1000)
    return ckpt
";
    let mut limits = Limits::default();
    limits.printed_bytes = 100;
    let outcome = checkpoint.run(source, Entry::Migrate, &limits).unwrap();
    assert!(outcome.printed.starts_with("loaded\nWARNING: 3 keys\nxxx"));
    assert_eq!(outcome.printed.len(), 100);
}

#[test]
fn a_script_that_wants_a_model_says_why_it_skips() {
    let mut checkpoint = Checkpoint::default();
    let outcome = checkpoint
        .migrate(
            "import logging
def migrate(ckpt, model=None):
    if model is None:
        logging.info('no model, nothing to do')
    return ckpt
",
        )
        .unwrap();
    assert_eq!(outcome.skipped.as_deref(), Some("INFO: no model, nothing to do"));
}

#[test]
fn the_rollback_is_another_function_of_the_same_script() {
    let mut checkpoint = Checkpoint::default();
    let object = checkpoint.object("pkg.new", "A", &[]);
    checkpoint.root(&[("b", object)]);
    let source = "def migrate_setup(context):
    context.move_module('pkg.old', 'pkg.new')
def migrate(ckpt):
    ckpt['b'] = ckpt.pop('a')
    return ckpt
def rollback(ckpt):
    ckpt['a'] = ckpt.pop('b')
    return ckpt
";
    let outcome = checkpoint.run(source, Entry::Rollback, &Limits::default()).unwrap();
    assert_eq!(outcome.graph.get(outcome.graph.root, "a"), Some(object));
    assert_eq!(outcome.graph.class_of(object), Some(("pkg.old", "A")));
}

#[test]
fn a_loop_ends_with_its_line_at_the_limit_of_processor_time() {
    let mut limits = Limits::default();
    limits.cpu = Duration::from_millis(300);
    let error = Checkpoint::default()
        .run("def migrate(ckpt):\n    n = 0\n    while True:\n        n += 1\n", Entry::Migrate, &limits)
        .unwrap_err();
    assert!(matches!(error, EngineError::Timeout { line: Some(3 | 4), .. }), "{error}");
}

#[test]
fn a_loop_is_killed_at_the_limit_on_the_clock() {
    let mut limits = Limits::default();
    limits.wall = Duration::from_millis(300);
    let error = Checkpoint::default().run("while True: pass\n", Entry::Migrate, &limits).unwrap_err();
    assert!(matches!(error, EngineError::Timeout { line: None, .. }), "{error}");
}

#[test]
fn a_closed_worker_sees_no_file_and_no_clock() {
    let source = "
def fails(what):
    try:
        exec(what, {})
    except BaseException as error:
        return f'{type(error).__name__}'
    return 'worked'
for what in (
    \"open('/etc/passwd')\",
    \"import _io; _io.open('/etc/passwd')\",
    \"import _io; _io.FileIO('/etc/passwd')\",
    \"import io; io.open_code('/etc/passwd')\",
    \"import posix\",
    \"import _socket\",
    \"import socket\",
    \"import os\",
    \"import marshal\",
    \"import _ctypes\",
    \"import time; time.time()\",
    \"import _imp; _imp.create_dynamic(None)\",
    \"input()\",
    \"import importlib._bootstrap_external as b; b.FileLoader('x', '/etc/passwd').get_data('/etc/passwd')\",
    \"(lambda: 0).__code__.replace(co_code=b'')\",
    \"type((lambda: 0).__code__)(0, 0, 0, 0, 0, 0, b'', (), (), (), '', '', 0, b'')\",
    \"import _ckstore; _ckstore.new_object(int)\",
):
    print(what, '->', fails(what))
def migrate(ckpt):
    return ckpt
";
    let outcome = Checkpoint::default().migrate(source).unwrap();
    assert_eq!(outcome.printed.lines().count(), 17, "{}", outcome.printed);
    let worked: Vec<&str> = outcome.printed.lines().filter(|line| line.ends_with("worked")).collect();
    assert_eq!(worked, Vec::<&str>::new());
}

/// Scripts that try to use up or to get out; each with what must be said of it.
#[test]
fn hostile_scripts_are_bounded_and_say_why_they_fail() {
    let expected = [
        ("01_loop", "line 1: stopped after 2 s"),
        ("03_bigalloc", "bytes of memory that a script may use"),
        ("05_recurse", "line 1: RecursionError"),
        ("05b_recurse_repr", "line 3: RecursionError"),
        ("05c_deep_drop", ""),
        ("07_import_os", "`os` is not available"),
        ("09_subclasses", "the interpreter crashed"),
        ("11_subprocess", "`subprocess` is not available"),
        ("13_bigint", "bytes of memory that a script may use"),
        ("15_regex", "stopped after 2 s"),
        ("17_eval_import", "`posix` is not available"),
        ("19_random", "`random` is not available"),
        ("21_ctypes", "`ctypes` is not available"),
        ("23_loader", "`marshal` is not available"),
        ("25_list_of_range", "bytes of memory that a script may use"),
        ("27_signal_atexit", "`atexit` is not available"),
        ("29_code", "TypeError"),
        ("31_pathlib", "`pathlib.Path.read_text` is not available"),
        ("33_pickle", "`pickle` is not available"),
        ("35_except_mem", "bytes of memory that a script may use"),
        ("37_deepcmp", "defines no `migrate`"),
        ("39_builtin_override", "defines no `migrate`"),
        ("41_forged", "`x` holds a T2, which a checkpoint cannot keep"),
        ("43_codetype", "`marshal` is not available"),
    ];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sandbox");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), expected.len());
    let mut limits = Limits::default();
    limits.cpu = Duration::from_secs(2);
    limits.memory_bytes = 512 << 20;
    for (name, reason) in expected {
        let source = std::fs::read_to_string(format!("{folder}/{name}.py")).unwrap();
        let error = Checkpoint::default().run(&source, Entry::Migrate, &limits).unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
        assert!(error.starts_with("1_test.py"), "{name}: {error}");
    }
}

/// Documents as a script of the Exodus form gets them.
mod documents {
    use super::*;
    use ckstore::migration::document::{self, Document, Value};

    const HEAD: &str = "\
from datetime import datetime, timezone

from bson import Binary, Decimal128, Int64, ObjectId
from exodusutils.migration.base_migration import BaseMigration
from pymongo import InsertOne, UpdateOne


class Migration(BaseMigration):
    def down(self, collection):
        pass

    def up(self, collection):
";

    fn packed(documents: &[Document]) -> Graph {
        let mut checkpoint = Checkpoint::default();
        let pack = |document: &Document| checkpoint.graph.add(Kind::Bytes(document::pack(document)));
        let nodes: Vec<NodeId> = documents.iter().map(pack).collect();
        checkpoint.graph.root = checkpoint.list(&nodes);
        checkpoint.graph
    }

    fn list(ids: &[i32]) -> Graph {
        let document = |id: &i32| Document::from([("_id".to_owned(), Value::Int32(*id))]);
        packed(&ids.iter().map(document).collect::<Vec<_>>())
    }

    fn up(graph: &Graph, body: &str) -> Result<Outcome, EngineError> {
        let body: String = body.lines().map(|line| format!("        {line}\n")).collect();
        let source = format!("{HEAD}{body}");
        let script = Script { name: "Migration_1642482873113_test", file: "test.py", source: &source };
        run(
            &Worker::new(env!("CARGO_BIN_EXE_ckstore")),
            &script,
            Entry::Up,
            graph,
            &mut Bytes::default(),
            &Limits::default(),
        )
    }

    /// What the script printed.
    fn printed(body: &str) -> String {
        up(&list(&[1, 2, 3]), body).unwrap_or_else(|error| panic!("{error}")).printed
    }

    #[test]
    fn a_migration_knows_its_time_and_name_and_has_pymongos_types() {
        let text = printed(
            "print(self.timestamp, self.name, self.mongo_name)
collection.update_one({'_id': 1}, {'$set': {
    'when': datetime(2020, 1, 2, 3, 4, 5, 678901), 'zone': datetime(2020, 1, 1, tzinfo=timezone.utc),
    'id': ObjectId('507f1f77bcf86cd799439011'), 'bytes': b'ab', 'binary': Binary(b'ab', 4),
    'decimal': Decimal128('1.10'), 'long': Int64(5), 'list': (1, 2.0, None, True, 'x'),
}})
print(collection.find_one(1))",
        );
        assert_eq!(
            text,
            "1642482873113 test 1642482873113_test\n{'_id': 1, 'binary': Binary(b'ab', 4), 'bytes': b'ab', \
             'decimal': Decimal128('1.10'), 'id': ObjectId('507f1f77bcf86cd799439011'), \
             'list': [1, 2.0, None, True, 'x'], 'long': 5, 'when': datetime.datetime(2020, 1, 2, 3, 4, 5, 678000), \
             'zone': datetime.datetime(2020, 1, 1, 0, 0)}\n"
        );
    }

    #[test]
    fn cursors_results_and_bulk_writes_are_those_of_pymongo() {
        let text = printed(
            "for document in collection.find({'_id': {'$gt': 1}}).sort('_id', -1).limit(1):
    print(document['_id'])
result = collection.update_many({}, {'$set': {'a': 1}})
print(result.matched_count, result.modified_count, result.upserted_id)
print(collection.update_many({}, {'$set': {'a': 1}}).modified_count)
print(collection.insert_many([{'_id': 'x'}, {'_id': 'y'}]).inserted_ids)
document = {'b': 1}
print(collection.insert_one(document).inserted_id == document['_id'], len(str(document['_id'])))
print(collection.delete_many({'_id': {'$in': ['x', 'y']}}).deleted_count)
result = collection.bulk_write([InsertOne({'_id': 9}), UpdateOne({'_id': 8}, {'$set': {'c': 1}}, upsert=True)])
print(result.inserted_count, result.upserted_count, result.upserted_ids)
print(collection.count_documents({}), collection.distinct('a'), list(collection.find({}, {'a': 1}, limit=1)))",
        );
        let expected = "3\n3 3 None\n0\n['x', 'y']\nTrue 24\n2\n1 1 {1: 8}\n6 [1] [{'_id': 1, 'a': 1}]\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_a_script_changed_removed_and_added_comes_back_in_places() {
        let before = list(&[1, 2, 3]);
        let body = "collection.delete_one({'_id': 2})\ncollection.update_one({'_id': 3}, {'$set': {'a': 0.5}})\n\
                    collection.insert_one({'_id': 4})";
        let after = up(&before, body).unwrap().graph;
        let (old, new): (Vec<_>, Vec<_>) =
            (before.elements(before.root).collect(), after.elements(after.root).collect());
        assert_eq!((new.len(), new[0]), (4, old[0]));
        assert_eq!(after.kind(new[1]), &Kind::None);
        let unpacked = |node| match after.kind(node) {
            Kind::Bytes(packed) => document::unpack(packed).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(unpacked(new[2])["a"], Value::Double(0.5));
        assert_eq!(unpacked(new[3])["_id"], Value::Int32(4));
        let untouched = up(&before, "collection.update_many({}, {'$unset': {'x': ''}})").unwrap();
        assert_eq!(untouched.graph, before);
    }

    #[test]
    fn what_is_not_spoken_is_told_with_its_line() {
        for (body, what) in [
            ("\ncollection.create_index('a')", "`collection.create_index` is not supported"),
            ("\ncollection.find({'$where': '1'}).next()", "`$where` is not supported"),
            (
                "\ncollection.update_one({}, {'$currentDate': {'a': True}})",
                "`$currentDate` is not supported: a migration sees no clock, so that it gives the same result whenever it runs",
            ),
            ("\ncollection.update_one({}, [{'$set': {}}])", "`update_one: a pipeline` is not supported"),
            (
                "\ncollection.update_one({}, {'$set': {}}, array_filters=[{}])",
                "`update_one: array_filters` is not supported",
            ),
            ("\ncollection.find().hint('a')", "`Cursor.hint` is not supported"),
            ("\ncollection['sub']", "`collection['sub']` is not supported"),
            ("\ndatetime.now()", "`datetime.datetime.now` is not available in the sandbox"),
            ("\nimport time", "`time` is not available in the sandbox"),
        ] {
            match up(&list(&[1]), body) {
                Err(EngineError::NotAvailable { line: Some(line), message, .. }) => {
                    assert_eq!((line, message.as_str()), (14, what), "{body}");
                }
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn errors_are_those_of_pymongo_and_can_be_caught() {
        let text = printed(
            "from pymongo.errors import DuplicateKeyError, OperationFailure, WriteError
for what, error in [
    (lambda: collection.insert_one({'_id': 1}), DuplicateKeyError),
    (lambda: collection.update_one({}, {'$set': {'_id': 9}}), WriteError),
    (lambda: collection.update_one({}, {'$push': {'_id': 9}}), WriteError),
    (lambda: collection.find_one({'$and': []}), OperationFailure),
    (lambda: collection.update_one({}, {'a': 1}), ValueError),
    (lambda: collection.replace_one({}, {'$set': 1}), ValueError),
    (lambda: collection.update_one({}, 5), TypeError),
    (lambda: collection.insert_one({'a': 1 << 80}), OverflowError),
]:
    try:
        what()
    except error as caught:
        print(type(caught).__name__)",
        );
        assert_eq!(
            text,
            "DuplicateKeyError\nWriteError\nWriteError\nOperationFailure\nValueError\nValueError\nTypeError\nOverflowError\n"
        );
        match up(&list(&[1]), "\nraise KeyError('no')") {
            Err(EngineError::Raised { line: Some(14), exception, .. }) => assert_eq!(exception, "KeyError"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn two_documents_of_one_id_or_none_are_refused_before_the_script_runs() {
        for ids in [list(&[1, 1]), packed(&[Document::new()])] {
            assert!(matches!(up(&ids, "print(1)"), Err(EngineError::Checkpoint { .. })));
        }
    }
}
