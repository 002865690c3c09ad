//! What the instances in a graph tell of their classes, which are never imported.

use std::collections::HashMap;

use super::form::{class_path, modern_module};
use crate::value::{Graph, Kind, NodeId, Tail};

/// How the instances of a class keep their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// In attributes.
    Plain,
    /// As a dict.
    Dict,
    /// As an ordered dict.
    Ordered,
    /// In slots.
    Slots,
    /// As a model of pydantic 2.
    Pydantic,
    /// As a model of pydantic 1.
    OldPydantic,
    /// As a module of torch.
    Module,
    /// In the one plain value that they are made of.
    Value,
    /// As a tuple of a class of its own.
    Tuple,
}

impl Family {
    /// The prelude's name for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Family::Plain => "",
            Family::Dict => "dict",
            Family::Ordered => "ordered",
            Family::Slots => "slots",
            Family::Pydantic => "pydantic",
            Family::OldPydantic => "pydantic1",
            Family::Module => "module",
            Family::Value => "value",
            Family::Tuple => "tuple",
        }
    }
}

/// Packages whose classes are made by calls that say nothing of enumerations.
const OTHER_PACKAGES: &[&str] = &[
    "_codecs",
    "builtins",
    "collections",
    "copyreg",
    "datetime",
    "decimal",
    "functools",
    "numpy",
    "operator",
    "pathlib",
    "re",
    "torch",
    "uuid",
    "weakref",
];

/// The family of every class that some instance names, by the class's node.
pub(super) fn families(graph: &Graph) -> HashMap<NodeId, Family> {
    let mut classes = Vec::new();
    let mut by_path: HashMap<(String, String), Family> = HashMap::new();
    for place in 0..graph.nodes.len() {
        let id = NodeId(u32::try_from(place).expect("node ids have 32 bits"));
        let Some(class) = class_node(graph, id) else { continue };
        let Some(path) = class_path(graph, class) else { continue };
        let family = family_of(graph, id, &path);
        classes.push((class, path.clone()));
        // What an instance shows is more than what it merely does not contradict.
        by_path
            .entry(path)
            .and_modify(|known| {
                let weak = |family| matches!(family, Family::Value | Family::Tuple);
                if *known != family {
                    *known = match (weak(*known), weak(family)) {
                        (true, true) => Family::Plain,
                        (true, false) => family,
                        (false, true) => *known,
                        (false, false) if *known == Family::Plain => family,
                        (false, false) => *known,
                    };
                }
            })
            .or_insert(family);
    }
    by_path.insert(("anemoi.utils.config".into(), "DotDict".into()), Family::Dict);
    classes.into_iter().map(|(class, path)| (class, by_path[&path])).collect()
}

/// The node of the class that an instance names.
fn class_node(graph: &Graph, id: NodeId) -> Option<NodeId> {
    match graph.kind(id) {
        Kind::NewObj { class, .. } | Kind::NewObjEx { class, .. } => Some(*class),
        Kind::Instance(parts) => parts.first().copied(),
        Kind::Reduce { callee, args } => match (graph.as_global(*callee), graph.kind(*args)) {
            (Some(("copyreg" | "copy_reg", _)), Kind::Tuple(args)) => args.first().copied(),
            // A nested class is no instance of `getattr`.
            (Some(("builtins" | "__builtin__", "getattr")), _) => None,
            _ => Some(*callee),
        },
        _ => None,
    }
}

fn family_of(graph: &Graph, id: NodeId, path: &(String, String)) -> Family {
    let node = graph.node(id);
    if node.tail.iter().any(|step| matches!(step, Tail::Set(..))) {
        // Only `OrderedDict` makes its subclasses by a call without arguments.
        let called = matches!(&node.kind, Kind::Reduce { callee, args }
            if class_path(graph, *callee).as_ref() == Some(path)
                && matches!(graph.kind(*args), Kind::Tuple(args) if args.is_empty()));
        return if called { Family::Ordered } else { Family::Dict };
    }
    if let Some(state) = super::form::built(graph, id) {
        return match graph.kind(state) {
            Kind::Tuple(pair) if pair.len() == 2 && matches!(graph.kind(pair[1]), Kind::Dict) => {
                Family::Slots
            }
            Kind::Dict if graph.get(state, "__pydantic_fields_set__").is_some() => Family::Pydantic,
            Kind::Dict if graph.get_in(state, &["__dict__"]).is_some() => {
                let old = graph.get(state, "__fields_set__").is_some();
                if old { Family::OldPydantic } else { Family::Plain }
            }
            Kind::Dict
                if graph.get(state, "_parameters").is_some() && graph.get(state, "_modules").is_some() =>
            {
                Family::Module
            }
            _ => Family::Plain,
        };
    }
    if !node.tail.is_empty() {
        return Family::Plain;
    }
    let (module, name) = path;
    let package = modern_module(module).split('.').next().unwrap_or_default();
    let is_plain = |id: &NodeId| {
        matches!(
            graph.kind(*id),
            Kind::Int(_) | Kind::BigInt(_) | Kind::Float(_) | Kind::Str(_) | Kind::Bool(_)
        )
    };
    match &node.kind {
        Kind::Reduce { args, .. } => match graph.kind(*args) {
            Kind::Tuple(items)
                if items.len() == 1
                    && (is_plain(&items[0]) || matches!(graph.kind(items[0]), Kind::Tuple(_)))
                    && name.rsplit('.').next().is_some_and(|leaf| leaf.starts_with(char::is_uppercase))
                    && !OTHER_PACKAGES.contains(&package) =>
            {
                Family::Value
            }
            _ => Family::Plain,
        },
        Kind::NewObj { args, .. } => match graph.kind(*args) {
            Kind::Tuple(items) if items.len() > 1 => Family::Tuple,
            _ => Family::Plain,
        },
        _ => Family::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(graph: &mut Graph, class: NodeId, args: Vec<NodeId>) -> NodeId {
        let args = graph.add(Kind::Tuple(args));
        graph.add(Kind::Reduce { callee: class, args })
    }

    #[test]
    fn a_class_that_also_has_state_is_no_enumeration() {
        let mut graph = Graph::new();
        let class = graph.add(Kind::Global { module: "m".into(), name: "Color".into() });
        let red = graph.add(Kind::Int(1));
        instance(&mut graph, class, vec![red]);
        assert_eq!(families(&graph)[&class], Family::Value);
        let other = instance(&mut graph, class, vec![]);
        let state = graph.add(Kind::Dict);
        graph.node_mut(other).tail.push(Tail::Build(state));
        assert_eq!(families(&graph)[&class], Family::Plain);
    }
}
