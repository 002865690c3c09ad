//! What the numbers of a tensor are like.

use serde::Serialize;

use crate::progress::Progress;
use crate::store::Reader;

use super::RepoError;
use super::numbers::{View, Window, number};

/// Numbers that are looked at at once.
const PIECE: usize = 4096;

/// What the numbers of a tensor are like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// Number of elements.
    pub elements: u64,
    /// The least of the finite ones; this and the next three are `None` where there is none.
    pub min: Option<f64>,
    /// The greatest of the finite ones.
    pub max: Option<f64>,
    /// Mean of the finite ones.
    pub mean: Option<f64>,
    /// Standard deviation of the finite ones: the root of the mean square of their distances to the mean.
    pub std: Option<f64>,
    /// Part of the elements that are zero, from 0 to 1.
    pub zero_share: f64,
    /// Number of elements that are not a number.
    pub nan: u64,
    /// Number of elements that are infinite.
    pub infinite: u64,
}

/// A summary that grows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gathered {
    elements: u64,
    finite: u64,
    zeros: u64,
    nan: u64,
    min: f64,
    max: f64,
    mean: f64,
    /// Sum of the squares of distances to the mean.
    squares: f64,
}

impl Gathered {
    pub fn new() -> Gathered {
        Gathered {
            elements: 0,
            finite: 0,
            zeros: 0,
            nan: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            mean: 0.0,
            squares: 0.0,
        }
    }

    pub fn finish(&self) -> Summary {
        let any = |number: f64| (self.finite > 0).then_some(number);
        Summary {
            elements: self.elements,
            min: any(self.min),
            max: any(self.max),
            mean: any(self.mean),
            std: any((self.squares / self.finite.max(1) as f64).sqrt()),
            zero_share: self.zeros as f64 / self.elements.max(1) as f64,
            nan: self.nan,
            infinite: self.elements - self.finite - self.nan,
        }
    }

    fn add(&mut self, numbers: &[f64]) {
        let mut piece = Gathered { elements: numbers.len() as u64, ..Gathered::new() };
        let mut sum = 0.0;
        for number in numbers {
            if number.is_finite() {
                piece.finite += 1;
                piece.zeros += u64::from(*number == 0.0);
                piece.min = piece.min.min(*number);
                piece.max = piece.max.max(*number);
                sum += number;
            } else {
                piece.nan += u64::from(number.is_nan());
            }
        }
        if piece.finite > 0 {
            piece.mean = sum / piece.finite as f64;
            let finite = numbers.iter().filter(|number| number.is_finite());
            piece.squares = finite.map(|number| (number - piece.mean) * (number - piece.mean)).sum();
        }
        self.join(&piece);
    }

