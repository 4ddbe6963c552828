//! The container's root: from a directory of the host to `/`.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::resolve;
use super::step::{Done, Step, at};
use crate::plan::{Handles, NewContainer, Sources, Switch};
use crate::sys::fs::{CWD, Mode, OFlags, openat};
use crate::sys::mount::{
    self, FdPath, MountAttr, MountFlags, MountPropagationFlags as Propagation, UnmountFlags,
    mount_change, unmount,
};
use crate::sys::process::{chdir, chroot, fchdir, pivot_root};
use crate::sys::{Errno, Result, fd};

const FLAGS: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Cuts the mounts off from the host's and makes the root a mount of its own;
/// gives its descriptor, by which everything below it is named. Without a mount
/// namespace the root's mount is the host's, and only what is below it cut off.
pub(super) fn prepare(plan: &NewContainer, sources: &Sources) -> Done<OwnedFd> {
    let rootfs = &plan.rootfs;
    // Opened in this mount namespace: another's would name the host's mount.
    let directory = match &sources.root {
        Some(root) => at(Step::Rootfs, 0, fd::move_above(root.as_fd(), 0))?,
        None => at(Step::Rootfs, 0, openat(CWD, rootfs.path.as_c_str(), FLAGS, Mode::empty()))?,
    };
    if rootfs.switch == Switch::Chroot {
        return Ok(directory);
    }
    if rootfs.switch == Switch::Bound {
        let root = at(Step::Rootfs, 0, bind_on_itself(plan, directory.as_fd()))?;
        let alone = Propagation::PRIVATE | Propagation::REC;
        at(Step::Propagation, 2, super::mounts::set_propagation(root.as_fd(), alone))?;
        return Ok(root);
    }
    let flags = Propagation::from_bits_retain(rootfs.propagation);
    at(Step::Propagation, 0, mount_change(c"/", flags))?;
    if flags.contains(Propagation::SHARED) {
        at(Step::Propagation, 1, parent_private(plan))?;
    }
    at(Step::Rootfs, 0, bind_on_itself(plan, directory.as_fd()))
}

/// `pivot_root(2)` wants a mount, and one that is not shared.
fn bind_on_itself(plan: &NewContainer, directory: BorrowedFd<'_>) -> Result<OwnedFd> {
    let tree = match mount::clone_tree(directory, true) {
        Err(Errno::NOSYS) => return legacy_bind_on_itself(plan, directory),
        other => other?,
    };
    mount::attach(tree.as_fd(), directory)?;
    Ok(tree)
}

/// With mount(2), for kernels before 5.2. The host's path is walked once more
/// because only a walk crosses into the new mount; it is not the container's.
fn legacy_bind_on_itself(plan: &NewContainer, directory: BorrowedFd<'_>) -> Result<OwnedFd> {
    let path = FdPath::new(directory);
    mount::mount(path.as_c_str(), path.as_c_str(), c"", MountFlags::BIND | MountFlags::REC, None)?;
    openat(CWD, plan.rootfs.path.as_c_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// Makes the mount that the rootfs lies in private: `pivot_root(2)` refuses
/// one that is shared, and the bind mount must not reach the host.
fn parent_private(plan: &NewContainer) -> Result<()> {
    let mut path = resolve::PathBuffer::new();
    let mut bytes = plan.rootfs.path.as_bytes();
    loop {
        path.set(if bytes.is_empty() { b"/" } else { bytes })?;
        match mount_change(path.as_c_str()?, Propagation::PRIVATE) {
            // Not the top of a mount: look further up.
            Err(Errno::INVAL) if !bytes.is_empty() => {
                let slash = bytes.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                bytes = &bytes[..slash];
            }
            other => return other,
        }
    }
}

/// The root that `exec` finds in a container without a mount namespace: where
/// there is one, it has come with it.
pub(super) fn enter(handles: &Handles) -> Done {
    let Some(root) = &handles.root else { return Ok(()) };
    at(Step::Rootfs, 0, fchdir(root))?;
    at(Step::Rootfs, 0, chroot(c"."))
}

/// Makes the working directory if the image has none.
pub(super) fn make_cwd(plan: &NewContainer, root: BorrowedFd<'_>) -> Done {
    match resolve::make_directory(root, &plan.rootfs.cwd, 0o755) {
        // Whether it can be entered is seen when it is.
        Ok(_) | Err(Errno::LOOP | Errno::NOTDIR | Errno::ACCESS) => Ok(()),
        Err(errno) => at(Step::Cwd, 0, Err(errno)),
    }
}

/// Makes `root` the root, and the host's mounts unreachable.
pub(super) fn switch(plan: &NewContainer, root: BorrowedFd<'_>) -> Done {
    at(Step::Pivot, 0, fchdir(root))?;
    match plan.rootfs.switch {
        Switch::Pivot => at(Step::Pivot, 1, pivot(plan))?,
        Switch::Move => at(Step::Pivot, 2, move_to_root(&plan.rootfs.host_proc))?,
        Switch::Chroot | Switch::Bound => at(Step::Pivot, 3, chroot(c"."))?,
    }
    at(Step::Pivot, 4, chdir(c"/"))?;
    if let Some(flags) = plan.rootfs.final_propagation {
        at(Step::RootPropagation, 0, mount_change(c"/", Propagation::from_bits_retain(flags)))?;
    }
    Ok(())
}

/// Old and new root change places at the same mount point, so no directory
/// is needed for the old one (`pivot_root(2)` tells of it).
fn pivot(plan: &NewContainer) -> Result<()> {
    let shared = Propagation::from_bits_retain(plan.rootfs.propagation);
    if shared.contains(Propagation::SHARED) {
        // The unmounting below must not reach the host. Only by a descriptor
        // can the old root be named; what is mounted in the new one stays shared.
        let old = openat(CWD, c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        pivot_root(c".", c".")?;
        fchdir(&old)?;
        mount_change(c".", Propagation::DOWNSTREAM | Propagation::REC)?;
    } else {
        pivot_root(c".", c".")?;
    }
    unmount(c".", UnmountFlags::DETACH)
}

/// For a host root that cannot be pivoted (an initramfs). Its mounts stay,
/// below the new root, and the kernel lets a user namespace mount a whole
/// procfs or sysfs where another is in sight of the mount namespace: so those
/// of the host go, or the container could have its own without masks.
fn move_to_root(host_proc: &[CString]) -> Result<()> {
    for target in host_proc {
        match unmount(target.as_c_str(), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // Gone already with another.
            Ok(()) | Err(Errno::NOENT) => {}
            // In a user namespace those of its parent are locked: to be covered.
            Err(Errno::INVAL | Errno::PERM) => {
                mount::mount(c"", target.as_c_str(), c"tmpfs", MountFlags::RDONLY, None)?;
            }
            Err(errno) => return Err(errno),
        }
    }
    mount::mount_move(c".", c"/")?;
    chroot(c".")
}

/// Sets the mount at `root` read-only; mounts below it stay as they are.
pub(super) fn make_readonly(root: BorrowedFd<'_>) -> Result<()> {
    let attr = MountAttr { set: mount::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    super::mounts::set_attr(root, false, &attr)
}
