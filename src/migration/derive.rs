//! Where the elements of new tensors came from, so that trained values can find their way back.

use serde::{Deserialize, Serialize};

use super::engine::{Expr, Scalar, Shape, Step, Window};
use crate::value::{Dtype, Path, Storage, Tensor};

/// Most pieces that are followed in one tensor; one made of more counts as worked out.
const MOST_PIECES: usize = 1 << 12;

/// A new tensor whose bytes were there before, or were made from such. Storages are those of the checkpoint
/// before, by their number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derived {
    /// The tensor's place, after.
    pub place: Path,
    /// All that was read for it.
    pub sources: Vec<Span>,
    /// How its elements were taken over, if each is an old element or none at all; `None` where something was
    /// worked out.
    pub pieces: Option<Vec<Piece>>,
}

/// Bytes of an old storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// The storage.
    pub storage: u32,
    /// First byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
}

/// Elements that were taken over as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// The old storage.
    pub storage: u32,
    /// Element type.
    pub dtype: Dtype,
    /// First element in the old storage.
    pub from: u64,
    /// First element in the new tensor, in dense rows.
    pub to: u64,
    /// How both go on. Extents of one are left out.
    pub dims: Vec<Dim>,
}

/// One dimension of a [`Piece`], in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dim {
    /// Extent.
    pub extent: u64,
    /// Step in the old storage.
    pub from: u64,
    /// Step in the new tensor.
    pub to: u64,
}

impl Piece {
    /// The elements of a tensor as a piece that goes from its storage to dense rows.
    ///
    /// `None` if a size overflows or it has no elements.
    pub fn of_tensor(tensor: &Tensor, storage: u32) -> Option<Piece> {
        of_window(storage, tensor.dtype, &tensor.shape, &tensor.strides, tensor.offset)
    }

    /// Number of elements, or `None` if that overflows.
    pub fn elements(&self) -> Option<u64> {
        self.dims.iter().try_fold(1u64, |n, dim| n.checked_mul(dim.extent))
    }

    /// The bytes of the old storage between its first and its last element.
    pub fn span(&self) -> Option<Span> {
        let mut last = self.from;
        for dim in &self.dims {
            last = last.checked_add(dim.extent.checked_sub(1)?.checked_mul(dim.from)?)?;
        }
        let item = self.dtype.item_bytes();
        let (start, end) = (self.from.checked_mul(item)?, last.checked_add(1)?.checked_mul(item)?);
        Some(Span { storage: self.storage, start, end })
    }
}

/// Where the bytes of a new storage came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    sources: Vec<Span>,
    pieces: Option<Vec<Piece>>,
}

impl Origin {
    /// Follows an expression's elements back to the storages that it reads.
    ///
    /// An expression that does not fit the storages counts as worked out from nothing: it was refused before.
    pub fn of_expr(expr: &Expr, storages: &[Storage]) -> Origin {
        let Ok(shapes) = expr.check(storages) else { return Origin { sources: Vec::new(), pieces: None } };
        let mut flows: Vec<Option<Vec<Piece>>> = Vec::with_capacity(shapes.len());
        let mut used = vec![false; shapes.len()];
        if let Some(last) = used.last_mut() {
            *last = true;
        }
        for (place, step) in expr.steps.iter().enumerate() {
            let flow =
                flow(&expr.steps, step, &shapes, &flows, place).filter(|pieces| pieces.len() <= MOST_PIECES);
            flows.push(flow);
        }
        let mut sources = Vec::new();
        for (place, step) in expr.steps.iter().enumerate().rev().filter(|(place, _)| *place < shapes.len()) {
            if !used[place] {
                continue;
            }
            step.operands().into_iter().for_each(|id| used[id as usize] = true);
            if let Step::Load { storage, dtype, window } = step {
                let piece = of_window(storage.0, *dtype, &window.shape, &window.strides, window.offset);
                sources.extend(piece.and_then(|piece| piece.span()));
            }
        }
        sources.sort_by_key(|span| (span.storage, span.start, span.end));
        sources.dedup();
        Origin { sources, pieces: flows.pop().flatten() }
    }

    /// The origin of a tensor over an old storage.
    pub fn of_view(tensor: &Tensor) -> Origin {
        let piece = Piece::of_tensor(tensor, tensor.storage.storage.0);
        let sources = piece.as_ref().and_then(Piece::span).into_iter().collect();
        Origin { sources, pieces: Some(piece.into_iter().collect()) }
    }

