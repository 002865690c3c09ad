//! A checkpoint as a JSON document, tensors as lists of numbers.

use std::collections::HashSet;

use half::{bf16, f16};

use crate::format::convert::{self, ConvertError, LeftOut, Pieces};
use crate::format::{Format, Outline};
use crate::migration::engine::{StorageBytes, evaluate};
use crate::value::{Dtype, Graph, Kind, NodeId, Path, Tail, places};

use super::super::RepoError;
use super::super::run::TreeBytes;
use super::expr_of;

/// Elements of all tensors of a document together.
const MOST_ELEMENTS: u64 = 1 << 20;

/// The value at a place, with lists in the place of tensors; and how many tensors these were.
pub(super) fn of(
    graph: &Graph,
    outline: &Outline,
    part: Option<&Path>,
    bytes: &mut TreeBytes<'_>,
) -> Result<(Graph, u64), RepoError> {
    let mut out = graph.clone();
    let all = places(graph);
    if let Some(path) = part {
        let found = all.iter().find(|place| place.path == *path);
        out.root = found.ok_or_else(|| ConvertError::NoPlace { path: path.clone() })?.node;
    }
    let mut known: HashSet<NodeId> = HashSet::new();
    let mut tensors: Vec<(Path, NodeId, Option<NodeId>, Pieces)> = Vec::new();
    for (path, node, pieces) in convert::sharded(graph, outline)? {
        known.extend(graph.items(node).into_iter().map(|(_, piece)| piece));
        tensors.push((path, node, None, pieces));
    }
    for place in all.into_iter().filter(|place| part.is_none_or(|part| part.contains(&place.path))) {
        let Some(pieces) = convert::whole_tensor(graph, place.node) else { continue };
        if !known.insert(place.node) {
            continue;
        }
        if !convert::is_plain(graph, place.node) {
            let losses = vec![LeftOut { path: place.path, what: "a conjugated or negated view".to_owned() }];
            return Err(ConvertError::Loss { format: Format::Json, losses, suggestion: None }.into());
        }
        // A parameter is what it wraps.
        let is_wrapper = |parent: &NodeId| convert::tensor_of(graph, *parent) == Some(place.node);
        tensors.push((place.path, place.node, place.parent.filter(is_wrapper), pieces));
    }
    let count = tensors.len() as u64;
    let mut elements = 0u64;
    for (path, node, parent, pieces) in tensors {
        let own = pieces.shape.iter().fold(1u64, |n, extent| n.saturating_mul(*extent));
        elements = elements.saturating_add(own);
        if elements > MOST_ELEMENTS {
            return Err(ConvertError::TooLarge { path, elements, limit: MOST_ELEMENTS }.into());
        }
        let list = list(&mut out, &path, &pieces, bytes)?;
        let list = out.node(list).clone();
        for node in parent.into_iter().chain([node]) {
            *out.node_mut(node) = list.clone();
        }
    }
    convert::make_dicts_plain(&mut out);
    Ok((out, count))
}

/// The elements as lists inside each other.
fn list(
    graph: &mut Graph,
    path: &Path,
    tensor: &Pieces,
    bytes: &mut dyn StorageBytes,
) -> Result<NodeId, RepoError> {
    let read = number(tensor.dtype).ok_or_else(|| ConvertError::Dtype {
        path: path.clone(),
        dtype: tensor.type_text(),
        format: Format::Json,
    })?;
    let mut raw = Vec::new();
    evaluate(&expr_of(tensor, path.as_str())?, bytes, &mut |piece| {
        raw.extend_from_slice(piece);
        Ok(())
    })
    .map_err(|source| RepoError::Join { tensor: path.to_string(), source: Box::new(source) })?;
    let mut level: Vec<NodeId> = Vec::new();
    for item in raw.chunks_exact(tensor.dtype.item_bytes() as usize) {
        let kind = read(item);
        if matches!(&kind, Kind::Float(bits) if !bits.get().is_finite()) {
            return Err(ConvertError::NotFinite { path: path.clone() }.into());
        }
        level.push(graph.add(kind));
    }
    // From the innermost dimension out; an extent of zero leaves empty lists to its outer ones.
    for (dim, extent) in tensor.shape.iter().enumerate().rev() {
        let outer: u64 = tensor.shape[..dim].iter().product();
        let extent = usize::try_from(*extent).unwrap_or(usize::MAX);
        let mut items = level.into_iter();
        let mut next = Vec::new();
        for _ in 0..outer.min(MOST_ELEMENTS) {
            let list = graph.add(Kind::List);
            graph.node_mut(list).tail = items.by_ref().take(extent).map(Tail::Append).collect();
            next.push(list);
        }
        level = next;
    }
    Ok(level[0])
}

fn number(dtype: Dtype) -> Option<fn(&[u8]) -> Kind> {
    fn le<const N: usize>(bytes: &[u8]) -> [u8; N] {
        bytes.try_into().expect("bytes are cut by the size of an element")
    }
    fn float(value: f64) -> Kind {
        Kind::Float(value.into())
    }
    Some(match dtype {
        Dtype::F64 => |b| float(f64::from_le_bytes(le(b))),
        Dtype::F32 => |b| float(f32::from_le_bytes(le(b)).into()),
        Dtype::F16 => |b| float(f16::from_le_bytes(le(b)).into()),
        Dtype::Bf16 => |b| float(bf16::from_le_bytes(le(b)).into()),
        Dtype::I64 => |b| Kind::Int(i64::from_le_bytes(le(b))),
        Dtype::I32 => |b| Kind::Int(i32::from_le_bytes(le(b)).into()),
        Dtype::I16 => |b| Kind::Int(i16::from_le_bytes(le(b)).into()),
        Dtype::I8 => |b| Kind::Int(i8::from_le_bytes(le(b)).into()),
        Dtype::U64 => |b| Kind::BigInt(u64::from_le_bytes(le(b)).into()),
        Dtype::U32 => |b| Kind::Int(u32::from_le_bytes(le(b)).into()),
        Dtype::U16 => |b| Kind::Int(u16::from_le_bytes(le(b)).into()),
        Dtype::U8 => |b| Kind::Int(b[0].into()),
        Dtype::Bool => |b| Kind::Bool(b[0] != 0),
        _ => return None,
    })
}
