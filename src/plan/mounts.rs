//! `mounts`: from an entry of `config.json` to what the child does for it.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#mounts>

use std::ffi::CString;
use std::os::fd::OwnedFd;

use super::idmap::{self, IdMaps};
use super::options::{self, Attr, Folded};
use super::{c_string, paths};
use crate::error::{Error, Result};
use crate::spec;
use crate::sys::mount::{
    MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME,
    MountFlags, MountPropagationFlags,
};

/// One mount of the container.
#[derive(Debug)]
pub(crate) struct Mount {
    /// From the container's root, without a leading slash.
    pub(crate) target: CString,
    pub(crate) kind: Kind,
    /// Flags of the mount itself.
    pub(crate) attr: Attr,
    /// Flags of the mount and all below it.
    pub(crate) tree: Attr,
    /// `MS_SHARED` and so on, applied one after the other.
    pub(crate) propagation: Vec<u32>,
    /// Starts with what the image has there (`tmpcopyup`).
    pub(crate) copy_up: bool,
    /// Made read-only when all else is in place.
    pub(crate) late_readonly: bool,
    /// Filled by the child where it has to come back to the mount.
    pub(crate) made: Option<OwnedFd>,
}

impl Mount {
    /// Whether the parent opens its source for a child that may not reach it.
    pub(crate) fn needs_source(&self) -> bool {
        matches!(self.kind, Kind::Bind(_))
    }

    /// Whether the container has to be in its cgroups before: they are shown,
    /// or what is copied counts for them.
    pub(crate) fn needs_cgroups(&self) -> bool {
        match &self.kind {
            Kind::Cgroup1 { .. } | Kind::Cgroup2 { .. } => true,
            Kind::Bind(bind) => bind.source.to_bytes().starts_with(b"/sys/fs/cgroup"),
            Kind::Filesystem(_) | Kind::Remount(_) => self.copy_up,
        }
    }
}

/// What is mounted.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A file or directory of the host.
    Bind(Bind),
    /// A new file system.
    Filesystem(Filesystem),
    /// New flags, and options of the file system, for what is mounted there.
    Remount(Filesystem),
    /// The container's cgroups: cgroup v2.
    Cgroup2 { fallback: Option<CString> },
    /// The container's cgroups: a tmpfs with one directory a hierarchy.
    Cgroup1 { hierarchies: Vec<Hierarchy>, links: Vec<(CString, CString)> },
}

/// A bind mount.
#[derive(Debug)]
pub(crate) struct Bind {
    /// Absolute path on the host.
    pub(crate) source: CString,
    pub(crate) recursive: bool,
    /// Other ids than those of the file system.
    pub(crate) id_map: Option<IdMap>,
}

/// The ids of a mount (Linux 5.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdMap {
    /// Those of the container's user namespace when absent.
    pub(crate) maps: Option<IdMaps>,
    /// For the mounts below it, too (`ridmap`).
    pub(crate) recursive: bool,
}

/// A file system that the kernel makes.
#[derive(Debug, Default)]
pub(crate) struct Filesystem {
    pub(crate) fstype: CString,
    pub(crate) source: CString,
    /// Options of the file system: name, and value if it has one.
    pub(crate) options: Vec<(CString, Option<CString>)>,
    /// `MS_*` flags of the file system, with those of the mount: for mount(2).
    pub(crate) flags: u32,
    /// Whether the mount API can say all of it: it takes no value over 255
    /// bytes and has no words for `iversion` and `silent`.
    pub(crate) by_fsopen: bool,
    /// The same options as mount(2) wants them.
    pub(crate) data: CString,
    /// procfs and sysfs are only mounted on real directories: through a
    /// symbolic link an image could have them elsewhere, and unmasked.
    pub(crate) on_real_directory: bool,
    /// A tmpfs gets the mode of the directory that it covers.
    pub(crate) inherit_mode: bool,
    /// `SELinux` context of its root, where there is no option for it.
    pub(crate) label: Option<CString>,
}

/// One cgroup v1 hierarchy as the container sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Directory below `/sys/fs/cgroup`.
    pub(crate) name: CString,
    /// The container's cgroup in it, on the host.
    pub(crate) source: CString,
    /// Mount options with a cgroup namespace of its own: `memory`, or
    /// `name=systemd`. Empty for cgroup v2 of a hybrid host.
    pub(crate) controllers: CString,
}

