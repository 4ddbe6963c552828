//! What a container uses, in the shape that `runc events` prints.
//!
//! Times are nanoseconds, sizes bytes. A number that is 0 is left out where
//! runc leaves it out; a controller that the machine lacks has nothing.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

use serde_json::{Map, Value, json};

use super::{Cgroups, empty, limits};
use crate::error::Result;
use crate::sys::fs::Dir;

/// `USER_HZ`, in which `cpuacct.stat` counts.
const NANOSECONDS_OF_A_TICK: u64 = 10_000_000;

impl Cgroups {
    /// What is used now.
    pub(crate) fn stats(&self) -> Result<Value> {
        let directories = self.directories()?;
        let dir = |controller: &str| {
            self.directory(&directories, controller).map(|directory| Files { directory })
        };
        let unified = self.is_unified();
        let with = |controller: &str, v2: fn(&Files<'_>) -> Value, v1: fn(&Files<'_>) -> Value| {
            dir(controller).map_or(json!({}), |files| if unified { v2(&files) } else { v1(&files) })
        };
        let mut cpu = with("cpu", cpu_v2, |_| json!({}));
        if !unified {
            cpu = cpu_v1(dir("cpu").as_ref(), dir("cpuacct").as_ref());
        }
        let huge =
            directories.iter().map(|directory| hugetlb(&Files { directory: directory.as_fd() }));
        Ok(json!({
            "cpu": cpu,
            "cpuset": cpuset(dir("cpuset").filter(|_| !unified).as_ref()),
            "memory": with("memory", memory_v2, memory_v1),
            "pids": dir("pids").map_or(json!({}), |files| pids(&files)),
            "blkio": if unified { with("io", io_v2, io_v2) } else { with("blkio", io_v1, io_v1) },
            "hugetlb": huge.flatten().collect::<Map<_, _>>(),
            "intel_rdt": {},
            "network_interfaces": null,
        }))
    }
}

/// The files of one cgroup.
struct Files<'d> {
    directory: BorrowedFd<'d>,
}

impl Files<'_> {
    fn text(&self, file: &str) -> Option<String> {
        limits::read(self.directory, file).ok()
    }

    /// A number; `max` is the largest.
    fn number(&self, file: &str) -> Option<u64> {
        self.text(file).and_then(|text| match text.trim() {
            "max" => Some(u64::MAX),
            number => number.parse().ok(),
        })
    }

    /// Lines of a name and a number.
    fn table(&self, file: &str) -> BTreeMap<String, u64> {
        let text = self.text(file).unwrap_or_default();
        let line = |line: &str| {
            let (name, number) = line.split_once(' ')?;
            Some((name.to_owned(), number.trim().parse().ok()?))
        };
        text.lines().filter_map(line).collect()
    }
}

/// An object without the numbers that are 0.
fn nonzero<const N: usize>(fields: [(&str, u64); N]) -> Value {
    let fields = fields.into_iter().filter(|(_, number)| *number != 0);
    fields.map(|(name, number)| (name.to_owned(), json!(number))).collect::<Map<_, _>>().into()
}

/// Adds a field, unless it is empty or nothing.
fn add(object: &mut Value, name: &str, value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(|value| value == 0),
        _ => false,
    };
    if !empty {
        object[name] = value;
    }
}

fn pids(files: &Files<'_>) -> Value {
    let current = files.number("pids.current");
    let current = current.unwrap_or_else(|| empty::all_processes(files.directory).len() as u64);
    let limit = files.number("pids.max").filter(|limit| *limit != u64::MAX).unwrap_or(0);
    nonzero([("current", current), ("limit", limit)])
}

fn cpu_v2(files: &Files<'_>) -> Value {
    let stat = files.table("cpu.stat");
    let number = |name: &str| stat.get(name).copied().unwrap_or(0);
    let mut cpu = json!({});
    let mut usage = nonzero([("total", number("usage_usec") * 1000)]);
    usage["kernel"] = json!(number("system_usec") * 1000);
    usage["user"] = json!(number("user_usec") * 1000);
    add(&mut cpu, "usage", usage);
    let throttling = nonzero([
        ("periods", number("nr_periods")),
        ("throttledPeriods", number("nr_throttled")),
        ("throttledTime", number("throttled_usec") * 1000),
    ]);
    add(&mut cpu, "throttling", throttling);
    add(&mut cpu, "psi", pressure(files, "cpu.pressure"));
    cpu
}

