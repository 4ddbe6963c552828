//! Processes by descriptor: `pidfd_open(2)`, and for kernels without it what
//! comes nearest.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::mount::FdPath;
use super::{Errno, Result, check};

/// Nanoseconds from one look at a process that cannot be polled to the next.
const LOOK: i64 = 2_000_000;

/// `pidfd_open(2)` (Linux 5.3). On an older kernel it is the process's
/// directory in procfs, which names no other process either; but no poll tells
/// of its end.
///
/// # Errors
///
/// `ESRCH` if there is no such process.
pub(crate) fn open(pid: i32) -> Result<OwnedFd> {
    let number = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
    match pidfd_open(number, PidfdFlags::empty()) {
        Err(Errno::NOSYS) => {}
        other => return other,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, FdPath::of_process(pid).as_c_str(), flags, Mode::empty())
        .map_err(|errno| if errno == Errno::NOENT { Errno::SRCH } else { errno })
}

/// What to poll `process` for: nothing, where the answer would be that a
/// directory can be read.
pub(crate) fn poll_flags(process: BorrowedFd<'_>) -> PollFlags {
    if is_directory(process) { PollFlags::empty() } else { PollFlags::IN }
}

/// Waits until `process` has ended, zombies included; false after `limit`.
pub(crate) fn wait(process: BorrowedFd<'_>, limit: Option<&Timespec>) -> Result<bool> {
    if !is_directory(process) {
        let mut exits = [PollFd::from_borrowed_fd(process, PollFlags::IN)];
        return retry_on_intr(|| poll(&mut exits, limit)).map(|count| count > 0);
    }
    let looks = limit.map(|limit| limit.tv_sec * (1_000_000_000 / LOOK) + limit.tv_nsec / LOOK);
    let mut look = 0;
    while !has_ended(process) {
        if looks.is_some_and(|looks| look >= looks) {
            return Ok(false);
        }
        let pause = Timespec { tv_sec: 0, tv_nsec: LOOK };
        let _ = poll(&mut [], Some(&pause));
        look += 1;
    }
    Ok(true)
}

/// Whether `process` has ended, zombies included.
pub(crate) fn has_ended(process: BorrowedFd<'_>) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if !is_directory(process) {
        return wait(process, Some(&now)).unwrap_or(true);
    }
    let mut text = [0u8; 512];
    let stat = openat(process, c"stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let Ok(got) = stat.and_then(|stat| rustix::io::read(&stat, &mut text)) else { return true };
    // The state follows the name in parentheses, which may contain anything.
    let end = text[..got].windows(2).rposition(|part| part == b") ");
    end.is_none_or(|end| matches!(text.get(end + 2), Some(b'Z' | b'X')))
}

fn is_directory(process: BorrowedFd<'_>) -> bool {
    fstat(process).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// `pidfd_send_signal(2)` (Linux 5.1) by number, real-time signals included;
/// without it `kill(2)` of `pid`, which `process` was just now.
pub(crate) fn send(process: BorrowedFd<'_>, pid: i32, signal: i32) -> Result<()> {
    // SAFETY: a null siginfo means the one that kill(2) would send.
    let sent = check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            ptr::null::<u8>(),
            0,
        )
    });
    match sent {
        Err(Errno::NOSYS) if has_ended(process) => Err(Errno::SRCH),
        Err(Errno::NOSYS) => super::signal::kill(pid, signal),
        other => other.map(drop),
    }
}
