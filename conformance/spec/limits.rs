//! config-linux.md#control-groups: what a container experiences of its
//! limits, and what becomes of limits that cannot be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::needs::{self, Need, needs};
use crate::support::{Bundle, Case, Test, Value, json, leaks, scratch, test, until};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("memory", who_eats_too_much_memory_is_killed).needs(needs![controller("memory")]),
        test!("memory", a_limit_too_low_for_init_is_told)
            .needs(needs![controller("memory"), minke]),
        test!("pids", one_process_more_than_the_limit_is_refused).needs(needs![controller("pids")]),
        test!("cpu", who_uses_up_the_quota_is_throttled).needs(needs![controller("cpu")]),
        test!("cpu", only_the_cpus_of_the_cpuset_are_there).needs(needs![controller("cpuset")]),
        test!("cpu", shares_are_weights).needs(needs![controller("cpu")]),
        test!("cpu", a_cpuset_below_new_cgroups_is_filled_from_above)
            .needs(needs![cgroupfs, controller("cpuset")])
            .fails_on("runc 1.1", "leaves the cgroups above its own")
            .fails_on("crun", "leaves the cgroups above its own"),
        test!("memory", swap_and_reservation_are_held).needs(needs![controller("memory")]),
        test!("memory", swap_is_had_up_to_its_limit)
            .needs([needs::controller("memory"), swap()].into()),
        test!("cpu", an_idle_container_and_a_burst_are_held)
            .needs(needs![controller("cpu"), kernel(5, 15)])
            .may_fail_on("runc 1.1", "does not know them")
            .may_fail_on("crun 1.8", "does not know all of them"),
        test!("blkio", reads_are_throttled)
            .needs([throttle(), needs::file("/dev/loop-control")].into()),
        test!("blkio", each_rate_is_in_its_file)
            .needs([throttle(), needs::file("/dev/loop-control")].into()),
        test!("memory", the_oom_killer_is_disabled_on_v1)
            .needs(needs![cgroup1, controller("memory")]),
        test!("cpu", the_period_of_real_time_is_held)
            .needs(needs![cgroup1, file("/sys/fs/cgroup/cpu/cpu.rt_period_us")]),
        test!("hugetlb", huge_pages_above_the_limit_are_refused).needs(needs![
            cgroup2,
            controller("hugetlb"),
            kernel(5, 6)
        ]),
        test!("hugetlb", a_huge_page_more_than_the_limit_is_refused)
            .needs([hugetlb(), needs::file(HUGE_PAGES)].into()),
        test!("network", sockets_have_the_class).needs(needs![
            cgroup1,
            controller("net_cls"),
            file("/usr/bin/ss")
        ]),
        test!("network", interfaces_have_the_priorities)
            .needs(needs![cgroup1, controller("net_prio")]),
        test!("rdma", a_handle_more_than_the_limit_is_refused).needs(needs![
            cgroup2,
            controller("rdma"),
            file("/sys/module/rdma_rxe")
        ]),
        test!("hugetlb", without_its_hierarchy_it_is_refused)
            .needs(needs![cgroup1, no_file("/sys/fs/cgroup/hugetlb")])
            .may_fail_on("crun", "other words"),
        test!("cgroups", each_limit_is_written_once).needs(needs![
            minke,
            controller("memory"),
            controller("pids"),
            controller("cpu"),
            file("/usr/bin/strace")
        ]),
        test!("cgroups", what_the_kernel_holds_instead_is_in_the_debug_log)
            .needs(needs![minke, controller("memory")]),
        test!("D3", a_device_is_denied_and_allowed),
        test!("G2", nonsense_is_refused)
            .may_fail_on("runc 1.1", "takes some of it")
            .may_fail_on("crun", "takes some of it"),
        test!("G2", cpus_that_are_not_there_are_told)
            .needs(needs![controller("cpuset")])
            .may_fail_on("crun 1.8", "leaves its cgroups"),
        test!("G5", unified_files_are_written).needs(needs![cgroup2]),
        test!("G5", unified_without_its_controller_fails).needs(needs![cgroup2]),
        test!("G5", unified_fails_on_v1).needs(needs![cgroup1]).may_fail_on("crun", "ignores it"),
        test!("G6", what_only_v1_has_fails_on_v2)
            .needs(needs![cgroup2])
            .may_fail_on("crun", "ignores it"),
        test!("G6", what_v1_has_is_converted_for_v2).needs(needs![
            cgroup2,
            controller("memory"),
            controller("pids"),
            controller("cpu")
        ]),
        test!("G7", a_device_without_weights_is_refused)
            .may_fail_on("runc 1.1", "ignores it")
            .may_fail_on("crun", "ignores it"),
        test!("cgroups", a_read_only_cgroup_mount_is_told)
            .needs(needs![cgroupfs])
            .may_fail_on("crun", "other words"),
        test!("cgroups", a_missing_controller_is_told).may_fail_on("crun", "other words"),
    ]
}

