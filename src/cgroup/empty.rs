//! Emptying a cgroup: nobody of the container stays alive.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

pub(super) use super::limits::{read, write};
use super::{Group, freezer, open_directory, v1};
use crate::error::{Error, Result};
use crate::sys::event::{PollFd, PollFlags, Timespec, poll};
use crate::sys::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, unlinkat};
use crate::sys::{Errno, io, pidfd, signal};

/// How long the kernel may take to end what was killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pids in `directory` itself.
fn processes(directory: BorrowedFd<'_>) -> Vec<i32> {
    let text = read(directory, "cgroup.procs").unwrap_or_default();
    // 0 stands for one of another pid namespace, and would be ourselves.
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
}

/// Kills every process in the cgroup and below it.
pub(super) fn kill_all(group: &Group) -> Result<()> {
    let directory = match open_directory(&group.path) {
        Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
        other => {
            other.map_err(|errno| Error::os(format!("open cgroup {:?}", group.path), errno))?
        }
    };
    if group.is_v2() && write(directory.as_fd(), "cgroup.kill", "1").is_ok() {
        return Ok(());
    }
    kill_each(directory.as_fd(), group);
    Ok(())
}

/// Signals every process in the cgroup and below it, once. They are frozen for
/// that, so that none comes to be meanwhile.
pub(super) fn signal_all(group: &Group, signal: i32) {
    let Ok(directory) = open_directory(&group.path) else { return };
    let freezes = group.is_v2() || v1::is_freezer(group);
    let frozen = freezes && !freezer::is_frozen(directory.as_fd(), group);
    let thaw = frozen && freezer::freeze(group).is_ok();
    for pid in all_processes(directory.as_fd()) {
        let _ = signal::kill(pid, signal);
    }
    if thaw {
        let _ = freezer::thaw_directory(directory.as_fd(), group);
    }
}

/// Freezing first keeps a fork bomb from outrunning the loop. A frozen task
/// of v1 dies only when it is thawed.
fn kill_each(directory: BorrowedFd<'_>, group: &Group) {
    let deadline = Instant::now() + PATIENCE;
    let freezer = v1::is_freezer(group);
    if freezer {
        // Those who do not stop are killed all the same.
        let _ = freezer::freeze_v1(directory, Instant::now() + Duration::from_secs(1));
    }
    while Instant::now() < deadline {
        let pids = all_processes(directory);
        for pid in &pids {
            let _ = signal::kill(*pid, 9);
        }
        if freezer || pids.is_empty() {
            break;
        }
        wait_for_exits(&pids, deadline);
    }
    if freezer {
        freezer::thaw_tree(directory);
    }
}

/// Pids in the cgroup and in all below it.
pub(super) fn all_processes(directory: BorrowedFd<'_>) -> Vec<i32> {
    let mut pids = processes(directory);
    for child in children(directory) {
        if let Ok(child) = open_child(directory, &child) {
            pids.extend(all_processes(child.as_fd()));
        }
    }
    pids
}

pub(super) fn children(directory: BorrowedFd<'_>) -> Vec<std::ffi::CString> {
    let Ok(entries) = Dir::read_from(directory) else { return Vec::new() };
    let directories = entries.flatten().filter(|entry| entry.file_type() == FileType::Directory);
    let names = directories.map(|entry| entry.file_name().to_owned());
    names.filter(|name| !matches!(name.as_bytes(), b"." | b"..")).collect()
}

pub(super) fn open_child(
    directory: BorrowedFd<'_>,
    name: &std::ffi::CStr,
) -> crate::sys::Result<OwnedFd> {
    openat(
        directory,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Waits until each of `pids` has ended, or the time is up.
fn wait_for_exits(pids: &[i32], deadline: Instant) {
    for pid in pids {
        let Ok(process) = pidfd::open(*pid) else { continue };
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(limit) = Timespec::try_from(left) else { continue };
        let _ = pidfd::wait(process.as_fd(), Some(&limit));
    }
}

/// Removes the cgroup and all below it, after killing whoever is there.
pub(super) fn remove_tree(group: &Group) -> Result<()> {
    let directory = match open_directory(&group.path) {
        Err(Errno::NOENT) => return Ok(()),
        other => {
            other.map_err(|errno| Error::os(format!("open cgroup {:?}", group.path), errno))?
        }
    };
    kill_all(group)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        remove_children(directory.as_fd());
        let errno = match unlinkat(crate::sys::fs::CWD, group.path.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(errno) => errno,
        };
        if errno != Errno::BUSY || Instant::now() >= deadline {
            return Err(left_over(directory.as_fd(), group, errno));
        }
        let pids = all_processes(directory.as_fd());
        if pids.is_empty() {
            // Exiting tasks leave the list a moment before the cgroup. v2
            // tells of that moment; on v1 only trying again helps.
            let soon = deadline.min(Instant::now() + Duration::from_millis(100));
            if wait_for_event(directory.as_fd(), "populated 0", soon) != Ok(false) {
                std::thread::sleep(Duration::from_micros(200));
            }
        } else {
            kill_all(group)?;
            wait_for_exits(&pids, deadline);
        }
    }
}

fn remove_children(directory: BorrowedFd<'_>) {
    for name in children(directory) {
        if let Ok(child) = open_child(directory, &name) {
            remove_children(child.as_fd());
        }
        let _ = unlinkat(directory, name.as_c_str(), AtFlags::REMOVEDIR);
    }
}

/// Waits until `cgroup.events` of v2 has this line, or the time is up: the
/// file becomes readable (`POLLPRI`) with each change.
pub(super) fn wait_for_event(
    directory: BorrowedFd<'_>,
    line: &str,
    deadline: Instant,
) -> crate::sys::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let events = openat(directory, "cgroup.events", flags, Mode::empty())?;
    loop {
        let mut text = [0u8; 256];
        let got = io::retry_on_intr(|| io::pread(&events, &mut text, 0))?;
        if String::from_utf8_lossy(&text[..got]).lines().any(|own| own == line) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        match poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&limit)) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Names who is left, and where in the kernel.
fn left_over(directory: BorrowedFd<'_>, group: &Group, errno: Errno) -> Error {
    let who = who(directory, |_| true);
    Error::os(format!("remove cgroup {:?}{who}", group.path), errno)
}

/// Names the processes of the cgroup whose place in the kernel is `wanted`,
/// the first of them at least.
pub(super) fn who(directory: BorrowedFd<'_>, wanted: impl Fn(&str) -> bool) -> String {
    let of = |pid: i32| {
        let (named, place) = place(pid);
        wanted(&place).then_some(named)
    };
    let who: Vec<String> = all_processes(directory).into_iter().filter_map(of).take(8).collect();
    if who.is_empty() { String::new() } else { format!(" with {}", who.join(", ")) }
}

/// `pid 7 (D, in io_schedule)`: a process and its place in the kernel, which
/// is given once more by itself.
pub(crate) fn place(pid: i32) -> (String, String) {
    let at =
        |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let state =
        at("stat").rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('?');
    let place = at("wchan");
    (format!("pid {pid} ({state}, in {place})"), place)
}