    /// The origin of a tensor over the new storage that this is of.
    pub fn seen_by(&self, tensor: &Tensor) -> Origin {
        let pieces = self.pieces.as_ref().and_then(|pieces| {
            let same_type = pieces.iter().all(|piece| piece.dtype == tensor.dtype);
            if !same_type {
                return None;
            }
            if tensor.is_contiguous() {
                return within(pieces, tensor.offset, tensor.offset.checked_add(tensor.elements()?)?);
            }
            let (shape, strides) = (tensor.shape.clone(), tensor.strides.clone());
            look_through(pieces, &Window { shape, strides, offset: tensor.offset })
        });
        Origin { sources: self.sources.clone(), pieces }
    }

    pub fn at(self, place: Path) -> Derived {
        Derived { place, sources: self.sources, pieces: self.pieces }
    }
}

/// The pieces of a dense run of elements; `None` where its ends cut one.
fn within(pieces: &[Piece], start: u64, end: u64) -> Option<Vec<Piece>> {
    let mut out = Vec::new();
    for piece in pieces {
        let mut last = piece.to;
        for dim in &piece.dims {
            last = last.checked_add(dim.extent.checked_sub(1)?.checked_mul(dim.to)?)?;
        }
        if last < start || piece.to >= end {
            continue;
        }
        if piece.to < start || last >= end {
            return None;
        }
        out.push(Piece { to: piece.to - start, ..piece.clone() });
    }
    Some(out)
}

fn of_window(storage: u32, dtype: Dtype, shape: &[u64], strides: &[u64], offset: u64) -> Option<Piece> {
    if shape.contains(&0) || shape.len() != strides.len() {
        return None;
    }
    let dense = Tensor::contiguous_strides(shape)?;
    let dims = shape.iter().zip(strides).zip(dense);
    let dims = dims.map(|((&extent, &from), to)| Dim { extent, from, to }).filter(|dim| dim.extent != 1);
    Some(Piece { storage, dtype, from: offset, to: 0, dims: dims.collect() })
}

/// The pieces of a step's result; `None` where elements were worked out from old ones.
fn flow(
    steps: &[Step],
    step: &Step,
    shapes: &[Shape],
    flows: &[Option<Vec<Piece>>],
    place: usize,
) -> Option<Vec<Piece>> {
    let of = |id: u32| flows.get(id as usize)?.as_ref();
    match step {
        Step::Load { storage, dtype, window } => {
            if window.shape.contains(&0) {
                return Some(Vec::new());
            }
            of_window(storage.0, *dtype, &window.shape, &window.strides, window.offset)
                .map(|piece| vec![piece])
        }
        Step::Cast { of: source, .. } => {
            let pieces = of(*source)?;
            (pieces.is_empty() || shapes[*source as usize].dtype == shapes[place].dtype)
                .then(|| pieces.clone())
        }
        Step::Cat { dim, parts } => {
            let inner = |extents: &[u64]| extents[*dim as usize..].iter().product::<u64>();
            let row = inner(&shapes[place].extents);
            let mut out = Vec::new();
            let mut start = 0;
            for part in parts {
                let own = inner(&shapes[*part as usize].extents);
                for piece in of(*part)? {
                    out.push(relocate(piece, own, row, start)?);
                }
                start += own;
                if out.len() > MOST_PIECES {
                    return None;
                }
            }
            Some(out)
        }
        Step::View { of: source, window } => {
            let pieces = of(*source)?;
            let all = shapes[*source as usize].elements;
            if pieces.is_empty() || (window.offset == 0 && window.is_dense() && window.elements() == all) {
                return Some(pieces.clone());
            }
            if window.shape.contains(&0) {
                return Some(Vec::new());
            }
            look_through(pieces, window)
        }
        Step::IndexSelect { of: source, dim, index } => {
            if shapes[place].elements == 0 {
                return Some(Vec::new());
            }
            let rows = entries(steps.get(*index as usize)?, shapes[*index as usize].elements)?;
            let extents = &shapes[*source as usize].extents;
            let strides = Tensor::contiguous_strides(extents)?;
            let row_extents = shapes[place].extents.iter().enumerate();
            let shape: Vec<u64> =
                row_extents.map(|(d, &extent)| if d == *dim as usize { 1 } else { extent }).collect();
            let outer = Tensor::contiguous_strides(&shapes[place].extents)?;
            let mut out = Vec::new();
            for (at, entry) in rows.into_iter().enumerate() {
                let offset = entry.checked_mul(strides[*dim as usize])?;
                let window = Window { shape: shape.clone(), strides: strides.clone(), offset };
                let start = outer[*dim as usize].checked_mul(at as u64)?;
                for piece in look_through(of(*source)?, &window)? {
                    out.push(replace_rows(piece, &shape, &outer, start)?);
                }
                if out.len() > MOST_PIECES {
                    return None;
                }
            }
            Some(out)
        }
        Step::Assign { base, window, value } => {
            if !of(*base)?.is_empty() {
                return None;
            }
            let mut out = Vec::new();
            for piece in of(*value)? {
                let outer: Vec<Carried> = piece
                    .dims
                    .iter()
                    .map(|dim| Carried { extent: dim.extent, step: dim.to, carry: dim.from })
                    .collect();
                let (dims, to) = compose(window, &outer, piece.to)?;
                let dims =
                    dims.into_iter().map(|dim| Dim { extent: dim.extent, from: dim.carry, to: dim.step });
                out.push(Piece { to, dims: dims.collect(), ..piece.clone() });
            }
            Some(out)
        }
        _ => {
            let plain = step.operands().into_iter().all(|id| of(id).is_some_and(Vec::is_empty));
            plain.then(Vec::new)
        }
    }
}

