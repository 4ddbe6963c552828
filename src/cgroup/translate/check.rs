//! What holds for the numbers of `linux.resources` on any machine.

use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::spec::{BlockIo, Cpu, Memory, Network, Resources};

use super::{path, set, swappiness};

/// `CFS` periods and the least quota: Documentation/scheduler/sched-bwc.
const PERIOD: RangeInclusive<u64> = 1_000..=1_000_000;
/// Weights of the v1 block I/O controller.
const WEIGHT: RangeInclusive<u16> = 10..=1000;
/// Device numbers of the kernel: twelve bits and twenty (`MKDEV`).
const MAJOR: RangeInclusive<i64> = 0..=0xfff;
const MINOR: RangeInclusive<i64> = 0..=0xf_ffff;

/// Where the fields are.
struct Check<'a> {
    base: &'a str,
}

/// Checks every field but the device rules.
///
/// # Errors
///
/// [`Error::Config`] with the path of the first field that is wrong.
pub(super) fn check(resources: &Resources, base: &str) -> Result<()> {
    let check = Check { base };
    resources.memory.as_ref().map_or(Ok(()), |memory| check.memory(memory))?;
    resources.cpu.as_ref().map_or(Ok(()), |cpu| check.cpu(cpu))?;
    resources.block_io.as_ref().map_or(Ok(()), |io| check.block_io(io))?;
    check.hugepages(resources)?;
    resources.network.as_ref().map_or(Ok(()), |network| check.network(network))?;
    check.rdma(resources)?;
    check.unified(resources)
}

