//! Cgroups of an ordinary user: by the systemd that is his own, or made in what
//! was delegated to him. To be run as that user, in a unit of his systemd.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::rootless;
use crate::support::command::{Invocation, Output};
use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, json, test, until};

pub(crate) fn tests() -> Vec<Test> {
    let tests = [
        test!("systemd", a_users_scope_has_his_limits),
        test!("systemd", without_a_path_the_scope_is_in_the_users_slice),
        test!("systemd", who_is_root_in_a_user_namespace_has_a_scope_of_the_user),
        test!("systemd", a_users_container_is_updated_paused_and_killed),
        test!("systemd", without_a_manager_it_is_told).fails_on("runc", "other words"),
        test!("cgroups", a_users_limits_hold_where_he_may_make_cgroups),
    ]
    .map(|test| test.without_root().needs(needs![user_manager, cgroup2]));
    let by_root = test!("systemd", a_user_outside_his_manager_gets_into_his_scope)
        .fails_on("runc 1.1", "what is executed stays in the caller's cgroup")
        .needs(needs![file("/var/lib/systemd/linger/tester"), cgroup2]);
    [&tests[..], &[by_root]].concat()
}

/// A bundle whose user namespace has but the user, as root.
fn bundle(case: &Case) -> Bundle<'_> {
    let map = |id: u32| json!([{"containerID": 0, "hostID": id, "size": 1}]);
    case.bundle()
        .namespace("user")
        .set("/linux/uidMappings", map(rustix::process::getuid().as_raw()))
        .set("/linux/gidMappings", map(rustix::process::getgid().as_raw()))
        .set("/mounts/2/options", json!(["nosuid", "noexec", "newinstance"]))
}

/// The same with a scope of the user's, and its name.
fn scope(case: &Case) -> (Bundle<'_>, String) {
    let bundle = bundle(case);
    let (path, unit) = (format!(":conf:{}", bundle.id), format!("conf-{}.scope", bundle.id));
    (bundle.set("/linux/cgroupsPath", json!(path)), unit)
}

fn by_systemd<'c>(bundle: &Bundle<'c>, command: &str) -> Invocation<'c> {
    let root = bundle.case.root();
    let globals = ["--root", root.to_str().unwrap(), "--systemd-cgroup"];
    bundle.launch(command, &[]).globals(globals)
}

fn create(bundle: &Bundle) -> Output {
    let output = bundle.settle(by_systemd(bundle, "create").run()).ok();
    assert_eq!(output.stderr, "", "{output}");
    output
}

fn property(unit: &str, name: &str) -> String {
    let mut show = Command::new("systemctl");
    let output = show.args(["--user", "show", "--value", "--property", name, unit]).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
}

/// The directory of a container's cgroup.
fn directory(bundle: &Bundle) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{}/cgroup", bundle.pid())).unwrap();
    PathBuf::from(format!("/sys/fs/cgroup{}", text.trim().strip_prefix("0::").unwrap()))
}

fn held(bundle: &Bundle, file: &str) -> String {
    fs::read_to_string(directory(bundle).join(file)).unwrap().trim().to_owned()
}

const LIMITS: &str = r#"{"memory": {"limit": 67108864}, "pids": {"limit": 50},
    "cpu": {"quota": 20000, "period": 100000}, "devices": [{"allow": false, "access": "rwm"}]}"#;

