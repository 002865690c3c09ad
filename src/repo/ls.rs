//! The tensors of a revision.

use std::collections::HashMap;

use serde::Serialize;

use crate::format::convert::tensor_of;
use crate::format::{Format, WholeTensor, whole_tensor};
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::snapshot::{self, Tree};
use crate::value::{Graph, NodeId, Path, walk};

use super::diff::TensorEntry;
use super::files::{ListedFile, files};
use super::numbers::View;
use super::summary::gather_all;
use super::whole::{Listed, is_sharded, whole_tensors};
use super::{Repo, RepoError};

/// The tensors of a revision.
#[derive(Debug, Clone, Serialize)]
pub struct LsReport {
    /// The revision.
    pub revision: ObjectId,
    /// Its format.
    pub format: String,
    /// Its tensors, in the checkpoint's order.
    pub tensors: Vec<TensorEntry>,
    /// Length in bytes of all tensors when their elements lie densely.
    pub bytes: u64,
    /// Of a folder, what is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<ListedFile>>,
}

impl Repo {
    /// Lists the tensors of a revision, HEAD when none is named. Reads no tensor bytes.
    ///
    /// # Errors
    ///
    /// If there is no such revision, or its tree is damaged.
    pub fn ls(&self, name: Option<&str>) -> Result<LsReport, RepoError> {
        let id = self.revision_named(name.unwrap_or("HEAD"))?;
        let tree = self.tree_of(&id)?;
        let tensors = self.listed(&tree)?.into_iter().map(|listed| listed.entry).collect();
        let files = files(&self.reader(), &tree)?;
        Ok(report(id, tree, tensors, files))
    }

    /// As [`ls`](Repo::ls), and reads the tensors frame by frame to tell what their numbers are like.
    ///
    /// # Errors
    ///
    /// As [`ls`](Repo::ls), and if a frame is damaged.
    pub fn ls_with_stats(&self, name: Option<&str>, progress: &dyn Progress) -> Result<LsReport, RepoError> {
        let _reading = self.ledger.reading()?;
        let id = self.revision_named(name.unwrap_or("HEAD"))?;
        let tree = self.tree_of(&id)?;
        let listed = self.listed(&tree)?;
        let reader = self.reader();
        progress.begin("reading tensors", listed.iter().map(|listed| listed.entry.bytes).sum());
        let mut tensors = Vec::with_capacity(listed.len());
        for Listed { mut entry, views } in listed {
            entry.stats = gather_all(&reader, &views, progress)?;
            tensors.push(entry);
        }
        progress.end();
        let files = files(&reader, &tree)?;
        Ok(report(id, tree, tensors, files))
    }

    /// The tensors of a tree.
    fn listed(&self, tree: &Tree) -> Result<Vec<Listed>, RepoError> {
        use Format::*;
        // What these say of a tensor is more than the table of the tree holds.
        let says_more = Format::from_name(&tree.format).is_some_and(|format| {
            matches!(format, Folder | TorchArchive | TorchTar | TorchRow | Npy | Npz | Gguf)
                || format.keeps_objects()
        });
        if says_more && !is_sharded(tree) {
            let (graph, _) = snapshot::read_graph(&self.reader(), tree)?;
            return Ok(tensors_of(tree, &graph));
        }
        Ok(whole_tensors(tree))
    }

    /// The tree of a revision.
    pub(super) fn tree_of(&self, id: &ObjectId) -> Result<Tree, RepoError> {
        let revision = self.revision(id)?;
        Ok(snapshot::read_tree(&self.reader(), &revision.tree)?)
    }
}

fn report(
    revision: ObjectId,
    tree: Tree,
    tensors: Vec<TensorEntry>,
    files: Option<Vec<ListedFile>>,
) -> LsReport {
    let own = tensors.iter().filter(|tensor| tensor.same_as.is_none());
    let bytes = own.map(|tensor| tensor.bytes).fold(0, u64::saturating_add);
    LsReport { revision, format: tree.format, tensors, files, bytes }
}

/// The tensors of a graph; what makes a sparse, quantized or other tensor up is not listed apart from it.
fn tensors_of(tree: &Tree, graph: &Graph) -> Vec<Listed> {
    let mut tensors: Vec<Listed> = Vec::new();
    let mut first: HashMap<NodeId, usize> = HashMap::new();
    let mut within: Option<Path> = None;
    for place in walk(graph) {
        if within.as_ref().is_some_and(|above| above.contains(&place.path)) {
            // Its parts, once each, are its bytes.
            if let (Some(tensor), Some(whole)) = (graph.as_tensor(place.node), tensors.last_mut())
                && !place.repeated
            {
                whole.entry.bytes = whole.entry.bytes.saturating_add(tensor.bytes().unwrap_or_default());
                if whole.entry.kind == "parameter" {
                    whole.views.extend(View::of_graph(tree, tensor));
                }
            }
            continue;
        }
        within = None;
        let node = tensor_of(graph, place.node).unwrap_or(place.node);
        if place.repeated {
            if let Some(known) = first.get(&node).and_then(|known| tensors.get(*known)) {
                let known = &known.entry;
                let entry =
                    TensorEntry { path: place.path, same_as: Some(known.path.clone()), ..known.clone() };
                tensors.push(Listed { entry, views: Vec::new() });
            }
        } else if let Some(tensor) = graph.as_tensor(place.node) {
            first.insert(place.node, tensors.len());
            let entry = TensorEntry {
                path: place.path,
                dtype: tensor.dtype,
                shape: tensor.shape.clone(),
                bytes: tensor.bytes().unwrap_or_default(),
                pieces: 0,
                kind: tensor.kind(),
                same_as: None,
                stats: None,
            };
            tensors.push(Listed { entry, views: View::of_graph(tree, tensor).into_iter().collect() });
        } else if let Some(WholeTensor { dtype, shape, kind }) = whole_tensor(graph, place.node) {
            first.insert(place.node, tensors.len());
            let has_parts = kind.starts_with("sparse") || matches!(kind.as_str(), "nested" | "parameter");
            let elements = shape.iter().fold(1u64, |n, extent| n.saturating_mul(*extent));
            let bytes = match kind.as_str() {
                "meta" => 0,
                _ if has_parts => 0,
                // Its parameters are counted besides.
                _ => elements.saturating_mul(dtype.item_bytes()),
            };
            within = Some(place.path.clone());
            let entry = TensorEntry {
                path: place.path,
                dtype,
                shape,
                bytes,
                pieces: 0,
                kind,
                same_as: None,
                stats: None,
            };
            tensors.push(Listed { entry, views: Vec::new() });
        }
    }
    for Listed { entry: tensor, .. } in &mut tensors {
        tensor.path = tensor.path.torch_name();
        tensor.same_as = tensor.same_as.take().map(|path| path.torch_name());
    }
    tensors
}
