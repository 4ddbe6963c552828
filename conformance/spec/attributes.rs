//! config.md#linux-process and config-linux.md: scheduling, memory policy,
//! execution domain, labels of security modules.

use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, Value, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("process", the_scheduling_policy_is_set)
            .fails_on("crun 1.8", "does not know it")
            .fails_on("runc 1.1", "does not know it"),
        test!("process", a_realtime_policy_is_set)
            .fails_on("crun 1.8", "does not know it")
            .fails_on("runc 1.1", "does not know it"),
        test!("process", the_nice_value_is_set)
            .fails_on("crun 1.8", "does not know it")
            .fails_on("runc 1.1", "does not know it"),
        test!("process", the_io_priority_is_set)
            .fails_on("crun 1.8", "does not know it")
            .fails_on("runc 1.1", "does not know it")
            .needs(needs![file("/usr/bin/ionice")]),
        test!("process", the_container_may_run_on_all_processors)
            .fails_on("runc 1.1", "keeps the caller's")
            .fails_on("crun 1.8", "keeps the caller's")
            .needs(needs![file("/usr/bin/taskset"), file("/sys/devices/system/cpu/cpu1")]),
        test!("linux", the_execution_domain_is_set).fails_on("runc 1.1", "does not know it"),
        test!("linux", the_memory_policy_is_set)
            .fails_on("runc 1.1", "does not know it")
            .fails_on("crun 1.8", "does not know it")
            .needs(needs![file("/proc/self/numa_maps")]),
        test!("linux", a_virtual_machine_is_not_asked_for),
        test!("bad", an_attribute_out_of_range_is_refused_with_its_path).needs(needs![minke]),
        test!("bad", an_attribute_that_the_kernel_refuses_is_named).needs(needs![minke]),
        test!("bad", a_profile_without_apparmor_is_refused)
            .fails_on("crun", "runs it unconfined")
            .needs(needs![no_file("/sys/module/apparmor")]),
        test!("bad", a_label_without_selinux_is_refused)
            .fails_on("crun", "runs it unconfined")
            .needs(needs![no_file("/sys/fs/selinux/enforce")]),
        test!("bad", a_mount_label_without_selinux_is_refused)
            .fails_on("runc 1.1", "does not name it")
            .fails_on("crun 1.8", "mounts without it")
            .needs(needs![no_file("/sys/fs/selinux/enforce")]),
        test!("bad", a_deadline_on_some_of_the_processors_is_refused)
            .fails_on("runc 1.1", "does not know it")
            .fails_on("crun 1.8", "has other words")
            .needs(needs![controller("cpuset"), file("/sys/devices/system/cpu/cpu1")]),
        test!("linux", a_message_queue_file_system_gets_the_mount_label).needs(needs![
            minke,
            file("/usr/bin/strace"),
            file("/usr/bin/unshare")
        ]),
        test!("process", empty_labels_are_no_labels).fails_on("crun 1.8", "writes an empty label"),
        test!("process", the_apparmor_profile_confines_the_program)
            .needs(needs![file("/sys/kernel/security/apparmor/.replace")]),
        test!("process", a_profile_that_is_not_loaded_fails)
            .needs(needs![file("/sys/kernel/security/apparmor/.replace")]),
    ]
}

/// Field 41 of `/proc/PID/stat`, after the name in parentheses.
const POLICY: &str = "read -r line < /proc/self/stat; set -- ${line##*) }; echo ${39}";

fn scheduled(case: &Case, scheduler: Value, script: &str) -> String {
    let mut bundle = case.bundle().set("/process/scheduler", scheduler);
    // A cgroup of v1 has real-time tasks only if it gets a share of its
    // parent's real time, which only the topmost has.
    if std::path::Path::new("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists() {
        let top = format!("/{}", bundle.id);
        bundle = bundle
            .set("/linux/cgroupsPath", json!(top))
            .set("/linux/resources/cpu/realtimeRuntime", json!(1000));
    }
    bundle.sh(script).run().ok().stdout
}

/// "policy represents the scheduling policy": `SCHED_BATCH` is 3, `SCHED_IDLE` 5.
fn the_scheduling_policy_is_set(case: &Case) {
    for (policy, number) in [("SCHED_BATCH", "3\n"), ("SCHED_IDLE", "5\n"), ("SCHED_OTHER", "0\n")]
    {
        assert_eq!(scheduled(case, json!({"policy": policy}), POLICY), number, "{policy}");
    }
}

