//! The way through nested containers to a value of a distributed checkpoint; its steps, joined by dots, are the
//! value's name.

use std::collections::HashMap;

/// A key of a dict, which may have dots itself, or a place in a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Key(String),
    Place(i64),
}

impl Step {
    fn text(&self) -> String {
        match self {
            Step::Key(key) => key.clone(),
            Step::Place(place) => place.to_string(),
        }
    }

    fn of(text: String, like: &Step) -> Step {
        match (like, text.parse()) {
            (Step::Place(_), Ok(place)) => Step::Place(place),
            _ => Step::Key(text),
        }
    }
}

/// The way for another name: steps that begin and end both names stay, and those between take as many parts of the
/// new name as they had of the old, the last of them whatever is left.
pub(super) fn renamed(way: &[Step], name: &str) -> Vec<Step> {
    let parts: Vec<&str> = name.split('.').collect();
    let (mut way, mut parts) = (way, parts.as_slice());
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    while let Some((step, rest)) = way.split_last()
        && let Some(left) = parts.len().checked_sub(step.text().split('.').count())
        && parts[left..].join(".") == step.text()
    {
        tail.push(step.clone());
        (way, parts) = (rest, &parts[..left]);
    }
    while let Some((step, rest)) = way.split_first()
        && let Some((first, left)) = parts.split_at_checked(step.text().split('.').count())
        && first.join(".") == step.text()
    {
        head.push(step.clone());
        (way, parts) = (rest, left);
    }
    if way.is_empty() {
        head.extend(parts.iter().map(|part| Step::Key((*part).to_owned())));
    }
    for (place, step) in way.iter().enumerate() {
        let is_last = place + 1 == way.len();
        let most = if is_last { parts.len() } else { parts.len().saturating_sub(1) };
        let taken = if is_last { most } else { step.text().split('.').count().min(most) };
        let (first, left) = parts.split_at(taken);
        if !first.is_empty() {
            head.push(Step::of(first.join("."), step));
        }
        parts = left;
    }
    head.extend(tail.into_iter().rev());
    head
}

/// The first way that cannot be gone beside those before it: one container would be a list and a dict, or a value
/// would lie in another.
pub(super) fn clash(ways: &[Vec<Step>]) -> Option<usize> {
    /// What is known of a container or value.
    #[derive(Clone, Copy, PartialEq)]
    enum Found {
        New,
        List,
        Dict,
        Value,
    }
    let mut places: HashMap<(usize, &Step), usize> = HashMap::new();
    let mut found = vec![Found::New];
    for (number, way) in ways.iter().enumerate() {
        let mut at = 0;
        for step in way {
            let needed = if matches!(step, Step::Place(_)) { Found::List } else { Found::Dict };
            if found[at] != Found::New && found[at] != needed {
                return Some(number);
            }
            found[at] = needed;
            at = *places.entry((at, step)).or_insert_with(|| {
                found.push(Found::New);
                found.len() - 1
            });
        }
        if std::mem::replace(&mut found[at], Found::Value) != Found::New {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A way in short: numbers are places, steps stand between slashes.
    fn way(text: &str) -> Vec<Step> {
        let step = |step: &str| match step.parse() {
            Ok(place) => Step::Place(place),
            Err(_) => Step::Key(step.to_owned()),
        };
        text.split('/').map(step).collect()
    }

    #[test]
    fn a_way_follows_its_name() {
        let table = [
            ("model/a.weight", "model.b.weight", "model/b.weight"),
            ("model/a.weight", "net.a.weight", "net/a.weight"),
            ("model/a.weight", "net.model.a.weight", "net/model/a.weight"),
            ("model/a.weight", "a.weight", "a.weight"),
            ("model/a.weight", "other", "other"),
            ("groups/0/lr", "net.groups.0.lr", "net/groups/0/lr"),
            ("groups/0/lr", "groups.1.lr", "groups/1/lr"),
            ("groups/0/lr", "groups.first.lr", "groups/first/lr"),
            ("groups/0/lr", "groups.lr", "groups/lr"),
            ("notes/0", "net.x", "net/x"),
            ("step", "trainer.step", "trainer/step"),
            ("step", "trainer.steps", "trainer.steps"),
        ];
        for (old, name, new) in table {
            let found = renamed(&way(old), name);
            assert_eq!(found, way(new), "{old} as {name}");
            assert_eq!(found.iter().map(Step::text).collect::<Vec<_>>().join("."), name);
        }
    }

    #[test]
    fn ways_that_torch_cannot_go_together_are_found() {
        let clash = |ways: &[&str]| clash(&ways.iter().map(|text| way(text)).collect::<Vec<_>>());
        assert_eq!(clash(&["a/0/x", "a/1/x", "b", "c/d.e", "c/d"]), None);
        assert_eq!(clash(&["a/0", "b", "a/x"]), Some(2));
        assert_eq!(clash(&["a/b", "a/b/c"]), Some(1));
        assert_eq!(clash(&["a/b/c", "a/b"]), Some(1));
        assert_eq!(clash(&["a", "a"]), Some(1));
    }
}
