//! Updates: what is done to a document.

use std::cmp::Ordering;

use num_bigint::BigInt;

use super::compare::{compare, number, same};
use super::decimal::{Decimal, Number};
use super::filter::{Condition, Filter, has_operators};
use super::order::Order;
use super::path::index;
use super::value::depth;
use super::{Document, DocumentError, MAX_DEPTH, Value};

/// Longest list that a number in a path may make, as MongoDB has it.
const MAX_PADDING: usize = 1_500_000;

/// An update that was read, ready to be done.
#[derive(Debug, Clone)]
pub struct Update {
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    Replacement(Document),
    /// In the order in which new fields appear: that of their names.
    Operations(Vec<(Vec<String>, Operation)>),
}

#[derive(Debug, Clone)]
enum Operation {
    Set(Value),
    SetOnInsert(Value),
    Unset,
    RenameTo(Vec<String>),
    Increase(Value),
    Multiply(Value),
    Least(Value),
    Greatest(Value),
    Push(Push),
    AddToSet(Vec<Value>),
    Pull(Pull),
    Pop { first: bool },
}

#[derive(Debug, Clone)]
struct Push {
    each: Vec<Value>,
    position: Option<i64>,
    slice: Option<i64>,
    sort: Option<Sort>,
}

#[derive(Debug, Clone)]
enum Sort {
    Whole { descending: bool },
    Fields(Order),
}

#[derive(Debug, Clone)]
enum Pull {
    Value(Value),
    Condition(Condition),
    Filter(Filter),
}

impl Update {
    /// Reads a document of update operators.
    ///
    /// # Errors
    ///
    /// [`DocumentError::NotSupported`] for an operator that is not spoken here, [`DocumentError::Invalid`] for one
    /// that is used wrongly, or for two that change one place.
    pub fn parse(update: &Document) -> Result<Update, DocumentError> {
        if update.is_empty() {
            return Err(DocumentError::invalid("an update wants at least one operator"));
        }
        if update.values().any(|value| depth(value) > MAX_DEPTH) {
            return Err(DocumentError::invalid("an update nests too deeply"));
        }
        let mut operations = Vec::new();
        for (name, fields) in update {
            if !name.starts_with('$') {
                return Err(DocumentError::invalid("an update only works with $ operators"));
            }
            if name == "$currentDate" {
                let why = "a migration sees no clock, so that it gives the same result whenever it runs";
                return Err(DocumentError::NotSupported { what: name.clone(), why });
            }
            const KNOWN: &[&str] = &[
                "$set",
                "$setOnInsert",
                "$unset",
                "$rename",
                "$inc",
                "$mul",
                "$min",
                "$max",
                "$push",
                "$addToSet",
                "$pull",
                "$pop",
            ];
            if !KNOWN.contains(&name.as_str()) {
                return Err(DocumentError::unsupported(name));
            }
            let Value::Object(fields) = fields else {
                return Err(DocumentError::invalid(format!("`{name}` wants a document of fields")));
            };
            for (path, value) in fields {
                operations.push((parts(path)?, operation(name, value)?));
            }
        }
        refuse_conflicts(&operations)?;
        operations.sort_by(|(a, _), (b, _)| compare_parts(a, b));
        Ok(Update { body: Body::Operations(operations) })
    }

    /// Takes a document that shall stand in another's place.
    ///
    /// # Errors
    ///
    /// If it holds update operators.
    pub fn replacement(document: Document) -> Result<Update, DocumentError> {
        if document.keys().any(|key| key.starts_with('$')) {
            return Err(DocumentError::invalid("a replacement takes no $ operators"));
        }
        Ok(Update { body: Body::Replacement(document) })
    }

    pub(super) fn is_replacement(&self) -> bool {
        matches!(self.body, Body::Replacement(_))
    }

