//! The documents of a collection as a script sees them, and what it made of them.

use std::cell::RefCell;

use rustpython_vm::builtins::{PyBaseExceptionRef, PyBytes, PyDict, PyFloat, PyInt, PyList, PyStr, PyTuple};
use rustpython_vm::{PyObject, PyObjectRef, PyResult, VirtualMachine};

use super::super::pipe::{Answer, Failure};
use super::failure::Stop;
use super::host::is_exactly;
use crate::migration::document::{
    self, Collection, Document, DocumentError, Filter, Found, MAX_DEPTH, Order, Projection, Query, Update,
    Value, Write,
};
use crate::value::{Graph, Kind, NodeId, Tail};

thread_local! {
    static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) };
}

/// The collection of this process.
struct Open {
    collection: Collection,
    /// How many documents it began with.
    count: usize,
    python: PyObjectRef,
}

/// Opens the documents in a graph: a list of them, each [packed](document::pack).
pub(super) fn open(graph: &Graph, script: &str, time: i64, python: PyObjectRef) -> Result<(), Stop> {
    let failed = |error: DocumentError| Failure::Checkpoint { reason: error.to_string() };
    let documents = graph.elements(graph.root).map(|node| match graph.kind(node) {
        Kind::Bytes(packed) => document::unpack(packed),
        _ => Err(DocumentError::NotADocument { what: "a document is not packed".to_owned() }),
    });
    let documents = documents.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let count = documents.len();
    // New names hold the time and the text of the script, so that two scripts do not give the same.
    let mut seed = [0; 9];
    seed[..4].copy_from_slice(&u32::try_from(time / 1000).unwrap_or_default().to_be_bytes());
    seed[4..].copy_from_slice(&blake3::hash(script.as_bytes()).as_bytes()[..5]);
    let collection = Collection::new(documents, seed).map_err(failed)?;
    OPEN.set(Some(Open { collection, count, python }));
    Ok(())
}

/// What the script left behind, as edits of the graph: the documents that it began with in their places, none where
/// one was removed, and after them those that were added.
pub(super) fn close(mut graph: Graph) -> Answer {
    let kept = graph.nodes.len();
    let root = graph.root;
    let before: Vec<NodeId> = graph.elements(root).collect();
    let mut items = Vec::with_capacity(before.len());
    OPEN.with_borrow(|open| {
        let Some(open) = open else { return };
        for (node, found) in before.iter().zip(open.collection.first(open.count)) {
            items.push(match found {
                Found::Kept => *node,
                Found::Removed => graph.add(Kind::None),
                Found::Changed(document) => graph.add(Kind::Bytes(document::pack(document))),
            });
        }
        for document in open.collection.added(open.count) {
            items.push(graph.add(Kind::Bytes(document::pack(document))));
        }
    });
    let mut changed = Vec::new();
    if items != before {
        let mut list = graph.node(root).clone();
        list.tail = items.into_iter().map(Tail::Append).collect();
        changed.push((root, list));
    }
    Answer {
        changed,
        added: graph.nodes.split_off(kept),
        root,
        storages: Vec::new(),
        computed: Vec::new(),
        skipped: None,
        printed: String::new(),
    }
}

fn python(vm: &VirtualMachine) -> PyResult<PyObjectRef> {
    OPEN.with_borrow(|open| open.as_ref().map(|open| open.python.clone()))
        .ok_or_else(|| vm.new_runtime_error("no collection is open".to_owned()))
}

/// Does something with the collection; an error is raised as pymongo raises it.
fn with<T>(
    vm: &VirtualMachine,
    what: impl FnOnce(&mut Collection) -> Result<T, DocumentError>,
) -> PyResult<T> {
    let result = OPEN.with_borrow_mut(|open| open.as_mut().map(|open| what(&mut open.collection)));
    let result = result.ok_or_else(|| vm.new_runtime_error("no collection is open".to_owned()))?;
    result.map_err(|error| raised(&error, vm))
}

