//! config-linux.md#user-namespace-mappings, and user namespaces joined by path.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("N2", a_new_user_namespace_has_its_ids),
        test!("N2", the_other_namespaces_belong_to_the_user_namespace)
            .fails_on("runc 1.1", "makes them before it has the group of its root"),
        test!("N2", a_new_time_namespace_beside_it_has_its_offsets)
            .fails_on("crun 1.8", "its init dies")
            .fails_on("runc 1.1", "knows no time namespace")
            .needs(needs![file("/proc/self/ns/time")]),
        test!("N1", a_joined_user_namespace_is_joined)
            .fails_on("runc 1.1", "wants its ids as well"),
        test!("N1", a_pod_of_joined_namespaces_is_joined)
            .fails_on("runc 1.1", "wants its ids as well"),
        test!("N1", namespaces_of_the_host_are_joined_beside_a_new_user_namespace),
        test!("N1", both_path_and_the_same_ids_are_taken),
        test!("N1", the_user_namespace_of_the_runtime_cannot_be_joined),
        test!("N1", both_path_and_other_ids_are_refused)
            .fails_on("crun 1.8", "does not check")
            .needs(needs![minke()]),
        test!("exec", another_process_is_in_the_user_namespace),
        test!("C10", an_id_mapped_mount_has_its_own_ids)
            .fails_on("runc 1.1", "knows none")
            .may_fail_on("crun 1.8", "takes them by options"),
        test!("C10", an_id_mapped_mount_has_the_containers_ids)
            .fails_on("runc 1.1", "knows none")
            .may_fail_on("crun 1.8", "takes them by options"),
        test!("C10", mappings_of_a_mount_come_in_pairs).needs(needs![minke()]),
        test!("C11", an_id_mapped_mount_without_ids_to_map_is_refused)
            .fails_on("runc 1.1", "knows none")
            .may_fail_on("crun 1.8", "ignores it"),
        test!("D2", devices_are_those_of_the_host),
        test!("2.2", a_volume_that_only_root_can_reach_is_there),
        test!("2.2", a_rootfs_that_only_root_can_reach_is_there)
            .fails_on("runc 1.1", "opens it in the user namespace")
            .fails_on("crun 1.8", "opens it in the user namespace"),
        test!("2.2", an_id_that_is_not_mapped_is_refused),
        test!("2.2", limits_above_the_runtimes_own_need_its_rights),
        test!("C8", wrong_mappings_are_refused_with_their_path).needs(needs![minke()]),
    ]
}

/// Ids 0 to 65535 are 100000 to 165535 outside.
pub(crate) fn mapped(bundle: Bundle<'_>) -> Bundle<'_> {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let rootfs = bundle.rootfs("");
    for path in ["", "tmp", "root"] {
        chown(rootfs.join(path), Some(100_000), Some(100_000)).unwrap();
    }
    bundle.namespace("user").set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map)
}

/// "uidMappings … describes the user namespace uid mappings from the host to
/// the container": root inside is 100000 outside.
fn a_new_user_namespace_has_its_ids(case: &Case) {
    let bundle = mapped(case.bundle())
        .sh("cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g; touch /tmp/f");
    let output = bundle.run().ok();
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words.join(" "), "0 100000 65536 0 100000 65536 0 0");
    let made = fs::metadata(bundle.rootfs("tmp/f")).unwrap();
    assert_eq!((made.uid(), made.gid()), (100_000, 100_000));
}

/// Its root may rule them: with the capability it can rename the host and
/// configure the network, and it cannot on the host.
fn the_other_namespaces_belong_to_the_user_namespace(case: &Case) {
    let capabilities = json!(["CAP_SYS_ADMIN", "CAP_NET_ADMIN"]);
    let mut bundle = mapped(case.bundle());
    for set in ["bounding", "effective", "permitted"] {
        bundle = bundle.set(&format!("/process/capabilities/{set}"), capabilities.clone());
    }
    bundle
        .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .sh("hostname other && hostname && ip link set lo mtu 1400 && cat /proc/sys/net/ipv4/ip_forward; ls -nd /dev/mqueue | sed 's/  */ /g' | cut -d' ' -f3,4")
        .run()
        .ok()
        .prints("other\n1\n0 0\n");
}