    /// The document after the update; `inserting` if an upsert makes it.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Refused`] if the document does not take the change.
    pub fn apply(&self, document: &Document, inserting: bool) -> Result<Document, DocumentError> {
        let after = match &self.body {
            Body::Replacement(new) => {
                let mut new = new.clone();
                if let Some(id) = document.get("_id")
                    && !new.contains_key("_id")
                {
                    new.shift_insert(0, "_id".to_owned(), id.clone());
                }
                new
            }
            Body::Operations(operations) => {
                let mut after = document.clone();
                for (path, operation) in operations {
                    operation.apply(&mut after, path, inserting)?;
                }
                after
            }
        };
        match (document.get("_id"), after.get("_id")) {
            (Some(before), Some(after)) if same(before, after) => {}
            (None, _) => {}
            _ => return Err(DocumentError::refused("the `_id` of a document cannot be changed")),
        }
        if depth(&Value::Object(after.clone())) > MAX_DEPTH {
            return Err(DocumentError::refused(format!(
                "the document would nest deeper than {MAX_DEPTH} levels"
            )));
        }
        Ok(after)
    }
}

/// The parts of a path that can be written to.
fn parts(path: &str) -> Result<Vec<String>, DocumentError> {
    let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
    if parts.iter().any(String::is_empty) {
        return Err(DocumentError::invalid(format!("the path `{path}` has an empty part")));
    }
    if parts.len() > MAX_DEPTH {
        return Err(DocumentError::invalid("a path has too many parts"));
    }
    match parts.iter().find(|part| part.starts_with('$')) {
        Some(part) => Err(DocumentError::NotSupported {
            what: path.to_owned(),
            why: if part == "$" || part.starts_with("$[") {
                "positions in lists are named by their number"
            } else {
                "a part of the path starts with `$`"
            },
        }),
        None => Ok(parts),
    }
}

