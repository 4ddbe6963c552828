//! `run`: a container from create to delete, in one command.

use std::os::fd::{AsFd, OwnedFd};

use super::create::{self, Created, Request};
use super::notify::Notify;
use super::status::Op;
use super::store::Store;
use super::terminal::Terminal;
use super::{delete, foreground, start};
use crate::error::{Doing, Error, Result};
use crate::sys::process::{Pid, set_child_subreaper};
use crate::sys::signal;

/// What only `run` is asked for.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Manner {
    /// Leave when the program has begun.
    pub(crate) detach: bool,
    /// Leave the container's state when its program has ended.
    pub(crate) keep: bool,
    /// Let orphans of the container go to whoever else takes them.
    pub(crate) no_subreaper: bool,
}

/// Runs a container; the result is the exit code of its program, or 128 plus
/// the signal that ended it.
pub(crate) fn run(store: &Store, request: &Request, manner: Manner) -> Result<u8> {
    if !manner.detach && !manner.no_subreaper {
        let own = Pid::from_raw(1);
        set_child_subreaper(own).doing(|| "become the reaper of orphans")?;
    }
    // Signals that come while the container is made are for its program.
    let signals =
        if manner.detach { None } else { Some(signal::block_all().doing(|| "block signals")?) };
    let created = create::create(store, request)?;
    let ended = begin_and_wait(store, &created, signals.as_ref());
    // Held still, if it has failed early: to remove it is to lock it anew.
    created.container.unlock();
    if ended.is_err() || !manner.detach && !manner.keep {
        removed(store, &request.id, ended)
    } else {
        ended
    }
}

/// Deletes a container that is done with, whatever became of it.
pub(super) fn removed(store: &Store, id: &str, ended: Result<u8>) -> Result<u8> {
    // Whoever else has deleted it meanwhile has done our work.
    let removed = match store.lock_for(id, Op::Remove) {
        Ok((container, record, status)) => delete::remove(&container, &record, status),
        Err(Error::NoSuchContainer { .. }) => Ok(()),
        Err(error) => Err(error),
    };
    // Why it failed matters more than what is left of it.
    ended.and_then(|code| removed.map(|()| code))
}

fn begin_and_wait(store: &Store, created: &Created, signals: Option<&OwnedFd>) -> Result<u8> {
    let mut terminal = match &created.terminal {
        Some(socket) => Some(Terminal::receive(socket.as_fd())?),
        None => None,
    };
    let notify = Notify::listen(store, &created.record.id)?;
    let started = start::started(&created.container, &created.record);
    created.container.unlock();
    started?;
    let pid = created.record.init.map_or(0, |init| init.pid);
    let pidfd = created.pidfd.as_fd();
    let Some(signals) = signals else {
        return notify.map_or(Ok(()), |notify| notify.wait(pid, pidfd)).map(|()| 0);
    };
    crate::log::release();
    foreground::attend(pid, pidfd, signals, terminal.as_mut(), notify)
}
