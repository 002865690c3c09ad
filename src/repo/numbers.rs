//! The elements of a stored tensor as numbers, a piece at a time.

use half::{bf16, f16};

use crate::progress::Progress;
use crate::snapshot::{Tree, TreeTensor};
use crate::store::Reader;
use crate::value::{Dtype, Tensor};

use super::RepoError;

/// Elements that are compared at once.
const PIECE_ELEMENTS: u64 = 1 << 18;

/// The elements of a tensor in row-major order.
pub(super) struct Elements<'a> {
    reader: &'a Reader<'a>,
    tree: &'a Tree,
    tensor: &'a TreeTensor,
    next: u64,
    dense: bool,
}

impl<'a> Elements<'a> {
    /// Starts at the first element.
    pub fn new(reader: &'a Reader<'a>, tree: &'a Tree, tensor: &'a TreeTensor) -> Elements<'a> {
        let dense = Tensor::contiguous_strides(&tensor.shape).is_some_and(|strides| {
            let extents = tensor.shape.iter();
            extents.zip(strides.iter().zip(&tensor.strides)).all(|(extent, (a, b))| *extent <= 1 || a == b)
        });
        Elements { reader, tree, tensor, next: 0, dense }
    }

    /// The bytes of the next elements, at most `count`; empty at the end.
    fn next_bytes(&mut self, count: u64) -> Result<Vec<u8>, RepoError> {
        let count = count.min(self.tensor.elements() - self.next);
        let item = self.tensor.dtype.item_bytes();
        let object = &self.tree.storages[self.tensor.storage as usize].content.object;
        let mut bytes = vec![0; (count * item) as usize];
        if self.dense {
            let offset = (self.tensor.offset + self.next) * item;
            if count > 0 {
                self.reader.read_range(object, offset, &mut bytes)?;
            }
        } else {
            for (place, slot) in bytes.chunks_exact_mut(item as usize).enumerate() {
                let element = self.offset_of(self.next + place as u64);
                self.reader.read_range(object, element * item, slot)?;
            }
        }
        self.next += count;
        Ok(bytes)
    }

    fn offset_of(&self, mut index: u64) -> u64 {
        let mut offset = self.tensor.offset;
        for (extent, stride) in self.tensor.shape.iter().zip(&self.tensor.strides).rev() {
            offset += (index % extent) * stride;
            index /= extent;
        }
        offset
    }
}

/// How far two tensors of one shape are from each other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Distance {
    /// Largest absolute difference of an element; infinite where only one of two is not a number.
    pub max: f64,
    sum: f64,
    count: u64,
    bitwise_equal: bool,
}

impl Distance {
    /// Compares element by element; `None` where an element type holds no plain numbers.
    pub fn between(
        left: &mut Elements<'_>,
        right: &mut Elements<'_>,
        progress: &dyn Progress,
    ) -> Result<Option<Distance>, RepoError> {
        let (Some(read_left), Some(read_right)) = (number(left.tensor.dtype), number(right.tensor.dtype))
        else {
            return Ok(None);
        };
        let mut distance = Distance { max: 0.0, sum: 0.0, count: 0, bitwise_equal: true };
        let (item_left, item_right) =
            (left.tensor.dtype.item_bytes() as usize, right.tensor.dtype.item_bytes() as usize);
        loop {
            let (a, b) = (left.next_bytes(PIECE_ELEMENTS)?, right.next_bytes(PIECE_ELEMENTS)?);
            if a.is_empty() {
                return Ok(Some(distance));
            }
            distance.bitwise_equal &= a == b;
            for (a, b) in a.chunks_exact(item_left).zip(b.chunks_exact(item_right)) {
                let (a, b) = (read_left(a), read_right(b));
                let difference = match (a.is_nan(), b.is_nan()) {
                    (true, true) => 0.0,
                    (false, false) if a == b => 0.0,
                    (false, false) => (a - b).abs(),
                    _ => f64::INFINITY,
                };
                distance.max = distance.max.max(difference);
                distance.sum += difference;
                distance.count += 1;
            }
            progress.advance(a.len() as u64);
        }
    }

    /// Mean absolute difference of the elements.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }

    /// Whether all bytes are the same.
    pub fn is_bitwise_zero(&self) -> bool {
        self.bitwise_equal
    }
}

/// Reads one element of a type as a number. 64-bit integers lose their lowest bits above 2⁵³.
fn number(dtype: Dtype) -> Option<fn(&[u8]) -> f64> {
    fn le<const N: usize>(bytes: &[u8]) -> [u8; N] {
        bytes.try_into().expect("a piece is cut by the size of its elements")
    }
    Some(match dtype {
        Dtype::F64 => |b| f64::from_le_bytes(le(b)),
        Dtype::F32 => |b| f32::from_le_bytes(le(b)).into(),
        Dtype::F16 => |b| f16::from_le_bytes(le(b)).into(),
        Dtype::Bf16 => |b| bf16::from_le_bytes(le(b)).into(),
        Dtype::I64 => |b| i64::from_le_bytes(le(b)) as f64,
        Dtype::I32 | Dtype::QI32 => |b| i32::from_le_bytes(le(b)).into(),
        Dtype::I16 => |b| i16::from_le_bytes(le(b)).into(),
        Dtype::I8 | Dtype::QI8 => |b| i8::from_le_bytes(le(b)).into(),
        Dtype::U64 => |b| u64::from_le_bytes(le(b)) as f64,
        Dtype::U32 => |b| u32::from_le_bytes(le(b)).into(),
        Dtype::U16 => |b| u16::from_le_bytes(le(b)).into(),
        Dtype::U8 | Dtype::Bool | Dtype::QU8 => |b| f64::from(b[0]),
        _ => return None,
    })
}
