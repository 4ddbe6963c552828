//! The filter of the program's system calls.
//!
//! What init does itself under the filter, a profile has to allow; so that is
//! as little as can be. A filter is loaded when `start` has been said and
//! nothing is left but `execve`; without `no_new_privs` loading needs
//! `CAP_SYS_ADMIN`, which init keeps until then, and gives up by one `capset`.
//! Both are among the calls that runc makes under the filter, so every profile
//! that is enough for runc is enough here. `startContainer` hooks load it too.
//!
//! The exception is a filter whose calls an agent answers: it must be told of
//! the container while that is being created.

use std::os::fd::{AsRawFd, OwnedFd};

use super::Report;
use super::credentials;
use super::step::{Done, Step, at, failure};
use crate::plan::Process;
use crate::sys::{Errno, Result, seccomp};

/// Loads the filter and gives up what that needed: the last thing before
/// `execve`. Nothing to do where [`meet_agent`] has done it.
pub(super) fn confine(process: &Process) -> Done {
    at(Step::Seccomp, 0, try_confine(process))
}

/// [`confine`], for a hook, which has its own words for what fails.
pub(super) fn try_confine(process: &Process) -> Result<()> {
    match &process.filter {
        Some(filter) if !filter.listener => {
            seccomp::load(&filter.program, filter.flags)?;
            credentials::give_up_admin(process)
        }
        _ => Ok(()),
    }
}

/// Loads a filter that has an agent, and lets the parent take the listener
/// before anything else: until the agent has it, a call that it is to answer
/// blocks. The one call before that is `write`, on which profiles must not
/// have `SCMP_ACT_NOTIFY`.
pub(super) fn meet_agent(process: &Process, report: &Report) -> Done {
    let Some(filter) = process.filter.as_ref().filter(|filter| filter.listener) else {
        return Ok(());
    };
    let listener = at(Step::Seccomp, 1, seccomp::load(&filter.program, filter.flags))?;
    let listener: OwnedFd = listener.ok_or_else(|| failure(Step::Seccomp, 2, Errno::BADF))?;
    let number = u16::try_from(listener.as_raw_fd());
    let number = number.map_err(|_| failure(Step::Seccomp, 3, Errno::MFILE))?;
    report.done_with(Step::Listener, number)?;
    report.wait(Step::Listener)?;
    // While anyone has it, a call does not fail when the agent is gone.
    drop(listener);
    at(Step::Seccomp, 4, credentials::give_up_admin(process))
}
