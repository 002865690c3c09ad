//! Turns an [`Expr`] into bytes.

use super::element::{Lanes, Number, computed, decode, encode, rounded};
use super::expr::{is_float, is_integer};
use super::{
    BinaryOp, EngineError, Expr, FoldOp, Operand, Shape, Step, StepId, StorageBytes, UnaryOp, Window,
};
use crate::value::{Dtype, Storage, StorageId};

/// How many elements are computed at a time.
const BLOCK_ELEMENTS: u64 = 1 << 16;

/// How many steps may wait for one another before one of them is held in memory.
const MAX_PULL_DEPTH: u32 = 64;

/// Streams the bytes of a computed tensor to `sink`, dense and little-endian, reading what it needs.
///
/// Element-wise work, copies and joins along any dimension run in blocks. What is transposed, used more
/// than once or folded is held in memory, so that the use of memory is bounded by the sizes of the
/// tensors involved. The expression must be sound for its storages; see [`Expr::check`].
pub fn evaluate(
    expr: &Expr,
    bytes: &mut dyn StorageBytes,
    sink: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(), EngineError> {
    let shapes = expr.check(&storages_of(expr))?;
    let last = shapes.len() - 1;
    let held_steps = choose_held(expr);
    let mut ends = vec![Vec::new(); shapes.len()];
    for (step, end) in last_uses(expr, &held_steps).into_iter().enumerate() {
        ends[end].push(step);
    }
    let mut run = Run { expr, shapes: &shapes, held: vec![None; shapes.len()], bytes };
    for (place, &hold) in held_steps.iter().enumerate() {
        if hold {
            run.held[place] = Some(run.whole(place)?);
            for &step in ends[place].iter().filter(|&&step| step != place) {
                run.held[step] = None;
            }
        }
    }
    if let Some(whole) = &run.held[last] {
        return sink(whole).map_err(EngineError::Write);
    }
    let total = shapes[last].elements;
    let mut start = 0;
    while start < total {
        let count = BLOCK_ELEMENTS.min(total - start);
        sink(&run.pull(last, start, count)?).map_err(EngineError::Write)?;
        start += count;
    }
    Ok(())
}

/// Storages just long enough for the expression: their real lengths were checked when it was made.
fn storages_of(expr: &Expr) -> Vec<Storage> {
    let count = expr.steps.iter().filter_map(|step| match step {
        Step::Load { storage, .. } => Some(storage.index() + 1),
        _ => None,
    });
    vec![Storage { key: String::new(), bytes: u64::MAX }; count.max().unwrap_or(0)]
}

fn is_cheap(step: &Step) -> bool {
    match step {
        Step::Full { .. } | Step::Arange { .. } | Step::Literal { .. } => true,
        Step::Load { window, .. } => window.is_dense(),
        _ => false,
    }
}

fn choose_held(expr: &Expr) -> Vec<bool> {
    let steps = &expr.steps;
    let mut uses = vec![0u32; steps.len()];
    let mut held = vec![false; steps.len()];
    for step in steps {
        for id in step.operands() {
            uses[id as usize] += 1;
        }
        match step {
            Step::View { of, window } if !window.is_dense() => held[*of as usize] = true,
            Step::IndexSelect { of, index, .. } => {
                held[*index as usize] = true;
                held[*of as usize] |= !is_cheap(&steps[*of as usize]);
            }
            _ => {}
        }
    }
    let mut depth = vec![0u32; steps.len()];
    for (place, step) in steps.iter().enumerate() {
        held[place] |= uses[place] > 1 && !is_cheap(step);
        held[place] |= match step {
            Step::Fold { .. } | Step::Assign { .. } => true,
            Step::Load { window, .. } | Step::View { window, .. } => !window.is_dense(),
            _ => false,
        };
        let below = step.operands().iter().map(|&id| depth[id as usize]).max().unwrap_or(0);
        depth[place] = below + 1;
        if depth[place] > MAX_PULL_DEPTH || held[place] {
            held[place] = true;
            depth[place] = 0;
        }
    }
    held
}

/// For each step the last held one (or the result) that pulls it, through steps that are not held.
fn last_uses(expr: &Expr, held: &[bool]) -> Vec<usize> {
    let mut last = vec![0; held.len()];
    for (place, step) in expr.steps.iter().enumerate().rev() {
        let user = if held[place] || place + 1 == held.len() { place } else { last[place] };
        for id in step.operands() {
            last[id as usize] = last[id as usize].max(user);
        }
    }
    last
}

struct Run<'a> {
    expr: &'a Expr,
    shapes: &'a [Shape],
    held: Vec<Option<Vec<u8>>>,
    bytes: &'a mut dyn StorageBytes,
}

