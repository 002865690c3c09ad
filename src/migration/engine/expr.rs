//! What a script computed from tensors, as a value: checked here, run by [`evaluate`](super::evaluate).

use serde::{Deserialize, Serialize};

use crate::value::{Dtype, Storage, StorageId};

/// A tensor that is still to be computed.
///
/// A row of steps of which each may use earlier ones; the last is the result. Every step gives a dense
/// row-major tensor. Nothing in it is trusted: [`Expr::check`] recomputes all shapes and sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expr {
    /// The steps, operands before their users.
    pub steps: Vec<Step>,
}

/// The place of an earlier step in its [`Expr`].
pub type StepId = u32;

/// A strided window into a row of elements, all in elements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Extent of each dimension.
    pub shape: Vec<u64>,
    /// Step of each dimension; zero repeats.
    pub strides: Vec<u64>,
    /// First element.
    pub offset: u64,
}

/// A plain number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Scalar {
    /// A float.
    Float(f64),
    /// An integer.
    Int(i64),
    /// A truth value.
    Bool(bool),
}

/// An operand of a [`Step::Binary`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Operand {
    /// An earlier step, of the result's shape or of one element.
    Step(StepId),
    /// A Python number: it never widens the element type.
    Scalar(Scalar),
}

/// One step of an [`Expr`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// Elements of a storage of the checkpoint.
    Load {
        /// Which storage.
        storage: StorageId,
        /// Element type.
        dtype: Dtype,
        /// Which elements.
        window: Window,
    },
    /// Elements of an earlier step, seen as a flat row.
    View {
        /// The earlier step.
        of: StepId,
        /// Which elements.
        window: Window,
    },
    /// The same number everywhere.
    Full {
        /// Element type.
        dtype: Dtype,
        /// Extents.
        shape: Vec<u64>,
        /// The number.
        value: Scalar,
    },
    /// `start + i * step`, one dimension.
    Arange {
        /// Element type.
        dtype: Dtype,
        /// Number of elements.
        count: u64,
        /// First element.
        start: Scalar,
        /// Difference of neighbours.
        step: Scalar,
    },
    /// Given bytes, little-endian.
    Literal {
        /// Element type.
        dtype: Dtype,
        /// Extents.
        shape: Vec<u64>,
        /// All elements, dense.
        bytes: Vec<u8>,
    },
    /// Another element type.
    Cast {
        /// The earlier step.
        of: StepId,
        /// The new type.
        dtype: Dtype,
    },
    /// Pieces one after the other along a dimension.
    Cat {
        /// The dimension.
        dim: u32,
        /// The pieces: alike in type and in all other dimensions.
        parts: Vec<StepId>,
    },
    /// Chosen entries along a dimension.
    IndexSelect {
        /// The earlier step.
        of: StepId,
        /// The dimension.
        dim: u32,
        /// Which entries: one dimension of integers.
        index: StepId,
    },
    /// A function of each element.
    Unary {
        /// The function.
        op: UnaryOp,
        /// The earlier step.
        of: StepId,
    },
    /// A function of two elements.
    Binary {
        /// The function.
        op: BinaryOp,
        /// First operand.
        left: Operand,
        /// Second operand.
        right: Operand,
        /// The type both are brought to; also the result's, unless the function compares.
        dtype: Dtype,
    },
    /// `condition ? left : right`, all of one shape.
    Where {
        /// Truth values.
        condition: StepId,
        /// Where true.
        left: StepId,
        /// Where false, of the same type.
        right: StepId,
    },
    /// One value for each run of the last dimension.
    Fold {
        /// The function.
        op: FoldOp,
        /// The earlier step, of at least one dimension.
        of: StepId,
        /// The result's type (truth values for `All` and `Any`).
        dtype: Dtype,
    },
    /// A copy of a step in which the elements of a window are replaced.
    Assign {
        /// The step that is copied.
        base: StepId,
        /// Which elements, seen as a flat row.
        window: Window,
        /// The new elements, of the window's shape and the base's type.
        value: StepId,
    },
}

/// A function of one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum UnaryOp {
    Neg,
    Abs,
    Sqrt,
    Exp,
    Log,
    Floor,
    Ceil,
    Trunc,
    Round,
    Sign,
    Not,
    IsNan,
    Reciprocal,
}

/// A function of two elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Remainder,
    Pow,
    Maximum,
    Minimum,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Xor,
}

impl BinaryOp {
    /// Whether the result is a truth value.
    pub fn compares(self) -> bool {
        use BinaryOp::*;
        matches!(self, Eq | Ne | Lt | Le | Gt | Ge)
    }
}

/// How a run of elements becomes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum FoldOp {
    Sum,
    Mean,
    Product,
    Min,
    Max,
    All,
    Any,
    ArgMin,
    ArgMax,
}

