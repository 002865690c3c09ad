//! What in a script will fail or give another result each time, found without running it.

use std::collections::HashSet;
use std::io;
use std::sync::LazyLock;

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::Ranged;

use super::python::{self, Module, SyntaxError, binds};

/// Something in a script that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// A stable code: `W_SANDBOX`, `W_NONDETERMINISTIC` or `W_IDENTITY_ROLLBACK`.
    pub code: &'static str,
    /// The line, from 1.
    pub line: u32,
    /// What is there.
    pub message: String,
}

/// Modules whose results differ from run to run.
const CHANGING_MODULES: &[&str] = &["random", "time", "uuid", "secrets", "tempfile", "getpass", "platform"];

/// The sandbox's own start, which names the modules that it refuses.
const RUNTIME: &str = include_str!("../engine/prelude/ckstore_runtime.py");

/// Modules of the host, which the sandbox has not.
static HOST_MODULES: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let list = RUNTIME.split_once("_HOST = frozenset(").and_then(|(_, rest)| rest.split("\"\"\"").nth(1));
    list.unwrap_or_default().split_whitespace().collect()
});

/// Functions whose results differ from run to run.
const CHANGING_CALLS: &[&str] = &[
    "id",
    "torch.rand",
    "torch.rand_like",
    "torch.randint",
    "torch.randn",
    "torch.randn_like",
    "torch.randperm",
    "torch.normal",
    "torch.bernoulli",
    "torch.empty",
    "torch.empty_like",
];

/// Classes of `datetime`, whose methods of [`CLOCK_METHODS`] read the clock. All else that it has is as constant as
/// what it is given.
const CLOCK_CLASSES: &[&str] = &["datetime", "date"];

/// Methods that read the clock.
const CLOCK_METHODS: &[&str] = &["now", "utcnow", "today"];

/// Functions that reach out of the sandbox.
const HOST_CALLS: &[&str] = &["open", "input", "breakpoint", "torch.load", "torch.save", "torch.hub.load"];

/// Looks a script through. Nothing of it is run.
///
/// # Errors
///
/// The outer error when the system gives no thread, the inner one when the text is no Python.
pub fn review(source: &str) -> io::Result<Result<Vec<Remark>, SyntaxError>> {
    python::with_module(source, |module| {
        let mut review = Review { module, remarks: Vec::new() };
        for stmt in &module.syntax.body {
            review.visit_stmt(stmt);
        }
        let rollback = module.syntax.body.iter().rev().find(|stmt| binds(stmt, "rollback"));
        if let Some(rollback) = rollback.filter(|stmt| python::is_identity(stmt)) {
            let message = "the rollback gives back what it got: it undoes nothing and is taken for none";
            review.add("W_IDENTITY_ROLLBACK", rollback, message.into());
        }
        let mut remarks = review.remarks;
        remarks.sort_by_key(|remark| remark.line);
        remarks.dedup();
        remarks
    })
}

/// The line on which a script defines a function, from 1; `None` where it does not, or is no Python.
pub fn line_of(source: &str, function: &str) -> Option<u32> {
    let find = |module: &Module<'_>| {
        let found = module.syntax.body.iter().rev().find(|stmt| binds(stmt, function))?;
        Some(module.line(found))
    };
    python::with_module(source, find).ok()?.ok()?
}

/// Whether a script gives back what it got, and does nothing else.
///
/// # Errors
///
/// If the system gives no thread to parse it.
pub fn does_nothing(source: &str) -> io::Result<bool> {
    let only = |module: &Module<'_>| {
        let body = module.syntax.body.iter();
        let run = body.rev().find(|stmt| binds(stmt, "migrate") || binds(stmt, "handle"));
        run.is_some_and(python::is_identity)
    };
    Ok(python::with_module(source, only)?.unwrap_or(false))
}

struct Review<'m, 'a> {
    module: &'m Module<'a>,
    remarks: Vec<Remark>,
}

impl Review<'_, '_> {
    fn add(&mut self, code: &'static str, at: impl Ranged, message: String) {
        self.remarks.push(Remark { code, line: self.module.line(at), message });
    }

