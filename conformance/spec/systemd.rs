//! Cgroups by systemd: what its manager shows, and what the kernel holds.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

use crate::support::command::Output;
use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, json, test, until};

pub(crate) fn tests() -> Vec<Test> {
    [
        test!("systemd", the_scope_has_the_limits_as_properties),
        test!("systemd", each_limit_is_a_property_and_in_the_kernel)
            .may_fail_on("runc 1.1", "has fewer of them as properties")
            .may_fail_on("crun", "has fewer of them as properties"),
        test!("systemd", the_weight_of_io_is_a_property)
            .needs(needs![file("/sys/fs/cgroup/system.slice/io.weight")]),
        test!("systemd", the_cpuset_is_a_property).needs(needs![controller("cpuset")]),
        test!("systemd", annotations_are_properties_of_the_scope),
        test!("systemd", a_property_that_systemd_does_not_know_is_told),
        test!("systemd", the_unit_is_gone_after_delete),
        test!("systemd", the_slice_is_where_its_name_says)
            .may_fail_on("runc", "names the scope after itself")
            .may_fail_on("crun", "names the scope after itself"),
        test!("systemd", a_container_can_be_a_slice).may_fail_on("crun", "makes a scope"),
        test!("systemd", a_unit_that_has_failed_is_reset),
        test!("systemd", a_unit_that_is_there_is_left_alone).may_fail_on("crun", "other words"),
        test!("systemd", device_rules_outlive_reloads_and_changes_of_the_unit),
        test!("exec", another_process_goes_to_init_where_its_cgroup_takes_nobody),
        test!("systemd", a_path_of_another_shape_is_refused),
        test!("systemd", a_bus_that_is_dead_or_hangs_is_told).needs(needs![minke]),
        test!("systemd", without_an_answer_delete_leaves_nothing_all_the_same).needs(needs![minke]),
        test!("systemd", without_an_answer_an_update_changes_nothing).needs(needs![minke]),
        test!("systemd", the_message_bus_carries_the_same_calls).needs(needs![minke]),
        test!("systemd", a_create_takes_two_calls_at_most)
            .needs(needs![minke, file("/usr/bin/strace")]),
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
fn globals(case: &Case) -> [String; 3] {
    ["--root".into(), case.root().display().to_string(), "--systemd-cgroup".into()]
}

fn create(bundle: &Bundle) -> Output {
    bundle.settle(bundle.launch("create", &[]).globals(globals(bundle.case)).run())
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

/// With the types of GVariant's text format.
fn annotations_are_properties_of_the_scope(case: &Case) {
    let (bundle, unit) = scope(case);
    let mut annotations = json!({});
    for (name, value) in [
        ("TimeoutStopSec", "7"),
        ("RuntimeMaxUSec", "uint64 3600000000"),
        ("Description", "'mine'"),
        ("CollectMode", "'inactive-or-failed'"),
        ("SendSIGHUP", "true"),
        ("KillSignal", "int32 12"),
        ("Documentation", "['https://example.com/a', \"https://example.com/b\"]"),
    ] {
        annotations[format!("org.systemd.property.{name}")] = json!(value);
    }
    create(&bundle.set("/annotations", annotations)).ok();
    for (name, value) in [
        ("TimeoutStopUSec", "7s"),
        ("RuntimeMaxUSec", "1h"),
        ("Description", "mine"),
        ("CollectMode", "inactive-or-failed"),
        ("SendSIGHUP", "yes"),
        ("KillSignal", "12"),
        ("Documentation", "https://example.com/a https://example.com/b"),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
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

fn systemctl(arguments: &[&str]) {
    let output = Command::new("systemctl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

/// Full is allowed to all; to write into the kernel's log is not, unless a rule
/// says so. Who may not is told "Operation not permitted"; "Permission denied" is
/// of mounts. systemd sets its own device rules beside ours, which hold too.
fn device_rules_outlive_reloads_and_changes_of_the_unit(case: &Case) {
    let script = "mknod /tmp/kmsg c 1 11; while read x < /go; do head -c 0 /dev/full || echo full; \
        (: > /tmp/kmsg) 2>&1 | grep -q 'not permitted' && echo denied || echo allowed; done";
    for (rules, answer) in [
        (json!([{"allow": false, "access": "rwm"}]), "denied\n"),
        (
            json!([{"allow": true, "type": "c", "major": 1, "minor": 11, "access": "w"}]),
            "allowed\n",
        ),
    ] {
        let (mut bundle, unit) = scope(case);
        for set in ["bounding", "effective", "permitted"] {
            bundle = bundle.push(&format!("/process/capabilities/{set}"), json!("CAP_MKNOD"));
        }
        let bundle = bundle.set("/linux/resources/devices", rules).sh(script);
        let go = bundle.rootfs("go");
        assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
        let created = create(&bundle).ok();
        bundle.start().ok();
        let mut answers = String::new();
        let mut ask = || {
            fs::write(&go, "go\n").unwrap();
            answers += answer;
            let lines = |text: &str| text.matches('\n').count();
            until("an answer", || lines(&created.stdout_by_now()) >= lines(&answers));
            assert_eq!(created.stdout_by_now(), answers);
        };
        ask();
        systemctl(&["daemon-reload"]);
        systemctl(&["daemon-reload"]);
        ask();
        systemctl(&["set-property", "--runtime", &unit, "TasksMax=77"]);
        bundle.command("update", &["--pids-limit", "66"]).run().ok();
        systemctl(&["daemon-reload"]);
        assert_eq!(
            (property(&unit, "TasksMax"), held(&unit, "pids.max")),
            ("66".into(), "66".into())
        );
        ask();
        systemctl(&["set-property", "--runtime", &unit, "DeviceAllow=/dev/kmsg rw"]);
        ask();
        systemctl(&["daemon-reload"]);
        ask();
    }
}

/// systemd.resource-control(5).
fn each_limit_is_a_property_and_in_the_kernel(case: &Case) {
    let node = block_device();
    let (major, minor) = node.split_once(':').unwrap();
    let (major, minor): (u32, u32) = (major.parse().unwrap(), minor.parse().unwrap());
    let rate = json!([{"major": major, "minor": minor, "rate": 1_048_576}]);
    let resources = json!({
        "memory": {"limit": 67_108_864, "swap": 100_663_296, "reservation": 33_554_432},
        "cpu": {"shares": 262_144, "quota": 12_345, "period": 50_000},
        "blockIO": {"throttleReadBpsDevice": rate, "throttleWriteIOPSDevice": rate},
        "unified": {"memory.high": "62914560", "memory.min": "1048576", "memory.oom.group": "1"}
    });
    let (bundle, unit) = scope(case);
    create(&bundle.set("/linux/resources", resources)).ok();
    let limit = format!("/dev/block/{node} 1048576");
    let io = format!("{node} rbps=1048576 wbps=max riops=max wiops=1048576");
    // The kernel has the quota that systemd, which counts in percents, has.
    for (name, value, file, content) in [
        ("MemoryMax", "67108864", "memory.max", "67108864"),
        ("MemorySwapMax", "33554432", "memory.swap.max", "33554432"),
        ("MemoryLow", "33554432", "memory.low", "33554432"),
        ("MemoryHigh", "62914560", "memory.high", "62914560"),
        ("MemoryMin", "1048576", "memory.min", "1048576"),
        ("OOMPolicy", "kill", "memory.oom.group", "1"),
        ("CPUWeight", "10000", "cpu.weight", "10000"),
        ("CPUQuotaPerSecUSec", "250ms", "cpu.max", "12500 50000"),
        ("CPUQuotaPeriodUSec", "50ms", "cpu.max", "12500 50000"),
        ("IOReadBandwidthMax", &limit, "io.max", &io),
        ("IOWriteIOPSMax", &limit, "io.max", &io),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
        assert_eq!(held(&unit, file), content, "{file}");
    }
    // A reload sets all anew: by then both must agree.
    systemctl(&["daemon-reload"]);
    assert_eq!(held(&unit, "cpu.max"), "12500 50000");
    let (bundle, unit) = scope(case);
    create(&bundle.set("/linux/resources/cpu/idle", json!(1))).ok();
    assert_eq!(
        (property(&unit, "CPUWeight"), held(&unit, "cpu.idle")),
        ("idle".into(), "1".into())
    );
}

/// Of a scheduler that not every kernel has.
fn the_weight_of_io_is_a_property(case: &Case) {
    let (bundle, unit) = scope(case);
    create(&bundle.set("/linux/resources/blockIO/weight", json!(1000))).ok();
    assert_eq!(property(&unit, "IOWeight"), "10000");
    assert_eq!(held(&unit, "io.weight"), "default 10000");
}

/// A list is a set of bits for systemd.
fn the_cpuset_is_a_property(case: &Case) {
    let (bundle, unit) = scope(case);
    create(&bundle.set("/linux/resources/cpu", json!({"cpus": "0", "mems": "0"}))).ok();
    for (name, file) in [("AllowedCPUs", "cpuset.cpus"), ("AllowedMemoryNodes", "cpuset.mems")] {
        assert_eq!((property(&unit, name), held(&unit, file)), ("0".into(), "0".into()));
    }
}

/// `MAJOR:MINOR` of the disk that the machine runs from, or of any.
fn block_device() -> String {
    let disks = fs::read_dir("/sys/block").unwrap().flatten().map(|entry| entry.path());
    let mut numbers = disks.filter_map(|disk| fs::read_to_string(disk.join("dev")).ok());
    numbers.next().unwrap().trim().to_owned()
}

/// systemd's own words, and no scope.
fn a_property_that_systemd_does_not_know_is_told(case: &Case) {
    for (name, value, words) in [
        ("NoSuchProperty", "true", "NoSuchProperty"),
        ("TimeoutStopUSec", "'x'", ""),
        ("CollectMode", "'never'", ""),
    ] {
        let (bundle, unit) = scope(case);
        let annotations = json!({format!("org.systemd.property.{name}"): value});
        create(&bundle.set("/annotations", annotations)).fails().tells(words);
        assert_eq!(property(&unit, "LoadState"), "not-found");
        case.leaves_nothing();
    }
}

/// systemd.slice(5): dashes are slices in slices, and `-.slice` is the root.
fn the_slice_is_where_its_name_says(case: &Case) {
    let outer = format!("conf{}", case.tag.replace('-', "x"));
    for (slice, above) in [
        (format!("{outer}.slice"), format!("/{outer}.slice")),
        (format!("{outer}-in.slice"), format!("/{outer}.slice/{outer}-in.slice")),
        ("-.slice".to_owned(), String::new()),
        (String::new(), "/system.slice".to_owned()),
    ] {
        let (bundle, unit) = scope(case);
        let path = format!("{slice}:conf:{}", bundle.id);
        let bundle =
            bundle.set("/linux/cgroupsPath", json!(path)).args(&["cat", "/proc/self/cgroup"]);
        let created = create(&bundle).ok();
        bundle.start().ok();
        bundle.until_stopped();
        assert_eq!(created.stdout_by_now(), format!("0::{above}/{unit}\n"), "{path}");
        bundle.delete().ok();
        case.leaves_nothing();
    }
    let (bundle, _) = scope(case);
    let bundle = bundle.remove("/linux/cgroupsPath");
    create(&bundle).ok();
    let unit = format!("minke-{}.scope", bundle.id);
    assert_eq!(property(&unit, "ActiveState"), "active");
    assert_eq!(held(&unit, "cgroup.procs"), bundle.pid().to_string());
}

/// Its place is in its name; `slice` is what it wants.
fn a_container_can_be_a_slice(case: &Case) {
    let (bundle, _) = scope(case);
    let name = format!("conf{}.slice", bundle.id.replace('-', "x"));
    let bundle = bundle
        .set("/linux/cgroupsPath", json!(format!("system.slice:ignored:{name}")))
        .set("/linux/resources/pids/limit", json!(50))
        .args(&["cat", "/proc/self/cgroup"]);
    let created = create(&bundle).ok();
    assert_eq!(property(&name, "TasksMax"), "50");
    bundle.start().ok();
    bundle.until_stopped();
    assert_eq!(created.stdout_by_now(), format!("0::/{name}\n"));
    bundle.delete().ok();
    until("the slice's end", || property(&name, "ActiveState") == "inactive");
    assert!(!PathBuf::from(format!("/sys/fs/cgroup/{name}")).exists());
    case.leaves_nothing();
}

/// As after a crash. systemd keeps such a unit for people to look at.
fn a_unit_that_has_failed_is_reset(case: &Case) {
    let (bundle, unit) = scope(case);
    let mut run = Command::new("systemd-run");
    let properties = ["--property=RuntimeMaxSec=1", "--property=TimeoutStopSec=1"];
    let run = run.args(["--quiet", "--scope", "--unit", &unit]).args(properties);
    let mut run = run.args(["sleep", "1000"]).spawn().unwrap();
    until("the unit's failure", || property(&unit, "ActiveState") == "failed");
    run.wait().unwrap();
    create(&bundle).ok();
    assert_eq!(property(&unit, "ActiveState"), "active");
    bundle.delete_force().ok();
    assert_eq!(property(&unit, "LoadState"), "not-found");
    case.leaves_nothing();
}

/// It is somebody else's, and lives on.
fn a_unit_that_is_there_is_left_alone(case: &Case) {
    let (bundle, unit) = scope(case);
    let mut run = Command::new("systemd-run");
    let run = run.args(["--quiet", "--scope", "--unit", &unit, "sleep", "1000"]).spawn();
    let mut run = run.unwrap();
    until("the unit", || property(&unit, "ActiveState") == "active");
    create(&bundle).fails();
    assert_eq!(property(&unit, "ActiveState"), "active");
    assert!(run.try_wait().unwrap().is_none());
    run.kill().unwrap();
    run.wait().unwrap();
    until("the unit's end", || property(&unit, "ActiveState") != "active");
    case.leaves_nothing();
}

fn a_path_of_another_shape_is_refused(case: &Case) {
    let (bundle, _) = scope(case);
    let bundle = bundle.set("/linux/cgroupsPath", json!("/a/b"));
    create(&bundle).fails().says("expected cgroupsPath to be of format \"slice:prefix:name\"");
    case.leaves_nothing();
}

/// A bus whose owner never answers.
fn silent_bus(case: &Case) -> (UnixListener, String) {
    let socket = case.path("bus");
    let listener = UnixListener::bind(&socket).unwrap();
    (listener, format!("unix:path={}", socket.display()))
}

/// One that hangs, and one that nobody listens on any more.
fn a_bus_that_is_dead_or_hangs_is_told(case: &Case) {
    let (listener, address) = silent_bus(case);
    let ask = |bundle: &Bundle| {
        let create = bundle.launch("create", &[]).globals(globals(case));
        create.variable("DBUS_SYSTEM_BUS_ADDRESS", &address).run()
    };
    ask(&scope(case).0).fails().says("does not answer in time");
    case.leaves_nothing();
    drop(listener);
    ask(&scope(case).0).fails().says("connect to systemd");
    case.leaves_nothing();
}

/// Processes, cgroup and state are the kernel's and ours to remove, and systemd
/// forgets a scope that has lost its cgroup. So it is a warning, no failure.
fn without_an_answer_delete_leaves_nothing_all_the_same(case: &Case) {
    let (listener, address) = silent_bus(case);
    let mut listener = Some(listener);
    for words in ["does not answer in time", "connect to systemd"] {
        let (bundle, unit) = scope(case);
        let bundle = bundle.sleeps();
        create(&bundle).ok();
        bundle.start().ok();
        let delete = bundle.command("delete", &["--force"]);
        let output = delete.variable("DBUS_SYSTEM_BUS_ADDRESS", &address).run().ok();
        assert_eq!(output.stderr, "", "{output}");
        assert!(
            output.log.contains("\"level\":\"warning\"") && output.log.contains(words),
            "{output}"
        );
        until("the unit's end", || property(&unit, "LoadState") == "not-found");
        case.leaves_nothing();
        drop(listener.take());
    }
}

/// The kernel has the old limit again, as systemd has it still.
fn without_an_answer_an_update_changes_nothing(case: &Case) {
    let (bundle, unit) = scope(case);
    let bundle = bundle.set("/linux/resources/pids/limit", json!(50)).sleeps();
    create(&bundle).ok();
    let (listener, address) = silent_bus(case);
    let update = || {
        let update = bundle.command("update", &["--pids-limit", "60"]);
        update.variable("DBUS_SYSTEM_BUS_ADDRESS", &address).run().fails()
    };
    update().says("does not answer in time");
    assert_eq!(held(&unit, "pids.max"), "50");
    drop(listener);
    update().says("connect to systemd");
    assert_eq!((property(&unit, "TasksMax"), held(&unit, "pids.max")), ("50".into(), "50".into()));
    // What has failed is not remembered either.
    bundle.command("update", &["--cpu-share", "512"]).run().ok();
    assert_eq!(held(&unit, "pids.max"), "50");
}

fn the_message_bus_carries_the_same_calls(case: &Case) {
    let (bundle, unit) = scope(case);
    let bus = "unix:path=/run/dbus/system_bus_socket";
    let create = bundle.launch("create", &[]).globals(globals(case));
    bundle.settle(create.variable("DBUS_SYSTEM_BUS_ADDRESS", bus).run()).ok();
    assert_eq!(property(&unit, "ActiveState"), "active");
    let delete = bundle.command("delete", &["--force"]);
    delete.variable("DBUS_SYSTEM_BUS_ADDRESS", bus).run().ok();
    assert_eq!(property(&unit, "LoadState"), "not-found");
    case.leaves_nothing();
}

/// As strace sees them: with the name of the interface.
fn a_create_takes_two_calls_at_most(case: &Case) {
    let (bundle, _) = scope(case);
    let bundle = bundle.set("/linux/resources/pids/limit", json!(50));
    let trace = case.path("trace");
    let strace = ["strace", "-s", "512", "-e", "trace=sendto", "-o", trace.to_str().unwrap()];
    let create = bundle.launch("create", &[]).globals(globals(case)).through(strace);
    bundle.settle(create.run()).ok();
    let trace = case.read("trace");
    let to_manager = |line: &&str| line.contains("\\0org.freedesktop.systemd1\\0");
    let calls = trace.lines().filter(to_manager);
    let calls: Vec<_> = calls.collect();
    assert!((1..=2).contains(&calls.len()), "{trace}");
    assert!(calls[0].contains("StartTransientUnit"), "{trace}");
}

/// A systemd in the container moves itself to a cgroup below, and gives that
/// controllers: then the container's own can hold no process any more
/// (cgroups-v2, "no internal process constraint").
fn another_process_goes_to_init_where_its_cgroup_takes_nobody(case: &Case) {
    let bundle = case.bundle().running();
    let of = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let own = PathBuf::from(format!("/sys/fs/cgroup{}", of(bundle.pid()).trim()[3..].to_owned()));
    let below = own.join("init.scope");
    fs::create_dir(&below).unwrap();
    for pid in fs::read_to_string(own.join("cgroup.procs")).unwrap().lines() {
        fs::write(below.join("cgroup.procs"), pid).unwrap();
    }
    fs::write(own.join("cgroup.subtree_control"), "+pids").unwrap();
    assert!(fs::write(own.join("cgroup.procs"), bundle.pid().to_string()).is_err());
    let seen = bundle.command("exec", &[]).args(["cat", "/proc/self/cgroup"]).run().ok();
    seen.prints(&of(bundle.pid()));
    bundle.delete_force().ok();
    assert!(!own.exists());
}
