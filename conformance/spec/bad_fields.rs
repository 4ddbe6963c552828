//! Bad input for each field of config.json that is not about cgroups or
//! seccomp: one line with the field's JSON path, exit code 1, nothing left.

use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, Value, json, test};

pub(crate) fn tests() -> Vec<Test> {
    let tests = vec![
        test!("bad", of_the_whole),
        test!("bad", of_process),
        test!("bad", of_scheduling),
        test!("bad", of_user_namespaces),
        test!("bad", of_mounts),
        test!("bad", of_linux),
        test!("bad", of_hooks),
    ];
    tests.into_iter().map(|test| test.needs(needs![minke])).collect()
}

/// Sets each pointer to its value; the error is to name the field.
fn refused<'c>(case: &'c Case, bundle: impl Fn() -> Bundle<'c>, table: &[(&str, Value, &str)]) {
    let mut wrong = Vec::new();
    for (pointer, value, field) in table {
        let output = bundle().set(pointer, value.clone()).create();
        let has = output.stderr.contains(&format!(": config.json: {field}: "));
        if !has || output.code() != 1 || output.stderr.lines().count() != 1 {
            wrong.push(format!("{field}: {value}: {} {}", output.code(), output.stderr));
        }
        if output.code() == 0 {
            case.runtime(["delete", "--force"]).args(case.ids()).run().ok();
        }
        case.leaves_nothing();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn of_the_whole(case: &Case) {
    refused(
        case,
        || case.bundle(),
        &[
            ("/ociVersion", json!("2.0.0"), "ociVersion"),
            ("/ociVersion", json!(""), "ociVersion"),
            ("/root", json!(null), "root"),
            ("/root/path", json!(""), "root.path"),
            ("/root/path", json!("missing"), "root.path"),
            ("/root/path", json!("config.json"), "root.path"),
            ("/hostname", json!("x".repeat(65)), "hostname"),
            ("/domainname", json!("x".repeat(65)), "domainname"),
            ("/annotations", json!({"": "x"}), "annotations"),
        ],
    );
}

fn of_process(case: &Case) {
    let limit =
        |kind: &str, soft: u64, hard: u64| json!({"type": kind, "soft": soft, "hard": hard});
    refused(
        case,
        || case.bundle(),
        &[
            ("/process/args", json!([]), "process.args"),
            ("/process/args", json!([""]), "process.args"),
            ("/process/cwd", json!(""), "process.cwd"),
            ("/process/cwd", json!("x"), "process.cwd"),
            ("/process/env", json!(["A=b", ""]), "process.env[1]"),
            ("/process/env", json!(["=b"]), "process.env[0]"),
            ("/process/user/uid", json!(4_294_967_295_u32), "process.user.uid"),
            ("/process/user/gid", json!(4_294_967_295_u32), "process.user.gid"),
            ("/process/user/umask", json!(0o1000), "process.user.umask"),
            (
                "/process/user/additionalGids",
                json!([5, 4_294_967_295_u32]),
                "process.user.additionalGids[1]",
            ),
            ("/process/rlimits/1", limit("RLIMIT_NOFILE", 1, 1), "process.rlimits[1].type"),
            ("/process/rlimits/0", limit("RLIMIT_X", 1, 1), "process.rlimits[0].type"),
            ("/process/rlimits/0", limit("RLIMIT_CORE", 2, 1), "process.rlimits[0].soft"),
            ("/process/oomScoreAdj", json!(-1001), "process.oomScoreAdj"),
            ("/process/oomScoreAdj", json!(1001), "process.oomScoreAdj"),
        ],
    );
    let terminal = || case.bundle().set("/process/terminal", json!(true));
    refused(
        case,
        terminal,
        &[
            (
                "/process/consoleSize",
                json!({"height": 65536, "width": 1}),
                "process.consoleSize.height",
            ),
            (
                "/process/consoleSize",
                json!({"height": 1, "width": 65536}),
                "process.consoleSize.width",
            ),
        ],
    );
}

fn of_scheduling(case: &Case) {
    let policy = |policy: &str, field: &str, value: i64| json!({"policy": policy, field: value});
    refused(
        case,
        || case.bundle(),
        &[
            ("/process/scheduler", json!({}), "process.scheduler.policy"),
            ("/process/scheduler", policy("SCHED_X", "nice", 0), "process.scheduler.policy"),
            ("/process/scheduler", policy("SCHED_OTHER", "nice", 20), "process.scheduler.nice"),
            ("/process/scheduler", policy("SCHED_BATCH", "nice", -21), "process.scheduler.nice"),
            (
                "/process/scheduler",
                policy("SCHED_FIFO", "priority", 0),
                "process.scheduler.priority",
            ),
            (
                "/process/scheduler",
                policy("SCHED_RR", "priority", 100),
                "process.scheduler.priority",
            ),
            (
                "/process/scheduler",
                policy("SCHED_IDLE", "priority", 1),
                "process.scheduler.priority",
            ),
            (
                "/process/scheduler",
                policy("SCHED_OTHER", "runtime", 1),
                "process.scheduler.runtime",
            ),
            (
                "/process/scheduler",
                policy("SCHED_OTHER", "deadline", 1),
                "process.scheduler.deadline",
            ),
            ("/process/scheduler", policy("SCHED_OTHER", "period", 1), "process.scheduler.period"),
            (
                "/process/scheduler",
                json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_X"]}),
                "process.scheduler.flags[0]",
            ),
            // The kernel wants runtime <= deadline <= period.
            (
                "/process/scheduler",
                json!({"policy": "SCHED_DEADLINE", "runtime": 9_000_000, "deadline": 5_000_000, "period": 5_000_000}),
                "process.scheduler",
            ),
            (
                "/process/ioPriority",
                json!({"class": "X", "priority": 1}),
                "process.ioPriority.class",
            ),
            (
                "/process/ioPriority",
                json!({"class": "IOPRIO_CLASS_BE", "priority": 8}),
                "process.ioPriority.priority",
            ),
            (
                "/process/ioPriority",
                json!({"class": "IOPRIO_CLASS_BE", "priority": -1}),
                "process.ioPriority.priority",
            ),
            (
                "/process/execCPUAffinity",
                json!({"initial": "1-"}),
                "process.execCPUAffinity.initial",
            ),
            ("/process/execCPUAffinity", json!({"final": "3-1"}), "process.execCPUAffinity.final"),
            ("/linux/personality", json!({}), "linux.personality.domain"),
            ("/linux/personality", json!({"domain": "BSD"}), "linux.personality.domain"),
            ("/linux/memoryPolicy", json!({"mode": "MPOL_X"}), "linux.memoryPolicy.mode"),
            ("/linux/memoryPolicy", json!({"mode": "MPOL_BIND"}), "linux.memoryPolicy.nodes"),
            (
                "/linux/memoryPolicy",
                json!({"mode": "MPOL_LOCAL", "nodes": "0"}),
                "linux.memoryPolicy.nodes",
            ),
            (
                "/linux/memoryPolicy",
                json!({"mode": "MPOL_BIND", "nodes": "x"}),
                "linux.memoryPolicy.nodes",
            ),
            // No machine of these tests has it.
            (
                "/linux/memoryPolicy",
                json!({"mode": "MPOL_BIND", "nodes": "1000"}),
                "linux.memoryPolicy",
            ),
            (
                "/linux/memoryPolicy",
                json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_X"]}),
                "linux.memoryPolicy.flags[0]",
            ),
            (
                "/linux/memoryPolicy",
                json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]}),
                "linux.memoryPolicy.flags",
            ),
        ],
    );
}

