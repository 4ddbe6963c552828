//! The files of cgroup v2.
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html>

use std::f64::consts::{LN_2, LN_10};

use crate::error::{Error, Result};
use crate::spec::{BlockIo, Cpu, Memory, Resources};

use super::{
    Missing, Write, Writes, check, list, missing_default, path, pids_max, push_hugepages,
    push_idle, push_rdma, set, swappiness,
};

/// The kernel's default of `cpu.max`.
const DEFAULT_PERIOD: u64 = 100_000;

/// The writes for a cgroup of v2, in their order. The device rules are no
/// files there; [`crate::cgroup::bpf`] has them.
///
/// `base` is the JSON path of `resources`.
///
/// # Errors
///
/// [`Error::Config`] with the path of a field that is wrong, or that stands
/// for something that only v1 has and no file of v2 does in its place.
pub(crate) fn v2<'a>(resources: &'a Resources, base: &'a str) -> Result<Vec<Write<'a>>> {
    check::check(resources, base)?;
    only_v1(resources, base)?;
    let mut writes = Writes::new(base);
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        writes.push("pids", "pids.max", pids_max(limit), "pids.limit");
    }
    if let Some(memory) = &resources.memory {
        push_memory(&mut writes, memory);
    }
    if let Some(io) = &resources.block_io {
        push_io(&mut writes, io);
    }
    if let Some(cpu) = &resources.cpu {
        push_cpu(&mut writes, cpu);
        for (file, value, field) in
            [("cpuset.cpus", &cpu.cpus, "cpu.cpus"), ("cpuset.mems", &cpu.mems, "cpu.mems")]
        {
            if let Some(list) = list(value.as_ref()) {
                writes.push("cpuset", file, list, field);
            }
        }
    }
    push_hugepages(&mut writes, resources, "max");
    push_rdma(&mut writes, resources);
    push_unified(&mut writes, resources);
    Ok(writes.list)
}

/// Refuses what v2 has nothing for.
fn only_v1(resources: &Resources, base: &str) -> Result<()> {
    let memory = resources.memory.as_ref();
    let cpu = resources.cpu.as_ref();
    let io = resources.block_io.as_ref();
    let network = resources.network.as_ref();
    let device = io.and_then(|io| {
        io.weight_device.iter().position(|device| set(device.leaf_weight).is_some())
    });
    let fields = [
        ("memory.swappiness", memory.and_then(swappiness).is_some()),
        ("memory.disableOOMKiller", memory.is_some_and(|m| m.disable_oom_killer == Some(true))),
        ("cpu.realtimeRuntime", cpu.is_some_and(|c| set(c.realtime_runtime).is_some())),
        ("cpu.realtimePeriod", cpu.is_some_and(|c| set(c.realtime_period).is_some())),
        ("blockIO.leafWeight", io.is_some_and(|io| set(io.leaf_weight).is_some())),
        (&format!("blockIO.weightDevice[{}].leafWeight", device.unwrap_or(0)), device.is_some()),
        ("network.classID", network.is_some_and(|n| set(n.class_id).is_some())),
        ("network.priorities", network.is_some_and(|n| !n.priorities.is_empty())),
    ];
    match fields.iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(Error::config(path(base, field), "cgroup v2 has no such limit")),
        None => Ok(()),
    }
}

fn push_memory(writes: &mut Writes<'_>, memory: &Memory) {
    let start = writes.list.len();
    if let Some(swap) = swap_max(set(memory.limit), set(memory.swap)) {
        let write = writes.push("memory", "memory.swap.max", max(swap), "memory.swap");
        // Without swap accounting there is no swap to have too much of.
        if swap <= 0 {
            write.missing = Missing::Ignored;
        }
    }
    if let Some(limit) = set(memory.limit) {
        writes.push("memory", "memory.max", max(limit), "memory.limit");
    }
    if memory.check_before_update == Some(true)
        && let Some(first) = writes.list.get_mut(start)
    {
        let limits = [memory.limit, memory.swap].into_iter().flatten();
        first.usage_below = limits.filter(|n| *n > 0).filter_map(|n| u64::try_from(n).ok()).min();
    }
    if let Some(reservation) = set(memory.reservation) {
        writes.push("memory", "memory.low", max(reservation), "memory.reservation");
    }
}

/// `memory.swap.max`, which is of swap alone, from limits of memory and of
/// memory and swap together; -1 is no limit.
fn swap_max(limit: Option<i64>, both: Option<i64>) -> Option<i64> {
    match (limit, both) {
        // No limit of memory but one of the sum was never meant.
        (Some(-1), None) => Some(-1),
        (_, None) => None,
        (Some(limit), Some(both)) if limit > 0 && both > 0 => Some(both - limit),
        (_, both) => both,
    }
}

/// A number of bytes, or `max` for -1.
fn max(bytes: i64) -> String {
    if bytes < 0 { "max".to_owned() } else { bytes.to_string() }
}

/// The `cpu.weight` (1 to 10000, default 100) that stands for v1 `shares`.
///
/// 2 gives 1, 1024 gives 100 and 262144 gives 10000, with a smooth curve
/// between: `10^((l² + 125 l) / 612 - 7 / 34)`, rounded up, where `l` is the
/// binary logarithm of the shares. runc and crun have the same since 2025;
/// the straight line before gave 39 for 1024. Shares outside 2 to 262144
/// count as these, as the v1 kernel counts them.
pub(crate) fn weight_of_shares(shares: u64) -> u32 {
    match u32::try_from(shares).unwrap_or(u32::MAX) {
        0..=2 => 1,
        shares @ 3..262_144 => {
            let log = log2(shares);
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            // Rounded up; 100 may have come out as a little more.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let below = (ten_to_the(exponent) - 1e-9) as u32;
            (below + 1).clamp(1, 10_000)
        }
        262_144.. => 10_000,
    }
}

