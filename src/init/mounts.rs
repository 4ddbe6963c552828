//! The container's mounts: made detached, attached by descriptor.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::cgroup_mounts::{self, V1};
use super::cgroups::Entering;
use super::step::{Done, Failure, Step, Text, at, failure};
use super::{copy_up, resolve};
use crate::plan::mounts::legacy_flags;
use crate::plan::options::Attr;
use crate::plan::{Bind, Filesystem, Kind, Mount, NewContainer, Sources};
use crate::sys::fs::{
    AtFlags, Mode, StatVfsMountFlags, XattrFlags, chmodat, fstat, fstatvfs, setxattr,
};
use crate::sys::mount::{
    self, FdPath, FsMountFlags, FsPickFlags, MountAttr, MountAttrFlags, MountFlags,
    MountPropagationFlags, fsconfig_create, fsconfig_reconfigure, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, fspick,
};
use crate::sys::{Errno, Result, fd, io};

/// Makes all mounts of the plan, in its order, and enters the container's
/// cgroups before the first that shows or fills them.
pub(super) fn make_all(
    plan: &mut NewContainer,
    sources: &Sources,
    root: BorrowedFd<'_>,
    entering: Entering<'_>,
) -> Done {
    let own_cgroup_namespace = plan.has_cgroup_namespace;
    let mut entering = Some(entering);
    for (index, mount) in plan.rootfs.mounts.iter_mut().enumerate() {
        if mount.needs_cgroups()
            && let Some(entering) = entering.take()
        {
            entering.enter()?;
        }
        let made = match &mount.kind {
            Kind::Bind(bind) => {
                let source = sources.mounts.get(index).and_then(Option::as_ref);
                make_bind(index, mount, bind, source, root)?
            }
            Kind::Filesystem(fs) => {
                let made = make_filesystem(index, mount, fs, root)?;
                label(index, fs, made.as_fd())?;
                made
            }
            Kind::Remount(fs) => remount(index, mount, fs, root)?,
            Kind::Cgroup2 { fallback } => {
                cgroup_mounts::v2(index, mount, fallback.as_deref(), root)?
            }
            Kind::Cgroup1 { hierarchies, links } => {
                let view = V1 { hierarchies, links, own_namespace: own_cgroup_namespace };
                cgroup_mounts::v1(index, mount, &view, root)?
            }
        };
        at(Step::Mount, index, set_tree_and_propagation(mount, made.as_fd()))?;
        if mount.late_readonly {
            mount.made = Some(made);
        }
    }
    entering.map_or(Ok(()), Entering::enter)
}

fn set_tree_and_propagation(mount: &Mount, made: BorrowedFd<'_>) -> Result<()> {
    if !mount.tree.is_empty() {
        set_attr(made, true, &attr_of(mount.tree))?;
    }
    let mut each = mount.propagation.iter();
    each.try_for_each(|flags| {
        set_propagation(made, MountPropagationFlags::from_bits_retain(*flags))
    })
}

pub(super) fn set_propagation(made: BorrowedFd<'_>, flags: MountPropagationFlags) -> Result<()> {
    let recursive = flags.contains(MountPropagationFlags::REC);
    let propagation = u64::from((flags - MountPropagationFlags::REC).bits());
    let attr = MountAttr { propagation, ..MountAttr::default() };
    match mount::mount_setattr(made, recursive, &attr) {
        Err(Errno::NOSYS) => mount::mount_change(FdPath::new(made).as_c_str(), flags),
        other => other,
    }
}

/// The host's file or directory, at the container's path.
fn make_bind(
    index: usize,
    mount: &Mount,
    bind: &Bind,
    source: Option<&OwnedFd>,
    root: BorrowedFd<'_>,
) -> Done<OwnedFd> {
    // A path of the host, which is trusted, links and all.
    let tree = match source {
        None => mount::clone_path(&bind.source, bind.recursive),
        Some(tree) if bind.id_map.is_some() => fd::move_above(tree.as_fd(), 0),
        Some(source) => mount::clone_tree(source.as_fd(), bind.recursive),
    };
    let tree = match tree {
        Err(Errno::NOSYS) => {
            return at(Step::Mount, index, legacy_bind(mount, bind, source, root));
        }
        other => at(Step::Mount, index, other)?,
    };
    let target = at(Step::MountTarget, index, bind_target(mount, tree.as_fd(), root))?;
    at(Step::MountTarget, index, refuse_target(mount, target.as_fd(), root))?;
    at(Step::Mount, index, only_procfs_at_proc(mount, tree.as_fd()))?;
    if !mount.attr.is_empty() {
        at(Step::Mount, index, set_attr(tree.as_fd(), false, &attr_of(mount.attr)))?;
    }
    let attached = mount::attach(tree.as_fd(), target.as_fd());
    at(Step::Mount, index, attached.or_else(|errno| or_not_directory(errno, &tree, &target)))?;
    Ok(tree)
}

