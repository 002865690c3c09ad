//! The native module `_ckstore`: the base of all instances, tensor handles, and what the prelude needs.

use rustpython_vm as vm;

#[vm::pymodule(name = "_ckstore")]
pub(super) mod _ckstore {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use rustpython_vm::builtins::{PyDict, PyStr, PyStrRef, PyTupleRef, PyTypeRef};
    use rustpython_vm::function::PySetterValue;
    use rustpython_vm::types::{GetAttr, SetAttr};
    use rustpython_vm::{
        AsObject, Py, PyObjectRef, PyPayload, PyRef, PyResult, TryFromObject, VirtualMachine, pyclass,
    };

    use super::super::host::host;
    use super::super::tensor::{self, Handle};
    use crate::value::NodeId;

    /// An instance of a class that the checkpoint names. Its attributes are shown when they are asked for.
    #[pyattr]
    #[pyclass(module = "_ckstore", name = "Object")]
    #[derive(Debug, PyPayload)]
    pub(crate) struct Object {
        /// Its node, unless a script made it.
        pub node: Cell<Option<NodeId>>,
        /// The node that it is a copy of.
        pub template: Option<NodeId>,
        /// Whether its attributes are there.
        pub loaded: Cell<bool>,
        /// The state that it will be pickled with, where that is more than its attributes and a script made it.
        pub state: RefCell<Option<PyObjectRef>>,
    }

    impl Object {
        pub(crate) fn of(id: NodeId) -> Object {
            Object {
                node: Cell::new(Some(id)),
                template: None,
                loaded: Cell::new(false),
                state: RefCell::new(None),
            }
        }

        fn made(template: Option<NodeId>) -> Object {
            Object { node: Cell::new(None), template, loaded: Cell::new(true), state: RefCell::new(None) }
        }

        fn load(zelf: &Py<Self>, vm: &VirtualMachine) -> PyResult<()> {
            if zelf.loaded.get() { Ok(()) } else { host(vm)?.load(&zelf.to_owned(), vm) }
        }
    }

    #[pyclass(flags(BASETYPE, HAS_DICT), with(GetAttr, SetAttr))]
    impl Object {}

    impl GetAttr for Object {
        fn getattro(zelf: &Py<Self>, name: &Py<PyStr>, vm: &VirtualMachine) -> PyResult {
            if !zelf.loaded.get() && name.as_bytes() != b"__class__" {
                Self::load(zelf, vm)?;
            }
            zelf.as_object().generic_getattr(name, vm)
        }
    }

    impl SetAttr for Object {
        fn setattro(
            zelf: &Py<Self>,
            name: &Py<PyStr>,
            value: PySetterValue,
            vm: &VirtualMachine,
        ) -> PyResult<()> {
            Self::load(zelf, vm)?;
            zelf.as_object().generic_setattr(name, value, vm)
        }
    }

    /// A tensor that the script sees: never its elements.
    #[pyattr]
    #[pyclass(module = "_ckstore", name = "TensorBase")]
    #[derive(Debug, PyPayload)]
    pub(crate) struct TensorBase {
        pub handle: Handle,
        pub requires_grad: Cell<bool>,
    }

    #[pyclass(flags(BASETYPE, HAS_DICT))]
    impl TensorBase {
        #[pygetset]
        fn _shape(zelf: &Py<Self>, vm: &VirtualMachine) -> PyTupleRef {
            tensor::tuple(&zelf.handle.window.shape, vm)
        }

        #[pygetset]
        fn _strides(zelf: &Py<Self>, vm: &VirtualMachine) -> PyTupleRef {
            tensor::tuple(&zelf.handle.window.strides, vm)
        }

        #[pygetset]
        fn _offset(zelf: &Py<Self>) -> u64 {
            zelf.handle.window.offset
        }

        #[pygetset]
        fn _dtype(zelf: &Py<Self>) -> &'static str {
            zelf.handle.dtype.name()
        }

        #[pygetset]
        fn _location(zelf: &Py<Self>) -> String {
            zelf.handle.memory.reference.location.clone()
        }

        #[pygetset]
        fn _parameter(zelf: &Py<Self>) -> bool {
            zelf.handle.parameter
        }

