//! Turns what a script left behind into edits of the graph.
//!
//! The walk starts at the object that the script returned. A node whose object is as it was shown is not
//! written at all; of the others only the tail is. Below instances that nobody looked at the walk goes on
//! in the graph, because something that was edited elsewhere may be reached only through them.

use std::collections::{BTreeMap, HashMap, HashSet};

use rustpython_vm::builtins::{
    PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyStr, PyTuple, PyType,
};
use rustpython_vm::{AsObject, PyObject, PyObjectRef, PyResult, VirtualMachine};

use num_bigint::BigInt;

use super::super::Computed;
use super::super::pipe::{Answer, Failure};
use super::failure::Stop;
use super::form::{self, Form, State, class_path, modern_module, state};
use super::host::{Host, address, is_exactly};
use super::native::_ckstore::{Object, TensorBase};
use super::tensor::{Source, parameter_grad, storage_class};
use crate::value::{
    FloatBits, Graph, Kind, Node, NodeId, Path, Storage, StorageId, StorageRef, Tail, Tensor,
};

/// One step of the way to an object, for messages.
enum Label {
    Key(PyObjectRef),
    Place(usize),
    State,
}

enum Work {
    /// Compare or write this object, which is this node.
    Object(PyObjectRef, NodeId),
    /// Nobody has seen this node; go on with what is below it.
    Unseen(NodeId),
}

struct Freezer<'a> {
    host: &'a Host,
    vm: &'a VirtualMachine,
    changed: BTreeMap<NodeId, Node>,
    added: Vec<Node>,
    fresh: HashMap<usize, NodeId>,
    visited: HashSet<NodeId>,
    work: Vec<(Work, usize)>,
    trail: Vec<(usize, Label)>,
    globals: HashMap<(String, String), NodeId>,
    storages: Vec<Storage>,
    computed: Vec<Computed>,
    memories: HashMap<usize, StorageRef>,
    known_classes: HashMap<usize, Option<(String, String)>>,
    next_key: u64,
    /// Objects that were made here: their addresses must stay their own.
    alive: Vec<PyObjectRef>,
}

/// How a value is made that is neither plain nor an instance with attributes.
struct Parts {
    module: String,
    name: String,
    args: PyObjectRef,
    state: Option<PyObjectRef>,
    items: Vec<PyObjectRef>,
    /// Whether its class makes it bare, and not a call.
    bare: bool,
}

/// The edits that make the graph into what the script returned. `moved` are globals that were renamed.
pub(super) fn freeze(
    host: &Host,
    root: &PyObject,
    moved: Vec<NodeId>,
    vm: &VirtualMachine,
) -> Result<Answer, Stop> {
    let mut freezer = Freezer::new(host, vm);
    for id in moved {
        freezer.changed.insert(id, host.graph().node(id).clone());
    }
    freezer.rewritten_memories();
    let root = freezer.id_of(root, 0)?;
    while let Some((work, trail)) = freezer.work.pop() {
        match work {
            Work::Object(object, id) => freezer.visit(&object, id, trail)?,
            Work::Unseen(id) => freezer.pass(id, trail),
        }
    }
    Ok(Answer {
        changed: freezer.changed.into_iter().collect(),
        added: freezer.added,
        root,
        storages: freezer.storages,
        computed: freezer.computed,
        skipped: None,
        printed: String::new(),
    })
}

