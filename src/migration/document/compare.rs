//! The order of values: by type first, then by value
//! (<https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/>).

use std::cmp::Ordering;

use super::decimal::{self, Number};
use super::{Document, Value};

/// Compares two values. Numbers of all types compare by what they stand for, documents key by key in their order.
pub fn compare(a: &Value, b: &Value) -> Ordering {
    rank(a).cmp(&rank(b)).then_with(|| match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Object(a), Value::Object(b)) => compare_documents(a, b),
        (Value::Array(a), Value::Array(b)) => {
            let different = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
            different.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Binary { subtype: sa, bytes: a }, Value::Binary { subtype: sb, bytes: b }) => {
            (a.len(), sa, a).cmp(&(b.len(), sb, b))
        }
        (Value::ObjectId(a), Value::ObjectId(b)) => a.cmp(b),
        (Value::DateTime(a), Value::DateTime(b)) => a.cmp(b),
        (Value::Timestamp { time: ta, increment: a }, Value::Timestamp { time: tb, increment: b }) => {
            (ta, a).cmp(&(tb, b))
        }
        (Value::Regex { pattern: pa, options: a }, Value::Regex { pattern: pb, options: b }) => {
            (pa, a).cmp(&(pb, b))
        }
        (a, b) if a.is_number() && b.is_number() => compare_numbers(a, b),
        _ => Ordering::Equal,
    })
}

/// Whether two values count as one: `1`, `1.0` and a decimal one do.
pub fn same(a: &Value, b: &Value) -> bool {
    compare(a, b).is_eq()
}

fn compare_documents(a: &Document, b: &Document) -> Ordering {
    let pairs = a.iter().zip(b);
    let mut orders = pairs
        .map(|((ka, a), (kb, b))| rank(a).cmp(&rank(b)).then_with(|| ka.cmp(kb)).then_with(|| compare(a, b)));
    orders.find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// The place of a value's type among all.
pub(super) fn rank(value: &Value) -> u8 {
    match value {
        Value::MinKey => 0,
        Value::Null => 2,
        Value::Int32(_) | Value::Int64(_) | Value::Double(_) | Value::Decimal(_) => 3,
        Value::Text(_) => 4,
        Value::Object(_) => 5,
        Value::Array(_) => 6,
        Value::Binary { .. } => 7,
        Value::ObjectId(_) => 8,
        Value::Bool(_) => 9,
        Value::DateTime(_) => 10,
        Value::Timestamp { .. } => 11,
        Value::Regex { .. } => 12,
        Value::MaxKey => 13,
    }
}

fn compare_numbers(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Int32(a), Value::Int32(b)) => a.cmp(b),
        (Value::Double(a), Value::Double(b)) => {
            a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
        }
        (a, b) => match (a.as_integer(), b.as_integer()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => decimal::compare(&number(a), &number(b)),
        },
    }
}

pub(super) fn number(value: &Value) -> Number {
    match value {
        Value::Int32(value) => decimal::of_integer(i64::from(*value)),
        Value::Int64(value) => decimal::of_integer(*value),
        Value::Double(value) => decimal::of_float(*value),
        Value::Decimal(value) => value.number(),
        _ => Number::Nan,
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::value;
    use super::*;

    #[test]
    fn types_have_their_order_and_numbers_are_one_type() {
        let ascending = [
            r#"{"$minKey": 1}"#,
            "null",
            r#"{"$numberDouble": "NaN"}"#,
            r#"{"$numberDouble": "-Infinity"}"#,
            "-1",
            r#"{"$numberDecimal": "0.1"}"#,
            "0.1",
            r#"{"$numberLong": "1"}"#,
            "9007199254740993",
            r#""a""#,
            r#""b""#,
            r#"{"a": 1}"#,
            r#"{"a": "x"}"#,
            "[]",
            "[1]",
            "[1, 2]",
            "[2]",
            r#"{"$oid": "507f1f77bcf86cd799439011"}"#,
            "false",
            "true",
            r#"{"$date": "2020-01-01T00:00:00Z"}"#,
            r#"{"$timestamp": {"t": 1, "i": 1}}"#,
            r#"{"$maxKey": 1}"#,
        ];
        for (place, a) in ascending.iter().enumerate() {
            for (other, b) in ascending.iter().enumerate() {
                assert_eq!(compare(&value(a), &value(b)), place.cmp(&other), "{a} and {b}");
            }
        }
        assert!(same(&value("1"), &value("1.0")));
        assert!(same(&value(r#"{"$numberLong": "1"}"#), &value(r#"{"$numberDecimal": "1.00"}"#)));
    }

    #[test]
    fn large_integers_are_not_rounded_to_floats() {
        assert_eq!(
            compare(&Value::Int64(9_007_199_254_740_993), &Value::Double(9_007_199_254_740_992.0)),
            Ordering::Greater
        );
        assert_eq!(compare(&Value::Int64(i64::MAX), &Value::Double(9.3e18)), Ordering::Less);
    }
}
