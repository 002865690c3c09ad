//! The record that lists an object's frames.

use crate::object::ObjectId;

use super::error::Damage;
use super::record::Part;
use super::tree;

/// The frames of a large object, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FrameList {
    pub frame_bytes: u64,
    pub object_bytes: u64,
    pub frames: Vec<ObjectId>,
}

/// Bytes before the names.
const FIXED_BYTES: usize = 16;

/// The most frames that an object has.
pub(super) const MAX_FRAMES: u64 = 1 << 22;

/// The length of the longest list.
pub(super) const MAX_LIST_BYTES: u64 = FIXED_BYTES as u64 + 32 * MAX_FRAMES;

impl FrameList {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + 32 * self.frames.len());
        bytes.extend(self.frame_bytes.to_le_bytes());
        bytes.extend(self.object_bytes.to_le_bytes());
        bytes.extend(self.frames.iter().flat_map(|id| id.as_bytes()));
        bytes
    }

    /// Reads the list of object `id` and proves it: the names merge to `id`, and the lengths fit them.
    ///
    /// The length of the last frame, and so of the object, is proved when that frame is read.
    pub fn parse(id: &ObjectId, object_bytes: u64, bytes: &[u8]) -> Result<FrameList, Damage> {
        let (frame_bytes, rest) = bytes.split_first_chunk().ok_or(Damage::Lengths)?;
        let (stated_bytes, names) = rest.split_first_chunk().ok_or(Damage::Lengths)?;
        let frame_bytes = u64::from_le_bytes(*frame_bytes);
        let (names, odd) = names.as_chunks::<32>();
        let sound = odd.is_empty()
            && u64::from_le_bytes(*stated_bytes) == object_bytes
            && frame_bytes.is_power_of_two()
            && (blake3::CHUNK_LEN as u64..=super::MAX_FRAME_BYTES).contains(&frame_bytes)
            && names.len() as u64 == object_bytes.div_ceil(frame_bytes);
        if !sound {
            return Err(Damage::Lengths);
        }
        let frames: Vec<ObjectId> = names.iter().map(|name| ObjectId::from_bytes(*name)).collect();
        match tree::root(&frames) {
            Some(found) if found == *id => Ok(FrameList { frame_bytes, object_bytes, frames }),
            Some(found) => Err(Damage::Hash { found }),
            None => Err(Damage::Lengths),
        }
    }

    /// Which part of the object a frame is, and its length.
    pub fn part(&self, frame: usize) -> (Part, u64) {
        let position = frame as u64 * self.frame_bytes;
        (Part::Frame { position }, self.frame_bytes.min(self.object_bytes - position))
    }
}
