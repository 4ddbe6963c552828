//! The container's cgroups, as it sees them at `/sys/fs/cgroup`.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::mounts::{attr_of, refuse_target, set_attr};
use super::resolve::{self, PathBuffer};
use super::step::{Done, Step, at};
use crate::plan::Mount;
use crate::plan::mounts::{Hierarchy, legacy_flags};
use crate::plan::options::Attr;
use crate::sys::fs::{Mode, mkdirat, symlinkat};
use crate::sys::mount::{
    self, FdPath, FsMountFlags, MountAttr, MountAttrFlags, MountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};
use crate::sys::{Errno, Result};

/// cgroup v2. Where the kernel refuses a mount (no namespace of its own below
/// a user namespace), the container's directory is bound instead; and if that
/// cannot be seen, nothing of what the host has there is (CVE-2023-25809).
pub(super) fn v2(
    index: usize,
    mount: &Mount,
    fallback: Option<&CStr>,
    root: BorrowedFd<'_>,
) -> Done<OwnedFd> {
    at(Step::MountTarget, index, mount_point(mount, root))?;
    let place = Place { root, path: &mount.target, attr: mount.attr };
    let made = match (place.mount(c"cgroup2", c""), fallback) {
        (Err(Errno::PERM | Errno::BUSY), Some(source)) => match place.bind(source) {
            Err(Errno::NOENT) => {
                let set = mount.attr.set | mount::MOUNT_ATTR_RDONLY;
                let empty = Place { attr: Attr { set, clear: 0 }, ..place };
                empty.mount(c"tmpfs", c"nr_blocks=1,nr_inodes=1")
            }
            other => other,
        },
        (other, _) => other,
    };
    at(Step::Mount, index, made)
}

/// How cgroup v1 is shown in the container.
pub(super) struct V1<'p> {
    pub(super) hierarchies: &'p [Hierarchy],
    pub(super) links: &'p [(CString, CString)],
    /// Whether the container has a cgroup namespace of its own, which makes
    /// its cgroups the roots of what it mounts.
    pub(super) own_namespace: bool,
}

/// cgroup v1: a tmpfs with a directory for each hierarchy, as on the host.
pub(super) fn v1(
    index: usize,
    mount: &Mount,
    view: &V1<'_>,
    root: BorrowedFd<'_>,
) -> Done<OwnedFd> {
    at(Step::MountTarget, index, mount_point(mount, root))?;
    let writable = Attr { set: mount.attr.set & !mount::MOUNT_ATTR_RDONLY, clear: 0 };
    let place = Place { root, path: &mount.target, attr: writable };
    let tmpfs = at(Step::Mount, index, place.mount(c"tmpfs", c"mode=755"))?;
    for hierarchy in view.hierarchies {
        at(Step::Mount, index, one_hierarchy(hierarchy, view, mount.attr, tmpfs.as_fd()))?;
    }
    for (to, name) in view.links {
        at(Step::Mount, index, symlinkat(to.as_c_str(), &tmpfs, name.as_c_str()))?;
    }
    if mount.attr.set & mount::MOUNT_ATTR_RDONLY != 0 {
        let readonly = MountAttr { set: mount::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
        at(Step::Mount, index, set_attr(tmpfs.as_fd(), false, &readonly))?;
    }
    Ok(tmpfs)
}

fn mount_point(mount: &Mount, root: BorrowedFd<'_>) -> Result<()> {
    let target = resolve::make_directory(root, &mount.target, 0o755)?;
    refuse_target(mount, target.as_fd(), root)
}

fn one_hierarchy(
    hierarchy: &Hierarchy,
    view: &V1<'_>,
    attr: Attr,
    tmpfs: BorrowedFd<'_>,
) -> Result<()> {
    mkdirat(tmpfs, hierarchy.name.as_c_str(), Mode::from_raw_mode(0o755))?;
    let place = Place { root: tmpfs, path: &hierarchy.name, attr };
    let made = match (view.own_namespace, hierarchy.controllers.is_empty()) {
        (true, true) => place.mount(c"cgroup2", c""),
        (true, false) => place.mount(c"cgroup", &hierarchy.controllers),
        (false, _) => place.bind(&hierarchy.source),
    };
    match made {
        // It lies outside of what can be seen of its hierarchy.
        Err(Errno::NOENT) if !view.own_namespace => Ok(()),
        other => other.map(drop),
    }
}

/// Where something is mounted, and how.
struct Place<'p> {
    root: BorrowedFd<'p>,
    path: &'p CStr,
    attr: Attr,
}

impl Place<'_> {
    /// Mounts a file system with `options`, separated by commas.
    fn mount(&self, fstype: &CStr, options: &CStr) -> Result<OwnedFd> {
        let target = resolve::in_root(self.root, self.path)?;
        let made = match detached(fstype, options, self.attr) {
            Err(Errno::NOSYS) => {
                let data = (!options.is_empty()).then_some(options);
                let flags = MountFlags::from_bits_retain(legacy_flags(self.attr));
                mount::mount(fstype, FdPath::new(target.as_fd()).as_c_str(), fstype, flags, data)?;
                return resolve::in_root(self.root, self.path);
            }
            other => other?,
        };
        mount::attach(made.as_fd(), target.as_fd())?;
        Ok(made)
    }

    /// Binds a directory of the host.
    fn bind(&self, source: &CStr) -> Result<OwnedFd> {
        let target = resolve::in_root(self.root, self.path)?;
        let made = match mount::clone_path(source, false) {
            Err(Errno::NOSYS) => {
                let path = FdPath::new(target.as_fd());
                mount::mount(source, path.as_c_str(), c"", MountFlags::BIND, None)?;
                let made = resolve::in_root(self.root, self.path)?;
                set_attr(made.as_fd(), false, &attr_of(self.attr))?;
                return Ok(made);
            }
            other => other?,
        };
        set_attr(made.as_fd(), false, &attr_of(self.attr))?;
        mount::attach(made.as_fd(), target.as_fd())?;
        Ok(made)
    }
}

fn detached(fstype: &CStr, options: &CStr, attr: Attr) -> Result<OwnedFd> {
    let context = fsopen(fstype)?;
    fsconfig_set_string(&context, c"source", fstype)?;
    let (mut name, mut value) = (PathBuffer::new(), PathBuffer::new());
    for option in options.to_bytes().split(|byte| *byte == b',').filter(|option| !option.is_empty())
    {
        match option.iter().position(|byte| *byte == b'=') {
            None => {
                name.set(option)?;
                fsconfig_set_flag(&context, name.as_c_str()?)?;
            }
            Some(at) => {
                name.set(&option[..at])?;
                value.set(&option[at + 1..])?;
                fsconfig_set_string(&context, name.as_c_str()?, value.as_c_str()?)?;
            }
        }
    }
    fsconfig_create(&context)?;
    let attr = MountAttrFlags::from_bits_retain(u32::try_from(attr.set).unwrap_or(0));
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attr)
}