/// A file on a directory, or the other way round: mount(2) says so, and
/// engines look for its words; `move_mount` has one errno for much.
fn or_not_directory(errno: Errno, tree: &OwnedFd, target: &OwnedFd) -> Result<()> {
    let differ = resolve::is_directory(tree.as_fd())? != resolve::is_directory(target.as_fd())?;
    Err(if errno == Errno::INVAL && differ { Errno::NOTDIR } else { errno })
}

fn bind_target(mount: &Mount, source: BorrowedFd<'_>, root: BorrowedFd<'_>) -> Result<OwnedFd> {
    if resolve::is_directory(source)? {
        resolve::make_directory(root, &mount.target, 0o755)
    } else {
        resolve::make_file(root, &mount.target)
    }
}

/// With mount(2), for kernels before 5.2.
fn legacy_bind(
    mount: &Mount,
    bind: &Bind,
    source: Option<&OwnedFd>,
    root: BorrowedFd<'_>,
) -> Result<OwnedFd> {
    let source = match source {
        Some(source) => fd::move_above(source.as_fd(), 0)?,
        None => resolve::open_host(&bind.source)?,
    };
    let target = bind_target(mount, source.as_fd(), root)?;
    refuse_target(mount, target.as_fd(), root)?;
    only_procfs_at_proc(mount, source.as_fd())?;
    let mut flags = MountFlags::BIND;
    if bind.recursive {
        flags |= MountFlags::REC;
    }
    mount::mount(
        FdPath::new(source.as_fd()).as_c_str(),
        FdPath::new(target.as_fd()).as_c_str(),
        c"",
        flags,
        None,
    )?;
    let made = resolve::in_root(root, &mount.target)?;
    // Somebody has put another in its place meanwhile.
    if !resolve::is_same(made.as_fd(), source.as_fd())? {
        return Err(Errno::AGAIN);
    }
    if !mount.attr.is_empty() {
        set_attr(made.as_fd(), false, &attr_of(mount.attr))?;
    }
    Ok(made)
}

/// A new file system of the kernel.
fn make_filesystem(
    index: usize,
    mount: &Mount,
    fs: &Filesystem,
    root: BorrowedFd<'_>,
) -> Done<OwnedFd> {
    let target = at(Step::MountTarget, index, filesystem_target(mount, fs, root))?;
    at(Step::MountTarget, index, refuse_target(mount, target.as_fd(), root))?;
    let mode = if fs.inherit_mode {
        Some(at(Step::MountTarget, index, fstat(&target))?.st_mode & 0o7777)
    } else {
        None
    };
    let made = match detached(index, fs, mount.attr, mode) {
        Err(failed) if Errno::from_raw_os_error(failed.errno) == Errno::NOSYS || !fs.by_fsopen => {
            return at(Step::Mount, index, legacy_filesystem(mount, fs, mode, &target, root));
        }
        other => other?,
    };
    if mount.copy_up {
        at(Step::CopyUp, index, copy_up::copy(target.as_fd(), made.as_fd()))?;
    }
    at(Step::Mount, index, mount::attach(made.as_fd(), target.as_fd()))?;
    Ok(made)
}

/// The `SELinux` context of its root.
fn label(index: usize, fs: &Filesystem, made: BorrowedFd<'_>) -> Done {
    let Some(label) = &fs.label else { return Ok(()) };
    let path = FdPath::new(made);
    setxattr(path.as_c_str(), c"security.selinux", label.to_bytes(), XattrFlags::empty()).map_err(
        |errno| Failure {
            text: Text::new(b"set linux.mountLabel"),
            ..failure(Step::Mount, index, errno)
        },
    )
}

