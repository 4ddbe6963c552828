//! `/dev`: nodes and links, by descriptor.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::resolve::{self, PathBuffer};
use super::step::{Done, Step, at};
use crate::plan::{NewContainer, Node};
use crate::sys::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, major, makedev, minor, mknodat,
    openat, symlinkat, unlinkat,
};
use crate::sys::mount::{self, FdPath, MountFlags};
use crate::sys::{Errno, Result};

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/runtime-linux.md#dev-symbolic-links>
const LINKS: [(&CStr, &CStr); 5] = [
    (c"/proc/self/fd", c"fd"),
    (c"/proc/self/fd/0", c"stdin"),
    (c"/proc/self/fd/1", c"stdout"),
    (c"/proc/self/fd/2", c"stderr"),
    (c"/proc/kcore", c"core"),
];

/// Fills `/dev`, unless it is the host's.
pub(super) fn make_all(plan: &NewContainer, root: BorrowedFd<'_>) -> Done {
    if !plan.rootfs.fill_dev {
        return Ok(());
    }
    let dev = at(Step::Dev, 0, resolve::make_directory(root, c"dev", 0o755))?;
    for (index, node) in plan.rootfs.devices.iter().enumerate() {
        let bind = plan.rootfs.bind_devices && node.kind != FileType::Fifo;
        at(Step::Device, index, make(node, bind, root, dev.as_fd()))?;
    }
    for (target, name) in LINKS {
        at(Step::DevLink, 0, link(target, dev.as_fd(), name))?;
    }
    at(Step::DevLink, 1, ptmx(dev.as_fd()))?;
    Ok(())
}

fn make(node: &Node, bind: bool, root: BorrowedFd<'_>, dev: BorrowedFd<'_>) -> Result<()> {
    let parent: OwnedFd;
    let (parent, name) = match node.path.to_bytes().strip_prefix(b"dev/") {
        Some(name) if !name.contains(&b'/') => {
            let name = CStr::from_bytes_with_nul(&node.path.as_bytes_with_nul()[4..]);
            (dev, name.map_err(|_| Errno::INVAL)?)
        }
        _ => {
            let (directory, name) = resolve::make_parent(root, &node.path)?;
            parent = directory;
            (parent.as_fd(), name)
        }
    };
    if bind {
        return bind_node(node, parent, name);
    }
    let device = makedev(node.major, node.minor);
    match mknodat(parent, name, node.kind, Mode::from_raw_mode(node.mode), device) {
        Err(Errno::EXIST) => return existing(node, parent, name),
        // The runtime may be in a user namespace itself.
        Err(Errno::PERM) if node.kind != FileType::Fifo => return bind_node(node, parent, name),
        other => other?,
    }
    if (node.uid, node.gid) == (0, 0) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(node.uid), Gid::from_raw(node.gid));
    chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

/// The host's node of the same path, at that path of the container.
fn bind_node(node: &Node, parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let mut path = PathBuffer::new();
    path.push(b"/")?;
    path.append(node.path.to_bytes())?;
    let path = path.as_c_str()?;
    let (source, is_tree) = match mount::clone_path(path, false) {
        Err(Errno::NOSYS) => (resolve::open_host(path)?, false),
        tree => (tree?, true),
    };
    if !is_node(node, &source)? {
        return Err(Errno::NODEV);
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
    let target = match openat(parent, name, flags, Mode::from_raw_mode(0o666)) {
        Err(Errno::EXIST) => return existing(node, parent, name),
        other => other?,
    };
    if is_tree {
        return mount::attach(source.as_fd(), target.as_fd());
    }
    let (from, to) = (FdPath::new(source.as_fd()), FdPath::new(target.as_fd()));
    mount::mount(from.as_c_str(), to.as_c_str(), c"", MountFlags::BIND, None)
}

fn is_node(node: &Node, found: &OwnedFd) -> Result<bool> {
    let stat = fstat(found)?;
    let same_kind = FileType::from_raw_mode(stat.st_mode) == node.kind;
    let same_number = (major(stat.st_rdev), minor(stat.st_rdev)) == (node.major, node.minor);
    Ok(same_kind && (same_number || node.kind == FileType::Fifo))
}

/// The image may have the very node already; another file there is an error,
/// as the spec wants.
fn existing(node: &Node, parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let found =
        openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if is_node(node, &found)? { Ok(()) } else { Err(Errno::EXIST) }
}

fn link(target: &CStr, dev: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    match symlinkat(target, dev, name) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// The container's terminals are those of its own devpts.
fn ptmx(dev: BorrowedFd<'_>) -> Result<()> {
    match symlinkat(c"pts/ptmx", dev, c"ptmx") {
        Err(Errno::EXIST) => {}
        other => return other,
    }
    unlinkat(dev, c"ptmx", AtFlags::empty())?;
    symlinkat(c"pts/ptmx", dev, c"ptmx")
}
