//! What a branch of the code's own repository holds, asked of the `git` program.

use std::path::Path;
use std::process::{Command, Stdio};

use super::super::RepoError;

/// Names of the files that a folder has on a branch.
///
/// # Errors
///
/// If there is no git, no repository, or no such branch.
pub(super) fn files_on(branch: &str, directory: &Path) -> Result<Vec<String>, RepoError> {
    let failed = |reason: String| RepoError::Git { branch: branch.to_owned(), reason };
    let git = |arguments: &[&str]| -> Result<Vec<u8>, RepoError> {
        let output = Command::new("git")
            .current_dir(directory)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed(format!("cannot start git: {error}")))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or_default().trim_start_matches("fatal: ").to_owned();
        Err(failed(if said.is_empty() { "there is no such branch".into() } else { said }))
    };
    let commit =
        git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{branch}^{{commit}}")])?;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    let listed = git(&["ls-tree", "-z", "--name-only", &commit, "./"])?;
    let names = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| String::from_utf8_lossy(name).trim_start_matches("./").to_owned()).collect())
}
