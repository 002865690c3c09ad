//! A checkpoint as a JSON document, tensors as lists of numbers.

use half::{bf16, f16};

use crate::format::convert::{ConvertError, Pieces};
use crate::migration::engine::{StorageBytes, evaluate};
use crate::value::{Dtype, Graph, Kind, NodeId, Path, Tail, places};

use super::super::RepoError;
use super::super::run::TreeBytes;
use super::expr_of;

/// Elements of all tensors of a document together.
const MOST_ELEMENTS: u64 = 1 << 20;

/// The value at a place, with lists in the place of tensors.
pub(super) fn of(
    graph: &Graph,
    part: Option<&Path>,
    bytes: &mut TreeBytes<'_>,
) -> Result<Graph, RepoError> {
    let mut out = graph.clone();
    let all = places(graph);
    if let Some(path) = part {
        let found = all.iter().find(|place| place.path == *path);
        out.root = found.ok_or_else(|| ConvertError::NoPlace { path: path.clone() })?.node;
    }
    let mut elements = 0u64;
    for place in all.iter().filter(|place| part.is_none_or(|part| part.contains(&place.path))) {
        let Some(tensor) = graph.as_tensor(place.node) else { continue };
        if place.repeated {
            continue;
        }
        let count = tensor.elements().unwrap_or(u64::MAX);
        elements = elements.saturating_add(count);
        if elements > MOST_ELEMENTS {
            let (path, limit) = (place.path.clone(), MOST_ELEMENTS);
            return Err(ConvertError::TooLarge { path, elements, limit }.into());
        }
        let node = list(&mut out, (&place.path, tensor), bytes)?;
        let node = out.node(node).clone();
        *out.node_mut(place.node) = node;
        // A parameter is what it wraps.
        if let Some(parent) = place.parent.filter(|_| all.iter().any(|p| p.path == place.path && p.node != place.node))
            && matches!(out.kind(parent), Kind::Reduce { .. })
        {
            let node = out.node(place.node).clone();
            *out.node_mut(parent) = node;
        }
    }
    Ok(out)
}

/// The elements as lists inside each other.
fn list(
    graph: &mut Graph,
    (path, tensor): (&Path, &crate::value::Tensor),
    bytes: &mut dyn StorageBytes,
) -> Result<NodeId, RepoError> {
    let read = number(tensor.dtype).ok_or_else(|| ConvertError::Dtype {
        path: path.clone(),
        dtype: tensor.dtype,
        format: crate::format::Format::Json,
    })?;
    if tensor.metadata.is_some_and(|metadata| !graph.items(metadata).is_empty()) {
        return Err(ConvertError::NoStateDict {
            path: path.clone(),
            what: "a conjugated or negated view".to_owned(),
            suggestion: None,
        }
        .into());
    }
    let whole = vec![0; tensor.shape.len()];
    let pieces = Pieces {
        dtype: tensor.dtype,
        shape: tensor.shape.clone(),
        pieces: vec![(whole, tensor.clone())],
    };
    let mut raw = Vec::new();
    evaluate(&expr_of(&pieces, path.as_str())?, bytes, &mut |piece| {
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
