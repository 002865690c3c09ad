//! The registry of the Exodus model templates: a Python file that lists which migrations there are.
//!
//! ```python
//! from migrations.Migration_1642482873113_add_owner import Migration as AddOwner
//!
//! all_migrations = [AddOwner(1642482873113, "add_owner")]
//! ```

use std::collections::HashMap;

use ruff_python_ast::{Expr, Number, Stmt};

use super::Problem;
use super::python::{self, Module, is_name};

/// Name of the file.
pub const REGISTRY_FILE: &str = "all_migrations.py";

/// One migration in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The stem of its file.
    pub name: String,
    /// The time that it is registered with, where that is written there.
    pub time: Option<i64>,
    /// Its line in the registry.
    pub line: u32,
}

/// Reads a registry. Nothing of it is run.
///
/// # Errors
/// If it is no Python, or its list is computed.
pub fn read(source: &str) -> Result<Vec<Registered>, Problem> {
    let problem = |line, message: String| Problem { file: REGISTRY_FILE.to_owned(), line, message };
    let parsed = python::with_module(source, list)
        .map_err(|error| problem(None, format!("cannot start a thread to parse it: {error}")))?;
    match parsed {
        Ok(listed) => listed.map_err(|(line, message)| problem(Some(line), message)),
        Err(error) => Err(problem(Some(error.line), error.message)),
    }
}

fn list(module: &Module<'_>) -> Result<Vec<Registered>, (u32, String)> {
    let body = &module.syntax.body;
    let mut assigned = body.iter().filter_map(|stmt| match stmt {
        Stmt::Assign(assign) if assign.targets.iter().any(|target| is_name(target, "all_migrations")) => {
            Some(&*assign.value)
        }
        Stmt::AnnAssign(assign) if is_name(&assign.target, "all_migrations") => assign.value.as_deref(),
        _ => None,
    });
    let Some(value) = assigned.next() else {
        return Err((1, "it does not assign `all_migrations`".to_owned()));
    };
    if let Some(second) = assigned.next() {
        return Err((module.line(second), "`all_migrations` is assigned twice".to_owned()));
    }
    let items = match value {
        Expr::List(list) => &list.elts,
        Expr::Tuple(tuple) => &tuple.elts,
        other => {
            return Err((
                module.line(other),
                "`all_migrations` is computed: only a literal list is read".to_owned(),
            ));
        }
    };
    let names = imported(body);
    let read = |item: &Expr| {
        let line = module.line(item);
        let (class, arguments) = match item {
            Expr::Call(call) => (&*call.func, Some(&call.arguments)),
            other => (other, None),
        };
        let time = arguments
            .and_then(|arguments| arguments.find_argument_value("timestamp", 0))
            .and_then(Expr::as_number_literal_expr)
            .and_then(|number| match &number.value {
                Number::Int(value) => value.as_i64(),
                _ => None,
            });
        match stem(class, &names) {
            Some(name) => Ok(Registered { name, time, line }),
            None => {
                Err((line, format!("`{}` is not imported from a file of migrations", module.text(class))))
            }
        }
    };
    items.iter().map(read).collect()
}

/// What each imported name stands for: a module of migrations, or the class in one.
fn imported(body: &[Stmt]) -> HashMap<&str, String> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let mut names = HashMap::new();
    for stmt in body {
        match stmt {
            Stmt::ImportFrom(import) => {
                for alias in &import.names {
                    let bound = alias.asname.as_ref().unwrap_or(&alias.name).id.as_str();
                    let module = import.module.as_ref().map(|module| last(&module.id));
                    match module {
                        Some(module) if module.starts_with("Migration_") => names.insert(bound, module),
                        _ => names.insert(bound, alias.name.id.to_string()),
                    };
                }
            }
            Stmt::Import(import) => {
                for alias in &import.names {
                    if let Some(bound) = &alias.asname {
                        names.insert(bound.id.as_str(), last(&alias.name.id));
                    }
                }
            }
            _ => {}
        }
    }
    names
}

/// The file that a class in the list comes from.
fn stem(class: &Expr, names: &HashMap<&str, String>) -> Option<String> {
    let found = match class {
        Expr::Name(name) => names.get(name.id.as_str())?.clone(),
        // `Migration_1_a.Migration`, or the same below the package that was imported.
        Expr::Attribute(attribute) if attribute.attr.id == "Migration" => match &*attribute.value {
            Expr::Name(name) => names.get(name.id.as_str()).cloned().unwrap_or_else(|| name.id.to_string()),
            Expr::Attribute(inner) => inner.attr.id.to_string(),
            _ => return None,
        },
        _ => return None,
    };
    found.starts_with("Migration_").then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &str) -> Result<Vec<String>, String> {
        let registered = read(source).map_err(|problem| problem.to_string())?;
        Ok(registered.into_iter().map(|entry| format!("{} {:?}", entry.name, entry.time)).collect())
    }

    #[test]
    fn every_way_to_import_a_migration_is_understood() {
        let source = "
import migrations.Migration_1_a as first
from migrations.Migration_2_b import Migration as Second
from . import Migration_3_c
from .Migration_4_d import Migration
import migrations.Migration_5_e

all_migrations = [
    first.Migration(1, 'a'),
    Second(timestamp=2, name='b'),
    Migration_3_c.Migration(3, 'c'),
    Migration(TIME, 'd'),
    migrations.Migration_5_e.Migration,
]
";
        let expected = [
            "Migration_1_a Some(1)",
            "Migration_2_b Some(2)",
            "Migration_3_c Some(3)",
            "Migration_4_d None",
            "Migration_5_e None",
        ];
        assert_eq!(names(source).unwrap(), expected);
        assert_eq!(names("all_migrations = []\n").unwrap(), [""; 0]);
    }

    #[test]
    fn a_list_that_is_computed_is_refused_with_its_line() {
        for (source, message) in [
            ("x = 1\n", "all_migrations.py:1: it does not assign `all_migrations`"),
            ("\nall_migrations = sorted(x)\n", "all_migrations.py:2: `all_migrations` is computed"),
            (
                "all_migrations = [\n  x(),\n]\n",
                "all_migrations.py:2: `x` is not imported from a file of migrations",
            ),
            (
                "all_migrations = []\nall_migrations = []\n",
                "all_migrations.py:2: `all_migrations` is assigned twice",
            ),
        ] {
            let error = names(source).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
