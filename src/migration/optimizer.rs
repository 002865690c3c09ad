//! The state of optimizers, which is kept by the number of the parameter and not by its name.
//!
//! The layout is that of `torch.optim.Optimizer.state_dict`: `param_groups`, a list of dicts with the numbers of
//! their parameters under `params` and, where the optimizer was given names, those under `param_names` in the
//! same order; and `state`, a dict by number. Lightning keeps a list of such under `optimizer_states`. Nothing
//! here is touched unless it is sure.

use std::collections::HashMap;

use crate::value::{Graph, Kind, NodeId, Path, Tail, Tensor, is_atom};

/// Where checkpoints keep their parameters, and where their optimizers.
const PARAMETERS: [&str; 3] = ["state_dict", "model_state_dict", "model"];
const OPTIMIZERS: [&str; 3] = ["optimizer_states", "optimizer_state_dict", "optimizer"];

/// An optimizer's state that no longer fits the parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// The optimizer.
    pub path: Path,
    /// How it does not fit, as the end of a sentence.
    pub reason: String,
}

/// Finds optimizers whose state fitted the parameters before a change of the checkpoint and that were left as
/// they were although it may not fit them after.
pub fn stale(before: &Graph, after: &Graph) -> Vec<Stale> {
    let (Some(old), Some(new)) = (parameters(before), parameters(after)) else { return Vec::new() };
    let then: HashMap<Path, NodeId> = optimizers(before).into_iter().collect();
    let mut out = Vec::new();
    for (path, optimizer) in optimizers(after) {
        let Some(was) = then.get(&path) else { continue };
        let (Some(a), Some(b)) = (groups(before, *was), groups(after, optimizer)) else { continue };
        let adapted = !a
            .iter()
            .map(|group| (&group.numbers, &group.names))
            .eq(b.iter().map(|group| (&group.numbers, &group.names)));
        if adapted {
            continue;
        }
        let reason = match b.iter().map(|group| group.names.as_ref()).collect::<Option<Vec<_>>>() {
            Some(names) => {
                let gone = names
                    .into_iter()
                    .flatten()
                    .find(|name| key_of(&old, name).is_some() && key_of(&new, name).is_none());
                gone.map(|name| format!("it keeps moments of `{name}`, which is no parameter any more"))
            }
            None => misfit(&moments(after, optimizer, &b), &old, &new),
        };
        out.extend(reason.map(|reason| Stale { path, reason }));
    }
    out
}

/// Why moments in the order of the parameters may not belong to these parameters, although they fitted others.
fn misfit(moments: &[Vec<u64>], old: &Parameters, new: &Parameters) -> Option<String> {
    if moments.is_empty() || !in_order(moments, &old.shapes) {
        return None;
    }
    if !in_order(moments, &new.shapes) {
        return Some("its moments have other shapes than the parameters in their order".to_owned());
    }
    let count = |shapes: &[Vec<u64>], shape: &Vec<u64>| shapes.iter().filter(|other| *other == shape).count();
    let grown = new.shapes.iter().find(|shape| count(&new.shapes, shape) > count(&old.shapes, shape));
    grown.map(|shape| format!("a tensor of shape {shape:?} was added, which it may have to know"))
}

/// Whether all of `few` are found among `many`, in their order.
fn in_order(few: &[Vec<u64>], many: &[Vec<u64>]) -> bool {
    let mut many = many.iter();
    few.iter().all(|shape| many.any(|other| other == shape))
}

/// Numbers the state of optimizers as it was `before`, where their parameters have names and all names are
/// known. `present` is the checkpoint that `graph` was made from, with nodes of the same ids.
pub(super) fn renumber(graph: &mut Graph, present: &Graph, before: &Graph) {
    let (Some(new), Some(old)) = (parameters(present), parameters(graph)) else { return };
    let keys: HashMap<NodeId, &String> = old.keys.iter().map(|(key, id)| (*id, key)).collect();
    let then: HashMap<Path, NodeId> = optimizers(before).into_iter().collect();
    for (path, optimizer) in optimizers(graph) {
        let Some(was) = then.get(&path).and_then(|was| groups(before, *was)) else { continue };
        let Some(is) = groups(graph, optimizer) else { continue };
        let old_name = |name: &String| -> Option<String> {
            let (key, id) = key_of(&new, name)?;
            let prefix = key.strip_suffix(name.as_str())?;
            keys.get(&id)?.strip_prefix(prefix).map(str::to_owned)
        };
        let Some(renamed) = renamed(&is, &was, &old_name) else { continue };
        if is.iter().zip(&was).any(|(is, was)| is.names != was.names || is.numbers != was.numbers) {
            apply(graph, optimizer, &is, &was, &renamed);
        }
    }
}

/// For each group the old names in their present order, if they are the group's old names all over.
fn renamed(
    is: &[Group],
    was: &[Group],
    old_name: &dyn Fn(&String) -> Option<String>,
) -> Option<Vec<Vec<String>>> {
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    if is.len() != was.len() {
        return None;
    }
    let mut out = Vec::with_capacity(is.len());
    for (is, was) in is.iter().zip(was) {
        let known: Vec<String> = is.names.as_ref()?.iter().map(old_name).collect::<Option<_>>()?;
        let names = sorted(&known);
        if names != sorted(was.names.as_ref()?) || names.windows(2).any(|pair| pair[0] == pair[1]) {
            return None;
        }
        out.push(known);
    }
    Some(out)
}

