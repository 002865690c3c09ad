//! Class paths that `migrate_setup` moved.
//!
//! Nothing is imported: a move is another name in the graph, and a class that was deleted is left as it
//! is, opaque.

use std::collections::HashMap;

use super::form::class_path;
use crate::value::{Graph, Kind, NodeId};

/// What `migrate_setup` asked for, each map from the old path to the new one.
#[derive(Debug, Default)]
pub(super) struct Moves {
    /// `package.module` to `package.module`; modules below move along.
    pub modules: HashMap<String, String>,
    /// `package.module.Class` to `package.module.Class`; a `*` as class stands for all.
    pub attributes: HashMap<String, String>,
}

impl Moves {
    /// Renames every global that moved and returns which.
    ///
    /// A move of a class wins over one of its module, and may name the class by its old or its new module.
    pub(super) fn apply(&self, graph: &mut Graph) -> Vec<NodeId> {
        let mut attributes = HashMap::new();
        let mut all_of = HashMap::new();
        for (from, to) in &self.attributes {
            let (Some((module, name)), Some((to_module, to_name))) =
                (from.rsplit_once('.'), to.rsplit_once('.'))
            else {
                continue;
            };
            let module = self.moved_module(module).unwrap_or_else(|| module.to_owned());
            if name == "*" {
                all_of.insert(module, to_module.to_owned());
            } else {
                attributes.insert(format!("{module}.{name}"), (to_module.to_owned(), to_name.to_owned()));
            }
        }
        let mut changed = self.apply_nested(graph, &attributes);
        for (place, node) in graph.nodes.iter_mut().enumerate() {
            let Kind::Global { module, name } = &mut node.kind else { continue };
            let moved = self.moved_module(module);
            let current = moved.as_deref().unwrap_or(module);
            // A class inside of one that moved goes along.
            let ends = name.match_indices('.').map(|(end, _)| end).chain([name.len()]);
            let inner = ends.rev().find_map(|end| {
                let (to_module, to_name) = attributes.get(&format!("{current}.{}", &name[..end]))?;
                Some((to_module.clone(), format!("{to_name}{}", &name[end..])))
            });
            let new = inner.or_else(|| {
                all_of.get(current).cloned().or(moved.clone()).map(|module| (module, name.clone()))
            });
            if let Some((new_module, new_name)) = new
                && (new_module != *module || new_name != *name)
            {
                (*module, *name) = (new_module, new_name);
                changed.push(NodeId(u32::try_from(place).expect("node ids have 32 bits")));
            }
        }
        changed
    }

    /// Moves classes that are written as `getattr(Outer, "Inner")` and that a move names by themselves.
    fn apply_nested(&self, graph: &mut Graph, attributes: &HashMap<String, (String, String)>) -> Vec<NodeId> {
        let mut changed = Vec::new();
        for place in 0..graph.nodes.len() {
            let id = NodeId(u32::try_from(place).expect("node ids have 32 bits"));
            if !matches!(graph.kind(id), Kind::Reduce { .. }) {
                continue;
            }
            let Some((module, name)) = class_path(graph, id) else { continue };
            let module = self.moved_module(&module).unwrap_or(module);
            if let Some((module, name)) = attributes.get(&format!("{module}.{name}")) {
                graph.node_mut(id).kind = Kind::Global { module: module.clone(), name: name.clone() };
                changed.push(id);
            }
        }
        changed
    }

    /// The moves back, or `None` where two became one.
    pub(super) fn inverted(&self) -> Option<Moves> {
        let invert = |map: &HashMap<String, String>| {
            let back: HashMap<String, String> =
                map.iter().map(|(from, to)| (to.clone(), from.clone())).collect();
            (back.len() == map.len()).then_some(back)
        };
        Some(Moves { modules: invert(&self.modules)?, attributes: invert(&self.attributes)? })
    }

