//! The daemon itself: live restore, deaths in the middle, the end.

use crate::section::{Scenario, scenario};
use crate::shell::{gives, run, sh, until, until_processes, until_within};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("dockerd starts with the runtime as its default", default_runtime),
        scenario("kill -9 of the shim: the container is cleaned up", shim_dies).alone(),
        scenario("kill -9 of the runtime during create: nothing is left", runtime_dies)
            .may_fail_on("runc", "leaves the cgroups of a create that was killed")
            .may_fail_on("crun", "leaves the cgroups of a create that was killed")
            .alone(),
        scenario("kill -9 of the runtime during exec: the container goes on", exec_dies).alone(),
        scenario("live restore over a stop of dockerd", stop_of_dockerd).alone(),
        scenario("live restore over a kill -9 of dockerd", kill_of_dockerd).alone(),
        scenario("kill -9 of dockerd's containerd: containers go on", containerd_dies).alone(),
        scenario("nothing left: state, shims, mounts, cgroups", nothing_left)
            .may_fail_on("runc", "leaves the cgroups of a create that was killed")
            .may_fail_on("crun", "leaves the cgroups of a create that was killed")
            .last(),
    ]
}

fn default_runtime() {
    gives("docker info -f '{{.DefaultRuntime}}'", "rt");
    gives("docker info -f '{{(index .Runtimes \"rt\").Path}}'", &sh("echo $RT"));
}

fn shim_dies() {
    let id = sh("docker run -d --name shimless bb sh -c 'sleep 610 & exec sleep 610'");
    until_processes("sleep 610", 2);
    let pid = sh("docker inspect -f '{{.State.Pid}}' shimless");
    sh(&format!("kill -KILL $(sed 's/.*) [A-Z] \\([0-9]*\\) .*/\\1/' /proc/{pid}/stat)"));
    until_within(30, "[ $(docker inspect -f '{{.State.Running}}' shimless) = false ]");
    until_processes("sleep 610", 0);
    sh("docker rm -f shimless");
    leaves_nothing(&id);
}

/// No process, cgroup, state or mount of the container.
fn leaves_nothing(id: &str) {
    until(&format!("! find /sys/fs/cgroup -type d -name {id} | grep ."));
    until(&format!("! ls -d /run/dk/runtime-*/moby/{id}"));
    until(&format!("! grep {id} /proc/mounts"));
    until_processes(id, 0);
}

fn runtime_dies() {
    sh("echo create >$W/dies-in");
    for _ in 0..8 {
        let ran = run("docker run --name dying --runtime dying bb sleep 611");
        assert_ne!(ran.code, 0, "{ran}");
        let id = sh("docker inspect -f '{{.Id}}' dying");
        sh("docker rm -f dying");
        until(&format!("! find /sys/fs/cgroup -type d -name {id} | grep ."));
        until(&format!("! ls -d /run/dk/runtime-*/moby/{id}"));
        until(&format!("! grep {id} /proc/mounts"));
        until_processes(&id, 0);
    }
    until_processes("sleep 611", 0);
}

fn exec_dies() {
    sh("echo exec >$W/dies-in");
    sh("docker run -d --name going --runtime dying bb sleep 612");
    for _ in 0..8 {
        run("docker exec going sleep 613");
        gives("docker inspect -f '{{.State.Running}}' going", "true");
    }
    sh("docker top going | grep '[s]leep 612'");
    sh("docker rm -f going");
    until_processes("sleep 612", 0);
    until_processes("sleep 613", 0);
}

fn restart(kill: &str) {
    let id = sh(
        "docker run -d --name kept -p 8099:80 bb sh -c 'httpd -p 80 -h /www; i=0; while :; do i=$((i+1)); echo $i; usleep 100000; done'",
    );
    until("curl -sm 2 http://127.0.0.1:8099/ | grep 'it works'");
    let pid = sh("docker inspect -f '{{.State.Pid}}' kept");
    sh(&format!(
        "pid=$(cat /run/dockerd.pid); kill -{kill} $pid; while [ -e /proc/$pid ]; do sleep 0.05; done"
    ));
    sh(&format!("kill -0 {pid}"));
    super::start_daemon("--bip 172.30.0.1/24");
    gives(
        "docker inspect -f '{{.State.Running}} {{.State.Pid}} {{.Id}}' kept",
        &format!("true {pid} {id}"),
    );
    let lines = sh("docker logs kept | wc -l");
    until(&format!("[ $(docker logs kept | wc -l) -gt {lines} ]"));
    gives("docker exec kept echo reached", "reached");
    sh("docker stop -t 1 kept; docker rm kept");
}

fn stop_of_dockerd() {
    restart("TERM");
}

fn kill_of_dockerd() {
    restart("KILL");
}

/// dockerd starts another one.
fn containerd_dies() {
    sh(
        "docker run -d --name kept bb sh -c 'i=0; while :; do i=$((i+1)); echo $i; usleep 100000; done'",
    );
    until("docker logs kept | grep -x 3");
    let pid = sh("docker inspect -f '{{.State.Pid}}' kept");
    let containerd = "pgrep -P $(cat /run/dockerd.pid) -x containerd";
    let dead = sh(containerd);
    sh(&format!("kill -KILL {dead}; while [ -e /proc/{dead}/exe ]; do sleep 0.05; done"));
    sh(&format!("kill -0 {pid}"));
    until_within(30, containerd);
    until_within(30, "timeout 10 docker exec kept echo reached | grep -x reached");
    gives("docker inspect -f '{{.State.Running}} {{.State.Pid}}' kept", &format!("true {pid}"));
    let last = sh("docker logs kept | tail -n 1");
    until(&format!("[ $(docker logs kept | tail -n 1) -gt {last} ]"));
    gives("docker logs kept | grep -cx 1", "1");
    gives("docker run --rm bb echo another", "another");
    sh("docker stop -t 1 kept; docker rm kept");
}

fn nothing_left() {
    sh("docker ps -aq | xargs -r docker rm -f");
    until("! ls -d /run/dk/runtime-*/moby/*");
    until_processes("containerd-shim", 0);
    until("! grep -E 'docker/overlay2/|/netns/[^d]' /proc/mounts");
    until("! find /sys/fs/cgroup -path '*/docker/*' -type d | grep -v buildkit");
    sh("pid=$(cat /run/dockerd.pid); kill $pid; while [ -e /proc/$pid ]; do sleep 0.05; done");
    until_processes("containerd", 0);
    until_processes("dockerd", 0);
}
