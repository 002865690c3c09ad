//! Tensors: a shape over a storage.

use serde::{Deserialize, Serialize};

use super::{Dtype, NodeId};

/// The place of a storage in [`Graph::storages`](super::Graph::storages).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StorageId(pub u32);

impl StorageId {
    /// The place as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One run of bytes that tensors look into.
///
/// Two tensors that name the same [`StorageId`] share memory. The bytes themselves are elsewhere: in a
/// file, in the store, or still to be computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// The name the format gives it (torch: the `N` of `data/N`; safetensors: the tensor's name).
    pub key: String,
    /// Length in bytes.
    pub bytes: u64,
}

/// How a graph refers to a storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageRef {
    /// Which storage.
    pub storage: StorageId,
    /// The storage's class as pickled, for instance `torch.FloatStorage`; empty where the format has none.
    pub class: String,
    /// Where it lay when it was saved, for instance `cpu` or `cuda:0`; empty where the format has none.
    pub location: String,
    /// Length in elements of the class, as pickled.
    pub elements: u64,
    /// The part of it that is meant; none for the whole, as all formats but the oldest of torch have it.
    pub view: Option<StorageView>,
}

impl StorageRef {
    /// NumPy's name of a type of elements that no tensor has, where the class is one.
    pub fn numpy_type(&self) -> Option<&str> {
        self.class.starts_with(['\'', '[']).then_some(&self.class)
    }
}

/// A part of a storage as torch before 1.6 could name one, in elements of the storage's class.
///
/// A tensor's offset counts from the start of the whole storage all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageView {
    /// Where it begins.
    pub offset: u64,
    /// Its length.
    pub elements: u64,
}

/// A tensor: a strided view of a storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tensor {
    /// Element type.
    pub dtype: Dtype,
    /// Extent of each dimension, in elements.
    pub shape: Vec<u64>,
    /// Step of each dimension, in elements; as long as `shape`.
    pub strides: Vec<u64>,
    /// First element, counted in elements from the start of the storage.
    pub offset: u64,
    /// The storage that it looks into.
    pub storage: StorageRef,
    /// Whether autograd was asked to track it.
    pub requires_grad: bool,
    /// Backward hooks as pickled (an empty `OrderedDict` in practice); `None` stands for an empty one.
    pub hooks: Option<NodeId>,
    /// The last argument of the rebuild call (`conj`, `neg`), where there was one.
    pub metadata: Option<NodeId>,
}

impl Tensor {
    /// Number of elements, or `None` if that overflows.
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d))
    }

    /// Number of bytes that its elements take when they lie densely, or `None` if that overflows.
    pub fn bytes(&self) -> Option<u64> {
        self.elements()?.checked_mul(self.dtype.item_bytes())
    }

    /// What its elements are where their type does not say it: blocks of many values, or bytes that stand for
    /// numbers of foreign byte order or for a type of NumPy's; else empty.
    pub fn kind(&self) -> String {
        if self.dtype != Dtype::Bits8 {
            return match self.dtype.block_values() {
                1 => String::new(),
                values => format!("in blocks of {values} values"),
            };
        }
        let class = &self.storage.class;
        if Dtype::from_name(class).is_some() {
            return format!("big-endian {class}");
        }
        let Some(name) = self.storage.numpy_type() else { return String::new() };
        let begin: String = name.chars().take(60).collect();
        let more = if begin.len() < name.len() { "..." } else { "" };
        format!("NumPy {begin}{more}")
    }

    /// Strides of a dense row-major tensor of this shape, or `None` if they overflow.
    pub fn contiguous_strides(shape: &[u64]) -> Option<Vec<u64>> {
        let mut strides = vec![1u64; shape.len()];
        for i in (0..shape.len().saturating_sub(1)).rev() {
            strides[i] = strides[i + 1].checked_mul(shape[i + 1].max(1))?;
        }
        Some(strides)
    }

    /// Whether its elements lie densely in row-major order.
    pub fn is_contiguous(&self) -> bool {
        if self.shape.contains(&0) {
            return true;
        }
        let mut expected = 1u64;
        for (&extent, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if extent != 1 {
                if stride != expected {
                    return false;
                }
                expected = match expected.checked_mul(extent) {
                    Some(n) => n,
                    None => return false,
                };
            }
        }
        true
    }

    /// The end of the last byte it reaches in its storage, or `None` if that overflows.
    ///
    /// A tensor fits when this is no more than the storage's length.
    pub fn end_byte(&self) -> Option<u64> {
        if self.strides.len() != self.shape.len() {
            return None;
        }
        if self.shape.contains(&0) {
            return Some(0);
        }
        let mut last = self.offset;
        for (&extent, &stride) in self.shape.iter().zip(&self.strides) {
            last = last.checked_add((extent - 1).checked_mul(stride)?)?;
        }
        last.checked_add(1)?.checked_mul(self.dtype.item_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[u64], strides: &[u64], offset: u64) -> Tensor {
        Tensor {
            dtype: Dtype::F32,
            shape: shape.to_vec(),
            strides: strides.to_vec(),
            offset,
            storage: StorageRef {
                storage: StorageId(0),
                class: String::new(),
                location: String::new(),
                elements: 0,
                view: None,
            },
            requires_grad: false,
            hooks: None,
            metadata: None,
        }
    }

    #[test]
    fn end_is_found_without_overflow() {
        assert_eq!(tensor(&[2, 3], &[3, 1], 1).end_byte(), Some(28));
        assert_eq!(tensor(&[], &[], 0).end_byte(), Some(4));
        assert_eq!(tensor(&[0, 9], &[9, 1], 5).end_byte(), Some(0));
        assert_eq!(tensor(&[u64::MAX, 2], &[u64::MAX, 1], 0).end_byte(), None);
        assert_eq!(tensor(&[2], &[], 0).end_byte(), None);
    }

    #[test]
    fn density_ignores_extents_of_one() {
        assert!(tensor(&[2, 1, 3], &[3, 77, 1], 0).is_contiguous());
        assert!(!tensor(&[2, 3], &[1, 2], 0).is_contiguous());
        assert_eq!(Tensor::contiguous_strides(&[2, 3, 4]), Some(vec![12, 4, 1]));
    }
}
