//! `linux`: what only Linux has.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md>

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Resources;
use super::seccomp::Seccomp;

/// The `linux` object.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Linux {
    /// Namespaces to make or to join; those not listed are the runtime's own.
    pub(crate) namespaces: Vec<Namespace>,
    /// User ids of a new user namespace.
    pub(crate) uid_mappings: Vec<IdMapping>,
    /// Group ids of a new user namespace.
    pub(crate) gid_mappings: Vec<IdMapping>,
    /// Clock offsets of a new time namespace, by clock name.
    pub(crate) time_offsets: BTreeMap<String, TimeOffset>,
    /// Device nodes beyond the default ones.
    pub(crate) devices: Vec<Device>,
    /// Network interfaces to move into the container, by their name outside.
    pub(crate) net_devices: BTreeMap<String, NetDevice>,
    /// Where the container's cgroup is.
    pub(crate) cgroups_path: Option<String>,
    /// Limits for the container's cgroup.
    pub(crate) resources: Option<Resources>,
    /// Cache and memory bandwidth allocation (resctrl).
    pub(crate) intel_rdt: Option<IntelRdt>,
    /// Kernel parameters, by their dotted name.
    pub(crate) sysctl: BTreeMap<String, String>,
    /// System call filter.
    pub(crate) seccomp: Option<Seccomp>,
    /// Propagation of the container's root mount.
    pub(crate) rootfs_propagation: Option<String>,
    /// Paths that read as empty in the container.
    pub(crate) masked_paths: Vec<String>,
    /// Paths that cannot be written in the container.
    pub(crate) readonly_paths: Vec<String>,
    /// `SELinux` context for the mounts.
    pub(crate) mount_label: Option<String>,
    /// Execution domain (`personality(2)`).
    pub(crate) personality: Option<Personality>,
    /// NUMA memory policy (`set_mempolicy(2)`).
    pub(crate) memory_policy: Option<MemoryPolicy>,
}

impl Linux {
    /// What an absent `linux` object stands for.
    pub(crate) const EMPTY: Self = Self {
        namespaces: Vec::new(),
        uid_mappings: Vec::new(),
        gid_mappings: Vec::new(),
        time_offsets: BTreeMap::new(),
        devices: Vec::new(),
        net_devices: BTreeMap::new(),
        cgroups_path: None,
        resources: None,
        intel_rdt: None,
        sysctl: BTreeMap::new(),
        seccomp: None,
        rootfs_propagation: None,
        masked_paths: Vec::new(),
        readonly_paths: Vec::new(),
        mount_label: None,
        personality: None,
        memory_policy: None,
    };
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#namespaces>
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Namespace {
    /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup` or `time`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Absolute path of one to join; a new one is made when absent.
    pub(crate) path: Option<String>,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#user-namespace-mappings>
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct IdMapping {
    /// First id inside.
    #[serde(rename = "containerID")]
    pub(crate) container_id: u32,
    /// First id outside.
    #[serde(rename = "hostID")]
    pub(crate) host_id: u32,
    /// How many.
    pub(crate) size: u32,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#offset-for-time-namespace>
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(crate) struct TimeOffset {
    /// Seconds; may be negative.
    pub(crate) secs: i64,
    /// Nanoseconds, 0 to 999,999,999.
    pub(crate) nanosecs: u32,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#devices>
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Device {
    /// `c`, `u`, `b` or `p`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Absolute path in the container.
    pub(crate) path: String,
    /// Major number; not for `p`.
    pub(crate) major: i64,
    /// Minor number; not for `p`.
    pub(crate) minor: i64,
    /// Permission bits.
    pub(crate) file_mode: Option<u32>,
    /// Owner, in the container's user namespace.
    pub(crate) uid: Option<u32>,
    /// Group, in the container's user namespace.
    pub(crate) gid: Option<u32>,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#network-devices>
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NetDevice {
    /// Name inside the container; unchanged when absent.
    pub(crate) name: Option<String>,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#personality>
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Personality {
    /// `LINUX` or `LINUX32`.
    pub(crate) domain: String,
    /// None are defined yet.
    pub(crate) flags: Vec<String>,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#memory-policy>
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MemoryPolicy {
    /// `MPOL_…` name; required.
    pub(crate) mode: String,
    /// Memory nodes as a list, such as `0-1`; some modes need it, some must
    /// not have it.
    pub(crate) nodes: Option<String>,
    /// `MPOL_F_…` names.
    pub(crate) flags: Vec<String>,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#intelrdt>
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct IntelRdt {
    /// Class of service: a directory of resctrl, `/` for the default one, the
    /// container's ID when absent.
    #[serde(rename = "closID")]
    pub(crate) clos_id: Option<String>,
    /// Lines for `schemata`.
    pub(crate) schemata: Vec<String>,
    /// A line for `schemata`: `L3:`, and masks of the cache.
    pub(crate) l3_cache_schema: Option<String>,
    /// A line for `schemata`: `MB:`, and shares of memory bandwidth.
    pub(crate) mem_bw_schema: Option<String>,
    /// Whether the container gets a monitoring group.
    pub(crate) enable_monitoring: bool,
    /// Ignored: `enableMonitoring` has replaced it (runtime-spec 1.3).
    #[serde(rename = "enableCMT")]
    pub(crate) enable_cmt: bool,
    /// The same.
    #[serde(rename = "enableMBM")]
    pub(crate) enable_mbm: bool,
}
