//! The declarative form: a TOML file that says what to do with which places.
//!
//! ```toml
//! summary = "Renames the embedding"
//! version = "0.8.1"
//!
//! [[step]]
//! in = "state_dict"
//! rename = "*.emb.*"
//! to = "*.embed.*"
//! ```
//!
//! Above the steps stand `version` (or `versions`, by package), `final` and `summary`. Nothing else is known, and
//! what is not known is an error.

use toml::de::DeTable;

use super::{Flaw, Form, Outline, Package};
use crate::migration::declarative::{self as steps, Body, Fields, Text};
use crate::migration::version::Version;

/// Reads a file of this form.
pub(super) fn read(source: &str, package: Package<'_>) -> Result<Outline, Flaw> {
    read_table(source, package).map_err(|flaw| Flaw { line: flaw.line, message: flaw.message })
}

fn read_table(source: &str, package: Package<'_>) -> Result<Outline, steps::Flaw> {
    let text = Text(source);
    let table = DeTable::parse(source).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        text.flaw(span, format!("not valid TOML: {}", error.message()))
    })?;
    let mut fields = Fields::new(text, 0..0, table.get_ref(), "a migration");
    let summary = fields.text("summary")?;
    let is_final = fields.flag("final")?.unwrap_or(false);
    let (package, version) = version(text, &mut fields, package)?;
    let body = match fields.take("step") {
        None => Body::default(),
        Some(value) => match value.get_ref().as_array() {
            Some(tables) => Body::read(text, tables)?,
            None => return Err(fields.wrong(value, "step", "a table for each step, `[[step]]`")),
        },
    };
    fields.finish()?;
    Ok(Outline {
        form: Form::Declarative,
        package,
        version,
        is_final,
        digest: body.digest(),
        // One that is begun and has no steps yet runs, and does nothing.
        has_migrate: !is_final || !body.is_empty(),
        has_rollback: !is_final && body.inverse().is_some(),
        body: Some(body),
        has_setup: false,
        summary,
    })
}

/// The package, where the file names one, and its version.
fn version(
    text: Text<'_>,
    fields: &mut Fields<'_>,
    package: Package<'_>,
) -> Result<(String, Version), steps::Flaw> {
    let own = fields.read("version", |text| text.parse::<Version>().map_err(|error| error.to_string()))?;
    let Some(table) = fields.take("versions") else {
        let named = if let Package::Named(name) = package { name } else { "" };
        return Ok((named.to_owned(), fields.required("version", own)?));
    };
    if own.is_some() {
        return Err(fields.wrong(table, "versions", "needed beside `version`"));
    }
    let packages = table.get_ref().as_table();
    let packages =
        packages.ok_or_else(|| fields.wrong(table, "versions", "a table of versions by package"))?;
    let mut found: Vec<_> =
        packages.iter().map(|(name, value)| (name.get_ref().as_ref(), (name, value))).collect();
    found.retain(|(name, _)| package.allows(name));
    let chosen = package.choose(&found).map_err(|message| text.flaw(table.span(), message));
    let (package, value) = chosen.map(|(name, value)| (name.get_ref().as_ref(), value))?;
    let version = value.get_ref().as_str().ok_or_else(|| fields.wrong(value, package, "text"))?;
    let version = version.parse().map_err(|error| text.flaw(value.span(), format!("{error}")))?;
    Ok((package.to_owned(), version))
}