fn lines(count: u32, inside: u32, outside: u32, step: u32) -> Value {
    let line =
        |n: u32| json!({"containerID": n * step + inside, "hostID": outside + n * step, "size": 1});
    (0..count).map(line).collect()
}

fn of_user_namespaces(case: &Case) {
    let line = |inside: u32, outside: u32, size: u32| {
        json!([
            {"containerID": inside, "hostID": outside, "size": size}
        ])
    };
    let user = || {
        let ids = line(0, 100_000, 65_536);
        case.bundle()
            .namespace("user")
            .set("/linux/uidMappings", ids.clone())
            .set("/linux/gidMappings", ids)
    };
    for name in ["uidMappings", "gidMappings"] {
        let pointer = format!("/linux/{name}");
        let pointer = pointer.as_str();
        let field = |rest: &str| format!("linux.{name}{rest}");
        let two = |inside: u32, outside: u32| {
            json!([
                {"containerID": 0, "hostID": 100_000, "size": 10},
                {"containerID": inside, "hostID": outside, "size": 10}
            ])
        };
        refused(
            case,
            user,
            &[
                (pointer, json!([]), &field("")),
                (pointer, lines(341, 0, 100_000, 1), &field("")),
                // 340 lines of 12 bytes and more are over a page.
                (pointer, lines(340, 0, 100_000, 1), &field("")),
                (pointer, two(9, 200_000), &field("[1]")),
                (pointer, two(20, 100_009), &field("[1]")),
                (pointer, line(0, 1, 0), &field("[0].size")),
                (pointer, line(0, 4_294_967_290, 6), &field("[0].hostID")),
                (pointer, line(4_294_967_290, 1, 6), &field("[0].containerID")),
                (pointer, line(1, 1, 1), &field("")),
            ],
        );
        refused(case, || case.bundle(), &[(pointer, line(0, 1, 1), &field(""))]);
        let mount = format!("/mounts/0/{name}");
        let missing = if name == "uidMappings" { "gidMappings" } else { "uidMappings" };
        refused(
            case,
            || case.bundle(),
            &[(&mount, line(0, 1, 1), &format!("mounts[0].{missing}"))],
        );
    }
    // What fits is taken: 340 lines in less than a page.
    let most: Value = lines(340, 0, 0, 1);
    let bundle = user()
        .set("/linux/uidMappings", most.clone())
        .set("/linux/gidMappings", most)
        .sh("wc -l < /proc/self/uid_map; wc -l < /proc/self/gid_map");
    bundle.run().ok().prints("340\n340\n");
    refused(
        case,
        user,
        &[
            ("/process/user/uid", json!(65_536), "process.user.uid"),
            ("/process/user/gid", json!(65_536), "process.user.gid"),
            ("/process/user/additionalGids", json!([65_536]), "process.user.additionalGids"),
        ],
    );
}

