//! A child under a filter, which makes one system call.

use std::ffi::c_int;
use std::fmt;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use crate::seccomp::bpf::Insn;
use crate::seccomp::{Arch, compile};
use crate::spec::seccomp::Seccomp;
use crate::sys;

/// How a system call ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// What it returned, `-errno` for an error.
    Returned(i64),
    /// The signal that it brought.
    Died(c_int),
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned(value) => write!(f, "returned {value}"),
            Self::Died(signal) => write!(f, "died of signal {signal}"),
        }
    }
}

/// A system call to try.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    /// Of this machine's own ABI.
    Native(i64, [u64; 6]),
    /// By `int 0x80`, as 32-bit programs do.
    #[cfg(target_arch = "x86_64")]
    X86(u32, u32),
}

/// What parent and child both see.
pub(crate) struct Shared {
    /// 1 once the filter is loaded, 2 once the call has returned.
    pub(crate) stage: AtomicU32,
    pub(crate) result: AtomicI64,
    /// The listener's number in the child.
    pub(crate) listener: AtomicI64,
    /// 1 once the parent has the listener, and the child may close it.
    pub(crate) taken: AtomicU32,
}

impl Shared {
    /// A new one, which a fork does not copy. It is never unmapped.
    pub(crate) fn new() -> &'static Self {
        let (prot, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: asks for new memory at no certain address.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0) };
        assert_ne!(map, libc::MAP_FAILED);
        // SAFETY: a page of zeroes is a `Shared`: it has only atomic integers,
        // and a page is aligned for them.
        unsafe { &*map.cast::<Self>() }
    }

    /// Waits until the child is at `stage`; false when it ends first.
    pub(crate) fn wait_for(&self, stage: u32, child: libc::pid_t) -> bool {
        while self.stage.load(Ordering::SeqCst) < stage {
            let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
            let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            let id = libc::id_t::try_from(child).unwrap();
            // SAFETY: `info` is writable memory of the right size.
            unsafe { libc::waitid(libc::P_PID, id, info.as_mut_ptr(), options) };
            // SAFETY: zeroed above, so initialized whatever waitid did.
            if unsafe { info.assume_init().si_signo } != 0 {
                return false;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        true
    }
}

/// A profile from its JSON.
pub(crate) fn profile(json: &str) -> Seccomp {
    serde_json::from_str(json).unwrap()
}

/// What `call` does under `profile`.
pub(crate) fn under(profile: &Seccomp, call: Call) -> Seen {
    let shared = Shared::new();
    let child = fork(profile, call, shared, || ());
    wait(child, shared)
}

/// Starts a child that calls `before`, loads the filter and makes the call.
pub(crate) fn fork(
    profile: &Seccomp,
    call: Call,
    shared: &'static Shared,
    before: impl Fn(),
) -> libc::pid_t {
    let filter = compile(profile, Arch::native().unwrap()).unwrap();
    // SAFETY: the child uses neither heap nor locks until it ends.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            before();
            child(&filter.program, filter.flags, call, shared)
        }
        pid => pid,
    }
}

/// Waits for the child's end and says how its call ended.
pub(crate) fn wait(child: libc::pid_t, shared: &Shared) -> Seen {
    let mut status = 0;
    // SAFETY: `status` is writable and lives over the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    match shared.stage.load(Ordering::SeqCst) {
        0 => panic!("the filter was not loaded: {}", shared.result.load(Ordering::SeqCst)),
        1 => Seen::Died(libc::WTERMSIG(status)),
        _ => Seen::Returned(shared.result.load(Ordering::SeqCst)),
    }
}

fn child(program: &[Insn], flags: u32, call: Call, shared: &Shared) -> ! {
    // SAFETY: takes values, touches no memory.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    match sys::seccomp::load(program, flags) {
        Ok(listener) => {
            let number = listener.as_ref().map_or(-1, AsRawFd::as_raw_fd);
            shared.listener.store(number.into(), Ordering::SeqCst);
            shared.stage.store(1, Ordering::SeqCst);
            while listener.is_some() && shared.taken.load(Ordering::SeqCst) == 0 {
                std::hint::spin_loop();
            }
            drop(listener);
            shared.result.store(make(call), Ordering::SeqCst);
            shared.stage.store(2, Ordering::SeqCst);
        }
        Err(e) => shared.result.store(e.raw_os_error().into(), Ordering::SeqCst),
    }
    // SAFETY: takes a value. A filter may refuse it, hence the trap.
    unsafe { libc::syscall(libc::SYS_exit_group, 0) };
    loop {
        // SAFETY: ends this process, which has nothing left to do.
        unsafe { std::ptr::null_mut::<u8>().write_volatile(0) };
    }
}

fn make(call: Call) -> i64 {
    match call {
        Call::Native(number, a) => {
            // SAFETY: the callers try calls that touch no memory of this
            // process, or that the filter refuses.
            let ret = unsafe { libc::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) };
            if ret != -1 {
                return ret;
            }
            -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
        }
        #[cfg(target_arch = "x86_64")]
        Call::X86(number, arg) => {
            let ret: i32;
            // SAFETY: as above; rbx, which the compiler keeps for itself, is
            // put back.
            unsafe {
                std::arch::asm!(
                    "xchg {arg}, rbx",
                    "int 0x80",
                    "xchg {arg}, rbx",
                    arg = inout(reg) u64::from(arg) => _,
                    inout("eax") number => ret,
                    out("r8") _, out("r9") _, out("r10") _, out("r11") _,
                );
            }
            ret.into()
        }
    }
}
