//! The files of cgroup v1.
//! <https://docs.kernel.org/admin-guide/cgroup-v1/index.html>

use crate::cgroup::devices::Ruleset;
use crate::error::{Error, Result};
use crate::spec::{BlockIo, Cpu, Memory, Network, Resources, ThrottleDevice};

use super::{
    Missing, Write, Writes, check, list, missing_default, path, pids_max, push_hugepages,
    push_idle, push_rdma, set, swappiness,
};

/// What `cpu.shares` can be: the kernel sets the nearest of it.
const MIN_SHARES: u64 = 2;
const MAX_SHARES: u64 = 262_144;

/// The writes for the cgroups of v1, in their order. `devices` are the rules
/// to set, if any.
///
/// `base` is the JSON path of `resources`.
///
/// # Errors
///
/// [`Error::Config`] with the path of a field that is wrong or that only v2
/// has.
pub(crate) fn v1<'a>(
    resources: &'a Resources,
    devices: Option<&Ruleset>,
    base: &'a str,
) -> Result<Vec<Write<'a>>> {
    check::check(resources, base)?;
    check_v1(resources, base)?;
    let mut writes = Writes::new(base);
    if let Some(cpu) = &resources.cpu {
        push_cpuset(&mut writes, cpu);
    }
    for line in devices.map(Ruleset::v1_lines).unwrap_or_default() {
        writes.push("devices", line.file, line.rule, "devices");
    }
    if let Some(memory) = &resources.memory {
        push_memory(&mut writes, memory);
    }
    if let Some(cpu) = &resources.cpu {
        push_cpu(&mut writes, cpu);
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        writes.push("pids", "pids.max", pids_max(limit), "pids.limit");
    }
    if let Some(io) = &resources.block_io {
        push_blkio(&mut writes, io);
    }
    push_hugepages(&mut writes, resources, "limit_in_bytes");
    if let Some(network) = &resources.network {
        push_network(&mut writes, network);
    }
    push_rdma(&mut writes, resources);
    Ok(writes.list)
}

/// What v1 needs beyond the checks for any machine.
fn check_v1(resources: &Resources, base: &str) -> Result<()> {
    let wrong = |field, rule: String| Err(Error::config(path(base, field), rule));
    if !resources.unified.is_empty() {
        return wrong("unified", "cgroup v1 has no unified hierarchy to set this in".into());
    }
    match resources.cpu.as_ref().and_then(|cpu| set(cpu.shares)) {
        Some(shares) if shares < MIN_SHARES => {
            wrong("cpu.shares", format!("the minimum allowed cpu-shares is {MIN_SHARES}"))
        }
        Some(shares) if shares > MAX_SHARES => {
            wrong("cpu.shares", format!("the maximum allowed cpu-shares is {MAX_SHARES}"))
        }
        _ => Ok(()),
    }
}

/// A hierarchy can be mounted so that its files have no prefix.
fn push_cpuset<'a>(writes: &mut Writes<'a>, cpu: &'a Cpu) {
    for (file, bare, value, field) in [
        ("cpuset.cpus", "cpus", &cpu.cpus, "cpu.cpus"),
        ("cpuset.mems", "mems", &cpu.mems, "cpu.mems"),
    ] {
        if let Some(list) = list(value.as_ref()) {
            writes.push("cpuset", file, list, field).missing =
                Missing::Instead { file: bare, value: list.to_owned() };
        }
    }
}

fn push_memory(writes: &mut Writes<'_>, memory: &Memory) {
    let (limit, swap) = (set(memory.limit), set(memory.swap));
    if let Some(limit) = limit {
        let write = writes.push_number("memory", "memory.limit_in_bytes", limit, "memory.limit");
        // It must not be above the limit of the sum: to raise both, the sum
        // comes first.
        write.again = swap.is_some() || limit == -1;
    }
    if let Some(swap) = swap {
        writes.push_number("memory", "memory.memsw.limit_in_bytes", swap, "memory.swap");
    } else if limit == Some(-1) {
        // No limit of memory but one of the sum was never meant. Without swap
        // accounting there is no sum.
        writes.push_number("memory", "memory.memsw.limit_in_bytes", -1, "memory.limit").missing =
            Missing::Ignored;
    }
    if let Some(reservation) = set(memory.reservation) {
        writes.push_number(
            "memory",
            "memory.soft_limit_in_bytes",
            reservation,
            "memory.reservation",
        );
    }
    if memory.disable_oom_killer == Some(true) {
        writes.push_number("memory", "memory.oom_control", 1, "memory.disableOOMKiller");
    }
    if let Some(swappiness) = swappiness(memory) {
        writes.push_number("memory", "memory.swappiness", swappiness, "memory.swappiness");
    }
}

