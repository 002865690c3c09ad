//! Shows nodes as Python objects.
//!
//! Containers are real dicts, lists, tuples and sets. Instances are shells whose attributes are shown when
//! somebody looks; below them nothing is made before that.

use rustpython_vm::builtins::{PyDict, PyDictRef, PyFrozenSet, PyInt, PyList, PySet, PyStr};
use rustpython_vm::common::wtf8::Wtf8Buf;
use rustpython_vm::{AsObject, PyObjectRef, PyPayload, PyRef, PyResult, VirtualMachine};

use super::family::Family;
use super::form::{Form, State, built, bytes_of, class_path, state};
use super::host::{Host, address};
use super::native::_ckstore::Object;
use crate::value::{Kind, NodeId, Tail};

enum Todo {
    /// Make the object of this node.
    Enter(NodeId),
    /// Its items exist now: make it.
    Close(NodeId),
}

impl Host {
    /// The Python object of a node; without recursion, as nodes may be nested without bound.
    pub(super) fn thaw(&self, root: NodeId, vm: &VirtualMachine) -> PyResult {
        if let Some(object) = self.object(root) {
            return Ok(object);
        }
        let mut todo = vec![Todo::Enter(root)];
        let mut open = std::collections::HashSet::new();
        let mut fill = Vec::new();
        while let Some(next) = todo.pop() {
            match next {
                Todo::Enter(id) => {
                    if self.object(id).is_some() {
                        continue;
                    }
                    let form = self.form(id);
                    if let Some(items) = self.items_first(id, form) {
                        // A tuple that holds itself without a list between is nothing that Python can make.
                        if open.insert(id) {
                            todo.push(Todo::Close(id));
                            todo.extend(items.into_iter().rev().map(Todo::Enter));
                        } else {
                            self.keep(id, self.shell(id, vm)?);
                        }
                        continue;
                    }
                    let object = self.make(id, form, vm)?;
                    self.keep(id, object);
                    let items = self.items_later(id, form);
                    if !items.is_empty() || self.has_attributes(id, form).is_some() {
                        fill.push((id, form));
                        todo.extend(items.into_iter().rev().map(Todo::Enter));
                        todo.extend(self.has_attributes(id, form).map(Todo::Enter));
                    }
                }
                Todo::Close(id) => {
                    if self.object(id).is_none() {
                        let object = self.close(id, vm)?;
                        self.keep(id, object);
                        let items = self.appended(id);
                        if self.is_refilled(id) {
                            fill.push((id, self.form(id)));
                            todo.extend(items.into_iter().rev().map(Todo::Enter));
                        }
                    }
                }
            }
        }
        // Tuples that serve as keys hash what they hold, so lists and plain dicts can be filled in any order.
        for (id, form) in fill {
            self.fill(id, form, vm)?;
        }
        self.object(root).ok_or_else(|| vm.new_runtime_error("a node has no object".to_owned()))
    }

    /// Shows the attributes of an instance, once.
    pub(super) fn load(&self, object: &PyRef<Object>, vm: &VirtualMachine) -> PyResult<()> {
        if object.loaded.replace(true) {
            return Ok(());
        }
        let Some(id) = object.node.get() else { return Ok(()) };
        if let Form::Object(_) = self.form(id)
            && let State::Attributes(attributes) = state(self.graph(), id)
        {
            let dict = self.thaw(attributes, vm)?;
            if let Ok(dict) = dict.downcast::<PyDict>() {
                // `object.__setattr__` passes by the look that shows the attributes.
                if let Some(early) = object.as_object().dict() {
                    for (key, value) in early.items_vec() {
                        dict.set_item(&*key, value, vm)?;
                    }
                }
                let _ = object.as_object().set_dict(dict);
            }
        }
        Ok(())
    }

    fn keep(&self, id: NodeId, object: PyObjectRef) {
        let own = match self.graph().kind(id) {
            Kind::Str(text) => text.len() > 1,
            Kind::Int(_) | Kind::BigInt(_) | Kind::Float(_) => true,
            _ => self.form(id) != Form::Atom && !is_empty_tuple(&object),
        };
        if own {
            self.ids.borrow_mut().insert(address(&object), id);
        }
        self.objects.borrow_mut()[id.index()] = Some(object);
    }

    /// What must exist before the object can be made, for those that cannot be filled later.
    fn items_first(&self, id: NodeId, form: Form) -> Option<Vec<NodeId>> {
        match (form, self.graph().kind(id)) {
            (Form::Tuple, Kind::Tuple(items)) | (Form::FrozenSet, Kind::FrozenSet(items)) => {
                Some(items.clone())
            }
            (Form::FrozenSetOf(list), _) => Some(self.graph().elements(list).collect()),
            (Form::Made(_), Kind::Reduce { args, .. } | Kind::NewObj { args, .. }) => {
                Some(std::iter::once(*args).chain(built(self.graph(), id)).collect())
            }
            _ => None,
        }
    }