fn raised(error: &DocumentError, vm: &VirtualMachine) -> PyBaseExceptionRef {
    let kind = match error {
        DocumentError::NotSupported { .. } => "unsupported",
        DocumentError::Refused { .. } | DocumentError::Conflict { .. } => "write",
        DocumentError::DuplicateId { .. } => "duplicate",
        DocumentError::NotADocument { .. } => "document",
        _ => "operation",
    };
    let made = python(vm).and_then(|python| vm.call_method(&python, "error", (kind, error.to_string())));
    match made.map(PyObjectRef::downcast) {
        Ok(Ok(exception)) => exception,
        Ok(Err(_)) => vm.new_runtime_error(error.to_string()),
        Err(exception) => exception,
    }
}

/// A value as Python shows it.
fn show(value: &Value, vm: &VirtualMachine) -> PyResult {
    let decode = |args: Vec<PyObjectRef>| {
        let decode = python(vm)?.get_attr("decode", vm)?;
        decode.call(args, vm)
    };
    let text = |text: &str| PyObjectRef::from(vm.ctx.new_str(text));
    let bytes = |bytes: &[u8]| PyObjectRef::from(vm.ctx.new_bytes(bytes.to_vec()));
    let int = |value: i64| PyObjectRef::from(vm.ctx.new_int(value));
    match value {
        Value::Null => Ok(vm.ctx.none()),
        Value::Bool(value) => Ok(vm.ctx.new_bool(*value).into()),
        Value::Int32(value) => Ok(int(i64::from(*value))),
        Value::Int64(value) => decode(vec![text("long"), int(*value)]),
        Value::Double(value) => Ok(vm.ctx.new_float(*value).into()),
        Value::Decimal(value) => decode(vec![text("decimal"), text(value.as_str())]),
        Value::Text(value) => Ok(text(value)),
        Value::Object(document) => show_document(document, vm),
        Value::Array(items) => {
            let items = items.iter().map(|item| show(item, vm)).collect::<PyResult<Vec<_>>>()?;
            Ok(vm.ctx.new_list(items).into())
        }
        Value::Binary { subtype: 0, bytes: data } => Ok(bytes(data)),
        Value::Binary { subtype, bytes: data } => {
            decode(vec![text("binary"), int(i64::from(*subtype)), bytes(data)])
        }
        Value::ObjectId(id) => decode(vec![text("oid"), bytes(id)]),
        Value::DateTime(millis) => decode(vec![text("date"), int(*millis)]),
        Value::Regex { pattern, options } => decode(vec![text("regex"), text(pattern), text(options)]),
        Value::Timestamp { time, increment } => {
            decode(vec![text("timestamp"), int(i64::from(*time)), int(i64::from(*increment))])
        }
        Value::MinKey => decode(vec![text("min")]),
        Value::MaxKey => decode(vec![text("max")]),
    }
}

fn show_document(document: &Document, vm: &VirtualMachine) -> PyResult {
    let dict = vm.ctx.new_dict();
    for (key, value) in document {
        dict.set_item(&*vm.ctx.new_str(key.as_str()), show(value, vm)?, vm)?;
    }
    Ok(dict.into())
}

/// The document that a dict stands for.
fn take(object: &PyObject, vm: &VirtualMachine) -> PyResult<Document> {
    match value_of(object, MAX_DEPTH + 2, vm)? {
        Value::Object(document) => Ok(document),
        _ => Err(vm.new_type_error("a document must be an instance of dict".to_owned())),
    }
}

fn refused(message: impl Into<String>, vm: &VirtualMachine) -> PyBaseExceptionRef {
    raised(&DocumentError::NotADocument { what: message.into() }, vm)
}