/// Field 40 is the priority. What the container forks is back to normal, as
/// its flags ask.
fn a_realtime_policy_is_set(case: &Case) {
    let scheduler =
        json!({"policy": "SCHED_RR", "priority": 7, "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
    let script = "read -r line < /proc/self/stat; set -- ${line##*) }; echo ${38} ${39}; sh -c '
        read -r line < /proc/self/stat; set -- ${line##*) }; echo ${38} ${39}'; true";
    assert_eq!(scheduled(case, scheduler, script), "7 2\n0 0\n");
}

/// "nice is the nice value for the process": field 19.
fn the_nice_value_is_set(case: &Case) {
    let script = "read -r line < /proc/self/stat; set -- ${line##*) }; echo ${17}";
    for nice in [7, -5] {
        let scheduler = json!({"policy": "SCHED_OTHER", "nice": nice});
        assert_eq!(scheduled(case, scheduler, script), format!("{nice}\n"));
    }
}

/// "class specifies the I/O scheduling class. priority …".
fn the_io_priority_is_set(case: &Case) {
    for (class, seen) in [("IOPRIO_CLASS_BE", "best-effort: prio 6"), ("IOPRIO_CLASS_IDLE", "idle")]
    {
        let priority = json!({"class": class, "priority": 6});
        let bundle = case.bundle().set("/process/ioPriority", priority).running();
        let ionice = std::process::Command::new("ionice")
            .args(["-p", &bundle.pid().to_string()])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&ionice.stdout).trim(), seen);
        bundle.end();
    }
}

/// Who runs the runtime may be pinned to one; the container is not.
fn the_container_may_run_on_all_processors(case: &Case) {
    let script = "sed -n 's/^Cpus_allowed_list:.//p' /proc/self/status";
    let free = case.bundle().sh(script);
    let all = free.settle(free.launch("run", &[]).run()).ok().stdout;
    let pinned = case.bundle().sh(script);
    let run = pinned.launch("run", &[]).through(["taskset", "-c", "0"]).run();
    assert_ne!(all, "0\n", "more than one processor");
    assert_eq!(pinned.settle(run).ok().stdout, all);
}

/// "domain can contain values LINUX and LINUX32".
fn the_execution_domain_is_set(case: &Case) {
    for (domain, seen) in [("LINUX", "00000000\n"), ("LINUX32", "00000008\n")] {
        let bundle = case.bundle().set("/linux/personality", json!({"domain": domain}));
        bundle.sh("cat /proc/self/personality").run().ok().prints(seen);
    }
}

/// "mode", "nodes", "flags": `numa_maps` shows the policy of each mapping.
fn the_memory_policy_is_set(case: &Case) {
    for (policy, seen) in [
        (json!({"mode": "MPOL_BIND", "nodes": "0"}), "bind:0"),
        (json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"}), "interleave:0"),
        (
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}),
            "bind=static:0",
        ),
        (json!({"mode": "MPOL_PREFERRED"}), "local"),
        (json!({"mode": "MPOL_LOCAL"}), "local"),
        (json!({"mode": "MPOL_DEFAULT", "nodes": ""}), "default"),
    ] {
        let bundle = case.bundle().set("/linux/memoryPolicy", policy.clone());
        let run = bundle.sh("grep '\\[stack\\]\\| stack' /proc/self/numa_maps").run().ok();
        let mapping = run.stdout.split(' ').nth(1);
        assert_eq!(mapping, Some(seen), "{policy}: {run}");
    }
}

/// "vm" is for virtual machines; here it is a property like any unknown one.
fn a_virtual_machine_is_not_asked_for(case: &Case) {
    let vm = json!({"hypervisor": {"path": "/no/such"}, "kernel": {"path": "/no/such"}});
    case.bundle().set("/vm", vm).sh("echo ran").run().ok().prints("ran\n");
}

