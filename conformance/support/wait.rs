//! Waiting for what other processes do.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again and again until `done`, or half of the patience is used up.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE / 2;
    while !done() {
        assert!(Instant::now() < end, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until `path` is there and not empty, and reads it.
pub(crate) fn until_written(path: &Path) -> String {
    let mut content = String::new();
    until(&format!("content of {}", path.display()), || {
        content = std::fs::read_to_string(path).unwrap_or_default();
        !content.is_empty()
    });
    content
}

/// Whether `fd` becomes readable in time.
pub(crate) fn readable(fd: &impl AsFd, within: Duration) -> bool {
    let end = Instant::now() + within;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).expect("a short time");
        match poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout)) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}

/// Whether process `pid` (not a thread) has ended, zombies included, in time.
pub(crate) fn ended(pid: i32, within: Duration) -> bool {
    let pid = Pid::from_raw(pid).expect("a pid");
    pidfd_open(pid, PidfdFlags::empty()).map_or(true, |pidfd| readable(&pidfd, within))
}

/// Whether process `pid` is there and not a zombie.
pub(crate) fn alive(pid: i32) -> bool {
    match File::open(format!("/proc/{pid}/stat")).map(std::io::read_to_string) {
        Ok(Ok(stat)) => !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"),
        Ok(Err(_)) => false,
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}
