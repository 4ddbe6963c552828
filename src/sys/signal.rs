//! Signals: which ones we hear of, and by which descriptor.

use std::os::fd::OwnedFd;
use std::ptr;

use super::{Result, check, fd};

pub(crate) const SIGCHLD: i32 = libc::SIGCHLD;
pub(crate) const SIGPIPE: i32 = libc::SIGPIPE;
pub(crate) const SIGURG: i32 = libc::SIGURG;
pub(crate) const SIGWINCH: i32 = libc::SIGWINCH;

/// Blocks every signal and gives a `signalfd(2)` that reads them.
pub(crate) fn block_all() -> Result<OwnedFd> {
    // SAFETY: `sigset_t` is plain data; sigfillset fills it.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `all` is a live sigset_t.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: a whole set in, nothing out.
    check(libc::c_long::from(unsafe {
        libc::sigprocmask(libc::SIG_BLOCK, &raw const all, ptr::null_mut())
    }))?;
    // SAFETY: -1 asks for a new descriptor for the whole set.
    let number =
        unsafe { libc::signalfd(-1, &raw const all, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    fd::owned(check(libc::c_long::from(number))?)
}

/// Gives the container's program the signals as a new program expects them:
/// none blocked.
pub(crate) fn unblock_all() {
    // SAFETY: zeroes are an empty sigset_t.
    let none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: a whole set in, nothing out.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
}

/// And none ignored: those would survive exec.
pub(crate) fn default_all() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL is valid for every signal; EINVAL for SIGKILL,
        // SIGSTOP and libc's own two is of no interest.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Gives `signal` its default action.
#[cfg_attr(test, expect(dead_code, reason = "tests have a main of their own"))]
pub(crate) fn default_of(signal: i32) {
    // SAFETY: SIG_DFL is valid for every signal that can be caught.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Signals that ask a command to end.
const ENDING: [i32; 3] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM];

/// Holds back the signals that ask us to end, until the value is dropped:
/// what was begun is finished, or taken back, first.
#[derive(Debug)]
pub(crate) struct Held(libc::sigset_t);

/// See [`Held`].
pub(crate) fn hold() -> Held {
    // SAFETY: zeroes are an empty sigset_t.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    for signal in ENDING {
        // SAFETY: a live set and the number of a signal.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // SAFETY: zeroes are an empty sigset_t.
    let mut before: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: a whole set in, a whole set out.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, &raw mut before) };
    Held(before)
}

impl Held {
    /// Whether one has come that this process would have ended by.
    pub(crate) fn came(&self) -> bool {
        // SAFETY: zeroes are an empty sigset_t.
        let mut pending: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel fills a whole set.
        unsafe { libc::sigpending(&raw mut pending) };
        ENDING.into_iter().any(|signal| {
            // SAFETY: whole sets, and the number of a signal.
            let came = unsafe { libc::sigismember(&raw const pending, signal) } == 1;
            // SAFETY: as above. Whoever had blocked it before waits for it.
            came && unsafe { libc::sigismember(&raw const self.0, signal) } == 0
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the set that sigprocmask has given before.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// The number and the sender's code of the next signal, if there is one.
pub(crate) fn next(signals: &OwnedFd) -> Result<Option<i32>> {
    let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
    match rustix::io::read(signals, &mut info) {
        Ok(_) => Ok(Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]]))),
        Err(rustix::io::Errno::AGAIN) => Ok(None),
        Err(e) => Err(e),
    }
}

/// `alarm(2)`: `SIGALRM` after `seconds`, interrupting a blocking call; 0
/// takes it back.
pub(crate) fn alarm(seconds: u32) {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: zeroes are valid for sigaction (no flags: SA_RESTART is off, so
    // the blocked call returns EINTR).
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: a whole sigaction whose handler does nothing, so it is safe in
    // any state of the program.
    unsafe { libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut()) };
    // SAFETY: zeroes are an empty sigset_t.
    let mut own: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: a live set and the number of a signal.
    unsafe { libc::sigaddset(&raw mut own, libc::SIGALRM) };
    let how = if seconds > 0 { libc::SIG_UNBLOCK } else { libc::SIG_BLOCK };
    // SAFETY: a whole set in, nothing out. Whoever started us may have it
    // blocked; when it is done with, it must not end us.
    unsafe { libc::sigprocmask(how, &raw const own, ptr::null_mut()) };
    // SAFETY: takes a number.
    unsafe { libc::alarm(seconds) };
}

/// `kill(2)` by number, real-time signals included.
pub(crate) fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::syscall(libc::SYS_kill, pid, signal) }).map(drop)
}
