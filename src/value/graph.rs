//! The graph of a checkpoint in memory: nodes with identity.

use indexmap::IndexMap;
use num_bigint::BigInt;
use serde::{Deserialize, Serialize};

use super::{Storage, StorageId, StorageRef, Tensor};

/// The identity of a node in its [`Graph`].
///
/// Two places that hold the same id hold the same object, as `is` tells in Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The id as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A checkpoint as a graph of nodes with identity.
///
/// Shared and cyclic references survive. Nothing in it was ever executed: an object is its class's name,
/// the arguments that would build it and the state that would be set, in the order in which they were
/// pickled. Tensor bytes are not here, only the [`Storage`]s that name them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// All nodes; some may no longer be reachable from the root.
    pub nodes: Vec<Node>,
    /// The checkpoint itself.
    pub root: NodeId,
    /// The storages that tensors look into.
    pub storages: Vec<Storage>,
}

/// One object: how it is made, then what happened to it afterwards, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// How it is made.
    pub kind: Kind,
    /// What is done to it once made. Items of lists, dicts and sets are here, as in a pickle.
    pub tail: Vec<Tail>,
}

impl From<Kind> for Node {
    fn from(kind: Kind) -> Node {
        Node { kind, tail: Vec::new() }
    }
}

/// How a node is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// An integer that 64 bits do not hold.
    BigInt(BigInt),
    /// A float, compared and kept by its bits.
    Float(FloatBits),
    /// Text.
    Str(String),
    /// Text with lone surrogates, as the bytes that Python's `surrogatepass` makes of it.
    SurrogateStr(Vec<u8>),
    /// A Python 2 `str` (opcodes STRING, BINSTRING, SHORT_BINSTRING): bytes or text, as the reader decides.
    Str8(Vec<u8>),
    /// Immutable bytes.
    Bytes(Vec<u8>),
    /// Mutable bytes.
    ByteArray(Vec<u8>),
    /// An out-of-band buffer of protocol 5, by its place in the row of buffers.
    Buffer(u32),
    /// A read-only view of a buffer.
    ReadonlyBuffer(NodeId),
    /// A tuple.
    Tuple(Vec<NodeId>),
    /// A list; its items are [`Tail::Append`].
    List,
    /// A dict; its items are [`Tail::Set`].
    Dict,
    /// A set; its items are [`Tail::Add`].
    Set,
    /// A frozen set.
    FrozenSet(Vec<NodeId>),
    /// A class or function, by the names a pickle gives.
    Global {
        /// Module path, as written in the file (Python 2 names in protocols below 3).
        module: String,
        /// Name, with dots for nested ones.
        name: String,
    },
    /// A global whose names are computed values (STACK_GLOBAL on other than plain text).
    ComputedGlobal {
        /// What stands for the module path.
        module: NodeId,
        /// What stands for the name.
        name: NodeId,
    },
    /// The result of calling `callee` with a tuple of arguments. It is never called.
    Reduce {
        /// The callable.
        callee: NodeId,
        /// A tuple, as a rule.
        args: NodeId,
    },
    /// `class.__new__(class, *args)`.
    NewObj {
        /// The class.
        class: NodeId,
        /// A tuple, as a rule.
        args: NodeId,
    },
    /// `class.__new__(class, *args, **kwargs)`.
    NewObjEx {
        /// The class.
        class: NodeId,
        /// A tuple, as a rule.
        args: NodeId,
        /// A dict, as a rule.
        kwargs: NodeId,
    },
    /// An old-style instance (OBJ, INST): its class, then its arguments.
    Instance(Vec<NodeId>),
    /// A persistent id that is no torch storage, as a value.
    PersistentId(NodeId),
    /// A persistent id of protocol 0, a line of text.
    PersistentLine(Vec<u8>),
    /// A code of the `copyreg` extension registry.
    Extension(u32),
    /// A torch storage by itself.
    Storage(Box<StorageRef>),
    /// A tensor.
    Tensor(Box<Tensor>),
}

/// What is done to a node once it is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Tail {
    /// `node.append(item)`.
    Append(NodeId),
    /// `node[key] = value`.
    Set(NodeId, NodeId),
    /// `node.add(item)` for each, as one step.
    Add(Vec<NodeId>),
    /// `node.__setstate__(state)`, or its `__dict__` updated.
    Build(NodeId),
    /// A call whose result is dropped: a side effect, kept because a load would make it.
    Effect(NodeId),
}

