//! Scripts on graphs, through the real worker process.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use ckstore::migration::engine::{
    EngineError, Entry, Limits, Outcome, Script, StorageBytes, Worker, evaluate, run,
};
use ckstore::value::{Dtype, Graph, Kind, NodeId, Storage, StorageId, StorageRef, Tail, Tensor, places};

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
        let storage =
            StorageRef { storage, class: "torch.FloatStorage".into(), location: "cpu".into(), elements };
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
    let _ = (Duration::ZERO, checkpoint.floats(&outcome, a));
}

#[test]
fn zz_sandbox() {
    let mut entries: Vec<_> =
        std::fs::read_dir("tests/data/sandbox").unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let source = std::fs::read_to_string(&path).unwrap() + "\ndef migrate(ckpt):\n    return ckpt\n";
        let mut checkpoint = Checkpoint::default();
        let mut limits = Limits::default();
        limits.cpu = Duration::from_secs(2);
        limits.memory_bytes = 512 << 20;
        let start = std::time::Instant::now();
        let result = checkpoint.run(&source, Entry::Migrate, &limits);
        println!("== {} {:?}", path.display(), start.elapsed());
        match result {
            Ok(outcome) => println!("   ok printed {:?}", &outcome.printed[..outcome.printed.len().min(400)]),
            Err(error) => println!("   {error}"),
        }
    }
}
