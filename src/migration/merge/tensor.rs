//! Tensors that the migration took away: dropped, or taken over into others from which they can be put
//! together again.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::super::engine::{Expr, Scalar, Step, Window};
use super::super::{ChangeRecord, Dim, Piece, Span};
use super::cover::{Run, tiles};
use super::pair::{Index, Pairs};
use super::{Conflict, Side, same_form};
use crate::value::{Graph, Kind, NodeId, StorageId, StorageRef, Tensor};

/// What became of a tensor that the migration took away.
#[derive(Debug, Clone)]
pub(super) enum Fate {
    /// The stored one returns: nothing was made of it, or what was made of it is as it was.
    Stored,
    /// It is put together from present tensors.
    Rebuilt {
        /// The bytes of its storage that it spans.
        span: Span,
        /// Which present tensors hold its elements.
        parts: Vec<Part>,
    },
    /// It was trained in a form that does not lead back.
    Lost(Conflict),
}

/// Elements of a present tensor that belong to an old one.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// The present tensor.
    present: NodeId,
    /// From the old storage's elements to the present tensor's, in dense rows.
    piece: Piece,
}

/// How a tensor after the migration uses an old storage.
struct Use {
    after: NodeId,
    span: Span,
    /// Which elements, where each is an old one.
    piece: Option<Piece>,
    /// Whether it is a tensor that went through the migration as it was.
    survived: bool,
}

/// The fates of all tensors that were taken away.
pub(super) struct Fates {
    fates: HashMap<NodeId, Fate>,
    /// Tensors after the migration whose elements found their way back, and those that do not lead back.
    used: HashSet<NodeId>,
    lost: HashSet<NodeId>,
}

impl Fates {
    pub fn of(
        sides: [&Side<'_>; 3],
        [old, new]: [&Index; 2],
        migration: &Pairs,
        training: &Pairs,
        record: &ChangeRecord,
    ) -> Result<Fates, Conflict> {
        let [before, after, present] = sides;
        let uses = uses(before.graph, after.graph, new, migration, record)?;
        let mut by_storage: HashMap<u32, Vec<&Use>> = HashMap::new();
        for found in &uses {
            by_storage.entry(found.span.storage).or_default().push(found);
        }
        let judge = Judge { after, present, new, training };
        let mut fates = Fates { fates: HashMap::new(), used: HashSet::new(), lost: HashSet::new() };
        for id in old.nodes() {
            let Some(tensor) = before.graph.as_tensor(id) else { continue };
            let own = Piece::of_tensor(tensor, tensor.storage.storage.0);
            let met = |span: &Span| -> Vec<&Use> {
                let meets = |found: &&&Use| found.span.start < span.end && span.start < found.span.end;
                by_storage.get(&span.storage).into_iter().flatten().filter(meets).copied().collect()
            };
            if let Some(now) = migration.forth(id) {
                // One that stood at several places and left some of them may go on in copies there.
                if old.count(id) > new.count(now)
                    && let Some(span) = own.as_ref().and_then(Piece::span)
                {
                    judge.check_copies(&met(&span))?;
                }
                continue;
            }
            let fate = match own.as_ref().and_then(|own| Some((own, own.span()?))) {
                None => Fate::Stored,
                Some((own, span)) => {
                    let met = met(&span);
                    let fate = judge.fate(own, span, &met, &mut fates.used);
                    if let Fate::Lost(_) = fate {
                        fates.lost.extend(met.iter().map(|found| found.after));
                    }
                    fate
                }
            };
            fates.fates.insert(id, fate);
        }
        Ok(fates)
    }

    /// What became of a tensor that was taken away.
    pub fn get(&self, id: NodeId) -> Option<&Fate> {
        self.fates.get(&id)
    }

    /// Whether a tensor after the migration was computed from one that cannot be had back from it.
    pub fn is_lost(&self, after: NodeId) -> bool {
        self.lost.contains(&after)
    }

    /// Whether elements of a tensor after the migration found their way back.
    pub fn is_used(&self, after: NodeId) -> bool {
        self.used.contains(&after)
    }
}

struct Judge<'a> {
    after: &'a Side<'a>,
    present: &'a Side<'a>,
    new: &'a Index,
    training: &'a Pairs,
}