fn limited(case: &Case, resources: Value) -> Bundle<'_> {
    case.bundle().set("/linux/resources", resources)
}

/// A file of the container's cgroup; `v1` or `v2` is its name.
fn file(bundle: &Bundle<'_>, controller: &str, v1: &str, v2: &str) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{}/cgroup", bundle.pid())).unwrap();
    let root = Path::new("/sys/fs/cgroup");
    let of = |start: &str| {
        let path = text.lines().find_map(|line| line.split_once(start)).unwrap().1;
        path.trim_start_matches('/').to_owned()
    };
    if root.join("cgroup.procs").exists() {
        return root.join(of("0::")).join(v2);
    }
    root.join(controller).join(of(&format!(":{controller}:"))).join(v1)
}

/// "limit: sets limit of memory usage": by SIGKILL, which is 137.
fn who_eats_too_much_memory_is_killed(case: &Case) {
    let memory = json!({"memory": {"limit": 16 << 20, "swap": 16 << 20}});
    let bundle = limited(case, memory).sh("x=x; while :; do x=$x$x; done");
    bundle.run().exits(137).prints("");
    // Just less is no reason.
    limited(case, json!({"memory": {"limit": 64 << 20}})).sh("echo ran").run().ok().prints("ran\n");
}

/// Whether the kernel refuses the limit or kills init by it.
fn a_limit_too_low_for_init_is_told(case: &Case) {
    let output = limited(case, json!({"memory": {"limit": 4096, "swap": 4096}})).run();
    let mut told = vec!["OOM-killed (memory limit too low?)", "unable to set memory limit to 4096"];
    if scratch::by_systemd() {
        // It removes the cgroup with its count when the only process is gone.
        told.push("(possibly OOM-killed)");
    }
    assert_ne!(output.code(), 0, "{output}");
    assert!(told.iter().any(|words| output.stderr.contains(words)), "{output}");
    case.leaves_nothing();
}

/// "limit: specifies the maximum number of tasks in the cgroup".
fn one_process_more_than_the_limit_is_refused(case: &Case) {
    let script = "(while :; do sleep 1000 & done) 2>/dev/null; echo full; while :; do read x </dev/zero; done";
    let bundle = limited(case, json!({"pids": {"limit": 50}})).sh(script);
    let created = bundle.started();
    until("the last fork", || created.stdout_by_now() == "full\n");
    let held = fs::read_to_string(file(&bundle, "pids", "pids.max", "pids.max")).unwrap();
    assert_eq!(held.trim(), "50");
    let events = fs::read_to_string(file(&bundle, "pids", "pids.events", "pids.events")).unwrap();
    assert_ne!(events.lines().next(), Some("max 0"), "{events}");
    // All but the shell that was refused.
    assert_eq!(leaks::processes(case).len(), 49);
}

/// "quota: allowed CPU time in each period".
fn who_uses_up_the_quota_is_throttled(case: &Case) {
    let cpu = json!({"cpu": {"quota": 2000, "period": 20000}});
    let bundle = limited(case, cpu).sh("while :; do :; done");
    bundle.started();
    let stat = file(&bundle, "cpu", "cpu.stat", "cpu.stat");
    until("throttling", || {
        let text = fs::read_to_string(&stat).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        line.unwrap().parse::<u32>().unwrap() > 3
    });
}