/// config-linux.md#offset-for-time-namespace.
fn a_new_time_namespace_beside_it_has_its_offsets(case: &Case) {
    let offsets = json!({"boottime": {"secs": 1_000_000}});
    let bundle = mapped(case.bundle()).namespace("time").set("/linux/timeOffsets", offsets);
    let output = bundle.args(&["cat", "/proc/uptime"]).run().ok();
    let seconds: f64 = output.stdout.split(' ').next().unwrap().parse().unwrap();
    assert!(seconds > 1_000_000.0, "{output}");
}

fn namespace(pid: i32, name: &str) -> std::path::PathBuf {
    fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap()
}

/// With a pid namespace of its own, which then belongs to it, and without.
fn a_joined_user_namespace_is_joined(case: &Case) {
    let donor = mapped(case.bundle()).running();
    let path = format!("/proc/{}/ns/user", donor.pid());
    for own_pids in [true, false] {
        let bundle = case.bundle();
        chown(bundle.rootfs(""), Some(100_000), Some(100_000)).unwrap();
        let bundle = bundle.joins("user", &path);
        let bundle = if own_pids {
            bundle
        } else {
            bundle
                .without_namespace("pid")
                .without_mount("/proc")
                .set("/linux/maskedPaths", json!([]))
                .set("/linux/readonlyPaths", json!([]))
        };
        let bundle = bundle.running();
        assert_eq!(namespace(bundle.pid(), "user"), namespace(donor.pid(), "user"));
        assert_ne!(namespace(bundle.pid(), "net"), namespace(donor.pid(), "net"));
        assert_eq!(fs::metadata(format!("/proc/{}/cwd", bundle.pid())).unwrap().uid(), 100_000);
        bundle.end();
    }
}

/// As a pod's containers join those of its first: in whatever order.
fn a_pod_of_joined_namespaces_is_joined(case: &Case) {
    let donor = mapped(case.bundle()).running();
    let kinds =
        [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("user", "user"), ("pid", "pid")];
    let mut bundle = case.bundle().remove("/hostname");
    chown(bundle.rootfs(""), Some(100_000), Some(100_000)).unwrap();
    for (kind, name) in kinds {
        bundle = bundle.joins(kind, &format!("/proc/{}/ns/{name}", donor.pid()));
    }
    let bundle = bundle.running();
    for (_, name) in kinds {
        assert_eq!(namespace(bundle.pid(), name), namespace(donor.pid(), name), "{name}");
    }
    assert_ne!(namespace(bundle.pid(), "mnt"), namespace(donor.pid(), "mnt"));
    bundle.end();
}

/// Only who stands outside can enter them.
fn namespaces_of_the_host_are_joined_beside_a_new_user_namespace(case: &Case) {
    let donor = case.bundle().running();
    let path = |name: &str| format!("/proc/{}/ns/{name}", donor.pid());
    let bundle = mapped(case.bundle())
        .remove("/hostname")
        .joins("ipc", &path("ipc"))
        .joins("uts", &path("uts"))
        .without_mount("/dev/mqueue")
        .running();
    for name in ["ipc", "uts"] {
        assert_eq!(namespace(bundle.pid(), name), namespace(donor.pid(), name), "{name}");
    }
    bundle.end();
}

/// containerd and CRI-O give both.
fn both_path_and_the_same_ids_are_taken(case: &Case) {
    let donor = mapped(case.bundle()).running();
    let bundle = mapped(case.bundle()).joins("user", &format!("/proc/{}/ns/user", donor.pid()));
    bundle.args(&["id", "-u"]).run().ok().prints("0\n");
}