impl Run<'_> {
    /// All bytes of a step.
    fn whole(&mut self, place: usize) -> Result<Vec<u8>, EngineError> {
        let shape = &self.shapes[place];
        match &self.expr.steps[place] {
            Step::Load { storage, dtype, window } if !window.is_dense() => {
                let (first, source) = self.span(*storage, *dtype, window)?;
                Ok(gather(&source, dtype.item_bytes() as usize, window, first))
            }
            Step::View { of, window } if !window.is_dense() => {
                let source = self.held[*of as usize].take().unwrap_or_default();
                let out = gather(&source, shape.dtype.item_bytes() as usize, window, 0);
                self.held[*of as usize] = Some(source);
                Ok(out)
            }
            Step::Fold { op, of, dtype } => self.fold(*op, *of, *dtype, shape.elements),
            Step::Assign { base, window, value } => {
                let mut whole = self.all(*base)?;
                let value = self.all(*value)?;
                scatter(&mut whole, &value, shape.dtype.item_bytes() as usize, window);
                Ok(whole)
            }
            _ => self.pull(place, 0, shape.elements),
        }
    }

    fn all(&mut self, id: StepId) -> Result<Vec<u8>, EngineError> {
        self.pull(id as usize, 0, self.shapes[id as usize].elements)
    }

    /// The bytes that a window spans, and the element they begin with.
    fn span(
        &mut self,
        storage: StorageId,
        dtype: Dtype,
        window: &Window,
    ) -> Result<(u64, Vec<u8>), EngineError> {
        let reach: u64 =
            window.shape.iter().zip(&window.strides).map(|(&n, &s)| n.saturating_sub(1) * s).sum();
        let item = dtype.item_bytes();
        if window.elements() == 0 {
            return Ok((0, Vec::new()));
        }
        Ok((window.offset, self.read(storage, window.offset * item, (reach + 1) * item)?))
    }

    fn read(&mut self, storage: StorageId, offset: u64, length: u64) -> Result<Vec<u8>, EngineError> {
        let mut out = vec![0; usize::try_from(length).expect("sizes were checked")];
        self.bytes.read(storage, offset, &mut out).map_err(EngineError::Read)?;
        Ok(out)
    }

    /// The bytes of `count` elements of a step, from `start` on.
    fn pull(&mut self, place: usize, start: u64, count: u64) -> Result<Vec<u8>, EngineError> {
        let shape = &self.shapes[place];
        let item = shape.dtype.item_bytes() as usize;
        if let Some(whole) = &self.held[place] {
            let (from, to) = (start as usize * item, (start + count) as usize * item);
            return Ok(whole[from..to].to_vec());
        }
        let mut out = Vec::with_capacity(count as usize * item);
        match &self.expr.steps[place] {
            Step::Load { storage, window, .. } => {
                return self.read(*storage, (window.offset + start) * item as u64, count * item as u64);
            }
            Step::View { of, window } => return self.pull(*of as usize, window.offset + start, count),
            Step::Full { dtype, value, .. } => {
                let mut one = Vec::with_capacity(item);
                encode(*dtype, Number::of(*value), &mut one);
                for _ in 0..count {
                    out.extend_from_slice(&one);
                }
            }
            Step::Arange { dtype, start: first, step, .. } => {
                let (first, step) = (Number::of(*first), Number::of(*step));
                for i in start..start + count {
                    let number = match (first, step) {
                        (Number::Int(first), Number::Int(step)) => Number::Int(first + step * i128::from(i)),
                        _ => Number::Float(first.float() + step.float() * i as f64),
                    };
                    encode(*dtype, number, &mut out);
                }
            }
            Step::Literal { bytes, .. } => {
                out.extend_from_slice(&bytes[start as usize * item..(start + count) as usize * item]);
            }
            Step::Cast { of, dtype } => {
                let source = self.shapes[*of as usize].dtype;
                let bytes = self.pull(*of as usize, start, count)?;
                if source == *dtype {
                    return Ok(bytes);
                }
                let lanes = decode(source, &bytes);
                for i in 0..count as usize {
                    encode(*dtype, lanes.get(i), &mut out);
                }
            }
            Step::Cat { dim, parts } => {
                let inner: u64 = shape.extents[*dim as usize + 1..].iter().product();
                let row = shape.extents[*dim as usize] * inner;
                let (mut at, end) = (start, start + count);
                while at < end {
                    let (outer, mut within) = (at / row, at % row);
                    for part in parts {
                        let part_row = self.shapes[*part as usize].extents[*dim as usize] * inner;
                        if within < part_row {
                            let take = (part_row - within).min(end - at);
                            out.extend(self.pull(*part as usize, outer * part_row + within, take)?);
                            at += take;
                            within = 0;
                            if at == end {
                                break;
                            }
                        } else {
                            within -= part_row;
                        }
                    }
                }
            }
            Step::IndexSelect { of, dim, index } => {
                let inner: u64 = shape.extents[*dim as usize + 1..].iter().product();
                let chosen = shape.extents[*dim as usize];
                let extent = self.shapes[*of as usize].extents[*dim as usize];
                let index_dtype = self.shapes[*index as usize].dtype;
                let (mut at, end) = (start, start + count);
                while at < end {
                    let (row, within) = (at / inner, at % inner);
                    let entry = self.pull(*index as usize, row % chosen, 1)?;
                    let entry = decode(index_dtype, &entry).get(0).int();
                    let entry = u64::try_from(entry)
                        .ok()
                        .filter(|&entry| entry < extent)
                        .ok_or(EngineError::Index { index: entry as i64, extent })?;
                    let take = (inner - within).min(end - at);
                    let from = (row / chosen * extent + entry) * inner + within;
                    out.extend(self.pull(*of as usize, from, take)?);
                    at += take;
                }
            }
            Step::Unary { op, of } => {
                let source = self.shapes[*of as usize].dtype;
                let lanes = decode(source, &self.pull(*of as usize, start, count)?);
                for i in 0..count as usize {
                    encode(shape.dtype, unary(*op, source, lanes.get(i)), &mut out);
                }
            }
            Step::Binary { op, left, right, dtype } => {
                let left = self.operand(*left, *op, *dtype, place, start, count)?;
                let right = self.operand(*right, *op, *dtype, place, start, count)?;
                for i in 0..count as usize {
                    encode(shape.dtype, binary(*op, *dtype, left.get(i), right.get(i)), &mut out);
                }
            }
            Step::Where { condition, left, right } => {
                let condition = self.pull(*condition as usize, start, count)?;
                let left = self.pull(*left as usize, start, count)?;
                let right = self.pull(*right as usize, start, count)?;
                for (i, &truth) in condition.iter().enumerate() {
                    let source = if truth != 0 { &left } else { &right };
                    out.extend_from_slice(&source[i * item..(i + 1) * item]);
                }
            }
            Step::Fold { .. } | Step::Assign { .. } => {
                let whole = self.whole(place)?;
                out.extend_from_slice(&whole[start as usize * item..(start + count) as usize * item]);
            }
        }
        Ok(out)
    }

    fn operand(
        &mut self,
        operand: Operand,
        op: BinaryOp,
        dtype: Dtype,
        place: usize,
        start: u64,
        count: u64,
    ) -> Result<Numbers, EngineError> {
        // In products and quotients a single number takes part as wide as half-width floats are computed;
        // elsewhere it is rounded first. Measured on PyTorch 2.15 for the CPU.
        let wide = matches!(op, BinaryOp::Mul | BinaryOp::Div | BinaryOp::FloorDiv) && is_float(dtype);
        let single = |number: Number| {
            Numbers::Same(if wide {
                Number::Float(computed(dtype, number.float()))
            } else {
                rounded(dtype, number)
            })
        };
        match operand {
            Operand::Scalar(scalar) => Ok(single(Number::of(scalar))),
            Operand::Step(id) => {
                let shape = &self.shapes[id as usize];
                let source = shape.dtype;
                if shape.elements == 1 && self.shapes[place].elements != 1 {
                    let lanes = decode(source, &self.pull(id as usize, 0, 1)?);
                    return Ok(single(lanes.get(0)));
                }
                let lanes = decode(source, &self.pull(id as usize, start, count)?);
                Ok(Numbers::Each(lanes, (source != dtype).then_some(dtype)))
            }
        }
    }

    fn fold(&mut self, op: FoldOp, of: StepId, dtype: Dtype, runs: u64) -> Result<Vec<u8>, EngineError> {
        let source = self.shapes[of as usize].clone();
        let length = source.extents.last().copied().unwrap_or(1);
        let mut out = Vec::new();
        for run in 0..runs {
            let mut folded = Folded::new(op, is_float(source.dtype));
            let mut at = 0;
            while at < length {
                let count = BLOCK_ELEMENTS.min(length - at);
                let lanes = decode(source.dtype, &self.pull(of as usize, run * length + at, count)?);
                for i in 0..count as usize {
                    folded.take(at + i as u64, lanes.get(i));
                }
                at += count;
            }
            encode(dtype, folded.result(length), &mut out);
        }
        Ok(out)
    }
}

