//! The form of the Exodus model templates: a Python file with a class that migrates all documents of a collection.
//!
//! ```python
//! class Migration(BaseMigration):
//!     def up(self, collection): ...
//!     def down(self, collection): ...
//! ```
//!
//! The file is called `Migration_{ms}_{name}.py`, with milliseconds since 1970. Source of the form:
//! `exodusutils.migration` of exodusutils 0.3.53, <https://pypi.org/project/exodusutils/>.

use ruff_python_ast::{Expr, Stmt, StmtClassDef};

use super::python::{self, Module, is_name};
use super::{Form, Migration, Outline, Problem, digest};
use crate::migration::version::Version;

/// Whether a module is of this form.
pub(super) fn is_one(module: &Module<'_>) -> bool {
    class(module).is_some()
}

/// Reads a module of this form.
pub(super) fn read(module: &Module<'_>) -> Outline {
    let class = class(module).expect("the form was recognised by it");
    let method = |name: &str| {
        let methods = class.body.iter().filter_map(Stmt::as_function_def_stmt);
        methods.filter(|function| function.name.id == name).last()
    };
    Outline {
        form: Form::Exodus,
        package: String::new(),
        version: Version::absent(),
        is_final: false,
        digest: digest(module, |_| false),
        has_migrate: method("up").is_some(),
        // A `down` that does nothing would leave the documents as they are and say that it was undone.
        has_rollback: method("down").is_some_and(|down| !does_nothing(&down.body)),
        body: None,
        has_setup: false,
        summary: python::summary(&module.syntax.body).or_else(|| python::summary(&class.body)),
    }
}

/// The class `Migration` with the base class of the form.
fn class<'a>(module: &'a Module<'_>) -> Option<&'a StmtClassDef> {
    let is_base = |expr: &Expr| {
        is_name(expr, "BaseMigration")
            || expr.as_attribute_expr().is_some_and(|attribute| attribute.attr.id == "BaseMigration")
    };
    let classes = module.syntax.body.iter().filter_map(Stmt::as_class_def_stmt);
    classes.filter(|class| class.name.id == "Migration" && class.bases().iter().any(is_base)).last()
}

fn does_nothing(body: &[Stmt]) -> bool {
    body.iter().all(|stmt| match stmt {
        Stmt::Pass(_) => true,
        Stmt::Expr(expr) => expr.value.is_literal_expr(),
        Stmt::Return(returned) => returned.value.as_ref().is_none_or(|value| value.is_none_literal_expr()),
        _ => false,
    })
}

/// Time and name as the name of a file tells them: `Migration_1642482873113_add_owner`.
pub(crate) fn time_and_name(stem: &str) -> Option<(i64, &str)> {
    let (time, name) = stem.strip_prefix("Migration_")?.split_once('_')?;
    let digits = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    Some((time.parse().ok().filter(|_| digits)?, name))
}

/// What is wrong with the times of migrations of this form, in the order in which they run or are registered: two of
/// one time, or one that goes back. Either leaves it open which comes first.
pub fn problems_of_time<'a>(migrations: impl IntoIterator<Item = &'a Migration>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut newest: Option<(i64, &Migration)> = None;
    for migration in migrations.into_iter().filter(|migration| migration.form == Form::Exodus) {
        let about = |message| Problem { file: migration.file.clone(), line: None, message };
        let Some(time) = migration.time() else {
            problems.push(about("its name is not `Migration_{milliseconds}_{name}.py`".to_owned()));
            continue;
        };
        match newest {
            Some((known, other)) if known == time => {
                problems.push(about(format!("`{}` has the same time", other.file)));
            }
            Some((known, other)) if known > time => {
                problems
                    .push(about(format!("its time is before that of `{}`, which comes first", other.file)));
                continue;
            }
            _ => {}
        }
        newest = Some((time, migration));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(down: &str) -> Migration {
        let text = format!(
            "from exodusutils.migration.base_migration import BaseMigration\n\n\nclass Migration(BaseMigration):\n    \
             def up(self, collection):\n        collection.update_many({{}}, {{'$set': {{'a': 1}}}})\n\n    \
             def down(self, collection):\n{down}\n"
        );
        Migration::read("Migration_1642482873113_add_a.py", text.into(), None).unwrap()
    }

    #[test]
    fn a_down_that_does_nothing_is_none() {
        for nothing in [
            "        pass",
            "        '''Cannot be undone.'''",
            "        return",
            "        return None",
            "        ...",
        ] {
            assert!(!read_text(nothing).has_rollback, "{nothing}");
        }
        for something in ["        raise NotImplementedError", "        collection.delete_many({})"] {
            assert!(read_text(something).has_rollback, "{something}");
        }
        let migration = read_text("        pass");
        assert_eq!((migration.form, migration.has_migrate), (Form::Exodus, true));
        assert_eq!(migration.time(), Some(1_642_482_873_113));
    }

    #[test]
    fn names_tell_the_time() {
        assert_eq!(time_and_name("Migration_12_a_b"), Some((12, "a_b")));
        for name in ["Migration_x_a", "Migration__a", "Migration_12", "1_a", "Migration_-1_a"] {
            assert_eq!(time_and_name(name), None, "{name}");
        }
    }
}
