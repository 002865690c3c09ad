//! Running a script in a Python of the user's own, outside of any sandbox.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::{EngineError, Entry, Limits, Script};

/// What the interpreter is given to run.
const DRIVER: &str = include_str!("driver.py");

/// Longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// What a run in a real interpreter came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealOutcome {
    /// The interpreter and torch with their versions, as the ledger records them.
    pub engine: String,
    /// What was printed, on both streams, cut at [`Limits::printed_bytes`].
    pub printed: String,
}

#[derive(Debug, Default, Deserialize)]
struct Answer {
    #[serde(default)]
    engine: Option<String>,
    #[serde(default)]
    returned: Option<String>,
    #[serde(default)]
    error: Option<Raised>,
}

#[derive(Debug, Deserialize)]
struct Raised {
    exception: String,
    message: String,
    line: Option<u32>,
}

/// Runs one function of a script in the interpreter `program`, which loads the torch file `input` and writes what the
/// function returns to `output`. `folder` is its own and takes what else is written.
///
/// Nothing bounds what the script, or the checkpoint's pickle, does meanwhile: this is for what somebody has looked
/// at and trusts.
///
/// # Errors
///
/// If the interpreter cannot be started or has no torch, the script raises, or nothing comes back.
pub fn run_real(
    program: &OsStr,
    script: &Script<'_>,
    entry: Entry,
    (input, output): (&Path, &Path),
    folder: &Path,
    limits: &Limits,
) -> Result<RealOutcome, EngineError> {
    let path = |name: &str| folder.join(name);
    let (driver, answer, said) = (path("driver.py"), path("answer.json"), path("printed"));
    let source = path(script.file);
    fs::write(&driver, DRIVER).map_err(EngineError::Pipe)?;
    fs::write(&source, script.source).map_err(EngineError::Pipe)?;
    let printed = File::create(&said).map_err(EngineError::Pipe)?;
    let both = printed.try_clone().map_err(EngineError::Pipe)?;
    let arguments: [OsString; 6] = [
        driver.into(),
        source.into(),
        entry.function().into(),
        input.into(),
        output.into(),
        PathBuf::from(&answer).into(),
    ];
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(printed)
        .stderr(both)
        .status()
        .map_err(|source| EngineError::Start { program: program.into(), source })?;
    let printed = read_up_to(&said, limits.printed_bytes).unwrap_or_default();
    let file = script.file.to_owned();
    let answer = read_up_to(&answer, MAX_ANSWER_BYTES).ok();
    let answer: Option<Answer> = answer.and_then(|text| serde_json::from_str(&text).ok());
    let Some(answer) = answer else {
        let message = printed.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        return Err(EngineError::Crashed {
            script: file,
            status: status.to_string(),
            message: message.to_owned(),
        });
    };
    if let Some(Raised { exception, message, line }) = answer.error {
        return Err(EngineError::Raised { script: file, line, exception, message, traceback: Vec::new() });
    }
    if let Some(type_name) = answer.returned {
        return Err(EngineError::NotReturned {
            script: file,
            line: None,
            function: entry.function().to_owned(),
            type_name,
        });
    }
    Ok(RealOutcome { engine: answer.engine.unwrap_or_else(|| "python".to_owned()), printed })
}

fn read_up_to(path: &Path, bytes: u64) -> io::Result<String> {
    let mut read = Vec::new();
    File::open(path)?.take(bytes).read_to_end(&mut read)?;
    Ok(String::from_utf8_lossy(&read).into_owned())
}