impl Judge<'_> {
    fn fate(&self, own: &Piece, span: Span, met: &[&Use], used: &mut HashSet<NodeId>) -> Fate {
        let is_changed = |found: &&&Use| match self.training.forth(found.after) {
            Some(now) => !self.after.same_tensor(found.after, self.present, now),
            None => true,
        };
        let Some(first) = met.iter().find(is_changed) else { return Fate::Stored };
        // What went through as it was has the tensor's very memory and comes before copies.
        let survivors: Vec<&Use> = met.iter().filter(|found| found.survived).copied().collect();
        let mut conflict = Conflict::Computed { path: self.new.path(first.after) };
        if !survivors.is_empty()
            && let Err(found) = self.check_copies(met)
        {
            return Fate::Lost(found);
        }
        for chosen in [survivors.as_slice(), met] {
            match self.put_together(own, span, chosen) {
                Ok(Some(parts)) => {
                    used.extend(met.iter().map(|found| found.after));
                    return Fate::Rebuilt { span, parts };
                }
                Ok(None) => {}
                Err(found) => conflict = found,
            }
        }
        Fate::Lost(conflict)
    }

    /// Refuses copies that were trained apart from the tensor that went through as it was.
    fn check_copies(&self, met: &[&Use]) -> Result<(), Conflict> {
        let memory = |found: &Use| {
            let now = self.training.forth(found.after)?;
            Some(self.present.graph.as_tensor(now)?.storage.storage)
        };
        let Some(survivor) = met.iter().find(|found| found.survived) else { return Ok(()) };
        let kept: HashSet<StorageId> =
            met.iter().filter(|found| found.survived).filter_map(|found| memory(found)).collect();
        for copy in met.iter().filter(|found| !found.survived) {
            let same = match self.training.forth(copy.after) {
                Some(now) => self.after.same_tensor(copy.after, self.present, now),
                None => false,
            };
            if !same && memory(copy).is_none_or(|storage| !kept.contains(&storage)) {
                let (path, other) = (self.new.path(survivor.after), self.new.path(copy.after));
                return Err(Conflict::Apart { path, other });
            }
        }
        Ok(())
    }

    /// The parts that make the tensor, if there are such.
    fn put_together(&self, own: &Piece, span: Span, chosen: &[&Use]) -> Result<Option<Vec<Part>>, Conflict> {
        let item = own.dtype.item_bytes();
        let total = (span.end - span.start) / item;
        let run = |piece: &Piece| -> Run {
            let dims = piece.dims.iter().map(|dim| (dim.extent, dim.from));
            (piece.from.saturating_sub(span.start / item), dims.collect())
        };
        if !tiles(total, &[run(own)]) {
            return Ok(None);
        }
        let mut parts: Vec<(&Use, Part)> = Vec::new();
        // Parts by the elements that they take, of which copies take the same.
        let mut taken: HashMap<(u64, Vec<(u64, u64)>), usize> = HashMap::new();
        for found in chosen {
            let Some(piece) = &found.piece else { continue };
            if piece.dtype != own.dtype || found.span.start < span.start || found.span.end > span.end {
                continue;
            }
            let path = || self.new.path(found.after);
            let missing = || Conflict::Missing { path: path() };
            let now = self.training.forth(found.after).ok_or_else(missing)?;
            let (then, tensor) = (self.after.graph.as_tensor(found.after), self.present.graph.as_tensor(now));
            match (then, tensor) {
                (Some(then), Some(tensor)) if same_form(then, tensor) => {}
                _ => return Err(Conflict::Shape { path: path() }),
            }
            let mut elements: Vec<(u64, u64)> = piece.dims.iter().map(|dim| (dim.from, dim.extent)).collect();
            elements.sort_unstable();
            match taken.entry((piece.from, elements)) {
                Entry::Vacant(entry) => {
                    entry.insert(parts.len());
                    parts.push((found, Part { present: now, piece: piece.clone() }));
                }
                Entry::Occupied(entry) => {
                    let (other, part) = &parts[*entry.get()];
                    let equal = part.piece.to == piece.to
                        && part.piece.dims == piece.dims
                        && self.present.same_tensor(part.present, self.present, now);
                    if !equal {
                        return Err(Conflict::Apart { path: self.new.path(other.after), other: path() });
                    }
                }
            }
        }
        let runs: Vec<Run> = parts.iter().map(|(_, part)| run(&part.piece)).collect();
        Ok(tiles(total, &runs).then(|| parts.into_iter().map(|(_, part)| part).collect()))
    }
}

