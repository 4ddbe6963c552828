//! config-linux.md#control-groups, as far as it needs no limits.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::user_namespaces::mapped;
use crate::support::mountinfo;
use crate::support::needs::needs;
use crate::support::wait::alive;
use crate::support::{Bundle, Case, Test, json, leaks, scratch, test, until};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("G1", an_absolute_path_starts_at_the_mount_point),
        test!("G1", a_relative_path_is_the_same_place_each_time),
        test!("G1", without_a_path_the_container_has_a_cgroup_of_its_own),
        test!("G1", a_path_cannot_climb_out),
        test!("G2", a_path_that_is_no_string_is_refused).fails_on("crun", "ignores it"),
        test!("G3", a_cgroup_that_is_there_and_empty_is_used),
        test!("G4", the_cgroup_belongs_to_the_host_where_the_container_may_not_write),
        test!("cgroups", init_is_in_its_cgroup_before_start),
        test!("cgroups", processes_are_born_in_the_cgroup).needs(needs![
            cgroup2,
            minke,
            file("/usr/bin/strace")
        ]),
        test!("cgroups", those_of_systemd_are_refused_on_v1).needs(needs![cgroup1, minke]),
        test!("cgroups", the_cgroup_is_removed_with_the_container),
        test!("cgroups", cgroups_made_below_it_are_removed_too),
        test!("cgroups", the_cgroups_above_and_beside_it_stay),
        test!("cgroups", kill_leaves_nobody_alive_in_a_shared_pid_namespace)
            .fails_on("crun", "only with --all")
            .fails_on("runc 1.1", "only with --all"),
        test!("cgroups", delete_ends_those_who_have_outlived_init),
        test!("cgroups", delete_force_leaves_nobody_alive_in_a_shared_pid_namespace)
            .may_fail_on("runc 1.1", "removes the cgroup before all have left it"),
        test!("cgroups", delete_force_ends_a_frozen_container),
        test!("cgroups", the_container_sees_its_hierarchies).needs(needs![cgroup1]),
        test!("cgroups", the_container_sees_the_unified_hierarchy).needs(needs![cgroup2]),
        test!("cgroups", a_read_only_cgroup_mount_is_read_only)
            .fails_on("crun 1.8", "the tmpfs of v1 is not"),
    ]
}

/// The directories of `pid`'s cgroups, one for each hierarchy.
fn directories(pid: i32) -> Vec<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let directory = |line: &str| {
        let fields: Vec<_> = line.splitn(3, ':').collect();
        let hierarchy = match fields[1] {
            "" if Path::new("/sys/fs/cgroup/cgroup.procs").exists() => String::new(),
            "" => "unified".into(),
            named => named.trim_start_matches("name=").into(),
        };
        let directory = Path::new("/sys/fs/cgroup").join(hierarchy);
        directory.exists().then(|| directory.join(fields[2].trim_start_matches('/')))
    };
    text.lines().filter_map(directory).collect()
}

/// "In the case of an absolute path (starting with /), the runtime MUST take
/// the path to be relative to the cgroups mount point."
fn an_absolute_path_starts_at_the_mount_point(case: &Case) {
    let bundle = case.bundle();
    let path = format!("/{}/{}deep/er", scratch::name(), case.tag);
    let bundle = bundle.set("/linux/cgroupsPath", json!(path));
    bundle.create().ok();
    let directories = directories(bundle.pid());
    assert!(!directories.is_empty());
    for directory in directories {
        assert!(directory.ends_with(path.trim_start_matches('/')), "{}", directory.display());
        assert!(directory.is_dir(), "{}", directory.display());
    }
    bundle.delete_force().ok();
    remove_parents(case);
}

/// The directories above a container's are left for the next one.
fn remove_parents(case: &Case) {
    for path in leaks::cgroups(&case.tag) {
        assert!(
            path.file_name().unwrap().to_str().unwrap().ends_with("deep"),
            "{}",
            path.display()
        );
        fs::remove_dir(path).unwrap();
    }
}

/// "the runtime MUST consistently attach to the same place in the cgroups
/// hierarchy given the same value of cgroupsPath."
fn a_relative_path_is_the_same_place_each_time(case: &Case) {
    let path = format!("{}relative", case.tag);
    let [one, two] = [0, 1].map(|_| {
        let bundle = case.bundle().set("/linux/cgroupsPath", json!(path));
        bundle.create().ok();
        let directories = directories(bundle.pid());
        bundle.delete_force().ok();
        directories
    });
    assert_eq!(one, two);
    assert!(one.iter().any(|directory| directory.ends_with(&path)), "{one:?}");
}