/// "cpus: list of CPUs in the cpuset".
fn only_the_cpus_of_the_cpuset_are_there(case: &Case) {
    let script = "grep -E 'Cpus_allowed_list|Mems_allowed_list' /proc/self/status";
    let bundle = limited(case, json!({"cpu": {"cpus": "0", "mems": "0"}})).sh(script);
    bundle.run().ok().prints("Cpus_allowed_list:\t0\nMems_allowed_list:\t0\n");
}

/// A new cpuset of v1 has nothing, and takes nobody in.
fn a_cpuset_below_new_cgroups_is_filled_from_above(case: &Case) {
    let bundle = limited(case, json!({"cpu": {"cpus": "0"}}));
    let path = format!("/{}/{}new/below/{}", scratch::name(), case.tag, bundle.id);
    let script = "grep -E 'Cpus_allowed_list|Mems_allowed_list' /proc/self/status";
    let output = bundle.set("/linux/cgroupsPath", json!(path)).sh(script).run().ok();
    let above = here("cpuset.effective_mems", "cpuset.mems.effective");
    let hierarchy = here("/sys/fs/cgroup/cpuset", "/sys/fs/cgroup");
    let mems = fs::read_to_string(Path::new(hierarchy).join(above)).unwrap();
    let expected = format!("Cpus_allowed_list:\t0\nMems_allowed_list:\t{}\n", mems.trim());
    assert_eq!(output.stdout, expected);
    case.leaves_nothing();
}

/// Of two names, the one for this machine's cgroups.
fn here<'a>(v1: &'a str, v2: &'a str) -> &'a str {
    if needs::cgroup2().is_ok() { v2 } else { v1 }
}