/// The mount point, made if the image has none.
fn filesystem_target(mount: &Mount, fs: &Filesystem, root: BorrowedFd<'_>) -> Result<OwnedFd> {
    if fs.on_real_directory {
        match resolve::no_links(root, &mount.target) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
    }
    resolve::make_directory(root, &mount.target, 0o755)
}

/// A mount that is attached nowhere yet (`fsopen(2)`, Linux 5.2).
fn detached(index: usize, fs: &Filesystem, attr: Attr, mode: Option<u32>) -> Done<OwnedFd> {
    if !fs.by_fsopen {
        return Err(failure(Step::Mount, index, Errno::NOSYS));
    }
    let context = at(Step::Mount, index, fsopen(fs.fstype.as_c_str()))?;
    let made = configure(context.as_fd(), fs, mode).and_then(|()| {
        let attr = MountAttrFlags::from_bits_retain(u32::try_from(attr.set).unwrap_or(0));
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attr)
    });
    made.map_err(|errno| Failure {
        text: said(context.as_fd()),
        ..failure(Step::Mount, index, errno)
    })
}

fn configure(context: BorrowedFd<'_>, fs: &Filesystem, mode: Option<u32>) -> Result<()> {
    fsconfig_set_string(context, c"source", fs.source.as_c_str())?;
    for (flag, name) in FS_FLAGS {
        if fs.flags & flag.bits() != 0 {
            fsconfig_set_flag(context, *name)?;
        }
    }
    if let Some(mode) = mode {
        fsconfig_set_string(context, c"mode", Octal::new(mode).as_c_str())?;
    }
    set_options(context, fs)?;
    fsconfig_create(context)
}

fn set_options(context: BorrowedFd<'_>, fs: &Filesystem) -> Result<()> {
    fs.options.iter().try_for_each(|(name, value)| match value {
        Some(value) => fsconfig_set_string(context, name.as_c_str(), value.as_c_str()),
        None => fsconfig_set_flag(context, name.as_c_str()),
    })
}

/// The words of the mount API for flags of a file system.
const FS_FLAGS: &[(MountFlags, &CStr)] = &[
    (MountFlags::SYNCHRONOUS, c"sync"),
    (MountFlags::DIRSYNC, c"dirsync"),
    (MountFlags::LAZYTIME, c"lazytime"),
    (MountFlags::PERMIT_MANDATORY_FILE_LOCKING, c"mand"),
];

/// What the file system says of its refusal: `e tmpfs: Unknown parameter 'x'`.
fn said(context: BorrowedFd<'_>) -> Text {
    Text::fill(|buffer| {
        let got = io::read(context, &mut buffer[..]).unwrap_or(0).min(buffer.len());
        // A letter for the kind of message and a space come first.
        let skip = if got > 2 && buffer[1] == b' ' { 2 } else { 0 };
        buffer.copy_within(skip..got, 0);
        got - skip
    })
}

/// With mount(2): for kernels before 5.2, and for what the mount API cannot
/// say.
fn legacy_filesystem(
    mount: &Mount,
    fs: &Filesystem,
    mode: Option<u32>,
    target: &OwnedFd,
    root: BorrowedFd<'_>,
) -> Result<OwnedFd> {
    let mut flags = MountFlags::from_bits_retain(fs.flags);
    if mount.late_readonly {
        flags -= MountFlags::RDONLY;
    }
    let data = (!fs.data.is_empty()).then_some(fs.data.as_c_str());
    mount::mount(
        fs.source.as_c_str(),
        FdPath::new(target.as_fd()).as_c_str(),
        fs.fstype.as_c_str(),
        flags,
        data,
    )?;
    let made = resolve::in_root(root, &mount.target)?;
    if let Some(mode) = mode {
        chmodat(&made, c".", Mode::from_raw_mode(mode), AtFlags::empty())?;
    }
    if mount.copy_up {
        copy_up::copy(target.as_fd(), made.as_fd())?;
    }
    Ok(made)
}

