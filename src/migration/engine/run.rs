//! The parent's side: starts the worker, answers its questions, ends it in time.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::pipe::{Failure, FromWorker, MAX_LOOK_BYTES, Reply, Task, receive, send};
use super::{EngineError, Entry, Expr, Limits, Outcome, Script, StorageBytes, Worker, check, evaluate};
use crate::value::Graph;

/// How much of the worker's standard error is kept, in bytes.
const KEPT_COMPLAINT_BYTES: usize = 8 << 10;

/// Runs one function of a script on a checkpoint.
///
/// Runs `migrate_setup(context)` first where the script defines it: its moves are edits of class paths, and
/// [`Entry::Rollback`] makes them backwards. The graph that was given is not changed; on an error there is
/// nothing to undo.
pub fn run(
    worker: &Worker,
    script: &Script<'_>,
    entry: Entry,
    graph: &Graph,
    bytes: &mut dyn StorageBytes,
    limits: &Limits,
) -> Result<Outcome, EngineError> {
    let started = Instant::now();
    let mut child = Command::new(&worker.program)
        .arg(super::WORKER_ARGUMENT)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| EngineError::Start { program: worker.program.clone(), source })?;
    let task = Task {
        name: script.name,
        file: script.file,
        source: script.source,
        entry,
        memory_bytes: limits.memory_bytes,
        cpu_millis: u64::try_from(limits.cpu.as_millis()).unwrap_or(u64::MAX),
        message_bytes: limits.message_bytes,
        printed_bytes: limits.printed_bytes,
        graph,
    };
    let deadline = started + limits.wall;
    let (ending, complaint, out_of_time) = supervise(&mut child, deadline, |stdin, stdout| {
        send(stdin, &task, limits.message_bytes)?;
        let mut looked_bytes = 0u64;
        loop {
            match receive::<FromWorker>(stdout, limits.message_bytes)? {
                FromWorker::Evaluate(expr) => {
                    let reply = match look(&expr, graph, bytes, limits, &mut looked_bytes) {
                        Ok(bytes) => Reply::Bytes(bytes),
                        Err(error) => Reply::Refused(error.to_string()),
                    };
                    send(stdin, &reply, limits.message_bytes)?;
                }
                FromWorker::Done(answer) => return Ok(Ok(answer)),
                FromWorker::Failed(failure) => return Ok(Err(failure)),
            }
        }
    });
    let status = child.wait().map_err(EngineError::Pipe)?;
    let file = script.file.to_owned();
    match ending {
        Ok(Ok(answer)) => check::apply(&file, graph, *answer, limits),
        Ok(Err(failure)) => Err(told(failure, file, entry, limits)),
        Err(_) if out_of_time => {
            Err(EngineError::Timeout { script: file, line: None, seconds: limits.wall.as_secs() })
        }
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(EngineError::Pipe(error)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(EngineError::Refused { script: file, reason: error.to_string() })
        }
        Err(_) => Err(crash(status, &complaint, file, limits)),
    }
}

/// Runs a conversation with the child while its standard error is drained and its deadline watched.
fn supervise<T>(
    child: &mut Child,
    deadline: Instant,
    talk: impl FnOnce(&mut std::process::ChildStdin, &mut std::process::ChildStdout) -> io::Result<T>,
) -> (io::Result<T>, String, bool) {
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let mut stdout = child.stdout.take().expect("stdout is piped");
    let mut stderr = child.stderr.take().expect("stderr is piped");
    thread::scope(|scope| {
        let complaint = scope.spawn(move || {
            let mut kept = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stderr.read(&mut buffer) {
                kept.extend_from_slice(&buffer[..n]);
                if kept.len() > 2 * KEPT_COMPLAINT_BYTES {
                    kept.drain(..kept.len() - KEPT_COMPLAINT_BYTES);
                }
            }
            String::from_utf8_lossy(&kept).into_owned()
        });
        let (done, wait) = mpsc::channel::<()>();
        let watch = scope.spawn(move || {
            let left = deadline.saturating_duration_since(Instant::now());
            if wait.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                // Nobody waits for the child before this thread has ended, so the process is still ours.
                let _ = child.kill();
                return true;
            }
            // After its last word a worker ends by itself; one that does not is helped.
            let grace = Instant::now() + Duration::from_millis(500);
            while Instant::now() < grace {
                if !matches!(child.try_wait(), Ok(None)) {
                    return false;
                }
                thread::sleep(Duration::from_millis(1));
            }
            let _ = child.kill();
            false
        });
        let ending = talk(&mut stdin, &mut stdout);
        drop((stdin, stdout, done));
        let out_of_time = watch.join().unwrap_or(false);
        (ending, complaint.join().unwrap_or_default(), out_of_time)
    })
}

fn look(
    expr: &Expr,
    graph: &Graph,
    bytes: &mut dyn StorageBytes,
    limits: &Limits,
    looked_bytes: &mut u64,
) -> Result<Vec<u8>, EngineError> {
    let shapes = expr.check(&graph.storages)?;
    let limit_bytes = limits.computed_bytes(graph);
    *looked_bytes = looked_bytes.saturating_add(Expr::work_bytes(&shapes));
    let result_bytes = shapes.last().map_or(0, |shape| shape.bytes());
    if *looked_bytes > limit_bytes {
        return Err(EngineError::TooLarge { bytes: *looked_bytes, limit_bytes });
    }
    if result_bytes > MAX_LOOK_BYTES {
        return Err(EngineError::TooLarge { bytes: result_bytes, limit_bytes: MAX_LOOK_BYTES });
    }
    let mut out = Vec::new();
    evaluate(expr, bytes, &mut |part| {
        out.extend_from_slice(part);
        Ok(())
    })?;
    Ok(out)
}

fn told(failure: Failure, script: String, entry: Entry, limits: &Limits) -> EngineError {
    let function = entry.function().to_owned();
    match failure {
        Failure::Syntax { line, message } => EngineError::Syntax { script, line, message },
        Failure::Raised { line, exception, message, traceback } => {
            EngineError::Raised { script, line, exception, message, traceback }
        }
        Failure::NotAvailable { line, name, message } => {
            EngineError::NotAvailable { script, line, name, message }
        }
        Failure::Timeout { line } => EngineError::Timeout { script, line, seconds: limits.cpu.as_secs() },
        Failure::Memory => EngineError::Memory { script, limit_bytes: limits.memory_bytes },
        Failure::NotReturned { type_name } => {
            EngineError::NotReturned { script, line: None, function, type_name }
        }
        Failure::CannotStore { path, type_name } => {
            EngineError::CannotStore { script, line: None, path, type_name }
        }
        Failure::NoEntry => EngineError::NoEntry { script, function },
        Failure::Checkpoint { reason } => EngineError::Checkpoint { reason },
    }
}

fn crash(status: ExitStatus, complaint: &str, script: String, limits: &Limits) -> EngineError {
    if complaint.contains("memory allocation of") || complaint.contains("capacity overflow") {
        return EngineError::Memory { script, limit_bytes: limits.memory_bytes };
    }
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if status.signal() == Some(libc::SIGXCPU) {
            return EngineError::Timeout { script, line: None, seconds: limits.cpu.as_secs() };
        }
    }
    let message = if complaint.contains("overflowed its stack") {
        "stack overflow".to_owned()
    } else {
        complaint.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
    };
    EngineError::Crashed { script, status: status.to_string(), message }
}