impl Check<'_> {
    fn wrong(&self, field: &str, rule: impl Into<String>) -> Result<()> {
        Err(Error::config(path(self.base, field), rule))
    }

    fn range<T: Copy + PartialOrd + std::fmt::Display>(
        &self,
        field: &str,
        range: &RangeInclusive<T>,
        value: T,
    ) -> Result<()> {
        if range.contains(&value) {
            return Ok(());
        }
        self.wrong(field, format!("must be {} to {}, not {value}", range.start(), range.end()))
    }

    fn required<T: Copy>(&self, field: &str, value: Option<T>) -> Result<()> {
        if value.is_some() { Ok(()) } else { self.wrong(field, "is required") }
    }

    fn memory(&self, memory: &Memory) -> Result<()> {
        let sizes = [
            ("memory.limit", memory.limit),
            ("memory.reservation", memory.reservation),
            ("memory.swap", memory.swap),
        ];
        for (field, size) in sizes {
            if size.is_some_and(|bytes| bytes < -1) {
                return self.wrong(field, "must be a number of bytes, or -1 for no limit");
            }
        }
        match (set(memory.limit), set(memory.swap)) {
            (None, Some(1..)) => {
                self.wrong("memory.swap", "unable to set swap limit without memory limit")
            }
            (Some(limit), Some(swap)) if limit > 0 && swap > 0 && swap < limit => self.wrong(
                "memory.swap",
                format!("memory+swap limit should be >= memory limit: {swap} < {limit}"),
            ),
            _ => Ok(()),
        }?;
        match swappiness(memory) {
            Some(n) => self.range("memory.swappiness", &(0..=100), n),
            None => Ok(()),
        }
    }

    fn cpu(&self, cpu: &Cpu) -> Result<()> {
        if let Some(period) = set(cpu.period) {
            self.range("cpu.period", &PERIOD, period)?;
        }
        if let Some(quota) = cpu.quota.and_then(|q| u64::try_from(q).ok()).filter(|q| *q > 0) {
            if quota < *PERIOD.start() {
                let rule = format!("must be at least {} microseconds, not {quota}", PERIOD.start());
                return self.wrong("cpu.quota", rule);
            }
            if let Some(burst) = cpu.burst.filter(|burst| *burst > quota) {
                let rule = format!("must not be larger than the quota: {burst} > {quota}");
                return self.wrong("cpu.burst", rule);
            }
        }
        if let Some(idle) = cpu.idle {
            self.range("cpu.idle", &(0..=1), idle)?;
        }
        if let Some(runtime) = cpu.realtime_runtime.filter(|n| *n < -1) {
            let rule = format!("must be microseconds, or -1 for no limit, not {runtime}");
            return self.wrong("cpu.realtimeRuntime", rule);
        }
        Ok(())
    }

    fn block_io(&self, io: &BlockIo) -> Result<()> {
        let weight = |field: &str, weight| match set(weight) {
            Some(n) => self.range(field, &WEIGHT, n),
            None => Ok(()),
        };
        weight("blockIO.weight", io.weight)?;
        weight("blockIO.leafWeight", io.leaf_weight)?;
        for (i, device) in io.weight_device.iter().enumerate() {
            let field = format!("blockIO.weightDevice[{i}]");
            self.device(&field, device.major, device.minor)?;
            weight(&format!("{field}.weight"), device.weight)?;
            weight(&format!("{field}.leafWeight"), device.leaf_weight)?;
            if device.weight.is_none() && device.leaf_weight.is_none() {
                return self.wrong(&field, "must have a weight or a leafWeight");
            }
        }
        for (name, devices) in [
            ("throttleReadBpsDevice", &io.throttle_read_bps_device),
            ("throttleWriteBpsDevice", &io.throttle_write_bps_device),
            ("throttleReadIOPSDevice", &io.throttle_read_iops_device),
            ("throttleWriteIOPSDevice", &io.throttle_write_iops_device),
        ] {
            for (i, device) in devices.iter().enumerate() {
                let field = format!("blockIO.{name}[{i}]");
                self.device(&field, device.major, device.minor)?;
                self.required(&format!("{field}.rate"), device.rate)?;
            }
        }
        Ok(())
    }

    fn device(&self, field: &str, major: Option<i64>, minor: Option<i64>) -> Result<()> {
        for (name, range, number) in [("major", MAJOR, major), ("minor", MINOR, minor)] {
            let field = format!("{field}.{name}");
            match number {
                Some(n) => self.range(&field, &range, n)?,
                None => self.required(&field, number)?,
            }
        }
        Ok(())
    }

    fn hugepages(&self, resources: &Resources) -> Result<()> {
        for (i, limit) in resources.hugepage_limits.iter().enumerate() {
            let field = format!("hugepageLimits[{i}]");
            let size = limit.page_size.as_deref().unwrap_or_default();
            if !is_page_size(size) {
                let rule =
                    format!("must be a size such as \"64KB\", \"2MB\" or \"1GB\", not {size:?}");
                return self.wrong(&format!("{field}.pageSize"), rule);
            }
            self.required(&format!("{field}.limit"), limit.limit)?;
        }
        Ok(())
    }

    fn network(&self, network: &Network) -> Result<()> {
        for (i, priority) in network.priorities.iter().enumerate() {
            let field = format!("network.priorities[{i}]");
            let name = priority.name.as_deref().unwrap_or_default();
            self.one_word(&format!("{field}.name"), name)?;
            self.required(&format!("{field}.priority"), priority.priority)?;
        }
        Ok(())
    }

    fn rdma(&self, resources: &Resources) -> Result<()> {
        for (device, limits) in &resources.rdma {
            let field = format!("rdma[{device:?}]");
            self.one_word(&field, device)?;
            if limits.hca_handles.is_none() && limits.hca_objects.is_none() {
                return self.wrong(&field, "must have hcaHandles or hcaObjects");
            }
        }
        Ok(())
    }

    /// A name that comes first on a line of a cgroup file.
    fn one_word(&self, field: &str, name: &str) -> Result<()> {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '\0') {
            let rule = format!("the name must be one word, not {name:?}");
            return self.wrong(field, rule);
        }
        Ok(())
    }

    fn unified(&self, resources: &Resources) -> Result<()> {
        for (file, value) in &resources.unified {
            let field = format!("unified[{file:?}]");
            if file.contains('/') {
                return self.wrong(&field, "must be a file name (no slashes)");
            }
            let (controller, parameter) = file.split_once('.').unwrap_or_default();
            if controller.is_empty() || parameter.is_empty() || file.contains('\0') {
                return self.wrong(&field, "must be in the form CONTROLLER.PARAMETER");
            }
            if value.contains('\0') {
                return self.wrong(&field, "must not contain a NUL byte");
            }
        }
        Ok(())
    }
}

/// `^[1-9][0-9]*[KMG]B$`, so that it cannot lead out of the directory.
fn is_page_size(size: &str) -> bool {
    let number = ["KB", "MB", "GB"].iter().find_map(|unit| size.strip_suffix(unit));
    number.is_some_and(|n| n.starts_with(|c| matches!(c, '1'..='9')))
        && number.is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
}