/// The bits of a 64-bit float: equal when identical, so NaN equals itself and 0.0 is not -0.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FloatBits(pub u64);

impl FloatBits {
    /// The float.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl From<f64> for FloatBits {
    fn from(value: f64) -> FloatBits {
        FloatBits(value.to_bits())
    }
}

impl Graph {
    /// Makes a graph whose root is an empty dict.
    pub fn new() -> Graph {
        Graph { nodes: vec![Kind::Dict.into()], root: NodeId(0), storages: Vec::new() }
    }

    /// The node with this id.
    ///
    /// # Panics
    ///
    /// If the id is not of this graph.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The node with this id, to change.
    ///
    /// # Panics
    ///
    /// If the id is not of this graph.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// How the node with this id is made.
    pub fn kind(&self, id: NodeId) -> &Kind {
        &self.nodes[id.index()].kind
    }

    /// Adds a node and returns its id.
    ///
    /// # Panics
    ///
    /// If the graph already holds 2³² nodes; decoders bound that earlier.
    pub fn add(&mut self, node: impl Into<Node>) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes"));
        self.nodes.push(node.into());
        id
    }

    /// Adds a text node.
    pub fn add_str(&mut self, text: impl Into<String>) -> NodeId {
        self.add(Kind::Str(text.into()))
    }

    /// Adds a storage and returns its id.
    pub fn add_storage(&mut self, storage: Storage) -> StorageId {
        let id = StorageId(u32::try_from(self.storages.len()).expect("fewer than 2^32 storages"));
        self.storages.push(storage);
        id
    }

    /// The storage with this id.
    pub fn storage(&self, id: StorageId) -> &Storage {
        &self.storages[id.index()]
    }

    /// The text of a text node.
    pub fn as_str(&self, id: NodeId) -> Option<&str> {
        match self.kind(id) {
            Kind::Str(text) => Some(text),
            Kind::Str8(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The value of a small integer node.
    pub fn as_int(&self, id: NodeId) -> Option<i64> {
        match self.kind(id) {
            Kind::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The tensor of a tensor node.
    pub fn as_tensor(&self, id: NodeId) -> Option<&Tensor> {
        match self.kind(id) {
            Kind::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// Module and name of a global node.
    ///
    /// The persistent id `('module', class, file, source)` with which torch named the class of a module before
    /// version 1.6 stands for the class.
    pub fn as_global(&self, id: NodeId) -> Option<(&str, &str)> {
        match self.kind(id) {
            Kind::Global { module, name } => Some((module, name)),
            Kind::PersistentId(parts) => match self.kind(*parts) {
                Kind::Tuple(parts) if parts.len() == 4 && self.as_str(parts[0]) == Some("module") => {
                    match self.kind(parts[1]) {
                        Kind::Global { module, name } => Some((module, name)),
                        _ => None,
                    }
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The class of an object: the callee or class of a [`Kind::Reduce`], [`Kind::NewObj`],
    /// [`Kind::NewObjEx`] or [`Kind::Instance`] where that is a plain global.
    pub fn class_of(&self, id: NodeId) -> Option<(&str, &str)> {
        match self.kind(id) {
            Kind::Reduce { callee: class, .. }
            | Kind::NewObj { class, .. }
            | Kind::NewObjEx { class, .. } => self.as_global(*class),
            Kind::Instance(parts) => parts.first().and_then(|class| self.as_global(*class)),
            _ => None,
        }
    }

    /// The `key: value` pairs that were set on a node, in order, a key set again counted once at its
    /// first place with its last value, as Python's dict does.
    ///
    /// Keys that are not text, integers or truth values are told apart by identity alone.
    pub fn items(&self, id: NodeId) -> Vec<(NodeId, NodeId)> {
        let mut items: IndexMap<ItemKey<'_>, (NodeId, NodeId)> = IndexMap::new();
        for step in &self.node(id).tail {
            if let Tail::Set(key, value) = step {
                items.entry(self.item_key(*key)).and_modify(|item| item.1 = *value).or_insert((*key, *value));
            }
        }
        items.into_values().collect()
    }

    /// The value that a node holds under a text key.
    pub fn get(&self, id: NodeId, key: &str) -> Option<NodeId> {
        self.node(id).tail.iter().rev().find_map(|step| match step {
            Tail::Set(k, value) if self.as_str(*k) == Some(key) => Some(*value),
            _ => None,
        })
    }

    /// The value under a row of text keys, one below the other.
    pub fn get_in(&self, id: NodeId, keys: &[&str]) -> Option<NodeId> {
        keys.iter().try_fold(id, |node, key| self.get(node, key))
    }

    /// Sets a text key on a dict: in place where it is, else at the end.
    pub fn set(&mut self, id: NodeId, key: &str, value: NodeId) {
        let place = self
            .node(id)
            .tail
            .iter()
            .rposition(|step| matches!(step, Tail::Set(k, _) if self.as_str(*k) == Some(key)));
        match place {
            Some(place) => {
                if let Tail::Set(_, old) = &mut self.node_mut(id).tail[place] {
                    *old = value;
                }
            }
            None => {
                let key = self.add_str(key);
                self.node_mut(id).tail.push(Tail::Set(key, value));
            }
        }
    }

    /// The items that were appended to a node, in order.
    pub fn elements(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.node(id).tail.iter().filter_map(|step| match step {
            Tail::Append(item) => Some(*item),
            _ => None,
        })
    }

    /// The nodes that a node refers to, in order.
    pub fn children(&self, id: NodeId) -> Vec<NodeId> {
        let node = self.node(id);
        let mut out = Vec::new();
        match &node.kind {
            Kind::Tuple(items) | Kind::FrozenSet(items) | Kind::Instance(items) => {
                out.extend(items);
            }
            Kind::ReadonlyBuffer(inner) | Kind::PersistentId(inner) => out.push(*inner),
            Kind::ComputedGlobal { module, name } => out.extend([*module, *name]),
            Kind::Reduce { callee, args } => out.extend([*callee, *args]),
            Kind::NewObj { class, args } => out.extend([*class, *args]),
            Kind::NewObjEx { class, args, kwargs } => out.extend([*class, *args, *kwargs]),
            Kind::Tensor(tensor) => out.extend(tensor.hooks.iter().chain(&tensor.metadata)),
            _ => {}
        }
        for step in &node.tail {
            match step {
                Tail::Append(item) | Tail::Build(item) | Tail::Effect(item) => out.push(*item),
                Tail::Set(key, value) => out.extend([*key, *value]),
                Tail::Add(items) => out.extend(items),
            }
        }
        out
    }

    fn item_key(&self, id: NodeId) -> ItemKey<'_> {
        match self.kind(id) {
            Kind::Str(text) => ItemKey::Text(text),
            Kind::Int(value) => ItemKey::Int(*value),
            Kind::Bool(value) => ItemKey::Int(i64::from(*value)),
            _ => ItemKey::Node(id),
        }
    }
}

impl Default for Graph {
    fn default() -> Graph {
        Graph::new()
    }
}

#[derive(PartialEq, Eq, Hash)]
enum ItemKey<'a> {
    Text(&'a str),
    Int(i64),
    Node(NodeId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_set_again_keeps_its_place_and_takes_the_last_value() {
        let mut graph = Graph::new();
        let root = graph.root;
        for (key, value) in [("a", 1), ("b", 2), ("a", 3)] {
            let key = graph.add_str(key);
            let value = graph.add(Kind::Int(value));
            graph.node_mut(root).tail.push(Tail::Set(key, value));
        }
        let items: Vec<_> = graph
            .items(root)
            .into_iter()
            .map(|(k, v)| (graph.as_str(k).unwrap(), graph.as_int(v).unwrap()))
            .collect();
        assert_eq!(items, [("a", 3), ("b", 2)]);
        assert_eq!(graph.get(root, "a").and_then(|id| graph.as_int(id)), Some(3));
    }

    #[test]
    fn setting_a_known_key_does_not_add_another() {
        let mut graph = Graph::new();
        let root = graph.root;
        let (one, two) = (graph.add(Kind::Int(1)), graph.add(Kind::Int(2)));
        graph.set(root, "a", one);
        graph.set(root, "a", two);
        assert_eq!(graph.node(root).tail.len(), 1);
        assert_eq!(graph.get(root, "a"), Some(two));
    }
}