    fn import(&mut self, name: &str, at: impl Ranged) {
        let top = name.split('.').next().unwrap_or(name);
        if CHANGING_MODULES.contains(&top) || name.starts_with("numpy.random") {
            self.add(
                "W_NONDETERMINISTIC",
                at,
                format!("`{name}` differs from run to run, and the sandbox has it not"),
            );
        } else if HOST_MODULES.contains(top) {
            self.add("W_SANDBOX", at, format!("the sandbox has no module `{name}`"));
        }
    }

    fn call(&mut self, name: &str, at: impl Ranged) {
        if CHANGING_CALLS.contains(&name)
            || name.starts_with("numpy.random.")
            || name.starts_with("np.random.")
            || reads_clock(name)
        {
            self.add("W_NONDETERMINISTIC", at, format!("`{name}` differs from run to run"));
        } else if HOST_CALLS.contains(&name) {
            self.add("W_SANDBOX", at, format!("the sandbox refuses `{name}`"));
        }
    }
}

impl<'a> Visitor<'a> for Review<'_, '_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Import(import) => {
                import.names.iter().for_each(|alias| self.import(&alias.name.id, alias));
            }
            Stmt::ImportFrom(import) if import.level == 0 => {
                if let Some(module) = &import.module {
                    self.import(&module.id, import);
                }
            }
            // What only type checkers read is not run.
            Stmt::If(branch) if dotted(&branch.test).is_some_and(|name| name.ends_with("TYPE_CHECKING")) => {
                for clause in &branch.elif_else_clauses {
                    clause.body.iter().for_each(|stmt| self.visit_stmt(stmt));
                }
                return;
            }
            _ => {}
        }
        walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(call) = expr
            && let Some(name) = dotted(&call.func)
        {
            self.call(&name, call);
        }
        walk_expr(self, expr);
    }
}

/// Whether a call is one as `datetime.now`.
fn reads_clock(name: &str) -> bool {
    let Some((class, method)) = name.rsplit_once('.') else { return false };
    let class = class.rsplit('.').next().unwrap_or(class);
    CLOCK_CLASSES.contains(&class) && CLOCK_METHODS.contains(&method)
}

/// A name with attributes, as `torch.rand`.
fn dotted(expr: &Expr) -> Option<String> {
    let mut parts = Vec::new();
    let mut place = expr;
    loop {
        match place {
            Expr::Attribute(attribute) => {
                parts.push(attribute.attr.id.as_str());
                place = &attribute.value;
            }
            Expr::Name(name) => {
                parts.push(name.id.as_str());
                parts.reverse();
                return Some(parts.join("."));
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<(&'static str, u32)> {
        let remarks = review(source).unwrap().unwrap();
        remarks.into_iter().map(|remark| (remark.code, remark.line)).collect()
    }

    #[test]
    fn what_differs_or_is_refused_is_found_with_its_line() {
        let cases: &[(&str, &[(&str, u32)])] = &[
            ("import random\n", &[("W_NONDETERMINISTIC", 1)]),
            ("def migrate(ckpt):\n    from os.path import join\n", &[("W_SANDBOX", 2)]),
            (
                "def migrate(ckpt):\n    x = torch.rand(3)\n    open('f')\n",
                &[("W_NONDETERMINISTIC", 2), ("W_SANDBOX", 3)],
            ),
            ("from datetime import datetime\nat = datetime(2020, 1, 1)\n", &[]),
            (
                "import datetime\nat = datetime.datetime.now()\nto = datetime.date.today()\n",
                &[("W_NONDETERMINISTIC", 2), ("W_NONDETERMINISTIC", 3)],
            ),
            ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import os\n", &[]),
            ("import random\nimport subprocess\n", &[("W_NONDETERMINISTIC", 1), ("W_SANDBOX", 2)]),
            ("import anemoi.models\nimport torch, math\n", &[]),
            ("def rollback(ckpt):\n    '''Nothing.'''\n    return ckpt\n", &[("W_IDENTITY_ROLLBACK", 1)]),
            ("def rollback(ckpt):\n    ckpt.pop('a')\n    return ckpt\n", &[]),
            ("def rollback(ckpt, model=None):\n    return model\n", &[]),
        ];
        for (source, expected) in cases {
            assert_eq!(found(source), *expected, "{source}");
        }
    }
}
