//! The classic ways out of a container, tried from inside a default one.
//!
//! Each is tried twice: with the protection, where it must fail, and with the
//! protection taken away, where the same try must succeed; so it is the
//! protection that stops it, and not a mistake in the try.

use crate::docker;
use crate::section::{Scenario, Section, scenario, skip};
use crate::shell::{gives, run, sh, until_processes};

pub(crate) fn section() -> Section {
    Section { name: "break-out", start, scenarios: scenarios() }
}

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("chroot", chroot),
        scenario("/proc/1/root", proc_root),
        scenario("mknod of a disk", mknod),
        scenario("ptrace of the host", ptrace),
        scenario("reading /proc/kcore and /proc/keys", kcore),
        scenario("mounting", mounting),
        scenario("loading modules", modules),
        scenario("cgroup release_agent", release_agent),
        scenario("/sys/fs/cgroup writes", cgroup_writes),
        scenario("leaked working directory and descriptors", leaks),
        scenario("setns into the host's namespaces", setns),
        scenario("/proc/sys and /proc/sysrq-trigger", proc_sys),
        scenario("overwriting the runtime through /proc/self/exe", own_executable),
    ]
}

fn start() {
    docker::start_daemon("--bridge none");
    docker::import_busybox();
    sh("echo secret >/run/engines/secret");
}

/// The script in a default container fails, and with these options it works.
#[track_caller]
fn only_with(options: &str, script: &str) {
    let script = script.replace('\'', r"'\''");
    let inside = run(&format!("docker run --rm bb sh -euc '{script}'"));
    assert_ne!(inside.code, 0, "this is a way out: {inside}");
    assert!(inside.code < 125, "the container did not run: {inside}");
    sh(&format!("docker run --rm {options} bb sh -euc '{script}'"));
}

const PRIVILEGED: &str = "--runtime privileged --privileged";

/// A second root below the first leaves the working directory outside: from
/// there `..` leads to the top of the mount namespace. After `pivot_root` that
/// top is the container's own root.
fn chroot() {
    let script = "mkdir /jail; cp /bin/busybox /jail; n=..; for i in 1 2 3 4 5 6 7 8 9; do n=$n/..; done; cd /; cat $n/run/engines/secret; chroot $n /bin/cat /run/engines/secret";
    only_with("-v /run/engines/secret:/run/engines/secret", script);
    gives(
        "docker run --rm bb sh -c 'cd /proc/1/root/../../..; ls' | head -n 2 | paste -sd,",
        "bin,dev",
    );
    gives(
        "docker run --rm bb sh -c 'chroot /../../.. /bin/ls /' | head -n 2 | paste -sd,",
        "bin,dev",
    );
}

fn proc_root() {
    only_with(
        "--pid host --privileged --runtime privileged",
        "cat /proc/1/root/run/engines/secret",
    );
    sh("docker run -d --name other bb sleep 650");
    let pid = sh("docker inspect -f '{{.State.Pid}}' other");
    assert_ne!(run(&format!("docker run --rm bb ls /proc/{pid}")).code, 0);
    run("docker run --rm --pid host bb cat /proc/1/root/run/engines/secret")
        .says("ermission denied");
    sh("docker rm -f other");
}

/// Which device counts is the device cgroup's choice; here it is /dev/fuse,
/// since a disk's first sector is nothing to play with.
fn mknod() {
    only_with("--device-cgroup-rule 'c 10:229 rwm'", "mknod /tmp/disk c 10 229; : <>/tmp/disk");
    let denied = run(&format!(
        "docker run --rm bb sh -c 'mknod /tmp/disk b {}; head -c 512 /tmp/disk'",
        disk()
    ));
    assert!(denied.code != 0 && denied.stdout.is_empty(), "{denied}");
}

/// Major and minor of the first disk, or of one that might be there.
fn disk() -> String {
    sh(
        "awk '$4 ~ /^(vd|sd|nvme|loop)/ { print $1, $2; exit } END { if (NR < 3) print 8, 0 }' /proc/partitions",
    )
}

/// Opening another's memory is the kernel's ptrace check; its place in /proc
/// comes first.
fn ptrace() {
    only_with(
        "--pid host --privileged --runtime privileged",
        "pid=$(ps -o pid,comm | awk '/dockerd/ { print $1; exit }'); : </proc/$pid/mem; cat /proc/$pid/environ | grep -q PATH",
    );
    let denied = run(
        "docker run --rm --pid host bb sh -ec 'pid=$(ps -o pid,comm | awk \"/dockerd/ { print \\$1; exit }\"); : </proc/$pid/mem'",
    );
    denied.says("ermission denied");
}

fn kcore() {
    for file in ["/proc/kcore", "/proc/keys", "/proc/timer_list"] {
        if run(&format!("[ -e {file} ]")).code == 0 {
            only_with(PRIVILEGED, &format!("[ -n \"$(head -c 64 {file} | tr '\\0' x)\" ]"));
        }
    }
}

