//! The guard against overwriting the runtime's own binary (CVE-2019-5736).
//!
//! A container's process can get hold of the binary that made it through
//! `/proc/PID/exe`, and its root may well be the user who may write to it. So
//! what enters a container runs from a mount that is read-only: either the
//! binary lies on one, or minke has become a process of a detached read-only
//! copy of its mount (`sys::prestart`), or it executes itself once more from
//! one. As long as a descriptor of the copy is open, whoever gets hold of
//! `/proc/PID/exe` can make it writable again; when the last is closed, which is
//! before a program of the container's runs, nobody can any more.

use std::os::fd::{AsFd, OwnedFd};

use crate::error::{Doing, Error, Result};
use crate::sys::exec::{StringArray, reexec};
use crate::sys::fs::{
    CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags, fcntl_add_seals, fcntl_get_seals,
    fstat, fstatvfs, memfd_create, openat, sendfile,
};
use crate::sys::mount::{MOUNT_ATTR_RDONLY, MountAttr, clone_tree, mount_setattr};
use crate::sys::{Errno, geteuid, prestart};

/// Makes sure that nobody can write through `/proc/self/exe`; executes minke
/// once more if need be. For commands that enter a container.
///
/// If minke runs from a read-only copy without having executed it, that is what
/// is given: a mount that is gone with this descriptor, and then can never be
/// changed back. It is to be dropped before the child goes on to a program of the
/// container's; that takes the kernel a tenth of a millisecond, in which the child
/// has other things to do.
pub(crate) fn own_binary() -> Result<Option<OwnedFd>> {
    if let Some(copy) = prestart::take_copy() {
        return Ok(Some(copy));
    }
    let doing = || "open \"/proc/self/exe\"";
    let exe = openat(CWD, c"/proc/self/exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .doing(doing)?;
    if fstatvfs(&exe).doing(doing)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(None);
    }
    // Neither a user nor what the user can become may write to root's binary.
    let stat = fstat(&exe).doing(doing)?;
    if !geteuid().is_root() && stat.st_uid == 0 && stat.st_mode & 0o022 == 0 {
        return Ok(None);
    }
    let copy = clone_tree(exe.as_fd(), false).and_then(|tree| {
        let readonly = MountAttr { set: MOUNT_ATTR_RDONLY, ..MountAttr::default() };
        mount_setattr(tree.as_fd(), false, &readonly).map(|()| tree)
    });
    let copy = match copy {
        Ok(tree) => tree,
        // Old kernels, filters, and users without CAP_SYS_ADMIN.
        Err(_) => match sealed_copy()? {
            Some(copy) => copy,
            None => return Ok(None),
        },
    };
    let args = std::env::args_os().map(|arg| std::ffi::CString::new(arg.into_encoded_bytes()));
    let args = args
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|_| Error::usage("an argument has a NUL byte"))?;
    let errno = reexec(copy.as_fd(), &StringArray::new(args));
    Err(Error::os("execute a read-only copy of minke", errno))
}

/// A copy in memory that nobody can change; `None` if this is it already.
fn sealed_copy() -> Result<Option<OwnedFd>> {
    let doing = || "copy minke into a sealed file in memory";
    let exe = openat(CWD, c"/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .doing(doing)?;
    let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    if fcntl_get_seals(&exe).is_ok_and(|seals| seals.contains(all)) {
        return Ok(None);
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let copy = match memfd_create(c"minke", flags | MemfdFlags::EXEC) {
        // MFD_EXEC is of Linux 6.3.
        Err(Errno::INVAL) => memfd_create(c"minke", flags),
        other => other,
    };
    let copy = copy.doing(doing)?;
    while sendfile(&copy, &exe, None, 1 << 30).doing(doing)? > 0 {}
    fcntl_add_seals(&copy, all).doing(doing)?;
    Ok(Some(copy))
}
