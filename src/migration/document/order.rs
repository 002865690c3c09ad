//! Sorting documents.

use std::cmp::Ordering;

use super::compare::compare;
use super::path::Path;
use super::{Document, DocumentError, Value};

/// By what documents are sorted.
#[derive(Debug, Clone, Default)]
pub struct Order {
    keys: Vec<(Path, bool)>,
}

impl Order {
    /// Reads paths, each with 1 for ascending or -1 for descending.
    ///
    /// # Errors
    ///
    /// If a direction is neither, or a path is not sound.
    pub fn parse<'a>(keys: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Result<Order, DocumentError> {
        let read = |(path, direction): (&str, &Value)| match (direction, direction.as_integer()) {
            (_, Some(1)) => Ok((Path::parse(path)?, false)),
            (_, Some(-1)) => Ok((Path::parse(path)?, true)),
            (Value::Object(_), _) => Err(DocumentError::unsupported(format!("sort by $meta: {path}"))),
            _ => Err(DocumentError::invalid(format!("the direction of `{path}` is neither 1 nor -1"))),
        };
        Ok(Order { keys: keys.into_iter().map(read).collect::<Result<_, _>>()? })
    }

    /// Whether it leaves everything where it is.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Compares two documents.
    pub fn compare(&self, a: &Document, b: &Document) -> Ordering {
        let order = |(path, descending): &(Path, bool)| {
            let order = compare(&key(path, a, *descending), &key(path, b, *descending));
            if *descending { order.reverse() } else { order }
        };
        self.keys.iter().map(order).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// What a document is sorted by: of a list its least element, or its greatest when the order descends.
fn key(path: &Path, document: &Document, descending: bool) -> Value {
    let mut best: Option<Value> = None;
    let mut take = |value: &Value| {
        let better = best.as_ref().is_none_or(|best| {
            let order = compare(value, best);
            if descending { order.is_gt() } else { order.is_lt() }
        });
        if better {
            best = Some(value.clone());
        }
    };
    path.each(document, false, &mut |value| {
        match value {
            // An empty list comes before null. Nothing else sorts there, so the least of all stands for it.
            Some(Value::Array(items)) if items.is_empty() => take(&Value::MinKey),
            Some(Value::Array(items)) => items.iter().for_each(&mut take),
            other => take(other.unwrap_or(&Value::Null)),
        }
        false
    });
    best.unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::document;
    use super::*;

    #[test]
    fn documents_sort_by_type_then_value_and_lists_by_their_best_element() {
        let texts = [r#"{"a": []}"#, "{}", r#"{"a": [9, 1]}"#, r#"{"a": 2}"#, r#"{"a": "x"}"#];
        let documents: Vec<_> = texts.iter().map(|text| document(text)).collect();
        let sorted = |direction: i32| {
            let direction = Value::Int32(direction);
            let order = Order::parse([("a", &direction)]).unwrap();
            let mut places: Vec<usize> = (0..documents.len()).collect();
            places.sort_by(|a, b| order.compare(&documents[*a], &documents[*b]));
            places
        };
        assert_eq!(sorted(1), [0, 1, 2, 3, 4]);
        assert_eq!(sorted(-1), [4, 2, 3, 1, 0]);
    }
}