fn value_of(object: &PyObject, left: usize, vm: &VirtualMachine) -> PyResult<Value> {
    let Some(left) = left.checked_sub(1) else {
        return Err(refused(format!("a document nests deeper than {MAX_DEPTH} levels"), vm));
    };
    let types = &vm.ctx.types;
    if vm.is_none(object) {
        return Ok(Value::Null);
    }
    if is_exactly(object, types.str_type)
        && let Some(text) = object.downcast_ref::<PyStr>()
    {
        let text = text.to_str().ok_or_else(|| refused("a text holds half of a surrogate pair", vm))?;
        return Ok(Value::Text(text.to_owned()));
    }
    if is_exactly(object, types.bool_type) {
        return Ok(Value::Bool(object.to_owned().try_into_value(vm)?));
    }
    if is_exactly(object, types.int_type)
        && let Some(value) = object.downcast_ref::<PyInt>()
    {
        let value = i64::try_from(value.as_bigint());
        let value = value.map_err(|_| {
            let message = "MongoDB can only handle up to 8-byte ints".to_owned();
            vm.new_overflow_error(message)
        })?;
        return Ok(i32::try_from(value).map_or(Value::Int64(value), Value::Int32));
    }
    if is_exactly(object, types.float_type)
        && let Some(value) = object.downcast_ref::<PyFloat>()
    {
        return Ok(Value::Double(value.to_f64()));
    }
    if is_exactly(object, types.dict_type)
        && let Some(dict) = object.downcast_ref::<PyDict>()
    {
        let mut document = Document::new();
        for (key, value) in dict.items_vec() {
            let key = key.downcast_ref::<PyStr>().and_then(|key| key.to_str().map(str::to_owned));
            let key = key.ok_or_else(|| refused("documents must have only text keys", vm))?;
            if key.contains('\0') {
                return Err(refused("a key must not contain a null byte", vm));
            }
            document.insert(key, value_of(&value, left, vm)?);
        }
        return Ok(Value::Object(document));
    }
    if is_exactly(object, types.list_type)
        && let Some(list) = object.downcast_ref::<PyList>()
    {
        let items: Vec<PyObjectRef> = list.borrow_vec().to_vec();
        return Ok(Value::Array(items.iter().map(|item| value_of(item, left, vm)).collect::<PyResult<_>>()?));
    }
    if is_exactly(object, types.bytes_type)
        && let Some(bytes) = object.downcast_ref::<PyBytes>()
    {
        return Ok(Value::Binary { subtype: 0, bytes: bytes.as_bytes().to_vec() });
    }
    let python = python(vm)?;
    let parts = vm.call_method(&python, "encode", (object.to_owned(),))?;
    encoded(&parts, left, vm)
}

/// A value of a class of its own, as the prelude takes it apart.
fn encoded(parts: &PyObject, left: usize, vm: &VirtualMachine) -> PyResult<Value> {
    let unfit = || vm.new_value_error("a value is out of its range".to_owned());
    let parts = parts.downcast_ref::<PyTuple>().map(|tuple| tuple.as_slice()).unwrap_or_default();
    let text =
        |at: usize| -> PyResult<String> { parts.get(at).cloned().ok_or_else(unfit)?.try_into_value(vm) };
    let int = |at: usize| -> PyResult<i64> { parts.get(at).cloned().ok_or_else(unfit)?.try_into_value(vm) };
    let bytes = |at: usize| -> PyResult<Vec<u8>> {
        let found = parts.get(at).and_then(|part| part.downcast_ref::<PyBytes>());
        Ok(found.ok_or_else(unfit)?.as_bytes().to_vec())
    };
    let inner = |at: usize| value_of(parts.get(at).ok_or_else(unfit)?, left, vm);
    Ok(match text(0)?.as_str() {
        "oid" => Value::ObjectId(bytes(1)?.try_into().map_err(|_| unfit())?),
        "date" => Value::DateTime(int(1)?),
        "decimal" => Value::Decimal(text(1)?.parse().map_err(|()| unfit())?),
        "long" => Value::Int64(int(1)?),
        "binary" => Value::Binary { subtype: u8::try_from(int(1)?).map_err(|_| unfit())?, bytes: bytes(2)? },
        "regex" => Value::Regex { pattern: text(1)?, options: text(2)? },
        "timestamp" => Value::Timestamp {
            time: u32::try_from(int(1)?).map_err(|_| unfit())?,
            increment: u32::try_from(int(2)?).map_err(|_| unfit())?,
        },
        "min" => Value::MinKey,
        "max" => Value::MaxKey,
        _ => inner(1)?,
    })
}

/// The module `_ckstore_documents`: what the prelude asks of the collection.
#[rustpython_vm::pymodule(name = "_ckstore_documents")]
pub(super) mod _ckstore_documents {
    use super::*;

