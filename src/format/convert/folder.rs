//! A checkpoint as a folder of NumPy arrays, one for each tensor, and a document of everything else.

use std::collections::HashSet;

use crate::value::{Graph, Kind, Path, places};

use super::{Bytes, ConvertError, Format, LeftOut, Pieces, Request, check_dtype, merge, refuse_losses, select};

/// The document's key for the file of a tensor.
const ARRAY: &str = "npy";

/// A tensor and the file that it goes to.
#[derive(Debug, Clone, PartialEq)]
pub struct ArrayFile {
    /// Its path below the folder.
    pub path: String,
    /// The array, alone in a graph.
    pub graph: Graph,
    /// Where the bytes of its one storage come from.
    pub bytes: Bytes,
}

/// A checkpoint as files.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrays {
    /// The tensors.
    pub files: Vec<ArrayFile>,
    /// The checkpoint with `{"npy": PATH}` in the place of each tensor.
    pub document: Graph,
    /// What was left out.
    pub left_out: Vec<LeftOut>,
}

/// Makes files of a checkpoint.
///
/// # Errors
///
/// As [`convert`](super::convert).
pub fn arrays(graph: &Graph, request: &Request<'_>) -> Result<Arrays, ConvertError> {
    let root = select::part(graph, request.state_dict)?;
    let mut document = merge::part(graph, root);
    document.storages.clear();
    let part = merge::part(graph, root);
    let mut out = Arrays { files: Vec::new(), document: Graph::new(), left_out: Vec::new() };
    let mut taken = HashSet::new();
    let mut tensors: Vec<(Path, Pieces)> = Vec::new();
    let mut known = HashSet::new();
    for place in places(&part) {
        let Some(pieces) = select::whole_tensor(&part, place.node) else { continue };
        // The document names the same file at every place of one tensor.
        if place.repeated || !known.insert(place.node) {
            continue;
        }
        if !select::is_plain(&part, place.node) {
            let what = "a conjugated or negated view".to_owned();
            out.left_out.push(LeftOut { path: place.path, what });
            document.node_mut(place.node).kind = Kind::None;
            continue;
        }
        check_dtype(Format::Npy, &place.path, &pieces)?;
        let mut name = file_name(&place.path);
        while !taken.insert(name.to_lowercase()) {
            name.insert(0, '_');
        }
        let mut array = Graph::new();
        let mut bytes = Vec::new();
        array.root = super::tensor(&mut array, &mut bytes, "data", &part, pieces.clone());
        tensors.push((place.path, pieces));
        let value = document.add_str(name.clone());
        let entry = document.add(Kind::Dict);
        document.set(entry, ARRAY, value);
        let dict = document.node(entry).clone();
        *document.node_mut(place.node) = dict;
        let bytes = bytes.pop().expect("one was made with the tensor");
        out.files.push(ArrayFile { path: name, graph: array, bytes });
    }
    out.left_out.extend(super::tied::shared(&tensors));
    refuse_losses(graph, request, &out.left_out)?;
    out.document = document;
    Ok(out)
}

/// A path below a folder that every system takes, for a place in a checkpoint.
fn file_name(path: &Path) -> String {
    let steps: Vec<String> = path.steps().map(|step| safe_step(&step)).collect();
    let name = if steps.is_empty() { "data".to_owned() } else { steps.join("/") };
    format!("{name}.npy")
}

fn safe_step(step: &str) -> String {
    let safe = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let text: String = step.chars().map(|letter| if safe(letter) { letter } else { '_' }).collect();
    let text = text.trim_start_matches('.');
    let text = if text.is_empty() { "_" } else { text };
    text.chars().take(200).collect()
}
