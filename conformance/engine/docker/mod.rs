//! Docker, with the runtime as dockerd's default.

pub(crate) mod daemon;
mod images;
mod isolation;
mod life;
mod limits;
mod network;
mod privileges;
mod storage;

use crate::runtimes;
use crate::section::Section;
use crate::shell::{daemon, sh, until};

pub(crate) fn section() -> Section {
    let scenarios = [
        life::scenarios(),
        network::scenarios(),
        isolation::scenarios(),
        images::scenarios(),
        limits::scenarios(),
        privileges::scenarios(),
        storage::scenarios(),
        daemon::scenarios(),
    ];
    Section { name: "docker", start, scenarios: scenarios.concat() }
}

/// The daemon, and the images `bb` (busybox) and `debian`.
fn start() {
    start_daemon("--bip 172.30.0.1/24");
    import_busybox();
    sh("docker import -c 'CMD [\"/bin/bash\"]' $W/images/debian.tar debian:latest");
}

pub(crate) fn import_busybox() {
    sh(
        "docker import -c 'CMD [\"/bin/sh\"]' -c 'ENV PATH=/bin:/usr/bin' $W/images/bb.tar bb:latest",
    );
}

pub(crate) fn start_daemon(options: &str) {
    runtimes::write();
    daemon(
        "dockerd",
        &format!(
            "echo '{{\"experimental\": true}}' >$W/daemon.json; \
             exec dockerd --config-file=$W/daemon.json --data-root $W/docker --exec-root /run/dk --pidfile /run/dockerd.pid \
             --host $DOCKER_HOST --storage-driver overlay2 --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent /docker \
             --add-runtime rt=$RT --add-runtime privileged=$W/bin/privileged --add-runtime dying=$W/bin/dying \
             --add-runtime leaky=$W/bin/leaky --default-runtime rt --live-restore {options}"
        ),
    );
    until("docker version");
}
