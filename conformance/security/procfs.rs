//! A /proc that is not the kernel's: what the runtime writes there would go
//! elsewhere.

use std::fs;

use crate::support::{Case, Test, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("CVE-2019-16884", a_mount_over_proc_is_refused).fails_on("crun", "allows it"),
        test!("CVE-2019-16884", a_mount_inside_proc_is_refused).fails_on("crun", "allows it"),
        test!("CVE-2019-16884", a_mount_inside_proc_by_another_name_is_refused)
            .fails_on("crun", "allows it"),
        test!("CVE-2025-52881", a_mount_over_the_attributes_of_processes_is_refused)
            .fails_on("crun", "allows it")
            .fails_on("runc 1.1", "allows it"),
        test!("CVE-2021-43784", a_config_of_many_mounts_works),
    ]
}

/// Anything but a procfs at /proc.
fn a_mount_over_proc_is_refused(case: &Case) {
    let volume = case.path("volume");
    fs::create_dir_all(volume.join("self/attr")).unwrap();
    case.bundle().without_mount("/proc").bind(&volume, "/proc", &["bind"]).create().fails();
    case.bundle().bind(&volume, "/proc", &["bind"]).create().fails();
    case.bundle().mount("/proc", "tmpfs", "tmpfs", &[]).create().fails();
    case.leaves_nothing();
}

/// But for the files that lxcfs makes.
fn a_mount_inside_proc_is_refused(case: &Case) {
    let volume = case.path("volume");
    fs::create_dir(&volume).unwrap();
    for destination in ["/proc/sys", "/proc/1", "/proc/self", "/proc/sys/kernel", "/proc/fs"] {
        case.bundle().bind(&volume, destination, &["bind"]).create().fails().tells("proc");
        case.leaves_nothing();
    }
}

/// It is the place that counts.
fn a_mount_inside_proc_by_another_name_is_refused(case: &Case) {
    let volume = case.path("volume");
    fs::create_dir(&volume).unwrap();
    for target in ["/proc/sys", "proc/../proc/sys", "/proc/self/root/proc/sys"] {
        case.bundle().link("/link", target).bind(&volume, "/link", &["bind"]).create().fails();
        case.leaves_nothing();
    }
    case.bundle().bind(&volume, "/tmp/../proc/sys", &["bind"]).create().fails();
    case.leaves_nothing();
}

/// A label that is written there must not be lost.
fn a_mount_over_the_attributes_of_processes_is_refused(case: &Case) {
    for destination in ["/proc/self/attr", "/proc/thread-self/attr", "/proc/self/attr/exec"] {
        case.bundle().mount(destination, "tmpfs", "tmpfs", &[]).create().fails();
        case.leaves_nothing();
    }
}

/// runc's message for them had a length of 16 bits.
fn a_config_of_many_mounts_works(case: &Case) {
    let volume = case.path(&"v".repeat(250));
    fs::create_dir(&volume).unwrap();
    let bundle = (0..280).fold(case.bundle(), |bundle, number| {
        bundle.bind(&volume, &format!("/m/{number}"), &["bind"])
    });
    bundle.args(&["grep", "-c", " /m/", "/proc/self/mountinfo"]).run().ok().prints("280\n");
}
