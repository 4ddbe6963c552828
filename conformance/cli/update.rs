//! `update`: other limits while the container is there.

use std::fs;
use std::path::PathBuf;

use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, json, test, until};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("1.5", options_change_the_limits).needs(needs![cgroup1]),
        test!("1.5", sizes_take_units).needs(needs![cgroup1]),
        test!("1.5", resources_come_from_a_file_or_standard_input)
            .needs(needs![cgroup1])
            .may_fail_on("runc 1.1", "forgets what an earlier file has set"),
        test!("1.5", quota_keeps_the_period_and_period_the_quota).needs(needs![cgroup1]),
        test!("1.5", the_limit_holds_from_then_on).needs(needs![cgroup1]),
        test!("1.5", on_failure_the_old_values_are_back)
            .needs(needs![cgroup1])
            .may_fail_on("runc 1.1", "leaves some of the new ones")
            .may_fail_on("crun", "leaves some of the new ones"),
        test!("1.5", nonsense_is_refused)
            .may_fail_on("runc 1.1", "takes some of it")
            .may_fail_on("crun", "takes some of it"),
        test!("1.5", a_stopped_container_has_no_limits_to_change)
            .may_fail_on("crun", "other words"),
        test!("1.5", a_paused_container_can_be_updated).needs(needs![cgroup1]),
        test!("1.5", device_rules_can_be_changed).needs(needs![minke]),
        test!("1.5", a_dry_run_shows_and_does_nothing).needs(needs![minke, cgroup1]),
        test!("1.5", without_rdt_its_options_are_refused)
            .needs(needs![no_file("/sys/fs/resctrl/info")])
            .fails_on("crun", "other words"),
    ]
}

/// The file of the container's cgroup in the hierarchy of a controller.
fn file(bundle: &Bundle<'_>, controller: &str, name: &str) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{}/cgroup", bundle.pid())).unwrap();
    let path = text.lines().find_map(|line| line.split_once(&format!(":{controller}:")));
    PathBuf::from(format!("/sys/fs/cgroup/{controller}{}/{name}", path.unwrap().1))
}

fn held(bundle: &Bundle<'_>, name: &str) -> String {
    let controller = name.split('.').next().unwrap();
    fs::read_to_string(file(bundle, controller, name)).unwrap().trim().to_owned()
}

fn update(bundle: &Bundle<'_>, options: &[&str]) {
    let output = bundle.command("update", options).run().ok().prints("");
    assert_eq!(output.stderr, "", "{output}");
}

/// All that this machine may have.
fn options_change_the_limits(case: &Case) {
    let bundle = case.bundle().running();
    for (options, file, value) in [
        (["--memory", "104857600"], "memory.limit_in_bytes", "104857600"),
        (["--memory-reservation", "52428800"], "memory.soft_limit_in_bytes", "52428800"),
        (["--memory", "-1"], "memory.limit_in_bytes", "9223372036854771712"),
        (["--pids-limit", "77"], "pids.max", "77"),
        (["--pids-limit", "-1"], "pids.max", "max"),
        (["--cpu-share", "512"], "cpu.shares", "512"),
        (["--cpu-period", "50000"], "cpu.cfs_period_us", "50000"),
        (["--cpu-quota", "20000"], "cpu.cfs_quota_us", "20000"),
        (["--cpuset-cpus", "0"], "cpuset.cpus", "0"),
        (["--cpuset-mems", "0"], "cpuset.mems", "0"),
    ] {
        update(&bundle, &options);
        assert_eq!(held(&bundle, file), value, "{options:?}");
    }
    assert_eq!(bundle.status(), "running");
}

/// By powers of 1024.
fn sizes_take_units(case: &Case) {
    let bundle = case.bundle().running();
    for (size, bytes) in [("64m", 64_u64 << 20), ("1g", 1 << 30), ("131072k", 128 << 20)] {
        update(&bundle, &["--memory", size]);
        assert_eq!(held(&bundle, "memory.limit_in_bytes"), bytes.to_string(), "{size}");
    }
}

