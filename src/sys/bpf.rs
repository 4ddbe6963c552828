//! `bpf(2)`: device programs of a cgroup, and nothing else of BPF.
//!
//! Each command has its own part of `union bpf_attr`; the kernel takes a
//! shorter one and reads what is missing as zero.

#![allow(clippy::struct_field_names, reason = "the names are those of bpf_attr")]

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::{Errno, Result, check};

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const PROG_QUERY: libc::c_long = 16;

const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
/// `BPF_CGROUP_DEVICE`, the place where such programs are attached.
const CGROUP_DEVICE: u32 = 6;
const F_ALLOW_MULTI: u32 = 1 << 1;
const F_REPLACE: u32 = 1 << 2;

/// What the kernel calls a program of ours in lists; 15 bytes at most.
const NAME: [u8; 16] = *b"minke_devices\0\0\0";
/// Only programs that call GPL-only helpers need a GPL-compatible one.
const LICENSE: &CStr = c"Apache-2.0";
/// The kernel attaches at most this many programs of one type to a cgroup.
const MOST_PROGRAMS: usize = 64;
/// The verifier gives up with `EAGAIN` when a signal is pending.
const MOST_INTERRUPTIONS: usize = 30;

/// An instruction: `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Insn {
    /// Operation, with its class.
    pub(crate) code: u8,
    /// The two registers, four bits each; made by [`Insn::registers`].
    pub(crate) registers: u8,
    /// Of a jump: how many instructions further; of a load: bytes.
    pub(crate) offset: i16,
    /// The immediate value.
    pub(crate) immediate: i32,
}

impl Insn {
    /// Packs the two registers as C packs the bit fields of `bpf_insn`.
    pub(crate) const fn registers(destination: u8, source: u8) -> u8 {
        if cfg!(target_endian = "little") {
            destination | source << 4
        } else {
            destination << 4 | source
        }
    }
}

#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

#[repr(C)]
struct Attach {
    target_fd: RawFd,
    attach_bpf_fd: RawFd,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: RawFd,
}

