//! Limits, security options, namespaces.

use crate::section::{Scenario, scenario};
use crate::shell::{fails, gives, run, sh};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("limits, update, OOM", limits),
        scenario("security options, privileged, user namespaces, host namespaces", security),
        scenario("--cgroups disabled and no-conmon", no_cgroups)
            .fails_on("runc", "has no --cgroup-manager"),
    ]
}

fn limits() {
    sh(
        "podman run -d --name limits -m 64m --pids-limit 50 --cpus 0.5 --cpuset-cpus 0 bb sleep 600",
    );
    let read = |controller: &str, file: &str| {
        sh(&format!(
            "cat /sys/fs/cgroup/{controller}$(sed -n 's/^[0-9]*:{controller}://p' /proc/$(podman inspect -f '{{{{.State.Pid}}}}' limits)/cgroup)/{file}"
        ))
    };
    assert_eq!(read("memory", "memory.limit_in_bytes"), "67108864");
    assert_eq!(read("pids", "pids.max"), "50");
    assert_eq!(read("cpuset", "cpuset.cpus"), "0");
    assert_eq!(read("cpu", "cpu.cfs_quota_us"), "50000");
    sh("podman update -m 128m --memory-swap 128m --cpus 0.25 limits");
    assert_eq!(read("memory", "memory.limit_in_bytes"), "134217728");
    assert_eq!(read("cpu", "cpu.cfs_quota_us"), "25000");
    sh("podman rm -f -t 0 limits");
    fails(137, "podman run --rm -m 16m --memory-swap 16m bb sh -c 'exec tail /dev/zero'", "");
}

fn security() {
    let status = |options: &str, field: &str| {
        sh(&format!(
            "podman run --rm {options} bb sh -c 'grep {field}: /proc/self/status | cut -f2'"
        ))
    };
    assert_eq!(status("", "CapEff"), "00000000a80425fb");
    assert_eq!(status("--cap-drop all --cap-add net_admin", "CapBnd"), "0000000000001000");
    assert_eq!(status("", "Seccomp"), "2");
    assert_eq!(status("--security-opt seccomp=unconfined", "Seccomp"), "0");
    assert_eq!(status("--security-opt no-new-privileges", "NoNewPrivs"), "1");
    sh("podman run --rm --privileged bb sh -c 'mount -t tmpfs tmpfs /tmp && ls /dev/fuse'");
    run("podman run --rm --read-only bb touch /x").says("Read-only file system");
    gives(
        "podman run --rm --ulimit nofile=100:200 --ulimit nproc=500:500 bb sh -c 'ulimit -Sn; ulimit -Hn'",
        "100\n200",
    );
    gives(
        "podman run --rm --userns auto:size=4096 bb sh -c 'id -u; tr -s \" \" </proc/self/uid_map | cut -d\" \" -f2,4'",
        "0\n0 4096",
    );
    gives(
        "podman run --rm --uidmap 0:3000000:1000 --gidmap 0:3000000:1000 bb sh -c 'touch /x; stat -c %u:%g /x; tr -s \" \" </proc/self/uid_map'",
        "0:0\n 0 3000000 1000",
    );
    gives(
        "podman run --rm --pid host --uts host --ipc host --network host bb sh -c 'for n in pid uts ipc net; do readlink /proc/self/ns/$n; done'",
        &sh("for n in pid uts ipc net; do readlink /proc/self/ns/$n; done"),
    );
    gives(
        "podman run --rm --cgroupns private bb sh -c 'cut -d: -f3 /proc/self/cgroup | sort -u'",
        "/",
    );
    gives(
        "podman run --rm --device /dev/fuse bb sh -c ': <>/dev/fuse && stat -c %t:%T /dev/fuse'",
        "a:e5",
    );
    gives("podman run --rm --sysctl kernel.msgmax=9000 bb cat /proc/sys/kernel/msgmax", "9000");
}

fn no_cgroups() {
    gives(
        "podman run --rm --cgroups disabled bb sh -c 'cut -d: -f3 /proc/self/cgroup | sort -u'",
        &sh("cut -d: -f3 /proc/self/cgroup | sort -u"),
    );
    gives("podman run --rm --cgroups no-conmon bb echo works", "works");
}