/// Every use of an old storage by a tensor after the migration.
fn uses(
    before: &Graph,
    after: &Graph,
    new: &Index,
    migration: &Pairs,
    record: &ChangeRecord,
) -> Result<Vec<Use>, Conflict> {
    let mut out = Vec::new();
    for (was, is) in migration.all() {
        let Some(tensor) = before.as_tensor(was) else { continue };
        let piece = Piece::of_tensor(tensor, tensor.storage.storage.0);
        if let Some(span) = piece.as_ref().and_then(Piece::span) {
            out.push(Use { after: is, span, piece, survived: true });
        }
    }
    for derived in &record.derived {
        let fail = || Conflict::Record { path: derived.place.clone() };
        let found = new.at(&derived.place).iter().copied().find(|id| is_tensor(after, *id));
        let after = found.ok_or_else(fail)?;
        match &derived.pieces {
            Some(pieces) => {
                for piece in pieces {
                    let (span, piece) = (piece.span().ok_or_else(fail)?, Some(piece.clone()));
                    out.push(Use { after, span, piece, survived: false });
                }
            }
            None => {
                let spans = derived.sources.iter();
                out.extend(spans.map(|span| Use { after, span: *span, piece: None, survived: false }));
            }
        }
    }
    out.sort_by_key(|found| (!found.survived, found.span.storage, found.span.start, found.after));
    Ok(out)
}

/// The tensor that parts make: in the present storage where one part is all of it, else over a new one whose
/// bytes are computed.
pub(super) enum Made {
    /// In the storage of a present tensor, from this element on.
    There(StorageRef, u64),
    /// Over a new storage: its bytes, and what it is like.
    New(Expr, StorageRef),
}

/// Puts a tensor together.
pub(super) fn make(tensor: &Tensor, span: Span, parts: &[Part], present: &Graph) -> Option<Made> {
    let first = present.as_tensor(parts.first()?.present)?;
    let item = tensor.dtype.item_bytes();
    let begin = span.start / item;
    let total = (span.end - span.start) / item;
    if let [part] = parts
        && part.piece.dims.iter().all(|dim| dim.from == dim.to)
        && part.piece.from == begin
        && part.piece.to == 0
        && first.is_contiguous()
        && first.elements() == Some(total)
    {
        return Some(Made::There(first.storage.clone(), first.offset));
    }
    let mut parts: Vec<&Part> = parts.iter().collect();
    parts.sort_by_key(|part| part.piece.from);
    let mut steps = Vec::new();
    let mut add = |step: Step| {
        steps.push(step);
        (steps.len() - 1) as u32
    };
    let mut values = Vec::with_capacity(parts.len());
    for part in &parts {
        let source = present.as_tensor(part.present)?;
        let window =
            Window { shape: source.shape.clone(), strides: source.strides.clone(), offset: source.offset };
        let load = add(Step::Load { storage: source.storage.storage, dtype: source.dtype, window });
        // In the order of the old elements, so that runs of them can be joined as they come.
        let mut dims = part.piece.dims.clone();
        dims.sort_by_key(|dim| std::cmp::Reverse(dim.from));
        let side = |stride: fn(&Dim) -> u64, offset: u64| Window {
            shape: dims.iter().map(|dim| dim.extent).collect(),
            strides: dims.iter().map(stride).collect(),
            offset,
        };
        let shown = add(Step::View { of: load, window: side(|dim| dim.to, part.piece.to) });
        values.push((shown, side(|dim| dim.from, part.piece.from - begin)));
    }
    if values.iter().all(|(_, window)| window.is_dense()) {
        let rows: Vec<u32> = values
            .iter()
            .map(|(shown, window)| {
                let flat = Window { shape: vec![window.elements()], strides: vec![1], offset: 0 };
                add(Step::View { of: *shown, window: flat })
            })
            .collect();
        add(Step::Cat { dim: 0, parts: rows });
    } else {
        let mut whole = add(Step::Full { dtype: tensor.dtype, shape: vec![total], value: Scalar::Int(0) });
        for (value, window) in values {
            whole = add(Step::Assign { base: whole, window, value });
        }
    }
    // An untyped storage is as many elements long as bytes.
    let is_untyped = tensor.storage.class.contains("Untyped");
    let storage = StorageRef {
        storage: StorageId(u32::MAX),
        class: tensor.storage.class.clone(),
        location: first.storage.location.clone(),
        elements: if is_untyped { total * item } else { total },
        view: None,
    };
    Some(Made::New(Expr { steps }, storage))
}

/// Whether a node is a tensor.
pub(super) fn is_tensor(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.kind(id), Kind::Tensor(_))
}
