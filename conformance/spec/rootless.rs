//! What an ordinary user can do, with and without lines in /etc/subuid.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::support::command::Invocation;
use crate::support::needs::{Need, needs};
use crate::support::{Bundle, Case, Test, Value, json, runtime, scratch, test, until};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("rootless", a_user_runs_a_container_and_is_root_in_it)
            .may_fail_on("crun 1.8", "cannot do without cgroups here"),
        test!("CVE-2016-9962", what_a_user_brings_in_shows_no_descriptor)
            .may_fail_on("crun 1.8", "cannot do without cgroups here"),
        test!("rootless", what_root_brings_in_does_not_have_its_groups)
            .may_fail_on("runc 1.1", "keeps them")
            .may_fail_on("crun 1.8", "cannot do without cgroups here"),
        test!("rootless", a_user_has_a_state_directory_of_its_own)
            .fails_on("crun 1.8", "takes it for root as well"),
        test!("rootless", a_state_directory_is_not_pruned).fails_on("crun 1.8", "prunes it"),
        test!("rootless", the_rootless_example_runs).needs(needs![command("spec")]),
        test!("CVE-2023-25809", cgroups_that_are_bound_cannot_be_written)
            .may_fail_on("crun 1.8", "binds the whole hierarchy")
            .may_fail_on("runc 1.1", "binds what it has no path to"),
        test!("rootless", a_user_with_a_cgroup_has_its_containers_below_it)
            .fails_on("crun 1.8", "makes none unless it is told a path"),
        test!("rootless", who_is_root_in_a_user_namespace_runs_a_container_there)
            .may_fail_on("crun 1.8", "cannot do without cgroups here"),
        test!("rootless", limits_that_a_user_cannot_set_are_refused)
            .may_fail_on("runc 1.1", "has other words on cgroup v1")
            .may_fail_on("crun 1.8", "ignores them"),
        test!("rootless", a_user_with_ranges_has_their_ids)
            .fails_on("runc 1.1", "gives no additional groups to a user")
            .needs(ranges()),
        test!("rootless", a_user_without_ranges_is_told_where_they_belong)
            .needs(needs![minke])
            .needs(ranges()),
        test!("rootless", without_newuidmap_its_package_is_named).needs(needs![minke]),
        test!("rootless", a_newuidmap_without_rights_is_told).needs(needs![minke]).needs(ranges()),
        test!("rootless", a_setting_that_forbids_user_namespaces_is_named).needs(needs![minke]),
    ]
}

/// Debian's package `uidmap`.
fn ranges() -> Vec<Need> {
    needs![file("/usr/bin/newuidmap"), file("/usr/bin/newgidmap")]
}

/// Nobody on this machine.
const USER: u32 = 54_321;
/// Where the user's range begins, of 65536 ids.
const RANGE: u32 = 7_000_000;

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

/// The XDG base directory specification: files in `XDG_RUNTIME_DIR` may be
/// removed after six hours, unless they have the sticky bit.
fn a_state_directory_is_not_pruned(case: &Case) {
    let bundle = bundle(case);
    let xdg = case.path("xdg");
    fs::create_dir(&xdg).unwrap();
    chown(&xdg, Some(USER), Some(USER)).unwrap();
    let root = ["--log", case.path("log").to_str().unwrap()].map(str::to_owned);
    let here = |invocation: Invocation<'_>| {
        let invocation = by_user(case, invocation).globals(&root);
        invocation.variable("XDG_RUNTIME_DIR", xdg.to_str().unwrap()).run()
    };
    here(bundle.launch("create", &[])).ok();
    let state = fs::metadata(xdg.join(runtime::name())).unwrap();
    here(bundle.command("delete", &["--force"])).ok();
    assert_eq!((state.mode() & 0o7777, state.uid()), (0o1700, USER));
}

/// What `spec --rootless` gives to a user is a bundle that runs for it.
fn the_rootless_example_runs(case: &Case) {
    let bundle = bundle(case);
    chown(&bundle.dir, Some(USER), Some(USER)).unwrap();
    by_user(case, case.runtime(["spec", "--rootless"]).directory(&bundle.dir)).run().ok();
    let config = bundle.dir.join("config.json");
    let mut spec: Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    spec["process"]["terminal"] = json!(false);
    let script =
        "id -u; cat /proc/self/uid_map; for f in $(find /sys/fs/cgroup -name cgroup.procs); do
        mkdir ${f%cgroup.procs}x 2>/dev/null && echo $f; done; true";
    spec["process"]["args"] = json!(["sh", "-c", script]);
    fs::write(&config, spec.to_string()).unwrap();
    let bundle_dir = bundle.dir.to_str().unwrap();
    let run = case.runtime(["run", "--bundle", bundle_dir, &bundle.id]);
    let output = by_user(case, run).run().ok();
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words.join(" "), format!("0 0 {USER} 1"));
}

