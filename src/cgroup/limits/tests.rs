use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::*;
use crate::cgroup::held::differences;
use crate::cgroup::translate::{v1, v2};
use crate::spec::Resources;

fn resources(json: &str) -> Resources {
    serde_json::from_str(json).unwrap()
}

/// Two numbers of which the first must not be above the second, as the
/// kernel holds them for memory and memory+swap.
#[derive(Debug, PartialEq)]
struct Bound(u64, u64);

impl Bound {
    fn set(&mut self, write: &Write<'_>) -> Result<()> {
        let value = write.value.parse().unwrap_or(u64::MAX);
        let new =
            if write.file.contains("memsw") { Self(self.0, value) } else { Self(value, self.1) };
        if new.0 > new.1 {
            return Err(Error::os("set", Errno::INVAL));
        }
        *self = new;
        Ok(())
    }
}

#[test]
fn limits_that_bound_each_other_are_set_from_anywhere() {
    let to = resources(r#"{"memory": {"limit": 200, "swap": 500}}"#);
    let writes = v1(&to, None, "r").unwrap();
    let unlimited = u64::MAX;
    for (from, most) in [
        (Bound(unlimited, unlimited), 2),
        (Bound(1000, 2000), 2),
        (Bound(100, 150), 3),
        (Bound(200, 500), 2),
        (Bound(10, 10), 3),
    ] {
        let (mut bound, mut count) = (from, 0);
        let set = |write: &Write<'_>| {
            count += 1;
            bound.set(write)
        };
        in_order(&writes, set).unwrap();
        assert_eq!((bound, count), (Bound(200, 500), most));
    }
}

#[test]
fn a_refusal_of_both_orders_is_the_error() {
    let to = resources(r#"{"memory": {"limit": 200, "swap": 500, "reservation": 9}}"#);
    let writes = v1(&to, None, "r").unwrap();
    let asked = RefCell::new(Vec::new());
    let refuse = |write: &Write<'_>| {
        asked.borrow_mut().push(write.file.to_string());
        match &*write.file {
            "memory.limit_in_bytes" => Err(Error::os("set the limit", Errno::INVAL)),
            _ => Ok(()),
        }
    };
    let error = in_order(&writes, refuse).unwrap_err();
    assert_eq!(error.to_string(), "set the limit: invalid argument");
    let order = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.limit_in_bytes"];
    assert_eq!(asked.into_inner(), order);
}

#[test]
fn other_errors_end_it_at_once() {
    let to = resources(r#"{"memory": {"limit": 200, "swap": 500}}"#);
    let writes = v1(&to, None, "r").unwrap();
    let mut count = 0;
    let refuse = |_: &Write<'_>| {
        count += 1;
        Err(Error::os("set", Errno::ACCESS))
    };
    assert!(in_order(&writes, refuse).is_err());
    assert_eq!(count, 1);
}

