//! What went wrong in a script, told from our own walk of its frames and our own copy of its text.
//!
//! The interpreter's own formatter opens whatever file a code object names.

use std::cell::RefCell;

use rustpython_vm::builtins::{PyBaseExceptionRef, PyTraceback};
use rustpython_vm::frame::FrameRef;
use rustpython_vm::{AsObject, PyRef, VirtualMachine};

use super::super::TraceLine;
use super::super::pipe::Failure;

/// Longest text of an exception that is passed on, in bytes.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// Most lines of a traceback that are passed on.
const MAX_TRACE_LINES: usize = 64;

thread_local! {
    static SCRIPT: RefCell<(String, Vec<String>)> = const { RefCell::new((String::new(), Vec::new())) };
}

/// Keeps the script's text for tracebacks.
pub(super) fn set_script(file: &str, source: &str) {
    SCRIPT.with_borrow_mut(|script| {
        *script = (file.to_owned(), source.lines().map(|line| line.trim().to_owned()).collect());
    });
}

/// Why a script stopped.
pub(super) enum Stop {
    Python(PyBaseExceptionRef),
    Failure(Failure),
}

impl From<PyBaseExceptionRef> for Stop {
    fn from(exception: PyBaseExceptionRef) -> Stop {
        Stop::Python(exception)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failure(failure)
    }
}

/// The line of the script that is running, if any.
pub(super) fn current_line(vm: &VirtualMachine) -> Option<u32> {
    let mut frame = vm.current_frame();
    while let Some(current) = frame {
        if is_script(&file_of(&current)) {
            return u32::try_from(current.f_lineno()).ok();
        }
        frame = current.f_back(vm);
    }
    None
}

/// What an exception says and where it comes from.
pub(super) fn of_exception(vm: &VirtualMachine, exception: &PyBaseExceptionRef) -> Failure {
    let traceback = trace(exception.__traceback__());
    let line = traceback.iter().rfind(|line| is_script(&line.file)).map(|line| line.line);
    let class = exception.class().name().to_string();
    let message = exception.as_object().str(vm).map(|text| text.to_string_lossy().into_owned());
    let mut message = message.unwrap_or_default();
    if message.len() > MAX_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        message.push('…');
    }
    if exception.fast_isinstance(vm.ctx.exceptions.memory_error) {
        return Failure::Memory;
    }
    let missing = exception.as_object().get_attr("ckstore_missing", vm);
    if let Ok(name) = missing.and_then(|name| name.str(vm)) {
        return Failure::NotAvailable { line, name: name.to_string_lossy().into_owned(), message };
    }
    Failure::Raised { line, exception: class, message, traceback: shortened(traceback) }
}

fn trace(mut next: Option<PyRef<PyTraceback>>) -> Vec<TraceLine> {
    let mut out = Vec::new();
    while let Some(entry) = next {
        let file = file_of(&entry.frame);
        let line = u32::try_from(entry.lineno.get()).unwrap_or(0);
        let text = if is_script(&file) { text_of(line) } else { String::new() };
        let function = entry.frame.code.obj_name.as_str().to_owned();
        out.push(TraceLine { file, line, function, text });
        next = entry.next.lock().clone();
    }
    out
}

/// Long tracebacks keep both ends.
fn shortened(mut lines: Vec<TraceLine>) -> Vec<TraceLine> {
    if lines.len() > MAX_TRACE_LINES {
        lines.drain(MAX_TRACE_LINES / 2..lines.len() - MAX_TRACE_LINES / 2);
    }
    lines
}

fn file_of(frame: &FrameRef) -> String {
    let frame: &PyRef<_> = frame;
    frame.code.source_path().as_str().to_owned()
}

fn is_script(file: &str) -> bool {
    SCRIPT.with_borrow(|script| script.0 == file)
}

fn text_of(line: u32) -> String {
    SCRIPT.with_borrow(|script| script.1.get((line as usize).wrapping_sub(1)).cloned().unwrap_or_default())
}
