//! Why a script gave no checkpoint.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ExprError;

/// Why a script gave no checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The text is no Python.
    #[error("{script}, line {line}: {message}")]
    Syntax {
        /// The script's file.
        script: String,
        /// Where, counted from one.
        line: u32,
        /// What the parser says.
        message: String,
    },
    /// The script raised an exception.
    #[error("{script}{}: {exception}{}", at(*.line), colon(.message))]
    Raised {
        /// The script's file.
        script: String,
        /// The innermost line of the script that was running.
        line: Option<u32>,
        /// The exception's class.
        exception: String,
        /// The exception's text.
        message: String,
        /// Where it came from, outermost first.
        traceback: Vec<TraceLine>,
    },
    /// The script asked for something that the sandbox does not have.
    #[error("{script}{}: {message}", at(*.line))]
    NotAvailable {
        /// The script's file.
        script: String,
        /// The line that asked.
        line: Option<u32>,
        /// The module or function.
        name: String,
        /// A sentence that names it.
        message: String,
    },
    /// The script ran too long.
    #[error("{script}{}: stopped after {seconds} s", at(*.line))]
    Timeout {
        /// The script's file.
        script: String,
        /// The line it was at, where that could be found out.
        line: Option<u32>,
        /// The limit.
        seconds: u64,
    },
    /// The script needs more memory than it may use.
    #[error("{script}: needs more than the {limit_bytes} bytes of memory that a script may use")]
    Memory {
        /// The script's file.
        script: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// The worker process ended in an unforeseen way, as after a stack overflow.
    #[error("{script}: the interpreter crashed ({status}){}", colon(.message))]
    Crashed {
        /// The script's file.
        script: String,
        /// How the process ended.
        status: String,
        /// The last it said.
        message: String,
    },
    /// The function returned something else than the checkpoint.
    #[error("{script}{}: `{function}` returned {type_name} instead of the checkpoint", at(*.line))]
    NotReturned {
        /// The script's file.
        script: String,
        /// The line of the function, where that is known.
        line: Option<u32>,
        /// The function.
        function: String,
        /// What it returned.
        type_name: String,
    },
    /// The script put something into the checkpoint that no checkpoint can hold.
    #[error("{script}{}: `{path}` holds a {type_name}, which a checkpoint cannot keep", at(*.line))]
    CannotStore {
        /// The script's file.
        script: String,
        /// The line of the function, where that is known.
        line: Option<u32>,
        /// Where in the checkpoint.
        path: String,
        /// What it is.
        type_name: String,
    },
    /// The script does not define the function.
    #[error("{script}: defines no `{function}`")]
    NoEntry {
        /// The script's file.
        script: String,
        /// The function.
        function: String,
    },
    /// The checkpoint cannot be shown to a script.
    #[error("the checkpoint cannot be shown to a script: {reason}")]
    Checkpoint {
        /// Why.
        reason: String,
    },
    /// The worker answered with something that is not sound.
    #[error("{script}: the worker's answer was refused: {reason}")]
    Refused {
        /// The script's file.
        script: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An expression is not sound.
    #[error("a computed tensor is not sound")]
    Expr(#[from] ExprError),
    /// Tensors would take more room than allowed.
    #[error("computed tensors would take {bytes} bytes, more than the {limit_bytes} allowed")]
    TooLarge {
        /// What they would take.
        bytes: u64,
        /// What is allowed.
        limit_bytes: u64,
    },
    /// An index that was computed lies outside its tensor.
    #[error("index {index} is out of range for {extent} entries")]
    Index {
        /// The index.
        index: i64,
        /// The number of entries.
        extent: u64,
    },
    /// The worker process cannot be started.
    #[error("cannot start `{}`", program.display())]
    Start {
        /// The executable.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The worker process cannot be talked to.
    #[error("cannot talk to the worker")]
    Pipe(#[source] io::Error),
    /// Bytes of a storage cannot be read.
    #[error("cannot read the bytes of a tensor")]
    Read(#[source] io::Error),
    /// What a function of a script made cannot be.
    #[error("{script}{}", at(*.line))]
    Made {
        /// The script's file.
        script: String,
        /// The line of the function.
        line: Option<u32>,
        /// Why.
        #[source]
        source: Box<EngineError>,
    },
    /// Computed bytes cannot be written.
    #[error("cannot write the bytes of a computed tensor")]
    Write(#[source] io::Error),
}

impl EngineError {
    /// The same with a script and the line on which its function begins, where the error names neither.
    pub fn of_function(mut self, script: &str, function_line: Option<u32>) -> EngineError {
        if let EngineError::NotReturned { line, .. } | EngineError::CannotStore { line, .. } = &mut self {
            *line = line.or(function_line);
        }
        match self {
            EngineError::TooLarge { .. } | EngineError::Expr(_) | EngineError::Index { .. } => {
                EngineError::Made { script: script.to_owned(), line: function_line, source: Box::new(self) }
            }
            other => other,
        }
    }
}

/// One line of a traceback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceLine {
    /// The file.
    pub file: String,
    /// The line, counted from one.
    pub line: u32,
    /// The function.
    pub function: String,
    /// The line's text, where it is the script's.
    pub text: String,
}

impl fmt::Display for TraceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}, in {}", self.file, self.line, self.function)?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}

fn at(line: Option<u32>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

fn colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}