/// The entries that an index of plain numbers chooses.
fn entries(index: &Step, count: u64) -> Option<Vec<u64>> {
    if count > MOST_PIECES as u64 {
        return None;
    }
    match index {
        Step::Arange { start: Scalar::Int(start), step: Scalar::Int(step), .. } => {
            let entry = |place| start.checked_add(step.checked_mul(place)?);
            (0..count as i64).map(|place| u64::try_from(entry(place)?).ok()).collect()
        }
        Step::Literal { dtype: Dtype::I64, bytes, .. } => {
            let numbers =
                bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("chunks are exact")));
            numbers.map(|entry| u64::try_from(entry).ok()).collect()
        }
        _ => None,
    }
}

/// A piece of one row, dense in `shape`, put where the row stands among all.
fn replace_rows(piece: Piece, shape: &[u64], outer: &[u64], start: u64) -> Option<Piece> {
    let row = Window { shape: shape.to_vec(), strides: outer.to_vec(), offset: start };
    let inner: Vec<Carried> =
        piece.dims.iter().map(|dim| Carried { extent: dim.extent, step: dim.to, carry: dim.from }).collect();
    let (dims, to) = compose(&row, &inner, piece.to)?;
    let dims = dims.into_iter().map(|dim| Dim { extent: dim.extent, from: dim.carry, to: dim.step });
    Some(Piece { to, dims: dims.collect(), ..piece })
}

/// A piece of one part of a join: rows of `own` elements become rows of `row` that begin at `start`.
fn relocate(piece: &Piece, own: u64, row: u64, start: u64) -> Option<Piece> {
    if own == 0 {
        return None;
    }
    let mut reach = piece.to % own;
    let mut dims = piece.dims.clone();
    for dim in &mut dims {
        if dim.to >= own {
            if dim.to % own != 0 {
                return None;
            }
            dim.to = (dim.to / own).checked_mul(row)?;
        } else {
            reach = reach.checked_add((dim.extent - 1).checked_mul(dim.to)?)?;
        }
    }
    let to = (piece.to / own).checked_mul(row)?.checked_add(start)?.checked_add(piece.to % own)?;
    (reach < own).then(|| Piece { to, dims, ..piece.clone() })
}

/// The pieces that a window shows, if it shows one of them, which lies densely.
fn look_through(pieces: &[Piece], window: &Window) -> Option<Vec<Piece>> {
    let mut last = window.offset;
    for (extent, stride) in window.shape.iter().zip(&window.strides) {
        last = last.checked_add((extent - 1).checked_mul(*stride)?)?;
    }
    let dense = Tensor::contiguous_strides(&window.shape)?;
    let dims = window.shape.iter().zip(&window.strides).zip(dense);
    let outer: Vec<Carried> = dims.map(|((&extent, &step), carry)| Carried { extent, step, carry }).collect();
    let mut found = Vec::new();
    for piece in pieces {
        let (start, count) = (piece.to, piece.elements()?);
        let mut expected = 1;
        for dim in piece.dims.iter().rev() {
            if dim.to != expected {
                return None;
            }
            expected = expected.checked_mul(dim.extent)?;
        }
        if last < start || window.offset >= start.checked_add(count)? {
            continue;
        }
        if window.offset < start || last >= start.checked_add(count)? {
            return None;
        }
        let inner = Window {
            shape: piece.dims.iter().map(|dim| dim.extent).collect(),
            strides: piece.dims.iter().map(|dim| dim.from).collect(),
            offset: piece.from,
        };
        let (dims, from) = compose(&inner, &outer, window.offset - start)?;
        let dims = dims.into_iter().map(|dim| Dim { extent: dim.extent, from: dim.step, to: dim.carry });
        found.push(Piece { from, to: 0, dims: dims.collect(), ..piece.clone() });
    }
    Some(found)
}

