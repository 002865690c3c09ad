//! What no program writes into a pickle: a load fails at it, or takes very much more than its size.
//!
//! Such a pickle can be sound as data. Thresholds lie far above what pickles of real checkpoints have: Python's
//! pickler itself gives up at a nesting of some thousand values.

use std::collections::HashMap;

use crate::value::{Graph, Kind, NodeId, Tail, is_atom};

use super::super::pickle::trace::Trace;

/// Most values inside each other.
const MOST_NESTING: usize = 10_000;
/// Most values that a tuple may come to when what it shares is counted at each place.
const MOST_UNFOLDED: u32 = 1 << 28;
/// Most integers with one hash among the keys of a dict.
const MOST_COLLISIONS: usize = 64;
/// Python hashes integers modulo this prime (`sys.hash_info.modulus`, on 64-bit machines).
const HASH_MODULUS: u64 = (1 << 61) - 1;
/// Python keeps the memo in a row that is as long as its largest index asks for.
const MOST_MEMO_INDEX: u64 = 1 << 20;
/// Most times that a tensor may have the elements of its storage, where it has more than
/// [`MOST_EXPANDED`] elements.
const MOST_EXPANSION: u128 = 1 << 16;
/// See [`MOST_EXPANSION`].
const MOST_EXPANDED: u128 = 1 << 32;
/// Highest number of a device that a storage may be put on.
const MOST_DEVICE: u64 = 63;
/// Extension codes that programs may give a meaning. Those below are Python's own, which never gave one, and those
/// above are not assigned (PEP 307).
const PRIVATE_EXTENSIONS: std::ops::Range<u32> = 128..256;

/// What is odd about a whole pickle, each kind once. `is_file` says that it is a file by itself, to which a
/// program may bring what lies outside of it.
pub(super) fn oddities(traced: &Trace, is_file: bool) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(offset) = traced.bad_frame {
        found.push(format!("its frames and opcodes do not fit at byte {offset}"));
    }
    if traced.left_over > 0 {
        found.push(format!("{} values and marks are left over at its end", traced.left_over));
    }
    if let Some((index, offset)) = traced.largest_memo
        && index > MOST_MEMO_INDEX.max(traced.bytes as u64)
    {
        found.push(format!(
            "the memo's entry {index} is made at byte {offset}, which takes memory for all before"
        ));
    }
    let graph = &traced.graph;
    let mut once = [false; 8];
    for place in 0..graph.nodes.len() as u32 {
        if let Some((kind, what)) = of_node(graph, NodeId(place), is_file)
            && !std::mem::replace(&mut once[kind], true)
        {
            found.push(what);
        }
    }
    let nesting = nesting(graph);
    if nesting > MOST_NESTING {
        found.push(format!("{nesting} values lie inside each other"));
    }
    if unfolded(graph) > MOST_UNFOLDED {
        found.push(
            "tuples share what they hold so often that to compare or print them takes for ever".to_owned(),
        );
    }
    found
}