/// There is none to join: that must be told, and not be waited for.
fn the_user_namespace_of_the_runtime_cannot_be_joined(case: &Case) {
    let own = json!({"type": "user", "path": "/proc/self/ns/user"});
    for map in [json!([]), json!([{"containerID": 0, "hostID": 0, "size": 1}])] {
        let mut bundle = case.bundle();
        bundle.at("/linux/namespaces").as_array_mut().unwrap().push(own.clone());
        bundle = bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        bundle.create().fails();
        case.leaves_nothing();
    }
}

/// Which of the two is meant nobody knows.
fn both_path_and_other_ids_are_refused(case: &Case) {
    let donor = mapped(case.bundle()).running();
    let bundle = mapped(case.bundle())
        .set("/linux/uidMappings/0/hostID", json!(200_000))
        .joins("user", &format!("/proc/{}/ns/user", donor.pid()));
    bundle
        .create()
        .fails()
        .says("linux.uidMappings: user namespaces enabled, but both namespace path and non-matching mapping specified");
}

/// Its ids are those of the container.
fn another_process_is_in_the_user_namespace(case: &Case) {
    let bundle = mapped(case.bundle()).running();
    let exec = bundle.command("exec", &["--user", "5:6"]);
    let output = exec.args(["sh", "-c", "id -u; id -g; readlink /proc/self/ns/user"]).run().ok();
    let own = namespace(bundle.pid(), "user");
    assert_eq!(output.stdout, format!("5\n6\n{}\n", own.display()));
}

/// A directory with a file of user 0 and one of user 7.
fn volume(case: &Case) -> std::path::PathBuf {
    let volume = case.path("volume");
    fs::create_dir(&volume).unwrap();
    for (name, id) in [("zero", 0), ("seven", 7)] {
        fs::write(volume.join(name), "").unwrap();
        chown(volume.join(name), Some(id), Some(id)).unwrap();
    }
    volume
}

/// Without a user namespace: 0 to 9 of the disk are 1000 to 1009 in the
/// container.
fn an_id_mapped_mount_has_its_own_ids(case: &Case) {
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    for option in ["idmap", "ridmap"] {
        let source = case.path("volume");
        let source = if source.exists() { source } else { volume(case) };
        let mount = json!({"destination": "/tmp", "source": source, "options": ["rbind", option],
            "uidMappings": map, "gidMappings": map});
        let bundle = case.bundle().push("/mounts", mount);
        bundle.sh("stat -c %u:%g /tmp/zero /tmp/seven").run().ok().prints("1000:1000\n1007:1007\n");
    }
}

/// "idmap … the container's user namespace": root's files are root's.
fn an_id_mapped_mount_has_the_containers_ids(case: &Case) {
    let source = volume(case);
    let bundle = mapped(case.bundle()).bind(&source, "/tmp", &["bind", "idmap"]);
    bundle.sh("stat -c %u:%g /tmp/zero /tmp/seven; touch /tmp/new").run().ok().prints("0:0\n7:7\n");
    assert_eq!(fs::metadata(source.join("new")).unwrap().uid(), 0);
}

/// C10 and C11.
fn mappings_of_a_mount_come_in_pairs(case: &Case) {
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    let mount = |option: &str, field: &str| json!({"destination": "/tmp", "source": "/etc", "options": ["bind", option], field: map});
    for (mount, words) in [
        (mount("idmap", "uidMappings"), "mounts[7].gidMappings: must be set"),
        (mount("rbind", "gidMappings"), "mounts[7].uidMappings: must be set"),
        (mount("idmap", "x"), "mounts[7].options: an id-mapped mount needs"),
    ] {
        let output = case.bundle().push("/mounts", mount).create().fails();
        output.says(&format!("config.json: {words}"));
        case.leaves_nothing();
    }
}

/// "If idmap is specified … and the container does not have a user namespace",
/// nor the mount mappings of its own.
fn an_id_mapped_mount_without_ids_to_map_is_refused(case: &Case) {
    for option in ["idmap", "ridmap"] {
        case.bundle().bind(&case.dir, "/tmp", &["rbind", option]).create().fails();
        case.leaves_nothing();
    }
}

