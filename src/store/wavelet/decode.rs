//! From the tree to bytes.

use super::super::error::Damage;
use super::code::{Child, Code, Node};
use super::kernels::{self, SLACK_BYTES, Side};
use super::{BLOCK_BYTES, NODES, ROOM_BYTES};

/// Turns forms back into bytes.
pub struct Decoder {
    /// What comes to each node of a block but the first, and then the exceptions.
    room: Vec<u8>,
}

/// What comes to a node.
#[derive(Clone, Copy, Default)]
struct Sequence<'a> {
    /// How many bytes.
    bytes: usize,
    /// Where in the room they go.
    place: usize,
    /// Which of them go to the right.
    bits: &'a [u8],
}

impl Decoder {
    /// One that is ready for any code.
    pub fn new() -> Decoder {
        Decoder { room: vec![0; ROOM_BYTES] }
    }

    /// Turns a form back into `bytes`, which it must fill exactly.
    pub fn decode(&mut self, form: &[u8], bytes: &mut [u8]) -> Result<(), Damage> {
        let (code, mut rest) = Code::parse(form).ok_or(Damage::Decode)?;
        let nodes = code.nodes();
        for block in bytes.chunks_mut(BLOCK_BYTES) {
            rest = self.decode_block(&code, &nodes, rest, block).ok_or(Damage::Decode)?;
        }
        if rest.is_empty() { Ok(()) } else { Err(Damage::Decode) }
    }

    /// Turns a block back and returns what follows it; `None` if it is none.
    fn decode_block<'a>(
        &mut self,
        code: &Code,
        nodes: &[Node],
        mut rest: &'a [u8],
        block: &mut [u8],
    ) -> Option<&'a [u8]> {
        // Downwards: what lies where.
        let mut sequences = [Sequence::default(); NODES];
        sequences[0].bytes = block.len();
        let (mut free, mut exceptions) = (0, 0);
        for (number, node) in nodes.iter().enumerate() {
            let bytes = sequences[number].bytes;
            let (bits, after) = rest.split_at_checked(bytes.div_ceil(8))?;
            rest = after;
            if !bytes.is_multiple_of(8) && bits.last().is_some_and(|last| last >> (bytes % 8) != 0) {
                return None;
            }
            sequences[number].bits = bits;
            let rights = kernels::ones(bits);
            for (child, bytes) in [(node.left, bytes - rights), (node.right, rights)] {
                match child {
                    Child::Node(child) => {
                        sequences[usize::from(child)] = Sequence { bytes, place: free, bits: &[] };
                        free += bytes + SLACK_BYTES;
                    }
                    Child::Leaf(leaf) if leaf == code.exceptions => exceptions = bytes,
                    Child::Leaf(_) => {}
                }
            }
        }
        let (listed, after) = rest.split_at_checked(exceptions)?;
        self.room[free..free + exceptions].copy_from_slice(listed);

        // Upwards: children lie after their parents.
        for (number, node) in nodes.iter().enumerate().rev() {
            let Sequence { bytes, place, bits } = sequences[number];
            let (own, below, start) = if number == 0 {
                (&mut *block, self.room.as_slice(), 0)
            } else {
                let (own, below) = self.room[place..].split_at_mut(bytes);
                (own, &*below, place + bytes)
            };
            let side = |child| match child {
                Child::Node(child) => Side::Sequence(&below[sequences[usize::from(child)].place - start..]),
                Child::Leaf(leaf) if leaf == code.exceptions => Side::Sequence(&below[free - start..]),
                Child::Leaf(leaf) => Side::Byte(code.values[usize::from(leaf)]),
            };
            kernels::merge(bits, side(node.left), side(node.right), own);
        }
        Some(after)
    }
}
