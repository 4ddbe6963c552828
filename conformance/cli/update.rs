//! `update`: other limits while the container is there.

use std::fs;
use std::path::PathBuf;

use crate::support::command::Output;
use crate::support::needs::{cgroup2, controller, needs};
use crate::support::{Bundle, Case, Test, json, test, until};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("1.5", options_change_the_limits)
            .needs(needs![controller("pids")])
            .may_fail_on("runc 1.1", "has no burst and idle, and weights by a straight line")
            .may_fail_on("crun", "lacks options"),
        test!("1.5", limits_of_real_time_are_changed_on_v1).needs(needs![cgroup1, minke]),
        test!("1.5", what_only_v1_has_is_refused_on_v2).needs(needs![cgroup2, minke]),
        test!("1.5", limits_of_kernel_memory_are_taken_and_have_no_effect).needs(needs![minke]),
        test!("1.5", sizes_take_units)
            .fails_on("crun", "takes bytes only")
            .needs(needs![controller("memory")]),
        test!("1.5", resources_come_from_a_file_or_standard_input)
            .needs(needs![controller("memory"), controller("pids")])
            .may_fail_on("runc 1.1", "forgets what an earlier file has set"),
        test!("1.5", quota_keeps_the_period_and_period_the_quota).needs(needs![controller("cpu")]),
        test!("1.5", the_limit_holds_from_then_on).needs(needs![controller("pids")]),
        test!("1.5", on_failure_the_old_values_are_back)
            .needs(needs![cgroup1])
            .may_fail_on("runc 1.1", "leaves some of the new ones")
            .may_fail_on("crun", "leaves some of the new ones"),
        test!("1.5", on_failure_on_v2_the_old_values_are_back).needs(needs![
            cgroup2,
            controller("memory"),
            controller("pids"),
            minke
        ]),
        test!("1.5", a_limit_below_the_usage_is_refused_if_asked_for)
            .needs(needs![cgroup2, controller("memory")])
            .may_fail_on("crun", "has other words"),
        test!("1.5", nonsense_is_refused)
            .may_fail_on("runc 1.1", "takes some of it")
            .may_fail_on("crun", "takes some of it"),
        test!("1.5", a_stopped_container_has_no_limits_to_change)
            .may_fail_on("crun", "other words"),
        test!("1.5", a_paused_container_can_be_updated).needs(needs![controller("pids")]),
        test!("1.5", device_rules_can_be_changed).needs(needs![minke]),
        test!("1.5", a_dry_run_shows_and_does_nothing).needs(needs![minke, controller("memory")]),
        test!("1.5", a_dry_run_shows_device_rules).needs(needs![minke]),
        test!("1.5", without_rdt_its_options_are_refused)
            .needs(needs![no_file("/sys/fs/resctrl/info")]),
    ]
}

/// A file of the container's cgroup, where its controller is: `memory.max`.
fn file(bundle: &Bundle<'_>, name: &str) -> PathBuf {
    let controller = name.split('.').next().unwrap();
    let (start, root) = if cgroup2().is_ok() {
        ("0::".to_owned(), String::new())
    } else {
        (format!(":{controller}:"), format!("/{controller}"))
    };
    let text = fs::read_to_string(format!("/proc/{}/cgroup", bundle.pid())).unwrap();
    let path = text.lines().find_map(|line| line.split_once(&start));
    PathBuf::from(format!("/sys/fs/cgroup{root}{}/{name}", path.unwrap().1))
}

fn held(bundle: &Bundle<'_>, name: &str) -> String {
    fs::read_to_string(file(bundle, name)).unwrap().trim().to_owned()
}

/// Of two names, or values, the one for this machine's cgroups.
fn here<'a>(v1: &'a str, v2: &'a str) -> &'a str {
    if cgroup2().is_ok() { v2 } else { v1 }
}

fn update(bundle: &Bundle<'_>, options: &[&str]) {
    let output = bundle.command("update", options).run().ok().prints("");
    assert_eq!(output.stderr, "", "{output}");
}

