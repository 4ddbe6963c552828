//! config-linux.md#namespaces.

use std::fs;
use std::process::Command;

use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, json, test, until};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("bad", what_contradicts_is_refused_with_its_path).needs(needs![minke]),
        test!("N2", a_namespace_without_path_is_new),
        test!("N2", a_new_cgroup_namespace_has_its_root_at_the_container)
            .needs(needs![file("/proc/self/ns/cgroup")]),
        test!("N2", a_new_time_namespace_has_its_offsets)
            .fails_on("crun 1.8", "its init dies")
            .fails_on("runc 1.1", "knows no time namespace")
            .needs(needs![file("/proc/self/ns/time")]),
        test!("N2", a_new_network_namespace_has_a_loopback_that_is_up),
        test!("N3", a_namespace_that_is_not_listed_is_that_of_the_runtime),
        test!("N1", a_namespace_with_path_is_joined),
        test!("N1", a_joined_mount_namespace_is_joined),
        test!("N1", a_joined_pid_namespace_is_joined),
        test!("N1", a_joined_time_namespace_is_joined)
            .fails_on("crun 1.8", "its init dies")
            .fails_on("runc 1.1", "knows no time namespace")
            .needs(needs![file("/proc/self/ns/time")]),
        test!("N1", a_bound_namespace_file_is_joined),
        test!("N1", a_joined_network_namespace_outlives_the_container),
        test!("N1", a_path_of_another_type_is_refused),
        test!("N1", a_path_that_is_no_namespace_is_refused),
        test!("N1", a_relative_path_is_refused),
        test!("N4", a_type_that_is_listed_twice_is_refused).fails_on("crun 1.8", "does not check"),
        test!("C8", an_unknown_type_is_refused),
        test!("namespaces", time_offsets_without_a_new_time_namespace_are_refused)
            .fails_on("crun", "ignores them")
            .fails_on("runc 1.1", "ignores them"),
        test!("namespaces", the_hostname_is_set),
        test!("namespaces", the_domainname_is_set).fails_on("runc 1.1", "ignores it"),
        test!("namespaces", a_hostname_without_a_uts_namespace_is_refused),
        test!("namespaces", a_domainname_without_a_uts_namespace_is_refused)
            .fails_on("runc 1.1", "ignores it"),
    ]
}

/// What /proc/PID/ns calls each type of the config.
const TYPES: [(&str, &str); 6] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mount", "mnt"),
    ("cgroup", "cgroup"),
];

fn namespace(pid: i32, name: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{name}"))
        .expect("a namespace")
        .to_string_lossy()
        .into_owned()
}

fn own(name: &str) -> String {
    namespace(i32::try_from(std::process::id()).unwrap(), name)
}

/// "If path is not specified, the runtime MUST create a new container namespace
/// of type type."
fn a_namespace_without_path_is_new(case: &Case) {
    let bundle = case.bundle().namespace("cgroup");
    bundle.create().ok();
    for (kind, name) in TYPES {
        assert_ne!(namespace(bundle.pid(), name), own(name), "{kind}");
    }
}

/// "cgroup: the container will have an isolated view of the cgroup hierarchy".
fn a_new_cgroup_namespace_has_its_root_at_the_container(case: &Case) {
    let output = case.bundle().namespace("cgroup").args(&["cat", "/proc/self/cgroup"]).run().ok();
    assert!(output.stdout.lines().count() > 0);
    assert!(!output.stdout.contains("conformance") && !output.stdout.contains("/.."), "{output}");
}

/// "timeOffsets sets the offset for the Time Namespace".
fn a_new_time_namespace_has_its_offsets(case: &Case) {
    let offsets =
        json!({"boottime": {"secs": 10_000_000}, "monotonic": {"secs": -1, "nanosecs": 5}});
    let bundle = case.bundle().namespace("time").set("/linux/timeOffsets", offsets);
    let output = bundle.sh("cat /proc/uptime /proc/self/timens_offsets").run().ok();
    let uptime: f64 = output.stdout.split(' ').next().unwrap().parse().unwrap();
    assert!(uptime > 10_000_000.0, "{output}");
    let words: Vec<_> = output.stdout.lines().skip(1).flat_map(str::split_whitespace).collect();
    assert_eq!(words, ["monotonic", "-1", "5", "boottime", "10000000", "0"], "{output}");
}

/// Not a must, but what every user of a container without network expects.
fn a_new_network_namespace_has_a_loopback_that_is_up(case: &Case) {
    let output = case.bundle().args(&["ip", "-o", "link"]).run().ok();
    assert!(output.stdout.contains("lo:") && output.stdout.contains("LOOPBACK,UP"), "{output}");
}

