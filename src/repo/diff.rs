//! What differs between two revisions.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use crate::object::ObjectId;
use crate::progress::Progress;
use crate::snapshot::{self, Tree, TreeTensor};
use crate::store::Reader;
use crate::value::{Dtype, Path, is_atom, walk};

use super::files::{FileChange, changed_files};
use super::numbers::{Distance, Elements, View};
use super::summary::Summary;
use super::values::describe;
use super::whole::{self, Wholes};
use super::{Repo, RepoError};

/// A tensor as listed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorEntry {
    /// Where it is in the checkpoint.
    pub path: Path,
    /// Element type.
    #[serde(serialize_with = "name_of")]
    pub dtype: Dtype,
    /// Extent of each dimension.
    pub shape: Vec<u64>,
    /// Length in bytes when its elements lie densely.
    pub bytes: u64,
    /// Number of pieces in which it lies in a folder of shards; 0 where it lies whole.
    #[serde(skip_serializing_if = "is_zero")]
    pub pieces: u64,
    /// What it is where it is no plain tensor: `sparse_coo`, `quantized`, `nested`, `meta`, the name of a class; or
    /// what its elements are where they are no plain numbers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The first place of the same tensor, where this is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<Path>,
    /// What its numbers are like, where that was asked for and its type holds plain numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<Summary>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn name_of<S: serde::Serializer>(dtype: &Dtype, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(dtype.name())
}

impl From<&TreeTensor> for TensorEntry {
    fn from(tensor: &TreeTensor) -> TensorEntry {
        TensorEntry {
            path: tensor.path.torch_name(),
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            bytes: tensor.bytes(),
            pieces: 0,
            kind: String::new(),
            same_as: None,
            stats: None,
        }
    }
}

/// A tensor that has the same content under another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MovedTensor {
    /// Where it was.
    pub from: Path,
    /// Where it is.
    pub to: Path,
}

/// A tensor that is not what it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangedTensor {
    /// Where it is.
    pub path: Path,
    /// Element type before and after.
    pub dtype: [&'static str; 2],
    /// Shape before and after.
    pub shape: [Vec<u64>; 2],
    /// Largest absolute difference of an element; `None` where shapes differ or the type has no numbers.
    pub max_abs_difference: Option<f64>,
    /// Mean absolute difference of the elements.
    pub mean_abs_difference: Option<f64>,
}

/// A value of the configuration that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueChange {
    /// Where.
    pub path: Path,
    /// What was there.
    pub before: Option<String>,
    /// What is there.
    pub after: Option<String>,
}

/// What differs between two revisions.
#[derive(Debug, Clone, Serialize)]
pub struct DiffReport {
    /// The first revision.
    pub from: ObjectId,
    /// The second revision.
    pub to: ObjectId,
    /// Tensors that only the second has.
    pub added: Vec<TensorEntry>,
    /// Tensors that only the first has.
    pub removed: Vec<TensorEntry>,
    /// Tensors with the same content under another name.
    pub renamed: Vec<MovedTensor>,
    /// Tensors whose element type differs.
    pub cast: Vec<ChangedTensor>,
    /// Tensors whose shape or elements differ.
    pub changed: Vec<ChangedTensor>,
    /// Number of tensors that are the same.
    pub same: u64,
    /// Values that are not tensors and differ.
    pub values: Vec<ValueChange>,
    /// Files and other entries of a folder that were added, removed, or differ in what neither tensors nor values
    /// show.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileChange>,
}

impl DiffReport {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.renamed.is_empty()
            && self.cast.is_empty()
            && self.changed.is_empty()
            && self.values.is_empty()
            && self.files.is_empty()
    }
}

/// What makes two tensors the same: bytes, and how they are looked at.
type Content = (ObjectId, Dtype, Vec<u64>, Vec<u64>, u64);

fn content(tree: &Tree, tensor: &TreeTensor) -> Content {
    let object = tree.storages[tensor.storage as usize].content.object;
    (object, tensor.dtype, tensor.shape.clone(), tensor.strides.clone(), tensor.offset)
}

impl Repo {
    /// Compares two revisions. Bytes are read only of tensors that kept their name and shape and changed.
    ///
    /// # Errors
    ///
    /// If there are no such revisions, or an object is damaged.
    pub fn diff(&self, from: &str, to: &str, progress: &dyn Progress) -> Result<DiffReport, RepoError> {
        let (from, to) = (self.revision_named(from)?, self.revision_named(to)?);
        let (old, new) = (self.tree_of(&from)?, self.tree_of(&to)?);
        self.diff_trees((from, &old), (to, &new), progress)
    }

