//! Hooks that run in the container's namespaces.

use std::os::fd::AsFd;

use super::seccomp;
use super::step::{Done, Failure, Step, Text, failure};
use crate::plan::{ChildHook, Process};
use crate::sys::clone::{Child, clone_child};
use crate::sys::event::Timespec;
use crate::sys::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use crate::sys::process::{WaitIdOptions, getpid};
use crate::sys::{Errno, Result, exec, exit, fd, io, pidfd, signal};

/// Runs the hooks in their order; the first that fails is the last. Those that
/// run as the program does, of `confined`, are under its filter, and without
/// an environment of their own have the program's, as in runc.
pub(super) fn run_all(
    step: Step,
    hooks: &[ChildHook],
    state: &[Vec<u8>; 2],
    confined: Option<&Process>,
) -> Done {
    for (index, hook) in hooks.iter().enumerate() {
        run(hook, confined, state).map_err(|(errno, text)| Failure {
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
    confined: Option<&Process>,
    state: &[Vec<u8>; 2],
) -> std::result::Result<(), (i32, Text)> {
    let own = confined.filter(|_| hook.envp.strings().is_empty());
    let envp = own.map_or(&hook.envp, |process| &process.envp);
    let told = |errno: Errno| (errno.raw_os_error(), Text::EMPTY);
    let input = state_file(state).map_err(told)?;
    let output = memfd_create(c"hook output", MemfdFlags::CLOEXEC).map_err(told)?;
    let hook_process = |_| {
        signal::unblock_all();
        let streams = [(input.as_fd(), 0), (output.as_fd(), 1), (output.as_fd(), 2)];
        let placed: Result<()> =
            streams.iter().try_for_each(|(from, to)| fd::dup_at(*from, *to, true));
        let ready = placed.is_ok() && fd::cloexec_from(3).is_ok();
        if ready && confined.is_none_or(|process| seccomp::try_confine(process).is_ok()) {
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
    if !pidfd::wait(child.pidfd.as_fd(), limit.as_ref())? {
        child.end();
        return Err(Errno::TIMEDOUT);
    }
    let status = child.reap(WaitIdOptions::empty())?;
    Ok(status.map_or(0, |status| match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code << 8,
        (None, signal) => signal.unwrap_or(0),
    }))
}