enum Numbers {
    Same(Number),
    Each(Lanes, Option<Dtype>),
}

impl Numbers {
    fn get(&self, place: usize) -> Number {
        match self {
            Numbers::Same(number) => *number,
            Numbers::Each(lanes, None) => lanes.get(place),
            Numbers::Each(lanes, Some(dtype)) => rounded(*dtype, lanes.get(place)),
        }
    }
}

struct Folded {
    op: FoldOp,
    float: f64,
    int: i128,
    best: Option<(u64, Number)>,
    is_float: bool,
}

impl Folded {
    fn new(op: FoldOp, is_float: bool) -> Folded {
        let one = matches!(op, FoldOp::Product | FoldOp::All);
        Folded { op, float: f64::from(u8::from(one)), int: one.into(), best: None, is_float }
    }

    fn take(&mut self, place: u64, number: Number) {
        match self.op {
            FoldOp::Sum | FoldOp::Mean => match number {
                Number::Float(value) => self.float += value,
                Number::Int(value) => self.int = self.int.wrapping_add(value),
            },
            FoldOp::Product => match number {
                Number::Float(value) => self.float *= value,
                // Only 64 bits survive; cut early so that nothing overflows.
                Number::Int(value) => self.int = i128::from((self.int.wrapping_mul(value)) as i64),
            },
            FoldOp::All => self.int &= i128::from(number.truth()),
            FoldOp::Any => self.int |= i128::from(number.truth()),
            FoldOp::Min | FoldOp::ArgMin => self.better(place, number, |new, old| new < old),
            FoldOp::Max | FoldOp::ArgMax => self.better(place, number, |new, old| new > old),
        }
    }

