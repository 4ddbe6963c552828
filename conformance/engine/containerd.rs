//! containerd alone, through `ctr`.

use crate::section::{Scenario, Section, scenario, skip};
use crate::shell::{daemon, fails, gives, run, session, sh, until, until_processes};

/// `ctr run` with the runtime under test, up to its options.
const RUN: &str = "ctr run --runtime io.containerd.runc.v2 --runc-binary $RT";
const BB: &str = "localhost/bb:1";

pub(crate) fn section() -> Section {
    Section { name: "containerd", start, scenarios: scenarios() }
}

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("starts, imports an OCI layout", imports),
        scenario("ctr run, exit code, a missing command", runs),
        scenario("ctr run -t, window size", interactive),
        scenario("tasks ls, ps, pause, resume, kill, delete", tasks),
        scenario("tasks exec: exit code, stdin, --user, -t, a missing command", exec),
        scenario("--memory-limit, --cpus, --cgroup, metrics", limits),
        scenario("--seccomp, --privileged, --read-only, no-new-privs, --cap-drop", privileges),
        scenario(
            "--cwd --env --mount --net-host --with-ns --no-pivot --rootfs --uidmap --pid-file --log-uri",
            options,
        ),
        scenario("kill -9 of the shim, the container is cleaned up", shim_dies),
        scenario("kill -9 of containerd, the task goes on", containerd_dies).alone(),
        scenario("checkpoint", checkpoint).fails_on("crun", "Debian's is built without CRIU"),
        scenario("nothing left: shims, state, mounts", nothing_left).last(),
    ]
}

