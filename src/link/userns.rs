//! The runtime's part in user namespaces: it writes their ids, and opens what
//! only who stands outside can reach.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;

use super::words::describe;
use crate::error::{Doing, Error, Result};
use crate::init::step::Step;
use crate::plan::credentials::{SETGID, SETUID};
use crate::plan::idmap::{self, IdMaps};
use crate::plan::mounts::Bind;
use crate::plan::namespaces::{CLONE_NEWNS, CLONE_NEWUSER};
use crate::plan::{Kind, Plan, Sources};
use crate::sys::clone::{Child, clone_child};
use crate::sys::fs::{CWD, Mode, OFlags, openat};
use crate::sys::mount::{MOUNT_ATTR_IDMAP, MountAttr, clone_path, mount_setattr};
use crate::sys::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use crate::sys::process::{chroot, fchdir};
use crate::sys::{Errno, getegid, geteuid, io, namespace, thread};

/// Gives the new user namespace of `pid` its ids.
///
/// Whoever has `CAP_SETUID` and `CAP_SETGID` writes them. A user may only map
/// himself, and for that gives up setgroups(2); everything else is for
/// `newuidmap` and `newgidmap`, which look into /etc/subuid and /etc/subgid.
pub(crate) fn write_maps(pid: i32, maps: &IdMaps) -> Result<()> {
    let own = thread::capabilities(None).doing(|| "read the runtime's capabilities")?;
    let may = |capability: u64| own.effective.bits() & capability != 0;
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let is_self = |map: &str, own: u32| matches!(idmap::parse(map).as_slice(), [[_, outside, 1]] if *outside == own);
    if may(SETUID) || is_self(&maps.uid, uid) {
        write(pid, "uid_map", &maps.uid, &format!("{}.uidMappings", maps.field))?;
    } else {
        by_program(
            "newuidmap",
            "/etc/subuid",
            pid,
            &maps.uid,
            &format!("{}.uidMappings", maps.field),
        )?;
    }
    let field = format!("{}.gidMappings", maps.field);
    if may(SETGID) {
        return write(pid, "gid_map", &maps.gid, &field);
    }
    if is_self(&maps.gid, gid) {
        write(pid, "setgroups", "deny", &field)?;
        return write(pid, "gid_map", &maps.gid, &field);
    }
    by_program("newgidmap", "/etc/subgid", pid, &maps.gid, &field)
}

/// The kernel takes a map in one write.
fn write(pid: i32, file: &str, text: &str, field: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{file}");
    let file = openat(CWD, path.as_str(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    let written = file.and_then(|file| io::write(&file, text.as_bytes()));
    let doing = || format!("config.json: {field}: write {:?} to {path:?}", text.trim_end());
    match written {
        Ok(_) => Ok(()),
        Err(errno @ Errno::PERM) => {
            let hint = forbidden().unwrap_or_else(|| {
                "the ids outside must be mapped in the runtime's own user namespace, and be its \
                 to give: see /proc/self/uid_map and /proc/self/gid_map"
                    .to_owned()
            });
            Err(Error::advised(doing(), errno, hint))
        }
        Err(errno) => Err(Error::os(doing(), errno)),
    }
}

/// `newuidmap PID INSIDE OUTSIDE SIZE …`, of package uidmap or shadow-utils.
fn by_program(program: &str, file: &str, pid: i32, map: &str, field: &str) -> Result<()> {
    let doing = || format!("config.json: {field}: map ids with {program}");
    let said = Command::new(program)
        .arg(pid.to_string())
        .args(map.split_ascii_whitespace())
        .output()
        .map_err(|e| {
            let errno = Errno::from_raw_os_error(e.raw_os_error().unwrap_or_default());
            let hint = format!(
                "a user can map other ids than his own only with {program}: install package \
                 uidmap (or shadow-utils)"
            );
            Error::advised(doing(), errno, hint)
        })?;
    if said.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&said.stderr).trim().replace('\n', "; ");
    let hint = forbidden().unwrap_or_else(|| {
        format!(
            "{file} must give the ids outside to user {}, and {program} must be setuid root or \
             have the file capability",
            geteuid().as_raw()
        )
    });
    Err(Error::Advised { doing: doing(), why: words, errno: None, hint })
}

/// Which setting of the host keeps users from user namespaces, if one does.
pub(crate) fn forbidden() -> Option<String> {
    let is = |path: &str, value: &str| {
        fs::read_to_string(format!("/proc/sys/{path}")).is_ok_and(|text| text.trim() == value)
    };
    let advice = |path: &str, value: &str, wanted: &str| {
        is(path, value).then(|| {
            format!(
                "user namespaces are forbidden here: set sysctl {} to {wanted}",
                path.replace('/', ".")
            )
        })
    };
    advice("user/max_user_namespaces", "0", "a number above 0")
        .or_else(|| advice("kernel/unprivileged_userns_clone", "0", "1"))
        .or_else(|| advice("kernel/apparmor_restrict_unprivileged_userns", "1", "0"))
}

/// A process that does nothing but keep a user namespace alive.
#[derive(Debug)]
struct Keeper {
    child: Child,
    socket: OwnedFd,
}

impl Keeper {
    /// With `joined` it enters that one, and makes the namespaces `below` it;
    /// else it makes one.
    fn new(joined: Option<BorrowedFd<'_>>, below: u64) -> Result<Self> {
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.doing(|| "make a socket")?;
        let mut ours = Some(ours);
        let kinds = if joined.is_none() { CLONE_NEWUSER } else { 0 };
        let enter = |user: BorrowedFd<'_>| {
            namespace::setns(user, CLONE_NEWUSER)?;
            namespace::unshare(below)
        };
        let child = clone_child(kinds, None, |_| {
            drop(ours.take());
            if joined.is_none_or(|user| enter(user).is_ok()) {
                let _ = io::write(&theirs, b"x");
                let _ = io::read(&theirs, &mut [0u8; 1]);
            }
            crate::sys::exit(0)
        });
        // Else the end of the stream would never be seen.
        drop(theirs);
        let child = child.map_err(|errno| {
            Error::advised("make a user namespace", errno, forbidden().unwrap_or_default())
        })?;
        let socket = ours.ok_or_else(|| Error::os("clone", Errno::BADF))?;
        let keeper = Self { child, socket };
        match io::retry_on_intr(|| io::read(&keeper.socket, &mut [0u8; 1])) {
            Ok(1) => Ok(keeper),
            _ => Err(Error::os("enter a user namespace", Errno::PERM)),
        }
    }

    fn open(&self) -> Result<OwnedFd> {
        open(&format!("/proc/{}/ns/user", self.child.pid))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.child.end();
    }
}

