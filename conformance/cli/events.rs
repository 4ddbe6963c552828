//! `events`: statistics and what happens, a JSON object a line.

use rustix::process::Signal;

use crate::support::needs::{cgroup2, needs};
use crate::support::{Case, Test, Value, json, old_kernel, test, until};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("1.3", statistics_have_the_shape_of_runc).needs(needs![command("events")]),
        test!("1.3", statistics_are_what_the_files_say).needs(needs![
            command("events"),
            controller("memory"),
            controller("pids")
        ]),
        test!("1.3", statistics_of_v1_have_each_cpu).needs(needs![command("events"), cgroup1]),
        test!("1.3", statistics_of_v2_have_the_pressure).needs(needs![
            command("events"),
            cgroup2,
            file("/proc/pressure/cpu")
        ]),
        test!("1.3", statistics_come_with_each_interval).needs(needs![command("events")]),
        test!("1.3", events_end_when_the_container_ends)
            .needs(needs![command("events")])
            .may_fail_on("runc 1.1", "waits for the cgroup's end"),
        test!("1.3", a_container_that_is_out_of_memory_is_told_of)
            // systemd removes a cgroup together with what it has counted.
            .needs(needs![command("events"), controller("memory"), cgroupfs])
            .may_fail_on("runc 1.1", "waits for the cgroup's end"),
        test!("1.3", a_stopped_container_has_no_events).needs(needs![command("events")]),
        test!("1.3", an_interval_is_a_duration_of_go).needs(needs![command("events")]),
        test!("1.3", all_tells_of_pause_and_exit).needs(needs![minke]),
        test!("1.3", exit_comes_with_its_code).needs(needs![minke, kernel(6, 15)]),
        test!("1.3", without_the_call_exit_has_no_code)
            .needs(needs![minke])
            .needs(old_kernel::can_be_played()),
        test!("1.3", a_pause_is_told_when_it_happens).needs(needs![minke]),
        test!("1.3", all_tells_of_memory_pressure_on_v2).needs(needs![
            minke,
            cgroup2,
            controller("memory"),
            file("/proc/pressure/memory")
        ]),
        test!("1.3", all_tells_of_memory_pressure).needs(needs![
            minke,
            cgroup1,
            file("/sys/fs/cgroup/memory/memory.pressure_level")
        ]),
    ]
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect()
}

/// The sections that containerd's client library reads.
fn statistics_have_the_shape_of_runc(case: &Case) {
    let bundle = case.bundle().running();
    let output = bundle.command("events", &["--stats"]).run().ok();
    assert_eq!(output.stdout.lines().count(), 1, "{output}");
    let event = output.json();
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(bundle.id)), "{output}");
    for section in ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt"] {
        assert!(event["data"][section].is_object(), "{section}: {output}");
    }
    assert!(event["data"].as_object().unwrap().contains_key("network_interfaces"), "{output}");
    assert!(event["data"]["pids"]["current"].as_u64().unwrap() >= 1, "{output}");
    assert!(event["data"]["cpuset"]["cpu_exclusive"].is_u64(), "{output}");
}

fn data(case: &Case, resources: Value) -> Value {
    let bundle = case.bundle().set("/linux/resources", resources).running();
    bundle.command("events", &["--stats"]).run().ok().json()["data"].clone()
}

/// With limits that are known.
fn statistics_are_what_the_files_say(case: &Case) {
    let data = data(case, json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 70}}));
    assert_eq!(data["memory"]["usage"]["limit"], 67_108_864, "{data}");
    let usage = data["memory"]["usage"]["usage"].as_u64().unwrap();
    assert!((4096..67_108_864).contains(&usage), "{data}");
    let raw = if cgroup2().is_ok() { "anon" } else { "hierarchical_memory_limit" };
    assert!(data["memory"]["raw"][raw].as_u64().unwrap() > 4096, "{data}");
    assert_eq!(data["pids"]["limit"], 70, "{data}");
    assert!((1..5).contains(&data["pids"]["current"].as_u64().unwrap()), "{data}");
    let cpu = &data["cpu"]["usage"];
    let part = |name: &str| cpu[name].as_u64().unwrap();
    // In nanoseconds.
    assert!((100_000..20_000_000_000).contains(&part("total")), "{data}");
    assert!(cpu["kernel"].is_u64() && cpu["user"].is_u64(), "{data}");
}

