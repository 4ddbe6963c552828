//! A container's process in the foreground: signals and the terminal's bytes
//! go to it, and its exit code is ours.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::notify::Notify;
use super::terminal::Terminal;
use crate::error::{Doing, Result};
use crate::sys::event::{PollFd, PollFlags, poll};
use crate::sys::process::{WaitOptions, wait};
use crate::sys::{io, pidfd, signal};

/// Passes signals and the terminal's bytes on until the program has ended.
pub(super) fn attend(
    pid: i32,
    pidfd: BorrowedFd<'_>,
    signals: &OwnedFd,
    mut terminal: Option<&mut Terminal>,
    mut notify: Option<Notify>,
) -> Result<u8> {
    loop {
        let mut watched = vec![
            PollFd::new(signals, PollFlags::IN),
            PollFd::from_borrowed_fd(pidfd, pidfd::poll_flags(pidfd)),
        ];
        if let Some(terminal) = &terminal {
            watched.extend(terminal.watched());
        }
        watched.extend(notify.iter().map(|n| PollFd::from_borrowed_fd(n.as_fd(), PollFlags::IN)));
        io::retry_on_intr(|| poll(&mut watched, None)).doing(|| "wait for the container")?;
        let ready: Vec<PollFlags> = watched.iter().map(PollFd::revents).collect();
        drop(watched);
        if let Some(terminal) = terminal.as_deref_mut() {
            terminal.copy(&ready[2..]);
        }
        notify = match notify {
            Some(notify) if notify.take(pid)? => None,
            other => other,
        };
        while let Some(number) = signal::next(signals).doing(|| "read a signal")? {
            pass_on((pid, pidfd), number, terminal.as_deref_mut());
        }
        if let Some(code) = reap(pid, ready[1].contains(PollFlags::IN)) {
            if let Some(terminal) = terminal {
                terminal.drain();
            }
            return Ok(code);
        }
    }
}

/// Every signal is the container's, but those that are about us.
fn pass_on((pid, pidfd): (i32, BorrowedFd<'_>), number: i32, terminal: Option<&mut Terminal>) {
    match number {
        // SIGPIPE is what our own writes bring about.
        signal::SIGCHLD | signal::SIGURG | signal::SIGPIPE => {}
        signal::SIGWINCH if terminal.is_some() => {
            if let Some(terminal) = terminal {
                terminal.resize();
            }
        }
        // If it is gone, its exit is about to be seen.
        number => {
            let _ = pidfd::send(pidfd, pid, number);
        }
    }
}

/// As their reaper we get the container's orphans, and nobody asks how they
/// ended; of our process, the exit code is ours.
fn reap(process: i32, has_ended: bool) -> Option<u8> {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid.as_raw_pid() == process {
            let code =
                status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal));
            return Some(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255));
        }
    }
    // Somebody else has reaped it.
    has_ended.then_some(255)
}
