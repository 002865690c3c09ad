//! A collection of documents in memory: what a script finds and changes.

use std::collections::HashMap;

use num_bigint::BigInt;
use num_traits::Zero;

use super::compare::number;
use super::decimal::Number;
use super::extended::hex;
use super::path::Path;
use super::value::is_identical;
use super::{Document, DocumentError, Filter, Order, Update, Value};

/// Documents, each with its own `_id`, in the order in which they came.
#[derive(Debug, Clone)]
pub struct Collection {
    slots: Vec<Option<Slot>>,
    by_id: HashMap<Vec<u8>, usize>,
    /// What new names are made of, so that one script gives the same names whenever it runs.
    seed: [u8; 9],
    counter: u32,
}

#[derive(Debug, Clone)]
struct Slot {
    document: Document,
    changed: bool,
}

/// What to find.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// In which order.
    pub order: Order,
    /// How many to pass over.
    pub skip: usize,
    /// How many at most; 0 for all.
    pub limit: usize,
}

/// How a document relates to those that the collection began with.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<'a> {
    /// It was removed.
    Removed,
    /// It is as it was.
    Kept,
    /// It was changed.
    Changed(&'a Document),
}

/// Which documents an update changes, and what if there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// All that are meant, not only the first.
    pub many: bool,
    /// Makes one if there is none.
    pub upsert: bool,
}

/// What an update did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UpdateResult {
    /// Documents that were meant.
    pub matched: u64,
    /// Documents that are no longer as they were.
    pub modified: u64,
    /// The `_id` of the one that was made.
    pub upserted: Option<Value>,
}

impl Collection {
    /// Takes documents.
    ///
    /// # Errors
    ///
    /// If one has no `_id`, one that cannot be an `_id`, or that of another.
    pub fn new(documents: Vec<Document>, seed: [u8; 9]) -> Result<Collection, DocumentError> {
        let slots = Vec::with_capacity(documents.len());
        let by_id = HashMap::with_capacity(documents.len());
        let mut collection = Collection { slots, by_id, seed, counter: 0 };
        for document in documents {
            collection.add(document)?;
        }
        for slot in collection.slots.iter_mut().flatten() {
            slot.changed = false;
        }
        Ok(collection)
    }

    fn add(&mut self, document: Document) -> Result<(), DocumentError> {
        let id = document
            .get("_id")
            .ok_or_else(|| DocumentError::NotADocument { what: "a document has no `_id`".to_owned() })?;
        let key = key_of(id)?;
        if self.by_id.contains_key(&key) {
            return Err(DocumentError::DuplicateId { id: shown(id) });
        }
        self.by_id.insert(key, self.slots.len());
        self.slots.push(Some(Slot { document, changed: true }));
        Ok(())
    }

    /// The documents that are meant.
    pub fn find(&self, filter: &Filter, query: &Query) -> Vec<&Document> {
        let enough = if query.order.is_empty() && query.limit > 0 {
            query.skip.saturating_add(query.limit)
        } else {
            usize::MAX
        };
        let mut found: Vec<&Document> =
            self.places(filter, enough).into_iter().map(|at| self.at(at)).collect();
        found.sort_by(|a, b| query.order.compare(a, b));
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        found.into_iter().skip(query.skip).take(limit).collect()
    }

    fn at(&self, place: usize) -> &Document {
        &self.slots[place].as_ref().expect("places are of documents that are there").document
    }

