//! What an ordinary user can do, without a line in /etc/subuid.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use crate::support::command::Invocation;
use crate::support::{Bundle, Case, Test, json, runtime, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("rootless", a_user_runs_a_container_and_is_root_in_it)
            .fails_on("crun 1.8", "cannot do without cgroups here"),
        test!("rootless", a_user_has_a_state_directory_of_its_own),
        test!("rootless", who_is_root_in_a_user_namespace_runs_a_container_there)
            .fails_on("crun 1.8", "cannot do without cgroups here"),
        test!("rootless", limits_that_a_user_cannot_set_are_refused),
    ]
}

/// Without `--root`: below `XDG_RUNTIME_DIR`, also for who is root only in a
/// user namespace. What `delete --force` removes shows where the runtime looks.
fn a_user_has_a_state_directory_of_its_own(case: &Case) {
    let stale = case.path("xdg").join(runtime::name()).join(format!("stale-{USER}"));
    fs::set_permissions(&case.dir, Permissions::from_mode(0o777)).unwrap();
    let id = USER.to_string();
    let user = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"];
    let in_namespace = [&user[..], &["unshare", "--user", "--map-root-user"]].concat();
    for (who, finds) in [(&["env"][..], false), (&user, true), (&in_namespace, true)] {
        fs::create_dir_all(&stale).unwrap();
        for directory in stale.ancestors().take(3) {
            chown(directory, Some(USER), Some(USER)).unwrap();
        }
        let output = std::process::Command::new(who[0])
            .args(&who[1..])
            .arg(program(case))
            .args(["delete", "--force", &format!("stale-{USER}")])
            .env("XDG_RUNTIME_DIR", case.path("xdg"))
            .env_remove("USER")
            .output()
            .unwrap();
        assert_ne!(stale.exists(), finds, "{who:?}: {output:?}");
    }
}

/// Nobody on this machine.
const USER: u32 = 54_321;

/// A bundle of the user's, who becomes root in it.
fn bundle(case: &Case) -> Bundle<'_> {
    let bundle = case.bundle();
    for path in ["", "tmp", "dev", "proc", "sys", "root"] {
        chown(bundle.rootfs(path), Some(USER), Some(USER)).unwrap();
    }
    fs::set_permissions(&case.dir, Permissions::from_mode(0o777)).unwrap();
    let map = json!([{"containerID": 0, "hostID": USER, "size": 1}]);
    bundle
        .namespace("user")
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .remove("/linux/cgroupsPath")
        .set("/mounts/2/options", json!(["nosuid", "noexec", "newinstance"]))
}

/// A copy of the runtime that everybody may execute.
fn program(case: &Case) -> PathBuf {
    let copy = case.path("runtime");
    if !copy.exists() {
        // Not by this process: what it forks meanwhile would keep the file open
        // for writing, and it could not be executed.
        let cp = std::process::Command::new("cp").arg(&*runtime::PATH).arg(&copy).status();
        assert!(cp.unwrap().success());
        fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
    }
    copy
}

fn by_user<'c>(case: &'c Case, invocation: Invocation<'c>) -> Invocation<'c> {
    let id = USER.to_string();
    let user = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"];
    invocation.program(&program(case)).through(user)
}

/// Root's ids inside are the user's outside, and what is there of cgroups
/// cannot be written (CVE-2023-25809).
fn a_user_runs_a_container_and_is_root_in_it(case: &Case) {
    let bundle = bundle(case)
        .sh("id -u; cat /proc/self/uid_map; touch /sys/fs/cgroup/x 2>/dev/null || echo ro");
    let output = by_user(case, bundle.launch("run", &[])).run().ok();
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words.join(" "), format!("0 0 {USER} 1 ro"));
}

/// As Podman calls a runtime for a user: devices are bound, not made.
fn who_is_root_in_a_user_namespace_runs_a_container_there(case: &Case) {
    let bundle = bundle(case)
        .without_namespace("user")
        .remove("/linux/uidMappings")
        .remove("/linux/gidMappings")
        .sh("echo x > /dev/null && stat -c %t:%T /dev/null; id -u");
    let id = USER.to_string();
    let user = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"];
    let user = [&user[..], &["unshare", "--user", "--map-root-user", "--mount"]].concat();
    let run = bundle.launch("run", &[]).program(&program(case)).through(user).run();
    run.ok().prints("1:3\n0\n");
}

/// In runc's words.
fn limits_that_a_user_cannot_set_are_refused(case: &Case) {
    let bundle = bundle(case).set("/linux/resources", json!({"pids": {"limit": 9}}));
    let output = by_user(case, bundle.launch("create", &[])).run().fails();
    output
        .says("rootless needs no limits + no cgrouppath when no permission is granted for cgroups");
    case.leaves_nothing();
}
