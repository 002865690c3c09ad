//! The list of applied migrations that a checkpoint carries in itself.
//!
//! The form is that of anemoi-models (`Migrator.register_migrations` and `Migrator.sync`, release 0.19): a
//! list of dicts with `name`, `metadata` (an object or dict with `versions` and `final`) and `signature`
//! under a key of the checkpoint; and a history of what was run, a list of dicts with `type`, `name` and
//! `signature`, under `hyper_parameters`, `metadata`, `migrations`, `history`.

use crate::value::{Graph, Kind, NodeId, Tail};

/// The key of the list where nothing else is said.
pub const DEFAULT_LIST_KEY: &str = "migrations";

/// The key of migrate-ckpt's list, which is one of plain names.
pub const MIGRATE_CKPT_LIST_KEY: &str = "_migrate-ckpt-migrations";

/// Where the history is kept.
pub(super) const HISTORY: [&str; 4] = ["hyper_parameters", "metadata", "migrations", "history"];

/// The class of `metadata` that anemoi-models writes.
const METADATA_CLASS: (&str, &str) = ("anemoi.models.migrations.migrator", "MigrationMetadata");

/// The package whose versions a list is about where nothing else is said.
const DEFAULT_PACKAGE: &str = "anemoi-models";

/// The version of the list's own form, which anemoi-models keeps beside a migration's version.
const LIST_FORM: (&str, &str) = ("migration", "1.0.0");

/// One migration in a checkpoint's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// The model package that its version is of, where it is known.
    pub package: Option<String>,
    /// Its version, as text.
    pub version: Option<String>,
    /// Whether it opens a group.
    pub is_final: bool,
    /// The signature as the framework wrote it.
    pub signature: Option<String>,
}

/// What was done to a checkpoint, for its own history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// A migration ran.
    Migrate,
    /// A migration was undone.
    Rollback,
}

/// A checkpoint's list is not of a known form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoint's list of migrations under `{key}` cannot be read: {reason}")]
pub struct ListError {
    /// The key of the list.
    pub key: String,
    /// What is wrong.
    pub reason: String,
}

/// Reads the list; `None` where the checkpoint has none.
///
/// # Errors
///
/// If there is something under the key that is no list of migrations.
pub fn read(graph: &Graph, key: &str) -> Result<Option<Vec<Listed>>, ListError> {
    let Some(list) = graph.get(graph.root, key) else { return Ok(None) };
    let fail = |reason: String| ListError { key: key.to_owned(), reason };
    if !matches!(graph.kind(list), Kind::List) {
        return Err(fail("it is not a list".into()));
    }
    let mut out = Vec::new();
    for (place, entry) in graph.elements(list).enumerate() {
        let listed = match graph.as_str(entry) {
            Some(name) => Listed {
                name: name.to_owned(),
                package: None,
                version: None,
                is_final: false,
                signature: None,
            },
            None => read_entry(graph, entry)
                .ok_or_else(|| fail(format!("entry {place} has no name that is text")))?,
        };
        out.push(listed);
    }
    Ok(Some(out))
}

fn read_entry(graph: &Graph, entry: NodeId) -> Option<Listed> {
    let name = graph.as_str(graph.get(entry, "name")?)?.to_owned();
    let signature = graph.get(entry, "signature").and_then(|id| graph.as_str(id)).map(str::to_owned);
    let metadata = graph.get(entry, "metadata").map(|id| state(graph, id));
    let versions = metadata.and_then(|id| graph.get(id, "versions"));
    let package = versions.and_then(|versions| {
        let mut packages = graph.items(versions).into_iter().filter_map(|(key, value)| {
            let (key, value) = (graph.as_str(key)?, graph.as_str(value)?);
            (key != LIST_FORM.0).then(|| (key.to_owned(), value.to_owned()))
        });
        packages.next()
    });
    let (package, version) = package.unzip();
    let is_final = metadata
        .and_then(|id| graph.get(id, "final"))
        .is_some_and(|id| matches!(graph.kind(id), Kind::Bool(true)));
    Some(Listed { name, package, version, is_final, signature })
}

/// An object's state where it has one, else the node itself.
fn state(graph: &Graph, id: NodeId) -> NodeId {
    let built = graph.node(id).tail.iter().rev().find_map(|step| match step {
        Tail::Build(state) => Some(*state),
        _ => None,
    });
    built.unwrap_or(id)
}