    fn better(&mut self, place: u64, number: Number, wins: impl Fn(f64, f64) -> bool) {
        let replace = match (self.best, number) {
            (None, _) => true,
            (Some((_, Number::Float(old))), _) if old.is_nan() => false,
            (Some(_), Number::Float(new)) if new.is_nan() => true,
            (Some((_, Number::Int(old))), Number::Int(new)) => {
                if wins(1.0, 0.0) {
                    new > old
                } else {
                    new < old
                }
            }
            (Some((_, old)), new) => wins(new.float(), old.float()),
        };
        if replace {
            self.best = Some((place, number));
        }
    }

    fn result(&self, length: u64) -> Number {
        match self.op {
            FoldOp::Sum | FoldOp::Product if self.is_float => Number::Float(self.float),
            FoldOp::Mean if self.is_float => Number::Float(self.float / length as f64),
            FoldOp::Mean => Number::Float(self.int as f64 / length as f64),
            FoldOp::Min | FoldOp::Max => self.best.map_or(Number::Int(0), |best| best.1),
            FoldOp::ArgMin | FoldOp::ArgMax => Number::Int(self.best.map_or(0, |best| best.0.into())),
            _ => Number::Int(self.int),
        }
    }
}

/// Copies the elements of a window; `first` is the element with which `source` begins.
fn gather(source: &[u8], item: usize, window: &Window, first: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(window.elements() as usize * item);
    for_each(window, |element| {
        let at = (element - first) as usize * item;
        out.extend_from_slice(&source[at..at + item]);
    });
    out
}