/// How cgroups are mounted on this host.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum CgroupView {
    /// Only v2, with the container's directory on the host.
    Unified(CString),
    /// v1, or v1 with v2 beside it. `links` are names for merged hierarchies.
    Legacy { hierarchies: Vec<Hierarchy>, links: Vec<(CString, CString)> },
    /// None.
    #[default]
    None,
}

/// Mount points below `/proc` that lxcfs and the like may cover.
const BELOW_PROC: &[&str] = &[
    "proc/cpuinfo",
    "proc/diskstats",
    "proc/loadavg",
    "proc/meminfo",
    "proc/slabinfo",
    "proc/stat",
    "proc/swaps",
    "proc/sys/crypto/fips_enabled",
    "proc/sys/kernel/ns_last_pid",
    "proc/uptime",
];

/// Plans `mounts[index]`.
pub(crate) fn plan(
    index: usize,
    mount: &spec::Mount,
    bundle: &str,
    view: &CgroupView,
    has_user_namespace: bool,
) -> Result<Mount> {
    let field = |name: &str| format!("mounts[{index}].{name}");
    let target = paths::in_root(&mount.destination);
    check_target(&field("destination"), &target, mount)?;
    let folded = options::fold(&mount.options);
    let mut kind = kind(index, mount, &folded, bundle, view)?;
    match (id_map(index, mount, &folded, has_user_namespace)?, &mut kind) {
        (None, _) => {}
        (id_map, Kind::Bind(bind)) => bind.id_map = id_map,
        (Some(_), _) => {
            return Err(Error::config(field("options"), "only bind mounts can be id-mapped"));
        }
    }
    if target == "proc" && matches!(&kind, Kind::Filesystem(fs) if fs.fstype.as_bytes() != b"proc")
    {
        return Err(Error::config(field("type"), "only a procfs can be mounted at /proc"));
    }
    // What goes on top of a tmpfs or of /dev is made after it.
    let is_tmpfs = matches!(&kind, Kind::Filesystem(fs) if fs.fstype.as_bytes() == b"tmpfs");
    let late = folded.attr.set & MOUNT_ATTR_RDONLY != 0
        && (is_tmpfs || target == "dev" && !matches!(kind, Kind::Bind(_)));
    let mut attr = folded.attr;
    if late {
        attr.set &= !MOUNT_ATTR_RDONLY;
    }
    Ok(Mount {
        target: c_string(&field("destination"), &target)?,
        kind,
        attr,
        tree: folded.tree,
        propagation: folded.propagation,
        copy_up: folded.copy_up && is_tmpfs,
        late_readonly: late,
        made: None,
    })
}

/// config.md#posix-platform-mounts: both mappings or none; without them, the
/// container's, which must have some.
fn id_map(
    index: usize,
    mount: &spec::Mount,
    folded: &Folded,
    has_user_namespace: bool,
) -> Result<Option<IdMap>> {
    let field = format!("mounts[{index}]");
    let recursive = folded.id_map == Some(true);
    match (mount.uid_mappings.is_empty(), mount.gid_mappings.is_empty()) {
        (true, true) => match folded.id_map {
            None => Ok(None),
            Some(_) if has_user_namespace => Ok(Some(IdMap { maps: None, recursive })),
            Some(_) => Err(Error::config(
                format!("{field}.options"),
                "an id-mapped mount needs uidMappings and gidMappings, or a user namespace",
            )),
        },
        (true, false) => {
            Err(Error::config(format!("{field}.uidMappings"), "must be set with gidMappings"))
        }
        (false, true) => {
            Err(Error::config(format!("{field}.gidMappings"), "must be set with uidMappings"))
        }
        (false, false) => {
            let maps = idmap::plan(&mount.uid_mappings, &mount.gid_mappings, &field)?;
            Ok(Some(IdMap { maps: Some(maps), recursive }))
        }
    }
}

fn check_target(field: &str, target: &str, mount: &spec::Mount) -> Result<()> {
    if mount.destination.is_empty() {
        return Err(Error::config(field, "must not be empty"));
    }
    if target.is_empty() {
        return Err(Error::config(field, "must not be the root itself"));
    }
    let below = paths::is_below(target, "proc") && target != "proc";
    if below && !BELOW_PROC.contains(&target) {
        return Err(Error::config(
            field,
            format!("{:?} cannot be mounted because it is inside /proc", mount.destination),
        ));
    }
    Ok(())
}