/// "If a namespace type is not specified in the namespaces array, the container
/// MUST inherit the runtime namespace of that type."
fn a_namespace_that_is_not_listed_is_that_of_the_runtime(case: &Case) {
    let bundle = ["pid", "network", "ipc", "uts"]
        .iter()
        .fold(case.bundle(), |bundle, kind| bundle.without_namespace(kind));
    let bundle = bundle.remove("/hostname").without_mount("/dev/mqueue");
    bundle.create().ok();
    for name in ["pid", "net", "ipc", "uts", "user", "cgroup"] {
        assert_eq!(namespace(bundle.pid(), name), own(name), "{name}");
    }
    assert_ne!(namespace(bundle.pid(), "mnt"), own("mnt"));
}

/// A container whose namespaces others may join.
fn donor(case: &Case) -> Bundle<'_> {
    let bundle = case.bundle().namespace("cgroup");
    bundle.create().ok();
    bundle
}

/// "The runtime MUST place the container process in the namespace associated
/// with that path."
fn a_namespace_with_path_is_joined(case: &Case) {
    let donor = donor(case);
    for (kind, name) in [TYPES[1], TYPES[2], TYPES[3], TYPES[5]] {
        let bundle = case
            .bundle()
            .remove("/hostname")
            .joins(kind, &format!("/proc/{}/ns/{name}", donor.pid()));
        bundle.create().ok();
        assert_eq!(namespace(bundle.pid(), name), namespace(donor.pid(), name), "{kind}");
        bundle.delete_force().ok();
    }
}

/// The same for the type that the rootfs is prepared in.
fn a_joined_mount_namespace_is_joined(case: &Case) {
    let mut donor = Command::new("unshare").args(["--mount", "sleep", "1000"]).spawn().unwrap();
    let pid = i32::try_from(donor.id()).unwrap();
    until("the donor's namespace", || namespace(pid, "mnt") != own("mnt"));
    let bundle = case.bundle().joins("mount", &format!("/proc/{pid}/ns/mnt"));
    let created = bundle.create();
    let joined =
        (created.code() == 0).then(|| namespace(bundle.pid(), "mnt") == namespace(pid, "mnt"));
    donor.kill().unwrap();
    donor.wait().unwrap();
    created.ok();
    assert_eq!(joined, Some(true));
}

/// Not setns but a further fork puts a process there. Both see each other.
fn a_joined_pid_namespace_is_joined(case: &Case) {
    let donor = case.bundle().running();
    let bundle = case.bundle().joins("pid", &format!("/proc/{}/ns/pid", donor.pid()));
    let created = bundle.sh("echo $$; tr '\\0' ' ' < /proc/1/cmdline").started();
    assert_eq!(namespace(donor.pid(), "pid"), namespace(donor.pid(), "pid"));
    until("the program's output", || created.stdout_by_now().contains("ready"));
    let pid: i32 = created.stdout_by_now().lines().next().unwrap().parse().unwrap();
    assert!(pid > 1, "{pid}");
}

/// As with pid, only children of the joining process are in it.
fn a_joined_time_namespace_is_joined(case: &Case) {
    let donor = case
        .bundle()
        .namespace("time")
        .set("/linux/timeOffsets", json!({"boottime": {"secs": 77}}));
    donor.create().ok();
    let bundle = case.bundle().joins("time", &format!("/proc/{}/ns/time", donor.pid()));
    bundle.create().ok();
    assert_eq!(namespace(bundle.pid(), "time"), namespace(donor.pid(), "time"));
    assert_ne!(namespace(bundle.pid(), "time"), own("time"));
}

/// As CNI has them: a file that a namespace is bound to.
fn a_bound_namespace_file_is_joined(case: &Case) {
    let file = case.path("netns");
    fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    let bundle = case.bundle().joins("network", file).sh("readlink /proc/self/ns/net");
    let script = format!("unshare --net={file} true && stat --format=%i {file} >&2");
    let run = bundle.launch("run", &[]).after(&script).run();
    let output = bundle.settle(run).ok();
    assert_eq!(output.stdout.trim(), format!("net:[{}]", output.stderr.trim()));
}

/// L10: "resources … not created by this container, MUST NOT be deleted".
fn a_joined_network_namespace_outlives_the_container(case: &Case) {
    let donor = donor(case);
    let bundle = case.bundle().joins("network", &format!("/proc/{}/ns/net", donor.pid()));
    bundle.outcome();
    assert_ne!(namespace(donor.pid(), "net"), own("net"));
    assert_eq!(donor.status(), "created");
}