    /// What is put into the object once it is made.
    fn items_later(&self, id: NodeId, form: Form) -> Vec<NodeId> {
        let mut out = Vec::new();
        match form {
            Form::SetOf(list) => out.extend(self.graph().elements(list)),
            Form::List | Form::Set | Form::Dict | Form::OrderedDict | Form::DictObject(_) => {}
            Form::DefaultDict(factory) => out.extend(factory),
            _ => return out,
        }
        for step in &self.graph().node(id).tail {
            match step {
                Tail::Append(item) => out.push(*item),
                Tail::Set(key, value) => out.extend([*key, *value]),
                Tail::Add(items) => out.extend(items),
                Tail::Build(_) | Tail::Effect(_) => {}
            }
        }
        out
    }

    /// Whether a value that is made by a call gets its content later: what it was called with was not filled yet.
    fn is_refilled(&self, id: NodeId) -> bool {
        let Form::Made(callee) = self.form(id) else { return false };
        matches!(self.graph().as_global(callee), Some(("collections" | "functools", _)))
    }

    /// What is appended to a value that is made by a call.
    pub(super) fn appended(&self, id: NodeId) -> Vec<NodeId> {
        if matches!(self.form(id), Form::Made(_)) { self.graph().elements(id).collect() } else { Vec::new() }
    }

    /// The dict of attributes of a dict subclass.
    pub(super) fn has_attributes(&self, id: NodeId, form: Form) -> Option<NodeId> {
        let dict_like = matches!(form, Form::OrderedDict | Form::DefaultDict(_) | Form::DictObject(_));
        match state(self.graph(), id) {
            State::Attributes(attributes) if dict_like => Some(attributes),
            _ => None,
        }
    }

    fn close(&self, id: NodeId, vm: &VirtualMachine) -> PyResult {
        let form = self.form(id);
        let items = self.items_first(id, form).unwrap_or_default();
        let mut objects = Vec::with_capacity(items.len());
        for item in items {
            objects.push(match self.object(item) {
                Some(object) => object,
                None => self.shell(item, vm)?,
            });
        }
        match form {
            Form::Tuple => Ok(vm.ctx.new_tuple(objects).into()),
            Form::Made(callee) => self.rebuild(id, callee, objects, vm),
            _ => Ok(PyFrozenSet::from_iter(vm, objects)?.into_ref(&vm.ctx).into()),
        }
    }

    /// A value that is made by a call.
    fn rebuild(&self, id: NodeId, callee: NodeId, parts: Vec<PyObjectRef>, vm: &VirtualMachine) -> PyResult {
        let mut parts = parts.into_iter();
        let args = parts.next().unwrap_or_else(|| vm.ctx.new_tuple(Vec::new()).into());
        let made = match self.family(callee) {
            Some(Family::Value | Family::Tuple) => {
                let class = self.class(callee, false, vm)?;
                vm.call_method(&self.values, "rebuild_value", (class, args))?
            }
            _ => {
                let (module, name) = class_path(self.graph(), callee).unwrap_or_default();
                let state = match parts.next() {
                    Some(state) => state,
                    None => self.python.get_attr("NO_STATE", vm)?,
                };
                vm.call_method(&self.values, "rebuild", (module, name, args, state))?
            }
        };
        if vm.is_none(&made) { self.shell(id, vm) } else { Ok(made) }
    }

    /// An instance without attributes, for what can only be moved.
    fn shell(&self, id: NodeId, vm: &VirtualMachine) -> PyResult {
        let class = match self.form(id) {
            Form::Object(class) => self.class(class, false, vm)?,
            Form::Made(class) if self.graph().as_global(class).is_some() => self.class(class, false, vm)?,
            _ => self.class_named("ckstore", "Opaque", false, vm)?,
        };
        let payload = Object::of(id);
        Ok(PyRef::new_ref(payload, class, Some(vm.ctx.new_dict())).into())
    }

    fn make(&self, id: NodeId, form: Form, vm: &VirtualMachine) -> PyResult {
        Ok(match form {
            Form::Atom => return self.atom(id, vm),
            Form::List => vm.ctx.new_list(Vec::new()).into(),
            Form::Dict => vm.ctx.new_dict().into(),
            Form::Set | Form::SetOf(_) => PySet::default().into_ref(&vm.ctx).into(),
            Form::ByteArray => match self.graph().kind(id) {
                Kind::ByteArray(bytes) => vm.ctx.new_bytearray(bytes.clone()).into(),
                _ => vm.ctx.none(),
            },
            Form::EncodedByteArray(bytes) => {
                vm.ctx.new_bytearray(bytes_of(self.graph(), bytes).unwrap_or_default()).into()
            }
            Form::EncodedBytes => vm.ctx.new_bytes(bytes_of(self.graph(), id).unwrap_or_default()).into(),
            Form::OrderedDict => self.dict_of("collections", "OrderedDict", vm)?,
            Form::DefaultDict(_) => self.dict_of("collections", "defaultdict", vm)?,
            Form::DictObject(class) => {
                PyDict::default().into_ref_with_type(vm, self.class(class, true, vm)?)?.into()
            }
            Form::Tensor(tensor) => self.tensors.show(self.graph(), tensor, id, vm)?,
            Form::Size(extents) => {
                let extents = self.thaw(extents, vm)?;
                vm.call_method(&self.python, "size_of", (extents,))?
            }
            Form::Named => {
                let (module, name) = class_path(self.graph(), id).unwrap_or_default();
                vm.call_method(&self.python, "value_of", (module, name))?
            }
            Form::Object(_)
            | Form::Made(_)
            | Form::Opaque
            | Form::Tuple
            | Form::FrozenSet
            | Form::FrozenSetOf(_) => return self.shell(id, vm),
        })
    }

