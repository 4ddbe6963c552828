//! Mounts as descriptors: the mount API of Linux 5.2 and 5.12, and mount(2)
//! where the kernel is older.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};

pub(crate) use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MountFlags, MountPropagationFlags,
    MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_reconfigure,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fspick, mount, mount_change, mount_move,
    mount_remount, move_mount, unmount,
};

use super::{Errno, Result, check};

pub(crate) const MOUNT_ATTR_RDONLY: u64 = 0x01;
pub(crate) const MOUNT_ATTR_NOSUID: u64 = 0x02;
pub(crate) const MOUNT_ATTR_NODEV: u64 = 0x04;
pub(crate) const MOUNT_ATTR_NOEXEC: u64 = 0x08;
/// All the bits that say how access times are kept; with none it is `RELATIME`.
pub(crate) const MOUNT_ATTR_ATIME: u64 = 0x70;
pub(crate) const MOUNT_ATTR_NOATIME: u64 = 0x10;
pub(crate) const MOUNT_ATTR_STRICTATIME: u64 = 0x20;
pub(crate) const MOUNT_ATTR_NODIRATIME: u64 = 0x80;
/// Linux 5.12.
pub(crate) const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;
/// Linux 5.14.
pub(crate) const MOUNT_ATTR_NOSYMFOLLOW: u64 = 0x20_0000;

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MountAttr {
    /// `MOUNT_ATTR_*` bits to set.
    pub(crate) set: u64,
    /// `MOUNT_ATTR_*` bits to clear first.
    pub(crate) clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or `MS_UNBINDABLE`, or 0.
    pub(crate) propagation: u64,
    /// A user namespace, with `MOUNT_ATTR_IDMAP`.
    pub(crate) userns_fd: u64,
}

/// `mount_setattr(2)` (Linux 5.12) on the mount that `mount` is the root of.
///
/// # Errors
///
/// `EPERM` when a flag is locked by a more privileged mount namespace,
/// `EINVAL` for what the file system cannot do.
pub(crate) fn mount_setattr(
    mount: BorrowedFd<'_>,
    recursive: bool,
    attr: &MountAttr,
) -> Result<()> {
    const AT_RECURSIVE: libc::c_int = 0x8000;
    let flags = libc::AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: an empty C string, and a whole `mount_attr` that is only read.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const *attr,
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Whether the kernel has all of the mount API that minke uses (Linux 5.12),
/// and no filter hides a part of it. With a part of it nothing is gained: a
/// detached mount whose flags cannot be set is of no use.
pub(crate) fn has_api() -> bool {
    static KNOWN: AtomicU8 = AtomicU8::new(0);
    match KNOWN.load(Ordering::Relaxed) {
        0 => {
            let has = probe();
            KNOWN.store(if has { 1 } else { 2 }, Ordering::Relaxed);
            has
        }
        known => known == 1,
    }
}

/// Each call with a bad descriptor: all that is asked is whether it is there.
fn probe() -> bool {
    let numbers = [
        libc::SYS_mount_setattr,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
    ];
    numbers.into_iter().all(|number| {
        // SAFETY: the kernel refuses the descriptor -1, or the null pointer in
        // its place, before it looks at anything else.
        check(unsafe { libc::syscall(number, -1, 0, 0, 0, 0) }) != Err(Errno::NOSYS)
    })
}

/// A detached copy of the mount at `from`, an `O_PATH` descriptor
/// (`open_tree(2)`, Linux 5.2).
pub(crate) fn clone_tree(from: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd> {
    if !has_api() {
        return Err(Errno::NOSYS);
    }
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(from, c"", flags)
}

/// `fsopen(2)`, where the whole API is there.
pub(crate) fn fsopen(fstype: &CStr) -> Result<OwnedFd> {
    if !has_api() {
        return Err(Errno::NOSYS);
    }
    rustix::mount::fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC)
}

/// `open_tree(2)` of a path of the host, where the whole API is there.
pub(crate) fn clone_path(path: &CStr, recursive: bool) -> Result<OwnedFd> {
    if !has_api() {
        return Err(Errno::NOSYS);
    }
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(rustix::fs::CWD, path, flags)
}

/// Attaches a detached mount on top of what `target` is open on
/// (`move_mount(2)`, Linux 5.2). No path is walked.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    move_mount(
        mount,
        c"",
        target,
        c"",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
}

/// `/proc/self/fd/N` as a C string, for calls that take only a path.
#[derive(Debug)]
pub(crate) struct FdPath([u8; 32]);

impl FdPath {
    /// The path that leads to `fd`.
    pub(crate) fn new(fd: BorrowedFd<'_>) -> Self {
        Self::numbered(b"/proc/self/fd/", fd.as_raw_fd())
    }

    /// `/proc/N`, the directory of a process.
    pub(crate) fn of_process(pid: i32) -> Self {
        Self::numbered(b"/proc/", pid)
    }

    fn numbered(before: &[u8], number: i32) -> Self {
        let mut text = [0; 32];
        text[..before.len()].copy_from_slice(before);
        let mut digits = [0u8; 10];
        let mut number = number.unsigned_abs();
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        text[before.len()..][..digits.len() - at].copy_from_slice(&digits[at..]);
        Self(text)
    }

    /// The path as C sees it.
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"/proc/self/fd/0")
    }
}
