//! Pods, Kubernetes' YAML, and the end.

use crate::section::{Scenario, scenario};
use crate::shell::{gives, sh, until, until_processes};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("pods", pods),
        scenario("generate kube, play kube", kube),
        scenario("nothing left", nothing_left)
            .may_fail_on("runc", "leaves the cgroups of a create that was killed")
            .may_fail_on("crun", "leaves the cgroups of a create that was killed")
            .last(),
    ]
}

fn pods() {
    sh("podman pod create --name pod -p 8190:80");
    sh("podman run -d --pod pod --name inpod bb httpd -f -p 80 -h /www");
    until("curl -sm 2 http://127.0.0.1:8190/ | grep 'it works'");
    gives("podman run --rm --pod pod bb wget -qO- http://127.0.0.1/", "it works");
    gives(
        "podman run --rm --pod pod bb sh -c 'for n in net ipc uts; do readlink /proc/self/ns/$n; done'",
        &sh("podman exec inpod sh -c 'for n in net ipc uts; do readlink /proc/self/ns/$n; done'"),
    );
    sh("podman pod stop -t 1 pod; podman pod start pod");
    until("curl -sm 2 http://127.0.0.1:8190/ | grep 'it works'");
    sh("podman pod rm -f -t 0 pod");
}

fn kube() {
    sh("podman pod create --name kube; podman create --pod kube --name kubed bb sleep 624");
    sh(
        "podman generate kube kube >$W/kube.yaml; podman pod rm -f -t 0 kube; podman play kube $W/kube.yaml",
    );
    until_processes("sleep 624", 1);
    sh(
        "podman ps --format '{{.Names}}' | grep -x kube-kubed; podman play kube --down $W/kube.yaml",
    );
    until_processes("sleep 624", 0);
}

fn nothing_left() {
    sh("podman pod rm -af -t 0; podman rm -af -t 0");
    until_processes("conmon", 0);
    until("! ls /run/runc /run/crun /run/minke 2>/dev/null | grep -v : | grep .");
    until("! grep -E 'storage/overlay/|/netns/' /proc/mounts");
    until("! find /sys/fs/cgroup -path '*libpod-*' -type d | grep .");
}