/// Device rules are not for a user to set, and no reason to fail.
fn a_users_scope_has_his_limits(case: &Case) {
    let (bundle, unit) = scope(case);
    let limits: crate::support::Value = serde_json::from_str(LIMITS).unwrap();
    let bundle = bundle.set("/linux/resources", limits).sh("cat /proc/self/cgroup; id -u");
    let bundle = bundle.namespace("cgroup");
    let created = create(&bundle);
    assert!(directory(&bundle).ends_with(&unit), "{:?}", directory(&bundle));
    for (name, value) in [
        ("ActiveState", "active"),
        ("Slice", "user.slice"),
        ("MemoryMax", "67108864"),
        ("TasksMax", "50"),
        ("CPUQuotaPerSecUSec", "200ms"),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    assert_eq!(held(&bundle, "memory.max"), "67108864");
    assert_eq!(held(&bundle, "pids.max"), "50");
    assert_eq!(held(&bundle, "cpu.max"), "20000 100000");
    bundle.start().ok();
    bundle.until_stopped();
    assert_eq!(created.stdout_by_now(), "0::/\n0\n");
    bundle.delete().ok();
    assert_eq!(property(&unit, "LoadState"), "not-found");
    case.leaves_nothing();
}

fn without_a_path_the_scope_is_in_the_users_slice(case: &Case) {
    let bundle = bundle(case).remove("/linux/cgroupsPath");
    create(&bundle);
    let path = directory(&bundle);
    let uid = rustix::process::getuid().as_raw();
    let above = format!("user@{uid}.service/user.slice");
    assert!(path.parent().unwrap().ends_with(above), "{}", path.display());
    assert!(path.to_str().unwrap().ends_with(&format!("-{}.scope", bundle.id)));
}

/// As Podman calls a runtime for a user.
fn who_is_root_in_a_user_namespace_has_a_scope_of_the_user(case: &Case) {
    let (bundle, unit) = scope(case);
    let bundle = bundle
        .without_namespace("user")
        .remove("/linux/uidMappings")
        .remove("/linux/gidMappings")
        .set("/linux/resources/pids/limit", json!(50))
        .sleeps();
    let user = ["unshare", "--user", "--map-root-user", "--mount"];
    bundle.settle(by_systemd(&bundle, "create").through(user).run()).ok();
    let run = |command| bundle.command(command, &[]).through(user).run().ok();
    run("start");
    assert_eq!(property(&unit, "TasksMax"), "50");
    assert!(directory(&bundle).ends_with(&unit), "{:?}", directory(&bundle));
    bundle.command("delete", &["--force"]).through(user).run().ok();
    assert_eq!(property(&unit, "LoadState"), "not-found");
    case.leaves_nothing();
}

fn a_users_container_is_updated_paused_and_killed(case: &Case) {
    let (bundle, unit) = scope(case);
    let bundle = bundle.sh("(sleep 1000 &); echo ready; exec sleep 1000");
    let created = create(&bundle);
    bundle.start().ok();
    until("the program", || created.stdout_by_now() == "ready\n");
    bundle.command("update", &["--memory", "64m", "--pids-limit", "40"]).run().ok();
    for (name, file, value) in
        [("MemoryMax", "memory.max", "67108864"), ("TasksMax", "pids.max", "40")]
    {
        assert_eq!((property(&unit, name), held(&bundle, file)), (value.into(), value.into()));
    }
    let exec = case.runtime(["exec", &bundle.id, "cat", "/proc/self/cgroup"]).run().ok();
    assert!(exec.stdout.trim().ends_with(&unit), "{exec}");
    bundle.command("pause", &[]).run().ok();
    assert_eq!(held(&bundle, "cgroup.freeze"), "1");
    bundle.command("resume", &[]).run().ok();
    bundle.kill("KILL").ok();
    bundle.until_stopped();
    bundle.delete().ok();
    assert_eq!(property(&unit, "LoadState"), "not-found");
    case.leaves_nothing();
}

fn without_a_manager_it_is_told(case: &Case) {
    let (bundle, _) = scope(case);
    let none = ["env", "-u", "XDG_RUNTIME_DIR", "-u", "DBUS_SESSION_BUS_ADDRESS"];
    let output = by_systemd(&bundle, "create").through(none).run().fails();
    output.says("connect to systemd");
    case.leaves_nothing();
}

/// Beside the cgroup of the runtime, or where the path says.
fn a_users_limits_hold_where_he_may_make_cgroups(case: &Case) {
    let bundle = bundle(case).remove("/linux/cgroupsPath");
    let limits: crate::support::Value = serde_json::from_str(LIMITS).unwrap();
    let bundle = bundle.set("/linux/resources", limits).sleeps();
    bundle.started();
    assert_eq!(held(&bundle, "memory.max"), "67108864");
    assert_eq!(held(&bundle, "pids.max"), "50");
    assert_eq!(held(&bundle, "cpu.max"), "20000 100000");
    bundle.delete_force().ok();
    case.leaves_nothing();
}

/// As in a session by ssh: what is above both his session and his manager is
/// root's, so he cannot move a process from the one to the other.
fn a_user_outside_his_manager_gets_into_his_scope(case: &Case) {
    let begin = Command::new("systemctl").args(["start", "user@1000.service"]).status();
    assert!(begin.unwrap().success());
    let bundle = rootless::bundle_of(1000, case).namespace("cgroup");
    let bundle = bundle.sh("cat /proc/self/cgroup; sleep 1000");
    let (path, unit) = (format!(":conf:{}", bundle.id), format!("conf-{}.scope", bundle.id));
    let bundle = bundle.set("/linux/cgroupsPath", json!(path));
    let run = |invocation: Invocation<'_>| {
        let invocation = invocation.variable("XDG_RUNTIME_DIR", "/run/user/1000");
        rootless::by(1000, case, invocation).run().ok()
    };
    let created = bundle.settle(run(by_systemd(&bundle, "create")));
    run(bundle.command("start", &[]));
    assert!(directory(&bundle).ends_with(&unit), "{:?}", directory(&bundle));
    until("the program", || created.stdout_by_now() == "0::/\n");
    let exec = case.runtime(["exec", &bundle.id, "cat", "/proc/self/cgroup"]);
    assert_eq!(run(exec).stdout, "0::/\n");
    run(bundle.command("delete", &["--force"]));
    case.leaves_nothing();
}