    /// Places of the first documents that are meant.
    fn places(&self, filter: &Filter, limit: usize) -> Vec<usize> {
        if let Some(id) = filter.id() {
            // A value that cannot be an `_id` finds nothing by its key, but may by another rule.
            if let Ok(key) = key_of(id) {
                let place = self.by_id.get(&key).copied();
                return place.filter(|at| filter.matches(self.at(*at))).into_iter().take(limit).collect();
            }
        }
        let present = self.slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.as_ref()?)));
        present.filter(|(_, slot)| filter.matches(&slot.document)).map(|(at, _)| at).take(limit).collect()
    }

    /// The different values that a path leads to in the documents that are meant, in the order of their finding.
    ///
    /// # Errors
    ///
    /// If the path is not sound.
    pub fn distinct(&self, path: &str, filter: &Filter) -> Result<Vec<Value>, DocumentError> {
        let path = Path::parse(path)?;
        let mut seen = std::collections::HashSet::new();
        let mut found = Vec::new();
        for place in self.places(filter, usize::MAX) {
            let mut take = |value: &Value| {
                if seen.insert(equality_key(value)) {
                    found.push(value.clone());
                }
            };
            path.each(self.at(place), false, &mut |value| {
                match value {
                    Some(Value::Array(items)) => items.iter().for_each(&mut take),
                    Some(value) => take(value),
                    None => {}
                }
                false
            });
        }
        Ok(found)
    }

    /// Adds a document; one without an `_id` gets a new one, in front. Returns the `_id`.
    ///
    /// # Errors
    ///
    /// If its `_id` is another's, or cannot be one.
    pub fn insert(&mut self, mut document: Document) -> Result<Value, DocumentError> {
        if !document.contains_key("_id") {
            let id = self.new_id();
            document.shift_insert(0, "_id".to_owned(), id);
        }
        let id = document["_id"].clone();
        self.add(document)?;
        Ok(id)
    }

    /// Changes the documents that are meant.
    ///
    /// # Errors
    ///
    /// If a document does not take the change; those before it have taken it.
    pub fn update(
        &mut self,
        filter: &Filter,
        update: &Update,
        write: Write,
    ) -> Result<UpdateResult, DocumentError> {
        let places = self.places(filter, if write.many { usize::MAX } else { 1 });
        if places.is_empty() && write.upsert {
            return self.upsert(filter, update);
        }
        let mut result = UpdateResult::default();
        for place in places {
            let before = self.at(place);
            let after = update.apply(before, false)?;
            result.matched += 1;
            if !is_identical(before, &after) {
                result.modified += 1;
                self.slots[place] = Some(Slot { document: after, changed: true });
            }
        }
        Ok(result)
    }

    fn upsert(&mut self, filter: &Filter, update: &Update) -> Result<UpdateResult, DocumentError> {
        let mut start = Document::new();
        for (path, value) in filter.equalities() {
            // A replacement is taken as it is, but for its name.
            if !update.is_replacement() || path == "_id" {
                let set = Document::from([(path.to_owned(), value.clone())]);
                let set = Document::from([("$set".to_owned(), Value::Object(set))]);
                start = Update::parse(&set)?.apply(&start, true)?;
            }
        }
        let made = update.apply(&start, true)?;
        let id = self.insert(made)?;
        Ok(UpdateResult { matched: 0, modified: 0, upserted: Some(id) })
    }

    /// Removes the first document that is meant, or all. Returns how many.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn delete(&mut self, filter: &Filter, many: bool) -> Result<u64, DocumentError> {
        let places = self.places(filter, if many { usize::MAX } else { 1 });
        let mut deleted = 0;
        for place in places {
            if let Some(slot) = self.slots[place].take() {
                self.by_id.remove(&key_of(&slot.document["_id"])?);
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    /// A name that no document here has.
    pub fn new_id(&mut self) -> Value {
        loop {
            let mut bytes = [0; 12];
            bytes[..9].copy_from_slice(&self.seed);
            bytes[9..].copy_from_slice(&self.counter.to_be_bytes()[1..]);
            self.counter = self.counter.wrapping_add(1);
            let id = Value::ObjectId(bytes);
            if !self.by_id.contains_key(&equality_key(&id)) {
                return id;
            }
        }
    }

    /// The first `count` documents, which are those that it began with.
    pub fn first(&self, count: usize) -> impl Iterator<Item = Found<'_>> {
        self.slots.iter().take(count).map(|slot| match slot {
            None => Found::Removed,
            Some(Slot { changed: false, .. }) => Found::Kept,
            Some(Slot { document, .. }) => Found::Changed(document),
        })
    }

    /// The documents that were added after the first `count`, and are still there.
    pub fn added(&self, count: usize) -> impl Iterator<Item = &Document> {
        self.slots.iter().skip(count).flatten().map(|slot| &slot.document)
    }
}

