//! System calls, and nothing else.
//!
//! Every `unsafe` block of minke is in this module. Calls that rustix wraps
//! are re-exported under their own names (its Linux backend issues the system
//! call directly: no libc, no lock, no allocation, so the container's init
//! may use them); the ones it lacks are here, one system call a function.

pub(crate) mod bpf;
pub(crate) mod clone;
mod entry;
pub(crate) mod exec;
pub(crate) mod fd;
pub(crate) mod heap;
pub(crate) mod keyring;
pub(crate) mod memory;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod netdevice;
pub(crate) mod pidfd;
pub(crate) mod prestart;
pub(crate) mod scheduling;
pub(crate) mod seccomp;
pub(crate) mod signal;
pub(crate) mod socket;

pub(crate) use rustix::io::Errno;
pub(crate) use rustix::param::page_size;
pub(crate) use rustix::process::{getegid, geteuid};
pub(crate) use rustix::{event, fs, io, net, pipe, process, pty, stdio, system, termios, thread};

/// What a system call gives: a value or an errno.
pub(crate) type Result<T> = std::result::Result<T, Errno>;

/// The errno of the libc call that just failed.
fn last_errno() -> Errno {
    let code = std::io::Error::last_os_error().raw_os_error();
    Errno::from_raw_os_error(code.unwrap_or(libc::EIO))
}

/// Makes libc's -1 an error.
fn check(ret: libc::c_long) -> Result<libc::c_long> {
    if ret < 0 { Err(last_errno()) } else { Ok(ret) }
}

/// Ends the process at once: no destructors, no `atexit`, nothing flushed.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: `_exit` has no precondition and touches no memory.
    unsafe { libc::_exit(status) }
}
