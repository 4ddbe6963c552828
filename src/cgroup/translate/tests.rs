//! Values are the kernel's documentation's and runc's, cited where they are;
//! none is what this code gave.

use super::v2::weight_of_shares;
use super::*;
use crate::cgroup::devices::Ruleset;

fn read(json: &str) -> Resources {
    serde_json::from_str(json).unwrap()
}

fn lines(writes: &[Write<'_>]) -> Vec<String> {
    writes.iter().map(|w| format!("{} {}", w.file, w.value)).collect()
}

#[track_caller]
fn assert_v2(json: &str, expected: &[&str]) {
    assert_eq!(lines(&v2(&read(json), "r").unwrap()), expected, "{json}");
}

#[track_caller]
fn assert_v1(json: &str, expected: &[&str]) {
    assert_eq!(lines(&v1(&read(json), None, "r").unwrap()), expected, "{json}");
}

#[track_caller]
fn assert_both(json: &str, expected: &[&str]) {
    assert_v1(json, expected);
    assert_v2(json, expected);
}

#[test]
fn nothing_asked_is_nothing_written() {
    assert_both("{}", &[]);
    // What engines write for limits that are not set.
    let zeros = r#"{"devices": [{"allow": false, "access": "rwm"}],
        "memory": {"limit": 0, "swap": 0, "reservation": 0, "kernel": 0, "disableOOMKiller": false,
            "swappiness": 18446744073709551615},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0, "realtimePeriod": 0,
            "cpus": "", "mems": ""},
        "blockIO": {"weight": 0, "leafWeight": 0}, "network": {"classID": 0}, "pids": {}}"#;
    assert_both(zeros, &[]);
}

