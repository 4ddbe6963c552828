//! How the kernel treats a process: who it runs before, on which processors,
//! and where its memory comes from.

use super::{Result, check};

/// `struct sched_attr` of Linux 5.3 (`SCHED_ATTR_SIZE_VER1`). Older kernels
/// take it too, as long as what they do not know is zero.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SchedAttr {
    /// Of this struct, in bytes.
    pub(crate) size: u32,
    /// `SCHED_*`.
    pub(crate) policy: u32,
    /// `SCHED_FLAG_*`.
    pub(crate) flags: u64,
    pub(crate) nice: i32,
    pub(crate) priority: u32,
    /// Nanoseconds, as the next two.
    pub(crate) runtime: u64,
    pub(crate) deadline: u64,
    pub(crate) period: u64,
    /// The spec has no field for it.
    pub(crate) util_min: u32,
    /// As `util_min`.
    pub(crate) util_max: u32,
}

impl Default for SchedAttr {
    fn default() -> Self {
        Self {
            size: 56,
            policy: 0,
            flags: 0,
            nice: 0,
            priority: 0,
            runtime: 0,
            deadline: 0,
            period: 0,
            util_min: 0,
            util_max: 0,
        }
    }
}

const _: () = assert!(size_of::<SchedAttr>() == 56);

/// `sched_setattr(2)` (Linux 3.14) on the calling thread.
///
/// # Errors
///
/// `EPERM` without `CAP_SYS_NICE`, or for `SCHED_DEADLINE` in a cpuset;
/// `EINVAL` for values that the policy does not take; `EBUSY` if there is no
/// bandwidth left.
pub(crate) fn sched_setattr(attr: &SchedAttr) -> Result<()> {
    // SAFETY: `attr` is a whole sched_attr of the size that it gives itself,
    // and is only read.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(attr), 0) })
        .map(drop)
}

/// `ioprio_set(2)` on the process group of the caller.
///
/// # Errors
///
/// `EPERM` for the real-time class without `CAP_SYS_NICE` or
/// `CAP_SYS_ADMIN`, `EINVAL` for an unknown class or level.
pub(crate) fn ioprio_set(priority: u16) -> Result<()> {
    const IOPRIO_WHO_PGRP: libc::c_int = 2;
    // SAFETY: plain numbers.
    check(unsafe {
        libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PGRP, 0, libc::c_int::from(priority))
    })
    .map(drop)
}

/// `sched_setaffinity(2)` on the calling thread; bit N of `mask` is CPU N.
/// CPUs that the machine or the cpuset does not have are left out.
///
/// # Errors
///
/// `EINVAL` if none is left.
pub(crate) fn sched_setaffinity(mask: &[u64]) -> Result<()> {
    // SAFETY: the kernel reads as many bytes as are given from a live slice.
    check(unsafe {
        libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(mask), mask.as_ptr())
    })
    .map(drop)
}

/// `personality(2)` of the calling process.
pub(crate) fn personality(domain: u32) -> Result<()> {
    // SAFETY: a plain number.
    check(unsafe { libc::syscall(libc::SYS_personality, libc::c_ulong::from(domain)) }).map(drop)
}

/// `set_mempolicy(2)` of the calling thread; bit N of `nodes` is node N, and
/// their number is up to the kernel.
///
/// # Errors
///
/// `EINVAL` for a mode that the kernel or the nodes do not allow, `ENOSYS`
/// without `CONFIG_NUMA`.
pub(crate) fn set_mempolicy(mode: u32, nodes: &[u64]) -> Result<()> {
    // The kernel takes one bit less than it is told.
    let bits = nodes.len() * 64 + 1;
    // SAFETY: the kernel reads `bits - 1` bits from a live slice of as many.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, nodes.as_ptr(), bits) }).map(drop)
}