fn bundle(case: &Case) -> Bundle<'_> {
    bundle_of(USER, case)
}

/// A bundle of the user's, who becomes root in it.
pub(super) fn bundle_of(user: u32, case: &Case) -> Bundle<'_> {
    let bundle = case.bundle();
    for path in ["", "tmp", "dev", "proc", "sys", "root"] {
        chown(bundle.rootfs(path), Some(user), Some(user)).unwrap();
    }
    fs::set_permissions(&case.dir, Permissions::from_mode(0o777)).unwrap();
    let map = json!([{"containerID": 0, "hostID": user, "size": 1}]);
    bundle
        .namespace("user")
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .remove("/linux/cgroupsPath")
        .set("/mounts/2/options", json!(["nosuid", "noexec", "newinstance"]))
}

/// The same with more ids: those of the user's range, and the group of
/// terminals with them.
fn bundle_with_ranges(case: &Case) -> Bundle<'_> {
    let map = json!([{"containerID": 0, "hostID": USER, "size": 1},
        {"containerID": 1, "hostID": RANGE, "size": 65535}]);
    let options = json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]);
    bundle(case)
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .set("/mounts/2/options", options)
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

/// An /etc that knows the user, and has these lines in subuid and subgid.
fn etc(case: &Case, ranges: &str) -> PathBuf {
    let etc = case.path("etc");
    fs::create_dir_all(&etc).unwrap();
    fs::write(etc.join("passwd"), format!("test:x:{USER}:{USER}::/:/bin/sh\n")).unwrap();
    fs::write(etc.join("group"), format!("test:x:{USER}:\n")).unwrap();
    for name in ["subuid", "subgid"] {
        fs::write(etc.join(name), ranges).unwrap();
    }
    etc
}

/// As the user, in a mount namespace where /etc is another.
fn with_etc<'c>(case: &'c Case, invocation: Invocation<'c>, etc: &Path) -> Invocation<'c> {
    let script = format!(
        r#"mount --bind {} /etc && exec setpriv --reuid {USER} --regid {USER} --clear-groups "$@""#,
        etc.display()
    );
    let user = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    invocation.program(&program(case)).through(user)
}

pub(super) fn by<'c>(user: u32, case: &'c Case, invocation: Invocation<'c>) -> Invocation<'c> {
    let id = user.to_string();
    let user = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"];
    invocation.program(&program(case)).through(user)
}

