//! Tensors as a script sees them: a window into a memory whose bytes are elsewhere.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use rustpython_vm::builtins::{PyFloat, PyInt, PyTupleRef, PyTypeRef};
use rustpython_vm::{AsObject, PyObject, PyObjectRef, PyRef, PyResult, VirtualMachine};

use super::super::element::{Number, decode, encode};
use super::super::{BinaryOp, Expr, FoldOp, Operand, Scalar, Shape, Step, StepId, UnaryOp, Window};
use super::host::Host;
use super::native::_ckstore::TensorBase;
use crate::value::{Dtype, Graph, Kind, NodeId, Storage, StorageId, StorageRef, Tensor};

/// Where the bytes of a memory come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A storage of the checkpoint.
    Stored(StorageId),
    /// The dense result of a step.
    Computed(StepId),
}

/// What tensors share when they share memory.
#[derive(Debug)]
pub(super) struct Memory {
    /// Where its bytes come from; changed by work in place.
    pub source: Cell<Source>,
    /// The storage that it had in the checkpoint.
    pub origin: Option<StorageId>,
    /// How the graph refers to it.
    pub reference: StorageRef,
}

/// A window into a memory.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    pub memory: Rc<Memory>,
    pub dtype: Dtype,
    pub window: Window,
    /// Whether it is a parameter, which torch pickles in a wrapper.
    pub parameter: bool,
}

/// All memories and everything computed so far.
pub(super) struct Tensors {
    storages: Vec<Storage>,
    steps: RefCell<Vec<Step>>,
    shapes: RefCell<Vec<Shape>>,
    memories: RefCell<HashMap<StorageId, Rc<Memory>>>,
    class: RefCell<Option<PyTypeRef>>,
    /// How new storages are referred to: as the checkpoint's first one.
    style: StorageRef,
    /// Memories of the checkpoint that work in place has changed.
    pub rewritten: RefCell<Vec<Rc<Memory>>>,
}

type Ref<'a> = &'a PyRef<TensorBase>;

impl Tensors {
    pub(super) fn new(graph: &Graph) -> Tensors {
        let style = graph.nodes.iter().find_map(|node| match &node.kind {
            Kind::Tensor(tensor) => Some(StorageRef { view: None, ..tensor.storage.clone() }),
            _ => None,
        });
        Tensors {
            storages: graph.storages.clone(),
            steps: RefCell::default(),
            shapes: RefCell::default(),
            memories: RefCell::default(),
            class: RefCell::default(),
            style: style.unwrap_or_else(|| StorageRef {
                storage: StorageId(0),
                class: "torch.FloatStorage".to_owned(),
                location: "cpu".to_owned(),
                elements: 0,
                view: None,
            }),
            rewritten: RefCell::default(),
        }
    }

    /// Sets the class that scripts know as `torch.Tensor`.
    pub(super) fn set_class(&self, class: PyTypeRef) {
        *self.class.borrow_mut() = Some(class);
    }

    /// The handle of a tensor node.
    ///
    /// `shown` is the node itself or the parameter that wraps it, which then says whether gradients are wanted.
    pub(super) fn show(&self, graph: &Graph, id: NodeId, shown: NodeId, vm: &VirtualMachine) -> PyResult {
        let Some(tensor) = graph.as_tensor(id) else {
            return Err(vm.new_type_error("a tensor was expected".to_owned()));
        };
        let memory = self.memory(&tensor.storage);
        let window =
            Window { shape: tensor.shape.clone(), strides: tensor.strides.clone(), offset: tensor.offset };
        let handle = Handle { memory, dtype: tensor.dtype, window, parameter: shown != id };
        let requires_grad = parameter_grad(graph, shown).unwrap_or(tensor.requires_grad);
        Ok(self.wrap(handle, requires_grad, vm))
    }

    fn memory(&self, reference: &StorageRef) -> Rc<Memory> {
        let mut memories = self.memories.borrow_mut();
        let memory = memories.entry(reference.storage).or_insert_with(|| {
            Rc::new(Memory {
                source: Cell::new(Source::Stored(reference.storage)),
                origin: Some(reference.storage),
                reference: reference.clone(),
            })
        });
        Rc::clone(memory)
    }

