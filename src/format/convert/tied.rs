//! Tensors that share memory, which most formats cannot say.

use std::collections::HashMap;

use crate::value::{Path, StorageId};

use super::{LeftOut, Pieces};

/// The memory that a tensor spans: first byte, end.
fn span(pieces: &Pieces) -> Option<(StorageId, u64, u64)> {
    let [(_, tensor)] = pieces.pieces.as_slice() else { return None };
    let end = tensor.end_byte()?;
    let start = tensor.offset.checked_mul(tensor.dtype.item_bytes())?;
    (start < end).then_some((tensor.storage.storage, start, end))
}

/// Each tensor that spans memory of one before it.
pub(super) fn shared(tensors: &[(Path, Pieces)]) -> Vec<LeftOut> {
    let mut spans: HashMap<StorageId, Vec<(u64, u64, &Path)>> = HashMap::new();
    for (path, pieces) in tensors {
        if let Some((storage, start, end)) = span(pieces) {
            spans.entry(storage).or_default().push((start, end, path));
        }
    }
    let mut shared = Vec::new();
    for spans in spans.values_mut() {
        spans.sort_by_key(|(start, end, _)| (*start, *end));
        let mut reached: Option<(u64, &Path)> = None;
        for (start, end, path) in spans.iter() {
            if let Some((before, first)) = reached
                && *start < before
            {
                let what = format!("tied: it shares its memory with `{first}`");
                shared.push(LeftOut { path: (*path).clone(), what });
            }
            if reached.is_none_or(|(before, _)| *end > before) {
                reached = Some((*end, path));
            }
        }
    }
    shared.sort_by(|one, other| one.path.cmp(&other.path));
    shared
}
