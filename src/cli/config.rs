//! `ckstore config`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::output::Output;
use super::session::Session;

/// Read or change the settings of the store
///
/// Settings: `catalogue`, the folder of migrations for refs that have none of their own; `durability`, which is
/// `full`, or `cache` to leave it to the system when what is written reaches the disk: faster, but a power loss
/// may then damage the store.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The setting; without it, all that have a value are listed
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// Its new value; without it, the value is shown
    #[arg(value_name = "VALUE")]
    value: Option<String>,
    /// Take the setting's value away
    #[arg(long, requires = "key", conflicts_with = "value")]
    unset: bool,
}

/// Runs the command.
pub fn run(args: &ConfigArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let mut repo = session.open()?;
    let Some(key) = &args.key else {
        let settings: BTreeMap<String, String> = repo.config_list()?.into_iter().collect();
        output.report(&settings, |out| {
            settings.iter().try_for_each(|(key, value)| writeln!(out, "{key} = {value}"))
        })?;
        return Ok(ExitCode::SUCCESS);
    };
    if args.unset || args.value.is_some() {
        let value = args.value.as_deref().map(|value| setting_value(key, value)).transpose()?;
        repo.config_set(key, value.as_deref())?;
        output.report(&json!({ key.as_str(): value }), |_| Ok(()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let value = repo.config_get(key)?;
    output.report(&json!({ key.as_str(): value }), |out| match &value {
        Some(value) => writeln!(out, "{value}"),
        None => Ok(()),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A folder is kept as an absolute path, so that it means the same wherever ckstore is started.
fn setting_value(key: &str, value: &str) -> Result<String, Failure> {
    if key != "catalogue" {
        return Ok(value.to_owned());
    }
    let path = std::path::absolute(value).map_err(|error| Failure::unreadable(value.as_ref(), &error))?;
    Ok(path.to_string_lossy().into_owned())
}