fn scatter(target: &mut [u8], value: &[u8], item: usize, window: &Window) {
    let mut parts = value.chunks_exact(item);
    for_each(window, |element| {
        let at = element as usize * item;
        if let Some(part) = parts.next() {
            target[at..at + item].copy_from_slice(part);
        }
    });
}

/// Visits the elements of a window in row-major order.
fn for_each(window: &Window, mut visit: impl FnMut(u64)) {
    if window.shape.contains(&0) {
        return;
    }
    let mut place = vec![0u64; window.shape.len()];
    let mut element = window.offset;
    loop {
        visit(element);
        let mut dim = place.len();
        loop {
            if dim == 0 {
                return;
            }
            dim -= 1;
            place[dim] += 1;
            element += window.strides[dim];
            if place[dim] < window.shape[dim] {
                break;
            }
            element -= window.strides[dim] * place[dim];
            place[dim] = 0;
        }
    }
}

fn unary(op: UnaryOp, dtype: Dtype, number: Number) -> Number {
    let float = |f: fn(f64) -> f64, single: fn(f32) -> f32| match number {
        // Single width has its own functions: their last bit is not that of the rounded wide one.
        Number::Float(value) if dtype == Dtype::F64 => Number::Float(f(value)),
        Number::Float(value) => Number::Float(single(value as f32).into()),
        Number::Int(value) => Number::Int(value),
    };
    match (op, number) {
        (UnaryOp::Neg, Number::Float(value)) => Number::Float(-value),
        (UnaryOp::Neg, Number::Int(value)) => Number::Int(value.wrapping_neg()),
        (UnaryOp::Abs, Number::Float(value)) => Number::Float(value.abs()),
        (UnaryOp::Abs, Number::Int(value)) => Number::Int(value.abs()),
        (UnaryOp::Sign, Number::Float(value)) => Number::Float(if value > 0.0 {
            1.0
        } else if value < 0.0 {
            -1.0
        } else {
            0.0
        }),
        (UnaryOp::Sign, Number::Int(value)) => Number::Int(value.signum()),
        (UnaryOp::Not, number) => Number::Int((!number.truth()).into()),
        (UnaryOp::IsNan, number) => Number::Int(number.float().is_nan().into()),
        (UnaryOp::Reciprocal, number) => Number::Float(computed(dtype, 1.0 / number.float())),
        (UnaryOp::Sqrt, _) => float(f64::sqrt, f32::sqrt),
        (UnaryOp::Exp, _) => float(f64::exp, f32::exp),
        (UnaryOp::Log, _) => float(f64::ln, f32::ln),
        (UnaryOp::Floor, _) => float(f64::floor, f32::floor),
        (UnaryOp::Ceil, _) => float(f64::ceil, f32::ceil),
        (UnaryOp::Trunc, _) => float(f64::trunc, f32::trunc),
        (UnaryOp::Round, _) => float(f64::round_ties_even, f32::round_ties_even),
    }
}

