//! Which tensors of two checkpoints are the same at different times.

use std::collections::HashMap;

use crate::object::ObjectId;
use crate::value::{Dtype, Path};

use super::{Tree, TreeTensor};

/// For each storage, told by its length in bytes, the object of `base` that it may be a difference to, if there is one of its length.
///
/// Tensors are matched by their paths; those that are left, such as renamed ones, in their order among
/// those of their type and shape.
pub(super) fn likes(tensors: &[TreeTensor], bytes: &[u64], base: &Tree) -> Vec<Option<ObjectId>> {
    let mut likes = vec![None; bytes.len()];
    let by_path: HashMap<&Path, usize> =
        base.tensors.iter().enumerate().map(|(place, tensor)| (&tensor.path, place)).collect();
    let mut left = Vec::new();
    let mut taken = vec![false; base.tensors.len()];
    let mut take = |tensor: &TreeTensor, place: usize| {
        let old = &base.tensors[place];
        let content = &base.storages[old.storage as usize].content;
        let storage = tensor.storage as usize;
        let fits = content.bytes == bytes[storage]
            && (tensor.dtype, tensor.offset) == (old.dtype, old.offset)
            && tensor.shape == old.shape;
        if fits && likes[storage].is_none() {
            likes[storage] = Some(content.object);
        }
        fits
    };
    for tensor in tensors {
        match by_path.get(&tensor.path) {
            Some(place) if take(tensor, *place) => taken[*place] = true,
            _ => left.push(tensor),
        }
    }
    let mut by_shape: HashMap<(Dtype, &[u64]), Vec<usize>> = HashMap::new();
    for (place, tensor) in base.tensors.iter().enumerate().rev().filter(|(place, _)| !taken[*place]) {
        by_shape.entry((tensor.dtype, &tensor.shape)).or_default().push(place);
    }
    for tensor in left {
        if let Some(place) = by_shape.get_mut(&(tensor.dtype, &tensor.shape)).and_then(Vec::pop) {
            take(tensor, place);
        }
    }
    likes
}
