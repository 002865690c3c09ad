//! From a value graph to opcodes, in the manner of CPython's C pickler.
//!
//! A value is put into the memo where CPython puts it, and items are batched as CPython batches them, so
//! that what `torch.save` wrote comes back byte for byte. Cycles close in tails, so whatever has a tail
//! is in the memo before it.

use std::collections::HashSet;

use num_bigint::BigInt;

use crate::value::{Graph, Kind, Node, NodeId, Tail};

use super::emit::Emitter;
use super::op::*;
use super::{PickleError, text};

/// Items in one APPENDS, SETITEMS or ADDITEMS.
const BATCH: usize = 1000;

/// Most bytes that a written pickle may have: graphs with cyclic tuples can ask for any length.
const MOST_BYTES: usize = 1 << 30;

/// One step of writing a value that the pickle itself has no word for, such as a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A node of the graph.
    Node(NodeId),
    /// Text, written once and then taken from the memo.
    Text(String),
    /// A class or function.
    Global {
        /// Module path.
        module: String,
        /// Name.
        name: String,
    },
    /// An integer.
    Int(u64),
    /// A truth value.
    Bool(bool),
    /// `None`.
    None,
    /// Begins a tuple.
    Mark,
    /// Ends a tuple of the values since its mark.
    Tuple(usize),
    /// A persistent id made of the value before.
    PersistentId,
    /// A call of the value before the last with the last as arguments.
    Reduce,
}

/// Writes a graph without tensors and storages.
///
/// # Errors
///
/// If the protocol cannot hold a value of the graph.
pub fn write(graph: &Graph, protocol: u8) -> Result<Vec<u8>, PickleError> {
    write_with(graph, protocol, &|_| Err(PickleError::Unwritable("a tensor outside of a torch file")))
}

/// Writes a graph, asking `pieces` how a tensor or storage is made.
///
/// The pieces leave one value on the stack.
///
/// # Errors
///
/// If the protocol cannot hold a value of the graph, or whatever `pieces` reports.
pub fn write_with<E: From<PickleError>>(
    graph: &Graph,
    protocol: u8,
    pieces: &dyn Fn(NodeId) -> Result<Vec<Piece>, E>,
) -> Result<Vec<u8>, E> {
    if protocol > 5 {
        return Err(PickleError::Protocol(protocol).into());
    }
    let mut writer = Writer {
        graph,
        emit: Emitter::new(protocol),
        memo: vec![None; graph.nodes.len()],
        buffers: 0,
        opened: 0,
        opened_at: 0,
        open_sets: HashSet::new(),
        todo: Vec::new(),
    };
    writer.todo.push(Step::Write(graph.root));
    while let Some(step) = writer.todo.pop() {
        match step {
            Step::Piece(piece) => writer.piece(piece)?,
            Step::Write(node) => writer.begin(node, pieces)?,
            Step::Close(node) => writer.close(node)?,
            Step::Made(node) => writer.made(node),
            Step::Tail { node, at } => writer.tail(node, at),
            Step::Put(node) => {
                writer.put_node(node);
                writer.open_sets.remove(&node);
            }
            Step::Op(opcode) => writer.emit.op(opcode),
        }
        if writer.emit.out.len() > MOST_BYTES {
            return Err(PickleError::Limit { what: "bytes", limit: MOST_BYTES as u64 }.into());
        }
    }
    Ok(writer.emit.finish())
}

#[derive(Debug)]
enum Step {
    /// Write a node, or take it from the memo.
    Write(NodeId),
    /// The node's parts are on the stack: make it.
    Close(NodeId),
    /// The node is on the stack: put it into the memo and write its tail.
    Made(NodeId),
    /// Write the tail from this place on.
    Tail { node: NodeId, at: usize },
    /// The node is on the stack, with its tail: put it into the memo.
    Put(NodeId),
    /// Write one opcode.
    Op(u8),
    /// Write a piece.
    Piece(Piece),
}

struct Writer<'a> {
    graph: &'a Graph,
    emit: Emitter,
    /// The memo's entry of each node that has one.
    memo: Vec<Option<u32>>,
    buffers: u32,
    /// Containers begun since the memo grew last: more than there are nodes is an endless cycle.
    opened: usize,
    /// How many entries the memo had then.
    opened_at: u32,
    /// Sets that are being written as calls.
    open_sets: HashSet<NodeId>,
    todo: Vec<Step>,
}