/// What is refused before anything is made, with the field that is wrong.
const WRONG: [(&str, &str, &str); 21] = [
    ("/process/scheduler", "{}", "process.scheduler.policy"),
    ("/process/scheduler", r#"{"policy":"SCHED_NOT"}"#, "process.scheduler.policy"),
    ("/process/scheduler", r#"{"policy":"SCHED_OTHER","nice":-21}"#, "process.scheduler.nice"),
    ("/process/scheduler", r#"{"policy":"SCHED_FIFO"}"#, "process.scheduler.priority"),
    ("/process/scheduler", r#"{"policy":"SCHED_RR","priority":100}"#, "process.scheduler.priority"),
    ("/process/scheduler", r#"{"policy":"SCHED_RR","priority":-1}"#, "process.scheduler.priority"),
    (
        "/process/scheduler",
        r#"{"policy":"SCHED_BATCH","priority":1}"#,
        "process.scheduler.priority",
    ),
    ("/process/scheduler", r#"{"policy":"SCHED_IDLE","runtime":1}"#, "process.scheduler.runtime"),
    (
        "/process/scheduler",
        r#"{"policy":"SCHED_IDLE","flags":["SCHED_FLAG_NOT"]}"#,
        "process.scheduler.flags[0]",
    ),
    ("/process/ioPriority", r#"{"class":"IOPRIO_CLASS_NOT"}"#, "process.ioPriority.class"),
    (
        "/process/ioPriority",
        r#"{"class":"IOPRIO_CLASS_BE","priority":8}"#,
        "process.ioPriority.priority",
    ),
    (
        "/process/ioPriority",
        r#"{"class":"IOPRIO_CLASS_BE","priority":-1}"#,
        "process.ioPriority.priority",
    ),
    ("/process/execCPUAffinity", r#"{"initial":"x"}"#, "process.execCPUAffinity.initial"),
    ("/process/execCPUAffinity", r#"{"final":"3-1"}"#, "process.execCPUAffinity.final"),
    ("/linux/personality", r#"{"domain":"BSD"}"#, "linux.personality.domain"),
    ("/linux/memoryPolicy", r#"{"nodes":"0"}"#, "linux.memoryPolicy.mode"),
    ("/linux/memoryPolicy", r#"{"mode":"MPOL_NOT"}"#, "linux.memoryPolicy.mode"),
    ("/linux/memoryPolicy", r#"{"mode":"MPOL_BIND"}"#, "linux.memoryPolicy.nodes"),
    ("/linux/memoryPolicy", r#"{"mode":"MPOL_LOCAL","nodes":"0"}"#, "linux.memoryPolicy.nodes"),
    (
        "/linux/memoryPolicy",
        r#"{"mode":"MPOL_BIND","nodes":"4294967296"}"#,
        "linux.memoryPolicy.nodes",
    ),
    (
        "/linux/memoryPolicy",
        r#"{"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_NOT"]}"#,
        "linux.memoryPolicy.flags[0]",
    ),
];

fn refused(bundle: Bundle<'_>, field: &str) {
    let words = bundle.create().exits(1).stderr;
    assert_eq!(words.lines().count(), 1, "{words}");
    assert!(words.contains(&format!("config.json: {field}: ")), "{field}: {words}");
    bundle.case.leaves_nothing();
}

/// One line with the JSON path, exit code 1, nothing left.
fn an_attribute_out_of_range_is_refused_with_its_path(case: &Case) {
    for (pointer, value, field) in WRONG {
        let value: Value = serde_json::from_str(value).unwrap();
        refused(case.bundle().set(pointer, value), field);
    }
}

/// What only the kernel knows: an idle policy that was never built, a
/// deadline before its runtime, a node that is not there.
fn an_attribute_that_the_kernel_refuses_is_named(case: &Case) {
    for (pointer, value, field) in [
        ("/process/scheduler", json!({"policy": "SCHED_ISO"}), "process.scheduler"),
        (
            "/process/scheduler",
            json!({"policy": "SCHED_DEADLINE", "runtime": 100_000, "deadline": 10_000}),
            "process.scheduler",
        ),
        (
            "/linux/memoryPolicy",
            json!({"mode": "MPOL_BIND", "nodes": "1000"}),
            "linux.memoryPolicy",
        ),
    ] {
        refused(case.bundle().set(pointer, value), field);
    }
}

/// "apparmor: config provided but apparmor not supported".
fn a_profile_without_apparmor_is_refused(case: &Case) {
    let bundle = case.bundle().set("/process/apparmorProfile", json!("some-profile"));
    bundle.create().fails().tells("apparmor");
    case.leaves_nothing();
}

const LABEL: &str = "system_u:system_r:container_t:s0:c1,c2";

/// "selinux label is specified in config, but selinux is disabled or not supported".
fn a_label_without_selinux_is_refused(case: &Case) {
    let bundle = case.bundle().set("/process/selinuxLabel", json!(LABEL));
    bundle.create().fails().tells("selinux");
    case.leaves_nothing();
}

/// Each new file system would refuse it as an option that it does not know.
fn a_mount_label_without_selinux_is_refused(case: &Case) {
    case.bundle().set("/linux/mountLabel", json!(LABEL)).create().fails().says("linux.mountLabel");
    case.leaves_nothing();
}

/// mqueue takes no `context=`: its root is labelled, as runc does. Where SELinux
/// seems to be on, and a kernel without it seems to take the label.
fn a_message_queue_file_system_gets_the_mount_label(case: &Case) {
    let seems_on =
        "mount --rbind /sys/fs/cgroup /mnt && mount -t tmpfs tmpfs /sys/fs && cd /sys/fs &&
         mkdir cgroup selinux && mount --rbind /mnt cgroup && touch selinux/enforce";
    let trace = case.path("trace");
    let strace = |inject: &'static str| {
        let mqueue = json!([{"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"}]);
        let bundle = case
            .bundle()
            .set("/mounts", mqueue)
            .set("/linux/mountLabel", json!(LABEL))
            .remove("/linux/maskedPaths");
        let strace = [
            "strace",
            "-fqq",
            "-s200",
            "-e",
            "trace=setxattr",
            "-o",
            trace.to_str().unwrap(),
            "-e",
            inject,
        ];
        let output = bundle.launch("run", &[]).through(strace).after(seems_on).run();
        bundle.settle(output)
    };
    strace("inject=setxattr:retval=0").ok();
    let calls = case.read("trace");
    let calls: Vec<_> = calls.lines().filter(|line| line.contains(" setxattr(")).collect();
    let labelled = format!("\"security.selinux\", \"{LABEL}\", {}, 0) = 0", LABEL.len());
    assert!(calls.len() == 1 && calls[0].contains(&labelled), "{calls:?}");

    let refused = strace("inject=setxattr:error=EACCES").fails();
    refused.says("linux.mountLabel").says("mounts[0]").says("permission denied");
}

/// sched(7): a deadline task's affinity must be that of all processors; the
/// kernel only says that it is not permitted.
fn a_deadline_on_some_of_the_processors_is_refused(case: &Case) {
    let deadline =
        json!({"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 100_000_000});
    let bundle = case.bundle().set("/process/scheduler", deadline);
    bundle.run().ok();
    let output = bundle.set("/linux/resources/cpu/cpus", json!("0")).create().fails();
    output.tells("process.scheduler").tells("linux.resources.cpu.cpus");
    case.leaves_nothing();
}

/// Engines write them on machines without security modules.
fn empty_labels_are_no_labels(case: &Case) {
    let bundle = case
        .bundle()
        .set("/process/apparmorProfile", json!(""))
        .set("/process/selinuxLabel", json!(""))
        .set("/linux/mountLabel", json!(""));
    bundle.sh("echo ran").run().ok().prints("ran\n");
}

const ATTR: &str = "cat /proc/self/attr/apparmor/current /proc/self/attr/current | head -n 1";

/// "apparmorProfile specifies the name of the AppArmor profile for the process",
/// the one that needs no loading; and a covered procfs does not matter.
fn the_apparmor_profile_confines_the_program(case: &Case) {
    let bundle = case.bundle().set("/process/apparmorProfile", json!("unconfined"));
    bundle.sh(ATTR).run().ok().prints("unconfined\n");
}

/// In backquotes, which Podman looks for: the file that refused it.
fn a_profile_that_is_not_loaded_fails(case: &Case) {
    let bundle = case.bundle().set("/process/apparmorProfile", json!("no-such-profile"));
    bundle.create().fails().tells("apparmor");
    case.leaves_nothing();
}
