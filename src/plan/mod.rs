//! The plan: all that the container's init will do, decided beforehand.
//!
//! The parent turns `config.json` and the command's options into a [`Plan`] of
//! C strings, flags and numbers. The child has it because clone copies memory:
//! nothing is sent, parsed or allocated between clone and exec. This module is
//! pure: it makes no system call, so every decision can be unit-tested.

pub(crate) mod attributes;
pub(crate) mod credentials;
pub(crate) mod devices;
pub(crate) mod exec;
pub(crate) mod hooks;
pub(crate) mod idmap;
pub(crate) mod labels;
pub(crate) mod mounts;
pub(crate) mod namespaces;
pub(crate) mod net_devices;
pub(crate) mod number_list;
pub(crate) mod options;
pub(crate) mod paths;
pub(crate) mod process;
pub(crate) mod rootfs;
pub(crate) mod seccomp;
pub(crate) mod sysctl;

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use crate::error::{Error, Result};
use crate::spec;

pub(crate) use devices::Node;
pub(crate) use exec::for_exec;
pub(crate) use hooks::ChildHook;
pub(crate) use mounts::{Bind, Filesystem, Kind, Mount};
pub(crate) use namespaces::{Namespaces, User};
pub(crate) use process::Process;
pub(crate) use rootfs::{Rootfs, Switch};

/// The name (`comm`) of a container's init until it executes its program.
pub(crate) const INIT_NAME: &CStr = c"minke:init";

/// What a container's process does, from clone to exec: its init, or one more
/// that `exec` brings into it.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Namespaces to make and to join.
    pub(crate) namespaces: Namespaces,
    /// Whether the parent opens the root and the sources of mounts in the
    /// child's mount namespace.
    pub(crate) opens_sources: bool,
    /// Whether the runtime has `CAP_SYS_ADMIN` in its own user namespace, and
    /// may look into an init that hides.
    pub(crate) privileged: bool,
    /// What a user may not do is left out.
    pub(crate) rootless: bool,
    /// The user of the host, other than root, whose the cgroup is to be.
    pub(crate) cgroup_owner: Option<u32>,
    /// Name of the session keyring to join, unless `--no-new-keyring`.
    pub(crate) keyring: Option<CString>,
    /// All that is made for a new container; `exec` finds it made.
    pub(crate) container: Option<NewContainer>,
    /// The program.
    pub(crate) process: Process,
    /// Descriptors from 3 on that the program inherits.
    pub(crate) preserve_fds: u32,
}

/// What only the init of a new container does.
#[derive(Debug)]
pub(crate) struct NewContainer {
    /// Whether the clone makes, or the child joins, a cgroup namespace.
    pub(crate) has_cgroup_namespace: bool,
    /// `CLONE_NEWCGROUP` where the child makes its cgroup namespace itself,
    /// because on cgroup v1 it is not in its cgroups before; else 0.
    pub(crate) unshare_cgroup: u64,
    /// The file system that the container sees.
    pub(crate) rootfs: Rootfs,
    /// `sethostname(2)`.
    pub(crate) hostname: Option<CString>,
    /// `setdomainname(2)`.
    pub(crate) domainname: Option<CString>,
    /// Interfaces that the parent moves, once the namespaces are there.
    pub(crate) net_devices: Vec<net_devices::NetDevice>,
    /// Files below `/proc/sys`, and what to write there.
    pub(crate) sysctl: Vec<sysctl::Write>,
    /// What hooks read.
    pub(crate) hook_states: HookStates,
    /// Run in the container's namespaces, before `pivot_root`.
    pub(crate) create_container: Vec<ChildHook>,
    /// Run in the container, before its program.
    pub(crate) start_container: Vec<ChildHook>,
    /// Whether the parent has work to do once the mounts are made.
    pub(crate) pause_after_mounts: bool,
}

impl Plan {
    /// The mounts of a new container.
    pub(crate) fn mounts(&self) -> &[Mount] {
        self.container.as_ref().map_or(&[], |new| &new.rootfs.mounts)
    }

