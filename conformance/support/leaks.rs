//! What a case may not leave behind: state, processes, mounts, cgroups.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};

use super::case::Case;
use super::scratch;

/// How deep below the root a test's cgroup may be: those of a user's systemd
/// are in `user.slice/user-1000.slice/user@1000.service/app.slice/UNIT`.
const DEPTH: u32 = 5;

/// The leaks once the kernel has had a moment to end the killed.
pub(crate) fn settled(case: &Case) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(3);
    loop {
        let leaks = all(case);
        if leaks.is_empty() || Instant::now() > end {
            return leaks;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn all(case: &Case) -> Vec<String> {
    let states = case.ids().into_iter().map(|id| format!("state of {id}"));
    let processes =
        processes(case).into_iter().map(|pid| format!("process {pid}: {}", command_line(pid)));
    let mounts = mounts(&case.dir).into_iter().map(|path| format!("mount {}", path.display()));
    let cgroups = cgroups(&case.tag).into_iter().map(|path| format!("cgroup {}", path.display()));
    states.chain(processes).chain(mounts).chain(cgroups).collect()
}

/// Ends and removes all of it.
pub(crate) fn remove(case: &Case) {
    for pid in processes(case).into_iter().filter_map(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
    for cgroup in cgroups(&case.tag) {
        let _ = fs::write(cgroup.join("freezer.state"), "THAWED");
        let _ = fs::write(cgroup.join("cgroup.freeze"), "0");
    }
    for mount in mounts(&case.dir).into_iter().rev() {
        let _ = unmount(&mount, UnmountFlags::DETACH);
    }
    let _ = settled(case);
    remove_cgroups(&case.tag);
}

pub(crate) fn remove_cgroups(tag: &str) {
    for cgroup in cgroups(tag).into_iter().rev() {
        let _ = fs::remove_dir(cgroup);
    }
}

/// The living whose cgroup has the tag, or who stand in the scratch directory.
pub(crate) fn processes(case: &Case) -> Vec<i32> {
    let here = |pid: &i32| {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let cgroup = fs::read_to_string(proc.join("cgroup")).unwrap_or_default();
        let cwd = fs::read_link(proc.join("cwd")).unwrap_or_default();
        cgroup.contains(&case.tag) || cwd.starts_with(&case.dir)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(here).collect()
}

/// The mount points at or below `dir`, parents first.
pub(crate) fn mounts(dir: &Path) -> Vec<PathBuf> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    points.filter(|point| point.starts_with(dir)).collect()
}

/// The cgroups with `tag` in their name, parents first.
pub(crate) fn cgroups(tag: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for hierarchy in scratch::hierarchies() {
        search(&hierarchy, tag, DEPTH, &mut found);
    }
    found
}

fn search(dir: &Path, tag: &str, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            if entry.file_name().to_string_lossy().contains(tag) {
                found.push(path.clone());
            }
            if depth > 0 {
                search(&path, tag, depth - 1, found);
            }
        }
    }
}

fn command_line(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}
