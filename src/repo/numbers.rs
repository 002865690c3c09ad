//! The elements of a stored tensor as numbers, a piece at a time.

use half::{bf16, f16};

use crate::object::ObjectId;
use crate::progress::Progress;
use crate::snapshot::{Tree, TreeTensor};
use crate::store::{FRAME_BYTES, ObjectReader, Reader};
use crate::value::{Dtype, Tensor, narrow};

use super::RepoError;

/// Elements that are compared at once.
const PIECE_ELEMENTS: u64 = 1 << 18;

/// A stored tensor: how an object is looked at.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// The bytes of its storage.
    pub object: ObjectId,
    pub dtype: Dtype,
    /// Extent and step of each dimension, in elements.
    pub dims: Vec<(u64, u64)>,
    /// First element, in elements from the start of the storage.
    pub offset: u64,
}

impl View {
    /// A tensor of a tree.
    pub fn of(tree: &Tree, tensor: &TreeTensor) -> View {
        View {
            object: tree.storages[tensor.storage as usize].content.object,
            dtype: tensor.dtype,
            dims: tensor.shape.iter().copied().zip(tensor.strides.iter().copied()).collect(),
            offset: tensor.offset,
        }
    }

    /// A tensor of the graph of a tree; `None` where the tree does not have its storage.
    pub fn of_graph(tree: &Tree, tensor: &Tensor) -> Option<View> {
        Some(View {
            object: tree.storages.get(tensor.storage.storage.index())?.content.object,
            dtype: tensor.dtype,
            dims: tensor.shape.iter().copied().zip(tensor.strides.iter().copied()).collect(),
            offset: tensor.offset,
        })
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.dims.iter().fold(1, |n, (extent, _)| n.saturating_mul(*extent))
    }

    fn is_dense(&self) -> bool {
        let mut step = 1_u64;
        self.dims.iter().rev().all(|(extent, stride)| {
            let fits = *extent <= 1 || *stride == step;
            step = step.saturating_mul(*extent);
            fits
        })
    }
}

/// A stored object, of which one frame's length is kept at hand.
pub(super) struct Window<'a> {
    object: ObjectReader<'a, 'a>,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    pub fn open(reader: &'a Reader<'a>, object: &ObjectId) -> Result<Window<'a>, RepoError> {
        Ok(Window { object: reader.open(object)?, start: 0, bytes: Vec::new() })
    }

    /// Length of the object in bytes.
    pub fn object_bytes(&self) -> u64 {
        self.object.bytes()
    }

    /// The bytes from `offset` on that are at hand, at least `least` of them. Numbers that lie at multiples of their
    /// length are never cut.
    pub fn from(&mut self, offset: u64, least: usize) -> Result<&[u8], RepoError> {
        let has = |start: u64, bytes: &Vec<u8>| {
            offset >= start && offset.saturating_add(least as u64) <= start + bytes.len() as u64
        };
        if !has(self.start, &self.bytes) {
            // Windows begin where frames may, so that none is read twice on the way.
            let start = offset - offset % FRAME_BYTES;
            let end = start.saturating_add(FRAME_BYTES).min(self.object.bytes());
            self.bytes.resize(end.saturating_sub(start) as usize, 0);
            self.start = start;
            self.object.read_at(start, &mut self.bytes)?;
            if !has(start, &self.bytes) {
                self.bytes.clear();
                self.object.read_at(offset, &mut vec![0; least])?;
            }
        }
        Ok(&self.bytes[(offset - self.start) as usize..])
    }
}

/// The elements of a tensor in row-major order.
pub(super) struct Elements<'a> {
    view: View,
    window: Window<'a>,
    next: u64,
    dense: bool,
}

impl<'a> Elements<'a> {
    /// Starts at the first element.
    pub fn new(reader: &'a Reader<'a>, view: View) -> Result<Elements<'a>, RepoError> {
        let window = Window::open(reader, &view.object)?;
        Ok(Elements { dense: view.is_dense(), view, window, next: 0 })
    }

    /// The first elements as numbers, at most `count`; none where the element type holds no plain numbers.
    pub fn first(mut self, count: u64) -> Result<Vec<f64>, RepoError> {
        let Some(read) = number(self.view.dtype) else { return Ok(Vec::new()) };
        let bytes = self.next_bytes(count)?;
        Ok(bytes.chunks_exact(self.view.dtype.item_bytes() as usize).map(read).collect())
    }

    /// The bytes of the next elements, at most `count`; empty at the end.
    fn next_bytes(&mut self, count: u64) -> Result<Vec<u8>, RepoError> {
        let count = count.min(self.view.elements() - self.next);
        let item = self.view.dtype.item_bytes();
        let mut bytes = vec![0; (count * item) as usize];
        let mut done = 0;
        while done < bytes.len() {
            let place = self.next + done as u64 / item;
            let element = if self.dense { self.view.offset + place } else { self.offset_of(place) };
            let at_hand = self.window.from(element.saturating_mul(item), item as usize)?;
            let length = if self.dense { at_hand.len().min(bytes.len() - done) } else { item as usize };
            // Only whole elements.
            let length = length - length % item as usize;
            bytes[done..done + length].copy_from_slice(&at_hand[..length]);
            done += length;
        }
        self.next += count;
        Ok(bytes)
    }

    fn offset_of(&self, mut index: u64) -> u64 {
        let mut offset = self.view.offset;
        for (extent, stride) in self.view.dims.iter().rev() {
            offset = offset.saturating_add((index % extent).saturating_mul(*stride));
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
        let (Some(read_left), Some(read_right)) = (number(left.view.dtype), number(right.view.dtype)) else {
            return Ok(None);
        };
        let mut distance = Distance { max: 0.0, sum: 0.0, count: 0, bitwise_equal: true };
        let (item_left, item_right) =
            (left.view.dtype.item_bytes() as usize, right.view.dtype.item_bytes() as usize);
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
pub(super) fn number(dtype: Dtype) -> Option<fn(&[u8]) -> f64> {
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
        Dtype::F8E4M3 => |b| narrow::of(Dtype::F8E4M3).decode(b[0]),
        Dtype::F8E5M2 => |b| narrow::of(Dtype::F8E5M2).decode(b[0]),
        Dtype::F8E4M3Fnuz => |b| narrow::of(Dtype::F8E4M3Fnuz).decode(b[0]),
        Dtype::F8E5M2Fnuz => |b| narrow::of(Dtype::F8E5M2Fnuz).decode(b[0]),
        _ => return None,
    })
}
