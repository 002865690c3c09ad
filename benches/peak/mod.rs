//! How much memory a process had.

use std::io;
use std::process::Child;

/// Waits for a process and returns its exit code and the most memory it had at a time, in bytes.
#[cfg(unix)]
pub fn wait(child: Child) -> io::Result<(i32, u64)> {
    let mut status = 0;
    // SAFETY: both are written by the call, and zeroes are a sound `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let waited = unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
    if waited != child.id() as i32 || !libc::WIFEXITED(status) {
        return Err(io::Error::other("the program did not end by itself"));
    }
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Ok((libc::WEXITSTATUS(status), usage.ru_maxrss as u64 * unit))
}

/// Waits for a process and returns its exit code; how much memory it had is not known.
#[cfg(not(unix))]
pub fn wait(mut child: Child) -> io::Result<(i32, u64)> {
    Ok((child.wait()?.code().unwrap_or(-1), 0))
}