    /// Whether the parent has mounts to map the ids of.
    pub(crate) fn has_id_mapped_mounts(&self) -> bool {
        self.mounts()
            .iter()
            .any(|mount| matches!(&mount.kind, Kind::Bind(bind) if bind.id_map.is_some()))
    }
}

/// The container's state as JSON, for the hooks that its init runs: what comes
/// before its pid, which only the child knows, and what after it.
#[derive(Debug, Default)]
pub(crate) struct HookStates {
    pub(crate) creating: [Vec<u8>; 2],
    pub(crate) created: [Vec<u8>; 2],
}

/// Descriptors that the parent opens for the child.
#[derive(Debug)]
pub(crate) struct Handles {
    /// The host's procfs, by which every procfs file is written: the one that
    /// the container sees may be covered by an image's volume.
    pub(crate) proc: OwnedFd,
    /// Namespaces that the child enters, in the plan's order.
    pub(crate) namespaces: Vec<OwnedFd>,
    /// The child is not in its cgroup v2 directory and waits to be put there.
    pub(crate) outside: bool,
    /// `tasks` files of cgroup v1 directories; the child writes itself there.
    pub(crate) tasks: Vec<OwnedFd>,
    /// The one of v1's devices, for when their rules are complete.
    pub(crate) devices: Option<OwnedFd>,
    /// These files come later: the parent makes the directories meanwhile.
    pub(crate) cgroups_follow: bool,
    /// The root and the sources of mounts, as far as the parent opens them.
    pub(crate) sources: Sources,
    /// Listens for `start`, for which a new container waits.
    pub(crate) start: Option<OwnedFd>,
    /// The root of a container without a mount namespace, for `exec`.
    pub(crate) root: Option<OwnedFd>,
    /// Where the terminal's master goes.
    pub(crate) console: Option<OwnedFd>,
}

impl Handles {
    /// Those that every launch has.
    pub(crate) fn new(proc: OwnedFd, namespaces: Vec<OwnedFd>, console: Option<OwnedFd>) -> Self {
        Self {
            proc,
            namespaces,
            outside: false,
            tasks: Vec::new(),
            devices: None,
            cgroups_follow: false,
            sources: Sources::default(),
            start: None,
            root: None,
            console,
        }
    }
}

/// What the parent opens of the host for the child, which may not reach it as
/// root of its user namespace.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The root's directory, in the child's mount namespace.
    pub(crate) root: Option<OwnedFd>,
    /// One for each mount: a file or directory of the child's mount namespace,
    /// or an id-mapped tree that is mounted nowhere yet.
    pub(crate) mounts: Vec<Option<OwnedFd>>,
}

/// What the command line adds to `config.json`.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Container ID.
    pub(crate) id: String,
    /// Absolute path of the bundle.
    pub(crate) bundle: String,
    /// `--no-pivot`.
    pub(crate) no_pivot: bool,
    /// With it, where the host has all of a procfs or sysfs mounted.
    pub(crate) host_proc: Vec<String>,
    /// `--no-new-keyring`.
    pub(crate) no_new_keyring: bool,
    /// `--preserve-fds`, with those of socket activation.
    pub(crate) preserve_fds: u32,
    /// Capabilities that the runtime has itself, by number.
    pub(crate) capabilities: u64,
    /// Sockets of `LISTEN_FDS`, the first of the preserved descriptors.
    pub(crate) listen_fds: u32,
    /// How the container sees cgroups, for `cgroup` mounts.
    pub(crate) cgroup_view: mounts::CgroupView,
    /// `--rootless`: what a user may not do is left out.
    pub(crate) rootless: bool,
}

/// Plans the init of a new container. `config` has passed `check`.
pub(crate) fn for_init(config: &spec::Config, options: &Options) -> Result<Plan> {
    hooks::check_all(&config.hooks)?;
    let mut namespaces = namespaces::plan(config.linux())?;
    let mut container = new_container(config, options, &namespaces)?;
    if !matches!(options.cgroup_view, mounts::CgroupView::Unified(_)) {
        container.unshare_cgroup = namespaces.new & namespaces::CLONE_NEWCGROUP;
        namespaces.new &= !container.unshare_cgroup;
    }
    let privileged = credentials::may_look_into(options.capabilities);
    let opens_sources = matches!(namespaces.user, User::New(_))
        && namespaces.new & namespaces::CLONE_NEWNS != 0
        && privileged;
    Ok(Plan {
        opens_sources,
        privileged,
        rootless: options.rootless,
        cgroup_owner: cgroup_owner(config, &namespaces, &container.rootfs.mounts, options.rootless),
        process: process::plan(config, options, &namespaces)?,
        namespaces,
        keyring: (!options.no_new_keyring).then(|| keyring(&options.id)).transpose()?,
        container: Some(container),
        preserve_fds: options.preserve_fds,
    })
}