/// "swap: sets limit of memory+Swap usage", of which v2 has the difference.
fn swap_and_reservation_are_held(case: &Case) {
    let memory = json!({"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20});
    let bundle = limited(case, json!({"memory": memory}));
    bundle.create().ok();
    for (v1, v2, [held1, held2]) in [
        ("memory.memsw.limit_in_bytes", "memory.swap.max", [96_u64 << 20, 32 << 20]),
        ("memory.soft_limit_in_bytes", "memory.low", [32 << 20; 2]),
        ("memory.limit_in_bytes", "memory.max", [64 << 20; 2]),
    ] {
        let path = file(&bundle, "memory", v1, v2);
        // The kernel may be without accounting of swap.
        if v1.contains("memsw") && !path.exists() {
            continue;
        }
        let [held1, held2] = [held1.to_string(), held2.to_string()];
        assert_eq!(fs::read_to_string(&path).unwrap().trim(), here(&held1, &held2), "{v1}");
    }
}

/// A machine that swaps, and counts what.
fn swap() -> Need {
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let there = swaps.lines().count() > 1;
    if there { Ok(()) } else { Err("needs a machine with swap".to_owned()) }
}

/// "swap: sets limit of memory+Swap usage": a file in memory is swapped out, but
/// no more of it than the limit allows.
fn swap_is_had_up_to_its_limit(case: &Case) {
    let fill = |both: u64| {
        let script = "dd if=/dev/zero of=/dev/shm/file bs=1M count=16 2>/dev/null && echo kept";
        let memory = json!({"limit": 8 << 20, "swap": both << 20});
        limited(case, json!({"memory": memory})).sh(script).run()
    };
    fill(24).ok().prints("kept\n");
    fill(12).exits(137).prints("");
}

/// "idle: cgroups are configured with minimum weight"; "burst: maximum
/// amount of accumulated time".
fn an_idle_container_and_a_burst_are_held(case: &Case) {
    let cpu = json!({"quota": 20000, "period": 40000, "burst": 10000, "idle": 1});
    let bundle = limited(case, json!({"cpu": cpu}));
    bundle.create().ok();
    let held = |v1, v2| fs::read_to_string(file(&bundle, "cpu", v1, v2)).unwrap();
    assert_eq!(held("cpu.cfs_burst_us", "cpu.max.burst").trim(), "10000");
    assert_eq!(held("cpu.idle", "cpu.idle").trim(), "1");
    assert_eq!(held("cpu.cfs_period_us", "cpu.max").trim(), here("40000", "20000 40000"));
}

fn throttle() -> Need {
    needs::controller(here("blkio", "io"))
}

/// A loop device on a file, for as long as this lives.
struct Disk {
    device: String,
    minor: i64,
}

impl Disk {
    fn new(file: &Path) -> Self {
        let output = Command::new("losetup").args(["--find", "--show"]).arg(file).output();
        let device = String::from_utf8(output.expect("losetup").stdout).unwrap();
        let device = device.trim().to_owned();
        let minor = device.strip_prefix("/dev/loop").expect("a loop device").parse().unwrap();
        Self { device, minor }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
    }
}

/// "throttleReadBpsDevice: upper limits for per-device read rates": twice as
/// much as what may be read in a second.
fn reads_are_throttled(case: &Case) {
    fs::write(case.path("disk"), vec![1; 1 << 20]).unwrap();
    let disk = Disk::new(&case.path("disk"));
    let device = json!({"path": "/dev/disk", "type": "b", "major": 7, "minor": disk.minor});
    let read = |resources: Value| {
        let script =
            "dd if=/dev/disk of=/dev/null bs=64k count=16 iflag=direct 2>&1 | grep records.in";
        let bundle = limited(case, resources).set("/linux/devices", json!([device])).sh(script);
        let bundle = bundle.push(
            "/linux/resources/devices",
            json!({"allow": true, "type": "b", "major": 7, "minor": disk.minor, "access": "r"}),
        );
        let begin = Instant::now();
        bundle.run().ok().prints("16+0 records in\n");
        begin.elapsed()
    };
    let rate = json!({"major": 7, "minor": disk.minor, "rate": 512 << 10});
    let throttled = read(json!({"blockIO": {"throttleReadBpsDevice": [rate]}}));
    let free = read(json!({}));
    assert!(throttled > Duration::from_millis(1500), "{throttled:?}");
    assert!(throttled > free, "{throttled:?} {free:?}");
}

/// Rates of reading and writing, by bytes and by requests, for one device.
fn each_rate_is_in_its_file(case: &Case) {
    fs::write(case.path("disk"), vec![1; 1 << 20]).unwrap();
    let disk = Disk::new(&case.path("disk"));
    let rate = |rate: u64| json!([{"major": 7, "minor": disk.minor, "rate": rate}]);
    let block_io = json!({
        "throttleReadBpsDevice": rate(1 << 20), "throttleWriteBpsDevice": rate(2 << 20),
        "throttleReadIOPSDevice": rate(300), "throttleWriteIOPSDevice": rate(400),
    });
    let bundle = limited(case, json!({"blockIO": block_io}));
    bundle.create().ok();
    let held = |v1: &str| {
        let path = file(&bundle, "blkio", &format!("blkio.throttle.{v1}_device"), "io.max");
        fs::read_to_string(path).unwrap()
    };
    let device = format!("7:{}", disk.minor);
    for (name, key, rate) in [
        ("read_bps", "rbps", 1 << 20),
        ("write_bps", "wbps", 2 << 20),
        ("read_iops", "riops", 300),
        ("write_iops", "wiops", 400),
    ] {
        let (text, ours) = (held(name), format!("{key}={rate}"));
        let wanted = here(&rate.to_string(), &ours).to_owned();
        let words: Vec<_> = text.split_whitespace().collect();
        assert!(words[0] == device && words.contains(&wanted.as_str()), "{wanted}: {text}");
    }
    bundle.delete_force().ok();
}

/// `useHierarchy` is taken beside it; since Linux 5.11 it cannot be otherwise.
fn the_oom_killer_is_disabled_on_v1(case: &Case) {
    for (disabled, held) in [(true, "oom_kill_disable 1"), (false, "oom_kill_disable 0")] {
        let memory = json!({"memory": {"disableOOMKiller": disabled, "useHierarchy": true}});
        let bundle = limited(case, memory);
        bundle.create().ok();
        let control = file(&bundle, "memory", "memory.oom_control", "");
        let control = fs::read_to_string(control).unwrap();
        assert!(control.contains(held), "{held}: {control}");
    }
}

/// `realtimePeriod`, of the topmost cgroup: others get no share by themselves.
fn the_period_of_real_time_is_held(case: &Case) {
    let cpu = json!({"cpu": {"realtimePeriod": 500_000, "realtimeRuntime": 1000}});
    let bundle = limited(case, cpu);
    let top = format!("/{}", bundle.id);
    let bundle = bundle.set("/linux/cgroupsPath", json!(top));
    bundle.create().ok();
    let held = |name| fs::read_to_string(file(&bundle, "cpu", name, "")).unwrap();
    assert_eq!(held("cpu.rt_period_us"), "500000\n");
    assert_eq!(held("cpu.rt_runtime_us"), "1000\n");
}

/// "hugepageLimits": the kernel counts how often it has refused one.
fn huge_pages_above_the_limit_are_refused(case: &Case) {
    let refusals = |resources: Value| {
        let script = "busybox fallocate -l 2097152 /huge/page 2>/dev/null; echo tried; sleep 1000";
        let bundle = limited(case, resources).sh(script);
        let bundle = bundle.mount("/huge", "hugetlbfs", "hugetlbfs", &["pagesize=2M"]);
        let created = bundle.started();
        until("the attempt", || created.stdout_by_now() == "tried\n");
        let events = fs::read_to_string(file(&bundle, "", "", "hugetlb.2MB.events")).unwrap();
        bundle.delete_force().ok();
        events.trim().strip_prefix("max ").unwrap().parse::<u32>().unwrap()
    };
    assert_eq!(refusals(json!({})), 0);
    assert!(refusals(json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]})) > 0);
}

