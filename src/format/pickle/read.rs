//! From opcodes to a value graph.

use std::collections::HashMap;

use num_bigint::BigInt;

use crate::value::{Graph, Kind, NodeId, Tail};

use super::super::Limits;
use super::op::*;
use super::{PickleError, text};

/// What one pickle holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Pickle {
    /// The value; it has no storages and no tensors yet.
    pub graph: Graph,
    /// Length in bytes, STOP included. Other pickles may follow.
    pub bytes: usize,
}

/// Reads the pickle at the start of these bytes.
///
/// Ints, floats and other atoms are nodes of their own at each place, unless the pickle memoised them.
/// A call whose result is dropped (state setters of `__reduce__`) is kept as [`Tail::Effect`] of what
/// then lies on top of the stack.
///
/// # Errors
///
/// If the bytes are no sound pickle or exceed a limit.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Pickle, PickleError> {
    let mut machine = Machine::new(bytes, limits);
    while !machine.step()? {}
    Ok(Pickle { graph: machine.graph, bytes: machine.offset })
}

pub(super) struct Machine<'a> {
    input: &'a [u8],
    pub offset: usize,
    pub opcode_offset: usize,
    nodes_limit: u64,
    limits: &'a Limits,
    pub graph: Graph,
    pub stack: Vec<NodeId>,
    /// Heights of the stack at which marks lie.
    pub marks: Vec<usize>,
    memo: Memo,
    /// Whether a node was ever put into the memo or duplicated, as far as any was.
    shared: Vec<bool>,
    buffers: u32,
}

type Step<T = ()> = Result<T, PickleError>;