/// Names and signatures of the migrations that the checkpoint's own history says were run and not undone.
pub fn executed(graph: &Graph) -> Vec<(String, Option<String>)> {
    let mut out: Vec<(String, Option<String>)> = Vec::new();
    let Some(history) = graph.get_in(graph.root, &HISTORY) else { return out };
    for entry in graph.elements(history) {
        let text = |key| graph.get(entry, key).and_then(|id| graph.as_str(id));
        let Some(name) = text("name") else { continue };
        out.retain(|(known, _)| known != name);
        if text("type") != Some("rollback") {
            out.push((name.to_owned(), text("signature").map(str::to_owned)));
        }
    }
    out
}

/// Whether the checkpoint is a dict, so that a list has a place in it. A pickled module, a tensor or a list has
/// none.
pub fn has_place(graph: &Graph) -> bool {
    if matches!(graph.kind(graph.root), Kind::Dict) {
        return true;
    }
    // A subclass of dict is told by its items; only of the known ones is it sure when they are empty.
    graph.node(graph.root).tail.iter().any(|step| matches!(step, Tail::Set(..)))
        || matches!(graph.class_of(graph.root), Some(("collections", "OrderedDict" | "defaultdict")))
}

/// Adds a migration at the end of the list and to the history, as the framework does when it runs one.
///
/// The list is made where there is none; the history only where the checkpoint has a place for it.
///
/// # Errors
///
/// If there is something under the key that is no list.
pub fn append(graph: &mut Graph, key: &str, listed: &Listed) -> Result<(), ListError> {
    let is_plain = is_plain(graph, key);
    let entry = if is_plain { graph.add_str(&listed.name) } else { new_entry(graph, key, listed) };
    let list = list_node(graph, key)?;
    graph.node_mut(list).tail.push(Tail::Append(entry));
    if !is_plain {
        add_history(graph, Done::Migrate, &listed.name, listed.signature.as_deref());
    }
    Ok(())
}

/// Removes the last migration from the list and enters its rollback in the history.
///
/// # Errors
///
/// If the list is missing, or its last entry has another name.
pub fn remove_last(graph: &mut Graph, key: &str, name: &str) -> Result<(), ListError> {
    let fail = |reason: String| ListError { key: key.to_owned(), reason };
    let entries = read(graph, key)?.ok_or_else(|| fail("it is missing".into()))?;
    let last = match entries.last() {
        Some(last) if last.name == name => last.clone(),
        Some(last) => return Err(fail(format!("its last entry is `{}`, not `{name}`", last.name))),
        None => return Err(fail("it is empty".into())),
    };
    let is_plain = is_plain(graph, key);
    let list = list_node(graph, key)?;
    let tail = &mut graph.node_mut(list).tail;
    if let Some(place) = tail.iter().rposition(|step| matches!(step, Tail::Append(_))) {
        tail.remove(place);
    }
    if is_plain {
        return Ok(());
    }
    add_history(graph, Done::Rollback, name, last.signature.as_deref());
    Ok(())
}

/// Gives an entry of the list another name.
pub fn rename(graph: &mut Graph, key: &str, old: &str, new: &str) {
    let Some(list) = graph.get(graph.root, key) else { return };
    for place in 0..graph.node(list).tail.len() {
        let Tail::Append(entry) = graph.node(list).tail[place] else { continue };
        if graph.as_str(entry) == Some(old) {
            let name = graph.add_str(new);
            graph.node_mut(list).tail[place] = Tail::Append(name);
        } else if graph.get(entry, "name").and_then(|name| graph.as_str(name)) == Some(old) {
            let name = graph.add_str(new);
            graph.set(entry, "name", name);
        }
    }
}

/// Replaces the whole list, without a word in the history: what a baseline does.
///
/// # Errors
///
/// If there is something under the key that is no list.
pub fn replace(graph: &mut Graph, key: &str, listed: &[Listed]) -> Result<(), ListError> {
    let known = read(graph, key)?.unwrap_or_default();
    let is_plain = is_plain(graph, key);
    let list = list_node(graph, key)?;
    let old: Vec<NodeId> = graph.elements(list).collect();
    let mut tail = Vec::new();
    for entry in listed {
        let kept = known.iter().position(|other| other.name == entry.name).map(|place| old[place]);
        let node = match kept {
            Some(node) => node,
            None if is_plain => graph.add_str(&entry.name),
            None => new_entry(graph, key, entry),
        };
        tail.push(Tail::Append(node));
    }
    graph.node_mut(list).tail = tail;
    Ok(())
}

/// Whether a list is one of plain names: as its entries are, else as the framework has it whose key this is.
fn is_plain(graph: &Graph, key: &str) -> bool {
    let first = graph.get(graph.root, key).and_then(|list| graph.elements(list).next());
    match first {
        Some(entry) => graph.as_str(entry).is_some(),
        None => key == MIGRATE_CKPT_LIST_KEY,
    }
}