fn kind(
    index: usize,
    mount: &spec::Mount,
    folded: &Folded,
    bundle: &str,
    view: &CgroupView,
) -> Result<Kind> {
    let field = |name: &str| format!("mounts[{index}].{name}");
    let fstype = mount.kind.as_deref().unwrap_or_default();
    if folded.remount {
        return filesystem(index, mount, fstype, folded).map(Kind::Remount);
    }
    if folded.bind.is_some() || fstype == "bind" {
        // As mount(8) does: the file system is there, and has its own.
        if !folded.data.is_empty() {
            let (field, data) = (field("options"), folded.data.join(","));
            log::warn!("ignoring {data} of {field}: a bind mount has no options of a file system");
        }
        let source = mount.source.as_deref().filter(|s| !s.is_empty());
        let source =
            source.ok_or_else(|| Error::config(field("source"), "a bind mount needs a source"))?;
        let source =
            if source.starts_with('/') { source.to_owned() } else { format!("{bundle}/{source}") };
        let recursive = folded.bind.unwrap_or(false);
        return Ok(Kind::Bind(Bind {
            source: c_string(&field("source"), &source)?,
            recursive,
            id_map: None,
        }));
    }
    match (fstype, view) {
        ("", _) => {
            Err(Error::config(field("type"), "must be set unless the mount is a bind mount"))
        }
        ("cgroup" | "cgroup2", CgroupView::Unified(dir)) => {
            Ok(Kind::Cgroup2 { fallback: Some(dir.clone()) })
        }
        ("cgroup2", _) => Ok(Kind::Cgroup2 { fallback: None }),
        ("cgroup", CgroupView::Legacy { hierarchies, links }) => {
            Ok(Kind::Cgroup1 { hierarchies: hierarchies.clone(), links: links.clone() })
        }
        ("cgroup", CgroupView::None) => {
            Err(Error::config(field("type"), "this host has no cgroups mounted at /sys/fs/cgroup"))
        }
        _ => filesystem(index, mount, fstype, folded).map(Kind::Filesystem),
    }
}

fn filesystem(
    index: usize,
    mount: &spec::Mount,
    fstype: &str,
    folded: &Folded,
) -> Result<Filesystem> {
    let field = |name: &str| format!("mounts[{index}].{name}");
    let mut fs = Filesystem {
        fstype: c_string(&field("type"), fstype)?,
        source: c_string(&field("source"), mount.source.as_deref().unwrap_or(fstype))?,
        flags: folded.fs | legacy_flags(folded.attr),
        by_fsopen: folded.fs & (MountFlags::SILENT.bits() | 1 << 23) == 0,
        data: c_string(&field("options"), &folded.data.join(","))?,
        on_real_directory: matches!(fstype, "proc" | "sysfs"),
        inherit_mode: fstype == "tmpfs" && !folded.data.iter().any(|d| d.contains("mode=")),
        ..Filesystem::default()
    };
    // mount(2) would split an entry with commas in it; overlayfs escapes some.
    for option in folded.data.iter().flat_map(|d| split_unescaped(d)) {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        fs.by_fsopen &= value.is_none_or(|v| v.len() < 256);
        let value = value.map(|v| c_string(&field("options"), v)).transpose()?;
        fs.options.push((c_string(&field("options"), name)?, value));
    }
    Ok(fs)
}

fn split_unescaped(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c| {
        let split = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        split
    })
    .filter(|part| !part.is_empty())
}

/// In the namespace where its source is mounted, too, a copy would be its
/// peer: what is mounted below the one would show below the other.
pub(crate) fn keep_from_source(mounts: &mut [Mount]) {
    for mount in mounts.iter_mut().filter(|mount| matches!(mount.kind, Kind::Bind(_))) {
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        mount.propagation.insert(0, slave.bits());
    }
}

