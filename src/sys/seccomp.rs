//! seccomp(2).

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::Errno;

/// An instruction of classic BPF: `struct sock_filter` of linux/filter.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Insn {
    /// Operation.
    pub(crate) code: u16,
    /// Instructions to skip where a conditional jump holds.
    pub(crate) jt: u8,
    /// Instructions to skip where it does not.
    pub(crate) jf: u8,
    /// Operand.
    pub(crate) k: u32,
}

const SET_MODE_FILTER: libc::c_long = 1;
const FLAG_NEW_LISTENER: u32 = 1 << 3;

/// Puts this thread, and what it execs and clones, under `program`
/// (Linux 3.17; `flags` are `SECCOMP_FILTER_FLAG_*`). The descriptor is the
/// listener's, with `SECCOMP_FILTER_FLAG_NEW_LISTENER` (Linux 5.0) only.
///
/// Uses neither heap nor locks: for the container's init.
///
/// # Errors
///
/// `EACCES` without `CAP_SYS_ADMIN` in the user namespace or `no_new_privs`;
/// `EINVAL` for a flag that the kernel does not know, and for a program that
/// it does not take; `EBUSY` for a second listener; `ENOMEM` when all filters
/// together exceed 32768 instructions.
pub(crate) fn load(program: &[Insn], flags: u32) -> Result<Option<OwnedFd>, Errno> {
    let Ok(len) = libc::c_ushort::try_from(program.len()) else { return Err(Errno::INVAL) };
    let filter = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `filter` points to `len` instructions of the layout that the
    // kernel reads (`Insn` is `struct sock_filter`), both live over the call;
    // it writes to neither.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SET_MODE_FILTER,
            libc::c_ulong::from(flags),
            &raw const filter,
        )
    };
    match libc::c_int::try_from(ret) {
        Ok(-1) | Err(_) => Err(last_errno()),
        Ok(fd) if flags & FLAG_NEW_LISTENER != 0 => {
            // SAFETY: with this flag a call that succeeds returns a new
            // descriptor, which nobody else owns.
            Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
        }
        Ok(_) => Ok(None),
    }
}

/// Whether the kernel knows all of `flags` for [`load`].
pub(crate) fn knows_flags(flags: u32) -> bool {
    // The kernel looks at the flags first, then at the program: none is there.
    let none = std::ptr::null::<libc::sock_fprog>();
    // SAFETY: the kernel reads nothing through a null pointer, and says EFAULT.
    let ret = unsafe {
        libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, libc::c_ulong::from(flags), none)
    };
    ret == -1 && last_errno() == Errno::FAULT
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_have_the_kernels_layout() {
        assert_eq!(size_of::<Insn>(), size_of::<libc::sock_filter>());
        assert_eq!(align_of::<Insn>(), align_of::<libc::sock_filter>());
    }

    /// All are older than the oldest kernel that minke runs on, 4.18, but the
    /// last.
    #[test]
    fn the_kernel_tells_what_it_knows() {
        assert!(knows_flags(1 << 1));
        assert!(knows_flags(1 << 2));
        assert!(knows_flags(0));
        assert!(!knows_flags(1 << 31));
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert_eq!(load(&[], 0).unwrap_err(), Errno::INVAL);
        let ret = Insn { code: 6, jt: 0, jf: 0, k: 0x7fff_0000 };
        assert_eq!(load(&vec![ret; 70_000], 0).unwrap_err(), Errno::INVAL);
    }
}
