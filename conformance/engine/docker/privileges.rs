//! Capabilities, seccomp, users, rlimits, sysctls, devices.

use crate::section::{Scenario, scenario};
use crate::shell::{fails, gives, run, sh};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("--cap-drop, --cap-add, default and non-root sets", capabilities),
        scenario("seccomp profile, default profile, unconfined", seccomp),
        scenario("no-new-privileges", no_new_privileges),
        scenario("--device, device cgroup, default /dev", devices),
        scenario(
            "--user --group-add --ulimit --sysctl -e -w --hostname --oom-score-adj --shm-size --add-host",
            process,
        ),
        scenario("--privileged", privileged),
    ]
}

fn capabilities() {
    let set = |options: &str, which: &str| {
        sh(&format!(
            "docker run --rm {options} bb sh -c 'grep {which}: /proc/self/status | cut -f2'"
        ))
    };
    assert_eq!(set("", "CapEff"), "00000000a80425fb");
    assert_eq!(set("", "CapBnd"), "00000000a80425fb");
    assert_eq!(set("-u 1000", "CapEff"), "0000000000000000");
    assert_eq!(set("--cap-drop ALL", "CapBnd"), "0000000000000000");
    assert_eq!(set("--cap-drop ALL --cap-add NET_ADMIN", "CapEff"), "0000000000001000");
    run("docker run --rm --cap-drop CHOWN bb chown 1 /tmp").says("Operation not permitted");
    sh("docker run --rm bb chown 1 /tmp");
    run("docker run --rm bb ip link add d0 type dummy").says("Operation not permitted");
    sh("docker run --rm --cap-add NET_ADMIN bb ip link set lo mtu 1400");
}

fn seccomp() {
    sh(
        r#"echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}' >$W/no-mkdir.json"#,
    );
    run("docker run --rm --security-opt seccomp=$W/no-mkdir.json bb mkdir /tmp/d")
        .says("Operation not permitted");
    sh("docker run --rm bb mkdir /tmp/d");
    gives("docker run --rm bb sh -c 'grep Seccomp: /proc/self/status | cut -f2'", "2");
    run("docker run --rm bb unshare -U true").says("Operation not permitted");
    gives(
        "docker run --rm --security-opt seccomp=unconfined bb sh -c 'grep Seccomp: /proc/self/status | cut -f2'",
        "0",
    );
    sh("docker run --rm --security-opt seccomp=unconfined bb unshare -U true");
}

fn no_new_privileges() {
    gives("docker run --rm bb sh -c 'grep NoNewPrivs: /proc/self/status | cut -f2'", "0");
    gives(
        "docker run --rm --security-opt no-new-privileges bb sh -c 'grep NoNewPrivs: /proc/self/status | cut -f2'",
        "1",
    );
    let setuid = |options: &str| {
        sh(&format!(
            "docker run --rm {options} --entrypoint sh bb -c 'cp /bin/busybox /tmp/id && chmod 4755 /tmp/id && exec setpriv --reuid=1000 --clear-groups /tmp/id id -u' 2>/dev/null \
            || docker run --rm {options} debian bash -c 'cp /usr/bin/id /tmp/id && chmod 4755 /tmp/id && exec setpriv --reuid=1000 --clear-groups /tmp/id -u'"
        ))
    };
    assert_eq!(setuid(""), "0");
    assert_eq!(setuid("--security-opt no-new-privileges"), "1000");
}

fn devices() {
    gives(
        "docker run --rm bb sh -c 'ls /dev | grep -vx core' | paste -sd' '",
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero",
    );
    sh(
        "docker run --rm bb sh -c 'echo x >/dev/null; head -c 1 /dev/zero; head -c 1 /dev/urandom >/dev/null'",
    );
    gives(
        "docker run --rm --device /dev/fuse bb sh -c ': <>/dev/fuse && stat -c %t:%T /dev/fuse'",
        "a:e5",
    );
    run("docker run --rm bb sh -c 'mknod /tmp/f c 10 229; : </tmp/f'")
        .says("Operation not permitted");
    sh(
        "docker run --rm --device-cgroup-rule 'c 10:229 rwm' bb sh -c 'mknod /tmp/f c 10 229; : <>/tmp/f'",
    );
    run("docker run --rm --device /dev/fuse:/dev/fuse:r bb sh -c ': >/dev/fuse'")
        .says("Operation not permitted");
}

fn process() {
    gives(
        "docker run --rm -u 1000:1000 --group-add 2000 bb id",
        "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)",
    );
    gives("docker run --rm --ulimit nofile=100:200 bb sh -c 'ulimit -Sn; ulimit -Hn'", "100\n200");
    gives(
        "docker run --rm --sysctl net.ipv4.ip_forward=0 --sysctl kernel.msgmax=9000 bb cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax",
        "0\n9000",
    );
    gives("docker run --rm -e A=b -w /var/new bb sh -c 'echo $A; pwd'", "b\n/var/new");
    gives("docker run --rm --hostname named bb hostname", "named");
    gives("docker run --rm --oom-score-adj 500 bb cat /proc/self/oom_score_adj", "500");
    gives(
        "docker run --rm --shm-size 1m bb sh -c 'df -k /dev/shm | tail -n 1 | tr -s \" \" | cut -d\" \" -f2'",
        "1024",
    );
    gives("docker run --rm --add-host there:10.1.2.3 bb grep -c 10.1.2.3 /etc/hosts", "1");
    fails(125, "docker run --rm -u nobodyatall bb true", "unable to find user");
}

/// The capability that this machine may lack is taken out on the way.
fn privileged() {
    // Docker knows no capability above CAP_AUDIT_READ.
    let bounding =
        sh("printf %016x $((0x$(sed -n 's/^CapBnd:\\t//p' /proc/self/status) & 0x3fffffffff))");
    let run = "docker run --rm --runtime privileged --privileged";
    gives(&format!("{run} bb sh -c 'grep CapEff: /proc/self/status | cut -f2'"), &bounding);
    gives(&format!("{run} bb sh -c 'grep Seccomp: /proc/self/status | cut -f2'"), "0");
    sh(&format!(
        "{run} bb sh -c 'mount -t tmpfs tmpfs /tmp && ls /dev/fuse /dev/kmsg && : <>/dev/fuse && echo ok >/proc/sys/kernel/domainname'"
    ));
    sh("docker run -d --name privileged --runtime privileged --privileged bb sleep 600");
    gives(
        "docker exec --privileged privileged sh -c 'grep CapEff: /proc/self/status | cut -f2'",
        &bounding,
    );
    sh("docker rm -f privileged");
}
