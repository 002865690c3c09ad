//! One revision in full, or one value in it.

use serde::Serialize;

use crate::migration::suggest::suggest;
use crate::object::ObjectId;
use crate::revision::Revision;
use crate::snapshot;
use crate::value::{Path, places};

use super::values::{render, to_json};
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
    /// The value; objects and tensors are described, not loaded.
    pub value: serde_json::Value,
    /// The same for people.
    #[serde(skip)]
    pub text: String,
}

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

    /// Shows the value at a place of a revision. Reads no tensor bytes.
    ///
    /// # Errors
    ///
    /// If there is no such revision or place.
    pub fn show_value(&self, name: Option<&str>, path: &str) -> Result<ValueReport, RepoError> {
        let id = self.revision_named(name.unwrap_or("HEAD"))?;
        let tree = self.tree_of(&id)?;
        let (graph, _) = snapshot::read_graph(&self.reader(), &tree)?;
        let all = places(&graph);
        let wanted = Path::parse(path);
        let exact = all.iter().find(|place| place.path == wanted);
        let Some(place) = exact.or_else(|| all.iter().find(|place| place.path.torch_name() == wanted)) else {
            let suggestion = suggest(path, all.iter().map(|place| place.path.as_str())).map(str::to_owned);
            return Err(RepoError::NotFound { what: "value at", name: path.to_owned(), suggestion });
        };
        let mut pieces = whole_tensors(&tree).into_iter().filter(|tensor| tensor.pieces > 0);
        if let Some(tensor) = pieces.find(|tensor| tensor.path == place.path) {
            let text = format!("tensor {} {:?} in {} pieces", tensor.dtype, tensor.shape, tensor.pieces);
            return Ok(ValueReport { revision: id, path: wanted, value: text.clone().into(), text });
        }
        Ok(ValueReport {
            revision: id,
            path: wanted,
            value: to_json(&graph, place.node),
            text: render(&graph, place.node),
        })
    }
}
