//! Podman and conmon, as root.

mod deaths;
mod life;
mod pods;
mod privileges;

use crate::section::Section;
use crate::shell::sh;

pub(crate) fn section() -> Section {
    let scenarios =
        [life::scenarios(), privileges::scenarios(), deaths::scenarios(), pods::scenarios()];
    Section { name: "podman", start, scenarios: scenarios.concat() }
}

fn start() {
    configure();
    sh(
        "podman import -c 'CMD [\"/bin/sh\"]' -c 'ENV PATH=/bin:/usr/bin' $W/images/bb.tar bb:latest",
    );
    sh("podman import -c 'CMD [\"/bin/bash\"]' $W/images/debian.tar debian:latest");
}

/// Podman asks only a runtime of a known name for JSON errors and for
/// `--cgroups=disabled`; crun's and minke's are made known here.
pub(crate) fn configure() {
    sh(r#"
        mkdir -p $W/podnet $W/containers
        cat >$W/containers.conf <<END
[containers]
log_driver = "k8s-file"
[engine]
runtime = "$(readlink $RT)"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "/run/podtmp"
runtime_supports_json = ["crun", "runc", "minke"]
runtime_supports_nocgroup = ["crun", "runc", "minke"]
[network]
network_config_dir = "$W/podnet"
END
        cat >$W/storage.conf <<END
[storage]
driver = "overlay"
graphroot = "$W/containers/storage"
runroot = "/run/containers/storage"
END
        mkdir -p $W/home/.config/containers
        echo '{"default":[{"type":"insecureAcceptAnything"}]}' >$W/home/.config/containers/policy.json
    "#);
}
