//! Cgroups by systemd: what its manager shows, and what the kernel holds.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    [
        test!("systemd", the_scope_has_the_limits_as_properties),
        test!("systemd", annotations_are_properties_of_the_scope),
        test!("systemd", the_unit_is_gone_after_delete),
        test!("systemd", device_rules_outlive_a_reload_of_systemd),
        test!("systemd", a_path_of_another_shape_is_refused),
        test!("systemd", a_bus_that_is_dead_or_hangs_is_told),
    ]
    .map(|test| test.needs(needs![file("/run/systemd/private"), cgroup2]))
    .to_vec()
}

fn scope(case: &Case) -> (Bundle<'_>, String) {
    let bundle = case.bundle();
    let unit = format!("conf-{}.scope", bundle.id);
    let path = format!("system.slice:conf:{}", bundle.id);
    (bundle.set("/linux/cgroupsPath", json!(path)), unit)
}

/// As the engines say it, before the command.
fn create(bundle: &Bundle) -> crate::support::command::Output {
    let root = bundle.case.root();
    let output = bundle.launch("create", &[]);
    let globals = ["--root", root.to_str().unwrap(), "--systemd-cgroup"];
    bundle.settle(output.globals(globals).run())
}

fn property(unit: &str, name: &str) -> String {
    let mut show = Command::new("systemctl");
    let output = show.args(["show", "--value", "--property", name, unit]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn held(unit: &str, file: &str) -> String {
    let path = PathBuf::from("/sys/fs/cgroup/system.slice").join(unit).join(file);
    fs::read_to_string(path).unwrap().trim().to_owned()
}

fn the_scope_has_the_limits_as_properties(case: &Case) {
    let (bundle, unit) = scope(case);
    let resources = json!({
        "memory": {"limit": 67_108_864}, "pids": {"limit": 50},
        "cpu": {"shares": 1024, "quota": 20_000, "period": 100_000}
    });
    let bundle = bundle.set("/linux/resources", resources);
    create(&bundle).ok();
    for (name, value) in [
        ("MemoryMax", "67108864"),
        ("TasksMax", "50"),
        ("CPUWeight", "100"),
        ("CPUQuotaPerSecUSec", "200ms"),
        ("Slice", "system.slice"),
        ("Delegate", "yes"),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    assert_eq!(held(&unit, "memory.max"), "67108864");
    assert_eq!(held(&unit, "pids.max"), "50");
    assert_eq!(held(&unit, "cpu.max"), "20000 100000");
    assert_eq!(held(&unit, "cgroup.procs"), bundle.pid().to_string());
}

fn annotations_are_properties_of_the_scope(case: &Case) {
    let (bundle, unit) = scope(case);
    let bundle = bundle.set(
        "/annotations",
        json!({"org.systemd.property.TimeoutStopSec": "7", "org.systemd.property.Description": "'mine'"}),
    );
    create(&bundle).ok();
    assert_eq!(property(&unit, "TimeoutStopUSec"), "7s");
    assert_eq!(property(&unit, "Description"), "mine");
}

fn the_unit_is_gone_after_delete(case: &Case) {
    let (bundle, unit) = scope(case);
    let bundle = bundle.sleeps();
    create(&bundle).ok();
    bundle.start().ok();
    assert_eq!(property(&unit, "ActiveState"), "active");
    bundle.delete_force().ok();
    assert_eq!(property(&unit, "LoadState"), "not-found");
    case.leaves_nothing();
}

/// Full is allowed to all; the kernel's log is not.
fn device_rules_outlive_a_reload_of_systemd(case: &Case) {
    let (bundle, _) = scope(case);
    let script = "mknod /tmp/kmsg c 1 11; read x < /go; head -c 0 /dev/full && \
        { head -c 1 /tmp/kmsg >/dev/null 2>&1 || echo denied; }";
    let bundle = bundle.sh(script).push("/process/capabilities/bounding", json!("CAP_MKNOD"));
    let bundle = bundle.push("/process/capabilities/effective", json!("CAP_MKNOD"));
    let bundle = bundle.push("/process/capabilities/permitted", json!("CAP_MKNOD"));
    let go = bundle.rootfs("go");
    assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
    let created = create(&bundle).ok();
    bundle.start().ok();
    assert!(Command::new("systemctl").arg("daemon-reload").status().unwrap().success());
    fs::write(go, "go\n").unwrap();
    bundle.until_stopped();
    assert_eq!(created.stdout_by_now(), "denied\n");
}

fn a_path_of_another_shape_is_refused(case: &Case) {
    let (bundle, _) = scope(case);
    let bundle = bundle.set("/linux/cgroupsPath", json!("/a/b"));
    create(&bundle).fails().says("expected cgroupsPath to be of format \"slice:prefix:name\"");
    case.leaves_nothing();
}

/// A socket that nobody listens on, and one whose owner never answers.
fn a_bus_that_is_dead_or_hangs_is_told(case: &Case) {
    let socket = case.path("bus");
    let listener = UnixListener::bind(&socket).unwrap();
    let address = format!("unix:path={}", socket.display());
    let root = case.root();
    let ask = |bundle: &Bundle| {
        let globals = ["--root", root.to_str().unwrap(), "--systemd-cgroup"];
        let create = bundle.launch("create", &[]).globals(globals);
        create.variable("DBUS_SYSTEM_BUS_ADDRESS", &address).run()
    };
    ask(&scope(case).0).fails().says("does not answer in time");
    case.leaves_nothing();
    drop(listener);
    ask(&scope(case).0).fails().says("connect to systemd");
    case.leaves_nothing();
}
