//! The file system that the container sees.

use std::ffi::CString;

use super::devices::{self, Node};
use super::mounts::{self, Kind, Mount};
use super::namespaces::{CLONE_NEWNS, Namespaces, User};
use super::{Options, c_string, paths};
use crate::error::{Error, Result};
use crate::spec;
use crate::sys::mount::MountPropagationFlags as Propagation;

/// How the container's root becomes `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    /// `pivot_root(2)`, and the old root is unmounted.
    Pivot,
    /// `MS_MOVE` and `chroot(2)`, for an initramfs, which cannot be pivoted.
    Move,
    /// `chroot(2)` alone: the container has neither mounts nor a namespace for
    /// them.
    Chroot,
    /// `chroot(2)` into a mount of the host's: it has only mounts.
    Bound,
}

/// All about the container's root.
#[derive(Debug)]
pub(crate) struct Rootfs {
    /// Absolute path on the host, for messages and old kernels.
    pub(crate) path: CString,
    pub(crate) switch: Switch,
    /// Mounts of the host that must go before the root is moved over them.
    pub(crate) host_proc: Vec<CString>,
    /// Propagation of all mounts while the root is built.
    pub(crate) propagation: u32,
    /// `linux.rootfsPropagation`, for the root when it is done.
    pub(crate) final_propagation: Option<u32>,
    pub(crate) mounts: Vec<Mount>,
    /// Whether `/dev` is ours to fill: not when it is the host's.
    pub(crate) fill_dev: bool,
    pub(crate) devices: Vec<Node>,
    /// Whether they are the host's, bound: in a user namespace none can be made.
    pub(crate) bind_devices: bool,
    pub(crate) readonly: bool,
    pub(crate) masked: Vec<CString>,
    pub(crate) readonly_paths: Vec<CString>,
    /// Working directory, which is made if it is missing.
    pub(crate) cwd: CString,
}

/// Plans the root file system of `config`.
pub(crate) fn plan(
    config: &spec::Config,
    options: &Options,
    namespaces: &Namespaces,
) -> Result<Rootfs> {
    let root = config.root.as_ref().ok_or_else(|| Error::config("root", "must be set"))?;
    let linux = config.linux();
    let path = match root.path.as_str() {
        "" => return Err(Error::config("root.path", "must not be empty")),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("{}/{path}", options.bundle),
    };
    let own_ids = namespaces.user != User::Own;
    let switch = match (namespaces.has(CLONE_NEWNS), options.no_pivot) {
        (true, true) => Switch::Move,
        (true, false) => Switch::Pivot,
        (false, _) if has_mounts(config, root, own_ids)? => Switch::Bound,
        (false, _) => Switch::Chroot,
    };
    let mut planned = Vec::with_capacity(config.mounts.len());
    for (index, mount) in config.mounts.iter().enumerate() {
        planned.push(mounts::plan(index, mount, &options.bundle, &options.cgroup_view, own_ids)?);
    }
    if switch == Switch::Bound {
        mounts::keep_from_source(&mut planned);
    }
    if let Some(label) = linux.mount_label.as_deref().filter(|label| !label.is_empty()) {
        mounts::label(&mut planned, label)?;
    }
    let fill_dev = switch != Switch::Chroot
        && !planned
            .iter()
            .any(|m| m.target.as_bytes() == b"dev" && matches!(m.kind, Kind::Bind(_)));
    let final_propagation = linux.rootfs_propagation.as_deref().filter(|p| !p.is_empty());
    let final_propagation = final_propagation.map(propagation).transpose()?;
    if switch == Switch::Move
        && final_propagation.is_some_and(|p| p & Propagation::PRIVATE.bits() != 0)
    {
        return Err(Error::config("linux.rootfsPropagation", "cannot be private with --no-pivot"));
    }
    let cwd = config.process.as_ref().map_or("/", |p| p.cwd.as_str());
    Ok(Rootfs {
        path: c_string("root.path", &path)?,
        switch,
        host_proc: host_proc(options, &path)?,
        // Nothing that the container mounts may reach the host, unless the
        // configuration asks for just that.
        propagation: final_propagation
            .filter(|flags| flags & Propagation::SHARED.bits() != 0)
            .unwrap_or((Propagation::DOWNSTREAM | Propagation::REC).bits()),
        final_propagation,
        mounts: planned,
        fill_dev,
        bind_devices: namespaces.user != User::Own,
        devices: if fill_dev { devices::plan(&linux.devices)? } else { Vec::new() },
        readonly: root.readonly,
        masked: container_paths("linux.maskedPaths", &linux.masked_paths)?,
        readonly_paths: container_paths("linux.readonlyPaths", &linux.readonly_paths)?,
        cwd: c_string("process.cwd", &paths::in_root(cwd))?,
    })
}

