//! A node's parts under names by which two versions of it can be compared.

use indexmap::IndexMap;

use crate::value::{Graph, Kind, Node, NodeId, Tail};

/// Deepest nesting of tuples in a key that is told apart by value.
const MOST_KEY_DEPTH: usize = 4;

/// What a node refers to. Tensors have no parts: they are compared as a whole.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// What it is made of: items of a tuple, class and arguments of an object.
    pub made: Vec<NodeId>,
    /// Its items by key, each with the key's node.
    pub keyed: IndexMap<String, (NodeId, NodeId)>,
    /// Its items in a row.
    pub row: Vec<NodeId>,
    /// Members of a set.
    pub members: Vec<NodeId>,
    /// States that are set on it.
    pub states: Vec<NodeId>,
    /// Calls that are made on it.
    pub effects: Vec<NodeId>,
}

impl Parts {
    pub fn of(graph: &Graph, id: NodeId) -> Parts {
        let node = graph.node(id);
        let mut parts = Parts { made: made(&node.kind), ..Parts::default() };
        for step in &node.tail {
            match step {
                Tail::Append(item) => parts.row.push(*item),
                Tail::Add(items) => parts.members.extend(items),
                Tail::Build(state) => parts.states.push(*state),
                Tail::Effect(call) => parts.effects.push(*call),
                Tail::Set(key, value) => {
                    let name = key_name(graph, *key);
                    parts.keyed.entry(name).and_modify(|item| item.1 = *value).or_insert((*key, *value));
                }
            }
        }
        parts
    }

    /// The parts that have a name, with the step of a path that leads there, if one does.
    pub fn named<'a>(&'a self, kind: &'a Kind) -> impl Iterator<Item = (Slot<'a>, NodeId)> + 'a {
        let made = self.made.iter().enumerate().map(move |(i, id)| (Slot::Made(i, kind), *id));
        let keyed = self.keyed.iter().map(|(name, item)| (Slot::Key(name), item.1));
        let row = self.row.iter().enumerate().map(|(i, id)| (Slot::Row(i), *id));
        let members = self.members.iter().enumerate().map(|(i, id)| (Slot::Member(i), *id));
        let states = self.states.iter().enumerate().map(|(i, id)| (Slot::State(i), *id));
        let effects = self.effects.iter().enumerate().map(|(i, id)| (Slot::Effect(i), *id));
        made.chain(keyed).chain(row).chain(members).chain(states).chain(effects)
    }

    /// The part of this name.
    pub fn at(&self, slot: &Slot<'_>) -> Option<NodeId> {
        match slot {
            Slot::Made(i, _) => self.made.get(*i).copied(),
            Slot::Key(name) => self.keyed.get(*name).map(|item| item.1),
            Slot::Row(i) => self.row.get(*i).copied(),
            Slot::Member(i) => self.members.get(*i).copied(),
            Slot::State(i) => self.states.get(*i).copied(),
            Slot::Effect(i) => self.effects.get(*i).copied(),
        }
    }

    /// Writes the parts as the node that they are of.
    pub fn into_node(self, kind: &Kind) -> Node {
        let mut tail: Vec<Tail> = self.row.into_iter().map(Tail::Append).collect();
        tail.extend(self.keyed.into_values().map(|(key, value)| Tail::Set(key, value)));
        if !self.members.is_empty() {
            tail.push(Tail::Add(self.members));
        }
        tail.extend(self.states.into_iter().map(Tail::Build));
        tail.extend(self.effects.into_iter().map(Tail::Effect));
        Node { kind: with_made(kind, &self.made), tail }
    }
}

/// The name of a part of a node.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slot<'a> {
    Made(usize, &'a Kind),
    Key(&'a str),
    Row(usize),
    Member(usize),
    State(usize),
    Effect(usize),
}

impl Slot<'_> {
    /// The step of a path that leads there; none where the part is no place of its own.
    pub fn step(&self) -> Option<String> {
        match self {
            Slot::Made(i, Kind::Tuple(_) | Kind::FrozenSet(_)) => Some(i.to_string()),
            Slot::Made(..) | Slot::State(_) => None,
            Slot::Key(name) => Some(name.get(1..).unwrap_or_default().to_owned()),
            Slot::Row(i) | Slot::Member(i) => Some(i.to_string()),
            Slot::Effect(_) => Some("(effect)".to_owned()),
        }
    }
}

