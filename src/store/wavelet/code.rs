//! Which values have a code, and the tree of the codes.

use super::{CODES, MAX_BITS, NODES};

/// A code for some values, and one for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// How many codes have 1 bit, 2, and so on.
    lengths: [u8; MAX_BITS],
    /// The place of the exceptions among them.
    pub exceptions: u8,
    /// The value of each code, in order, short codes first; 0 for that of the exceptions, and after the last.
    pub values: [u8; CODES],
}

/// What lies below a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// A code, by its place.
    Leaf(u8),
    /// A node, by its number.
    Node(u8),
}

/// A node of the tree: codes from `split` on lie to its right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    pub split: u8,
    pub left: Child,
    pub right: Child,
}

impl Code {
    /// The best code for bytes that occur so often, and about how long it makes them, without the head.
    pub fn of(counts: &[u32; 256]) -> (Code, usize) {
        let mut own: Vec<(u32, Option<u8>)> =
            (0..=u8::MAX).map(|value| (counts[usize::from(value)], Some(value))).collect();
        own.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        // One at least, though it does not occur.
        let occurring = own.iter().take(CODES - 1).filter(|(count, _)| *count > 0).count().max(1);
        let exceptions = own[occurring..].iter().map(|(count, _)| count).sum::<u32>();
        own.truncate(occurring);
        own.push((exceptions, None));
        // What a sample does not have may occur all the same.
        let lengths = lengths(&own.iter().map(|(count, _)| 1.max(*count)).collect::<Vec<_>>());
        let mut own: Vec<(u8, (u32, Option<u8>))> = lengths.into_iter().zip(own).collect();
        own.sort_by_key(|(length, (_, value))| (*length, value.is_none(), *value));

        let bits: usize = own.iter().map(|(length, (count, _))| *count as usize * usize::from(*length)).sum();
        let mut code = Code { lengths: [0; MAX_BITS], exceptions: 0, values: [0; CODES] };
        for (place, (length, (_, value))) in own.into_iter().enumerate() {
            code.lengths[usize::from(length) - 1] += 1;
            match value {
                Some(value) => code.values[place] = value,
                None => code.exceptions = place as u8,
            }
        }
        (code, bits / 8 + exceptions as usize)
    }

    /// How many codes there are.
    fn codes(&self) -> u8 {
        self.lengths.iter().sum()
    }

    /// Length of the head that says it.
    pub fn head_bytes(&self) -> usize {
        MAX_BITS + usize::from(self.codes())
    }

    /// Writes the head, whose length is right.
    pub fn write(&self, head: &mut [u8]) {
        let (lengths, rest) = head.split_at_mut(MAX_BITS);
        lengths.copy_from_slice(&self.lengths);
        rest[0] = self.exceptions;
        for (byte, (_, value)) in rest[1..].iter_mut().zip(self.own()) {
            *byte = value;
        }
    }

    /// The code that a form begins with, and what follows; `None` if some bits would be no code, or belong to two.
    pub fn parse(form: &[u8]) -> Option<(Code, &[u8])> {
        let (lengths, rest) = form.split_first_chunk::<MAX_BITS>()?;
        let (&exceptions, rest) = rest.split_first()?;
        let codes = lengths.iter().map(|count| usize::from(*count)).sum::<usize>();
        // Then all bits are codes, whatever they are, and none begins with another (Kraft 1949).
        let shares =
            lengths.iter().enumerate().map(|(place, count)| u32::from(*count) << (MAX_BITS - 1 - place));
        if !(2..=CODES).contains(&codes)
            || shares.sum::<u32>() != 1 << MAX_BITS
            || usize::from(exceptions) >= codes
        {
            return None;
        }
        let (own, rest) = rest.split_at_checked(codes - 1)?;
        let mut code = Code { lengths: *lengths, exceptions, values: [0; CODES] };
        let (before, after) = own.split_at(usize::from(exceptions));
        code.values[..before.len()].copy_from_slice(before);
        code.values[before.len() + 1..codes].copy_from_slice(after);
        let mut is_own = [false; 256];
        let is_twice = |value: &u8| std::mem::replace(&mut is_own[usize::from(*value)], true);
        if own.iter().any(is_twice) { None } else { Some((code, rest)) }
    }

    /// The place of each value's code.
    pub fn places(&self) -> [u8; 256] {
        let mut places = [self.exceptions; 256];
        for (place, value) in self.own() {
            places[usize::from(value)] = place;
        }
        places
    }

    /// The nodes of the tree: a parent before its children, and all that is left of another before it.
    pub fn nodes(&self) -> Vec<Node> {
        let counted = (1..).zip(self.lengths);
        let depths: Vec<usize> =
            counted.flat_map(|(depth, count)| std::iter::repeat_n(depth, count.into())).collect();
        let mut nodes = Vec::with_capacity(NODES);
        grow(&mut nodes, &depths, 0, 0);
        nodes
    }

    /// The values that have a code of their own, with its place.
    fn own(&self) -> impl Iterator<Item = (u8, u8)> {
        (0..self.codes()).zip(self.values).filter(|(place, _)| *place != self.exceptions)
    }
}

/// Adds the tree at this depth of leaves that lie so deep, of which the first has the place `first`.
fn grow(nodes: &mut Vec<Node>, depths: &[usize], first: u8, depth: usize) -> Child {
    if depths.len() == 1 {
        return Child::Leaf(first);
    }
    // Half of what lies below a node lies to its left.
    let (mut share, mut lefts) = (0, 0);
    while share < 1 << (MAX_BITS - depth - 1) {
        share += 1 << (MAX_BITS - depths[lefts]);
        lefts += 1;
    }
    let number = nodes.len();
    let split = first + lefts as u8;
    nodes.push(Node { split, left: Child::Leaf(0), right: Child::Leaf(0) });
    nodes[number].left = grow(nodes, &depths[..lefts], first, depth + 1);
    nodes[number].right = grow(nodes, &depths[lefts..], split, depth + 1);
    Child::Node(number as u8)
}

/// The lengths of the shortest codes of at most [`MAX_BITS`] for what occurs so often: for at least two, each of which
/// occurs, and at most [`CODES`].
///
/// By packages (Larmore and Hirschberg 1990): as often as a code may have a bit, what there is is put together two by
/// two, and the values are added. Of the last packages the lightest are taken: a value is in as many of them as its
/// code has bits.
pub(super) fn lengths(counts: &[u32]) -> Vec<u8> {
    /// How often the values of a package occur, and how often each of them is in it.
    type Package = (u64, [u8; CODES]);
    let join = |one: &Package, other: &Package| -> Package {
        (one.0 + other.0, std::array::from_fn(|place| one.1[place] + other.1[place]))
    };
    let own = |place| std::array::from_fn(|other| u8::from(other == place));
    let values = counts.iter().enumerate().map(|(place, count)| (u64::from(*count), own(place)));
    let mut packages: Vec<Package> = Vec::new();
    for _ in 0..MAX_BITS {
        let pairs = packages.as_chunks::<2>().0.iter().map(|[one, other]| join(one, other));
        packages = pairs.chain(values.clone()).collect();
        packages.sort_by_key(|package| package.0);
    }
    let lightest = packages[..2 * counts.len() - 2].iter();
    lightest.fold((0, [0; CODES]), |all, package| join(&all, package)).1[..counts.len()].to_vec()
}
