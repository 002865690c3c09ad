//! Tensors that lie in pieces, in a folder of shards, as the tensors that they are.

use std::collections::{BTreeMap, BTreeSet};

use crate::format::{Format, WholeTensor, folder_piece, whole_tensor};
use crate::object::ObjectId;
use crate::snapshot::{SnapshotError, Tree, read_graph};
use crate::store::Reader;
use crate::value::{Graph, Kind, NodeId, Path, StorageId, walk};

use super::diff::{ChangedTensor, DiffReport, MovedTensor, TensorEntry};
use super::numbers::View;

fn view(tree: &Tree) -> Option<&str> {
    tree.attributes.get("view").map(String::as_str)
}

/// Whether tensors lie in pieces.
pub(super) fn is_sharded(tree: &Tree) -> bool {
    tree.tensors.iter().any(|tensor| folder_piece(view(tree), &tensor.path).is_some())
}

/// Number of tensors, one in pieces counted once.
pub(super) fn count(tree: &Tree) -> u64 {
    if is_sharded(tree) { whole_tensors(tree).len() as u64 } else { tree.tensors.len() as u64 }
}

/// A tensor, and the stored bytes that it is made of; none where these are no plain numbers.
pub(super) struct Listed {
    pub entry: TensorEntry,
    pub views: Vec<View>,
}

/// The tensors of a tree; one that lies in pieces is one tensor, as large as its pieces reach.
pub(super) fn whole_tensors(tree: &Tree) -> Vec<Listed> {
    let mut tensors: Vec<Listed> = Vec::with_capacity(tree.tensors.len());
    for tensor in &tree.tensors {
        let entry = TensorEntry::from(tensor);
        let views = vec![View::of(tree, tensor)];
        let piece =
            folder_piece(view(tree), &tensor.path).filter(|(_, begin)| begin.len() == entry.shape.len());
        let Some((path, begin)) = piece else {
            tensors.push(Listed { entry, views });
            continue;
        };
        let ends = begin.iter().zip(&entry.shape).map(|(begin, extent)| begin.saturating_add(*extent));
        match tensors.last_mut() {
            Some(Listed { entry: last, views: known })
                if last.path == path && last.shape.len() == begin.len() =>
            {
                known.extend(views);
                last.shape.iter_mut().zip(ends).for_each(|(extent, end)| *extent = end.max(*extent));
                last.bytes = last.bytes.saturating_add(entry.bytes);
                last.pieces += 1;
            }
            _ => {
                let entry = TensorEntry { path, shape: ends.collect(), pieces: 1, ..entry };
                tensors.push(Listed { entry, views });
            }
        }
    }
    tensors
}

/// What became of the pieces of one tensor of the second tree.
#[derive(Default)]
struct Pieces {
    /// How many are not where and what they were.
    touched: u64,
    /// How many came from another tensor, by that tensor.
    moved: BTreeMap<Path, u64>,
    /// The largest and the mean difference of those that could be compared, and their elements.
    differences: Vec<(f64, f64, f64)>,
}

impl Pieces {
    /// The largest and the mean difference of a tensor of so many elements, if all its pieces could be compared.
    fn difference(&self, elements: f64) -> Option<(f64, f64)> {
        let largest = self.differences.iter().map(|(largest, ..)| *largest).fold(0.0, f64::max);
        let sum: f64 = self.differences.iter().map(|(_, mean, elements)| mean * elements).sum();
        (self.differences.len() as u64 == self.touched).then_some((largest, sum / elements.max(1.0)))
    }
}

/// A tensor of several, and what they hold.
#[derive(Debug)]
struct Whole {
    entry: TensorEntry,
    /// How many of the tree's tensors it is made of.
    pieces: u64,
    /// All that it looks into, where a tensor of the tree may not tell.
    content: Vec<ObjectId>,
}

impl Whole {
    /// Whether it is of the same type and shape, and looks into the same.
    fn is_like(&self, other: &Whole) -> bool {
        let (one, other_entry) = (&self.entry, &other.entry);
        self.content == other.content
            && (one.dtype, &one.shape, &one.kind)
                == (other_entry.dtype, &other_entry.shape, &other_entry.kind)
    }
}

/// The tensors of a tree that are made of several, by their places: those in pieces, and sparse, quantized and other
/// tensors that torch puts together.
#[derive(Debug, Default)]
pub(super) struct Wholes(BTreeMap<Path, Whole>);

