//! The checkpoint while steps are carried out.

use std::collections::{HashMap, HashSet};

use crate::migration::engine::{Computed, Expr, Limits, Outcome, Step, StepId, Window};
use crate::value::{Dtype, Graph, Kind, NodeId, Storage, StorageId, StorageRef, Tensor};

use super::Reason;
use super::slot::{Edits, Slot, settle_keys, with_node};

/// Most steps that the expressions of all tensors have together.
const MAX_EXPR_STEPS: usize = 1 << 20;

/// The checkpoint while steps are carried out.
pub(super) struct State<'a> {
    pub graph: Graph,
    limits: &'a Limits,
    /// Number of storages that were there before.
    kept_storages: usize,
    computed: HashMap<StorageId, Expr>,
    expr_steps: usize,
    work_bytes: u64,
}

impl<'a> State<'a> {
    /// A copy of a checkpoint, to change.
    pub fn new(graph: &Graph, limits: &'a Limits) -> State<'a> {
        let mut graph = graph.clone();
        settle_keys(&mut graph);
        let kept_storages = graph.storages.len();
        State { graph, limits, kept_storages, computed: HashMap::new(), expr_steps: 0, work_bytes: 0 }
    }

    /// The changed checkpoint, and the storages that it uses and that are still to be computed.
    pub fn finish(mut self) -> Outcome {
        let mut used = HashSet::new();
        for id in reachable(&self.graph) {
            match self.graph.kind(id) {
                Kind::Tensor(tensor) => drop(used.insert(tensor.storage.storage)),
                Kind::Storage(storage) => drop(used.insert(storage.storage)),
                _ => {}
            }
        }
        let mut computed: Vec<Computed> = self
            .computed
            .drain()
            .filter(|(storage, _)| used.contains(storage))
            .map(|(storage, expr)| Computed { storage, expr })
            .collect();
        computed.sort_by_key(|computed| computed.storage);
        Outcome { graph: self.graph, computed, skipped: None, printed: String::new() }
    }

    /// The node of a tensor: the one that is there, or the one that a parameter wraps.
    pub fn tensor_node(&self, node: NodeId) -> Option<NodeId> {
        match self.graph.kind(node) {
            Kind::Tensor(_) => Some(node),
            Kind::Reduce { callee, args } => {
                let (module, name) = self.graph.as_global(*callee)?;
                let Kind::Tuple(items) = self.graph.kind(*args) else { return None };
                let first = *items.first()?;
                let is_wrapper = module == "torch._utils" && name.starts_with("_rebuild_parameter");
                (is_wrapper && self.graph.as_tensor(first).is_some()).then_some(first)
            }
            _ => None,
        }
    }

    /// The tensor at a place.
    ///
    /// # Errors
    ///
    /// If it is none, or one that is not what its bytes say.
    pub fn tensor(&self, node: NodeId, path: &str) -> Result<Tensor, Reason> {
        let not_one = || Reason::NotTensor { path: path.to_owned() };
        let tensor =
            self.tensor_node(node).and_then(|node| self.graph.as_tensor(node)).ok_or_else(not_one)?;
        let is_empty = |id| match self.graph.kind(id) {
            Kind::None => true,
            Kind::Dict => self.graph.items(id).is_empty(),
            _ => false,
        };
        if tensor.metadata.is_some_and(|id| !is_empty(id)) {
            return Err(Reason::LazyBits { path: path.to_owned() });
        }
        Ok(tensor.clone())
    }

    /// The expression whose last step gives a window into a tensor's storage.
    pub fn load(&self, tensor: &Tensor, window: Window) -> Expr {
        let storage = tensor.storage.storage;
        match self.computed.get(&storage) {
            None => Expr { steps: vec![Step::Load { storage, dtype: tensor.dtype, window }] },
            Some(known) => {
                let mut expr = known.clone();
                let of = last(&expr);
                expr.steps.push(Step::View { of, window });
                expr
            }
        }
    }

    /// The window that a tensor is.
    pub fn window(tensor: &Tensor) -> Window {
        Window { shape: tensor.shape.clone(), strides: tensor.strides.clone(), offset: tensor.offset }
    }

    /// A dense tensor over a new storage that an expression gives.
    ///
    /// # Errors
    ///
    /// If the expression is not sound, or there are too many or too large ones.
    pub fn compute(&mut self, expr: Expr, like: &Tensor, path: &str) -> Result<Tensor, Reason> {
        self.expr_steps = self.expr_steps.saturating_add(expr.steps.len());
        if self.expr_steps > MAX_EXPR_STEPS {
            return Err(Reason::TooManySteps { limit: MAX_EXPR_STEPS });
        }
        let sound = expr.check(&self.graph.storages[..self.kept_storages]);
        let shapes = sound.map_err(|source| Reason::Expr { path: path.to_owned(), source })?;
        self.work_bytes = self.work_bytes.saturating_add(Expr::work_bytes(&shapes));
        let limit_bytes = self.limits.computed_bytes(&self.graph);
        if self.work_bytes > limit_bytes {
            return Err(Reason::TooLarge { bytes: self.work_bytes, limit_bytes });
        }
        let shape = shapes.last().expect("a sound expression has a step");
        let key = self.graph.storages.len().to_string();
        let storage = self.graph.add_storage(Storage { key, bytes: shape.bytes() });
        self.computed.insert(storage, expr);
        Ok(dense(shape.dtype, &shape.extents, storage, shape.elements, like))
    }

    /// Puts other tensors in the places of some.
    ///
    /// Places that hold the same tensor get the same new one. Where every place that holds a tensor is among them
    /// the tensor stays the same object, so that what refers to it does so still; else the other places keep the
    /// old one.
    pub fn change(&mut self, changes: &[(Slot, String, Tensor)]) -> Result<(), Reason> {
        let uses = self.uses();
        let mut slots_of: HashMap<NodeId, usize> = HashMap::new();
        for (slot, ..) in changes {
            *slots_of.entry(slot.node).or_default() += 1;
        }
        let mut made: HashMap<NodeId, NodeId> = HashMap::new();
        let mut edits = Edits::default();
        for (slot, path, tensor) in changes {
            let inner = self.tensor_node(slot.node).unwrap_or(slot.node);
            let is_whole = uses.get(&slot.node) == slots_of.get(&slot.node)
                && (inner == slot.node || uses.get(&inner) == Some(&1));
            if is_whole {
                self.graph.node_mut(inner).kind = Kind::Tensor(Box::new(tensor.clone()));
                continue;
            }
            let node = match made.get(&slot.node) {
                Some(node) => *node,
                None => {
                    let node = self.wrapped_like(slot.node, tensor.clone());
                    made.insert(slot.node, node);
                    node
                }
            };
            let step = with_node(&self.graph, slot, node);
            if step.is_none_or(|step| !edits.replace(slot, vec![step])) {
                return Err(Reason::NotEditable {
                    path: path.clone(),
                    action: "changed",
                    what: "an item of a tuple that is used elsewhere too",
                });
            }
        }
        edits.commit(&mut self.graph);
        Ok(())
    }

    /// A node for a new tensor: wrapped as a parameter where `like` is.
    pub fn wrapped_like(&mut self, like: NodeId, tensor: Tensor) -> NodeId {
        // Hooks are added to in place, so no two tensors share them.
        let node = self.graph.add(Kind::Tensor(Box::new(Tensor { hooks: None, ..tensor })));
        let Kind::Reduce { callee, args } = *self.graph.kind(like) else { return node };
        let Kind::Tuple(items) = self.graph.kind(args) else { return node };
        let mut items = items.clone();
        for (place, item) in items.iter_mut().enumerate() {
            *item = if place == 0 { node } else { self.graph.add(self.graph.node(*item).clone()) };
        }
        let args = self.graph.add(Kind::Tuple(items));
        self.graph.add(Kind::Reduce { callee, args })
    }

    /// How often each node is referred to.
    fn uses(&self) -> HashMap<NodeId, usize> {
        let mut uses = HashMap::new();
        for id in reachable(&self.graph) {
            for child in self.graph.children(id) {
                *uses.entry(child).or_default() += 1;
            }
        }
        uses
    }
}

/// The last step of an expression.
pub(super) fn last(expr: &Expr) -> StepId {
    StepId::try_from(expr.steps.len().saturating_sub(1)).expect("expressions are bounded")
}

/// A dense tensor over a whole storage.
fn dense(dtype: Dtype, shape: &[u64], storage: StorageId, elements: u64, like: &Tensor) -> Tensor {
    Tensor {
        dtype,
        shape: shape.to_vec(),
        strides: Tensor::contiguous_strides(shape).expect("the size of the whole was checked"),
        offset: 0,
        storage: StorageRef {
            storage,
            // The writer names the class by the element type.
            class: String::new(),
            location: like.storage.location.clone(),
            elements,
            view: None,
        },
        // Only what has a derivative can be asked for one.
        requires_grad: like.requires_grad && is_differentiable(dtype),
        hooks: like.hooks,
        metadata: like.metadata,
    }
}

fn is_differentiable(dtype: Dtype) -> bool {
    use Dtype::{Bf16, C32, C64, C128, F8E4M3, F8E5M2, F16, F32, F64};
    matches!(dtype, F64 | F32 | F16 | Bf16 | C128 | C64 | C32 | F8E4M3 | F8E5M2)
}

fn reachable(graph: &Graph) -> Vec<NodeId> {
    let mut seen = vec![false; graph.nodes.len()];
    let mut todo = vec![graph.root];
    let mut out = Vec::new();
    while let Some(id) = todo.pop() {
        if !std::mem::replace(&mut seen[id.index()], true) {
            out.push(id);
            todo.extend(graph.children(id));
        }
    }
    out
}
