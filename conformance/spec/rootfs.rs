//! config.md#root, config-linux.md#rootfs-mount-propagation.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::mountinfo;
use crate::support::{Bundle, Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("root", a_relative_path_starts_at_the_bundle),
        test!("root", an_absolute_path_works),
        test!("root", a_bundle_behind_a_symlink_works),
        test!("root", a_read_only_root_cannot_be_written),
        test!("root", mount_points_are_made_in_a_read_only_root),
        test!("root", a_writable_root_can_be_written),
        test!("root", the_mounts_of_the_root_are_taken_along),
        test!("root", a_root_on_an_overlay_works),
        test!("root", a_root_on_a_read_only_file_system_works),
        test!("root", a_root_that_is_a_mount_point_works),
        test!("root", a_missing_root_is_refused),
        test!("root", a_root_that_is_a_file_is_refused),
        test!("root", a_root_that_is_a_symlink_is_refused).fails_on("crun", "follows it"),
        test!("root", no_root_at_all_is_refused),
        test!("propagation", the_root_is_private_or_shared_as_the_config_says)
            .fails_on("crun 1.8", "unbindable hinders its own mounts")
            .fails_on("runc 1.1", "sets it before pivot_root only"),
        test!("propagation", a_slave_root_gets_what_is_mounted_outside)
            .fails_on("crun 1.8", "makes it private"),
        test!("propagation", nothing_that_a_container_mounts_gets_out),
        test!("propagation", an_unknown_propagation_is_refused).fails_on("crun 1.8", "ignores it"),
        test!("propagation", without_pivot_a_private_propagation_is_refused)
            .fails_on("crun", "does not check"),
    ]
}

/// "the path … is either an absolute path or a relative path to the bundle".
fn a_relative_path_starts_at_the_bundle(case: &Case) {
    let bundle = case.bundle().file("/mark", "mine\n").args(&["cat", "/mark"]);
    fs::rename(bundle.rootfs("").parent().unwrap().join("rootfs"), bundle.dir.join("other"))
        .unwrap();
    bundle.set("/root/path", json!("./other")).run().ok().prints("mine\n");
}

/// The same.
fn an_absolute_path_works(case: &Case) {
    let bundle = case.bundle().file("/mark", "mine\n").args(&["cat", "/mark"]);
    let elsewhere = case.path("elsewhere");
    fs::rename(bundle.dir.join("rootfs"), &elsewhere).unwrap();
    bundle.set("/root/path", json!(elsewhere)).run().ok().prints("mine\n");
}

/// Only the last component, the rootfs itself, is no symlink.
fn a_bundle_behind_a_symlink_works(case: &Case) {
    let mut bundle = case.bundle().sh("echo ran");
    symlink(&bundle.dir, case.path("link")).unwrap();
    bundle.dir = case.path("link");
    bundle.run().ok().prints("ran\n");
}

/// "If true then the root filesystem MUST be read-only inside the container".
fn a_read_only_root_cannot_be_written(case: &Case) {
    let bundle =
        case.bundle().set("/root/readonly", json!(true)).mount("/x", "tmpfs", "tmpfs", &[]);
    let script =
        "touch /no 2>/dev/null && echo wrong; touch /x/yes /dev/yes && cat /proc/self/mountinfo";
    let output = bundle.sh(script).run().ok();
    assert!(mountinfo::at(&output.stdout, "/").has("ro"), "{output}");
}

/// Read-only is for the program.
fn mount_points_are_made_in_a_read_only_root(case: &Case) {
    let bundle =
        case.bundle().set("/root/readonly", json!(true)).mount("/new/dir", "tmpfs", "tmpfs", &[]);
    bundle
        .set("/process/cwd", json!("/new/dir/sub"))
        .args(&["pwd"])
        .run()
        .ok()
        .prints("/new/dir/sub\n");
}

/// "defaults to false".
fn a_writable_root_can_be_written(case: &Case) {
    let bundle = case.bundle().remove("/root/readonly").sh("echo content > /file");
    bundle.run().ok();
    assert_eq!(fs::read_to_string(bundle.rootfs("/file")).unwrap(), "content\n");
}

/// An image's layers may come as several mounts.
fn the_mounts_of_the_root_are_taken_along(case: &Case) {
    let bundle = case.bundle().directory("/layer").args(&["stat", "-f", "-c", "%T", "/layer"]);
    let script = format!("mount -t tmpfs layer {}", bundle.rootfs("/layer").display());
    let run = bundle.launch("run", &[]).after(&script).run();
    bundle.settle(run).ok().prints("tmpfs\n");
}

fn run_after(bundle: &Bundle<'_>, script: &str) -> String {
    let run = bundle
        .launch("run", &[])
        .after(&script.replace("ROOT", bundle.rootfs("").to_str().unwrap()))
        .run();
    bundle.settle(run).ok().stdout
}

