//! What only cgroup v2 has.
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html>

use std::os::fd::{AsFd, BorrowedFd};

use super::{MOUNT_POINT, empty, open_directory};
use crate::error::{Doing, Result};
use crate::sys::Errno;
use crate::sys::fs::{AtFlags, Uid, chownat};

/// Makes every controller that the host has available in the container's
/// cgroup, level by level, as engines want to read statistics even where no
/// limit is set.
///
/// A level may refuse one (a cgroup with processes in it, a real-time task in
/// the way): the limit that needs it tells of it, if there is one.
pub(super) fn enable_controllers(path: &str, cgroup: BorrowedFd<'_>) -> Result<()> {
    let top = open_directory(MOUNT_POINT).doing(|| format!("open {MOUNT_POINT:?}"))?;
    let available =
        empty::read(top.as_fd(), CONTROLLERS).doing(|| "read the host's cgroup.controllers")?;
    if empty::read(cgroup, CONTROLLERS).is_ok_and(|own| own == available) {
        return Ok(());
    }
    let mut end = MOUNT_POINT.len();
    enable_all(top.as_fd(), &available);
    while let Some(next) = path[end + 1..].find('/') {
        end += 1 + next;
        if let Ok(level) = open_directory(&path[..end]) {
            enable_all(level.as_fd(), &available);
        }
    }
    Ok(())
}

/// Gives the directory to `owner`, and those of its files that the kernel says
/// are for a manager below it; what gives resources to it stays ours.
pub(super) fn delegate(cgroup: BorrowedFd<'_>, owner: u32) -> crate::sys::Result<()> {
    let listed = std::fs::read_to_string("/sys/kernel/cgroup/delegate");
    let listed = listed.unwrap_or_else(|_| {
        "cgroup.procs\ncgroup.subtree_control\ncgroup.threads".to_owned() // before Linux 4.15
    });
    let owner = Some(Uid::from_raw(owner));
    for name in ["."].into_iter().chain(listed.lines()) {
        match chownat(cgroup, name, owner, None, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            other => other?,
        }
    }
    Ok(())
}

const CONTROLLERS: &str = "cgroup.controllers";

fn enable_all(level: BorrowedFd<'_>, controllers: &str) {
    let names = || controllers.split_whitespace();
    let all: Vec<String> = names().map(|name| format!("+{name}")).collect();
    if empty::write(level, "cgroup.subtree_control", &all.join(" ")).is_ok() {
        return;
    }
    for name in &all {
        if let Err(errno) = empty::write(level, "cgroup.subtree_control", name) {
            log::debug!("controller {name} is not available in the container's cgroup: {errno}");
        }
    }
}