    /// Compares two trees, which the report calls by these names.
    pub(super) fn diff_trees(
        &self,
        (from, old): (ObjectId, &Tree),
        (to, new): (ObjectId, &Tree),
        progress: &dyn Progress,
    ) -> Result<DiffReport, RepoError> {
        let _reading = self.ledger.reading()?;
        let reader = self.reader();
        let mut report = DiffReport {
            from,
            to,
            added: Vec::new(),
            removed: Vec::new(),
            renamed: Vec::new(),
            cast: Vec::new(),
            changed: Vec::new(),
            same: 0,
            values: changed_values(&reader, old, new)?,
            files: changed_files(&reader, old, new)?,
        };
        let before: HashMap<&Path, &TreeTensor> = old.tensors.iter().map(|t| (&t.path, t)).collect();
        let stayed = |tensor: &TreeTensor| {
            let was = before.get(&tensor.path);
            was.is_some_and(|was| content(old, was) == content(new, tensor))
        };
        let kept: HashSet<&Path> = new.tensors.iter().filter(|t| stayed(t)).map(|t| &t.path).collect();
        report.same = kept.len() as u64;
        // Tensors that are not where they were, by content, in order: what has the same content elsewhere is
        // the same tensor under a new name, also where the old name now belongs to another.
        let mut lost: HashMap<Content, Vec<&TreeTensor>> = HashMap::new();
        for tensor in old.tensors.iter().rev().filter(|tensor| !kept.contains(&tensor.path)) {
            lost.entry(content(old, tensor)).or_default().push(tensor);
        }
        let mut unmatched = Vec::new();
        for tensor in new.tensors.iter().filter(|tensor| !kept.contains(&tensor.path)) {
            match lost.get_mut(&content(new, tensor)).and_then(Vec::pop) {
                Some(was) => {
                    report
                        .renamed
                        .push(MovedTensor { from: was.path.torch_name(), to: tensor.path.torch_name() });
                }
                None => unmatched.push(tensor),
            }
        }
        let mut gone: HashSet<&Path> = lost.values().flatten().map(|tensor| &tensor.path).collect();
        progress.begin("comparing", 0);
        for tensor in unmatched {
            match before.get(&tensor.path).filter(|was| gone.remove(&was.path)) {
                Some(was) => compare(&reader, (old, was), (new, tensor), &mut report, progress)?,
                None => report.added.push(tensor.into()),
            }
        }
        progress.end();
        report.removed =
            old.tensors.iter().filter(|tensor| gone.contains(&tensor.path)).map(TensorEntry::from).collect();
        let (before, after) = (Wholes::of(&reader, old)?, Wholes::of(&reader, new)?);
        if !before.is_empty() || !after.is_empty() {
            whole::join(&mut report, &before, &after);
        }
        Ok(report)
    }
}

fn compare(
    reader: &Reader<'_>,
    (old, was): (&Tree, &TreeTensor),
    (new, is): (&Tree, &TreeTensor),
    report: &mut DiffReport,
    progress: &dyn Progress,
) -> Result<(), RepoError> {
    let mut distance = None;
    if was.shape == is.shape {
        let mut left = Elements::new(reader, View::of(old, was))?;
        let mut right = Elements::new(reader, View::of(new, is))?;
        distance = Distance::between(&mut left, &mut right, progress)?;
        if was.dtype == is.dtype && distance.as_ref().is_some_and(Distance::is_bitwise_zero) {
            report.same += 1;
            return Ok(());
        }
    }
    let changed = ChangedTensor {
        path: is.path.torch_name(),
        dtype: [was.dtype.name(), is.dtype.name()],
        shape: [was.shape.clone(), is.shape.clone()],
        max_abs_difference: distance.as_ref().map(|distance| distance.max),
        mean_abs_difference: distance.as_ref().map(Distance::mean),
    };
    if was.dtype != is.dtype && was.shape == is.shape {
        report.cast.push(changed);
    } else {
        report.changed.push(changed);
    }
    Ok(())
}

/// Text, numbers and other values without parts, by place.
fn changed_values(reader: &Reader<'_>, old: &Tree, new: &Tree) -> Result<Vec<ValueChange>, RepoError> {
    if old.skeleton == new.skeleton && old.extras == new.extras {
        return Ok(Vec::new());
    }
    let values = |tree: &Tree| -> Result<BTreeMap<Path, String>, RepoError> {
        let (graph, _) = snapshot::read_graph(reader, tree)?;
        let atoms = walk(&graph).filter(|place| is_atom(graph.kind(place.node)));
        Ok(atoms.map(|place| (place.path.torch_name(), describe(&graph, place.node))).collect())
    };
    let (before, mut after) = (values(old)?, values(new)?);
    let mut out = Vec::new();
    for (path, value) in before {
        let now = after.remove(&path);
        if now.as_ref() != Some(&value) {
            out.push(ValueChange { path, before: Some(value), after: now });
        }
    }
    out.extend(after.into_iter().map(|(path, value)| ValueChange { path, before: None, after: Some(value) }));
    out.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(out)
}
