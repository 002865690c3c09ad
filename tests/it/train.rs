//! Checkpoints under construction, and training: torch files read, changed and written with the library.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path as FilePath;

use ckstore::format::{self, FileSource, Limits, Outline, Part, Source, StorageFacts};
use ckstore::value::{
    Dtype, Graph, Kind, NodeId, Path, Storage, StorageId, StorageRef, Tail, Tensor, places,
};

use crate::support::old_checkpoint;

/// A torch checkpoint in memory, with its bytes.
#[derive(Clone)]
pub struct Checkpoint {
    pub graph: Graph,
    pub bytes: Vec<Vec<u8>>,
    outline: Outline,
}

impl Checkpoint {
    /// Reads a file.
    pub fn load(path: &FilePath) -> Checkpoint {
        let source = FileSource::new(File::open(path).unwrap()).unwrap();
        let scanned = format::scan(&source, None, &Limits::default()).unwrap();
        let graph = format::decode(&scanned.outline, &Limits::default()).unwrap();
        let read = |span: &format::Span| {
            let mut bytes = vec![0; span.bytes as usize];
            source.read_at(span.offset, &mut bytes).unwrap();
            bytes
        };
        Checkpoint { graph, bytes: scanned.spans.iter().map(read).collect(), outline: scanned.outline }
    }

    /// An empty one, with the list of migrations that a checkpoint of group 0 is born with: none.
    pub fn new() -> Checkpoint {
        let mut like = Checkpoint::load(&old_checkpoint());
        like.graph = Graph::new();
        like.bytes.clear();
        let list = like.graph.add(Kind::List);
        like.set("migrations", list);
        like
    }

    /// Writes a file.
    pub fn save(&self, path: &FilePath) {
        let facts = |id: StorageId| {
            let bytes = &self.bytes[id.index()];
            StorageFacts { bytes: bytes.len() as u64, crc32: crc32fast::hash(bytes) }
        };
        let encoded = format::encode(&self.graph, &self.outline, &facts).unwrap();
        let mut out = Vec::new();
        for part in &encoded.outline.parts {
            match part {
                Part::Literal(bytes) => out.extend(bytes),
                Part::Skeleton => out.extend(&encoded.outline.skeleton),
                Part::Extra(place) => out.extend(&encoded.outline.extras[*place as usize].bytes),
                Part::Storage(place) => out.extend(&self.bytes[encoded.order[place.index()].index()]),
            }
        }
        std::fs::write(path, out).unwrap();
    }

    /// The node at a path.
    pub fn at(&self, path: &str) -> NodeId {
        let wanted = Path::parse(path);
        let found = places(&self.graph).into_iter().rfind(|place| place.path == wanted);
        found.unwrap_or_else(|| panic!("nothing at `{path}`: {:?}", self.paths())).node
    }

    /// All paths.
    pub fn paths(&self) -> Vec<String> {
        places(&self.graph).into_iter().map(|place| place.path.to_string()).collect()
    }

    pub fn has(&self, path: &str) -> bool {
        self.paths().iter().any(|found| found == path)
    }

    /// Keys of the dict at a path, in order.
    pub fn keys(&self, path: &str) -> Vec<String> {
        let node = if path.is_empty() { self.graph.root } else { self.at(path) };
        let items = self.graph.items(node).into_iter();
        items.map(|(key, _)| self.graph.as_str(key).unwrap_or("?").to_owned()).collect()
    }

    /// Sets the value at a path; dicts on the way are made.
    pub fn set(&mut self, path: &str, value: NodeId) {
        let mut node = self.graph.root;
        let steps: Vec<String> = Path::parse(path).steps().collect();
        let (last, way) = steps.split_last().unwrap();
        for step in way {
            node = match self.graph.get(node, step) {
                Some(found) => found,
                None => {
                    let dict = self.graph.add(Kind::Dict);
                    self.graph.set(node, step, dict);
                    dict
                }
            };
        }
        self.graph.set(node, last, value);
    }