/// Gives new file systems the `SELinux` context `label`, as runc does: procfs
/// and sysfs have labels by the policy's rules, a bind mount those of its files,
/// and mqueue takes no option.
pub(crate) fn label(mounts: &mut [Mount], label: &str) -> Result<()> {
    let field = "linux.mountLabel";
    if label.contains(['"', '\n']) {
        return Err(Error::config(field, format!("{label:?} is not a context")));
    }
    for mount in mounts {
        let Kind::Filesystem(fs) = &mut mount.kind else { continue };
        match fs.fstype.as_bytes() {
            b"proc" | b"sysfs" => continue,
            b"mqueue" => {
                fs.label = Some(c_string(field, label)?);
                continue;
            }
            _ => {}
        }
        // In mount(2)'s text the quotes keep its commas together.
        let mut data = fs.data.to_string_lossy().into_owned();
        if !data.is_empty() {
            data.push(',');
        }
        fs.data = c_string(field, &format!("{data}context=\"{label}\""))?;
        fs.by_fsopen &= label.len() < 256;
        fs.options.push((c"context".to_owned(), Some(c_string(field, label)?)));
    }
    Ok(())
}

/// The flags of a mount as mount(2) has them.
pub(crate) fn legacy_flags(attr: Attr) -> u32 {
    let pairs = [
        (MOUNT_ATTR_RDONLY, MountFlags::RDONLY),
        (MOUNT_ATTR_NOSUID, MountFlags::NOSUID),
        (MOUNT_ATTR_NODEV, MountFlags::NODEV),
        (MOUNT_ATTR_NOEXEC, MountFlags::NOEXEC),
        (MOUNT_ATTR_NOATIME, MountFlags::NOATIME),
        (MOUNT_ATTR_STRICTATIME, MountFlags::STRICTATIME),
        (MOUNT_ATTR_NODIRATIME, MountFlags::NODIRATIME),
        (MOUNT_ATTR_NOSYMFOLLOW, MountFlags::from_bits_retain(256)),
    ];
    let set = pairs.iter().filter(|(bit, _)| attr.set & bit != 0);
    set.fold(0, |flags, (_, flag)| flags | flag.bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, options: &[&str]) -> spec::Mount {
        spec::Mount {
            destination: "/x".into(),
            kind: Some(kind.into()),
            source: Some("src".into()),
            options: options.iter().map(|o| (*o).to_owned()).collect(),
            ..spec::Mount::default()
        }
    }

    #[test]
    fn relative_bind_sources_count_from_the_bundle() {
        let m = plan(0, &mount("none", &["rbind", "ro"]), "/b", &CgroupView::None, false).unwrap();
        let Kind::Bind(bind) = m.kind else { panic!("{m:?}") };
        assert_eq!(bind.source.to_str(), Ok("/b/src"));
        assert!(bind.recursive);
    }

    #[test]
    fn nothing_goes_inside_proc_but_what_lxcfs_covers() {
        let at = |to: &str| {
            plan(
                0,
                &spec::Mount { destination: to.into(), ..mount("tmpfs", &[]) },
                "/b",
                &CgroupView::None,
                false,
            )
        };
        assert!(at("/proc/sys").is_err());
        assert!(at("/x/../proc/1").is_err());
        assert!(at("/proc/uptime").is_ok());
        assert!(at("/processes").is_ok());
        assert!(at("/").is_err());
    }

    #[test]
    fn escaped_commas_stay_in_their_value() {
        let parts: Vec<_> = split_unescaped(r"lowerdir=/a\,b:/c,index=off").collect();
        assert_eq!(parts, [r"lowerdir=/a\,b:/c", "index=off"]);
    }

    /// Containers' contexts have commas in their categories.
    #[test]
    fn a_label_goes_to_new_file_systems_only() {
        let mut mounts = ["tmpfs", "proc", "bind"]
            .map(|kind| plan(0, &mount(kind, &[]), "/b", &CgroupView::None, false).unwrap());
        label(&mut mounts, "u:r:t:s0:c1,c2").unwrap();
        let Kind::Filesystem(tmpfs) = &mounts[0].kind else { panic!("{mounts:?}") };
        assert_eq!(tmpfs.data.as_c_str(), c"context=\"u:r:t:s0:c1,c2\"");
        assert_eq!(tmpfs.options[0].1.as_deref(), Some(c"u:r:t:s0:c1,c2"));
        let Kind::Filesystem(proc) = &mounts[1].kind else { panic!("{mounts:?}") };
        assert!(proc.options.is_empty() && proc.data.is_empty());
    }

    #[test]
    fn long_values_go_by_mount_2() {
        let long = format!("lowerdir={}", "x".repeat(300));
        let m = plan(0, &mount("overlay", &[&long]), "/b", &CgroupView::None, false).unwrap();
        let Kind::Filesystem(fs) = m.kind else { panic!("{m:?}") };
        assert!(!fs.by_fsopen);
    }
}