fn list_node(graph: &mut Graph, key: &str) -> Result<NodeId, ListError> {
    match graph.get(graph.root, key) {
        Some(list) if matches!(graph.kind(list), Kind::List) => Ok(list),
        Some(_) => Err(ListError { key: key.to_owned(), reason: "it is not a list".into() }),
        None => {
            let list = graph.add(Kind::List);
            let root = graph.root;
            graph.set(root, key, list);
            Ok(list)
        }
    }
}

fn new_entry(graph: &mut Graph, key: &str, listed: &Listed) -> NodeId {
    let versions = graph.add(Kind::Dict);
    if let Some(version) = &listed.version {
        let package = listed.package.as_deref().unwrap_or(DEFAULT_PACKAGE);
        for (name, text) in [LIST_FORM, (package, version.as_str())] {
            let text = graph.add_str(text);
            graph.set(versions, name, text);
        }
    }
    let fields = graph.add(Kind::Dict);
    graph.set(fields, "versions", versions);
    let is_final = graph.add(Kind::Bool(listed.is_final));
    graph.set(fields, "final", is_final);
    let metadata = match metadata_class(graph, key) {
        Some(class) => {
            let args = graph.add(Kind::Tuple(Vec::new()));
            let object = graph.add(Kind::NewObj { class, args });
            graph.node_mut(object).tail.push(Tail::Build(fields));
            object
        }
        None => fields,
    };
    let entry = graph.add(Kind::Dict);
    let name = graph.add_str(&listed.name);
    graph.set(entry, "name", name);
    graph.set(entry, "metadata", metadata);
    let signature = graph.add_str(listed.signature.as_deref().unwrap_or_default());
    graph.set(entry, "signature", signature);
    entry
}

/// The class for a new entry's metadata: that of the entries already there, else the framework's where the
/// checkpoint already needs classes to load. A checkpoint of plain data gets a plain dict, so that it still
/// loads with `weights_only=True`.
fn metadata_class(graph: &mut Graph, key: &str) -> Option<NodeId> {
    let last = graph.get(graph.root, key).and_then(|list| graph.elements(list).last());
    if let Some(metadata) = last.and_then(|entry| graph.get(entry, "metadata")) {
        return match graph.kind(metadata) {
            Kind::NewObj { class, .. } => Some(*class),
            _ => None,
        };
    }
    if !needs_classes(graph) {
        return None;
    }
    let (module, name) = METADATA_CLASS;
    Some(graph.add(Kind::Global { module: module.to_owned(), name: name.to_owned() }))
}

/// Whether the checkpoint names a class that `torch.load(weights_only=True)` does not know by itself.
fn needs_classes(graph: &Graph) -> bool {
    graph.nodes.iter().any(|node| match &node.kind {
        Kind::Global { module, .. } => {
            let top = module.split('.').next().unwrap_or_default();
            !matches!(top, "torch" | "collections" | "_codecs" | "__builtin__" | "builtins")
        }
        _ => false,
    })
}

/// Makes the place of the checkpoint's own history where the checkpoint has metadata and none yet.
///
/// The framework does so before the first script runs, which decides where the key stands among the others.
pub fn prepare_history(graph: &mut Graph, key: &str) {
    if !is_plain(graph, key) {
        history(graph);
    }
}

/// Enters in the checkpoint's own history what was done, where it has a place for one.
pub fn record(graph: &mut Graph, key: &str, done: Done, name: &str, signature: Option<&str>) {
    if !is_plain(graph, key) {
        add_history(graph, done, name, signature);
    }
}

fn add_history(graph: &mut Graph, done: Done, name: &str, signature: Option<&str>) {
    let Some(history) = history(graph) else { return };
    let entry = graph.add(Kind::Dict);
    let kind = match done {
        Done::Migrate => "migrate",
        Done::Rollback => "rollback",
    };
    for (key, text) in [("type", kind), ("name", name), ("signature", signature.unwrap_or_default())] {
        let text = graph.add_str(text);
        graph.set(entry, key, text);
    }
    graph.node_mut(history).tail.push(Tail::Append(entry));
}

