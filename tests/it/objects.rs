//! Scripts on objects: the pickled form that they leave is the one that Python leaves.
//!
//! Each folder of `tests/data/objects` has a checkpoint, a script, and the file that real Python made with the
//! real classes; `tests/interop.sh objects` makes the same comparison anew, on more scripts.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use ckstore::Worker;
use ckstore::format::{FileSource, Limits, decode, scan};
use ckstore::migration::engine::{Entry, Limits as ScriptLimits, Script, StorageBytes, run};
use ckstore::value::{Graph, Kind, NodeId, StorageId, Tail};

/// None of the scripts looks at weights.
struct NoBytes;

impl StorageBytes for NoBytes {
    fn read(&mut self, _: StorageId, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn graph(path: &Path) -> Graph {
    let source = FileSource::new(File::open(path).unwrap()).unwrap();
    let scanned = scan(&source, None, &Limits::default()).unwrap();
    decode(&scanned.outline, &Limits::default()).unwrap()
}

/// Two graphs, and which node of one stands for which of the other.
struct Pair<'a> {
    left: &'a Graph,
    right: &'a Graph,
    partner: HashMap<NodeId, NodeId>,
    back: HashMap<NodeId, NodeId>,
}

impl Pair<'_> {
    fn compare(&mut self) -> Result<(), String> {
        let mut todo = vec![(String::new(), self.left.root, self.right.root)];
        while let Some((path, a, b)) = todo.pop() {
            let differ = |what: &str| {
                Err(format!("{path}: {what}: {:?} and {:?}", self.left.node(a), self.right.node(b)))
            };
            match (bytes_of(self.left, a), bytes_of(self.right, b)) {
                (None, None) => {}
                (one, other) if one == other => continue,
                _ => return differ("bytes"),
            }
            if has_identity(self.left, a) {
                let known = (self.partner.insert(a, b), self.back.insert(b, a));
                match known {
                    (None, None) => {}
                    (Some(other), Some(one)) if other == b && one == a => continue,
                    _ => return differ("shared in one only"),
                }
            }
            let (one, other) = (parts(self.left, a), parts(self.right, b));
            if one.0 != other.0 || one.1.len() != other.1.len() {
                return differ(&format!("{} and {}", one.0, other.0));
            }
            for (place, (x, y)) in one.1.into_iter().zip(other.1).enumerate() {
                todo.push((format!("{path}/{place}"), x, y));
            }
        }
        Ok(())
    }
}

fn has_identity(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    match &node.kind {
        Kind::List | Kind::Dict | Kind::Set | Kind::NewObj { .. } => true,
        Kind::Reduce { .. } => !node.tail.is_empty() && graph.class_of(id) != Some(("numpy", "dtype")),
        _ => false,
    }
}

fn bytes_of(graph: &Graph, id: NodeId) -> Option<Vec<u8>> {
    match graph.kind(id) {
        Kind::Bytes(bytes) => Some(bytes.clone()),
        Kind::Reduce { args, .. } if graph.class_of(id) == Some(("_codecs", "encode")) => {
            let Kind::Tuple(args) = graph.kind(*args) else { return None };
            graph.as_str(args[0])?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
        }
        Kind::Reduce { .. } if graph.class_of(id) == Some(("__builtin__", "bytes")) => Some(Vec::new()),
        _ => None,
    }
}

/// What a node is by itself, and the nodes that it is made of, in order.
fn parts(graph: &Graph, id: NodeId) -> (String, Vec<NodeId>) {
    let node = graph.node(id);
    let below = graph.children(id);
    let members = match &node.kind {
        Kind::Set => Some(below.clone()),
        Kind::Reduce { args, .. } if graph.class_of(id) == Some(("__builtin__", "set")) => {
            Some(graph.children(*args).iter().flat_map(|list| graph.elements(*list)).collect())
        }
        _ => None,
    };
    if let Some(mut members) = members {
        // The order of a set is nobody's choice, and protocols below 4 write one as a call.
        members.sort_by_key(|id| format!("{:?}", graph.kind(*id)));
        return ("set".to_owned(), members);
    }
    let own = match &node.kind {
        Kind::Global { module, name } => {
            // Protocols below 3 have the names of Python 2.
            match (module.as_str(), name.as_str()) {
                ("__builtin__", "long") => "global builtins int".to_owned(),
                ("__builtin__", "xrange") => "global builtins range".to_owned(),
                ("__builtin__", name) => format!("global builtins {name}"),
                (module, name) => format!("global {module} {name}"),
            }
        }
        Kind::Tensor(tensor) => {
            let storage = graph.storage(tensor.storage.storage).bytes;
            let (shape, strides) = (&tensor.shape, &tensor.strides);
            format!("tensor {:?} {shape:?} {strides:?} {} {storage}", tensor.dtype, tensor.requires_grad)
        }
        Kind::Tuple(_) => "tuple".to_owned(),
        Kind::FrozenSet(_) => "frozenset".to_owned(),
        Kind::Reduce { .. } => "call".to_owned(),
        Kind::NewObj { .. } => "object".to_owned(),
        other => format!("{other:?}"),
    };
    let mut steps = String::new();
    for step in &node.tail {
        match step {
            Tail::Append(_) => steps.push('a'),
            Tail::Set(..) => steps.push('s'),
            Tail::Build(_) => steps.push('b'),
            Tail::Effect(_) => steps.push('e'),
            Tail::Add(_) => steps.push('m'),
        }
    }
    (format!("{own} {steps}"), below)
}

#[test]
fn scripts_leave_the_pickled_form_that_python_leaves() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/objects"));
    let worker = Worker::new(env!("CARGO_BIN_EXE_ckstore"));
    let mut checked = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let case = entry.unwrap().path();
        let source = fs::read_to_string(case.join("script.py")).unwrap();
        let script = Script { name: "case", file: "case.py", source: &source };
        let before = graph(&case.join("before.ckpt"));
        let outcome = run(&worker, &script, Entry::Migrate, &before, &mut NoBytes, &ScriptLimits::default());
        let ours = outcome.unwrap_or_else(|error| panic!("{}: {error}", case.display())).graph;
        let theirs = graph(&case.join("after.ckpt"));
        let mut pair = Pair { left: &theirs, right: &ours, partner: HashMap::new(), back: HashMap::new() };
        pair.compare().unwrap_or_else(|reason| panic!("{}: {reason}", case.display()));
        checked += 1;
    }
    assert!(checked > 12, "only {checked} cases were found");
}