/// A key as text, after a letter that tells sorts apart which Python tells apart.
fn key_name(graph: &Graph, key: NodeId) -> String {
    if let Some(text) = graph.as_str(key) {
        return format!("s{text}");
    }
    match graph.kind(key) {
        Kind::Int(value) => format!("n{value}"),
        Kind::Bool(value) => format!("n{}", i64::from(*value)),
        Kind::Tuple(_) => match tuple_name(graph, key) {
            Some(name) => format!("t{name}"),
            None => format!("?{}", key.0),
        },
        kind if crate::value::is_atom(kind) => format!("a{kind:?}"),
        _ => format!("?{}", key.0),
    }
}

fn tuple_name(graph: &Graph, key: NodeId) -> Option<String> {
    let mut out = String::new();
    let mut todo = vec![(key, 0)];
    while let Some((id, depth)) = todo.pop() {
        match graph.kind(id) {
            Kind::Tuple(items) if depth < MOST_KEY_DEPTH && items.len() < 1 << 10 => {
                out.push_str(&format!("({} ", items.len()));
                todo.extend(items.iter().rev().map(|item| (*item, depth + 1)));
            }
            kind if crate::value::is_atom(kind) => out.push_str(&format!("{kind:?} ")),
            _ => return None,
        }
        if out.len() > 1 << 12 {
            return None;
        }
    }
    Some(out)
}

fn made(kind: &Kind) -> Vec<NodeId> {
    match kind {
        Kind::Tuple(items) | Kind::FrozenSet(items) | Kind::Instance(items) => items.clone(),
        Kind::ReadonlyBuffer(inner) | Kind::PersistentId(inner) => vec![*inner],
        Kind::ComputedGlobal { module, name } => vec![*module, *name],
        Kind::Reduce { callee, args } => vec![*callee, *args],
        Kind::NewObj { class, args } => vec![*class, *args],
        Kind::NewObjEx { class, args, kwargs } => vec![*class, *args, *kwargs],
        _ => Vec::new(),
    }
}

fn with_made(kind: &Kind, made: &[NodeId]) -> Kind {
    match (kind, made) {
        (Kind::Tuple(_), items) => Kind::Tuple(items.to_vec()),
        (Kind::FrozenSet(_), items) => Kind::FrozenSet(items.to_vec()),
        (Kind::Instance(_), items) => Kind::Instance(items.to_vec()),
        (Kind::ReadonlyBuffer(_), &[inner]) => Kind::ReadonlyBuffer(inner),
        (Kind::PersistentId(_), &[inner]) => Kind::PersistentId(inner),
        (Kind::ComputedGlobal { .. }, &[module, name]) => Kind::ComputedGlobal { module, name },
        (Kind::Reduce { .. }, &[callee, args]) => Kind::Reduce { callee, args },
        (Kind::NewObj { .. }, &[class, args]) => Kind::NewObj { class, args },
        (Kind::NewObjEx { .. }, &[class, args, kwargs]) => Kind::NewObjEx { class, args, kwargs },
        _ => kind.clone(),
    }
}

/// What a node is apart from its parts, for those that hold something of their own.
pub(super) fn own(kind: &Kind) -> Option<&Kind> {
    match kind {
        Kind::ByteArray(_)
        | Kind::Buffer(_)
        | Kind::PersistentLine(_)
        | Kind::Extension(_)
        | Kind::Storage(_) => Some(kind),
        _ => None,
    }
}

/// Whether two nodes could be versions of one object.
pub(super) fn alike(a: &Graph, x: NodeId, b: &Graph, y: NodeId) -> bool {
    match (a.kind(x), b.kind(y)) {
        (Kind::Tuple(x), Kind::Tuple(y)) => x.len() == y.len(),
        (
            left @ (Kind::Reduce { .. } | Kind::NewObj { .. } | Kind::NewObjEx { .. } | Kind::Instance(_)),
            right,
        ) => same_sort(left, right) && a.class_of(x) == b.class_of(y),
        (left, right) => same_sort(left, right),
    }
}

/// Whether two nodes are made in the same way, of as many parts.
pub(super) fn same_sort(a: &Kind, b: &Kind) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b) && made(a).len() == made(b).len()
}
