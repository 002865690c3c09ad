//! From tensors and storages back to rebuild calls and persistent ids.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use crate::value::{Graph, Kind, NodeId, StorageId, StorageRef, StorageView, Tensor};

use super::super::pickle::{self, Piece};
use super::super::{FormatError, StorageFacts};
use super::TorchError;
use super::lift::Dialect;
use super::storage::{UNTYPED, class_of_dtype, dtype_of_class};

/// A graph as `data.pkl`, and the storages that it uses.
pub(super) struct Lowered {
    pub pickle: Vec<u8>,
    /// In the order of first use, which is that of their keys.
    pub used: Vec<Used>,
}

/// A storage that a graph uses.
pub(super) struct Used {
    pub id: StorageId,
    pub facts: StorageFacts,
    /// Length in elements of its class.
    pub elements: u64,
}

/// Writes a graph's pickle.
pub(super) fn lower(
    graph: &Graph,
    protocol: u8,
    dialect: Dialect,
    facts: &dyn Fn(StorageId) -> StorageFacts,
) -> Result<Lowered, FormatError> {
    let lower = Lower { graph, facts, protocol, dialect, classes: classes(graph), used: RefCell::default() };
    let pickle = pickle::write_with(graph, protocol, &|id| lower.pieces(id))?;
    Ok(Lowered { pickle, used: lower.used.into_inner().order })
}

struct Lower<'a> {
    graph: &'a Graph,
    facts: &'a dyn Fn(StorageId) -> StorageFacts,
    protocol: u8,
    dialect: Dialect,
    classes: HashMap<StorageId, String>,
    used: RefCell<Numbers>,
}

#[derive(Default)]
struct Numbers {
    order: Vec<Used>,
    keys: HashMap<StorageId, usize>,
}

/// The class with which each storage of a tensor is written: a storage loads as the class that is named first,
/// so where there are two, it becomes untyped and its tensors say their type themselves.
///
/// A storage that no tensor looks into is named as it was, each time: its calls rely on that.
fn classes(graph: &Graph) -> HashMap<StorageId, String> {
    let mut classes: HashMap<StorageId, String> = HashMap::new();
    let tensors = || {
        graph.nodes.iter().filter_map(|node| match &node.kind {
            Kind::Tensor(tensor) => Some(tensor),
            _ => None,
        })
    };
    let mut add = |storage, class: &str| match classes.get_mut(&storage) {
        None => drop(classes.insert(storage, class.to_owned())),
        Some(first) if first != class => UNTYPED.clone_into(first),
        Some(_) => {}
    };
    for tensor in tensors() {
        add(tensor.storage.storage, class_of(&tensor.storage, Some(tensor)));
    }
    let of_tensors: HashSet<StorageId> = tensors().map(|tensor| tensor.storage.storage).collect();
    for node in &graph.nodes {
        if let Kind::Storage(storage) = &node.kind
            && of_tensors.contains(&storage.storage)
        {
            add(storage.storage, class_of(storage, None));
        }
    }
    classes
}

fn class_of<'a>(storage: &'a StorageRef, tensor: Option<&Tensor>) -> &'a str {
    match tensor {
        _ if !storage.class.is_empty() => &storage.class,
        Some(tensor) => class_of_dtype(tensor.dtype),
        None => UNTYPED,
    }
}