fn cpu_v1(cpu: Option<&Files<'_>>, cpuacct: Option<&Files<'_>>) -> Value {
    let mut object = json!({});
    if let Some(files) = cpuacct {
        let mut usage = nonzero([("total", files.number("cpuacct.usage").unwrap_or(0))]);
        let numbers = |text: &str| text.split_whitespace().map_while(|n| n.parse().ok()).collect();
        let each: Vec<u64> = numbers(&files.text("cpuacct.usage_percpu").unwrap_or_default());
        add(&mut usage, "percpu", json!(each));
        // A line of titles, then one of cpu, user and system for each CPU.
        let all = files.text("cpuacct.usage_all").unwrap_or_default();
        let column = |at: usize| -> Vec<u64> {
            let lines = all.lines().skip(1).filter_map(|line| line.split_whitespace().nth(at));
            lines.filter_map(|number| number.parse().ok()).collect()
        };
        add(&mut usage, "percpu_kernel", json!(column(2)));
        add(&mut usage, "percpu_user", json!(column(1)));
        let stat = files.table("cpuacct.stat");
        let time = |name: &str| stat.get(name).copied().unwrap_or(0) * NANOSECONDS_OF_A_TICK;
        usage["kernel"] = json!(time("system"));
        usage["user"] = json!(time("user"));
        add(&mut object, "usage", usage);
    }
    if let Some(files) = cpu {
        let stat = files.table("cpu.stat");
        let number = |name: &str| stat.get(name).copied().unwrap_or(0);
        let throttling = nonzero([
            ("periods", number("nr_periods")),
            ("throttledPeriods", number("nr_throttled")),
            ("throttledTime", number("throttled_time")),
        ]);
        add(&mut object, "throttling", throttling);
    }
    object
}

/// Only v1 has these; on v2 all are 0.
fn cpuset(files: Option<&Files<'_>>) -> Value {
    let mut object = json!({});
    for (name, file) in [
        ("cpu_exclusive", "cpu_exclusive"),
        ("mem_hardwall", "mem_hardwall"),
        ("mem_exclusive", "mem_exclusive"),
        ("memory_migrate", "memory_migrate"),
        ("memory_spread_page", "memory_spread_page"),
        ("memory_spread_slab", "memory_spread_slab"),
        ("memory_pressure", "memory_pressure"),
        ("sched_load_balance", "sched_load_balance"),
        ("sched_relax_domain_level", "sched_relax_domain_level"),
    ] {
        let text = files.and_then(|files| files.text(&format!("cpuset.{file}")));
        object[name] = json!(text.and_then(|text| text.trim().parse::<i64>().ok()).unwrap_or(0));
    }
    for (name, file) in [("cpus", "cpuset.cpus"), ("mems", "cpuset.mems")] {
        let text = files.and_then(|files| files.text(file)).unwrap_or_default();
        let members = super::held::members(text.trim()).unwrap_or_default();
        add(&mut object, name, json!(members));
    }
    object
}

/// A part of memory; `None` if it is not accounted.
fn entry(limit: u64, usage: u64, max: u64, failcnt: u64) -> Value {
    let mut entry = nonzero([("usage", usage), ("max", max)]);
    entry["limit"] = json!(limit);
    entry["failcnt"] = json!(failcnt);
    entry
}

fn memory_v1(files: &Files<'_>) -> Value {
    let raw = files.table("memory.stat");
    let mut memory = nonzero([("cache", raw.get("cache").copied().unwrap_or(0))]);
    for (name, prefix) in [
        ("usage", "memory"),
        ("swap", "memory.memsw"),
        ("kernel", "memory.kmem"),
        ("kernelTCP", "memory.kmem.tcp"),
    ] {
        let number = |what: &str| files.number(&format!("{prefix}.{what}"));
        if let Some(usage) = number("usage_in_bytes") {
            let [limit, max, failcnt] = ["limit_in_bytes", "max_usage_in_bytes", "failcnt"]
                .map(|what| number(what).unwrap_or(0));
            add(&mut memory, name, entry(limit, usage, max, failcnt));
        }
    }
    add(&mut memory, "raw", json!(raw));
    memory
}

fn memory_v2(files: &Files<'_>) -> Value {
    let raw = files.table("memory.stat");
    let mut memory = nonzero([("cache", raw.get("file").copied().unwrap_or(0))]);
    let number = |file: &str| files.number(file);
    if let Some(usage) = number("memory.current") {
        let limit = number("memory.max").unwrap_or(0);
        add(&mut memory, "usage", entry(limit, usage, number("memory.peak").unwrap_or(0), 0));
        // As on v1, of both together.
        let (swap, most) = (number("memory.swap.current"), number("memory.swap.max").unwrap_or(0));
        let most = if most == u64::MAX { most } else { most.saturating_add(limit) };
        let most = if swap.is_none() { limit } else { most };
        add(&mut memory, "swap", entry(most, swap.unwrap_or(0) + usage, 0, 0));
    }
    add(&mut memory, "raw", json!(raw));
    add(&mut memory, "psi", pressure(files, "memory.pressure"));
    memory
}

fn io_v2(files: &Files<'_>) -> Value {
    let (mut bytes, mut operations) = (Vec::new(), Vec::new());
    for line in files.text("io.stat").unwrap_or_default().lines() {
        let mut words = line.split_whitespace();
        let Some(device) = words.next() else { continue };
        for (name, number) in words.filter_map(|word| word.split_once('=')) {
            let (list, op) = match name {
                "rbytes" => (&mut bytes, "Read"),
                "wbytes" => (&mut bytes, "Write"),
                "rios" => (&mut operations, "Read"),
                "wios" => (&mut operations, "Write"),
                _ => continue,
            };
            list.extend(of_device(device, op, number));
        }
    }
    let mut io = json!({});
    add(&mut io, "ioServiceBytesRecursive", bytes.into());
    add(&mut io, "ioServicedRecursive", operations.into());
    add(&mut io, "psi", pressure(files, "io.pressure"));
    io
}

