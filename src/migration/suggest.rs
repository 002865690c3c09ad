//! A near name for one that does not exist.

/// Longest name that is compared, in bytes: the comparison takes time in the product of both lengths.
const MAX_BYTES: usize = 256;

/// How alike two names must be, from 0 to 1.
const ALIKE: f64 = 0.6;

/// The candidate that is most like `name`, if one is near enough to be what a person meant.
///
/// A candidate is also compared without its leading number (`1750840837_add_foo` as `add_foo`). The first of
/// equally near candidates wins.
pub fn suggest<'a, I>(name: &str, candidates: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    if name.len() > MAX_BYTES {
        return None;
    }
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates.into_iter().filter(|c| c.len() <= MAX_BYTES) {
        let likeness = [candidate, without_number(candidate)]
            .into_iter()
            .map(|form| strsim::normalized_damerau_levenshtein(name, form))
            .fold(0.0, f64::max);
        if likeness >= ALIKE && best.is_none_or(|(highest, _)| likeness > highest) {
            best = Some((likeness, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn without_number(name: &str) -> &str {
    match name.split_once('_') {
        Some((number, rest)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_found_with_and_without_its_number() {
        let names = ["1750840837_add_foo", "1750841219_add_bar", "1751895180_final"];
        let cases = [
            ("1750841219_add_baz", Some("1750841219_add_bar")),
            ("add_bar", Some("1750841219_add_bar")),
            ("fnial", Some("1751895180_final")),
            ("banana", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(suggest(name, names), expected, "{name}");
        }
    }
}
