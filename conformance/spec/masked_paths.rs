//! config-linux.md#masked-paths and #readonly-paths.

use crate::support::mountinfo;
use crate::support::{Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("masked", a_masked_file_reads_empty),
        test!("masked", a_masked_directory_is_empty_and_read_only),
        test!("masked", a_masked_path_that_is_missing_is_ignored),
        test!("masked", a_masked_mount_is_hidden),
        test!("masked", many_directories_can_be_masked),
        test!("readonly", a_read_only_path_cannot_be_written),
        test!("readonly", a_read_only_path_keeps_its_other_flags)
            .fails_on("crun 1.8", "loses them"),
        test!("readonly", the_mounts_below_a_read_only_path_stay),
        test!("readonly", a_read_only_path_that_is_missing_is_ignored),
        test!("readonly", the_default_read_only_paths_are_read_only),
        test!("masked", paths_that_are_not_absolute_are_refused)
            .fails_on("crun", "does not check")
            .fails_on("runc", "does not check"),
    ]
}

/// "maskedPaths will mask over the provided paths inside the container so that
/// they cannot be read."
fn a_masked_file_reads_empty(case: &Case) {
    let bundle =
        case.bundle().file("/secret", "s3cret").set("/linux/maskedPaths", json!(["/secret"]));
    let bundle = bundle.sh("cat /secret; echo overwritten > /secret; cat /secret");
    bundle.run().ok().prints("");
    assert_eq!(std::fs::read_to_string(bundle.rootfs("/secret")).unwrap(), "s3cret");
}

/// The same.
fn a_masked_directory_is_empty_and_read_only(case: &Case) {
    let bundle =
        case.bundle().file("/dir/secret", "s3cret").set("/linux/maskedPaths", json!(["/dir"]));
    let script = "ls -A /dir; touch /dir/x 2>/dev/null && echo wrong; cat /proc/self/mountinfo";
    let output = bundle.sh(script).run().ok();
    assert!(!output.stdout.contains("secret") && !output.stdout.contains("wrong"), "{output}");
    assert!(mountinfo::at(&output.stdout, "/dir").has("ro"), "{output}");
}

/// Profiles name paths that not every kernel has.
fn a_masked_path_that_is_missing_is_ignored(case: &Case) {
    let bundle = case.bundle().set("/linux/maskedPaths", json!(["/no/such/path"]));
    bundle.sh("ls -d /no; echo ran").run().ok().prints("ran\n");
}

/// Masks come last.
fn a_masked_mount_is_hidden(case: &Case) {
    let bundle = case
        .bundle()
        .mount("/data", "tmpfs", "data", &[])
        .set("/linux/maskedPaths", json!(["/data"]));
    bundle.sh("touch /data/x 2>/dev/null && echo wrong; true").run().ok().prints("");
}

/// As with 100 CPUs in /sys/devices/system/cpu/*/thermal_throttle.
fn many_directories_can_be_masked(case: &Case) {
    let paths: Vec<_> = (0..300).map(|number| format!("/d{number}")).collect();
    let bundle =
        paths.iter().fold(case.bundle(), |bundle, path| bundle.file(&format!("{path}/x"), ""));
    bundle
        .set("/linux/maskedPaths", json!(paths))
        .sh("cat /d*/x 2>/dev/null; ls /d299")
        .run()
        .ok()
        .prints("");
}

/// "readonlyPaths will set the provided paths as readonly inside the container."
fn a_read_only_path_cannot_be_written(case: &Case) {
    let bundle = case.bundle().file("/file", "content\n").directory("/dir/sub");
    let bundle = bundle.set("/linux/readonlyPaths", json!(["/file", "/dir"]));
    let script = "for to in /file /dir/new /dir/sub/new; do (echo x > $to) 2>/dev/null && echo wrote $to; done; cat /file";
    bundle.sh(script).run().ok().prints("content\n");
}

/// Read-only must not give back what the mount below took away.
fn a_read_only_path_keeps_its_other_flags(case: &Case) {
    let bundle =
        case.bundle().mount("/data", "tmpfs", "data", &["nosuid", "nodev", "noexec", "noatime"]);
    let bundle =
        bundle.set("/linux/readonlyPaths", json!(["/data"])).args(&["cat", "/proc/self/mountinfo"]);
    let mount = mountinfo::at(&bundle.run().ok().stdout, "/data");
    assert!(
        ["ro", "nosuid", "nodev", "noexec", "noatime"].iter().all(|flag| mount.has(flag)),
        "{mount:?}"
    );
}

/// A bind mount without recursion would uncover what they hide.
fn the_mounts_below_a_read_only_path_stay(case: &Case) {
    let bundle = case.bundle().directory("/dir").mount("/dir/data", "tmpfs", "data", &[]);
    let bundle = bundle.set("/linux/readonlyPaths", json!(["/dir"]));
    bundle.args(&["stat", "-f", "-c", "%T", "/dir/data"]).run().ok().prints("tmpfs\n");
}

/// Profiles name paths that not every kernel has.
fn a_read_only_path_that_is_missing_is_ignored(case: &Case) {
    let bundle = case.bundle().set("/linux/readonlyPaths", json!(["/no/such/path"]));
    bundle.sh("echo ran").run().ok().prints("ran\n");
}

/// The very things that they are for.
fn the_default_read_only_paths_are_read_only(case: &Case) {
    let script = "for to in kernel/panic net/ipv4/ip_forward; do (: > /proc/sys/$to) 2>&1 | grep -o 'Read-only'; done";
    case.bundle().sh(script).run().ok().prints("Read-only\nRead-only\n");
}

/// "The values MUST be absolute paths in the container namespace."
fn paths_that_are_not_absolute_are_refused(case: &Case) {
    for list in ["maskedPaths", "readonlyPaths"] {
        case.bundle().push(&format!("/linux/{list}"), json!("proc/kcore")).create().fails();
        case.leaves_nothing();
    }
}
