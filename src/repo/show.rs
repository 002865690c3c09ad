//! One revision in full, or one value in it.

use serde::Serialize;

use crate::migration::suggest::suggest;
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::revision::Revision;
use crate::snapshot;
use crate::value::{Path, places};

use super::numbers::{Elements, View};
use super::summary::{Summary, gather_all};
use super::values::{describe_tensor, render, to_json};
use super::whole::whole_tensors;
use super::{Repo, RepoError};

/// A revision in full.
#[derive(Debug, Clone, Serialize)]
pub struct ShowReport {
    /// Its name.
    #[serde(rename = "revision")]
    pub id: ObjectId,
    /// What it says.
    #[serde(flatten)]
    pub revision: Revision,
}

/// A value in a revision.
#[derive(Debug, Clone, Serialize)]
pub struct ValueReport {
    /// The revision.
    pub revision: ObjectId,
    /// Where in it.
    pub path: Path,
    /// The value; objects and tensors are described.
    pub value: serde_json::Value,
    /// More of it where it is a tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensor: Option<TensorValue>,
    /// The same for people.
    #[serde(skip)]
    pub text: String,
}

/// A tensor in a revision.
#[derive(Debug, Clone, Serialize)]
pub struct TensorValue {
    /// Name of its element type.
    pub dtype: &'static str,
    /// Extent of each dimension.
    pub shape: Vec<u64>,
    /// Length in bytes when its elements lie densely.
    pub bytes: u64,
    /// What its numbers are like; `None` where its type holds no plain numbers.
    pub stats: Option<Summary>,
    /// Its first elements, in row-major order.
    pub first: Vec<f64>,
}

/// Elements of a tensor that are shown.
const FIRST_ELEMENTS: u64 = 6;

impl Repo {
    /// Shows a revision, HEAD when none is named.
    ///
    /// # Errors
    ///
    /// If there is no such revision.
    pub fn show(&self, name: Option<&str>) -> Result<ShowReport, RepoError> {
        let id = self.revision_named(name.unwrap_or("HEAD"))?;
        Ok(ShowReport { id, revision: self.revision(&id)? })
    }

    /// Shows the value at a place of a revision. Of a tensor, its own bytes are read and no others.
    ///
    /// # Errors
    ///
    /// If there is no such revision or place, or the tensor is damaged.
    pub fn show_value(
        &self,
        name: Option<&str>,
        path: &str,
        progress: &dyn Progress,
    ) -> Result<ValueReport, RepoError> {
        let _reading = self.ledger.reading()?;
        let id = self.revision_named(name.unwrap_or("HEAD"))?;
        let tree = self.tree_of(&id)?;
        let wanted = Path::parse(path);
        // The tree has a table of tensors, so that the rest of the checkpoint need not be read for one.
        if let Some(tensor) = tree.tensors.iter().find(|tensor| tensor.path == wanted) {
            return self.show_tensor(id, wanted, &View::of(&tree, tensor), progress);
        }
        let (graph, _) = snapshot::read_graph(&self.reader(), &tree)?;
        let all = places(&graph);
        let exact = all.iter().find(|place| place.path == wanted);
        let Some(place) = exact.or_else(|| all.iter().find(|place| place.path.torch_name() == wanted)) else {
            let suggestion = suggest(path, all.iter().map(|place| place.path.as_str())).map(str::to_owned);
            return Err(RepoError::NotFound { what: "value at", name: path.to_owned(), suggestion });
        };
        let mut pieces = whole_tensors(&tree).into_iter().map(|listed| listed.entry);
        if let Some(tensor) = pieces.find(|tensor| tensor.pieces > 0 && tensor.path == place.path) {
            let text =
                format!("{} in {} pieces", describe_tensor(tensor.dtype, &tensor.shape), tensor.pieces);
            return Ok(ValueReport {
                revision: id,
                path: wanted,
                value: text.clone().into(),
                tensor: None,
                text,
            });
        }
        if let Some(view) = graph.as_tensor(place.node).and_then(|tensor| View::of_graph(&tree, tensor)) {
            return self.show_tensor(id, wanted, &view, progress);
        }
        Ok(ValueReport {
            revision: id,
            path: wanted,
            value: to_json(&graph, place.node),
            tensor: None,
            text: render(&graph, place.node),
        })
    }

    fn show_tensor(
        &self,
        revision: ObjectId,
        path: Path,
        view: &View,
        progress: &dyn Progress,
    ) -> Result<ValueReport, RepoError> {
        let shape: Vec<u64> = view.dims.iter().map(|(extent, _)| *extent).collect();
        let bytes = view.elements().saturating_mul(view.dtype.item_bytes());
        let text = describe_tensor(view.dtype, &shape);
        let reader = self.reader();
        progress.begin("reading the tensor", bytes);
        let stats = gather_all(&reader, std::slice::from_ref(view), progress)?;
        progress.end();
        let first = Elements::new(&reader, view.clone())?.first(FIRST_ELEMENTS)?;
        let tensor = TensorValue { dtype: view.dtype.name(), shape, bytes, stats, first };
        Ok(ValueReport { revision, path, value: text.clone().into(), tensor: Some(tensor), text })
    }
}