impl Machine<'_> {
    /// Does one opcode; true at the end.
    pub fn step(&mut self) -> Step<bool> {
        self.opcode_offset = self.offset;
        let opcode = self.take_array::<1>()?[0];
        match opcode {
            PROTO => {
                let protocol = self.take_array::<1>()?[0];
                if protocol > 5 {
                    return Err(PickleError::Protocol(protocol));
                }
            }
            FRAME => {
                let frame = u64::from_le_bytes(self.take_array()?);
                if frame > (self.input.len() - self.offset) as u64 {
                    return Err(PickleError::Truncated { offset: self.opcode_offset });
                }
            }
            STOP => {
                self.graph.root = self.pop()?;
                return Ok(true);
            }
            MARK => {
                if self.marks.len() as u64 >= self.limits.nesting {
                    return Err(PickleError::Limit {
                        what: "marks at the same time",
                        limit: self.limits.nesting,
                    });
                }
                self.marks.push(self.stack.len());
            }
            POP => self.drop_top()?,
            POP_MARK => drop(self.pop_mark()?),
            DUP => {
                let top = self.top()?;
                self.mark_shared(top);
                self.stack.push(top);
            }
            PUT | BINPUT | LONG_BINPUT | MEMOIZE => self.memoise(opcode)?,
            GET | BINGET | LONG_BINGET => self.recall(opcode)?,
            NONE => self.push(Kind::None)?,
            NEWTRUE | NEWFALSE => self.push(Kind::Bool(opcode == NEWTRUE))?,
            INT | BININT | BININT1 | BININT2 | LONG | LONG1 | LONG4 => self.int(opcode)?,
            FLOAT => {
                let line = self.take_line()?;
                let value = text::float(line).ok_or_else(|| self.bad("float"))?;
                self.push(Kind::Float(value.into()))?;
            }
            BINFLOAT => {
                let value = f64::from_be_bytes(self.take_array()?);
                self.push(Kind::Float(value.into()))?;
            }
            STRING | BINSTRING | SHORT_BINSTRING => self.str8(opcode)?,
            UNICODE | BINUNICODE | SHORT_BINUNICODE | BINUNICODE8 => self.unicode(opcode)?,
            SHORT_BINBYTES | BINBYTES | BINBYTES8 => {
                let length = match opcode {
                    SHORT_BINBYTES => u64::from(self.take_array::<1>()?[0]),
                    BINBYTES => u64::from(u32::from_le_bytes(self.take_array()?)),
                    _ => u64::from_le_bytes(self.take_array()?),
                };
                let bytes = self.take(length)?.to_vec();
                self.push(Kind::Bytes(bytes))?;
            }
            BYTEARRAY8 => {
                let length = u64::from_le_bytes(self.take_array()?);
                let bytes = self.take(length)?.to_vec();
                self.push(Kind::ByteArray(bytes))?;
            }
            NEXT_BUFFER => {
                self.push(Kind::Buffer(self.buffers))?;
                self.buffers += 1;
            }
            READONLY_BUFFER => {
                let inner = self.pop()?;
                self.push(Kind::ReadonlyBuffer(inner))?;
            }
            EMPTY_TUPLE => self.push(Kind::Tuple(Vec::new()))?,
            TUPLE1 | TUPLE2 | TUPLE3 => {
                let items = self.pop_many(usize::from(opcode - TUPLE1) + 1)?;
                self.push(Kind::Tuple(items))?;
            }
            TUPLE => {
                let items = self.pop_mark()?;
                self.push(Kind::Tuple(items))?;
            }
            FROZENSET => {
                let items = self.pop_mark()?;
                self.push(Kind::FrozenSet(items))?;
            }
            EMPTY_LIST => self.push(Kind::List)?,
            EMPTY_DICT => self.push(Kind::Dict)?,
            EMPTY_SET => self.push(Kind::Set)?,
            LIST => {
                let items = self.pop_mark()?;
                self.push(Kind::List)?;
                self.change(items.into_iter().map(Tail::Append))?;
            }
            DICT => {
                let items = self.pop_pairs()?;
                self.push(Kind::Dict)?;
                self.change(items)?;
            }
            APPEND => {
                let item = self.pop()?;
                self.change([Tail::Append(item)])?;
            }
            APPENDS => {
                let items = self.pop_mark()?;
                self.change(items.into_iter().map(Tail::Append))?;
            }
            SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.change([Tail::Set(key, value)])?;
            }
            SETITEMS => {
                let items = self.pop_pairs()?;
                self.change(items)?;
            }
            ADDITEMS => {
                let items = self.pop_mark()?;
                self.change([Tail::Add(items)])?;
            }
            BUILD => {
                let state = self.pop()?;
                self.change([Tail::Build(state)])?;
            }
            GLOBAL => {
                let global = self.global()?;
                self.push(global)?;
            }
            STACK_GLOBAL => {
                let name = self.pop()?;
                let module = self.pop()?;
                let kind = match (self.graph.kind(module), self.graph.kind(name)) {
                    (Kind::Str(module), Kind::Str(name)) => {
                        Kind::Global { module: module.clone(), name: name.clone() }
                    }
                    _ => Kind::ComputedGlobal { module, name },
                };
                self.push(kind)?;
            }
            REDUCE => {
                let args = self.pop()?;
                let callee = self.pop()?;
                self.push(Kind::Reduce { callee, args })?;
            }
            NEWOBJ => {
                let args = self.pop()?;
                let class = self.pop()?;
                self.push(Kind::NewObj { class, args })?;
            }
            NEWOBJ_EX => {
                let kwargs = self.pop()?;
                let args = self.pop()?;
                let class = self.pop()?;
                self.push(Kind::NewObjEx { class, args, kwargs })?;
            }
            INST => {
                let class = self.global()?;
                let args = self.pop_mark()?;
                let mut parts = vec![self.add(class)?];
                parts.extend(args);
                self.push(Kind::Instance(parts))?;
            }
            OBJ => {
                let parts = self.pop_mark()?;
                if parts.is_empty() {
                    return Err(PickleError::StackUnderflow { offset: self.opcode_offset });
                }
                self.push(Kind::Instance(parts))?;
            }
            PERSID => {
                let line = self.take_line()?.to_vec();
                self.push(Kind::PersistentLine(line))?;
            }
            BINPERSID => {
                let id = self.pop()?;
                self.push(Kind::PersistentId(id))?;
            }
            EXT1 | EXT2 | EXT4 => {
                let code = match opcode {
                    EXT1 => u32::from(self.take_array::<1>()?[0]),
                    EXT2 => u32::from(u16::from_le_bytes(self.take_array()?)),
                    _ => u32::from_le_bytes(self.take_array()?),
                };
                if code == 0 || code > i32::MAX as u32 {
                    return Err(self.bad("extension code"));
                }
                self.push(Kind::Extension(code))?;
            }
            _ => return Err(PickleError::UnknownOpcode { offset: self.opcode_offset, opcode }),
        }
        Ok(false)
    }

    fn int(&mut self, opcode: u8) -> Step {
        let kind = match opcode {
            BININT1 => Kind::Int(i64::from(self.take_array::<1>()?[0])),
            BININT2 => Kind::Int(i64::from(u16::from_le_bytes(self.take_array()?))),
            BININT => Kind::Int(i64::from(i32::from_le_bytes(self.take_array()?))),
            LONG1 | LONG4 => {
                let length = match opcode {
                    LONG1 => u64::from(self.take_array::<1>()?[0]),
                    _ => {
                        let length = i32::from_le_bytes(self.take_array()?);
                        u64::try_from(length).map_err(|_| self.bad("length"))?
                    }
                };
                integer(BigInt::from_signed_bytes_le(self.take(length)?))
            }
            _ => match self.take_line()? {
                b"00" if opcode == INT => Kind::Bool(false),
                b"01" if opcode == INT => Kind::Bool(true),
                line => {
                    let line = match opcode {
                        LONG => line.strip_suffix(b"L").unwrap_or(line),
                        _ => line,
                    };
                    if line.len() > self.limits.digits {
                        let limit = self.limits.digits as u64;
                        return Err(PickleError::Limit { what: "digits in an integer", limit });
                    }
                    integer(text::int(line).ok_or_else(|| self.bad("integer"))?)
                }
            },
        };
        self.push(kind)
    }

    fn str8(&mut self, opcode: u8) -> Step {
        let bytes = match opcode {
            STRING => {
                let line = self.take_line()?;
                text::unquote(line).ok_or_else(|| self.bad("quoted text"))?
            }
            SHORT_BINSTRING => {
                let length = u64::from(self.take_array::<1>()?[0]);
                self.take(length)?.to_vec()
            }
            _ => {
                let length = i32::from_le_bytes(self.take_array()?);
                let length = u64::try_from(length).map_err(|_| self.bad("length"))?;
                self.take(length)?.to_vec()
            }
        };
        self.push(Kind::Str8(bytes))
    }

    fn unicode(&mut self, opcode: u8) -> Step {
        let bytes = match opcode {
            UNICODE => {
                let line = self.take_line()?;
                text::raw_unicode_unescape(line).ok_or_else(|| self.bad("escaped text"))?
            }
            _ => {
                let length = match opcode {
                    SHORT_BINUNICODE => u64::from(self.take_array::<1>()?[0]),
                    BINUNICODE => u64::from(u32::from_le_bytes(self.take_array()?)),
                    _ => u64::from_le_bytes(self.take_array()?),
                };
                self.take(length)?.to_vec()
            }
        };
        let kind = text::from_surrogatepass(bytes).ok_or_else(|| self.bad("UTF-8 text"))?;
        self.push(kind)
    }

    fn global(&mut self) -> Step<Kind> {
        let module = self.take_line()?;
        let name = self.take_line()?;
        match (std::str::from_utf8(module), std::str::from_utf8(name)) {
            (Ok(module), Ok(name)) => Ok(Kind::Global { module: module.to_owned(), name: name.to_owned() }),
            _ => Err(self.bad("name")),
        }
    }

    fn memoise(&mut self, opcode: u8) -> Step {
        let index = match opcode {
            MEMOIZE => self.memo.entries,
            BINPUT => u64::from(self.take_array::<1>()?[0]),
            LONG_BINPUT => u64::from(u32::from_le_bytes(self.take_array()?)),
            _ => self.index_line()?,
        };
        let top = self.top()?;
        self.memo.put(index, top);
        self.mark_shared(top);
        Ok(())
    }

    /// Remembers that a node may be met again: dropping it once does not tell that only its effect counts.
    fn mark_shared(&mut self, node: NodeId) {
        if self.shared.len() <= node.index() {
            self.shared.resize(node.index() + 1, false);
        }
        self.shared[node.index()] = true;
    }

    fn recall(&mut self, opcode: u8) -> Step {
        let index = match opcode {
            BINGET => u64::from(self.take_array::<1>()?[0]),
            LONG_BINGET => u64::from(u32::from_le_bytes(self.take_array()?)),
            _ => self.index_line()?,
        };
        let found = self.memo.get(index);
        let node = found.ok_or(PickleError::MissingMemo { offset: self.opcode_offset, index })?;
        self.stack.push(node);
        Ok(())
    }

    fn index_line(&mut self) -> Step<u64> {
        let line = self.take_line()?;
        text::int(line)
            .filter(|_| line.len() <= 20)
            .and_then(|index| u64::try_from(index).ok())
            .ok_or_else(|| self.bad("memo index"))
    }

    fn drop_top(&mut self) -> Step {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        let dropped = self.pop()?;
        let is_call = matches!(self.graph.kind(dropped), Kind::Reduce { .. });
        let is_shared = self.shared.get(dropped.index()).copied().unwrap_or(false);
        if is_call
            && !is_shared
            && let Ok(below) = self.top()
        {
            self.graph.node_mut(below).tail.push(Tail::Effect(dropped));
        }
        Ok(())
    }

    /// Adds steps to the tail of the topmost value.
    fn change(&mut self, steps: impl IntoIterator<Item = Tail>) -> Step {
        let target = self.top()?;
        let offset = self.opcode_offset;
        let node = self.graph.node_mut(target);
        let steps = steps.into_iter();
        if node.tail.is_empty() {
            // Most values change once, and room for four would be most of what they take.
            node.tail.reserve_exact(steps.size_hint().0);
        }
        for step in steps {
            if !takes(&node.kind, &step) {
                return Err(PickleError::WrongTarget { offset });
            }
            node.tail.push(step);
        }
        Ok(())
    }

    fn add(&mut self, kind: Kind) -> Step<NodeId> {
        if self.graph.nodes.len() as u64 >= self.nodes_limit {
            return Err(PickleError::Limit { what: "values", limit: self.nodes_limit });
        }
        Ok(self.graph.add(kind))
    }

    fn push(&mut self, kind: Kind) -> Step {
        let node = self.add(kind)?;
        self.stack.push(node);
        Ok(())
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Step<NodeId> {
        if self.stack.len() <= self.floor() {
            return Err(PickleError::StackUnderflow { offset: self.opcode_offset });
        }
        Ok(self.stack[self.stack.len() - 1])
    }

    fn pop(&mut self) -> Step<NodeId> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Step<Vec<NodeId>> {
        if self.stack.len() - self.floor() < count {
            return Err(PickleError::StackUnderflow { offset: self.opcode_offset });
        }
        Ok(self.stack.split_off(self.stack.len() - count))
    }

    fn pop_mark(&mut self) -> Step<Vec<NodeId>> {
        let height = self.marks.pop().ok_or(PickleError::NoMark { offset: self.opcode_offset })?;
        Ok(self.stack.split_off(height))
    }

    fn pop_pairs(&mut self) -> Step<Vec<Tail>> {
        let items = self.pop_mark()?;
        let (pairs, odd) = items.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(PickleError::OddItems { offset: self.opcode_offset });
        }
        Ok(pairs.iter().map(|&[key, value]| Tail::Set(key, value)).collect())
    }

    fn bad(&self, what: &'static str) -> PickleError {
        PickleError::BadArgument { offset: self.opcode_offset, what }
    }
}

