//! `linux.resources`: what the container's cgroup allows.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#control-groups>
//!
//! All fields are optional. Numbers are as they stand in the document: what
//! is out of range, or cannot be had on the machine's cgroup version, is told
//! by `cgroup::translate`, with the field's path. The engines write 0 for
//! many a limit that is not set, and so it is read, where not told else.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Error, Result};

/// The `linux.resources` object.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Resources {
    /// Device rules, in their order; the last one that matches decides.
    pub(crate) devices: Vec<DeviceRule>,
    /// Memory limits.
    pub(crate) memory: Option<Memory>,
    /// CPU time and CPU affinity.
    pub(crate) cpu: Option<Cpu>,
    /// Limit on the number of tasks.
    pub(crate) pids: Option<Pids>,
    /// Block I/O weights and limits.
    #[serde(rename = "blockIO")]
    pub(crate) block_io: Option<BlockIo>,
    /// Huge page limits, one for each page size.
    pub(crate) hugepage_limits: Vec<HugepageLimit>,
    /// Network class and priorities (cgroup v1).
    pub(crate) network: Option<Network>,
    /// RDMA limits, by the name of the device.
    pub(crate) rdma: BTreeMap<String, Rdma>,
    /// cgroup v2 files and what to write into them, a line at a time.
    /// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#unified>
    pub(crate) unified: BTreeMap<String, String>,
}

impl Resources {
    /// Reads a document that has been parsed.
    ///
    /// # Errors
    ///
    /// [`Error::Broken`] with the path of the value that is wrong.
    pub(crate) fn from_value(value: serde_json::Value) -> Result<Self> {
        serde_path_to_error::deserialize(value).map_err(|e| Error::Broken {
            what: format!("resources.{}", e.path()),
            why: e.into_inner().to_string(),
        })
    }

    /// What an absent `resources` object stands for.
    pub(crate) const NONE: Self = Self {
        devices: Vec::new(),
        memory: None,
        cpu: None,
        pids: None,
        block_io: None,
        hugepage_limits: Vec::new(),
        network: None,
        rdma: BTreeMap::new(),
        unified: BTreeMap::new(),
    };
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
    /// Major number, 0 to 4095; any when absent or -1.
    pub(crate) major: Option<i64>,
    /// Minor number, 0 to 1048575; any when absent or -1.
    pub(crate) minor: Option<i64>,
    /// Any of `r`, `w` and `m` (mknod); may be absent only for type `a`.
    pub(crate) access: Option<String>,
}