/// Type and extents of what a step gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Element type.
    pub dtype: Dtype,
    /// Extents.
    pub extents: Vec<u64>,
    /// Number of elements.
    pub elements: u64,
}

impl Shape {
    /// Length in bytes.
    pub fn bytes(&self) -> u64 {
        self.elements * self.dtype.item_bytes()
    }
}

/// Why an expression makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {step} of a computed tensor: {reason}")]
pub struct ExprError {
    /// Which step.
    pub step: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Longest result of one step in bytes, so that no size overflows.
const MAX_STEP_BYTES: u64 = 1 << 50;

/// Most dimensions of a step.
const MAX_DIMS: usize = 64;

impl Expr {
    /// Checks every step against the storages and returns what each gives, the result last.
    pub fn check(&self, storages: &[Storage]) -> Result<Vec<Shape>, ExprError> {
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.steps.len());
        for (place, step) in self.steps.iter().enumerate() {
            let shape = step
                .shape(&shapes, |id| storages.get(id.index()).map(|storage| storage.bytes))
                .map_err(|reason| ExprError { step: place, reason })?;
            shapes.push(shape);
        }
        if shapes.is_empty() {
            return Err(ExprError { step: 0, reason: "there is none" });
        }
        Ok(shapes)
    }

    /// Bytes that all steps give together: a bound of the work and the memory of an evaluation.
    pub fn work_bytes(shapes: &[Shape]) -> u64 {
        shapes.iter().fold(0, |sum, shape| sum.saturating_add(shape.bytes()))
    }
}

fn shaped(dtype: Dtype, extents: Vec<u64>) -> Result<Shape, &'static str> {
    if extents.len() > MAX_DIMS {
        return Err("it has too many dimensions");
    }
    let elements = extents.iter().try_fold(1u64, |n, &d| n.checked_mul(d)).ok_or("it is too large")?;
    match elements.checked_mul(dtype.item_bytes()) {
        Some(bytes) if bytes <= MAX_STEP_BYTES => Ok(Shape { dtype, extents, elements }),
        _ => Err("it is too large"),
    }
}

impl Window {
    /// Checks that no element lies beyond a row of `available` elements.
    pub fn check(&self, available: u64) -> Result<(), &'static str> {
        if self.shape.len() != self.strides.len() {
            return Err("its strides do not fit its shape");
        }
        if self.shape.contains(&0) {
            return Ok(());
        }
        let mut last = self.offset;
        for (&extent, &stride) in self.shape.iter().zip(&self.strides) {
            last = (extent - 1)
                .checked_mul(stride)
                .and_then(|reach| last.checked_add(reach))
                .ok_or("it is too large")?;
        }
        if last < available { Ok(()) } else { Err("it reaches beyond its source") }
    }

    /// Whether the elements lie one after the other.
    pub fn is_dense(&self) -> bool {
        if self.shape.contains(&0) {
            return true;
        }
        let mut expected = 1u64;
        for (&extent, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if extent != 1 && stride != expected {
                return false;
            }
            expected = expected.saturating_mul(extent);
        }
        true
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }
}

