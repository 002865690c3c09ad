//! The worker's side: a closed process that runs one script and ends.
//!
//! Everything here runs in the child. Any abnormal end of it is an error of the script, never of ckstore.

mod failure;
mod family;
mod form;
mod freeze;
mod host;
mod interpreter;
mod lockdown;
mod native;
mod setup;
mod tensor;
mod thaw;

use std::fs::File;
use std::io::Read;
use std::process::exit;
use std::sync::{Mutex, OnceLock};
use std::thread;

use super::pipe::{FromWorker, OwnedTask, receive, send};

/// Stack of the thread that runs the script, in bytes.
const STACK_BYTES: usize = 256 << 20;

/// Longest task in bytes; the parent holds a lower limit.
const MAX_TASK_BYTES: u64 = 1 << 40;

/// Where answers go.
static ANSWERS: OnceLock<Mutex<(File, u64)>> = OnceLock::new();

/// Runs the script that arrives on standard input, answers on standard output, and ends the process.
///
/// The executable calls this before anything else when its first argument is
/// [`WORKER_ARGUMENT`](super::WORKER_ARGUMENT).
pub fn worker_main() -> ! {
    // One line that says what happened; the parent keeps the last of them.
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no reason given");
        eprintln!("panic: {}", message.replace('\n', " "));
    }));
    let Ok((mut input, output)) = lockdown::take_pipes() else { exit(2) };
    let Ok(task) = receive::<OwnedTask>(&mut input, MAX_TASK_BYTES) else { exit(2) };
    let _ = ANSWERS.set(Mutex::new((output, task.message_bytes)));
    lockdown::limit(&task);
    let worker = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || work(task, input));
    let ended = worker.map(|worker| worker.join());
    exit(if matches!(ended, Ok(Ok(()))) { 0 } else { 101 })
}

fn work(task: OwnedTask, input: impl Read + 'static) {
    let last_word = interpreter::run(task, Box::new(input));
    say_and_exit(&last_word)
}

/// Sends a message to the parent.
fn say(message: &FromWorker) -> std::io::Result<()> {
    let answers = ANSWERS.get().expect("set before the thread starts");
    let mut answers = answers.lock().map_err(|_| std::io::ErrorKind::BrokenPipe)?;
    let (pipe, limit_bytes) = &mut *answers;
    send(pipe, message, *limit_bytes)
}

/// Sends the last message and ends the process without tearing the interpreter down.
fn say_and_exit(message: &FromWorker) -> ! {
    exit(match say(message) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            3
        }
    })
}