/// Docker's way and Podman's; what is left out stays.
fn resources_come_from_a_file_or_standard_input(case: &Case) {
    let bundle = case.bundle().running();
    let path = case.path("resources.json");
    fs::write(&path, r#"{"memory": {"limit": 67108864}, "pids": {"limit": 60}}"#).unwrap();
    update(&bundle, &[&format!("--resources={}", path.display())]);
    assert_eq!(held(&bundle, "memory.limit_in_bytes"), "67108864");
    assert_eq!(held(&bundle, "pids.max"), "60");
    fs::write(&path, r#"{"pids": {"limit": 61}, "cpu": null}"#).unwrap();
    let stdin = fs::File::open(&path).unwrap();
    bundle.command("update", &["--resources", "-"]).stdin(stdin).run().ok().prints("");
    assert_eq!(held(&bundle, "memory.limit_in_bytes"), "67108864");
    assert_eq!(held(&bundle, "pids.max"), "61");
}

/// Of what an earlier update has set.
fn quota_keeps_the_period_and_period_the_quota(case: &Case) {
    let bundle = case.bundle().running();
    update(&bundle, &["--cpu-period", "50000", "--cpu-quota", "20000"]);
    update(&bundle, &["--cpu-quota", "30000"]);
    assert_eq!(held(&bundle, "cpu.cfs_period_us"), "50000");
    update(&bundle, &["--cpu-period", "40000"]);
    assert_eq!(held(&bundle, "cpu.cfs_quota_us"), "30000");
}

/// It is felt, not only written.
fn the_limit_holds_from_then_on(case: &Case) {
    let script = "trap 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; echo all' USR1
        echo ready; while :; do sleep 0.05; done";
    let bundle = case.bundle().sh(script);
    let created = bundle.started();
    until("the program", || created.stdout_by_now() == "ready\n");
    update(&bundle, &["--pids-limit", "5"]);
    let events = file(&bundle, "pids", "pids.events");
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
    let script = "mknod /kmsg c 1 11; trap '(: > /kmsg) 2>/dev/null && echo yes || echo no; (: > /dev/null) || echo null' USR1
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

/// File, old, new, and what the kernel will hold: whole pages.
fn a_dry_run_shows_and_does_nothing(case: &Case) {
    let bundle = case.bundle().running();
    update(&bundle, &["--memory", "64m"]);
    let options = ["--dry-run", "--memory", "134217729", "--cpuset-cpus", "0-4095"];
    let output = bundle.command("update", &options).run().ok();
    let row = |name: &str| {
        let line = output.stdout.lines().find(|line| line.starts_with(name));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>()).unwrap_or_default()
    };
    assert_eq!(row("FILE"), ["FILE", "OLD", "NEW", "HELD"], "{output}");
    let memory = row("memory.limit_in_bytes");
    assert_eq!(memory[1..], ["67108864", "134217729", "134217728"], "{output}");
    let above = fs::read_to_string("/sys/fs/cgroup/cpuset/cpuset.effective_cpus").unwrap();
    assert_eq!(row("cpuset.cpus")[2..], ["0-4095", above.trim()], "{output}");
    assert_eq!(held(&bundle, "memory.limit_in_bytes"), "67108864");
    // What is foreseen is what comes.
    update(&bundle, &["--memory", "134217729"]);
    assert_eq!(held(&bundle, "memory.limit_in_bytes"), "134217728");
}

/// runc's words.
fn without_rdt_its_options_are_refused(case: &Case) {
    let bundle = case.bundle().running();
    let update = |option: &str| bundle.command("update", &[option, "L3:0=f"]).run().fails();
    update("--l3-cache-schema").says("Intel RDT/CAT: l3 cache schema is not enabled");
    update("--mem-bw-schema").says("Intel RDT/MBA: memory bandwidth schema is not enabled");
}
