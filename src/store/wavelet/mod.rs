//! Bytes of uneven frequency, as the exponents of weights are, in Huffman's code, laid out as a wavelet tree.
//!
//! A code that is written byte after byte has to be read bit after bit: where one ends is where the next begins. Here the
//! first bits of all codes come first, then the second bits of those that begin with 0, and so on, a node of the code's
//! tree at a time: a Huffman-shaped wavelet tree (Grossi, Gupta and Vitter 2003, *High-order entropy-compressed text
//! indexes*). It has as many bits as Huffman's code, and each node is read and written many bytes at once: those that go
//! to its left and those that go to its right are taken apart, or put together again.
//!
//! | bytes | |
//! |---|---|
//! | 12 | how many codes have 1 bit, 2, and so on: as many as there are values, and one for the exceptions |
//! | 1 | the place of the exceptions among the codes |
//! | 1 each | the values, in the order of their codes |
//! | | the blocks |
//!
//! A block has the next 32,768 bytes, the last what is left. It begins with the nodes of the tree, a parent before its
//! children, and its left child with all below it before its right. A node has a bit for each byte that comes to it, from
//! the lowest bit of its first byte on, 0 to the left and 1 to the right, and is filled to whole bytes with zeros. After
//! them come the exceptions, the bytes whose value has no code of its own, as they are.
//!
//! The codes are canonical: short ones lie left of long ones. There are at least 2 and at most 32.

mod code;
mod decode;
mod encode;
mod kernels;
#[cfg(test)]
mod tests;

pub(super) use code::Code;
pub(super) use decode::Decoder;
pub(super) use encode::Encoder;

/// Whether this is faster than zstd's entropy coder: where there are instructions for it.
pub(super) const IS_FAST: bool = cfg!(target_arch = "x86_64");

/// The most codes that there are, with that of the exceptions.
const CODES: usize = 32;

/// The most nodes of a tree that has so many leaves.
const NODES: usize = CODES - 1;

/// The longest code.
const MAX_BITS: usize = 12;

/// Bytes that are taken together: what becomes of them on the way stays near the processor.
const BLOCK_BYTES: usize = 32 << 10;

/// Room for all sequences of a block: those at one depth have at most as many bytes as the block, and each has slack. So
/// have the block itself and its exceptions.
const ROOM_BYTES: usize = (MAX_BITS + 2) * BLOCK_BYTES + (NODES + 3) * kernels::SLACK_BYTES;
