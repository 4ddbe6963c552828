//! `run`: a container from create to delete, in one command.

use std::os::fd::{AsFd, OwnedFd};

use super::create::{self, Created, Request};
use super::status::Op;
use super::store::Store;
use super::terminal::Terminal;
use super::{delete, start};
use crate::error::{Doing, Error, Result};
use crate::sys::event::{PollFd, PollFlags, poll};
use crate::sys::process::{Pid, WaitOptions, set_child_subreaper, wait};
use crate::sys::{io, signal};

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
    let ended = begin_and_wait(&created, signals.as_ref());
    let gone = ended.is_err() || !manner.detach && !manner.keep;
    if !gone {
        return ended;
    }
    // Whoever else has deleted it meanwhile has done our work.
    let removed = match store.lock_for(&request.id, Op::ForceDelete) {
        Ok((container, record, status)) => delete::remove(&container, &record, status),
        Err(Error::NoSuchContainer { .. }) => Ok(()),
        Err(error) => Err(error),
    };
    // Why it failed matters more than what is left of it.
    ended.and_then(|code| removed.map(|()| code))
}

fn begin_and_wait(created: &Created, signals: Option<&OwnedFd>) -> Result<u8> {
    let mut terminal = match &created.terminal {
        Some(socket) => Some(Terminal::receive(socket.as_fd())?),
        None => None,
    };
    let started = start::started(&created.container, &created.record);
    created.container.unlock();
    started?;
    let Some(signals) = signals else { return Ok(0) };
    crate::log::release();
    let code = attend(created, signals, terminal.as_mut())?;
    if let Some(terminal) = &mut terminal {
        terminal.drain();
    }
    Ok(code)
}

/// Passes signals and the terminal's bytes on until the program has ended.
fn attend(created: &Created, signals: &OwnedFd, mut terminal: Option<&mut Terminal>) -> Result<u8> {
    loop {
        let mut watched =
            vec![PollFd::new(signals, PollFlags::IN), PollFd::new(&created.pidfd, PollFlags::IN)];
        if let Some(terminal) = &terminal {
            watched.extend(terminal.watched());
        }
        io::retry_on_intr(|| poll(&mut watched, None)).doing(|| "wait for the container")?;
        let ready: Vec<PollFlags> = watched.iter().map(PollFd::revents).collect();
        drop(watched);
        if let Some(terminal) = terminal.as_deref_mut() {
            terminal.copy(&ready[2..]);
        }
        while let Some(number) = signal::next(signals).doing(|| "read a signal")? {
            pass_on(created, number, terminal.as_deref_mut());
        }
        if let Some(code) = reap(created, ready[1].contains(PollFlags::IN)) {
            return Ok(code);
        }
    }
}

/// Every signal is the container's, but those that are about us.
fn pass_on(created: &Created, number: i32, terminal: Option<&mut Terminal>) {
    match number {
        // SIGPIPE is what our own writes bring about.
        signal::SIGCHLD | signal::SIGURG | signal::SIGPIPE => {}
        signal::SIGWINCH if terminal.is_some() => {
            if let Some(terminal) = terminal {
                terminal.resize();
            }
        }
        // If it is gone, its exit is about to be seen.
        number => {
            let _ = signal::send(created.pidfd.as_fd(), number);
        }
    }
}

/// As their reaper we get the container's orphans, and nobody asks how they
/// ended; of init, the exit code is ours.
fn reap(created: &Created, init_ended: bool) -> Option<u8> {
    let init = created.record.init.map_or(0, |init| init.pid);
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid.as_raw_pid() == init {
            let code =
                status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal));
            return Some(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255));
        }
    }
    // Somebody else has reaped it.
    init_ended.then_some(255)
}
