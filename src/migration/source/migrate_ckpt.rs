//! The form of migrate-ckpt: a Python file with a function `handle`.
//!
//! ```python
//! def handle(ckpt):
//!     return ckpt
//! ```
//!
//! Such a migration has no version and no metadata. Source of the form: `migrate_ckpt.migrate_from_folder` of
//! <https://github.com/ruflab/migrate-ckpt>, which runs the files of a folder in the order of their names, each on a
//! deep copy, from the one after the last that the checkpoint's list of names has.

use super::python::{self, Module, binds};
use super::{Form, Outline, digest};
use crate::migration::version::Version;

/// Whether a module is of this form.
pub(super) fn is_one(module: &Module<'_>) -> bool {
    module.syntax.body.iter().any(|stmt| binds(stmt, "handle"))
}

/// Reads a module of this form.
pub(super) fn read(module: &Module<'_>) -> Outline {
    let body = &module.syntax.body;
    Outline {
        form: Form::MigrateCkpt,
        package: String::new(),
        version: Version::absent(),
        is_final: false,
        digest: digest(module, |_| false),
        has_migrate: true,
        // The framework has no rollbacks. One that is written all the same is taken.
        has_rollback: python::has_rollback(body),
        body: None,
        has_setup: false,
        summary: python::summary(body),
    }
}