impl Lower<'_> {
    fn pieces(&self, id: NodeId) -> Result<Vec<Piece>, FormatError> {
        let mut pieces = Vec::new();
        match self.graph.kind(id) {
            Kind::Storage(storage) => drop(self.storage(storage, storage.view, &mut pieces)?),
            Kind::Tensor(tensor) => self.tensor(tensor, &mut pieces)?,
            _ => {}
        }
        Ok(pieces)
    }

    /// Names a storage, or in the old form a part of it, and returns its length in bytes.
    fn storage(
        &self,
        reference: &StorageRef,
        view: Option<StorageView>,
        out: &mut Vec<Piece>,
    ) -> Result<u64, TorchError> {
        let id = reference.storage;
        let mut used = self.used.borrow_mut();
        let class = self.classes.get(&id).map_or_else(|| class_of(reference, None), String::as_str);
        let item_bytes = dtype_of_class(class).map_or(1, |dtype| dtype.item_bytes());
        let number = match used.keys.get(&id) {
            Some(&number) => number,
            None => {
                let number = used.order.len();
                let facts = (self.facts)(id);
                used.order.push(Used { id, facts, elements: facts.bytes / item_bytes });
                used.keys.insert(id, number);
                number
            }
        };
        let bytes = used.order[number].facts.bytes;
        if !bytes.is_multiple_of(item_bytes) {
            let key = self.graph.storage(id).key.clone();
            return Err(TorchError::Tensor { key, problem: "its storage ends inside an element" });
        }
        let (module, name) = class.rsplit_once('.').unwrap_or(("torch", class));
        let location = if reference.location.is_empty() { "cpu" } else { &reference.location };
        out.extend([
            Piece::Mark,
            Piece::Text("storage".to_owned()),
            global(module, name),
            Piece::Text(number.to_string()),
            Piece::Text(location.to_owned()),
            Piece::Int(bytes / item_bytes),
        ]);
        match self.dialect {
            Dialect::Zip => out.push(Piece::Tuple(5)),
            Dialect::Legacy => {
                match view.filter(|_| class == reference.class) {
                    Some(StorageView { offset, elements }) => {
                        if self.protocol < 2 {
                            out.push(Piece::Mark);
                        }
                        let key = format!("{number}:{offset}:{elements}");
                        out.extend([
                            Piece::Text(key),
                            Piece::Int(offset),
                            Piece::Int(elements),
                            Piece::Tuple(3),
                        ]);
                    }
                    None => out.push(Piece::None),
                }
                out.push(Piece::Tuple(6));
            }
        }
        out.push(Piece::PersistentId);
        Ok(bytes)
    }

    fn tensor(&self, tensor: &Tensor, out: &mut Vec<Piece>) -> Result<(), TorchError> {
        let class = self.classes.get(&tensor.storage.storage).map_or(UNTYPED, String::as_str);
        let is_implied = dtype_of_class(class) == Some(tensor.dtype) && class != UNTYPED;
        out.push(global(
            "torch._utils",
            if is_implied { "_rebuild_tensor_v2" } else { "_rebuild_tensor_v3" },
        ));
        out.push(Piece::Mark);
        let view = self.view(tensor, class);
        let bytes = self.storage(&tensor.storage, view, out)?;
        if tensor.end_byte().is_none_or(|end| end > bytes) {
            let key = self.graph.storage(tensor.storage.storage).key.clone();
            return Err(TorchError::Tensor { key, problem: "it reaches beyond its storage" });
        }
        out.push(Piece::Int(tensor.offset - view.map_or(0, |view| view.offset)));
        self.tuple(&tensor.shape, out);
        self.tuple(&tensor.strides, out);
        out.push(Piece::Bool(tensor.requires_grad));
        match tensor.hooks {
            Some(hooks) => out.push(Piece::Node(hooks)),
            None => out.extend([global("collections", "OrderedDict"), Piece::Tuple(0), Piece::Reduce]),
        }
        if !is_implied {
            out.push(global("torch", tensor.dtype.name()));
        }
        out.extend(tensor.metadata.map(Piece::Node));
        let length = 6 + usize::from(!is_implied) + usize::from(tensor.metadata.is_some());
        out.extend([Piece::Tuple(length), Piece::Reduce]);
        Ok(())
    }

    /// The part of its storage that a tensor was read from, while it still lies in it.
    fn view(&self, tensor: &Tensor, class: &str) -> Option<StorageView> {
        let view = tensor.storage.view?;
        let item_bytes = tensor.dtype.item_bytes();
        let end = view.offset.checked_add(view.elements)?.checked_mul(item_bytes)?;
        let is_whole = end <= (self.facts)(tensor.storage.storage).bytes;
        let lies_in_it = tensor.offset >= view.offset && tensor.end_byte()? <= end && is_whole;
        (lies_in_it && self.dialect == Dialect::Legacy && class == tensor.storage.class).then_some(view)
    }

    fn tuple(&self, values: &[u64], out: &mut Vec<Piece>) {
        // Up to three items have no mark from protocol 2 on; an empty tuple never has one.
        if values.len() > 3 || (self.protocol < 2 && !values.is_empty()) {
            out.push(Piece::Mark);
        }
        out.extend(values.iter().copied().map(Piece::Int));
        out.push(Piece::Tuple(values.len()));
    }
}

fn global(module: &str, name: &str) -> Piece {
    Piece::Global { module: module.to_owned(), name: name.to_owned() }
}