/// What is odd about one value, and the number of its kind.
fn of_node(graph: &Graph, id: NodeId, is_file: bool) -> Option<(usize, String)> {
    let node = graph.node(id);
    match &node.kind {
        Kind::Extension(code) if !PRIVATE_EXTENSIONS.contains(code) => {
            return Some((0, format!("extension code {code} stands for nothing that was ever registered")));
        }
        Kind::Buffer(_) if !is_file => {
            return Some((1, "it asks for buffers from outside of the file".to_owned()));
        }
        Kind::Reduce { callee, args } => {
            if is_no_tuple(graph, *args) {
                return Some((2, "the arguments of a call are no tuple".to_owned()));
            }
            if let Some(("torch._utils", name)) = graph.as_global(*callee)
                && name.starts_with("_rebuild_tensor")
                && let Some(what) = expanded(graph, *args)
            {
                return Some((3, what));
            }
        }
        Kind::NewObj { args, .. } | Kind::NewObjEx { args, .. } if is_no_tuple(graph, *args) => {
            return Some((2, "the arguments of a call are no tuple".to_owned()));
        }
        Kind::PersistentId(parts) => {
            if let Kind::Tuple(parts) = graph.kind(*parts)
                && let [tag, _, _, location, ..] = parts.as_slice()
                && graph.as_str(*tag) == Some("storage")
                && let Some(location) = graph.as_str(*location)
                && !is_device(location)
            {
                let location: String = location.chars().take(40).flat_map(char::escape_debug).collect();
                return Some((4, format!("a storage is to be put on `{location}`")));
            }
        }
        _ => {}
    }
    let unhashable =
        |id: &NodeId| matches!(graph.kind(*id), Kind::List | Kind::Dict | Kind::Set | Kind::ByteArray(_));
    let mut same_hash: HashMap<u64, usize> = HashMap::new();
    for step in &node.tail {
        let is_bad = match step {
            Tail::Set(key, _) => {
                if let Kind::BigInt(value) = graph.kind(*key) {
                    let hash = value.magnitude() % HASH_MODULUS;
                    let count = same_hash.entry(hash.try_into().unwrap_or(0)).or_default();
                    *count += 1;
                    if *count > MOST_COLLISIONS {
                        return Some((
                            5,
                            "the keys of a dict have one hash, which takes time to load".to_owned(),
                        ));
                    }
                }
                unhashable(key)
            }
            Tail::Add(items) => items.iter().any(unhashable),
            _ => false,
        };
        if is_bad {
            return Some((6, "a key of a dict or a part of a set is one that Python refuses".to_owned()));
        }
    }
    None
}

/// Whether it is a value, and one that is no tuple, in the place of the arguments of a call.
fn is_no_tuple(graph: &Graph, args: NodeId) -> bool {
    match graph.kind(args) {
        // What it names is not known.
        Kind::Global { .. } => false,
        Kind::ByteArray(_) | Kind::List | Kind::Dict | Kind::Set | Kind::FrozenSet(_) => true,
        kind => is_atom(kind),
    }
}

/// Says so if a tensor has very many more elements than its storage.
fn expanded(graph: &Graph, args: NodeId) -> Option<String> {
    let Kind::Tuple(args) = graph.kind(args) else { return None };
    let (storage, shape) = (*args.first()?, *args.get(2)?);
    let Kind::PersistentId(parts) = graph.kind(storage) else { return None };
    let (Kind::Tuple(parts), Kind::Tuple(shape)) = (graph.kind(*parts), graph.kind(shape)) else {
        return None;
    };
    let held = u128::try_from(graph.as_int(*parts.get(4)?)?).ok()?;
    let mut elements = 1u128;
    for dimension in shape {
        elements = elements.saturating_mul(u128::try_from(graph.as_int(*dimension)?).ok()?);
    }
    (elements > MOST_EXPANDED && elements / MOST_EXPANSION > held)
        .then(|| format!("a tensor has {elements} elements, its storage {held}"))
}

/// Whether text names a device as torch does: a kind, and a number where there are several.
fn is_device(text: &str) -> bool {
    let (kind, number) = text.split_once(':').map_or((text, None), |(kind, number)| (kind, Some(number)));
    !kind.is_empty()
        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && number.is_none_or(|number| number.parse::<u64>().is_ok_and(|number| number <= MOST_DEVICE))
}

/// How many values lie inside each other, walked as a pickler walks them.
fn nesting(graph: &Graph) -> usize {
    let mut seen = vec![false; graph.nodes.len()];
    let mut todo = vec![(graph.root, 1)];
    let mut most = 0;
    while let Some((id, depth)) = todo.pop() {
        if std::mem::replace(&mut seen[id.index()], true) {
            continue;
        }
        most = most.max(depth);
        todo.extend(
            graph.children(id).into_iter().rev().filter(|id| !seen[id.index()]).map(|id| (id, depth + 1)),
        );
    }
    most
}

/// The most values that a tuple comes to when what it shares is counted at each place.
fn unfolded(graph: &Graph) -> u32 {
    // A tuple is made after what it holds.
    let mut counts = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let count = match &node.kind {
            Kind::Tuple(items) | Kind::FrozenSet(items) => {
                let held = |id: &NodeId| counts.get(id.index()).copied().unwrap_or(1);
                items.iter().map(held).fold(1u32, u32::saturating_add)
            }
            _ => 1,
        };
        counts.push(count);
    }
    counts.into_iter().max().unwrap_or(0)
}
