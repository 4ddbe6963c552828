//! Limits, as the container meets them, and the end of all its processes.

use crate::section::{Scenario, scenario};
use crate::shell::{fails, gives, run, sh, until, until_processes};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("-m, --pids-limit, --cpus, --cpu-shares, --cpuset-cpus in the cgroup", files),
        scenario("--cpus holds a busy loop back", cpus),
        scenario("a fork bomb stays under --pids-limit", fork_bomb),
        scenario("update of a running container", update),
        scenario("stop kills every descendant and removes the cgroup", descendants),
        scenario("a double-forked daemon does not escape", double_fork),
        scenario("OOM kill is reported", oom),
    ]
}

/// Reads a file of the container's cgroup on v1.
fn limit(name: &str, controller: &str, file: &str) -> String {
    sh(&format!(
        "cat /sys/fs/cgroup/{controller}/docker/$(docker inspect -f '{{{{.Id}}}}' {name})/{file}"
    ))
}

fn files() {
    sh(
        "docker run -d --name limits -m 64m --pids-limit 50 --cpus 0.5 --cpu-shares 512 --cpuset-cpus 0 bb sleep 600",
    );
    assert_eq!(limit("limits", "memory", "memory.limit_in_bytes"), "67108864");
    assert_eq!(limit("limits", "pids", "pids.max"), "50");
    assert_eq!(limit("limits", "cpu", "cpu.shares"), "512");
    let quota: f64 = limit("limits", "cpu", "cpu.cfs_quota_us").parse().expect("a number");
    let period: f64 = limit("limits", "cpu", "cpu.cfs_period_us").parse().expect("a number");
    assert!((quota / period - 0.5).abs() < 1e-9);
    gives("docker exec limits sh -c 'grep Cpus_allowed_list: /proc/self/status | cut -f2'", "0");
    gives("docker exec limits cat /sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864");
    sh("docker rm -f limits");
}

fn cpus() {
    sh("docker run -d --name busy --cpus 0.03 bb sh -c 'while :; do :; done'");
    let throttled = "cat /sys/fs/cgroup/cpu/docker/$(docker inspect -f '{{.Id}}' busy)/cpu.stat";
    until(&format!("{throttled} | grep -E 'nr_throttled [1-9]'"));
    sh("docker rm -f busy");
}

fn fork_bomb() {
    sh(
        "docker run -d --name bomb --pids-limit 20 bb sh -c 'sh -c \"b() { b | b & }; b\" & exec sleep 632'",
    );
    until(
        "[ $(cat /sys/fs/cgroup/pids/docker/$(docker inspect -f '{{.Id}}' bomb)/pids.max) = 20 ]",
    );
    until("docker logs bomb 2>&1 | grep -i 'fork'");
    assert!(limit("bomb", "pids", "pids.current").parse::<u32>().expect("a number") <= 20);
    sh("docker rm -f bomb");
}

fn update() {
    sh("docker run -d --name update -m 64m --cpu-shares 512 bb sleep 600");
    sh(
        "docker update -m 128m --memory-swap 128m --cpu-shares 256 --pids-limit 33 --cpus 0.25 update",
    );
    assert_eq!(limit("update", "memory", "memory.limit_in_bytes"), "134217728");
    assert_eq!(limit("update", "cpu", "cpu.shares"), "256");
    assert_eq!(limit("update", "pids", "pids.max"), "33");
    sh("docker rm -f update");
}

fn descendants() {
    let id = sh(
        "docker run -d --name tree bb sh -c 'for i in 1 2 3; do (trap \"\" TERM; sleep 607 & wait) & done; exec sleep 607'",
    );
    until("[ $(docker top tree -o pid,args | grep -cE '[0-9] +sleep 607$') = 4 ]");
    sh("docker stop -t 1 tree");
    until_processes("sleep 607", 0);
    gives(&format!("find /sys/fs/cgroup -type d -name {id}"), "");
    sh("docker rm tree");
}

fn double_fork() {
    let id = sh(
        "docker run -d --name daemons bb sh -c 'setsid sh -c \"setsid sleep 608 & exit\" & exec sleep 609'",
    );
    until("docker top daemons -o pid,args | grep '[s]leep 608'");
    let pid = sh("pgrep -fx 'sleep 608'");
    sh(&format!("grep -q {id} /proc/{pid}/cgroup"));
    sh("docker kill daemons");
    until_processes("sleep 608", 0);
    sh("docker rm daemons");
}

fn oom() {
    fails(137, "docker run --name oom -m 16m --memory-swap 16m bb sh -c 'exec tail /dev/zero'", "");
    gives("docker inspect -f '{{.State.OOMKilled}}' oom", "true");
    sh("docker rm oom");
    run("docker run --rm -m 1k bb true").says("Minimum memory limit");
}