/// None can be made in a user namespace.
fn devices_are_those_of_the_host(case: &Case) {
    let bundle = mapped(case.bundle()).sh(
        "echo x >/dev/null && head -c 2 /dev/zero | od -An -tx1; stat -c %t:%T /dev/null /dev/full",
    );
    bundle.run().ok().prints(" 00 00\n1:3\n1:7\n");
}

/// As Docker's volumes are, below a directory of root's.
fn a_volume_that_only_root_can_reach_is_there(case: &Case) {
    let closed = case.path("closed");
    let volume = closed.join("volume");
    fs::create_dir_all(&volume).unwrap();
    fs::write(volume.join("file"), "data").unwrap();
    // Not even its owner is the container's.
    chown(&closed, Some(1), Some(1)).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let bundle = mapped(case.bundle()).bind(&volume, "/tmp", &["rbind", "ro"]);
    bundle
        .sh("cat /tmp/file; echo >/tmp/x 2>/dev/null || echo ' ro'")
        .run()
        .ok()
        .prints("data ro\n");
}

/// As Docker's data root is.
fn a_rootfs_that_only_root_can_reach_is_there(case: &Case) {
    let bundle = mapped(case.bundle()).args(&["id", "-u"]);
    fs::set_permissions(&bundle.dir, Permissions::from_mode(0o700)).unwrap();
    bundle.run().ok().prints("0\n");
}

/// In runc's words.
fn an_id_that_is_not_mapped_is_refused(case: &Case) {
    for (name, words) in [
        ("uid", "cannot setuid to unmapped uid 70000 in user namespace"),
        ("gid", "cannot setgid to unmapped gid 70000 in user namespace"),
    ] {
        let bundle = mapped(case.bundle()).set(&format!("/process/user/{name}"), json!(70_000));
        let output = bundle.create().fails();
        if crate::support::runtime::name() == "minke" {
            output.says(words);
        }
        case.leaves_nothing();
    }
}

/// setrlimit(2) asks for a right over the host, which its root has not.
fn limits_above_the_runtimes_own_need_its_rights(case: &Case) {
    let limit = json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}]);
    let bundle = mapped(case.bundle()).set("/process/rlimits", limit);
    bundle.sh("ulimit -Sn; ulimit -Hn").run().ok().prints("64\n128\n");
}

/// Each with the field's JSON path, and nothing is left.
fn wrong_mappings_are_refused_with_their_path(case: &Case) {
    let line = |inside: u64, outside: u64, size: u64| json!({"containerID": inside, "hostID": outside, "size": size});
    let many: Vec<_> = (0..341).map(|n| line(n, 100_000 + n, 1)).collect();
    let long: Vec<_> = (0..340).map(|n| line(n * 10_000, 1_000_000_000 + n * 100_000, 1)).collect();
    for (maps, words) in [
        (json!(many), "linux.uidMappings: has 341 mappings"),
        (json!(long), "linux.uidMappings: takes "),
        (json!([line(0, 1, 10), line(5, 100, 1)]), "linux.uidMappings[1]: overlaps"),
        (json!([line(0, 1, 0)]), "linux.uidMappings[0].size: must not be 0"),
        (json!([line(0, 4_294_967_295, 1)]), "linux.uidMappings[0].hostID: "),
        (json!([line(1, 1, 1)]), "linux.uidMappings: must map the container's root"),
        (json!([]), "linux.uidMappings: must not be empty"),
    ] {
        let bundle = mapped(case.bundle()).set("/linux/uidMappings", maps);
        let output = bundle.create().fails().says(&format!("config.json: {words}"));
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
        case.leaves_nothing();
    }
    let bundle = mapped(case.bundle()).without_namespace("user");
    bundle.create().fails().says("config.json: linux.uidMappings: need a user namespace");
    case.leaves_nothing();
}
