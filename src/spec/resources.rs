//! `linux.resources`: what the container's cgroup allows.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#control-groups>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The `linux.resources` object.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Resources {
    /// Device rules, in their order; the last one that matches decides.
    pub(crate) devices: Vec<DeviceRule>,
    /// Memory limits.
    pub(crate) memory: Option<Value>,
    /// CPU limits.
    pub(crate) cpu: Option<Value>,
    /// Limit on the number of tasks.
    pub(crate) pids: Option<Value>,
    /// Block I/O limits.
    #[serde(rename = "blockIO")]
    pub(crate) block_io: Option<Value>,
    /// Huge page limits, one for each page size.
    pub(crate) hugepage_limits: Vec<Value>,
    /// Network class and priorities (cgroup v1).
    pub(crate) network: Option<Value>,
    /// RDMA limits, by device.
    pub(crate) rdma: BTreeMap<String, Value>,
    /// cgroup v2 files and what to write into them.
    pub(crate) unified: BTreeMap<String, String>,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#allowed-device-list>
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct DeviceRule {
    /// Whether the rule allows or denies.
    pub(crate) allow: bool,
    /// `a` (all), `c` or `b`; `a` when absent.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// Major number; any when absent.
    pub(crate) major: Option<i64>,
    /// Minor number; any when absent.
    pub(crate) minor: Option<i64>,
    /// Any of `r`, `w` and `m` (mknod).
    pub(crate) access: Option<String>,
}
