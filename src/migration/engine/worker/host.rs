//! What the worker knows while its script runs: the graph, and which Python object is which node.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::io::Read;

use rustpython_vm::builtins::PyTypeRef;
use rustpython_vm::{AsObject, PyObject, PyObjectRef, PyResult, VirtualMachine};

use super::super::Expr;
use super::super::pipe::{FromWorker, Reply, receive};
use super::family::{Family, families};
use super::form::{Form, class_path, form, modern_module};
use super::say;
use super::tensor::Tensors;
use crate::value::{Graph, Kind, NodeId};

/// What the worker knows while its script runs.
pub(super) struct Host {
    graph: OnceCell<Graph>,
    /// The Python object of each node that was shown. It is kept alive, so that its address stays its own.
    pub objects: RefCell<Vec<Option<PyObjectRef>>>,
    /// The node of each object with an identity, by the object's address.
    pub ids: RefCell<HashMap<usize, NodeId>>,
    pub tensors: Tensors,
    /// Everything printed so far.
    pub printed: RefCell<String>,
    printed_bytes: usize,
    message_bytes: u64,
    /// The `ckstore_objects` module.
    pub python: PyObjectRef,
    /// The `ckstore_values` module.
    pub values: PyObjectRef,
    classes: RefCell<HashMap<NodeId, PyTypeRef>>,
    families: OnceCell<HashMap<NodeId, Family>>,
    replies: RefCell<Box<dyn Read>>,
}

thread_local! {
    static HOST: OnceCell<&'static Host> = const { OnceCell::new() };
}

/// The host of this process, once there is one.
pub(super) fn host(vm: &VirtualMachine) -> PyResult<&'static Host> {
    HOST.with(|host| host.get().copied())
        .ok_or_else(|| vm.new_runtime_error("no checkpoint is open".to_owned()))
}

/// The address of an object, which is its own as long as somebody holds it.
pub(super) fn address(object: &PyObject) -> usize {
    std::ptr::from_ref(object) as usize
}

impl Host {
    /// Makes the one host of this process. It is never dropped: the process ends first.
    ///
    /// The checkpoint is still to come, but its tensors' places are known: scripts print and make tensors
    /// while they are loaded.
    pub(super) fn open(
        graph: &Graph,
        python: PyObjectRef,
        values: PyObjectRef,
        replies: Box<dyn Read>,
        printed_bytes: u64,
        message_bytes: u64,
    ) -> &'static Host {
        let host = Host {
            objects: RefCell::new(vec![None; graph.nodes.len()]),
            ids: RefCell::new(HashMap::new()),
            tensors: Tensors::new(graph),
            printed: RefCell::new(String::new()),
            printed_bytes: usize::try_from(printed_bytes).unwrap_or(usize::MAX),
            message_bytes,
            python,
            values,
            classes: RefCell::new(HashMap::new()),
            families: OnceCell::new(),
            replies: RefCell::new(replies),
            graph: OnceCell::new(),
        };
        HOST.with(|cell| *cell.get_or_init(|| Box::leak(Box::new(host))))
    }

    /// Gives the checkpoint, once.
    pub(super) fn set_graph(&self, graph: Graph) {
        let _ = self.families.set(families(&graph));
        let _ = self.graph.set(graph);
    }

    /// The checkpoint.
    pub(super) fn graph(&self) -> &Graph {
        self.graph.get().expect("set before anything of it is shown")
    }

    /// Tells the prelude what a graph's instances say of their classes.
    pub(super) fn tell_families(&self, graph: &Graph, vm: &VirtualMachine) -> PyResult<()> {
        let known: Vec<PyObjectRef> = families(graph)
            .into_iter()
            .filter_map(|(class, family)| Some((class_path(graph, class)?, family)))
            .map(|((module, name), family)| {
                let parts = [module.as_str(), name.as_str(), family.name()];
                vm.ctx.new_tuple(parts.map(|part| vm.ctx.new_str(part).into()).into()).into()
            })
            .collect();
        vm.call_method(&self.python, "set_families", (vm.ctx.new_list(known),))?;
        Ok(())
    }

    pub(super) fn family(&self, class: NodeId) -> Option<Family> {
        self.families.get()?.get(&class).copied()
    }

    /// How the checkpoint calls the core of numpy, which was renamed once.
    pub(super) fn numpy_core(&self) -> &'static str {
        let old =
            |kind: &Kind| matches!(kind, Kind::Global { module, .. } if module.starts_with("numpy.core."));
        if self.graph().nodes.iter().any(|node| old(&node.kind)) { "numpy.core" } else { "numpy._core" }
    }

    pub(super) fn form(&self, id: NodeId) -> Form {
        form(self.graph(), id, |class| self.family(class))
    }

    pub(super) fn object(&self, id: NodeId) -> Option<PyObjectRef> {
        self.objects.borrow()[id.index()].clone()
    }

    /// The Python class that instances of a global get.
    pub(super) fn class(&self, global: NodeId, is_dict: bool, vm: &VirtualMachine) -> PyResult<PyTypeRef> {
        if let Some(class) = self.classes.borrow().get(&global) {
            return Ok(class.clone());
        }
        let (module, name) =
            class_path(self.graph(), global).unwrap_or_else(|| ("ckstore".to_owned(), "Opaque".to_owned()));
        let class = self.class_named(&module, &name, is_dict, vm)?;
        self.classes.borrow_mut().insert(global, class.clone());
        Ok(class)
    }

    pub(super) fn class_named(
        &self,
        module: &str,
        name: &str,
        is_dict: bool,
        vm: &VirtualMachine,
    ) -> PyResult<PyTypeRef> {
        let class = vm.call_method(&self.python, "class_for", (modern_module(module), name, is_dict))?;
        class.downcast().map_err(|_| vm.new_type_error("a class was expected".to_owned()))
    }

    /// The path of a class that a checkpoint can name, as the prelude knows it.
    pub(super) fn path_of(
        &self,
        class: &PyObject,
        vm: &VirtualMachine,
    ) -> PyResult<Option<(String, String)>> {
        let path = vm.call_method(&self.python, "path_of", (class.to_owned(),))?;
        if vm.is_none(&path) {
            return Ok(None);
        }
        let parts: Vec<String> = vm.extract_elements_with(&path, |part| part.try_into_value(vm))?;
        Ok(<[String; 2]>::try_from(parts).ok().map(|[module, name]| (module, name)))
    }

    /// Asks the parent for the bytes of a small result.
    pub(super) fn evaluate(&self, expr: Expr, vm: &VirtualMachine) -> PyResult<Vec<u8>> {
        let reply = say(&FromWorker::Evaluate(expr))
            .and_then(|()| receive::<Reply>(&mut *self.replies.borrow_mut(), self.message_bytes))
            .map_err(|error| vm.new_runtime_error(format!("ckstore does not answer: {error}")))?;
        match reply {
            Reply::Bytes(bytes) => Ok(bytes),
            Reply::Refused(reason) => Err(vm.new_runtime_error(reason)),
        }
    }

    /// Keeps printed text, up to the limit.
    pub(super) fn print(&self, text: &str) {
        let mut printed = self.printed.borrow_mut();
        let room = self.printed_bytes.saturating_sub(printed.len());
        printed.push_str(&text[..text.floor_char_boundary(room)]);
    }
}

/// Whether an object is of exactly this class.
pub(super) fn is_exactly(
    object: &PyObject,
    class: &rustpython_vm::Py<rustpython_vm::builtins::PyType>,
) -> bool {
    object.class().is(class)
}
