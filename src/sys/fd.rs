//! Descriptors: close them, number them, take them over.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::{Errno, Result, check, last_errno};

/// `close_range(2)` (Linux 5.9) from `first` to the last possible descriptor;
/// one by one on an older kernel.
pub(crate) fn close_from(first: u32) -> Result<()> {
    close_range(first, 0, |fd| {
        // SAFETY: closing a number that is not open is a harmless EBADF; the
        // caller has given up everything from `first` on.
        unsafe { libc::close(fd) };
    })
}

/// The same, but the descriptors stay until exec (`CLOSE_RANGE_CLOEXEC`,
/// Linux 5.11).
pub(crate) fn cloexec_from(first: u32) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    close_range(first, CLOSE_RANGE_CLOEXEC, |fd| {
        // SAFETY: F_SETFD takes a number and changes no memory; EBADF for a
        // descriptor that is not open is of no interest.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    })
}

fn close_range(first: u32, flags: u32, one_by_one: impl Fn(RawFd)) -> Result<()> {
    // SAFETY: the arguments are plain numbers; descriptors above `first` are
    // the caller's to give up.
    let ret = check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) });
    match ret {
        Err(Errno::NOSYS | Errno::INVAL) => {
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
            let last = limit.unwrap_or(1 << 20).min(1 << 20);
            let first = RawFd::try_from(first).map_err(|_| Errno::BADF)?;
            let last = RawFd::try_from(last).map_err(|_| Errno::BADF)?;
            (first..last).for_each(one_by_one);
            Ok(())
        }
        other => other.map(drop),
    }
}

/// `dup3(2)` onto the number `at`, closed by exec unless `inherit`.
pub(crate) fn dup_at(fd: BorrowedFd<'_>, at: RawFd, inherit: bool) -> Result<()> {
    let flags = if inherit { 0 } else { libc::O_CLOEXEC };
    // SAFETY: dup3 changes no memory; whatever was open at `at` belongs to
    // this process, which is about to exec and has no other use for it.
    let ret = unsafe { libc::dup3(fd.as_raw_fd(), at, flags) };
    match check(libc::c_long::from(ret)) {
        // dup3 refuses equal numbers; then only the flag is to be set.
        Err(Errno::INVAL) if fd.as_raw_fd() == at => {
            let flag = if inherit { 0 } else { libc::FD_CLOEXEC };
            // SAFETY: F_SETFD takes a number and changes no memory.
            check(libc::c_long::from(unsafe { libc::fcntl(at, libc::F_SETFD, flag) })).map(drop)
        }
        other => other.map(drop),
    }
}

/// [`dup_at`], for a number that is to be owned here and closed by exec.
pub(crate) fn place(fd: BorrowedFd<'_>, at: RawFd) -> Result<OwnedFd> {
    dup_at(fd, at, false)?;
    // SAFETY: `at` is open now. Its former owner in this process, if there was
    // one, is a value that the caller has leaked to the exec that follows and
    // never drops: init ends by exec or _exit.
    Ok(unsafe { OwnedFd::from_raw_fd(at) })
}

/// `getcwd(2)` without the heap. The path does not begin with a slash when
/// the directory is not below this process's root.
pub(crate) fn working_directory(buffer: &mut [u8]) -> Result<&[u8]> {
    // SAFETY: the kernel writes at most `len` bytes to `buffer`.
    let ret = check(unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) })?;
    let len = usize::try_from(ret).unwrap_or(0).min(buffer.len());
    Ok(&buffer[..len])
}

/// Closes the copy that a child has of a descriptor of its parent's.
pub(crate) fn close_copy(fd: BorrowedFd<'_>) {
    // SAFETY: the owner is a value of the parent's, whose copy in this child
    // is never dropped: init ends by exec or _exit.
    unsafe { libc::close(fd.as_raw_fd()) };
}

/// Moves a descriptor to the lowest free number at or above `floor`, so that
/// it is out of the way of numbers that are to be handed on.
pub(crate) fn move_above(fd: BorrowedFd<'_>, floor: RawFd) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(fd, floor)
}

/// A descriptor that this process was started with, such as one of
/// `--preserve-fds` or of a socket-activated service.
///
/// # Errors
///
/// `EBADF` when it is not open.
pub(crate) fn inherited(number: RawFd) -> Result<BorrowedFd<'static>> {
    // SAFETY: F_GETFD takes a number and changes no memory.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(last_errno());
    }
    // SAFETY: it is open (just checked), not -1, and nothing in minke closes
    // the descriptors that it was started with before its own exec or exit,
    // but for `give_back`.
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}

/// [`inherited`], and not opened since: what comes by exec is never closed by
/// the next one.
pub(crate) fn handed_over(number: RawFd) -> Result<BorrowedFd<'static>> {
    let fd = inherited(number)?;
    let flags = rustix::io::fcntl_getfd(fd)?;
    if flags.contains(rustix::io::FdFlags::CLOEXEC) { Err(Errno::BADF) } else { Ok(fd) }
}

/// Closes one that is [handed over](handed_over), for which whoever has the
/// other end of a pipe may wait; nobody is to use it any more.
pub(crate) fn give_back(fd: BorrowedFd<'static>) {
    // SAFETY: no value of this process owns it.
    unsafe { libc::close(fd.as_raw_fd()) };
}

/// Takes a descriptor number that the kernel has just given us.
pub(super) fn owned(number: libc::c_long) -> Result<OwnedFd> {
    let number = RawFd::try_from(number).map_err(|_| Errno::BADF)?;
    // SAFETY: callers pass what a successful system call has just returned,
    // which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
