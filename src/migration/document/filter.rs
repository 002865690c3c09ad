//! Filters: which documents are meant.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};

use super::compare::{compare, rank, same};
use super::path::Path;
use super::value::depth;
use super::{Document, DocumentError, MAX_DEPTH, Value};

/// Most bytes of a compiled pattern.
const PATTERN_BYTES: usize = 1 << 20;

/// A filter that was read, ready to be asked.
#[derive(Debug, Clone)]
pub struct Filter {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    None(Vec<Filter>),
    Field(Path, Vec<Test>),
}

/// What is asked of one path.
#[derive(Debug, Clone)]
enum Test {
    Equal(Value),
    Order(Relation, Value),
    In(Vec<Member>),
    Not(Vec<Test>),
    Exists(bool),
    Type(Vec<Type>),
    Pattern(Regex),
    Size(i64),
    Every(Vec<Test>),
    Element(Box<Element>),
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone)]
enum Member {
    Value(Value),
    Pattern(Regex),
}

/// What `$elemMatch` asks of an element.
#[derive(Debug, Clone)]
enum Element {
    Document(Filter),
    Value(Vec<Test>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Number,
    Named(&'static str),
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    ///
    /// [`DocumentError::NotSupported`] for an operator that is not spoken here, [`DocumentError::Invalid`] for one
    /// that is used wrongly.
    pub fn parse(filter: &Document) -> Result<Filter, DocumentError> {
        if filter.values().any(|value| depth(value) >= MAX_DEPTH) {
            return Err(DocumentError::invalid("a filter nests too deeply"));
        }
        Filter::read(filter)
    }

    fn read(filter: &Document) -> Result<Filter, DocumentError> {
        let mut parts = Vec::with_capacity(filter.len());
        for (key, value) in filter {
            parts.push(match key.as_str() {
                "$and" => Part::All(filters(key, value)?),
                "$or" => Part::Any(filters(key, value)?),
                "$nor" => Part::None(filters(key, value)?),
                "$comment" => continue,
                _ if key.starts_with('$') => return Err(DocumentError::unsupported(key)),
                _ => Part::Field(Path::parse(key)?, tests(value)?),
            });
        }
        Ok(Filter { parts })
    }

    /// Whether a document is meant.
    pub fn matches(&self, document: &Document) -> bool {
        self.parts.iter().all(|part| match part {
            Part::All(filters) => filters.iter().all(|filter| filter.matches(document)),
            Part::Any(filters) => filters.iter().any(|filter| filter.matches(document)),
            Part::None(filters) => !filters.iter().any(|filter| filter.matches(document)),
            Part::Field(path, tests) => tests.iter().all(|test| test.holds(path, document)),
        })
    }

    /// What every document that is meant has at these paths, as an upsert begins with it.
    pub(super) fn equalities(&self) -> Vec<(&str, &Value)> {
        let mut found = Vec::new();
        for part in &self.parts {
            match part {
                Part::All(filters) => found.extend(filters.iter().flat_map(Filter::equalities)),
                Part::Any(filters) if filters.len() == 1 => found.extend(filters[0].equalities()),
                Part::Field(path, tests) => found.extend(tests.iter().filter_map(|test| match test {
                    Test::Equal(value) => Some((path.as_str(), value)),
                    Test::In(members) => match members.as_slice() {
                        [Member::Value(value)] => Some((path.as_str(), value)),
                        _ => None,
                    },
                    Test::Every(tests) => match tests.as_slice() {
                        [Test::Equal(value)] => Some((path.as_str(), value)),
                        _ => None,
                    },
                    _ => None,
                })),
                _ => {}
            }
        }
        found
    }

    /// The `_id` that a document must have to be meant, where the filter names one.
    pub(super) fn id(&self) -> Option<&Value> {
        self.parts.iter().find_map(|part| match part {
            Part::Field(path, tests) if path.as_str() == "_id" => tests.iter().find_map(|test| match test {
                Test::Equal(value) => Some(value),
                _ => None,
            }),
            _ => None,
        })
    }
}

/// A condition for one value that is in no document: what `$pull` says of an element.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    tests: Vec<Test>,
}

impl Condition {
    /// Reads operators.
    pub fn parse(operators: &Document) -> Result<Condition, DocumentError> {
        Ok(Condition { tests: operator_tests(operators)? })
    }

