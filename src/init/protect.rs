//! What the container must not read or write: masked and read-only paths, and
//! mounts that were writable only while they were filled.
//!
//! Each target is resolved once, and what covers it is attached to that
//! descriptor, so that a volume shared with a running container cannot swap
//! the path between the two (CVE-2025-31133, GHSA-3q8j-pf29-vwv8).

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::step::{Done, Step, at, failure};
use super::{mounts, resolve, rootfs};
use crate::plan::{NewContainer, Switch};
use crate::sys::fs::{FileType, fstat, major, minor};
use crate::sys::mount::{
    self, FdPath, FsMountFlags, MountAttr, MountAttrFlags, MountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen,
};
use crate::sys::{Errno, Result};

const READONLY: MountAttr =
    MountAttr { set: mount::MOUNT_ATTR_RDONLY, clear: 0, propagation: 0, userns_fd: 0 };

/// Covers and locks all that the plan names.
pub(super) fn all(plan: &NewContainer, root: BorrowedFd<'_>) -> Done {
    if plan.rootfs.switch == Switch::Chroot {
        return Ok(());
    }
    readonly_paths(plan, root)?;
    masked_paths(plan, root)?;
    for (index, planned) in plan.rootfs.mounts.iter().enumerate() {
        if let Some(made) = &planned.made {
            at(Step::Mount, index, mounts::set_attr(made.as_fd(), false, &READONLY))?;
        }
    }
    if plan.rootfs.readonly {
        at(Step::Readonly, 0, rootfs::make_readonly(root))?;
    }
    Ok(())
}

/// What is not there needs no protection.
fn target(root: BorrowedFd<'_>, path: &CString, step: Step, index: usize) -> Done<Option<OwnedFd>> {
    match resolve::in_root(root, path) {
        Ok(target) => Ok(Some(target)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(failure(step, index, errno)),
    }
}

fn readonly_paths(plan: &NewContainer, root: BorrowedFd<'_>) -> Done {
    for (index, path) in plan.rootfs.readonly_paths.iter().enumerate() {
        if let Some(target) = target(root, path, Step::ReadonlyPath, index)? {
            at(Step::ReadonlyPath, index, cover_with_itself(target.as_fd(), root, path))?;
        }
    }
    Ok(())
}

fn cover_with_itself(target: BorrowedFd<'_>, root: BorrowedFd<'_>, path: &CString) -> Result<()> {
    let tree = match mount::clone_tree(target, true) {
        Err(Errno::NOSYS) => {
            // With what is mounted below it, which stays as writable as it was.
            let whole = FdPath::new(target);
            let flags = MountFlags::BIND | MountFlags::REC;
            mount::mount(whole.as_c_str(), whole.as_c_str(), c"", flags, None)?;
            let made = resolve::in_root(root, path)?;
            // Somebody has put another in its place meanwhile.
            if !resolve::is_same(made.as_fd(), target)? {
                return Err(Errno::AGAIN);
            }
            return mounts::set_attr(made.as_fd(), false, &READONLY);
        }
        other => other?,
    };
    match mount::mount_setattr(tree.as_fd(), true, &READONLY) {
        Err(Errno::NOSYS) => mounts::set_attr(tree.as_fd(), false, &READONLY)?,
        other => other?,
    }
    mount::attach(tree.as_fd(), target)
}

fn masked_paths(plan: &NewContainer, root: BorrowedFd<'_>) -> Done {
    let mut null: Option<OwnedFd> = None;
    let mut empty: Option<OwnedFd> = None;
    for (index, path) in plan.rootfs.masked.iter().enumerate() {
        let Some(target) = target(root, path, Step::Mask, index)? else { continue };
        if at(Step::Mask, index, resolve::is_directory(target.as_fd()))? {
            at(Step::Mask, index, mask_directory(target.as_fd(), &mut empty))?;
            continue;
        }
        let null = match &mut null {
            Some(null) => null,
            none => none.insert(at(Step::Null, index, verified_null(root))?),
        };
        at(Step::Mask, index, bind(null.as_fd(), target.as_fd()))?;
    }
    Ok(())
}

/// The container's `/dev/null`, if it is the null device: an image could have
/// put anything there, and masking with that would open what it leads to.
fn verified_null(root: BorrowedFd<'_>) -> Result<OwnedFd> {
    let null = resolve::no_links(root, c"dev/null")?;
    let stat = fstat(&null)?;
    let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    let is_null = device && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3);
    if is_null { Ok(null) } else { Err(Errno::NODEV) }
}

/// One empty, read-only tmpfs serves all masked directories: the first gets
/// it, the others a bind mount of it.
fn mask_directory(target: BorrowedFd<'_>, empty: &mut Option<OwnedFd>) -> Result<()> {
    if let Some(empty) = empty {
        return bind(empty.as_fd(), target);
    }
    match empty_tmpfs() {
        Err(Errno::NOSYS) => {
            let path = FdPath::new(target);
            mount::mount(
                c"tmpfs",
                path.as_c_str(),
                c"tmpfs",
                MountFlags::RDONLY,
                Some(c"nr_blocks=1,nr_inodes=1"),
            )
        }
        made => {
            let made = made?;
            mount::attach(made.as_fd(), target)?;
            *empty = Some(made);
            Ok(())
        }
    }
}

fn empty_tmpfs() -> Result<OwnedFd> {
    let context = fsopen(c"tmpfs")?;
    for (name, value) in [(c"source", c"tmpfs"), (c"nr_blocks", c"1"), (c"nr_inodes", c"1")] {
        fsconfig_set_string(&context, name, value)?;
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)
}

/// Binds what `from` is open on over what `target` is open on.
fn bind(from: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    match mount::clone_tree(from, false) {
        Err(Errno::NOSYS) => {
            let (from, target) = (FdPath::new(from), FdPath::new(target));
            mount::mount(from.as_c_str(), target.as_c_str(), c"", MountFlags::BIND, None)
        }
        tree => mount::attach(tree?.as_fd(), target),
    }
}