/// `remount` changes the flags of what is mounted there, and the options of
/// its file system.
fn remount(index: usize, mount: &Mount, fs: &Filesystem, root: BorrowedFd<'_>) -> Done<OwnedFd> {
    let target = at(Step::MountTarget, index, resolve::in_root(root, &mount.target))?;
    at(Step::MountTarget, index, refuse_target(mount, target.as_fd(), root))?;
    at(Step::Mount, index, set_attr(target.as_fd(), false, &attr_of(mount.attr)))?;
    if !fs.options.is_empty() {
        at(Step::Mount, index, reconfigure(target.as_fd(), fs))?;
    }
    Ok(target)
}

fn reconfigure(target: BorrowedFd<'_>, fs: &Filesystem) -> Result<()> {
    let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH;
    let context = match fspick(target, c"", flags) {
        Err(Errno::NOSYS) => {
            let path = FdPath::new(target);
            return mount::mount_remount(path.as_c_str(), MountFlags::empty(), fs.data.as_c_str());
        }
        other => other?,
    };
    set_options(context.as_fd(), fs)?;
    fsconfig_reconfigure(&context)
}

/// The plan refuses the root and what is inside `/proc` by their names; this
/// refuses them when a symbolic link of the image leads there.
pub(super) fn refuse_target(
    mount: &Mount,
    target: BorrowedFd<'_>,
    root: BorrowedFd<'_>,
) -> Result<()> {
    if resolve::is_same(target, root)? {
        return Err(Errno::BUSY);
    }
    let by_name = mount.target.as_bytes();
    let allowed = by_name == b"proc" || by_name.starts_with(b"proc/");
    if !allowed && resolve::is_procfs(target)? { Err(Errno::LOOP) } else { Ok(()) }
}

/// A volume at `/proc` would answer for the kernel (CVE-2019-16884).
fn only_procfs_at_proc(mount: &Mount, source: BorrowedFd<'_>) -> Result<()> {
    if mount.target.as_bytes() == b"proc" && !resolve::is_procfs(source)? {
        return Err(Errno::PERM);
    }
    Ok(())
}

/// `mount_setattr(2)`, or what mount(2) can do of it.
pub(super) fn set_attr(made: BorrowedFd<'_>, recursive: bool, attr: &MountAttr) -> Result<()> {
    match mount::mount_setattr(made, recursive, attr) {
        Err(Errno::NOSYS) if !recursive => legacy_set_attr(made, attr),
        other => other,
    }
}

/// Keeps the flags that the mount has, for mount(2) sets them all at once.
fn legacy_set_attr(made: BorrowedFd<'_>, attr: &MountAttr) -> Result<()> {
    let now = fstatvfs(made)?.f_flag;
    let keep = [
        (StatVfsMountFlags::RDONLY, mount::MOUNT_ATTR_RDONLY),
        (StatVfsMountFlags::NOSUID, mount::MOUNT_ATTR_NOSUID),
        (StatVfsMountFlags::NODEV, mount::MOUNT_ATTR_NODEV),
        (StatVfsMountFlags::NOEXEC, mount::MOUNT_ATTR_NOEXEC),
        (StatVfsMountFlags::NOATIME, mount::MOUNT_ATTR_NOATIME),
        (StatVfsMountFlags::NODIRATIME, mount::MOUNT_ATTR_NODIRATIME),
    ];
    let has =
        keep.iter().filter(|(flag, _)| now.contains(*flag)).fold(0, |has, (_, bit)| has | bit);
    let flags = legacy_flags(Attr { set: has & !attr.clear | attr.set, clear: 0 });
    mount::mount_remount(
        FdPath::new(made).as_c_str(),
        MountFlags::BIND | MountFlags::from_bits_retain(flags),
        c"",
    )
}

pub(super) fn attr_of(attr: Attr) -> MountAttr {
    MountAttr { set: attr.set, clear: attr.clear, ..MountAttr::default() }
}

/// A file mode as text.
struct Octal([u8; 6]);

impl Octal {
    fn new(mode: u32) -> Self {
        let digit = |shift: u32| b'0' + u8::try_from(mode >> shift & 7).unwrap_or(0);
        Self([b'0', digit(9), digit(6), digit(3), digit(0), 0])
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"755")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        assert_eq!(Octal::new(0o1777).as_c_str(), c"01777");
        assert_eq!(Octal::new(0o755).as_c_str(), c"00755");
    }
}