/// Option, its value, and the file and value of v1 and of v2 then. A limit of
/// memory and swap is one of swap on v2.
const CHANGES: &[(&str, &str, [&str; 2], [&str; 2])] = &[
    ("memory", "104857600", ["memory.limit_in_bytes", "104857600"], ["memory.max", "104857600"]),
    (
        "memory-reservation",
        "52428800",
        ["memory.soft_limit_in_bytes", "52428800"],
        ["memory.low", "52428800"],
    ),
    (
        "memory-swap",
        "209715200",
        ["memory.memsw.limit_in_bytes", "209715200"],
        ["memory.swap.max", "104857600"],
    ),
    ("memory", "-1", ["memory.limit_in_bytes", "9223372036854771712"], ["memory.max", "max"]),
    ("pids-limit", "77", ["pids.max", "77"], ["pids.max", "77"]),
    ("pids-limit", "-1", ["pids.max", "max"], ["pids.max", "max"]),
    ("cpu-share", "512", ["cpu.shares", "512"], ["cpu.weight", "59"]),
    // systemd forgets a period without a quota.
    ("cpu-period", "50000", ["cpu.cfs_period_us", "50000"], ["cpu.max", "max 50000"]),
    ("cpu-quota", "20000", ["cpu.cfs_quota_us", "20000"], ["cpu.max", "20000 50000"]),
    ("cpu-period", "40000", ["cpu.cfs_period_us", "40000"], ["cpu.max", "20000 40000"]),
    ("cpu-burst", "10000", ["cpu.cfs_burst_us", "10000"], ["cpu.max.burst", "10000"]),
    ("cpu-idle", "1", ["cpu.idle", "1"], ["cpu.idle", "1"]),
    ("cpuset-cpus", "0", ["cpuset.cpus", "0"], ["cpuset.cpus", "0"]),
    ("cpuset-mems", "0", ["cpuset.mems", "0"], ["cpuset.mems", "0"]),
    ("blkio-weight", "505", ["blkio.bfq.weight", "505"], ["io.weight", "default 5000"]),
];

/// All that this machine may have.
fn options_change_the_limits(case: &Case) {
    let bundle = case.bundle().running();
    let unified = cgroup2().is_ok();
    for (option, value, v1, v2) in CHANGES {
        let [name, expected] = if unified { v2 } else { v1 };
        let there = controller(name.split('.').next().unwrap()).is_ok();
        // Swap can be off, and BFQ another scheduler's place.
        let optional = ["memory-swap", "blkio-weight"].contains(option);
        if !there || optional && !file(&bundle, name).exists() {
            continue;
        }
        update(&bundle, &[&format!("--{option}"), value]);
        assert_eq!(held(&bundle, name), *expected, "--{option} {value}");
    }
    assert_eq!(bundle.status(), "running");
}

/// The kernel gives to a cgroup what the one above it has.
fn limits_of_real_time_are_changed_on_v1(case: &Case) {
    let bundle = case.bundle().running();
    let runtime = file(&bundle, "cpu.rt_runtime_us");
    if !runtime.exists() {
        let refused = bundle.command("update", &["--cpu-rt-runtime", "5000"]).run().fails();
        refused.says("cpu.rt_runtime_us");
        return;
    }
    update(&bundle, &["--cpu-rt-period", "900000"]);
    assert_eq!(held(&bundle, "cpu.rt_period_us"), "900000");
    let above = runtime.parent().unwrap().with_file_name("cpu.rt_runtime_us");
    fs::write(&above, "0").unwrap();
    let refused = bundle.command("update", &["--cpu-rt-runtime", "5000"]).run().fails();
    refused.says("where the cgroup above has 0");
    assert_eq!(held(&bundle, "cpu.rt_runtime_us"), "0");
    fs::write(&above, "10000").unwrap();
    update(&bundle, &["--cpu-rt-runtime", "5000"]);
    assert_eq!(held(&bundle, "cpu.rt_runtime_us"), "5000");
    update(&bundle, &["--cpu-rt-runtime", "4000", "--cpu-rt-period", "800000"]);
    assert_eq!(held(&bundle, "cpu.rt_runtime_us"), "4000");
    assert_eq!(held(&bundle, "cpu.rt_period_us"), "800000");
}

/// Real time has no files there, and nothing is changed.
fn what_only_v1_has_is_refused_on_v2(case: &Case) {
    let bundle = case.bundle().running();
    for option in ["--cpu-rt-period", "--cpu-rt-runtime"] {
        bundle.command("update", &[option, "5000"]).run().fails().says("resources.cpu.realtime");
    }
    assert_eq!(bundle.status(), "running");
}

/// Linux 5.16 has dropped them; engines still give them.
fn limits_of_kernel_memory_are_taken_and_have_no_effect(case: &Case) {
    let bundle = case.bundle().running();
    for (option, field) in [("--kernel-memory", "kernel"), ("--kernel-memory-tcp", "kernelTCP")] {
        let output = bundle.command("update", &[option, "64m"]).run().ok().prints("");
        let words = format!("memory.{field} has no effect any more and is ignored");
        assert!(output.log.contains(&words), "{output}");
    }
}