fn new_container(
    config: &spec::Config,
    options: &Options,
    namespaces: &Namespaces,
) -> Result<NewContainer> {
    let name = |field: &str, name: &Option<String>| {
        name.as_deref()
            .filter(|name| !name.is_empty())
            .map(|name| c_string(field, name))
            .transpose()
    };
    Ok(NewContainer {
        has_cgroup_namespace: namespaces.has(namespaces::CLONE_NEWCGROUP),
        unshare_cgroup: 0,
        rootfs: rootfs::plan(config, options, namespaces)?,
        hostname: name("hostname", &config.hostname)?,
        domainname: name("domainname", &config.domainname)?,
        net_devices: net_devices::plan(config.linux(), namespaces)?,
        sysctl: sysctl::plan(&config.linux().sysctl, namespaces)?,
        hook_states: HookStates::default(),
        create_container: hooks::plan("createContainer", &config.hooks.create_container)?,
        start_container: hooks::plan("startContainer", &config.hooks.start_container)?,
        pause_after_mounts: pauses_after_mounts(config, options, namespaces),
    })
}

/// Who shall manage the container's cgroup: its user, if it has a namespace
/// for it and finds it writable at the usual place. What a user has made is
/// the user's already.
/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#cgroup-ownership>
fn cgroup_owner(
    config: &spec::Config,
    namespaces: &Namespaces,
    mounts: &[Mount],
    rootless: bool,
) -> Option<u32> {
    let is_shown = |mount: &Mount| {
        mount.target.as_bytes() == b"sys/fs/cgroup"
            && matches!(mount.kind, Kind::Cgroup2 { fallback: Some(_) })
            && mount.attr.set & crate::sys::mount::MOUNT_ATTR_RDONLY == 0
    };
    let inside = config.process.as_ref()?.user.uid;
    let outside = match &namespaces.user {
        User::Own => inside,
        User::New(maps) | User::Joined(Some(maps)) => idmap::outside(&maps.uid, inside)?,
        User::Joined(None) => return None,
    };
    let is_given = namespaces.makes(namespaces::CLONE_NEWCGROUP) && mounts.iter().any(is_shown);
    (is_given && outside != 0 && !rootless).then_some(outside)
}

/// Device rules must not keep a disk from being mounted, but hold for the
/// child's hooks; and some hooks are the parent's. On v1 the child enters the
/// cgroup of devices late anyway, unless its cgroup namespace begins there.
fn pauses_after_mounts(config: &spec::Config, options: &Options, namespaces: &Namespaces) -> bool {
    let is_disk = |mount: &spec::Mount| {
        mount.source.as_deref().is_some_and(|source| source.starts_with("/dev/"))
    };
    let hooks = &config.hooks;
    let for_devices = match options.cgroup_view {
        mounts::CgroupView::Unified(_) => config.mounts.iter().any(is_disk),
        _ => namespaces.has(namespaces::CLONE_NEWCGROUP),
    };
    let hooks = [&hooks.prestart, &hooks.create_runtime, &hooks.create_container];
    for_devices || hooks.iter().any(|hooks| !hooks.is_empty())
}

/// The session keyring of all processes of a container.
fn keyring(id: &str) -> Result<CString> {
    c_string("id", &format!("_ses.{id}"))
}

/// A string for the kernel; `field` says where it came from.
pub(crate) fn c_string(field: &str, text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::config(field, "must not contain a NUL byte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_in_config_is_told_with_its_field() {
        let e = c_string("process.args[1]", "a\0b").unwrap_err();
        assert_eq!(e.to_string(), "config.json: process.args[1]: must not contain a NUL byte");
    }
}