fn hugetlb() -> Need {
    needs::controller("hugetlb")
}

const HUGE_PAGES: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

/// Four huge pages more than the machine has, for as long as this lives: two for the test, and two that others may have
/// at the moment.
struct HugePages {
    before: String,
}

impl HugePages {
    fn new() -> Self {
        let before = fs::read_to_string(HUGE_PAGES).unwrap();
        let wanted = before.trim().parse::<u32>().unwrap() + 4;
        fs::write(HUGE_PAGES, wanted.to_string()).unwrap();
        let pages = Self { before };
        let there = fs::read_to_string(HUGE_PAGES).unwrap();
        assert_eq!(there.trim(), wanted.to_string(), "the machine has no memory for huge pages");
        pages
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let _ = fs::write(HUGE_PAGES, &self.before);
    }
}

/// "limit: the limit in bytes of hugepagesize HugeTLB usage".
fn a_huge_page_more_than_the_limit_is_refused(case: &Case) {
    let _pages = HugePages::new();
    let had = |pages: u64| {
        let limit = json!([{"pageSize": "2MB", "limit": pages << 21}]);
        let script = "for page in a b; do
            busybox fallocate -l 2097152 /huge/$page 2>/dev/null && echo $page; done; true";
        let bundle = limited(case, json!({"hugepageLimits": limit})).sh(script);
        bundle.mount("/huge", "hugetlbfs", "hugetlbfs", &["pagesize=2M"]).run().ok().stdout
    };
    assert_eq!(had(2), "a\nb\n");
    assert_eq!(had(1), "a\n");
    assert_eq!(had(0), "");
}

/// "classID: the network class identifier the cgroup's network packets will be
/// tagged with", as the kernel tells of a socket.
fn sockets_have_the_class(case: &Case) {
    let bundle = limited(case, json!({"network": {"classID": 0x0010_0001}}));
    let bundle = bundle.sh("exec busybox nc -l -p 5000");
    bundle.started();
    let net = format!("--net=/proc/{}/ns/net", bundle.pid());
    until("the socket", || {
        let ss = Command::new("nsenter").arg(&net).args(["ss", "-tlnH", "--tos"]).output().unwrap();
        String::from_utf8(ss.stdout).unwrap().contains("class_id:0x100001")
    });
    bundle.delete_force().ok();
}

/// "priorities: a list of objects of the priorities assigned to traffic
/// originating from processes in the group and egressing the system on various
/// interfaces".
fn interfaces_have_the_priorities(case: &Case) {
    let priorities = json!([{"name": "lo", "priority": 7}]);
    let bundle = limited(case, json!({"network": {"priorities": priorities}}));
    bundle.create().ok();
    let map = fs::read_to_string(file(&bundle, "net_prio", "net_prio.ifpriomap", "")).unwrap();
    assert!(map.lines().any(|line| line == "lo 7"), "{map}");
    bundle.delete_force().ok();
    let unknown = json!([{"name": "no-such", "priority": 7}]);
    let output = limited(case, json!({"network": {"priorities": unknown}})).create().fails();
    output.says("net_prio.ifpriomap").says("linux.resources.network.priorities[0]");
    case.leaves_nothing();
}