/// The name of a value that can be an `_id`; values that count as one have one name.
fn key_of(id: &Value) -> Result<Vec<u8>, DocumentError> {
    match id {
        Value::Array(_) | Value::Regex { .. } => {
            Err(DocumentError::invalid(format!("an `_id` cannot be of type {}", id.type_name())))
        }
        _ => Ok(equality_key(id)),
    }
}

/// Bytes that are the same for values that count as one, and different for others.
pub(super) fn equality_key(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put(value, &mut out);
    out
}

fn put(value: &Value, out: &mut Vec<u8>) {
    out.push(super::compare::rank(value));
    let mut bytes = |bytes: &[u8]| {
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match value {
        Value::Null | Value::MinKey | Value::MaxKey => {}
        Value::Bool(value) => out.push(u8::from(*value)),
        Value::Int32(_) | Value::Int64(_) | Value::Double(_) | Value::Decimal(_) => {
            let text = match number(value) {
                Number::Nan => "nan".to_owned(),
                Number::Infinite { negative } => if negative { "-inf" } else { "inf" }.to_owned(),
                Number::Finite { .. } => {
                    let (coefficient, exponent) = normal(value);
                    format!("{coefficient}e{exponent}")
                }
            };
            bytes(text.as_bytes());
        }
        Value::Text(text) => bytes(text.as_bytes()),
        Value::Object(document) => {
            out.extend_from_slice(&(document.len() as u64).to_le_bytes());
            for (key, value) in document {
                out.extend_from_slice(&(key.len() as u64).to_le_bytes());
                out.extend_from_slice(key.as_bytes());
                put(value, out);
            }
        }
        Value::Array(items) => {
            out.extend_from_slice(&(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| put(item, out));
        }
        Value::Binary { subtype, bytes: data } => {
            bytes(data);
            out.push(*subtype);
        }
        Value::ObjectId(id) => out.extend_from_slice(id),
        Value::DateTime(millis) => out.extend_from_slice(&millis.to_le_bytes()),
        Value::Timestamp { time, increment } => {
            out.extend_from_slice(&time.to_le_bytes());
            out.extend_from_slice(&increment.to_le_bytes());
        }
        Value::Regex { pattern, options } => {
            bytes(pattern.as_bytes());
            bytes(options.as_bytes());
        }
    }
}

/// The one way to write a finite number as a coefficient that ends in no zero, and an exponent.
pub(super) fn normal(value: &Value) -> (BigInt, i64) {
    let Number::Finite { mut coefficient, mut exponent } = number(value) else { return (BigInt::ZERO, 0) };
    if coefficient.is_zero() {
        exponent = 0;
    }
    while !coefficient.is_zero() && (&coefficient % 10u32).is_zero() {
        coefficient /= 10;
        exponent += 1;
    }
    (coefficient, exponent)
}

/// An `_id` as an error shows it.
pub(super) fn shown(id: &Value) -> String {
    match id {
        Value::ObjectId(bytes) => format!("ObjectId {}", hex(bytes)),
        Value::Text(text) => format!("{text:?}"),
        Value::Int32(value) => value.to_string(),
        Value::Int64(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        other => format!("of type {}", other.type_name()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::{document, value};
    use super::*;

    fn collection(texts: &[&str]) -> Collection {
        Collection::new(texts.iter().map(|text| document(text)).collect(), [7; 9]).unwrap()
    }

    fn filter(text: &str) -> Filter {
        Filter::parse(&document(text)).unwrap()
    }

    fn update(text: &str) -> Update {
        Update::parse(&document(text)).unwrap()
    }

    const MANY: Write = Write { many: true, upsert: false };
    const UPSERT: Write = Write { many: false, upsert: true };

    #[test]
    fn two_documents_of_one_id_are_refused_also_across_types_of_numbers() {
        let twice = vec![document(r#"{"_id": 1}"#), document(r#"{"_id": {"$numberDecimal": "1.0"}}"#)];
        assert!(matches!(Collection::new(twice, [0; 9]), Err(DocumentError::DuplicateId { .. })));
        let mut one = collection(&[r#"{"_id": "a"}"#]);
        assert!(one.insert(document(r#"{"_id": "a"}"#)).is_err());
        assert!(one.insert(document(r#"{"_id": [1]}"#)).is_err());
        assert!(Collection::new(vec![document("{}")], [0; 9]).is_err());
    }

    #[test]
    fn what_was_changed_removed_and_added_is_known() {
        let mut all =
            collection(&[r#"{"_id": 1, "a": 1}"#, r#"{"_id": 2, "a": 2}"#, r#"{"_id": 3, "a": 3}"#]);
        let result =
            all.update(&filter(r#"{"a": {"$lt": 3}}"#), &update(r#"{"$set": {"a": 1}}"#), MANY).unwrap();
        assert_eq!((result.matched, result.modified), (2, 1));
        assert_eq!(all.delete(&filter(r#"{"_id": 3}"#), false).unwrap(), 1);
        all.insert(document(r#"{"_id": 3, "b": 1}"#)).unwrap();
        let changed = document(r#"{"_id": 2, "a": 1}"#);
        assert_eq!(all.first(3).collect::<Vec<_>>(), [Found::Kept, Found::Changed(&changed), Found::Removed]);
        assert_eq!(all.added(3).collect::<Vec<_>>(), [&document(r#"{"_id": 3, "b": 1}"#)]);
    }

    #[test]
    fn an_upsert_begins_with_what_the_filter_says_is_equal() {
        let mut all = collection(&[]);
        let found = filter(r#"{"_id": 5, "a.b": {"$eq": 1}, "c": {"$gt": 2}, "$and": [{"d": 4}]}"#);
        let result =
            all.update(&found, &update(r#"{"$set": {"e": 1}, "$setOnInsert": {"f": 2}}"#), UPSERT).unwrap();
        assert_eq!(result.upserted, Some(Value::Int32(5)));
        let made = r#"{"_id": 5, "a": {"b": 1}, "d": 4, "e": 1, "f": 2}"#;
        assert_eq!(all.added(0).collect::<Vec<_>>(), [&document(made)]);
    }

    #[test]
    fn new_names_are_the_same_in_every_run_and_taken_by_nobody() {
        let taken = Value::ObjectId([7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0]);
        let first = Document::from([("_id".to_owned(), taken)]);
        let mut all = Collection::new(vec![first], [7; 9]).unwrap();
        let id = all.insert(document(r#"{"a": 1}"#)).unwrap();
        assert_eq!(id, Value::ObjectId([7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 1]));
    }

    #[test]
    fn documents_are_found_sorted_skipped_and_limited() {
        let all =
            collection(&[r#"{"_id": 1, "a": 3}"#, r#"{"_id": 2, "a": 1}"#, r#"{"_id": 3, "a": [2, 1]}"#]);
        let one = Value::Int32(1);
        let order = Order::parse([("a", &one)]).unwrap();
        let ids = |query: Query| -> Vec<Value> {
            all.find(&filter("{}"), &query).iter().map(|document| document["_id"].clone()).collect()
        };
        assert_eq!(
            ids(Query { order: order.clone(), ..Query::default() }),
            [value("2"), value("3"), value("1")]
        );
        assert_eq!(ids(Query { order, skip: 1, limit: 1 }), [value("3")]);
        assert_eq!(ids(Query { skip: 1, limit: 1, ..Query::default() }), [value("2")]);
        assert_eq!(all.distinct("a", &filter("{}")).unwrap(), [value("3"), value("1"), value("2")]);
    }
}
