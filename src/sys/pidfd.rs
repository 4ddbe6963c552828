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

/// With what a process ended that its parent has reaped: its exit status, or 128
/// and the number of the signal. Waits up to `limit` for the reaping.
///
/// `None` if nobody reaps it, and before Linux 6.15, which tells only the parent.
pub(crate) fn exit_code(process: BorrowedFd<'_>, limit: &Timespec) -> Option<i32> {
    /// `struct pidfd_info` in its first form, of `linux/pidfd.h`.
    #[repr(C)]
    struct Info {
        mask: u64,
        others: [u32; 13],
        exit_code: i32,
    }
    const PIDFD_GET_INFO: libc::Ioctl = 0xc040_ff0b;
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    let ask = || {
        let mut info = Info { mask: PIDFD_INFO_EXIT, others: [0; 13], exit_code: 0 };
        // SAFETY: the kernel writes up to the 64 bytes that the request's number
        // says, which is the size of `info`.
        let ret = unsafe { libc::ioctl(process.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
        (ret == 0).then_some(info)
    };
    let mut info = ask()?;
    if info.mask & PIDFD_INFO_EXIT == 0 {
        let mut reaped = [PollFd::from_borrowed_fd(process, PollFlags::empty())];
        retry_on_intr(|| poll(&mut reaped, Some(limit))).ok()?;
        info = ask()?;
    }
    let status = (info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)?;
    let signal = status & 0x7f;
    Some(if signal == 0 { status >> 8 & 0xff } else { 128 + signal })
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