impl Step {
    /// What the step gives, from what earlier ones give and the lengths of storages in bytes.
    pub fn shape(
        &self,
        earlier: &[Shape],
        storage_bytes: impl Fn(StorageId) -> Option<u64>,
    ) -> Result<Shape, &'static str> {
        let get = |id: StepId| earlier.get(id as usize).ok_or("it uses a step that is not before it");
        match self {
            Step::Load { storage, dtype, window } => {
                let bytes = storage_bytes(*storage).ok_or("it reads a storage that does not exist")?;
                let shape = shaped(*dtype, window.shape.clone())?;
                window.check(bytes / dtype.item_bytes())?;
                Ok(shape)
            }
            Step::View { of, window } => {
                let of = get(*of)?;
                let shape = shaped(of.dtype, window.shape.clone())?;
                window.check(of.elements)?;
                Ok(shape)
            }
            Step::Full { dtype, shape, .. } => {
                castable(*dtype)?;
                shaped(*dtype, shape.clone())
            }
            Step::Arange { dtype, count, .. } => {
                computable(*dtype)?;
                shaped(*dtype, vec![*count])
            }
            Step::Literal { dtype, shape, bytes } => {
                let shape = shaped(*dtype, shape.clone())?;
                if bytes.len() as u64 == shape.bytes() {
                    Ok(shape)
                } else {
                    Err("its bytes do not fit its shape")
                }
            }
            Step::Cast { of, dtype } => {
                let of = get(*of)?;
                if of.dtype != *dtype {
                    castable(*dtype)?;
                    castable(of.dtype)?;
                }
                shaped(*dtype, of.extents.clone())
            }
            Step::Cat { dim, parts } => cat(*dim as usize, parts, get),
            Step::IndexSelect { of, dim, index } => {
                let (of, index) = (get(*of)?, get(*index)?);
                if !matches!(index.dtype, Dtype::I64 | Dtype::I32) || index.extents.len() != 1 {
                    return Err("its index is not one row of integers");
                }
                let mut extents = of.extents.clone();
                *extents.get_mut(*dim as usize).ok_or("it has no such dimension")? = index.elements;
                shaped(of.dtype, extents)
            }
            Step::Unary { op, of } => {
                let of = get(*of)?;
                computable(of.dtype)?;
                let dtype = match op {
                    UnaryOp::IsNan => Dtype::Bool,
                    UnaryOp::Not if of.dtype != Dtype::Bool => {
                        return Err("it negates what is no truth value");
                    }
                    UnaryOp::Sqrt | UnaryOp::Exp | UnaryOp::Log | UnaryOp::Reciprocal
                        if !is_float(of.dtype) =>
                    {
                        return Err("it needs floats");
                    }
                    _ => of.dtype,
                };
                shaped(dtype, of.extents.clone())
            }
            Step::Binary { op, left, right, dtype } => {
                computable(*dtype)?;
                let mut shapes = Vec::with_capacity(2);
                for operand in [left, right] {
                    if let Operand::Step(id) = operand {
                        let shape = get(*id)?;
                        computable(shape.dtype)?;
                        shapes.push(shape);
                    }
                }
                let wide = shapes
                    .iter()
                    .max_by_key(|shape| (shape.elements != 1, shape.extents.len()))
                    .ok_or("it has no tensor operand")?;
                if shapes.iter().any(|shape| shape.elements != 1 && shape.extents != wide.extents) {
                    return Err("its operands differ in shape");
                }
                if matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Xor) && is_float(*dtype) {
                    return Err("it combines the bits of floats");
                }
                shaped(if op.compares() { Dtype::Bool } else { *dtype }, wide.extents.clone())
            }
            Step::Where { condition, left, right } => {
                let (condition, left, right) = (get(*condition)?, get(*left)?, get(*right)?);
                if condition.dtype != Dtype::Bool {
                    return Err("its condition is no truth value");
                }
                if left != right || left.extents != condition.extents {
                    return Err("its operands differ in shape or type");
                }
                Ok(left.clone())
            }
            Step::Fold { op, of, dtype } => {
                let of = get(*of)?;
                computable(of.dtype)?;
                computable(*dtype)?;
                let Some((last, rest)) = of.extents.split_last() else { return Err("it has no dimension") };
                if *last == 0 && matches!(op, FoldOp::Min | FoldOp::Max | FoldOp::ArgMin | FoldOp::ArgMax) {
                    return Err("it asks for the least or greatest of nothing");
                }
                shaped(*dtype, rest.to_vec())
            }
            Step::Assign { base, window, value } => {
                let (base, value) = (get(*base)?, get(*value)?);
                window.check(base.elements)?;
                if value.dtype != base.dtype || value.extents != window.shape {
                    return Err("the new elements differ in shape or type");
                }
                Ok(base.clone())
            }
        }
    }

    /// The earlier steps that it uses.
    pub fn operands(&self) -> Vec<StepId> {
        match self {
            Step::Load { .. } | Step::Full { .. } | Step::Arange { .. } | Step::Literal { .. } => vec![],
            Step::View { of, .. }
            | Step::Cast { of, .. }
            | Step::Unary { of, .. }
            | Step::Fold { of, .. } => {
                vec![*of]
            }
            Step::Cat { parts, .. } => parts.clone(),
            Step::IndexSelect { of, index, .. } => vec![*of, *index],
            Step::Binary { left, right, .. } => [left, right]
                .into_iter()
                .filter_map(|operand| match operand {
                    Operand::Step(id) => Some(*id),
                    Operand::Scalar(_) => None,
                })
                .collect(),
            Step::Where { condition, left, right } => vec![*condition, *left, *right],
            Step::Assign { base, value, .. } => vec![*base, *value],
        }
    }

    /// Replaces the ids of the steps that it uses.
    pub fn renumber(&mut self, new: impl Fn(StepId) -> StepId) {
        match self {
            Step::Load { .. } | Step::Full { .. } | Step::Arange { .. } | Step::Literal { .. } => {}
            Step::View { of, .. }
            | Step::Cast { of, .. }
            | Step::Unary { of, .. }
            | Step::Fold { of, .. } => {
                *of = new(*of);
            }
            Step::Cat { parts, .. } => parts.iter_mut().for_each(|id| *id = new(*id)),
            Step::IndexSelect { of, index, .. } => {
                *of = new(*of);
                *index = new(*index);
            }
            Step::Binary { left, right, .. } => {
                for operand in [left, right] {
                    if let Operand::Step(id) = operand {
                        *id = new(*id);
                    }
                }
            }
            Step::Where { condition, left, right } => {
                for id in [condition, left, right] {
                    *id = new(*id);
                }
            }
            Step::Assign { base, value, .. } => {
                *base = new(*base);
                *value = new(*value);
            }
        }
    }
}