/// The list of the history; made where the checkpoint has metadata to keep it in.
fn history(graph: &mut Graph) -> Option<NodeId> {
    let metadata = graph.get_in(graph.root, &HISTORY[..2])?;
    if !matches!(graph.kind(metadata), Kind::Dict) {
        return None;
    }
    let mut place = metadata;
    for key in &HISTORY[2..] {
        place = match graph.get(place, key) {
            Some(found) => found,
            None => {
                let kind = if *key == "history" { Kind::List } else { Kind::Dict };
                let made = graph.add(kind);
                graph.set(place, key, made);
                made
            }
        };
    }
    matches!(graph.kind(place), Kind::List).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str) -> Listed {
        Listed {
            name: name.into(),
            package: Some("my-model".into()),
            version: Some("0.8.1".into()),
            is_final: false,
            signature: Some("abc".into()),
        }
    }

    fn with_history() -> Graph {
        let mut graph = Graph::new();
        let (root, outer, inner) = (graph.root, graph.add(Kind::Dict), graph.add(Kind::Dict));
        graph.set(root, "hyper_parameters", outer);
        graph.set(outer, "metadata", inner);
        graph
    }

    #[test]
    fn entries_read_back_as_appended() {
        let mut graph = with_history();
        assert_eq!(read(&graph, "migrations"), Ok(None));
        append(&mut graph, "migrations", &listed("m1")).unwrap();
        append(&mut graph, "migrations", &listed("m2")).unwrap();
        assert_eq!(read(&graph, "migrations"), Ok(Some(vec![listed("m1"), listed("m2")])));
        assert_eq!(executed(&graph).len(), 2);
        remove_last(&mut graph, "migrations", "m2").unwrap();
        assert_eq!(read(&graph, "migrations"), Ok(Some(vec![listed("m1")])));
        assert_eq!(executed(&graph), [("m1".to_owned(), Some("abc".to_owned()))]);
    }

    #[test]
    fn a_list_of_plain_names_stays_one() {
        let mut graph = with_history();
        append(&mut graph, MIGRATE_CKPT_LIST_KEY, &listed("0_a")).unwrap();
        append(&mut graph, MIGRATE_CKPT_LIST_KEY, &listed("1_b")).unwrap();
        replace(&mut graph, MIGRATE_CKPT_LIST_KEY, &[listed("0_a"), listed("2_c")]).unwrap();
        remove_last(&mut graph, MIGRATE_CKPT_LIST_KEY, "2_c").unwrap();
        append(&mut graph, MIGRATE_CKPT_LIST_KEY, &listed("3_d")).unwrap();
        let list = graph.get(graph.root, MIGRATE_CKPT_LIST_KEY).unwrap();
        let names: Vec<_> = graph.elements(list).map(|entry| graph.as_str(entry).unwrap()).collect();
        assert_eq!(names, ["0_a", "3_d"]);
        assert!(executed(&graph).is_empty());
    }

    #[test]
    fn the_history_stands_where_it_stood_before_the_script() {
        let mut graph = with_history();
        let metadata = graph.get_in(graph.root, &HISTORY[..2]).unwrap();
        prepare_history(&mut graph, "migrations");
        let edited = graph.add_str("by the script");
        graph.set(metadata, "edited", edited);
        record(&mut graph, "migrations", Done::Migrate, "m1", None);
        let keys: Vec<_> =
            graph.items(metadata).into_iter().map(|(key, _)| graph.as_str(key).unwrap()).collect();
        assert_eq!(keys, ["migrations", "edited"]);
        assert_eq!(executed(&graph), [("m1".to_owned(), Some(String::new()))]);
    }

    #[test]
    fn only_a_dict_has_a_place_for_a_list() {
        let mut graph = with_history();
        assert!(has_place(&graph));
        for (module, name, expected) in [("models", "Net", false), ("collections", "OrderedDict", true)] {
            let class = graph.add(Kind::Global { module: module.into(), name: name.into() });
            let args = graph.add(Kind::Tuple(vec![]));
            graph.root = graph.add(Kind::Reduce { callee: class, args });
            assert_eq!(has_place(&graph), expected);
        }
        graph.root = graph.add(Kind::List);
        assert!(!has_place(&graph));
    }

    #[test]
    fn another_than_the_last_is_not_removed() {
        let mut graph = with_history();
        append(&mut graph, "migrations", &listed("m1")).unwrap();
        assert!(remove_last(&mut graph, "migrations", "m0").is_err());
    }

    #[test]
    fn plain_data_stays_plain() {
        let mut graph = Graph::new();
        append(&mut graph, "migrations", &listed("m1")).unwrap();
        assert!(!needs_classes(&graph));
        graph.add(Kind::Global { module: "omegaconf".into(), name: "DictConfig".into() });
        let root = graph.root;
        let list = graph.add(Kind::List);
        graph.set(root, "migrations", list);
        append(&mut graph, "migrations", &listed("m1")).unwrap();
        let entry = graph.elements(list).next().unwrap();
        let metadata = graph.get(entry, "metadata").unwrap();
        assert!(matches!(graph.kind(metadata), Kind::NewObj { .. }));
        assert_eq!(read(&graph, "migrations"), Ok(Some(vec![listed("m1")])));
    }
}