fn push_cpu(writes: &mut Writes<'_>, cpu: &Cpu) {
    // An idle cgroup has no shares: the kernel refuses to set them.
    push_idle(writes, cpu);
    if let Some(shares) = set(cpu.shares)
        && cpu.idle != Some(1)
    {
        writes.push_number("cpu", "cpu.shares", shares, "cpu.shares");
    }
    let quota = set(cpu.quota);
    if let Some(period) = set(cpu.period) {
        writes.push_number("cpu", "cpu.cfs_period_us", period, "cpu.period").again =
            quota.is_some();
    }
    if let Some(burst) = cpu.burst {
        let write = writes.push_number("cpu", "cpu.cfs_burst_us", burst, "cpu.burst");
        write.again = quota.is_some();
        write.missing = missing_default(burst == 0);
    }
    if let Some(quota) = quota {
        writes.push_number("cpu", "cpu.cfs_quota_us", quota, "cpu.quota");
    }
    let runtime = set(cpu.realtime_runtime);
    if let Some(period) = set(cpu.realtime_period) {
        writes.push_number("cpu", "cpu.rt_period_us", period, "cpu.realtimePeriod").again =
            runtime.is_some();
    }
    if let Some(runtime) = runtime {
        writes.push_number("cpu", "cpu.rt_runtime_us", runtime, "cpu.realtimeRuntime");
    }
}

/// Linux 5.0 dropped the CFQ scheduler and its files; BFQ has its own.
fn push_blkio(writes: &mut Writes<'_>, io: &BlockIo) {
    let mut push_weight = |file, bfq, value: String, field: &str| {
        let write = writes.push("blkio", file, value.clone(), field);
        write.missing = Missing::Instead { file: bfq, value };
    };
    if let Some(weight) = set(io.weight) {
        push_weight("blkio.weight", "blkio.bfq.weight", weight.to_string(), "blockIO.weight");
    }
    for (i, device) in io.weight_device.iter().enumerate() {
        if let (Some(major), Some(minor), Some(weight)) =
            (device.major, device.minor, set(device.weight))
        {
            let field = format!("blockIO.weightDevice[{i}].weight");
            let value = format!("{major}:{minor} {weight}");
            push_weight("blkio.weight_device", "blkio.bfq.weight_device", value, &field);
        }
    }
    push_leaf_weights(writes, io);
    for (file, name, devices) in [
        ("read_bps", "throttleReadBpsDevice", &io.throttle_read_bps_device),
        ("write_bps", "throttleWriteBpsDevice", &io.throttle_write_bps_device),
        ("read_iops", "throttleReadIOPSDevice", &io.throttle_read_iops_device),
        ("write_iops", "throttleWriteIOPSDevice", &io.throttle_write_iops_device),
    ] {
        push_throttles(writes, file, name, devices);
    }
}

fn push_leaf_weights(writes: &mut Writes<'_>, io: &BlockIo) {
    if let Some(weight) = set(io.leaf_weight) {
        writes.push_number("blkio", "blkio.leaf_weight", weight, "blockIO.leafWeight");
    }
    for (i, device) in io.weight_device.iter().enumerate() {
        if let (Some(major), Some(minor), Some(weight)) =
            (device.major, device.minor, set(device.leaf_weight))
        {
            let value = format!("{major}:{minor} {weight}");
            let field = format!("blockIO.weightDevice[{i}].leafWeight");
            writes.push("blkio", "blkio.leaf_weight_device", value, &field);
        }
    }
}

fn push_throttles(writes: &mut Writes<'_>, what: &str, name: &str, devices: &[ThrottleDevice]) {
    for (i, device) in devices.iter().enumerate() {
        if let (Some(major), Some(minor), Some(rate)) = (device.major, device.minor, device.rate) {
            let value = format!("{major}:{minor} {rate}");
            let field = format!("blockIO.{name}[{i}]");
            writes.push("blkio", format!("blkio.throttle.{what}_device"), value, &field);
        }
    }
}

fn push_network(writes: &mut Writes<'_>, network: &Network) {
    if let Some(class) = set(network.class_id) {
        writes.push_number("net_cls", "net_cls.classid", class, "network.classID");
    }
    for (i, interface) in network.priorities.iter().enumerate() {
        if let (Some(name), Some(priority)) = (&interface.name, interface.priority) {
            let field = format!("network.priorities[{i}]");
            writes.push("net_prio", "net_prio.ifpriomap", format!("{name} {priority}"), &field);
        }
    }
}
