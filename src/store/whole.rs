//! BLAKE3 of a whole that is hashed in pieces, each at its own place and on any thread.
//!
//! A piece lies anywhere, but the tree of BLAKE3 has leaves of 1 KiB at multiples of that, and a subtree
//! begins at a multiple of its own length. So a piece is taken apart: the leaves that lie in it whole,
//! gathered to the largest subtrees, are hashed where the piece is; the bytes before and after them belong
//! to leaves that it shares with its neighbours, and are put together where the pieces meet. The tree is
//! described in section 2.1 of the BLAKE3 paper.

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use blake3::{CHUNK_LEN, Hasher};

use crate::object::ObjectId;

/// What a piece gives to the hash of the whole.
#[derive(Debug, Default)]
pub struct WholePiece {
    /// Bytes that end the leaf that an earlier piece began.
    head: Vec<u8>,
    /// Number of leaves of each subtree, and its value.
    subtrees: Vec<(u64, ChainingValue)>,
    /// Bytes that begin a leaf.
    tail: Vec<u8>,
    /// What it has of the first leaf, for a whole that is no longer.
    first: Vec<u8>,
}

impl WholePiece {
    /// Takes the bytes at `offset` of the whole apart.
    pub fn at(offset: u64, bytes: &[u8]) -> WholePiece {
        let leaf = CHUNK_LEN as u64;
        let lead = (offset.next_multiple_of(leaf) - offset).min(bytes.len() as u64);
        let (head, mut rest) = bytes.split_at(lead as usize);
        let mut at = (offset + lead) / leaf;
        let first = (leaf + 1).saturating_sub(offset).min(bytes.len() as u64);
        let first = bytes[..first as usize].to_vec();
        let mut piece = WholePiece { head: head.to_vec(), first, ..WholePiece::default() };
        while rest.len() >= CHUNK_LEN {
            let leaves = (rest.len() / CHUNK_LEN) as u64;
            // A subtree is as long as its place and what is left allow; the first is half of that, lest it
            // turn out to be the whole, whose value is made otherwise.
            let fitting: u64 = 1 << leaves.ilog2();
            let leaves = if at == 0 { (fitting / 2).max(1) } else { fitting.min(1 << at.trailing_zeros()) };
            let (subtree, after) = rest.split_at((leaves * leaf) as usize);
            piece.subtrees.push((leaves, value(at, subtree)));
            rest = after;
            at += leaves;
        }
        piece.tail = rest.to_vec();
        piece
    }
}

/// Puts pieces together, in their order.
#[derive(Debug, Default)]
pub struct WholeHash {
    /// The leaves that are in `stack`.
    leaves: u64,
    /// Subtrees that wait for their right neighbours, the largest first.
    stack: Vec<ChainingValue>,
    /// What has come of the next leaf.
    open: Vec<u8>,
    bytes: u64,
    /// All bytes, while they fit one leaf.
    first: Vec<u8>,
}

impl WholeHash {
    /// Adds bytes from memory.
    pub fn update(&mut self, bytes: &[u8]) {
        let piece = WholePiece::at(self.bytes, bytes);
        self.add(&piece, bytes.len() as u64);
    }

    /// Adds the next piece, which was taken apart at [`bytes`](WholeHash::bytes) and has so many bytes.
    pub fn add(&mut self, piece: &WholePiece, bytes: u64) {
        self.bytes += bytes;
        self.first.extend_from_slice(&piece.first);
        self.open.extend_from_slice(&piece.head);
        self.close_leaf();
        for (leaves, subtree) in &piece.subtrees {
            self.push(*leaves, *subtree);
        }
        self.open.extend_from_slice(&piece.tail);
    }

    /// Length of what was added.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The hash.
    pub fn finish(mut self) -> ObjectId {
        if self.bytes <= CHUNK_LEN as u64 {
            return ObjectId::of(&self.first);
        }
        if !self.open.is_empty() {
            let last = value(self.leaves, &self.open);
            self.push(1, last);
        }
        while self.stack.len() > 2 {
            self.merge();
        }
        match self.stack.as_slice() {
            [left, right] => merge_subtrees_root(left, right, Mode::Hash).into(),
            _ => unreachable!("more than one leaf and not all merged: the stack has two subtrees"),
        }
    }

    fn close_leaf(&mut self) {
        if self.open.len() == CHUNK_LEN {
            let leaf = value(self.leaves, &self.open);
            self.push(1, leaf);
            self.open.clear();
        }
    }

    fn push(&mut self, leaves: u64, subtree: ChainingValue) {
        // Two neighbours are merged only once something follows them, since the last merge is the root's.
        while self.stack.len() > self.leaves.count_ones() as usize {
            self.merge();
        }
        self.stack.push(subtree);
        self.leaves += leaves;
    }

    fn merge(&mut self) {
        let (right, left) = (self.stack.pop(), self.stack.pop());
        let (Some(right), Some(left)) = (right, left) else { unreachable!("the caller counted two") };
        self.stack.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
    }
}

/// The value of leaves from number `at` on, which are a subtree.
fn value(at: u64, bytes: &[u8]) -> ChainingValue {
    Hasher::new().set_input_offset(at * CHUNK_LEN as u64).update(bytes).finalize_non_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_anywhere_give_the_hash_of_the_whole() {
        let bytes: Vec<u8> = (0..70_000_usize).map(|i| (i * 31 + i / 251) as u8).collect();
        for length in [0, 1, 1023, 1024, 1025, 2048, 2049, 4096, 5000, 16384, 32768, 65536, 70_000] {
            for piece in [1, 7, 1000, 1024, 1500, 4096, 10_001, 65_536, 70_000] {
                let (mut whole, mut at) = (WholeHash::default(), 0);
                for bytes in bytes[..length].chunks(piece) {
                    whole.add(&WholePiece::at(at, bytes), bytes.len() as u64);
                    at += bytes.len() as u64;
                }
                assert_eq!(whole.finish(), ObjectId::of(&bytes[..length]), "{length} in pieces of {piece}");
            }
        }
    }
}
