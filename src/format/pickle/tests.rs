use std::collections::HashMap;

use num_bigint::BigInt;
use proptest::prelude::*;

use super::super::Limits;
use super::super::tests::corpus;
use super::*;
use crate::value::{Graph, Kind, Node, NodeId, Tail};

#[test]
fn what_cpython_wrote_is_written_as_it_was() {
    // File, protocol, whether the bytes are the same.
    let table = [
        ("atoms.p0", 0, true),
        ("atoms.p5", 5, true),
        ("classes.p2", 2, true),
        ("classes.p4", 4, true),
        ("concat.p2", 2, true),
        ("containers.p1", 1, true),
        ("containers.p4", 4, true),
        ("cycle_frozenset.p1", 1, true),
        ("cycles.p0", 0, true),
        ("cycles.p4", 4, true),
        ("deep400.p2", 2, true),
        ("ext1.p2", 2, true),
        ("newargs_ex.p3", 3, true),
        ("numpy.p3", 3, true),
        ("oob_ro.p5", 5, false),
        ("pure_python_pickler.p5", 5, true),
        ("py2_inst.p0", 0, false),
        ("py2_str.p0", 0, false),
        ("reduce_items.p5", 5, true),
        ("sharing.p3", 3, true),
        ("stdlib.p2", 2, true),
    ];
    for (name, protocol, is_same) in table {
        let file = corpus(&format!("pickle/{name}.pkl"));
        let pickle = read(&file, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(extent(&file).unwrap(), Extent { protocol, bytes: pickle.bytes }, "{name}");
        let written = write(&pickle.graph, protocol).unwrap();
        assert_eq!(written == file[..pickle.bytes], is_same, "{name}");
        assert_same(&pickle.graph, &read(&written, &Limits::default()).unwrap().graph);
    }
}

#[test]
fn a_hostile_pickle_is_refused_or_only_data() {
    let table = [
        ("append_to_dict", Some("changes a value that cannot change")),
        ("bad_utf8", Some("no UTF-8 text")),
        ("build_on_int", Some("changes a value that cannot change")),
        ("build_setstate", None),
        ("builtins_eval", None),
        ("bytearray8_huge", Some("the bytes end")),
        ("ext_zero", Some("no extension code")),
        ("float_garbage", Some("no float")),
        ("frozenset_self", Some("memo entry 0 is asked for at byte 3")),
        ("getattr_chain", None),
        ("huge_binunicode", Some("the bytes end")),
        ("huge_binunicode8", Some("the bytes end")),
        ("huge_frame", Some("the bytes end")),
        ("huge_long4", Some("the bytes end")),
        ("mark_left", None),
        ("memo_bomb", None),
        ("memo_missing", Some("memo entry 5 is asked for at byte 2")),
        ("neg_binstring", Some("no length")),
        ("newobj_popen", None),
        ("next_buffer", None),
        ("no_mark", Some("a mark is missing")),
        ("obj_opcode", None),
        ("os_system", None),
        ("persid_wrong", None),
        ("pop_empty", Some("the stack is empty")),
        ("proto6", Some("protocol 6 is not known")),
        ("put_neg", Some("no memo index")),
        ("reduce_nontuple", None),
        ("stack_global_computed", None),
        ("stack_global_memo", None),
        ("stack_global_nonstr", None),
        ("stack_underflow", Some("the stack is empty")),
        ("string_badesc", Some("no quoted text")),
        ("string_noquote", Some("no quoted text")),
        ("truncated_binunicode", Some("the bytes end")),
        ("tuple_doubling", None),
        ("unicode_badesc", Some("no escaped text")),
    ];
    for (name, reason) in table {
        let file = corpus(&format!("malicious/pkl_{name}.pkl"));
        match (read(&file, &Limits::default()), reason) {
            (Err(error), Some(reason)) => assert!(error.to_string().contains(reason), "{name}: {error}"),
            (Ok(pickle), None) => {
                let written = write(&pickle.graph, extent(&file).unwrap().protocol).unwrap();
                assert_same(&pickle.graph, &read(&written, &Limits::default()).unwrap().graph);
            }
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
}

#[test]
fn opcodes_that_are_newer_than_the_stated_protocol_are_written_again() {
    let table: [(&[u8], u8); 5] = [
        (b"\x80\x02C\x01a.", 3),
        (b"\x80\x02\x8c\x01a.", 4),
        (b"\x80\x04\x80\x02\x8f.", 4),
        (b"\x80\x03\x96\x01\0\0\0\0\0\0\0a.", 5),
        (b"C\x01a.", 3),
    ];
    for (bytes, protocol) in table {
        let pickle = read(bytes, &Limits::default()).unwrap();
        assert_eq!(extent(bytes).unwrap(), Extent { protocol, bytes: bytes.len() }, "{bytes:?}");
        let written = write(&pickle.graph, protocol).unwrap();
        assert_same(&pickle.graph, &read(&written, &Limits::default()).unwrap().graph);
    }
}

#[test]
fn what_is_done_to_a_global_is_done_to_that_one_alone() {
    let pickle = read(b"cm\nC\n(cm\nC\ne.", &Limits::default()).unwrap();
    let written = write(&pickle.graph, 2).unwrap();
    assert_same(&pickle.graph, &read(&written, &Limits::default()).unwrap().graph);
}

#[test]
fn items_are_batched_as_cpython_batches_them() {
    // Kind, items, how the pickle ends in protocol 2.
    let table: [(Kind, i64, &[u8]); 7] = [
        (Kind::List, 1, b"K\0a."),
        (Kind::List, 1000, b"K\0e."),
        (Kind::List, 1001, b"(K\0e."),
        (Kind::Dict, 1, b"K\0K\0s."),
        (Kind::Dict, 999, b"K\0K\0u."),
        (Kind::Dict, 1000, b"K\0K\0u(u."),
        (Kind::Dict, 1001, b"(K\0K\0u."),
    ];
    for (kind, items, end) in table {
        let mut graph = Graph::new();
        let root = graph.add(kind.clone());
        graph.root = root;
        let zero = graph.add(Kind::Int(0));
        for _ in 0..items {
            let step = if kind == Kind::List { Tail::Append(zero) } else { Tail::Set(zero, zero) };
            graph.node_mut(root).tail.push(step);
        }
        let written = write(&graph, 2).unwrap();
        assert!(written.ends_with(end), "{kind:?} {items}");
        assert_eq!(
            read(&written, &Limits::default()).unwrap().graph.node(NodeId(0)).tail.len(),
            items as usize
        );
    }
}

#[test]
fn depth_is_no_recursion() {
    for item in [&b"]"[..], b"("] {
        let (open, close) = if item == b"]" { (&b"]"[..], &b"a"[..]) } else { (&b"("[..], &b"t"[..]) };
        let mut bytes = b"\x80\x02".to_vec();
        bytes.extend(open.repeat(200_000));
        bytes.extend(b"N");
        bytes.extend(close.repeat(200_000));
        bytes.push(b'.');
        let graph = read(&bytes, &Limits::default()).unwrap().graph;
        let written = write(&graph, 2).unwrap();
        assert_same(&graph, &read(&written, &Limits::default()).unwrap().graph);
    }
}

#[test]
fn limits_hold() {
    let marks = Limits { nesting: 2, ..Limits::default() };
    assert!(matches!(read(b"(((.", &marks), Err(PickleError::Limit { limit: 2, .. })));
    let nodes = Limits { nodes: 2, ..Limits::default() };
    assert!(matches!(read(b"NNN.", &nodes), Err(PickleError::Limit { limit: 2, .. })));
    let digits = format!("I{}\n.", "1".repeat(5000));
    assert!(matches!(read(digits.as_bytes(), &Limits::default()), Err(PickleError::Limit { .. })));
}

#[test]
fn a_huge_memo_index_asks_for_no_memory() {
    let pickle = read(b"\x80\x02Nr\xff\xff\xff\xff0j\xff\xff\xff\xff.", &Limits::default()).unwrap();
    assert_eq!(pickle.graph.kind(pickle.graph.root), &Kind::None);
}

#[test]
fn a_dropped_call_is_kept_as_an_effect_at_every_writing() {
    // A list, on which `os.f` is called with `None` and its result dropped.
    let bytes = b"\x80\x02]q\x00cos\nf\nq\x01N\x85R0.";
    let graph = read(bytes, &Limits::default()).unwrap().graph;
    assert!(matches!(graph.node(graph.root).tail[..], [Tail::Effect(_)]));
    let again = read(&write(&graph, 2).unwrap(), &Limits::default()).unwrap().graph;
    assert_same(&graph, &again);
}

#[test]
fn a_dropped_call_keeps_what_was_done_to_its_result() {
    // As above, but state is set on the result before it is dropped.
    let bytes = b"\x80\x02]q\x00cos\nf\nq\x01N\x85RK\x07b0.";
    let graph = read(bytes, &Limits::default()).unwrap().graph;
    let [Tail::Effect(call)] = graph.node(graph.root).tail[..] else { panic!("{graph:?}") };
    assert!(matches!(graph.node(call).tail[..], [Tail::Build(_)]));
    for protocol in 0..=5 {
        let again = read(&write(&graph, protocol).unwrap(), &Limits::default()).unwrap().graph;
        assert_same(&graph, &again);
    }
}

#[test]
fn a_value_inside_itself_without_a_container_is_refused() {
    let mut graph = Graph::new();
    let tuple = graph.add(Kind::Tuple(Vec::new()));
    graph.node_mut(tuple).kind = Kind::Tuple(vec![tuple]);
    graph.root = tuple;
    assert!(matches!(write(&graph, 2), Err(PickleError::Unwritable(_))));

    let mut graph = Graph::new();
    let set = graph.add(Kind::Set);
    graph.node_mut(set).tail.push(Tail::Add(vec![set]));
    graph.root = set;
    assert!(matches!(write(&graph, 2), Err(PickleError::Unwritable(_))));
    assert!(write(&graph, 4).is_ok());
}

#[test]
fn python_2_names_are_those_of_compat_pickle() {
    assert_eq!(python2_name("builtins", "set"), ("__builtin__", "set"));
    assert_eq!(python2_name("builtins", "range"), ("__builtin__", "xrange"));
    assert_eq!(python2_name("builtins", "ValueError"), ("exceptions", "ValueError"));
    assert_eq!(python2_name("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor"));
    assert_eq!(python2_name("torch", "Size"), ("torch", "Size"));
}

/// Whether one value is only its content: pickles need not keep its identity.
fn is_by_value(kind: &Kind) -> bool {
    match kind {
        Kind::None | Kind::Bool(_) | Kind::Int(_) | Kind::BigInt(_) | Kind::Float(_) => true,
        Kind::Global { .. } | Kind::Extension(_) => true,
        Kind::Tuple(items) => items.is_empty(),
        _ => false,
    }
}

/// Checks that two graphs are the same but for the numbers of their nodes.
fn assert_same(one: &Graph, other: &Graph) {
    let (mut forth, mut back) = (HashMap::new(), HashMap::new());
    let mut todo = vec![(one.root, other.root)];
    while let Some((a, b)) = todo.pop() {
        let (left, right) = (one.node(a), other.node(b));
        if !(is_by_value(&left.kind) && left.tail.is_empty()) {
            let known = (forth.insert(a, b), back.insert(b, a));
            match known {
                (None, None) => {}
                (Some(to), Some(from)) if (to, from) == (b, a) => continue,
                _ => panic!("{a:?} {left:?} is not {b:?} {right:?}"),
            }
        }
        let nameless = |node: &Node| {
            let mut kind = node.kind.clone();
            for_each_child(&mut kind, |id| *id = NodeId(0));
            let tail: Vec<_> = node.tail.iter().map(std::mem::discriminant).collect();
            (kind, tail)
        };
        assert_eq!(nameless(left), nameless(right));
        let (left, right) = (one.children(a), other.children(b));
        assert_eq!(left.len(), right.len());
        todo.extend(left.into_iter().zip(right));
    }
}

fn for_each_child(kind: &mut Kind, mut each: impl FnMut(&mut NodeId)) {
    match kind {
        Kind::Tuple(items) | Kind::FrozenSet(items) | Kind::Instance(items) => {
            items.iter_mut().for_each(each);
        }
        Kind::ReadonlyBuffer(inner) | Kind::PersistentId(inner) => each(inner),
        Kind::ComputedGlobal { module, name } => [module, name].into_iter().for_each(each),
        Kind::Reduce { callee, args } => [callee, args].into_iter().for_each(each),
        Kind::NewObj { class, args } => [class, args].into_iter().for_each(each),
        Kind::NewObjEx { class, args, kwargs } => [class, args, kwargs].into_iter().for_each(each),
        _ => {}
    }
}

/// A graph in which parts refer to earlier nodes and tails to any.
fn graphs() -> impl Strategy<Value = Graph> {
    let nodes = prop::collection::vec(any::<(u8, u32, u32, u32)>(), 1..40);
    let tails = prop::collection::vec(any::<(u8, u32, u32, u32)>(), 0..60);
    (nodes, tails, "[a-z\u{0}\u{e9}\u{1f600}\\n\\\\]{0,6}", any::<i64>(), any::<f64>()).prop_map(
        |(nodes, tails, text, int, float)| {
            let mut graph = Graph { nodes: Vec::new(), root: NodeId(0), storages: Vec::new() };
            for (index, (kind, a, b, c)) in nodes.into_iter().enumerate() {
                let earlier = |seed: u32| NodeId(seed % (index.max(1) as u32));
                let kind = match kind % 20 {
                    _ if index == 0 => Kind::List,
                    0 => Kind::None,
                    1 => Kind::Bool(a % 2 == 0),
                    2 => Kind::Int(int >> (a % 64)),
                    3 => Kind::BigInt(BigInt::from(int) * BigInt::from(i64::MAX) * BigInt::from(b)),
                    4 => Kind::Float(float.into()),
                    5 => Kind::Str(text.repeat((a % 60) as usize)),
                    6 => Kind::Str8(vec![a as u8; (b % 300) as usize]),
                    7 => {
                        Kind::Tuple((0..c % 5).map(|n| earlier(a.wrapping_add(b.wrapping_mul(n)))).collect())
                    }
                    8 => Kind::Instance((0..1 + c % 4).map(|n| earlier(a.rotate_left(n))).collect()),
                    9 => Kind::Global { module: "os".into(), name: format!("f{}", a % 3) },
                    10 => Kind::Extension(1 + a % 70_000),
                    11 | 12 => Kind::Reduce { callee: earlier(a), args: earlier(b) },
                    13 => Kind::NewObj { class: earlier(a), args: earlier(b) },
                    14 => Kind::NewObjEx { class: earlier(a), args: earlier(b), kwargs: earlier(c) },
                    15 => Kind::PersistentId(earlier(a)),
                    16 => Kind::SurrogateStr(b"x\xed\xa0\x80".to_vec()),
                    17 => Kind::Dict,
                    _ => Kind::List,
                };
                graph.add(kind);
            }
            let count = graph.nodes.len() as u32;
            for (step, target, a, b) in tails {
                let (target, a, b) = (NodeId(target % count), NodeId(a % count), NodeId(b % count));
                let step = match (graph.kind(target), step % 4) {
                    (Kind::List, _) => Tail::Append(a),
                    (Kind::Dict, _) => Tail::Set(a, b),
                    (Kind::Reduce { .. } | Kind::NewObj { .. } | Kind::Instance(_), 0) => Tail::Append(a),
                    (Kind::Reduce { .. } | Kind::NewObj { .. } | Kind::PersistentId(_), 1) => Tail::Set(a, b),
                    (Kind::Reduce { .. } | Kind::NewObjEx { .. }, 2) => Tail::Add(vec![a, b]),
                    (Kind::Reduce { .. } | Kind::NewObj { .. } | Kind::Instance(_), 3) => Tail::Build(a),
                    _ => continue,
                };
                graph.node_mut(target).tail.push(step);
            }
            graph.root = NodeId(count - 1);
            graph
        },
    )
}

proptest! {
    #[test]
    fn a_graph_comes_back_from_every_protocol(graph in graphs(), protocol in 0u8..=5) {
        let written = write(&graph, protocol).unwrap();
        let found = read(&written, &Limits::default()).unwrap().graph;
        assert_same(&graph, &found);
        prop_assert_eq!(write(&found, protocol).unwrap(), written);
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(pickle) = read(&bytes, &Limits::default()) {
            let _ = write(&pickle.graph, 2);
        }
    }

    #[test]
    fn any_opcodes_are_refused_or_read(
        picks in prop::collection::vec(prop::sample::select(
            &b"(.012NJK]})tlde\x85\x86\x87\x88\x8f\x90\x91\x81\x92\x93\x94RbasuoQ"[..]), 0..60),
    ) {
        let mut bytes = b"\x80\x04".to_vec();
        bytes.extend(picks);
        bytes.extend(b"...");
        if let Ok(pickle) = read(&bytes, &Limits::default())
            && let Ok(written) = write(&pickle.graph, 4)
        {
            assert_same(&pickle.graph, &read(&written, &Limits::default()).unwrap().graph);
        }
    }
}
