//! Docker, with the runtime as dockerd's default.

pub(crate) mod daemon;
mod images;
mod isolation;
mod life;
mod limits;
mod network;
mod privileges;
mod storage;

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

/// dockerd asks for all capabilities for `--privileged`. Where this machine
/// lacks CAP_SYS_RESOURCE, the runtime `privileged` takes it out. The runtime
/// `dying` is killed soon after it begins the command that `dies-in` names.
pub(crate) fn start_daemon(options: &str) {
    sh(r#"
        echo '{}' >$W/daemon.json
        cat >$W/bin/privileged <<'END'
#!/bin/bash
bundle=. next=
for word; do
    case $next in
    bundle) bundle=$word ;;
    process) sed -i 's/"CAP_SYS_RESOURCE",//g' "$word" ;;
    esac
    next=
    case $word in
    --bundle) next=bundle ;;
    --process) next=process ;;
    create) created=yes ;;
    esac
done
[[ -z ${created:-} ]] || sed -i 's/"CAP_SYS_RESOURCE",//g' "$bundle/config.json"
exec /run/engines/runtime "$@"
END
        capsh=$(sed -n 's/^CapBnd:\t//p' /proc/self/status)
        (( 0x$capsh >> 24 & 1 )) && printf '#!/bin/sh\nexec /run/engines/runtime "$@"\n' >$W/bin/privileged
        cat >$W/bin/dying <<'END'
#!/bin/bash
for word; do
    [[ $word != "$(cat /run/engines/dies-in)" ]] || {
        /run/engines/runtime "$@" </dev/null >/dev/null 2>&1 & child=$!
        sleep 0.0$((RANDOM % 3))$((RANDOM % 10))
        kill -KILL $child
        wait $child
        exit 1
    }
done
exec /run/engines/runtime "$@"
END
        chmod 755 $W/bin/privileged $W/bin/dying
    "#);
    daemon(
        "dockerd",
        &format!(
            "exec dockerd --config-file=$W/daemon.json --data-root $W/docker --exec-root /run/dk --pidfile /run/dockerd.pid \
             --host $DOCKER_HOST --storage-driver overlay2 --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent /docker \
             --add-runtime rt=$RT --add-runtime privileged=$W/bin/privileged --add-runtime dying=$W/bin/dying --default-runtime rt --live-restore {options}"
        ),
    );
    until("docker version");
}