/// BFQ's files, CFQ's, or those of throttling, whichever count something.
fn io_v1(files: &Files<'_>) -> Value {
    let mut io = json!({});
    for (name, file) in [
        ("ioServiceBytesRecursive", "io_service_bytes_recursive"),
        ("ioServicedRecursive", "io_serviced_recursive"),
        ("ioQueueRecursive", "io_queued_recursive"),
        ("ioServiceTimeRecursive", "io_service_time_recursive"),
        ("ioWaitTimeRecursive", "io_wait_time_recursive"),
        ("ioMergedRecursive", "io_merged_recursive"),
        ("ioTimeRecursive", "time_recursive"),
        ("sectorsRecursive", "sectors_recursive"),
    ] {
        let lists = ["blkio.bfq.", "blkio.", "blkio.throttle."].map(|prefix| {
            let text = files.text(&format!("{prefix}{file}")).unwrap_or_default();
            let entry = |line: &str| {
                let words: Vec<&str> = line.split_whitespace().collect();
                match words[..] {
                    [device, op, number] => of_device(device, op, number),
                    [device, number] => of_device(device, "", number),
                    _ => None,
                }
            };
            text.lines().filter_map(entry).collect::<Vec<_>>()
        });
        let list = lists.into_iter().find(|list| !list.is_empty());
        add(&mut io, name, list.unwrap_or_default().into());
    }
    io
}

fn of_device(device: &str, op: &str, number: &str) -> Option<Value> {
    let (major, minor) = device.split_once(':')?;
    let mut entry = nonzero([
        ("major", major.parse().ok()?),
        ("minor", minor.parse().ok()?),
        ("value", number.parse().ok()?),
    ]);
    if !op.is_empty() {
        entry["op"] = json!(op);
    }
    Some(entry)
}

fn hugetlb(files: &Files<'_>) -> Map<String, Value> {
    let entries = Dir::read_from(files.directory).ok().into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let size = |name: String| {
        let rest = name.strip_prefix("hugetlb.")?;
        let v2 = rest.strip_suffix(".current").filter(|rest| !rest.contains('.'));
        v2.or_else(|| rest.strip_suffix(".usage_in_bytes").filter(|rest| !rest.contains('.')))
            .map(str::to_owned)
    };
    let of_size = |size: String| {
        let number = |what: &str| files.number(&format!("hugetlb.{size}.{what}"));
        let usage = number("rsvd.current").or_else(|| number("current"));
        let usage = usage.or_else(|| number("usage_in_bytes")).unwrap_or(0);
        let max = number("max_usage_in_bytes").unwrap_or(0);
        let events = files.table(&format!("hugetlb.{size}.events"));
        let failed = number("failcnt").or_else(|| events.get("max").copied()).unwrap_or(0);
        let mut entry = nonzero([("usage", usage), ("max", max)]);
        entry["failcnt"] = json!(failed);
        (size, entry)
    };
    names.filter_map(size).map(of_size).collect()
}

/// Pressure stall information (Linux 4.20), of v2 only.
fn pressure(files: &Files<'_>, file: &str) -> Value {
    files.text(file).map_or(Value::Null, |text| pressure_of(&text))
}

fn pressure_of(text: &str) -> Value {
    let none = || json!({"avg10": 0.0, "avg60": 0.0, "avg300": 0.0, "total": 0});
    let mut psi = json!({"some": none(), "full": none()});
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(kind @ ("some" | "full")) = words.next() else { continue };
        for (name, number) in words.filter_map(|word| word.split_once('=')) {
            psi[kind][name] = serde_json::from_str(number).unwrap_or(Value::Null);
        }
    }
    psi
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_has_both_kinds() {
        let text = "some avg10=0.12 avg60=1.00 avg300=0.00 total=123\n";
        assert_eq!(
            pressure_of(text),
            json!({
                "some": {"avg10": 0.12, "avg60": 1.0, "avg300": 0.0, "total": 123},
                "full": {"avg10": 0.0, "avg60": 0.0, "avg300": 0.0, "total": 0},
            })
        );
    }

    #[test]
    fn zeros_are_left_out() {
        assert_eq!(
            of_device("8:0", "Read", "5").unwrap(),
            json!({"major": 8, "op": "Read", "value": 5})
        );
        assert_eq!(of_device("Total", "", "5"), None);
        let mut object = json!({});
        add(&mut object, "a", json!({"limit": 0, "failcnt": 0}));
        add(&mut object, "b", json!({"limit": 1}));
        assert_eq!(object, json!({"b": {"limit": 1}}));
    }
}