    fn moved_module(&self, module: &str) -> Option<String> {
        let mut end = module.len();
        loop {
            if let Some(to) = self.modules.get(&module[..end]) {
                return Some(format!("{to}{}", &module[end..]));
            }
            end = module[..end].rfind('.')?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(modules: &[(&str, &str)], attributes: &[(&str, &str)], path: &str) -> String {
        let own =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        let moves = Moves { modules: own(modules), attributes: own(attributes) };
        let mut graph = Graph::new();
        let (module, name) = path.rsplit_once('.').unwrap();
        let id = graph.add(Kind::Global { module: module.into(), name: name.into() });
        let changed = moves.apply(&mut graph);
        let (module, name) = graph.as_global(id).unwrap();
        let new = format!("{module}.{name}");
        assert_eq!(changed.is_empty(), new == path);
        new
    }

    #[test]
    fn a_class_that_moved_by_itself_does_not_follow_its_module() {
        let modules = [("a.old", "a.new")];
        let attributes = [("a.old.Files", "a.new.Input")];
        assert_eq!(moved(&modules, &attributes, "a.old.Files"), "a.new.Input");
        assert_eq!(moved(&modules, &attributes, "a.old.Other"), "a.new.Other");
        assert_eq!(moved(&modules, &attributes, "a.old.sub.Deep"), "a.new.sub.Deep");
        assert_eq!(moved(&modules, &attributes, "a.older.Files"), "a.older.Files");
        assert_eq!(moved(&modules, &[("a.new.Files", "b.Input")], "a.old.Files"), "b.Input");
    }

    #[test]
    fn a_star_moves_all_classes_of_a_module() {
        assert_eq!(moved(&[], &[("a.b.*", "c.d.*")], "a.b.X"), "c.d.X");
        assert_eq!(moved(&[], &[("a.b.*", "c.d.*")], "a.b.sub.X"), "a.b.sub.X");
    }

    #[test]
    fn a_class_goes_along_with_the_class_around_it() {
        let attributes = [("a.Outer", "b.Other")];
        let mut graph = Graph::new();
        let moves = Moves {
            modules: HashMap::new(),
            attributes: attributes.map(|(a, b)| (a.to_string(), b.to_string())).into(),
        };
        let inner = graph.add(Kind::Global { module: "a".into(), name: "Outer.Inner".into() });
        let outer = graph.add(Kind::Global { module: "a".into(), name: "Outer".into() });
        let nested = nested(&mut graph, outer, "Inner");
        moves.apply(&mut graph);
        assert_eq!(graph.as_global(inner), Some(("b", "Other.Inner")));
        assert_eq!(class_path(&graph, nested), Some(("b".into(), "Other.Inner".into())));
    }

    #[test]
    fn a_class_inside_another_can_move_alone() {
        let mut graph = Graph::new();
        let moves = Moves {
            modules: HashMap::from([("a".into(), "z".into())]),
            attributes: HashMap::from([("a.Outer.Inner".into(), "b.Free".into())]),
        };
        let outer = graph.add(Kind::Global { module: "a".into(), name: "Outer".into() });
        let nested = nested(&mut graph, outer, "Inner");
        moves.apply(&mut graph);
        assert_eq!(graph.as_global(nested), Some(("b", "Free")));
        assert_eq!(graph.as_global(outer), Some(("z", "Outer")));
    }

    #[test]
    fn a_class_that_a_persistent_id_names_moves() {
        let mut graph = Graph::new();
        let class = graph.add(Kind::Global { module: "a".into(), name: "Part".into() });
        let id = graph.add(Kind::Tuple(vec![class]));
        graph.add(Kind::PersistentId(id));
        let moves = Moves { modules: HashMap::from([("a".into(), "b".into())]), attributes: HashMap::new() };
        assert_eq!(moves.apply(&mut graph), [class]);
    }

    fn nested(graph: &mut Graph, outer: NodeId, name: &str) -> NodeId {
        let callee = graph.add(Kind::Global { module: "__builtin__".into(), name: "getattr".into() });
        let name = graph.add_str(name);
        let args = graph.add(Kind::Tuple(vec![outer, name]));
        graph.add(Kind::Reduce { callee, args })
    }
}