/// Limits are in bytes; -1 is no limit and 0 stands for "not set".
/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#memory>
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Memory {
    /// Limit of memory.
    pub(crate) limit: Option<i64>,
    /// Memory that is taken away last, when others need it.
    pub(crate) reservation: Option<i64>,
    /// Limit of memory and swap together, so not below `limit`.
    pub(crate) swap: Option<i64>,
    /// Ignored, as Linux has dropped it (5.16); a warning says so.
    pub(crate) kernel: Option<i64>,
    /// Ignored, and a warning says so, as by runc.
    #[serde(rename = "kernelTCP")]
    pub(crate) kernel_tcp: Option<i64>,
    /// 0 to 100, 0 included; the largest number is Docker's "not set".
    /// Only cgroup v1 has it.
    pub(crate) swappiness: Option<u64>,
    /// Whether tasks wait at the limit instead of being killed. Only cgroup
    /// v1 has it.
    #[serde(rename = "disableOOMKiller")]
    pub(crate) disable_oom_killer: Option<bool>,
    /// Nothing is done for it: memory is always accounted hierarchically, on
    /// cgroup v1 since Linux 5.11.
    pub(crate) use_hierarchy: Option<bool>,
    /// Whether a limit at or below the current usage is refused on cgroup v2,
    /// as the kernel refuses it on v1.
    pub(crate) check_before_update: Option<bool>,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#cpu>
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Cpu {
    /// Relative weight, no unit, 2 to 262144; 1024 is the kernel's default
    /// and 0 is "not set".
    pub(crate) shares: Option<u64>,
    /// Microseconds of CPU time in each period, 1000 at least; negative is no
    /// limit and 0 is "not set".
    pub(crate) quota: Option<i64>,
    /// Microseconds that may be saved up from earlier periods; 0 is none.
    pub(crate) burst: Option<u64>,
    /// Length of a period in microseconds, 1000 to 1000000; 0 is "not set".
    pub(crate) period: Option<u64>,
    /// Microseconds of real-time scheduling in each real-time period; -1 is
    /// no limit and 0 is "not set". Only cgroup v1 has it.
    pub(crate) realtime_runtime: Option<i64>,
    /// Length of a real-time period in microseconds; 0 is "not set". Only
    /// cgroup v1 has it.
    pub(crate) realtime_period: Option<u64>,
    /// CPUs as a list, such as `0-3,7`; empty is "not set".
    pub(crate) cpus: Option<String>,
    /// Memory nodes as a list, such as `0-1`; empty is "not set".
    pub(crate) mems: Option<String>,
    /// 1 makes the tasks run only when no other wants to (`SCHED_IDLE`), 0
    /// takes it back.
    pub(crate) idle: Option<i64>,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#pids>
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Pids {
    /// Largest number of tasks; negative is no limit. 0 is a limit: one task,
    /// which cannot fork.
    pub(crate) limit: Option<i64>,
}

/// Weights are 10 to 1000, and 0 stands for "not set".
/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#block-io>
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct BlockIo {
    /// Relative weight.
    pub(crate) weight: Option<u16>,
    /// Weight of the cgroup's own tasks against its children. Only cgroup v1
    /// has it, before Linux 5.0.
    pub(crate) leaf_weight: Option<u16>,
    /// Weights for single devices.
    pub(crate) weight_device: Vec<WeightDevice>,
    /// Limits of reading, in bytes a second.
    pub(crate) throttle_read_bps_device: Vec<ThrottleDevice>,
    /// Limits of writing, in bytes a second.
    pub(crate) throttle_write_bps_device: Vec<ThrottleDevice>,
    /// Limits of reading, in operations a second.
    #[serde(rename = "throttleReadIOPSDevice")]
    pub(crate) throttle_read_iops_device: Vec<ThrottleDevice>,
    /// Limits of writing, in operations a second.
    #[serde(rename = "throttleWriteIOPSDevice")]
    pub(crate) throttle_write_iops_device: Vec<ThrottleDevice>,
}

/// Weights of a block device; one of the two is required.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct WeightDevice {
    /// Major number; required.
    pub(crate) major: Option<i64>,
    /// Minor number; required.
    pub(crate) minor: Option<i64>,
    /// As [`BlockIo::weight`].
    pub(crate) weight: Option<u16>,
    /// As [`BlockIo::leaf_weight`].
    pub(crate) leaf_weight: Option<u16>,
}

/// A limit for a block device.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ThrottleDevice {
    /// Major number; required.
    pub(crate) major: Option<i64>,
    /// Minor number; required.
    pub(crate) minor: Option<i64>,
    /// Bytes or operations a second; required, and 0 is no limit.
    pub(crate) rate: Option<u64>,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#huge-page-limits>
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct HugepageLimit {
    /// Size of a page, such as `2MB`: a number and `KB`, `MB` or `GB`;
    /// required.
    pub(crate) page_size: Option<String>,
    /// Bytes; required, and 0 is a limit.
    pub(crate) limit: Option<u64>,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#network>
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Network {
    /// Tag of the container's packets; 0 is "not set".
    #[serde(rename = "classID")]
    pub(crate) class_id: Option<u32>,
    /// Priorities, by interface.
    pub(crate) priorities: Vec<InterfacePriority>,
}

/// Priority of the container's traffic on an interface.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct InterfacePriority {
    /// Name of the interface outside the container; required.
    pub(crate) name: Option<String>,
    /// Required.
    pub(crate) priority: Option<u32>,
}

/// Limits of an RDMA device; one of the two is required.
/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#rdma>
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Rdma {
    /// Largest number of handles (`hca_handle`).
    pub(crate) hca_handles: Option<u32>,
    /// Largest number of objects (`hca_object`).
    pub(crate) hca_objects: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of config-linux.md, one an object: every name is read.
    #[test]
    fn examples_of_the_spec() {
        let resources: Resources = serde_json::from_str(EXAMPLES).unwrap();
        assert_eq!(resources, examples());
    }

    const EXAMPLES: &str = r#"{
            "memory": {"limit": 536870912, "reservation": 536870912, "swap": 536870912, "kernel": -1,
                "kernelTCP": -1, "swappiness": 0, "disableOOMKiller": false, "useHierarchy": true,
                "checkBeforeUpdate": true},
            "cpu": {"shares": 1024, "quota": 1000000, "burst": 1000000, "period": 500000,
                "realtimeRuntime": 950000, "realtimePeriod": 1000000, "cpus": "2-3", "mems": "0-7", "idle": 0},
            "blockIO": {"weight": 10, "leafWeight": 10,
                "weightDevice": [{"major": 8, "minor": 0, "weight": 500, "leafWeight": 300}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
                "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 601}],
                "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 602}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 300}]},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 18446744073709551615}],
            "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
            "pids": {"limit": 32771},
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}},
            "unified": {"hugetlb.1GB.max": "1073741824"}
        }"#;

    fn examples() -> Resources {
        let throttle = |minor, rate| {
            vec![ThrottleDevice { major: Some(8), minor: Some(minor), rate: Some(rate) }]
        };
        Resources {
            devices: vec![],
            memory: Some(Memory {
                limit: Some(536_870_912),
                reservation: Some(536_870_912),
                swap: Some(536_870_912),
                kernel: Some(-1),
                kernel_tcp: Some(-1),
                swappiness: Some(0),
                disable_oom_killer: Some(false),
                use_hierarchy: Some(true),
                check_before_update: Some(true),
            }),
            cpu: Some(Cpu {
                shares: Some(1024),
                quota: Some(1_000_000),
                burst: Some(1_000_000),
                period: Some(500_000),
                realtime_runtime: Some(950_000),
                realtime_period: Some(1_000_000),
                cpus: Some("2-3".into()),
                mems: Some("0-7".into()),
                idle: Some(0),
            }),
            pids: Some(Pids { limit: Some(32771) }),
            block_io: Some(BlockIo {
                weight: Some(10),
                leaf_weight: Some(10),
                weight_device: vec![WeightDevice {
                    major: Some(8),
                    minor: Some(0),
                    weight: Some(500),
                    leaf_weight: Some(300),
                }],
                throttle_read_bps_device: throttle(0, 600),
                throttle_write_bps_device: throttle(0, 601),
                throttle_read_iops_device: throttle(0, 602),
                throttle_write_iops_device: throttle(16, 300),
            }),
            hugepage_limits: vec![HugepageLimit {
                page_size: Some("2MB".into()),
                limit: Some(u64::MAX),
            }],
            network: Some(Network {
                class_id: Some(1_048_577),
                priorities: vec![InterfacePriority {
                    name: Some("eth0".into()),
                    priority: Some(500),
                }],
            }),
            rdma: BTreeMap::from([(
                "mlx5_1".into(),
                Rdma { hca_handles: Some(3), hca_objects: Some(10000) },
            )]),
            unified: BTreeMap::from([("hugetlb.1GB.max".into(), "1073741824".into())]),
        }
    }
}