fn mounting() {
    only_with(PRIVILEGED, "mkdir /m; mount -t tmpfs tmpfs /m");
    only_with(PRIVILEGED, "mount -o remount,rw /sys");
    only_with(PRIVILEGED, "mkdir /m; mount -t proc proc /m");
    only_with(PRIVILEGED, "umount /sys/firmware || umount /proc/kcore || mount --bind /bin /tmp");
    only_with("--security-opt seccomp=unconfined", "unshare -U true");
}

/// No module is loaded even with the protection taken away: the file is none.
fn modules() {
    let load = "echo x >/tmp/x.ko; insmod /tmp/x.ko 2>&1 || true";
    let inside = sh(&format!("docker run --rm bb sh -c '{load}'"));
    assert!(inside.contains("Operation not permitted"), "{inside}");
    let outside = sh(&format!("docker run --rm --cap-add SYS_MODULE bb sh -c '{load}'"));
    assert!(!outside.contains("Operation not permitted"), "{outside}");
}

/// The host would run a program of the container's choice.
fn release_agent() {
    if run("[ -e /sys/fs/cgroup/pids/release_agent ] || [ -e /sys/fs/cgroup/pids/cgroup.procs ]")
        .code
        != 0
    {
        skip("no cgroup v1 here");
    }
    only_with(
        PRIVILEGED,
        "mkdir /c; mount -t cgroup -o pids cgroup /c; mkdir /c/break-out; echo 1 >/c/break-out/notify_on_release; rmdir /c/break-out",
    );
    run("docker run --rm bb sh -c 'echo /x >/sys/fs/cgroup/pids/release_agent'")
        .says("ead-only file system");
}

fn cgroup_writes() {
    let hierarchy =
        if run("[ -e /sys/fs/cgroup/cgroup.controllers ]").code == 0 { "" } else { "pids/" };
    only_with(
        PRIVILEGED,
        &format!(
            "mkdir /sys/fs/cgroup/{hierarchy}break-out; rmdir /sys/fs/cgroup/{hierarchy}break-out"
        ),
    );
    only_with(PRIVILEGED, &format!("echo max >/sys/fs/cgroup/{hierarchy}pids.max"));
}

/// `-w /proc/self/fd/N` is how a directory of the host, left open by the
/// runtime, once became the working directory.
fn leaks() {
    for fd in 3..24 {
        let ran = run(&format!(
            "docker run --rm -w /proc/self/fd/{fd} bb cat ../../../run/engines/secret"
        ));
        assert!(ran.code != 0 && !ran.stdout.contains("secret"), "{ran}");
    }
    gives("docker run --rm bb ls /proc/self/fd | paste -sd,", "0,1,2,3");
    sh("docker run -d --name leaks bb sleep 651");
    gives("docker exec leaks ls /proc/self/fd | paste -sd,", "0,1,2,3");
    gives("docker exec leaks ls /proc/1/fd | paste -sd,", "0,1,2");
    for fd in 3..24 {
        let ran = run(&format!(
            "docker exec -w /proc/self/fd/{fd} leaks cat ../../../run/engines/secret"
        ));
        assert!(ran.code != 0 && !ran.stdout.contains("secret"), "{ran}");
    }
    sh("docker rm -f leaks");
    until_processes("sleep 651", 0);
}

fn setns() {
    only_with(
        "--pid host --privileged --runtime privileged",
        "nsenter -t 1 -m cat /run/engines/secret",
    );
    run("docker run --rm --pid host bb nsenter -t 1 -m cat /run/engines/secret").says("ermi");
}

fn proc_sys() {
    only_with(
        PRIVILEGED,
        "cat /proc/sys/kernel/core_pattern >/tmp/p; cat /tmp/p >/proc/sys/kernel/core_pattern",
    );
    only_with(
        PRIVILEGED,
        "[ -e /proc/sysrq-trigger ] || exec sh -c 'cat /proc/sys/vm/swappiness >/tmp/s; cat /tmp/s >/proc/sys/vm/swappiness'; : >/proc/sysrq-trigger",
    );
}

/// What `docker exec` starts is the runtime for a moment; a program that is a
/// link to it must not open it for writing.
fn own_executable() {
    let before = sh("sha256sum <$(readlink -f $RT)");
    sh("docker run -d --name own bb sh -c 'ln -sf /proc/self/exe /again; exec sleep 652'");
    sh(
        "docker exec -d own sh -c 'while :; do for p in /proc/[0-9]*; do { echo x >$p/exe; } 2>/dev/null && echo broken >/broken; done; done'",
    );
    for _ in 0..20 {
        run("docker exec own /again");
    }
    gives("docker exec own ls / | grep -c broken || true", "0");
    sh("docker rm -f own");
    assert_eq!(sh("sha256sum <$(readlink -f $RT)"), before);
}