    /// Sets a key of the dict at a path that leads through numbers.
    pub fn set_item(&mut self, path: &str, key: &str, value: NodeId) {
        let node = self.at(path);
        self.graph.set(node, key, value);
    }

    pub fn set_int(&mut self, path: &str, value: i64) {
        let node = self.graph.add(Kind::Int(value));
        self.set(path, node);
    }

    pub fn set_float(&mut self, path: &str, value: f64) {
        let node = self.graph.add(Kind::Float(value.into()));
        self.set(path, node);
    }

    pub fn set_bool(&mut self, path: &str, value: bool) {
        let node = self.graph.add(Kind::Bool(value));
        self.set(path, node);
    }

    pub fn set_text(&mut self, path: &str, value: &str) {
        let node = self.graph.add_str(value);
        self.set(path, node);
    }

    pub fn int(&self, path: &str) -> i64 {
        self.graph.as_int(self.at(path)).unwrap()
    }

    pub fn float(&self, path: &str) -> f64 {
        match self.graph.kind(self.at(path)) {
            Kind::Float(bits) => bits.get(),
            other => panic!("{other:?}"),
        }
    }

    /// Puts a tensor over a storage of its own at a path.
    pub fn set_tensor(&mut self, path: &str, shape: &[u64], values: &[f32]) {
        let node = self.tensor(shape, values);
        self.set(path, node);
    }

    pub fn tensor(&mut self, shape: &[u64], values: &[f32]) -> NodeId {
        assert_eq!(shape.iter().product::<u64>(), values.len() as u64);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let key = self.bytes.len().to_string();
        let storage = self.graph.add_storage(Storage { key, bytes: bytes.len() as u64 });
        self.bytes.push(bytes);
        self.graph.add(Kind::Tensor(Box::new(Tensor {
            dtype: Dtype::F32,
            shape: shape.to_vec(),
            strides: Tensor::contiguous_strides(shape).unwrap(),
            offset: 0,
            storage: StorageRef {
                storage,
                class: "torch.FloatStorage".to_owned(),
                location: "cpu".to_owned(),
                elements: values.len() as u64,
                view: None,
            },
            requires_grad: false,
            hooks: None,
            metadata: None,
        })))
    }

    /// The elements of a tensor in rows.
    pub fn values(&self, path: &str) -> Vec<f32> {
        self.elements(self.at(path))
    }

    pub fn shape(&self, path: &str) -> Vec<u64> {
        self.graph.as_tensor(self.at(path)).unwrap().shape.clone()
    }

    fn elements(&self, node: NodeId) -> Vec<f32> {
        let tensor = self.graph.as_tensor(node).expect("a tensor");
        let bytes = &self.bytes[tensor.storage.storage.index()];
        let mut places = vec![tensor.offset];
        for (extent, stride) in tensor.shape.iter().zip(&tensor.strides) {
            places = places.iter().flat_map(|at| (0..*extent).map(move |i| at + i * stride)).collect();
        }
        let item = |at: u64| -> f32 {
            let at = at as usize;
            match tensor.dtype {
                Dtype::F32 => f32::from_le_bytes(bytes[at * 4..at * 4 + 4].try_into().unwrap()),
                Dtype::F16 => {
                    half::f16::from_le_bytes(bytes[at * 2..at * 2 + 2].try_into().unwrap()).to_f32()
                }
                other => panic!("{other}"),
            }
        };
        places.into_iter().map(item).collect()
    }

    /// All single-width tensors by path.
    pub fn tensors(&self) -> BTreeMap<String, Vec<f32>> {
        let tensors = places(&self.graph).into_iter().filter(|place| {
            self.graph.as_tensor(place.node).is_some_and(|tensor| tensor.dtype == Dtype::F32)
        });
        tensors.map(|place| (place.path.to_string(), self.elements(place.node))).collect()
    }

