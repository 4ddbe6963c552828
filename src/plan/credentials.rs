//! Who the container's program is, and what it may do.

use crate::error::{Error, Result};
use crate::spec;
use crate::sys::fs::Gid;

/// Capabilities by number: capabilities(7), `linux/capability.h` of Linux 5.9
/// (the newest is `CAP_CHECKPOINT_RESTORE`).
pub(crate) const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// `CAP_SETGID`, as a bit.
pub(crate) const SETGID: u64 = 1 << 6;
/// `CAP_SETUID`, as a bit.
pub(crate) const SETUID: u64 = 1 << 7;
/// `CAP_SYS_ADMIN`, as a bit.
pub(crate) const SYS_ADMIN: u64 = 1 << 21;
/// `CAP_SYS_PTRACE`: procfs shows it the namespaces of who is not dumpable.
const SYS_PTRACE: u64 = 1 << 19;

/// Whether these are enough to open namespaces of a process that hides.
pub(super) fn may_look_into(capabilities: u64) -> bool {
    let needed = SYS_ADMIN | SYS_PTRACE;
    capabilities & needed == needed
}

/// The five sets, as bit masks by capability number.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub(crate) bounding: u64,
    pub(crate) effective: u64,
    pub(crate) inheritable: u64,
    pub(crate) permitted: u64,
    pub(crate) ambient: u64,
}

/// Ids and privileges of the program.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<Gid>,
    pub(crate) umask: u32,
    pub(crate) no_new_privileges: bool,
    pub(crate) capabilities: Capabilities,
}

/// Plans `process.user`, `.capabilities` and `.noNewPrivileges`.
pub(crate) fn plan(process: &spec::Process, own: u64) -> Result<Credentials> {
    let user = &process.user;
    is_id("process.user.uid", user.uid)?;
    is_id("process.user.gid", user.gid)?;
    for (index, gid) in user.additional_gids.iter().enumerate() {
        is_id(&format!("process.user.additionalGids[{index}]"), *gid)?;
    }
    let umask = user.umask.unwrap_or(0o022);
    if umask & !0o777 != 0 {
        return Err(Error::config(
            "process.user.umask",
            format!("{umask:#o} has bits beyond permissions"),
        ));
    }
    Ok(Credentials {
        uid: user.uid,
        gid: user.gid,
        groups: user.additional_gids.iter().map(|gid| Gid::from_raw(*gid)).collect(),
        umask,
        no_new_privileges: process.no_new_privileges,
        capabilities: process
            .capabilities
            .as_ref()
            .map(|sets| within(masks(sets), own))
            .unwrap_or_default(),
    })
}

/// setuid(2) and chown(2) take -1 for "leave as it is".
pub(super) fn is_id(field: &str, id: u32) -> Result<u32> {
    if id == u32::MAX {
        return Err(Error::config(field, "4294967295 is not an id"));
    }
    Ok(id)
}

fn masks(sets: &spec::Capabilities) -> Capabilities {
    let mut masks = Capabilities {
        bounding: mask("bounding", &sets.bounding),
        effective: mask("effective", &sets.effective),
        inheritable: mask("inheritable", &sets.inheritable),
        permitted: mask("permitted", &sets.permitted),
        ambient: mask("ambient", &sets.ambient),
    };
    // The kernel raises only what is permitted and inheritable too. Engines
    // list more, from times when inheritable was as large as the others
    // (CVE-2022-29162), and no runtime fails for it.
    masks.ambient &= masks.permitted & masks.inheritable;
    masks
}

/// What the runtime does not have itself it cannot give: the spec wants a
/// warning, not a failure.
fn within(mut sets: Capabilities, own: u64) -> Capabilities {
    let wanted = sets.effective | sets.inheritable | sets.permitted | sets.ambient;
    for (number, name) in CAPABILITIES.iter().enumerate() {
        if wanted & !own & 1 << number != 0 {
            log::warn!("ignoring capability {name:?}: the runtime does not have it itself");
        }
    }
    for set in [&mut sets.effective, &mut sets.inheritable, &mut sets.permitted, &mut sets.ambient]
    {
        *set &= own;
    }
    sets
}

/// The spec wants a warning, not a failure, for what cannot be mapped.
fn mask(set: &str, names: &[String]) -> u64 {
    names.iter().fold(0, |mask, name| match CAPABILITIES.iter().position(|known| known == name) {
        Some(number) => mask | 1 << number,
        None => {
            log::warn!("ignoring unknown capability {name:?} of process.capabilities.{set}");
            mask
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `linux/capability.h`.
    #[test]
    fn numbers_are_the_kernels() {
        for (name, number) in [
            ("CAP_CHOWN", 0),
            ("CAP_SETPCAP", 8),
            ("CAP_SYS_ADMIN", 21),
            ("CAP_MKNOD", 27),
            ("CAP_AUDIT_READ", 37),
            ("CAP_CHECKPOINT_RESTORE", 40),
        ] {
            assert_eq!(mask("x", &[name.to_owned()]), 1 << number, "{name}");
        }
    }

    #[test]
    fn ambient_is_at_most_permitted_and_inheritable() {
        let kill = || vec!["CAP_KILL".to_owned()];
        let sets = spec::Capabilities { ambient: kill(), permitted: kill(), ..Default::default() };
        assert_eq!(masks(&sets).ambient, 0);
        let sets = spec::Capabilities { inheritable: kill(), ..sets };
        assert_eq!(masks(&sets).ambient, 1 << 5);
    }

    #[test]
    fn unknown_capabilities_are_ignored() {
        assert_eq!(mask("x", &["CAP_FUTURE".to_owned(), "CAP_KILL".to_owned()]), 1 << 5);
    }

    #[test]
    fn ids_that_mean_nothing_are_refused() {
        let process = spec::Process {
            user: serde_json::from_str(r#"{"uid":4294967295}"#).unwrap(),
            ..Default::default()
        };
        assert!(plan(&process, 0).unwrap_err().to_string().contains("process.user.uid"));
    }
}