/// Places in lists sort as numbers, names as text.
fn compare_parts(a: &[String], b: &[String]) -> Ordering {
    let mut orders = a.iter().zip(b).map(|(a, b)| match (index(a), index(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    });
    orders.find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn refuse_conflicts(operations: &[(Vec<String>, Operation)]) -> Result<(), DocumentError> {
    let mut places: Vec<&[String]> = Vec::new();
    for (path, operation) in operations {
        places.push(path);
        if let Operation::RenameTo(to) = operation {
            places.push(to);
        }
    }
    places.sort_by(|a, b| compare_parts(a, b));
    // What lies between a path and one below it is below it too, so neighbours tell all.
    match places.windows(2).find(|pair| pair[1].starts_with(pair[0])) {
        Some(pair) => {
            let path = pair[1].join(".");
            Err(DocumentError::invalid(format!(
                "updating the path `{path}` would create a conflict at `{}`",
                pair[0].join(".")
            )))
        }
        None => Ok(()),
    }
}

fn operation(name: &str, value: &Value) -> Result<Operation, DocumentError> {
    let number = || {
        if value.is_number() {
            Ok(value.clone())
        } else {
            Err(DocumentError::invalid(format!("`{name}` wants a number")))
        }
    };
    Ok(match name {
        "$set" => Operation::Set(value.clone()),
        "$setOnInsert" => Operation::SetOnInsert(value.clone()),
        "$unset" => Operation::Unset,
        "$rename" => match value {
            Value::Text(to) => Operation::RenameTo(parts(to)?),
            _ => return Err(DocumentError::invalid("`$rename` wants the new name as text")),
        },
        "$inc" => Operation::Increase(number()?),
        "$mul" => Operation::Multiply(number()?),
        "$min" => Operation::Least(value.clone()),
        "$max" => Operation::Greatest(value.clone()),
        "$push" => Operation::Push(push(value)?),
        "$addToSet" => Operation::AddToSet(match value {
            Value::Object(inner) if has_operators(inner) => match (inner.len(), inner.get("$each")) {
                (1, Some(Value::Array(items))) => items.clone(),
                _ => {
                    return Err(DocumentError::invalid(
                        "`$addToSet` takes `$each` with a list, and nothing else",
                    ));
                }
            },
            other => vec![other.clone()],
        }),
        "$pull" => Operation::Pull(match value {
            Value::Object(inner) if has_operators(inner) => Pull::Condition(Condition::parse(inner)?),
            Value::Object(inner) => Pull::Filter(Filter::parse(inner)?),
            Value::Regex { pattern, options } => Pull::Condition(Condition::pattern(pattern, options)?),
            other => Pull::Value(other.clone()),
        }),
        "$pop" => match value.as_integer() {
            Some(1) => Operation::Pop { first: false },
            Some(-1) => Operation::Pop { first: true },
            _ => return Err(DocumentError::invalid("`$pop` wants 1 or -1")),
        },
        _ => return Err(DocumentError::unsupported(name)),
    })
}

fn push(value: &Value) -> Result<Push, DocumentError> {
    let plain = |value: &Value| Push { each: vec![value.clone()], position: None, slice: None, sort: None };
    let Value::Object(inner) = value else { return Ok(plain(value)) };
    let Some(each) = inner.get("$each") else {
        return match inner.keys().find(|key| key.starts_with('$')) {
            Some(key) => Err(DocumentError::invalid(format!("`{key}` of `$push` goes with `$each`"))),
            None => Ok(plain(value)),
        };
    };
    let Value::Array(each) = each else { return Err(DocumentError::invalid("`$each` wants a list")) };
    let mut push = Push { each: each.clone(), position: None, slice: None, sort: None };
    for (name, value) in inner {
        let integer = || {
            value.as_integer().ok_or_else(|| DocumentError::invalid(format!("`{name}` wants a whole number")))
        };
        match name.as_str() {
            "$each" => {}
            "$position" => push.position = Some(integer()?),
            "$slice" => push.slice = Some(integer()?),
            "$sort" => {
                push.sort = Some(match (value, value.as_integer()) {
                    (Value::Object(keys), _) => {
                        Sort::Fields(Order::parse(keys.iter().map(|(path, way)| (path.as_str(), way)))?)
                    }
                    (_, Some(1)) => Sort::Whole { descending: false },
                    (_, Some(-1)) => Sort::Whole { descending: true },
                    _ => return Err(DocumentError::invalid("`$sort` wants 1, -1 or fields with these")),
                });
            }
            _ => return Err(DocumentError::unsupported(format!("$push: {name}"))),
        }
    }
    Ok(push)
}

/// A place in a document that exists or could be made.
enum Slot<'a> {
    Field(&'a mut Document, &'a str),
    Item(&'a mut Vec<Value>, usize),
}

impl<'a> Slot<'a> {
    fn get(&self) -> Option<&Value> {
        match self {
            Slot::Field(document, key) => document.get(*key),
            Slot::Item(items, at) => items.get(*at),
        }
    }

    fn set(self, value: Value) -> Result<(), DocumentError> {
        match self {
            Slot::Field(document, key) => drop(document.insert(key.to_owned(), value)),
            Slot::Item(items, at) => {
                pad(items, at)?;
                items[at] = value;
            }
        }
        Ok(())
    }

    fn list(self, name: &str) -> Result<Option<&'a mut Vec<Value>>, DocumentError> {
        let found = match self {
            Slot::Field(document, key) => document.get_mut(key),
            Slot::Item(items, at) => items.get_mut(at),
        };
        match found {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(DocumentError::refused(format!(
                "`{name}` wants a list, and finds a value of type {}",
                other.type_name()
            ))),
        }
    }
}

fn pad(items: &mut Vec<Value>, at: usize) -> Result<(), DocumentError> {
    if at >= items.len() {
        if at - items.len() > MAX_PADDING {
            return Err(DocumentError::refused(format!("a list of {at} elements would be made for one")));
        }
        items.resize(at + 1, Value::Null);
    }
    Ok(())
}

/// Walks to a place. Without `create`, `None` where something on the way is missing; with it, what is missing is
/// made, and what stands in the way is an error.
fn reach<'a>(
    document: &'a mut Document,
    path: &'a [String],
    create: bool,
) -> Result<Option<Slot<'a>>, DocumentError> {
    let blocked = |part: &str, what: &str| {
        if create {
            Err(DocumentError::refused(format!("cannot create the field `{part}` in a value of type {what}")))
        } else {
            Ok(None)
        }
    };
    let (last, way) = path.split_last().expect("a path has at least one part");
    let mut slot = Slot::Field(document, way.first().unwrap_or(last));
    for next in way.iter().skip(1).chain(if way.is_empty() { None } else { Some(last) }) {
        let value = match slot {
            Slot::Field(document, key) => {
                if !document.contains_key(key) {
                    if !create {
                        return Ok(None);
                    }
                    document.insert(key.to_owned(), Value::Object(Document::new()));
                }
                document.get_mut(key).expect("it was made if it was missing")
            }
            Slot::Item(items, at) => {
                if at >= items.len() {
                    if !create {
                        return Ok(None);
                    }
                    pad(items, at)?;
                    items[at] = Value::Object(Document::new());
                }
                &mut items[at]
            }
        };
        slot = match value {
            Value::Object(inner) => Slot::Field(inner, next),
            Value::Array(items) => match index(next) {
                Some(at) => Slot::Item(items, at),
                None => return blocked(next, "array"),
            },
            other => return blocked(next, other.type_name()),
        };
    }
    Ok(Some(slot))
}

