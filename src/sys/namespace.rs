//! `setns(2)`, `unshare(2)` and what a namespace file is.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Errno, Result, check};

/// `setns(2)`: enters the namespace behind `fd`, which must be of `kind`
/// (one `CLONE_NEW*` flag).
pub(crate) fn setns(fd: BorrowedFd<'_>, kind: u64) -> Result<()> {
    // SAFETY: a live descriptor and a number.
    check(unsafe { libc::syscall(libc::SYS_setns, fd.as_raw_fd(), kind) }).map(drop)
}

/// Whether `setns(2)` takes a pidfd, and several kinds at once: it does since
/// Linux 5.8, which has also brought `faccessat2(2)`.
pub(crate) fn setns_takes_pidfd() -> bool {
    [libc::SYS_faccessat2, libc::SYS_pidfd_open].into_iter().all(|number| {
        // SAFETY: neither takes these arguments: the kernel refuses the null
        // pointer, and pid -1 with flags that are none.
        check(unsafe { libc::syscall(number, -1, 0, -1, -1) }) != Err(Errno::NOSYS)
    })
}

/// Where this process's own namespace of `kind` is.
pub(crate) fn own_path(kind: u64) -> &'static str {
    match i32::try_from(kind) {
        Ok(libc::CLONE_NEWCGROUP) => "/proc/self/ns/cgroup",
        Ok(libc::CLONE_NEWIPC) => "/proc/self/ns/ipc",
        Ok(libc::CLONE_NEWNET) => "/proc/self/ns/net",
        Ok(libc::CLONE_NEWNS) => "/proc/self/ns/mnt",
        Ok(libc::CLONE_NEWPID) => "/proc/self/ns/pid",
        Ok(libc::CLONE_NEWTIME) => "/proc/self/ns/time",
        Ok(libc::CLONE_NEWUTS) => "/proc/self/ns/uts",
        _ => "/proc/self/ns/user",
    }
}

/// `unshare(2)` with `CLONE_NEW*` flags.
pub(crate) fn unshare(kinds: u64) -> Result<()> {
    // SAFETY: CLONE_NEW* flags only: none of them makes memory or descriptors
    // of this process invalid.
    check(unsafe { libc::syscall(libc::SYS_unshare, kinds) }).map(drop)
}

/// `ioctl_nsfs(2)`: the `CLONE_NEW*` flag of a namespace file (Linux 4.11).
///
/// # Errors
///
/// `ENOTTY` if it is not a namespace file.
pub(crate) fn kind_of(fd: BorrowedFd<'_>) -> Result<u64> {
    const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
    // SAFETY: this request takes no argument and writes nothing.
    let ret = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE) };
    Ok(check(libc::c_long::from(ret))?.cast_unsigned())
}