/// The binary logarithm, by the series of `ln((1 + z) / (1 - z))`. That of
/// the C library, and its power, would be 16 kB of the program.
fn log2(number: u32) -> f64 {
    let whole = number.ilog2();
    let rest = f64::from(number) / f64::from(1_u32 << whole);
    let z = (rest - 1.0) / (rest + 1.0);
    let (mut power, mut odd, mut sum) = (z, 1.0, 0.0);
    // At most a third each time.
    while power > 1e-18 {
        sum += power / odd;
        power *= z * z;
        odd += 2.0;
    }
    f64::from(whole) + 2.0 * sum / LN_2
}

/// A power of ten, by the series of `e^(x / 16)`, four times squared.
fn ten_to_the(exponent: f64) -> f64 {
    let x = exponent * LN_10 / 16.0;
    let (mut term, mut n, mut sum) = (1.0, 0.0, 0.0);
    while term > 1e-18 {
        sum += term;
        n += 1.0;
        term *= x / n;
    }
    (0..4).fold(sum, |power, _| power * power)
}

fn push_cpu(writes: &mut Writes<'_>, cpu: &Cpu) {
    push_idle(writes, cpu);
    // An idle cgroup has no weight: the kernel refuses to set it.
    if let Some(shares) = set(cpu.shares)
        && cpu.idle != Some(1)
    {
        writes.push_number("cpu", "cpu.weight", weight_of_shares(shares), "cpu.shares");
    }
    let (quota, period) = (set(cpu.quota), set(cpu.period));
    if let Some(burst) = cpu.burst {
        let write = writes.push_number("cpu", "cpu.max.burst", burst, "cpu.burst");
        write.again = quota.is_some() || period.is_some();
        write.missing = missing_default(burst == 0);
    }
    if quota.is_some() || period.is_some() {
        let value = format!("{} {}", max(quota.unwrap_or(-1)), period.unwrap_or(DEFAULT_PERIOD));
        let field = if quota.is_some() { "cpu.quota" } else { "cpu.period" };
        writes.push("cpu", "cpu.max", value, field);
    }
}

/// The `io.weight` (1 to 10000, default 100) that stands for a v1 weight (10
/// to 1000): 10 gives 1 and 1000 gives 10000, by a straight line.
fn io_weight(weight: u16) -> u32 {
    1 + u32::from(weight.max(10) - 10) * 9999 / 990
}

fn push_io(writes: &mut Writes<'_>, io: &BlockIo) {
    // BFQ has its own file, with weights as on v1, if it is in the kernel.
    let mut push_weight = |device: &str, weight: u16, field: &str| {
        let write = writes.push("io", "io.bfq.weight", format!("{device}{weight}"), field);
        let value = format!("{device}{}", io_weight(weight));
        write.missing = Missing::Instead { file: "io.weight", value };
    };
    if let Some(weight) = set(io.weight) {
        push_weight("", weight, "blockIO.weight");
    }
    for (i, device) in io.weight_device.iter().enumerate() {
        if let (Some(major), Some(minor), Some(weight)) =
            (device.major, device.minor, set(device.weight))
        {
            let field = format!("blockIO.weightDevice[{i}].weight");
            push_weight(&format!("{major}:{minor} "), weight, &field);
        }
    }
    push_throttles(writes, io);
}

/// `io.max` takes all limits of a device in one line.
fn push_throttles(writes: &mut Writes<'_>, io: &BlockIo) {
    let mut lines: Vec<((i64, i64), String, String)> = Vec::new();
    for (key, name, devices) in [
        ("rbps", "throttleReadBpsDevice", &io.throttle_read_bps_device),
        ("wbps", "throttleWriteBpsDevice", &io.throttle_write_bps_device),
        ("riops", "throttleReadIOPSDevice", &io.throttle_read_iops_device),
        ("wiops", "throttleWriteIOPSDevice", &io.throttle_write_iops_device),
    ] {
        for (i, device) in devices.iter().enumerate() {
            let (Some(major), Some(minor), Some(rate)) = (device.major, device.minor, device.rate)
            else {
                continue;
            };
            let limit = match rate {
                0 => format!(" {key}=max"),
                rate => format!(" {key}={rate}"),
            };
            if let Some((_, line, _)) = lines.iter_mut().find(|(d, _, _)| *d == (major, minor)) {
                *line += &limit;
            } else {
                let field = format!("blockIO.{name}[{i}]");
                lines.push(((major, minor), format!("{major}:{minor}{limit}"), field));
            }
        }
    }
    for (_, line, field) in lines {
        writes.push("io", "io.max", line, &field);
    }
}

/// The kernel takes one line a write. An empty value empties a file such as
/// `cpuset.cpus`, for which there must be something to write.
fn push_unified<'a>(writes: &mut Writes<'a>, resources: &'a Resources) {
    for (file, value) in &resources.unified {
        let controller = file.split('.').next().unwrap_or_default();
        let field = format!("unified[{file:?}]");
        if value.trim().is_empty() {
            writes.push(controller, file.as_str(), "\n", &field);
        }
        for line in value.lines().filter(|line| !line.trim().is_empty()) {
            writes.push(controller, file.as_str(), line, &field);
        }
    }
}
