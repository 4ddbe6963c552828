//! Docker with user namespaces: a daemon with `--userns-remap`.

use crate::docker::{import_busybox, start_daemon};
use crate::section::{Scenario, Section, scenario};
use crate::shell::{gives, run, session, sh, until, until_processes};

pub(crate) fn section() -> Section {
    Section { name: "userns", start, scenarios: scenarios() }
}

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("id maps, host uid, exec", maps),
        scenario("volumes", volumes),
        scenario("--userns host", host),
        scenario("limits, devices, sysctl, pause, stop", limits),
        scenario("-it", interactive),
        scenario("the daemon stops, nothing left", nothing_left).last(),
    ]
}

fn start() {
    start_daemon("--userns-remap dockremap --bridge none");
    import_busybox();
}

fn maps() {
    gives(
        "docker run --rm bb sh -c 'id -u; tr -s \" \" </proc/self/uid_map; tr -s \" \" </proc/self/gid_map'",
        "0\n 0 2000000 65536\n 0 2000000 65536",
    );
    sh("docker run -d --name maps bb sleep 630");
    let pid = sh("docker inspect -f '{{.State.Pid}}' maps");
    gives(&format!("stat -c %u /proc/{pid}"), "2000000");
    gives(
        "docker exec maps sh -c 'id -u; readlink /proc/self/ns/user'",
        &format!("0\n{}", sh(&format!("readlink /proc/{pid}/ns/user"))),
    );
    gives("docker exec -u 1000 maps id -u", "1000");
    run("docker exec maps sh -c 'echo 0 >/proc/sys/kernel/hostname'").says("ead-only");
    sh("docker rm -f maps");
}

fn volumes() {
    sh("mkdir -p $W/theirs $W/ours; chown 2000000:2000000 $W/theirs; chmod 755 $W $W/ours");
    sh("docker run --rm -v $W/theirs:/v bb touch /v/x");
    gives("stat -c %u:%g $W/theirs/x", "2000000:2000000");
    run("docker run --rm -v $W/ours:/v bb touch /v/x").says("Permission denied");
    sh("docker volume create vol; docker run --rm -v vol:/v bb touch /v/x; docker volume rm vol");
}

fn host() {
    gives(
        "docker run --rm --userns host bb sh -c 'tr -s \" \" </proc/self/uid_map'",
        "0 0 4294967295",
    );
}

fn limits() {
    sh("docker run -d --name limits -m 64m --pids-limit 50 --device /dev/fuse bb sleep 631");
    gives(
        "cat /sys/fs/cgroup/memory/docker/$(docker inspect -f '{{.Id}}' limits)/memory.limit_in_bytes",
        "67108864",
    );
    sh("docker exec limits sh -c ': <>/dev/fuse; echo x >/dev/null'");
    run("docker exec limits mknod /tmp/f c 10 229").says("Operation not permitted");
    sh("docker pause limits; docker unpause limits; docker stop -t 1 limits; docker rm limits");
    until_processes("sleep 631", 0);
    gives("docker run --rm --sysctl kernel.msgmax=9000 bb cat /proc/sys/kernel/msgmax", "9000");
}

fn interactive() {
    let mut shell = session("exec docker run --rm -it bb sh");
    shell.until("/ # ");
    shell.types("until [ \"$(stty size)\" = '33 99' ]; do usleep 50000; done; echo s''ized\n");
    shell.until("sized\r\n");
    shell.types("exit 6\n");
    assert_eq!(shell.ends(), 6);
}

fn nothing_left() {
    sh("docker ps -aq | xargs -r docker rm -f");
    until("! ls -d /run/dk/runtime-*/moby/*");
    until_processes("containerd-shim", 0);
    until("! grep -E 'docker/.*/overlay2/|/netns/' /proc/mounts");
    until("! find /sys/fs/cgroup -path '*/docker/*' -type d | grep .");
    sh("pid=$(cat /run/dockerd.pid); kill $pid; while [ -e /proc/$pid ]; do sleep 0.05; done");
    until_processes("containerd", 0);
}
