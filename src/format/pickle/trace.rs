//! What a pickle names and calls, opcode by opcode, also where it breaks off.

use crate::value::{Graph, Kind, NodeId};

use super::super::Limits;
use super::PickleError;
use super::op::*;
use super::read::Machine;

/// No shorter pickle could name a global, in bytes.
const LEAST_CONSTANT_BYTES: usize = 8;

/// Python's pickler writes no shorter frame (`_Framer._FRAME_SIZE_MIN` in `pickle.py`), in bytes.
const LEAST_FRAME_BYTES: u64 = 4;

/// An opcode that names a global, calls something, or sets state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::format) struct Event {
    /// The global, or the call.
    pub node: NodeId,
    /// Where the opcode is.
    pub offset: usize,
    opcode: u8,
    /// Whether state is set on the node.
    pub is_build: bool,
}

impl Event {
    /// The name of the opcode.
    pub fn opcode(&self) -> &'static str {
        name(self.opcode)
    }
}

/// What was seen of a pickle.
#[derive(Debug)]
pub(in crate::format) struct Trace {
    pub graph: Graph,
    pub events: Vec<Event>,
    /// Texts and bytes that are long enough to be a pickle of their own, and where their opcodes are.
    pub constants: Vec<(NodeId, usize)>,
    /// Length in bytes, up to its end or to where it breaks off.
    pub bytes: usize,
    pub error: Option<PickleError>,
    /// The first opcode that its frame does not hold whole, or that begins a frame too short to be one.
    pub bad_frame: Option<usize>,
    /// The largest index that was put into the memo, and where.
    pub largest_memo: Option<(u64, usize)>,
    /// Values and marks that lie on the stack when it ends.
    pub left_over: usize,
    /// Whether it begins with its protocol, as no other bytes are likely to.
    pub states_protocol: bool,
}

impl Trace {
    /// Whether the bytes ended before the pickle did.
    pub fn is_cut(&self) -> bool {
        matches!(self.error, Some(PickleError::Truncated { .. }))
    }
}

/// Reads the pickle at the start of these bytes as far as it goes.
pub(in crate::format) fn trace(bytes: &[u8], limits: &Limits) -> Trace {
    let mut machine = Machine::new(bytes, limits);
    let (mut events, mut constants) = (Vec::new(), Vec::new());
    let (mut frame_end, mut bad_frame, mut largest_memo) = (0, None, None);
    let error = loop {
        let known = machine.graph.nodes.len();
        let step = machine.step();
        let opcode = bytes.get(machine.opcode_offset).copied().unwrap_or_default();
        let event = |node, is_build| Event { node, offset: machine.opcode_offset, opcode, is_build };
        for place in known..machine.graph.nodes.len() {
            let node = NodeId(place as u32);
            let is_named_or_called = matches!(
                machine.graph.kind(node),
                Kind::Global { .. }
                    | Kind::ComputedGlobal { .. }
                    | Kind::Extension(_)
                    | Kind::Reduce { .. }
                    | Kind::NewObj { .. }
                    | Kind::NewObjEx { .. }
                    | Kind::Instance(_)
            );
            if is_named_or_called {
                events.push(event(node, false));
            }
            let length = match machine.graph.kind(node) {
                Kind::Bytes(bytes) | Kind::ByteArray(bytes) | Kind::Str8(bytes) => bytes.len(),
                Kind::Str(text) => text.len(),
                _ => 0,
            };
            if length >= LEAST_CONSTANT_BYTES {
                constants.push((node, machine.opcode_offset));
            }
        }
        let start = machine.opcode_offset;
        if start < frame_end && (machine.offset > frame_end || opcode == FRAME) {
            bad_frame.get_or_insert(start);
        }
        match (opcode, bytes.get(start + 1..)) {
            (FRAME, Some(&[a, b, c, d, e, f, g, h, ..])) => {
                let frame = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
                if frame < LEAST_FRAME_BYTES {
                    bad_frame.get_or_insert(start);
                }
                frame_end = machine.offset.saturating_add(usize::try_from(frame).unwrap_or(usize::MAX));
            }
            (LONG_BINPUT, Some(&[a, b, c, d, ..])) => {
                let index = u64::from(u32::from_le_bytes([a, b, c, d]));
                largest_memo = largest_memo.max(Some((index, start)));
            }
            _ => {}
        }
        if opcode == BUILD
            && let Some(&node) = machine.stack.last()
            && matches!(machine.graph.kind(node), Kind::Global { .. } | Kind::ComputedGlobal { .. })
        {
            events.push(event(node, true));
        }
        match step {
            Ok(true) => break None,
            Ok(false) => {}
            Err(error) => break Some(error),
        }
    };
    Trace {
        states_protocol: matches!(bytes, [PROTO, 2..=5, ..]),
        events,
        constants,
        bytes: machine.offset,
        error,
        bad_frame,
        largest_memo,
        left_over: machine.stack.len() + machine.marks.len(),
        graph: machine.graph,
    }
}

fn name(opcode: u8) -> &'static str {
    match opcode {
        GLOBAL => "GLOBAL",
        STACK_GLOBAL => "STACK_GLOBAL",
        INST => "INST",
        OBJ => "OBJ",
        REDUCE => "REDUCE",
        NEWOBJ => "NEWOBJ",
        NEWOBJ_EX => "NEWOBJ_EX",
        BUILD => "BUILD",
        EXT1 => "EXT1",
        EXT2 => "EXT2",
        EXT4 => "EXT4",
        _ => "other",
    }
}
