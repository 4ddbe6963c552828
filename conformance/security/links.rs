//! Symlinks of an image that lead out of it: what a runtime makes, it makes in
//! the container's root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("CVE-2019-18837", a_file_mount_point_behind_a_link_is_made_inside),
        test!("CVE-2019-18837", a_directory_mount_point_behind_a_link_is_made_inside)
            .fails_on("crun 1.8", "fails"),
        test!("CVE-2019-18837", a_working_directory_behind_a_link_is_made_inside),
        test!("CVE-2019-18837", a_device_behind_a_link_is_made_inside),
        test!("CVE-2026-41579", the_devices_of_a_linked_dev_are_made_inside)
            .fails_on("runc 1.1", "makes the links outside"),
        test!("CVE-2026-41579", the_devices_of_a_linked_dev_without_mount_are_made_inside)
            .fails_on("crun 1.8", "makes them outside")
            .fails_on("runc 1.1", "makes the links outside"),
        test!("CVE-2019-19921", a_linked_proc_is_refused),
        test!("CVE-2019-19921", a_linked_sys_is_refused),
        test!("links", tmpcopyup_behind_a_link_copies_nothing_of_the_host),
        test!("links", masked_and_read_only_paths_behind_a_link_are_those_of_the_container),
        test!("links", a_bound_file_does_not_overwrite_the_target_of_a_link),
        test!("CVE-2016-3697", a_name_in_passwd_that_is_a_number_is_a_name),
    ]
}

/// A directory of the host that nobody has any business in.
fn victim(case: &Case) -> PathBuf {
    let victim = case.path("victim");
    fs::create_dir(&victim).unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o711)).unwrap();
    victim
}

#[track_caller]
fn untouched(victim: &Path) {
    let names: Vec<_> =
        fs::read_dir(victim).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.is_empty(), "made outside: {names:?}");
    assert_eq!(fs::metadata(victim).unwrap().permissions().mode() & 0o7777, 0o711);
}

/// Absolute, and climbing as far as it goes.
fn links(victim: &Path) -> [PathBuf; 2] {
    [
        victim.into(),
        Path::new("../../../../../../../../../..").join(victim.strip_prefix("/").unwrap()),
    ]
}

/// crun#111: /etc/resolv.conf as a link, the engine's file bound over it.
fn a_file_mount_point_behind_a_link_is_made_inside(case: &Case) {
    let victim = victim(case);
    let source = case.path("source");
    fs::write(&source, "bound\n").unwrap();
    for link in links(&victim) {
        let bundle = case.bundle().link("/etc/resolv.conf", link.join("made")).bind(
            &source,
            "/etc/resolv.conf",
            &["bind"],
        );
        bundle.args(&["cat", "/etc/resolv.conf"]).run();
        untouched(&victim);
    }
}

/// The same for directories, at the end of the path and within.
fn a_directory_mount_point_behind_a_link_is_made_inside(case: &Case) {
    let victim = victim(case);
    for link in links(&victim) {
        let bundle = case.bundle().link("/link", &link).link("/end", link.join("made"));
        let bundle =
            bundle.mount("/link/made", "tmpfs", "tmpfs", &[]).mount("/end", "tmpfs", "tmpfs", &[]);
        let run = bundle.sh("touch /link/made/x /end/y").run();
        untouched(&victim);
        run.ok();
    }
}

/// The same for `process.cwd`.
fn a_working_directory_behind_a_link_is_made_inside(case: &Case) {
    let victim = victim(case);
    for link in links(&victim) {
        case.bundle().link("/link", &link).set("/process/cwd", json!("/link/made")).run();
        untouched(&victim);
    }
}

/// The same for `linux.devices`.
fn a_device_behind_a_link_is_made_inside(case: &Case) {
    let victim = victim(case);
    for link in links(&victim) {
        let device = json!({"path": "/link/made", "type": "c", "major": 1, "minor": 3});
        case.bundle().link("/link", &link).push("/linux/devices", device).run();
        untouched(&victim);
    }
}

/// /dev itself is the link; a tmpfs is to be mounted there.
fn the_devices_of_a_linked_dev_are_made_inside(case: &Case) {
    let victim = victim(case);
    for link in links(&victim) {
        case.bundle().link("/dev", &link).run();
        untouched(&victim);
    }
}

/// The same without that.
fn the_devices_of_a_linked_dev_without_mount_are_made_inside(case: &Case) {
    let victim = victim(case);
    for link in links(&victim) {
        let bundle = ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"]
            .iter()
            .fold(case.bundle(), |bundle, destination| bundle.without_mount(destination));
        bundle.link("/dev", &link).run();
        untouched(&victim);
    }
}

/// The masks of /proc would lie on something else.
fn a_linked_proc_is_refused(case: &Case) {
    for target in ["/evil", "evil", "../evil"] {
        case.bundle().directory("/evil").link("/proc", target).create().fails();
        case.leaves_nothing();
    }
}

/// The same.
fn a_linked_sys_is_refused(case: &Case) {
    case.bundle().directory("/evil").link("/sys", "/evil").create().fails();
    case.leaves_nothing();
}

/// It reads, and could read anything.
fn tmpcopyup_behind_a_link_copies_nothing_of_the_host(case: &Case) {
    let victim = victim(case);
    fs::write(victim.join("secret"), "s3cret").unwrap();
    for link in links(&victim) {
        let bundle =
            case.bundle().link("/data", link).mount("/data", "tmpfs", "tmpfs", &["tmpcopyup"]);
        let output = bundle.args(&["find", "/", "-xdev", "-name", "secret"]).run();
        assert_eq!(output.stdout, "", "{output}");
    }
}

/// Not those of the host, which must not get a mount.
fn masked_and_read_only_paths_behind_a_link_are_those_of_the_container(case: &Case) {
    let bundle = case.bundle().file("/dir/secret", "s3cret").link("/link", "/../../dir");
    let bundle = bundle
        .set("/linux/maskedPaths", json!(["/link/secret"]))
        .set("/linux/readonlyPaths", json!(["/link"]));
    bundle
        .sh("cat /dir/secret; touch /dir/x 2>/dev/null && echo wrote; true")
        .run()
        .ok()
        .prints("");
}

/// A mount point that is there is not opened for writing.
fn a_bound_file_does_not_overwrite_the_target_of_a_link(case: &Case) {
    let source = case.path("source");
    fs::write(&source, "bound\n").unwrap();
    let bundle = case.bundle().file("/target", "content\n").link("/link", "/target").bind(
        &source,
        "/link",
        &["bind"],
    );
    let bundle = bundle.args(&["cat", "/target"]);
    bundle.run().ok().prints("bound\n");
    assert_eq!(fs::read_to_string(bundle.rootfs("/target")).unwrap(), "content\n");
}

/// The config has numbers, and no file of the image changes them.
fn a_name_in_passwd_that_is_a_number_is_a_name(case: &Case) {
    let bundle = case
        .bundle()
        .file("/etc/passwd", "1000:x:0:0:root:/root:/bin/sh\nroot:x:1000:1000::/:/bin/sh\n");
    let bundle = bundle
        .file("/etc/group", "1000:x:0:\n")
        .set("/process/user", json!({"uid": 1000, "gid": 1000}));
    bundle
        .args(&["grep", "-E", "^(Uid|Gid)", "/proc/self/status"])
        .run()
        .ok()
        .prints("Uid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\n");
}
