//! `exec` where the container, the host or the kernel is not as usual.

use std::path::Path;

use crate::support::needs::needs;
use crate::support::terminal::Terminal;
use crate::support::{Bundle, Case, Test, json, test, until};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("exec", exec_without_a_mount_namespace_has_the_containers_root)
            .may_fail_on("runc 1.1", "wants a /proc in the image")
            .may_fail_on("crun 1.8", "wants a /proc in the image"),
        test!("exec", exec_without_a_pid_namespace_is_in_the_others),
        test!("exec", exec_with_a_profile_without_apparmor_fails)
            .may_fail_on("crun 1.8", "runs it unconfined")
            .needs(needs![no_file("/sys/module/apparmor")]),
        test!("exec", exec_with_a_label_without_selinux_fails)
            .may_fail_on("crun 1.8", "runs it unconfined")
            .needs(needs![no_file("/sys/fs/selinux/enforce")]),
        test!("exec", exec_runs_on_the_processors_of_the_config)
            .fails_on("runc 1.1", "knows no exec affinity")
            .fails_on("crun 1.8", "knows no exec affinity")
            .needs(needs![file("/sys/devices/system/cpu/cpu1")]),
        test!("exec", exec_into_a_dying_container_says_so)
            .may_fail_on("crun 1.8", "other words")
            .may_fail_on("runc 1.1", "other words"),
        test!("exec", exec_does_not_wait_for_a_fifo_at_the_null_device),
        test!("exec", exec_has_a_terminal_without_a_proc)
            .may_fail_on("runc 1.1", "opens it by /proc")
            .may_fail_on("crun 1.8", "wants a /proc"),
    ]
}

fn exec(bundle: &Bundle<'_>, options: &[&str], script: &str) -> crate::support::command::Output {
    bundle.command("exec", options).args(["sh", "-c", script]).run()
}

/// Running, once its program says so; without /dev, a shell cannot do as much
/// as in [`Bundle::running`].
fn running(bundle: Bundle<'_>) -> Bundle<'_> {
    let bundle = bundle.sh("echo ready; exec sleep 1000");
    let created = bundle.started();
    until("the container's program", || created.stdout_by_now() == "ready\n");
    bundle
}

/// The container's null device takes the place of the host's, if it is one: its
/// path is the container's to choose.
fn exec_does_not_wait_for_a_fifo_at_the_null_device(case: &Case) {
    let bundle =
        case.bundle().sh("rm /dev/null && mkfifo /dev/null && echo ready; exec sleep 1000");
    let created = bundle.started();
    until("the container's program", || created.stdout_by_now() == "ready\n");
    exec(&bundle, &[], "stat -c %F /dev/null").ok().prints("fifo\n");
}

/// There it is not entered with the namespace.
fn exec_without_a_mount_namespace_has_the_containers_root(case: &Case) {
    let none = json!([]);
    let bundle = case
        .bundle()
        .without_namespace("mount")
        .set("/mounts", none.clone())
        .set("/linux/maskedPaths", none.clone())
        .set("/linux/readonlyPaths", none)
        .file("/mark", "of the container\n");
    let bundle = running(bundle);
    exec(&bundle, &[], "cat /mark; cd ..; pwd; ls ../../.. | grep -c bundle")
        .exits(1)
        .prints("of the container\n/\n0\n");
    bundle.end();
}

/// Those of the container all the same, and the end of init is not its end.
fn exec_without_a_pid_namespace_is_in_the_others(case: &Case) {
    let bundle = running(case.bundle().without_namespace("pid"));
    let of = |pid: i32, kind: &str| {
        std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display().to_string()
    };
    for kind in ["ipc", "mnt", "net", "pid", "uts"] {
        let own = exec(&bundle, &[], &format!("readlink /proc/self/ns/{kind}")).ok();
        assert_eq!(own.stdout.trim(), of(bundle.pid(), kind), "{kind}");
    }
    bundle.delete_force().ok();
}

/// Confinement that is asked for and not to be had is an error.
fn exec_with_a_profile_without_apparmor_fails(case: &Case) {
    let bundle = case.bundle().running();
    let out = exec(&bundle, &["--apparmor", "some-profile"], "echo ran");
    assert_eq!((out.code(), out.stdout.as_str()), (255, ""));
    out.tells("apparmor");
    bundle.end();
}

/// The same.
fn exec_with_a_label_without_selinux_fails(case: &Case) {
    let bundle = case.bundle().running();
    let label = "system_u:system_r:container_t:s0:c1,c2";
    let out = exec(&bundle, &["--process-label", label], "echo ran");
    assert_eq!((out.code(), out.stdout.as_str()), (255, ""));
    out.tells("selinux");
    bundle.end();
}

const ALLOWED: &str = "grep Cpus_allowed_list: /proc/self/status | tr -dc '0-9,-'";

/// config.md: "`final` … is a list of CPUs the process will be run on after
/// the transition to container's cgroup"; `initial` is for the time before it,
/// and stays where there is no other. It is about `exec` only.
fn exec_runs_on_the_processors_of_the_config(case: &Case) {
    for (affinity, own) in [
        (json!({"final": "1"}), "1"),
        (json!({"initial": "1", "final": "0"}), "0"),
        (json!({"initial": "1"}), "1"),
    ] {
        let bundle = case.bundle().set("/process/execCPUAffinity", affinity.clone());
        let bundle = running(bundle);
        let status = std::fs::read_to_string(format!("/proc/{}/status", bundle.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        assert!(line.unwrap().trim().len() > 1, "init is not concerned");
        let seen = exec(&bundle, &[], ALLOWED).ok().stdout;
        assert_eq!(seen, own, "{affinity}");
        bundle.end();
    }
}

/// Whatever it fails of: a container that has stopped.
fn exec_into_a_dying_container_says_so(case: &Case) {
    for step in 0..12 {
        let bundle = running(case.bundle());
        let all: Vec<_> =
            (0..3).map(|_| bundle.command("exec", &[]).args(["sleep", "1000"]).spawn()).collect();
        std::thread::sleep(std::time::Duration::from_millis(step));
        bundle.kill("KILL").ok();
        for running in all {
            let out = running.wait();
            match out.code() {
                137 => {}
                255 => drop(out.says("stopped container")),
                code => panic!("{code}: {out}"),
            }
        }
        bundle.delete_force().ok();
    }
}

/// It is found below /dev/pts, and not by way of what is at /proc.
fn exec_has_a_terminal_without_a_proc(case: &Case) {
    let bundle = case.bundle().without_mount("/proc").set("/linux/maskedPaths", json!([]));
    let bundle = bundle.set("/linux/readonlyPaths", json!([])).link("/proc/self", "/nowhere");
    let bundle = running(bundle);
    let (mut caller, slave) = Terminal::open(24, 80);
    let run = bundle.command("exec", &["-t"]).args(["sh", "-c", "ls -l /dev/pts/0; exit 4"]);
    let running = run.terminal(slave).spawn();
    caller.until("/dev/pts/0");
    running.wait().exits(4);
    assert!(!Path::new("/nowhere").exists());
    bundle.end();
}
