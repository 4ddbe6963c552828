//! `clone3(2)`: how a container's first process comes to be.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::event::Timespec;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::{Errno, Result, check, exit, heap, pidfd};

const SIGKILL: i32 = 9;

/// A child process and the descriptor that names it for as long as we like.
#[derive(Debug)]
pub(crate) struct Child {
    /// Number in our pid namespace.
    pub(crate) pid: i32,
    /// `pidfd_open(2)`.
    pub(crate) pidfd: OwnedFd,
    /// False if it is still to be moved into the cgroup that was asked for.
    pub(crate) born_in_cgroup: bool,
}

impl Child {
    /// How it has ended, `waitid(2)`. By its pid (Linux 5.4 takes a pidfd): it
    /// is our child's until we have asked.
    pub(crate) fn reap(&self, options: WaitIdOptions) -> Result<Option<WaitIdStatus>> {
        waitid(WaitId::Pid(id(self.pid)), options | WaitIdOptions::EXITED)
    }

    /// Kills it and sees it to its end. One that is frozen, or waits for a
    /// disk, does not end of it: false after a while.
    pub(crate) fn end(&self) -> bool {
        let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
        let _ = pidfd::send(self.pidfd.as_fd(), self.pid, SIGKILL);
        let ended = pidfd::wait(self.pidfd.as_fd(), Some(&patience)) == Ok(true);
        if ended {
            let _ = self.reap(WaitIdOptions::empty());
        }
        ended
    }
}

fn id(pid: i32) -> Pid {
    Pid::from_raw(pid).unwrap_or(Pid::INIT)
}

/// `struct clone_args` of Linux 5.7 (`CLONE_ARGS_SIZE_VER2`).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// The child is a sibling: a child of its maker's parent.
pub(crate) const CLONE_PARENT: u64 = 0x8000;

/// `clone3(2)` (Linux 5.3) with `CLONE_PIDFD` and `SIGCHLD`.
///
/// `namespaces` are `CLONE_NEW*` flags, with [`CLONE_PARENT`] perhaps. With `cgroup`, a cgroup v2 directory,
/// the child is born in it (`CLONE_INTO_CGROUP`, Linux 5.7). The child runs
/// `child`, which never comes back to the caller's code.
///
/// Where the kernel or a filter hides `clone3`, `clone(2)` stands in for it,
/// which cannot place the child in a cgroup; nor may a user, if the way there
/// from his own cgroup leads through what is not his (`EACCES`). Whether it is
/// born there is told to the child, and to us by `born_in_cgroup`.
///
/// # Errors
///
/// `EPERM` without `CAP_SYS_ADMIN`, `ENOSPC` at a namespace limit
/// (`/proc/sys/user/max_*`), `EAGAIN` at `RLIMIT_NPROC` or `pids.max`.
pub(crate) fn clone_child(
    namespaces: u64,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce(bool),
) -> Result<Child> {
    let mut pidfd: libc::c_int = -1;
    let mut args = CloneArgs {
        flags: namespaces | libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd).addr() as u64,
        // A sibling has its maker's.
        exit_signal: if namespaces & CLONE_PARENT == 0 { libc::SIGCHLD as u64 } else { 0 },
        ..CloneArgs::default()
    };
    if let Some(dir) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(dir.as_raw_fd()).map_err(|_| Errno::BADF)?;
    }
    (&raw mut pidfd).expose_provenance();
    // SAFETY: `args` is a whole `clone_args` whose `pidfd` points to a live
    // c_int, the only memory of ours that the kernel writes. Without CLONE_VM
    // both sides go on with their own copy of this stack, so `stack` may be 0.
    // minke has one thread, so the child's copy of the heap and of libc's
    // locks is whole.
    let ret =
        check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) });
    let refused = match ret {
        Err(Errno::NOSYS) => true,
        Err(Errno::ACCESS) => cgroup.is_some(),
        _ => false,
    };
    let born_in_cgroup = cgroup.is_none() || !refused;
    let pid = match ret {
        Err(_) if refused => legacy_clone(namespaces, &mut pidfd)?,
        other => other?,
    };
    let pid = i32::try_from(pid).map_err(|_| Errno::RANGE)?;
    if pid == 0 {
        heap::forbid();
        child(born_in_cgroup);
        exit(255)
    }
    if pidfd < 0 {
        // Linux before 5.2 ignores CLONE_PIDFD.
        let opened = pidfd::open(pid).map(|pidfd| Child { pid, pidfd, born_in_cgroup });
        return opened.inspect_err(|_| {
            let _ = super::signal::kill(pid, SIGKILL);
            let _ = waitid(WaitId::Pid(id(pid)), WaitIdOptions::EXITED);
        });
    }
    Ok(Child {
        pid,
        // SAFETY: it is not -1 any more, so the kernel has stored a new
        // descriptor, which nobody else owns, in `pidfd`.
        pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        born_in_cgroup,
    })
}

/// `clone(2)` with `CLONE_PIDFD` (Linux 5.2); the order of its arguments is
/// the same on x86-64, arm64 and riscv64 up to the pidfd's.
fn legacy_clone(namespaces: u64, pidfd: &mut libc::c_int) -> Result<libc::c_long> {
    // CLONE_NEWTIME lies in the bits of the exit signal: only clone3 takes it.
    if namespaces & libc::CLONE_NEWTIME as u64 != 0 {
        return Err(Errno::NOSYS);
    }
    let signal = if namespaces & CLONE_PARENT == 0 { libc::SIGCHLD as u64 } else { 0 };
    let flags = namespaces | libc::CLONE_PIDFD as u64 | signal;
    // SAFETY: without CLONE_VM a null stack means a copy of ours; `pidfd` is
    // the only memory that the kernel writes, and it outlives the call.
    check(unsafe { libc::syscall(libc::SYS_clone, flags, std::ptr::null_mut::<u8>(), pidfd, 0, 0) })
}

/// A process that does nothing, and ends when this is dropped or with us.
#[derive(Debug)]
pub(crate) struct Placeholder(Child);

impl Placeholder {
    pub(crate) fn new() -> Result<Self> {
        use rustix::process::{
            DumpableBehavior, Signal, getppid, set_dumpable_behavior,
            set_parent_process_death_signal,
        };
        let parent = rustix::process::getpid();
        clone_child(0, None, |_| {
            let set = set_parent_process_death_signal(Some(Signal::KILL))
                .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
            while set.is_ok() && getppid() == Some(parent) {
                let _ = rustix::event::poll(&mut [], None);
            }
        })
        .map(Self)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.0.pid
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        self.0.end();
    }
}
