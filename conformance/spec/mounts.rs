//! config.md#mounts: order, destinations, and what of the host is visible.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::mountinfo;
use crate::support::{Bundle, Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("C1", mounts_are_made_in_the_listed_order),
        test!("C1", a_later_mount_hides_an_earlier_one_below_it),
        test!("mounts", a_relative_destination_starts_at_the_root),
        test!("mounts", the_source_and_type_of_a_mount_are_kept),
        test!("mounts", an_unknown_file_system_fails_and_is_named),
        test!("mounts", dev_shm_is_open_to_all),
        test!("mounts", a_read_only_dev_still_has_its_devices),
        test!("mounts", missing_mount_points_are_made).fails_on("crun 1.8", "makes them sticky"),
        test!("mounts", mount_points_do_not_depend_on_the_umask)
            .fails_on("crun 1.8", "they do")
            .fails_on("runc 1.1", "they do"),
        test!("mounts", a_symlinked_mount_point_is_followed_within_the_root),
        test!("mounts", a_mount_on_the_root_itself_is_refused),
        test!("mounts", an_lxcfs_file_may_be_bound_over_one_in_proc),
        test!("mounts", no_mount_of_the_host_is_visible),
        test!("mounts", without_pivot_no_mount_of_the_host_is_visible),
        test!("mounts", a_moved_root_leaves_no_procfs_without_masks),
    ]
}

/// The container's own view of its mounts.
pub(super) fn mountinfo(bundle: Bundle<'_>) -> String {
    bundle.args(&["cat", "/proc/self/mountinfo"]).run().ok().stdout
}

/// "The runtime MUST mount entries in the listed order."
fn mounts_are_made_in_the_listed_order(case: &Case) {
    let text = mountinfo(case.bundle().mount("/a", "tmpfs", "outer", &[]).mount(
        "/a/b",
        "tmpfs",
        "inner",
        &[],
    ));
    let order: Vec<_> =
        text.lines().filter(|line| line.contains(" /a ") || line.contains(" /a/b ")).collect();
    assert!(order.len() == 2 && order[0].contains("outer") && order[1].contains("inner"), "{text}");
}

/// The same, in the order that hides.
fn a_later_mount_hides_an_earlier_one_below_it(case: &Case) {
    let bundle =
        case.bundle().mount("/a/b", "tmpfs", "inner", &[]).mount("/a", "tmpfs", "outer", &[]);
    bundle.args(&["ls", "/a"]).run().ok().prints("");
}

/// A relative destination "MUST be interpreted as relative to /".
fn a_relative_destination_starts_at_the_root(case: &Case) {
    let text = mountinfo(
        case.bundle().mount("some/where", "tmpfs", "tmpfs", &[]).set("/process/cwd", json!("/tmp")),
    );
    mountinfo::at(&text, "/some/where");
}

/// "type (string, OPTIONAL)", "source (string, OPTIONAL)".
fn the_source_and_type_of_a_mount_are_kept(case: &Case) {
    let mount =
        mountinfo::at(&mountinfo(case.bundle().mount("/x", "tmpfs", "my-own-name", &[])), "/x");
    assert_eq!((mount.kind.as_str(), mount.source.as_str()), ("tmpfs", "my-own-name"));
}

/// The same for a type that the kernel lacks.
fn an_unknown_file_system_fails_and_is_named(case: &Case) {
    case.bundle().mount("/x-y-z", "nosuchfs", "none", &[]).create().fails().tells("x-y-z");
    case.leaves_nothing();
}

/// The mount point's mode, that of the tmpfs `/dev`, must not win over `mode=`.
fn dev_shm_is_open_to_all(case: &Case) {
    case.bundle().args(&["stat", "-c", "%a", "/dev/shm"]).run().ok().prints("1777\n");
}

/// `ro` on /dev comes into force when the devices are made.
fn a_read_only_dev_still_has_its_devices(case: &Case) {
    let bundle = case.bundle().push("/mounts/1/options", json!("ro"));
    bundle
        .sh("touch /dev/no 2>/dev/null && echo wrong; echo x > /dev/null && echo right")
        .run()
        .ok()
        .prints("right\n");
}