impl Wholes {
    /// Finds them.
    ///
    /// # Errors
    ///
    /// If an object is missing or damaged.
    pub fn of(reader: &Reader<'_>, tree: &Tree) -> Result<Wholes, SnapshotError> {
        let mut wholes = Wholes::in_pieces(tree);
        let keeps_objects = Format::from_name(&tree.format).is_some_and(Format::keeps_objects);
        if !keeps_objects {
            return Ok(wholes);
        }
        let (graph, _) = read_graph(reader, tree)?;
        for place in walk(&graph).filter(|place| !place.repeated) {
            let Some(WholeTensor { dtype, shape, kind }) = whole_tensor(&graph, place.node) else { continue };
            if wholes.above(&place.path.torch_name()).is_some() {
                continue;
            }
            let path = place.path.torch_name();
            let content = storages_below(&graph, place.node);
            let content =
                content.into_iter().filter_map(|id| Some(tree.storages.get(id.index())?.content.object));
            let entry = TensorEntry {
                path: path.clone(),
                dtype,
                shape,
                bytes: 0,
                pieces: 0,
                kind,
                same_as: None,
                stats: None,
            };
            wholes.0.insert(path, Whole { entry, pieces: 0, content: content.collect() });
        }
        for tensor in &tree.tensors {
            if let Some(whole) = wholes.above(&tensor.path.torch_name())
                && let Some(whole) = wholes.0.get_mut(&whole).filter(|whole| whole.entry.pieces == 0)
            {
                whole.pieces += 1;
                whole.entry.bytes = whole.entry.bytes.saturating_add(tensor.bytes());
            }
        }
        Ok(wholes)
    }