/// "If the value is not specified, the runtime MAY define the default".
fn without_a_path_the_container_has_a_cgroup_of_its_own(case: &Case) {
    let bundle = case.bundle().remove("/linux/cgroupsPath");
    bundle.create().ok();
    let named = |directory: &PathBuf| directory.to_str().unwrap().contains(&bundle.id);
    assert!(directories(bundle.pid()).iter().any(named));
}

/// Wherever it leads, it stays below the mount point.
fn a_path_cannot_climb_out(case: &Case) {
    let path = format!("/{}/../../../../{}up", scratch::name(), case.tag);
    let bundle = case.bundle().set("/linux/cgroupsPath", json!(path));
    if bundle.create().code() == 0 {
        let directories = directories(bundle.pid());
        assert!(directories.iter().all(|directory| directory.is_dir()), "{directories:?}");
        bundle.delete_force().ok();
    }
    case.leaves_nothing();
}

/// "MUST generate an error if this is the case": invalid values.
fn a_path_that_is_no_string_is_refused(case: &Case) {
    case.bundle().set("/linux/cgroupsPath", json!(["/x"])).create().fails();
    case.leaves_nothing();
}

/// "Runtimes MAY … require the cgroup to be empty": then it works.
fn a_cgroup_that_is_there_and_empty_is_used(case: &Case) {
    let bundle = case.bundle();
    for hierarchy in scratch::hierarchies() {
        fs::create_dir_all(hierarchy.join(scratch::name()).join(&bundle.id)).unwrap();
    }
    bundle.create().ok();
    assert!(directories(bundle.pid()).iter().all(|directory| directory.ends_with(&bundle.id)));
}

/// "SHOULD NOT change the ownership of container cgroups" of v1, without a
/// cgroup namespace, and where the mount is read-only.
fn the_cgroup_belongs_to_the_host_where_the_container_may_not_write(case: &Case) {
    let v2 = Path::new("/sys/fs/cgroup/cgroup.procs").exists();
    let writable = ["nosuid", "noexec", "nodev"];
    for (own_namespace, options) in [(true, &["ro"][..]), (false, &writable), (true, &writable)] {
        if v2 && own_namespace && options == writable {
            // Here it may.
            continue;
        }
        let mut bundle = mapped(case.bundle()).without_mount("/sys/fs/cgroup");
        bundle = bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", options);
        if own_namespace {
            bundle = bundle.namespace("cgroup");
        }
        bundle.create().ok();
        for directory in directories(bundle.pid()) {
            let files = ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];
            for path in files.map(|name| directory.join(name)).iter().filter(|path| path.exists()) {
                assert_eq!(fs::metadata(path).unwrap().uid(), 0, "{}", path.display());
            }
        }
        bundle.delete_force().ok();
    }
}

/// What the program starts is in there, too.
fn init_is_in_its_cgroup_before_start(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    for directory in directories(bundle.pid()) {
        let procs = fs::read_to_string(directory.join("cgroup.procs")).unwrap();
        assert_eq!(procs.trim(), bundle.pid().to_string(), "{}", directory.display());
    }
}

/// Nobody is moved, so nobody can have forked before.
fn processes_are_born_in_the_cgroup(case: &Case) {
    let bundle = case.bundle().sleeps();
    let trace = case.path("trace");
    let strace = ["strace", "-e", "trace=clone3,openat", "-o", trace.to_str().unwrap()];
    let born = || {
        let trace = fs::read_to_string(&trace).unwrap();
        assert!(trace.contains("CLONE_INTO_CGROUP"), "{trace}");
        assert!(!trace.contains("cgroup.procs\", O_WRONLY"), "{trace}");
    };
    bundle.settle(bundle.launch("create", &[]).through(strace).run()).ok();
    born();
    bundle.start().ok();
    bundle.command("exec", &[]).args(["true"]).through(strace).run().ok();
    born();
}

/// A choice that is not followed must not be taken for another.
fn those_of_systemd_are_refused_on_v1(case: &Case) {
    let bundle = case.bundle().set("/linux/cgroupsPath", json!("system.slice:conf:x"));
    let root = case.root();
    let create = bundle.launch("create", &[]);
    let create = create.globals(["--root", root.to_str().unwrap(), "--systemd-cgroup"]);
    create.run().fails().says("the systemd cgroup manager: needs a host with cgroup v2 only");
    case.leaves_nothing();
}

/// "Deleting a container MUST delete the resources that were created".
fn the_cgroup_is_removed_with_the_container(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    let directories = directories(bundle.pid());
    assert!(directories.iter().all(|directory| directory.is_dir()));
    bundle.delete_force().ok();
    assert!(!directories.iter().any(|directory| directory.exists()));
}