/// Writes numbers and names as they were; the state of each parameter goes with it.
fn apply(graph: &mut Graph, optimizer: NodeId, is: &[Group], was: &[Group], renamed: &[Vec<String>]) {
    let mut numbers: HashMap<i64, i64> = HashMap::new();
    for ((is, was), renamed) in is.iter().zip(was).zip(renamed) {
        let by_name: HashMap<&String, i64> =
            was.names.iter().flatten().zip(was.numbers.iter().copied()).collect();
        let old = is.numbers.iter().zip(renamed).filter_map(|(now, name)| Some((*now, *by_name.get(name)?)));
        numbers.extend(old);
        let params = was.numbers.iter().map(|number| Kind::Int(*number));
        let names = was.names.iter().flatten().map(|name| Kind::Str(name.clone()));
        for (key, items) in [("params", params.collect::<Vec<_>>()), ("param_names", names.collect())] {
            let list = graph.add(Kind::List);
            for item in items {
                let item = graph.add(item);
                graph.node_mut(list).tail.push(Tail::Append(item));
            }
            graph.set(is.node, key, list);
        }
    }
    let Some(state) = graph.get(optimizer, "state") else { return };
    let mut tail = graph.node(state).tail.clone();
    for step in &mut tail {
        if let Tail::Set(key, _) = step
            && let Some(number) = graph.as_int(*key).and_then(|number| numbers.get(&number))
        {
            *key = graph.add(Kind::Int(*number));
        }
    }
    let number = |step: &Tail| match step {
        Tail::Set(key, _) => graph.as_int(*key),
        _ => None,
    };
    tail.sort_by_key(|step| number(step).map_or((1, 0), |number| (0, number)));
    graph.node_mut(state).tail = tail;
}

/// The parameters and buffers of a checkpoint.
struct Parameters {
    keys: Vec<(String, NodeId)>,
    shapes: Vec<Vec<u64>>,
}

fn parameters(graph: &Graph) -> Option<Parameters> {
    let dict = PARAMETERS.iter().find_map(|key| graph.get(graph.root, key))?;
    let mut out = Parameters { keys: Vec::new(), shapes: Vec::new() };
    for (key, value) in graph.items(dict) {
        let (Some(key), Some(tensor)) = (graph.as_str(key), tensor(graph, value)) else { continue };
        out.keys.push((key.to_owned(), value));
        out.shapes.push(tensor.shape.clone());
    }
    Some(out)
}

/// The tensor that a node is or, being a parameter, wraps.
fn tensor(graph: &Graph, id: NodeId) -> Option<&Tensor> {
    match graph.kind(id) {
        Kind::Reduce { args, .. } => match graph.kind(*args) {
            Kind::Tuple(items) => graph.as_tensor(*items.first()?),
            _ => None,
        },
        _ => graph.as_tensor(id),
    }
}

/// The key of a parameter's name: the name itself, or with what a trainer puts before it.
fn key_of<'a>(parameters: &'a Parameters, name: &str) -> Option<(&'a String, NodeId)> {
    let fits = |key: &str| key == name || key.strip_suffix(name).is_some_and(|prefix| prefix.ends_with('.'));
    parameters.keys.iter().find(|(key, _)| fits(key)).map(|(key, id)| (key, *id))
}

/// The optimizers of a checkpoint, and where they are.
fn optimizers(graph: &Graph) -> Vec<(Path, NodeId)> {
    let mut out = Vec::new();
    for key in OPTIMIZERS {
        let Some(found) = graph.get(graph.root, key) else { continue };
        let path = Path::root().join(key);
        if graph.get(found, "param_groups").is_some() {
            out.push((path, found));
        } else {
            let items = graph.elements(found).enumerate();
            out.extend(items.map(|(place, item)| (path.join(&place.to_string()), item)));
        }
    }
    out
}

/// A group of parameters.
struct Group {
    node: NodeId,
    numbers: Vec<i64>,
    names: Option<Vec<String>>,
}

fn groups(graph: &Graph, optimizer: NodeId) -> Option<Vec<Group>> {
    let list = graph.get(optimizer, "param_groups").filter(|id| !is_atom(graph.kind(*id)))?;
    let group = |node: NodeId| {
        let numbers = graph.elements(graph.get(node, "params")?).map(|id| graph.as_int(id));
        let numbers: Vec<i64> = numbers.collect::<Option<_>>()?;
        let names: Option<Vec<String>> = match graph.get(node, "param_names") {
            Some(list) => graph.elements(list).map(|id| graph.as_str(id).map(str::to_owned)).collect(),
            None => None,
        };
        Some(Group { node, names: names.filter(|names| names.len() == numbers.len()), numbers })
    };
    graph.elements(list).map(group).collect()
}

/// The shape of each parameter's moments, in the order of the parameters; those without are left out.
fn moments(graph: &Graph, optimizer: NodeId, groups: &[Group]) -> Vec<Vec<u64>> {
    let Some(state) = graph.get(optimizer, "state") else { return Vec::new() };
    let by_number: HashMap<i64, NodeId> =
        graph.items(state).into_iter().filter_map(|(key, value)| Some((graph.as_int(key)?, value))).collect();
    let shape = |number: &i64| {
        let items = graph.items(*by_number.get(number)?);
        let mut tensors = items.into_iter().filter_map(|(_, value)| tensor(graph, value));
        tensors.find(|tensor| !tensor.shape.is_empty()).map(|tensor| tensor.shape.clone())
    };
    groups.iter().flat_map(|group| &group.numbers).filter_map(shape).collect()
}