fn of_mounts(case: &Case) {
    let bundle = || case.bundle().set("/mounts", json!([{"destination": "/proc", "type": "proc"}]));
    let bind = |options: Value| json!({"destination": "/x", "source": "/etc", "options": options});
    let ids = json!([{"containerID": 0, "hostID": 1, "size": 1}]);
    let with_ids = |uid: &Value, gid: &Value| {
        json!({"destination": "/x", "source": "/tmp", "options": ["bind", "idmap"],
               "uidMappings": uid, "gidMappings": gid})
    };
    let twice = json!([ids[0], ids[0]]);
    refused(
        case,
        bundle,
        &[
            ("/mounts/1", json!({"destination": "", "type": "tmpfs"}), "mounts[1].destination"),
            ("/mounts/1", json!({"destination": "/x"}), "mounts[1].type"),
            ("/mounts/1", json!({"destination": "/x", "type": "no-such"}), "mounts[1]"),
            (
                "/mounts/1",
                json!({"destination": "/x", "type": "tmpfs", "options": ["mode=999"]}),
                "mounts[1]",
            ),
            (
                "/mounts/1",
                json!({"destination": "/x", "source": "/no/such", "options": ["bind"]}),
                "mounts[1]",
            ),
            (
                "/mounts/1",
                json!({"destination": "/proc/1/fd", "type": "tmpfs"}),
                "mounts[1].destination",
            ),
            ("/mounts/1", json!({"destination": "/", "type": "tmpfs"}), "mounts[1].destination"),
            ("/mounts/1", bind(json!(["bind", "idmap"])), "mounts[1].options"),
            ("/mounts/1", with_ids(&twice, &ids), "mounts[1].uidMappings[1]"),
            ("/mounts/1", with_ids(&ids, &twice), "mounts[1].gidMappings[1]"),
            ("/mounts/1", with_ids(&lines(341, 0, 0, 1), &ids), "mounts[1].uidMappings"),
        ],
    );
}