/// By powers of 1024.
fn sizes_take_units(case: &Case) {
    let bundle = case.bundle().running();
    let limit = here("memory.limit_in_bytes", "memory.max");
    for (size, bytes) in [("64m", 64_u64 << 20), ("1g", 1 << 30), ("131072k", 128 << 20)] {
        update(&bundle, &["--memory", size]);
        assert_eq!(held(&bundle, limit), bytes.to_string(), "{size}");
    }
}

/// Docker's way and Podman's; what is left out stays.
fn resources_come_from_a_file_or_standard_input(case: &Case) {
    let bundle = case.bundle().running();
    let path = case.path("resources.json");
    let limit = here("memory.limit_in_bytes", "memory.max");
    fs::write(&path, r#"{"memory": {"limit": 67108864}, "pids": {"limit": 60}}"#).unwrap();
    update(&bundle, &[&format!("--resources={}", path.display())]);
    assert_eq!(held(&bundle, limit), "67108864");
    assert_eq!(held(&bundle, "pids.max"), "60");
    fs::write(&path, r#"{"pids": {"limit": 61}, "cpu": null}"#).unwrap();
    let stdin = fs::File::open(&path).unwrap();
    bundle.command("update", &["--resources", "-"]).stdin(stdin).run().ok().prints("");
    assert_eq!(held(&bundle, limit), "67108864");
    assert_eq!(held(&bundle, "pids.max"), "61");
}

/// Of what an earlier update has set.
fn quota_keeps_the_period_and_period_the_quota(case: &Case) {
    let bundle = case.bundle().running();
    let cpu = || {
        let [quota, period] = ["cpu.cfs_quota_us", "cpu.cfs_period_us"];
        if cgroup2().is_ok() {
            return held(&bundle, "cpu.max");
        }
        format!("{} {}", held(&bundle, quota), held(&bundle, period))
    };
    update(&bundle, &["--cpu-period", "50000", "--cpu-quota", "20000"]);
    update(&bundle, &["--cpu-quota", "30000"]);
    assert_eq!(cpu(), "30000 50000");
    update(&bundle, &["--cpu-period", "40000"]);
    assert_eq!(cpu(), "30000 40000");
}

/// It is felt, not only written: by a child, for systemd removes the cgroup of an
/// init that gives up.
fn the_limit_holds_from_then_on(case: &Case) {
    let script = "trap '(for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; echo all)' USR1
        echo ready; while :; do sleep 0.05; done";
    let bundle = case.bundle().sh(script);
    let created = bundle.started();
    until("the program", || created.stdout_by_now() == "ready\n");
    update(&bundle, &["--pids-limit", "5"]);
    let events = file(&bundle, "pids.events");
    bundle.kill("USR1").ok();
    until("a refused fork", || fs::read_to_string(&events).unwrap() != "max 0\n");
}

/// The cpuset is of a machine that is larger than any.
fn on_failure_the_old_values_are_back(case: &Case) {
    let bundle = case.bundle().running();
    update(&bundle, &["--cpu-share", "300", "--pids-limit", "60", "--memory", "64m"]);
    let cpus = held(&bundle, "cpuset.cpus");
    let path = case.path("resources.json");
    let change = json!({
        "cpu": {"shares": 400, "cpus": "4000"}, "pids": {"limit": 70}, "memory": {"limit": 1 << 27}
    });
    fs::write(&path, change.to_string()).unwrap();
    bundle.command("update", &["-r", path.to_str().unwrap()]).run().fails().tells("cpuset.cpus");
    let limit = json!({"memory": {"limit": 4096}, "cpu": {"shares": 400, "cpus": "0"}});
    fs::write(&path, limit.to_string()).unwrap();
    bundle
        .command("update", &["-r", path.to_str().unwrap()])
        .run()
        .fails()
        .says("unable to set memory limit to 4096 (current usage: ");
    for (file, value) in [
        ("cpu.shares", "300"),
        ("pids.max", "60"),
        ("memory.limit_in_bytes", "67108864"),
        ("cpuset.cpus", &cpus),
    ] {
        assert_eq!(held(&bundle, file), value, "{file}");
    }
}

/// `unified` comes last, and only the kernel knows what it may be.
fn on_failure_on_v2_the_old_values_are_back(case: &Case) {
    let bundle = case.bundle().running();
    update(&bundle, &["--pids-limit", "60", "--memory", "64m", "--memory-reservation", "32m"]);
    let path = case.path("resources.json");
    let change = json!({"pids": {"limit": 70}, "memory": {"limit": 1 << 27, "reservation": 1 << 26},
        "unified": {"memory.high": "nonsense"}});
    fs::write(&path, change.to_string()).unwrap();
    let failed = bundle.command("update", &["-r", path.to_str().unwrap()]).run().fails();
    failed.tells("memory.high").tells("resources.unified");
    for (file, value) in [
        ("pids.max", "60"),
        ("memory.max", "67108864"),
        ("memory.low", "33554432"),
        ("memory.high", "max"),
    ] {
        assert_eq!(held(&bundle, file), value, "{file}");
    }
    // What has failed is not remembered either.
    update(&bundle, &["--cpu-share", "1024"]);
    assert_eq!(held(&bundle, "pids.max"), "60");
}

/// "checkBeforeUpdate: container memory usage is checked before setting a new
/// limit", which the kernel would reach by killing.
fn a_limit_below_the_usage_is_refused_if_asked_for(case: &Case) {
    let bundle = case.bundle().running();
    update(&bundle, &["--memory", "64m"]);
    let path = case.path("resources.json");
    fs::write(&path, r#"{"memory": {"limit": 4096, "checkBeforeUpdate": true}}"#).unwrap();
    let failed = bundle.command("update", &["-r", path.to_str().unwrap()]).run().fails();
    failed.says("rejecting memory limit 4096 <= usage ");
    assert_eq!(held(&bundle, "memory.max"), "67108864");
    assert_eq!(bundle.status(), "running");
    fs::write(&path, r#"{"memory": {"limit": 33554432, "checkBeforeUpdate": true}}"#).unwrap();
    update(&bundle, &["-r", path.to_str().unwrap()]);
    assert_eq!(held(&bundle, "memory.max"), "33554432");
}

/// Each with words about what is wrong, and nothing is changed.
fn nonsense_is_refused(case: &Case) {
    let bundle = case.bundle().running();
    for (options, words) in [
        (["--memory", "much"], "invalid value for memory"),
        (["--memory", "-5"], "invalid value for memory"),
        (["--cpu-share", "-1"], "invalid value for cpu-share"),
        (["--cpu-quota", "1.5"], "invalid value for cpu-quota"),
        (["--blkio-weight", "5"], ""),
        (["--blkio-weight", "70000"], ""),
        (["--cpu-idle", "2"], ""),
        (["--cpu-period", "5"], ""),
        (["--memory-swap", "64m"], ""),
        (["--cpuset-cpus", "a-b"], ""),
        (["--resources", "/no/such/file"], "no such file or directory"),
        (["--resources", "/dev/null"], ""),
    ] {
        bundle.command("update", &options).run().fails().says(words);
    }
    let path = case.path("resources.json");
    for text in ["[]", "{\"memory\": 5}", "{\"memory\": {\"limit\": \"x\"}}", "{"] {
        fs::write(&path, text).unwrap();
        bundle.command("update", &["-r", path.to_str().unwrap()]).run().fails();
    }
    assert_eq!(bundle.status(), "running");
}

/// runc's words.
fn a_stopped_container_has_no_limits_to_change(case: &Case) {
    let bundle = case.bundle();
    bundle.started();
    bundle.until_stopped();
    bundle.command("update", &["--pids-limit", "5"]).run().fails().says("container not running");
    case.runtime(["update", "--pids-limit", "5", "none"]).run().fails().says("does not exist");
}

/// And stays paused.
fn a_paused_container_can_be_updated(case: &Case) {
    let bundle = case.bundle().running();
    bundle.command("pause", &[]).run().ok();
    update(&bundle, &["--pids-limit", "50"]);
    assert_eq!(held(&bundle, "pids.max"), "50");
    assert_eq!(bundle.status(), "paused");
}

/// Denied, allowed, and denied again; what others may do stays.
fn device_rules_can_be_changed(case: &Case) {
    let script = "mknod /kmsg c 1 11; trap '(: > /kmsg) 2>&1 | grep -q permitted && echo no || echo yes; (: > /dev/null) || echo null' USR1
        echo ready; while :; do sleep 0.05; done";
    let capabilities = json!(["CAP_MKNOD"]);
    let bundle = case
        .bundle()
        .set(
            "/process/capabilities",
            json!({"bounding": capabilities, "effective": capabilities, "permitted": capabilities}),
        )
        .set("/linux/resources/devices", json!([{"allow": false, "access": "rwm"}]))
        .sh(script);
    let created = bundle.started();
    let mut expected = "ready\n".to_owned();
    until("the program", || created.stdout_by_now() == expected);
    let ask = |expected: &str| {
        bundle.kill("USR1").ok();
        until("an answer", || created.stdout_by_now().len() >= expected.len());
        assert_eq!(created.stdout_by_now(), expected);
    };
    let change = |rules: crate::support::Value| {
        let path = case.path("resources.json");
        fs::write(&path, json!({"devices": rules}).to_string()).unwrap();
        update(&bundle, &["-r", path.to_str().unwrap()]);
    };
    expected += "no\n";
    ask(&expected);
    change(
        json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "w"}]),
    );
    expected += "yes\n";
    ask(&expected);
    change(json!([{"allow": false, "access": "rwm"}]));
    expected += "no\n";
    ask(&expected);
}

/// The columns of a row of a dry run.
fn row(output: &Output, name: &str) -> Vec<String> {
    let line = output.stdout.lines().find(|line| line.starts_with(&format!("{name} ")));
    // Columns are three spaces apart.
    let columns = line.unwrap_or_default().split("   ").map(str::trim);
    columns.filter(|column| !column.is_empty()).map(str::to_owned).collect()
}

/// File, old, new, and what the kernel will hold: whole pages.
fn a_dry_run_shows_and_does_nothing(case: &Case) {
    let bundle = case.bundle().running();
    update(&bundle, &["--memory", "64m"]);
    let options = ["--dry-run", "--memory", "134217729", "--cpuset-cpus", "0-4095"];
    let output = bundle.command("update", &options).run().ok();
    assert_eq!(row(&output, "FILE"), ["FILE", "OLD", "NEW", "HELD"], "{output}");
    let limit = here("memory.limit_in_bytes", "memory.max");
    assert_eq!(row(&output, limit)[1..], ["67108864", "134217729", "134217728"], "{output}");
    if controller("cpuset").is_ok() {
        let above = here("cpuset/cpuset.effective_cpus", "cpuset.cpus.effective");
        let above = fs::read_to_string(format!("/sys/fs/cgroup/{above}")).unwrap();
        assert_eq!(row(&output, "cpuset.cpus")[2..], ["0-4095", above.trim()], "{output}");
    } else {
        let why = "controller \"cpuset\" not available";
        assert_eq!(row(&output, "cpuset.cpus")[1..], ["-", "0-4095", why], "{output}");
    }
    assert_eq!(held(&bundle, limit), "67108864");
    // What is foreseen is what comes.
    update(&bundle, &["--memory", "134217729"]);
    assert_eq!(held(&bundle, limit), "134217728");
}

/// On v1 only what is to change; on v2 all rules are one program.
fn a_dry_run_shows_device_rules(case: &Case) {
    let bundle = case.bundle().running();
    let path = case.path("resources.json");
    let rules = json!({"devices": [{"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "w"}]});
    fs::write(&path, rules.to_string()).unwrap();
    let options = ["--dry-run", "-r", path.to_str().unwrap()];
    let output = bundle.command("update", &options).run().ok();
    assert_eq!(output.stdout.lines().count(), 2, "{output}");
    if cgroup2().is_ok() {
        let row = row(&output, "bpf:device");
        assert!(row[1].starts_with("program "), "{output}");
        assert!(row[2].starts_with("deny a, allow c 1:11 w, allow c *:* m, "), "{output}");
        assert!(row[3].starts_with("a program of "), "{output}");
        return;
    }
    assert_eq!(row(&output, "devices.allow")[1..], ["-", "c 1:11 w", "c 1:11 w"], "{output}");
    let list = || held(&bundle, "devices.list");
    assert!(!list().contains("c 1:11 "), "{}", list());
    update(&bundle, &options[1..]);
    assert!(list().contains("c 1:11 w"), "{}", list());
    fs::write(&path, r#"{"devices": [{"allow": false, "access": "rwm"}]}"#).unwrap();
    let output = bundle.command("update", &options).run().ok();
    assert_eq!(row(&output, "devices.deny")[1..], ["c 1:11 w", "c 1:11 w", "-"], "{output}");
}

/// runc's words.
fn without_rdt_its_options_are_refused(case: &Case) {
    let bundle = case.bundle().running();
    let update = |option: &str| bundle.command("update", &[option, "L3:0=f"]).run().fails();
    update("--l3-cache-schema").says("Intel RDT/CAT: l3 cache schema is not enabled");
    update("--mem-bw-schema").says("Intel RDT/MBA: memory bandwidth schema is not enabled");
}