fn binary(op: BinaryOp, dtype: Dtype, left: Number, right: Number) -> Number {
    if op.compares() {
        let order = match (left, right) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            _ => left.float().partial_cmp(&right.float()),
        };
        return Number::Int(match order {
            None => (op == BinaryOp::Ne).into(),
            Some(order) => match op {
                BinaryOp::Eq => order.is_eq(),
                BinaryOp::Ne => order.is_ne(),
                BinaryOp::Lt => order.is_lt(),
                BinaryOp::Le => order.is_le(),
                BinaryOp::Gt => order.is_gt(),
                _ => order.is_ge(),
            }
            .into(),
        });
    }
    if is_integer(dtype) || dtype == Dtype::Bool {
        return Number::Int(integers(op, left.int(), right.int()));
    }
    let (a, b) = (left.float(), right.float());
    let value = match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::FloorDiv => floor_div(a, b),
        BinaryOp::Remainder => {
            let rest = a % b;
            if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
        }
        BinaryOp::Pow if dtype == Dtype::F64 => a.powf(b),
        BinaryOp::Pow => f64::from((a as f32).powf(b as f32)),
        BinaryOp::Maximum if a.is_nan() || b.is_nan() => f64::NAN,
        BinaryOp::Minimum if a.is_nan() || b.is_nan() => f64::NAN,
        BinaryOp::Maximum => a.max(b),
        BinaryOp::Minimum => a.min(b),
        _ => f64::NAN,
    };
    Number::Float(computed(dtype, value))
}

fn floor_div(a: f64, b: f64) -> f64 {
    if b == 0.0 {
        return a / b;
    }
    let rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest != 0.0 && (b < 0.0) != (rest < 0.0) {
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return 0f64.copysign(a / b);
    }
    let floor = quotient.floor();
    if quotient - floor > 0.5 { floor + 1.0 } else { floor }
}

