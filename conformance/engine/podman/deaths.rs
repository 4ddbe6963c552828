//! Who stands between Podman and the container is killed.

use crate::runtimes;
use crate::section::{Scenario, scenario};
use crate::shell::{gives, run, sh, until, until_processes};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("kill -9 of conmon: the container goes on, and is cleaned up", conmon_dies),
        scenario("kill -9 of the runtime during create: nothing is left", runtime_dies)
            .may_fail_on("runc", "leaves the cgroups of a create that was killed")
            .may_fail_on("crun", "leaves the cgroups of a create that was killed")
            .alone(),
        scenario("kill -9 of the runtime during exec: the container goes on", exec_dies).alone(),
    ]
}

/// The container goes on. Podman 4.3 then calls `kill` but never `delete`, so
/// the runtime keeps what it knows, and its own `delete` takes all away.
fn conmon_dies() {
    let id = sh("podman run -d --name orphan bb sleep 623");
    until_processes("sleep 623", 1);
    sh(
        "pid=$(podman inspect -f '{{.State.ConmonPid}}' orphan); kill -KILL $pid; while [ -e /proc/$pid ]; do sleep 0.05; done",
    );
    gives("podman exec orphan echo goes on", "goes on");
    sh("podman rm -f -t 0 orphan");
    until_processes("sleep 623", 0);
    until(&format!("! grep {id} /proc/mounts"));
    sh(&format!("$RT delete --force {id}"));
    gives(&format!("$RT list -q | grep {id} || find /sys/fs/cgroup -name '*{id}*'"), "");
}

fn runtime_dies() {
    runtimes::write();
    sh("echo create >$W/dies-in");
    for _ in 0..8 {
        let ran = run("podman --runtime $W/bin/dying run -d --name dying bb sleep 625");
        assert_ne!(ran.code, 0, "{ran}");
        let id = sh("podman inspect -f '{{.Id}}' dying");
        sh("podman rm -f -t 0 dying");
        gives(&format!("$RT list -q | grep {id} || find /sys/fs/cgroup -name '*{id}*'"), "");
        until(&format!("! grep {id} /proc/mounts"));
    }
    until_processes("sleep 625", 0);
}

fn exec_dies() {
    runtimes::write();
    sh("echo exec >$W/dies-in");
    sh("podman --runtime $W/bin/dying run -d --name going bb sleep 626");
    for _ in 0..8 {
        assert_ne!(run("podman exec going sleep 627").code, 0);
        gives("podman inspect -f '{{.State.Running}}' going", "true");
    }
    sh("echo nothing >$W/dies-in");
    gives("podman exec going echo goes on", "goes on");
    sh("podman rm -f -t 0 going");
    until_processes("sleep 626", 0);
    until_processes("sleep 627", 0);
}
