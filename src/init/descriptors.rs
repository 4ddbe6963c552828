//! What the program inherits: 0, 1, 2 and what was asked for.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::Report;
use super::step::{Done, Step, at, failure};
use crate::plan::{Handles, Plan};
use crate::sys::fs::{CWD, FileType, Mode, OFlags, fcntl_setfl, fstat, major, minor, openat};
use crate::sys::process::{DumpableBehavior, ioctl_tiocsctty, set_dumpable_behavior};
use crate::sys::stdio::{stderr, stdin, stdout};
use crate::sys::{Errno, Result, fd, signal};

/// Puts the terminal in place of the standard streams and closes everything
/// but the preserved descriptors, the report and the start socket, which is
/// given back if there is one. These two close themselves at exec.
pub(super) fn hand_over(
    plan: &Plan,
    handles: &Handles,
    report: &mut Report,
    terminal: Option<OwnedFd>,
) -> Done<Option<OwnedFd>> {
    signal::unblock_all();
    match terminal {
        Some(terminal) => at(Step::Descriptors, 0, take_terminal(&terminal))?,
        None => at(Step::Descriptors, 0, own_null())?,
    }
    let first = plan.preserve_fds.saturating_add(3);
    let first = RawFd::try_from(first).map_err(|_| failure(Step::Descriptors, 1, Errno::BADF))?;
    // Both above anything that is ours first, so that neither overwrites the other.
    let start = handles.start.as_ref();
    let number = start.map_or(0, AsRawFd::as_raw_fd);
    let above = number.max(report.0.as_raw_fd()).max(first) + 2;
    let start = start.map(|start| fd::move_above(start.as_fd(), above)).transpose();
    let start = at(Step::Descriptors, 2, start)?;
    let moved = at(Step::Descriptors, 3, fd::move_above(report.0.as_fd(), above))?;
    let next = first + RawFd::from(start.is_some());
    let start = start.map(|start| fd::place(start.as_fd(), first)).transpose();
    let start = at(Step::Descriptors, 2, start)?;
    let link = at(Step::Descriptors, 3, fd::place(moved.as_fd(), next))?;
    drop(moved);
    // The old number may be one that was just taken over: not to be closed.
    std::mem::forget(std::mem::replace(&mut report.0, link));
    for number in 3..first {
        at(Step::Descriptors, 4, inherit(number))?;
    }
    let rest = u32::try_from(next + 1).unwrap_or(u32::MAX);
    at(Step::Descriptors, 5, fd::close_from(rest))?;
    Ok(start)
}

/// From other processes: a change of ids may have shown us, and now we wait.
pub(super) fn hide() -> Done {
    at(Step::Descriptors, 6, set_dumpable_behavior(DumpableBehavior::NotDumpable))
}

fn inherit(number: RawFd) -> Result<()> {
    fd::dup_at(fd::inherited(number)?, number, true)
}

fn take_terminal(terminal: &OwnedFd) -> Result<()> {
    ioctl_tiocsctty(terminal)?;
    for number in 0..3 {
        fd::dup_at(terminal.as_fd(), number, true)?;
    }
    Ok(())
}

/// The host's null device is nothing of the container's, and so cannot be
/// saved with it: its own takes the place, if it has one.
fn own_null() -> Result<()> {
    let mut own = None;
    for stream in [stdin(), stdout(), stderr()] {
        if !is_null(stream)? {
            continue;
        }
        if own.is_none() {
            own = open_null()?;
        }
        let Some(own) = &own else { return Ok(()) };
        fd::dup_at(own.as_fd(), stream.as_raw_fd(), true)?;
    }
    Ok(())
}

/// The container's. What lies there may be anything: it is opened only if it is
/// the device, since to open another may do something, and so that one put in
/// its place meanwhile becomes no terminal of ours and is not waited for.
fn open_null() -> Result<Option<OwnedFd>> {
    let open = |flags| {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(CWD, c"/dev/null", flags, Mode::empty()).ok();
        Ok(match opened {
            Some(fd) if is_null(fd.as_fd())? => Some(fd),
            _ => None,
        })
    };
    if open(OFlags::PATH)?.is_none() {
        return Ok(None);
    }
    let Some(own) = open(OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK)? else {
        return Ok(None);
    };
    fcntl_setfl(&own, OFlags::RDWR)?;
    Ok(Some(own))
}

fn is_null(fd: BorrowedFd<'_>) -> Result<bool> {
    let stat = fstat(fd)?;
    let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    Ok(device && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3))
}
