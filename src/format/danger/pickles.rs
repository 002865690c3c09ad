//! The globals of one pickle, and the files inside its constants.

use crate::value::{Graph, Kind, NodeId};

use super::super::pickle::trace::{Event, Trace};
use super::odd::oddities;
use super::rating::{Rating, rate};
use super::{Finding, Hunt, ODD_PICKLE, Role, inner};

/// Calls on calls that are followed to find what is called.
const MOST_STEPS: usize = 32;

/// Whether bytes say that they are a pickle, as protocols 2 to 5 do.
pub(super) fn is_marked(head: &[u8]) -> bool {
    matches!(head, [0x80, 2..=5, ..])
}

impl Hunt<'_> {
    /// Looks through what was read of a pickle and returns its length, or nothing if it is not whole.
    ///
    /// Without trust, what breaks off counts only if it would have done something before; `is_all` says that
    /// nothing else is in the file.
    pub(super) fn pickle(
        &mut self,
        traced: &Trace,
        offset: u64,
        entry: &str,
        depth: usize,
        trust: bool,
        is_all: bool,
    ) -> Option<u64> {
        let mut called = vec![false; traced.graph.nodes.len()];
        for event in &traced.events {
            consumed(&traced.graph, event.node, |node| called[node.index()] = true);
        }
        // Judged anew each time: a hostile pickle has millions of them.
        let judged = || traced.events.iter().filter_map(|event| judge(&traced.graph, event, &called));
        if !trust {
            let convinces = |found: &Finding| {
                is_name(&found.global) && (found.called || found.rating == Rating::Dangerous)
            };
            let is_sure = is_all || traced.states_protocol || judged().next().is_some();
            let is_whole = traced.error.is_none();
            let counts = is_whole && is_sure || judged().any(|found| convinces(&found));
            if !counts {
                // What does nothing may be a pickle all the same, and another one may follow.
                return is_whole.then_some(traced.bytes as u64);
            }
        }
        self.found.pickles += 1;
        for mut finding in judged() {
            finding.entry = entry.to_owned();
            finding.offset += offset;
            self.finding(finding);
        }
        for (node, at) in &traced.constants {
            let place = || inner(entry, &format!("constant at {}", offset + *at as u64));
            let latin1;
            let nested = match traced.graph.kind(*node) {
                Kind::Bytes(bytes) | Kind::ByteArray(bytes) | Kind::Str8(bytes) => bytes.as_slice(),
                // Protocols below 3 write bytes as text of the same numbers.
                Kind::Str(text) => {
                    latin1 = text.chars().map(|c| u8::try_from(c).ok()).collect::<Option<Vec<u8>>>();
                    match &latin1 {
                        Some(bytes) => bytes.as_slice(),
                        None => continue,
                    }
                }
                _ => continue,
            };
            if self.spend(nested.len() as u64) {
                // Reading from memory does not fail; what is no container is passed over.
                let _ = self.file(&nested, &place(), depth + 1, Role::Constant);
            }
        }
        if let Some(error) = &traced.error {
            self.problem(
                entry,
                "S_BROKEN_PICKLE",
                &format!("the pickle at byte {offset} breaks off: {error}"),
            );
            return None;
        }
        let is_file = entry.is_empty() && depth == 0;
        for oddity in oddities(traced, is_file) {
            self.problem(entry, ODD_PICKLE, &format!("{oddity} (pickle at byte {offset})"));
        }
        Some(traced.bytes as u64)
    }
}

/// Calls `each` on a global whose naming is told by the call that uses it.
fn consumed(graph: &Graph, node: NodeId, mut each: impl FnMut(NodeId)) {
    match graph.kind(node) {
        Kind::Reduce { callee: class, .. } | Kind::NewObj { class, .. } | Kind::NewObjEx { class, .. } => {
            each(*class);
        }
        Kind::Instance(parts) => parts.first().copied().into_iter().for_each(each),
        _ => {}
    }
}

