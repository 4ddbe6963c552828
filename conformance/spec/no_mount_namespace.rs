//! config-linux.md#namespaces: "If a namespace type is not specified in the
//! namespaces array, the container MUST inherit the runtime namespace of that
//! type", that of mounts included. For minke alone: runc makes the mounts of the
//! machine slaves then, and leaves its own.

use std::fs;

use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, json, leaks, test};

pub(crate) fn tests() -> Vec<Test> {
    let tests = vec![
        test!("N3", its_mounts_are_those_of_the_runtime_and_go_with_it),
        test!("N3", it_has_devices_and_protected_paths_and_a_terminal),
        test!("N3", a_mount_below_a_volume_is_not_seen_at_its_source),
        test!("N3", exec_has_its_root),
        test!("L5", a_create_that_fails_leaves_no_mount),
        test!("crash", a_create_that_is_killed_leaves_no_mount_once_deleted),
        test!("L10", delete_leaves_what_was_mounted_before),
        test!("L10", delete_does_not_unmount_what_another_container_has_mounted_above),
        test!("bad", with_a_user_namespace_it_has_no_right_to_mount),
    ];
    tests.into_iter().map(|test| test.needs(needs![minke])).collect()
}

fn bundle(case: &Case) -> Bundle<'_> {
    case.bundle().without_namespace("mount")
}

/// All below `dir` that are mounted in this namespace.
fn mounts(bundle: &Bundle<'_>) -> Vec<String> {
    let below =
        |path: &std::path::PathBuf| path.strip_prefix(&bundle.dir).ok().map(ToOwned::to_owned);
    let mounts = leaks::mounts(&bundle.dir);
    mounts.iter().filter_map(below).map(|path| path.display().to_string()).collect()
}

fn its_mounts_are_those_of_the_runtime_and_go_with_it(case: &Case) {
    let root = || {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap().to_owned()
    };
    let before = root();
    let bundle = bundle(case).mount("/data", "tmpfs", "data", &["size=64k"]).running();
    let own = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap();
    assert_eq!(own(&bundle.pid().to_string()), own("self"));
    let now = mounts(&bundle);
    for place in ["rootfs", "rootfs/proc", "rootfs/data"] {
        assert!(now.iter().any(|mount| mount == place), "{place} of {now:?}");
    }
    bundle.end();
    assert_eq!(mounts(&bundle), [""; 0]);
    // What it shares with whom included.
    assert_eq!(root(), before);
}

fn it_has_devices_and_protected_paths_and_a_terminal(case: &Case) {
    let out = bundle(case)
        .set("/root/readonly", json!(true))
        .set("/process/terminal", json!(true))
        .push("/linux/maskedPaths", json!("/etc/passwd"))
        .sh("echo x > /dev/null && test -c /dev/zero && test -t 0 && wc -c < /etc/passwd; \
             echo 1 > /proc/sys/kernel/pid_max; touch /x; echo end")
        .run();
    assert_eq!(
        out.stdout.replace('\r', ""),
        "0\nsh: can't create /proc/sys/kernel/pid_max: Read-only file system\n\
         touch: /x: Read-only file system\nend\n"
    );
}

/// The source is shared, as all of a host is under systemd: a copy of it would
/// be its peer.
fn a_mount_below_a_volume_is_not_seen_at_its_source(case: &Case) {
    let source = case.path("source");
    fs::create_dir_all(source.join("below")).unwrap();
    let shared = |command: &str| {
        let done = std::process::Command::new("sh").args(["-c", command]).status().unwrap();
        assert!(done.success(), "{command}");
    };
    let path = source.display();
    shared(&format!("mount --bind {path} {path} && mount --make-shared {path}"));
    let bundle = bundle(case).bind(&source, "/volume", &["bind"]).mount(
        "/volume/below",
        "tmpfs",
        "tmpfs",
        &[],
    );
    bundle.create().ok();
    let there = leaks::mounts(&source);
    bundle.delete().ok();
    shared(&format!("umount {path}"));
    assert_eq!(there, [source]);
}

fn exec_has_its_root(case: &Case) {
    let bundle = bundle(case).file("/mark", "of the container\n").running();
    let out = bundle.command("exec", &[]).args(["cat", "/mark", "/dev/null"]).run().ok();
    assert_eq!(out.stdout, "of the container\n");
    bundle.end();
}

fn a_create_that_fails_leaves_no_mount(case: &Case) {
    bundle(case).args(&["/no/such/program"]).create().fails();
    case.leaves_nothing();
    bundle(case).mount("/x", "no-such-filesystem", "none", &[]).create().fails();
    case.leaves_nothing();
    bundle(case).hook("createRuntime", "false").create().fails();
    case.leaves_nothing();
}

/// At any instant: the mount may be there, or not yet.
fn a_create_that_is_killed_leaves_no_mount_once_deleted(case: &Case) {
    let bundle = bundle(case);
    let begin = std::time::Instant::now();
    bundle.create().ok();
    let whole = begin.elapsed();
    bundle.delete_force().ok();
    for number in 0..24 {
        let running = bundle.launch("create", &[]).spawn();
        std::thread::sleep(whole * number / 20);
        running.kill();
        bundle.delete_force().ok();
        let leaks = leaks::settled(case);
        assert!(leaks.is_empty(), "instant {number}: left behind:\n{}", leaks.join("\n"));
    }
}

/// An engine's overlay, say, at the very place.
fn delete_leaves_what_was_mounted_before(case: &Case) {
    let bundle = bundle(case);
    let root = bundle.rootfs("");
    let sh = |command: String| {
        std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success()
    };
    let root = root.display();
    // Private, as where the host's root is shared a second copy of all would come to lie beneath.
    let mounted = format!("mount --bind {root} {root} && mount --make-private {root}");
    assert!(sh(format!("{mounted} && mount -t tmpfs tmpfs {root}/tmp")));
    let before = mounts(&bundle);
    bundle.create().ok();
    bundle.delete().ok();
    assert_eq!(mounts(&bundle), before);
    bundle.delete_force().ok();
    assert_eq!(mounts(&bundle), before);
    assert!(sh(format!("umount -R {root}")));
}

fn delete_does_not_unmount_what_another_container_has_mounted_above(case: &Case) {
    let lower = bundle(case);
    let path = lower.rootfs("").display().to_string();
    let upper = bundle(case).set("/root/path", json!(path.trim_end_matches('/')));
    lower.create().ok();
    upper.create().ok();
    let both = mounts(&lower);
    lower.delete().fails().tells("rootfs");
    assert_eq!(mounts(&lower), both);
    upper.delete().ok();
    lower.delete_force().ok();
    assert_eq!(mounts(&lower), [""; 0]);
}

fn with_a_user_namespace_it_has_no_right_to_mount(case: &Case) {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]);
    bundle(case)
        .namespace("user")
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .create()
        .fails()
        .tells("mounts")
        .tells("mount namespace");
    case.leaves_nothing();
}
