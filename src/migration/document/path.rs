//! Dotted paths: which values of a document they lead to.

use super::{Document, DocumentError, Value};

/// A dotted path, for instance `layers.0.name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    text: String,
}

impl Path {
    /// Takes a path that may be asked for.
    pub fn parse(text: &str) -> Result<Path, DocumentError> {
        if text.split('.').count() > super::MAX_DEPTH {
            return Err(DocumentError::invalid("a path has too many parts"));
        }
        Ok(Path { text: text.to_owned() })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Passes every value that the path leads to until `see` says that it has seen enough; `None` for a place
    /// where there is nothing. Lists on the way are entered, each element by itself. Says whether it was enough.
    ///
    /// With `expand`, the elements of a list at the end are passed too, before the list itself.
    pub fn each(
        &self,
        document: &Document,
        expand: bool,
        see: &mut dyn FnMut(Option<&Value>) -> bool,
    ) -> bool {
        let (head, rest) = split(&self.text);
        step(document.get(head), rest, expand, see)
    }
}

fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('.') {
        Some((head, rest)) => (head, Some(rest)),
        None => (path, None),
    }
}

/// The place in a list that a part of a path names.
pub(super) fn index(part: &str) -> Option<usize> {
    let plain = part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
    if plain { part.parse().ok() } else { None }
}

fn step(
    value: Option<&Value>,
    rest: Option<&str>,
    expand: bool,
    see: &mut dyn FnMut(Option<&Value>) -> bool,
) -> bool {
    let Some(rest) = rest else {
        if let (Some(Value::Array(items)), true) = (value, expand)
            && items.iter().any(|item| see(Some(item)))
        {
            return true;
        }
        return see(value);
    };
    match value {
        Some(Value::Object(inner)) => {
            let (head, rest) = split(rest);
            step(inner.get(head), rest, expand, see)
        }
        Some(Value::Array(items)) => {
            let (head, after) = split(rest);
            let place = index(head);
            // As the database has it: a place by its number is looked at besides fields of that name, and a list
            // directly in a list is entered by numbers alone.
            items.iter().enumerate().any(|(at, item)| match (item, after) {
                (Value::Object(inner), _) if step(inner.get(head), after, expand, see) => true,
                _ if place != Some(at) => false,
                (_, None) => see(Some(item)),
                (Value::Object(inner), Some(rest)) => {
                    let (head, rest) = split(rest);
                    step(inner.get(head), rest, expand, see)
                }
                (Value::Array(inner), Some(rest)) => {
                    let (head, rest) = split(rest);
                    step(index(head).and_then(|at| inner.get(at)), rest, expand, see)
                }
                _ => false,
            })
        }
        _ => see(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::{document, value};
    use super::*;

    fn values(path: &str, text: &str, expand: bool) -> Vec<Option<Value>> {
        let mut seen = Vec::new();
        Path::parse(path).unwrap().each(&document(text), expand, &mut |value| {
            seen.push(value.cloned());
            false
        });
        seen
    }

    #[test]
    fn lists_are_entered_on_the_way_and_expanded_at_the_end() {
        let text = r#"{"a": [{"b": [1, 2]}, 7, {"c": 3}]}"#;
        let some = |text| Some(value(text));
        assert_eq!(values("a.b", text, true), [some("1"), some("2"), some("[1, 2]"), None]);
        assert_eq!(values("a.b", text, false), [some("[1, 2]"), None]);
        assert_eq!(values("a.0.b.1", text, true), [None, some("2"), None]);
        assert_eq!(values("a.1", text, true), [None, some("7"), None]);
        assert_eq!(values("a.b", r#"{"a": [1, 2]}"#, true), []);
        assert_eq!(values("a.b", r#"{"a": 1}"#, true), [None]);
    }
}