    /// Gives every single-width tensor of which `chosen` says so new values, in storages of their own, as a
    /// trainer does that loads and saves.
    pub fn train(&mut self, chosen: impl Fn(&str) -> bool) {
        let mut done: Vec<NodeId> = Vec::new();
        for place in places(&self.graph) {
            let Some(tensor) = self.graph.as_tensor(place.node) else { continue };
            let is_new = tensor.dtype == Dtype::F32 && !done.contains(&place.node);
            if !is_new || !chosen(place.path.as_str()) {
                continue;
            }
            done.push(place.node);
            let shape = tensor.shape.clone();
            let values: Vec<f32> = self
                .elements(place.node)
                .iter()
                .enumerate()
                .map(|(i, x)| x * 0.9 + 0.01 * i as f32 + 0.125)
                .collect();
            let fresh = self.tensor(&shape, &values);
            let mut kind = self.graph.kind(fresh).clone();
            if let (Kind::Tensor(new), Some(old)) = (&mut kind, self.graph.as_tensor(place.node)) {
                new.requires_grad = old.requires_grad;
                new.hooks = old.hooks;
            }
            self.graph.node_mut(place.node).kind = kind;
        }
    }

    /// Removes a key.
    pub fn remove(&mut self, path: &str) {
        let steps: Vec<String> = Path::parse(path).steps().collect();
        let (last, way) = steps.split_last().unwrap();
        let way: Vec<&str> = way.iter().map(String::as_str).collect();
        let node = self.graph.get_in(self.graph.root, &way).unwrap();
        let tail: Vec<Tail> = self
            .graph
            .node(node)
            .tail
            .iter()
            .filter(|step| !matches!(step, Tail::Set(key, _) if self.graph.as_str(*key) == Some(last)))
            .cloned()
            .collect();
        self.graph.node_mut(node).tail = tail;
    }
}

/// Optimizers as torch writes them.
impl Checkpoint {
    /// Puts one optimizer into `optimizer_states`: a parameter has a number, a name and a row of moments.
    pub fn set_optimizer(&mut self, parameters: &[(i64, &str, &[f32])], named: bool) {
        let state = self.graph.add(Kind::Dict);
        let params = self.graph.add(Kind::List);
        let names = self.graph.add(Kind::List);
        for (number, name, moments) in parameters {
            let moments = self.tensor(&[moments.len() as u64], moments);
            let entry = self.graph.add(Kind::Dict);
            self.graph.set(entry, "exp_avg", moments);
            let key = self.graph.add(Kind::Int(*number));
            self.graph.node_mut(state).tail.push(Tail::Set(key, entry));
            let item = self.graph.add(Kind::Int(*number));
            self.graph.node_mut(params).tail.push(Tail::Append(item));
            let item = self.graph.add_str(*name);
            self.graph.node_mut(names).tail.push(Tail::Append(item));
        }
        let group = self.graph.add(Kind::Dict);
        self.graph.set(group, "params", params);
        if named {
            self.graph.set(group, "param_names", names);
        }
        let groups = self.graph.add(Kind::List);
        self.graph.node_mut(groups).tail.push(Tail::Append(group));
        let optimizer = self.graph.add(Kind::Dict);
        self.graph.set(optimizer, "state", state);
        self.graph.set(optimizer, "param_groups", groups);
        let states = self.graph.add(Kind::List);
        self.graph.node_mut(states).tail.push(Tail::Append(optimizer));
        self.set("optimizer_states", states);
    }

    /// The names and moments of the first optimizer's parameters, in their order.
    pub fn optimizer(&self) -> Vec<(String, Vec<f32>)> {
        let group = self.at("optimizer_states/0/param_groups/0");
        let items = |key: &str| self.graph.elements(self.graph.get(group, key).unwrap()).collect::<Vec<_>>();
        let pairs = items("params").into_iter().zip(items("param_names"));
        let pairs = pairs.map(|(number, name)| {
            let number = self.graph.as_int(number).unwrap();
            let name = self.graph.as_str(name).unwrap().to_owned();
            (name, self.values(&format!("optimizer_states/0/state/{number}/exp_avg")))
        });
        pairs.collect()
    }
}
