//! `events`: what a container uses, and what happens to it.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::status::Status;
use super::store::{InitId, Record, Store};
use crate::cgroup::{News, Watch};
use crate::error::{Doing, Error, Result};
use crate::sys::event::{PollFd, Timespec, poll};
use crate::sys::{Errno, io, pidfd};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Time between statistics.
    pub(crate) interval: Duration,
    /// The statistics once, and nothing else.
    pub(crate) stats: bool,
    /// Also exit, pause, resume and memory pressure.
    pub(crate) all: bool,
}

/// Gives each event to `tell`, until the container ends.
pub(crate) fn events(
    store: &Store,
    id: &str,
    wanted: Wanted,
    tell: impl Fn(&Value) -> Result<()>,
) -> Result<()> {
    let container = store.open(id)?;
    let record = container.record()?;
    // runc's words.
    let stopped = || Error::WrongStatus { words: format!("container with id {id} is not running") };
    if matches!(container.status(&record), Status::Stopped | Status::Creating) {
        return Err(stopped());
    }
    let stats = || Ok(json!({"type": "stats", "id": id, "data": record.cgroups.stats()?}));
    if wanted.stats {
        return tell(&stats()?);
    }
    let init = record.init.and_then(InitId::alive).ok_or_else(stopped)?.pidfd;
    let mut watches: Vec<Watch> = record.cgroups.watch_oom()?.into_iter().collect();
    if wanted.all {
        watches.extend(record.cgroups.watch_more()?);
    }
    let event = |kind: &str| json!({"type": kind, "id": id});
    let mut next = Instant::now() + wanted.interval;
    let mut frozen = record.cgroups.is_frozen();
    loop {
        let ended = wait(&init, &mut watches, next, |news| match news {
            News::Oom => tell(&event("oom")),
            News::Pressure => tell(&event("memory-pressure")),
            News::Frozen(now) if now == frozen => Ok(()),
            News::Frozen(now) => {
                frozen = now;
                tell(&event(if now { "pause" } else { "resume" }))
            }
        })?;
        if ended {
            return if wanted.all { tell(&exit(id, &init)) } else { Ok(()) };
        }
        if Instant::now() >= next {
            next = Instant::now() + wanted.interval;
            // Of freezing by a cgroup above v1 does not tell: it is seen with
            // the statistics.
            if wanted.all && record.cgroups.is_frozen() != frozen {
                frozen = !frozen;
                tell(&event(if frozen { "pause" } else { "resume" }))?;
            }
            tell_stats(&record, &stats, &tell)?;
        }
    }
}

/// With the exit code, if the kernel tells it to others than the parent.
fn exit(id: &str, init: &OwnedFd) -> Value {
    let soon = Timespec { tv_sec: 1, tv_nsec: 0 };
    let mut event = json!({"type": "exit", "id": id});
    if let Some(code) = pidfd::exit_code(init.as_fd(), &soon) {
        event["data"] = json!({"exitCode": code});
    }
    event
}

/// A container that ends just now has no statistics any more.
fn tell_stats(
    record: &Record,
    stats: &impl Fn() -> Result<Value>,
    tell: &impl Fn(&Value) -> Result<()>,
) -> Result<()> {
    match stats() {
        Ok(stats) => tell(&stats),
        Err(_) if record.init.and_then(InitId::alive).is_none() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits for news until `end`; the result is whether init has ended.
fn wait(
    init: &OwnedFd,
    watches: &mut [Watch],
    end: Instant,
    mut tell: impl FnMut(News) -> Result<()>,
) -> Result<bool> {
    let left = end.saturating_duration_since(Instant::now());
    let limit = Timespec::try_from(left).map_err(|_| Errno::INVAL);
    let limit = limit.doing(|| "wait for events")?;
    let mut polled = vec![PollFd::new(init, pidfd::poll_flags(init.as_fd()))];
    for watch in watches.iter() {
        let (fd, flags) = watch.poll();
        polled.push(PollFd::from_borrowed_fd(fd, flags));
    }
    io::retry_on_intr(|| poll(&mut polled, Some(&limit))).doing(|| "wait for events")?;
    let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
    drop(polled);
    // The kernel may be late with news, and nobody asks after the end.
    let last = pidfd::has_ended(init.as_fd());
    for (watch, ready) in watches.iter_mut().zip(&ready[1..]) {
        let asked = *ready || last && watch.knows();
        if let Some(news) = asked.then(|| watch.news()).flatten() {
            tell(news)?;
        }
    }
    Ok(last)
}
