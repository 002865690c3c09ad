//! Whether pieces cover a row of elements, each element once.

/// A run of elements with steps: the first element, then extent and step of each dimension.
pub(super) type Run = (u64, Vec<(u64, u64)>);

/// Whether the runs cover `total` elements, each once.
///
/// The row is numbered by mixed digits, one for each step that a run takes, so that every run is a box and
/// boxes are compared digit by digit. Where the steps do not divide one another it is not known: `false`.
pub(super) fn tiles(total: u64, runs: &[Run]) -> bool {
    let count = runs.iter().try_fold(0u64, |sum, (_, dims)| {
        sum.checked_add(dims.iter().try_fold(1u64, |n, (extent, _)| n.checked_mul(*extent))?)
    });
    if count != Some(total) {
        return false;
    }
    let mut weights: Vec<u64> =
        runs.iter().flat_map(|(_, dims)| dims.iter().map(|(_, step)| *step)).chain([1]).collect();
    weights.sort_unstable();
    weights.dedup();
    if weights[0] == 0 || weights.windows(2).any(|pair| !pair[1].is_multiple_of(pair[0])) {
        return false;
    }
    if total < *weights.last().expect("one is among them") {
        return false;
    }
    let boxes: Option<Vec<_>> = runs.iter().map(|run| digits(total, &weights, run)).collect();
    let Some(mut boxes) = boxes else { return false };
    // Each holds its own elements; together they are as many as the row has. So one that is apart from all
    // others leaves no gap. Sorted by the highest digit, only neighbours can meet.
    boxes.sort_by_key(|digits| digits.last().map(|range| range.0));
    for (place, left) in boxes.iter().enumerate() {
        for right in &boxes[place + 1..] {
            if right.last().map(|range| range.0) >= left.last().map(|range| range.1) {
                break;
            }
            if left.iter().zip(right).all(|(a, b)| a.0 < b.1 && b.0 < a.1) {
                return false;
            }
        }
    }
    true
}

/// The range of each digit, the lowest first.
fn digits(total: u64, weights: &[u64], (offset, dims): &Run) -> Option<Vec<(u64, u64)>> {
    let radix = |k: usize| match weights.get(k + 1) {
        Some(next) => next / weights[k],
        None => total.div_ceil(weights[k]),
    };
    let mut ranges: Vec<(u64, u64)> = (0..weights.len())
        .map(|k| {
            let digit = match weights.get(k + 1) {
                Some(next) => offset % next / weights[k],
                None => offset / weights[k],
            };
            (digit, digit.saturating_add(1))
        })
        .collect();
    let mut used = vec![false; weights.len()];
    let mut dims = dims.clone();
    dims.sort_by_key(|dim| dim.1);
    for (mut extent, step) in dims {
        let mut k = weights.binary_search(&step).ok()?;
        while extent > 1 {
            if k == weights.len() || std::mem::replace(&mut used[k], true) {
                return None;
            }
            let (start, radix) = (ranges[k].0, radix(k));
            if extent <= radix.checked_sub(start)? {
                ranges[k].1 = start + extent;
                break;
            }
            if start != 0 || extent % radix != 0 {
                return None;
            }
            ranges[k].1 = radix;
            extent /= radix;
            k += 1;
        }
    }
    // The last row may be short: nothing may reach beyond the end.
    let last = ranges.iter().zip(weights).try_fold(0u64, |sum, ((_, end), weight)| {
        sum.checked_add(end.checked_sub(1)?.checked_mul(*weight)?)
    })?;
    (last < total).then_some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn run(offset: u64, dims: &[(u64, u64)]) -> Run {
        (offset, dims.to_vec())
    }

    #[test]
    fn thirds_along_either_dimension_tile() {
        let rows: Vec<Run> = (0..3).map(|i| run(i * 8, &[(2, 4), (4, 1)])).collect();
        assert!(tiles(24, &rows));
        let columns: Vec<Run> = (0..3).map(|i| run(i * 2, &[(4, 6), (2, 1)])).collect();
        assert!(tiles(24, &columns));
        assert!(tiles(24, &[run(0, &[(6, 1), (4, 6)])]));
    }

    #[test]
    fn gaps_and_overlaps_do_not_tile() {
        assert!(!tiles(24, &[run(0, &[(12, 1)])]));
        assert!(!tiles(24, &[run(0, &[(12, 1)]), run(0, &[(12, 1)])]));
        assert!(!tiles(24, &[run(0, &[(12, 1)]), run(6, &[(12, 1)])]));
        assert!(!tiles(4, &[run(0, &[(4, 0)])]));
        assert!(!tiles(4, &[run(2, &[(4, 1)])]));
    }

    proptest! {
        #[test]
        fn what_is_said_to_tile_does(
            runs in prop::collection::vec((0u64..12, prop::collection::vec((1u64..5, 0u64..8), 0..3)), 0..5),
            total in 1u64..24,
        ) {
            let mut times = vec![0; 256];
            for (offset, dims) in &runs {
                let mut all = vec![*offset];
                for (extent, step) in dims {
                    all = all.iter().flat_map(|at| (0..*extent).map(move |i| at + i * step)).collect();
                }
                all.into_iter().for_each(|at| times[at as usize] += 1);
            }
            let truth = times.iter().enumerate().all(|(at, times)| *times == i32::from((at as u64) < total));
            if tiles(total, &runs) {
                prop_assert!(truth);
            }
        }
    }
}