/// As Docker, containerd and Podman make it.
fn a_root_on_an_overlay_works(case: &Case) {
    let bundle = case.bundle().sh("stat -f -c %T /; echo new > /new; rm /etc/group; cat /new");
    for name in ["upper", "work"] {
        fs::create_dir(case.path(name)).unwrap();
    }
    let (upper, work) = (case.path("upper"), case.path("work"));
    let mount = format!(
        "mount -t overlay -o lowerdir=ROOT,upperdir={},workdir={} overlay ROOT",
        upper.display(),
        work.display()
    );
    let printed = run_after(&bundle, &mount);
    assert!(printed.ends_with("new\n"), "{printed}");
    assert_eq!(case.read("upper/new"), "new\n");
    assert!(bundle.rootfs("/etc/group").exists() && !bundle.rootfs("/new").exists());
}

/// As an image that is a file system; all mount points are there already.
fn a_root_on_a_read_only_file_system_works(case: &Case) {
    let bundle = case
        .bundle()
        .set("/root/readonly", json!(true))
        .sh("touch /no 2>/dev/null || echo read-only");
    assert_eq!(
        run_after(&bundle, "mount --bind ROOT ROOT && mount -o remount,bind,ro ROOT"),
        "read-only\n"
    );
}

/// Shared with the host, even.
fn a_root_that_is_a_mount_point_works(case: &Case) {
    let bundle = case.bundle().sh("echo ran");
    assert_eq!(run_after(&bundle, "mount --bind ROOT ROOT && mount --make-rshared /"), "ran\n");
}

/// "A directory MUST exist at the path declared by the field."
fn a_missing_root_is_refused(case: &Case) {
    let bundle = case.bundle().set("/root/path", json!("no-such-directory"));
    bundle.create().fails().tells("no-such-directory").says("no such file or directory");
    case.leaves_nothing();
}

/// The same.
fn a_root_that_is_a_file_is_refused(case: &Case) {
    let bundle = case.bundle().set("/root/path", json!("config.json"));
    bundle.create().fails();
    case.leaves_nothing();
}

/// As runc does: what it names could change any time.
fn a_root_that_is_a_symlink_is_refused(case: &Case) {
    let bundle = case.bundle().set("/root/path", json!("link"));
    symlink("rootfs", bundle.dir.join("link")).unwrap();
    bundle.create().fails();
    case.leaves_nothing();
}

/// "root (object, OPTIONAL)", but on POSIX platforms it is REQUIRED.
fn no_root_at_all_is_refused(case: &Case) {
    let without = [
        case.bundle().remove("/root"),
        case.bundle().remove("/root/path"),
        case.bundle().set("/root/path", json!("")),
    ];
    for bundle in without {
        bundle.create().fails();
        case.leaves_nothing();
    }
}

fn root_propagation(bundle: Bundle<'_>, before: &str) -> Vec<String> {
    let bundle = bundle.args(&["cat", "/proc/self/mountinfo"]);
    let run = bundle.launch("run", &[]).after(before).run();
    let text = bundle.settle(run).ok().stdout;
    let tags = mountinfo::at(&text, "/").propagation;
    tags.iter().map(|tag| tag.split(':').next().unwrap().to_owned()).collect()
}

/// "rootfsPropagation (string, OPTIONAL) sets the rootfs's mount propagation."
fn the_root_is_private_or_shared_as_the_config_says(case: &Case) {
    let rows = [
        ("private", ""),
        ("rprivate", ""),
        ("shared", "shared"),
        ("rshared", "shared"),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ];
    for (propagation, tags) in rows {
        let bundle = case.bundle().set("/linux/rootfsPropagation", json!(propagation));
        assert_eq!(root_propagation(bundle, "true").join(" "), tags, "{propagation}");
    }
}

/// `rslave`: mounts that are made outside come in.
fn a_slave_root_gets_what_is_mounted_outside(case: &Case) {
    let bundle = case.bundle().set("/linux/rootfsPropagation", json!("rslave"));
    let rootfs = bundle.rootfs("").display().to_string();
    let share = format!("mount --bind {rootfs} {rootfs} && mount --make-shared {rootfs}");
    assert_eq!(root_propagation(bundle, &share), ["master"]);
}

/// Unless the config asks for it, however the host's mounts are shared.
fn nothing_that_a_container_mounts_gets_out(case: &Case) {
    let bundle = case.bundle().mount("/inside", "tmpfs", "tmpfs", &[]);
    bundle.write_config();
    let rootfs = bundle.rootfs("").display().to_string();
    let share = format!("mount --bind {rootfs} {rootfs} && mount --make-rshared /");
    let after = "\"$@\" && cat /proc/self/mountinfo";
    let run = bundle
        .launch("run", &[])
        .through(["unshare", "--mount", "sh", "-c", &format!("{share} && {after}"), "sh"])
        .run();
    let output = bundle.settle(run).ok();
    assert!(!output.stdout.contains("/inside"), "{output}");
}

/// "MUST generate an error when invalid or unsupported values are encountered".
fn an_unknown_propagation_is_refused(case: &Case) {
    case.bundle().set("/linux/rootfsPropagation", json!("sideways")).create().fails();
    case.leaves_nothing();
}

/// As runc does: a moved root cannot be made private any more.
fn without_pivot_a_private_propagation_is_refused(case: &Case) {
    for propagation in ["private", "rprivate"] {
        let bundle = case.bundle().set("/linux/rootfsPropagation", json!(propagation));
        bundle.create_with(&["--no-pivot"]).fails();
        case.leaves_nothing();
    }
}
