//! Who holds the lock of a container and hangs: what waits for it without an
//! end, such as for a hook, would keep the container from being deleted.

use std::os::fd::{AsFd, BorrowedFd};

use crate::sys::event::Timespec;
use crate::sys::fs::{Stat, fstat, stat};
use crate::sys::{pidfd, signal};

const SIGKILL: i32 = 9;
const SIGSTOP: i32 = 19;

/// Ends the process that has locked `directory`, with its children: the
/// container's init, and the hook it waits for. `None` if it cannot be told
/// who that is, or it does not end.
pub(super) fn end(directory: BorrowedFd<'_>) -> Option<()> {
    let locked = fstat(directory).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| holder(line, locked.st_ino))?;
    let process = pidfd::open(pid).ok()?;
    // Asked once the pid is its: it may have been another's when it locked.
    if !has_open(pid, &locked) {
        return None;
    }
    // Stopped, it cannot reap: then the pids of its children are no others'.
    pidfd::send(process.as_fd(), pid, SIGSTOP).ok()?;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    for child in children.iter().flat_map(|list| list.split(' ')).filter_map(|n| n.parse().ok()) {
        let _ = signal::kill(child, SIGKILL);
    }
    pidfd::send(process.as_fd(), pid, SIGKILL).ok()?;
    let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
    pidfd::wait(process.as_fd(), Some(&patience)).ok()?.then_some(())
}

/// The pid in a line of `/proc/locks` about the file `inode` (`proc_locks(5)`),
/// and 0 if it is not in our pid namespace.
fn holder(line: &str, inode: u64) -> Option<i32> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (kind, pid) = (fields.next()?, fields.nth(2)?);
    let (_, of) = fields.next()?.rsplit_once(':')?;
    let ours = kind == "FLOCK" && of.parse() == Ok(inode);
    pid.parse().ok().filter(|pid| ours && *pid > 0)
}

fn has_open(pid: i32, file: &Stat) -> bool {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| stat(entry.path()).ok())
        .any(|stat| (stat.st_dev, stat.st_ino) == (file.st_dev, file.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as in `proc_locks(5)`.
    #[test]
    fn the_holder_of_a_lock_has_its_pid_there() {
        assert_eq!(holder("1: FLOCK  ADVISORY  WRITE 2433 08:03:41856 0 EOF", 41856), Some(2433));
        for other in [
            "1: POSIX  ADVISORY  WRITE 2433 08:03:41856 0 EOF",
            "1: -> FLOCK  ADVISORY  WRITE 2434 08:03:41856 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 2433 08:03:41857 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 0 08:03:41856 0 EOF",
            "",
        ] {
            assert_eq!(holder(other, 41856), None, "{other}");
        }
    }
}