fn of_linux(case: &Case) {
    let device = |field: &str, value: Value| {
        let mut device = json!({"path": "/dev/x", "type": "c", "major": 1, "minor": 3});
        device[field] = value;
        json!([device])
    };
    refused(
        case,
        || case.bundle(),
        &[
            ("/linux/namespaces/5", json!({"type": "pid"}), "linux.namespaces[5]"),
            ("/linux/namespaces/5", json!({"type": "space"}), "linux.namespaces[5].type"),
            (
                "/linux/namespaces/5",
                json!({"type": "cgroup", "path": "x"}),
                "linux.namespaces[5].path",
            ),
            (
                "/linux/namespaces/5",
                json!({"type": "cgroup", "path": "/no/such"}),
                "linux.namespaces[5].path",
            ),
            (
                "/linux/namespaces/5",
                json!({"type": "cgroup", "path": "/etc/passwd"}),
                "linux.namespaces[5].path",
            ),
            (
                "/linux/namespaces/5",
                json!({"type": "cgroup", "path": "/proc/self/ns/net"}),
                "linux.namespaces[5].path",
            ),
            ("/linux/timeOffsets", json!({"monotonic": {"secs": 1}}), "linux.timeOffsets"),
            ("/linux/devices", device("type", json!("x")), "linux.devices[0].type"),
            ("/linux/devices", device("path", json!("dev/x")), "linux.devices[0].path"),
            ("/linux/devices", device("path", json!("")), "linux.devices[0].path"),
            ("/linux/devices", device("major", json!(-1)), "linux.devices[0].major"),
            ("/linux/devices", device("minor", json!(1 << 20)), "linux.devices[0].minor"),
            ("/linux/devices", device("fileMode", json!(0o200_000)), "linux.devices[0].fileMode"),
            ("/linux/devices", device("uid", json!(4_294_967_295_u32)), "linux.devices[0].uid"),
            ("/linux/rootfsPropagation", json!("sideways"), "linux.rootfsPropagation"),
            ("/linux/maskedPaths", json!(["/a", "b"]), "linux.maskedPaths[1]"),
            ("/linux/readonlyPaths", json!(["/a", "b"]), "linux.readonlyPaths[1]"),
            ("/linux/sysctl", json!({"kernel.panic": "1"}), "linux.sysctl[\"kernel.panic\"]"),
            ("/linux/sysctl", json!({"kernel.hostname": "x"}), "linux.sysctl[\"kernel.hostname\"]"),
            ("/linux/sysctl", json!({"net.../x": "1"}), "linux.sysctl[\"net.../x\"]"),
            ("/process/apparmorProfile", json!("no-such-profile"), "process.apparmorProfile"),
            ("/linux/intelRdt", json!({"closID": "x"}), "linux.intelRdt"),
            ("/linux/netDevices", json!({"no-such": {}}), "linux.netDevices[\"no-such\"]"),
            (
                "/linux/netDevices",
                json!({"sixteen-bytes-xx": {}}),
                "linux.netDevices[\"sixteen-bytes-xx\"]",
            ),
            ("/linux/netDevices", json!({"lo": {}}), "linux.netDevices[\"lo\"].name"),
            (
                "/linux/netDevices",
                json!({"a": {"name": "b"}, "c": {"name": "b"}}),
                "linux.netDevices[\"c\"].name",
            ),
        ],
    );
    let time = || case.bundle().namespace("time");
    refused(
        case,
        time,
        &[
            ("/linux/timeOffsets", json!({"realtime": {"secs": 1}}), "linux.timeOffsets.realtime"),
            (
                "/linux/timeOffsets",
                json!({"boottime": {"nanosecs": 1_000_000_000}}),
                "linux.timeOffsets.boottime.nanosecs",
            ),
            // The clock would be before its beginning.
            (
                "/linux/timeOffsets",
                json!({"boottime": {"secs": -4_000_000_000_i64}}),
                "linux.timeOffsets",
            ),
        ],
    );
}

fn of_hooks(case: &Case) {
    for kind in
        ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    {
        let pointer = format!("/hooks/{kind}");
        let field = |rest: &str| format!("hooks.{kind}[0].{rest}");
        refused(
            case,
            || case.bundle(),
            &[
                (&pointer, json!([{"path": ""}]), &field("path")),
                (&pointer, json!([{"path": "true"}]), &field("path")),
                (&pointer, json!([{"path": "/bin/true", "timeout": 0}]), &field("timeout")),
                (&pointer, json!([{"path": "/bin/true", "timeout": -1}]), &field("timeout")),
            ],
        );
    }
}
