//! Plain values, as TOML writes them.

use toml::Spanned;
use toml::de::DeValue;

use crate::value::{Graph, Kind, NodeId, Tail};

use super::canonical::Canonical;
use super::fields::{float, int};

/// A plain value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Python's `None`, which TOML has no word for.
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Dict(Vec<(String, Value)>),
}

impl Value {
    /// Reads a value; what is wrong with it otherwise. The parser bounds how deep it is nested.
    pub fn read(value: &Spanned<DeValue<'_>>) -> Result<Value, String> {
        Ok(match value.get_ref() {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Boolean(value) => Value::Bool(*value),
            number @ DeValue::Integer(_) => {
                Value::Int(int(number).ok_or("a number that 64 bits do not hold")?)
            }
            number @ DeValue::Float(_) => Value::Float(float(number).ok_or("no number")?),
            DeValue::Array(items) => Value::List(items.iter().map(Value::read).collect::<Result<_, _>>()?),
            DeValue::Table(table) => {
                let mut items: Vec<_> = table.iter().collect();
                // In the order in which they are written.
                items.sort_by_key(|(key, _)| key.span().start);
                let item = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
                    Ok((key.get_ref().clone().into_owned(), Value::read(value)?))
                };
                Value::Dict(items.into_iter().map(item).collect::<Result<_, String>>()?)
            }
            DeValue::Datetime(_) => return Err("a date, which a checkpoint cannot keep as one".into()),
        })
    }

    /// Adds it to a graph, as new nodes.
    pub fn add(&self, graph: &mut Graph) -> NodeId {
        match self {
            Value::None => graph.add(Kind::None),
            Value::Bool(value) => graph.add(Kind::Bool(*value)),
            Value::Int(value) => graph.add(Kind::Int(*value)),
            Value::Float(value) => graph.add(Kind::Float((*value).into())),
            Value::Text(text) => graph.add_str(text),
            Value::List(items) => {
                let list = graph.add(Kind::List);
                for item in items {
                    let item = item.add(graph);
                    graph.node_mut(list).tail.push(Tail::Append(item));
                }
                list
            }
            Value::Dict(items) => {
                let dict = graph.add(Kind::Dict);
                for (key, value) in items {
                    let (key, value) = (graph.add_str(key), value.add(graph));
                    graph.node_mut(dict).tail.push(Tail::Set(key, value));
                }
                dict
            }
        }
    }

    pub fn canonical(&self, form: &mut Canonical) {
        match self {
            Value::None => form.node("none", |_| ()),
            Value::Bool(value) => form.node("bool", |form| form.flag(*value)),
            Value::Int(value) => form.node("int", |form| form.text(&value.to_string())),
            Value::Float(value) => form.node("float", |form| form.text(&format!("{:016x}", value.to_bits()))),
            Value::Text(text) => form.node("text", |form| form.text(text)),
            Value::List(items) => {
                form.node("list", |form| form.row(items, |form, item| item.canonical(form)))
            }
            Value::Dict(items) => form.node("dict", |form| {
                form.row(items, |form, (key, value)| {
                    form.text(key);
                    value.canonical(form);
                });
            }),
        }
    }
}