    /// Takes in what was gathered of other elements, by the formula of Chan, Golub and LeVeque (1979).
    fn join(&mut self, other: &Gathered) {
        let finite = self.finite + other.finite;
        if other.finite > 0 {
            let (apart, share) = (other.mean - self.mean, other.finite as f64 / finite as f64);
            self.mean += apart * share;
            self.squares += other.squares + apart * apart * self.finite as f64 * share;
        }
        self.elements += other.elements;
        self.finite = finite;
        self.zeros += other.zeros;
        self.nan += other.nan;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// The same elements so many times.
    fn times(&mut self, count: u64) {
        let all = [&mut self.elements, &mut self.finite, &mut self.zeros, &mut self.nan];
        all.into_iter().for_each(|number| *number = number.saturating_mul(count));
        self.squares *= count as f64;
    }
}

/// Gathers what the numbers of a tensor are like, frame by frame, in the order in which they are stored.
///
/// `None` where the type holds no plain numbers, or where the tensor is larger than what it looks at, other than
/// by repeating all of it along a dimension.
pub(super) fn gather(
    reader: &Reader<'_>,
    view: &View,
    progress: &dyn Progress,
) -> Result<Option<Gathered>, RepoError> {
    let Some(read) = number(view.dtype) else { return Ok(None) };
    let mut gathered = Gathered::new();
    if view.elements() == 0 {
        return Ok(Some(gathered));
    }
    let mut window = Window::open(reader, &view.object)?;
    let item = view.dtype.item_bytes();
    let (repeated, mut dims): (Vec<_>, Vec<_>) =
        view.dims.iter().copied().filter(|(extent, _)| *extent > 1).partition(|(_, stride)| *stride == 0);
    let times = repeated.iter().fold(1_u64, |n, (extent, _)| n.saturating_mul(*extent));
    let elements = dims.iter().fold(1_u64, |n, (extent, _)| n.saturating_mul(*extent));
    if elements.saturating_mul(item) > window.object_bytes() {
        return Ok(None);
    }
    dims.sort_by_key(|(_, stride)| std::cmp::Reverse(*stride));
    // How many elements lie side by side, and the dimensions around them.
    let mut run = 1_u64;
    while let Some((extent, _)) = dims.pop_if(|(_, stride)| *stride == run) {
        run *= extent;
    }
    let mut places = vec![0_u64; dims.len()];
    let mut numbers = Vec::with_capacity(PIECE);
    loop {
        let steps = dims.iter().zip(&places).map(|((_, stride), place)| stride.saturating_mul(*place));
        let mut element = steps.fold(view.offset, u64::saturating_add);
        let end = element.saturating_add(run);
        while element < end {
            let at_hand = window.from(element.saturating_mul(item), item as usize)?;
            let wanted = (end - element).min((PIECE - numbers.len()) as u64) as usize;
            let found = at_hand.chunks_exact(item as usize).take(wanted).map(read);
            let before = numbers.len();
            numbers.extend(found);
            element += (numbers.len() - before) as u64;
            if numbers.len() == PIECE {
                gathered.add(&numbers);
                progress.advance(PIECE as u64 * item);
                numbers.clear();
            }
        }
        // The next run, the innermost dimension first.
        let next = (0..dims.len()).rev().find(|dim| places[*dim] + 1 < dims[*dim].0);
        let Some(dim) = next else { break };
        places[dim] += 1;
        places[dim + 1..].fill(0);
    }
    gathered.add(&numbers);
    progress.advance(numbers.len() as u64 * item);
    gathered.times(times);
    Ok(Some(gathered))
}

/// Takes the pieces of a tensor together.
pub(super) fn gather_all(
    reader: &Reader<'_>,
    views: &[View],
    progress: &dyn Progress,
) -> Result<Option<Summary>, RepoError> {
    let mut all = Gathered::new();
    for view in views {
        match gather(reader, view, progress)? {
            Some(gathered) => all.join(&gathered),
            None => return Ok(None),
        }
    }
    Ok((!views.is_empty()).then(|| all.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;
    use crate::object::ObjectId;
    use crate::progress::Silent;
    use crate::store::Store;
    use crate::value::Dtype;

    /// Element type, sizes and strides of the dimensions, offset.
    type Seen<'a> = (Dtype, &'a [(u64, u64)], u64);

    /// A store with one object, and what its numbers are like by these views.
    fn summaries(bytes: &[u8], views: &[Seen<'_>]) -> Vec<Option<Summary>> {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let mut ledger = Ledger::create(&dir.path().join("ledger.db")).unwrap();
        let mut writer = store.writer(&ledger);
        let object: ObjectId = writer.put(bytes, Default::default()).unwrap();
        let pack = writer.finish().unwrap().unwrap();
        let change = ledger.change().unwrap();
        change.add_pack(&pack.id, pack.bytes, &pack.records).unwrap();
        change.commit().unwrap();
        let reader = store.reader(&ledger);
        let view = |(dtype, dims, offset): &Seen<'_>| {
            let view = View { object, dtype: *dtype, dims: dims.to_vec(), offset: *offset };
            gather(&reader, &view, &Silent).unwrap().map(|gathered| gathered.finish())
        };
        views.iter().map(view).collect()
    }

    #[test]
    fn what_is_not_finite_is_counted_apart() {
        let numbers = [1.0_f32, 0.0, f32::NAN, -3.0, f32::INFINITY, f32::NEG_INFINITY, -0.0, 2.0];
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let found = summaries(&bytes, &[(Dtype::F32, &[(8, 1)], 0)])[0].unwrap();
        assert_eq!((found.elements, found.nan, found.infinite), (8, 1, 2));
        assert_eq!((found.min, found.max, found.mean), (Some(-3.0), Some(2.0), Some(0.0)));
        assert_eq!(found.std, Some((14.0_f64 / 5.0).sqrt()));
        assert_eq!(found.zero_share, 0.25);
    }

    #[test]
    fn order_and_repetition_make_no_difference() {
        // More than a frame, so that windows end within rows.
        let (rows, columns) = (700_u64, 500);
        let bytes: Vec<u8> = (0..rows * columns).flat_map(|n| ((n % 1013) as f32).to_le_bytes()).collect();
        let found = summaries(
            &bytes,
            &[
                (Dtype::F32, &[(rows, columns), (columns, 1)], 0),
                (Dtype::F32, &[(columns, 1), (rows, columns)], 0),
                (Dtype::F32, &[(1 << 40, 0), (rows, columns), (columns, 1)], 0),
                (Dtype::F32, &[(1 << 20, 1), (1 << 20, 1)], 0),
                (Dtype::Q40, &[(10, 1)], 0),
                (Dtype::F32, &[(rows, columns), (2, 3)], 1),
                (Dtype::F32, &[(0, 1)], 0),
            ],
        );
        let dense = found[0].unwrap();
        assert_eq!(found[1], Some(dense));
        let repeated = found[2].unwrap();
        assert_eq!(repeated.elements, dense.elements << 40);
        assert_eq!((repeated.mean, repeated.min, repeated.max), (dense.mean, dense.min, dense.max));
        assert!((repeated.std.unwrap() - dense.std.unwrap()).abs() < 1e-9);
        assert_eq!((found[3], found[4]), (None, None));
        let expected: f64 =
            (0..rows).flat_map(|row| [1, 4].map(|column| ((row * columns + column) % 1013) as f64)).sum();
        assert!((found[5].unwrap().mean.unwrap() - expected / 1400.0).abs() < 1e-9);
        assert_eq!((found[6].unwrap().elements, found[6].unwrap().mean), (0, None));
    }
}