fn start() {
    sh(r#"cat >$W/ctrd.toml <<END
version = 2
root = "$W/ctrd"
state = "/run/ctrd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "/run/ctrd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$W/ctrd-opt"
END"#);
    start_daemon();
    sh("ctr images import $W/images/bb-oci.tar");
}

fn start_daemon() {
    daemon("containerd", "echo $BASHPID >/run/ctrd.pid; exec containerd --config $W/ctrd.toml");
    until("ctr version");
}

fn ctr(options: &str) -> String {
    format!("{RUN} {options}")
}

fn end(id: &str) {
    sh(&format!("ctr tasks kill -a -s KILL {id}"));
    until(&format!("ctr tasks ls | grep -E '^{id} .*STOPPED'"));
    sh(&format!("ctr tasks delete {id} || true; ctr containers delete {id}"));
}

fn imports() {
    sh(&format!("ctr images ls -q | grep -x {BB}"));
}

fn runs() {
    gives(&ctr(&format!("--rm {BB} hello echo hello")), "hello");
    fails(3, &ctr(&format!("--rm {BB} three sh -c 'exit 3'")), "");
    fails(1, &ctr(&format!("--rm {BB} missing nosuchcommand")), "nosuchcommand");
}

fn interactive() {
    let mut shell = session(&format!("exec {}", ctr(&format!("--rm -t {BB} tty sh"))));
    shell.until("/ # ");
    shell.types("until [ \"$(stty size)\" = '33 99' ]; do usleep 50000; done; tty; echo s''ized\n");
    shell.until("/dev/pts/0");
    shell.until("sized");
    shell.types("exit 6\n");
    assert_eq!(shell.ends(), 6);
}

fn tasks() {
    sh(&ctr(&format!("-d {BB} several sh -c 'sleep 640 & exec sleep 640'")));
    until_processes("sleep 640", 2);
    sh("ctr tasks ls | grep -E '^several .*RUNNING'");
    gives("ctr tasks ps several | tail -n +2 | wc -l", "2");
    sh(
        "ctr tasks pause several; ctr tasks ls | grep -E '^several .*PAUSED'; ctr tasks resume several; ctr tasks ls | grep -E '^several .*RUNNING'",
    );
    sh("ctr tasks kill -a -s KILL several");
    until("ctr tasks ls | grep -E '^several .*STOPPED'");
    until_processes("sleep 640", 0);
    sh("ctr tasks delete several || true; ctr containers delete several");
}

fn exec() {
    sh(&ctr(&format!("-d {BB} exec sleep 642")));
    let exec = |id: &str, rest: &str| format!("ctr tasks exec --exec-id {id} {rest}");
    fails(9, &exec("a", "exec sh -c 'exit 9'"), "");
    gives(&format!("echo in | {}", exec("b", "exec cat")), "in");
    gives(&exec("c", "--user 1000:2000 exec sh -c 'id -u; id -g'"), "1000\n2000");
    gives(&exec("d", "--cwd /tmp exec pwd"), "/tmp");
    assert_ne!(run(&exec("e", "exec nosuchcommand")).says("nosuchcommand").code, 0);
    let mut shell = session(&format!("exec {}", exec("f", "-t exec sh")));
    shell.until("/ # ");
    shell.types("tty; exit 6\n");
    shell.until("/dev/pts/0");
    assert_eq!(shell.ends(), 6);
    end("exec");
}

fn limits() {
    sh(&ctr(&format!(
        "-d --memory-limit 67108864 --cpus 0.5 --cgroup /ctr/limits {BB} limits sleep 643"
    )));
    gives(
        "cat /sys/fs/cgroup/memory/ctr/limits/memory.limit_in_bytes /sys/fs/cgroup/cpu/ctr/limits/cpu.cfs_quota_us",
        "67108864\n50000",
    );
    sh("ctr tasks metrics limits | grep -E 'memory.usage_in_bytes +[1-9]'");
    end("limits");
    gives("find /sys/fs/cgroup -type d -path '*/ctr/limits'", "");
}

fn privileges() {
    let status = |id: &str, options: &str, field: &str| {
        sh(&ctr(&format!(
            "--rm {options} {BB} {id} sh -c 'grep {field}: /proc/self/status | cut -f2'"
        )))
    };
    assert_eq!(status("s1", "--seccomp", "Seccomp"), "2");
    assert_eq!(status("s2", "", "Seccomp"), "0");
    assert_eq!(status("s3", "", "NoNewPrivs"), "1");
    assert_eq!(status("s4", "--allow-new-privs", "NoNewPrivs"), "0");
    assert_eq!(status("s5", "--cap-drop CAP_CHOWN", "CapEff"), "00000000a80425fa");
    assert_eq!(
        status("s6", "--privileged", "CapEff"),
        sh("sed -n 's/^CapEff:\\t//p' /proc/self/status")
    );
    run(&ctr(&format!("--rm --read-only {BB} s7 touch /x"))).says("Read-only file system");
}

fn options() {
    gives(&ctr(&format!("--rm --cwd /tmp --env A=b {BB} o1 sh -c 'pwd; echo $A'")), "/tmp\nb");
    gives(
        &format!(
            "mkdir -p $W/m; echo f >$W/m/f; {}",
            ctr(&format!(
                "--rm --mount type=bind,src=$W/m,dst=/m,options=rbind:ro {BB} o2 cat /m/f"
            ))
        ),
        "f",
    );
    gives(
        &ctr(&format!("--rm --net-host {BB} o3 readlink /proc/self/ns/net")),
        &sh("readlink /proc/self/ns/net"),
    );
    gives(
        &ctr(&format!("--rm --with-ns ipc:/proc/$$/ns/ipc {BB} o4 readlink /proc/self/ns/ipc")),
        &sh("readlink /proc/self/ns/ipc"),
    );
    gives(&ctr(&format!("--rm --no-pivot {BB} o5 echo works")), "works");
    gives(
        &format!(
            "mkdir -p $W/r; tar -C $W/r -xf $W/images/bb.tar; {}",
            ctr("--rm --rootfs $W/r o6 /bin/echo works")
        ),
        "works",
    );
    gives(
        &ctr(&format!(
            "--rm --uidmap 0:3000000:1000 --gidmap 0:3000000:1000 {BB} o7 sh -c 'tr -s \" \" </proc/self/uid_map'"
        )),
        "0 3000000 1000",
    );
    sh(&ctr(&format!(
        "-d --pid-file $W/o8.pid --log-uri file://$W/o8.log {BB} o8 sh -c 'echo logged; exec sleep 644'"
    )));
    gives(
        "tr '\\0' ' ' </proc/$(cat $W/o8.pid)/cmdline | cut -c1-9; cat $W/o8.log",
        "sleep 644\nlogged",
    );
    end("o8");
}

fn shim_dies() {
    sh(&ctr(&format!("-d {BB} shimless sh -c 'sleep 645 & exec sleep 645'")));
    until_processes("sleep 645", 2);
    sh(
        "pid=$(ctr tasks ls | sed -n 's/^shimless *\\([0-9]*\\).*/\\1/p'); kill -KILL $(sed 's/.*) [A-Z] \\([0-9]*\\) .*/\\1/' /proc/$pid/stat)",
    );
    until_processes("sleep 645", 0);
    sh("ctr tasks delete -f shimless || true; ctr containers delete shimless");
    until("! find /sys/fs/cgroup -type d -name shimless | grep .");
    until("! ls -d /run/containerd/runc/eng/shimless");
    until("! grep shimless /proc/mounts");
}

fn containerd_dies() {
    sh(&ctr(&format!("-d {BB} goes-on sleep 646")));
    sh("pid=$(cat /run/ctrd.pid); kill -KILL $pid; while [ -e /proc/$pid ]; do sleep 0.05; done");
    until_processes("sleep 646", 1);
    start_daemon();
    sh("ctr tasks ls | grep -E '^goes-on .*RUNNING'; ctr tasks exec --exec-id x goes-on true");
    end("goes-on");
}

fn checkpoint() {
    if run("criu check").code != 0 {
        skip("criu cannot work here");
    }
    let count = "i=0; while :; do i=$((i+1)); echo $i >/n; mv /n /count; usleep 50000; done";
    let now = |id: &str| format!("ctr tasks exec --exec-id now {id} cat /count");
    sh(&ctr(&format!("-d {BB} checkpoint sh -c '{count}'")));
    until(&format!("[ $({}) -gt 5 ]", now("checkpoint")));
    sh(
        "ctr tasks checkpoint --image-path $W/tmp/checkpoint checkpoint; ls $W/tmp/checkpoint/pstree.img",
    );
    sh("ctr tasks ls | grep -E '^checkpoint .*RUNNING'");
    sh("ctr containers checkpoint --rw --task --image checkpoint localhost/checkpoint:1");
    let saved = sh(&now("checkpoint"));
    end("checkpoint");
    sh(
        "ctr containers restore --rw --live restored localhost/checkpoint:1 >/dev/null </dev/null 2>&1 &",
    );
    until(&format!("[ $({}) -gt {saved} ]", now("restored")));
    end("restored");
}

fn nothing_left() {
    sh(
        "for id in $(ctr tasks ls -q); do ctr tasks kill -s KILL $id || true; ctr tasks delete -f $id || true; done; for id in $(ctr containers ls -q); do ctr containers delete $id; done",
    );
    until_processes("containerd-shim", 0);
    until("! ls -d /run/containerd/runc/*/*");
    until("! grep -E '/run/ctrd/.*rootfs' /proc/mounts");
    until("! find /sys/fs/cgroup -path '*/eng/*' -type d | grep .");
    sh("pid=$(cat /run/ctrd.pid); kill $pid; while [ -e /proc/$pid ]; do sleep 0.05; done");
}
