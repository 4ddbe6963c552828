//! Who holds the lock of a container and hangs: what waits for it without an
//! end, such as for a hook, would keep the container from being deleted.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::store;
use crate::sys::event::Timespec;
use crate::sys::fs::{Stat, fstat, major, minor, stat};
use crate::sys::pidfd;

const SIGKILL: i32 = 9;
const SIGSTOP: i32 = 19;

/// Ends the process that has locked `directory`, with its children: the
/// container's init, and the hook it waits for. `None` if it cannot be told
/// who that is, or it does not end.
pub(super) fn end(directory: BorrowedFd<'_>) -> Option<()> {
    let (pid, process) = find(directory)?;
    // Stopped, it makes no more children. If it is gone, that is well, too.
    let _ = pidfd::send(process.as_fd(), pid, SIGSTOP);
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    for child in children.iter().flat_map(|list| list.split(' ')).filter_map(|n| n.parse().ok()) {
        let Ok(opened) = pidfd::open(child) else { continue };
        // Asked once the pid is its.
        if store::stat(child).is_some_and(|stat| stat.parent == pid) {
            let _ = pidfd::send(opened.as_fd(), child, SIGKILL);
        }
    }
    let _ = pidfd::send(process.as_fd(), pid, SIGKILL);
    let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
    pidfd::wait(process.as_fd(), Some(&patience)).ok()?.then_some(())
}

/// Who has locked `directory`: of those who have locked a file of its number,
/// on whatever device, the one who has it open.
fn find(directory: BorrowedFd<'_>) -> Option<(i32, OwnedFd)> {
    let locked = fstat(directory).ok()?;
    let path = std::fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd())).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let own = i32::try_from(std::process::id()).ok()?;
    let mut holders: Vec<_> = locks
        .lines()
        .filter_map(|line| holder(line, &locked))
        .filter(|(_, pid)| *pid != own)
        .collect();
    // Some file systems give stat(2) another device than their own.
    holders.sort_by_key(|(is_elsewhere, _)| *is_elsewhere);
    holders.into_iter().find_map(|(_, pid)| {
        let process = pidfd::open(pid).ok()?;
        // Asked once the pid is its: it may have been another's when it locked.
        has_open(pid, path.file_name()?, &locked).then_some((pid, process))
    })
}

/// The pid in a line of `/proc/locks` about a file with the number of `file`
/// (`proc_locks(5)`), and whether it is one of another device. The pid is 0 if
/// it is not in our pid namespace.
fn holder(line: &str, file: &Stat) -> Option<(bool, i32)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (kind, pid) = (fields.next()?, fields.nth(2)?);
    let (device, inode) = fields.next()?.rsplit_once(':')?;
    let ours = kind == "FLOCK" && inode.parse() == Ok(file.st_ino);
    let is_elsewhere = device != format!("{:02x}:{:02x}", major(file.st_dev), minor(file.st_dev));
    pid.parse().ok().filter(|pid| ours && *pid > 0).map(|pid| (is_elsewhere, pid))
}

/// By its name first: to ask for a file's number may hang, where a server is
/// to answer. The path may differ, in another mount namespace.
fn has_open(pid: i32, name: &OsStr, file: &Stat) -> bool {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.map(|entry| entry.path())
        .filter(|link| std::fs::read_link(link).is_ok_and(|path| path.file_name() == Some(name)))
        .filter_map(|link| stat(link).ok())
        .any(|stat| (stat.st_dev, stat.st_ino) == (file.st_dev, file.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as in `proc_locks(5)`.
    #[test]
    fn the_holder_of_a_lock_has_its_pid_there() {
        let mut file = stat("/").unwrap();
        (file.st_dev, file.st_ino) = (crate::sys::fs::makedev(8, 26), 41856);
        let found = |line: &str| holder(line, &file);
        assert_eq!(found("1: FLOCK  ADVISORY  WRITE 2433 08:1a:41856 0 EOF"), Some((false, 2433)));
        assert_eq!(found("1: FLOCK  ADVISORY  WRITE 2433 08:03:41856 0 EOF"), Some((true, 2433)));
        for other in [
            "1: POSIX  ADVISORY  WRITE 2433 08:1a:41856 0 EOF",
            "1: -> FLOCK  ADVISORY  WRITE 2434 08:1a:41856 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 2433 08:1a:41857 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 0 08:1a:41856 0 EOF",
            "",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn who_has_locked_it_himself_is_not_found() {
        use crate::sys::fs::{FlockOperation, flock};
        let path = std::env::temp_dir().join(format!("minke-holder-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let directory = std::fs::File::open(&path).unwrap();
        flock(&directory, FlockOperation::NonBlockingLockExclusive).unwrap();
        let found = find(directory.as_fd());
        std::fs::remove_dir(&path).unwrap();
        assert!(found.is_none(), "{found:?}");
    }
}
