//! What a process took.

use std::io;
use std::process::Child;
use std::time::Duration;

/// What a process took.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    /// Its exit code.
    pub code: i32,
    /// Time of the processors.
    pub processor: Duration,
    /// The most memory it had at a time, in bytes.
    pub peak_bytes: u64,
}

/// Waits for a process and tells what it took.
#[cfg(unix)]
pub fn wait(child: Child) -> io::Result<Used> {
    let mut status = 0;
    // SAFETY: both are written by the call, and zeroes are a sound `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let waited = unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
    if waited != child.id() as i32 || !libc::WIFEXITED(status) {
        return Err(io::Error::other("the program did not end by itself"));
    }
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Ok(Used {
        code: libc::WEXITSTATUS(status),
        processor: time(usage.ru_utime) + time(usage.ru_stime),
        peak_bytes: usage.ru_maxrss as u64 * unit,
    })
}

/// Waits for a process; what it took is not known.
#[cfg(not(unix))]
pub fn wait(mut child: Child) -> io::Result<Used> {
    let code = child.wait()?.code().unwrap_or(-1);
    Ok(Used { code, processor: Duration::ZERO, peak_bytes: 0 })
}
