//! A checkpoint as a folder of NumPy arrays, one for each tensor, and a document of everything else.

use std::collections::HashSet;

use crate::value::{Graph, Kind, NodeId, Path, Tail, walk};

use super::super::Outline;
use super::{Bytes, ConvertError, Format, LeftOut, Pieces, Request, check_dtype, refuse_losses, select};

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
pub fn arrays(graph: &Graph, outline: &Outline, request: &Request<'_>) -> Result<Arrays, ConvertError> {
    let root = select::part(graph, request.state_dict)?;
    let mut maker = Maker {
        from: graph,
        arrays: Arrays { files: Vec::new(), document: graph.clone(), left_out: Vec::new() },
        taken: HashSet::new(),
        tensors: Vec::new(),
    };
    maker.arrays.document.root = root;
    let mut known: HashSet<NodeId> = HashSet::new();
    for (path, node, pieces) in select::sharded(graph, outline)? {
        known.extend(graph.items(node).into_iter().map(|(_, piece)| piece));
        maker.add(path, node, pieces)?;
    }
    let above = request.state_dict.cloned().unwrap_or_else(Path::root);
    for place in walk(graph).filter(|place| above.contains(&place.path)) {
        let Some(pieces) = select::whole_tensor(graph, place.node) else { continue };
        // The document names the same file at every place of one tensor.
        if !known.insert(place.node) {
            continue;
        }
        if !select::is_plain(graph, place.node) {
            let what = "a conjugated or negated view".to_owned();
            maker.arrays.left_out.push(LeftOut { path: place.path, what });
            maker.arrays.document.node_mut(place.node).kind = Kind::None;
            continue;
        }
        maker.add(place.path, place.node, pieces)?;
        // A parameter is what it wraps.
        if let Some(parent) =
            place.parent.filter(|parent| select::tensor_of(graph, *parent) == Some(place.node))
        {
            let entry = maker.arrays.document.node(place.node).clone();
            *maker.arrays.document.node_mut(parent) = entry;
        }
    }
    maker.arrays.left_out.extend(super::tied::shared(&maker.tensors));
    maker.arrays.left_out.extend(select::opaque(outline, request)?);
    refuse_losses(graph, request, &maker.arrays.left_out)?;
    maker.arrays.document.storages.clear();
    select::make_dicts_plain(&mut maker.arrays.document);
    Ok(maker.arrays)
}

struct Maker<'a> {
    from: &'a Graph,
    arrays: Arrays,
    /// Names of files, without case.
    taken: HashSet<String>,
    tensors: Vec<(Path, Pieces)>,
}

impl Maker<'_> {
    /// Adds the file of a tensor, and names it in the document in the place of a node.
    fn add(&mut self, path: Path, node: NodeId, pieces: Pieces) -> Result<(), ConvertError> {
        check_dtype(Format::Npy, &path, &pieces)?;
        let mut name = file_name(&path);
        while !self.taken.insert(name.to_lowercase()) {
            name.insert(0, '_');
        }
        let mut array = Graph::new();
        let mut bytes = Vec::new();
        array.root = super::tensor(&mut array, &mut bytes, "data", self.from, pieces.clone());
        self.tensors.push((path, pieces));
        let document = &mut self.arrays.document;
        let value = document.add_str(name.clone());
        let mut entry = Graph::new().nodes.remove(0);
        let key = document.add_str(ARRAY);
        entry.tail.push(Tail::Set(key, value));
        *document.node_mut(node) = entry;
        let bytes = bytes.pop().expect("one was made with the tensor");
        self.arrays.files.push(ArrayFile { path: name, graph: array, bytes });
        Ok(())
    }
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