fn is_name(global: &str) -> bool {
    let is_step = |step: &str| {
        step.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && step.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    global.split('.').all(is_step)
}

fn judge(graph: &Graph, event: &Event, called: &[bool]) -> Option<Finding> {
    let found = |global: String, called, rating, why| {
        let (offset, opcode) = (event.offset as u64, event.opcode());
        Some(Finding { rating, global, called, entry: String::new(), offset, opcode, count: 1, why })
    };
    match graph.kind(event.node) {
        Kind::Global { .. } | Kind::ComputedGlobal { .. } if event.is_build => found(
            name_of(graph, event.node).map_or_else(|| "(computed)".to_owned(), |name| name.text()),
            true,
            Rating::Dangerous,
            Some("attributes of a class or function itself are set"),
        ),
        Kind::Global { .. } | Kind::ComputedGlobal { .. } if called[event.node.index()] => None,
        Kind::Global { .. } | Kind::ComputedGlobal { .. } => match name_of(graph, event.node) {
            Some(name) => found(name.text(), false, name.rating(), None),
            None => {
                let why = "the names of the global are themselves computed";
                found("(computed)".to_owned(), false, Rating::Dangerous, Some(why))
            }
        },
        Kind::Extension(code) => found(
            format!("(extension {code})"),
            false,
            Rating::Unknown,
            Some("what it is depends on the registry of the program that loads it"),
        ),
        Kind::Reduce { callee, args } => {
            let (global, rating, why) = call(graph, *callee, Some(*args));
            found(global, true, rating, why)
        }
        Kind::NewObj { class, args } | Kind::NewObjEx { class, args, .. } => {
            let (global, rating, why) = call(graph, *class, Some(*args));
            found(global, true, rating, why)
        }
        Kind::Instance(parts) => {
            let (global, rating, why) = call(graph, *parts.first()?, None);
            found(global, true, rating, why)
        }
        _ => None,
    }
}

type Judgement = (String, Rating, Option<&'static str>);

/// Judges the call of something with a tuple of arguments.
fn call(graph: &Graph, callee: NodeId, args: Option<NodeId>) -> Judgement {
    let Some(name) = name_of(graph, callee) else {
        let (what, rating, why) = match graph.kind(callee) {
            Kind::Reduce { .. } => ("(result of a call)", Rating::Dangerous, "what a call returns is called"),
            Kind::ComputedGlobal { .. } => {
                ("(computed)", Rating::Dangerous, "the names of the global are themselves computed")
            }
            _ => ("(value)", Rating::Unknown, "what is called is no plain global"),
        };
        return (what.to_owned(), rating, Some(why));
    };
    let arguments: &[NodeId] = match args.map(|args| graph.kind(args)) {
        Some(Kind::Tuple(arguments)) => arguments,
        _ => &[],
    };
    if name.is("builtins", "getattr") {
        return attribute(graph, arguments);
    }
    if name.is("builtins", "type") && arguments.len() == 3 {
        return (name.text(), Rating::Dangerous, Some("a class is made of what the pickle says"));
    }
    if name.is("builtins", "type") && arguments.len() == 1 {
        return (name.text(), Rating::Safe, None);
    }
    if name.is("torch.storage", "_load_from_bytes") {
        let is_constant = matches!(arguments, [bytes] if matches!(graph.kind(*bytes), Kind::Bytes(_)));
        let is_encoded =
            matches!(arguments, [bytes] if graph.class_of(*bytes) == Some(("_codecs", "encode")));
        return if is_constant || is_encoded {
            (
                name.text(),
                Rating::Unknown,
                Some("it loads the bytes in its argument, which are looked into too"),
            )
        } else {
            (name.text(), Rating::Dangerous, Some("it loads bytes that are computed"))
        };
    }
    let why = name.reached.then_some("it is reached by getattr");
    (name.text(), name.rating(), why)
}

/// Judges `getattr(target, 'attribute')`: nested classes and bound methods are named so in old protocols.
fn attribute(graph: &Graph, arguments: &[NodeId]) -> Judgement {
    let walk = Some("it reaches an attribute of another object");
    let &[target, attribute] = arguments else {
        return ("builtins.getattr".to_owned(), Rating::Dangerous, walk);
    };
    let Some(attribute) = graph.as_str(attribute) else {
        return ("builtins.getattr".to_owned(), Rating::Dangerous, walk);
    };
    let owner = name_of(graph, target).or_else(|| {
        let (module, class) = graph.class_of(target)?;
        Some(Name { module: module.to_owned(), name: class.to_owned(), reached: true })
    });
    let Some(owner) = owner else { return (format!("(value).{attribute}"), Rating::Dangerous, walk) };
    let base = if owner.name.is_empty() { Rating::Unknown } else { owner.rating() };
    let mut name = Name { reached: true, ..owner };
    name.name =
        if name.name.is_empty() { attribute.to_owned() } else { format!("{}.{attribute}", name.name) };
    let rating = name.rating().max(base).max(Rating::Unknown);
    (name.text(), rating, (rating == Rating::Dangerous).then_some(walk).flatten())
}

/// A global, or what a chain of getattr and imports with constant names comes to.
struct Name {
    module: String,
    name: String,
    /// Whether more than one opcode names it.
    reached: bool,
}

impl Name {
    fn is(&self, module: &str, name: &str) -> bool {
        let is_builtin = module == "builtins" && self.module == "__builtin__";
        (self.module == module || is_builtin) && self.name == name
    }

    fn rating(&self) -> Rating {
        rate(&self.module, &self.name)
    }

    fn text(&self) -> String {
        let text =
            if self.name.is_empty() { self.module.clone() } else { format!("{}.{}", self.module, self.name) };
        // A name of control characters or of endless length would garble what it is printed in.
        text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
    }
}

/// What a node names: itself, or by getattr, partial and imports of constant names.
fn name_of(graph: &Graph, node: NodeId) -> Option<Name> {
    let mut node = node;
    let mut attributes = Vec::new();
    let mut reached = false;
    for _ in 0..MOST_STEPS {
        let (module, name) = match graph.kind(node) {
            Kind::Global { module, name } => (module.as_str(), name.as_str()),
            Kind::ComputedGlobal { module, name } => (graph.as_str(*module)?, graph.as_str(*name)?),
            Kind::Reduce { callee, args } => {
                let Kind::Tuple(arguments) = graph.kind(*args) else { return None };
                let (module, name) = plain(graph, *callee)?;
                reached = true;
                match (module, name, arguments.as_slice()) {
                    ("builtins" | "__builtin__", "getattr", &[target, attribute]) => {
                        attributes.push(graph.as_str(attribute)?);
                        node = target;
                        continue;
                    }
                    ("functools", "partial", &[function, ..]) => {
                        node = function;
                        continue;
                    }
                    ("builtins" | "__builtin__", "__import__", &[module, ..])
                    | ("importlib" | "importlib._bootstrap", "import_module", &[module, ..]) => {
                        (graph.as_str(module)?, "")
                    }
                    _ => return None,
                }
            }
            // Old torch files keep a module's class and its source.
            Kind::PersistentId(id) => {
                let Kind::Tuple(parts) = graph.kind(*id) else { return None };
                let (Some("module"), Some(class)) =
                    (parts.first().and_then(|kind| graph.as_str(*kind)), parts.get(1))
                else {
                    return None;
                };
                node = *class;
                continue;
            }
            _ => return None,
        };
        let mut steps = vec![name];
        steps.extend(attributes.iter().rev());
        steps.retain(|step| !step.is_empty());
        return Some(Name { module: module.to_owned(), name: steps.join("."), reached });
    }
    None
}

fn plain(graph: &Graph, node: NodeId) -> Option<(&str, &str)> {
    match graph.kind(node) {
        Kind::Global { module, name } => Some((module, name)),
        Kind::ComputedGlobal { module, name } => Some((graph.as_str(*module)?, graph.as_str(*name)?)),
        _ => None,
    }
}