impl<'a> Freezer<'a> {
    fn new(host: &'a Host, vm: &'a VirtualMachine) -> Freezer<'a> {
        let mut globals = HashMap::new();
        for (place, node) in host.graph().nodes.iter().enumerate() {
            if let Kind::Global { module, name } = &node.kind
                && node.tail.is_empty()
            {
                let id = NodeId(u32::try_from(place).expect("node ids have 32 bits"));
                globals.entry((modern_module(module).to_owned(), name.clone())).or_insert(id);
            }
        }
        for (place, object) in host.graph().nodes.iter().enumerate() {
            let id = NodeId(u32::try_from(place).expect("node ids have 32 bits"));
            if matches!(object.kind, Kind::Reduce { .. })
                && host.form(id) == Form::Named
                && let Some(path) = class_path(host.graph(), id)
            {
                globals.entry(path).or_insert(id);
            }
        }
        let keys = host.graph().storages.iter().filter_map(|storage| storage.key.parse::<u64>().ok());
        Freezer {
            host,
            vm,
            changed: BTreeMap::new(),
            added: Vec::new(),
            fresh: HashMap::new(),
            visited: HashSet::new(),
            work: Vec::new(),
            trail: vec![(0, Label::State)],
            globals,
            storages: Vec::new(),
            computed: Vec::new(),
            memories: HashMap::new(),
            known_classes: HashMap::new(),
            next_key: keys.max().map_or(0, |key| key.saturating_add(1)),
            alive: Vec::new(),
        }
    }

    fn graph(&self) -> &'a Graph {
        self.host.graph()
    }

    fn add(&mut self, node: impl Into<Node>) -> NodeId {
        let id = self.host.graph().nodes.len() + self.added.len();
        self.added.push(node.into());
        NodeId(u32::try_from(id).expect("memory ends before node ids do"))
    }

    fn put(&mut self, id: NodeId, node: Node) {
        match id.index().checked_sub(self.host.graph().nodes.len()) {
            Some(place) => self.added[place] = node,
            None => {
                self.changed.insert(id, node);
            }
        }
    }

    fn is_new(&self, id: NodeId) -> bool {
        id.index() >= self.host.graph().nodes.len()
    }

    fn step(&mut self, parent: usize, label: Label) -> usize {
        self.trail.push((parent, label));
        self.trail.len() - 1
    }

    /// The node of an object; new objects get one, and whatever holds others is put up for a visit.
    fn id_of(&mut self, object: &PyObject, trail: usize) -> Result<NodeId, Stop> {
        let at = address(object);
        let known = self.host.ids.borrow().get(&at).copied();
        if let Some(id) = known {
            if !self.visited.contains(&id) {
                self.visited.insert(id);
                self.work.push((Work::Object(object.to_owned(), id), trail));
            }
            return Ok(id);
        }
        if let Some(id) = self.fresh.get(&at) {
            return Ok(*id);
        }
        if let Some(kind) = self.atom(object)? {
            let id = self.add(kind);
            self.fresh.insert(at, id);
            return Ok(id);
        }
        if let Some(tensor) = object.downcast_ref::<TensorBase>() {
            let tensor = tensor.to_owned();
            let id = self.tensor(&tensor, trail)?;
            self.fresh.insert(at, id);
            return Ok(id);
        }
        if let Some(class) = object.downcast_ref::<PyType>() {
            return match self.host.path_of(class.as_object(), self.vm)? {
                Some(path) => Ok(self.global(&path.0, &path.1)),
                None => Err(self.cannot(object, trail)),
            };
        }
        if let Some(path) = self.named_value(object)? {
            return Ok(self.global(&path.0, &path.1));
        }
        if let Some(parts) = self.parts(object, false)? {
            let id = self.add(Kind::None);
            self.fresh.insert(at, id);
            self.visited.insert(id);
            let node = self.assembled(&parts, None, trail)?;
            self.put(id, node);
            return Ok(id);
        }
        let kind = self.made(object, trail)?;
        let id = self.add(kind);
        self.fresh.insert(at, id);
        self.visited.insert(id);
        self.work.push((Work::Object(object.to_owned(), id), trail));
        Ok(id)
    }

    /// How the prelude takes a value apart; nothing for plain values, and for what is as it was shown.
    fn parts(&mut self, object: &PyObject, is_shown: bool) -> Result<Option<Parts>, Stop> {
        let types = &self.vm.ctx.types;
        let plain =
            [types.list_type, types.dict_type, types.set_type, types.frozenset_type, types.tuple_type];
        if plain.into_iter().any(|plain| is_exactly(object, plain)) {
            return Ok(None);
        }
        let vm = self.vm;
        let core = self.host.numpy_core();
        let parts = vm.call_method(&self.host.values, "taken", (object.to_owned(), is_shown, core))?;
        let Some(tuple) = parts.downcast_ref::<PyTuple>() else { return Ok(None) };
        let parts_of = tuple.as_slice();
        let [module, name, args, state, items, bare @ ..] = parts_of else { return Ok(None) };
        let text = |part: &PyObjectRef| part.clone().try_into_value::<String>(vm);
        let no_state = self.host.python.get_attr("NO_STATE", vm)?;
        let items = match items.downcast_ref::<PyList>() {
            Some(list) => list.borrow_vec().to_vec(),
            None => Vec::new(),
        };
        let made = Parts {
            module: text(module)?,
            name: text(name)?,
            args: args.clone(),
            state: (!state.is(&no_state)).then(|| state.clone()),
            items,
            bare: !bare.is_empty(),
        };
        self.alive.push(parts.clone());
        Ok(Some(made))
    }

    /// The node of a value that was taken apart; `old` is the one that it had.
    fn assembled(&mut self, parts: &Parts, old: Option<&Node>, trail: usize) -> Result<Node, Stop> {
        let callee = match old.map(|node| &node.kind) {
            Some(Kind::Reduce { callee, .. }) => *callee,
            _ => self.global(&parts.module, &parts.name),
        };
        let args = self.id_of(&parts.args, trail)?;
        let kind = match parts.bare {
            true => Kind::NewObj { class: callee, args },
            false => Kind::Reduce { callee, args },
        };
        let mut tail = Vec::new();
        if let Some(state) = &parts.state {
            tail.push(Tail::Build(self.id_of(state, trail)?));
        }
        tail.extend(self.ids(&parts.items, trail)?.into_iter().map(Tail::Append));
        Ok(Node { kind, tail })
    }

    /// A value that was made by a call, as it is now.
    fn remade(&mut self, object: &PyObject, id: NodeId, trail: usize) -> Result<(), Stop> {
        let shell = object.downcast_ref::<Object>().is_some();
        let parts = if shell { None } else { self.parts(object, true)? };
        let Some(parts) = parts else {
            self.pass(id, trail);
            return Ok(());
        };
        let before = self.graph().elements(id).collect::<Vec<_>>();
        if parts.state.is_none() {
            // Only what is appended to it can have changed.
            let mut items = Vec::with_capacity(parts.items.len());
            for (place, item) in parts.items.iter().enumerate() {
                let old = before.get(place).copied();
                items.push(self.item(item, old, trail, Label::Place(place))?);
            }
            if items != before {
                self.retail(id, items.into_iter().map(Tail::Append).collect(), |step| {
                    matches!(step, Tail::Append(_))
                });
            }
            if let Kind::Reduce { args, .. } = self.graph().kind(id) {
                self.enter(*args, trail, Label::State);
            }
            return Ok(());
        }
        let old = self.graph().node(id);
        let node = self.assembled(&parts, Some(old), trail)?;
        self.put(id, node);
        Ok(())
    }

    /// How a new container or instance is made, before it is filled.
    fn made(&mut self, object: &PyObject, trail: usize) -> Result<Kind, Stop> {
        let types = &self.vm.ctx.types;
        if is_exactly(object, types.list_type) {
            return Ok(Kind::List);
        }
        if is_exactly(object, types.dict_type) {
            return Ok(Kind::Dict);
        }
        if is_exactly(object, types.set_type) {
            return Ok(Kind::Set);
        }
        if is_exactly(object, types.frozenset_type) {
            return Ok(Kind::FrozenSet(Vec::new()));
        }
        if is_exactly(object, types.tuple_type) {
            return Ok(Kind::Tuple(Vec::new()));
        }
        if is_exactly(object, types.bytearray_type) {
            return Ok(Kind::ByteArray(Vec::new()));
        }
        let Some((module, name)) = self.class_path(object)? else { return Err(self.cannot(object, trail)) };
        if let Some(extents) = object.downcast_ref::<PyTuple>()
            && name == "Size"
        {
            let extents = self.vm.ctx.new_tuple(extents.as_slice().to_vec());
            self.alive.push(extents.clone().into());
            let extents = self.ids(extents.as_slice(), trail)?;
            let inner = self.add(Kind::Tuple(extents));
            let (callee, args) = (self.global(&module, &name), self.add(Kind::Tuple(vec![inner])));
            return Ok(Kind::Reduce { callee, args });
        }
        if let Some(instance) = object.downcast_ref::<Object>() {
            if let Some(template) = instance.template {
                return Ok(self.graph().kind(template).clone());
            }
        } else if object.downcast_ref::<PyDict>().is_none() {
            return Err(self.cannot(object, trail));
        }
        let class = self.global(&module, &name);
        if module == "collections" {
            let mut args = Vec::new();
            if name == "defaultdict" {
                let factory = object.get_attr("default_factory", self.vm)?;
                args.push(self.id_of(&factory, trail)?);
            }
            let args = self.add(Kind::Tuple(args));
            return Ok(Kind::Reduce { callee: class, args });
        }
        let args = self.add(Kind::Tuple(Vec::new()));
        Ok(Kind::NewObj { class, args })
    }

    /// The path of an instance's class, if a checkpoint can name it.
    fn class_path(&mut self, object: &PyObject) -> PyResult<Option<(String, String)>> {
        let class = object.class();
        let at = address(class.as_object());
        if let Some(path) = self.known_classes.get(&at) {
            return Ok(path.clone());
        }
        let path = self.host.path_of(class.as_object(), self.vm)?;
        self.known_classes.insert(at, path.clone());
        Ok(path)
    }

    /// A value that is named rather than made, such as `torch.float32` or `typing.Any`.
    fn named_value(&self, object: &PyObject) -> PyResult<Option<(String, String)>> {
        self.host.path_of(object, self.vm)
    }

    fn cannot(&self, object: &PyObject, trail: usize) -> Stop {
        let type_name = object.class().name().to_string();
        Failure::CannotStore { path: self.path(trail), type_name }.into()
    }

    fn path(&self, mut trail: usize) -> String {
        let mut steps = Vec::new();
        while trail != 0 {
            let (parent, label) = &self.trail[trail];
            match label {
                Label::Key(key) => steps.push(match key.downcast_ref::<PyStr>() {
                    Some(text) => text.to_string_lossy().into_owned(),
                    None => key
                        .repr(self.vm)
                        .map_or_else(|_| "?".into(), |text| text.to_string_lossy().into_owned()),
                }),
                Label::Place(place) => steps.push(place.to_string()),
                Label::State => {}
            }
            trail = *parent;
        }
        steps.iter().rev().fold(Path::root(), |path, step| path.join(step)).to_string()
    }

    fn global(&mut self, module: &str, name: &str) -> NodeId {
        let path = (modern_module(module).to_owned(), name.to_owned());
        if let Some(id) = self.globals.get(&path) {
            return *id;
        }
        if let Some((outer, inner)) = name.rsplit_once('.') {
            // A dotted name is one that protocols below 4 cannot say.
            let outer = self.global(module, outer);
            let (callee, inner) = (self.global("builtins", "getattr"), self.add(Kind::Str(inner.to_owned())));
            let args = self.add(Kind::Tuple(vec![outer, inner]));
            let id = self.add(Kind::Reduce { callee, args });
            self.globals.insert(path, id);
            return id;
        }
        let id = self.add(Kind::Global { module: path.0.clone(), name: path.1.clone() });
        self.globals.insert(path, id);
        id
    }

    /// The kind of a value without identity.
    fn atom(&self, object: &PyObject) -> PyResult<Option<Kind>> {
        let types = &self.vm.ctx.types;
        if self.vm.is_none(object) {
            return Ok(Some(Kind::None));
        }
        if is_exactly(object, types.bool_type) {
            return Ok(Some(Kind::Bool(object.to_owned().try_into_value(self.vm)?)));
        }
        if is_exactly(object, types.str_type)
            && let Some(text) = object.downcast_ref::<PyStr>()
        {
            return Ok(Some(match text.to_str() {
                Some(text) => Kind::Str(text.to_owned()),
                None => Kind::SurrogateStr(text.as_bytes().to_vec()),
            }));
        }
        if is_exactly(object, types.int_type)
            && let Some(value) = object.downcast_ref::<PyInt>()
        {
            let value = value.as_bigint();
            return Ok(Some(match i64::try_from(value) {
                Ok(value) => Kind::Int(value),
                Err(_) => Kind::BigInt(BigInt::from_signed_bytes_le(&value.to_signed_bytes_le())),
            }));
        }
        if is_exactly(object, types.float_type)
            && let Some(value) = object.downcast_ref::<PyFloat>()
        {
            return Ok(Some(Kind::Float(FloatBits::from(value.to_f64()))));
        }
        if is_exactly(object, types.bytes_type)
            && let Some(bytes) = object.downcast_ref::<PyBytes>()
        {
            return Ok(Some(Kind::Bytes(bytes.as_bytes().to_vec())));
        }
        Ok(None)
    }

    /// Whether an object is what a node was shown as, or equal to it where identity does not matter.
    fn is_shown_as(&self, object: &PyObject, id: NodeId) -> PyResult<bool> {
        let shown = self.host.objects.borrow()[id.index()].clone();
        if shown.is_some_and(|shown| shown.is(object)) {
            return Ok(true);
        }
        Ok(self.host.form(id) == Form::Atom && self.atom(object)?.as_ref() == Some(self.graph().kind(id)))
    }

    /// The node of an item: the old one where nothing changed, so that equal values keep their nodes.
    fn item(
        &mut self,
        object: &PyObject,
        old: Option<NodeId>,
        trail: usize,
        label: Label,
    ) -> Result<NodeId, Stop> {
        if let Some(old) = old
            && self.is_shown_as(object, old)?
        {
            self.enter(old, trail, label);
            return Ok(old);
        }
        let trail = self.step(trail, label);
        self.id_of(object, trail)
    }

    /// Puts a node up for a visit, by its object where it has one.
    fn enter(&mut self, id: NodeId, trail: usize, label: Label) {
        if self.visited.contains(&id) || self.host.form(id) == Form::Atom {
            return;
        }
        self.visited.insert(id);
        let trail = self.step(trail, label);
        let work = match self.host.object(id) {
            Some(object) => Work::Object(object, id),
            None => Work::Unseen(id),
        };
        self.work.push((work, trail));
    }

    fn pass(&mut self, id: NodeId, trail: usize) {
        for child in self.graph().children(id) {
            self.enter(child, trail, Label::State);
        }
    }

    fn visit(&mut self, object: &PyObject, id: NodeId, trail: usize) -> Result<(), Stop> {
        if self.is_new(id) {
            return self.write_new(object, id, trail);
        }
        match self.host.form(id) {
            Form::Atom => Ok(()),
            Form::Tensor(inner) => self.kept_tensor(object, id, inner, trail),
            Form::Tuple
            | Form::FrozenSet
            | Form::FrozenSetOf(_)
            | Form::EncodedBytes
            | Form::Size(_)
            | Form::Named
            | Form::Opaque => {
                self.pass(id, trail);
                Ok(())
            }
            Form::ByteArray => {
                let bytes = content(object);
                if !matches!(self.graph().kind(id), Kind::ByteArray(old) if *old == bytes) {
                    self.put(id, Kind::ByteArray(bytes).into());
                }
                Ok(())
            }
            Form::EncodedByteArray(before) => {
                let bytes = content(object);
                if form::bytes_of(self.graph(), before).as_ref() != Some(&bytes) {
                    self.put(id, Kind::ByteArray(bytes).into());
                }
                Ok(())
            }
            Form::List => self.list(object, id, trail),
            Form::Set | Form::SetOf(_) => self.set(object, id, trail),
            Form::Dict | Form::OrderedDict | Form::DefaultDict(_) | Form::DictObject(_) => {
                self.dict(object, id, trail)
            }
            Form::Object(_) => self.instance(object, id, trail),
            Form::Made(_) => self.remade(object, id, trail),
        }
    }

    fn list(&mut self, object: &PyObject, id: NodeId, trail: usize) -> Result<(), Stop> {
        let Some(list) = object.downcast_ref::<PyList>() else { return Ok(()) };
        let now: Vec<PyObjectRef> = list.borrow_vec().to_vec();
        let before: Vec<NodeId> = self.graph().elements(id).collect();
        // Items keep their nodes from both ends inwards, so that an insertion touches nothing else.
        let mut old: Vec<Option<NodeId>> = vec![None; now.len()];
        let common = now.len().min(before.len());
        let mut front = 0;
        while front < common && self.is_shown_as(&now[front], before[front])? {
            old[front] = Some(before[front]);
            front += 1;
        }
        let mut back = 0;
        while back < common - front
            && self.is_shown_as(&now[now.len() - 1 - back], before[before.len() - 1 - back])?
        {
            old[now.len() - 1 - back] = Some(before[before.len() - 1 - back]);
            back += 1;
        }
        if now.len() == before.len() {
            for place in front..now.len() - back {
                old[place] = Some(before[place]);
            }
        }
        let mut items = Vec::with_capacity(now.len());
        for (place, (item, old)) in now.iter().zip(old).enumerate() {
            items.push(self.item(item, old, trail, Label::Place(place))?);
        }
        if items != before {
            let tail = items.into_iter().map(Tail::Append).collect();
            self.retail(id, tail, |step| matches!(step, Tail::Append(_)));
        } else {
            self.effects(id, trail);
        }
        Ok(())
    }

    fn set(&mut self, object: &PyObject, id: NodeId, trail: usize) -> Result<(), Stop> {
        let Some(set) = object.downcast_ref::<PySet>() else { return Ok(()) };
        let source = if let Form::SetOf(list) = self.host.form(id) { list } else { id };
        let mut before = Vec::new();
        for step in &self.graph().node(source).tail {
            match step {
                Tail::Append(item) => before.push(*item),
                Tail::Add(items) => before.extend(items),
                _ => {}
            }
        }
        let now = set.elements();
        let mut same = now.len() == before.len();
        for (item, old) in now.iter().zip(&before) {
            same = same && self.is_shown_as(item, *old)?;
        }
        let mut items = Vec::with_capacity(now.len());
        for (place, item) in now.iter().enumerate() {
            let old = before.get(place).copied();
            items.push(self.item(item, old, trail, Label::Place(place))?);
        }
        if same {
            self.pass(id, trail);
        } else if source == id {
            self.retail(id, vec![Tail::Add(items)], |step| matches!(step, Tail::Add(_)));
        } else {
            let list =
                self.add(Node { kind: Kind::List, tail: items.into_iter().map(Tail::Append).collect() });
            let args = self.add(Kind::Tuple(vec![list]));
            let mut node = self.graph().node(id).clone();
            if let Kind::Reduce { args: old, .. } = &mut node.kind {
                *old = args;
            }
            self.put(id, node);
        }
        Ok(())
    }

    fn dict(&mut self, object: &PyObject, id: NodeId, trail: usize) -> Result<(), Stop> {
        let Some(dict) = object.downcast_ref::<PyDict>() else { return Ok(()) };
        let now = dict.items_vec();
        let before: Vec<(NodeId, NodeId)> = self
            .graph()
            .node(id)
            .tail
            .iter()
            .filter_map(|step| match step {
                Tail::Set(key, value) => Some((*key, *value)),
                _ => None,
            })
            .collect();
        let mut same = now.len() == before.len();
        for ((key, value), (old_key, old_value)) in now.iter().zip(&before) {
            same = same && self.is_shown_as(key, *old_key)? && self.is_shown_as(value, *old_value)?;
        }
        if same {
            for ((key, _), (old_key, old_value)) in now.iter().zip(&before) {
                self.enter(*old_key, trail, Label::State);
                self.enter(*old_value, trail, Label::Key(key.clone()));
            }
            self.effects(id, trail);
            return self.attributes(object, id, trail);
        }
        // Keys that stayed keep their nodes: a dict keeps the very object of a key.
        let mut old: HashMap<usize, (NodeId, NodeId)> = HashMap::new();
        for (old_key, old_value) in &before {
            if let Some(key) = self.host.object(*old_key) {
                old.entry(address(&key))
                    .and_modify(|item| item.1 = *old_value)
                    .or_insert((*old_key, *old_value));
            }
        }
        let mut tail = Vec::with_capacity(now.len());
        for (key, value) in &now {
            let known = old.get(&address(key)).copied();
            let key_id = match known {
                Some((id, _)) => {
                    self.enter(id, trail, Label::State);
                    id
                }
                None => self.id_of(key, trail)?,
            };
            let old_value = known.map(|(_, value)| value);
            tail.push(Tail::Set(key_id, self.item(value, old_value, trail, Label::Key(key.clone()))?));
        }
        self.retail(id, tail, |step| matches!(step, Tail::Set(..)));
        self.effects(id, trail);
        self.attributes(object, id, trail)
    }

    /// Replaces the steps of one sort, leaving the others in order before and behind them.
    fn retail(&mut self, id: NodeId, tail: Vec<Tail>, replaced: impl Fn(&Tail) -> bool) {
        let mut node = self.current(id);
        // A call that came before the items stays there: in a cycle, what it refers to is made in that order.
        let first = node.tail.iter().position(&replaced).unwrap_or(0);
        let kept_after = node.tail.split_off(first).into_iter().filter(|step| !replaced(step));
        node.tail.extend(tail.into_iter().chain(kept_after));
        self.put(id, node);
    }

    fn current(&self, id: NodeId) -> Node {
        match id.index().checked_sub(self.host.graph().nodes.len()) {
            Some(place) => self.added[place].clone(),
            None => self.changed.get(&id).unwrap_or_else(|| self.graph().node(id)).clone(),
        }
    }

    fn effects(&mut self, id: NodeId, trail: usize) {
        let node = self.graph().node(id);
        match &node.kind {
            Kind::Reduce { callee, args } => {
                self.enter(*callee, trail, Label::State);
                self.enter(*args, trail, Label::State);
            }
            Kind::NewObj { class, args } => {
                self.enter(*class, trail, Label::State);
                self.enter(*args, trail, Label::State);
            }
            _ => {}
        }
        for step in &node.tail {
            if let Tail::Effect(call) = step {
                self.enter(*call, trail, Label::State);
            }
        }
    }

    /// The attributes of a dict subclass.
    fn attributes(&mut self, object: &PyObject, id: NodeId, trail: usize) -> Result<(), Stop> {
        let Some(dict) = object.dict() else { return Ok(()) };
        let form = self.host.form(id);
        let before = self.host.has_attributes(id, form);
        match before {
            Some(before) if self.is_shown_as(dict.as_object(), before)? => {
                self.enter(before, trail, Label::State);
                self.private_state(id, trail);
                Ok(())
            }
            None if dict.is_empty() => Ok(()),
            _ if matches!(form, Form::Dict) => Ok(()),
            _ => self.rebuild(id, dict.as_object(), before, trail),
        }
    }

    /// Whatever a state holds besides the attributes.
    fn private_state(&mut self, id: NodeId, trail: usize) {
        for step in &self.graph().node(id).tail {
            if let Tail::Build(state) = step {
                self.enter(*state, trail, Label::State);
            }
        }
    }

    fn instance(&mut self, object: &PyObject, id: NodeId, trail: usize) -> Result<(), Stop> {
        let Some(instance) = object.downcast_ref::<Object>() else { return Ok(()) };
        let Some(dict) = instance.as_object().dict().filter(|_| instance.loaded.get()) else {
            self.pass(id, trail);
            return Ok(());
        };
        match state(self.graph(), id) {
            State::Attributes(before) if self.is_shown_as(dict.as_object(), before)? => {
                self.pass(id, trail);
                Ok(())
            }
            State::Attributes(before) => self.rebuild(id, dict.as_object(), Some(before), trail),
            State::None if !dict.is_empty() => self.rebuild(id, dict.as_object(), None, trail),
            State::Private if !dict.is_empty() => Err(self.cannot(object, trail)),
            _ => {
                self.pass(id, trail);
                Ok(())
            }
        }
    }

    /// Writes another dict of attributes: as the state, or into the state where the old one was.
    fn rebuild(
        &mut self,
        id: NodeId,
        dict: &PyObject,
        before: Option<NodeId>,
        trail: usize,
    ) -> Result<(), Stop> {
        let state = self.id_of(dict, trail)?;
        let mut node = self.current(id);
        match before {
            None => node.tail.push(Tail::Build(state)),
            Some(before) => {
                for step in &mut node.tail {
                    if let Tail::Build(old) = step {
                        *old = if *old == before { state } else { self.with_attributes(*old, before, state) };
                    }
                }
            }
        }
        self.put(id, node);
        self.pass(id, trail);
        Ok(())
    }

    /// A copy of a state in which the dict of attributes is another one.
    fn with_attributes(&mut self, old: NodeId, before: NodeId, new: NodeId) -> NodeId {
        let mut node = self.graph().node(old).clone();
        if let Kind::Tuple(items) = &mut node.kind {
            for item in items.iter_mut().filter(|item| **item == before) {
                *item = new;
            }
        }
        for step in &mut node.tail {
            if let Tail::Set(_, value) = step
                && *value == before
            {
                *value = new;
            }
        }
        self.put(old, node);
        old
    }

    fn write_new(&mut self, object: &PyObject, id: NodeId, trail: usize) -> Result<(), Stop> {
        let mut node = self.current(id);
        if let Some(list) = object.downcast_ref::<PyList>() {
            let items: Vec<PyObjectRef> = list.borrow_vec().to_vec();
            node.tail = self.ids(&items, trail)?.into_iter().map(Tail::Append).collect();
        } else if let Some(set) = object.downcast_ref::<PySet>() {
            let items = self.ids(&set.elements(), trail)?;
            if !items.is_empty() {
                node.tail = vec![Tail::Add(items)];
            }
        } else if let Some(set) = object.downcast_ref::<PyFrozenSet>() {
            node.kind = Kind::FrozenSet(self.ids(&set.elements(), trail)?);
        } else if let Some(tuple) = object.downcast_ref::<PyTuple>()
            && matches!(node.kind, Kind::Tuple(_))
        {
            node.kind = Kind::Tuple(self.ids(tuple.as_slice(), trail)?);
        } else if object.downcast_ref::<PyByteArray>().is_some() {
            node.kind = Kind::ByteArray(content(object));
        } else if let Some(dict) = object.downcast_ref::<PyDict>() {
            for (key, value) in dict.items_vec() {
                let key_id = self.id_of(&key, trail)?;
                let below = self.step(trail, Label::Key(key));
                node.tail.push(Tail::Set(key_id, self.id_of(&value, below)?));
            }
            if let Some(attributes) = object.dict().filter(|dict| !dict.is_empty())
                && !self.hidden_attributes(&node)
            {
                node.tail.push(Tail::Build(self.id_of(attributes.as_object(), trail)?));
            }
        } else if let Some(instance) = object.downcast_ref::<Object>() {
            self.new_instance(instance, &mut node, trail)?;
        }
        self.put(id, node);
        Ok(())
    }

    /// A `defaultdict` keeps its factory where Python shows it, but pickles it as an argument.
    fn hidden_attributes(&self, node: &Node) -> bool {
        matches!(node.kind, Kind::Dict)
    }

    fn new_instance(
        &mut self,
        instance: &rustpython_vm::Py<Object>,
        node: &mut Node,
        trail: usize,
    ) -> Result<(), Stop> {
        let attributes = instance.as_object().dict();
        let Some(template) = instance.template else {
            if let Some(attributes) = attributes {
                node.tail.push(Tail::Build(self.id_of(attributes.as_object(), trail)?));
            }
            return Ok(());
        };
        node.tail = self.graph().node(template).tail.clone();
        match (state(self.graph(), template), attributes) {
            (State::Attributes(before), Some(attributes)) => {
                let new = self.id_of(attributes.as_object(), trail)?;
                for step in &mut node.tail {
                    if let Tail::Build(old) = step {
                        if *old == before {
                            *old = new;
                        } else {
                            // The copy needs a state of its own around its attributes.
                            let copy = self.graph().node(*old).clone();
                            let copy = self.add(copy);
                            self.replace_in(copy, before, new);
                            *old = copy;
                        }
                    }
                }
            }
            (State::None, Some(attributes)) if !attributes.is_empty() => {
                node.tail.push(Tail::Build(self.id_of(attributes.as_object(), trail)?));
            }
            _ => {}
        }
        self.pass(template, trail);
        Ok(())
    }

    fn replace_in(&mut self, id: NodeId, before: NodeId, new: NodeId) {
        let mut node = self.current(id);
        if let Kind::Tuple(items) = &mut node.kind {
            items.iter_mut().filter(|item| **item == before).for_each(|item| *item = new);
        }
        for step in &mut node.tail {
            if let Tail::Set(_, value) = step
                && *value == before
            {
                *value = new;
            }
        }
        self.put(id, node);
    }

    fn ids(&mut self, items: &[PyObjectRef], trail: usize) -> Result<Vec<NodeId>, Stop> {
        let mut out = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            let below = self.step(trail, Label::Place(place));
            out.push(self.id_of(item, below)?);
        }
        Ok(out)
    }

    /// A tensor of the checkpoint: only whether it wants gradients can have changed.
    fn kept_tensor(
        &mut self,
        object: &PyObject,
        id: NodeId,
        inner: NodeId,
        trail: usize,
    ) -> Result<(), Stop> {
        let now = object.downcast_ref::<TensorBase>().map(|tensor| tensor.requires_grad.get());
        match (now, parameter_grad(self.graph(), id)) {
            (Some(now), None) => {
                let mut node = self.current(inner);
                if let Kind::Tensor(old) = &mut node.kind
                    && old.requires_grad != now
                {
                    old.requires_grad = now;
                    self.put(inner, node);
                }
            }
            (Some(now), Some(before)) if now != before => {
                let mut node = self.graph().node(id).clone();
                if let Kind::Reduce { args, .. } = &mut node.kind
                    && let Kind::Tuple(items) = self.graph().kind(*args)
                {
                    let mut items = items.clone();
                    items[1] = self.add(Kind::Bool(now));
                    *args = self.add(Kind::Tuple(items));
                    self.put(id, node);
                }
            }
            _ => {}
        }
        self.pass(id, trail);
        Ok(())
    }

    fn tensor(&mut self, tensor: &rustpython_vm::PyRef<TensorBase>, trail: usize) -> Result<NodeId, Stop> {
        if tensor.as_object().dict().is_some_and(|dict| !dict.is_empty()) || self.class_is_odd(tensor) {
            return Err(self.cannot(tensor.as_object(), trail));
        }
        let handle = &tensor.handle;
        let storage = self.storage(tensor);
        let node = Tensor {
            dtype: handle.dtype,
            shape: handle.window.shape.clone(),
            strides: handle.window.strides.clone(),
            offset: handle.window.offset,
            storage,
            requires_grad: tensor.requires_grad.get() && !handle.parameter,
            hooks: None,
            metadata: None,
        };
        let id = self.add(Kind::Tensor(Box::new(node)));
        if !handle.parameter {
            return Ok(id);
        }
        let grad = self.add(Kind::Bool(tensor.requires_grad.get()));
        let (empty, ordered) = (self.add(Kind::Tuple(Vec::new())), self.global("collections", "OrderedDict"));
        let hooks = self.add(Kind::Reduce { callee: ordered, args: empty });
        let args = self.add(Kind::Tuple(vec![id, grad, hooks]));
        let callee = self.global("torch._utils", "_rebuild_parameter");
        Ok(self.add(Kind::Reduce { callee, args }))
    }

    fn class_is_odd(&self, tensor: &rustpython_vm::PyRef<TensorBase>) -> bool {
        !matches!(self.host.path_of(tensor.class().as_object(), self.vm), Ok(Some(_)))
    }

    /// The storage of a memory; what was computed gets a new one.
    fn storage(&mut self, tensor: &rustpython_vm::PyRef<TensorBase>) -> StorageRef {
        let memory = &tensor.handle.memory;
        let Source::Computed(step) = memory.source.get() else { return memory.reference.clone() };
        let at = std::rc::Rc::as_ptr(memory) as usize;
        if let Some(storage) = self.memories.get(&at) {
            return storage.clone();
        }
        let bytes = self.host.tensors.bytes(step);
        let elements = self.host.tensors.elements(step);
        let id = self.host.graph().storages.len() + self.storages.len();
        let id = StorageId(u32::try_from(id).expect("memory ends before storage ids do"));
        self.storages.push(Storage { key: self.next_key.to_string(), bytes });
        self.next_key = self.next_key.saturating_add(1);
        self.computed.push(Computed { storage: id, expr: self.host.tensors.expr(step) });
        let plain = memory.reference.class.is_empty();
        let (class, elements) = match storage_class(tensor.handle.dtype) {
            _ if plain => (String::new(), elements),
            Some(class) => (class.to_owned(), elements),
            None => ("torch.storage.UntypedStorage".to_owned(), bytes),
        };
        let storage = StorageRef {
            storage: id,
            class,
            location: memory.reference.location.clone(),
            elements,
            view: None,
        };
        self.memories.insert(at, storage.clone());
        storage
    }

    /// Tensors of the checkpoint over a memory that was written to look into the new storage.
    fn rewritten_memories(&mut self) {
        let host = self.host;
        for memory in host.tensors.rewritten.borrow().iter() {
            for (place, node) in host.graph().nodes.iter().enumerate() {
                let Kind::Tensor(old) = &node.kind else { continue };
                if Some(old.storage.storage) != memory.origin {
                    continue;
                }
                let id = NodeId(u32::try_from(place).expect("node ids have 32 bits"));
                let Ok(shown) = host.tensors.show(host.graph(), id, id, self.vm) else { continue };
                if let Ok(shown) = shown.downcast::<TensorBase>() {
                    let mut new = old.clone();
                    new.storage = self.storage(&shown);
                    self.put(id, Node { kind: Kind::Tensor(new), tail: node.tail.clone() });
                }
            }
        }
    }
}

fn content(object: &PyObject) -> Vec<u8> {
    object.downcast_ref::<PyByteArray>().map(|bytes| bytes.borrow_buf().to_vec()).unwrap_or_default()
}