/// An RDMA device in software, and the numbers of the device file for it. It stays:
/// Linux 6.12 crashes when one goes that a cgroup has had limits for.
fn rdma(name: &str) -> [u32; 2] {
    let run = |words: &[&str]| {
        assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success(), "{words:?}");
    };
    if !Path::new("/sys/class/infiniband").join(name).exists() {
        run(&["ip", "link", "add", name, "type", "dummy"]);
        run(&["rdma", "link", "add", name, "type", "rxe", "netdev", name]);
    }
    let entries = fs::read_dir("/sys/class/infiniband_verbs").unwrap().flatten();
    let of_ours =
        |path: &PathBuf| fs::read_to_string(path.join("ibdev")).is_ok_and(|of| of.trim() == name);
    let ours = entries.map(|entry| entry.path()).find(of_ours).unwrap();
    let numbers = fs::read_to_string(ours.join("dev")).unwrap();
    let (major, minor) = numbers.trim().split_once(':').unwrap();
    [major, minor].map(|number| number.parse().unwrap())
}

/// "hcaHandles: specifies the maximum number of hca_handles in the cgroup". The
/// container asks for one: `IB_USER_VERBS_CMD_GET_CONTEXT` of `rdma/ib_user_verbs.h`,
/// with the address of an answer, in a stack that is always in the same place.
fn a_handle_more_than_the_limit_is_refused(case: &Case) {
    let [major, minor] = rdma("conformance");
    let device = json!({"path": "/dev/verbs", "type": "c", "major": major, "minor": minor});
    let rule = json!({"allow": true, "type": "c", "major": major, "minor": minor, "access": "rw"});
    let answer = |handles: u32| {
        let limits = json!({"rdma": {"conformance": {"hcaHandles": handles, "hcaObjects": 9}}});
        let script = r"busybox printf '\000\000\000\000\004\000\002\000\000\350\377\377\377\177\000\000' |
            dd of=/dev/verbs bs=16 count=1 2>&1 | head -n 1";
        let bundle = limited(case, limits).set("/linux/devices", json!([device]));
        let bundle = bundle.push("/linux/resources/devices", rule.clone()).sh(script);
        bundle.launch("run", &[]).through(["setarch", "--addr-no-randomize"]).run().ok().stdout
    };
    assert_eq!(answer(1), "1+0 records in\n");
    assert_eq!(answer(0), "dd: error writing '/dev/verbs': Resource temporarily unavailable\n");
}

/// Even if the controller is in the v2 hierarchy beside those of v1, which
/// is the init system's; runc's words.
fn without_its_hierarchy_it_is_refused(case: &Case) {
    let limit = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]});
    limited(case, limit).create().fails().says("cannot set hugetlb limit: container could not");
    case.leaves_nothing();
}

/// As strace sees the runtime open the files.
fn each_limit_is_written_once(case: &Case) {
    let resources = json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 50},
        "cpu": {"shares": 512, "quota": 20000, "period": 50000}});
    let bundle = limited(case, resources);
    let trace = case.path("trace");
    let strace = ["strace", "-e", "trace=openat", "-o", trace.to_str().unwrap()];
    bundle.settle(bundle.launch("create", &[]).through(strace).run()).ok();
    let trace = case.read("trace");
    let v1 = ["memory.limit_in_bytes", "pids.max", "cpu.shares", "cpu.cfs_quota_us"];
    let v2 = ["memory.max", "pids.max", "cpu.weight", "cpu.max"];
    for file in if needs::cgroup2().is_ok() { v2 } else { v1 } {
        let opened = trace.matches(&format!("{file}\", O_WRONLY")).count();
        assert_eq!(opened, 1, "{file}: {trace}");
    }
}

