//! The keys that a script looks up by name, found without running it.

use std::collections::BTreeSet;
use std::io;

use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{CmpOp, Expr, ExprContext};
use ruff_text_size::Ranged;

use super::python::{self, Module, SyntaxError};

/// How a text is compared with keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Whole,
    Begin,
    End,
    Part,
}

/// A key, or a part of one, that a script looks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lookup {
    /// The line, from 1.
    pub line: u32,
    /// The text as it is in the script.
    pub text: String,
    fit: Fit,
}

impl Lookup {
    /// Whether one of these keys is what it looks for.
    pub fn is_among(&self, keys: &BTreeSet<String>) -> bool {
        match self.fit {
            Fit::Whole => keys.contains(&self.text),
            Fit::Begin => keys.iter().any(|key| key.starts_with(&self.text)),
            Fit::End => keys.iter().any(|key| key.ends_with(&self.text)),
            Fit::Part => keys.iter().any(|key| key.contains(&self.text)),
        }
    }
}

/// What a script looks for, and which keys it makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookups {
    /// What it looks for, by line.
    pub wanted: Vec<Lookup>,
    /// Keys that it sets.
    pub made: BTreeSet<String>,
}

/// Finds the keys that a script looks up: in `d["k"]`, `d.pop("k")`, `d.get("k")`, `"k" in d`, and the beginnings,
/// ends and parts of keys in `k.startswith(...)` and the like. What it computes is not known.
///
/// # Errors
///
/// The outer error when the system gives no thread, the inner one when the text is no Python.
pub fn lookups(source: &str) -> io::Result<Result<Lookups, SyntaxError>> {
    python::with_module(source, |module| {
        let mut finder = Finder { module, wanted: Vec::new(), made: Vec::new() };
        finder.visit_body(&module.syntax.body);
        let Finder { mut wanted, made, .. } = finder;
        // What a line before has made is there.
        wanted.retain(|lookup| {
            let before = made.iter().filter(|(line, _)| *line < lookup.line);
            !lookup.is_among(&before.map(|(_, key)| key.clone()).collect())
        });
        wanted.sort();
        wanted.dedup();
        Lookups { wanted, made: made.into_iter().map(|(_, key)| key).collect() }
    })
}

struct Finder<'m, 'a> {
    module: &'m Module<'a>,
    wanted: Vec<Lookup>,
    /// Lines and keys.
    made: Vec<(u32, String)>,
}

impl Finder<'_, '_> {
    fn want(&mut self, expr: &Expr, fit: Fit) {
        if let Expr::StringLiteral(text) = expr {
            let line = self.module.line(expr.range());
            self.wanted.push(Lookup { line, text: text.value.to_str().to_owned(), fit });
        }
    }

    fn make(&mut self, expr: &Expr) {
        if let Expr::StringLiteral(text) = expr {
            self.made.push((self.module.line(expr.range()), text.value.to_str().to_owned()));
        }
    }
}

impl<'a> Visitor<'a> for Finder<'_, '_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Subscript(item) if item.ctx == ExprContext::Store => self.make(&item.slice),
            Expr::Subscript(item) => self.want(&item.slice, Fit::Whole),
            Expr::Dict(dict) => dict.items.iter().flat_map(|item| &item.key).for_each(|key| self.make(key)),
            Expr::Compare(compare) if matches!(*compare.ops, [CmpOp::In | CmpOp::NotIn]) => {
                self.want(&compare.left, Fit::Part);
            }
            Expr::Call(call) => {
                if let (Expr::Attribute(function), [first, ..]) = (&*call.func, &*call.arguments.args) {
                    match function.attr.as_str() {
                        "pop" | "get" => self.want(first, Fit::Whole),
                        "setdefault" => self.make(first),
                        "startswith" | "removeprefix" => self.want(first, Fit::Begin),
                        "endswith" | "removesuffix" => self.want(first, Fit::End),
                        "replace" => self.want(first, Fit::Part),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        walk_expr(self, expr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_looks_for_is_found_and_what_it_makes_is_not_missed() {
        let source = "def migrate(ckpt):\n    state = ckpt['state']\n    state['new.w'] = state.pop('old.w')\n    \
                      for key in list(state):\n        if key.startswith('enc.') and '.inc' in key:\n            \
                      del state[key]\n    return {'made': ckpt.get('lr'), 'x': state['new.w']}\n";
        let found = lookups(source).unwrap().unwrap();
        let wanted: Vec<_> = found.wanted.iter().map(|lookup| (lookup.line, lookup.text.as_str())).collect();
        assert_eq!(wanted, [(2, "state"), (3, "old.w"), (5, ".inc"), (5, "enc."), (7, "lr")]);
        assert!(found.made.contains("new.w") && found.made.contains("made"));
        let keys: BTreeSet<String> = ["enc.1.inc", "state"].map(str::to_owned).into();
        let missed: Vec<_> =
            found.wanted.iter().filter(|lookup| !lookup.is_among(&keys)).map(|l| l.text.as_str()).collect();
        assert_eq!(missed, ["old.w", "lr"]);
    }
}