fn cat<'a>(
    dim: usize,
    parts: &[StepId],
    get: impl Fn(StepId) -> Result<&'a Shape, &'static str>,
) -> Result<Shape, &'static str> {
    let (first, rest) = parts.split_first().ok_or("it joins nothing")?;
    let first = get(*first)?;
    let mut extents = first.extents.clone();
    if dim >= extents.len() {
        return Err("it has no such dimension");
    }
    for part in rest {
        let part = get(*part)?;
        let alike = part.dtype == first.dtype
            && part.extents.len() == extents.len()
            && part.extents.iter().zip(&extents).enumerate().all(|(i, (a, b))| i == dim || a == b);
        if !alike {
            return Err("its pieces differ in shape or type");
        }
        extents[dim] = extents[dim].checked_add(part.extents[dim]).ok_or("it is too large")?;
    }
    shaped(first.dtype, extents)
}

/// Whether elements of this type are floats that can be computed with.
pub fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::Bf16)
}

/// Whether elements of this type are integers.
pub fn is_integer(dtype: Dtype) -> bool {
    use Dtype::*;
    matches!(dtype, I64 | I32 | I16 | I8 | U64 | U32 | U16 | U8)
}

fn computable(dtype: Dtype) -> Result<(), &'static str> {
    if is_float(dtype) || is_integer(dtype) || dtype == Dtype::Bool {
        Ok(())
    } else {
        Err("it computes with a type that can only be moved")
    }
}

/// Whether elements of this type are floats of one byte.
fn is_narrow(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F8E4M3 | Dtype::F8E5M2 | Dtype::F8E4M3Fnuz | Dtype::F8E5M2Fnuz)
}

/// Whether a result of this type wants gradients when an operand does.
pub fn takes_gradients(dtype: Dtype) -> bool {
    is_float(dtype) || is_narrow(dtype)
}

/// Floats of one byte are brought to other types and back; torch computes with them no more than that.
fn castable(dtype: Dtype) -> Result<(), &'static str> {
    if is_narrow(dtype) { Ok(()) } else { computable(dtype) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(shape: &[u64], strides: &[u64], offset: u64) -> Step {
        let window = Window { shape: shape.to_vec(), strides: strides.to_vec(), offset };
        Step::Load { storage: StorageId(0), dtype: Dtype::F32, window }
    }

    fn check(steps: Vec<Step>) -> Result<Vec<u64>, &'static str> {
        let storages = [Storage { key: "0".into(), bytes: 24 }];
        let shapes = Expr { steps }.check(&storages).map_err(|e| e.reason)?;
        Ok(shapes.last().unwrap().extents.clone())
    }

    #[test]
    fn windows_stay_inside_their_source() {
        assert_eq!(check(vec![load(&[3, 2], &[1, 3], 0)]), Ok(vec![3, 2]));
        assert_eq!(check(vec![load(&[3, 2], &[1, 3], 1)]), Err("it reaches beyond its source"));
        assert_eq!(check(vec![load(&[2], &[u64::MAX], 1)]), Err("it is too large"));
        assert_eq!(check(vec![load(&[1 << 40, 1 << 40], &[0, 0], 0)]), Err("it is too large"));
        assert_eq!(check(vec![load(&[2], &[1, 1], 0)]), Err("its strides do not fit its shape"));
    }

    #[test]
    fn steps_use_only_earlier_ones() {
        assert_eq!(
            check(vec![Step::Cast { of: 0, dtype: Dtype::F16 }]),
            Err("it uses a step that is not before it")
        );
        assert_eq!(check(vec![]), Err("there is none"));
    }

    #[test]
    fn pieces_that_do_not_fit_are_not_joined() {
        let parts = vec![load(&[2, 3], &[3, 1], 0), load(&[1, 3], &[3, 1], 0)];
        let cat = |dim| parts.clone().into_iter().chain([Step::Cat { dim, parts: vec![0, 1] }]).collect();
        assert_eq!(check(cat(0)), Ok(vec![3, 3]));
        assert_eq!(check(cat(1)), Err("its pieces differ in shape or type"));
        assert_eq!(check(cat(2)), Err("it has no such dimension"));
    }
}
