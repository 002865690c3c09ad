//! From bytes to the tree.

use super::code::{Child, Code};
use super::kernels::{self, SLACK_BYTES};
use super::{BLOCK_BYTES, NODES, ROOM_BYTES};

/// Turns bytes into forms.
pub struct Encoder {
    /// The places of the codes of a block's bytes, then those that come to each node.
    room: Vec<u8>,
}

impl Encoder {
    /// One that is ready for any code.
    pub fn new() -> Encoder {
        Encoder { room: vec![0; ROOM_BYTES] }
    }

    /// Writes the form of `bytes` to `out`, and tells how long it is; `None` where there is no room for it.
    pub fn encode(&mut self, code: &Code, bytes: &[u8], out: &mut [u8]) -> Option<usize> {
        let mut at = code.head_bytes();
        code.write(out.get_mut(..at)?);
        let nodes = code.nodes();
        let places = code.places();
        for block in bytes.chunks(BLOCK_BYTES) {
            let (own, mut free) = self.room.split_at_mut(block.len() + SLACK_BYTES);
            kernels::look_up(block, &places, own);
            let own = &*own;
            let mut exceptions = 0;
            // What comes to each node, and how many bytes that are.
            let mut sequences: [(&[u8], usize); NODES] = [(own, block.len()); NODES];
            for (number, node) in nodes.iter().enumerate() {
                let (sequence, bytes) = sequences[number];
                let bits = out.get_mut(at..at + bytes.div_ceil(8))?;
                at += bits.len();
                let rights = kernels::compare(&sequence[..bytes + SLACK_BYTES], node.split, bits);
                for (child, count, is_right) in
                    [(node.left, bytes - rights, false), (node.right, rights, true)]
                {
                    match child {
                        Child::Node(child) => {
                            let (room, rest) = std::mem::take(&mut free).split_at_mut(count + SLACK_BYTES);
                            free = rest;
                            kernels::pick(sequence, bits, is_right, room);
                            sequences[usize::from(child)] = (room, count);
                        }
                        Child::Leaf(leaf) if leaf == code.exceptions => exceptions = count,
                        Child::Leaf(_) => {}
                    }
                }
            }
            let room = out.get_mut(at..at + exceptions)?;
            at += exceptions;
            if exceptions > 0 {
                list(code.exceptions, block, own, free, room);
            }
        }
        Some(at)
    }
}

/// Writes those of a block's bytes to `out` whose code is that of the exceptions.
fn list(exceptions: u8, block: &[u8], places: &[u8], room: &mut [u8], out: &mut [u8]) {
    let (mut own, mut above) = ([0; BLOCK_BYTES / 8], [0; BLOCK_BYTES / 8]);
    let own = &mut own[..block.len().div_ceil(8)];
    kernels::compare(places, exceptions, own);
    kernels::compare(places, exceptions + 1, &mut above[..own.len()]);
    own.iter_mut().zip(above).for_each(|(own, above)| *own ^= above);
    let (values, picked) = room.split_at_mut(block.len() + SLACK_BYTES);
    values[..block.len()].copy_from_slice(block);
    kernels::pick(values, own, true, picked);
    out.copy_from_slice(&picked[..out.len()]);
}