    fn wrap(&self, handle: Handle, requires_grad: bool, vm: &VirtualMachine) -> PyObjectRef {
        let class = self.class.borrow().clone().expect("set before the first tensor is shown");
        let payload = TensorBase { handle, requires_grad: Cell::new(requires_grad) };
        PyRef::new_ref(payload, class, Some(vm.ctx.new_dict())).into()
    }

    /// Adds a step and returns its id.
    fn push(&self, step: Step, vm: &VirtualMachine) -> PyResult<StepId> {
        let shape = step
            .shape(&self.shapes.borrow(), |id| self.storages.get(id.index()).map(|storage| storage.bytes))
            .map_err(|reason| vm.new_value_error(format!("cannot compute a tensor: {reason}")))?;
        let mut steps = self.steps.borrow_mut();
        let id = StepId::try_from(steps.len())
            .map_err(|_| vm.new_value_error("too many tensor operations".to_owned()))?;
        steps.push(step);
        self.shapes.borrow_mut().push(shape);
        Ok(id)
    }

    /// The step that gives a tensor's elements densely.
    fn dense(&self, of: Ref, vm: &VirtualMachine) -> PyResult<StepId> {
        let handle = &of.handle;
        match handle.memory.source.get() {
            Source::Stored(storage) => {
                self.push(Step::Load { storage, dtype: handle.dtype, window: handle.window.clone() }, vm)
            }
            Source::Computed(step) => {
                let whole = self.shapes.borrow()[step as usize].extents == handle.window.shape
                    && handle.window.offset == 0
                    && handle.window.is_dense();
                if whole {
                    Ok(step)
                } else {
                    self.push(Step::View { of: step, window: handle.window.clone() }, vm)
                }
            }
        }
    }

    /// A new tensor over the result of a step.
    fn result(&self, step: StepId, like: Option<Ref>, grad: bool, vm: &VirtualMachine) -> PyObjectRef {
        let shape = self.shapes.borrow()[step as usize].clone();
        let reference = like.map_or(&self.style, |like| &like.handle.memory.reference).clone();
        let memory = Rc::new(Memory { source: Cell::new(Source::Computed(step)), origin: None, reference });
        let strides = Tensor::contiguous_strides(&shape.extents).unwrap_or_default();
        let window = Window { shape: shape.extents, strides, offset: 0 };
        let floats = super::super::expr::takes_gradients(shape.dtype);
        self.wrap(Handle { memory, dtype: shape.dtype, window, parameter: false }, grad && floats, vm)
    }

    pub(super) fn view(
        &self,
        of: Ref,
        shape: Vec<u64>,
        strides: Vec<u64>,
        offset: u64,
        vm: &VirtualMachine,
    ) -> PyResult {
        let window = Window { shape, strides, offset };
        let handle = &of.handle;
        let available = match handle.memory.source.get() {
            Source::Stored(storage) => self.storages[storage.index()].bytes / handle.dtype.item_bytes(),
            Source::Computed(step) => self.shapes.borrow()[step as usize].elements,
        };
        window
            .check(available)
            .map_err(|reason| vm.new_value_error(format!("cannot view a tensor: {reason}")))?;
        let handle = Handle { window, parameter: false, ..handle.clone() };
        Ok(self.wrap(handle, of.requires_grad.get(), vm))
    }

    pub(super) fn alias(
        &self,
        of: Ref,
        requires_grad: bool,
        parameter: bool,
        vm: &VirtualMachine,
    ) -> PyResult {
        Ok(self.wrap(Handle { parameter, ..of.handle.clone() }, requires_grad, vm))
    }

    pub(super) fn copy(&self, of: Ref, vm: &VirtualMachine) -> PyResult {
        // The memory is new even where the step is the same.
        let step = self.dense(of, vm)?;
        Ok(self.result(step, Some(of), of.requires_grad.get(), vm))
    }

    pub(super) fn cast(&self, of: Ref, dtype: &str, vm: &VirtualMachine) -> PyResult {
        let dtype = dtype_named(dtype, vm)?;
        let step = Step::Cast { of: self.dense(of, vm)?, dtype };
        Ok(self.result(self.push(step, vm)?, Some(of), of.requires_grad.get(), vm))
    }