        #[pygetset]
        fn _memory(zelf: &Py<Self>) -> usize {
            Rc::as_ptr(&zelf.handle.memory) as usize
        }

        #[pygetset]
        fn _requires_grad(zelf: &Py<Self>) -> bool {
            zelf.requires_grad.get()
        }

        #[pygetset(setter)]
        fn set__requires_grad(zelf: &Py<Self>, value: bool, _vm: &VirtualMachine) -> PyResult<()> {
            zelf.requires_grad.set(value);
            Ok(())
        }
    }

    type Tensor = PyRef<TensorBase>;

    /// Keeps printed text.
    #[pyfunction]
    fn print_text(text: PyStrRef, vm: &VirtualMachine) -> PyResult<()> {
        host(vm)?.print(&text.to_string_lossy());
        Ok(())
    }

    /// A new instance of a class that a checkpoint can name, without attributes.
    #[pyfunction]
    fn new_object(class: PyTypeRef, vm: &VirtualMachine) -> PyResult {
        // A class with another layout would be taken for what it is not.
        if !class.fast_issubclass(Object::class(&vm.ctx)) {
            return Err(vm.new_type_error("not a class of the checkpoint".to_owned()));
        }
        let payload = Object::made(None);
        Ok(PyRef::new_ref(payload, class, Some(vm.ctx.new_dict())).into())
    }

    /// A copy of an instance with other attributes.
    #[pyfunction]
    fn copy_object(object: PyRef<Object>, attributes: PyRef<PyDict>, vm: &VirtualMachine) -> PyResult {
        Object::load(&object, vm)?;
        let template = object.node.get().or(object.template);
        let payload = Object::made(template);
        Ok(PyRef::new_ref(payload, object.class().to_owned(), Some(attributes)).into())
    }

    /// The whole state that an instance was pickled with, or is to be.
    #[pyfunction]
    fn outer_state(object: PyRef<Object>, vm: &VirtualMachine) -> PyResult {
        if let Some(state) = &*object.state.borrow() {
            return Ok(state.clone());
        }
        let host = host(vm)?;
        match object.node.get().and_then(|id| super::super::form::built(host.graph(), id)) {
            Some(state) => host.thaw(state, vm),
            None => Ok(vm.ctx.none()),
        }
    }

    /// Says what an instance that a script made will be pickled with.
    #[pyfunction]
    fn set_outer_state(object: PyRef<Object>, state: PyObjectRef) {
        object.state.replace(Some(state));
    }

    /// The numbers that dense little-endian bytes are.
    #[pyfunction]
    fn decode(dtype: PyStrRef, bytes: Vec<u8>, vm: &VirtualMachine) -> PyResult<Vec<PyObjectRef>> {
        tensor::numbers_of(&dtype.to_string_lossy(), &bytes, vm)
    }

    /// The dense little-endian bytes of numbers.
    #[pyfunction]
    fn encode(dtype: PyStrRef, values: Vec<PyObjectRef>, vm: &VirtualMachine) -> PyResult<Vec<u8>> {
        tensor::bytes_of(&dtype.to_string_lossy(), &values, vm)
    }

    #[pyfunction]
    fn view(of: Tensor, shape: Vec<u64>, strides: Vec<u64>, offset: u64, vm: &VirtualMachine) -> PyResult {
        host(vm)?.tensors.view(&of, shape, strides, offset, vm)
    }

    #[pyfunction]
    fn clone(of: Tensor, vm: &VirtualMachine) -> PyResult {
        host(vm)?.tensors.copy(&of, vm)
    }

    #[pyfunction]
    fn detach(of: Tensor, requires_grad: bool, parameter: bool, vm: &VirtualMachine) -> PyResult {
        host(vm)?.tensors.alias(&of, requires_grad, parameter, vm)
    }

    #[pyfunction]
    fn cast(of: Tensor, dtype: PyStrRef, vm: &VirtualMachine) -> PyResult {
        host(vm)?.tensors.cast(&of, &dtype.to_string_lossy(), vm)
    }

    #[pyfunction]
    fn cat(parts: Vec<PyObjectRef>, dim: u32, vm: &VirtualMachine) -> PyResult {
        let parts: PyResult<Vec<Tensor>> =
            parts.into_iter().map(|part| Tensor::try_from_object(vm, part)).collect();
        host(vm)?.tensors.cat(&parts?, dim, vm)
    }

    #[pyfunction]
    fn index_select(of: Tensor, dim: u32, index: Tensor, vm: &VirtualMachine) -> PyResult {
        host(vm)?.tensors.index_select(&of, dim, &index, vm)
    }

    #[pyfunction]
    fn unary(op: PyStrRef, of: Tensor, vm: &VirtualMachine) -> PyResult {
        host(vm)?.tensors.unary(&op.to_string_lossy(), &of, vm)
    }

    #[pyfunction]
    fn binary(
        op: PyStrRef,
        left: PyObjectRef,
        right: PyObjectRef,
        dtype: PyStrRef,
        vm: &VirtualMachine,
    ) -> PyResult {
        host(vm)?.tensors.binary(&op.to_string_lossy(), &left, &right, &dtype.to_string_lossy(), vm)
    }

    #[pyfunction(name = "where")]
    fn where_(condition: Tensor, left: Tensor, right: Tensor, vm: &VirtualMachine) -> PyResult {
        host(vm)?.tensors.choose(&condition, &left, &right, vm)
    }

    #[pyfunction]
    fn fold(op: PyStrRef, of: Tensor, dtype: PyStrRef, vm: &VirtualMachine) -> PyResult {
        host(vm)?.tensors.fold(&op.to_string_lossy(), &of, &dtype.to_string_lossy(), vm)
    }

    #[pyfunction]
    fn full(shape: Vec<u64>, value: PyObjectRef, dtype: PyStrRef, vm: &VirtualMachine) -> PyResult {
        host(vm)?.tensors.full(shape, &value, &dtype.to_string_lossy(), vm)
    }

    #[pyfunction]
    fn arange(
        count: u64,
        start: PyObjectRef,
        step: PyObjectRef,
        dtype: PyStrRef,
        vm: &VirtualMachine,
    ) -> PyResult {
        host(vm)?.tensors.arange(count, &start, &step, &dtype.to_string_lossy(), vm)
    }

    #[pyfunction]
    fn literal(shape: Vec<u64>, values: Vec<PyObjectRef>, dtype: PyStrRef, vm: &VirtualMachine) -> PyResult {
        host(vm)?.tensors.literal(shape, &values, &dtype.to_string_lossy(), vm)
    }

    #[pyfunction]
    fn assign(target: Tensor, value: Tensor, vm: &VirtualMachine) -> PyResult<()> {
        host(vm)?.tensors.assign(&target, &value, vm)
    }

    /// The elements of a small tensor as Python numbers; asks the parent.
    #[pyfunction]
    fn numbers(of: Tensor, vm: &VirtualMachine) -> PyResult<Vec<PyObjectRef>> {
        let host = host(vm)?;
        host.tensors.numbers(host, &of, vm)
    }

    /// A function of floats; not a number where it is not defined.
    #[pyfunction]
    fn math(name: PyStrRef, x: f64) -> f64 {
        match &*name.to_string_lossy() {
            "sin" => x.sin(),
            "cos" => x.cos(),
            "tan" => x.tan(),
            "asin" => x.asin(),
            "acos" => x.acos(),
            "atan" => x.atan(),
            "sinh" => x.sinh(),
            "cosh" => x.cosh(),
            "tanh" => x.tanh(),
            "asinh" => x.asinh(),
            "acosh" => x.acosh(),
            "atanh" => x.atanh(),
            "exp" => x.exp(),
            "exp2" => x.exp2(),
            "expm1" => x.exp_m1(),
            "ln" => x.ln(),
            "log2" => x.log2(),
            "log10" => x.log10(),
            "log1p" => x.ln_1p(),
            "sqrt" => x.sqrt(),
            "cbrt" => x.cbrt(),
            "fabs" => x.abs(),
            _ => f64::NAN,
        }
    }

    /// Length in bytes of one element.
    #[pyfunction]
    fn item_bytes(dtype: PyStrRef, vm: &VirtualMachine) -> PyResult<u64> {
        Ok(tensor::dtype_named(&dtype.to_string_lossy(), vm)?.item_bytes())
    }
}