/// The standard says nothing, but every engine relies on it: a directory with
/// mode 0755, for a file an empty file, and all parents.
fn missing_mount_points_are_made(case: &Case) {
    let source = case.path("file");
    fs::write(&source, "content\n").unwrap();
    let bundle = case.bundle().mount("/new/dir", "tmpfs", "tmpfs", &[]).bind(
        &source,
        "/new/er/file",
        &["bind"],
    );
    let bundle = bundle.args(&["cat", "/new/er/file"]);
    bundle.run().ok().prints("content\n");
    let mode =
        |path: &str| fs::metadata(bundle.rootfs(path)).unwrap().permissions().mode() & 0o7777;
    assert!(fs::metadata(bundle.rootfs("/new/er/file")).unwrap().is_file());
    assert_eq!((mode("/new"), mode("/new/dir")), (0o755, 0o755));
}

/// The caller's umask is not the container's.
fn mount_points_do_not_depend_on_the_umask(case: &Case) {
    let bundle =
        case.bundle().mount("/new/dir", "tmpfs", "tmpfs", &[]).args(&["stat", "-c", "%a", "/new"]);
    let run =
        bundle.launch("run", &[]).through(["sh", "-c", r#"umask 077; exec "$@""#, "sh"]).run();
    bundle.settle(run).ok().prints("755\n");
}

/// A symlink means what it means in the container.
fn a_symlinked_mount_point_is_followed_within_the_root(case: &Case) {
    let bundle =
        case.bundle().directory("/real").link("/absolute", "/real").link("/up", "../../../../real");
    let bundle =
        bundle.mount("/absolute/a", "tmpfs", "tmpfs", &[]).mount("/up/u", "tmpfs", "tmpfs", &[]);
    let text = mountinfo(bundle);
    mountinfo::at(&text, "/real/a");
    mountinfo::at(&text, "/real/u");
}

/// It would hide the root file system from what follows.
fn a_mount_on_the_root_itself_is_refused(case: &Case) {
    for destination in ["/", "/proc/..", "/link"] {
        let bundle = case.bundle().link("/link", "/");
        bundle.mount(destination, "tmpfs", "tmpfs", &[]).create().fails();
        case.leaves_nothing();
    }
}

/// The files that lxcfs provides, and nothing else in /proc.
fn an_lxcfs_file_may_be_bound_over_one_in_proc(case: &Case) {
    let source = case.path("uptime");
    fs::write(&source, "1.00 2.00\n").unwrap();
    let bundle = ["uptime", "meminfo", "cpuinfo", "stat", "loadavg", "swaps", "diskstats"]
        .iter()
        .fold(case.bundle(), |bundle, name| {
            bundle.bind(&source, &format!("/proc/{name}"), &["bind"])
        });
    bundle
        .args(&["cat", "/proc/uptime", "/proc/swaps"])
        .run()
        .ok()
        .prints("1.00 2.00\n1.00 2.00\n");
}

/// After pivot_root: nothing but what the config asks for.
fn no_mount_of_the_host_is_visible(case: &Case) {
    assert_only_own_mounts(&mountinfo(case.bundle()));
}

/// The kernel gives a user namespace a whole procfs where another one is in
/// sight: with the host's below the moved root, masks would be for nothing.
fn a_moved_root_leaves_no_procfs_without_masks(case: &Case) {
    let bundle = case
        .bundle()
        .set("/process/user", json!({"uid": 1000, "gid": 1000}))
        .sh("busybox unshare -U -r -m -p -f mount -t proc proc /tmp");
    for options in [&[] as &[&str], &["--no-pivot"]] {
        let output = bundle.run_with(options);
        assert_ne!(output.code(), 0, "{output}");
        assert!(output.stderr.contains("mount: "), "{output}");
    }
}

/// `--no-pivot`: the root is moved instead.
fn without_pivot_no_mount_of_the_host_is_visible(case: &Case) {
    let bundle = case.bundle().args(&["cat", "/proc/self/mountinfo"]);
    assert_only_own_mounts(&bundle.run_with(&["--no-pivot"]).ok().stdout);
}

#[track_caller]
fn assert_only_own_mounts(text: &str) {
    let points: Vec<_> = text.lines().map(|line| line.split(' ').nth(4).unwrap()).collect();
    let own = |point: &&str| {
        *point == "/" || ["/proc", "/dev", "/sys"].iter().any(|own| point.starts_with(own))
    };
    assert!(points.len() >= 8 && points.iter().all(own), "{text}");
    assert_eq!(points.iter().filter(|point| **point == "/").count(), 1, "{text}");
}