fn integers(op: BinaryOp, a: i128, b: i128) -> i128 {
    match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Sub => a.wrapping_sub(b),
        BinaryOp::Mul => a.wrapping_mul(b),
        BinaryOp::And => a & b,
        BinaryOp::Or => a | b,
        BinaryOp::Xor => a ^ b,
        BinaryOp::Maximum => a.max(b),
        BinaryOp::Minimum => a.min(b),
        BinaryOp::FloorDiv | BinaryOp::Div if b != 0 => {
            let (quotient, rest) = (a / b, a % b);
            if rest != 0 && (rest < 0) != (b < 0) { quotient - 1 } else { quotient }
        }
        BinaryOp::Remainder if b != 0 => {
            let rest = a % b;
            if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
        }
        BinaryOp::Pow => {
            let mut exponent = u64::try_from(b).unwrap_or(0);
            let (mut base, mut power) = (a as i64, 1i64);
            while exponent > 0 {
                if exponent & 1 == 1 {
                    power = power.wrapping_mul(base);
                }
                base = base.wrapping_mul(base);
                exponent >>= 1;
            }
            power.into()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scalar;
    use super::*;

    struct Counting(u64);

    impl StorageBytes for Counting {
        fn read(&mut self, _: StorageId, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
            self.0 += buffer.len() as u64;
            for (place, chunk) in buffer.chunks_exact_mut(4).enumerate() {
                let element = (offset / 4) as f32 + place as f32;
                chunk.copy_from_slice(&element.to_le_bytes());
            }
            Ok(())
        }
    }

    fn load(shape: &[u64], strides: &[u64]) -> Step {
        let window = Window { shape: shape.to_vec(), strides: strides.to_vec(), offset: 0 };
        Step::Load { storage: StorageId(0), dtype: Dtype::F32, window }
    }

    fn floats(steps: Vec<Step>) -> Vec<f32> {
        let mut out = Vec::new();
        let mut sink = |part: &[u8]| {
            out.extend_from_slice(part);
            Ok(())
        };
        evaluate(&Expr { steps }, &mut Counting(0), &mut sink).unwrap();
        out.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    fn plain(shape: &[u64]) -> Vec<u64> {
        crate::value::Tensor::contiguous_strides(shape).unwrap()
    }

    #[test]
    fn pieces_are_joined_along_any_dimension() {
        let steps = |dim, shape: &[u64]| {
            vec![load(shape, &plain(shape)), load(shape, &plain(shape)), Step::Cat { dim, parts: vec![0, 1] }]
        };
        assert_eq!(floats(steps(0, &[1, 2])), [0.0, 1.0, 0.0, 1.0]);
        assert_eq!(floats(steps(1, &[2, 1])), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(floats(steps(1, &[2, 2, 1])), [0.0, 1.0, 0.0, 1.0, 2.0, 3.0, 2.0, 3.0]);
    }

    #[test]
    fn a_copy_is_streamed_and_reads_each_byte_once() {
        let elements = 3 * BLOCK_ELEMENTS + 5;
        let mut source = Counting(0);
        let mut parts = Vec::new();
        let mut sink = |part: &[u8]| {
            parts.push(part.len() as u64);
            Ok(())
        };
        let steps = vec![load(&[elements], &[1]), Step::Cast { of: 0, dtype: Dtype::F16 }];
        evaluate(&Expr { steps }, &mut source, &mut sink).unwrap();
        assert_eq!(source.0, elements * 4);
        assert_eq!(parts.iter().sum::<u64>(), elements * 2);
        assert!(parts.iter().all(|&bytes| bytes <= BLOCK_ELEMENTS * 2));
    }

    #[test]
    fn a_step_used_twice_is_computed_once() {
        let mut steps = vec![load(&[2], &[1])];
        for id in 0..100 {
            let (left, right) = (Operand::Step(id), Operand::Step(id));
            steps.push(Step::Binary { op: BinaryOp::Maximum, left, right, dtype: Dtype::F32 });
        }
        assert_eq!(floats(steps), [0.0, 1.0]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let mut steps = vec![load(&[2], &[1])];
        for id in 0..50_000 {
            let right = Operand::Scalar(Scalar::Int(1));
            steps.push(Step::Binary { op: BinaryOp::Add, left: Operand::Step(id), right, dtype: Dtype::F32 });
        }
        assert_eq!(floats(steps), [50_000.0, 50_001.0]);
    }

    #[test]
    fn windows_of_results_are_gathered_and_replaced() {
        let window = |shape: &[u64], strides: &[u64], offset| Window {
            shape: shape.to_vec(),
            strides: strides.to_vec(),
            offset,
        };
        let base = load(&[4], &[1]);
        let picked = Step::View { of: 0, window: window(&[2, 2], &[1, 2], 0) };
        assert_eq!(floats(vec![base.clone(), picked]), [0.0, 2.0, 1.0, 3.0]);
        let nines = Step::Full { dtype: Dtype::F32, shape: vec![2], value: Scalar::Int(9) };
        let assign = Step::Assign { base: 0, window: window(&[2], &[2], 1), value: 1 };
        assert_eq!(floats(vec![base, nines, assign]), [0.0, 9.0, 2.0, 9.0]);
    }

    #[test]
    fn an_index_beyond_the_end_is_an_error() {
        let index = Step::Literal { dtype: Dtype::I64, shape: vec![1], bytes: 7i64.to_le_bytes().to_vec() };
        let steps = vec![load(&[3], &[1]), index, Step::IndexSelect { of: 0, dim: 0, index: 1 }];
        let error = evaluate(&Expr { steps }, &mut Counting(0), &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, EngineError::Index { index: 7, extent: 3 }));
    }
}