impl<'a> Machine<'a> {
    /// Begins with the first opcode.
    pub fn new(bytes: &'a [u8], limits: &'a Limits) -> Machine<'a> {
        Machine {
            input: bytes,
            offset: 0,
            opcode_offset: 0,
            nodes_limit: limits.nodes.min(u64::from(u32::MAX)),
            limits,
            graph: Graph { nodes: Vec::new(), root: NodeId(0), storages: Vec::new() },
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Memo::default(),
            shared: Vec::new(),
            buffers: 0,
        }
    }

    fn take(&mut self, length: u64) -> Step<&'a [u8]> {
        let taken = usize::try_from(length)
            .ok()
            .and_then(|length| self.input.get(self.offset..self.offset.checked_add(length)?))
            .ok_or(PickleError::Truncated { offset: self.opcode_offset })?;
        self.offset += taken.len();
        Ok(taken)
    }

    fn take_array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let taken = self.take(N as u64)?;
        Ok(taken.try_into().expect("as many bytes as asked for"))
    }

    fn take_line(&mut self) -> Step<&'a [u8]> {
        let rest = &self.input[self.offset..];
        let length = rest.iter().position(|&byte| byte == b'\n');
        let length = length.ok_or(PickleError::Truncated { offset: self.opcode_offset })?;
        self.offset += length + 1;
        Ok(&rest[..length])
    }
}