    #[pyfunction]
    fn find(
        filter: PyObjectRef,
        projection: PyObjectRef,
        sort: Vec<PyObjectRef>,
        skip: usize,
        limit: usize,
        vm: &VirtualMachine,
    ) -> PyResult<Vec<PyObjectRef>> {
        let filter = take(&filter, vm)?;
        let projection = if vm.is_none(&projection) { None } else { Some(take(&projection, vm)?) };
        let mut keys = Vec::new();
        for pair in sort {
            let pair: Vec<PyObjectRef> = pair.try_into_value(vm)?;
            let [key, direction] = pair.as_slice() else {
                return Err(vm.new_value_error("a sort is a list of pairs".to_owned()));
            };
            keys.push((key.clone().try_into_value::<String>(vm)?, value_of(direction, 1, vm)?));
        }
        let found = with(vm, |collection| {
            let order = Order::parse(keys.iter().map(|(key, direction)| (key.as_str(), direction)))?;
            let query = Query { order, skip, limit };
            let found = collection.find(&Filter::parse(&filter)?, &query);
            let projection = projection.as_ref().map(Projection::parse).transpose()?;
            let shown = |document: &Document| match &projection {
                Some(projection) => projection.of(document),
                None => document.clone(),
            };
            Ok(found.into_iter().map(shown).collect::<Vec<_>>())
        })?;
        found.iter().map(|document| show_document(document, vm)).collect()
    }

    #[pyfunction]
    fn count(filter: PyObjectRef, skip: usize, limit: usize, vm: &VirtualMachine) -> PyResult<usize> {
        let filter = take(&filter, vm)?;
        with(vm, |collection| {
            let query = Query { skip, limit, ..Query::default() };
            Ok(collection.find(&Filter::parse(&filter)?, &query).len())
        })
    }

    #[pyfunction]
    fn distinct(key: String, filter: PyObjectRef, vm: &VirtualMachine) -> PyResult<Vec<PyObjectRef>> {
        let filter = take(&filter, vm)?;
        let found = with(vm, |collection| collection.distinct(&key, &Filter::parse(&filter)?))?;
        found.iter().map(|value| show(value, vm)).collect()
    }

    #[pyfunction]
    fn insert(document: PyObjectRef, vm: &VirtualMachine) -> PyResult<()> {
        let document = take(&document, vm)?;
        with(vm, |collection| collection.insert(document).map(drop))
    }

    #[pyfunction]
    fn update(
        filter: PyObjectRef,
        update: PyObjectRef,
        replace: bool,
        many: bool,
        upsert: bool,
        vm: &VirtualMachine,
    ) -> PyResult<(u64, u64, PyObjectRef)> {
        let (filter, update) = (take(&filter, vm)?, take(&update, vm)?);
        let update = if replace { Update::replacement(update) } else { Update::parse(&update) };
        // As pymongo has it: what is no update is a wrong argument, which no server has seen.
        let update = update.map_err(|error| match error {
            DocumentError::Invalid { message } if message.contains("$ operators") => {
                vm.new_value_error(message)
            }
            other => raised(&other, vm),
        })?;
        let result = with(vm, |collection| {
            collection.update(&Filter::parse(&filter)?, &update, Write { many, upsert })
        })?;
        let upserted = result.upserted.map_or_else(|| Ok(vm.ctx.none()), |id| show(&id, vm))?;
        Ok((result.matched, result.modified, upserted))
    }

    #[pyfunction]
    fn delete(filter: PyObjectRef, many: bool, vm: &VirtualMachine) -> PyResult<u64> {
        let filter = take(&filter, vm)?;
        with(vm, |collection| collection.delete(&Filter::parse(&filter)?, many))
    }

    /// The bytes of a new `ObjectId`.
    #[pyfunction]
    fn new_id(vm: &VirtualMachine) -> PyResult {
        match with(vm, |collection| Ok(collection.new_id()))? {
            Value::ObjectId(id) => Ok(vm.ctx.new_bytes(id.to_vec()).into()),
            other => show(&other, vm),
        }
    }

    #[pyfunction]
    fn is_decimal(text: String) -> bool {
        text.parse::<document::Decimal>().is_ok()
    }
}