fn statistics_of_v1_have_each_cpu(case: &Case) {
    let data = data(case, json!({"cpu": {"cpus": "0"}}));
    assert_eq!(data["cpuset"]["cpus"], json!([0]), "{data}");
    assert!(!data["cpu"]["usage"]["percpu"].as_array().unwrap().is_empty(), "{data}");
}

/// `some` and `full`, as in the files of the kernel.
fn statistics_of_v2_have_the_pressure(case: &Case) {
    let data = data(case, json!({}));
    for section in ["cpu", "memory"] {
        let some = &data[section]["psi"]["some"];
        assert!(some["avg10"].is_number() && some["total"].is_u64(), "{section}: {data}");
    }
}

/// And go on.
fn statistics_come_with_each_interval(case: &Case) {
    let bundle = case.bundle().running();
    let events = bundle.command("events", &["--interval", "20ms"]).spawn();
    events.until_prints("}\n{");
    events.signal(Signal::TERM);
    for event in lines(events.wait().stdout.as_str()) {
        assert_eq!(event["type"], "stats");
    }
}

/// The command, too, without an error.
fn events_end_when_the_container_ends(case: &Case) {
    let bundle = case.bundle().running();
    let events = bundle.command("events", &["--interval", "50ms"]).spawn();
    events.until_prints("stats");
    bundle.kill("KILL").ok();
    events.wait().ok();
}

/// It is killed, with 137, and `oom` is told.
fn a_container_that_is_out_of_memory_is_told_of(case: &Case) {
    let resources = json!({"memory": {"limit": 8 << 20, "swap": 8 << 20}});
    // Twice as much as there is, in the shell's own memory.
    let script =
        "trap 'x=x; while :; do x=$x$x; done' USR1; echo ready; while :; do sleep 0.05; done";
    let bundle = case.bundle().set("/linux/resources", resources).sh(script);
    let created = bundle.started();
    until("the program", || created.stdout_by_now() == "ready\n");
    let events = bundle.command("events", &["--interval", "20ms"]).spawn();
    events.until_prints("stats");
    bundle.kill("USR1").ok();
    let output = events.wait().ok();
    assert!(lines(&output.stdout).iter().any(|event| event["type"] == "oom"), "{output}");
    bundle.until_stopped();
}

/// runc's words.
fn a_stopped_container_has_no_events(case: &Case) {
    let bundle = case.bundle();
    bundle.started();
    bundle.until_stopped();
    let words = format!("container with id {} is not running", bundle.id);
    bundle.command("events", &["--stats"]).run().fails().says(&words);
    bundle.command("events", &[]).run().fails().says(&words);
    case.runtime(["events", "none"]).run().fails().says("does not exist");
}

/// `1m30s` is one, `5` is not.
fn an_interval_is_a_duration_of_go(case: &Case) {
    let bundle = case.bundle().running();
    for (interval, good) in
        [("1m30s", true), ("1.5h", true), ("5", false), ("", false), ("5x", false), ("0s", false)]
    {
        let options = [&format!("--interval={interval}"), "--stats"];
        let output = bundle.command("events", &options).run();
        // An empty one is as good as none in minke.
        if good {
            output.ok();
        } else if !interval.is_empty() {
            output.fails();
        }
    }
}

/// What runc tells nobody.
fn all_tells_of_pause_and_exit(case: &Case) {
    let bundle = case.bundle().running();
    let events = bundle.command("events", &["--all", "--interval", "20ms"]).spawn();
    events.until_prints("stats");
    bundle.command("pause", &[]).run().ok();
    events.until_prints("\"pause\"");
    bundle.command("resume", &[]).run().ok();
    events.until_prints("\"resume\"");
    bundle.kill("KILL").ok();
    let output = events.wait().ok();
    assert_eq!(lines(&output.stdout).last().unwrap()["type"], "exit", "{output}");
}