    /// Those that lie in pieces.
    fn in_pieces(tree: &Tree) -> Wholes {
        let whole =
            whole_tensors(tree).into_iter().map(|tensor| tensor.entry).filter(|tensor| tensor.pieces > 0);
        let whole = whole.map(|entry| {
            let pieces = entry.pieces;
            (entry.path.clone(), Whole { entry, pieces, content: Vec::new() })
        });
        Wholes(whole.collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tensor that a place is a part of.
    fn above(&self, place: &Path) -> Option<Path> {
        let mut text = place.as_str();
        loop {
            if let Some((path, _)) = self.0.get_key_value(&Path::parse(text)) {
                return Some(path.clone());
            }
            text = text.rsplit_once('/')?.0;
        }
    }
}

/// The storages that a node and what is below it look into.
fn storages_below(graph: &Graph, id: NodeId) -> Vec<StorageId> {
    let (mut seen, mut todo, mut out) = (BTreeSet::new(), vec![id], Vec::new());
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        match graph.kind(id) {
            Kind::Storage(storage) => out.push(storage.storage),
            Kind::Tensor(tensor) => out.push(tensor.storage.storage),
            _ => {}
        }
        todo.extend(graph.children(id).into_iter().rev());
    }
    out
}

/// Tells of tensors where a report tells of their pieces.
pub(super) fn join(report: &mut DiffReport, before: &Wholes, after: &Wholes) {
    let (was_in, is_in) = (|place: &Path| before.above(place), |place: &Path| after.above(place));
    let (before, after) = (&before.0, &after.0);
    let elements = |shape: &[u64]| shape.iter().map(|extent| *extent as f64).product::<f64>();

    let mut wholes: BTreeMap<Path, Pieces> = BTreeMap::new();
    for piece in report.added.extract_if(.., |tensor| is_in(&tensor.path).is_some()) {
        wholes.entry(is_in(&piece.path).expect("it is a piece")).or_default().touched += 1;
    }
    let mut gone: BTreeSet<Path> = report
        .removed
        .extract_if(.., |tensor| was_in(&tensor.path).is_some())
        .filter_map(|t| was_in(&t.path))
        .collect();
    let is_piece = |moved: &mut MovedTensor| was_in(&moved.from).is_some() && is_in(&moved.to).is_some();
    for piece in report.renamed.extract_if(.., is_piece) {
        let from = was_in(&piece.from).expect("it is a piece");
        let pieces = wholes.entry(is_in(&piece.to).expect("it is a piece")).or_default();
        pieces.touched += 1;
        *pieces.moved.entry(from.clone()).or_default() += 1;
        gone.insert(from);
    }
    for changes in [&mut report.changed, &mut report.cast] {
        for piece in changes.extract_if(.., |changed| is_in(&changed.path).is_some()) {
            let pieces = wholes.entry(is_in(&piece.path).expect("it is a piece")).or_default();
            pieces.touched += 1;
            if let (Some(largest), Some(mean)) = (piece.max_abs_difference, piece.mean_abs_difference) {
                pieces.differences.push((largest, mean, elements(&piece.shape[1])));
            }
        }
    }
    // One of which pieces went, and nothing else, is not the same.
    for path in gone.iter().filter(|path| after.contains_key(*path)) {
        wholes.entry(path.clone()).or_default();
    }

    // What no tensor of the tree looks into was not compared yet.
    for (path, is) in after {
        match before.get(path) {
            Some(was) if was.is_like(is) => {}
            Some(_) => wholes.entry(path.clone()).or_default().touched = is.pieces,
            None if is.pieces == 0 => {
                let mut lost =
                    before.iter().filter(|(path, was)| !after.contains_key(*path) && was.is_like(is));
                let from = lost.next().map(|(from, _)| (from.clone(), 0));
                wholes.entry(path.clone()).or_default().moved.extend(from);
            }
            None => {}
        }
    }
    let is_gone = |(path, was): &(&Path, &Whole)| was.pieces == 0 && !after.contains_key(*path);
    gone.extend(before.iter().filter(is_gone).map(|(path, _)| path.clone()));

    for (path, is) in after {
        let touched = wholes.get(path).map_or(0, |pieces| pieces.touched);
        report.same = report.same.saturating_sub(is.pieces.saturating_sub(touched));
        report.same += u64::from(!wholes.contains_key(path));
    }
    for (path, pieces) in wholes {
        let Some(is) = after.get(&path) else { continue };
        let is = (is.pieces, &is.entry);
        if let Some(was) = before.get(&path).map(|was| &was.entry) {
            gone.remove(&path);
            let is = is.1;
            // Where elements lie and what they are is not one number.
            let is_comparable = was.shape == is.shape && is.kind.is_empty();
            let difference = pieces.difference(elements(&is.shape)).filter(|_| is_comparable);
            let changed = ChangedTensor {
                path,
                dtype: [was.dtype.name(), is.dtype.name()],
                shape: [was.shape.clone(), is.shape.clone()],
                max_abs_difference: difference.map(|(largest, _)| largest),
                mean_abs_difference: difference.map(|(_, mean)| mean),
            };
            let is_cast = was.dtype != is.dtype && was.shape == is.shape;
            if is_cast { report.cast.push(changed) } else { report.changed.push(changed) }
        } else if let Some((from, _)) = pieces.moved.iter().find(|(_, count)| **count == is.0) {
            gone.remove(from);
            report.renamed.push(MovedTensor { from: from.clone(), to: path });
        } else {
            report.added.push(is.1.clone());
        }
    }
    report.removed.extend(gone.iter().filter_map(|path| before.get(path)).map(|was| was.entry.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Stored, TreeStorage, TreeTensor};
    use crate::value::Dtype;

    /// The tree of a distributed checkpoint with these places and numbers of rows.
    fn tree(tensors: &[(&str, u64)]) -> Tree {
        let nothing = Stored { object: ObjectId::from(blake3::hash(b"")), bytes: 0 };
        let tensors = tensors.iter().map(|(path, rows)| TreeTensor {
            path: Path::parse(path),
            dtype: Dtype::F32,
            shape: vec![*rows],
            strides: vec![1],
            offset: 0,
            storage: 0,
        });
        Tree {
            format: "folder".to_owned(),
            attributes: BTreeMap::from([("view".to_owned(), "dcp".to_owned())]),
            skeleton: nothing,
            extras: Vec::new(),
            storages: vec![TreeStorage { key: "0".to_owned(), content: nothing, crc32: 0 }],
            literals: nothing,
            parts: Vec::new(),
            tensors: tensors.collect(),
        }
    }

    fn report(same: u64) -> DiffReport {
        let id = ObjectId::from(blake3::hash(b""));
        DiffReport {
            from: id,
            to: id,
            added: Vec::new(),
            removed: Vec::new(),
            renamed: Vec::new(),
            cast: Vec::new(),
            changed: Vec::new(),
            same,
            values: Vec::new(),
            files: Vec::new(),
        }
    }

    #[test]
    fn differences_of_pieces_are_one_of_their_tensor() {
        let both = tree(&[("w/at 0", 4), ("w/at 4", 2), ("v/at 0", 4), ("b", 3)]);
        let mut report = report(3);
        report.changed.push(ChangedTensor {
            path: Path::parse("w/at 4"),
            dtype: ["float32"; 2],
            shape: [vec![2], vec![2]],
            max_abs_difference: Some(6.0),
            mean_abs_difference: Some(3.0),
        });
        let both = Wholes::in_pieces(&both);
        join(&mut report, &both, &both);
        let [changed] = report.changed.as_slice() else { panic!("{report:?}") };
        assert_eq!((changed.path.as_str(), &changed.shape), ("w", &[vec![6], vec![6]]));
        assert_eq!((changed.max_abs_difference, changed.mean_abs_difference), (Some(6.0), Some(1.0)));
        assert_eq!(report.same, 2);
    }

    #[test]
    fn a_tensor_in_other_pieces_has_changed_and_one_under_another_name_has_moved() {
        let old = tree(&[("w/at 0", 6), ("a/at 0", 1), ("a/at 1", 1)]);
        let new = tree(&[("w/at 0", 3), ("w/at 3", 3), ("b/at 0", 1), ("b/at 1", 1)]);
        let mut report = report(0);
        report.removed.push((&old.tensors[0]).into());
        report.added.extend(new.tensors[..2].iter().map(TensorEntry::from));
        for place in ["at 0", "at 1"] {
            let (from, to) = (Path::parse("a").join(place), Path::parse("b").join(place));
            report.renamed.push(MovedTensor { from, to });
        }
        join(&mut report, &Wholes::in_pieces(&old), &Wholes::in_pieces(&new));
        let [changed] = report.changed.as_slice() else { panic!("{report:?}") };
        assert_eq!((changed.path.as_str(), changed.max_abs_difference), ("w", None));
        assert_eq!(report.renamed, [MovedTensor { from: Path::parse("a"), to: Path::parse("b") }]);
        assert!(report.added.is_empty() && report.removed.is_empty() && report.same == 0, "{report:?}");
    }
}