/// Whether a list lies on the way to a place.
fn passes_list(document: &Document, path: &[String]) -> bool {
    let mut value = match path.first().and_then(|key| document.get(key)) {
        Some(value) => value,
        None => return false,
    };
    for part in &path[1..] {
        match value {
            Value::Array(_) => return true,
            Value::Object(inner) => match inner.get(part) {
                Some(inner) => value = inner,
                None => return false,
            },
            _ => return false,
        }
    }
    false
}

impl Operation {
    fn apply(&self, document: &mut Document, path: &[String], inserting: bool) -> Result<(), DocumentError> {
        match self {
            Operation::Set(value) => make(document, path)?.set(value.clone()),
            Operation::SetOnInsert(value) if inserting => make(document, path)?.set(value.clone()),
            Operation::SetOnInsert(_) => Ok(()),
            Operation::Unset => {
                take(document, path)?;
                Ok(())
            }
            Operation::RenameTo(to) => {
                for (path, what) in [(path, "source"), (to, "destination")] {
                    if passes_list(document, path) {
                        let path = path.join(".");
                        return Err(DocumentError::refused(format!(
                            "the {what} of `$rename`, `{path}`, lies in a list"
                        )));
                    }
                }
                match take(document, path)? {
                    Some(value) => make(document, to)?.set(value),
                    None => Ok(()),
                }
            }
            Operation::Increase(by) => calculate("$inc", document, path, by),
            Operation::Multiply(by) => calculate("$mul", document, path, by),
            Operation::Least(value) | Operation::Greatest(value) => {
                let slot = make(document, path)?;
                let wanted =
                    if matches!(self, Operation::Least(_)) { Ordering::Less } else { Ordering::Greater };
                match slot.get() {
                    Some(found) if compare(value, found) != wanted => Ok(()),
                    _ => slot.set(value.clone()),
                }
            }
            Operation::Push(push) => push.apply(list(document, path, "$push")?),
            Operation::AddToSet(values) => {
                let items = list(document, path, "$addToSet")?;
                for value in values {
                    if !items.iter().any(|item| same(item, value)) {
                        items.push(value.clone());
                    }
                }
                Ok(())
            }
            Operation::Pull(pull) => {
                if let Some(slot) = reach(document, path, false)?
                    && let Some(items) = slot.list("$pull")?
                {
                    items.retain(|item| !pull.takes(item));
                }
                Ok(())
            }
            Operation::Pop { first } => {
                if let Some(slot) = reach(document, path, false)?
                    && let Some(items) = slot.list("$pop")?
                    && !items.is_empty()
                {
                    items.remove(if *first { 0 } else { items.len() - 1 });
                }
                Ok(())
            }
        }
    }
}

fn make<'a>(document: &'a mut Document, path: &'a [String]) -> Result<Slot<'a>, DocumentError> {
    Ok(reach(document, path, true)?.expect("with `create` there is a place or an error"))
}

/// Takes a value away. In a list null stays in its place.
fn take(document: &mut Document, path: &[String]) -> Result<Option<Value>, DocumentError> {
    Ok(match reach(document, path, false)? {
        Some(Slot::Field(document, key)) => document.shift_remove(key),
        Some(Slot::Item(items, at)) => items.get_mut(at).map(|item| std::mem::replace(item, Value::Null)),
        None => None,
    })
}

/// The list at a place, made if it is missing.
fn list<'a>(
    document: &'a mut Document,
    path: &'a [String],
    name: &str,
) -> Result<&'a mut Vec<Value>, DocumentError> {
    let slot = make(document, path)?;
    if slot.get().is_none() {
        slot.set(Value::Array(Vec::new()))?;
    }
    Ok(make(document, path)?.list(name)?.expect("it was made if it was missing"))
}