/// As systemd, or Docker, in a container makes them.
fn cgroups_made_below_it_are_removed_too(case: &Case) {
    let bundle = case.bundle().running();
    for directory in directories(bundle.pid()) {
        fs::create_dir_all(directory.join("sub/deeper")).unwrap();
    }
    bundle.end();
    case.leaves_nothing();
}

/// L10: "not created by this container, MUST NOT be deleted".
fn the_cgroups_above_and_beside_it_stay(case: &Case) {
    let bundle = case.bundle();
    let beside = scratch::hierarchies()
        .into_iter()
        .map(|path| path.join(scratch::name()).join(format!("{}deep", case.tag)));
    let beside: Vec<_> = beside.inspect(|path| fs::create_dir_all(path).unwrap()).collect();
    bundle.outcome();
    assert!(beside.iter().all(|path| path.is_dir()));
    remove_parents(case);
}

/// Without a pid namespace the death of init ends nobody else.
fn with_company<'c>(case: &'c Case, script: &str) -> (Bundle<'c>, Vec<i32>) {
    let script = format!("setsid sleep 1000 & (sleep 1000 & sleep 1000) & {script}");
    let bundle = case.bundle().without_namespace("pid").sh(&script);
    bundle.started();
    let mut company = Vec::new();
    until("the company of init", || {
        company = leaks::processes(case);
        company.len() >= 3
    });
    (bundle, company)
}

/// Engines send KILL and expect that all end.
fn kill_leaves_nobody_alive_in_a_shared_pid_namespace(case: &Case) {
    let (bundle, company) = with_company(case, "exec sleep 1000");
    bundle.kill("KILL").ok();
    until("the death of all", || !company.iter().any(|&pid| alive(pid)));
    bundle.delete().ok();
}

/// Init has ended, so the container is stopped; its resources are not free.
fn delete_ends_those_who_have_outlived_init(case: &Case) {
    let (bundle, company) = with_company(case, "read line");
    bundle.until_stopped();
    bundle.delete().ok();
    until("the death of all", || !company.iter().any(|&pid| alive(pid)));
    case.leaves_nothing();
}

/// The same by force.
fn delete_force_leaves_nobody_alive_in_a_shared_pid_namespace(case: &Case) {
    let (bundle, company) = with_company(case, "exec sleep 1000");
    bundle.delete_force().ok();
    until("the death of all", || !company.iter().any(|&pid| alive(pid)));
    case.leaves_nothing();
}

/// Frozen by the host. On cgroup v1 not even SIGKILL ends such a process.
fn delete_force_ends_a_frozen_container(case: &Case) {
    let bundle = case.bundle().running();
    let directories = directories(bundle.pid());
    let frozen = directories.iter().any(|directory| {
        fs::write(directory.join("freezer.state"), "FROZEN").is_ok()
            || fs::write(directory.join("cgroup.freeze"), "1").is_ok()
    });
    assert!(frozen, "{directories:?}");
    bundle.delete_force().ok();
    case.leaves_nothing();
}

/// A mount of type cgroup: a directory for each controller.
fn the_container_sees_its_hierarchies(case: &Case) {
    let output = case.bundle().args(&["ls", "/sys/fs/cgroup"]).run().ok();
    let seen: Vec<_> = output.stdout.lines().collect();
    assert!(
        ["cpu", "memory", "pids", "freezer"].iter().all(|controller| seen.contains(controller)),
        "{output}"
    );
    let output = case.bundle().args(&["cat", "/sys/fs/cgroup/pids/cgroup.procs"]).run().ok();
    assert_eq!(output.stdout.lines().count(), 1, "its own cgroup, not the host's root: {output}");
}

/// The same name, one file system.
fn the_container_sees_the_unified_hierarchy(case: &Case) {
    let script = "grep -c . /sys/fs/cgroup/cgroup.procs; cat /proc/self/mountinfo";
    let output = case.bundle().namespace("cgroup").sh(script).run().ok();
    assert_eq!(mountinfo::at(&output.stdout, "/sys/fs/cgroup").kind, "cgroup2", "{output}");
    assert_eq!(
        output.stdout.lines().next(),
        Some("2"),
        "sh and grep, not the host's root: {output}"
    );
}

/// `ro` in its options.
fn a_read_only_cgroup_mount_is_read_only(case: &Case) {
    let script = "for dir in /sys/fs/cgroup /sys/fs/cgroup/*/; do mkdir $dir/x 2>/dev/null && echo wrong; done; true";
    case.bundle().namespace("cgroup").sh(script).run().ok().prints("");
}