/// That of the program, or of the signal that ended it, as in a shell.
fn exit_comes_with_its_code(case: &Case) {
    for (signal, code) in [("USR1", 7), ("KILL", 137)] {
        let script = "trap 'exit 7' USR1; echo ready; while :; do sleep 0.05; done";
        let bundle = case.bundle().sh(script);
        let created = bundle.started();
        until("the program", || created.stdout_by_now() == "ready\n");
        let events = bundle.command("events", &["--all", "--interval", "20ms"]).spawn();
        events.until_prints("stats");
        bundle.kill(signal).ok();
        let output = events.wait().ok();
        let exit = json!({"type": "exit", "id": bundle.id, "data": {"exitCode": code}});
        assert_eq!(*lines(&output.stdout).last().unwrap(), exit, "{output}");
    }
}

/// As on kernels before 5.3.
fn without_the_call_exit_has_no_code(case: &Case) {
    let bundle = case.bundle().running();
    case.lacks("pidfd_open");
    let events = bundle.command("events", &["--all", "--interval", "20ms"]).spawn();
    events.until_prints("stats");
    case.lacks("");
    bundle.kill("KILL").ok();
    let output = events.wait().ok();
    let exit = json!({"type": "exit", "id": bundle.id});
    assert_eq!(*lines(&output.stdout).last().unwrap(), exit, "{output}");
}

/// And not with the next statistics only. The first may come before the
/// command listens.
fn a_pause_is_told_when_it_happens(case: &Case) {
    let bundle = case.bundle().running();
    let events = bundle.command("events", &["--all", "--interval", "1h"]).spawn();
    until("a pause that is told", || {
        bundle.command("pause", &[]).run().ok();
        bundle.command("resume", &[]).run().ok();
        events.has_printed("\"pause\"")
    });
    events.until_prints("\"resume\"");
    bundle.kill("KILL").ok();
    let output = events.wait().ok();
    let kinds: Vec<Value> = lines(&output.stdout).iter().map(|e| e["type"].clone()).collect();
    assert!(kinds.windows(2).all(|pair| pair[0] != pair[1]), "{output}");
}

/// The kernel has who goes beyond `memory.high` wait.
fn all_tells_of_memory_pressure_on_v2(case: &Case) {
    let script = "trap '(x=x; while :; do x=$x$x; done)' USR1; echo ready
        while :; do sleep 0.05; done";
    let high = json!({"memory": {"limit": 64 << 20}, "unified": {"memory.high": "8388608"}});
    let bundle = case.bundle().set("/linux/resources", high).sh(script);
    let created = bundle.started();
    until("the program", || created.stdout_by_now() == "ready\n");
    let events = bundle.command("events", &["--all", "--interval", "20ms"]).spawn();
    events.until_prints("stats");
    bundle.kill("USR1").ok();
    events.until_prints("\"memory-pressure\"");
    bundle.kill("KILL").ok();
    events.wait().ok();
}

/// Before the kernel kills, it looks for memory everywhere.
fn all_tells_of_memory_pressure(case: &Case) {
    let resources = json!({"memory": {"limit": 8 << 20, "swap": 8 << 20, "swappiness": 0}});
    // It is a child that eats, and is killed.
    let script = "trap '(x=x; while :; do x=$x$x; done); echo survived' USR1; echo ready
        while :; do sleep 0.05; done";
    let bundle = case.bundle().set("/linux/resources", resources).sh(script);
    let created = bundle.started();
    until("the program", || created.stdout_by_now() == "ready\n");
    let events = bundle.command("events", &["--all", "--interval", "20ms"]).spawn();
    events.until_prints("stats");
    bundle.kill("USR1").ok();
    events.until_prints("\"oom\"");
    events.until_prints("\"memory-pressure\"");
    bundle.kill("KILL").ok();
    events.wait().ok();
}