    pub(super) fn cat(&self, parts: &[PyRef<TensorBase>], dim: u32, vm: &VirtualMachine) -> PyResult {
        let grad = parts.iter().any(|part| part.requires_grad.get());
        let steps: PyResult<Vec<StepId>> = parts.iter().map(|part| self.dense(part, vm)).collect();
        let step = self.push(Step::Cat { dim, parts: steps? }, vm)?;
        Ok(self.result(step, parts.first(), grad, vm))
    }

    pub(super) fn index_select(&self, of: Ref, dim: u32, index: Ref, vm: &VirtualMachine) -> PyResult {
        let step = Step::IndexSelect { of: self.dense(of, vm)?, dim, index: self.dense(index, vm)? };
        Ok(self.result(self.push(step, vm)?, Some(of), of.requires_grad.get(), vm))
    }

    pub(super) fn unary(&self, op: &str, of: Ref, vm: &VirtualMachine) -> PyResult {
        let op = match op {
            "neg" => UnaryOp::Neg,
            "abs" => UnaryOp::Abs,
            "sqrt" => UnaryOp::Sqrt,
            "exp" => UnaryOp::Exp,
            "log" => UnaryOp::Log,
            "floor" => UnaryOp::Floor,
            "ceil" => UnaryOp::Ceil,
            "trunc" => UnaryOp::Trunc,
            "round" => UnaryOp::Round,
            "sign" => UnaryOp::Sign,
            "not" => UnaryOp::Not,
            "isnan" => UnaryOp::IsNan,
            "reciprocal" => UnaryOp::Reciprocal,
            _ => return Err(vm.new_value_error(format!("no function `{op}`"))),
        };
        let step = Step::Unary { op, of: self.dense(of, vm)? };
        Ok(self.result(self.push(step, vm)?, Some(of), of.requires_grad.get(), vm))
    }

    pub(super) fn binary(
        &self,
        op: &str,
        left: &PyObject,
        right: &PyObject,
        dtype: &str,
        vm: &VirtualMachine,
    ) -> PyResult {
        let op = match op {
            "add" => BinaryOp::Add,
            "sub" => BinaryOp::Sub,
            "mul" => BinaryOp::Mul,
            "div" => BinaryOp::Div,
            "floor_div" => BinaryOp::FloorDiv,
            "remainder" => BinaryOp::Remainder,
            "pow" => BinaryOp::Pow,
            "maximum" => BinaryOp::Maximum,
            "minimum" => BinaryOp::Minimum,
            "eq" => BinaryOp::Eq,
            "ne" => BinaryOp::Ne,
            "lt" => BinaryOp::Lt,
            "le" => BinaryOp::Le,
            "gt" => BinaryOp::Gt,
            "ge" => BinaryOp::Ge,
            "and" => BinaryOp::And,
            "or" => BinaryOp::Or,
            "xor" => BinaryOp::Xor,
            _ => return Err(vm.new_value_error(format!("no function `{op}`"))),
        };
        let mut like = None;
        let mut grad = false;
        let mut operand = |object: &PyObject| match object.downcast_ref::<TensorBase>() {
            Some(tensor) => {
                let tensor = tensor.to_owned();
                let step = self.dense(&tensor, vm)?;
                grad |= tensor.requires_grad.get();
                like.get_or_insert(tensor);
                Ok(Operand::Step(step))
            }
            None => Ok(Operand::Scalar(scalar(object, vm)?)),
        };
        let (left, right) = (operand(left)?, operand(right)?);
        let step = self.push(Step::Binary { op, left, right, dtype: dtype_named(dtype, vm)? }, vm)?;
        Ok(self.result(step, like.as_ref(), grad, vm))
    }

    pub(super) fn choose(&self, condition: Ref, left: Ref, right: Ref, vm: &VirtualMachine) -> PyResult {
        let step = Step::Where {
            condition: self.dense(condition, vm)?,
            left: self.dense(left, vm)?,
            right: self.dense(right, vm)?,
        };
        let grad = left.requires_grad.get() || right.requires_grad.get();
        Ok(self.result(self.push(step, vm)?, Some(left), grad, vm))
    }

