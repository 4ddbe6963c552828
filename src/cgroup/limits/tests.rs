use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::*;
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
    let error = apply(|_| None, &v2(&to, "linux.resources").unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot set pids limit: container could not join or create cgroup (linux.resources.pids.limit)"
    );
    let to = resources(r#"{"memory": {"swap": -1}}"#);
    apply(|_| None, &v2(&to, "linux.resources").unwrap()).unwrap();
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

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.join(file)).unwrap().trim().to_owned()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// On a kernel: `MINKE_CGROUP1=DIR`, where the v1 hierarchies cpu, cpuset,
/// memory, pids and blkio are mounted on directories of their name.
#[test]
#[ignore = "changes cgroups"]
fn kernel_takes_the_limits_of_v1() {
    let names = ["cpu", "cpuset", "memory", "pids", "blkio"];
    let cgroups = names.map(|name| Cgroup::new("MINKE_CGROUP1", name, "limits"));
    let dirs = cgroups.each_ref().map(Cgroup::open);
    let dir = |controller: &str| {
        names.iter().position(|name| *name == controller).map(|i| dirs[i].as_fd())
    };
    let apply = |json: &str| apply(dir, &v1(&resources(json), None, "r").unwrap());
    let read = |file: &str| {
        let controller = file.split('.').next().unwrap();
        cgroups[names.iter().position(|name| *name == controller).unwrap()].read(file)
    };

    inherit_cpuset(File::open(cgroups[1].0.parent().unwrap()).unwrap().as_fd(), dirs[1].as_fd())
        .unwrap();
    assert_ne!(read("cpuset.cpus"), "");

    apply(
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
        assert_eq!(read(file), expected, "{file}");
    }
    // Up and down again, where each direction has its order.
    for (period, quota, burst) in
        [(1_000_000, 900_000, 900_000), (1000, 1000, 0), (2000, 8000, 8000)]
    {
        apply(&format!(r#"{{"cpu": {{"period": {period}, "quota": {quota}, "burst": {burst}}}}}"#))
            .unwrap();
        assert_eq!(read("cpu.cfs_period_us"), period.to_string());
        assert_eq!(read("cpu.cfs_quota_us"), quota.to_string());
        assert_eq!(read("cpu.cfs_burst_us"), burst.to_string());
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
        apply(json).unwrap();
        assert_eq!(read(file), expected, "{json}");
    }
    let error = apply(r#"{"cpu": {"cpus": "4095"}}"#).unwrap_err().to_string();
    assert!(
        error.contains("cpuset.cpus to \"4095\" (r.cpu.cpus), where the cgroup above has 0-"),
        "{error}"
    );
    let error = apply(r#"{"rdma": {"x": {"hcaHandles": 1}}}"#).unwrap_err().to_string();
    assert!(error.starts_with("cannot set rdma limit: container could not"), "{error}");
}

/// On a kernel: `MINKE_CGROUP2=DIR`, with all controllers that it has enabled
/// for the cgroups in it.
#[test]
#[ignore = "changes cgroups"]
fn kernel_takes_the_limits_of_v2() {
    let cgroup = Cgroup::new("MINKE_CGROUP2", ".", "limits");
    let dir = cgroup.open();
    let apply = |json: &str| apply(|_| Some(dir.as_fd()), &v2(&resources(json), "r").unwrap());
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
        } else {
            let error = apply(json).unwrap_err().to_string();
            assert!(
                error.ends_with(&format!("controller {controller:?} not available")),
                "{error}"
            );
        }
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
