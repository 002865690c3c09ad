//! Projections: which parts of a document are shown.

use indexmap::IndexMap;

use super::{Document, DocumentError, Value};

/// Which parts of a document are shown.
#[derive(Debug, Clone)]
pub struct Projection {
    including: bool,
    id: bool,
    tree: Branch,
}

/// Keys by their first part; an empty branch is a whole value.
#[derive(Debug, Clone, Default)]
struct Branch(IndexMap<String, Branch>);

impl Projection {
    /// Reads a projection: paths to show, or paths to leave out.
    ///
    /// # Errors
    ///
    /// If it mixes the two (but for `_id`), or computes something.
    pub fn parse(fields: &Document) -> Result<Projection, DocumentError> {
        let mut including = None;
        let mut id = None;
        let mut tree = Branch::default();
        for (path, value) in fields {
            if let Value::Object(inner) = value {
                let name = inner.keys().next().map_or("a document", String::as_str);
                return Err(DocumentError::unsupported(format!("projection: {name}")));
            }
            if !(value.is_number() || matches!(value, Value::Bool(_))) {
                return Err(DocumentError::unsupported(format!("projection: a computed `{path}`")));
            }
            if path.split('.').any(|part| part.starts_with('$')) {
                return Err(DocumentError::unsupported(format!("projection: {path}")));
            }
            let shown = value.is_truthy();
            if path == "_id" {
                id = Some(shown);
                continue;
            }
            if including.is_some_and(|including| including != shown) {
                return Err(DocumentError::invalid("a projection either shows fields or leaves them out"));
            }
            including = Some(shown);
            tree.add(path)?;
        }
        let including = including.unwrap_or(id == Some(true));
        Ok(Projection { including, id: id.unwrap_or(true), tree })
    }

    /// What it shows of a document.
    pub fn of(&self, document: &Document) -> Document {
        let mut shown =
            if self.including { self.tree.include(document) } else { self.tree.exclude(document) };
        match (self.id, document.get("_id")) {
            (true, Some(id)) => {
                // It comes first, as it does in a collection.
                shown.shift_insert(0, "_id".to_owned(), id.clone());
            }
            _ => drop(shown.shift_remove("_id")),
        }
        shown
    }
}

impl Branch {
    fn add(&mut self, path: &str) -> Result<(), DocumentError> {
        let mut branch = self;
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            let known = branch.0.contains_key(part);
            let inner = branch.0.entry(part.to_owned()).or_default();
            // A whole value and a part of it cannot both be meant.
            if known && (inner.0.is_empty() || parts.peek().is_none()) {
                return Err(DocumentError::invalid(format!(
                    "the projection names `{path}` and a part of it"
                )));
            }
            branch = inner;
        }
        Ok(())
    }

    fn include(&self, document: &Document) -> Document {
        let shown = document.iter().filter_map(|(key, value)| {
            let branch = self.0.get(key)?;
            Some((key.clone(), branch.include_value(value)?))
        });
        shown.collect()
    }

    fn include_value(&self, value: &Value) -> Option<Value> {
        if self.0.is_empty() {
            return Some(value.clone());
        }
        match value {
            Value::Object(inner) => Some(Value::Object(self.include(inner))),
            Value::Array(items) => {
                Some(Value::Array(items.iter().filter_map(|item| self.include_value(item)).collect()))
            }
            _ => None,
        }
    }

    fn exclude(&self, document: &Document) -> Document {
        let shown = document.iter().filter_map(|(key, value)| match self.0.get(key) {
            None => Some((key.clone(), value.clone())),
            Some(branch) if branch.0.is_empty() => None,
            Some(branch) => Some((key.clone(), branch.exclude_value(value))),
        });
        shown.collect()
    }

    fn exclude_value(&self, value: &Value) -> Value {
        match value {
            Value::Object(inner) => Value::Object(self.exclude(inner)),
            Value::Array(items) => Value::Array(items.iter().map(|item| self.exclude_value(item)).collect()),
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::{document, value};
    use super::*;

    fn shown(fields: &str, text: &str) -> Value {
        Value::Object(Projection::parse(&document(fields)).unwrap().of(&document(text)))
    }

    #[test]
    fn fields_are_shown_or_left_out_also_inside_of_lists() {
        let text = r#"{"_id": 1, "a": {"b": 1, "c": 2}, "d": [{"b": 1, "c": 2}, 5]}"#;
        for (fields, expected) in [
            (r#"{"a.b": 1}"#, r#"{"_id": 1, "a": {"b": 1}}"#),
            (r#"{"d.b": 1, "_id": 0}"#, r#"{"d": [{"b": 1}]}"#),
            (r#"{"d.b": 0}"#, r#"{"_id": 1, "a": {"b": 1, "c": 2}, "d": [{"c": 2}, 5]}"#),
            (r#"{"_id": 0, "d": false}"#, r#"{"a": {"b": 1, "c": 2}}"#),
            (r#"{"_id": 1}"#, r#"{"_id": 1}"#),
            (r#"{"a": true, "x": 1}"#, r#"{"_id": 1, "a": {"b": 1, "c": 2}}"#),
        ] {
            assert_eq!(shown(fields, text), value(expected), "{fields}");
        }
    }

    #[test]
    fn what_would_be_computed_is_refused() {
        for fields in [r#"{"a": {"$slice": 1}}"#, r#"{"a": "$b"}"#, r#"{"a.$": 1}"#, r#"{"a": 1, "b": 0}"#] {
            assert!(Projection::parse(&document(fields)).is_err(), "{fields}");
        }
    }
}