fn by_user<'c>(case: &'c Case, invocation: Invocation<'c>) -> Invocation<'c> {
    with_etc(case, invocation, &etc(case, ""))
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

/// A process that is brought in comes from outside: root of the container's
/// user namespace, whatever its capabilities there, does not look into it
/// before it is the program (CVE-2016-9962).
fn what_a_user_brings_in_shows_no_descriptor(case: &Case) {
    let all = json!(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN", "CAP_KILL"]);
    let script = "echo ready; while :; do for p in /proc/[0-9]*; do for f in $p/fd/*; do \
        l=$(readlink $f) && case $l in /proc|/run*|/sys*|socket*|mnt*|*pidfd*) echo \"$p $f $l\";; esac; \
        done; done 2>/dev/null; done";
    let capabilities = json!({"bounding": all, "effective": all, "permitted": all});
    let bundle = bundle(case).set("/process/capabilities", capabilities).sh(script);
    let created = by_user(case, bundle.launch("create", &[])).run().ok();
    case.expect_live(&bundle.id);
    by_user(case, bundle.command("start", &[])).run().ok();
    until("the watcher", || created.stdout_by_now().starts_with("ready\n"));
    for _ in 0..30 {
        let exec = bundle.command("exec", &[]).args(["sh", "-c", "id -u"]);
        by_user(case, exec).run().ok().prints("0\n");
    }
    let seen = created.stdout_by_now();
    assert!(seen == "ready\n", "{}", &seen[..seen.len().min(500)]);
    by_user(case, bundle.command("delete", &["--force"])).run().ok();
}

/// Where groups cannot be set, as in a user's container, those of whoever
/// brings a process in would be its own.
fn what_root_brings_in_does_not_have_its_groups(case: &Case) {
    let bundle = bundle(case).sh("echo ready; exec sleep 1000");
    let created = by_user(case, bundle.launch("create", &[])).run().ok();
    case.expect_live(&bundle.id);
    by_user(case, bundle.command("start", &[])).run().ok();
    until("the container's program", || created.stdout_by_now() == "ready\n");
    let setgroups = fs::read_to_string(format!("/proc/{}/setgroups", bundle.pid())).unwrap();
    assert_eq!(setgroups, "deny\n");
    let groups = ["setpriv", "--groups", "4,27"];
    let exec = bundle.command("exec", &[]).args(["grep", "^Groups:", "/proc/self/status"]);
    let output = exec.through(groups).run().ok();
    assert_eq!(output.stdout.split_whitespace().collect::<Vec<_>>(), ["Groups:"], "{output}");
    by_user(case, bundle.command("delete", &["--force"])).run().ok();
}

/// Where the kernel refuses to mount cgroup v2 (no cgroup namespace), the
/// runtime's own cgroup is bound, and nothing else of the host: not if it
/// cannot be seen, and not if its path leads out of its namespace's root.
fn cgroups_that_are_bound_cannot_be_written(case: &Case) {
    let own = own_cgroup(case);
    let user = format!(r#"exec setpriv --reuid {USER} --regid {USER} --clear-groups "$@""#);
    let out = format!(
        r#"echo 0 >{own}/a/b/c/cgroup.procs &&
        exec unshare --cgroup sh -c 'echo 0 >{own}/cgroup.procs && {user}' sh "$@""#
    );
    let hidden = format!("mount --bind {own}/a /sys/fs/cgroup && {user}");
    for (call, after, sees) in
        [(&user, ":", "a"), (&hidden, "umount /sys/fs/cgroup", ""), (&out, ":", "")]
    {
        let bundle = bundle(case).sh("ls -d /sys/fs/cgroup/a /sys/fs/cgroup/usr | cut -c16-
            for dir in $(find /sys/fs/cgroup -type d); do
                mkdir $dir/x && echo $dir can be written; done; true");
        let run = bundle.launch("run", &[]).program(&program(case));
        let call = format!("echo 0 >{own}/cgroup.procs && {call}");
        let output = on_unified(case, run, &own, &call, after).run().ok();
        assert_eq!(output.stdout.trim(), sees, "{call}: {output}");
    }
}

/// Beside the one that it is in, as no cgroup has both processes and children
/// with controllers. Device rules, which only root can load, are not missed.
fn a_user_with_a_cgroup_has_its_containers_below_it(case: &Case) {
    let own = own_cgroup(case);
    let bundle = bundle(case).args(&["cat", "/proc/self/cgroup"]);
    let run = bundle.launch("run", &[]).program(&program(case));
    let call = format!(
        r#"echo 0 >{own}/a/cgroup.procs &&
        exec setpriv --reuid {USER} --regid {USER} --clear-groups "$@""#
    );
    let output = on_unified(case, run, &own, &call, ":").run().ok();
    let path = own.trim_start_matches("/sys/fs/cgroup");
    assert!(output.stdout.contains(&format!("0::{path}/{}\n", bundle.id)), "{output}");
}

/// A cgroup that `on_unified` gives to the user.
fn own_cgroup(case: &Case) -> String {
    format!("/sys/fs/cgroup/{}/{}", scratch::name(), case.tag)
}

/// Where /sys/fs/cgroup is cgroup v2, `call` has the runtime run (`"$@"`) after
/// it has put itself into a cgroup of the user's: `own`, or `own/a/b/c` which
/// is root's but for leaving and entering it.
fn on_unified<'c>(
    case: &Case,
    run: Invocation<'c>,
    own: &str,
    call: &str,
    after: &str,
) -> Invocation<'c> {
    let script = format!(
        r"mount --bind {} /etc
        [ -e /sys/fs/cgroup/cgroup.controllers ] ||
        {{ umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup; }} || exit 9
        mkdir -p {own}/a/b/c; chown {USER} {own} {own}/cgroup.procs {own}/a/cgroup.procs
        ( {call} ); code=$?
        {after}; rmdir {own}/a/b/c {own}/a/b {own}/a {own}; exit $code",
        etc(case, "").display()
    );
    run.through(["unshare", "--mount", "sh", "-c", &script, "sh"])
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

/// newuidmap(1) and newgidmap(1) give them, and leave setgroups(2) allowed.
fn a_user_with_ranges_has_their_ids(case: &Case) {
    let etc = etc(case, &format!("test:{RANGE}:65536\n"));
    let bundle = bundle_with_ranges(case)
        .set("/process/user", json!({"uid": 9, "gid": 8, "additionalGids": [7, 65535]}))
        .sh("id -u; id -g; id -G; cat /proc/self/setgroups; touch /tmp/f; stat -c %u:%g /dev/pts/ptmx");
    fs::set_permissions(bundle.rootfs("tmp"), Permissions::from_mode(0o777)).unwrap();
    let output = with_etc(case, bundle.launch("run", &[]), &etc).run().ok();
    output.prints("9\n8\n8 7 65535\nallow\n0:0\n");
    let made = fs::metadata(bundle.rootfs("tmp/f")).unwrap();
    assert_eq!((made.uid(), made.gid()), (RANGE + 8, RANGE + 7));
}

/// Fails and leaves nothing; a line with the error and one with what to do
/// about it have all of `words`.
fn refused(case: &Case, create: Invocation<'_>, words: &[&str]) {
    let output = create.run().exits(1);
    assert_eq!(output.stderr.lines().count(), 2, "{output}");
    assert!(output.stderr.contains("\nhint: "), "{output}");
    for words in words {
        assert!(output.stderr.contains(words), "{words:?} in {output}");
    }
    case.leaves_nothing();
}

/// Of the two files, the one that lacks a line.
fn a_user_without_ranges_is_told_where_they_belong(case: &Case) {
    for (subuid, words) in [
        ("", ["linux.uidMappings", "/etc/subuid"]),
        ("test:7000000:65536\n", ["linux.gidMappings", "/etc/subgid"]),
    ] {
        let etc = etc(case, "");
        fs::write(etc.join("subuid"), subuid).unwrap();
        let create = with_etc(case, bundle_with_ranges(case).launch("create", &[]), &etc);
        refused(case, create, &words);
    }
}

fn without_newuidmap_its_package_is_named(case: &Case) {
    let etc = etc(case, &format!("test:{RANGE}:65536\n"));
    let create = with_etc(case, bundle_with_ranges(case).launch("create", &[]), &etc);
    // The shell in between has its own idea of an empty PATH.
    let create = create.variable("PATH", &only_these(case, &["setpriv", "sh", "mount", "unshare"]));
    refused(case, create, &["linux.uidMappings", "newuidmap", "package uidmap"]);
}

/// A directory with nothing but these programs.
fn only_these(case: &Case, programs: &[&str]) -> String {
    let directory = case.path("programs");
    fs::create_dir(&directory).unwrap();
    for program in programs {
        let found = ["/usr/bin", "/bin"].iter().map(|dir| Path::new(dir).join(program));
        let found = found.into_iter().find(|path| path.exists()).expect("a program");
        std::os::unix::fs::symlink(found, directory.join(program)).unwrap();
    }
    directory.to_str().unwrap().to_owned()
}

/// A copy of it that is not setuid root.
fn a_newuidmap_without_rights_is_told(case: &Case) {
    let etc = etc(case, &format!("test:{RANGE}:65536\n"));
    let directory = only_these(case, &["setpriv", "sh", "mount", "unshare"]);
    let copy = Path::new(&directory).join("newuidmap");
    fs::copy("/usr/bin/newuidmap", &copy).unwrap();
    fs::set_permissions(copy, Permissions::from_mode(0o755)).unwrap();
    let create = with_etc(case, bundle_with_ranges(case).launch("create", &[]), &etc);
    refused(
        case,
        create.variable("PATH", &directory),
        &["linux.uidMappings", "newuidmap must be setuid root"],
    );
}

/// As far as a user namespace may have one of its own: none below it.
fn a_setting_that_forbids_user_namespaces_is_named(case: &Case) {
    let script = r#"echo 0 >/proc/sys/user/max_user_namespaces && exec "$@""#;
    let id = USER.to_string();
    let user = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"];
    let inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"];
    let map = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    let bundle = bundle(case).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let create = bundle.launch("create", &[]).program(&program(case));
    let create = create.through([&user[..], &inside].concat());
    refused(case, create, &["user.max_user_namespaces"]);
}
