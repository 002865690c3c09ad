//! What Python would make of a node.

use super::family::Family;
use crate::value::{Graph, Kind, NodeId, Tail, is_atom};

/// What Python would make of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A value without identity.
    Atom,
    Tuple,
    List,
    Dict,
    Set,
    FrozenSet,
    /// `set([...])` as older protocols write it; the list.
    SetOf(NodeId),
    /// `frozenset([...])`; the list.
    FrozenSetOf(NodeId),
    /// `_codecs.encode(text, "latin1")` or `bytes()`, as protocols below 3 write bytes.
    EncodedBytes,
    ByteArray,
    /// `bytearray(bytes)`; the bytes.
    EncodedByteArray(NodeId),
    OrderedDict,
    /// The factory, if any.
    DefaultDict(Option<NodeId>),
    /// An instance of a subclass of dict; its class.
    DictObject(NodeId),
    /// Any other instance; its class.
    Object(NodeId),
    /// A class that is written as `getattr(Outer, "Inner")`.
    Named,
    /// A value that is made by a call and that the prelude knows, or that a class makes of plain values alone.
    Made(NodeId),
    /// A tensor, itself or wrapped as a parameter; the tensor.
    Tensor(NodeId),
    /// A `torch.Size`; the tuple.
    Size(NodeId),
    /// Anything else: it can only be moved.
    Opaque,
}

/// Names of Python 2 by which protocols below 3 call modules.
pub(super) fn modern_module(module: &str) -> &str {
    match module {
        "__builtin__" => "builtins",
        "copy_reg" => "copyreg",
        other => other,
    }
}

/// What Python would make of a node. `family` tells what is known of a class.
pub(super) fn form(graph: &Graph, id: NodeId, family: impl Fn(NodeId) -> Option<Family>) -> Form {
    let node = graph.node(id);
    let only = |allowed: fn(&Tail) -> bool| {
        node.tail.iter().all(|step| allowed(step) || matches!(step, Tail::Effect(_)))
    };
    match &node.kind {
        kind if is_atom(kind) && node.tail.is_empty() => Form::Atom,
        Kind::Tuple(_) if node.tail.is_empty() => Form::Tuple,
        Kind::FrozenSet(_) if node.tail.is_empty() => Form::FrozenSet,
        Kind::ByteArray(_) if node.tail.is_empty() => Form::ByteArray,
        Kind::List if only(|step| matches!(step, Tail::Append(_))) => Form::List,
        Kind::Dict if only(|step| matches!(step, Tail::Set(..))) => Form::Dict,
        Kind::Set if only(|step| matches!(step, Tail::Add(_))) => Form::Set,
        Kind::Tensor(_) if node.tail.is_empty() => Form::Tensor(id),
        Kind::Reduce { callee, args } => reduced(graph, id, *callee, *args, family),
        Kind::NewObj { class, .. } | Kind::NewObjEx { class, .. } => instance(graph, id, *class, family),
        Kind::Instance(parts) => match parts.first() {
            Some(class) => instance(graph, id, *class, family),
            None => Form::Opaque,
        },
        _ => Form::Opaque,
    }
}