#[repr(C)]
struct GetFdById {
    prog_id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The whole part of today's kernels: Linux 6.17 to 7.1 write `revision`
/// however short the part is that they were given.
#[repr(C)]
struct Query {
    target_fd: RawFd,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// `BPF_PROG_LOAD` of a `BPF_PROG_TYPE_CGROUP_DEVICE` program (Linux 4.15).
///
/// # Errors
///
/// `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN` (before Linux 5.8
/// `CAP_SYS_ADMIN`) in the initial user namespace, or before 5.11 when
/// `RLIMIT_MEMLOCK` is used up; `E2BIG` for more instructions than the kernel
/// takes; `EINVAL` or `EACCES` for a program that the verifier refuses.
pub(crate) fn load_device_program(program: &[Insn]) -> Result<OwnedFd> {
    let mut attr = Load {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        insns: program.as_ptr().addr() as u64,
        license: LICENSE.as_ptr().addr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: NAME,
    };
    let mut interruptions = 0;
    loop {
        // SAFETY: `Load` is the start of the command's part of `bpf_attr`;
        // `insns` and `license` are the addresses of a live array of
        // `insn_cnt` instructions and of a live C string, which the kernel
        // only reads, and there is no log buffer.
        match unsafe { bpf_fd(PROG_LOAD, &mut attr) } {
            Err(Errno::AGAIN) if interruptions < MOST_INTERRUPTIONS => interruptions += 1,
            result => return result,
        }
    }
}

/// `BPF_PROG_ATTACH` to a cgroup v2 directory: after the programs that are
/// there, or, with `replaced`, in the place of that one (Linux 5.6).
///
/// # Errors
///
/// `EPERM` if a cgroup above has a program that allows none below it,
/// `EINVAL` if the kernel cannot replace, `ENOENT` if `replaced` is not
/// attached here, `E2BIG` after 64 programs.
pub(crate) fn attach_device_program(
    cgroup: impl AsFd,
    program: impl AsFd,
    replaced: Option<&OwnedFd>,
) -> Result<()> {
    let mut attr = Attach {
        target_fd: cgroup.as_fd().as_raw_fd(),
        attach_bpf_fd: program.as_fd().as_raw_fd(),
        attach_type: CGROUP_DEVICE,
        attach_flags: if replaced.is_some() { F_ALLOW_MULTI | F_REPLACE } else { F_ALLOW_MULTI },
        replace_bpf_fd: replaced.map_or(0, AsRawFd::as_raw_fd),
    };
    // SAFETY: `Attach` is the start of the command's part of `bpf_attr` and
    // holds no address.
    unsafe { bpf(PROG_ATTACH, &mut attr) }.map(drop)
}

/// `BPF_PROG_DETACH` from a cgroup v2 directory.
pub(crate) fn detach_device_program(cgroup: impl AsFd, program: impl AsFd) -> Result<()> {
    let mut attr = Attach {
        target_fd: cgroup.as_fd().as_raw_fd(),
        attach_bpf_fd: program.as_fd().as_raw_fd(),
        attach_type: CGROUP_DEVICE,
        attach_flags: 0,
        replace_bpf_fd: 0,
    };
    // SAFETY: as for BPF_PROG_ATTACH, `Attach` is the start of the part and
    // holds no address.
    unsafe { bpf(PROG_DETACH, &mut attr) }.map(drop)
}

/// `BPF_PROG_QUERY`: the ids of the device programs that are attached to
/// this very cgroup, first to run first.
pub(crate) fn device_program_ids(cgroup: impl AsFd) -> Result<Vec<u32>> {
    let mut ids = [0_u32; MOST_PROGRAMS];
    let mut attr = Query {
        target_fd: cgroup.as_fd().as_raw_fd(),
        attach_type: CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr().expose_provenance() as u64,
        prog_cnt: 64,
        padding: 0,
        prog_attach_flags: 0,
        link_ids: 0,
        link_attach_flags: 0,
        revision: 0,
    };
    // SAFETY: `Query` is the command's whole part of `bpf_attr`; the kernel
    // writes its output fields and at most `prog_cnt` numbers at `prog_ids`,
    // which is `ids`, live and as long.
    unsafe { bpf(PROG_QUERY, &mut attr) }?;
    let count = usize::try_from(attr.prog_cnt).map_err(|_| Errno::NOSPC)?;
    ids.get(..count).map(<[u32]>::to_vec).ok_or(Errno::NOSPC)
}

/// `BPF_PROG_GET_FD_BY_ID`.
///
/// # Errors
///
/// `ENOENT` if the program is gone, `EPERM` or `EACCES` if a security module
/// hides it.
pub(crate) fn program_by_id(id: u32) -> Result<OwnedFd> {
    let mut attr = GetFdById { prog_id: id, next_id: 0, open_flags: 0 };
    // SAFETY: `GetFdById` is the command's part of `bpf_attr` and holds no
    // address.
    unsafe { bpf_fd(PROG_GET_FD_BY_ID, &mut attr) }
}

/// A command whose result is a new descriptor.
///
/// # Safety
///
/// As for [`bpf`]; `command` must be one that makes a descriptor.
unsafe fn bpf_fd<T>(command: libc::c_long, attr: &mut T) -> Result<OwnedFd> {
    // SAFETY: the caller keeps the contract of `bpf`.
    let fd = unsafe { bpf(command, attr) }?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::RANGE)?;
    // SAFETY: the kernel has just made the descriptor (close-on-exec, as for
    // all of bpf's) and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `bpf(2)`.
///
/// # Safety
///
/// `T` must be `#[repr(C)]`, without padding, and lie as the command's part
/// of `union bpf_attr` lies; every address in it must be valid for what the
/// command reads and writes there.
unsafe fn bpf<T>(command: libc::c_long, attr: &mut T) -> Result<libc::c_long> {
    let attr: *mut T = attr;
    // SAFETY: `attr` is live and of the size told; the kernel writes nothing
    // else but what the caller has made sure of.
    check(unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) })
}
