//! Freezing: every process of a cgroup stops where it is, and goes on later.
//!
//! * v1: <https://docs.kernel.org/admin-guide/cgroup-v1/freezer-subsystem.html>
//! * v2 (Linux 5.2): <https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files>

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::{Group, empty, open_directory, v1};
use crate::error::{Doing, Error, Result};
use crate::sys::fs::CWD;

/// How long the kernel may take to stop all processes. One that waits for a
/// disk stops only when it has it.
const PATIENCE: Duration = Duration::from_secs(10);

const STATE: &str = "freezer.state";
const FREEZE: &str = "cgroup.freeze";

/// Whether the cgroup is frozen, or about to be.
pub(super) fn is_frozen(directory: BorrowedFd<'_>, group: &Group) -> bool {
    tells(group, |file| empty::read(directory, file))
}

/// The same, by its path.
pub(super) fn is_frozen_at(group: &Group) -> bool {
    tells(group, |file| empty::read(CWD, &format!("{}/{file}", group.path)))
}

fn tells(group: &Group, read: impl FnOnce(&str) -> crate::sys::Result<String>) -> bool {
    if v1::is_freezer(group) {
        return read(STATE).is_ok_and(|state| state.trim() != "THAWED");
    }
    group.is_v2() && read(FREEZE).is_ok_and(|state| state.trim() == "1")
}

/// Freezes the cgroup and all below it, and waits until all of it has stopped.
///
/// # Errors
///
/// If it has not in time, it is thawed again, and who is still running is
/// told.
pub(super) fn freeze(group: &Group) -> Result<()> {
    let doing = || format!("freeze cgroup {:?}", group.path);
    let directory = open_directory(&group.path).doing(doing)?;
    let directory = directory.as_fd();
    let deadline = Instant::now() + PATIENCE;
    let frozen = if group.is_v2() {
        empty::write(directory, FREEZE, "1").doing(doing)?;
        empty::wait_for_event(directory, "frozen 1", deadline).doing(doing)?
    } else {
        freeze_v1(directory, deadline).doing(doing)?
    };
    if frozen {
        return Ok(());
    }
    let who = empty::who(directory, |at| !at.contains("refrigerator") && !at.contains("freezer"));
    thaw_directory(directory, group).doing(doing)?;
    let seconds = PATIENCE.as_secs();
    Err(Error::Broken { what: doing(), why: format!("not all have stopped in {seconds} s{who}") })
}

/// Lets the processes go on.
pub(super) fn thaw(group: &Group) -> Result<()> {
    let doing = || format!("thaw cgroup {:?}", group.path);
    let directory = open_directory(&group.path).doing(doing)?;
    thaw_directory(directory.as_fd(), group).doing(doing)?;
    if v1::is_freezer(group) && is_frozen(directory.as_fd(), group) {
        return Err(Error::Broken { what: doing(), why: "a cgroup above is frozen".to_owned() });
    }
    Ok(())
}

pub(super) fn thaw_directory(directory: BorrowedFd<'_>, group: &Group) -> crate::sys::Result<()> {
    if group.is_v2() {
        empty::write(directory, FREEZE, "0")
    } else {
        empty::write(directory, STATE, "THAWED")
    }
}

/// v1 tells of nothing: whether all have stopped is seen only by asking
/// again. A task that forks just then is not asked to stop before the state
/// is written again, and one that waits for another that has stopped does
/// not stop before both go on for a moment.
pub(super) fn freeze_v1(directory: BorrowedFd<'_>, deadline: Instant) -> crate::sys::Result<bool> {
    const NAP: Duration = Duration::from_micros(50);
    const LONGEST_NAP: Duration = Duration::from_millis(10);
    let mut nap = NAP;
    while Instant::now() < deadline {
        empty::write(directory, STATE, "FROZEN")?;
        if empty::read(directory, STATE)?.trim() == "FROZEN" {
            return Ok(true);
        }
        if nap > LONGEST_NAP {
            empty::write(directory, STATE, "THAWED")?;
            nap = NAP;
        }
        std::thread::sleep(nap);
        nap += nap / 2;
    }
    Ok(false)
}

/// Thaws a v1 cgroup and those below it, some of which may have been frozen
/// from within.
pub(super) fn thaw_tree(directory: BorrowedFd<'_>) {
    let _ = empty::write(directory, STATE, "THAWED");
    for name in empty::children(directory) {
        if let Ok(child) = empty::open_child(directory, &name) {
            thaw_tree(child.as_fd());
        }
    }
}