fn reduced(
    graph: &Graph,
    id: NodeId,
    callee: NodeId,
    args: NodeId,
    family: impl Fn(NodeId) -> Option<Family>,
) -> Form {
    let Some((module, name)) = graph.as_global(callee) else { return instance(graph, id, callee, family) };
    let Kind::Tuple(args) = graph.kind(args) else { return Form::Opaque };
    let bare = graph.node(id).tail.is_empty();
    match (modern_module(module), name, args.as_slice()) {
        ("builtins", "set", [list]) if bare && is_plain_list(graph, *list) => Form::SetOf(*list),
        ("builtins", "frozenset", [list]) if bare && is_plain_list(graph, *list) => Form::FrozenSetOf(*list),
        ("_codecs", "encode", _) | ("builtins", "bytes", []) if bare && bytes_of(graph, id).is_some() => {
            Form::EncodedBytes
        }
        ("builtins", "bytearray", [bytes]) if bare && bytes_of(graph, *bytes).is_some() => {
            Form::EncodedByteArray(*bytes)
        }
        ("collections", "OrderedDict", []) if items_then_state(graph, id) => Form::OrderedDict,
        ("collections", "defaultdict", []) if items_then_state(graph, id) => Form::DefaultDict(None),
        ("collections", "defaultdict", [factory]) if items_then_state(graph, id) => {
            Form::DefaultDict(Some(*factory))
        }
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state", [tensor, ..])
            if bare && graph.as_tensor(*tensor).is_some() && graph.node(*tensor).tail.is_empty() =>
        {
            Form::Tensor(*tensor)
        }
        ("torch", "Size", [extents]) if bare && is_tuple_of_ints(graph, *extents) => Form::Size(*extents),
        ("torch._tensor", "_rebuild_from_type_v2", [_, class, ..]) if graph.as_global(*class).is_some() => {
            Form::Object(*class)
        }
        ("copyreg", _, [class, ..]) if graph.as_global(*class).is_some() => {
            instance(graph, id, *class, family)
        }
        // `numpy.ndarray` and the like name their class first.
        ("builtins", "getattr", [_, _]) if bare && family(id).is_some() => Form::Named,
        (module, name, _) if is_made(module, name) && builds_once(graph, id) => Form::Made(callee),
        (_, "_reconstruct", [class, ..]) if graph.as_global(*class).is_some() => Form::Object(*class),
        _ => instance(graph, id, callee, family),
    }
}

fn instance(graph: &Graph, id: NodeId, class: NodeId, family: impl Fn(NodeId) -> Option<Family>) -> Form {
    match family(class) {
        Some(Family::Dict | Family::Ordered) if items_then_state(graph, id) => Form::DictObject(class),
        Some(Family::Value | Family::Tuple) if graph.node(id).tail.is_empty() => Form::Made(class),
        Some(_) => Form::Object(class),
        None => Form::Opaque,
    }
}

/// Callables whose results the prelude can make and take apart.
fn is_made(module: &str, name: &str) -> bool {
    matches!(
        (module, name),
        ("collections", "deque" | "Counter")
            | ("functools", "partial")
            | ("builtins", "complex" | "range" | "xrange" | "slice")
            | ("fractions", "Fraction")
            | ("torch", "device")
            | ("datetime", "date" | "datetime" | "time" | "timedelta" | "timezone")
            | (
                "pathlib" | "pathlib._local",
                "PosixPath" | "WindowsPath" | "PurePosixPath" | "PureWindowsPath"
            )
            | ("numpy", "dtype")
            | ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct" | "scalar")
    )
}

/// Whether a node is at most appended to and built once.
fn builds_once(graph: &Graph, id: NodeId) -> bool {
    let steps = &graph.node(id).tail;
    steps.iter().all(|step| matches!(step, Tail::Append(_) | Tail::Build(_)))
        && steps.iter().filter(|step| matches!(step, Tail::Build(_))).count() < 2
}

/// The state that a node is built with.
pub(super) fn built(graph: &Graph, id: NodeId) -> Option<NodeId> {
    graph.node(id).tail.iter().find_map(|step| match step {
        Tail::Build(state) => Some(*state),
        _ => None,
    })
}

/// The bytes of a node that is bytes or is written as `_codecs.encode(text, "latin1")`.
pub(super) fn bytes_of(graph: &Graph, id: NodeId) -> Option<Vec<u8>> {
    if !graph.node(id).tail.is_empty() {
        return None;
    }
    match graph.kind(id) {
        Kind::Bytes(bytes) => Some(bytes.clone()),
        Kind::Reduce { callee, args } => {
            let Kind::Tuple(args) = graph.kind(*args) else { return None };
            match graph.as_global(*callee)? {
                ("_codecs", "encode") => {}
                // So protocols below 3 write no bytes at all.
                ("__builtin__" | "builtins", "bytes") if args.is_empty() => return Some(Vec::new()),
                _ => return None,
            }
            let &[text, encoding] = args.as_slice() else { return None };
            if !matches!(graph.as_str(encoding), Some("latin1" | "latin-1")) {
                return None;
            }
            graph.as_str(text)?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
        }
        _ => None,
    }
}

