//! Read-only roots, volumes, tmpfs, propagation.

use crate::section::{Scenario, scenario};
use crate::shell::{gives, run, sh};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("--read-only and --tmpfs", read_only),
        scenario("bind mounts, one file, named volume, tmpfs mount", volumes),
        scenario("mount propagation rshared, rslave, rprivate", propagation),
    ]
}

fn read_only() {
    run("docker run --rm --read-only bb touch /x").says("Read-only file system");
    sh("docker run --rm --read-only --tmpfs /tmp bb touch /tmp/x");
    gives(
        "docker run --rm --tmpfs /t:size=1m,mode=700,noexec bb sh -c 'stat -c %a /t; grep -c \" /t .*noexec.*size=1024k\" /proc/mounts'",
        "700\n1",
    );
}

fn volumes() {
    sh("mkdir -p $W/bind; echo one >$W/bind/file");
    gives("docker run --rm -v $W/bind:/b bb sh -c 'cat /b/file; echo two >/b/file'", "one");
    gives("cat $W/bind/file", "two");
    run("docker run --rm -v $W/bind:/b:ro bb touch /b/x").says("Read-only file system");
    gives("docker run --rm -v $W/bind/file:/etc/plain:ro bb cat /etc/plain", "two");
    sh("docker volume create vol; docker run --rm -v vol:/v bb sh -c 'echo kept >/v/f'");
    gives("docker run --rm -v vol:/v bb cat /v/f", "kept");
    sh("docker volume rm vol");
    gives(
        "docker run --rm --mount type=tmpfs,destination=/m,tmpfs-size=1m bb sh -c 'grep -c \" /m tmpfs\" /proc/mounts'",
        "1",
    );
    gives("docker run --rm -v /anonymous bb sh -c 'grep -c \" /anonymous \" /proc/mounts'", "1");
}

fn propagation() {
    sh(
        "mkdir -p $W/prop; mount -t tmpfs tmpfs $W/prop; mount --make-shared $W/prop; mkdir $W/prop/rshared $W/prop/rslave $W/prop/rprivate",
    );
    for kind in ["rshared", "rslave", "rprivate"] {
        sh(&format!(
            "docker run -d --name {kind} --cap-add SYS_ADMIN --security-opt apparmor=unconfined -v $W/prop:/p:{kind} bb sleep 600"
        ));
        sh(&format!("mount -t tmpfs {kind} $W/prop/{kind}"));
        let seen = sh(&format!("docker exec {kind} grep -c ' /p/{kind} ' /proc/mounts || true"));
        assert_eq!(seen, if kind == "rprivate" { "0" } else { "1" }, "{kind}");
        sh(&format!(
            "docker exec {kind} sh -c 'mkdir /p/in-{kind} && mount -t tmpfs in /p/in-{kind}'"
        ));
        let seen = sh(&format!("grep -c '/prop/in-{kind} ' /proc/mounts || true"));
        assert_eq!(seen, if kind == "rshared" { "1" } else { "0" }, "{kind}");
        sh(&format!("docker rm -f {kind}; umount $W/prop/{kind}"));
    }
    sh("umount -R $W/prop");
}