/// Sizes are whole pages, and sets of CPUs what the cgroup above has.
fn what_the_kernel_holds_instead_is_in_the_debug_log(case: &Case) {
    let limit = (32 << 20) + 1;
    let bundle = limited(case, json!({"memory": {"limit": limit}, "pids": {"limit": 50}}));
    bundle.write_config();
    let root = case.root();
    let run = |words: &[&str]| {
        let log = case.path("debug.log");
        let globals = ["--debug", "--root", root.to_str().unwrap(), "--log", log.to_str().unwrap()];
        bundle.settle(case.runtime(words).globals(globals).run()).ok();
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(log);
        text
    };
    let file = here("memory.limit_in_bytes", "memory.max");
    let words = |asked: u64, held: u64| {
        format!(r#"{file}: asked for "{asked}", the kernel holds "{held}""#)
    };
    let told = run(&["create", "--bundle", bundle.dir.to_str().unwrap(), &bundle.id]);
    // The text log has its quotes behind backslashes.
    let told = told.replace('\\', "");
    assert!(told.contains(&words(limit, limit - 1)), "{told}");
    assert!(!told.contains("pids.max: asked"), "{told}");
    let update = |size: u64| run(&["update", "--memory", &size.to_string(), &bundle.id]);
    let told = update(limit + 4096).replace('\\', "");
    assert!(told.contains(&words(limit + 4096, limit + 4095)), "{told}");
    let told = update(64 << 20);
    assert!(!told.contains("the kernel holds"), "{told}");
}

/// 1024 is what all have who do not ask.
fn shares_are_weights(case: &Case) {
    let v2 = Path::new("/sys/fs/cgroup/cgroup.procs").exists();
    for (shares, weight) in [(2, 1), (1024, 100), (262_144, 10_000)] {
        let bundle = limited(case, json!({"cpu": {"shares": shares}}));
        bundle.create().ok();
        let held = fs::read_to_string(file(&bundle, "cpu", "cpu.shares", "cpu.weight")).unwrap();
        assert_eq!(held.trim(), if v2 { weight } else { shares }.to_string());
        bundle.delete_force().ok();
    }
}

/// "devices: configures the allowed device list", in its order.
fn a_device_is_denied_and_allowed(case: &Case) {
    let ask = |rules: Value| {
        let capabilities = json!(["CAP_MKNOD"]);
        let sets =
            json!({"bounding": capabilities, "effective": capabilities, "permitted": capabilities});
        let script = "mknod /kmsg c 1 11; (: > /kmsg) 2>&1 | grep -q permitted && echo no || echo yes; : > /dev/null && echo null";
        let bundle = limited(case, json!({"devices": rules}));
        bundle.set("/process/capabilities", sets).sh(script).run().ok().stdout
    };
    let deny = json!({"allow": false, "access": "rwm"});
    let kmsg = |access: &str| json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": access});
    assert_eq!(ask(json!([deny])), "no\nnull\n");
    assert_eq!(ask(json!([deny, kmsg("w")])), "yes\nnull\n");
    assert_eq!(ask(json!([deny, kmsg("r")])), "no\nnull\n");
    assert_eq!(ask(json!([kmsg("w"), deny])), "no\nnull\n");
}

/// With the field's name, and nothing is made.
fn nonsense_is_refused(case: &Case) {
    for (field, resources) in [
        ("memory.limit", json!({"memory": {"limit": -5}})),
        ("memory.swap", json!({"memory": {"limit": 8 << 20, "swap": 4096}})),
        ("memory.swap", json!({"memory": {"swap": 4096}})),
        ("memory.limit", json!({"memory": {"limit": "much"}})),
        ("cpu.period", json!({"cpu": {"period": 5}})),
        ("cpu.quota", json!({"cpu": {"quota": 5}})),
        ("cpu.idle", json!({"cpu": {"idle": 7}})),
        ("blockIO.weight", json!({"blockIO": {"weight": 5}})),
        ("blockIO.weight", json!({"blockIO": {"weight": 1001}})),
        ("memory.swappiness", json!({"memory": {"swappiness": 101}})),
        ("memory.reservation", json!({"memory": {"reservation": -2}})),
        ("cpu.burst", json!({"cpu": {"quota": 5000, "burst": 6000}})),
        ("cpu.realtimeRuntime", json!({"cpu": {"realtimeRuntime": -2}})),
        ("pids.limit", json!({"pids": {"limit": "all"}})),
        (
            "blockIO.weightDevice[0].weight",
            json!({"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 9}]}}),
        ),
        (
            "blockIO.throttleReadBpsDevice[0].major",
            json!({"blockIO": {"throttleReadBpsDevice": [{"major": -1, "minor": 0, "rate": 9}]}}),
        ),
        ("rdma", json!({"rdma": {"two words": {"hcaHandles": 3}}})),
        (
            "network.priorities[0].name",
            json!({"network": {"priorities": [{"name": "", "priority": 1}]}}),
        ),
        ("unified", json!({"unified": {"../memory.max": "1"}})),
        (
            "hugepageLimits[0].pageSize",
            json!({"hugepageLimits": [{"pageSize": "../x", "limit": 1}]}),
        ),
        ("devices[0].access", json!({"devices": [{"allow": true, "type": "c", "access": "x"}]})),
        ("devices[0].type", json!({"devices": [{"allow": true, "type": "z", "access": "r"}]})),
        (
            "devices[0].major",
            json!({"devices": [{"allow": true, "type": "c", "major": 5000, "access": "r"}]}),
        ),
    ] {
        let output = limited(case, resources).create().fails();
        output.says(&format!("linux.resources.{field}"));
        case.leaves_nothing();
    }
}

/// Which file, what value, and what there is.
fn cpus_that_are_not_there_are_told(case: &Case) {
    limited(case, json!({"cpu": {"cpus": "4000"}})).create().fails().says("cpuset.cpus");
    case.leaves_nothing();
}

/// "unified: cgroup v2 parameters to be used".
fn unified_files_are_written(case: &Case) {
    let bundle = limited(case, json!({"unified": {"cgroup.max.depth": "3"}}));
    bundle.create().ok();
    assert_eq!(fs::read_to_string(file(&bundle, "", "", "cgroup.max.depth")).unwrap().trim(), "3");
}

/// "the runtime MUST generate an error" if the controller is not there.
fn unified_without_its_controller_fails(case: &Case) {
    let output = limited(case, json!({"unified": {"nothing.max": "3"}})).create().fails();
    output.says("controller \"nothing\" not available");
    case.leaves_nothing();
}

/// It is of v2 alone.
fn unified_fails_on_v1(case: &Case) {
    limited(case, json!({"unified": {"memory.high": "max"}})).create().fails();
    case.leaves_nothing();
}

/// "If the runtime cannot convert … MUST generate an error".
fn what_only_v1_has_fails_on_v2(case: &Case) {
    limited(case, json!({"network": {"classID": 5}})).create().fails();
    case.leaves_nothing();
}

/// config-linux.md, table of conversions: swap is told apart from memory, and
/// "no limit" has another word.
fn what_v1_has_is_converted_for_v2(case: &Case) {
    let resources = json!({"memory": {"limit": 32 << 20, "swap": 48 << 20, "reservation": 16 << 20},
        "pids": {"limit": -1}, "cpu": {"quota": 50000, "period": 100_000}});
    let bundle = limited(case, resources);
    bundle.create().ok();
    for (name, held) in [
        ("memory.max", "33554432"),
        ("memory.swap.max", "16777216"),
        ("memory.low", "16777216"),
        ("pids.max", "max"),
        ("cpu.max", "50000 100000"),
    ] {
        assert_eq!(fs::read_to_string(file(&bundle, "", "", name)).unwrap().trim(), held, "{name}");
    }
}

/// "You MUST specify at least one of weight or leafWeight".
fn a_device_without_weights_is_refused(case: &Case) {
    limited(case, json!({"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}}))
        .create()
        .fails();
    let output = limited(case, json!({"rdma": {"mlx5_0": {}}})).create().fails();
    output.says("rdma[\"mlx5_0\"]: must have hcaHandles or hcaObjects");
    case.leaves_nothing();
}

/// As in a container that has no right to make others.
fn a_read_only_cgroup_mount_is_told(case: &Case) {
    let bundle = case.bundle();
    let script = "mount --make-rprivate / && for dir in /sys/fs/cgroup /sys/fs/cgroup/*/; do
        mountpoint -q $dir && mount -o remount,bind,ro $dir; done; true";
    bundle.launch("create", &[]).after(script).run().fails().tells("read-only file system");
    case.leaves_nothing();
}

/// No machine has this one.
fn a_missing_controller_is_told(case: &Case) {
    limited(case, json!({"rdma": {"mlx5_0": {"hcaHandles": 3}}})).create().fails().says("rdma");
    case.leaves_nothing();
}