/// Those below the root are what the container is meant to have. The last
/// mounted comes first: it may lie on another.
fn host_proc(options: &Options, root: &str) -> Result<Vec<CString>> {
    let inside = |target: &str| target.strip_prefix(root).is_some_and(|t| t.starts_with('/'));
    let outside = options.host_proc.iter().rev().filter(|target| !inside(target));
    outside.map(|target| c_string("root.path", target)).collect()
}

/// Whether there is anything to mount for a container without a mount
/// namespace. It inherits the runtime's, as the spec has it, and what is
/// mounted there `delete` unmounts; in a user namespace it has no right to.
fn has_mounts(config: &spec::Config, root: &spec::Root, own_ids: bool) -> Result<bool> {
    let linux = config.linux();
    let wants = [
        ("mounts", !config.mounts.is_empty()),
        ("root.readonly", root.readonly),
        ("linux.maskedPaths", !linux.masked_paths.is_empty()),
        ("linux.readonlyPaths", !linux.readonly_paths.is_empty()),
        ("linux.devices", !linux.devices.is_empty()),
        ("linux.rootfsPropagation", linux.rootfs_propagation.is_some()),
        ("process.terminal", config.process.as_ref().is_some_and(|p| p.terminal)),
    ];
    match wants.iter().find(|(_, wanted)| *wanted) {
        Some((field, _)) if own_ids => {
            Err(Error::config(*field, "needs a mount namespace beside the user namespace"))
        }
        wanted => Ok(wanted.is_some()),
    }
}

fn propagation(word: &str) -> Result<u32> {
    let (word, recursive) = match word.strip_prefix('r') {
        Some(rest) => (rest, Propagation::REC),
        None => (word, Propagation::empty()),
    };
    let flag = match word {
        "shared" => Propagation::SHARED,
        "slave" => Propagation::DOWNSTREAM,
        "private" => Propagation::PRIVATE,
        "unbindable" => Propagation::UNBINDABLE,
        _ => {
            return Err(Error::config(
                "linux.rootfsPropagation",
                format!("unknown propagation {word:?}"),
            ));
        }
    };
    Ok((flag | recursive).bits())
}

fn container_paths(field: &str, list: &[String]) -> Result<Vec<CString>> {
    let one = |(index, path): (usize, &String)| {
        let field = format!("{field}[{index}]");
        if !path.starts_with('/') {
            return Err(Error::config(field, format!("{path:?} must be absolute")));
        }
        c_string(&field, &paths::in_root(path))
    };
    list.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(json: &str) -> Result<Rootfs> {
        let config = spec::Config::parse(json.as_bytes()).unwrap();
        let namespaces = super::super::namespaces::plan(config.linux()).unwrap();
        let options = Options { bundle: "/b".into(), ..Options::default() };
        plan(&config, &options, &namespaces)
    }

    #[test]
    fn mounts_without_a_mount_namespace_need_rights_over_the_runtimes() {
        let json = |linux: &str| {
            let mounts = r#""mounts":[{"destination":"/a","type":"tmpfs"}]"#;
            planned(&format!(r#"{{"root":{{"path":"r"}},{mounts},"linux":{{{linux}}}}}"#))
        };
        assert_eq!(json("").unwrap().switch, Switch::Bound);
        assert_eq!(planned(r#"{"root":{"path":"r"}}"#).unwrap().switch, Switch::Chroot);
        let ids = r#"[{"containerID":0,"hostID":1000,"size":1}]"#;
        let e = json(&format!(
            r#""namespaces":[{{"type":"user"}}],"uidMappings":{ids},"gidMappings":{ids}"#
        ))
        .unwrap_err();
        assert!(e.to_string().starts_with("config.json: mounts: needs a mount namespace"), "{e}");
    }

    #[test]
    fn root_is_relative_to_the_bundle() {
        assert_eq!(planned(r#"{"root":{"path":"r"}}"#).unwrap().path.to_str(), Ok("/b/r"));
        assert_eq!(planned(r#"{"root":{"path":"/r"}}"#).unwrap().path.to_str(), Ok("/r"));
        assert!(planned("{}").is_err());
    }

    #[test]
    fn a_host_dev_is_left_alone() {
        let json = r#"{"root":{"path":"r"},"linux":{"namespaces":[{"type":"mount"}]},
            "mounts":[{"destination":"/dev","source":"/dev","options":["rbind"]}]}"#;
        let r = planned(json).unwrap();
        assert!(!r.fill_dev && r.devices.is_empty());
    }

    #[test]
    fn paths_must_be_absolute() {
        let json = r#"{"root":{"path":"r"},"linux":{"namespaces":[{"type":"mount"}],"maskedPaths":["/a","b"]}}"#;
        let e = planned(json).unwrap_err().to_string();
        assert!(e.starts_with("config.json: linux.maskedPaths[1]: "), "{e}");
    }
}
