//! Holds our program against the filter that another runtime has loaded.

use std::ffi::c_int;

use crate::generate::{Calls, Random};
use crate::libseccomp::decode;
use crate::seccomp::arch::Arch;
use crate::seccomp::bpf::Insn;
use crate::seccomp::compile;
use crate::seccomp::interpret::interpret;

const PTRACE_SECCOMP_GET_FILTER: libc::c_uint = 0x420c;

/// Does nothing, for ever: the program of a container.
pub(crate) fn pause() -> Result<(), String> {
    loop {
        std::thread::sleep(std::time::Duration::from_secs(3600));
    }
}

/// Compares the only filter of process `pid` with ours for `file`.
pub(crate) fn run(pid: &str, file: &str, calls: &str) -> Result<(), String> {
    let calls: u64 = calls.parse().map_err(|e| format!("{calls}: {e}"))?;
    let pid: c_int = pid.parse().map_err(|e| format!("{pid}: {e}"))?;
    let theirs = filter_of(pid).map_err(|e| format!("filter of {pid}: {e}"))?;
    let profile = crate::read(file)?;
    let ours = compile(&profile, Arch::X86_64).map_err(|e| format!("{e:?}"))?;
    let about = Calls::new(&profile, Arch::X86_64);
    let mut random = Random(1);
    let mut new = 0;
    for _ in 0..calls {
        let call = about.call(&mut random);
        let (a, b) = (interpret(&ours.program, &call)?.0, interpret(&theirs, &call)?.0);
        if a != b {
            return Err(format!("{file}: {call:x?}: ours {a:#x}, theirs {b:#x}"));
        }
        new += u64::from(a == 0x0005_0026);
    }
    let (a, b) = (ours.program.len(), theirs.len());
    println!(
        "{file}: {calls} calls, 0 differences ({new} times ENOSYS); {a} instructions, theirs {b}"
    );
    Ok(())
}

fn filter_of(pid: c_int) -> std::io::Result<Vec<Insn>> {
    let check = |ret: libc::c_long| match ret {
        -1 => Err(std::io::Error::last_os_error()),
        len => Ok(usize::try_from(len).unwrap_or_default()),
    };
    let none = std::ptr::null_mut::<u8>();
    // SAFETY: attaching reads no memory of ours.
    check(unsafe { libc::ptrace(libc::PTRACE_ATTACH, pid, none, none) })?;
    let mut status = 0;
    // SAFETY: `status` lives over the call.
    unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    // SAFETY: with a null pointer the kernel only tells the length.
    let len = check(unsafe { libc::ptrace(PTRACE_SECCOMP_GET_FILTER, pid, none, none) });
    let bytes = len.and_then(|len| {
        let mut bytes = vec![0_u8; len * 8];
        // SAFETY: `bytes` has room for `len` instructions of 8 bytes.
        check(unsafe { libc::ptrace(PTRACE_SECCOMP_GET_FILTER, pid, none, bytes.as_mut_ptr()) })?;
        Ok(bytes)
    });
    // SAFETY: as for attaching.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, none, none) };
    bytes.map(|bytes| decode(&bytes))
}