fn open(path: &str) -> Result<OwnedFd> {
    openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open {path:?}"))
}

/// Engines say both a user namespace to join and its ids. As in runc, they must
/// be the ids that it has.
pub(crate) fn check_same(maps: &IdMaps, joined: BorrowedFd<'_>) -> Result<()> {
    let keeper = Keeper::new(Some(joined), 0)?;
    for (name, wanted) in [("uid", &maps.uid), ("gid", &maps.gid)] {
        let path = format!("/proc/{}/{name}_map", keeper.child.pid);
        let has = fs::read_to_string(&path).map_err(|e| {
            let errno = Errno::from_raw_os_error(e.raw_os_error().unwrap_or_default());
            Error::os(format!("read {path:?}"), errno)
        })?;
        if idmap::parse(&has) != idmap::parse(wanted) {
            return Err(Error::config(
                format!("linux.{name}Mappings"),
                "user namespaces enabled, but both namespace path and non-matching mapping \
                 specified -- you may only provide one",
            ));
        }
    }
    log::warn!(
        "config.json: linux.uidMappings: the user namespace to join has these ids already; one of \
         the two is enough"
    );
    Ok(())
}

/// The id-mapped mounts of a container without a new user namespace. For one
/// that is joined they come from a mount namespace that is its: so flags are
/// locked, and trees cannot be taken apart, as in all mounts from the host.
pub(crate) fn map_mounts(plan: &Plan, namespaces: &[OwnedFd]) -> Result<Sources> {
    let mut sources = Sources::default();
    let joined = plan.namespaces.join.iter().zip(namespaces);
    let mut own = joined.filter(|(join, _)| join.kind == CLONE_NEWUSER).map(|(_, fd)| fd.as_fd());
    let own = own.next();
    let keeper = own.map(|own| Keeper::new(Some(own), CLONE_NEWNS)).transpose()?;
    let away = keeper.map(|keeper| Away::in_mounts_of(keeper.child.pid)).transpose()?;
    for (index, mount) in plan.mounts().iter().enumerate() {
        sources.mounts.push(match &mount.kind {
            Kind::Bind(bind) if bind.id_map.is_some() => Some(id_mapped(plan, index, bind, own)?),
            _ => None,
        });
    }
    away.map_or(Ok(()), Away::come_back)?;
    Ok(sources)
}

