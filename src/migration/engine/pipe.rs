//! The messages between ckstore and its worker: a length of eight bytes, little-endian, then postcard.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::TraceLine;
use super::{Computed, Entry, Expr};
use crate::value::{Graph, Node, NodeId, Storage};

/// What the worker shall do, as sent.
#[derive(Serialize)]
pub(super) struct Task<'a> {
    pub name: &'a str,
    pub file: &'a str,
    pub source: &'a str,
    pub entry: Entry,
    pub memory_bytes: u64,
    pub cpu_millis: u64,
    pub message_bytes: u64,
    pub printed_bytes: u64,
    pub graph: &'a Graph,
}

/// What the worker shall do, as received.
#[derive(Deserialize)]
pub(super) struct OwnedTask {
    pub name: String,
    pub file: String,
    pub source: String,
    pub entry: Entry,
    pub memory_bytes: u64,
    pub cpu_millis: u64,
    pub message_bytes: u64,
    pub printed_bytes: u64,
    pub graph: Graph,
}

/// What the worker says.
#[derive(Serialize, Deserialize)]
pub(super) enum FromWorker {
    /// It needs the bytes of a small result, dense and little-endian.
    Evaluate(Expr),
    /// The script has run.
    Done(Box<Answer>),
    /// The script has failed.
    Failed(Failure),
}

/// What ckstore replies to [`FromWorker::Evaluate`].
#[derive(Serialize, Deserialize)]
pub(super) enum Reply {
    Bytes(Vec<u8>),
    Refused(String),
}

/// The edits of a script.
#[derive(Serialize, Deserialize)]
pub(super) struct Answer {
    pub changed: Vec<(NodeId, Node)>,
    pub added: Vec<Node>,
    pub root: NodeId,
    pub storages: Vec<Storage>,
    pub computed: Vec<Computed>,
    pub skipped: Option<String>,
    pub printed: String,
}

/// Why there are no edits.
#[derive(Serialize, Deserialize)]
pub(super) enum Failure {
    Syntax { line: u32, message: String },
    Raised { line: Option<u32>, exception: String, message: String, traceback: Vec<TraceLine> },
    NotAvailable { line: Option<u32>, name: String, message: String },
    Timeout { line: Option<u32> },
    Memory,
    NotReturned { type_name: String },
    CannotStore { path: String, type_name: String },
    NoEntry,
    Checkpoint { reason: String },
}

/// The longest result that a script may look at, in bytes.
pub(super) const MAX_LOOK_BYTES: u64 = 16 << 20;

/// Writes one message.
pub(super) fn send(pipe: &mut impl Write, message: &impl Serialize, limit_bytes: u64) -> io::Result<()> {
    let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
    if bytes.len() as u64 > limit_bytes {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("the message has {} bytes, more than the {limit_bytes} allowed", bytes.len()),
        ));
    }
    pipe.write_all(&(bytes.len() as u64).to_le_bytes())?;
    pipe.write_all(&bytes)?;
    pipe.flush()
}

/// Reads one message.
pub(super) fn receive<T: DeserializeOwned>(pipe: &mut impl Read, limit_bytes: u64) -> io::Result<T> {
    let mut length = [0; 8];
    pipe.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > limit_bytes {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the message has {length} bytes, more than the {limit_bytes} allowed"),
        ));
    }
    // The buffer grows with what arrives: a lying length takes no memory.
    let mut bytes = Vec::new();
    pipe.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    postcard::from_bytes(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_beyond_the_limit_or_the_pipe_are_refused() {
        let mut pipe = Vec::new();
        send(&mut pipe, &"hello", 100).unwrap();
        assert_eq!(receive::<String>(&mut pipe.as_slice(), 100).unwrap(), "hello");
        assert_eq!(
            receive::<String>(&mut pipe.as_slice(), 5).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert!(send(&mut Vec::new(), &"hello", 5).is_err());
        pipe[0] = 200;
        assert_eq!(
            receive::<String>(&mut pipe.as_slice(), 1000).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