/// runc's bats look for these words.
#[test]
fn no_cgroup_is_told_in_runcs_words() {
    let to = resources(r#"{"pids": {"limit": 5}}"#);
    let error = apply(&|_| None, &v2(&to, "linux.resources").unwrap(), false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot set pids limit: container could not join or create cgroup (linux.resources.pids.limit)"
    );
    let to = resources(r#"{"memory": {"swap": -1}}"#);
    apply(&|_| None, &v2(&to, "linux.resources").unwrap(), false).unwrap();
}

/// A directory below the one that the environment variable names.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(variable: &str, controller: &str, name: &str) -> Self {
        let dir = PathBuf::from(std::env::var_os(variable).unwrap()).join(controller);
        let dir = dir.join(format!("minke-test-{name}-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn open(&self) -> File {
        File::open(&self.0).unwrap()
    }

    /// A process in the cgroup that uses a megabyte and waits.
    fn process(&self) -> std::process::Child {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "echo 0 > \"$1/cgroup.procs\"; x=$(head -c 1000000 /dev/zero | tr '\\0' x); echo; read y", "sh"])
            .arg(&self.0)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let _ = std::io::Read::read(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        child
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.join(file)).unwrap().trim().to_owned()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Cgroups of v1: `MINKE_CGROUP1=DIR`, where the hierarchies cpu, cpuset,
/// memory, pids and blkio are mounted on directories of their name.
struct V1 {
    cgroups: [Cgroup; 5],
    dirs: [File; 5],
}

impl V1 {
    const NAMES: [&str; 5] = ["cpu", "cpuset", "memory", "pids", "blkio"];

    fn new(name: &str) -> Self {
        let cgroups = Self::NAMES.map(|hierarchy| Cgroup::new("MINKE_CGROUP1", hierarchy, name));
        let dirs = cgroups.each_ref().map(Cgroup::open);
        Self { cgroups, dirs }
    }

    fn place(controller: &str) -> Option<usize> {
        Self::NAMES.iter().position(|name| *name == controller)
    }

    fn dir(&self, controller: &str) -> Option<BorrowedFd<'_>> {
        Self::place(controller).map(|i| self.dirs[i].as_fd())
    }

    /// Applies limits; what the kernel then holds must be what was asked.
    fn apply(&self, json: &str) -> Result<()> {
        let resources = resources(json);
        let writes = v1(&resources, None, "r").unwrap();
        apply(&|name| self.dir(name), &writes, false)?;
        assert_eq!(differences(&|name| self.dir(name), &writes), [], "{json}");
        Ok(())
    }

    fn read(&self, file: &str) -> String {
        self.cgroups[Self::place(file.split('.').next().unwrap()).unwrap()].read(file)
    }
}

/// On a kernel, see [`V1`].
#[test]
#[ignore = "changes cgroups"]
fn kernel_takes_the_limits_of_v1() {
    let on = V1::new("limits");
    crate::cgroup::v1::fill_cpuset(on.cgroups[1].0.to_str().unwrap(), true).unwrap();
    assert_ne!(on.read("cpuset.cpus"), "");

    on.apply(
        r#"{"memory": {"limit": 104857600, "reservation": 52428800, "swappiness": 10},
        "cpu": {"shares": 512, "period": 50000, "quota": 20000, "burst": 10000, "cpus": "0", "mems": "0"},
        "pids": {"limit": 50}}"#,
    )
    .unwrap();
    for (file, expected) in [
        ("memory.limit_in_bytes", "104857600"),
        ("memory.soft_limit_in_bytes", "52428800"),
        ("memory.swappiness", "10"),
        ("cpu.shares", "512"),
        ("cpu.cfs_period_us", "50000"),
        ("cpu.cfs_quota_us", "20000"),
        ("cpu.cfs_burst_us", "10000"),
        ("cpuset.cpus", "0"),
        ("cpuset.mems", "0"),
        ("pids.max", "50"),
    ] {
        assert_eq!(on.read(file), expected, "{file}");
    }
    // Up and down again, where each direction has its order.
    for (period, quota, burst) in
        [(1_000_000, 900_000, 900_000), (1000, 1000, 0), (2000, 8000, 8000)]
    {
        on.apply(&format!(
            r#"{{"cpu": {{"period": {period}, "quota": {quota}, "burst": {burst}}}}}"#
        ))
        .unwrap();
        assert_eq!(on.read("cpu.cfs_period_us"), period.to_string());
        assert_eq!(on.read("cpu.cfs_quota_us"), quota.to_string());
        assert_eq!(on.read("cpu.cfs_burst_us"), burst.to_string());
    }
    for (json, file, expected) in [
        (r#"{"cpu": {"shares": 2}}"#, "cpu.shares", "2"),
        (r#"{"cpu": {"shares": 262144}}"#, "cpu.shares", "262144"),
        (r#"{"cpu": {"quota": -1}}"#, "cpu.cfs_quota_us", "-1"),
        (r#"{"cpu": {"idle": 1, "shares": 100}}"#, "cpu.idle", "1"),
        (r#"{"cpu": {"idle": 0, "shares": 100}}"#, "cpu.shares", "100"),
        (r#"{"memory": {"limit": -1}}"#, "memory.limit_in_bytes", "9223372036854771712"),
        (r#"{"pids": {"limit": -1}}"#, "pids.max", "max"),
    ] {
        on.apply(json).unwrap();
        assert_eq!(on.read(file), expected, "{json}");
    }
}

/// On a kernel, see [`V1`].
#[test]
#[ignore = "changes cgroups"]
fn failures_on_v1_are_explained() {
    let on = V1::new("failures");
    let odd = resources(
        r#"{"memory": {"limit": 4097000}, "cpu": {"cpus": "0", "quota": -1}, "pids": {"limit": 9}}"#,
    );
    let writes = v1(&odd, None, "r").unwrap();
    apply(&|name| on.dir(name), &writes, false).unwrap();
    let told: Vec<_> =
        differences(&|name| on.dir(name), &writes).iter().map(ToString::to_string).collect();
    let rounded = "memory.limit_in_bytes: asked for \"4097000\", the kernel holds \"4096000\"";
    assert_eq!(told, [rounded]);

    let mut process = on.cgroups[2].process();
    let error = on.apply(r#"{"memory": {"limit": 4096}}"#).unwrap_err().to_string();
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(error.contains("unable to set memory limit to 4096 (current usage: "), "{error}");
    let error = on.apply(r#"{"cpu": {"cpus": "4095"}}"#).unwrap_err().to_string();
    assert!(
        error.contains("cpuset.cpus to \"4095\" (r.cpu.cpus), where the cgroup above has 0-"),
        "{error}"
    );
    let error = on.apply(r#"{"rdma": {"x": {"hcaHandles": 1}}}"#).unwrap_err().to_string();
    assert!(error.starts_with("cannot set rdma limit: container could not"), "{error}");
}

/// On a kernel: `MINKE_CGROUP1_DEVICES=DIR`, where the v1 hierarchy of devices
/// is mounted. A device that old and new rules allow stays open to use.
#[test]
#[ignore = "changes cgroups"]
fn kernel_changes_the_devices_of_v1() {
    let cgroup = Cgroup::new("MINKE_CGROUP1_DEVICES", ".", "change");
    let dir = cgroup.open();
    let change = |json: &str| {
        let rules = Ruleset::new(&resources(json).devices, "r.devices").unwrap();
        change_devices(dir.as_fd(), &rules, "r.devices").unwrap();
        let held = Ruleset::from_v1_list(&cgroup.read("devices.list")).unwrap();
        assert_eq!(held.default_allow(), rules.default_allow());
        assert!(held.default_allow() || held.v1_transition(&rules).is_empty(), "{json}");
        cgroup.read("devices.list")
    };
    assert!(!change(r#"{"devices": []}"#).contains("8:0"));
    let one =
        r#"{"devices": [{"allow": true, "type": "b", "major": 8, "minor": 0, "access": "rw"}]}"#;
    assert!(change(one).contains("b 8:0 rw"));
    assert!(
        change(r#"{"devices": [{"allow": true, "type": "b", "major": 8, "access": "r"}]}"#)
            .contains("b 8:* r")
    );
    assert_eq!(change(r#"{"devices": [{"allow": true, "access": "rwm"}]}"#), "a *:* rwm");
    assert!(change(one).contains("b 8:0 rw"));
}

/// On a kernel: `MINKE_CGROUP2=DIR`, with all controllers that it has enabled
/// for the cgroups in it.
#[test]
#[ignore = "changes cgroups"]
fn kernel_takes_the_limits_of_v2() {
    let cgroup = Cgroup::new("MINKE_CGROUP2", ".", "limits");
    let dir = cgroup.open();
    let apply =
        |json: &str| apply(&|_| Some(dir.as_fd()), &v2(&resources(json), "r").unwrap(), false);
    for (controller, json, file, expected) in [
        ("pids", r#"{"pids": {"limit": 50}}"#, "pids.max", "50"),
        (
            "memory",
            r#"{"memory": {"limit": 104857600, "swap": 104857600}}"#,
            "memory.max",
            "104857600",
        ),
        ("memory", r#"{"memory": {"reservation": 52428800}}"#, "memory.low", "52428800"),
        ("memory", r#"{"memory": {"limit": -1, "checkBeforeUpdate": true}}"#, "memory.max", "max"),
        ("cpu", r#"{"cpu": {"shares": 1024}}"#, "cpu.weight", "100"),
        ("cpu", r#"{"cpu": {"shares": 262144}}"#, "cpu.weight", "10000"),
        ("cpu", r#"{"cpu": {"quota": 50000, "burst": 1000}}"#, "cpu.max", "50000 100000"),
        ("cpu", r#"{"cpu": {"quota": 900000, "burst": 900000}}"#, "cpu.max.burst", "900000"),
        ("cpu", r#"{"cpu": {"quota": 9000, "burst": 9000}}"#, "cpu.max", "9000 100000"),
        ("cpu", r#"{"cpu": {"idle": 1, "shares": 9}}"#, "cpu.idle", "1"),
        ("cpuset", r#"{"cpu": {"cpus": "0", "mems": "0"}}"#, "cpuset.cpus", "0"),
        ("cpuset", r#"{"unified": {"cpuset.cpus": ""}}"#, "cpuset.cpus", ""),
        (
            "hugetlb",
            r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#,
            "hugetlb.2MB.max",
            "4194304",
        ),
        ("cgroup", r#"{"unified": {"cgroup.max.depth": "3"}}"#, "cgroup.max.depth", "3"),
    ] {
        if controller == "cgroup" || cgroup.read("cgroup.controllers").contains(controller) {
            apply(json).unwrap();
            assert_eq!(cgroup.read(file), expected, "{json}");
            let resources = resources(json);
            let writes = v2(&resources, "r").unwrap();
            assert_eq!(differences(&|_| Some(dir.as_fd()), &writes), [], "{json}");
        } else {
            let error = apply(json).unwrap_err().to_string();
            assert!(
                error.ends_with(&format!("controller {controller:?} not available")),
                "{error}"
            );
        }
    }
}

/// On a kernel, as above; and `MINKE_BLOCK=8:0`, a disk of the machine.
#[test]
#[ignore = "changes cgroups"]
fn kernel_limits_a_block_device() {
    let cgroup = Cgroup::new("MINKE_CGROUP2", ".", "block");
    let dir = cgroup.open();
    let apply =
        |json: &str| apply(&|_| Some(dir.as_fd()), &v2(&resources(json), "r").unwrap(), false);
    let device = std::env::var_os("MINKE_BLOCK").unwrap().into_string().unwrap();
    let (major, minor) = device.split_once(':').unwrap();
    let limit = |rate| format!(r#"[{{"major": {major}, "minor": {minor}, "rate": {rate}}}]"#);
    let both = |read, write| {
        let (read, write) = (limit(read), limit(write));
        format!(
            r#"{{"blockIO": {{"throttleReadBpsDevice": {read}, "throttleWriteIOPSDevice": {write}}}}}"#
        )
    };
    apply(&both(2_097_152, 120)).unwrap();
    assert_eq!(
        cgroup.read("io.max"),
        format!("{device} rbps=2097152 wbps=max riops=max wiops=120")
    );
    apply(&both(0, 120)).unwrap();
    assert_eq!(cgroup.read("io.max"), format!("{device} rbps=max wbps=max riops=max wiops=120"));
    apply(&both(0, 0)).unwrap();
    assert_eq!(cgroup.read("io.max"), "");
}

/// On a kernel, as above.
#[test]
#[ignore = "changes cgroups"]
fn failures_on_a_kernel_are_explained() {
    let cgroup = Cgroup::new("MINKE_CGROUP2", ".", "failures");
    let dir = cgroup.open();
    let apply =
        |json: &str| apply(&|_| Some(dir.as_fd()), &v2(&resources(json), "r").unwrap(), false);
    if cgroup.read("cgroup.controllers").contains("memory") {
        let mut process = cgroup.process();
        let json = r#"{"memory": {"limit": 4096, "checkBeforeUpdate": true}}"#;
        let error = apply(json).unwrap_err().to_string();
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(error.contains("rejecting memory limit 4096 <= usage "), "{error}");
        assert_eq!(cgroup.read("memory.max"), "max");
    }
    let error = apply(r#"{"unified": {"cgroup.nothing": "1"}}"#).unwrap_err().to_string();
    let path = cgroup.0.canonicalize().unwrap();
    let expected = format!(
        "set {}/cgroup.nothing to \"1\" (r.unified[\"cgroup.nothing\"]): this kernel has no such file",
        path.display()
    );
    assert_eq!(error, expected);
    let error = apply(r#"{"unified": {"cgroup.max.depth": "x"}}"#).unwrap_err().to_string();
    assert!(error.ends_with("(r.unified[\"cgroup.max.depth\"]): invalid argument"), "{error}");
    let error = apply(r#"{"unified": {"new.limit": "x"}}"#).unwrap_err().to_string();
    assert!(error.ends_with("controller \"new\" not available"), "{error}");
}
