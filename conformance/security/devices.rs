//! Devices of the image in the place of those that the runtime relies on.

use std::fs;

use crate::support::{Bundle, Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("CVE-2025-31133", a_null_that_is_a_link_masks_nothing)
            .fails_on("runc 1.1", "binds what the link leads to"),
        test!("CVE-2025-31133", a_null_that_is_a_file_masks_nothing)
            .fails_on("runc 1.1", "binds the file"),
        test!("CVE-2025-31133", a_null_of_a_bound_dev_masks_nothing)
            .fails_on("runc 1.1", "binds what it is"),
        test!("CVE-2025-52565", a_console_that_is_a_link_gets_no_terminal)
            .fails_on("crun 1.8", "binds it over what the link leads to")
            .fails_on("runc 1.1", "binds it over what the link leads to"),
        test!("links", descriptors_that_are_links_are_not_followed),
    ]
}

/// A container that brings its own /dev.
fn own_dev(case: &Case) -> Bundle<'_> {
    let none = ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"];
    none.iter().fold(case.bundle(), |bundle, destination| bundle.without_mount(destination))
}

/// Masking binds /dev/null over a file. If that is something else, this would
/// show up there, writable.
fn masked(case: &Case, bundle: Bundle<'_>) {
    let bundle = bundle.file("/secret", "s3cret\n").file("/victim", "victim\n");
    let bundle = bundle.set("/linux/maskedPaths", json!(["/secret"]));
    let bundle = bundle.sh("[ -s /secret ] && exit 99; echo written > /secret");
    let output = bundle.run();
    assert_ne!(output.code(), 99, "not masked: {output}");
    assert_eq!(fs::read_to_string(bundle.rootfs("/victim")).unwrap(), "victim\n");
    assert_eq!(fs::read_to_string(bundle.rootfs("/secret")).unwrap(), "s3cret\n");
    case.leaves_nothing();
}

/// Either create fails, or the file is masked all the same.
fn a_null_that_is_a_link_masks_nothing(case: &Case) {
    for target in ["/victim", "../victim", "/proc/sys/kernel/core_pattern", "zero"] {
        masked(case, own_dev(case).link("/dev/null", target));
    }
}

/// The same.
fn a_null_that_is_a_file_masks_nothing(case: &Case) {
    masked(case, own_dev(case).file("/dev/null", "victim\n"));
}

/// The same where the runtime makes no devices: /dev comes from outside.
fn a_null_of_a_bound_dev_masks_nothing(case: &Case) {
    let (with_link, with_file) = (case.path("with-link"), case.path("with-file"));
    fs::create_dir(&with_link).unwrap();
    fs::create_dir(&with_file).unwrap();
    std::os::unix::fs::symlink("/victim", with_link.join("null")).unwrap();
    fs::write(with_file.join("null"), "victim\n").unwrap();
    for dev in [&with_link, &with_file] {
        masked(case, own_dev(case).bind(dev, "/dev", &["rbind"]));
    }
    assert_eq!(fs::read_to_string(with_file.join("null")).unwrap(), "victim\n");
}

/// A terminal is bound over /dev/console, and chowned.
fn a_console_that_is_a_link_gets_no_terminal(case: &Case) {
    let bundle =
        own_dev(case).mount("/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=0666"]);
    let bundle = bundle.file("/victim", "victim\n").link("/dev/console", "/victim");
    let bundle = bundle
        .set("/process/terminal", json!(true))
        .set("/process/user", json!({"uid": 7, "gid": 7}));
    let bundle = bundle.sh("stat -c %s /victim");
    let (mut terminal, slave) = crate::support::terminal::Terminal::open(24, 80);
    let output = bundle.launch("run", &[]).terminal(slave).run();
    if output.code() == 0 {
        terminal.until("7");
    }
    let meta = fs::metadata(bundle.rootfs("/victim")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&meta), 0, "{output}");
    case.leaves_nothing();
}

/// /dev/fd, stdin and the others are links that the runtime makes; what the
/// image has there must not lead it out.
fn descriptors_that_are_links_are_not_followed(case: &Case) {
    let victim = case.path("victim");
    fs::create_dir(&victim).unwrap();
    let bundle = ["fd", "stdin", "stdout", "stderr", "ptmx", "core"]
        .iter()
        .fold(own_dev(case), |bundle, name| {
            bundle.link(&format!("/dev/{name}"), victim.join(name))
        });
    bundle.run();
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
    case.leaves_nothing();
}
