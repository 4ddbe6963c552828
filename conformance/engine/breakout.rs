//! The classic ways out of a container, tried from inside a default one.
//!
//! Each is tried twice: with the protection, where it must fail, and with the
//! protection taken away, where the same try must succeed; so it is the
//! protection that stops it, and not a mistake in the try.

use crate::docker;
use crate::section::{Scenario, Section, scenario, skip};
use crate::shell::{fails, gives, run, sh, until, until_processes};

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

/// Out of a root that is only a chroot it works; the container's is also the
/// top of its mount namespace.
fn chroot() {
    sh("mkdir $W/cell; tar -C $W/cell -xf $W/images/bb.tar; cp $W/bin/tests $W/cell/attempt");
    gives("chroot $W/cell /attempt --attempt chroot", "secret");
    let inside =
        run("docker run --rm -v $W/bin/tests:/attempt:ro bb /attempt --attempt chroot").gives(1);
    inside.says("chroot: No such file or directory");
    gives(
        "docker run --rm bb sh -c 'cd /proc/1/root/../../..; ls' | head -n 2 | paste -sd,",
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
    let descriptors = "for fd in /proc/self/fd/*; do cat $fd/run/engines/secret 2>/dev/null || true; done | grep secret";
    only_with("--runtime leaky", descriptors);
    sh("docker run -d --name leaks bb sleep 651");
    let pid = sh("docker inspect -f '{{.State.Pid}}' leaks");
    let directory = "cat ../../../run/engines/secret";
    gives(&format!("nsenter --target {pid} --mount --wd=/run/engines/tmp {directory}"), "secret");
    for fd in 3..24 {
        for command in ["run --rm", "exec"] {
            let of = if command == "exec" { "leaks" } else { "bb" };
            let ran = run(&format!("docker {command} -w /proc/self/fd/{fd} {of} {directory}"));
            assert!(ran.code != 0 && !ran.stdout.contains("secret"), "{ran}");
        }
    }
    gives("docker run --rm bb ls /proc/self/fd | paste -sd,", "0,1,2,3");
    gives("docker exec leaks ls /proc/self/fd | paste -sd,", "0,1,2,3");
    gives("docker exec leaks ls /proc/1/fd | paste -sd,", "0,1,2");
    fails(1, &format!("docker exec leaks sh -c '{descriptors}'"), "");
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

/// Whoever enters the container is for a moment a program of the host. One in
/// there opens it, waits until it may be written to (no longer than it runs it
/// is busy), and overwrites it. What enters is made to run itself once more,
/// by a link, so that it stays for longer.
///
/// busybox's nsenter, which has no protection, is overwritten so.
fn own_executable() {
    let overwrite = "for p in /proc/[0-9]*; do [ ! -e $p/exe ] || [ $p/exe -ef /bin/busybox ] || ( exec 4<$p/exe; for i in $(seq 50); do { echo x >/proc/self/fd/4; } && break; usleep 20000; done ) & done 2>/dev/null";
    let try_it = |name: &str, options: &str, enter: &dyn Fn(&str) -> String| {
        sh(&format!(
            "docker run -d --name {name} {options} bb sh -c 'ln -s /proc/self/exe /sleep; while :; do {overwrite}; done'"
        ));
        until(&format!("docker exec {name} ls /sleep"));
        let pid = sh(&format!("docker inspect -f '{{{{.State.Pid}}}}' {name}"));
        for _ in 0..10 {
            run(&enter(&pid));
        }
        until_processes("/sleep 0.2", 0);
        std::thread::sleep(std::time::Duration::from_millis(1200)); // as long as it tries
        sh(&format!("docker rm -f {name}"));
    };
    sh("cp $(command -v busybox) $W/tmp/busybox; cp $W/tmp/busybox $W/tmp/before");
    try_it("unprotected", PRIVILEGED, &|pid| {
        format!("$W/tmp/busybox nsenter -t {pid} -m -p /sleep 0.2")
    });
    assert_ne!(run("cmp $W/tmp/busybox $W/tmp/before").code, 0, "the try does not work");
    sh("cp $(readlink -f $RT) $W/tmp/before");
    for (name, options) in [("protected", ""), ("nearly-protected", PRIVILEGED)] {
        try_it(name, options, &|_| format!("docker exec {name} /sleep 0.2"));
        sh("cmp $(readlink -f $RT) $W/tmp/before");
    }
}