    fn dict_of(&self, module: &str, name: &str, vm: &VirtualMachine) -> PyResult {
        Ok(PyDict::default().into_ref_with_type(vm, self.class_named(module, name, true, vm)?)?.into())
    }

    fn atom(&self, id: NodeId, vm: &VirtualMachine) -> PyResult {
        let ctx = &vm.ctx;
        Ok(match self.graph().kind(id) {
            Kind::None => ctx.none(),
            Kind::Bool(value) => ctx.new_bool(*value).into(),
            // Not one of the interpreter's shared small integers: a number that a script moves keeps its node.
            Kind::Int(value) => PyInt::from(*value).into_ref(ctx).into(),
            Kind::BigInt(value) => {
                let bytes = ctx.new_bytes(value.to_signed_bytes_le());
                vm.call_method(&self.python, "int_from_bytes", (bytes,))?
            }
            Kind::Float(bits) => ctx.new_float(bits.get()).into(),
            Kind::Str(text) => ctx.new_str(text.as_str()).into(),
            Kind::SurrogateStr(bytes) => match Wtf8Buf::from_bytes(bytes.clone()) {
                Ok(text) => ctx.new_str(PyStr::from(text)).into(),
                Err(_) => self.shell(id, vm)?,
            },
            Kind::Str8(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if text.is_ascii() => ctx.new_str(text).into(),
                _ => ctx.new_bytes(bytes.clone()).into(),
            },
            Kind::Bytes(bytes) => ctx.new_bytes(bytes.clone()).into(),
            Kind::Global { module, name } => {
                let module = super::form::modern_module(module);
                vm.call_method(&self.python, "value_of", (module, name.as_str()))?
            }
            _ => self.shell(id, vm)?,
        })
    }

    fn fill(&self, id: NodeId, form: Form, vm: &VirtualMachine) -> PyResult<()> {
        let Some(object) = self.object(id) else { return Ok(()) };
        let item = |id: NodeId| {
            self.object(id).ok_or_else(|| vm.new_runtime_error("a node has no object".to_owned()))
        };
        if let Form::Made(_) = form {
            let items: PyResult<Vec<_>> = self.appended(id).into_iter().map(item).collect();
            if object.downcast_ref::<Object>().is_none() {
                vm.call_method(&self.values, "refill", (object.clone(), vm.ctx.new_list(items?)))?;
            }
            return Ok(());
        }
        if let Form::DefaultDict(Some(factory)) = form {
            vm.call_method(&self.python, "set_factory", (object.clone(), item(factory)?))?;
        }
        if let Some(attributes) = self.has_attributes(id, form)
            && let Ok(dict) = item(attributes)?.downcast::<PyDict>()
        {
            let _ = object.set_dict(dict);
        }
        if let Some(list) = object.downcast_ref::<PyList>() {
            let items: PyResult<Vec<_>> = self.graph().elements(id).map(item).collect();
            *list.borrow_vec_mut() = items?;
        } else if let Some(set) = object.downcast_ref::<PySet>() {
            let source = if let Form::SetOf(list) = form { list } else { id };
            for step in &self.graph().node(source).tail {
                match step {
                    Tail::Append(element) => set.add(item(*element)?, vm)?,
                    Tail::Add(elements) => {
                        for element in elements {
                            set.add(item(*element)?, vm)?;
                        }
                    }
                    _ => {}
                }
            }
        } else if let Some(dict) = object.downcast_ref::<PyDict>() {
            let dict: PyDictRef = dict.to_owned();
            let exact = object.class().is(vm.ctx.types.dict_type);
            // A subclass may have its own idea of setting an item; a pickle sets it in the dict itself. Keys
            // set twice keep their first place and take the last value.
            let target = if exact { dict.clone() } else { vm.ctx.new_dict() };
            for step in &self.graph().node(id).tail {
                if let Tail::Set(key, value) = step {
                    target.set_item(&*item(*key)?, item(*value)?, vm)?;
                }
            }
            if !exact {
                for (key, value) in target.items_vec() {
                    dict.get_or_insert(vm, key, || value)?;
                }
            }
        }
        Ok(())
    }
}

fn is_empty_tuple(object: &PyObjectRef) -> bool {
    object.downcast_ref::<rustpython_vm::builtins::PyTuple>().is_some_and(|tuple| tuple.is_empty())
}