/// Whether Python would let a value of this kind take the step, as far as can be known without its class.
fn takes(kind: &Kind, step: &Tail) -> bool {
    match kind {
        Kind::List => matches!(step, Tail::Append(_)),
        Kind::Dict => matches!(step, Tail::Set(..)),
        Kind::Set => matches!(step, Tail::Add(_)),
        Kind::Reduce { .. }
        | Kind::NewObj { .. }
        | Kind::NewObjEx { .. }
        | Kind::Instance(_)
        | Kind::PersistentId(_)
        | Kind::PersistentLine(_)
        | Kind::ComputedGlobal { .. }
        | Kind::Extension(_)
        | Kind::Global { .. } => true,
        _ => false,
    }
}

fn integer(value: BigInt) -> Kind {
    match i64::try_from(&value) {
        Ok(small) => Kind::Int(small),
        Err(_) => Kind::BigInt(value),
    }
}

/// The memo: a row for indices that follow each other, as pickles have them, and a map for the rest, so
/// that one huge index asks for no memory.
#[derive(Default)]
struct Memo {
    row: Vec<NodeId>,
    rest: HashMap<u64, NodeId>,
    entries: u64,
}

impl Memo {
    fn put(&mut self, index: u64, node: NodeId) {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        if place < self.row.len() {
            self.row[place] = node;
        } else if place == self.row.len() && !self.rest.contains_key(&index) {
            self.row.push(node);
            self.entries += 1;
        } else if self.rest.insert(index, node).is_none() {
            self.entries += 1;
        }
    }

    fn get(&self, index: u64) -> Option<NodeId> {
        let place = usize::try_from(index).ok()?;
        self.row.get(place).or_else(|| self.rest.get(&index)).copied()
    }
}