/// "The runtime MUST generate an error if path is not associated with a
/// namespace of type type."
fn a_path_of_another_type_is_refused(case: &Case) {
    for (kind, name) in TYPES {
        let other = if name == "uts" { "ipc" } else { "uts" };
        let bundle =
            case.bundle().remove("/hostname").joins(kind, &format!("/proc/self/ns/{other}"));
        bundle.create().fails();
        case.leaves_nothing();
    }
}

/// The same: nothing there, or something else.
fn a_path_that_is_no_namespace_is_refused(case: &Case) {
    for path in ["/no/such/namespace", "/etc/passwd", "/"] {
        case.bundle().joins("network", path).create().fails();
        case.leaves_nothing();
    }
}

/// "This value MUST be an absolute path in the runtime mount namespace."
fn a_relative_path_is_refused(case: &Case) {
    case.bundle()
        .joins("network", "proc/self/ns/net")
        .launch("create", &[])
        .directory("/".as_ref())
        .run()
        .fails();
    case.leaves_nothing();
}

/// "If a namespaces field contains duplicated namespaces with same type, the
/// runtime MUST generate an error."
fn a_type_that_is_listed_twice_is_refused(case: &Case) {
    for (kind, _) in TYPES {
        let bundle = case.bundle().namespace(kind).push("/linux/namespaces", json!({"type": kind}));
        bundle.create().fails();
        case.leaves_nothing();
    }
}

/// extensibility: "MUST generate an error when invalid or unsupported values
/// are encountered".
fn an_unknown_type_is_refused(case: &Case) {
    case.bundle().namespace("space").create().fails();
    case.leaves_nothing();
}

/// They would change nothing, or somebody else's clock.
fn time_offsets_without_a_new_time_namespace_are_refused(case: &Case) {
    case.bundle().set("/linux/timeOffsets", json!({"boottime": {"secs": 1}})).create().fails();
    case.leaves_nothing();
}

/// "hostname … as seen by processes running inside the container".
fn the_hostname_is_set(case: &Case) {
    case.bundle()
        .set("/hostname", json!("my-host"))
        .args(&["hostname"])
        .run()
        .ok()
        .prints("my-host\n");
}

/// "domainname … as seen by processes running inside the container".
fn the_domainname_is_set(case: &Case) {
    let bundle = case.bundle().set("/domainname", json!("my.domain"));
    bundle.args(&["cat", "/proc/sys/kernel/domainname"]).run().ok().prints("my.domain\n");
}

/// It would change the host's.
fn a_hostname_without_a_uts_namespace_is_refused(case: &Case) {
    case.bundle().without_namespace("uts").create().fails();
    case.leaves_nothing();
}

/// The same.
fn a_domainname_without_a_uts_namespace_is_refused(case: &Case) {
    let bundle = case
        .bundle()
        .without_namespace("uts")
        .remove("/hostname")
        .set("/domainname", json!("my.domain"));
    bundle.create().fails();
    case.leaves_nothing();
}

/// In one line, before anything is made.
fn what_contradicts_is_refused_with_its_path(case: &Case) {
    let offsets = json!({"boottime": {"secs": 1}});
    let nanoseconds = json!({"monotonic": {"nanosecs": 1_000_000_000}});
    let clock = json!({"realtime": {"secs": 1}});
    let joins_time = || case.bundle().joins("time", "/proc/self/ns/time");
    for (bundle, field) in [
        (joins_time().set("/linux/timeOffsets", offsets.clone()), "linux.timeOffsets"),
        (case.bundle().set("/linux/timeOffsets", offsets), "linux.timeOffsets"),
        (
            case.bundle().namespace("time").set("/linux/timeOffsets", nanoseconds),
            "linux.timeOffsets.monotonic.nanosecs",
        ),
        (
            case.bundle().namespace("time").set("/linux/timeOffsets", clock),
            "linux.timeOffsets.realtime",
        ),
        (case.bundle().without_namespace("uts"), "hostname"),
        (
            case.bundle()
                .without_namespace("uts")
                .remove("/hostname")
                .set("/domainname", json!("d")),
            "domainname",
        ),
        (
            case.bundle()
                .without_namespace("network")
                .set("/linux/netDevices", json!({"eth9": {}})),
            "linux.netDevices[\"eth9\"]",
        ),
        (case.bundle().joins("user", "/proc/self/ns/net"), "linux.namespaces[5].path"),
        (case.bundle().joins("user", "proc/self/ns/user"), "linux.namespaces[5].path"),
    ] {
        let output = bundle.create().exits(1);
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
        assert!(output.stderr.contains(&format!("config.json: {field}: ")), "{field}: {output}");
        case.leaves_nothing();
    }
}