    /// Takes a pattern.
    pub fn pattern(pattern: &str, options: &str) -> Result<Condition, DocumentError> {
        Ok(Condition { tests: vec![Test::Pattern(compile(pattern, options)?)] })
    }

    pub fn matches(&self, value: &Value) -> bool {
        self.tests.iter().all(|test| test.holds_for(value))
    }
}

/// Whether a document is made of operators.
pub(super) fn has_operators(document: &Document) -> bool {
    document.keys().next().is_some_and(|key| key.starts_with('$'))
}

fn filters(name: &str, value: &Value) -> Result<Vec<Filter>, DocumentError> {
    let wrong = || DocumentError::invalid(format!("`{name}` wants a list of filters that is not empty"));
    let Value::Array(items) = value else { return Err(wrong()) };
    if items.is_empty() {
        return Err(wrong());
    }
    let read = |item: &Value| match item {
        Value::Object(filter) => Filter::read(filter),
        _ => Err(wrong()),
    };
    items.iter().map(read).collect()
}

fn tests(value: &Value) -> Result<Vec<Test>, DocumentError> {
    match value {
        Value::Object(document) if has_operators(document) => operator_tests(document),
        Value::Regex { pattern, options } => Ok(vec![Test::Pattern(compile(pattern, options)?)]),
        other => Ok(vec![Test::Equal(other.clone())]),
    }
}

fn operator_tests(operators: &Document) -> Result<Vec<Test>, DocumentError> {
    let mut tests = Vec::with_capacity(operators.len());
    for (name, value) in operators {
        let list = || match value {
            Value::Array(items) => Ok(items),
            _ => Err(DocumentError::invalid(format!("`{name}` wants a list"))),
        };
        let order = |relation| match value {
            Value::Regex { .. } => Err(DocumentError::invalid(format!("`{name}` takes no pattern"))),
            _ => Ok(Test::Order(relation, value.clone())),
        };
        tests.push(match name.as_str() {
            "$eq" => Test::Equal(value.clone()),
            "$ne" => match value {
                Value::Regex { .. } => {
                    return Err(DocumentError::invalid("`$ne` takes no pattern: use `$not`"));
                }
                _ => Test::Not(vec![Test::Equal(value.clone())]),
            },
            "$gt" => order(Relation::Greater)?,
            "$gte" => order(Relation::GreaterOrEqual)?,
            "$lt" => order(Relation::Less)?,
            "$lte" => order(Relation::LessOrEqual)?,
            "$in" => Test::In(members(name, list()?)?),
            "$nin" => Test::Not(vec![Test::In(members(name, list()?)?)]),
            "$not" => match value {
                Value::Regex { pattern, options } => {
                    Test::Not(vec![Test::Pattern(compile(pattern, options)?)])
                }
                Value::Object(inner) if has_operators(inner) => Test::Not(operator_tests(inner)?),
                _ => return Err(DocumentError::invalid("`$not` wants operators or a pattern")),
            },
            "$exists" => Test::Exists(value.is_truthy()),
            "$type" => Test::Type(types(value)?),
            "$regex" => pattern(value, operators.get("$options"))?,
            "$options" if operators.contains_key("$regex") => continue,
            "$options" => return Err(DocumentError::invalid("`$options` goes with `$regex`")),
            "$size" => match value.as_integer() {
                Some(size @ 0..) => Test::Size(size),
                _ => return Err(DocumentError::invalid("`$size` wants a whole number that is not negative")),
            },
            "$all" => every(list()?)?,
            "$elemMatch" => Test::Element(Box::new(element(value)?)),
            _ if name.starts_with('$') => return Err(DocumentError::unsupported(name)),
            _ => return Err(DocumentError::invalid(format!("`{name}` stands among operators"))),
        });
    }
    Ok(tests)
}

fn members(name: &str, items: &[Value]) -> Result<Vec<Member>, DocumentError> {
    let member = |item: &Value| match item {
        Value::Regex { pattern, options } => Ok(Member::Pattern(compile(pattern, options)?)),
        Value::Object(inner) if has_operators(inner) => {
            Err(DocumentError::invalid(format!("`{name}` takes values and no operators")))
        }
        other => Ok(Member::Value(other.clone())),
    };
    items.iter().map(member).collect()
}

fn every(items: &[Value]) -> Result<Test, DocumentError> {
    if items.is_empty() {
        return Ok(Test::Never);
    }
    let read = |item: &Value| match item {
        Value::Regex { pattern, options } => Ok(Test::Pattern(compile(pattern, options)?)),
        Value::Object(inner) if has_operators(inner) => match (inner.len(), inner.get("$elemMatch")) {
            (1, Some(condition)) => Ok(Test::Element(Box::new(element(condition)?))),
            _ => Err(DocumentError::invalid("`$all` takes values or `$elemMatch`")),
        },
        other => Ok(Test::Equal(other.clone())),
    };
    Ok(Test::Every(items.iter().map(read).collect::<Result<_, _>>()?))
}

fn element(value: &Value) -> Result<Element, DocumentError> {
    let Value::Object(condition) = value else {
        return Err(DocumentError::invalid("`$elemMatch` wants a filter"));
    };
    let is_filter = |key: &str| matches!(key, "$and" | "$or" | "$nor" | "$comment") || !key.starts_with('$');
    match condition.keys().next() {
        Some(first) if !is_filter(first) => Ok(Element::Value(operator_tests(condition)?)),
        _ => Ok(Element::Document(Filter::read(condition)?)),
    }
}

fn types(value: &Value) -> Result<Vec<Type>, DocumentError> {
    const TYPES: &[(i64, &str)] = &[
        (1, "double"),
        (2, "string"),
        (3, "object"),
        (4, "array"),
        (5, "binData"),
        (7, "objectId"),
        (8, "bool"),
        (9, "date"),
        (10, "null"),
        (11, "regex"),
        (16, "int"),
        (17, "timestamp"),
        (18, "long"),
        (19, "decimal"),
        (-1, "minKey"),
        (127, "maxKey"),
    ];
    let one = |value: &Value| match value {
        Value::Text(name) if name == "number" => Ok(Type::Number),
        Value::Text(name) => {
            let known = TYPES.iter().find(|(_, known)| known == name);
            known
                .map(|(_, known)| Type::Named(known))
                .ok_or_else(|| DocumentError::invalid(format!("`$type` does not know the type `{name}`")))
        }
        number => {
            let code = number.as_integer();
            let known = TYPES.iter().find(|(known, _)| Some(*known) == code);
            known
                .map(|(_, known)| Type::Named(known))
                .ok_or_else(|| DocumentError::invalid("`$type` does not know that number of a type"))
        }
    };
    match value {
        Value::Array(items) if items.is_empty() => Err(DocumentError::invalid("`$type` wants a type")),
        Value::Array(items) => items.iter().map(one).collect(),
        other => Ok(vec![one(other)?]),
    }
}

fn pattern(value: &Value, options: Option<&Value>) -> Result<Test, DocumentError> {
    let given = match options {
        None => None,
        Some(Value::Text(letters)) => Some(letters.as_str()),
        Some(_) => return Err(DocumentError::invalid("`$options` wants text")),
    };
    match value {
        Value::Text(pattern) => Ok(Test::Pattern(compile(pattern, given.unwrap_or_default())?)),
        Value::Regex { pattern, options } => Ok(Test::Pattern(compile(pattern, given.unwrap_or(options))?)),
        _ => Err(DocumentError::invalid("`$regex` wants a pattern")),
    }
}

/// Compiles a pattern. Look-around and references back take unbounded time and are not spoken here.
fn compile(pattern: &str, options: &str) -> Result<Regex, DocumentError> {
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
    for letter in options.chars() {
        match letter {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'x' => builder.ignore_whitespace(true),
            'u' => &mut builder,
            _ => return Err(DocumentError::unsupported(format!("$options: {letter}"))),
        };
    }
    builder.build().map_err(|error| DocumentError::NotSupported {
        what: format!("$regex: {pattern}"),
        why: match error {
            regex::Error::CompiledTooBig(_) => "the pattern is too large",
            _ => "patterns have no look-around and no references back, and must be sound",
        },
    })
}

impl Relation {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Relation::Less => order.is_lt(),
            Relation::LessOrEqual => order.is_le(),
            Relation::Greater => order.is_gt(),
            Relation::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Test {
    fn holds(&self, path: &Path, document: &Document) -> bool {
        match self {
            Test::Not(tests) => !tests.iter().all(|test| test.holds(path, document)),
            Test::Every(tests) => tests.iter().all(|test| test.holds(path, document)),
            Test::Never => false,
            Test::Exists(wanted) => path.each(document, false, &mut |value| value.is_some()) == *wanted,
            Test::Size(_) | Test::Element(_) => {
                path.each(document, false, &mut |value| value.is_some_and(|value| self.holds_at(Some(value))))
            }
            _ => path.each(document, true, &mut |value| self.holds_at(value)),
        }
    }

    /// Whether it holds for a value by itself: a list stands for itself, not for its elements.
    fn holds_for(&self, value: &Value) -> bool {
        match self {
            Test::Not(tests) => !tests.iter().all(|test| test.holds_for(value)),
            Test::Every(tests) => tests.iter().all(|test| test.holds_for(value)),
            Test::Never => false,
            Test::Exists(wanted) => *wanted,
            _ => self.holds_at(Some(value)),
        }
    }

    /// Whether it holds for one value at the end of a path.
    fn holds_at(&self, value: Option<&Value>) -> bool {
        match self {
            Test::Equal(wanted) => equal(value, wanted),
            Test::Order(relation, wanted) => in_order(value, *relation, wanted),
            Test::In(members) => members.iter().any(|member| match member {
                Member::Value(wanted) => equal(value, wanted),
                Member::Pattern(pattern) => fits(value, pattern),
            }),
            Test::Type(types) => value.is_some_and(|value| {
                types.iter().any(|wanted| match wanted {
                    Type::Number => value.is_number(),
                    Type::Named(name) => value.type_name() == *name,
                })
            }),
            Test::Pattern(pattern) => fits(value, pattern),
            Test::Size(size) => {
                matches!(value, Some(Value::Array(items)) if i64::try_from(items.len()) == Ok(*size))
            }
            Test::Element(element) => match value {
                Some(Value::Array(items)) => items.iter().any(|item| element.matches(item)),
                _ => false,
            },
            Test::Not(_) | Test::Every(_) | Test::Never | Test::Exists(_) => false,
        }
    }
}

impl Element {
    fn matches(&self, item: &Value) -> bool {
        match self {
            Element::Value(tests) => tests.iter().all(|test| test.holds_for(item)),
            Element::Document(filter) => match item {
                Value::Object(document) => filter.matches(document),
                // A list counts as a document whose keys are its places.
                Value::Array(items) => {
                    let numbered = items.iter().enumerate().map(|(at, item)| (at.to_string(), item.clone()));
                    filter.matches(&numbered.collect())
                }
                _ => false,
            },
        }
    }
}

fn equal(value: Option<&Value>, wanted: &Value) -> bool {
    match value {
        None => *wanted == Value::Null,
        Some(value) => same(value, wanted),
    }
}

fn in_order(value: Option<&Value>, relation: Relation, wanted: &Value) -> bool {
    let value = value.unwrap_or(&Value::Null);
    if matches!(wanted, Value::MinKey | Value::MaxKey) {
        return relation.holds(compare(value, wanted));
    }
    if rank(value) != rank(wanted) {
        return false;
    }
    let is_nan = |value: &Value| match value {
        Value::Double(value) => value.is_nan(),
        Value::Decimal(value) => matches!(value.number(), super::decimal::Number::Nan),
        _ => false,
    };
    if is_nan(value) || is_nan(wanted) {
        // Not a number is neither more nor less than anything, but the same as itself.
        let inclusive = matches!(relation, Relation::LessOrEqual | Relation::GreaterOrEqual);
        return inclusive && is_nan(value) && is_nan(wanted);
    }
    relation.holds(compare(value, wanted))
}

fn fits(value: Option<&Value>, pattern: &Regex) -> bool {
    match value {
        Some(Value::Text(text)) => pattern.is_match(text),
        Some(Value::Regex { pattern: own, .. }) => own == pattern.as_str(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::document;
    use super::*;

    fn matches(filter: &str, text: &str) -> bool {
        Filter::parse(&document(filter)).unwrap().matches(&document(text))
    }

    #[track_caller]
    fn table(cases: &[(&str, &str, bool)]) {
        for (filter, text, expected) in cases {
            assert_eq!(matches(filter, text), *expected, "{filter} on {text}");
        }
    }

    #[test]
    fn equality_enters_lists_and_null_finds_what_is_missing() {
        table(&[
            (r#"{"a": 1}"#, r#"{"a": 1.0}"#, true),
            (r#"{"a": 1}"#, r#"{"a": [2, 1]}"#, true),
            (r#"{"a": [2, 1]}"#, r#"{"a": [2, 1]}"#, true),
            (r#"{"a": [2, 1]}"#, r#"{"a": [[2, 1]]}"#, true),
            (r#"{"a": [1, 2]}"#, r#"{"a": [2, 1]}"#, false),
            (r#"{"a": {"b": 1, "c": 2}}"#, r#"{"a": {"c": 2, "b": 1}}"#, false),
            (r#"{"a": null}"#, r#"{}"#, true),
            (r#"{"a": null}"#, r#"{"a": null}"#, true),
            (r#"{"a.b": null}"#, r#"{"a": [{"b": 1}, {}]}"#, true),
            (r#"{"a.b": 1}"#, r#"{"a": [{"b": 2}, {"b": 1}]}"#, true),
            (r#"{"a.1.b": 1}"#, r#"{"a": [{"b": 1}, {"b": 2}]}"#, false),
            (r#"{}"#, r#"{"a": 1}"#, true),
        ]);
    }

    #[test]
    fn order_stays_within_a_type() {
        table(&[
            (r#"{"a": {"$gt": 1}}"#, r#"{"a": "2"}"#, false),
            (r#"{"a": {"$gt": 1}}"#, r#"{"a": [0, 2]}"#, true),
            (r#"{"a": {"$gt": 1, "$lt": 2}}"#, r#"{"a": [0, 3]}"#, true),
            (r#"{"a": {"$lte": null}}"#, r#"{}"#, true),
            (r#"{"a": {"$lt": null}}"#, r#"{}"#, false),
            (r#"{"a": {"$gt": {"$minKey": 1}}}"#, r#"{"a": "x"}"#, true),
            (r#"{"a": {"$gte": {"$numberDouble": "NaN"}}}"#, r#"{"a": 1}"#, false),
            (r#"{"a": {"$gt": {"$numberDecimal": "1.5"}}}"#, r#"{"a": 2}"#, true),
        ]);
    }

    #[test]
    fn every_operator_says_what_its_manual_says() {
        table(&[
            (r#"{"a": {"$ne": 1}}"#, r#"{"a": [1, 2]}"#, false),
            (r#"{"a": {"$ne": 1}}"#, r#"{}"#, true),
            (r#"{"a": {"$in": [1, null]}}"#, r#"{}"#, true),
            (r#"{"a": {"$nin": [1, 2]}}"#, r#"{"a": [2, 3]}"#, false),
            (r#"{"a": {"$exists": false}}"#, r#"{"a": null}"#, false),
            (r#"{"a.b": {"$exists": true}}"#, r#"{"a": [{"b": 0}]}"#, true),
            (r#"{"a": {"$not": {"$gt": 1}}}"#, r#"{}"#, true),
            (r#"{"a": {"$not": {"$gt": 1, "$lt": 5}}}"#, r#"{"a": 9}"#, true),
            (r#"{"$and": [{"a": 1}, {"b": 2}]}"#, r#"{"a": 1, "b": 2}"#, true),
            (r#"{"$or": [{"a": 1}, {"b": 2}]}"#, r#"{"b": 2}"#, true),
            (r#"{"$nor": [{"a": 1}, {"b": 2}]}"#, r#"{"b": 2}"#, false),
            (r#"{"a": {"$type": "number"}}"#, r#"{"a": 1.5}"#, true),
            (r#"{"a": {"$type": ["string", 8]}}"#, r#"{"a": true}"#, true),
            (r#"{"a": {"$type": "array"}}"#, r#"{"a": []}"#, true),
            (r#"{"a": {"$type": "int"}}"#, r#"{"a": [1]}"#, true),
            (r#"{"a": {"$regex": "^X", "$options": "i"}}"#, r#"{"a": ["b", "xy"]}"#, true),
            (r#"{"a": {"$regularExpression": {"pattern": "b$", "options": ""}}}"#, r#"{"a": "ab"}"#, true),
            (r#"{"a": {"$size": 2}}"#, r#"{"a": [1, [2]]}"#, true),
            (r#"{"a": {"$size": 1}}"#, r#"{"a": 1}"#, false),
            (r#"{"a": {"$all": [1, 2]}}"#, r#"{"a": [2, 3, 1]}"#, true),
            (r#"{"a": {"$all": [1]}}"#, r#"{"a": 1}"#, true),
            (r#"{"a": {"$all": []}}"#, r#"{"a": []}"#, false),
            (r#"{"a": {"$elemMatch": {"b": 1, "c": 2}}}"#, r#"{"a": [{"b": 1}, {"c": 2}]}"#, false),
            (r#"{"a": {"$elemMatch": {"$gt": 1, "$lt": 2}}}"#, r#"{"a": [0, 3]}"#, false),
            (r#"{"a": {"$elemMatch": {"$or": [{"b": 1}]}}}"#, r#"{"a": [{"b": 1}]}"#, true),
            (
                r#"{"a": {"$all": [{"$elemMatch": {"b": 1}}, {"$elemMatch": {"b": 2}}]}}"#,
                r#"{"a": [{"b": 1}, {"b": 2}]}"#,
                true,
            ),
        ]);
    }

    #[test]
    fn what_is_not_spoken_is_refused_by_name() {
        for (filter, what) in [
            (r#"{"$where": "1"}"#, "`$where` is not supported"),
            (r#"{"a": {"$near": 1}}"#, "`$near` is not supported"),
            (r#"{"$or": [{"a": {"$not": {"$mod": [2, 0]}}}]}"#, "`$mod` is not supported"),
            (r#"{"a": {"$regex": "(?=a)"}}"#, "`$regex: (?=a)` is not supported"),
            (r#"{"a": {"$regex": "a", "$options": "g"}}"#, "`$options: g` is not supported"),
            (r#"{"$and": []}"#, "`$and` wants a list of filters that is not empty"),
            (r#"{"a": {"$in": 1}}"#, "`$in` wants a list"),
            (r#"{"a": {"$gt": 1, "b": 2}}"#, "`b` stands among operators"),
            (r#"{"a": {"$type": "text"}}"#, "`$type` does not know the type `text`"),
        ] {
            let error = Filter::parse(&document(filter)).unwrap_err().to_string();
            assert!(error.starts_with(what), "{filter}: {error}");
        }
    }
}