fn calculate(name: &str, document: &mut Document, path: &[String], by: &Value) -> Result<(), DocumentError> {
    let slot = make(document, path)?;
    let result = match slot.get() {
        None if name == "$inc" => by.clone(),
        None => match by {
            Value::Int32(_) => Value::Int32(0),
            Value::Int64(_) => Value::Int64(0),
            Value::Decimal(_) => Value::Decimal("0".parse().expect("zero is a decimal")),
            _ => Value::Double(0.0),
        },
        Some(found) if found.is_number() => arithmetic(name, found, by)?,
        Some(other) => {
            let path = path.join(".");
            let kind = other.type_name();
            return Err(DocumentError::refused(format!(
                "`{name}` wants a number at `{path}`, and finds a value of type {kind}"
            )));
        }
    };
    slot.set(result)
}

fn arithmetic(name: &str, a: &Value, b: &Value) -> Result<Value, DocumentError> {
    let adds = name == "$inc";
    let float = |value: &Value| match value {
        Value::Int32(value) => f64::from(*value),
        Value::Int64(value) => *value as f64,
        Value::Double(value) => *value,
        _ => f64::NAN,
    };
    match (a, b) {
        (Value::Decimal(_), _) | (_, Value::Decimal(_)) => {
            let (
                Number::Finite { coefficient: ca, exponent: ea },
                Number::Finite { coefficient: cb, exponent: eb },
            ) = (number(a), number(b))
            else {
                return Err(DocumentError::unsupported(format!("{name} with a decimal that is not finite")));
            };
            if matches!(a, Value::Double(_)) || matches!(b, Value::Double(_)) {
                return Err(DocumentError::unsupported(format!("{name} of a decimal and a float")));
            }
            let exact = if adds {
                let lower = ea.min(eb);
                let scaled = |coefficient: BigInt, exponent: i64| {
                    coefficient * BigInt::from(10).pow(u32::try_from(exponent - lower).unwrap_or(0))
                };
                Decimal::exact(scaled(ca, ea) + scaled(cb, eb), lower)
            } else {
                Decimal::exact(ca * cb, ea + eb)
            };
            exact.map(Value::Decimal).ok_or_else(|| DocumentError::NotSupported {
                what: name.to_owned(),
                why: "the result has more digits than a decimal holds",
            })
        }
        (Value::Double(_), _) | (_, Value::Double(_)) => {
            Ok(Value::Double(if adds { float(a) + float(b) } else { float(a) * float(b) }))
        }
        (a, b) => {
            let (x, y) = (a.as_integer().unwrap_or(0), b.as_integer().unwrap_or(0));
            let result = if adds { x.checked_add(y) } else { x.checked_mul(y) };
            let result = result
                .ok_or_else(|| DocumentError::refused(format!("`{name}` leaves the integers of 64 bits")))?;
            let small = matches!((a, b), (Value::Int32(_), Value::Int32(_)));
            Ok(match i32::try_from(result) {
                Ok(result) if small => Value::Int32(result),
                _ => Value::Int64(result),
            })
        }
    }
}

impl Push {
    fn apply(&self, items: &mut Vec<Value>) -> Result<(), DocumentError> {
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let at = match self.position {
            Some(at) if at < 0 => length.saturating_add(at).max(0),
            Some(at) => at.min(length),
            None => length,
        };
        let at = usize::try_from(at).unwrap_or(items.len());
        items.splice(at..at, self.each.iter().cloned());
        match &self.sort {
            None => {}
            Some(Sort::Whole { descending: false }) => items.sort_by(compare),
            Some(Sort::Whole { descending: true }) => items.sort_by(|a, b| compare(b, a)),
            Some(Sort::Fields(order)) => {
                let empty = Document::new();
                let fields = |value: &Value| match value {
                    Value::Object(inner) => inner.clone(),
                    _ => empty.clone(),
                };
                items.sort_by_cached_key_with(order, fields);
            }
        }
        if let Some(slice) = self.slice {
            let keep = usize::try_from(slice.unsigned_abs()).unwrap_or(usize::MAX);
            if slice < 0 {
                items.drain(..items.len().saturating_sub(keep));
            } else {
                items.truncate(keep);
            }
        }
        Ok(())
    }
}

