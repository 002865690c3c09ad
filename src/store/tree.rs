//! Names from the BLAKE3 tree: of frames, and of the objects that they make up.
//!
//! The tree is described in section 2.1 of the BLAKE3 paper. Frames of one power-of-two length are
//! whole subtrees of it.

use blake3::hazmat::{HasherExt, Mode, max_subtree_len, merge_subtrees_non_root, merge_subtrees_root};
use blake3::{CHUNK_LEN, Hasher};

use crate::object::ObjectId;

use super::record::Part;

/// The length of every frame of an object but its last, and the longest object that is not split.
pub const FRAME_BYTES: u64 = 1 << 20;

/// The name of these bytes as this part of an object.
///
/// `None` if no frame can begin at that position and have that many bytes.
pub(super) fn name(part: Part, bytes: &[u8]) -> Option<ObjectId> {
    let mut namer = Namer::new(part, bytes.len() as u64)?;
    namer.update(bytes);
    Some(namer.finish())
}

/// Names a part of an object whose bytes come piece by piece.
pub(super) struct Namer {
    hasher: Hasher,
    is_frame: bool,
}

impl Namer {
    /// Begins with nothing of a part of so many bytes.
    ///
    /// `None` if no frame can begin at that position and have that many bytes.
    pub fn new(part: Part, bytes: u64) -> Option<Namer> {
        let mut hasher = Hasher::new();
        let Part::Frame { position } = part else { return Some(Namer { hasher, is_frame: false }) };
        let fits = position.is_multiple_of(CHUNK_LEN as u64)
            && max_subtree_len(position).is_none_or(|limit| bytes <= limit);
        if bytes == 0 || !fits {
            return None;
        }
        hasher.set_input_offset(position);
        Some(Namer { hasher, is_frame: true })
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The name, when all bytes have come.
    pub fn finish(self) -> ObjectId {
        if self.is_frame {
            ObjectId::from_bytes(self.hasher.finalize_non_root())
        } else {
            self.hasher.finalize().into()
        }
    }
}

/// The name of the object that these frames make up; `None` for less than two.
pub(super) fn root(frames: &[ObjectId]) -> Option<ObjectId> {
    if frames.len() < 2 {
        return None;
    }
    let mut level: Vec<[u8; 32]> = frames.iter().map(|id| *id.as_bytes()).collect();
    // Joining neighbours, an odd one out moving up, gives the paper's tree: every left side is a whole
    // power of two.
    while level.len() > 2 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => merge_subtrees_non_root(left, right, Mode::Hash),
                _ => pair[0],
            })
            .collect();
    }
    Some(merge_subtrees_root(&level[0], &level[1], Mode::Hash).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_merge_to_the_hash_of_the_whole() {
        // Any power of two from a chunk up is a frame length of the tree; short ones reach more shapes.
        for frame in [1024_usize, 4096] {
            for frames in 2..20 {
                for last in [1, 2, 1023, 1024, 1025, frame - 1, frame] {
                    let length = frame * (frames - 1) + last.min(frame);
                    let bytes: Vec<u8> = (0..length).map(|i| (i * 31 + i / 251) as u8).collect();
                    let names: Vec<ObjectId> = bytes
                        .chunks(frame)
                        .enumerate()
                        .map(|(i, b)| name(Part::Frame { position: (i * frame) as u64 }, b).unwrap())
                        .collect();
                    assert_eq!(root(&names), Some(ObjectId::of(&bytes)), "{frames} of {frame}, last {last}");
                }
            }
        }
    }

    #[test]
    fn positions_where_no_frame_can_begin_have_no_names() {
        assert_eq!(name(Part::Frame { position: 1 }, &[0; 10]), None);
        assert_eq!(name(Part::Frame { position: 1024 }, &[0; 1025]), None);
        assert_eq!(name(Part::Frame { position: 0 }, &[]), None);
        assert_eq!(root(&[ObjectId::of(b"a")]), None);
    }
}
