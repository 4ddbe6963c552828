//! Hearing of what happens in a cgroup, by descriptors that become ready.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::{Cgroups, empty, limits};
use crate::error::{Doing, Result};
use crate::sys::event::{EventfdFlags, PollFlags, eventfd};
use crate::sys::fs::{CWD, Mode, OFlags, inotify, openat};
use crate::sys::io;

/// What can be heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// The kernel has killed for want of memory, or is about to.
    Oom,
    /// Processes wait for memory.
    Pressure,
    /// All have stopped, or go on.
    Frozen(bool),
}

/// One source of news.
#[derive(Debug)]
pub(crate) struct Watch {
    kind: Kind,
    fd: OwnedFd,
}

#[derive(Debug)]
enum Kind {
    /// An `eventfd` of v1, which counts.
    Counter(News),
    /// `memory.events` of v2, with the kills until now.
    Kills(u64),
    /// A trigger in `memory.pressure` of v2.
    Trigger,
    /// `cgroup.events` of v2, with what it said.
    Frozen(bool),
    /// inotify(7) of `freezer.state` of v1, which is written to freeze and to
    /// thaw; with the file, and what it said.
    Written(OwnedFd, bool),
}

impl Watch {
    /// What to poll for.
    pub(crate) fn poll(&self) -> (BorrowedFd<'_>, PollFlags) {
        let flags = match self.kind {
            Kind::Counter(_) | Kind::Written(..) => PollFlags::IN,
            _ => PollFlags::PRI,
        };
        (self.fd.as_fd(), flags)
    }

    /// Whether it can be asked at any time.
    pub(crate) fn knows(&self) -> bool {
        !matches!(self.kind, Kind::Trigger)
    }

    /// What has happened since the last time; to be asked when it is ready.
    pub(crate) fn news(&mut self) -> Option<News> {
        let mut text = [0; 1024];
        match &mut self.kind {
            Kind::Counter(news) => {
                io::read(&self.fd, &mut text[..8]).is_ok_and(|got| got == 8).then_some(*news)
            }
            Kind::Trigger => Some(News::Pressure),
            Kind::Kills(before) => {
                let got = io::pread(&self.fd, &mut text, 0).ok()?;
                let kills = number(&text[..got], "oom_kill ");
                let more = kills > *before;
                *before = kills;
                more.then_some(News::Oom)
            }
            Kind::Frozen(before) => {
                let got = io::pread(&self.fd, &mut text, 0).ok()?;
                let frozen = number(&text[..got], "frozen ") == 1;
                let other = frozen != *before;
                *before = frozen;
                other.then_some(News::Frozen(frozen))
            }
            Kind::Written(file, before) => {
                io::read(&self.fd, &mut text[..]).ok()?;
                let got = io::pread(file, &mut text, 0).ok()?;
                let frozen = !text[..got].starts_with(b"THAWED");
                let other = frozen != *before;
                *before = frozen;
                other.then_some(News::Frozen(frozen))
            }
        }
    }
}

fn number(text: &[u8], name: &str) -> u64 {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

impl Cgroups {
    /// The source of news about want of memory; `None` without the controller.
    pub(crate) fn watch_oom(&self) -> Result<Option<Watch>> {
        let directories = self.directories()?;
        let Some(memory) = self.directory(&directories, "memory") else { return Ok(None) };
        if !self.is_unified() {
            let fd = counter(memory, "memory.oom_control", "")?;
            return Ok(Some(Watch { kind: Kind::Counter(News::Oom), fd }));
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(openat(memory, "memory.events", flags, Mode::empty()).ok().map(|fd| {
            let mut watch = Watch { kind: Kind::Kills(0), fd };
            let _ = watch.news();
            watch
        }))
    }

    /// Sources of the other news, as far as the machine has them. v1 tells only
    /// of freezing by the container's own file.
    pub(crate) fn watch_more(&self) -> Result<Vec<Watch>> {
        let directories = self.directories()?;
        let mut watches = Vec::new();
        let memory = self.directory(&directories, "memory");
        if !self.is_unified() {
            let fd = memory.and_then(|d| counter(d, "memory.pressure_level", " medium").ok());
            watches.extend(fd.map(|fd| Watch { kind: Kind::Counter(News::Pressure), fd }));
            watches.extend(self.watch_state());
            return Ok(watches);
        }
        let Some(directory) = memory else { return Ok(watches) };
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if let Ok(fd) = openat(directory, "memory.pressure", flags, Mode::empty())
            // 150 ms of waiting in a second.
            && io::write(&fd, b"some 150000 1000000\0").is_ok()
        {
            watches.push(Watch { kind: Kind::Trigger, fd });
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        if let Ok(fd) = openat(directory, "cgroup.events", flags, Mode::empty()) {
            let mut watch = Watch { kind: Kind::Frozen(false), fd };
            let _ = watch.news();
            watches.push(watch);
        }
        Ok(watches)
    }

    fn watch_state(&self) -> Option<Watch> {
        let path = format!("{}/freezer.state", self.freezer().ok()?.path);
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK);
        let fd = fd.ok()?;
        inotify::add_watch(&fd, &path, inotify::WatchFlags::MODIFY).ok()?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(CWD, &path, flags, Mode::empty()).ok()?;
        Some(Watch { kind: Kind::Written(file, self.is_frozen()), fd })
    }

    /// Whether the kernel has killed a process of the container for want of
    /// memory.
    pub(crate) fn oom_killed(&self) -> bool {
        let file = if self.is_unified() { "memory.events" } else { "memory.oom_control" };
        let Ok(directories) = self.directories() else { return false };
        let text = self.directory(&directories, "memory").map(|d| limits::read(d, file));
        text.is_some_and(|text| text.is_ok_and(|text| number(text.as_bytes(), "oom_kill ") > 0))
    }
}

/// Has the kernel count what happens in a v1 file.
fn counter(directory: BorrowedFd<'_>, file: &str, arguments: &str) -> Result<OwnedFd> {
    let doing = || format!("watch {file} of the container's cgroup");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let watched = openat(directory, file, flags, Mode::empty()).doing(doing)?;
    let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).doing(doing)?;
    let line = format!("{} {}{arguments}", counter.as_raw_fd(), watched.as_raw_fd());
    empty::write(directory, "cgroup.event_control", &line).doing(doing)?;
    Ok(counter)
}