impl Writer<'_> {
    fn begin<E: From<PickleError>>(
        &mut self,
        id: NodeId,
        pieces: &dyn Fn(NodeId) -> Result<Vec<Piece>, E>,
    ) -> Result<(), E> {
        self.emit.boundary();
        if let Some(index) = self.memo[id.index()] {
            self.emit.get(index);
            return Ok(());
        }
        let graph = self.graph;
        match &graph.node(id).kind {
            Kind::Tensor(_) | Kind::Storage(_) => {
                let pieces = pieces(id)?;
                let is_storage = matches!(graph.kind(id), Kind::Storage(_));
                // A storage is known by its key; torch names it anew at each place.
                let tail = !graph.node(id).tail.is_empty();
                self.todo.push(if is_storage && !tail {
                    Step::Tail { node: id, at: 0 }
                } else {
                    Step::Made(id)
                });
                // The last piece's own memo entry is the node's.
                self.todo.extend(pieces.into_iter().rev().map(Step::Piece));
            }
            _ => self.begin_plain(id)?,
        }
        Ok(())
    }

    fn begin_plain(&mut self, id: NodeId) -> Result<(), PickleError> {
        let graph = self.graph;
        let (bin, old) = (self.emit.protocol >= 1, self.emit.protocol < 2);
        let mut memoise = true;
        match &graph.node(id).kind {
            Kind::None => {
                self.emit.op(NONE);
                memoise = false;
            }
            Kind::Bool(value) => {
                self.emit.bool(*value);
                memoise = false;
            }
            Kind::Int(value) => {
                self.emit.int(&BigInt::from(*value));
                memoise = false;
            }
            Kind::BigInt(value) => {
                self.emit.int(value);
                memoise = false;
            }
            Kind::Float(bits) => {
                if bin {
                    self.emit.op(BINFLOAT);
                    self.emit.out.extend(bits.0.to_be_bytes());
                } else {
                    self.emit.line(FLOAT, text::float_repr(bits.get()).as_bytes());
                }
                memoise = false;
            }
            Kind::Str(value) => self.emit.unicode(value.as_bytes()),
            Kind::SurrogateStr(value) => self.emit.unicode(value),
            Kind::Str8(value) if !bin => self.emit.line(STRING, &text::quote(value)),
            Kind::Str8(value) => {
                if i32::try_from(value.len()).is_err() {
                    return Err(PickleError::Unwritable("a Python 2 string over 2 GiB"));
                }
                self.emit.counted(Some(SHORT_BINSTRING), BINSTRING, BINSTRING, value);
            }
            Kind::Bytes(value) if self.emit.protocol < 3 => {
                self.old_bytes(id, value);
                return Ok(());
            }
            Kind::Bytes(value) => self.emit.counted(Some(SHORT_BINBYTES), BINBYTES, BINBYTES8, value),
            Kind::ByteArray(value) if self.emit.protocol < 5 => {
                self.old_byte_array(id, value);
                return Ok(());
            }
            Kind::ByteArray(value) => {
                self.emit.payload(BYTEARRAY8, &(value.len() as u64).to_le_bytes(), value);
            }
            Kind::Buffer(index) => {
                if self.emit.protocol < 5 || *index != self.buffers {
                    return Err(PickleError::Unwritable("an out-of-band buffer out of its order"));
                }
                self.buffers += 1;
                self.emit.op(NEXT_BUFFER);
            }
            Kind::Extension(code) => {
                match (u8::try_from(*code), u16::try_from(*code)) {
                    (Ok(code), _) => self.emit.out.extend([EXT1, code]),
                    (_, Ok(code)) => {
                        self.emit.op(EXT2);
                        self.emit.out.extend(code.to_le_bytes());
                    }
                    _ => {
                        self.emit.op(EXT4);
                        self.emit.out.extend(code.to_le_bytes());
                    }
                }
                memoise = false;
            }
            Kind::PersistentLine(line) => {
                if line.contains(&b'\n') {
                    return Err(PickleError::Unwritable("a persistent id of two lines"));
                }
                self.emit.line(PERSID, line);
            }
            Kind::Global { module, name } => {
                // Its name is its identity, and the memo knows it by that.
                self.memo[id.index()] = Some(match graph.node(id).tail.is_empty() {
                    true => self.emit.global(module, name)?,
                    false => self.emit.new_global(module, name)?,
                });
                self.todo.push(Step::Tail { node: id, at: 0 });
                return Ok(());
            }
            Kind::List | Kind::Dict => {
                let is_list = matches!(graph.kind(id), Kind::List);
                match (bin, is_list) {
                    (true, true) => self.emit.op(EMPTY_LIST),
                    (true, false) => self.emit.op(EMPTY_DICT),
                    (false, true) => self.emit.out.extend([MARK, LIST]),
                    (false, false) => self.emit.out.extend([MARK, DICT]),
                }
            }
            Kind::Set if self.emit.protocol >= 4 => self.emit.op(EMPTY_SET),
            Kind::Set => {
                self.old_items("set", id)?;
                return Ok(());
            }
            Kind::Tuple(items) if items.is_empty() => {
                self.emit.out.extend(if bin { &[EMPTY_TUPLE][..] } else { &[MARK, TUPLE] });
                memoise = false;
            }
            Kind::FrozenSet(_) if self.emit.protocol < 4 => {
                self.old_items("frozenset", id)?;
                return Ok(());
            }
            Kind::Tuple(items) | Kind::FrozenSet(items) | Kind::Instance(items) => {
                self.open()?;
                let is_short = matches!(graph.kind(id), Kind::Tuple(_)) && items.len() <= 3 && !old;
                if !is_short {
                    self.emit.op(MARK);
                }
                self.todo.push(Step::Close(id));
                self.todo.extend(items.iter().rev().map(|item| Step::Write(*item)));
                return Ok(());
            }
            Kind::Reduce { .. }
            | Kind::NewObj { .. }
            | Kind::NewObjEx { .. }
            | Kind::ComputedGlobal { .. }
            | Kind::ReadonlyBuffer(_)
            | Kind::PersistentId(_) => {
                self.open()?;
                self.todo.push(Step::Close(id));
                let parts = parts(graph.kind(id));
                self.todo.extend(parts.iter().rev().map(|part| Step::Write(*part)));
                return Ok(());
            }
            Kind::Tensor(_) | Kind::Storage(_) => {
                return Err(PickleError::Unwritable("a tensor outside of a torch file"));
            }
        }
        if memoise || !graph.node(id).tail.is_empty() {
            self.put_node(id);
        }
        self.todo.push(Step::Tail { node: id, at: 0 });
        Ok(())
    }

    /// Makes a node whose parts were written, unless it came about while they were.
    fn close(&mut self, id: NodeId) -> Result<(), PickleError> {
        let graph = self.graph;
        let kind = graph.kind(id);
        if let Some(index) = self.memo[id.index()] {
            let short = |items: &[NodeId]| items.len() <= 3 && self.emit.protocol >= 2;
            match kind {
                Kind::Tuple(items) if short(items) => self.emit.out.extend(vec![POP; items.len()]),
                Kind::Tuple(items) | Kind::FrozenSet(items) | Kind::Instance(items) => {
                    if self.emit.protocol >= 1 {
                        self.emit.op(POP_MARK);
                    } else {
                        self.emit.out.extend(vec![POP; items.len() + 1]);
                    }
                }
                _ => self.emit.out.extend(vec![POP; parts(kind).len()]),
            }
            self.emit.get(index);
            return Ok(());
        }
        self.emit.op(match kind {
            Kind::Tuple(items) if self.emit.protocol >= 2 && items.len() == 1 => TUPLE1,
            Kind::Tuple(items) if self.emit.protocol >= 2 && items.len() == 2 => TUPLE2,
            Kind::Tuple(items) if self.emit.protocol >= 2 && items.len() == 3 => TUPLE3,
            Kind::Tuple(_) => TUPLE,
            Kind::FrozenSet(_) => FROZENSET,
            Kind::Instance(_) => OBJ,
            Kind::NewObj { .. } => NEWOBJ,
            Kind::NewObjEx { .. } => NEWOBJ_EX,
            Kind::ComputedGlobal { .. } => STACK_GLOBAL,
            Kind::ReadonlyBuffer(_) => READONLY_BUFFER,
            Kind::PersistentId(_) => BINPERSID,
            _ => REDUCE,
        });
        self.made(id);
        Ok(())
    }

    fn made(&mut self, id: NodeId) {
        self.put_node(id);
        self.todo.push(Step::Tail { node: id, at: 0 });
    }

    fn tail(&mut self, id: NodeId, at: usize) {
        let node = self.graph.node(id);
        let is_exact = matches!(node.kind, Kind::List | Kind::Dict);
        let rest = &node.tail[at..];
        let Some(first) = rest.first() else { return };
        let (opcode, many) = match first {
            Tail::Append(_) => (APPEND, APPENDS),
            Tail::Set(..) => (SETITEM, SETITEMS),
            Tail::Add(items) => {
                self.emit.op(MARK);
                self.todo.push(Step::Tail { node: id, at: at + 1 });
                self.todo.push(Step::Op(ADDITEMS));
                self.todo.extend(items.iter().rev().map(|item| Step::Write(*item)));
                return;
            }
            Tail::Build(state) => {
                self.todo.push(Step::Tail { node: id, at: at + 1 });
                self.todo.extend([Step::Op(BUILD), Step::Write(*state)]);
                return;
            }
            Tail::Effect(call) => {
                self.todo.push(Step::Tail { node: id, at: at + 1 });
                self.todo.push(Step::Op(POP));
                self.effect(*call);
                return;
            }
        };
        let same = |step: &&Tail| std::mem::discriminant(*step) == std::mem::discriminant(first);
        let run = rest.iter().take(BATCH).take_while(same).count();
        self.todo.push(Step::Tail { node: id, at: at + run });
        // A list or dict of one item has it alone; longer ones are written in batches to the end, and a
        // dict whose last batch is full is followed by an empty one. Subclasses, iterated over, have a
        // last item alone wherever it falls.
        let is_only = rest.len() == 1 && !at.checked_sub(1).is_some_and(|before| same(&&node.tail[before]));
        let is_alone = run == 1 && (!is_exact || is_only);
        if is_alone || self.emit.protocol == 0 {
            for step in rest[..run].iter().rev() {
                self.todo.push(Step::Op(opcode));
                self.push_items(step);
            }
            return;
        }
        let is_last = rest.len() == run;
        if matches!(node.kind, Kind::Dict) && run == BATCH && is_last {
            self.todo.extend([Step::Op(many), Step::Op(MARK)]);
        }
        self.emit.op(MARK);
        self.todo.push(Step::Op(many));
        for step in rest[..run].iter().rev() {
            self.push_items(step);
        }
    }

    /// A call that is made for its effect alone. It has no memo entry, as that is how it is known; nor
    /// has the pair of arguments that CPython makes for it.
    fn effect(&mut self, id: NodeId) {
        let graph = self.graph;
        let Node { kind: Kind::Reduce { callee, args }, tail } = graph.node(id) else {
            self.todo.push(Step::Write(id));
            return;
        };
        if self.memo[id.index()].is_some() {
            self.todo.push(Step::Write(id));
            return;
        }
        if !tail.is_empty() {
            self.todo.push(Step::Tail { node: id, at: 0 });
        }
        self.todo.push(Step::Op(REDUCE));
        match graph.node(*args) {
            Node { kind: Kind::Tuple(pair), tail }
                if pair.len() == 2 && tail.is_empty() && self.emit.protocol >= 2 =>
            {
                self.todo.push(Step::Op(TUPLE2));
                self.todo.extend(pair.iter().rev().map(|item| Step::Write(*item)));
            }
            _ => self.todo.push(Step::Write(*args)),
        }
        self.todo.push(Step::Write(*callee));
    }

    fn push_items(&mut self, step: &Tail) {
        match step {
            Tail::Append(item) => self.todo.push(Step::Write(*item)),
            Tail::Set(key, value) => self.todo.extend([Step::Write(*value), Step::Write(*key)]),
            _ => {}
        }
    }

    fn piece(&mut self, piece: Piece) -> Result<(), PickleError> {
        match piece {
            Piece::Node(node) => self.todo.push(Step::Write(node)),
            Piece::Text(value) => self.emit.text(&value),
            Piece::Global { module, name } => drop(self.emit.global(&module, &name)?),
            Piece::Int(value) => self.emit.int(&BigInt::from(value)),
            Piece::Bool(value) => self.emit.bool(value),
            Piece::None => self.emit.op(NONE),
            Piece::Mark => self.emit.op(MARK),
            Piece::Tuple(length) => self.emit.tuple(length),
            Piece::PersistentId => self.emit.op(BINPERSID),
            Piece::Reduce => {
                self.emit.op(REDUCE);
                // The call that makes the node itself is put into the memo as the node.
                if !matches!(self.todo.last(), Some(Step::Made(_))) {
                    self.emit.put();
                }
            }
        }
        Ok(())
    }

    /// A built-in class; protocols below 3 have the module's name of Python 2.
    fn builtin(&self, name: &str) -> Piece {
        global(if self.emit.protocol < 3 { "__builtin__" } else { "builtins" }, name)
    }

    /// Bytes as a call on text. Unlike CPython also for empty ones: `bytes()` is no call that torch makes
    /// with `weights_only=True`.
    fn old_bytes(&mut self, id: NodeId, value: &[u8]) {
        let pieces = vec![
            global("_codecs", "encode"),
            Piece::Text(value.iter().map(|&byte| char::from(byte)).collect()),
            Piece::Text("latin1".to_owned()),
            Piece::Tuple(2),
            Piece::Reduce,
        ];
        self.pieces(id, pieces, 2);
    }

    fn old_byte_array(&mut self, id: NodeId, value: &[u8]) {
        let pieces = if value.is_empty() {
            vec![self.builtin("bytearray"), Piece::Tuple(0), Piece::Reduce]
        } else {
            vec![
                self.builtin("bytearray"),
                Piece::Text(value.iter().map(|&byte| char::from(byte)).collect()),
                Piece::Text("latin-1".to_owned()),
                Piece::Tuple(2),
                Piece::Reduce,
            ]
        };
        self.pieces(id, pieces, 2);
    }

    fn pieces(&mut self, id: NodeId, mut pieces: Vec<Piece>, items: usize) {
        // Before protocol 2 each tuple begins with a mark.
        let is_marked =
            self.emit.protocol < 2 && matches!(pieces.get(pieces.len() - 2), Some(Piece::Tuple(1..)));
        if is_marked {
            pieces.insert(pieces.len() - 2 - items, Piece::Mark);
        }
        self.todo.push(Step::Made(id));
        self.todo.extend(pieces.into_iter().rev().map(Step::Piece));
    }

    /// A set or frozen set as a call on a list: protocols below 4 have no word for them.
    fn old_items(&mut self, name: &str, id: NodeId) -> Result<(), PickleError> {
        if !self.open_sets.insert(id) {
            return Err(PickleError::Unwritable("a set that holds itself, in a protocol below 4"));
        }
        self.piece(self.builtin(name))?;
        let node = self.graph.node(id);
        let items: Vec<NodeId> = match &node.kind {
            Kind::FrozenSet(items) => items.clone(),
            _ => node.tail.iter().filter_map(added).flatten().copied().collect(),
        };
        let (bin, old) = (self.emit.protocol >= 1, self.emit.protocol < 2);
        if old {
            self.emit.op(MARK);
        }
        self.emit.out.extend(if bin { &[EMPTY_LIST][..] } else { &[MARK, LIST] });
        self.emit.put();
        // The tail of a set is what the list holds: nothing is left to write after it.
        self.todo.extend([Step::Put(id), Step::Op(REDUCE)]);
        self.todo.push(Step::Piece(Piece::Tuple(1)));
        for batch in items.chunks(BATCH).rev() {
            if batch.len() == 1 || !bin {
                for item in batch.iter().rev() {
                    self.todo.extend([Step::Op(APPEND), Step::Write(*item)]);
                }
            } else {
                self.todo.push(Step::Op(APPENDS));
                self.todo.extend(batch.iter().rev().map(|item| Step::Write(*item)));
                self.todo.push(Step::Op(MARK));
            }
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), PickleError> {
        if self.emit.entries != self.opened_at {
            (self.opened, self.opened_at) = (0, self.emit.entries);
        }
        self.opened += 1;
        if self.opened > self.graph.nodes.len() {
            return Err(PickleError::Unwritable("a tuple or call that holds itself"));
        }
        Ok(())
    }

    fn put_node(&mut self, id: NodeId) {
        self.memo[id.index()] = Some(self.emit.put());
    }
}

fn global(module: &str, name: &str) -> Piece {
    Piece::Global { module: module.to_owned(), name: name.to_owned() }
}

fn added(step: &Tail) -> Option<&Vec<NodeId>> {
    match step {
        Tail::Add(items) => Some(items),
        _ => None,
    }
}

/// What must be on the stack to make a node of this kind.
fn parts(kind: &Kind) -> Vec<NodeId> {
    match kind {
        Kind::Reduce { callee, args } => vec![*callee, *args],
        Kind::NewObj { class, args } => vec![*class, *args],
        Kind::NewObjEx { class, args, kwargs } => vec![*class, *args, *kwargs],
        Kind::ComputedGlobal { module, name } => vec![*module, *name],
        Kind::ReadonlyBuffer(inner) | Kind::PersistentId(inner) => vec![*inner],
        _ => Vec::new(),
    }
}