    pub(super) fn fold(&self, op: &str, of: Ref, dtype: &str, vm: &VirtualMachine) -> PyResult {
        let op = match op {
            "sum" => FoldOp::Sum,
            "mean" => FoldOp::Mean,
            "prod" => FoldOp::Product,
            "min" => FoldOp::Min,
            "max" => FoldOp::Max,
            "all" => FoldOp::All,
            "any" => FoldOp::Any,
            "argmin" => FoldOp::ArgMin,
            "argmax" => FoldOp::ArgMax,
            _ => return Err(vm.new_value_error(format!("no function `{op}`"))),
        };
        let step = Step::Fold { op, of: self.dense(of, vm)?, dtype: dtype_named(dtype, vm)? };
        Ok(self.result(self.push(step, vm)?, Some(of), of.requires_grad.get(), vm))
    }

    pub(super) fn full(
        &self,
        shape: Vec<u64>,
        value: &PyObject,
        dtype: &str,
        vm: &VirtualMachine,
    ) -> PyResult {
        let step = Step::Full { dtype: dtype_named(dtype, vm)?, shape, value: scalar(value, vm)? };
        Ok(self.result(self.push(step, vm)?, None, false, vm))
    }

    pub(super) fn arange(
        &self,
        count: u64,
        start: &PyObject,
        step: &PyObject,
        dtype: &str,
        vm: &VirtualMachine,
    ) -> PyResult {
        let (start, step) = (scalar(start, vm)?, scalar(step, vm)?);
        let step = Step::Arange { dtype: dtype_named(dtype, vm)?, count, start, step };
        Ok(self.result(self.push(step, vm)?, None, false, vm))
    }

    pub(super) fn literal(
        &self,
        shape: Vec<u64>,
        values: &[PyObjectRef],
        dtype: &str,
        vm: &VirtualMachine,
    ) -> PyResult {
        let bytes = bytes_of(dtype, values, vm)?;
        let dtype = dtype_named(dtype, vm)?;
        let step = self.push(Step::Literal { dtype, shape, bytes }, vm)?;
        Ok(self.result(step, None, false, vm))
    }

    /// Replaces the elements of a tensor in place: all tensors over the same memory see it.
    pub(super) fn assign(&self, target: Ref, value: Ref, vm: &VirtualMachine) -> PyResult<()> {
        let handle = &target.handle;
        let value = self.dense(value, vm)?;
        let base = match handle.memory.source.get() {
            Source::Stored(storage) => {
                let elements = self.storages[storage.index()].bytes / handle.dtype.item_bytes();
                let window = Window { shape: vec![elements], strides: vec![1], offset: 0 };
                self.push(Step::Load { storage, dtype: handle.dtype, window }, vm)?
            }
            Source::Computed(step) => step,
        };
        if self.shapes.borrow()[base as usize].dtype != handle.dtype {
            return Err(vm.new_value_error("cannot write to memory that is seen as another type".to_owned()));
        }
        let step = self.push(Step::Assign { base, window: handle.window.clone(), value }, vm)?;
        let before = handle.memory.source.replace(Source::Computed(step));
        if matches!(before, Source::Stored(_)) {
            self.rewritten.borrow_mut().push(Rc::clone(&handle.memory));
        }
        Ok(())
    }

    pub(super) fn numbers(&self, host: &Host, of: Ref, vm: &VirtualMachine) -> PyResult<Vec<PyObjectRef>> {
        let step = self.dense(of, vm)?;
        let bytes = host.evaluate(self.expr(step), vm)?;
        numbers_of(of.handle.dtype.name(), &bytes, vm)
    }

    /// A step with all that it needs, and nothing else.
    pub(super) fn expr(&self, root: StepId) -> Expr {
        let steps = self.steps.borrow();
        let mut needed = BTreeSet::from([root]);
        let mut todo = vec![root];
        while let Some(step) = todo.pop() {
            todo.extend(
                steps[step as usize].operands().into_iter().filter(|&operand| needed.insert(operand)),
            );
        }
        let places: HashMap<StepId, StepId> = needed.iter().copied().zip(0..).collect();
        let renumbered = needed.iter().map(|&step| {
            let mut step = steps[step as usize].clone();
            step.renumber(|id| places[&id]);
            step
        });
        Expr { steps: renumbered.collect() }
    }