/// Deepest nesting of classes in classes that is looked through.
const MAX_NESTING: usize = 64;

/// Module and name of a class, also where it is written as `getattr(Outer, "Inner")`.
pub(super) fn class_path(graph: &Graph, mut id: NodeId) -> Option<(String, String)> {
    let mut inner = Vec::new();
    for _ in 0..MAX_NESTING {
        if let Some((module, name)) = graph.as_global(id) {
            let name = inner.iter().rev().fold(name.to_owned(), |path, step| format!("{path}.{step}"));
            return Some((modern_module(module).to_owned(), name));
        }
        // Before version 1.6 torch named the class of a module together with its source.
        if let Kind::PersistentId(named) = graph.kind(id)
            && let Kind::Tuple(parts) = graph.kind(*named)
            && let [word, class, ..] = parts.as_slice()
            && graph.as_str(*word) == Some("module")
        {
            id = *class;
            continue;
        }
        let Kind::Reduce { callee, args } = graph.kind(id) else { return None };
        let Some(("__builtin__" | "builtins", "getattr")) = graph.as_global(*callee) else { return None };
        let Kind::Tuple(args) = graph.kind(*args) else { return None };
        let &[outer, name] = args.as_slice() else { return None };
        inner.push(graph.as_str(name)?);
        id = outer;
    }
    None
}

fn is_tuple_of_ints(graph: &Graph, id: NodeId) -> bool {
    match graph.kind(id) {
        Kind::Tuple(items) => items.iter().all(|item| graph.as_int(*item).is_some()),
        _ => false,
    }
}

fn is_plain_list(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.kind(id), Kind::List)
        && graph.node(id).tail.iter().all(|step| matches!(step, Tail::Append(_)))
}

/// Whether a node is filled as a dict is, with at most one state that is a plain dict.
fn items_then_state(graph: &Graph, id: NodeId) -> bool {
    let mut states = 0;
    graph.node(id).tail.iter().all(|step| match step {
        Tail::Set(..) | Tail::Effect(_) => true,
        Tail::Build(state) => {
            states += 1;
            states == 1 && is_plain_dict(graph, *state)
        }
        _ => false,
    })
}

/// Whether a node is a dict that holds nothing but items.
pub(super) fn is_plain_dict(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.kind(id), Kind::Dict)
        && graph.node(id).tail.iter().all(|step| matches!(step, Tail::Set(..) | Tail::Effect(_)))
}

/// Where the attributes of an object are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It has none yet.
    None,
    /// In this dict.
    Attributes(NodeId),
    /// In slots, which the prelude shows.
    Slots,
    /// In a form that only its class understands.
    Private,
}

/// Where the attributes of an object are kept: the dict it was built from, or the `__dict__` in it.
pub(super) fn state(graph: &Graph, id: NodeId) -> State {
    let mut states = graph.node(id).tail.iter().filter_map(|step| match step {
        Tail::Build(state) => Some(*state),
        _ => None,
    });
    let (first, second) = (states.next(), states.next());
    let Some(first) = first else { return State::None };
    if second.is_some() {
        return State::Private;
    }
    if let Kind::Tuple(pair) = graph.kind(first)
        && let [attributes, slots] = pair.as_slice()
    {
        match (graph.kind(*attributes), graph.kind(*slots)) {
            (Kind::Dict, Kind::None) if is_plain_dict(graph, *attributes) => {
                return State::Attributes(*attributes);
            }
            (Kind::Dict | Kind::None, Kind::Dict) if is_plain_dict(graph, *slots) => return State::Slots,
            _ => {}
        }
    }
    if !is_plain_dict(graph, first) {
        return State::Private;
    }
    // Pydantic keeps the attributes one level down.
    match graph.get(first, "__dict__") {
        Some(inner) if is_plain_dict(graph, inner) => State::Attributes(inner),
        _ => State::Attributes(first),
    }
}
