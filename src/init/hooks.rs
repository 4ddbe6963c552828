//! Hooks that run in the container's namespaces.

use std::os::fd::AsFd;

use super::step::{Done, Failure, Step, Text, failure};
use crate::plan::ChildHook;
use crate::sys::clone::{Child, clone_child};
use crate::sys::event::{PollFd, PollFlags, Timespec, poll};
use crate::sys::exec::StringArray;
use crate::sys::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use crate::sys::process::{WaitId, WaitIdOptions, getpid, waitid};
use crate::sys::{Errno, Result, exec, exit, fd, io, signal};

/// Runs the hooks in their order; the first that fails is the last. Without an
/// environment of its own a hook has `default_env`, as in runc.
pub(super) fn run_all(
    step: Step,
    hooks: &[ChildHook],
    state: &[Vec<u8>; 2],
    default_env: Option<&StringArray>,
) -> Done {
    for (index, hook) in hooks.iter().enumerate() {
        let envp = default_env.filter(|_| hook.envp.strings().is_empty()).unwrap_or(&hook.envp);
        run(hook, envp, state).map_err(|(errno, text)| Failure {
            errno,
            text,
            ..failure(step, index, Errno::IO)
        })?;
    }
    Ok(())
}

/// Runs one hook. What it says goes to a file in memory, and is told if it
/// fails: neither a full pipe nor a missing reader can hold it up.
fn run(
    hook: &ChildHook,
    envp: &StringArray,
    state: &[Vec<u8>; 2],
) -> std::result::Result<(), (i32, Text)> {
    let told = |errno: Errno| (errno.raw_os_error(), Text::EMPTY);
    let input = state_file(state).map_err(told)?;
    let output = memfd_create(c"hook output", MemfdFlags::CLOEXEC).map_err(told)?;
    let hook_process = || {
        signal::reset();
        let streams = [(input.as_fd(), 0), (output.as_fd(), 1), (output.as_fd(), 2)];
        let placed: Result<()> =
            streams.iter().try_for_each(|(from, to)| fd::dup_at(*from, *to, true));
        if placed.is_ok() && fd::cloexec_from(3).is_ok() {
            exec::execve(&hook.path, &hook.argv, envp);
        }
        exit(127)
    };
    let child = clone_child(0, None, hook_process).map_err(told)?;
    let said = || {
        Text::fill(|buffer| {
            let _ = seek(&output, SeekFrom::Start(0));
            io::read(&output, buffer).unwrap_or(0)
        })
    };
    match wait(&child, hook.timeout) {
        Ok(0) => Ok(()),
        Ok(status) => Err((-status, said())),
        Err(errno) => Err((errno.raw_os_error(), said())),
    }
}

/// The state of the container with its pid as it is in its own namespace.
fn state_file(state: &[Vec<u8>; 2]) -> Result<std::os::fd::OwnedFd> {
    let file = memfd_create(c"state", MemfdFlags::CLOEXEC)?;
    let mut digits = [0u8; 10];
    let mut at = digits.len();
    let mut pid = getpid().as_raw_pid().unsigned_abs();
    while pid > 0 && at > 0 {
        at -= 1;
        digits[at] = b'0' + u8::try_from(pid % 10).unwrap_or(0);
        pid /= 10;
    }
    for part in [state[0].as_slice(), &digits[at..], state[1].as_slice()] {
        let mut rest = part;
        while !rest.is_empty() {
            let written = io::write(&file, rest)?;
            rest = &rest[written..];
        }
    }
    seek(&file, SeekFrom::Start(0))?;
    Ok(file)
}

/// The wait status of `child`; `ETIMEDOUT` after killing it.
fn wait(child: &Child, timeout: Option<u32>) -> Result<i32> {
    let limit = timeout.map(|seconds| Timespec { tv_sec: i64::from(seconds), tv_nsec: 0 });
    let mut exits = [PollFd::new(&child.pidfd, PollFlags::IN)];
    let in_time = poll(&mut exits, limit.as_ref())? > 0;
    if !in_time {
        signal::send(child.pidfd.as_fd(), 9)?;
    }
    let status = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED)?;
    let status =
        status.map_or(0, |status| match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => code << 8,
            (None, signal) => signal.unwrap_or(0),
        });
    if in_time { Ok(status) } else { Err(Errno::TIMEDOUT) }
}
