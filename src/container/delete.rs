//! `delete`: all that `create` made goes, and nothing else.

use std::os::fd::AsFd;

use super::state::State;
use super::status::{Op, Status};
use super::store::{Alive, Container, InitId, Record, Store};
use crate::cgroup;
use crate::error::{Doing, Error, Result};
use crate::hooks;
use crate::sys::event::Timespec;
use crate::sys::pidfd;

/// Seconds that a killed process has to end.
const PATIENCE: i64 = 10;

/// Deletes the container `id`. With `force` it is killed first, and one that
/// is not there, or only in part, is no error.
pub(crate) fn delete(store: &Store, id: &str, force: bool) -> Result<()> {
    let op = if force { Op::ForceDelete } else { Op::Delete };
    match store.lock_for(id, op) {
        Ok((container, record, status)) => remove(&container, &record, status),
        Err(Error::NoSuchContainer { .. }) if force => remove_remains(store, id),
        Err(error) => Err(error),
    }
}

/// Leaves no process, no cgroup and no directory, and tells the poststop
/// hooks. What fails is told only after all else was tried.
pub(crate) fn remove(container: &Container, record: &Record, status: Status) -> Result<()> {
    if status != Status::Stopped {
        end_init(record)?;
    }
    if record.init.is_some() {
        record.cgroups.remove()?;
    } else {
        // The runtime was killed before anybody was there, or with him.
        record.cgroups.remove_made()?;
    }
    if let Some(group) = &record.resctrl {
        group.remove()?;
    }
    if let Some(mounts) = &record.host_mounts {
        mounts.remove()?;
    }
    container.remove()?;
    if !record.poststop.is_empty() {
        let stopped = State::new(record, Status::Stopped).compact();
        hooks::run_all_warning("poststop", &record.poststop, &stopped, &record.bundle);
    }
    Ok(())
}

/// Kills init and waits for its end. A frozen one is killed by its cgroup,
/// which knows how to thaw it.
fn end_init(record: &Record) -> Result<()> {
    let Some(alive) = record.init.and_then(InitId::alive) else { return Ok(()) };
    // If it is gone by now, that is what was wanted.
    let _ = alive.send(9);
    if record.shares_pid_namespace || record.cgroups.is_frozen() {
        record.cgroups.kill_all()?;
    }
    wait_for_end(&alive, record)
}

fn wait_for_end(alive: &Alive, record: &Record) -> Result<()> {
    let limit = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
    let ended = pidfd::wait(alive.pidfd.as_fd(), Some(&limit));
    if ended.doing(|| "wait for the container's init")? {
        return Ok(());
    }
    let pid = record.init.map_or(0, |init| init.pid);
    let (named, _) = cgroup::place(pid);
    let frozen = record.cgroups.is_frozen();
    let hint = if frozen { "; a cgroup above the container's is frozen" } else { "" };
    Err(Error::Broken {
        what: format!("delete container {:?}", record.id),
        why: format!("its init, {named}, was killed but has not ended in {PATIENCE} s{hint}"),
    })
}

/// A directory without a record: `create` was killed before it had made
/// anything. One with a record, or a lock, is a new container's, which has got
/// the ID while we waited for the old one's lock.
fn remove_remains(store: &Store, id: &str) -> Result<()> {
    let container = match store.open(id) {
        Err(Error::NoSuchContainer { .. }) => return Ok(()),
        other => other?,
    };
    if !container.lock_now() {
        return Ok(());
    }
    match container.record() {
        Err(Error::NoSuchContainer { .. }) => container.remove(),
        _ => Ok(()),
    }
}