/// 0 is "the same as 1" in runc; negative is no limit.
#[test]
fn pids() {
    for (limit, expected) in [(32771, "32771"), (1, "1"), (0, "1"), (-1, "max"), (-7, "max")] {
        let json = format!(r#"{{"pids": {{"limit": {limit}}}}}"#);
        assert_both(&json, &[&format!("pids.max {expected}")]);
    }
}

/// runc's own table for `memory.swap.max`, which is of swap alone.
#[test]
fn swap_of_v2_is_without_memory() {
    assert_v2(r#"{"memory": {"swap": -1}}"#, &["memory.swap.max max"]);
    let both =
        |limit: i64, swap: i64| format!(r#"{{"memory": {{"limit": {limit}, "swap": {swap}}}}}"#);
    for (limit, swap, expected) in [
        (-1, 300, ["memory.swap.max 300", "memory.max max"]),
        (-1, -1, ["memory.swap.max max", "memory.max max"]),
        (-1, 0, ["memory.swap.max max", "memory.max max"]),
        (1000, -1, ["memory.swap.max max", "memory.max 1000"]),
        (1000, 1000, ["memory.swap.max 0", "memory.max 1000"]),
        (200, 500, ["memory.swap.max 300", "memory.max 200"]),
    ] {
        assert_v2(&both(limit, swap), &expected);
    }
    assert_v2(&both(1000, 0), &["memory.max 1000"]);
}

#[test]
fn swap_of_v1_is_with_memory() {
    assert_v1(
        r#"{"memory": {"limit": 200, "swap": 500}}"#,
        &["memory.limit_in_bytes 200", "memory.memsw.limit_in_bytes 500"],
    );
    assert_v1(
        r#"{"memory": {"limit": -1}}"#,
        &["memory.limit_in_bytes -1", "memory.memsw.limit_in_bytes -1"],
    );
    assert_v1(r#"{"memory": {"limit": 4194304}}"#, &["memory.limit_in_bytes 4194304"]);
}

/// To lower both limits the one of memory must come first, to raise both the
/// one of the sum; with the mark both work without reading.
#[test]
fn memory_of_v1_is_tried_again_after_the_sum() {
    let again = |json| -> Vec<bool> {
        v1(&read(json), None, "r").unwrap().iter().map(|w| w.again).collect()
    };
    assert_eq!(again(r#"{"memory": {"limit": 200, "swap": 500}}"#), [true, false]);
    assert_eq!(again(r#"{"memory": {"limit": 200, "reservation": 100}}"#), [false, false]);
    assert_eq!(
        again(r#"{"cpu": {"period": 5000, "quota": 2000, "burst": 1}}"#),
        [true, true, false]
    );
    assert_eq!(again(r#"{"cpu": {"period": 5000, "burst": 1}}"#), [false, false]);
    assert_eq!(again(r#"{"cpu": {"realtimePeriod": 9, "realtimeRuntime": 8}}"#), [true, false]);
}

#[test]
fn no_swap_accounting_is_no_failure_where_there_is_nothing_to_limit() {
    let missing = |json: &str, place: usize| v2(&read(json), "r").unwrap()[place].missing.clone();
    assert_eq!(missing(r#"{"memory": {"limit": 9, "swap": 9}}"#, 0), Missing::Ignored);
    assert_eq!(missing(r#"{"memory": {"limit": 9, "swap": -1}}"#, 0), Missing::Ignored);
    assert_eq!(missing(r#"{"memory": {"limit": 9, "swap": 10}}"#, 0), Missing::Fails);
    assert_eq!(missing(r#"{"memory": {"limit": 9, "swap": 10}}"#, 1), Missing::Fails);
    let unlimited = read(r#"{"memory": {"limit": -1}}"#);
    assert_eq!(v1(&unlimited, None, "r").unwrap()[1].missing, Missing::Ignored);
}

#[test]
fn memory_beyond_the_limit() {
    assert_v2(
        r#"{"memory": {"reservation": 5000, "limit": 9000}}"#,
        &["memory.max 9000", "memory.low 5000"],
    );
    assert_v2(r#"{"memory": {"reservation": -1}}"#, &["memory.low max"]);
    assert_v1(
        r#"{"memory": {"reservation": -1, "swappiness": 60, "disableOOMKiller": true}}"#,
        &["memory.soft_limit_in_bytes -1", "memory.oom_control 1", "memory.swappiness 60"],
    );
    assert_v1(r#"{"memory": {"swappiness": 0}}"#, &["memory.swappiness 0"]);
}

#[test]
fn check_before_update_is_on_the_first_write() {
    let below = |json| -> Vec<Option<u64>> {
        v2(&read(json), "r").unwrap().iter().map(|w| w.usage_below).collect()
    };
    let json =
        r#"{"memory": {"limit": 200, "swap": 500, "reservation": 100, "checkBeforeUpdate": true}}"#;
    assert_eq!(below(json), [Some(200), None, None]);
    assert_eq!(
        below(r#"{"memory": {"limit": -1, "swap": 500, "checkBeforeUpdate": true}}"#),
        [Some(500), None]
    );
    assert_eq!(below(r#"{"memory": {"limit": -1, "checkBeforeUpdate": true}}"#), [None, None]);
    assert_eq!(below(r#"{"memory": {"reservation": 9, "checkBeforeUpdate": true}}"#), [None]);
    assert_eq!(below(r#"{"memory": {"limit": 200}}"#), [None]);
}

/// The ends and the default are pinned by the formula's makers; the values
/// between are the formula's, worked out to 50 digits.
#[test]
fn weight_stands_for_shares() {
    for (shares, weight) in [
        (1, 1),
        (2, 1),
        (3, 2),
        (10, 4),
        (100, 17),
        (256, 35),
        (512, 59),
        (1000, 99),
        (1024, 100),
        (2048, 174),
        (4096, 303),
        (10240, 639),
        (100_000, 4340),
        (262_143, 10000),
        (262_144, 10000),
        (262_145, 10000),
        (u64::MAX, 10000),
    ] {
        assert_eq!(weight_of_shares(shares), weight, "{shares}");
    }
    let all: Vec<u32> = (2..=262_144).map(weight_of_shares).collect();
    assert!(all.is_sorted());
    // The same by the C library's functions.
    for (shares, weight) in (3..=262_143_u32).zip(&all[1..]) {
        let log = f64::from(shares).log2();
        let exact = 10_f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil();
        assert!((exact - f64::from(*weight)).abs() < 0.5, "{shares}");
    }
}

/// The examples of Documentation/scheduler/sched-bwc.rst.
#[test]
fn cpu_time() {
    for (quota, period) in [(250_000, 250_000), (1_000_000, 500_000), (10_000, 50_000)] {
        let json = format!(r#"{{"cpu": {{"quota": {quota}, "period": {period}}}}}"#);
        assert_v2(&json, &[&format!("cpu.max {quota} {period}")]);
        assert_v1(
            &json,
            &[&format!("cpu.cfs_period_us {period}"), &format!("cpu.cfs_quota_us {quota}")],
        );
    }
    // The default period is 100 ms; no limit is -1 there and max here.
    assert_v2(r#"{"cpu": {"quota": 50000}}"#, &["cpu.max 50000 100000"]);
    assert_v2(r#"{"cpu": {"period": 50000}}"#, &["cpu.max max 50000"]);
    assert_v2(r#"{"cpu": {"quota": -1}}"#, &["cpu.max max 100000"]);
    assert_v1(r#"{"cpu": {"quota": -1}}"#, &["cpu.cfs_quota_us -1"]);
    assert_v2(
        r#"{"cpu": {"burst": 1000, "quota": 2000, "shares": 1024}}"#,
        &["cpu.weight 100", "cpu.max.burst 1000", "cpu.max 2000 100000"],
    );
    assert_v1(
        r#"{"cpu": {"burst": 1000, "quota": 2000, "shares": 1024, "idle": 0}}"#,
        &["cpu.idle 0", "cpu.shares 1024", "cpu.cfs_burst_us 1000", "cpu.cfs_quota_us 2000"],
    );
    assert_v1(
        r#"{"cpu": {"realtimePeriod": 1000000, "realtimeRuntime": 950000}}"#,
        &["cpu.rt_period_us 1000000", "cpu.rt_runtime_us 950000"],
    );
}

/// The kernel refuses a weight for an idle cgroup.
#[test]
fn idle_has_no_weight() {
    assert_both(r#"{"cpu": {"idle": 1, "shares": 1024}}"#, &["cpu.idle 1"]);
    assert_v2(r#"{"cpu": {"idle": 0, "shares": 1024}}"#, &["cpu.idle 0", "cpu.weight 100"]);
}

#[test]
fn cpuset() {
    assert_both(
        r#"{"cpu": {"cpus": "0-4,6,8-10", "mems": "0"}}"#,
        &["cpuset.cpus 0-4,6,8-10", "cpuset.mems 0"],
    );
}

/// Documentation/admin-guide/cgroup-v1/blkio-controller.rst.
#[test]
fn block_io_of_v1() {
    assert_v1(
        r#"{"blockIO": {"weight": 500, "leafWeight": 300,
            "weightDevice": [{"major": 8, "minor": 16, "weight": 300}, {"major": 8, "minor": 0, "leafWeight": 500}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 16, "rate": 1048576}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 0}]}}"#,
        &[
            "blkio.weight 500",
            "blkio.weight_device 8:16 300",
            "blkio.leaf_weight 300",
            "blkio.leaf_weight_device 8:0 500",
            "blkio.throttle.read_bps_device 8:16 1048576",
            "blkio.throttle.write_iops_device 8:16 0",
        ],
    );
    let weight = read(r#"{"blockIO": {"weight": 500}}"#);
    let instead = Missing::Instead { file: "blkio.bfq.weight", value: "500".into() };
    assert_eq!(v1(&weight, None, "r").unwrap()[0].missing, instead);
}

/// The example of `io.max` in Documentation/admin-guide/cgroup-v2.rst; 0, no
/// limit on v1, is refused there.
#[test]
fn throttles_of_a_device_are_one_line() {
    assert_v2(
        r#"{"blockIO": {
            "throttleReadBpsDevice": [{"major": 8, "minor": 16, "rate": 2097152}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 1}, {"major": 8, "minor": 16, "rate": 120}],
            "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 0}]}}"#,
        &["io.max 8:16 rbps=2097152 wiops=120", "io.max 8:0 riops=max wiops=1"],
    );
}

/// runc: 10 is 1 and 1000 is 10000; 750 is 7475, as its tests have it.
#[test]
fn weights_of_v2() {
    for (weight, converted) in [(10, "1"), (750, "7475"), (1000, "10000")] {
        let resources = read(&format!(r#"{{"blockIO": {{"weight": {weight}}}}}"#));
        let writes = v2(&resources, "r").unwrap();
        assert_eq!(lines(&writes), [format!("io.bfq.weight {weight}")]);
        let instead = Missing::Instead { file: "io.weight", value: converted.into() };
        assert_eq!(writes[0].missing, instead);
    }
    let device =
        read(r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 16, "weight": 10}]}}"#);
    let writes = v2(&device, "r").unwrap();
    assert_eq!(lines(&writes), ["io.bfq.weight 8:16 10"]);
    let instead = Missing::Instead { file: "io.weight", value: "8:16 1".into() };
    assert_eq!(writes[0].missing, instead);
}

#[test]
fn hugepages() {
    let json = r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 209715200}, {"pageSize": "64KB", "limit": 0}]}"#;
    assert_v1(
        json,
        &[
            "hugetlb.2MB.limit_in_bytes 209715200",
            "hugetlb.2MB.rsvd.limit_in_bytes 209715200",
            "hugetlb.64KB.limit_in_bytes 0",
            "hugetlb.64KB.rsvd.limit_in_bytes 0",
        ],
    );
    assert_v2(
        json,
        &[
            "hugetlb.2MB.max 209715200",
            "hugetlb.2MB.rsvd.max 209715200",
            "hugetlb.64KB.max 0",
            "hugetlb.64KB.rsvd.max 0",
        ],
    );
    let resources = read(json);
    let writes = v2(&resources, "r").unwrap();
    assert_eq!((&writes[0].missing, &writes[1].missing), (&Missing::Fails, &Missing::Ignored));
}

/// Documentation/admin-guide/cgroup-v1/rdma.rst; `max` is the largest `int`.
#[test]
fn rdma() {
    assert_both(
        r#"{"rdma": {"mlx4_0": {"hcaHandles": 2, "hcaObjects": 2000}, "ocrdma1": {"hcaHandles": 3},
            "x": {"hcaObjects": 4294967295}}}"#,
        &[
            "rdma.max mlx4_0 hca_handle=2 hca_object=2000",
            "rdma.max ocrdma1 hca_handle=3",
            "rdma.max x hca_object=max",
        ],
    );
}

/// Documentation/admin-guide/cgroup-v1/net_prio.rst.
#[test]
fn network_of_v1() {
    assert_v1(
        r#"{"network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 5}]}}"#,
        &["net_cls.classid 1048577", "net_prio.ifpriomap eth0 5"],
    );
}

/// The example of config-linux.md#unified, and a controller that nobody knows.
#[test]
fn unified_is_written_line_by_line_and_last() {
    let json = r#"{"pids": {"limit": 5}, "unified": {
        "io.max": "259:0 rbps=2097152 wiops=120\n253:0 rbps=2097152 wiops=120\n",
        "hugetlb.1GB.max": "1073741824", "new.limit": "a b", "cgroup.max.depth": "3", "cpuset.cpus": ""}}"#;
    assert_v2(
        json,
        &[
            "pids.max 5",
            "cgroup.max.depth 3",
            "cpuset.cpus \n",
            "hugetlb.1GB.max 1073741824",
            "io.max 259:0 rbps=2097152 wiops=120",
            "io.max 253:0 rbps=2097152 wiops=120",
            "new.limit a b",
        ],
    );
    let resources = read(json);
    let writes = v2(&resources, "r").unwrap();
    assert_eq!(controllers(&writes), ["pids", "cgroup", "cpuset", "hugetlb", "io", "new"]);
    assert_eq!(writes[4].field, r#"r.unified["io.max"]"#);
}

/// The controllers of the writes, each once.
fn controllers<'a>(writes: &[Write<'a>]) -> Vec<&'a str> {
    let mut names: Vec<&str> = writes.iter().map(|write| write.controller).collect();
    names.dedup();
    names
}

/// The order in which runc sets them.
#[test]
fn order_of_the_controllers() {
    let json = r#"{"pids": {"limit": 5}, "memory": {"limit": 9}, "cpu": {"shares": 9, "cpus": "0"},
        "blockIO": {"weight": 10}, "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
        "rdma": {"x": {"hcaHandles": 1}}"#;
    let v2_json = format!("{json}, \"unified\": {{\"misc.max\": \"1\"}}}}");
    let resources = read(&v2_json);
    let order = ["pids", "memory", "io", "cpu", "cpuset", "hugetlb", "rdma", "misc"];
    assert_eq!(controllers(&v2(&resources, "r").unwrap()), order);
    let v1_json = format!(
        "{json}, \"network\": {{\"classID\": 1, \"priorities\": [{{\"name\": \"a\", \"priority\": 1}}]}}}}"
    );
    let resources = read(&v1_json);
    let devices = Ruleset::new(&[], "r.devices").unwrap();
    let order = [
        "cpuset", "devices", "memory", "cpu", "pids", "blkio", "hugetlb", "net_cls", "net_prio",
        "rdma",
    ];
    assert_eq!(controllers(&v1(&resources, Some(&devices), "r").unwrap()), order);
}

#[test]
fn fields_are_told_by_their_path() {
    let json = r#"{"memory": {"limit": 9}, "hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}"#;
    let resources = read(json);
    let fields = |base| -> Vec<String> {
        v2(&resources, base).unwrap().into_iter().map(|w| w.field).collect()
    };
    assert_eq!(fields("linux.resources")[0], "linux.resources.memory.limit");
    assert_eq!(fields("")[1], "hugepageLimits[0].limit");
}

#[test]
fn dropped_fields_are_told() {
    let told = |json| ignored(&read(json)).collect::<Vec<_>>();
    assert_eq!(
        told(r#"{"memory": {"kernel": -1, "kernelTCP": 1}}"#),
        ["memory.kernel", "memory.kernelTCP"]
    );
    assert_eq!(told(r#"{"memory": {"limit": 1}}"#), <[&str; 0]>::default());
}

/// What is wrong on every machine, and the words for it.
const NONSENSE: &[(&str, &str)] = &[
    (r#"{"memory": {"limit": -2}}"#, "memory.limit: must be a number of bytes, or -1 for no limit"),
    (
        r#"{"memory": {"reservation": -9}}"#,
        "memory.reservation: must be a number of bytes, or -1 for no limit",
    ),
    (r#"{"memory": {"swap": -2}}"#, "memory.swap: must be a number of bytes, or -1 for no limit"),
    (r#"{"memory": {"swap": 300}}"#, "memory.swap: unable to set swap limit without memory limit"),
    (
        r#"{"memory": {"limit": 400, "swap": 300}}"#,
        "memory.swap: memory+swap limit should be >= memory limit: 300 < 400",
    ),
    (r#"{"memory": {"swappiness": 101}}"#, "memory.swappiness: must be 0 to 100, not 101"),
    (r#"{"cpu": {"quota": 999}}"#, "cpu.quota: must be at least 1000 microseconds, not 999"),
    (r#"{"cpu": {"period": 999}}"#, "cpu.period: must be 1000 to 1000000, not 999"),
    (r#"{"cpu": {"period": 1000001}}"#, "cpu.period: must be 1000 to 1000000, not 1000001"),
    (
        r#"{"cpu": {"quota": 2000, "burst": 2001}}"#,
        "cpu.burst: must not be larger than the quota: 2001 > 2000",
    ),
    (r#"{"cpu": {"idle": 2}}"#, "cpu.idle: must be 0 to 1, not 2"),
    (r#"{"cpu": {"idle": -1}}"#, "cpu.idle: must be 0 to 1, not -1"),
    (
        r#"{"cpu": {"realtimeRuntime": -2}}"#,
        "cpu.realtimeRuntime: must be microseconds, or -1 for no limit, not -2",
    ),
    (r#"{"blockIO": {"weight": 9}}"#, "blockIO.weight: must be 10 to 1000, not 9"),
    (r#"{"blockIO": {"leafWeight": 1001}}"#, "blockIO.leafWeight: must be 10 to 1000, not 1001"),
    (
        r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}}"#,
        "blockIO.weightDevice[0]: must have a weight or a leafWeight",
    ),
    (
        r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 5}]}}"#,
        "blockIO.weightDevice[0].weight: must be 10 to 1000, not 5",
    ),
    (
        r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}, {"major": 8, "rate": 1}]}}"#,
        "blockIO.throttleReadBpsDevice[1].minor: is required",
    ),
    (
        r#"{"blockIO": {"throttleWriteIOPSDevice": [{"major": -1, "minor": 0, "rate": 1}]}}"#,
        "blockIO.throttleWriteIOPSDevice[0].major: must be 0 to 4095, not -1",
    ),
    (
        r#"{"blockIO": {"throttleReadIOPSDevice": [{"major": 8, "minor": 0}]}}"#,
        "blockIO.throttleReadIOPSDevice[0].rate: is required",
    ),
    (r#"{"hugepageLimits": [{"pageSize": "2MB"}]}"#, "hugepageLimits[0].limit: is required"),
    (
        r#"{"network": {"priorities": [{"priority": 1}]}}"#,
        "network.priorities[0].name: the name must be one word, not \"\"",
    ),
    (
        r#"{"network": {"priorities": [{"name": "a"}]}}"#,
        "network.priorities[0].priority: is required",
    ),
    (r#"{"rdma": {"mlx4_0": {}}}"#, "rdma[\"mlx4_0\"]: must have hcaHandles or hcaObjects"),
    (
        r#"{"rdma": {"a b": {"hcaObjects": 1}}}"#,
        "rdma[\"a b\"]: the name must be one word, not \"a b\"",
    ),
    (
        r#"{"unified": {"../memory.max": "1"}}"#,
        "unified[\"../memory.max\"]: must be a file name (no slashes)",
    ),
    (r#"{"unified": {"..": "1"}}"#, "unified[\"..\"]: must be in the form CONTROLLER.PARAMETER"),
    (
        r#"{"unified": {"tasks": "1"}}"#,
        "unified[\"tasks\"]: must be in the form CONTROLLER.PARAMETER",
    ),
    (
        r#"{"unified": {"misc.max": "1\u0000"}}"#,
        "unified[\"misc.max\"]: must not contain a NUL byte",
    ),
];

#[test]
fn nonsense_is_refused() {
    for (json, expected) in NONSENSE {
        let resources = read(json);
        let expected = format!("config.json: r.{expected}");
        assert_eq!(v2(&resources, "r").unwrap_err().to_string(), expected);
        assert_eq!(v1(&resources, None, "r").unwrap_err().to_string(), expected);
    }
    for size in ["", "2M", "2mb", "02MB", "MB", "2TB", "../2MB", "2 MB", "+2MB"] {
        let resources =
            read(&format!(r#"{{"hugepageLimits": [{{"pageSize": "{size}", "limit": 1}}]}}"#));
        let error = v2(&resources, "r").unwrap_err().to_string();
        assert!(
            error.starts_with("config.json: r.hugepageLimits[0].pageSize: must be a size"),
            "{error}"
        );
    }
}

#[test]
fn what_only_v1_has_is_refused_on_v2() {
    for (json, field) in [
        (r#"{"memory": {"swappiness": 60}}"#, "memory.swappiness"),
        (r#"{"memory": {"disableOOMKiller": true}}"#, "memory.disableOOMKiller"),
        (r#"{"cpu": {"realtimeRuntime": 1000}}"#, "cpu.realtimeRuntime"),
        (r#"{"cpu": {"realtimePeriod": 1000}}"#, "cpu.realtimePeriod"),
        (r#"{"blockIO": {"leafWeight": 500}}"#, "blockIO.leafWeight"),
        (
            r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 10},
                {"major": 8, "minor": 1, "leafWeight": 10}]}}"#,
            "blockIO.weightDevice[1].leafWeight",
        ),
        (r#"{"network": {"classID": 1}}"#, "network.classID"),
        (r#"{"network": {"priorities": [{"name": "a", "priority": 1}]}}"#, "network.priorities"),
    ] {
        let resources = read(json);
        let error = v2(&resources, "r").unwrap_err().to_string();
        assert_eq!(error, format!("config.json: r.{field}: cgroup v2 has no such limit"));
        assert!(v1(&resources, None, "r").is_ok(), "{json}");
    }
}

#[test]
fn what_v1_cannot_do_is_refused_there() {
    for (json, expected) in [
        (
            r#"{"unified": {"memory.high": "1"}}"#,
            "unified: cgroup v1 has no unified hierarchy to set this in",
        ),
        (r#"{"cpu": {"shares": 1}}"#, "cpu.shares: the minimum allowed cpu-shares is 2"),
        (r#"{"cpu": {"shares": 262145}}"#, "cpu.shares: the maximum allowed cpu-shares is 262144"),
    ] {
        let resources = read(json);
        let error = v1(&resources, None, "r").unwrap_err().to_string();
        assert_eq!(error, format!("config.json: r.{expected}"));
        assert!(v2(&resources, "r").is_ok(), "{json}");
    }
}