/// A tree of the host, mounted nowhere, with other ids.
fn id_mapped(
    plan: &Plan,
    index: usize,
    bind: &Bind,
    own: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd> {
    let failed = |errno: Errno| {
        let words = describe(
            plan,
            Step::Mount,
            u16::try_from(index).unwrap_or(0),
            errno.raw_os_error(),
            "",
        );
        let hint = match errno {
            Errno::NOSYS => "id-mapped mounts need Linux 5.12",
            Errno::INVAL => "the file system cannot be id-mapped, or is id-mapped already",
            Errno::PERM => "the runtime must be root where the file system was mounted",
            _ => return Error::Broken { what: "id-mapped mount".to_owned(), why: words },
        };
        Error::Advised {
            doing: "id-mapped mount".to_owned(),
            why: words,
            errno: Some(errno),
            hint: hint.to_owned(),
        }
    };
    let Some(id_map) = &bind.id_map else { return Err(failed(Errno::INVAL)) };
    let keeper;
    let kept;
    let ids = match (&id_map.maps, own) {
        (Some(maps), _) => {
            keeper = Keeper::new(None, 0)?;
            write_maps(keeper.child.pid, maps)?;
            kept = keeper.open()?;
            kept.as_fd()
        }
        (None, Some(own)) => own,
        (None, None) => return Err(failed(Errno::INVAL)),
    };
    let tree = clone_path(&bind.source, bind.recursive).map_err(failed)?;
    let attr =
        MountAttr { set: MOUNT_ATTR_IDMAP, userns_fd: number_of(ids), ..MountAttr::default() };
    mount_setattr(tree.as_fd(), id_map.recursive, &attr).map_err(failed)?;
    Ok(tree)
}

fn number_of(fd: BorrowedFd<'_>) -> u64 {
    use std::os::fd::AsRawFd;
    u64::from(fd.as_raw_fd().unsigned_abs())
}

/// What the root of the container's user namespace may not reach: opened with
/// the runtime's rights, but in the mount namespace of `pid`, so that flags
/// which are locked there stay so.
pub(crate) fn open_sources(plan: &Plan, pid: i32) -> Result<Sources> {
    let Some(new) = &plan.container else { return Ok(Sources::default()) };
    let user = open(&format!("/proc/{pid}/ns/user"))?;
    let mut sources = Sources::default();
    let away = Away::in_mounts_of(pid)?;
    let root = openat(CWD, new.rootfs.path.as_c_str(), PATH | OFlags::DIRECTORY, Mode::empty());
    let root = root.map_err(|errno| Error::Init {
        step: Step::Rootfs.name(),
        what: describe(plan, Step::Rootfs, 0, errno.raw_os_error(), ""),
        errno: Some(errno),
    })?;
    sources.root = Some(root);
    for (index, mount) in plan.mounts().iter().enumerate() {
        let Kind::Bind(bind) = &mount.kind else {
            sources.mounts.push(None);
            continue;
        };
        let opened = if bind.id_map.is_some() {
            id_mapped(plan, index, bind, Some(user.as_fd()))?
        } else {
            openat(CWD, bind.source.as_c_str(), PATH, Mode::empty()).map_err(|errno| {
                let item = u16::try_from(index).unwrap_or(u16::MAX);
                Error::Init {
                    step: Step::Mount.name(),
                    what: describe(plan, Step::Mount, item, errno.raw_os_error(), ""),
                    errno: Some(errno),
                }
            })?
        };
        sources.mounts.push(Some(opened));
    }
    away.come_back()?;
    Ok(sources)
}

const PATH: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// This process in another mount namespace; with its own root and working
/// directory at hand, which entering one changes.
#[derive(Debug)]
pub(crate) struct Away {
    home: OwnedFd,
    root: OwnedFd,
    directory: OwnedFd,
    is_back: bool,
}

impl Away {
    fn in_mounts_of(pid: i32) -> Result<Self> {
        let away = Self::prepare()?;
        let there = open(&format!("/proc/{pid}/ns/mnt"))?;
        namespace::setns(there.as_fd(), CLONE_NEWNS)
            .doing(|| "enter the container's mount namespace")?;
        Ok(away)
    }

    /// Before leaving.
    pub(crate) fn prepare() -> Result<Self> {
        let directory = |path| openat(CWD, path, PATH, Mode::empty()).doing(|| "open a directory");
        Ok(Self {
            home: open(namespace::own_path(CLONE_NEWNS))?,
            root: directory(c"/")?,
            directory: directory(c".")?,
            is_back: false,
        })
    }

    fn come_back(mut self) -> Result<()> {
        self.is_back = true;
        self.back().doing(|| "go back to the runtime's own mount namespace")
    }

    fn back(&self) -> crate::sys::Result<()> {
        namespace::setns(self.home.as_fd(), CLONE_NEWNS)?;
        fchdir(&self.root)?;
        chroot(c".")?;
        fchdir(&self.directory)
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        // Something has failed there.
        if !self.is_back {
            let _ = self.back();
        }
    }
}
