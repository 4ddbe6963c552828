//! `features`: what this build can do, as the runtime-spec's features.md has it.
//!
//! Engines act on it (containerd on `rro` and `idmap`, CRI-O on the versions),
//! so it says what works today and nothing more.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/features.md>

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use super::print;
use crate::error::Result;
use crate::plan::attributes::{MEMORY_FLAGS, MEMORY_MODES};
use crate::plan::credentials::CAPABILITIES;
use crate::seccomp::Arch;
use crate::seccomp::features::features;
use crate::spec::VERSION;
use crate::sys::seccomp::knows_flags;

pub(super) fn run() -> Result<()> {
    print(&to_json(&Features::new()))
}

/// The oldest version of the spec whose documents are read.
const OLDEST: &str = "1.0.0";

const HOOKS: &[&str] =
    &["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Sorted.
const NAMESPACES: &[&str] = &["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];

/// Annotations of a config that change what the runtime does on the host, so
/// that an engine must not take them over from an image. The list may be longer
/// than what is in use: an entry too many does no harm.
const UNSAFE_ANNOTATIONS: &[&str] = &["bundle", "org.systemd.property.", "org.criu.config"];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Features {
    oci_version_min: &'static str,
    oci_version_max: &'static str,
    hooks: &'static [&'static str],
    mount_options: Vec<&'static str>,
    linux: Linux,
    annotations: BTreeMap<&'static str, &'static str>,
    potentially_unsafe_config_annotations: &'static [&'static str],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    namespaces: &'static [&'static str],
    capabilities: &'static [&'static str],
    cgroup: Cgroup,
    seccomp: Seccomp,
    apparmor: Enabled,
    selinux: Enabled,
    intel_rdt: IntelRdt,
    memory_policy: MemoryPolicy,
    mount_extensions: MountExtensions,
    net_devices: Enabled,
}

/// What is in `linux.cgroup` of the document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "the spec's own fields")]
struct Cgroup {
    v1: bool,
    v2: bool,
    systemd: bool,
    systemd_user: bool,
    rdma: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Seccomp {
    enabled: bool,
    actions: Vec<&'static str>,
    operators: Vec<&'static str>,
    archs: Vec<&'static str>,
    known_flags: Vec<&'static str>,
    supported_flags: Vec<&'static str>,
}

#[derive(Serialize)]
struct IntelRdt {
    enabled: bool,
    schemata: bool,
    monitoring: bool,
}

#[derive(Serialize)]
struct MemoryPolicy {
    modes: Vec<&'static str>,
    flags: Vec<&'static str>,
}

#[derive(Serialize)]
struct MountExtensions {
    idmap: Enabled,
}

#[derive(Serialize)]
struct Enabled {
    enabled: bool,
}

impl Features {
    fn new() -> Self {
        Self {
            oci_version_min: OLDEST,
            oci_version_max: VERSION,
            hooks: HOOKS,
            mount_options: crate::plan::options::names().collect(),
            linux: Linux::new(),
            annotations: [("org.opencontainers.runc.checkpoint.enabled", "true")].into(),
            potentially_unsafe_config_annotations: UNSAFE_ANNOTATIONS,
        }
    }
}

impl Linux {
    fn new() -> Self {
        Self {
            namespaces: NAMESPACES,
            capabilities: &CAPABILITIES,
            cgroup: Cgroup { v1: true, v2: true, systemd: true, systemd_user: true, rdma: false },
            seccomp: Seccomp::new(),
            apparmor: Enabled { enabled: true },
            selinux: Enabled { enabled: true },
            intel_rdt: IntelRdt { enabled: true, schemata: true, monitoring: true },
            memory_policy: MemoryPolicy { modes: names(MEMORY_MODES), flags: names(MEMORY_FLAGS) },
            mount_extensions: MountExtensions { idmap: Enabled { enabled: true } },
            net_devices: Enabled { enabled: true },
        }
    }
}

fn names(table: &[(&'static str, u32)]) -> Vec<&'static str> {
    table.iter().map(|(name, _)| *name).collect()
}

impl Seccomp {
    fn new() -> Self {
        let known = features();
        let supported = known.flags.iter().filter(|(_, bits)| knows_flags(*bits));
        Self {
            // By the kernel, of which some have no filters.
            enabled: Arch::native().is_some() && knows_flags(0),
            actions: known.actions,
            operators: known.operators,
            archs: known.archs,
            supported_flags: supported.map(|(name, _)| *name).collect(),
            known_flags: known.flags.iter().map(|(name, _)| *name).collect(),
        }
    }
}

/// Indented by four blanks, as runc writes it.
fn to_json(features: &Features) -> String {
    let mut text = Vec::new();
    let blanks = PrettyFormatter::with_indent(b"    ");
    // Into memory, from types that JSON has: this cannot fail.
    let _ = features.serialize(&mut serde_json::Serializer::with_formatter(&mut text, blanks));
    text.push(b'\n');
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn document() -> Value {
        serde_json::from_str(&to_json(&Features::new())).unwrap()
    }

    #[test]
    fn lists_are_sorted_and_without_repetitions() {
        assert!(crate::plan::options::names().is_sorted());
        assert!(names(MEMORY_MODES).is_sorted() && names(MEMORY_FLAGS).is_sorted());
        assert!(NAMESPACES.is_sorted_by(|a, b| a < b));
        assert_eq!(CAPABILITIES.len(), 41);
        assert!(CAPABILITIES.iter().all(|name| name.starts_with("CAP_")));
    }

    /// CRI-O wants both versions; containerd's CRI looks for `rro`, and for
    /// `enabled` of `idmap`.
    #[test]
    fn fields_that_engines_read() {
        let document = document();
        assert_eq!(document["ociVersionMin"], "1.0.0");
        assert_eq!(document["ociVersionMax"], VERSION);
        let options = document["mountOptions"].as_array().unwrap();
        assert!(options.iter().any(|option| option == "rro"));
        assert!(document["linux"]["mountExtensions"]["idmap"]["enabled"].is_boolean());
        assert_eq!(document["hooks"].as_array().unwrap().len(), 6);
    }
}