/// A dimension with a step in the row that is looked at, and another that goes along.
#[derive(Debug, Clone, Copy)]
struct Carried {
    extent: u64,
    step: u64,
    carry: u64,
}

/// Steps through the dense row of a window's elements, as steps through what the window looks at.
fn compose(inner: &Window, outer: &[Carried], offset: u64) -> Option<(Vec<Carried>, u64)> {
    let dense = Tensor::contiguous_strides(&inner.shape)?;
    let mut reach: Vec<u64> = Vec::with_capacity(dense.len());
    let mut at = inner.offset;
    for ((&extent, &stride), &row) in inner.shape.iter().zip(&inner.strides).zip(&dense) {
        let digit = (offset / row) % extent.max(1);
        at = at.checked_add(digit.checked_mul(stride)?)?;
        reach.push(digit);
    }
    let mut out = Vec::new();
    // Small steps first, so that a dimension that is filled carries into the next.
    let mut outer = outer.to_vec();
    outer.sort_by_key(|dim| dim.step);
    for mut dim in outer {
        while dim.extent > 1 {
            let fits = |k: &usize| {
                inner.shape[*k] > 1 && dim.step % dense[*k] == 0 && dim.step / dense[*k] < inner.shape[*k]
            };
            let k = (0..dense.len()).find(fits)?;
            let (extent, quotient) = (inner.shape[k], dim.step / dense[k]);
            if quotient == 0 {
                return None;
            }
            let whole = quotient.checked_mul(dim.extent - 1)?.checked_add(reach[k])?;
            if whole < extent {
                out.push(Carried { step: quotient.checked_mul(inner.strides[k])?, ..dim });
                reach[k] = whole;
                break;
            }
            let count = extent / quotient;
            if extent % quotient != 0 || reach[k] >= quotient || dim.extent % count != 0 || count < 2 {
                return None;
            }
            out.push(Carried {
                extent: count,
                step: quotient.checked_mul(inner.strides[k])?,
                carry: dim.carry,
            });
            reach[k] += quotient * (count - 1);
            dim = Carried {
                extent: dim.extent / count,
                step: dim.step.checked_mul(count)?,
                carry: dim.carry.checked_mul(count)?,
            };
        }
    }
    Some((out, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::engine::UnaryOp;
    use crate::value::StorageId;

    const ITEMS: u64 = 24;

    fn storages() -> Vec<Storage> {
        vec![Storage { key: "0".into(), bytes: ITEMS * 4 }, Storage { key: "1".into(), bytes: ITEMS * 4 }]
    }

    fn load(storage: u32, shape: &[u64], strides: &[u64], offset: u64) -> Step {
        let window = window(shape, strides, offset);
        Step::Load { storage: StorageId(storage), dtype: Dtype::F32, window }
    }

    fn window(shape: &[u64], strides: &[u64], offset: u64) -> Window {
        Window { shape: shape.to_vec(), strides: strides.to_vec(), offset }
    }

    /// Where each element of the result came from, as the pieces say.
    fn told(steps: Vec<Step>) -> Option<Vec<(u64, u32, u64)>> {
        let pieces = Origin::of_expr(&Expr { steps }, &storages()).pieces;
        let mut out = Vec::new();
        for piece in pieces? {
            let mut all = vec![(piece.to, piece.from)];
            for dim in &piece.dims {
                all = all
                    .iter()
                    .flat_map(|(to, from)| {
                        (0..dim.extent).map(move |i| (to + i * dim.to, from + i * dim.from))
                    })
                    .collect();
            }
            out.extend(all.into_iter().map(|(to, from)| (to, piece.storage, from)));
        }
        out.sort_unstable();
        Some(out)
    }

    /// The same, found by evaluating the expression on storages that hold their own places.
    fn seen(steps: Vec<Step>) -> Vec<(u64, u32, u64)> {
        struct Places;
        impl crate::migration::engine::StorageBytes for Places {
            fn read(&mut self, storage: StorageId, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
                for (i, item) in buffer.chunks_exact_mut(4).enumerate() {
                    let place = offset as u32 / 4 + i as u32 + 1 + 100 * storage.0;
                    item.copy_from_slice(&place.to_le_bytes());
                }
                Ok(())
            }
        }
        let mut bytes = Vec::new();
        let mut sink = |part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok(())
        };
        crate::migration::engine::evaluate(&Expr { steps }, &mut Places, &mut sink).unwrap();
        let items = bytes.chunks_exact(4).map(|item| u32::from_le_bytes(item.try_into().unwrap()));
        let old = (0u64..).zip(items).filter(|(_, item)| *item != 0);
        old.map(|(to, item)| (to, (item - 1) / 100, u64::from((item - 1) % 100))).collect()
    }

    #[track_caller]
    fn agree(steps: Vec<Step>) {
        assert_eq!(told(steps.clone()).expect("only moves elements"), seen(steps));
    }

    #[test]
    fn moved_elements_are_followed() {
        agree(vec![load(0, &[4, 6], &[6, 1], 0)]);
        agree(vec![load(0, &[6, 4], &[1, 6], 0)]);
        agree(vec![load(0, &[2, 3], &[6, 1], 7)]);
        // A transposed copy, seen as one row, then in threes.
        agree(vec![
            load(0, &[6, 4], &[1, 6], 0),
            Step::View { of: 0, window: window(&[24], &[1], 0) },
            Step::View { of: 1, window: window(&[6, 2], &[4, 1], 2) },
        ]);
        agree(vec![load(0, &[6, 4], &[1, 6], 0), Step::View { of: 0, window: window(&[2, 4], &[12, 1], 4) }]);
    }

    #[test]
    fn joined_elements_are_followed_along_any_dimension() {
        for dim in 0..2 {
            agree(vec![
                load(0, &[2, 3], &[3, 1], 6),
                load(1, &[2, 3], &[1, 2], 0),
                Step::Cat { dim, parts: vec![0, 1] },
            ]);
        }
        agree(vec![
            load(0, &[2, 3], &[3, 1], 6),
            load(1, &[4, 3], &[1, 4], 0),
            Step::Cat { dim: 0, parts: vec![0, 1] },
            Step::View { of: 2, window: window(&[3, 3], &[3, 1], 6) },
        ]);
    }

    #[test]
    fn elements_put_into_a_fresh_tensor_are_followed() {
        let full = Step::Full { dtype: Dtype::F32, shape: vec![5, 6], value: Scalar::Float(0.0) };
        agree(vec![
            full,
            load(0, &[3, 4], &[4, 1], 0),
            Step::Assign { base: 0, window: window(&[3, 4], &[6, 1], 7), value: 1 },
        ]);
    }

    #[test]
    fn what_was_worked_out_is_told_with_its_sources() {
        let steps = vec![load(1, &[4], &[1], 2), Step::Unary { op: UnaryOp::Neg, of: 0 }];
        let origin = Origin::of_expr(&Expr { steps }, &storages());
        let sources = vec![Span { storage: 1, start: 8, end: 24 }];
        assert_eq!(origin, Origin { sources, pieces: None });
        let half = vec![load(0, &[4], &[1], 0), Step::Cast { of: 0, dtype: Dtype::F16 }];
        assert_eq!(told(half), None);
    }

    #[test]
    fn chosen_rows_are_followed() {
        let arange = |start, step| Step::Arange {
            dtype: Dtype::I64,
            count: 2,
            start: Scalar::Int(start),
            step: Scalar::Int(step),
        };
        let select = |dim| Step::IndexSelect { of: 0, dim, index: 1 };
        // Two rows of three in turn, then two columns.
        let flipped = told(vec![load(0, &[2, 3], &[3, 1], 0), arange(1, -1), select(0)]).unwrap();
        let from: Vec<u64> = flipped.iter().map(|found| found.2).collect();
        assert_eq!(from, [3, 4, 5, 0, 1, 2]);
        assert_eq!(told(vec![load(0, &[2, 0], &[1, 1], 0), arange(1, -1), select(0)]), Some(Vec::new()));
        let columns = told(vec![load(0, &[2, 3], &[3, 1], 0), arange(2, -2), select(1)]).unwrap();
        let from: Vec<u64> = columns.iter().map(|found| found.2).collect();
        assert_eq!(from, [2, 0, 5, 3]);
    }

    #[test]
    fn what_was_made_of_nothing_has_no_sources() {
        let steps = vec![Step::Full { dtype: Dtype::F32, shape: vec![3], value: Scalar::Int(1) }];
        let origin = Origin::of_expr(&Expr { steps }, &storages());
        assert_eq!(origin, Origin { sources: Vec::new(), pieces: Some(Vec::new()) });
    }
}