/// Sorting values by fields that are taken out of each once.
trait SortByFields {
    fn sort_by_cached_key_with(&mut self, order: &Order, fields: impl Fn(&Value) -> Document);
}

impl SortByFields for Vec<Value> {
    fn sort_by_cached_key_with(&mut self, order: &Order, fields: impl Fn(&Value) -> Document) {
        let mut keyed: Vec<(Document, Value)> = self.drain(..).map(|value| (fields(&value), value)).collect();
        keyed.sort_by(|(a, _), (b, _)| order.compare(a, b));
        self.extend(keyed.into_iter().map(|(_, value)| value));
    }
}

impl Pull {
    fn takes(&self, item: &Value) -> bool {
        match self {
            Pull::Value(value) => same(item, value),
            Pull::Condition(condition) => condition.matches(item),
            Pull::Filter(filter) => match item {
                Value::Object(document) => filter.matches(document),
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::{document, value};
    use super::*;

    fn updated(update: &str, text: &str) -> Result<Value, DocumentError> {
        Update::parse(&document(update))?.apply(&document(text), false).map(Value::Object)
    }

    #[test]
    fn every_operator_does_what_its_manual_says() {
        for (update, before, after) in [
            (r#"{"$set": {"a.b": 1, "c": 2}}"#, r#"{"c": 0}"#, r#"{"c": 2, "a": {"b": 1}}"#),
            (r#"{"$set": {"z": 1, "b": 2}}"#, "{}", r#"{"b": 2, "z": 1}"#),
            (r#"{"$set": {"a.2": 1}}"#, r#"{"a": [0]}"#, r#"{"a": [0, null, 1]}"#),
            (r#"{"$set": {"a.0.b": 1}}"#, r#"{"a": [{}]}"#, r#"{"a": [{"b": 1}]}"#),
            (r#"{"$set": {"a.0": 1}}"#, "{}", r#"{"a": {"0": 1}}"#),
            (r#"{"$setOnInsert": {"a": 1}}"#, "{}", "{}"),
            (r#"{"$unset": {"a": "", "b.c": ""}}"#, r#"{"a": 1, "b": {"c": 1}}"#, r#"{"b": {}}"#),
            (r#"{"$unset": {"a.0": 1}}"#, r#"{"a": [1, 2]}"#, r#"{"a": [null, 2]}"#),
            (r#"{"$rename": {"a": "b.c"}}"#, r#"{"a": 1, "d": 2}"#, r#"{"d": 2, "b": {"c": 1}}"#),
            (r#"{"$rename": {"x": "b"}}"#, r#"{"a": 1}"#, r#"{"a": 1}"#),
            (r#"{"$inc": {"a": 2, "b": -1}}"#, r#"{"a": 1}"#, r#"{"a": 3, "b": -1}"#),
            (r#"{"$inc": {"a": 1}}"#, r#"{"a": 2147483647}"#, r#"{"a": 2147483648}"#),
            (r#"{"$inc": {"a": 0.5}}"#, r#"{"a": 1}"#, r#"{"a": 1.5}"#),
            (
                r#"{"$inc": {"a": {"$numberDecimal": "0.05"}}}"#,
                r#"{"a": 1}"#,
                r#"{"a": {"$numberDecimal": "1.05"}}"#,
            ),
            (r#"{"$mul": {"a": 3, "b": 2}}"#, r#"{"a": 2}"#, r#"{"a": 6, "b": 0}"#),
            (r#"{"$min": {"a": 1, "b": 9}}"#, r#"{"a": 2, "b": 3}"#, r#"{"a": 1, "b": 3}"#),
            (r#"{"$max": {"a": 1, "c": 5}}"#, r#"{"a": 2}"#, r#"{"a": 2, "c": 5}"#),
            (r#"{"$push": {"a": [1]}}"#, r#"{"a": [0]}"#, r#"{"a": [0, [1]]}"#),
            (
                r#"{"$push": {"a": {"$each": [3, 1], "$sort": 1, "$slice": 2}}}"#,
                r#"{"a": [2]}"#,
                r#"{"a": [1, 2]}"#,
            ),
            (
                r#"{"$push": {"a": {"$each": [9], "$position": -1, "$slice": -2}}}"#,
                r#"{"a": [1, 2]}"#,
                r#"{"a": [9, 2]}"#,
            ),
            (
                r#"{"$push": {"a": {"$each": [{"n": 1}], "$sort": {"n": -1}}}}"#,
                r#"{"a": [{"n": 0}]}"#,
                r#"{"a": [{"n": 1}, {"n": 0}]}"#,
            ),
            (r#"{"$addToSet": {"a": {"$each": [1, 2, 2]}}}"#, r#"{"a": [1.0]}"#, r#"{"a": [1.0, 2]}"#),
            (r#"{"$addToSet": {"b": 1}}"#, "{}", r#"{"b": [1]}"#),
            (r#"{"$pull": {"a": 1}}"#, r#"{"a": [1, 2, [1], 1.0]}"#, r#"{"a": [2, [1]]}"#),
            (r#"{"$pull": {"a": {"$gte": 2}}}"#, r#"{"a": [1, 2, 3]}"#, r#"{"a": [1]}"#),
            (
                r#"{"$pull": {"a": {"b": 1}}}"#,
                r#"{"a": [{"b": 1, "c": 2}, {"b": 2}, 1]}"#,
                r#"{"a": [{"b": 2}, 1]}"#,
            ),
            (
                r#"{"$pop": {"a": 1, "b": -1, "c": 1}}"#,
                r#"{"a": [1, 2], "b": [1, 2]}"#,
                r#"{"a": [1], "b": [2]}"#,
            ),
        ] {
            let found = updated(update, before).unwrap_or_else(|error| panic!("{update}: {error}"));
            assert!(found.is_identical(&value(after)), "{update} on {before}: {found:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (update, before, what) in [
            (r#"{"$set": {"a.b": 1}}"#, r#"{"a": 1}"#, "cannot create the field `b` in a value of type int"),
            (
                r#"{"$set": {"a.b": 1}}"#,
                r#"{"a": [1]}"#,
                "cannot create the field `b` in a value of type array",
            ),
            (r#"{"$set": {"a.9999999": 1}}"#, r#"{"a": []}"#, "a list of 9999999 elements would be made"),
            (r#"{"$set": {"_id": 2}}"#, r#"{"_id": 1}"#, "the `_id` of a document cannot be changed"),
            (r#"{"$unset": {"_id": 1}}"#, r#"{"_id": 1}"#, "the `_id` of a document cannot be changed"),
            (
                r#"{"$set": {"a": 1, "a.b": 2}}"#,
                "{}",
                "updating the path `a.b` would create a conflict at `a`",
            ),
            (
                r#"{"$set": {"a": 1}, "$inc": {"a": 2}}"#,
                "{}",
                "updating the path `a` would create a conflict",
            ),
            (
                r#"{"$rename": {"a": "b"}, "$set": {"b": 2}}"#,
                "{}",
                "updating the path `b` would create a conflict",
            ),
            (
                r#"{"$rename": {"a.0": "b"}}"#,
                r#"{"a": [1]}"#,
                "the source of `$rename`, `a.0`, lies in a list",
            ),
            (
                r#"{"$inc": {"a": 1}}"#,
                r#"{"a": "x"}"#,
                "`$inc` wants a number at `a`, and finds a value of type string",
            ),
            (r#"{"$inc": {"a": "x"}}"#, "{}", "`$inc` wants a number"),
            (
                r#"{"$inc": {"a": 1}}"#,
                r#"{"a": 9223372036854775807}"#,
                "`$inc` leaves the integers of 64 bits",
            ),
            (r#"{"$push": {"a": 1}}"#, r#"{"a": 1}"#, "`$push` wants a list"),
            (
                r#"{"$currentDate": {"a": true}}"#,
                "{}",
                "`$currentDate` is not supported: a migration sees no clock",
            ),
            (r#"{"$set": {"a.$[].b": 1}}"#, "{}", "`a.$[].b` is not supported: positions in lists"),
            (r#"{"$bit": {"a": {"and": 1}}}"#, "{}", "`$bit` is not supported"),
            (r#"{"a": 1}"#, "{}", "an update only works with $ operators"),
            (r#"{"$set": {"a..b": 1}}"#, "{}", "the path `a..b` has an empty part"),
        ] {
            let error = updated(update, before).unwrap_err().to_string();
            assert!(error.starts_with(what), "{update} on {before}: {error}");
        }
    }
}