    /// Length in bytes of a step's result.
    pub(super) fn bytes(&self, step: StepId) -> u64 {
        self.shapes.borrow()[step as usize].bytes()
    }

    pub(super) fn elements(&self, step: StepId) -> u64 {
        self.shapes.borrow()[step as usize].elements
    }
}

/// The numbers that dense little-endian bytes are.
pub(super) fn numbers_of(dtype: &str, bytes: &[u8], vm: &VirtualMachine) -> PyResult<Vec<PyObjectRef>> {
    let dtype = dtype_named(dtype, vm)?;
    let count = bytes.len() / usize::try_from(dtype.item_bytes()).unwrap_or(1);
    let lanes = decode(dtype, bytes);
    Ok((0..count)
        .map(|place| match lanes.get(place) {
            Number::Float(value) => vm.ctx.new_float(value).into(),
            Number::Int(value) if dtype == Dtype::Bool => vm.ctx.new_bool(value != 0).into(),
            Number::Int(value) => vm.ctx.new_int(value).into(),
        })
        .collect())
}

/// The dense little-endian bytes of numbers.
pub(super) fn bytes_of(dtype: &str, values: &[PyObjectRef], vm: &VirtualMachine) -> PyResult<Vec<u8>> {
    let dtype = dtype_named(dtype, vm)?;
    let mut bytes = Vec::new();
    for value in values {
        encode(dtype, Number::of(scalar(value, vm)?), &mut bytes);
    }
    Ok(bytes)
}

/// Whether a parameter wants gradients, as the call that wraps its tensor says.
pub(super) fn parameter_grad(graph: &Graph, wrapper: NodeId) -> Option<bool> {
    let Kind::Reduce { args, .. } = graph.kind(wrapper) else { return None };
    let Kind::Tuple(items) = graph.kind(*args) else { return None };
    match graph.kind(*items.get(1)?) {
        Kind::Bool(value) => Some(*value),
        _ => None,
    }
}

/// The storage class of torch for an element type; types of later days have none of their own.
pub(super) fn storage_class(dtype: Dtype) -> Option<&'static str> {
    Some(match dtype {
        Dtype::F64 => "torch.DoubleStorage",
        Dtype::F32 => "torch.FloatStorage",
        Dtype::F16 => "torch.HalfStorage",
        Dtype::Bf16 => "torch.BFloat16Storage",
        Dtype::C128 => "torch.ComplexDoubleStorage",
        Dtype::C64 => "torch.ComplexFloatStorage",
        Dtype::I64 => "torch.LongStorage",
        Dtype::I32 => "torch.IntStorage",
        Dtype::I16 => "torch.ShortStorage",
        Dtype::I8 => "torch.CharStorage",
        Dtype::U8 => "torch.ByteStorage",
        Dtype::Bool => "torch.BoolStorage",
        _ => return None,
    })
}

pub(super) fn dtype_named(name: &str, vm: &VirtualMachine) -> PyResult<Dtype> {
    Dtype::from_name(name).ok_or_else(|| vm.new_value_error(format!("no element type `{name}`")))
}

pub(super) fn tuple(values: &[u64], vm: &VirtualMachine) -> PyTupleRef {
    vm.ctx.new_tuple(values.iter().map(|&value| vm.ctx.new_int(value).into()).collect())
}

fn scalar(object: &PyObject, vm: &VirtualMachine) -> PyResult<Scalar> {
    if object.class().is(vm.ctx.types.bool_type) {
        return Ok(Scalar::Bool(object.to_owned().try_into_value(vm)?));
    }
    if object.downcast_ref::<PyInt>().is_some() {
        return Ok(Scalar::Int(object.to_owned().try_into_value(vm)?));
    }
    match object.downcast_ref::<PyFloat>() {
        Some(value) => Ok(Scalar::Float(value.to_f64())),
        None => Err(vm.new_type_error(format!("a number was expected, not {}", object.class().name()))),
    }
}
