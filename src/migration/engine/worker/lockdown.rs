//! Closes the worker: pipes taken aside, limits, the system-call filter, deadlines.

use std::fs::File;
use std::io;
use std::process::exit;
use std::thread;
use std::time::Duration;

use rustpython_vm::signal::{UserSignalReceiver, user_signal_channel};

use super::super::pipe::{Failure, FromWorker, OwnedTask};
use super::{failure, say_and_exit};

/// Takes standard input and output for the messages; what anything prints goes to standard error.
#[cfg(unix)]
pub(super) fn take_pipes() -> io::Result<(File, File)> {
    use std::os::fd::{AsFd, AsRawFd};

    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    let null = File::open("/dev/null")?;
    for (from, to) in [(null.as_raw_fd(), libc::STDIN_FILENO), (libc::STDERR_FILENO, libc::STDOUT_FILENO)] {
        // SAFETY: both descriptors are open.
        if unsafe { libc::dup2(from, to) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok((input.into(), output.into()))
}

/// Takes standard input and output for the messages.
#[cfg(windows)]
pub(super) fn take_pipes() -> io::Result<(File, File)> {
    use std::os::windows::io::AsHandle;

    let input = io::stdin().as_handle().try_clone_to_owned()?;
    let output = io::stdout().as_handle().try_clone_to_owned()?;
    Ok((input.into(), output.into()))
}

/// Sets the limits that the system keeps: memory, processor time, no files written, no core dump.
pub(super) fn limit(task: &OwnedTask) {
    #[cfg(unix)]
    {
        let seconds = task.cpu_millis.div_ceil(1000).saturating_add(3);
        let limits = [
            (libc::RLIMIT_AS, task.memory_bytes.saturating_add(super::STACK_BYTES as u64)),
            (libc::RLIMIT_CPU, seconds),
            (libc::RLIMIT_FSIZE, 0),
            (libc::RLIMIT_CORE, 0),
            (libc::RLIMIT_NOFILE, 16),
        ];
        for (resource, value) in limits {
            let limit = libc::rlimit { rlim_cur: value as _, rlim_max: value as _ };
            // SAFETY: the pointer is to a live struct of the right type.
            if unsafe { libc::setrlimit(resource, &limit) } != 0 {
                exit(2);
            }
        }
    }
    #[cfg(not(unix))]
    let _ = task;
}

/// From here on the process can only compute, talk on its open pipes and end.
///
/// Linux: a filter for every thread; anything but the listed calls fails with `EPERM`. Elsewhere the
/// limits of [`limit`] and the interpreter without host access are all there is.
pub(super) fn close() {
    #[cfg(target_os = "linux")]
    {
        use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};

        let allowed = [
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_mmap,
            libc::SYS_munmap,
            libc::SYS_mremap,
            libc::SYS_mprotect,
            libc::SYS_madvise,
            libc::SYS_brk,
            libc::SYS_futex,
            libc::SYS_exit,
            libc::SYS_exit_group,
            libc::SYS_rt_sigreturn,
            libc::SYS_rt_sigprocmask,
            libc::SYS_rt_sigaction,
            libc::SYS_sigaltstack,
            libc::SYS_clock_gettime,
            libc::SYS_clock_nanosleep,
            libc::SYS_nanosleep,
            libc::SYS_gettid,
            libc::SYS_getpid,
            libc::SYS_tgkill,
            libc::SYS_sched_yield,
            libc::SYS_sched_getaffinity,
            libc::SYS_getrandom,
            libc::SYS_restart_syscall,
            libc::SYS_rseq,
        ];
        let filter = SeccompFilter::new(
            allowed.into_iter().map(|call| (call, Vec::new())).collect(),
            SeccompAction::Errno(libc::EPERM as u32),
            SeccompAction::Allow,
            std::env::consts::ARCH.try_into().unwrap_or_else(|_| exit(2)),
        );
        // The filter sets `no_new_privs` as well. A worker that cannot be closed must not run anything.
        let program: Result<BpfProgram, _> = filter.and_then(TryInto::try_into);
        let closed = program.ok().and_then(|program| apply_filter_all_threads(&program).ok());
        if closed.is_none() {
            eprintln!("the system-call filter cannot be set");
            exit(2);
        }
    }
}

/// Starts the clock: at the limit of processor time the interpreter is asked where it is and the process
/// ends; when it cannot answer, the process ends half a second later without.
pub(super) fn start_clock(cpu: Duration) -> UserSignalReceiver {
    let (ask, questions) = user_signal_channel();
    thread::spawn(move || {
        loop {
            let left = cpu.saturating_sub(cpu_time());
            if left.is_zero() {
                break;
            }
            // Processor time never runs faster than the clock on one thread.
            thread::sleep(left.max(Duration::from_millis(5)));
        }
        // A raised exception could be caught by the script; leaving the process cannot.
        let _ = ask.send(Box::new(|vm| {
            let line = failure::current_line(vm);
            say_and_exit(&FromWorker::Failed(Failure::Timeout { line }))
        }));
        thread::sleep(Duration::from_millis(500));
        say_and_exit(&FromWorker::Failed(Failure::Timeout { line: None }))
    });
    questions
}

fn cpu_time() -> Duration {
    #[cfg(unix)]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a live struct of the right type.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    }
    #[cfg(not(unix))]
    {
        use std::sync::OnceLock;
        use std::time::Instant;
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}
