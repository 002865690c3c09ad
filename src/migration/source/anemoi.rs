//! The form of anemoi-models: a Python file with its metadata in an assignment.
//!
//! ```python
//! metadata = MigrationMetadata(versions={"migration": "1.0.0", "anemoi-models": "0.9.4"}, final=False)
//! ```
//!
//! Source of the form: `anemoi.models.migrations.migrator` of anemoi-models 0.19.

use std::collections::HashMap;

use ruff_python_ast::{Expr, ExprCall, Stmt};
use ruff_text_size::Ranged;

use super::python::{self, Module, binds, is_name};
use super::{Flaw, Form, Outline, Package, digest};
use crate::migration::version::Version;

/// Whether a module is of this form.
pub(super) fn is_one(module: &Module<'_>) -> bool {
    module.syntax.body.iter().any(|stmt| assigned_metadata(stmt).is_some())
}

/// Reads a module of this form.
pub(super) fn read(module: &Module<'_>, package: Package<'_>) -> Result<Outline, Flaw> {
    let reader = Reader { module };
    let body = &module.syntax.body;
    let mut assignments = body.iter().filter_map(assigned_metadata);
    let metadata = assignments.next().expect("the form was recognised by it");
    if let Some(second) = assignments.next() {
        return Err(reader.flaw(second, "`metadata` is assigned twice"));
    }
    if let Some(edit) = body.iter().find(|stmt| edits_metadata(stmt)) {
        return Err(reader.flaw(edit, "`metadata` is changed after it was assigned"));
    }
    let metadata = reader.metadata(metadata)?;
    let (package, (version, line)) =
        metadata.version(package).map_err(|message| reader.flaw(metadata.call, message))?;
    let version: Version = version.parse().map_err(|error| Flaw { line, message: format!("{error}") })?;
    let defines = |name| body.iter().any(|stmt| binds(stmt, name));
    Ok(Outline {
        form: Form::Anemoi,
        package: package.to_owned(),
        version,
        is_final: metadata.is_final,
        digest: digest(module, |stmt| assigned_metadata(stmt).is_some()),
        has_migrate: defines("migrate"),
        has_rollback: python::has_rollback(body),
        body: None,
        has_setup: defines("migrate_setup"),
        summary: python::summary(body),
    })
}

/// The value that a statement assigns to the name `metadata`.
fn assigned_metadata(stmt: &Stmt) -> Option<&Expr> {
    match stmt {
        Stmt::Assign(assign) => match assign.targets.as_slice() {
            [target] if is_name(target, "metadata") => Some(&assign.value),
            _ => None,
        },
        Stmt::AnnAssign(assign) if is_name(&assign.target, "metadata") => assign.value.as_deref(),
        _ => None,
    }
}

/// Whether a statement changes `metadata` in another way than by assigning it once.
fn edits_metadata(stmt: &Stmt) -> bool {
    let targets: &[Expr] = match stmt {
        Stmt::Assign(assign) if assigned_metadata(stmt).is_none() => &assign.targets,
        Stmt::AugAssign(assign) => std::slice::from_ref(&assign.target),
        Stmt::Delete(delete) => &delete.targets,
        _ => return false,
    };
    targets.iter().any(|target| {
        let mut place = target;
        loop {
            place = match place {
                Expr::Attribute(attribute) => &attribute.value,
                Expr::Subscript(subscript) => &subscript.value,
                _ => return is_name(place, "metadata"),
            }
        }
    })
}

/// The call's literals.
struct Metadata<'m> {
    call: &'m ExprCall,
    /// Version by package, with its line.
    versions: HashMap<&'m str, (&'m str, u32)>,
    is_final: bool,
}

impl<'m> Metadata<'m> {
    /// The model package and its version.
    fn version(&self, package: Package<'_>) -> Result<(&'m str, (&'m str, u32)), String> {
        let mut found: Vec<_> =
            self.versions.iter().map(|(name, version)| (*name, (*name, *version))).collect();
        found.retain(|(name, _)| package.allows(name));
        found.sort_unstable();
        package.choose(&found)
    }
}

struct Reader<'m, 'a> {
    module: &'m Module<'a>,
}

impl<'m> Reader<'m, '_> {
    fn flaw(&self, node: impl Ranged, message: impl Into<String>) -> Flaw {
        Flaw { line: self.module.line(node), message: message.into() }
    }

    fn metadata(&self, value: &'m Expr) -> Result<Metadata<'m>, Flaw> {
        let Expr::Call(call) = value else {
            return Err(self.flaw(value, "`metadata` is not a call of `MigrationMetadata`"));
        };
        let called = match &*call.func {
            Expr::Name(name) => Some(&name.id),
            Expr::Attribute(attribute) => Some(&attribute.attr.id),
            _ => None,
        };
        if called.is_none_or(|name| name != "MigrationMetadata") {
            return Err(self.flaw(call, "`metadata` is not a call of `MigrationMetadata`"));
        }
        let mut fields: [Option<&Expr>; 2] = [None, None];
        const NAMES: [&str; 2] = ["versions", "final"];
        if let Some(extra) = call.arguments.args.get(NAMES.len()) {
            return Err(self.flaw(extra, "`MigrationMetadata` takes two arguments"));
        }
        for (field, arg) in fields.iter_mut().zip(&call.arguments.args) {
            *field = Some(arg);
        }
        for keyword in &call.arguments.keywords {
            let Some(name) = &keyword.arg else {
                return Err(self.flaw(keyword, "`metadata` is computed: only literals are read"));
            };
            let Some(index) = NAMES.iter().position(|known| name.id == *known) else {
                return Err(self.flaw(keyword, format!("`MigrationMetadata` has no field `{}`", name.id)));
            };
            if fields[index].replace(&keyword.value).is_some() {
                return Err(self.flaw(keyword, format!("`{}` is given twice", name.id)));
            }
        }
        let [versions, is_final] = fields;
        let versions = versions.ok_or_else(|| self.flaw(call, "`MigrationMetadata` lacks `versions`"))?;
        let is_final = match is_final {
            None => false,
            Some(Expr::BooleanLiteral(literal)) => literal.value,
            Some(other) => return Err(self.flaw(other, "`final` is neither `True` nor `False`")),
        };
        Ok(Metadata { call, versions: self.versions(versions)?, is_final })
    }

    fn versions(&self, value: &'m Expr) -> Result<HashMap<&'m str, (&'m str, u32)>, Flaw> {
        let Expr::Dict(dict) = value else {
            return Err(self.flaw(value, "`versions` is computed: only a literal dict is read"));
        };
        let mut versions = HashMap::new();
        for item in &dict.items {
            let key = item.key.as_ref().and_then(string);
            let key =
                key.ok_or_else(|| self.flaw(&item.value, "a key of `versions` is not a literal string"))?;
            let Some(version) = string(&item.value) else {
                return Err(self.flaw(&item.value, format!("the version of `{key}` is not a literal string")));
            };
            if versions.insert(key, (version, self.module.line(&item.value))).is_some() {
                return Err(self.flaw(&item.value, format!("`versions` has `{key}` twice")));
            }
        }
        Ok(versions)
    }
}

fn string(expr: &Expr) -> Option<&str> {
    expr.as_string_literal_expr().map(|literal| literal.value.to_str())
}
