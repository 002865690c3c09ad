//! Undoing a change of a document that was changed again since.

use indexmap::IndexSet;

use super::{Document, DocumentError, Value};

/// Takes the change from `before` to `after` back from a document that came from `after`, and keeps what else was
/// changed in it. What was there before comes first, in its order.
///
/// # Errors
///
/// [`DocumentError::Conflict`] with the first place that was changed both times, and differently.
pub fn merge(before: &Document, after: &Document, now: &Document) -> Result<Document, DocumentError> {
    merge_at(before, after, now, "")
}

fn merge_at(
    before: &Document,
    after: &Document,
    now: &Document,
    path: &str,
) -> Result<Document, DocumentError> {
    let mut out = Document::new();
    let keys: IndexSet<&String> = before.keys().chain(now.keys()).collect();
    for key in keys {
        let (old, new, current) = (before.get(key), after.get(key), now.get(key));
        let merged = if is_same(new, current) {
            old.cloned()
        } else if is_same(old, new) || is_same(old, current) {
            current.cloned()
        } else {
            let path = format!("{path}{key}");
            match (old, new, current) {
                (Some(Value::Object(old)), Some(Value::Object(new)), Some(Value::Object(current))) => {
                    Some(Value::Object(merge_at(old, new, current, &format!("{path}."))?))
                }
                _ => return Err(DocumentError::Conflict { path }),
            }
        };
        if let Some(value) = merged {
            out.insert(key.clone(), value);
        }
    }
    Ok(out)
}

fn is_same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.is_identical(b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::document;
    use super::*;

    #[test]
    fn what_came_since_is_kept_and_what_the_migration_did_is_taken_back() {
        let before = document(r#"{"_id": 1, "old": 1, "in": {"a": 1, "b": 1}, "same": 0}"#);
        let after = document(r#"{"_id": 1, "in": {"a": 2, "b": 1}, "same": 0, "new": 1}"#);
        let now = document(r#"{"_id": 1, "in": {"a": 2, "b": 5}, "same": 7, "new": 1, "more": 1}"#);
        let merged = merge(&before, &after, &now).unwrap();
        assert_eq!(merged, document(r#"{"_id": 1, "old": 1, "in": {"a": 1, "b": 5}, "same": 7, "more": 1}"#));
    }

    #[test]
    fn a_place_that_both_changed_is_a_conflict() {
        let before = document(r#"{"a": 1, "in": {"x": 1}}"#);
        let after = document(r#"{"b": 1, "in": {"x": 2}}"#);
        for (now, path) in [(r#"{"b": 2, "in": {"x": 2}}"#, "b"), (r#"{"b": 1, "in": {"x": 3}}"#, "in.x")] {
            let error = merge(&before, &after, &document(now)).unwrap_err();
            assert_eq!(error, DocumentError::Conflict { path: path.to_owned() });
        }
    }
}
